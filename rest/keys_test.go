package rest_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/rest"
)

// made is a key that was created in a test.
type made struct {
	answer
	id, path, secret string
}

// key creates a key; without a name it gets one.
func (c caller) newKey(in object) made {
	c.h.Helper()
	if in["name"] == nil {
		in = with(in, "name", "A key")
	}
	a := c.do("POST", "/v1/keys", in).must(201)
	return made{a, a.text("key", "id"), "/v1/keys/" + a.text("key", "id"), a.text("secret")}
}

// holds fails the test unless the answer has these values at these places.
func (a answer) holds(at []any, want object) {
	a.h.Helper()
	got, _ := a.at(at...).(map[string]any)
	for name, value := range want {
		if !reflect.DeepEqual(got[name], value) {
			a.h.Errorf("%s is %#v, want %#v\n%s", name, got[name], value, a.Text)
		}
	}
}

var inKey = []any{"key"}

func TestCreateWithDefaults(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	k := root.newKey(object{"name": "Plain"})
	parsed, err := latchkey.ParseKeyString(k.secret)
	if err != nil || parsed.Prefix != "lk" || parsed.Environment != latchkey.Live {
		t.Fatalf("the secret is no key string of ours: %v", err)
	}
	org := h.operator.Operator.Native(latchkey.KindOrganization)
	k.holds(inKey, object{
		"organization_id": org, "reach": "project", "name": "Plain", "environment": "live", "owner_id": nil, "partner": nil, "role": nil,
		"scopes": []any{}, "restrictions": object{"addresses": []any{}, "resources": object{}}, "state": "live", "enabled": true, "retrievable": false,
		"masked": parsed.PublicPart() + "...", "rotation": nil, "metadata": object{}, "expires_at": nil, "last_used_at": nil,
		"created_by": h.operator.Owner.Native(latchkey.KindUser),
		"secrets":    []any{object{"kid": string(parsed.KID), "created_at": k.text("key", "created_at"), "expires_at": nil, "last_used_at": nil}},
	})
	k.holds(nil, object{"usable": "everywhere", "position": float64(h.head())})
	if k.text("key", "updated_at") != k.text("key", "created_at") || !strings.HasPrefix(k.secret, strings.TrimSuffix(k.text("key", "masked"), "...")) {
		t.Errorf("%s", k.Text)
	}
	if project := root.do("GET", "/v1/projects/"+k.text("key", "project_id"), nil).must(200); project.at("default") != true {
		t.Errorf("made in %s", project.Text)
	}
	got := root.do("GET", k.path, nil).must(200)
	if !reflect.DeepEqual(got.at(), k.at("key")) {
		t.Errorf("read\n%s\nmade\n%s", got.Text, k.Text)
	}
	if strings.Contains(got.Text+root.do("GET", "/v1/keys", nil).Text+root.do("GET", "/v1/events", nil).Text, k.secret) {
		t.Error("the secret is told again")
	}
	// An explicit null is as good as nothing.
	nulls := object{}
	for _, name := range []string{"project_id", "reach", "owner_id", "partner", "role", "scopes", "restrictions", "expires_at", "metadata"} {
		nulls[name] = nil
	}
	root.newKey(nulls).holds(inKey, object{"reach": "project", "owner_id": nil, "role": nil, "scopes": []any{}, "expires_at": nil, "metadata": object{}})
}

