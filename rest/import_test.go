package rest_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
)

// digestOf is how an import names a key.
func digestOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// madeElsewhere is a new key of another make.
func madeElsewhere() string { return "theirs-" + rand.Text() }

// imports takes over keys of another make.
func (c caller) imports(items ...object) answer {
	return c.do("POST", "/v1/keys/import", object{"scheme": "sha256", "items": items})
}

func TestImport(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	user := root.do("POST", "/v1/users", object{"name": "U", "kind": "service"}).must(201).text("id")
	plain, full := madeElsewhere(), madeElsewhere()
	head := h.head()
	a := root.imports(
		object{"name": "Plain", "digest": digestOf(plain)},
		object{
			"name": "Full", "digest": strings.ToUpper(digestOf(full)), "public": "theirs-", "owner_id": user, "partner": "P", "role": "reader", "scopes": []string{"docs:read"},
			"restrictions": object{"addresses": []string{"10.0.0.1"}, "resources": object{"plant": []string{"A"}}}, "metadata": object{"a": 1}, "expires_at": "2199-01-01T00:00:00Z",
		},
	).must(201)
	if h.head() != head+1 || a.at("position") != float64(head+1) || a.text("usable") != "everywhere" {
		t.Errorf("%d events: %s", h.head()-head, a.Text)
	}
	a.holds([]any{"results", 0, "key"}, object{"name": "Plain", "masked": "...", "state": "live", "retrievable": false, "scopes": []any{}})
	a.holds([]any{"results", 1, "key"}, object{
		"name": "Full", "masked": "theirs-...", "owner_id": user, "partner": "P", "role": "reader", "scopes": []any{"docs:read"}, "expires_at": "2199-01-01T00:00:00.000Z",
		"restrictions": object{"addresses": []any{"10.0.0.1"}, "resources": object{"plant": []any{"a"}}}, "metadata": object{"a": 1.0},
	})
	if a.at("results", 0, "secret") != nil {
		t.Errorf("a secret: %s", a.Text)
	}
	root.do("GET", "/v1/events?type=keys.imported", nil).must(200).holds([]any{"data", 0, "changes"}, object{"keys": 2.0, "scheme": "sha256", "first": a.text("results", 0, "key", "id")})
	for i, ask := range []object{{"key": plain}, {"key": full, "ip": "10.0.0.1", "scopes": []string{"docs:read"}, "resource": object{"type": "plant", "id": "a"}}} {
		v := root.do("POST", "/v1/keys/verify", ask).must(200)
		if v.text("code") != "valid" || v.text("key_id") != a.text("results", i, "key", "id") || v.text("kid") != a.text("results", i, "key", "secrets", 0, "kid") {
			t.Errorf("%s", v.Text)
		}
	}
	for _, near := range []string{plain[1:], plain + "x", strings.ToUpper(plain), " " + plain, digestOf(plain)} {
		if code := root.verify(near, nil); code != "malformed" {
			t.Errorf("a string that was not imported: %s", code)
		}
	}
	if code := root.verify(full, object{"ip": "10.0.0.2"}); code != "ip_not_allowed" {
		t.Errorf("verdict %s", code)
	}

	// Another's key cannot be made: its rotation brings one of ours.
	path := "/v1/keys/" + a.text("results", 0, "key", "id")
	second := root.do("POST", path+"/rotate", nil).must(200).text("secret")
	if !strings.HasPrefix(second, "lk_live_") || root.verdicts(plain, second) != "valid valid" {
		t.Errorf("%.8s: %s", second, root.verdicts(plain, second))
	}
	root.do("POST", path+"/revoke", nil).must(200)
	if got := root.verdicts(plain, second); got != "revoked revoked" {
		t.Errorf("verdicts %s", got)
	}
	root.do("POST", "/v1/keys/revoke-self", object{"key": full}).must(200)
	if got := root.verdicts(full); got != "revoked" {
		t.Errorf("verdict %s", got)
	}
	h.findsNowhere(plain, full)
}

