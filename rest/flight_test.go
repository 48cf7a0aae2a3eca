package rest_test

import (
	"context"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/rest"
	"latchkey.dev/latchkey/store"
)

// flight is a house in which something happens while a request is on its way:
// after its caller was let in, before its change is written. The store's order
// is that of an unlucky moment, and always the same.
type flight struct {
	*house
	gate *gate
}

// gate is a store that does something else before a change.
type gate struct {
	store.Store
	mu    sync.Mutex
	first func()
}

func (g *gate) Submit(ctx context.Context, change store.Change) (int64, error) {
	g.mu.Lock()
	first := g.first
	g.first = nil
	g.mu.Unlock()
	if first != nil {
		first()
	}
	return g.Store.Submit(ctx, change)
}

func takeOff(t *testing.T) *flight {
	t.Helper()
	f := &flight{gate: &gate{}}
	f.house = open(t, func(c *rest.Config) {
		config := c.Authority.Config
		f.gate.Store = config.Store
		config.Store = f.gate
		c.Authority = authority.New(config)
	})
	return f
}

// while asks, and has something happen on the way. It happens through the
// house's own authority, which does not pass the gate.
func (f *flight) while(happens func(), ask func() answer) answer {
	f.Helper()
	done := false
	f.gate.mu.Lock()
	f.gate.first = func() { happens(); done = true }
	f.gate.mu.Unlock()
	a := ask()
	f.gate.mu.Lock()
	f.gate.first = nil
	f.gate.mu.Unlock()
	if !done {
		f.Fatalf("it was answered without a change: %d %s", a.Status, a.Text)
	}
	return a
}

func (n *tenancy) revoke(k authority.Issued) {
	n.h.Helper()
	if _, _, err := n.h.authority.RevokeKey(n.h.Context(), n.call(), k.ID, ""); err != nil {
		n.h.Fatal(err)
	}
}

func (n *tenancy) patchKey(id latchkey.ID, patch authority.KeyPatch) {
	n.h.Helper()
	if _, _, err := n.h.authority.UpdateKey(n.h.Context(), n.call(), id, patch); err != nil {
		n.h.Fatal(err)
	}
}

func (n *tenancy) patchUser(id latchkey.ID, patch authority.UserPatch) {
	n.h.Helper()
	if _, _, err := n.h.authority.UpdateUser(n.h.Context(), n.call(), id, patch); err != nil {
		n.h.Fatal(err)
	}
}

func (n *tenancy) patchRole(id latchkey.ID, patch authority.RolePatch) {
	n.h.Helper()
	if _, _, err := n.h.authority.UpdateRole(n.h.Context(), n.call(), id, patch); err != nil {
		n.h.Fatal(err)
	}
}

// TestRevokedInFlight: nothing that was authorized by a key revoked at n is
// written above n, whatever the operation.
func TestRevokedInFlight(t *testing.T) {
	t.Parallel()
	f := takeOff(t)
	n := f.operators()
	nodes := &others{}
	f.api.Authority.Spread = nodes
	m := &matrix{house: f.house, nodes: nodes, near: n, operators: n}
	rows := matrixRows()
	for _, op := range f.api.Operations() {
		if op.Method == "GET" || op.Open || op.Needs == latchkey.KeyVerify {
			continue // changes nothing
		}
		k := n.key(authority.NewKey{Reach: latchkey.ReachOrganization, Role: authority.RoleRef{Identifier: "owner"}})
		row, target := rows[op.ID], ""
		switch row.target {
		case "":
		case "organization":
			target = f.tenant("Passing").native
		case "project":
			target = n.project().ID.Native(latchkey.KindProject)
		default:
			target = m.make(n, row.target, n.one)
		}
		var body any
		if row.body != nil {
			body = row.body(n, target)
		}
		switch op.ID { // in the matrix these change nothing
		case "activateKeyRingVersion":
			target = f.pending()
		case "retireKeyRingVersion":
			target, body = f.retiring(), object{"force": true}
		}
		ring := f.ring.Versions()
		var before int64
		a := f.while(func() { n.revoke(k); before = f.head() }, func() answer {
			return f.as(k.Secret.Expose()).do(op.Method, pathTo(op, target), body)
		})
		if a.Status != 401 || a.text("code") != "unauthenticated" {
			t.Errorf("%s: %d %s", op.ID, a.Status, a.Text)
		}
		if f.head() != before {
			t.Errorf("%s was written after its caller was revoked", op.ID)
		}
		if !reflect.DeepEqual(f.ring.Versions(), ring) {
			t.Errorf("%s changed the key ring after its caller was revoked", op.ID)
		}
		f.advance(time.Second)
	}
}