func TestCreateWithEverything(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	project := root.do("POST", "/v1/projects", object{"name": "Acme", "prefix": "acme", "environment": "test", "retrievable": true}).must(201).text("id")
	user := root.do("POST", "/v1/users", object{"name": "Ada", "email": "ada@example.com"}).must(201).text("id")
	role := root.do("POST", "/v1/roles", object{"identifier": "writer", "name": "Writer", "permissions": []string{"docs:write"}}).must(201)
	k := root.do("POST", "/v1/keys", `{
		"name": "Ünïcödé 💡 <b>&amp;</b>", "project_id": "`+project+`", "reach": "organization", "owner_id": "`+user+`", "partner": "Partner & Söhne",
		"role": "`+role.text("id")+`", "scopes": ["docs:read", "b:*", "docs:read", "a"], "retrievable": true, "expires_at": "2199-07-08T09:10:11.987654+02:00",
		"restrictions": {"addresses": ["10.1.2.3/8", "2001:DB8::1", "::ffff:192.0.2.1"], "resources": {"plant": ["B", "a", "b"], "Site": ["Z", "A", "Z"], "none": []}},
		"metadata": {"z": 12345678901234567890.10, "a": [null, true, {"deep": "ö"}], "empty": {}, "\u007e": "\u0041"}
	}`).must(201)
	k.holds(inKey, object{
		"name": "Ünïcödé 💡 <b>&amp;</b>", "project_id": project, "reach": "organization", "environment": "test", "owner_id": user, "partner": "Partner & Söhne",
		"role": "writer", "scopes": []any{"docs:read", "b:*", "a"}, "retrievable": true, "expires_at": "2199-07-08T07:10:11.987Z", "state": "live",
		"restrictions": object{
			"addresses": []any{"10.1.2.3/8", "2001:DB8::1", "::ffff:192.0.2.1"}, // as given
			"resources": object{"plant": []any{"a", "b"}, "Site": []any{"A", "Z"}, "none": []any{}},
		},
	})
	for _, want := range []string{`"z":12345678901234567890.10`, `"a":[null,true,{"deep":"ö"}]`, `"empty":{}`, `<b>&amp;</b>`} {
		if !strings.Contains(k.Text, want) {
			t.Errorf("the answer lacks %s: %s", want, k.Text)
		}
	}
	if !strings.HasPrefix(k.text("secret"), "acme_test_") {
		t.Errorf("a key of the project begins with %.10s", k.text("secret"))
	}
	path := "/v1/keys/" + k.text("key", "id")
	if got := root.do("GET", path, nil).must(200); !reflect.DeepEqual(got.at(), k.at("key")) {
		t.Errorf("read\n%s\nmade\n%s", got.Text, k.Text)
	}
	root.do("GET", "/v1/events?type=key.created&object="+k.text("key", "id"), nil).must(200).holds([]any{"data", 0, "changes"}, object{
		"name": "Ünïcödé 💡 <b>&amp;</b>", "project_id": project, "reach": "organization", "role": "writer", "owner_id": user, "partner": "Partner & Söhne",
		"kid": k.text("key", "secrets", 0, "kid"), "scopes": []any{"docs:read", "b:*", "a"}, "expires_at": "2199-07-08T07:10:11.987Z",
	})
}

// An expired key can be made, and says what it is.
func TestCreateExpired(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	k := root.newKey(object{"expires_at": h.now().Add(-time.Second).Format(time.RFC3339Nano)})
	k.holds(inKey, object{"state": "expired"})
	if code := root.verify(k.secret, nil); code != "expired" {
		t.Errorf("verdict %s", code)
	}
}

