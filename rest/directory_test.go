package rest_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
)

// An object that was made is read, listed and changed as it was made; what
// happened to it is in the record.
func TestDirectory(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	org := h.operator.Operator.Native(latchkey.KindOrganization)
	project := root.do("POST", "/v1/projects", object{"name": "For members"}).must(201).text("id")
	for _, test := range []struct {
		path, noun string
		in         object
		made       object
		patch      object
		changed    object
		event      object // what the record tells of the change
	}{
		{
			"/v1/organizations", "organization", object{"name": "Tenant"},
			object{"name": "Tenant", "operator": false, "state": "active", "keys": 0.0, "limits": object{"keys": 1e6, "changes_per_second": 1e4}},
			object{"name": "Other", "state": "suspended", "limits": object{"keys": 5}},
			object{"name": "Other", "state": "suspended", "limits": object{"keys": 5.0, "changes_per_second": 1e4}},
			object{"name": object{"from": "Tenant", "to": "Other"}, "suspended": object{"from": false, "to": true}, "limits.keys": object{"from": 1e6, "to": 5.0}},
		},
		{
			"/v1/projects", "project", object{"name": "Project"},
			object{"organization_id": org, "name": "Project", "prefix": "lk", "environment": "live", "default": false, "retrievable": false, "forbid_retrievable": false},
			object{"name": "Other", "retrievable": true, "forbid_retrievable": true},
			object{"name": "Other", "retrievable": true, "forbid_retrievable": true, "prefix": "lk"},
			object{"name": object{"from": "Project", "to": "Other"}, "retrievable": object{"from": false, "to": true}, "forbid_retrievable": object{"from": false, "to": true}},
		},
		{
			"/v1/users", "user", object{"name": "Ada", "email": "ada@example.com"},
			object{"organization_id": org, "kind": "person", "name": "Ada", "email": "ada@example.com", "state": "active", "roles": []any{}},
			object{"name": "Countess", "email": "countess@example.com", "state": "suspended", "roles": []object{{"role": "reader"}, {"role": "owner", "project_id": project}}},
			object{"name": "Countess", "email": "countess@example.com", "state": "suspended", "roles": []any{
				object{"project_id": nil, "role": "reader"}, object{"project_id": project, "role": "owner"},
			}},
			object{"name": object{"from": "Ada", "to": "Countess"}, "email": object{"from": "ada@example.com", "to": "countess@example.com"}, "suspended": object{"from": false, "to": true}},
		},
		{
			"/v1/users", "user", object{"kind": "service", "name": "Builder", "roles": []object{{"role": "manager"}}},
			object{"kind": "service", "name": "Builder", "email": "", "roles": []any{object{"project_id": nil, "role": "manager"}}},
			object{"roles": []object{}}, object{"roles": []any{}}, object{},
		},
		{
			"/v1/roles", "role", object{"identifier": "writer", "name": "Writer", "rank": 3, "permissions": []string{"docs:write", "docs:*", "docs:write"}},
			object{"organization_id": org, "identifier": "writer", "name": "Writer", "rank": 3.0, "permissions": []any{"docs:write", "docs:*"}, "builtin": false},
			object{"name": "Author", "rank": 4, "permissions": []string{}},
			object{"identifier": "writer", "name": "Author", "rank": 4.0, "permissions": []any{}},
			object{"name": object{"from": "Writer", "to": "Author"}, "rank": object{"from": 3.0, "to": 4.0}, "permissions": object{"from": []any{"docs:write", "docs:*"}, "to": []any{}}},
		},
	} {
		h.run(test.noun, func() {
			made := root.do("POST", test.path, test.in).must(201)
			made.holds(nil, test.made)
			made.holds(nil, object{"created_by": h.operator.Owner.Native(latchkey.KindUser), "updated_at": made.text("created_at")})
			id := made.text("id")
			path := test.path + "/" + id
			if got := root.do("GET", path, nil).must(200); got.Text != made.Text {
				h.Errorf("read\n%s\nmade\n%s", got.Text, made.Text)
			}
			rows := root.do("GET", test.path+"?limit=1", nil).must(200).at("data").([]any)
			if rows = slices.DeleteFunc(rows, func(r any) bool { return r.(map[string]any)["builtin"] == true }); !reflect.DeepEqual(rows[0], made.at()) {
				h.Errorf("listed %v", rows[0])
			}
			changed := root.do("PATCH", path, test.patch).must(200)
			changed.holds(nil, test.changed)
			shown := maps.Clone(changed.at().(map[string]any))
			delete(shown, "effective")
			delete(shown, "position")
			if got := root.do("GET", path, nil).must(200); !reflect.DeepEqual(got.at(), any(shown)) || got.text("id") != id || got.text("created_at") != made.text("created_at") {
				h.Errorf("read\n%s\nchanged\n%s", got.Text, changed.Text)
			}
			head := h.head()
			if again := root.do("PATCH", path, test.patch).must(200); again.Text != changed.Text || h.head() != head {
				h.Errorf("the same again\n%s\nwas\n%s", again.Text, changed.Text)
			}
			gone := root.do("DELETE", path, nil).must(200)
			gone.holds(nil, object{"effective": "everywhere", "position": float64(h.head())})
			for _, again := range []answer{root.do("GET", path, nil), root.do("PATCH", path, object{}), root.do("DELETE", path, nil)} {
				again.refused(404, latchkey.CodeNotFound)
			}
			if slices.Contains(root.walk(test.path, 100, "id"), id) {
				h.Error("it is still listed")
			}
			events := root.do("GET", "/v1/events?everywhere=true&object="+id, nil).must(200)
			for i, what := range []string{"created", "updated", "deleted"} {
				events.holds([]any{"data", i}, object{"type": test.noun + "." + what, "object": object{"type": test.noun, "id": id}})
			}
			events.holds([]any{"data", 1, "changes"}, test.event)
		})
	}
}

