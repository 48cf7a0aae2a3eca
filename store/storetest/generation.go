package storetest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// generationCases ask when what was found may be kept. A driver that cannot
// know says so with 0, and then there is nothing to ask.
func generationCases() []testCase {
	cases := []testCase{{"what is kept is never behind what was acknowledged", func(w *world) { w.keepersLaw() }}}
	for _, c := range []struct {
		name   string
		change func(w *world, of *tenant, k *latchkey.Key, r *latchkey.Role)
	}{
		{"the key changed", func(w *world, _ *tenant, k *latchkey.Key, _ *latchkey.Role) {
			k.Policy.Scopes = latchkey.Permissions{"b:b"}
			w.write(k)
		}},
		{"the key revoked", func(w *world, _ *tenant, k *latchkey.Key, _ *latchkey.Role) {
			k.RevokedAt = w.tick()
			w.write(k)
		}},
		{"the key rotated", func(w *world, _ *tenant, k *latchkey.Key, _ *latchkey.Role) {
			k.Secrets = []latchkey.Secret{w.newSecret()}
			w.write(k)
		}},
		{"the key changed beside a new one", func(w *world, of *tenant, k *latchkey.Key, _ *latchkey.Role) {
			k.Enabled = false
			w.write(w.newKey(of), k, w.newKey(of))
		}},
		{"the key changed in a later step", func(w *world, of *tenant, k *latchkey.Key, _ *latchkey.Role) {
			k.Enabled = false
			_, err := w.submit(w.batch(w.newKey(of)), w.batch(k))
			w.ok("Submit", err)
		}},
		{"its owner suspended", func(w *world, of *tenant, _ *latchkey.Key, _ *latchkey.Role) {
			of.user.Suspended = true
			w.write(of.user)
		}},
		{"its owner deleted", func(w *world, of *tenant, _ *latchkey.Key, _ *latchkey.Role) {
			of.user.DeletedAt = w.tick()
			w.write(of.user)
		}},
		{"its organization suspended", func(w *world, of *tenant, _ *latchkey.Key, _ *latchkey.Role) {
			of.org.Suspended = true
			w.write(of.org)
		}},
		{"its role changed", func(w *world, _ *tenant, _ *latchkey.Key, r *latchkey.Role) {
			r.Permissions = nil
			w.write(r)
		}},
		{"its role deleted", func(w *world, _ *tenant, _ *latchkey.Key, r *latchkey.Role) {
			r.DeletedAt = w.tick()
			w.write(r)
		}},
		{"a token key added, and changed", func(w *world, _ *tenant, _ *latchkey.Key, _ *latchkey.Role) {
			k := w.newTokenKey()
			w.write(k)
			before := w.s.Generation()
			k.RetiredAt = w.tick()
			w.write(k)
			if after := w.s.Generation(); after == before && before != 0 {
				w.t.Errorf("it is still generation %d after a token key changed", after)
			}
		}},
		{"its digest moved", func(w *world, _ *tenant, k *latchkey.Key, _ *latchkey.Role) {
			s := k.Secrets[0]
			w.ok("Redigest", w.s.Redigest(w.ctx(), []store.Redigest{{KID: s.KID, Old: s.Digest, New: w.digest(), Version: 2}}))
		}},
	} {
		cases = append(cases, testCase{"altered by: " + c.name, func(w *world) {
			of, k, r := w.keptKey()
			before := w.s.Generation()
			c.change(w, of, k, r)
			if after := w.s.Generation(); after == before && before != 0 {
				w.t.Errorf("it is still generation %d", after)
			}
		}})
	}
	for _, c := range []struct {
		name   string
		change func(w *world, of *tenant, k *latchkey.Key)
	}{
		{"nothing", func(*world, *tenant, *latchkey.Key) {}},
		{"keys made", func(w *world, of *tenant, _ *latchkey.Key) {
			w.writeChunks(w.newKeys(of, 6), 2)
		}},
		{"a key imported", func(w *world, of *tenant, _ *latchkey.Key) {
			k := w.newKey(of)
			k.Secrets = []latchkey.Secret{w.newForeign()}
			w.write(k)
		}},
		{"the key used", func(w *world, _ *tenant, k *latchkey.Key) {
			w.uses(w.use(k, 0, w.tick().Add(time.Hour)))
		}},
		{"reading", func(w *world, _ *tenant, k *latchkey.Key) {
			w.key(k.ID)
			w.see(store.Reads{Keys: []latchkey.ID{k.ID}}, func(*store.View) {})
		}},
	} {
		cases = append(cases, testCase{"not altered by: " + c.name, func(w *world) {
			of, k, _ := w.keptKey()
			before := w.s.Generation()
			c.change(w, of, k)
			if after := w.s.Generation(); after != before {
				w.t.Errorf("generation %d became %d", before, after)
			}
		}})
	}
	return cases
}

// keptKey is a key on which everything has a hold.
func (w *world) keptKey() (*tenant, *latchkey.Key, *latchkey.Role) {
	of := w.tenant()
	r, k := w.newRole(of.org.ID, "a:a"), w.newKey(of)
	k.Owner, k.Policy.Role = of.user.ID, r.ID
	w.write(r, k)
	return of, k, r
}

// keepersLaw lets readers keep what they found for as long as the generation
// lasts. Whoever asks after a change was acknowledged must not get what was kept
// from before it.
func (w *world) keepersLaw() {
	_, k, _ := w.keptKey()
	kid := k.Secrets[0].KID
	var acknowledged atomic.Int64
	acknowledged.Store(k.Revision)
	ctx, stop := context.WithCancel(w.ctx())
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			var kept *store.Credential
			var generation uint64
			for ctx.Err() == nil {
				least := acknowledged.Load()
				now := w.s.Generation()
				if kept == nil || now != generation || now == 0 {
					found, err := w.s.ByKID(context.Background(), kid)
					if err != nil {
						w.t.Errorf("ByKID: %v", err)
						return
					}
					kept, generation = found, now
				}
				if kept.Key.Revision < least {
					w.t.Errorf("generation %d still has revision %d after %d was acknowledged", now, kept.Key.Revision, least)
					return
				}
			}
		})
	}
	for range 60 {
		k.Enabled = !k.Enabled
		acknowledged.Store(w.write(k))
	}
	stop()
	readers.Wait()
}
