package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// concurrencyCases let many change at once.
func concurrencyCases() []testCase {
	return []testCase{
		{"a hundred changes of one key, none lost", func(w *world) {
			const many = 100
			k := w.newKey(w.tenant())
			k.Partner = "0"
			w.write(k)
			var all sync.WaitGroup
			for range many {
				event := w.newEvent(k.Organization, latchkey.KeyUpdated, latchkey.Object{Kind: latchkey.KindKey, ID: k.ID})
				all.Go(func() {
					_, err := w.s.Submit(w.ctx(), store.Change{Organization: k.Organization, Reads: store.Reads{Keys: []latchkey.ID{k.ID}},
						Apply: func(v *store.View) (store.Outcome, error) {
							next := v.Keys[k.ID].Key
							n, err := strconv.Atoi(next.Partner)
							next.Partner = strconv.Itoa(n + 1)
							return store.Outcome{Steps: []store.Step{{Event: event, Keys: []*latchkey.Key{&next}}}}, err
						}})
					if err != nil {
						w.t.Errorf("Submit: %v", err)
					}
				})
			}
			all.Wait()
			if got := w.key(k.ID).Key; got.Partner != strconv.Itoa(many) || got.Revision != w.head() {
				w.t.Errorf("%d increments made %s, at revision %d of %d", many, got.Partner, got.Revision, w.head())
			}
		}},
		{"keys that depend on one another", func(w *world) {
			// Each change moves one unit from a key to another; none may appear or vanish.
			const many, keysThere = 60, 4
			of := w.tenant()
			keys := w.newKeys(of, keysThere)
			for _, k := range keys {
				k.Partner = "100"
			}
			w.writeKeys(keys)
			var all sync.WaitGroup
			for i := range many {
				from, to := keys[i%keysThere].ID, keys[(i*7+1)%keysThere].ID
				if from == to {
					continue
				}
				event := w.newEvent(of.org.ID, latchkey.KeyUpdated, latchkey.Object{Kind: latchkey.KindKey, ID: from})
				all.Go(func() {
					_, err := w.s.Submit(w.ctx(), store.Change{Organization: of.org.ID, Reads: store.Reads{Keys: []latchkey.ID{from, to}},
						Apply: func(v *store.View) (store.Outcome, error) {
							giver, taker := v.Keys[from].Key, v.Keys[to].Key
							g, _ := strconv.Atoi(giver.Partner)
							t, _ := strconv.Atoi(taker.Partner)
							giver.Partner, taker.Partner = strconv.Itoa(g-1), strconv.Itoa(t+1)
							return store.Outcome{Steps: []store.Step{{Event: event, Keys: []*latchkey.Key{&giver, &taker}}}}, nil
						}})
					if err != nil {
						w.t.Errorf("Submit: %v", err)
					}
				})
			}
			all.Wait()
			sum := 0
			for _, k := range keys {
				n, err := strconv.Atoi(w.key(k.ID).Key.Partner)
				w.ok("Atoi", err)
				sum += n
			}
			if sum != 100*keysThere {
				w.t.Errorf("the keys hold %d units, there are %d", sum, 100*keysThere)
			}
		}},
		{"of many with one name, one is made", func(w *world) {
			of := w.tenant()
			const names, each = 5, 6
			made := make([][]*latchkey.Project, names)
			var mu sync.Mutex
			var all sync.WaitGroup
			for i := range names * each {
				p := w.newProject(of.org.ID)
				p.Name = fmt.Sprintf("contested %d", i%names)
				mate := w.newKey(of)
				b := w.batch(p, mate)
				all.Go(func() {
					_, err := w.submit(b)
					if c, ok := errors.AsType[*store.ConflictError](err); err != nil && (!ok || c.Field != "name") {
						w.t.Errorf("Submit: %v", err)
					}
					if err != nil {
						return
					}
					mu.Lock()
					defer mu.Unlock()
					made[i%names] = append(made[i%names], p)
				})
			}
			all.Wait()
			for i, projects := range made {
				if len(projects) != 1 {
					w.t.Fatalf("name %d was given to %d projects", i, len(projects))
				}
				w.sameProject("winner", projects[0])
			}
			of.org.Keys = names
			w.sameOrganization("organization", of.org)
			w.gapless(1 + names)
		}},
		{"those that are refused do not touch their mates", func(w *world) {
			of := w.tenant()
			const many = 40
			refusal := errors.New("refused")
			kept := make([]*latchkey.Key, 0, many)
			var all sync.WaitGroup
			for i := range many {
				k := w.newKey(of)
				b := w.batch(k)
				if i%2 == 0 {
					kept = append(kept, k)
				}
				all.Go(func() {
					var seen *store.View
					_, err := w.s.Submit(w.ctx(), store.Change{Organization: of.org.ID, Urgent: i%3 == 0, Apply: func(v *store.View) (store.Outcome, error) {
						seen = v
						switch {
						case i%2 == 0:
							return store.Outcome{Steps: []store.Step{b.step()}}, nil
						case i%4 == 1:
							return store.Outcome{Steps: []store.Step{b.step()}}, refusal
						}
						panic("a fault in this change")
					}})
					switch {
					case seen == nil:
						w.t.Error("a change was answered without being asked")
					case i%2 == 0 && err != nil, i%2 == 1 && err == nil, i%4 == 1 && !errors.Is(err, refusal):
						w.t.Errorf("change %d was answered %v", i, err)
					case i%2 == 0:
						b.settle()
					}
				})
			}
			all.Wait()
			w.gapless(1 + many/2)
			for _, k := range kept {
				w.same("key", w.key(k.ID).Key, *k)
			}
			if n := len(w.list(store.KeyQuery{Organization: of.org.ID})); n != len(kept) {
				w.t.Errorf("%d keys are there, %d were made", n, len(kept))
			}
		}},
		{"the refusal is the one that Apply gave", func(w *world) {
			refusal := latchkey.Errorf(latchkey.CodeCeiling, "Too high.")
			_, err := w.s.Submit(w.ctx(), store.Change{Apply: func(*store.View) (store.Outcome, error) { return store.Outcome{}, refusal }})
			if err != error(refusal) {
				w.t.Errorf("it came back as %v", err)
			}
		}},
		{"a group sees what the one before it wrote", func(w *world) {
			of := w.tenant()
			k := w.newKey(of)
			w.write(k)
			for i := range 20 {
				w.see(store.Reads{Keys: []latchkey.ID{k.ID}, Organizations: []latchkey.ID{of.org.ID}}, func(v *store.View) {
					if v.Keys[k.ID].Key.Revision != k.Revision || v.Organizations[of.org.ID].Keys != int64(1+i) {
						w.t.Errorf("turn %d sees revision %d of %d, %d keys", i, v.Keys[k.ID].Key.Revision, k.Revision, v.Organizations[of.org.ID].Keys)
					}
				})
				w.write(k, w.newKey(of))
			}
		}},
		{"readers see one moment", func(w *world) {
			// Key, secret and owner change together; nobody may see them apart.
			of := w.tenant()
			k := w.newKey(of)
			k.Owner = of.user.ID
			w.stamp(k, of.user)
			w.write(k, of.user)
			id, org := k.ID, of.org.ID
			ctx, stop := context.WithCancel(w.ctx())
			var readers sync.WaitGroup
			for range 4 {
				readers.Go(func() {
					for ctx.Err() == nil && !w.t.Failed() {
						w.readOneMoment(org, id)
					}
				})
			}
			for range 100 {
				w.stamp(k, of.user)
				w.write(k, of.user)
			}
			stop()
			readers.Wait()
		}},
		{"a context that is over", func(w *world) {
			of := w.tenant()
			ctx, cancel := context.WithCancel(w.ctx())
			cancel()
			b := w.batch(w.newKey(of))
			_, err := w.s.Submit(ctx, store.Change{Apply: func(*store.View) (store.Outcome, error) {
				return store.Outcome{Steps: []store.Step{b.step()}}, nil
			}})
			w.fails("Submit", err, context.Canceled)
			w.gapless(1)
			_, err = w.s.Organization(ctx, of.org.ID)
			w.fails("Organization", err, context.Canceled)
			_, err = w.s.ListKeys(ctx, store.KeyQuery{Organization: of.org.ID, Limit: 10})
			w.fails("ListKeys", err, context.Canceled)
			_, err = w.s.ByKID(ctx, w.newSecret().KID)
			w.fails("ByKID", err, context.Canceled)
			w.write(w.newKey(of)) // nothing is broken by it
		}},
	}
}

