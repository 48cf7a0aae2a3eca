package storetest

import (
	"maps"
	"slices"
	"sync"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// bootstrapCases begin with nothing.
func bootstrapCases() []testCase {
	return []testCase{
		{"nothing is there at first", func(w *world) {
			_, err := w.s.Installation(w.ctx())
			w.fails("Installation", err, store.ErrNotFound)
			if head := w.head(); head != 0 {
				w.t.Errorf("the head of an empty store is %d", head)
			}
			if got := w.events(store.EventQuery{}); len(got) != 0 {
				w.t.Errorf("an empty store has %d events", len(got))
			}
			w.sameTokenKeys("token keys")
			w.sameGateways("gateways")
			counts, err := w.s.PepperVersions(w.ctx())
			w.ok("PepperVersions", err)
			w.sameCounts("secrets by version", counts, nil)
			w.ok("Ping", w.s.Ping(w.ctx()))
		}},
		{"what does not exist is not found", func(w *world) {
			w.tenant()
			for name, err := range w.getEverything(w.id()) {
				w.fails(name, err, store.ErrNotFound)
			}
			_, err := w.s.ByKID(w.ctx(), w.newSecret().KID)
			w.fails("ByKID", err, store.ErrNotFound)
			_, err = w.s.ByForeignDigest(w.ctx(), [][32]byte{w.digest()})
			w.fails("ByForeignDigest", err, store.ErrNotFound)
		}},
		{"lists of an unknown organization are empty", func(w *world) {
			w.write(w.newKey(w.tenant()))
			page := store.Page{Organization: w.id(), Limit: 10}
			projects, err := w.s.ListProjects(w.ctx(), page)
			w.ok("ListProjects", err)
			users, err := w.s.ListUsers(w.ctx(), page)
			w.ok("ListUsers", err)
			roles, err := w.s.ListRoles(w.ctx(), page)
			w.ok("ListRoles", err)
			if n := len(projects) + len(users) + len(roles) + len(w.list(store.KeyQuery{Organization: page.Organization})); n != 0 {
				w.t.Errorf("an unknown organization has %d objects", n)
			}
		}},
		{"what does not exist is absent from views", func(w *world) {
			of := w.tenant()
			none := []latchkey.ID{w.id(), {}}
			record := store.RecordKey{Caller: w.id()}
			reads := store.Reads{
				Installation: true, TokenKeys: true, Gateways: true, Keys: none, Organizations: none, Projects: none, Users: none, Roles: none, Holdings: none,
				DataKeys: append(none, of.org.ID), Records: []store.RecordKey{record},
			}
			w.see(reads, func(v *store.View) {
				if v.Installation != nil || len(v.Keys)+len(v.Organizations)+len(v.Projects)+len(v.Users)+len(v.Roles)+len(v.DataKeys)+len(v.Records)+len(v.TokenKeys)+len(v.Gateways) != 0 {
					w.t.Errorf("the view holds what was never written: %v", describe(*v))
				}
				if h := v.Holdings[none[0]]; h != (store.Holding{}) {
					w.t.Errorf("%+v hangs on something that does not exist", h)
				}
			})
		}},
		{"built-in roles are not stored", func(w *world) {
			of := w.tenant()
			role := latchkey.BuiltinRoles()[0]
			_, err := w.s.Role(w.ctx(), role.ID)
			w.fails("Role", err, store.ErrNotFound)
			_, err = w.s.RoleByIdentifier(w.ctx(), of.org.ID, role.Identifier)
			w.fails("RoleByIdentifier", err, store.ErrNotFound)
			w.see(store.Reads{Roles: []latchkey.ID{role.ID}}, func(v *store.View) {
				if r, ok := v.Role(role.ID); !ok || r.Identifier != role.Identifier {
					w.t.Error("the view does not know a built-in role")
				}
			})
		}},
		{"one of many bootstraps wins", func(w *world) {
			const many = 8
			won := make([]*store.Installation, many)
			organizations := make([]*latchkey.Organization, many)
			var all sync.WaitGroup
			for i := range many {
				in := &store.Installation{ID: w.id(), Operator: w.id(), Owner: w.id(), Ring: w.name("ring")}
				org := w.newOrganization()
				b := w.batch(in, org)
				organizations[i] = org
				all.Go(func() {
					_, err := w.s.Submit(w.ctx(), store.Change{Reads: store.Reads{Installation: true}, Apply: func(v *store.View) (store.Outcome, error) {
						won[i] = nil
						if v.Installation != nil {
							return store.Outcome{}, nil
						}
						won[i] = in
						return store.Outcome{Steps: []store.Step{b.step()}}, nil
					}})
					if err != nil {
						w.t.Errorf("Submit: %v", err)
					}
				})
			}
			all.Wait()
			winners := slices.DeleteFunc(slices.Clone(won), func(in *store.Installation) bool { return in == nil })
			if len(winners) != 1 || w.head() != 1 {
				w.t.Fatalf("%d bootstraps won, and made %d events", len(winners), w.head())
			}
			w.sameInstallation("installation", winners[0])
			list, err := w.s.ListOrganizations(w.ctx(), store.Page{Limit: 10})
			w.ok("ListOrganizations", err)
			w.sameIDs("organizations", idsOf(list, func(o *latchkey.Organization) latchkey.ID { return o.ID }),
				[]latchkey.ID{organizations[slices.Index(won, winners[0])].ID})
		}},
		{"two changes of the installation do not meet", func(w *world) {
			w.write(&store.Installation{ID: w.id()})
			const many = 20
			var all sync.WaitGroup
			for i := range many {
				event := w.newEvent(latchkey.ID{}, latchkey.RingVersionAdded, latchkey.Object{})
				all.Go(func() {
					_, err := w.s.Submit(w.ctx(), store.Change{Reads: store.Reads{Installation: true}, Apply: func(v *store.View) (store.Outcome, error) {
						in := *v.Installation
						in.Versions = append(slices.Clone(in.Versions), store.RingVersion{Number: i + 1})
						return store.Outcome{Steps: []store.Step{{Event: event, Installation: &in}}}, nil
					}})
					if err != nil {
						w.t.Errorf("Submit: %v", err)
					}
				})
			}
			all.Wait()
			in, err := w.s.Installation(w.ctx())
			w.ok("Installation", err)
			numbers := map[int]bool{}
			for _, v := range in.Versions {
				numbers[v.Number] = true
			}
			if len(numbers) != many || len(in.Versions) != many {
				w.t.Errorf("of %d versions added, %v are there", many, slices.Sorted(maps.Keys(numbers)))
			}
		}},
	}
}

// getEverything asks every door that takes an id.
func (w *world) getEverything(id latchkey.ID) map[string]error {
	answers := map[string]error{}
	ask := func(name string, get func() error) { answers[name] = get() }
	ask("Key", func() error { _, err := w.s.Key(w.ctx(), id); return err })
	ask("Organization", func() error { _, err := w.s.Organization(w.ctx(), id); return err })
	ask("Project", func() error { _, err := w.s.Project(w.ctx(), id); return err })
	ask("User", func() error { _, err := w.s.User(w.ctx(), id); return err })
	ask("Role", func() error { _, err := w.s.Role(w.ctx(), id); return err })
	ask("RoleByIdentifier", func() error { _, err := w.s.RoleByIdentifier(w.ctx(), id, "role-1"); return err })
	ask("DefaultProject", func() error { _, err := w.s.DefaultProject(w.ctx(), id); return err })
	ask("DataKey", func() error { _, err := w.s.DataKey(w.ctx(), id); return err })
	return answers
}
