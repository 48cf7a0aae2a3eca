package rest_test

import (
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
)

// TestOrderOfRefusals sends a request in which everything is wrong, and mends
// one thing at a time: the refusals come in the one order in which a caller
// without a right learns nothing by them.
func TestOrderOfRefusals(t *testing.T) {
	t.Parallel()
	h := open(t)
	n, far := h.tenant("Tenant"), h.tenant("Other")
	mender := n.with("developer", "user:update", "role:update", "organization:update")
	stronger := authority.RoleRef{Identifier: "manager"}
	key := keyID(n.key(authority.NewKey{Role: stronger, Retrievable: true}))
	mine := keyID(n.key(authority.NewKey{Retrievable: true}))
	user := n.user(member("manager")).ID.Native(latchkey.KindUser)
	equal := n.user().ID.Native(latchkey.KindUser)
	role := n.role(6).ID.Native(latchkey.KindRole)
	weak := n.role(0).ID.Native(latchkey.KindRole)
	noKey, noUser, noRole := h.unknown(latchkey.KindKey), h.unknown(latchkey.KindUser), h.unknown(latchkey.KindRole)

	type step struct {
		caller caller
		path   string
		body   any
		want   string
	}
	nobody, reader := h.as(""), n.with("reader")
	const broken = `{"unfinished":`
	for _, test := range []struct {
		name, method string
		steps        []step
	}{
		{"change a key", "PATCH", []step{
			{nobody, "/v1/keys/" + noKey, broken, "unauthenticated"},
			{reader, "/v1/keys/" + noKey, broken, "forbidden"},
			{mender, "/v1/keys/" + noKey, broken, "malformed_body"},
			{mender, "/v1/keys/" + noKey, object{"name": "", "role": "nonesuch", "scopes": []string{"docs:read"}}, "invalid /name"},
			{mender, "/v1/keys/" + noKey, object{"role": "nonesuch", "scopes": []string{"docs:read"}}, "invalid /role"},
			{mender, "/v1/keys/" + noKey, object{"role": "member", "scopes": []string{"docs:read"}}, "ceiling"},
			{mender, "/v1/keys/" + key, object{"role": "member", "scopes": []string{"docs:read"}}, "ceiling"},
			{mender, "/v1/keys/" + noKey, object{"expires_at": nil}, "not_found"},
			{mender, "/v1/keys/" + key, object{"expires_at": nil}, "ceiling"},
			{mender, "/v1/keys/" + mine, object{"expires_at": nil}, "200"},
		}},
		{"rotate a key", "POST", []step{
			{nobody, "/v1/keys/" + noKey + "/rotate", broken, "unauthenticated"},
			{reader, "/v1/keys/" + noKey + "/rotate", broken, "forbidden"},
			{mender, "/v1/keys/" + noKey + "/rotate", broken, "malformed_body"},
			{mender, "/v1/keys/" + noKey + "/rotate", object{"overlap": "721h"}, "invalid /overlap"},
			{mender, "/v1/keys/" + noKey + "/rotate", object{"overlap": "1h"}, "not_found"},
			{mender, "/v1/keys/" + key + "/rotate", object{"overlap": "1h"}, "ceiling"},
			{mender, "/v1/keys/" + mine + "/rotate", object{"overlap": "1h"}, "200"},
		}},
		{"reveal a key", "POST", []step{
			{nobody, "/v1/keys/" + noKey + "/reveal", broken, "unauthenticated"},
			{reader, "/v1/keys/" + noKey + "/reveal", broken, "forbidden"},
			{mender, "/v1/keys/" + noKey + "/reveal", broken, "malformed_body"},
			{mender, "/v1/keys/" + noKey + "/reveal", object{"reason": ""}, "invalid /reason"},
			{mender, "/v1/keys/" + noKey + "/reveal", object{"reason": "x"}, "not_found"},
			{mender, "/v1/keys/" + key + "/reveal", object{"reason": "x"}, "ceiling"},
			{mender, "/v1/keys/" + mine + "/reveal", object{"reason": "x"}, "200"},
		}},
		{"create a key", "POST", []step{
			{nobody, "/v1/keys", broken, "unauthenticated"},
			{reader, "/v1/keys", broken, "forbidden"},
			{mender, "/v1/keys", broken, "malformed_body"},
			{mender, "/v1/keys", object{"name": "", "role": "nonesuch", "scopes": []string{"docs:read"}}, "invalid /name"},
			{mender, "/v1/keys", object{"name": "x", "role": "nonesuch", "scopes": []string{"docs:read"}}, "invalid /role"},
			{mender, "/v1/keys", object{"name": "x", "role": "manager"}, "ceiling"},
			{mender, "/v1/keys", object{"name": "x", "owner_id": user}, "ceiling"},
			{mender, "/v1/keys", object{"name": "x", "role": "developer"}, "201"},
		}},
		{"change a user", "PATCH", []step{
			{nobody, "/v1/users/" + noUser, broken, "unauthenticated"},
			{reader, "/v1/users/" + noUser, broken, "forbidden"},
			{n.bound(), "/v1/users/" + noUser, broken, "forbidden"},
			{mender, "/v1/users/" + noUser, broken, "malformed_body"},
			{mender, "/v1/users/" + noUser, object{"name": "", "roles": []object{{"role": "nonesuch"}}}, "invalid /name"},
			{mender, "/v1/users/" + noUser, object{"roles": []object{{"role": "nonesuch"}, {"role": "owner", "project_id": n.one.ID.Native(latchkey.KindProject)}}}, "invalid /roles/0/role"},
			{mender, "/v1/users/" + noUser, object{"roles": []object{{"role": "owner"}}}, "ceiling"},
			{mender, "/v1/users/" + equal, object{"roles": []object{{"role": "owner"}}}, "ceiling"},
			{mender, "/v1/users/" + noUser, object{"roles": []object{{"role": "member"}}}, "not_found"},
			{mender, "/v1/users/" + user, object{"roles": []object{{"role": "member"}}}, "ceiling"},
			{mender, "/v1/users/" + equal, object{"roles": []object{{"role": "member"}}}, "200"},
		}},
		{"change a role", "PATCH", []step{
			{nobody, "/v1/roles/" + noRole, broken, "unauthenticated"},
			{reader, "/v1/roles/" + noRole, broken, "forbidden"},
			{n.bound(), "/v1/roles/" + noRole, broken, "forbidden"},
			{mender, "/v1/roles/" + noRole, broken, "malformed_body"},
			{mender, "/v1/roles/" + noRole, object{"rank": 11, "permissions": []string{"docs:read"}}, "invalid /rank"},
			{mender, "/v1/roles/" + noRole, object{"rank": 10}, "ceiling"},
			{mender, "/v1/roles/" + noRole, object{"permissions": []string{"docs:read"}}, "ceiling"},
			{mender, "/v1/roles/" + weak, object{"permissions": []string{"docs:read"}}, "ceiling"},
			{mender, "/v1/roles/" + noRole, object{"rank": 0}, "not_found"},
			{mender, "/v1/roles/" + role, object{"rank": 0}, "ceiling"},
			{mender, "/v1/roles/" + weak, object{"rank": 0}, "200"},
		}},
		{"change an organization", "PATCH", []step{
			{nobody, "/v1/organizations/nonsense", broken, "unauthenticated"},
			{reader, "/v1/organizations/nonsense", broken, "forbidden"},
			{n.bound(), "/v1/organizations/nonsense", broken, "forbidden"},
			{mender, "/v1/organizations/nonsense", broken, "malformed_body"},
			{mender, "/v1/organizations/nonsense", object{"name": "", "state": "suspended"}, "invalid /name"},
			{mender, "/v1/organizations/nonsense", object{"state": "suspended"}, "ceiling"},
			{mender, "/v1/organizations/" + far.native, object{"state": "suspended"}, "ceiling"},
			{mender, "/v1/organizations/" + n.native, object{"limits": object{"keys": 1}}, "ceiling"},
			{mender, "/v1/organizations/nonsense", object{"name": "x"}, "not_found"},
			{mender, "/v1/organizations/" + far.native, object{"name": "x"}, "not_found"},
			{mender, "/v1/organizations/" + n.native, object{"name": "x"}, "200"},
		}},
		{"delete an organization", "DELETE", []step{
			{nobody, "/v1/organizations/nonsense?revoke_keys=perhaps", nil, "unauthenticated"},
			{n.with("owner"), "/v1/organizations/nonsense?revoke_keys=perhaps", nil, "forbidden"},
			{h.as(h.root), "/v1/organizations/nonsense?revoke_keys=perhaps", nil, "invalid query:revoke_keys"},
			{h.as(h.root), "/v1/organizations/nonsense?revoke_keys=true", nil, "not_found"},
			{h.as(h.root), "/v1/organizations/" + h.operator.Operator.Native(latchkey.KindOrganization) + "?revoke_keys=true", nil, "conflict"},
		}},
		{"delete a user", "DELETE", []step{
			{nobody, "/v1/users/" + noUser + "?revoke_keys=perhaps", nil, "unauthenticated"},
			{mender, "/v1/users/" + noUser + "?revoke_keys=perhaps", nil, "forbidden"},
			{n.with("admin"), "/v1/users/" + noUser + "?revoke_keys=perhaps", nil, "invalid query:revoke_keys"},
			{n.with("admin"), "/v1/users/" + noUser, nil, "not_found"},
			{n.with("admin"), "/v1/users/" + n.user(member("owner")).ID.Native(latchkey.KindUser), nil, "ceiling"},
		}},
	} {
		for i, s := range test.steps {
			a := s.caller.do(test.method, s.path, s.body)
			got := a.outcome()
			if got == "invalid" {
				got += " " + a.text("errors", 0, "pointer")
			}
			if got != s.want {
				t.Errorf("%s, step %d: %s, want %s: %s", test.name, i, got, s.want, a.Text)
			}
		}
	}
}

