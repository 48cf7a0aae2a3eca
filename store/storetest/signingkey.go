package storetest

import (
	"errors"
	"sync"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// newSigningKey is one that is published and signs nothing yet.
func (w *world) newSigningKey() *store.SigningKey {
	return &store.SigningKey{ID: w.id(), Algorithm: "ES256", Public: []byte{0x30, 0, 0xFF}, Sealed: []byte{1, 0, 0xFF, 0}, Record: w.record()}
}

// signingKeyCases follow the keys of tokens through their lives.
func signingKeyCases() []testCase {
	return []testCase{
		{"from published to deleted", func(w *world) {
			k := w.newSigningKey()
			w.write(k)
			w.sameSigningKeys("published", k)
			k.ActiveAt, k.UpdatedAt = w.tick(), w.tick()
			w.write(k)
			w.sameSigningKeys("active", k)
			k.RetiredAt, k.Sealed = w.tick(), nil
			w.write(k)
			w.sameSigningKeys("retired", k)
			k.DeletedAt = w.tick()
			w.write(k)
			w.sameSigningKeys("deleted")
		}},
		{"every byte of both halves", func(w *world) {
			k := w.newSigningKey()
			k.Algorithm, k.Public, k.Sealed = "RS256", nil, nil
			for b := range 256 {
				k.Public, k.Sealed = append(k.Public, byte(b)), append(k.Sealed, byte(255-b))
			}
			w.write(k)
			w.sameSigningKeys("key", k)
		}},
		{"oldest first, several in a step, after reopening as well", func(w *world) {
			of := w.tenant()
			keys := []*store.SigningKey{w.newSigningKey(), w.newSigningKey(), w.newSigningKey(), w.newSigningKey()}
			w.write(keys[0], w.newKey(of), keys[1])
			w.write(keys[2])
			w.write(keys[3])
			keys[0].RetiredAt = w.tick()
			w.write(keys[0])
			w.sameSigningKeys("keys", keys...)
			w.reopen()
			w.sameSigningKeys("keys of the reopened store", keys...)
		}},
		{"not in a view that did not ask", func(w *world) {
			w.write(w.newSigningKey())
			w.see(store.Reads{Installation: true}, func(v *store.View) {
				if len(v.SigningKeys) != 0 {
					w.t.Errorf("the view holds %d signing keys", len(v.SigningKeys))
				}
			})
		}},
		{"an id is taken once", func(w *world) {
			k := w.newSigningKey()
			w.write(k)
			again := w.newSigningKey()
			again.ID = k.ID
			_, err := w.submit(w.batch(again))
			var taken *store.ConflictError
			if !errors.As(err, &taken) || taken.Field != "id" {
				w.t.Errorf("a second key with the id of another: %v", err)
			}
			w.sameSigningKeys("keys", k)
		}},
		{"one of many that rotate wins", func(w *world) {
			const many = 8
			var all sync.WaitGroup
			for range many {
				k := w.newSigningKey()
				event := w.newEvent(latchkey.ID{}, latchkey.RingVersionAdded, latchkey.Object{})
				all.Go(func() {
					_, err := w.s.Submit(w.ctx(), store.Change{Reads: store.Reads{SigningKeys: true}, Apply: func(v *store.View) (store.Outcome, error) {
						if len(v.SigningKeys) > 0 {
							return store.Outcome{}, nil
						}
						written := *k
						return store.Outcome{Steps: []store.Step{{Event: event, SigningKeys: []*store.SigningKey{&written}}}}, nil
					}})
					if err != nil {
						w.t.Errorf("Submit: %v", err)
					}
				})
			}
			all.Wait()
			got, err := w.s.SigningKeys(w.ctx())
			w.ok("SigningKeys", err)
			if len(got) != 1 || w.head() != 1 {
				w.t.Errorf("%d keys were added, by %d events", len(got), w.head())
			}
		}},
	}
}

// sameSigningKeys wants exactly these, in this order, through both doors.
func (w *world) sameSigningKeys(what string, want ...*store.SigningKey) {
	w.t.Helper()
	var rows []store.SigningKey
	for _, k := range want {
		rows = append(rows, *k)
	}
	got, err := w.s.SigningKeys(w.ctx())
	w.ok("SigningKeys", err)
	w.same(what, got, rows)
	w.see(store.Reads{SigningKeys: true}, func(v *store.View) {
		w.same(what+", in the view", v.SigningKeys, rows)
	})
}
