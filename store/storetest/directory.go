package storetest

import (
	"context"
	"fmt"
	"slices"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// directoryCases ask for deletion, for lookups and for the lists of what keys
// hang on.
func directoryCases() []testCase {
	cases := []testCase{
		{"a deleted organization", func(w *world) {
			o := w.newOrganization()
			w.write(o)
			o.DeletedAt = w.tick()
			w.write(o)
			_, err := w.s.Organization(w.ctx(), o.ID)
			w.fails("Organization", err, store.ErrNotFound)
			w.see(store.Reads{Organizations: []latchkey.ID{o.ID}}, func(v *store.View) {
				if len(v.Organizations) != 0 {
					w.t.Error("the tombstone is in the view")
				}
			})
		}},
		{"the keys of a deleted organization", func(w *world) {
			of := w.tenant()
			k, imported := w.newKey(of), w.newKey(of)
			imported.Secrets = []latchkey.Secret{w.newForeign()}
			w.write(k, imported)
			of.org.DeletedAt = w.tick()
			w.write(of.org)
			_, err := w.s.Key(w.ctx(), k.ID)
			w.fails("Key", err, store.ErrNotFound)
			_, err = w.s.ByKID(w.ctx(), k.Secrets[0].KID)
			w.fails("ByKID", err, store.ErrNotFound)
			_, err = w.s.ByForeignDigest(w.ctx(), [][32]byte{imported.Secrets[0].Digest})
			w.fails("ByForeignDigest", err, store.ErrNotFound)
			w.sameIDs("keys", keyIDs(w.list(store.KeyQuery{Organization: of.org.ID})), nil)
			w.see(store.Reads{Keys: []latchkey.ID{k.ID}}, func(v *store.View) {
				if len(v.Keys) != 0 {
					w.t.Error("a key of a deleted organization is in the view")
				}
			})
		}},
		{"a deleted project", func(w *world) {
			of := w.tenant()
			of.project.DeletedAt = w.tick()
			w.write(of.project)
			_, err := w.s.Project(w.ctx(), of.project.ID)
			w.fails("Project", err, store.ErrNotFound)
			_, err = w.s.DefaultProject(w.ctx(), of.org.ID)
			w.fails("DefaultProject", err, store.ErrNotFound)
			w.see(store.Reads{Projects: []latchkey.ID{of.project.ID}}, func(v *store.View) {
				if len(v.Projects) != 0 {
					w.t.Error("the tombstone is in the view")
				}
			})
		}},
		{"the keys of a deleted project", func(w *world) {
			of := w.tenant()
			k := w.newKey(of)
			k.RevokedAt = w.tick()
			w.write(k)
			of.project.DeletedAt = w.tick()
			w.write(of.project)
			w.sameKey("key", k)
			w.sameIDs("keys", keyIDs(w.list(store.KeyQuery{Organization: of.org.ID, Project: of.project.ID})), []latchkey.ID{k.ID})
		}},
		{"a deleted user", func(w *world) {
			of := w.tenant()
			of.user.DeletedAt, of.user.Memberships = w.tick(), nil
			w.write(of.user)
			_, err := w.s.User(w.ctx(), of.user.ID)
			w.fails("User", err, store.ErrNotFound)
			w.see(store.Reads{Users: []latchkey.ID{of.user.ID}}, func(v *store.View) {
				if len(v.Users) != 0 {
					w.t.Error("the tombstone is in the view")
				}
			})
		}},
		{"a deleted role", func(w *world) {
			of := w.tenant()
			r := w.newRole(of.org.ID)
			w.write(r)
			r.DeletedAt = w.tick()
			w.write(r)
			_, err := w.s.Role(w.ctx(), r.ID)
			w.fails("Role", err, store.ErrNotFound)
			_, err = w.s.RoleByIdentifier(w.ctx(), of.org.ID, r.Identifier)
			w.fails("RoleByIdentifier", err, store.ErrNotFound)
			w.see(store.Reads{Roles: []latchkey.ID{r.ID}}, func(v *store.View) {
				if _, ok := v.Role(r.ID); ok || len(v.Roles) != 0 {
					w.t.Error("the tombstone is in the view")
				}
			})
		}},
		{"the default project", func(w *world) {
			of, elsewhere := w.newTenant(), w.newTenant()
			w.write(of.org, elsewhere.org, w.newProject(of.org.ID), w.newProject(elsewhere.org.ID), of.project, elsewhere.project)
			w.write(w.newProject(of.org.ID), w.newProject(elsewhere.org.ID))
			for _, t := range []*tenant{of, elsewhere} {
				p, err := w.s.DefaultProject(w.ctx(), t.org.ID)
				w.ok("DefaultProject", err)
				w.same("default project", p, t.project)
			}
		}},
		{"role identifiers, exactly", func(w *world) {
			of, elsewhere := w.tenant(), w.tenant()
			here, there, upper := w.newRole(of.org.ID), w.newRole(elsewhere.org.ID), w.newRole(of.org.ID)
			here.Identifier, there.Identifier, upper.Identifier = "ops", "ops", "Ops"
			w.write(here, there, upper)
			w.sameRole("role", here)
			w.sameRole("role of another organization", there)
			w.sameRole("role in another case", upper)
			for _, near := range []string{"OPS", "op", "ops ", " ops", "op_", "%", ""} {
				_, err := w.s.RoleByIdentifier(w.ctx(), of.org.ID, near)
				w.fails(fmt.Sprintf("RoleByIdentifier(%q)", near), err, store.ErrNotFound)
			}
		}},
	}
	for _, d := range directories() {
		cases = append(cases, d.cases()...)
	}
	return cases
}

// directory is one of the four lists.
type directory struct {
	noun  string
	alone bool // of all organizations
	build func(w *world, org latchkey.ID) (object any, record *latchkey.Record)
	list  func(ctx context.Context, s store.Store, page store.Page) ([]latchkey.ID, error)
}

func directories() []directory {
	return []directory{
		{"organizations", true, func(w *world, _ latchkey.ID) (any, *latchkey.Record) {
			o := w.newOrganization()
			return o, &o.Record
		}, func(ctx context.Context, s store.Store, page store.Page) ([]latchkey.ID, error) {
			list, err := s.ListOrganizations(ctx, page)
			return idsOf(list, func(o *latchkey.Organization) latchkey.ID { return o.ID }), err
		}},
		{"projects", false, func(w *world, org latchkey.ID) (any, *latchkey.Record) {
			p := w.newProject(org)
			return p, &p.Record
		}, func(ctx context.Context, s store.Store, page store.Page) ([]latchkey.ID, error) {
			list, err := s.ListProjects(ctx, page)
			return idsOf(list, func(p *latchkey.Project) latchkey.ID { return p.ID }), err
		}},
		{"users", false, func(w *world, org latchkey.ID) (any, *latchkey.Record) {
			u := w.newUser(org, latchkey.Membership{Role: latchkey.BuiltinRoles()[0].ID})
			return u, &u.Record
		}, func(ctx context.Context, s store.Store, page store.Page) ([]latchkey.ID, error) {
			list, err := s.ListUsers(ctx, page)
			return idsOf(list, func(u *latchkey.User) latchkey.ID { return u.ID }), err
		}},
		{"roles", false, func(w *world, org latchkey.ID) (any, *latchkey.Record) {
			r := w.newRole(org, "a:a")
			return r, &r.Record
		}, func(ctx context.Context, s store.Store, page store.Page) ([]latchkey.ID, error) {
			list, err := s.ListRoles(ctx, page)
			return idsOf(list, func(r *latchkey.Role) latchkey.ID { return r.ID }), err
		}},
	}
}

func (d directory) cases() []testCase {
	return []testCase{
		{d.noun + " newest first, page by page, without the deleted", func(w *world) {
			org, elsewhere := w.id(), w.id()
			var want, ordinals = []latchkey.ID{}, map[latchkey.ID]int64{}
			for i := range 23 {
				object, record := d.build(w, org)
				w.write(object)
				_, about := w.row(object).about()
				if i%5 == 3 {
					record.DeletedAt = w.tick()
					w.write(object)
					continue
				}
				want = slices.Insert(want, 0, about.ID)
				ordinals[about.ID] = record.Ordinal
				if other, _ := d.build(w, elsewhere); !d.alone {
					w.write(other)
				}
				if i%4 == 0 { // a change does not move it
					w.write(object)
				}
			}
			for _, limit := range []int{1, 2, 7, 100} {
				var got []latchkey.ID
				page := store.Page{Organization: org, Limit: limit}
				for {
					ids, err := d.list(w.ctx(), w.s, page)
					w.ok("list", err)
					if len(ids) > limit {
						w.t.Fatalf("%d %s on a page of %d", len(ids), d.noun, limit)
					}
					got = append(got, ids...)
					if len(ids) == 0 || len(got) > len(want) {
						break
					}
					page.Before = ordinals[ids[len(ids)-1]]
				}
				w.sameIDs(fmt.Sprintf("%s in pages of %d", d.noun, limit), got, want)
			}
		}},
		{d.noun + " made and deleted between pages", func(w *world) {
			org := w.id()
			var objects []any
			var records []*latchkey.Record
			var ids []latchkey.ID
			add := func() {
				object, record := d.build(w, org)
				w.write(object)
				_, about := w.row(object).about()
				objects, records, ids = append(objects, object), append(records, record), append(ids, about.ID)
			}
			for range 12 {
				add()
			}
			page := store.Page{Organization: org, Limit: 3}
			seen := map[latchkey.ID]int{}
			for turn := 0; ; turn++ {
				got, err := d.list(w.ctx(), w.s, page)
				w.ok("list", err)
				if len(got) == 0 || turn > 12 {
					break
				}
				for _, id := range got {
					seen[id]++
				}
				page.Before = records[slices.Index(ids, got[len(got)-1])].Ordinal
				add() // newer than every page to come
				if turn < 2 {
					gone := slices.Index(ids, got[0])
					records[gone].DeletedAt = w.tick()
					w.write(objects[gone])
				}
			}
			for i, id := range ids[:12] {
				if seen[id] != 1 {
					w.t.Errorf("object %d was listed %d times", i, seen[id])
				}
			}
		}},
	}
}
