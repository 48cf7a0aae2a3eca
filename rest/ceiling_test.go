package rest_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
)

// management is every permission that opens an operation here.
var management = []string{
	"api_key:read", "api_key:create", "api_key:update", "api_key:delete", "api_key:secret_read", "api_key:verify",
	"role:read", "role:create", "role:update", "role:delete", "user:read", "user:create", "user:update", "user:delete",
	"project:read", "project:create", "project:update", "project:delete",
	"organization:read", "organization:create", "organization:update", "organization:delete", "event:read", "token:introspect",
}

// climb is an attempt to come to more: what it is made on, and how.
type climb struct {
	name   string
	target func(n *tenancy, r latchkey.Role) string // made for it; nil if there is none
	try    func(c caller, target string, r latchkey.Role) answer
	lifts  bool // only permissions: the rank stays 0
	free   bool // allowed whatever the target is
}

func spelled(ps latchkey.Permissions) []string {
	out := []string{}
	for _, p := range ps {
		out = append(out, string(p))
	}
	return out
}

func ref(r latchkey.Role) authority.RoleRef { return authority.RoleRef{Identifier: r.Identifier} }

// climbs are the ways up that somebody who may manage everything could try, with
// r as what is too high for some.
func climbs() []climb {
	key := func(adjust func(*authority.NewKey)) func(*tenancy, latchkey.Role) string {
		return func(n *tenancy, r latchkey.Role) string {
			in := authority.NewKey{Role: ref(r), Retrievable: true}
			adjust(&in)
			return keyID(n.key(in))
		}
	}
	strong := key(func(*authority.NewKey) {})
	plain := key(func(in *authority.NewKey) { in.Role = authority.RoleRef{} })
	rotating := func(n *tenancy, r latchkey.Role) string {
		k := n.key(authority.NewKey{Role: ref(r)})
		if _, _, err := n.h.authority.RotateKey(n.h.Context(), n.call(), k.ID, time.Hour); err != nil {
			n.h.Fatal(err)
		}
		return keyID(k)
	}
	disabled := func(n *tenancy, r latchkey.Role) string {
		k, off := n.key(authority.NewKey{Role: ref(r)}), false
		if _, _, err := n.h.authority.UpdateKey(n.h.Context(), n.call(), k.ID, authority.KeyPatch{Enabled: &off}); err != nil {
			n.h.Fatal(err)
		}
		return keyID(k)
	}
	user := func(n *tenancy, r latchkey.Role) string {
		return n.user(member(r.Identifier)).ID.Native(latchkey.KindUser)
	}
	nobody := func(n *tenancy, _ latchkey.Role) string { return n.user().ID.Native(latchkey.KindUser) }
	owned := func(n *tenancy, r latchkey.Role) string {
		return keyID(n.key(authority.NewKey{Owner: n.user(member(r.Identifier)).ID, Role: authority.RoleRef{Identifier: "member"}}))
	}
	role := func(n *tenancy, r latchkey.Role) string {
		return n.role(r.Rank, spelled(r.Permissions)...).ID.Native(latchkey.KindRole)
	}
	weakRole := func(n *tenancy, _ latchkey.Role) string { return n.role(0).ID.Native(latchkey.KindRole) }
	patchKey := func(patch func(r latchkey.Role) object) func(caller, string, latchkey.Role) answer {
		return func(c caller, id string, r latchkey.Role) answer { return c.do("PATCH", "/v1/keys/"+id, patch(r)) }
	}
	post := func(path string, body any) func(caller, string, latchkey.Role) answer {
		return func(c caller, id string, _ latchkey.Role) answer {
			return c.do("POST", strings.Replace(path, "{}", id, 1), body)
		}
	}
	patch := func(path string, body func(r latchkey.Role) object) func(caller, string, latchkey.Role) answer {
		return func(c caller, id string, r latchkey.Role) answer { return c.do("PATCH", path+id, body(r)) }
	}
	same := func(body object) func(latchkey.Role) object { return func(latchkey.Role) object { return body } }
	drop := func(path string) func(caller, string, latchkey.Role) answer {
		return func(c caller, id string, _ latchkey.Role) answer { return c.do("DELETE", path+id, nil) }
	}
	roles := func(r latchkey.Role) object { return object{"roles": []object{{"role": r.Identifier}}} }

	return []climb{
		{name: "create a key with the role", try: func(c caller, _ string, r latchkey.Role) answer {
			return c.do("POST", "/v1/keys", object{"name": "x", "role": r.Identifier})
		}},
		{name: "create a key with the role by its id", try: func(c caller, _ string, r latchkey.Role) answer {
			return c.do("POST", "/v1/keys", object{"name": "x", "role": r.ID.Native(latchkey.KindRole)})
		}},
		{name: "create a key with its permissions as scopes", lifts: true, try: func(c caller, _ string, r latchkey.Role) answer {
			return c.do("POST", "/v1/keys", object{"name": "x", "scopes": spelled(r.Permissions)})
		}},
		{name: "hide it in a batch", try: func(c caller, _ string, r latchkey.Role) answer {
			return c.do("POST", "/v1/keys/batch-create", object{"items": []object{{"name": "x"}, {"name": "y", "role": r.Identifier}}})
		}},
		{name: "import a key with the role", try: func(c caller, _ string, r latchkey.Role) answer {
			return c.do("POST", "/v1/keys/import", object{"scheme": "sha256", "items": []object{{"name": "x", "role": r.Identifier, "digest": c.h.digest()}}})
		}},
		{name: "create a key for such a user", target: user, try: func(c caller, id string, _ latchkey.Role) answer {
			return c.do("POST", "/v1/keys", object{"name": "x", "owner_id": id})
		}},
		{name: "give a key the role", target: plain, try: patchKey(func(r latchkey.Role) object { return object{"role": r.Identifier} })},
		{name: "give a key the permissions as scopes", target: plain, lifts: true, try: patchKey(func(r latchkey.Role) object { return object{"scopes": spelled(r.Permissions)} })},
		{name: "take the role from such a user's key", target: owned, try: patchKey(same(object{"role": nil}))},
		{name: "lift the restrictions of such a key", target: strong, try: patchKey(same(object{"restrictions": nil}))},
		{name: "lift the addresses of such a key", target: strong, try: patchKey(same(object{"restrictions": object{"addresses": []string{}}}))},
		{name: "lift the resources of such a key", target: strong, try: patchKey(same(object{"restrictions": object{"resources": object{}}}))},
		{name: "enable such a key", target: disabled, try: patchKey(same(object{"enabled": true}))},
		{name: "lengthen the life of such a key", target: strong, try: patchKey(same(object{"expires_at": "2099-01-01T00:00:00Z"}))},
		{name: "narrow the scopes of such a key", target: strong, try: patchKey(same(object{"scopes": []string{}}))},
		{name: "rotate such a key", target: strong, try: post("/v1/keys/{}/rotate", object{})},
		{name: "complete the rotation of such a key", target: rotating, try: post("/v1/keys/{}/rotation/complete", nil)},
		{name: "cancel the rotation of such a key", target: rotating, try: post("/v1/keys/{}/rotation/cancel", nil)},
		{name: "reveal such a key", target: strong, try: post("/v1/keys/{}/reveal", object{"reason": "curious"})},

		{name: "create such a user", try: func(c caller, _ string, r latchkey.Role) answer {
			return c.do("POST", "/v1/users", object{"name": "x", "kind": "service", "roles": []object{{"role": r.Identifier}}})
		}},
		{name: "give a user the role", target: nobody, try: patch("/v1/users/", roles)},
		{name: "take the role from a user", target: user, try: patch("/v1/users/", same(object{"roles": []object{}}))},
		{name: "rename such a user", target: user, try: patch("/v1/users/", same(object{"name": "y"}))},
		{name: "suspend such a user", target: user, try: patch("/v1/users/", same(object{"state": "suspended"}))},
		{name: "delete such a user", target: user, try: drop("/v1/users/")},

		{name: "create a role like it", try: func(c caller, _ string, r latchkey.Role) answer {
			return c.do("POST", "/v1/roles", object{"identifier": c.h.word(), "name": "x", "rank": r.Rank, "permissions": spelled(r.Permissions)})
		}},
		{name: "make a role like it", target: weakRole, try: patch("/v1/roles/", func(r latchkey.Role) object { return object{"rank": r.Rank, "permissions": spelled(r.Permissions)} })},
		{name: "rename a role like it", target: role, try: patch("/v1/roles/", same(object{"name": "y"}))},
		{name: "empty a role like it", target: role, try: patch("/v1/roles/", same(object{"rank": 0, "permissions": []string{}}))},
		{name: "delete a role like it", target: role, try: drop("/v1/roles/")},

		{name: "rename such a key", target: strong, free: true, try: patchKey(same(object{"name": "y"}))},
		{name: "disable such a key", target: strong, free: true, try: patchKey(same(object{"enabled": false}))},
		{name: "revoke such a key", target: strong, free: true, try: post("/v1/keys/{}/revoke", object{})},
		{name: "delete such a key", target: strong, free: true, try: drop("/v1/keys/")},
	}
}

