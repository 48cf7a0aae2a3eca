package storetest

import (
	"errors"
	"sync"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// newTokenKey is one that is published and signs nothing yet.
func (w *world) newTokenKey() *store.TokenKey {
	return &store.TokenKey{ID: w.id(), Algorithm: "ES256", Public: []byte{0x30, 0, 0xFF}, Sealed: []byte{1, 0, 0xFF, 0}, Record: w.record()}
}

// tokenKeyCases follow the keys of tokens through their lives.
func tokenKeyCases() []testCase {
	return []testCase{
		{"from published to deleted", func(w *world) {
			k := w.newTokenKey()
			w.write(k)
			w.sameTokenKeys("published", k)
			k.ActiveAt, k.UpdatedAt = w.tick(), w.tick()
			w.write(k)
			w.sameTokenKeys("active", k)
			k.RetiredAt, k.Sealed = w.tick(), nil
			w.write(k)
			w.sameTokenKeys("retired", k)
			k.DeletedAt = w.tick()
			w.write(k)
			w.sameTokenKeys("deleted")
		}},
		{"every byte of both halves", func(w *world) {
			k := w.newTokenKey()
			k.Algorithm, k.Public, k.Sealed = "RS256", nil, nil
			for b := range 256 {
				k.Public, k.Sealed = append(k.Public, byte(b)), append(k.Sealed, byte(255-b))
			}
			w.write(k)
			w.sameTokenKeys("key", k)
		}},
		{"oldest first, several in a step, after reopening as well", func(w *world) {
			of := w.tenant()
			keys := []*store.TokenKey{w.newTokenKey(), w.newTokenKey(), w.newTokenKey(), w.newTokenKey()}
			w.write(keys[0], w.newKey(of), keys[1])
			w.write(keys[2])
			w.write(keys[3])
			keys[0].RetiredAt = w.tick()
			w.write(keys[0])
			w.sameTokenKeys("keys", keys...)
			w.reopen()
			w.sameTokenKeys("keys of the reopened store", keys...)
		}},
		{"not in a view that did not ask", func(w *world) {
			w.write(w.newTokenKey())
			w.see(store.Reads{Installation: true}, func(v *store.View) {
				if len(v.TokenKeys) != 0 {
					w.t.Errorf("the view holds %d token keys", len(v.TokenKeys))
				}
			})
		}},
		{"an id is taken once", func(w *world) {
			k := w.newTokenKey()
			w.write(k)
			again := w.newTokenKey()
			again.ID = k.ID
			_, err := w.submit(w.batch(again))
			var taken *store.ConflictError
			if !errors.As(err, &taken) || taken.Field != "id" {
				w.t.Errorf("a second key with the id of another: %v", err)
			}
			w.sameTokenKeys("keys", k)
		}},
		{"one of many that rotate wins", func(w *world) {
			const many = 8
			var all sync.WaitGroup
			for range many {
				k := w.newTokenKey()
				event := w.newEvent(latchkey.ID{}, latchkey.RingVersionAdded, latchkey.Object{})
				all.Go(func() {
					_, err := w.s.Submit(w.ctx(), store.Change{Reads: store.Reads{TokenKeys: true}, Apply: func(v *store.View) (store.Outcome, error) {
						if len(v.TokenKeys) > 0 {
							return store.Outcome{}, nil
						}
						written := *k
						return store.Outcome{Steps: []store.Step{{Event: event, TokenKeys: []*store.TokenKey{&written}}}}, nil
					}})
					if err != nil {
						w.t.Errorf("Submit: %v", err)
					}
				})
			}
			all.Wait()
			got, err := w.s.TokenKeys(w.ctx())
			w.ok("TokenKeys", err)
			if len(got) != 1 || w.head() != 1 {
				w.t.Errorf("%d keys were added, by %d events", len(got), w.head())
			}
		}},
	}
}

// sameTokenKeys wants exactly these, in this order, through both doors.
func (w *world) sameTokenKeys(what string, want ...*store.TokenKey) {
	w.t.Helper()
	var rows []store.TokenKey
	for _, k := range want {
		rows = append(rows, *k)
	}
	got, err := w.s.TokenKeys(w.ctx())
	w.ok("TokenKeys", err)
	w.same(what, got, rows)
	w.see(store.Reads{TokenKeys: true}, func(v *store.View) {
		w.same(what+", in the view", v.TokenKeys, rows)
	})
}
