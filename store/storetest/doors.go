package storetest

import (
	"slices"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// An object is read through several doors; each must show the same.

func (w *world) sameKey(what string, want *latchkey.Key) {
	w.t.Helper()
	w.same(what+", by id", w.key(want.ID).Key, *want)
	listed := w.list(store.KeyQuery{Organization: want.Organization})
	at := slices.IndexFunc(listed, func(k store.ListedKey) bool { return k.ID == want.ID })
	if at < 0 {
		w.t.Errorf("%s is not in its organization's list", what)
	} else {
		w.same(what+", in the list", listed[at].Key, *want)
	}
	for _, s := range want.Secrets {
		c, err := w.s.ByKID(w.ctx(), s.KID)
		w.ok("ByKID", err)
		w.same(what+", by kid", c.Key, *want)
		w.same(what+", the secret of the kid", c.Secret, s)
	}
	w.see(store.Reads{Keys: []latchkey.ID{want.ID}}, func(v *store.View) {
		if v.Keys[want.ID] == nil {
			w.t.Errorf("%s is not in the view", what)
			return
		}
		w.same(what+", in the view", v.Keys[want.ID].Key, *want)
	})
}

func (w *world) sameOrganization(what string, want *latchkey.Organization) {
	w.t.Helper()
	got, err := w.s.Organization(w.ctx(), want.ID)
	w.ok("Organization", err)
	w.same(what+", by id", *got, *want)
	list, err := w.s.ListOrganizations(w.ctx(), store.Page{Limit: 1000})
	w.ok("ListOrganizations", err)
	sameListed(w, what, list, func(o *latchkey.Organization) latchkey.ID { return o.ID }, want)
	w.see(store.Reads{Organizations: []latchkey.ID{want.ID}}, func(v *store.View) {
		w.same(what+", in the view", v.Organizations[want.ID], want)
	})
}

func (w *world) sameProject(what string, want *latchkey.Project) {
	w.t.Helper()
	got, err := w.s.Project(w.ctx(), want.ID)
	w.ok("Project", err)
	w.same(what+", by id", *got, *want)
	list, err := w.s.ListProjects(w.ctx(), store.Page{Organization: want.Organization, Limit: 1000})
	w.ok("ListProjects", err)
	sameListed(w, what, list, func(p *latchkey.Project) latchkey.ID { return p.ID }, want)
	w.see(store.Reads{Projects: []latchkey.ID{want.ID}}, func(v *store.View) {
		w.same(what+", in the view", v.Projects[want.ID], want)
	})
}

func (w *world) sameUser(what string, want *latchkey.User) {
	w.t.Helper()
	got, err := w.s.User(w.ctx(), want.ID)
	w.ok("User", err)
	w.same(what+", by id", *got, *want)
	list, err := w.s.ListUsers(w.ctx(), store.Page{Organization: want.Organization, Limit: 1000})
	w.ok("ListUsers", err)
	sameListed(w, what, list, func(u *latchkey.User) latchkey.ID { return u.ID }, want)
	w.see(store.Reads{Users: []latchkey.ID{want.ID}}, func(v *store.View) {
		w.same(what+", in the view", v.Users[want.ID], want)
	})
}

func (w *world) sameRole(what string, want *latchkey.Role) {
	w.t.Helper()
	got, err := w.s.Role(w.ctx(), want.ID)
	w.ok("Role", err)
	w.same(what+", by id", *got, *want)
	got, err = w.s.RoleByIdentifier(w.ctx(), want.Organization, want.Identifier)
	w.ok("RoleByIdentifier", err)
	w.same(what+", by identifier", *got, *want)
	list, err := w.s.ListRoles(w.ctx(), store.Page{Organization: want.Organization, Limit: 1000})
	w.ok("ListRoles", err)
	sameListed(w, what, list, func(r *latchkey.Role) latchkey.ID { return r.ID }, want)
	w.see(store.Reads{Roles: []latchkey.ID{want.ID}}, func(v *store.View) {
		w.same(what+", in the view", v.Roles[want.ID], want)
		if r, ok := v.Role(want.ID); !ok || r.ID != want.ID {
			w.t.Errorf("%s is not a role of the view", what)
		}
	})
}

func sameListed[T any](w *world, what string, list []T, id func(*T) latchkey.ID, want *T) {
	w.t.Helper()
	at := slices.Index(idsOf(list, id), id(want))
	if at < 0 {
		w.t.Errorf("%s is not in the list", what)
		return
	}
	w.same(what+", in the list", list[at], *want)
}

func (w *world) sameDataKey(what string, want *store.DataKey) {
	w.t.Helper()
	got, err := w.s.DataKey(w.ctx(), want.Organization)
	w.ok("DataKey", err)
	w.same(what, got, want)
	w.see(store.Reads{DataKeys: []latchkey.ID{want.Organization}}, func(v *store.View) {
		w.same(what+", in the view", v.DataKeys[want.Organization], want)
	})
}

func (w *world) sameInstallation(what string, want *store.Installation) {
	w.t.Helper()
	got, err := w.s.Installation(w.ctx())
	w.ok("Installation", err)
	w.same(what, got, want)
	w.see(store.Reads{Installation: true}, func(v *store.View) {
		w.same(what+", in the view", v.Installation, want)
	})
}