// pending makes a version of the key ring that can be activated.
func (f *flight) pending() string {
	f.Helper()
	v, _, err := f.authority.AddRingVersion(f.Context(), f.operators().call())
	if err != nil {
		f.Fatal(err)
	}
	return strconv.Itoa(v.Number)
}

// retiring makes one that can be retired.
func (f *flight) retiring() string {
	f.Helper()
	next, err := strconv.Atoi(f.pending())
	if err != nil {
		f.Fatal(err)
	}
	if _, err := f.authority.ActivateRingVersion(f.Context(), f.operators().call(), next); err != nil {
		f.Fatal(err)
	}
	return "1"
}

// TestCallerChangesInFlight: a change is judged by what its caller is when it is
// written.
func TestCallerChangesInFlight(t *testing.T) {
	t.Parallel()
	f := takeOff(t)
	n := f.tenant("Tenant")
	yes, no, none := true, false, []string{}
	soon := f.now().Add(time.Hour)
	plain := authority.RoleRef{Identifier: "member"}
	create := func(c caller) answer { return c.do("POST", "/v1/keys", object{"name": "x"}) }
	developer := authority.NewKey{Role: authority.RoleRef{Identifier: "developer"}}
	rotate := func(k authority.Issued, overlap time.Duration) string {
		next, _, err := f.authority.RotateKey(f.Context(), n.call(), k.ID, overlap)
		if err != nil {
			t.Fatal(err)
		}
		return next.Secret.Expose()
	}
	custom, shared := n.role(4, "api_key:create"), n.role(4, "api_key:create")
	boss := n.user(member("developer"))
	for _, test := range []struct {
		name    string
		key     authority.NewKey
		prepare func(k authority.Issued) string // gives another secret to call with
		happens func(k authority.Issued)
		status  int
		code    latchkey.ErrorCode
		after   func() // puts back what other cases need
	}{
		{"revoked", developer, nil, n.revoke, 401, latchkey.CodeUnauthenticated, nil},
		{"disabled", developer, nil, func(k authority.Issued) { n.patchKey(k.ID, authority.KeyPatch{Enabled: &no}) }, 401, latchkey.CodeUnauthenticated, nil},
		{"expired", authority.NewKey{Role: developer.Role, ExpiresAt: soon}, nil, func(authority.Issued) { f.advance(2 * time.Hour) }, 401, latchkey.CodeUnauthenticated, nil},
		{"made to expire", developer, nil, func(k authority.Issued) {
			past := f.now().Add(-time.Minute)
			n.patchKey(k.ID, authority.KeyPatch{ExpiresAt: &past})
		}, 401, latchkey.CodeUnauthenticated, nil},
		{"rotated away", developer, nil, func(k authority.Issued) { rotate(k, 0) }, 401, latchkey.CodeUnauthenticated, nil},
		{"at the end of its overlap", developer, func(k authority.Issued) string { rotate(k, time.Hour); return k.Secret.Expose() },
			func(authority.Issued) { f.advance(2 * time.Hour) }, 401, latchkey.CodeUnauthenticated, nil},
		{"by the secret whose rotation completes", developer, func(k authority.Issued) string { rotate(k, time.Hour); return k.Secret.Expose() },
			func(k authority.Issued) { _, _, _ = f.authority.CompleteRotation(f.Context(), n.call(), k.ID) }, 401, latchkey.CodeUnauthenticated, nil},
		{"by the secret whose rotation is cancelled", developer, func(k authority.Issued) string { return rotate(k, time.Hour) },
			func(k authority.Issued) { _, _, _ = f.authority.CancelRotation(f.Context(), n.call(), k.ID) }, 401, latchkey.CodeUnauthenticated, nil},
		{"bound to other addresses", developer, nil, func(k authority.Issued) {
			n.patchKey(k.ID, authority.KeyPatch{Addresses: &[]string{"192.0.2.0/24"}})
		}, 401, latchkey.CodeUnauthenticated, nil},
		{"its owner suspended", authority.NewKey{Owner: boss.ID}, nil, func(authority.Issued) { n.patchUser(boss.ID, authority.UserPatch{Suspended: &yes}) }, 401, latchkey.CodeUnauthenticated,
			func() { n.patchUser(boss.ID, authority.UserPatch{Suspended: &no}) }},
		{"its organization suspended", developer, nil, func(authority.Issued) { f.suspend(n, true) }, 401, latchkey.CodeUnauthenticated, func() { f.suspend(n, false) }},

		{"given a lesser role", developer, nil, func(k authority.Issued) { n.patchKey(k.ID, authority.KeyPatch{Role: &plain}) }, 403, latchkey.CodeForbidden, nil},
		{"its scopes taken", authority.NewKey{Scopes: []string{"api_key:create"}}, nil, func(k authority.Issued) { n.patchKey(k.ID, authority.KeyPatch{Scopes: &none}) }, 403, latchkey.CodeForbidden, nil},
		{"its role emptied", authority.NewKey{Role: authority.RoleRef{ID: custom.ID}}, nil, func(authority.Issued) { n.patchRole(custom.ID, authority.RolePatch{Permissions: &none}) }, 403, latchkey.CodeForbidden, nil},
		{"its owner's role taken", authority.NewKey{Owner: boss.ID}, nil, func(authority.Issued) { n.patchUser(boss.ID, authority.UserPatch{Roles: &[]authority.MemberRole{}}) }, 403, latchkey.CodeForbidden, nil},
		{"its role left alone", authority.NewKey{Role: authority.RoleRef{ID: shared.ID}}, nil, func(authority.Issued) { n.patchRole(shared.ID, authority.RolePatch{Name: new(string("renamed"))}) }, 201, "", nil},
	} {
		k := n.key(test.key)
		secret := k.Secret.Expose()
		if test.prepare != nil {
			secret = test.prepare(k)
		}
		var before int64
		a := f.while(func() { test.happens(k); before = f.head() }, func() answer { return create(f.as(secret)) })
		if a.Status != test.status || a.text("code") != string(test.code) {
			t.Errorf("%s: %d %s", test.name, a.Status, a.Text)
		}
		if test.status != 201 && f.head() != before {
			t.Errorf("%s: the change was written", test.name)
		}
		if test.after != nil {
			test.after()
		}
	}
}

