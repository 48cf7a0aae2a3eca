package storetest

import (
	"fmt"
	"sync"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// holding wants this much to hang on the object.
func (w *world) holding(what string, id latchkey.ID, keys, users int64) {
	w.t.Helper()
	w.see(store.Reads{Holdings: []latchkey.ID{id}}, func(v *store.View) {
		if got := v.Holdings[id]; got != (store.Holding{Keys: keys, Users: users}) {
			w.t.Errorf("%s: %d keys and %d users hang on it, not %d and %d", what, got.Keys, got.Users, keys, users)
		}
	})
}

// keysHeld is holding where only keys are asked for.
func (w *world) keysHeld(what string, id latchkey.ID, keys int64) {
	w.t.Helper()
	w.see(store.Reads{Holdings: []latchkey.ID{id}}, func(v *store.View) {
		if got := v.Holdings[id].Keys; got != keys {
			w.t.Errorf("%s: %d keys hang on it, not %d", what, got, keys)
		}
	})
}

// holdingCases ask what hangs on an object.
func holdingCases() []testCase {
	return []testCase{
		{"a project's keys and members", func(w *world) {
			of := w.tenant()
			p := w.newProject(of.org.ID)
			w.write(p)
			w.holding("a new project", p.ID, 0, 0)
			keys := w.newKeys(of, 4)
			for _, k := range keys[:3] {
				k.Project = p.ID
			}
			keys[1].Enabled, keys[2].ExpiresAt = false, start
			member := w.newUser(of.org.ID, latchkey.Membership{Project: p.ID, Role: latchkey.BuiltinRoles()[3].ID})
			other := w.newUser(of.org.ID, latchkey.Membership{Role: latchkey.BuiltinRoles()[3].ID})
			w.writeKeys(keys)
			w.write(member, other)
			w.holding("three keys and a member", p.ID, 3, 1)
			keys[0].RevokedAt = w.tick()
			member.Memberships = nil
			w.write(keys[0], member)
			w.holding("one revoked, no member", p.ID, 2, 0)
		}},
		{"a user's keys", func(w *world) {
			of := w.tenant()
			keys := w.newKeys(of, 3)
			keys[0].Owner, keys[1].Owner = of.user.ID, of.user.ID
			w.writeKeys(keys)
			w.keysHeld("two keys", of.user.ID, 2)
			keys[0].RevokedAt, keys[1].Owner = w.tick(), latchkey.ID{}
			w.write(keys[0], keys[1])
			w.keysHeld("one revoked, one given away", of.user.ID, 0)
		}},
		{"a role's keys and members", func(w *world) {
			of := w.tenant()
			r := w.newRole(of.org.ID)
			w.write(r)
			keys := w.newKeys(of, 3)
			keys[0].Policy.Role, keys[1].Policy.Role = r.ID, r.ID
			keys[2].Policy.Role = latchkey.BuiltinRoles()[3].ID
			users := []*latchkey.User{
				w.newUser(of.org.ID, latchkey.Membership{Role: r.ID}),
				w.newUser(of.org.ID, latchkey.Membership{Project: of.project.ID, Role: r.ID}, latchkey.Membership{Role: latchkey.BuiltinRoles()[3].ID}),
			}
			w.writeKeys(keys)
			w.write(users[0], users[1])
			w.holding("two keys and two members", r.ID, 2, 2)
			keys[0].Policy.Role, keys[1].RevokedAt = latchkey.ID{}, w.tick()
			users[0].DeletedAt, users[0].Memberships = w.tick(), nil
			w.write(keys[0], keys[1], users[0])
			w.holding("no key and one member", r.ID, 0, 1)
		}},
		{"an organization's keys", func(w *world) {
			of, elsewhere := w.tenant(), w.tenant()
			keys := w.newKeys(of, 3)
			w.writeKeys(append(keys, w.newKey(elsewhere)))
			w.keysHeld("three keys", of.org.ID, 3)
			for _, k := range keys {
				k.RevokedAt = w.tick()
			}
			w.writeKeys(keys)
			w.keysHeld("all revoked", of.org.ID, 0)
		}},
		{"the number of keys counts every key once", func(w *world) {
			of := w.tenant()
			keys := w.newKeys(of, 5)
			w.writeKeys(keys)
			of.org.Keys = 5
			w.sameOrganization("five keys", of.org)
			keys[0].RevokedAt, keys[1].Name = w.tick(), "Renamed"
			w.write(keys[0], keys[1], w.newKey(of))
			of.org.Keys = 6
			w.sameOrganization("one revoked and one more", of.org)
			for _, wrong := range []int64{0, 99} {
				of.org.Keys, of.org.Name = wrong, w.name("Renamed")
				w.write(of.org)
				of.org.Keys = 6
				w.sameOrganization("after a change of the organization", of.org)
			}
			of.org.Keys = 0
			w.write(of.org, w.newKey(of))
			of.org.Keys = 7
			w.sameOrganization("changed and given a key in one step", of.org)
		}},
		{"the number of keys under sixteen creators", func(w *world) {
			tenants := []*tenant{w.tenant(), w.tenant()}
			const creators, each = 16, 6
			var all sync.WaitGroup
			for i := range creators {
				of := tenants[i%2]
				batches := make([]*batch, each)
				for n := range batches {
					batches[n] = w.batch(w.newKey(of), w.newKey(of))
				}
				all.Go(func() {
					for _, b := range batches {
						if _, err := w.submit(b); err != nil {
							w.t.Errorf("Submit: %v", err)
						}
					}
				})
			}
			all.Wait()
			for i, of := range tenants {
				of.org.Keys = creators / 2 * each * 2
				w.sameOrganization(fmt.Sprintf("organization %d", i), of.org)
			}
		}},
		{"a limit holds under sixteen creators", func(w *world) {
			of := w.tenant()
			const creators, limit = 16, 11
			var all sync.WaitGroup
			for range creators {
				b := w.batch(w.newKey(of))
				all.Go(func() {
					_, err := w.s.Submit(w.ctx(), store.Change{
						Organization: of.org.ID, Reads: store.Reads{Organizations: []latchkey.ID{of.org.ID}},
						Apply: func(v *store.View) (store.Outcome, error) {
							if v.Organizations[of.org.ID].Keys >= limit {
								return store.Outcome{}, latchkey.Errorf(latchkey.CodeConflict, "Too many keys.")
							}
							return store.Outcome{Steps: []store.Step{b.step()}}, nil
						},
					})
					if err != nil && latchkey.CodeOf(err) != latchkey.CodeConflict {
						w.t.Errorf("Submit: %v", err)
					}
				})
			}
			all.Wait()
			of.org.Keys = limit
			w.sameOrganization("organization", of.org)
			if n := len(w.list(store.KeyQuery{Organization: of.org.ID})); n != limit {
				w.t.Errorf("%d keys were made, the limit is %d", n, limit)
			}
		}},
	}
}