func TestUpdateEveryMember(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	later := h.now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05.000Z")
	full := func() made {
		return root.newKey(object{
			"name": "Full", "role": "reader", "scopes": []string{"docs:read"}, "expires_at": later, "metadata": object{"a": 1},
			"restrictions": object{"addresses": []string{"10.0.0.1"}, "resources": object{"plant": []string{"a"}}},
		})
	}
	restricted := func(addresses, resources any) object { return object{"addresses": addresses, "resources": resources} }
	for _, test := range []struct {
		name    string
		patch   object
		want    object
		changed []string // what the event tells
	}{
		{"name", object{"name": "Other"}, object{"name": "Other"}, []string{"name"}},
		{"role", object{"role": "manager"}, object{"role": "manager"}, []string{"role"}},
		{"no role", object{"role": nil}, object{"role": nil}, []string{"role"}},
		{"scopes", object{"scopes": []string{"b", "a", "b"}}, object{"scopes": []any{"b", "a"}}, []string{"scopes"}},
		{"empty scopes", object{"scopes": []string{}}, object{"scopes": []any{}}, []string{"scopes"}},
		{"no scopes", object{"scopes": nil}, object{"scopes": []any{}}, []string{"scopes"}},
		{"addresses", object{"restrictions": object{"addresses": []string{"::1", "10.0.0.0/8"}}}, object{"restrictions": restricted([]any{"::1", "10.0.0.0/8"}, object{"plant": []any{"a"}})}, []string{"addresses"}},
		{"empty addresses", object{"restrictions": object{"addresses": []string{}}}, object{"restrictions": restricted([]any{}, object{"plant": []any{"a"}})}, []string{"addresses"}},
		{"no addresses", object{"restrictions": object{"addresses": nil}}, object{"restrictions": restricted([]any{}, object{"plant": []any{"a"}})}, []string{"addresses"}},
		{"resources", object{"restrictions": object{"resources": object{"site": []string{}}}}, object{"restrictions": restricted([]any{"10.0.0.1"}, object{"site": []any{}})}, []string{"resources"}},
		{"no resources", object{"restrictions": object{"resources": nil}}, object{"restrictions": restricted([]any{"10.0.0.1"}, object{})}, []string{"resources"}},
		{"no restrictions", object{"restrictions": nil}, object{"restrictions": restricted([]any{}, object{})}, []string{"addresses", "resources"}},
		{"untouched restrictions", object{"restrictions": object{}, "name": "Other"}, object{"restrictions": restricted([]any{"10.0.0.1"}, object{"plant": []any{"a"}})}, []string{"name"}},
		{"disabled", object{"enabled": false}, object{"enabled": false, "state": "disabled"}, []string{"enabled"}},
		{"expiry", object{"expires_at": "2199-01-01T00:00:00+01:00"}, object{"expires_at": "2198-12-31T23:00:00.000Z"}, []string{"expires_at"}},
		{"no expiry", object{"expires_at": nil}, object{"expires_at": nil}, []string{"expires_at"}},
		{"past expiry", object{"expires_at": "1999-01-01T00:00:00Z"}, object{"state": "expired"}, []string{"expires_at"}},
		{"metadata", object{"metadata": object{"b": []int{2}}}, object{"metadata": object{"b": []any{2.0}}}, []string{"metadata"}},
		{"no metadata", object{"metadata": nil}, object{"metadata": object{}}, []string{"metadata"}},
		{"several", object{"name": "Other", "enabled": false, "scopes": nil}, object{"name": "Other", "enabled": false, "scopes": []any{}}, []string{"enabled", "name", "scopes"}},
	} {
		h.run(test.name, func() {
			k := full()
			a := root.do("PATCH", k.path, test.patch).must(200)
			a.holds(inKey, test.want)
			a.holds(nil, object{"effective": "everywhere", "position": float64(h.head())})
			unchanged, _ := k.at("key").(map[string]any)
			for name, value := range unchanged {
				if _, meant := test.want[name]; !meant && name != "updated_at" && name != "state" && !slices.Contains(test.changed, name) {
					a.holds(inKey, object{name: value})
				}
			}
			if got := root.do("GET", k.path, nil).must(200); !reflect.DeepEqual(got.at(), a.at("key")) {
				h.Errorf("read\n%s\nanswered\n%s", got.Text, a.Text)
			}
			events := root.do("GET", "/v1/events?type=key.updated&object="+k.id, nil).must(200)
			changes, _ := events.at("data", 0, "changes").(map[string]any)
			if got := slices.Sorted(maps.Keys(changes)); !slices.Equal(got, test.changed) || events.at("data", 1) != nil {
				h.Errorf("the event tells %v, want %v", got, test.changed)
			}
			// The same again is no change.
			head := h.head()
			again := root.do("PATCH", k.path, test.patch).must(200)
			if again.Header.Get("ETag") != a.Header.Get("ETag") || again.at("position") != a.at("position") || h.head() != head {
				h.Errorf("the same again made ETag %s of %s, head %d of %d", again.Header.Get("ETag"), a.Header.Get("ETag"), h.head(), head)
			}
		})
	}
}

