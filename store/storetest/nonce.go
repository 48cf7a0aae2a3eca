package storetest

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// errSpent is what a change is refused with whose nonce was spent before.
var errSpent = errors.New("spent before")

// nonce is one that nobody has spent, of a request that was signed at that time.
func (w *world) nonce(created time.Time) store.Nonce {
	return store.Nonce{NonceKey: store.NonceKey{KID: w.newSecret().KID, Hash: w.digest()}, Created: created.Truncate(time.Second)}
}

// spend spends a nonce as a verification does, whenever its request was signed.
func (w *world) spend(n store.Nonce) error {
	_, err := w.s.Submit(w.ctx(), store.Change{Reads: store.Reads{Nonces: []store.NonceKey{n.NonceKey}}, Apply: func(v *store.View) (store.Outcome, error) {
		if v.Nonces[n.NonceKey] {
			return store.Outcome{}, errSpent
		}
		return store.Outcome{Nonces: []store.Nonce{n}}, nil
	}})
	return err
}

// nonces tells which of them are spent, and the floor.
func (w *world) spent(asked ...store.Nonce) (spent []bool, floor, now time.Time) {
	w.t.Helper()
	var keys []store.NonceKey
	for _, n := range asked {
		keys = append(keys, n.NonceKey)
	}
	w.see(store.Reads{Nonces: keys}, func(v *store.View) {
		for _, k := range keys {
			spent = append(spent, v.Nonces[k])
		}
		floor, now = v.NonceFloor, v.Now
	})
	return spent, floor, now
}

// now is the store's clock.
func (w *world) now() time.Time {
	_, _, now := w.spent(store.Nonce{})
	return now
}