// Names and addresses that must differ are compared without regard to case where
// people would, and each in its own organization.
func TestTaken(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	other := root.in(root.do("POST", "/v1/organizations", object{"name": "O"}).must(201).text("id"))
	for _, test := range []struct {
		path, pointer string
		first, second object
	}{
		{"/v1/projects", "/name", object{"name": "Acme"}, object{"name": "Acme", "prefix": "acme"}},
		{"/v1/projects", "/name", object{"name": "default-2"}, object{"name": "default-2"}},
		{"/v1/users", "/email", object{"name": "Ada", "email": "ada@example.com"}, object{"name": "Other", "email": "Ada@Example.com"}},
		{"/v1/roles", "/identifier", object{"identifier": "writer", "name": "W"}, object{"identifier": "writer", "name": "X"}},
	} {
		made := root.do("POST", test.path, test.first).must(201)
		root.do("POST", test.path, test.second).breaks(409, latchkey.CodeConflict, test.pointer, "taken")
		other.do("POST", test.path, test.second).must(201)
		free := with(with(with(test.second, "name", "Free"), "email", "free@example.com"), "identifier", "free")
		for _, name := range []string{"email", "identifier"} {
			if test.first[name] == nil {
				delete(free, name)
			}
		}
		second := root.do("POST", test.path, free).must(201)
		if test.pointer != "/identifier" { // which stays
			member := test.pointer[1:]
			root.do("PATCH", test.path+"/"+second.text("id"), object{member: test.first[member]}).breaks(409, latchkey.CodeConflict, test.pointer, "taken")
		}
		// What is deleted is free again.
		root.do("DELETE", test.path+"/"+made.text("id"), nil).must(200)
		again := root.do("POST", test.path, test.first).must(201)
		for _, id := range []string{again.text("id"), second.text("id")} {
			root.do("DELETE", test.path+"/"+id, nil).must(200)
		}
	}
}