func TestEmptyUpdateChangesNothing(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	k := root.newKey(object{"scopes": []string{"a"}, "metadata": object{"b": 1}})
	root.newKey(object{"name": "Another, so that the head is further"})
	head := h.head()
	a := root.do("PATCH", k.path, object{}).must(200)
	if !reflect.DeepEqual(a.at("key"), k.at("key")) || a.Header.Get("ETag") != k.Header.Get("ETag") || h.head() != head || a.at("position") != k.at("position") {
		t.Errorf("made\n%s\nnow\n%s", k.Text, a.Text)
	}
}

// What an update takes away is gone at once, and what it gives is there.
func TestUpdateIsEffectiveAtOnce(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	k := root.newKey(object{"scopes": []string{"docs:*"}})
	ask := object{"scopes": []string{"docs:read"}, "ip": "10.0.0.1", "resource": object{"type": "plant", "id": "a"}}
	for _, step := range []struct {
		patch object
		code  string
	}{
		{object{}, "valid"},
		{object{"enabled": false}, "disabled"},
		{object{"enabled": true}, "valid"},
		{object{"scopes": []string{"docs:write"}}, "insufficient_scope"},
		{object{"scopes": []string{"docs:read"}}, "valid"},
		{object{"restrictions": object{"addresses": []string{"10.0.0.2"}}}, "ip_not_allowed"},
		{object{"restrictions": object{"addresses": []string{"10.0.0.0/8"}}}, "valid"},
		{object{"restrictions": object{"resources": object{"plant": []string{}}}}, "resource_not_allowed"},
		{object{"restrictions": nil}, "valid"},
		{object{"expires_at": "2001-01-01T00:00:00Z"}, "expired"},
		{object{"expires_at": nil}, "valid"},
		{object{"scopes": nil, "role": "reader"}, "insufficient_scope"},
		{object{"role": "owner"}, "valid"},
	} {
		root.do("PATCH", k.path, step.patch).must(200)
		if code := root.verify(k.secret, ask); code != step.code {
			t.Fatalf("after %v: %s, want %s", step.patch, code, step.code)
		}
	}
}

func TestRevokedKeyStaysAsItIs(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	k := root.newKey(object{})
	revoked := root.do("POST", k.path+"/revoke", object{"reason": "leaked", "wait": "0s"}).must(200)
	revoked.holds(inKey, object{"state": "revoked"})
	head := h.head()
	for _, patch := range []object{{"name": "Other"}, {"enabled": true}, {"expires_at": nil}, {}} {
		root.do("PATCH", k.path, patch).refused(409, latchkey.CodeConflict)
	}
	root.do("POST", k.path+"/rotate", nil).refused(409, latchkey.CodeConflict)
	root.do("POST", k.path+"/rotation/complete", nil).refused(409, latchkey.CodeConflict)
	root.do("POST", k.path+"/rotation/cancel", nil).refused(409, latchkey.CodeConflict)
	root.do("POST", k.path+"/reveal", object{"reason": "x"}).refused(409, latchkey.CodeConflict)
	// To revoke it again succeeds and changes nothing, the reason included.
	for _, again := range []answer{root.do("POST", k.path+"/revoke", object{"reason": "other"}), root.do("DELETE", k.path, nil), root.do("POST", k.path+"/revoke", nil)} {
		again.must(200)
		if !reflect.DeepEqual(again.at("key"), revoked.at("key")) || again.at("position") != revoked.at("position") || again.Header.Get("ETag") != revoked.Header.Get("ETag") {
			t.Errorf("revoked\n%s\nagain\n%s", revoked.Text, again.Text)
		}
	}
	if h.head() != head {
		t.Errorf("%d events", h.head()-head)
	}
	events := root.do("GET", "/v1/events?type=key.revoked&object="+k.id, nil).must(200)
	events.holds([]any{"data", 0}, object{"position": revoked.at("position"), "changes": object{"reason": "leaked"}})
}

