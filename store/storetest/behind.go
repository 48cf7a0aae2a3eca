package storetest

import (
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// behindCases ask for what is written behind verification: digests that move,
// and times of last use. Neither makes an event.
func behindCases() []testCase {
	return []testCase{
		{"a digest moves", func(w *world) {
			k := w.newKey(w.tenant())
			w.write(k)
			head, s := w.head(), &k.Secrets[0]
			move := store.Redigest{KID: s.KID, Old: s.Digest, New: w.digest(), Version: 2}
			w.ok("Redigest", w.s.Redigest(w.ctx(), []store.Redigest{move}))
			s.Digest, s.Pepper = move.New, 2
			w.sameKey("key", k)
			if w.head() != head {
				w.t.Error("moving a digest made an event")
			}
		}},
		{"a digest that is not Old stays", func(w *world) {
			k := w.newKey(w.tenant())
			k.Secrets = append(k.Secrets, w.newSecret())
			w.write(k)
			w.ok("Redigest", w.s.Redigest(w.ctx(), []store.Redigest{
				{KID: k.Secrets[0].KID, Old: w.digest(), New: w.digest(), Version: 2},
				{KID: k.Secrets[0].KID, Old: k.Secrets[1].Digest, New: w.digest(), Version: 2},
				{KID: w.newSecret().KID, Old: k.Secrets[0].Digest, New: w.digest(), Version: 2},
			}))
			w.sameKey("key", k)
		}},
		{"digests move together", func(w *world) {
			keys := w.newKeys(w.tenant(), 30)
			w.writeKeys(keys)
			var moves []store.Redigest
			for i, k := range keys {
				s := &k.Secrets[0]
				move := store.Redigest{KID: s.KID, Old: s.Digest, New: w.digest(), Version: 7}
				if i%3 == 0 {
					move.Old = w.digest() // it moved meanwhile
				} else {
					s.Digest, s.Pepper = move.New, 7
				}
				moves = append(moves, move)
			}
			w.ok("Redigest", w.s.Redigest(w.ctx(), moves))
			for _, k := range keys {
				w.same("key", w.key(k.ID).Key, *k)
			}
			w.ok("Redigest of nothing", w.s.Redigest(w.ctx(), nil))
		}},
		{"an imported digest moves and is found there", func(w *world) {
			k := w.newKey(w.tenant())
			k.Secrets = []latchkey.Secret{w.newForeign()}
			w.write(k)
			s := &k.Secrets[0]
			old := s.Digest
			move := store.Redigest{KID: s.KID, Old: old, New: w.digest(), Version: 2}
			w.ok("Redigest", w.s.Redigest(w.ctx(), []store.Redigest{move}))
			s.Digest, s.Pepper = move.New, 2
			_, err := w.s.ByForeignDigest(w.ctx(), [][32]byte{old})
			w.fails("ByForeignDigest of the old digest", err, store.ErrNotFound)
			c, err := w.s.ByForeignDigest(w.ctx(), [][32]byte{s.Digest, old})
			w.ok("ByForeignDigest", err)
			w.same("secret", c.Secret, *s)
		}},
		{"uses", func(w *world) {
			of := w.tenant()
			k, unused := w.newKey(of), w.newKey(of)
			k.Secrets = append(k.Secrets, w.newSecret())
			w.write(k, unused)
			head := w.head()
			k.Secrets[0].LastUsed, k.Secrets[1].LastUsed = w.tick(), w.tick()
			w.ok("RecordUses", w.s.RecordUses(w.ctx(), []store.Use{
				{KID: k.Secrets[1].KID, At: k.Secrets[1].LastUsed}, {KID: w.newSecret().KID, At: w.clock},
				{KID: k.Secrets[0].KID, At: k.Secrets[0].LastUsed.Add(999_999).In(time.FixedZone("", 3600))},
			}))
			w.sameKey("used key", k)
			w.sameKey("unused key", unused)
			if w.head() != head {
				w.t.Error("uses made an event")
			}
			w.ok("RecordUses of nothing", w.s.RecordUses(w.ctx(), nil))
		}},
		{"uses never go back", func(w *world) {
			k := w.newKey(w.tenant())
			w.write(k)
			early, late := w.tick(), w.tick()
			s := &k.Secrets[0]
			for _, at := range []time.Time{late, early, {}, late} {
				w.ok("RecordUses", w.s.RecordUses(w.ctx(), []store.Use{{KID: s.KID, At: at}}))
			}
			s.LastUsed = late
			w.sameKey("key", k)
			// Both in one call, the later one first.
			later := w.tick().Add(time.Hour)
			w.ok("RecordUses", w.s.RecordUses(w.ctx(), []store.Use{{KID: s.KID, At: later}, {KID: s.KID, At: early}}))
			s.LastUsed = later
			w.sameKey("key", k)
		}},
		{"uses survive a change of the key that did not know of them", func(w *world) {
			k := w.newKey(w.tenant())
			w.write(k)
			used := w.tick()
			w.ok("RecordUses", w.s.RecordUses(w.ctx(), []store.Use{{KID: k.Secrets[0].KID, At: used}}))
			k.Name = "Renamed"
			w.write(k)
			k.Secrets[0].LastUsed = used
			w.sameKey("key", k)
		}},
		{"uses of one secret from many sides", func(w *world) {
			k := w.newKey(w.tenant())
			w.write(k)
			begin := w.tick()
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() {
					for n := range 10 {
						at := begin.Add(time.Duration((n*7+i)%80) * time.Second)
						if err := w.s.RecordUses(w.ctx(), []store.Use{{KID: k.Secrets[0].KID, At: at}}); err != nil {
							w.t.Errorf("RecordUses: %v", err)
						}
					}
				})
			}
			all.Wait()
			k.Secrets[0].LastUsed = begin.Add(70 * time.Second) // 9 × 7 + 7
			w.sameKey("key", k)
		}},
		{"secrets by version of the ring", func(w *world) {
			of, elsewhere := w.tenant(), w.tenant()
			keys := append(w.newKeys(of, 4), w.newKey(elsewhere))
			keys[1].Secrets = append(keys[1].Secrets, w.newSecret())
			keys[1].Secrets[1].Pepper, keys[1].Secrets[0].ExpiresAt = 2, w.tick()
			keys[2].Secrets = []latchkey.Secret{w.newForeign()}
			keys[3].RevokedAt = w.tick()
			keys[4].Enabled, keys[4].ExpiresAt = false, w.tick()
			w.writeKeys(keys)
			w.pepperVersions(map[int]int64{1: 4, 2: 1})
			w.ok("Redigest", w.s.Redigest(w.ctx(), []store.Redigest{
				{KID: keys[0].Secrets[0].KID, Old: keys[0].Secrets[0].Digest, New: w.digest(), Version: 3},
				{KID: keys[3].Secrets[0].KID, Old: keys[3].Secrets[0].Digest, New: w.digest(), Version: 3},
			}))
			w.pepperVersions(map[int]int64{1: 3, 2: 1, 3: 1})
			keys[1].RevokedAt = w.tick()
			w.write(keys[1])
			w.pepperVersions(map[int]int64{1: 2, 3: 1})
		}},
	}
}

func (w *world) pepperVersions(want map[int]int64) {
	w.t.Helper()
	got, err := w.s.PepperVersions(w.ctx())
	w.ok("PepperVersions", err)
	w.sameCounts("secrets by version", got, want)
}