// What keys hang on is not deleted from under them, unless they go first.
func TestDeleteWhatKeysHangOn(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	for _, test := range []struct {
		path string
		in   object
		hang func(id string) object
	}{
		{"/v1/projects", object{"name": "P"}, func(id string) object { return object{"project_id": id} }},
		{"/v1/users", object{"name": "U", "kind": "service"}, func(id string) object { return object{"owner_id": id} }},
		{"/v1/roles", object{"identifier": "writer", "name": "W"}, func(id string) object { return object{"role": id} }},
		{"/v1/organizations", object{"name": "O"}, func(string) object { return object{} }},
	} {
		h.run(strings.TrimPrefix(test.path, "/v1/"), func() {
			id := root.do("POST", test.path, test.in).must(201).text("id")
			path, as := test.path+"/"+id, root
			if test.path == "/v1/organizations" {
				as = root.in(id)
			}
			keys := []made{as.newKey(test.hang(id)), as.newKey(test.hang(id)), as.newKey(test.hang(id))}
			bystander := root.newKey(object{})
			refused := root.do("DELETE", path, nil)
			refused.refused(409, latchkey.CodeConflict)
			if !strings.Contains(refused.text("detail"), "3 keys") || !strings.Contains(refused.text("detail"), "revoke_keys=true") {
				h.Errorf("%s", refused.Text)
			}
			root.do("DELETE", path+"?revoke_keys=false", nil).refused(409, latchkey.CodeConflict)
			as.do("POST", keys[0].path+"/revoke", nil).must(200)
			if got := root.do("DELETE", path, nil); !strings.Contains(got.text("detail"), "2 keys") {
				h.Errorf("revoked keys are in the way: %s", got.Text)
			}
			if got := as.verdicts(keys[1].secret, keys[2].secret); got != "valid valid" {
				h.Errorf("a refused deletion left %s", got)
			}
			root.do("DELETE", path+"?revoke_keys=true", nil).must(200)
			gateway := h.as(root.newKey(object{"reach": "all", "scopes": []string{"api_key:verify"}}).secret)
			want := "revoked revoked revoked valid"
			if test.path == "/v1/organizations" {
				want = "unknown unknown unknown valid" // they went with it
			}
			if got := gateway.verdicts(keys[0].secret, keys[1].secret, keys[2].secret, bystander.secret); got != want {
				h.Errorf("verdicts %s, want %s", got, want)
			}
			events := root.do("GET", "/v1/events?everywhere=true&type=key.revoked&object="+keys[1].id, nil).must(200)
			noun := strings.TrimSuffix(strings.TrimPrefix(test.path, "/v1/"), "s")
			events.holds([]any{"data", 0}, object{"changes": object{"reason": "its " + noun + " was deleted"}})
			if test.path != "/v1/organizations" {
				root.do("GET", keys[1].path, nil).must(200).holds(nil, object{"state": "revoked"})
				root.do("GET", "/v1/keys?limit=100", nil).must(200)
			}
		})
	}
}

// Members are in the way as well, and are not swept along.
func TestDeleteWhatMembersHangOn(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	organization := root.do("POST", "/v1/organizations", object{"name": "O"}).must(201).text("id")
	inside := root.in(organization)
	project := inside.do("POST", "/v1/projects", object{"name": "P"}).must(201).text("id")
	role := inside.do("POST", "/v1/roles", object{"identifier": "writer", "name": "W"}).must(201).text("id")
	user := inside.do("POST", "/v1/users", object{"name": "U", "kind": "service", "roles": []object{{"role": role, "project_id": project}}}).must(201).text("id")
	for _, path := range []string{"/v1/projects/" + project, "/v1/roles/" + role, "/v1/organizations/" + organization} {
		for _, query := range []string{"", "?revoke_keys=true"} {
			a := inside.do("DELETE", path+query, nil)
			a.refused(409, latchkey.CodeConflict)
			if !strings.Contains(a.text("detail"), "1 user") {
				t.Errorf("%s: %s", path, a.Text)
			}
		}
	}
	inside.do("PATCH", "/v1/users/"+user, object{"roles": nil}).must(200)
	inside.do("DELETE", "/v1/projects/"+project, nil).must(200)
	inside.do("DELETE", "/v1/roles/"+role, nil).must(200)
	root.do("DELETE", "/v1/organizations/"+organization, nil).must(200) // a user without a role is in nobody's way
	inside.do("GET", "/v1/keys", nil).refused(404, latchkey.CodeNotFound)
}