func TestDeleteIsRevokeWithADefaultReason(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	for _, way := range []func(path string) answer{
		func(path string) answer { return root.do("DELETE", path, nil) },
		func(path string) answer { return root.do("POST", path+"/revoke", nil) },
		func(path string) answer { return root.do("POST", path+"/revoke", "") },
		func(path string) answer { return root.do("POST", path+"/revoke", "null") },
		func(path string) answer { return root.do("POST", path+"/revoke", object{"reason": ""}) },
	} {
		k := root.newKey(object{})
		a := way(k.path).must(200)
		a.holds(inKey, object{"id": k.id, "state": "revoked"})
		a.holds(nil, object{"effective": "everywhere", "position": float64(h.head())})
		if code := root.verify(k.secret, nil); code != "revoked" {
			t.Errorf("verdict %s", code)
		}
		root.do("GET", "/v1/events?type=key.revoked&object="+k.id, nil).must(200).holds([]any{"data", 0}, object{"changes": object{"reason": "revoked"}})
		root.do("GET", k.path, nil).must(200).holds(nil, object{"state": "revoked"})
	}
}

// verdicts are the verdicts on several secrets.
func (c caller) verdicts(secrets ...string) string {
	c.h.Helper()
	var codes []string
	for _, s := range secrets {
		codes = append(codes, c.verify(s, nil))
	}
	return strings.Join(codes, " ")
}