// TestDeadCallersAreToldAlike: a credential that does not hold is refused with
// the same words whatever is wrong with it, and whatever it asks for.
func TestDeadCallersAreToldAlike(t *testing.T) {
	t.Parallel()
	h := open(t)
	n, gone := h.tenant("Tenant"), h.tenant("Suspended")
	live := func() authority.Issued {
		return n.key(authority.NewKey{Reach: latchkey.ReachOrganization, Role: authority.RoleRef{Identifier: "owner"}})
	}
	no, yes, past := false, true, h.now().Add(-time.Second)
	revoked, disabled, expired, rotated := live(), live(), live(), live()
	n.revoke(revoked)
	n.patchKey(disabled.ID, authority.KeyPatch{Enabled: &no})
	n.patchKey(expired.ID, authority.KeyPatch{ExpiresAt: &past})
	if _, _, err := h.authority.RotateKey(t.Context(), n.call(), rotated.ID, 0); err != nil {
		t.Fatal(err)
	}
	boss := n.user(member("owner"))
	owned := n.key(authority.NewKey{Reach: latchkey.ReachOrganization, Owner: boss.ID})
	ownedWithRole := n.key(authority.NewKey{Reach: latchkey.ReachOrganization, Owner: boss.ID, Role: authority.RoleRef{Identifier: "owner"}})
	n.patchUser(boss.ID, authority.UserPatch{Suspended: &yes})
	suspended := gone.key(authority.NewKey{Reach: latchkey.ReachOrganization, Role: authority.RoleRef{Identifier: "owner"}})
	if _, _, err := h.authority.UpdateOrganization(t.Context(), h.operators().call(), gone.id, authority.OrganizationPatch{Suspended: &yes}); err != nil {
		t.Fatal(err)
	}
	good := live().Secret.Expose()
	for name, key := range map[string]string{
		"unknown": h.noKey(), "nonsense": "nonsense", "a wrong secret": swapped(good), "cut off": good[:len(good)-1],
		"revoked": revoked.Secret.Expose(), "disabled": disabled.Secret.Expose(), "expired": expired.Secret.Expose(), "rotated away": rotated.Secret.Expose(),
		"its owner suspended": owned.Secret.Expose(), "its owner suspended, with a role": ownedWithRole.Secret.Expose(), "its organization suspended": suspended.Secret.Expose(),
	} {
		want := ""
		for _, path := range []string{"/v1/keys", "/v1/keys/" + keyID(revoked), "/v1/organizations", "/v1/keyring"} {
			h.advance(2 * time.Second) // or their source would be throttled
			a := h.as(key).do("GET", path, nil)
			if want == "" {
				want = h.as(h.noKey()).do("GET", "/v1/keys", nil).bare()
			}
			if a.Status != 401 || a.bare() != want {
				t.Errorf("%s: %s", name, a.bare())
			}
		}
	}
	// What suspended them did not end them: the operator acts there, and lets them on.
	h.operatorSocket().in(gone.native).do("GET", "/v1/keys/"+keyID(suspended), nil).must(200)
	h.operatorSocket().do("PATCH", "/v1/organizations/"+gone.native, object{"state": "active"}).must(200)
	h.as(suspended.Secret.Expose()).do("GET", "/v1/keys", nil).must(200)
	n.patchUser(boss.ID, authority.UserPatch{Suspended: &no})
	h.as(owned.Secret.Expose()).do("GET", "/v1/keys", nil).must(200)
}

// swapped is the key with two characters of its secret exchanged and a checksum
// that fits: what somebody would try who knows the public part.
func swapped(key string) string {
	body := []byte(key[:len(key)-latchkey.CheckLen])
	last := len(body) - 1
	for i := last; i > last-latchkey.SecretLen; i-- {
		if body[i] != body[last] {
			body[i], body[last] = body[last], body[i]
			break
		}
	}
	return string(body) + latchkey.Checksum(string(body))
}