// What every organization has stays.
func TestWhatStays(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	operator := "/v1/organizations/" + h.operator.Operator.Native(latchkey.KindOrganization)
	projects := root.do("GET", "/v1/projects", nil).must(200)
	projects.holds([]any{"data", 0}, object{"name": "default", "prefix": "lk", "environment": "live", "default": true})
	for _, query := range []string{"", "?revoke_keys=true"} {
		root.do("DELETE", operator+query, nil).refused(409, latchkey.CodeConflict)
		root.do("DELETE", "/v1/projects/"+projects.text("data", 0, "id")+query, nil).refused(409, latchkey.CodeConflict)
	}
	root.do("PATCH", operator, object{"state": "suspended"}).refused(409, latchkey.CodeConflict)
	if root.verify(h.root, nil) != "valid" {
		t.Error("the operator's own key was revoked")
	}
	for _, r := range latchkey.BuiltinRoles() {
		id := r.ID.Native(latchkey.KindRole)
		want := root.do("GET", "/v1/roles/"+r.Identifier, nil).must(200)
		want.holds(nil, object{
			"id": id, "organization_id": nil, "identifier": r.Identifier, "rank": float64(r.Rank), "builtin": true, "created_at": nil, "updated_at": nil, "created_by": nil,
		})
		if got := root.do("GET", "/v1/roles/"+id, nil).must(200); got.Text != want.Text {
			t.Errorf("%s by id: %s", r.Identifier, got.Text)
		}
		root.do("PATCH", "/v1/roles/"+id, object{"name": "Other"}).refused(409, latchkey.CodeConflict)
		root.do("DELETE", "/v1/roles/"+id+"?revoke_keys=true", nil).refused(409, latchkey.CodeConflict)
		root.do("PATCH", "/v1/roles/"+r.Identifier, object{"name": "Other"}).refused(404, latchkey.CodeNotFound)
	}
}

// A new organization has what it needs and nothing of anybody else's.
func TestNewOrganization(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	made := root.do("POST", "/v1/organizations", object{"name": "Tenant"}).must(201)
	id, err := latchkey.ParseNative(latchkey.KindOrganization, made.text("id"))
	if err != nil || made.text("uuid") != id.UUID() || made.text("hub_id") != id.Hex() {
		t.Errorf("%v: %s", err, made.Text)
	}
	inside := root.in(made.text("id"))
	for path, rows := range map[string]int{"/v1/keys": 0, "/v1/users": 0, "/v1/projects": 1, "/v1/roles": 16, "/v1/events": 1} {
		a := inside.do("GET", path+"?limit=100", nil).must(200)
		if got := len(a.at("data").([]any)); got != rows {
			t.Errorf("%s: %d rows, want %d: %s", path, got, rows, a.Text)
		}
	}
	inside.do("GET", "/v1/projects", nil).holds([]any{"data", 0}, object{"name": "default", "prefix": "lk", "environment": "live", "default": true, "retrievable": false, "forbid_retrievable": false})
	user := inside.do("POST", "/v1/users", object{"name": "First", "email": "first@example.com", "roles": []object{{"role": "owner"}}}).must(201).text("id")
	first := inside.newKey(object{"owner_id": user, "reach": "organization", "role": "owner"})
	own := h.as(first.secret)
	own.newKey(object{"name": "Their own"}).holds(inKey, object{"organization_id": made.text("id"), "created_by": user})
	own.do("GET", "/v1/organizations/"+made.text("id"), nil).must(200).holds(nil, object{"keys": 2.0})
}

// A service account has no address, and does not get one.
func TestServiceAccountsHaveNoAddress(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	path := "/v1/users/" + root.do("POST", "/v1/users", object{"name": "S", "kind": "service"}).must(201).text("id")
	root.do("PATCH", path, object{"email": "s@example.com"}).breaks(422, latchkey.CodeInvalid, "/email", "not_allowed")
}