// TestNobodyClimbs tries every way up for every pair of built-in roles: the
// caller has one role and may manage everything besides, the other role is what
// it tries to reach. The law is told here anew: no higher rank, no permission
// that the caller does not have.
func TestNobodyClimbs(t *testing.T) {
	t.Parallel()
	h := open(t)
	n := h.tenant("Tenant")
	ways, stock := climbs(), map[string]string{}
	// target is one that nobody has changed.
	target := func(way climb, to latchkey.Role) string {
		at := way.name + to.Identifier
		if way.target != nil && stock[at] == "" {
			stock[at] = way.target(n, to)
		}
		return stock[at]
	}
	for _, from := range latchkey.BuiltinRoles() {
		c := n.with(from.Identifier, management...)
		held := append(spelled(from.Permissions), management...)
		for _, to := range latchkey.BuiltinRoles() {
			lacks := slices.ContainsFunc(to.Permissions, func(p latchkey.Permission) bool {
				return !slices.Contains(held, string(p)) && !slices.Contains(held, "*")
			})
			var up, level []climb
			for _, way := range ways {
				target(way, to) // made before the attempts, which must leave no trace
				if way.free || !lacks && (to.Rank <= from.Rank || way.lifts) {
					level = append(level, way)
				} else {
					up = append(up, way)
				}
			}
			before := h.head()
			for _, way := range up {
				if a := way.try(c, target(way, to), to); a.Status != 403 || a.text("code") != "ceiling" {
					t.Errorf("%s with the management's scopes could %s: %s, %d %s", from.Identifier, way.name, to.Identifier, a.Status, a.Text)
				}
			}
			if h.head() != before {
				t.Errorf("%s was refused to come to %s, and something was written", from.Identifier, to.Identifier)
			}
			if from.Identifier != to.Identifier && from.Identifier != "owner" && to.Identifier != "owner" {
				continue // each refusal matters; that what is allowed goes through is seen often enough
			}
			for _, way := range level {
				if a := way.try(c, target(way, to), to); a.Status >= 300 {
					t.Errorf("%s with the management's scopes could not %s: %s, %d %s", from.Identifier, way.name, to.Identifier, a.Status, a.Text)
				}
				delete(stock, way.name+to.Identifier)
			}
		}
	}
}