func (f *flight) suspend(n *tenancy, is bool) {
	f.Helper()
	if _, _, err := f.authority.UpdateOrganization(f.Context(), f.operators().call(), n.id, authority.OrganizationPatch{Suspended: &is}); err != nil {
		f.Fatal(err)
	}
}

// TestRankFallsInFlight: so is the ceiling, and who the operator is.
func TestRankFallsInFlight(t *testing.T) {
	t.Parallel()
	f := takeOff(t)
	n, tenant := f.operators(), f.tenant("Tenant")
	weak := n.role(0)
	for _, test := range []struct {
		name   string
		ask    func(c caller) answer
		status int
		code   latchkey.ErrorCode
	}{
		{"create a key above", func(c caller) answer { return c.do("POST", "/v1/keys", object{"name": "x", "role": "admin"}) }, 403, latchkey.CodeCeiling},
		{"give a key a role above", func(c caller) answer {
			return c.do("PATCH", "/v1/keys/"+keyID(n.key(authority.NewKey{})), object{"role": "admin"})
		}, 403, latchkey.CodeCeiling},
		{"rotate a key above", func(c caller) answer {
			return c.do("POST", "/v1/keys/"+keyID(n.key(authority.NewKey{Role: authority.RoleRef{Identifier: "admin"}}))+"/rotate", nil)
		}, 403, latchkey.CodeCeiling},
		{"reveal a key above", func(c caller) answer {
			return c.do("POST", "/v1/keys/"+keyID(n.key(authority.NewKey{Role: authority.RoleRef{Identifier: "admin"}, Retrievable: true}))+"/reveal", object{"reason": "x"})
		}, 403, latchkey.CodeCeiling},
		{"create a user above", func(c caller) answer {
			return c.do("POST", "/v1/users", object{"name": "x", "kind": "service", "roles": []object{{"role": "admin"}}})
		}, 403, latchkey.CodeCeiling},
		{"give a user a role above", func(c caller) answer {
			return c.do("PATCH", "/v1/users/"+n.user().ID.Native(latchkey.KindUser), object{"roles": []object{{"role": "admin"}}})
		}, 403, latchkey.CodeCeiling},
		{"create a role above", func(c caller) answer {
			return c.do("POST", "/v1/roles", object{"identifier": f.word(), "name": "x", "rank": 7, "permissions": []string{}})
		}, 403, latchkey.CodeCeiling},
		{"raise a role above", func(c caller) answer {
			return c.do("PATCH", "/v1/roles/"+weak.ID.Native(latchkey.KindRole), object{"rank": 7})
		}, 403, latchkey.CodeCeiling},
		{"give reach over all", func(c caller) answer { return c.do("POST", "/v1/keys", object{"name": "x", "reach": "all"}) }, 403, latchkey.CodeCeiling},
		{"set the operator's limits", func(c caller) answer {
			return c.do("PATCH", "/v1/organizations/"+n.native, object{"limits": object{"keys": 100000}})
		}, 403, latchkey.CodeCeiling},
		{"create an organization", func(c caller) answer { return c.do("POST", "/v1/organizations", object{"name": "x"}) }, 403, latchkey.CodeForbidden},
		{"rename another organization", func(c caller) answer {
			return c.do("PATCH", "/v1/organizations/"+tenant.native, object{"name": "x"})
		}, 404, latchkey.CodeNotFound},
		{"delete another organization", func(c caller) answer { return c.do("DELETE", "/v1/organizations/"+tenant.native, nil) }, 404, latchkey.CodeNotFound},
		{"act in another organization", func(c caller) answer { return c.in(tenant.native).do("POST", "/v1/keys", object{"name": "x"}) }, 401, latchkey.CodeUnauthenticated},
		{"add a root key", func(c caller) answer { return c.do("POST", "/v1/keyring/versions", nil) }, 403, latchkey.CodeForbidden},
		{"activate a root key", func(c caller) answer { return c.do("POST", "/v1/keyring/versions/1/activate", nil) }, 403, latchkey.CodeForbidden},
	} {
		custom := n.role(7, "*")
		c := f.as(n.key(authority.NewKey{Reach: latchkey.ReachOrganization, Role: authority.RoleRef{ID: custom.ID}}).Secret.Expose())
		ring := f.ring.Versions()
		var before int64
		a := f.while(func() {
			six := 6
			n.patchRole(custom.ID, authority.RolePatch{Rank: &six})
			before = f.head()
		}, func() answer { return test.ask(c) })
		if a.Status != test.status || a.text("code") != string(test.code) {
			t.Errorf("%s: %d %s", test.name, a.Status, a.Text)
		}
		if f.head() != before || !reflect.DeepEqual(f.ring.Versions(), ring) {
			t.Errorf("%s: it was done", test.name)
		}
	}
}