func TestRotation(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	rotate := func(k made, body any) (answer, string) {
		a := root.do("POST", k.path+"/rotate", body).must(200)
		a.holds(inKey, object{"id": k.id, "name": k.text("key", "name"), "created_at": k.text("key", "created_at"), "expires_at": k.at("key", "expires_at")})
		a.holds(nil, object{"usable": "everywhere", "position": float64(h.head())})
		if got := root.do("GET", k.path, nil).must(200); !reflect.DeepEqual(got.at(), a.at("key")) {
			h.Errorf("read\n%s\nanswered\n%s", got.Text, a.Text)
		}
		return a, a.text("secret")
	}
	want := func(verdicts string, secrets ...string) {
		h.Helper()
		if got := root.verdicts(secrets...); got != verdicts {
			h.Errorf("verdicts %s, want %s", got, verdicts)
		}
	}

	h.run("a day by default", func() {
		k := root.newKey(object{})
		a, second := rotate(k, nil)
		began, err := time.Parse(time.RFC3339, a.text("key", "rotation", "started_at"))
		if err != nil {
			h.Fatal(err)
		}
		ends := began.Add(24 * time.Hour).Format("2006-01-02T15:04:05.000Z")
		old, next := k.text("key", "secrets", 0, "kid"), a.text("key", "secrets", 1, "kid")
		a.holds(inKey, object{
			"rotation": object{"old": old, "new": next, "started_at": a.text("key", "secrets", 1, "created_at"), "ends_at": ends},
			"secrets": []any{
				object{"kid": old, "created_at": k.text("key", "created_at"), "expires_at": ends, "last_used_at": nil},
				object{"kid": next, "created_at": a.text("key", "secrets", 1, "created_at"), "expires_at": nil, "last_used_at": nil},
			},
			"masked": second[:len(second)-49] + "...",
		})
		for secret, kid := range map[string]string{k.secret: old, second: next} {
			v := root.do("POST", "/v1/keys/verify", object{"key": secret}).must(200)
			if v.text("code") != "valid" || v.text("kid") != kid || v.text("key_id") != k.id {
				h.Errorf("during the overlap: %s", v.Text)
			}
		}
		if v := root.do("POST", "/v1/keys/verify", object{"key": k.secret}); v.text("expires_at") != ends {
			h.Errorf("the old secret is said to end at %s", v.text("expires_at"))
		}
		root.do("POST", k.path+"/rotate", nil).refused(409, latchkey.CodeRotationInProgress)
		h.advance(24*time.Hour - time.Minute)
		want("valid valid", k.secret, second)
		h.advance(time.Minute)
		want("expired valid", k.secret, second)
		after := root.do("GET", k.path, nil).must(200)
		after.holds(nil, object{"rotation": nil, "state": "live", "masked": a.text("key", "masked")})
		if secrets := after.at("secrets").([]any); len(secrets) != 1 || after.text("secrets", 0, "kid") != next {
			h.Errorf("after the overlap: %s", after.Text)
		}
		root.do("POST", k.path+"/rotation/complete", nil).refused(409, latchkey.CodeConflict)
		root.do("POST", k.path+"/rotation/cancel", nil).refused(409, latchkey.CodeConflict)
		_, third := rotate(k, object{"overlap": "1h"})
		want("unknown valid valid", k.secret, second, third)
	})
	h.run("without overlap", func() {
		k := root.newKey(object{})
		a, second := rotate(k, object{"overlap": "0s"})
		a.holds(inKey, object{"rotation": nil})
		want("expired valid", k.secret, second)
		_, third := rotate(k, object{"overlap": "0s"})
		want("unknown expired valid", k.secret, second, third)
	})
	h.run("as long as may be", func() {
		k := root.newKey(object{})
		_, second := rotate(k, object{"overlap": "720h"})
		h.advance(720*time.Hour - time.Minute)
		want("valid valid", k.secret, second)
		h.advance(time.Minute)
		want("expired valid", k.secret, second)
	})
	h.run("completed", func() {
		k := root.newKey(object{})
		_, second := rotate(k, nil)
		a := root.do("POST", k.path+"/rotation/complete", nil).must(200)
		a.holds(inKey, object{"rotation": nil, "state": "live"})
		want("expired valid", k.secret, second)
		root.do("POST", k.path+"/rotation/complete", nil).refused(409, latchkey.CodeConflict)
		root.do("POST", k.path+"/rotation/cancel", nil).refused(409, latchkey.CodeConflict)
		_, third := rotate(k, nil)
		want("valid valid", second, third)
	})
	h.run("cancelled", func() {
		k := root.newKey(object{})
		_, second := rotate(k, nil)
		a := root.do("POST", k.path+"/rotation/cancel", nil).must(200)
		a.holds(inKey, object{"rotation": nil, "masked": k.at("key", "masked")})
		want("valid expired", k.secret, second)
		h.advance(100 * 24 * time.Hour) // the end that it had is gone with the rotation
		want("valid expired", k.secret, second)
		_, third := rotate(k, nil)
		want("valid valid unknown", k.secret, third, second)
	})
	h.run("revoked meanwhile", func() {
		k := root.newKey(object{})
		_, second := rotate(k, nil)
		root.do("POST", k.path+"/revoke", nil).must(200)
		want("revoked revoked", k.secret, second)
	})
	h.run("of an expired key", func() {
		k := root.newKey(object{"expires_at": h.now().Add(-time.Hour).Format(time.RFC3339Nano)})
		_, second := rotate(k, nil)
		want("expired expired", k.secret, second)
		root.do("PATCH", k.path, object{"expires_at": nil}).must(200)
		want("valid valid", k.secret, second)
	})
	h.run("of a disabled key", func() {
		k := root.newKey(object{})
		root.do("PATCH", k.path, object{"enabled": false}).must(200)
		_, second := rotate(k, nil)
		want("disabled disabled", k.secret, second)
	})
	h.run("with the key's end", func() {
		k := root.newKey(object{"expires_at": h.now().Add(time.Hour).Format(time.RFC3339Nano)})
		_, second := rotate(k, object{"overlap": "24h"})
		v := root.do("POST", "/v1/keys/verify", object{"key": k.secret}).must(200)
		if v.at("expires_at") != k.at("key", "expires_at") {
			h.Errorf("the old secret is said to end at %v, its key at %v", v.at("expires_at"), k.at("key", "expires_at"))
		}
		h.advance(time.Hour)
		want("expired expired", k.secret, second)
	})
	h.run("keeps the format", func() {
		project := root.do("POST", "/v1/projects", object{"name": "Acme", "prefix": "acme", "environment": "test"}).must(201).text("id")
		k := root.newKey(object{"project_id": project})
		_, second := rotate(k, nil)
		if !strings.HasPrefix(k.secret, "acme_test_") || !strings.HasPrefix(second, "acme_test_") {
			h.Errorf("%.10s was followed by %.10s", k.secret, second)
		}
	})
	h.run("is in the record", func() {
		k := root.newKey(object{})
		a, _ := rotate(k, object{"overlap": "90m"})
		root.do("POST", k.path+"/rotation/cancel", nil).must(200)
		events := root.do("GET", "/v1/events?object="+k.id, nil).must(200)
		both := object{"old": k.at("key", "secrets", 0, "kid"), "new": a.at("key", "secrets", 1, "kid")}
		events.holds([]any{"data", 1}, object{"type": "key.rotated", "changes": with(both, "overlap", "1h30m0s")})
		events.holds([]any{"data", 2}, object{"type": "key.rotation_cancelled", "changes": both})
	})
}