// TestNobodyLiftsItself: what a caller changes about itself is no way up either.
func TestNobodyLiftsItself(t *testing.T) {
	t.Parallel()
	h := open(t)
	n := h.tenant("Tenant")
	custom := n.role(4, management...)
	owner := n.user(authority.MemberRole{Role: authority.RoleRef{ID: custom.ID}})
	for _, self := range []struct {
		name string
		key  authority.NewKey
	}{
		{"by its role", authority.NewKey{Role: authority.RoleRef{ID: custom.ID}}},
		{"by its owner", authority.NewKey{Owner: owner.ID}},
		{"by its scopes", authority.NewKey{Scopes: management}},
	} {
		self.key.Reach, self.key.Retrievable = latchkey.ReachOrganization, true
		k := n.key(self.key)
		me, c := "/v1/keys/"+keyID(k), h.as(k.Secret.Expose())
		higher := h.word()
		n.roleNamed(higher, 5)
		for name, a := range map[string]answer{
			"its role":                   c.do("PATCH", me, object{"role": "owner"}),
			"its role, by one rank":      c.do("PATCH", me, object{"role": higher}),
			"its scopes":                 c.do("PATCH", me, object{"scopes": append([]string{"*"}, management...)}),
			"its scopes, by a grant":     c.do("PATCH", me, object{"scopes": []string{"grant:*"}}),
			"its owner's roles":          c.do("PATCH", "/v1/users/"+owner.ID.Native(latchkey.KindUser), object{"roles": []object{{"role": "owner"}}}),
			"its own role's rank":        c.do("PATCH", "/v1/roles/"+custom.ID.Native(latchkey.KindRole), object{"rank": 5}),
			"its own role's permissions": c.do("PATCH", "/v1/roles/"+custom.ID.Native(latchkey.KindRole), object{"permissions": append([]string{"docs:read"}, management...)}),
			"a new role":                 c.do("POST", "/v1/roles", object{"identifier": h.word(), "name": "x", "rank": 5, "permissions": []string{}}),
		} {
			if a.Status != 403 || a.text("code") != "ceiling" {
				t.Errorf("%s it lifted %s: %d %s", self.name, name, a.Status, a.Text)
			}
		}
		for _, member := range []string{"owner_id", "project_id", "reach", "retrievable", "organization_id", "rank", "permissions"} {
			c.do("PATCH", me, object{member: nil}).refused(400, latchkey.CodeMalformedBody, "/"+member)
		}
		// What leaves it as strong as it was is its own to do.
		c.do("PATCH", me, object{"expires_at": "2099-01-01T00:00:00Z", "scopes": self.key.Scopes}).must(200)
		if got := c.do("POST", me+"/reveal", object{"reason": "mine"}).must(200).text("secret"); got != k.Secret.Expose() {
			t.Errorf("%s it cannot read its own value", self.name)
		}
	}
}