// nonceCases ask for what signed requests may have once.
func nonceCases() []testCase {
	return []testCase{
		{"a nonce is spent once", func(w *world) {
			n, other := w.nonce(w.now()), w.nonce(w.now())
			w.ok("the first time", w.spend(n))
			w.fails("the second time", w.spend(n), errSpent)
			w.ok("another one", w.spend(other))
			w.fails("the third time", w.spend(n), errSpent)
			got, _, _ := w.spent(n, other, w.nonce(w.now()))
			w.same("spent", got, []bool{true, true, false})
		}},
		{"a nonce is a key's own", func(w *world) {
			n := w.nonce(w.now())
			elsewhere := n
			elsewhere.KID = w.newSecret().KID
			w.ok("of one key", w.spend(n))
			w.ok("of another", w.spend(elsewhere))
		}},
		{"kids are told apart by case", func(w *world) {
			n := w.nonce(w.now())
			n.KID = "aaaaaaaaaaaaaaaa"
			other := n
			other.KID = "aaaaaaaaaaaaaaaA"
			w.ok("of one key", w.spend(n))
			w.ok("of another", w.spend(other))
			w.fails("again", w.spend(other), errSpent)
		}},
		{"many spend one nonce at once", func(w *world) {
			n := w.nonce(w.now())
			var all sync.WaitGroup
			var accepted atomic.Int64
			for range 64 {
				all.Go(func() {
					switch err := w.spend(n); {
					case err == nil:
						accepted.Add(1)
					case !errors.Is(err, errSpent):
						w.t.Errorf("Submit: %v", err)
					}
				})
			}
			all.Wait()
			if accepted.Load() != 1 {
				w.t.Errorf("it was spent %d times", accepted.Load())
			}
		}},
		{"many nonces at once", func(w *world) {
			var all sync.WaitGroup
			for range 200 {
				n := w.nonce(start)
				all.Go(func() {
					if err := w.spend(n); err != nil {
						w.t.Errorf("Submit: %v", err)
					}
				})
			}
			all.Wait()
		}},
		{"a nonce that nobody looked for is written once all the same", func(w *world) {
			n := w.nonce(w.now())
			blind := func() error {
				_, err := w.s.Submit(w.ctx(), store.Change{Apply: func(*store.View) (store.Outcome, error) { return store.Outcome{Nonces: []store.Nonce{n}}, nil }})
				return err
			}
			w.ok("the first time", blind())
			err := blind()
			w.fails("the second time", err, store.ErrConflict)
			if taken, ok := errors.AsType[*store.ConflictError](err); !ok || taken.Field != "nonce" {
				w.t.Errorf("the conflict is %v", err)
			}
			w.ok("another change", w.spend(w.nonce(w.now())))
		}},
		{"a nonce with an event, and without", func(w *world) {
			of, n := w.tenant(), w.nonce(w.now())
			head := w.head()
			changed := w.s.Changed()
			w.ok("without", w.spend(n))
			if w.head() != head {
				w.t.Error("spending a nonce made an event")
			}
			select {
			case <-changed:
				w.t.Error("spending a nonce woke who waits for events")
			default:
			}
			w.write(w.newKey(of))
			w.fails("again", w.spend(n), errSpent)
		}},
		{"a refused change spends nothing", func(w *world) {
			n := w.nonce(w.now())
			_, err := w.s.Submit(w.ctx(), store.Change{Apply: func(*store.View) (store.Outcome, error) { return store.Outcome{Nonces: []store.Nonce{n}}, errSpent }})
			w.fails("Submit", err, errSpent)
			w.ok("afterwards", w.spend(n))
		}},
		{"nonces outlive the process, and the floor stays where it is", func(w *world) {
			n := w.nonce(w.now())
			w.ok("before", w.spend(n))
			_, floor, _ := w.spent(n)
			w.reopen()
			w.fails("afterwards", w.spend(n), errSpent)
			if _, after, _ := w.spent(n); !after.Equal(floor) {
				w.t.Errorf("the floor went from %v to %v", floor, after)
			}
		}},
		{"what is pruned lies below the floor", func(w *world) {
			now := w.now()
			var old, fresh []store.Nonce
			for i := range 12 {
				old = append(old, w.nonce(now.Add(-latchkey.SignaturePast-time.Hour-time.Duration(i)*time.Minute)))
				fresh = append(fresh, w.nonce(now.Add(latchkey.SignatureAhead-time.Duration(i)*20*time.Second)))
				w.ok("old", w.spend(old[i]))
				w.ok("fresh", w.spend(fresh[i]))
			}
			w.ok("PruneNonces", w.s.PruneNonces(w.ctx()))
			forgotten, floor, _ := w.spent(old...)
			kept, _, _ := w.spent(fresh...)
			for i := range old {
				if forgotten[i] || !kept[i] {
					w.t.Errorf("old %d is kept: %v; fresh %d is kept: %v", i, forgotten[i], i, kept[i])
				}
				if latchkey.SignatureFresh(old[i].Created, floor, old[i].Created) {
					w.t.Errorf("a nonce of %v is forgotten, and the floor is %v", old[i].Created, floor)
				}
			}
			if late := now.Add(-latchkey.SignaturePast); floor.After(late) || floor.Before(late.Add(-time.Minute)) {
				w.t.Errorf("the floor is %v, now is %v", floor, now)
			}
		}},
		{"many are pruned", func(w *world) {
			created := w.now().Add(-time.Hour)
			_, err := w.s.Submit(w.ctx(), store.Change{Weight: 1200, Apply: func(*store.View) (store.Outcome, error) {
				var o store.Outcome
				for range 1200 {
					o.Nonces = append(o.Nonces, w.nonce(created))
				}
				return o, nil
			}})
			w.ok("Submit", err)
			n := w.nonce(created)
			w.ok("another", w.spend(n))
			w.ok("PruneNonces", w.s.PruneNonces(w.ctx()))
			w.ok("PruneNonces again", w.s.PruneNonces(w.ctx()))
			if got, _, _ := w.spent(n); got[0] {
				w.t.Error("one is left")
			}
		}},
		{"the floor rises and never falls", func(w *world) {
			now := w.now()
			w.ok("RaiseNonceFloor", w.s.RaiseNonceFloor(w.ctx()))
			_, raised, _ := w.spent(w.nonce(now))
			if ahead := now.Add(latchkey.SignatureAhead); raised.Before(ahead.Add(-time.Second)) || raised.After(ahead.Add(time.Minute)) {
				w.t.Errorf("the floor is %v, now is %v", raised, now)
			}
			w.ok("PruneNonces", w.s.PruneNonces(w.ctx()))
			if _, after, _ := w.spent(w.nonce(now)); !after.Equal(raised) {
				w.t.Errorf("the floor went from %v to %v", raised, after)
			}
			w.reopen()
			if _, after, _ := w.spent(w.nonce(now)); !after.Equal(raised) {
				w.t.Errorf("opened again, the floor went from %v to %v", raised, after)
			}
		}},
	}
}