func TestReveal(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	project := root.do("POST", "/v1/projects", object{"name": "Stored", "retrievable": true}).must(201).text("id")
	stored := object{"project_id": project, "retrievable": true}
	reveal := func(k made) answer { return root.do("POST", k.path+"/reveal", object{"reason": "the holder lost it"}) }
	tells := func(k made, secret string) {
		h.Helper()
		if got := reveal(k).must(200).text("secret"); got != secret {
			h.Error("another value was revealed")
		}
	}

	k := root.newKey(stored)
	before := h.head()
	tells(k, k.secret)
	if h.head() != before+1 {
		t.Errorf("%d events", h.head()-before)
	}
	event := root.do("GET", "/v1/events?type=key.revealed&object="+k.id, nil).must(200)
	event.holds([]any{"data", 0}, object{"changes": object{"reason": "the holder lost it", "kid": k.at("key", "secrets", 0, "kid")}})
	tells(k, k.secret)

	second := root.do("POST", k.path+"/rotate", nil).must(200).text("secret")
	tells(k, second)
	root.do("POST", k.path+"/rotation/cancel", nil).must(200)
	tells(k, k.secret)
	root.do("POST", k.path+"/revoke", nil).must(200)
	reveal(k).refused(409, latchkey.CodeConflict)

	plain := root.newKey(object{"project_id": project})
	reveal(plain).refused(409, latchkey.CodeConflict)
	root.do("POST", "/v1/keys", object{"name": "a", "retrievable": true}).breaks(422, latchkey.CodeInvalid, "/retrievable", "not_allowed")

	// A project that stores no values any more stores none that a rotation makes.
	k = root.newKey(stored)
	root.do("PATCH", "/v1/projects/"+project, object{"retrievable": false}).must(200)
	root.do("POST", "/v1/keys", with(stored, "name", "a")).breaks(422, latchkey.CodeInvalid, "/retrievable", "not_allowed")
	root.do("POST", k.path+"/rotate", nil).must(200)
	reveal(k).refused(409, latchkey.CodeConflict)

	// Sealed values are told after the key ring moved on, and nowhere in the clear.
	root.do("PATCH", "/v1/projects/"+project, object{"retrievable": true}).must(200)
	k = root.newKey(stored)
	h.activateNext()
	tells(k, k.secret)
	h.findsNowhere(k.secret)
}

func TestInstallationForbidsStoredValues(t *testing.T) {
	t.Parallel()
	h := open(t, func(c *rest.Config) { c.Authority.ForbidRetrievable = true })
	root := h.as(h.root)
	project := root.do("POST", "/v1/projects", object{"name": "Stored", "retrievable": true}).must(201).text("id")
	root.do("POST", "/v1/keys", object{"name": "a", "project_id": project, "retrievable": true}).breaks(422, latchkey.CodeInvalid, "/retrievable", "not_allowed")
	root.do("POST", "/v1/keys/batch-create", object{"items": []object{{"name": "a"}, {"name": "a", "project_id": project, "retrievable": true}}}).
		breaks(422, latchkey.CodeInvalid, "/items/1/retrievable", "not_allowed")
}

