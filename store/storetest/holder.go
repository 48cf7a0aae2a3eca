package storetest

import (
	"slices"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// sameHolder wants the key's holder through each door that gives one. Which
// roles come is asked as a set.
func (w *world) sameHolder(k *latchkey.Key, org *latchkey.Organization, owner *latchkey.User, roles ...latchkey.Role) {
	w.t.Helper()
	want := store.Holder{Key: *k, Organization: *org, Owner: owner, Roles: roles}
	w.holds("by id", w.key(k.ID), want)
	for _, s := range k.Secrets {
		c, err := w.s.ByKID(w.ctx(), s.KID)
		w.ok("ByKID", err)
		w.holds("by kid", &c.Holder, want)
		if s.Scheme == latchkey.SchemeSHA256 {
			c, err := w.s.ByForeignDigest(w.ctx(), [][32]byte{s.Digest})
			w.ok("ByForeignDigest", err)
			w.holds("by digest", &c.Holder, want)
		}
	}
	w.see(store.Reads{Keys: []latchkey.ID{k.ID}}, func(v *store.View) {
		if h := v.Keys[k.ID]; h == nil {
			w.t.Error("the key is not in the view")
		} else {
			w.holds("in the view", h, want)
		}
	})
	suspended := want.Grant().Suspended
	for _, listed := range w.list(store.KeyQuery{Organization: org.ID}) {
		if listed.ID == k.ID && listed.Suspended != suspended {
			w.t.Errorf("in the list, suspended is %v, want %v", listed.Suspended, suspended)
		}
	}
}

// holds compares two holders, roles in any order.
func (w *world) holds(door string, got *store.Holder, want store.Holder) {
	w.t.Helper()
	w.same("key "+door, got.Key, want.Key)
	w.same("organization "+door, got.Organization, want.Organization)
	w.same("owner "+door, got.Owner, want.Owner)
	byID := func(a, b latchkey.Role) int { return slices.Compare(a.ID[:], b.ID[:]) }
	w.same("roles "+door, slices.SortedFunc(slices.Values(got.Roles), byID), slices.SortedFunc(slices.Values(want.Roles), byID))
	w.same("grant "+door, *got.Grant(), *want.Grant())
}

// holderCases ask for a key together with what decides what it may do.
func holderCases() []testCase {
	builtin := latchkey.BuiltinRoles()
	return []testCase{
		{"neither owner nor role", func(w *world) {
			of := w.tenant()
			k := w.newKey(of)
			k.Policy.Scopes = latchkey.Permissions{"a:a"}
			w.write(k)
			of.org.Keys = 1
			w.sameHolder(k, of.org, nil)
		}},
		{"a built-in role", func(w *world) {
			of := w.tenant()
			k := w.newKey(of)
			k.Policy.Role = builtin[2].ID
			w.write(k)
			of.org.Keys = 1
			w.sameHolder(k, of.org, nil, builtin[2])
		}},
		{"a custom role, before and after its change", func(w *world) {
			of := w.tenant()
			r, k := w.newRole(of.org.ID, "a:a", "b:b"), w.newKey(of)
			k.Policy.Role = r.ID
			w.write(r, k)
			of.org.Keys = 1
			w.sameHolder(k, of.org, nil, *r)
			r.Permissions, r.Rank = latchkey.Permissions{"c:c"}, 9
			w.write(r)
			w.sameHolder(k, of.org, nil, *r)
		}},
		{"a deleted role", func(w *world) {
			of := w.tenant()
			r, k := w.newRole(of.org.ID, "a:a"), w.newKey(of)
			k.Policy.Role = r.ID
			w.write(r, k)
			r.DeletedAt = w.tick()
			w.write(r)
			of.org.Keys = 1
			w.sameHolder(k, of.org, nil)
		}},
		{"an owner with roles of every reach", func(w *world) {
			of := w.tenant()
			r, k := w.newRole(of.org.ID, "a:a"), w.newKey(of)
			of.user.Memberships = []latchkey.Membership{{Project: of.project.ID, Role: r.ID}, {Role: builtin[4].ID}}
			k.Owner = of.user.ID
			w.write(r, of.user, k)
			of.org.Keys = 1
			w.sameHolder(k, of.org, of.user, *r, builtin[4])
		}},
		{"an owner and a role of the key's own", func(w *world) {
			of := w.tenant()
			r, k := w.newRole(of.org.ID, "a:a"), w.newKey(of)
			of.user.Memberships = []latchkey.Membership{{Role: builtin[4].ID}}
			k.Owner, k.Policy.Role = of.user.ID, r.ID
			w.write(r, of.user, k)
			of.org.Keys = 1
			w.sameHolder(k, of.org, of.user, *r, builtin[4])
		}},
		{"one role several times over", func(w *world) {
			of := w.tenant()
			r, k := w.newRole(of.org.ID, "a:a"), w.newKey(of)
			of.user.Memberships = []latchkey.Membership{{Role: r.ID}, {Project: of.project.ID, Role: r.ID}}
			k.Owner, k.Policy.Role = of.user.ID, r.ID
			w.write(r, of.user, k)
			of.org.Keys = 1
			w.sameHolder(k, of.org, of.user, *r)
		}},
		{"an owner whose roles change", func(w *world) {
			of := w.tenant()
			k := w.newKey(of)
			of.user.Memberships = []latchkey.Membership{{Role: builtin[4].ID}}
			k.Owner = of.user.ID
			w.write(of.user, k)
			of.user.Memberships = []latchkey.Membership{{Project: of.project.ID, Role: builtin[5].ID}}
			w.write(of.user)
			of.org.Keys = 1
			w.sameHolder(k, of.org, of.user, builtin[5])
		}},
		{"an owner who is suspended and comes back", func(w *world) {
			of := w.tenant()
			k := w.newKey(of)
			k.Owner = of.user.ID
			w.write(k)
			of.org.Keys = 1
			for _, suspended := range []bool{true, false} {
				of.user.Suspended = suspended
				w.write(of.user)
				w.sameHolder(k, of.org, of.user)
			}
		}},
		{"an owner who is deleted", func(w *world) {
			of := w.tenant()
			k := w.newKey(of)
			of.user.Memberships = []latchkey.Membership{{Role: builtin[4].ID}}
			k.Owner = of.user.ID
			w.write(of.user, k)
			of.user.DeletedAt, of.user.Memberships = w.tick(), nil
			w.write(of.user)
			of.org.Keys = 1
			w.sameHolder(k, of.org, nil)
			if !w.key(k.ID).Grant().Suspended {
				w.t.Error("the key of a deleted owner is not suspended")
			}
		}},
		{"an owner taken away and given", func(w *world) {
			of := w.tenant()
			k, second := w.newKey(of), w.newUser(of.org.ID)
			k.Owner = of.user.ID
			w.write(k, second)
			of.org.Keys = 1
			for _, owner := range []*latchkey.User{nil, second} {
				k.Owner = latchkey.ID{}
				if owner != nil {
					k.Owner = owner.ID
				}
				w.write(k)
				w.sameHolder(k, of.org, owner)
			}
		}},
		{"an organization that is suspended and comes back", func(w *world) {
			of := w.tenant()
			k := w.newKey(of)
			w.write(k)
			for _, suspended := range []bool{true, false} {
				of.org.Suspended = suspended
				w.write(of.org)
				of.org.Keys = 1
				w.sameHolder(k, of.org, nil)
			}
		}},
		{"an imported key", func(w *world) {
			of := w.tenant()
			k := w.newKey(of)
			k.Format, k.Secrets = latchkey.FormatForeign, []latchkey.Secret{w.newForeign()}
			k.Owner, k.Policy.Role = of.user.ID, builtin[1].ID
			w.write(k)
			of.org.Keys = 1
			w.sameHolder(k, of.org, of.user, builtin[1])
		}},
		{"another tenant's objects stay apart", func(w *world) {
			of, elsewhere := w.tenant(), w.tenant()
			mine, theirs := w.newKey(of), w.newKey(elsewhere)
			mine.Owner, theirs.Owner = of.user.ID, elsewhere.user.ID
			mine.Policy, theirs.Policy = latchkey.Policy{Scopes: latchkey.Permissions{"a:a"}}, latchkey.Policy{Scopes: latchkey.Permissions{"a:a"}}
			elsewhere.org.Suspended, elsewhere.user.Suspended = true, true
			w.write(mine)
			w.write(theirs, elsewhere.org, elsewhere.user)
			of.org.Keys, elsewhere.org.Keys = 1, 1
			w.sameHolder(mine, of.org, of.user)
			w.sameHolder(theirs, elsewhere.org, elsewhere.user)
		}},
	}
}
