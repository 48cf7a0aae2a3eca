package sqlite_test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// BenchmarkRead reads from a store of a million keys: one organization has
// nearly all of them, some others have a few.
func BenchmarkRead(b *testing.B) {
	const total, batch = 1_000_000, 1000
	began := time.Now()
	s := open(b, b.TempDir())
	big, small := newTenant(b, s), newTenant(b, s)
	rare := newID()
	must(b, s, store.Step{Users: []*latchkey.User{{ID: rare, Organization: big.organization, Kind: latchkey.Service, Name: "rare", Suspended: true}}})
	var kids []latchkey.KID
	var ids []latchkey.ID
	var far [3]store.KeyCursor // of about page 10,000
	for n := 0; n < total; n += batch {
		keys := make([]*latchkey.Key, batch)
		for i := range keys {
			keys[i] = big.key(n+i, func(k *latchkey.Key) {
				if (n+i)%3 == 0 {
					k.ExpiresAt = time.UnixMilli(4e12 + int64(n+i))
				}
				if (n+i)%100_000 == 7 {
					k.Owner, k.Partner, k.Enabled, k.Name = rare, "rare", false, "a needle in the hay"
				} else if (n+i)%2 == 0 {
					k.Owner = big.owner
				}
			})
			if (n+i)%101 == 0 {
				kids, ids = append(kids, keys[i].Secrets[0].KID), append(ids, keys[i].ID)
			}
		}
		must(b, s, big.create(keys...))
		k := keys[0] // which expires
		if n == total*9/10+1000-1000 {
			far = [3]store.KeyCursor{{Ordinal: k.Ordinal}, {Ordinal: k.Ordinal, Number: k.Revision}, {Ordinal: k.Ordinal, Number: k.ExpiresAt.UnixMilli()}}
		}
		if n%100_000 == 0 {
			must(b, s, small.create(small.key(n, nil)))
		}
	}
	b.Logf("%d keys in %v", total, time.Since(began))
	b.Run("ByKID", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.ByKID(context.Background(), kids[2*rand.IntN(len(kids)/2)+1]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ByKID with owner", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.ByKID(context.Background(), kids[2*rand.IntN(len(kids)/2)]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Key", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Key(context.Background(), ids[2*rand.IntN(len(ids)/2)+1]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ByKID unknown", func(b *testing.B) {
		for b.Loop() {
			_, _ = s.ByKID(context.Background(), "0123456789abcdef")
		}
	})
	middle := store.KeyCursor{Ordinal: far[0].Ordinal, Text: "production reader 5"}
	never := store.KeyCursor{Ordinal: far[0].Ordinal, Number: math.MaxInt64}
	for _, c := range []struct {
		name  string
		query store.KeyQuery
	}{
		{"created", store.KeyQuery{}},
		{"created, far", store.KeyQuery{After: &far[0]}},
		{"created, last first", store.KeyQuery{Descending: true}},
		{"created, last first, far", store.KeyQuery{Descending: true, After: &far[0]}},
		{"updated", store.KeyQuery{Sort: store.ByUpdate}},
		{"updated, far", store.KeyQuery{Sort: store.ByUpdate, After: &far[1]}},
		{"updated, last first, far", store.KeyQuery{Sort: store.ByUpdate, Descending: true, After: &far[1]}},
		{"name", store.KeyQuery{Sort: store.ByName}},
		{"name, far", store.KeyQuery{Sort: store.ByName, After: &middle}},
		{"expiry", store.KeyQuery{Sort: store.ByExpiry}},
		{"expiry, far", store.KeyQuery{Sort: store.ByExpiry, After: &far[2]}},
		{"expiry, never", store.KeyQuery{Sort: store.ByExpiry, After: &never}},
		{"live", store.KeyQuery{States: []latchkey.State{latchkey.StateLive}}},
		{"live by name", store.KeyQuery{States: []latchkey.State{latchkey.StateLive}, Sort: store.ByName}},
		{"live, far", store.KeyQuery{States: []latchkey.State{latchkey.StateLive}, After: &far[0]}},
		{"revoked", store.KeyQuery{States: []latchkey.State{latchkey.StateRevoked}}},
		{"revoked by name", store.KeyQuery{States: []latchkey.State{latchkey.StateRevoked}, Sort: store.ByName}},
		{"disabled", store.KeyQuery{States: []latchkey.State{latchkey.StateDisabled}}},
		{"disabled by name", store.KeyQuery{States: []latchkey.State{latchkey.StateDisabled}, Sort: store.ByName}},
		{"expired", store.KeyQuery{States: []latchkey.State{latchkey.StateExpired}}},
		{"project", store.KeyQuery{Project: big.project}},
		{"project, far", store.KeyQuery{Project: big.project, After: &far[0]}},
		{"project by name", store.KeyQuery{Project: big.project, Sort: store.ByName}},
		{"owner of half", store.KeyQuery{Owner: big.owner, After: &far[0]}},
		{"owner of few", store.KeyQuery{Owner: rare}},
		{"owner of few by expiry", store.KeyQuery{Owner: rare, Sort: store.ByExpiry}},
		{"partner", store.KeyQuery{Partner: "rare"}},
		{"role", store.KeyQuery{Role: role("developer")}},
		{"role of none", store.KeyQuery{Role: role("owner")}},
		{"expiring", store.KeyQuery{ExpiringBefore: time.UnixMilli(4e12 + 50)}},
		{"unused", store.KeyQuery{UnusedSince: time.Now().Add(time.Hour)}},
		{"unused, none", store.KeyQuery{UnusedSince: time.UnixMilli(1)}},
		{"search few", store.KeyQuery{Search: "NEEDLE"}},
		{"search few by name", store.KeyQuery{Search: "NEEDLE", Sort: store.ByName}},
		{"search many", store.KeyQuery{Search: "production"}},
		{"search many, far", store.KeyQuery{Search: "production", After: &far[0]}},
		{"search many by name", store.KeyQuery{Search: "production", Sort: store.ByName}},
		{"search late ones", store.KeyQuery{Search: "writer 99"}},
		{"search none", store.KeyQuery{Search: "zzzz"}},
		{"search 2", store.KeyQuery{Search: "pr"}},
		{"search 2, none", store.KeyQuery{Search: "<>"}},
		{"search kid", store.KeyQuery{Search: string(kids[5][:5])}},
		{"search many in a small organization", store.KeyQuery{Search: "production", Organization: small.organization}},
		{"created in a small organization", store.KeyQuery{Organization: small.organization}},
	} {
		b.Run("list "+c.name, func(b *testing.B) {
			q := c.query
			if q.Organization.IsZero() {
				q.Organization = big.organization
			}
			q.Limit, q.Now = 100, time.Now()
			n := 0
			for b.Loop() {
				list, err := s.ListKeys(context.Background(), q)
				if err != nil {
					b.Fatal(err)
				}
				n = len(list)
			}
			b.ReportMetric(float64(n), "keys")
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N), "µs")
			b.ReportMetric(0, "ns/op")
		})
	}
	b.Run("holding of the big organization", func(b *testing.B) {
		for b.Loop() {
			_, err := s.Submit(context.Background(), store.Change{Reads: store.Reads{Holdings: []latchkey.ID{big.organization}},
				Apply: func(v *store.View) (store.Outcome, error) { return store.Outcome{}, nil }})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
