package verify_test

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/verify"
)

// A cold start: every key of an embedded store is read into memory. The bar is
// two seconds for a million keys.
func BenchmarkFill(b *testing.B) {
	const keys, batch = 200_000, 1_000
	h := open(b)
	most := int64(10_000_000)
	_, _, err := h.authority.UpdateOrganization(b.Context(), h.call, h.call.Organization, authority.OrganizationPatch{KeyLimit: &most})
	h.must(err)
	for n := 0; n < keys; n += batch {
		items := make([]authority.NewKey, batch)
		for i := range items {
			sum := sha256.Sum256(fmt.Append(nil, n+i))
			items[i] = authority.NewKey{Name: fmt.Sprint("key ", n+i), Scopes: []string{"docs:read", fmt.Sprint("plant:", i)}, Digest: &sum, Metadata: `{"plan":"basic"}`}
		}
		_, _, err := h.authority.ImportKeys(b.Context(), h.call, items)
		h.must(err)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	b.ResetTimer()
	for b.Loop() {
		h.must(verify.New(h.store, h.ring, time.Now, "bench", log).Fill(b.Context(), 0))
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)*1_000_000/keys, "s/1M-keys") // the bar: 2
}