// TestGrants: grant:<pattern> lets one give permissions that one does not hold.
// It never lifts rank, and it opens nothing.
func TestGrants(t *testing.T) {
	t.Parallel()
	h := open(t)
	n := h.tenant("Tenant")
	for _, test := range []struct {
		scopes    []string
		may, mayn []object
	}{
		{
			scopes: []string{"api_key:create", "grant:docs:*"},
			may: []object{{"scopes": []string{"docs:read"}}, {"scopes": []string{"docs:*"}}, {"scopes": []string{"docs:a:b"}}, {"scopes": []string{"grant:docs:*"}},
				{"scopes": []string{"grant:docs:read"}}, {"scopes": []string{"api_key:create", "docs:read"}}},
			mayn: []object{{"scopes": []string{"docs"}}, {"scopes": []string{"docs*"}}, {"scopes": []string{"docsx:read"}}, {"scopes": []string{"Docs:read"}}, {"scopes": []string{"*"}},
				{"scopes": []string{"d*"}}, {"scopes": []string{"grant:*"}}, {"scopes": []string{"grant:d*"}}, {"scopes": []string{"grant:grant:docs:*"}}, {"scopes": []string{"g*"}},
				{"scopes": []string{"docs:read", "api_key:read"}}, {"scopes": []string{"api_key:*"}}, {"role": "member"}},
		},
		{
			scopes: []string{"api_key:create", "grant:*"},
			may:    []object{{"scopes": []string{"*"}}, {"scopes": []string{"anything", "grant:anything"}}, {"role": "member"}},
			mayn:   []object{{"role": "reader"}, {"role": "billing"}, {"role": "owner"}, {"role": "member", "reach": "all"}},
		},
		{
			scopes: []string{"api_key:create", "grant:account:member"},
			may:    []object{{"role": "member"}, {"scopes": []string{"account:member"}}},
			mayn:   []object{{"role": "executor"}, {"scopes": []string{"account:members"}}, {"scopes": []string{"account:*"}}},
		},
		{
			scopes: []string{"api_key:create", "grant", "grant:", "grants:*", "xgrant:*"},
			may:    []object{{"scopes": []string{"grant"}}, {"scopes": []string{"grants:x"}}},
			mayn:   []object{{"scopes": []string{"docs:read"}}, {"scopes": []string{"grant:docs"}}, {"role": "member"}},
		},
	} {
		k := n.key(authority.NewKey{Reach: latchkey.ReachOrganization, Scopes: test.scopes})
		c := h.as(k.Secret.Expose())
		ask := func(in object) answer {
			body := object{"name": "x"}
			maps.Copy(body, in)
			return c.do("POST", "/v1/keys", body)
		}
		for _, in := range test.may {
			if a := ask(in); a.Status != 201 {
				t.Errorf("%v may give %v: %d %s", test.scopes, in, a.Status, a.Text)
			}
		}
		for _, in := range test.mayn {
			if a := ask(in); a.outcome() != "ceiling" && a.outcome() != "invalid" || in["reach"] == nil && a.outcome() != "ceiling" {
				t.Errorf("%v may not give %v: %d %s", test.scopes, in, a.Status, a.Text)
			}
		}
		// It opens nothing itself.
		for _, path := range []string{"/v1/keys", "/v1/users", "/v1/roles", "/v1/projects", "/v1/organizations", "/v1/events"} {
			c.do("GET", path, nil).refused(403, latchkey.CodeForbidden)
		}
	}
}

