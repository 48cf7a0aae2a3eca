package storetest

import (
	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// behindCases ask for digests that move behind verification. None makes an event.
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