// TestTargetRisesInFlight: and what the change would lead to is judged by what
// the target is by then.
func TestTargetRisesInFlight(t *testing.T) {
	t.Parallel()
	f := takeOff(t)
	n := f.tenant("Tenant")
	high := n.role(5, "docs:read")
	developer := n.with("developer", management...)
	admin, custom := authority.RoleRef{Identifier: "admin"}, authority.RoleRef{ID: high.ID}
	key := func() authority.Issued { return n.key(authority.NewKey{Retrievable: true}) }
	user := func() latchkey.User { return n.user(member("member")) }
	rises := func(role authority.RoleRef) func(id latchkey.ID) {
		return func(id latchkey.ID) { n.patchKey(id, authority.KeyPatch{Role: &role}) }
	}
	promoted := func(role authority.RoleRef) func(id latchkey.ID) {
		return func(id latchkey.ID) {
			n.patchUser(id, authority.UserPatch{Roles: &[]authority.MemberRole{{Role: role}}})
		}
	}
	for _, test := range []struct {
		name    string
		id      latchkey.ID
		happens func(id latchkey.ID)
		method  string
		path    string // with the id for {}
		body    func(id latchkey.ID) any
		want    []string
	}{
		{"rotate", key().ID, rises(admin), "POST", "/v1/keys/{}/rotate", nil, []string{"ceiling"}},
		{"rotate, to a custom role", key().ID, rises(custom), "POST", "/v1/keys/{}/rotate", nil, []string{"ceiling"}},
		{"reveal", key().ID, rises(admin), "POST", "/v1/keys/{}/reveal", func(latchkey.ID) any { return object{"reason": "x"} }, []string{"ceiling"}},
		{"change", key().ID, rises(custom), "PATCH", "/v1/keys/{}", func(latchkey.ID) any { return object{"expires_at": nil} }, []string{"ceiling"}},
		{"create for a user", user().ID, promoted(admin), "POST", "/v1/keys", func(id latchkey.ID) any { return object{"name": "x", "owner_id": id.Native(latchkey.KindUser)} }, []string{"ceiling"}},
		{"create for a user, to a custom role", user().ID, promoted(custom), "POST", "/v1/keys", func(id latchkey.ID) any { return object{"name": "x", "owner_id": id.Native(latchkey.KindUser)} }, []string{"ceiling", "conflict"}},
		{"rename a user", user().ID, promoted(admin), "PATCH", "/v1/users/{}", func(latchkey.ID) any { return object{"name": "x"} }, []string{"ceiling"}},
		{"rename a user, to a custom role", user().ID, promoted(custom), "PATCH", "/v1/users/{}", func(latchkey.ID) any { return object{"name": "x"} }, []string{"ceiling", "conflict"}},
		{"delete a user", user().ID, promoted(custom), "DELETE", "/v1/users/{}", nil, []string{"ceiling", "conflict"}},
		{"rename a role", n.role(0).ID, func(id latchkey.ID) { nine := 9; n.patchRole(id, authority.RolePatch{Rank: &nine}) }, "PATCH", "/v1/roles/{}", func(latchkey.ID) any { return object{"name": "x"} }, []string{"ceiling"}},
	} {
		kind := map[string]latchkey.Kind{"/v1/keys/": latchkey.KindKey, "/v1/users": latchkey.KindUser, "/v1/roles": latchkey.KindRole}[(test.path + "/")[:9]]
		var body any
		if test.body != nil {
			body = test.body(test.id)
		}
		var before int64
		a := f.while(func() { test.happens(test.id); before = f.head() }, func() answer {
			return developer.do(test.method, strings.Replace(test.path, "{}", test.id.Native(kind), 1), body)
		})
		allowed := false
		for _, w := range test.want {
			allowed = allowed || a.outcome() == w
		}
		if !allowed || f.head() != before {
			t.Errorf("%s: %d %s", test.name, a.Status, a.Text)
		}
	}
}