// TestEverythingWithoutRank: the strongest that grants can make, in the
// operator's own organization, is still the lowest.
func TestEverythingWithoutRank(t *testing.T) {
	t.Parallel()
	h := open(t)
	n := h.operators()
	giver := h.as(n.key(authority.NewKey{Reach: latchkey.ReachOrganization, Scopes: []string{"api_key:create", "grant:*"}}).Secret.Expose())
	made := giver.do("POST", "/v1/keys", object{"name": "x", "scopes": []string{"*"}, "reach": "organization"}).must(201)
	c, me := h.as(made.text("secret")), "/v1/keys/"+made.text("key", "id")
	strong := n.key(authority.NewKey{Role: authority.RoleRef{Identifier: "reader"}, Retrievable: true})
	for name, a := range map[string]answer{
		"a key with a rank":    c.do("POST", "/v1/keys", object{"name": "x", "role": "reader"}),
		"a rank for itself":    c.do("PATCH", me, object{"role": "reader"}),
		"a role with a rank":   c.do("POST", "/v1/roles", object{"identifier": h.word(), "name": "x", "rank": 1, "permissions": []string{}}),
		"a user with a rank":   c.do("POST", "/v1/users", object{"name": "x", "kind": "service", "roles": []object{{"role": "reader"}}}),
		"a key above":          c.do("POST", "/v1/keys/"+keyID(strong)+"/rotate", nil),
		"a value above":        c.do("POST", "/v1/keys/"+keyID(strong)+"/reveal", object{"reason": "curious"}),
		"the first user's key": c.do("POST", "/v1/keys", object{"name": "x", "owner_id": h.operator.Owner.Native(latchkey.KindUser)}),
		"the first user":       c.do("PATCH", "/v1/users/"+h.operator.Owner.Native(latchkey.KindUser), object{"email": "mine@example.com"}),
		"every tenant's keys":  c.do("POST", "/v1/keys", object{"name": "x", "reach": "all", "scopes": []string{"api_key:verify"}}),
		"its tenants' limits":  c.do("PATCH", "/v1/organizations/"+n.native, object{"limits": object{"keys": 5}}),
		"a suspended operator": c.do("PATCH", "/v1/organizations/"+n.native, object{"state": "suspended"}),
	} {
		if a.Status != 403 || a.text("code") != "ceiling" {
			t.Errorf("it came to %s: %d %s", name, a.Status, a.Text)
		}
	}
	for name, a := range map[string]answer{
		"a tenant":     c.do("POST", "/v1/organizations", object{"name": "x"}),
		"acting in it": c.in(h.tenant("Tenant").native).do("GET", "/v1/keys", nil),
		"the key ring": c.do("GET", "/v1/keyring", nil),
		"a new root":   c.do("POST", "/v1/keyring/versions", nil),
		"all events":   c.do("GET", "/v1/events?everywhere=true", nil),
	} {
		if a.Status != 403 || a.text("code") != "forbidden" {
			t.Errorf("it came to %s: %d %s", name, a.Status, a.Text)
		}
	}
}