// Each key is imported once, whoever has it and whatever the key ring did since.
func TestImportOnce(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	organization := root.do("POST", "/v1/organizations", object{"name": "Other"}).must(201).text("id")
	mine, yours := madeElsewhere(), madeElsewhere()
	k := root.imports(object{"name": "Mine", "digest": digestOf(mine)}).must(201)
	root.in(organization).imports(object{"name": "Yours", "digest": digestOf(yours)}).must(201)
	for range 3 {
		for _, as := range []caller{root, root.in(organization)} {
			head, other := h.head(), madeElsewhere()
			a := as.imports(object{"name": "a", "digest": digestOf(other)}, object{"name": "a", "digest": digestOf(mine)}, object{"name": "a", "digest": digestOf(yours)})
			a.refused(409, latchkey.CodeConflict)
			if a.text("errors", 0, "pointer") != "/items/1/digest" || a.text("errors", 1, "pointer") != "/items/2/digest" || a.at("errors", 2) != nil {
				t.Errorf("%s", a.Text)
			}
			if h.head() != head || as.verify(other, nil) != "malformed" {
				t.Errorf("a part was imported")
			}
		}
		h.activateNext()
	}
	root.do("POST", "/v1/keys/"+k.text("results", 0, "key", "id")+"/revoke", nil).must(200)
	root.imports(object{"name": "a", "digest": digestOf(mine)}).breaks(409, latchkey.CodeConflict, "/items/0/digest", "taken")
	root.imports(object{"name": "a", "digest": digestOf("x")}, object{"name": "a", "digest": digestOf("y")}, object{"name": "a", "digest": strings.ToUpper(digestOf("x"))}).
		breaks(422, latchkey.CodeInvalid, "/items/2/digest", "duplicate")
}