func TestKeyLimit(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	organization := root.do("POST", "/v1/organizations", object{"name": "Small"}).must(201).text("id")
	limit := func(n int) {
		root.do("PATCH", "/v1/organizations/"+organization, object{"limits": object{"keys": n}}).must(200)
	}
	inside := root.in(organization)
	batch := func(n int) answer {
		return inside.do("POST", "/v1/keys/batch-create", object{"items": list(n, func(int) object { return object{"name": "a"} })})
	}
	limit(3)
	batch(4).refused(409, latchkey.CodeConflict)
	k := inside.newKey(object{})
	batch(3).refused(409, latchkey.CodeConflict)
	batch(2).must(201)
	inside.do("POST", "/v1/keys", object{"name": "One too many"}).refused(409, latchkey.CodeConflict)
	inside.do("POST", "/v1/keys/import", bodies["importKeys"]).refused(409, latchkey.CodeConflict)
	inside.do("POST", k.path+"/revoke", nil).must(200)
	inside.do("POST", "/v1/keys", object{"name": "Revoked ones count"}).refused(409, latchkey.CodeConflict)
	inside.do("POST", k.path+"/rotate", nil).refused(409, latchkey.CodeConflict)
	root.do("GET", "/v1/organizations/"+organization, nil).must(200).holds(nil, object{"keys": 3.0})
	limit(4)
	inside.newKey(object{})
	root.newKey(object{}) // another's limit is no business of ours
}

func TestChangeLimit(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	organization := root.do("POST", "/v1/organizations", object{"name": "Slow"}).must(201).text("id")
	root.do("PATCH", "/v1/organizations/"+organization, object{"limits": object{"changes_per_second": 1}}).must(200)
	inside := root.in(organization)
	refused := 0
	for range 50 {
		if a := inside.do("POST", "/v1/keys", object{"name": "a"}); a.Status != 201 {
			a.refused(429, latchkey.CodeTooManyRequests)
			refused++
		}
	}
	if refused < 20 { // a burst of two, and one for each second that passed
		t.Errorf("%d of 50 changes were refused", refused)
	}
	root.newKey(object{})
	inside.do("GET", "/v1/keys", nil).must(200)
	h.advance(2 * time.Second)
	inside.do("POST", "/v1/keys", object{"name": "a"}).must(201)

	// A batch counts by its keys, and the largest as a burst.
	three := object{"items": []any{object{"name": "a"}, object{"name": "b"}, object{"name": "c"}}}
	h.advance(time.Second)
	inside.do("POST", "/v1/keys", object{"name": "a"}).must(201)
	inside.do("POST", "/v1/keys/batch-create", three).refused(429, latchkey.CodeTooManyRequests)
	h.advance(3 * time.Second)
	inside.do("POST", "/v1/keys/batch-create", three).must(201)
	inside.do("POST", "/v1/keys", object{"name": "a"}).refused(429, latchkey.CodeTooManyRequests)
}

// Whoever spends what an organization may change keeps nobody from revoking.
func TestRevocationsAreNotCounted(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	organization := root.do("POST", "/v1/organizations", object{"name": "Spent"}).must(201).text("id")
	inside := root.in(organization)
	id := inside.do("POST", "/v1/keys", object{"name": "stolen"}).must(201).text("key", "id")
	root.do("PATCH", "/v1/organizations/"+organization, object{"limits": object{"changes_per_second": 1}}).must(200)
	for inside.do("POST", "/v1/keys", object{"name": "a"}).Status == 201 {
	}
	inside.do("POST", "/v1/keys/"+id+"/revoke", object{}).must(200)
}