// TestRoleIdentifierIsNoID: a role that is called like another one's id would be
// taken for that one wherever a role is named.
func TestRoleIdentifierIsNoID(t *testing.T) {
	t.Parallel()
	h := open(t)
	n := h.tenant("Tenant")
	owner, _ := latchkey.BuiltinRole("owner")
	for _, identifier := range []string{owner.ID.Native(latchkey.KindRole), n.role(5).ID.Native(latchkey.KindRole), h.unknown(latchkey.KindRole)} {
		n.with("owner").do("POST", "/v1/roles", object{"identifier": identifier, "name": "x", "permissions": []string{}}).refused(422, latchkey.CodeInvalid, "/identifier")
	}
}

// TestOwnersPowersByProject: a key without a role has its owner's permissions
// where it is, and the ceiling looks at just those.
func TestOwnersPowersByProject(t *testing.T) {
	t.Parallel()
	h := open(t)
	n := h.tenant("Tenant")
	u := n.user(member("member"), member("owner", n.two.ID))
	c := n.with("developer", management...)
	ask := func(in object) answer {
		in["name"], in["owner_id"] = "x", u.ID.Native(latchkey.KindUser)
		return c.do("POST", "/v1/keys", in)
	}
	one, two := n.one.ID.Native(latchkey.KindProject), n.two.ID.Native(latchkey.KindProject)
	ask(object{"project_id": one}).must(201)
	ask(object{"project_id": two}).refused(403, latchkey.CodeCeiling)
	ask(object{"project_id": two, "reach": "organization"}).must(201)                   // over the organization the user is a member alone
	ask(object{"project_id": two, "role": "reader"}).refused(403, latchkey.CodeCeiling) // what it did would be told as the owner's doing
	weak := n.with("owner").do("POST", "/v1/keys", object{"name": "x", "owner_id": u.ID.Native(latchkey.KindUser), "project_id": two, "role": "reader", "retrievable": true}).must(201).text("key", "id")
	c.do("PATCH", "/v1/keys/"+weak, object{"role": nil}).refused(403, latchkey.CodeCeiling)
	c.do("POST", "/v1/keys/"+weak+"/rotate", nil).refused(403, latchkey.CodeCeiling) // the same, by a secret of its own
	c.do("POST", "/v1/keys/"+weak+"/reveal", object{"reason": "x"}).refused(403, latchkey.CodeCeiling)
	c.do("PATCH", "/v1/keys/"+weak, object{"expires_at": nil}).must(200) // the key itself is no more than it could give
}

// digest is a SHA-256 in hexadecimal that nobody knows a text for.
func (h *house) digest() string {
	h.Helper()
	return fmt.Sprintf("%x", []byte(h.noKey())[12:44])
}

// roleNamed makes a role of that rank without permissions.
func (n *tenancy) roleNamed(identifier string, rank int) {
	n.h.Helper()
	if _, _, err := n.h.authority.CreateRole(n.h.Context(), n.call(), authority.NewRole{Identifier: identifier, Name: identifier, Rank: rank}); err != nil {
		n.h.Fatal(err)
	}
}