// stamp gives the key, its secret and its owner one name that is new.
func (w *world) stamp(k *latchkey.Key, owner *latchkey.User) {
	name := w.name("Moment")
	k.Name, owner.Name = name, name
	k.Secrets = []latchkey.Secret{w.newSecret()}
	k.Secrets[0].Public = name
}

// readOneMoment reads a key through the doors that join it with others.
func (w *world) readOneMoment(org, id latchkey.ID) {
	ctx := context.Background()
	h, err := w.s.Key(ctx, id)
	if err != nil {
		w.t.Errorf("Key: %v", err)
		return
	}
	if h.Owner == nil || h.Owner.Name != h.Key.Name {
		w.t.Errorf("the key is of moment %q, its owner is not", h.Key.Name)
	}
	list, err := w.s.ListKeys(ctx, store.KeyQuery{Organization: org, Limit: 10, Now: start})
	if err != nil || len(list) != 1 {
		w.t.Errorf("ListKeys: %d keys, %v", len(list), err)
		return
	}
	for _, k := range []latchkey.Key{h.Key, list[0].Key} {
		if len(k.Secrets) != 1 || k.Secrets[0].Public != k.Name {
			w.t.Errorf("the key is of moment %q, its %d secrets are not", k.Name, len(k.Secrets))
		}
	}
}
