package authority_test

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
)

// fill imports keys that every edge can show: a third of them are revoked,
// disabled or expired.
func (h *house) fill(keys int) {
	h.Helper()
	const batch = 1000
	for n := 0; n < keys; n += batch {
		in := make([]authority.NewKey, batch)
		for i := range in {
			sum := sha256.Sum256(fmt.Append(nil, n+i))
			in[i] = authority.NewKey{
				Name: fmt.Sprint("key ", n+i), Partner: "acme", Owner: h.owner, Role: authority.RoleRef{Identifier: "reader"}, Digest: &sum,
			}
			if i%3 == 0 {
				in[i].ExpiresAt = time.Now().Add(time.Duration(n+i) * time.Hour / 10)
			}
		}
		made, _, err := h.ImportKeys(ctx(), h.socket(), in)
		h.ok(err)
		for i := range 20 {
			h.revoke(made[i*batch/20].ID)
		}
	}
}

// BenchmarkFirstPage reads the first page and the total of 1,000 keys and of
// 100,000, as the dialects that show totals do.
func BenchmarkFirstPage(b *testing.B) {
	for _, size := range []int{1000, 100_000} {
		h := open(b)
		h.fill(size)
		live, others := latchkey.States()[:1], latchkey.States()[1:]
		h.bench("partners", size, authority.Only{Partner: true}, func(call *authority.Call) error {
			_, _, err := h.PageKeys(ctx(), call, authority.KeyFilter{}, 0, 20)
			return err
		})
		h.bench("roles, not revoked", size, authority.Only{Role: true}, func(call *authority.Call) error {
			_, _, err := h.PageKeys(ctx(), call, authority.KeyFilter{States: latchkey.States()[:3]}, 0, 20)
			return err
		})
		h.bench("owned, live", size, authority.Only{Owner: true}, func(call *authority.Call) error {
			_, err := h.KeysBeside(ctx(), call, authority.KeyFilter{States: live}, authority.Beside{Limit: 25})
			return err
		})
		h.bench("owned, not live", size, authority.Only{Owner: true}, func(call *authority.Call) error {
			_, err := h.KeysBeside(ctx(), call, authority.KeyFilter{States: others}, authority.Beside{Limit: 25})
			return err
		})
		h.bench("every one of built-in roles", size, authority.Only{Builtin: true, Standing: true}, func(call *authority.Call) error {
			return h.EachKey(ctx(), call, authority.KeyFilter{}, func(*authority.Described) error { return nil })
		})
	}
}

// bench also tells how much the heap grows, which for a stream must not go by
// the number of keys.
func (h *house) bench(name string, size int, only authority.Only, ask func(*authority.Call) error) {
	call := h.socket()
	call.Only = only
	h.TB.(*testing.B).Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
		for b.Loop() {
			if err := ask(call); err != nil {
				b.Fatal(err)
			}
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapSys)/(1<<20), "MB-heap")
	})
}
