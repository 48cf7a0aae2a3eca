package rest_test

import (
	"crypto/rand"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/rest"
)

// What a verdict tells: who the key is only if its secret was right.
var (
	bareVerdict = []string{"as_of", "code", "node", "valid"}
	fullVerdict = []string{
		"as_of", "code", "environment", "expires_at", "key_id", "kid", "metadata", "node", "organization_id", "owner_id", "partner", "permissions", "project_id", "role", "signed", "valid",
	}
)

// wrongSecret is a well-formed key with the kid of another and not its secret.
func wrongSecret(key string) string {
	body := []byte(key[:len(key)-latchkey.CheckLen])
	last := &body[len(body)-1]
	if *last == '0' {
		*last = '1'
	} else {
		*last = '0'
	}
	return string(body) + latchkey.Checksum(string(body))
}

// nobodys is a well-formed key that was never issued.
func nobodys(t *testing.T) string {
	t.Helper()
	drawn, err := latchkey.NewKeyString(latchkey.FormatNative, "lk", latchkey.Live, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return drawn.Plaintext().Expose()
}

func TestEveryVerdict(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	suspended := root.do("POST", "/v1/users", object{"name": "S", "kind": "service"}).must(201).text("id")
	restricted := object{"restrictions": object{"addresses": []string{"10.0.0.0/8"}, "resources": object{"plant": []string{"a"}}}}
	organization := root.do("POST", "/v1/organizations", object{"name": "Other"}).must(201).text("id")

	live := root.newKey(object{"scopes": []string{"docs:read"}})
	revoked, disabled, ended := root.newKey(object{}), root.newKey(object{}), root.newKey(object{})
	root.do("POST", revoked.path+"/revoke", nil).must(200)
	root.do("PATCH", disabled.path, object{"enabled": false}).must(200)
	root.do("POST", ended.path+"/rotate", object{"overlap": "0s"}).must(200)
	owned := root.newKey(object{"owner_id": suspended})
	root.do("PATCH", "/v1/users/"+suspended, object{"state": "suspended"}).must(200)
	expired := root.newKey(object{"expires_at": "2001-01-01T00:00:00Z"})
	bound := root.newKey(restricted)

	reached := map[string]bool{}
	for _, test := range []struct {
		name, code, key string
		ask             object
		of              *made // who is told; nil for nobody
	}{
		{"valid", "valid", live.secret, nil, &live},
		{"valid with all that is asked", "valid", live.secret, object{"ip": "::1", "environment": "live", "scopes": []string{"docs:read"}, "resource": object{"type": "plant", "id": "a"}, "method": "GET", "host": "h", "path": "/p", "query": "q"}, &live},
		{"empty", "malformed", "", nil, nil},
		{"junk", "malformed", "junk", nil, nil},
		{"mistyped", "malformed", live.secret[:len(live.secret)-1] + "!", nil, nil},
		{"cut off", "malformed", live.secret[:len(live.secret)-1], nil, nil},
		{"a space around it", "malformed", " " + live.secret, nil, nil},
		{"in another case", "malformed", strings.ToUpper(live.secret), nil, nil},
		{"its id", "malformed", live.id, nil, nil},
		{"its public part", "malformed", strings.TrimSuffix(live.text("key", "masked"), "..."), nil, nil},
		{"very long", "malformed", strings.Repeat("k", 10_000), nil, nil},
		{"never issued", "unknown", nobodys(t), nil, nil},
		{"a wrong secret", "unknown", wrongSecret(live.secret), nil, nil},
		{"a wrong secret of a revoked key", "unknown", wrongSecret(revoked.secret), nil, nil},
		{"another organization's", "unknown", root.in(organization).newKey(object{}).secret, nil, nil},
		{"revoked", "revoked", revoked.secret, nil, &revoked},
		{"disabled", "disabled", disabled.secret, nil, &disabled},
		{"of a suspended user", "disabled", owned.secret, nil, &owned},
		{"expired", "expired", expired.secret, nil, &expired},
		{"rotated out", "expired", ended.secret, nil, &ended},
		{"for the other environment", "wrong_environment", live.secret, object{"environment": "test"}, &live},
		{"from elsewhere", "ip_not_allowed", bound.secret, object{"ip": "192.0.2.1"}, &bound},
		{"from nobody knows where", "ip_not_allowed", bound.secret, nil, &bound},
		{"for another object", "resource_not_allowed", bound.secret, object{"ip": "10.1.2.3", "resource": object{"type": "plant", "id": "b"}}, &bound},
		{"without the scope", "insufficient_scope", live.secret, object{"scopes": []string{"docs:write"}}, &live},
	} {
		h.run(test.name, func() {
			ask := with(object{}, "key", test.key)
			maps.Copy(ask, test.ask)
			v := root.do("POST", "/v1/keys/verify", ask).must(200)
			if v.text("code") != test.code || v.at("valid") != (test.code == "valid") || v.text("node") != "test" {
				h.Errorf("want %s: %s", test.code, v.Text)
			}
			asOf, err := time.Parse(time.RFC3339, v.text("as_of"))
			if err != nil || h.now().Sub(asOf) > time.Minute || asOf.After(h.now()) {
				h.Errorf("as of %s", v.text("as_of"))
			}
			names := bareVerdict
			if test.of != nil {
				names = fullVerdict
				if test.of == &bound {
					names = slices.Sorted(slices.Values(append(slices.Clone(names), "resources")))
				}
				key := func(name string) any { return test.of.at("key", name) }
				v.holds(nil, object{
					"key_id": test.of.id, "kid": test.of.at("key", "secrets", 0, "kid"), "organization_id": key("organization_id"), "project_id": key("project_id"),
					"environment": "live", "owner_id": key("owner_id"), "partner": nil, "role": nil, "metadata": object{}, "permissions": key("scopes"),
				})
			}
			if got := slices.Sorted(maps.Keys(v.JSON)); !slices.Equal(got, names) {
				h.Errorf("tells %v, want %v", got, names)
			}
			// A batch and an explanation say the same.
			batch := root.do("POST", "/v1/keys/batch-verify", object{"items": []object{ask}}).must(200)
			explained := root.do("POST", "/v1/keys/explain", ask).must(200)
			if len(explained.at("checks").([]any)) != 11 {
				h.Errorf("%s", explained.Text)
			}
			delete(explained.JSON, "checks")
			one, _ := batch.at("results", 0).(map[string]any)
			for _, other := range []object{one, explained.JSON} {
				if other["as_of"] = v.at("as_of"); !reflect.DeepEqual(other, v.JSON) {
					h.Errorf("%v\nverified alone\n%s", other, v.Text)
				}
			}
			reached[test.code] = true
		})
	}
	// What is left of the closed set cannot be reached yet, save when the store is gone.
	notYet := []string{"signature_required", "signature_invalid", "rate_limited", "quota_exceeded", "unavailable"}
	for _, code := range latchkey.Codes() {
		if reached[string(code)] == slices.Contains(notYet, string(code)) {
			t.Errorf("%s: reached %v", code, reached[string(code)])
		}
	}
}

// The first check that fails decides, in the order of the documentation.
func TestVerdictsHaveAnOrder(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	k := root.newKey(object{"expires_at": "2001-01-01T00:00:00Z", "restrictions": object{"addresses": []string{"10.0.0.1"}, "resources": object{"plant": []string{}}}})
	root.do("PATCH", k.path, object{"enabled": false}).must(200)
	ask := object{"environment": "test", "ip": "10.0.0.2", "resource": object{"type": "plant", "id": "a"}, "scopes": []string{"docs:read"}}
	want := func(code string) {
		h.Helper()
		if got := root.verify(k.secret, ask); got != code {
			h.Errorf("verdict %s, want %s", got, code)
		}
	}
	want("disabled")
	root.do("PATCH", k.path, object{"enabled": true}).must(200)
	want("expired")
	root.do("PATCH", k.path, object{"expires_at": nil}).must(200)
	want("wrong_environment")
	delete(ask, "environment")
	want("ip_not_allowed")
	ask["ip"] = "10.0.0.1"
	want("resource_not_allowed")
	delete(ask, "resource")
	want("insufficient_scope")
	delete(ask, "scopes")
	want("valid")
	root.do("POST", k.path+"/revoke", nil).must(200)
	ask["environment"], ask["ip"] = "test", "10.0.0.2"
	want("revoked")
}

func TestVerifyAddresses(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	k := root.newKey(object{"restrictions": object{"addresses": []string{"10.1.2.3/8", "::ffff:192.0.2.7", "2001:DB8::/32", "::1"}}})
	free := root.newKey(object{})
	for ip, code := range map[string]string{
		"10.0.0.0": "valid", "10.255.255.255": "valid", "11.0.0.0": "ip_not_allowed", "::ffff:10.0.0.1": "valid", "::FFFF:10.0.0.1": "valid", "::ffff:0a00:0001": "valid",
		"192.0.2.7": "valid", "::ffff:192.0.2.7": "valid", "192.0.2.8": "ip_not_allowed", "2001:db8::": "valid", "2001:0db8:0000::ffff": "valid", "2001:db9::": "ip_not_allowed",
		"::1": "valid", "::": "ip_not_allowed", "127.0.0.1": "ip_not_allowed", "::10.0.0.1": "ip_not_allowed", "0.0.0.0": "ip_not_allowed",
	} {
		if got := root.verify(k.secret, object{"ip": ip}); got != code {
			t.Errorf("from %s: %s, want %s", ip, got, code)
		}
		if got := root.verify(free.secret, object{"ip": ip}); got != "valid" {
			t.Errorf("from %s without a list: %s", ip, got)
		}
	}
	if got := root.verify(k.secret, object{"ip": nil}); got != "ip_not_allowed" {
		t.Errorf("from nowhere: %s", got)
	}
	// The address of whoever asks is not the client's.
	if got := root.with("X-Forwarded-For", "10.0.0.1").verify(k.secret, nil); got != "ip_not_allowed" {
		t.Errorf("by a header: %s", got)
	}
}

func TestVerifyScopes(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	all := func(s ...string) any { return object{"all": s} }
	either := func(s ...string) any { return object{"any": s} }
	for _, test := range []struct {
		held []string
		ask  any
		code string
	}{
		{[]string{"docs:read"}, []string{"docs:read"}, "valid"},
		{[]string{"docs:read"}, []string{}, "valid"},
		{[]string{}, []string{}, "valid"},
		{[]string{}, nil, "valid"},
		{[]string{}, object{}, "valid"},
		{[]string{}, []string{"docs:read"}, "insufficient_scope"},
		{[]string{"docs:read"}, []string{"docs:read", "docs:write"}, "insufficient_scope"},
		{[]string{"docs:write", "docs:read"}, []string{"docs:read", "docs:write"}, "valid"},
		{[]string{"docs:read"}, all("docs:read"), "valid"},
		{[]string{"docs:read"}, all("docs:read", "docs:write"), "insufficient_scope"},
		{[]string{"docs:read"}, either("docs:write", "docs:read"), "valid"},
		{[]string{"docs:read"}, either("docs:write", "docs:delete"), "insufficient_scope"},
		{[]string{"a", "b"}, object{"all": []string{"a"}, "any": []string{"b", "c"}}, "valid"},
		{[]string{"a"}, object{"all": []string{"a"}, "any": []string{"b", "c"}}, "insufficient_scope"},
		{[]string{"b"}, object{"all": []string{"a"}, "any": []string{"b", "c"}}, "insufficient_scope"},
		{[]string{"docs:*"}, []string{"docs:read", "docs:", "docs:a:b", "docs:*"}, "valid"},
		{[]string{"docs:*"}, []string{"doc:read"}, "insufficient_scope"},
		{[]string{"docs:*"}, []string{"*"}, "insufficient_scope"},
		{[]string{"docs:*"}, []string{"docs*"}, "insufficient_scope"},
		{[]string{"*"}, []string{"anything", "*"}, "valid"},
		{[]string{"docs:read"}, []string{"docs:*"}, "insufficient_scope"},
		{[]string{"docs:*:own"}, []string{"docs:read:own"}, "insufficient_scope"},
		{[]string{"docs:*:own"}, []string{"docs:*:own"}, "valid"},
		{[]string{"docs:read"}, []string{"Docs:read"}, "insufficient_scope"},
		{[]string{"docs:read"}, []string{"docs:rea"}, "insufficient_scope"},
		{[]string{"grant:docs:*"}, []string{"docs:read"}, "insufficient_scope"},
	} {
		k := root.newKey(object{"scopes": test.held})
		if got := root.verify(k.secret, object{"scopes": test.ask}); got != test.code {
			t.Errorf("%v asked for %v: %s, want %s", test.held, test.ask, got, test.code)
		}
	}
}

func TestVerifyResources(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	k := root.newKey(object{"restrictions": object{"resources": object{"plant": []string{"3F2504E0-4F89-11D3-9A0C-0305E82C3301"}, "site": []string{"North", "b"}, "meter": []string{}}}})
	for _, test := range []struct{ kind, id, code string }{
		{"plant", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "valid"},
		{"plant", "3F2504E0-4F89-11D3-9A0C-0305E82C3301", "valid"}, // UUIDs have no case
		{"plant", "3f2504e0-4f89-11d3-9a0c-0305e82c3302", "resource_not_allowed"},
		{"site", "North", "valid"},
		{"site", "north", "resource_not_allowed"},
		{"site", "North ", "resource_not_allowed"},
		{"Site", "elsewhere", "valid"}, // a type that the key does not name is unrestricted
		{"meter", "any", "resource_not_allowed"},
		{"PLANT", "any", "valid"},
	} {
		if got := root.verify(k.secret, object{"resource": object{"type": test.kind, "id": test.id}}); got != test.code {
			t.Errorf("%s %s: %s, want %s", test.kind, test.id, got, test.code)
		}
	}
	if got := root.verify(k.secret, nil); got != "valid" {
		t.Errorf("without naming any: %s", got)
	}
	explained := root.do("POST", "/v1/keys/explain", object{"key": k.secret}).must(200)
	explained.holds([]any{"checks", 9}, object{"name": "resource", "outcome": "not_asked", "detail": "the request names no resource, so the key's resource restriction was not looked at"})
}

// Who may learn of which keys: what is beyond is unknown.
func TestVerifyWithinReach(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	project := root.do("POST", "/v1/projects", object{"name": "P"}).must(201).text("id")
	other := root.in(root.do("POST", "/v1/organizations", object{"name": "O"}).must(201).text("id"))
	verifier := []string{"api_key:verify"}
	keys := map[string]string{
		"default": root.newKey(object{}).secret, "project": root.newKey(object{"project_id": project}).secret,
		"wide": root.newKey(object{"project_id": project, "reach": "organization"}).secret, "other": other.newKey(object{}).secret,
		"all": root.newKey(object{"reach": "all", "scopes": verifier}).secret,
	}
	for _, test := range []struct {
		name string
		as   caller
		sees []string
	}{
		{"the organization's", root, []string{"default", "project", "wide"}},
		{"a project's", h.as(root.newKey(object{"project_id": project, "scopes": verifier}).secret), []string{"project"}},
		{"the default project's", h.as(root.newKey(object{"scopes": verifier}).secret), []string{"default"}},
		{"another organization's", h.as(other.newKey(object{"scopes": verifier, "reach": "organization"}).secret), []string{"other"}},
		{"the operator, acting in another", other, []string{"other"}},
		{"one gateway in front of all", h.as(keys["all"]), []string{"default", "project", "wide", "other", "all"}},
		{"the socket", h.operatorSocket(), []string{"default", "project", "wide"}},
	} {
		for name, secret := range keys {
			want := "unknown"
			if slices.Contains(test.sees, name) {
				want = "valid"
			}
			if got := test.as.verify(secret, nil); got != want {
				t.Errorf("%s asks about %s: %s, want %s", test.name, name, got, want)
			}
		}
	}
}

// What a key may do is read live: its owner, its organization, its role.
func TestVerdictsFollowAtOnce(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	organization := root.do("POST", "/v1/organizations", object{"name": "O"}).must(201).text("id")
	inside := root.in(organization)
	user := inside.do("POST", "/v1/users", object{"name": "U", "kind": "service"}).must(201).text("id")
	role := inside.do("POST", "/v1/roles", object{"identifier": "writer", "name": "W", "permissions": []string{"docs:write"}}).must(201).text("id")
	owned, held := inside.newKey(object{"owner_id": user}), inside.newKey(object{"role": "writer"})
	ask := object{"scopes": []string{"docs:write"}}
	want := func(when, ofOwned, ofHeld string) {
		h.Helper()
		if a, b := inside.verify(owned.secret, ask), inside.verify(held.secret, ask); a != ofOwned || b != ofHeld {
			h.Errorf("%s: %s and %s, want %s and %s", when, a, b, ofOwned, ofHeld)
		}
	}
	change := func(path string, patch object) { inside.do("PATCH", path, patch).must(200) }
	want("a user without a role", "insufficient_scope", "valid")
	change("/v1/users/"+user, object{"roles": []object{{"role": "writer"}}})
	want("the user has the role", "valid", "valid")
	change("/v1/roles/"+role, object{"permissions": []string{"docs:read"}})
	want("the role lost it", "insufficient_scope", "insufficient_scope")
	change("/v1/roles/"+role, object{"permissions": []string{"docs:*"}})
	want("the role has it again", "valid", "valid")
	change("/v1/users/"+user, object{"state": "suspended"})
	want("the user is suspended", "disabled", "valid")
	inside.do("GET", owned.path, nil).must(200).holds(nil, object{"state": "disabled", "enabled": true})
	change("/v1/users/"+user, object{"state": "active"})
	want("the user is back", "valid", "valid")
	change("/v1/users/"+user, object{"roles": []object{{"role": "writer", "project_id": owned.text("key", "project_id")}}})
	want("a role in the project", "valid", "valid")
	change("/v1/users/"+user, object{"roles": nil})
	want("no roles", "insufficient_scope", "valid")
	root.do("PATCH", "/v1/organizations/"+organization, object{"state": "suspended"}).must(200)
	want("the organization is suspended", "disabled", "disabled")
	root.do("PATCH", "/v1/organizations/"+organization, object{"state": "active"}).must(200)
	want("the organization is back", "insufficient_scope", "valid")
	inside.do("DELETE", "/v1/users/"+user+"?revoke_keys=true", nil).must(200)
	want("the user is deleted", "revoked", "valid")
}

func TestBatchVerifyKeepsTheOrder(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	keys := list(10, func(int) made { return root.newKey(object{"scopes": []string{"docs:read"}}) })
	var items []object
	var want []string
	for i := range 100 {
		k := keys[(i*7)%10]
		switch i % 4 {
		case 0:
			items, want = append(items, object{"key": k.secret}), append(want, "valid "+k.id)
		case 1:
			items, want = append(items, object{"key": fmt.Sprint("junk ", i)}), append(want, "malformed ")
		case 2:
			items, want = append(items, object{"key": k.secret, "scopes": []string{"docs:write"}}), append(want, "insufficient_scope "+k.id)
		default:
			items, want = append(items, object{"key": wrongSecret(k.secret)}), append(want, "unknown ")
		}
	}
	a := root.do("POST", "/v1/keys/batch-verify", object{"items": items}).must(200)
	for i := range items {
		if got := a.text("results", i, "code") + " " + a.text("results", i, "key_id"); got != want[i] {
			t.Errorf("%d: %s, want %s", i, got, want[i])
		}
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	k := root.newKey(object{"scopes": []string{"docs:read"}, "restrictions": object{"addresses": []string{"10.0.0.1"}, "resources": object{"plant": []string{"a"}}}})
	names := []string{"shape", "kid", "digest", "revoked", "disabled", "expired", "environment", "address", "signature", "resource", "scopes"}
	outcomes := func(ask object) string {
		h.Helper()
		a := root.do("POST", "/v1/keys/explain", ask).must(200)
		var got []string
		for i, name := range names {
			if a.text("checks", i, "name") != name || a.text("checks", i, "detail") == "" {
				h.Fatalf("check %d: %s", i, a.Text)
			}
			got = append(got, a.text("checks", i, "outcome"))
		}
		return strings.Join(got, " ")
	}
	const reached = "passed passed passed "
	for _, test := range []struct {
		ask  object
		want string
	}{
		{object{"key": k.secret, "ip": "10.0.0.1"}, reached + "passed passed passed not_asked passed not_asked not_asked not_asked"},
		{object{"key": k.secret, "ip": "10.0.0.1", "environment": "live", "scopes": []string{"docs:read"}, "resource": object{"type": "plant", "id": "a"}}, reached + "passed passed passed passed passed not_asked passed passed"},
		// Every check is made, though the first that fails decides.
		{object{"key": k.secret, "environment": "test", "scopes": []string{"docs:write"}, "resource": object{"type": "plant", "id": "b"}}, reached + "passed passed passed failed failed not_asked failed failed"},
		{object{"key": k.secret, "ip": "10.0.0.1", "resource": object{"type": "site", "id": "b"}}, reached + "passed passed passed not_asked passed not_asked not_asked not_asked"},
		// Nothing is told of a key whose secret was not right.
		{object{"key": "junk"}, "failed" + strings.Repeat(" not_reached", 10)},
		{object{"key": nobodys(t)}, "passed failed" + strings.Repeat(" not_reached", 9)},
		{object{"key": wrongSecret(k.secret)}, "passed passed failed" + strings.Repeat(" not_reached", 8)},
	} {
		if got := outcomes(test.ask); got != test.want {
			t.Errorf("%v:\n%s, want\n%s", test.ask, got, test.want)
		}
	}
	root.do("POST", k.path+"/revoke", nil).must(200)
	if got, want := outcomes(object{"key": k.secret, "ip": "10.0.0.2"}), reached+"failed passed passed not_asked failed not_asked not_asked not_asked"; got != want {
		t.Errorf("revoked: %s, want %s", got, want)
	}
}

// A use is seen soon after; an explanation, a refusal and a listing are no uses.
func TestLastUse(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	used, caller, unused, refused := root.newKey(object{}), root.newKey(object{"role": "reader"}), root.newKey(object{}), root.newKey(object{})
	second := root.do("POST", used.path+"/rotate", nil).must(200).text("secret")
	lastUsed := func(k made, secret int) any {
		return root.do("GET", k.path, nil).must(200).at("secrets", secret, "last_used_at")
	}
	h.advance(time.Hour)
	first := root.do("POST", "/v1/keys/verify", object{"key": used.secret}).must(200)
	root.do("POST", "/v1/keys/explain", object{"key": unused.secret}).must(200)
	root.do("GET", unused.path, nil).must(200)
	root.verify(refused.secret, object{"scopes": []string{"docs:read"}})
	h.as(caller.secret).do("GET", "/v1/keys", nil).refused(403, latchkey.CodeForbidden) // its credential was good all the same
	h.flush()
	if got := lastUsed(used, 0); got != first.text("as_of") {
		t.Errorf("used at %v, verified as of %s", got, first.text("as_of"))
	}
	root.do("GET", used.path, nil).must(200).holds(nil, object{"last_used_at": first.text("as_of")})
	if got := lastUsed(used, 1); got != nil {
		t.Errorf("the other secret was used at %v", got)
	}
	if lastUsed(caller, 0) == nil || lastUsed(unused, 0) != nil || lastUsed(refused, 0) != nil {
		t.Errorf("caller %v, explained %v, refused %v", lastUsed(caller, 0), lastUsed(unused, 0), lastUsed(refused, 0))
	}
	head := h.head()
	h.advance(time.Hour)
	later := root.do("POST", "/v1/keys/batch-verify", object{"items": []object{{"key": used.secret}, {"key": second}}}).must(200)
	h.flush()
	if got := lastUsed(used, 1); got != later.text("results", 1, "as_of") {
		t.Errorf("the second secret was used at %v", got)
	}
	if got := lastUsed(used, 0); got != later.text("results", 0, "as_of") || h.head() != head {
		t.Errorf("used at %v; %d events", got, h.head()-head)
	}
}

// Every verdict that is given is told to the metrics, once.
func TestVerdictsAreCounted(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	counted := map[latchkey.Code]int{}
	h := open(t, func(c *rest.Config) {
		c.ObserveVerdict = func(code latchkey.Code) {
			mu.Lock()
			defer mu.Unlock()
			counted[code]++
		}
	})
	root := h.as(h.root)
	k := root.newKey(object{})
	root.verify(k.secret, nil)
	root.verify("junk", nil)
	root.do("POST", "/v1/keys/batch-verify", object{"items": []object{{"key": k.secret}, {"key": "junk"}, {"key": nobodys(t)}}}).must(200)
	root.do("POST", "/v1/keys/explain", object{"key": k.secret}).must(200)
	root.do("POST", "/v1/keys/verify", object{"key": k.secret, "ip": "x"}).must(422)
	mu.Lock()
	defer mu.Unlock()
	if want := (map[latchkey.Code]int{"valid": 2, "malformed": 2, "unknown": 1}); !maps.Equal(counted, want) {
		t.Errorf("counted %v, want %v", counted, want)
	}
}
