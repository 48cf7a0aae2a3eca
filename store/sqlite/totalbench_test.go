package sqlite_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// BenchmarkTotal reads the first page with the total, of the lists that show
// totals, in organizations of 1,000 and of 100,000 keys.
func BenchmarkTotal(b *testing.B) {
	s := open(b, b.TempDir())
	now := time.Now()
	for _, size := range []int{1000, 100_000} {
		of := newTenant(b, s)
		for n := 0; n < size; n += 1000 {
			keys := make([]*latchkey.Key, 1000)
			for i := range keys {
				keys[i] = of.key(n+i, func(k *latchkey.Key) {
					k.Partner, k.Owner = "acme", of.owner
					switch (n + i) % 10 {
					case 0:
						k.RevokedAt = now
					case 1:
						k.Enabled = false
					case 2:
						k.ExpiresAt = now.Add(-time.Duration(n+i) * time.Hour)
					case 3, 4:
						k.ExpiresAt = now.Add(time.Duration(n+i) * time.Hour / 10)
					}
				})
			}
			must(b, s, of.create(keys...))
		}
		for _, c := range []struct {
			name  string
			query store.KeyQuery
		}{
			{"with a partner", store.KeyQuery{HasPartner: true}},
			{"with an owner, live", store.KeyQuery{HasOwner: true, States: latchkey.States()[:1]}},
			{"with an owner, not live", store.KeyQuery{HasOwner: true, States: latchkey.States()[1:]}},
			{"with a role, not revoked", store.KeyQuery{HasRole: true, States: latchkey.States()[:3]}},
			{"of the project, with a role, not revoked", store.KeyQuery{Project: of.project, MaxReach: latchkey.ReachProject, HasRole: true, States: latchkey.States()[:3]}},
			{"by state", store.KeyQuery{HasRole: true, Sort: store.ByState}},
			{"by name and id", store.KeyQuery{HasRole: true, Sort: store.ByName, Then: []store.KeyOrder{{By: store.ByID}}}},
		} {
			b.Run(fmt.Sprintf("%s/%d", c.name, size), func(b *testing.B) {
				q := c.query
				q.Organization, q.Descending, q.Limit, q.Now = of.organization, true, 25, now
				var page []store.ListedKey
				var total int64
				for b.Loop() {
					var err error
					if page, err = s.ListKeys(context.Background(), q); err != nil {
						b.Fatal(err)
					}
					if total, err = s.CountKeys(context.Background(), q); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(len(page)), "keys")
				b.ReportMetric(float64(total), "total")
			})
		}
	}
}