// A key that another Latchkey made is imported like any other, and a key of
// another organization is nothing here.
func TestImportOfOurShape(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	drawn, err := latchkey.NewKeyString(latchkey.FormatNative, "acme", latchkey.Live, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key := drawn.Plaintext().Expose()
	if code := root.verify(key, nil); code != "unknown" {
		t.Errorf("before: %s", code)
	}
	organization := root.do("POST", "/v1/organizations", object{"name": "Other"}).must(201).text("id")
	other, theirs := root.in(organization), madeElsewhere()
	other.imports(object{"name": "a", "digest": digestOf(key), "public": drawn.PublicPart()}, object{"name": "b", "digest": digestOf(theirs)}).must(201)
	if got := other.verdicts(key, theirs); got != "valid valid" {
		t.Errorf("verdicts %s", got)
	}
	// Out of reach, each looks like what it would if nobody had it.
	if got := root.verdicts(key, theirs); got != "unknown malformed" {
		t.Errorf("verdicts %s", got)
	}
	long := strings.Repeat("k", 513)
	other.imports(object{"name": "Too long to be presented", "digest": digestOf(long)}, object{"name": "At the bound", "digest": digestOf(long[1:])}).must(201)
	if got := other.verdicts(long, long[1:], ""); got != "malformed valid malformed" {
		t.Errorf("verdicts %s", got)
	}
}

func TestBatchCreate(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	project := root.do("POST", "/v1/projects", object{"name": "P", "prefix": "acme", "environment": "test"}).must(201).text("id")
	head := h.head()
	items := list(50, func(i int) object {
		return object{"name": fmt.Sprint("Key ", i), "scopes": []string{fmt.Sprint("s:", i)}, "project_id": []any{nil, project}[i%2]}
	})
	a := root.do("POST", "/v1/keys/batch-create", object{"items": items}).must(201)
	secrets := map[string]bool{}
	for i := range items {
		a.holds([]any{"results", i, "key"}, object{"name": fmt.Sprint("Key ", i), "scopes": []any{fmt.Sprint("s:", i)}, "environment": []any{"live", "test"}[i%2]})
		secret := a.text("results", i, "secret")
		secrets[secret] = true
		if code := root.verify(secret, object{"scopes": []string{fmt.Sprint("s:", i)}}); code != "valid" || !strings.HasPrefix(secret, []string{"lk_live_", "acme_test_"}[i%2]) {
			t.Errorf("%d: %s", i, code)
		}
	}
	if len(secrets) != 50 || h.head() != head+50 || a.at("position") != float64(head+50) {
		t.Errorf("%d secrets, %d events, position %v", len(secrets), h.head()-head, a.at("position"))
	}
	// All or none.
	head = h.head()
	for _, last := range []object{
		{"name": ""}, {"name": "a", "project_id": "prj_0d5qh0w2e9x8v3k7m1ac"}, {"name": "a", "owner_id": "usr_0d5qh0w2e9x8v3k7m1ac"}, {"name": "a", "role": "nobody"},
		{"name": "a", "retrievable": true}, {"name": "a", "signing": object{}},
	} {
		root.do("POST", "/v1/keys/batch-create", object{"items": append(slices.Clone(items[:10]), last)}).refused(422, latchkey.CodeInvalid)
	}
	weak := h.as(root.newKey(object{"scopes": []string{"api_key:create", "s:*"}}).secret)
	weak.do("POST", "/v1/keys/batch-create", object{"items": []object{{"name": "a", "scopes": []string{"s:1"}}, {"name": "b", "scopes": []string{"t:1"}}}}).refused(403, latchkey.CodeCeiling)
	if h.head() != head+1 {
		t.Errorf("refused batches made %d events", h.head()-head-1)
	}
	listed := root.do("GET", "/v1/keys?limit=100&search=Key%20&sort=created", nil).must(200).at("data").([]any)
	if len(listed) != 50 {
		t.Fatalf("%d keys are listed", len(listed))
	}
	for i, k := range listed {
		if !reflect.DeepEqual(k.(map[string]any)["id"], a.at("results", i, "key", "id")) {
			t.Errorf("key %d is listed elsewhere", i)
		}
	}
}

// Whoever holds a key may end it: from anywhere, in whatever state it is.
func TestRevokeSelf(t *testing.T) {
	t.Parallel()
	h := open(t)
	root, nobody := h.as(h.root), h.as("")
	revoke := func(secret string) answer { return nobody.do("POST", "/v1/keys/revoke-self", object{"key": secret}) }
	user := root.do("POST", "/v1/users", object{"name": "U", "kind": "service"}).must(201).text("id")
	suspended := root.do("POST", "/v1/users", object{"name": "S", "kind": "service"}).must(201).text("id")
	for name, k := range map[string]made{
		"live": root.newKey(object{}), "owned": root.newKey(object{"owner_id": user}), "bound to another address": root.newKey(object{"restrictions": object{"addresses": []string{"192.0.2.1"}}}),
		"expired": root.newKey(object{"expires_at": "2001-01-01T00:00:00Z"}), "disabled": root.newKey(object{}), "of a suspended user": root.newKey(object{"owner_id": suspended}),
	} {
		h.run(name, func() {
			switch name {
			case "disabled":
				root.do("PATCH", k.path, object{"enabled": false}).must(200)
			case "of a suspended user":
				root.do("PATCH", "/v1/users/"+suspended, object{"state": "suspended"}).must(200)
			}
			a := revoke(k.secret).must(200)
			a.holds(nil, object{"key_id": k.id, "effective": "everywhere", "position": float64(h.head())})
			if a.at("key") != nil || root.verify(k.secret, object{"ip": "192.0.2.1"}) != "revoked" {
				h.Errorf("%s", a.Text)
			}
			actor := object{"type": "key", "id": k.id, "key_id": k.id}
			if owner := k.text("key", "owner_id"); owner != "" {
				actor = object{"type": "user", "id": owner, "key_id": k.id}
			}
			event := root.do("GET", "/v1/events?type=key.revoked&object="+k.id, nil).must(200)
			event.holds([]any{"data", 0}, object{"actor": actor, "request_id": a.Header.Get("X-Request-Id"), "changes": object{"reason": "revoked by its holder"}})
			// Again it succeeds, and tells when it was.
			root.newKey(object{})
			revoke(k.secret).must(200).holds(nil, object{"key_id": k.id, "position": a.at("position")})
		})
	}
	h.run("either secret of a rotation", func() {
		k := root.newKey(object{})
		second := root.do("POST", k.path+"/rotate", nil).must(200).text("secret")
		revoke(k.secret).must(200)
		if got := root.verdicts(k.secret, second); got != "revoked revoked" {
			h.Errorf("verdicts %s", got)
		}
	})
	h.run("a secret that ended", func() {
		k := root.newKey(object{})
		second := root.do("POST", k.path+"/rotate", object{"overlap": "0s"}).must(200).text("secret")
		revoke(k.secret).refused(401, latchkey.CodeUnauthenticated)
		if got := root.verdicts(second); got != "valid" {
			h.Errorf("verdict %s", got)
		}
	})
	h.run("whatever else is presented", func() {
		for _, as := range []caller{h.as("junk"), h.as(h.root), h.operatorSocket(), nobody.in("org_0d5qh0w2e9x8v3k7m1ac")} {
			as.do("POST", "/v1/keys/revoke-self", object{"key": root.newKey(object{}).secret}).must(200)
		}
	})
	h.run("no key", func() {
		k := root.newKey(object{})
		for _, key := range []string{"", "junk", k.secret + "x", k.secret[1:], mistyped(k.secret), wrongSecret(k.secret), k.id, strings.Repeat("x", 600)} {
			revoke(key).refused(401, latchkey.CodeUnauthenticated)
		}
		if got := root.verdicts(k.secret); got != "valid" {
			h.Errorf("verdict %s", got)
		}
	})
}
