package rest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/token"
)

const issuer = "https://keys.example"

// loopback is where the tests call from.
var loopback = netip.MustParseAddr("127.0.0.1")

// wanted is a plain token.
func wanted() authority.NewToken {
	return authority.NewToken{Issuer: issuer, Spell: latchkey.ID.Hex}
}

// call is what an edge knows of whoever presents the credential.
func (h *house) call(credential string) *authority.Call {
	h.Helper()
	caller, _, err := h.authority.Authenticate(h.Context(), latchkey.NewPlaintext(credential), loopback, "")
	if err != nil {
		h.Fatal(err)
	}
	return &authority.Call{Caller: caller}
}

// exchange gives a token for the credential.
func (h *house) exchange(credential string, want authority.NewToken) string {
	h.Helper()
	t, err := h.authority.ExchangeToken(h.Context(), h.call(credential), want)
	if err != nil {
		h.Fatal(err)
	}
	return t.Value.Expose()
}

// mint gives the first user a token for a key.
func (h *house) mint(id string) string {
	h.Helper()
	t, err := h.authority.MintToken(h.Context(), h.call(h.root), h.parseKey(id), wanted())
	if err != nil {
		h.Fatal(err)
	}
	return t.Value.Expose()
}

// A token authenticates wherever its key does, and does what that may.
func TestTokenIsABearer(t *testing.T) {
	t.Parallel()
	h := open(t)
	k := h.as(h.root).newKey(object{"scopes": []string{"api_key:read", "docs:read"}})
	bearer := h.as(h.exchange(k.secret, wanted()))
	bearer.do("GET", k.path, nil).must(200)
	bearer.do("POST", "/v1/keys", object{"name": "x"}).refused(403, latchkey.CodeForbidden)
	h.as(h.mint(k.id)).do("GET", k.path, nil).must(200)
	h.as(h.exchange(bearer.key, wanted())).do("GET", k.path, nil).must(200)
}

// It dies with what it stands for, at the next call.
func TestTokenDiesWithItsKey(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end    func(h *house, k made, owner string)
		status int
		code   latchkey.ErrorCode
	}{
		"revoked":  {func(h *house, k made, _ string) { h.as(h.root).do("POST", k.path+"/revoke", nil).must(200) }, 401, latchkey.CodeUnauthenticated},
		"disabled": {func(h *house, k made, _ string) { h.as(h.root).do("PATCH", k.path, object{"enabled": false}).must(200) }, 401, latchkey.CodeUnauthenticated},
		"expired": {func(h *house, k made, _ string) {
			h.as(h.root).do("PATCH", k.path, object{"expires_at": h.now().Add(time.Minute).Format(time.RFC3339)}).must(200)
			h.advance(2 * time.Minute)
		}, 401, latchkey.CodeUnauthenticated},
		"rotated without overlap": {func(h *house, k made, _ string) {
			h.as(h.root).do("POST", k.path+"/rotate", object{"overlap": "0s"}).must(200)
		}, 401, latchkey.CodeUnauthenticated},
		"rotation completed": {func(h *house, k made, _ string) {
			h.as(h.root).do("POST", k.path+"/rotate", object{"overlap": "1h"}).must(200)
			h.as(h.root).do("POST", k.path+"/rotation/complete", nil).must(200)
		}, 401, latchkey.CodeUnauthenticated},
		"owner suspended": {func(h *house, _ made, owner string) {
			h.as(h.root).do("PATCH", "/v1/users/"+owner, object{"state": "suspended"}).must(200)
		}, 401, latchkey.CodeUnauthenticated},
		"from elsewhere": {func(h *house, k made, _ string) {
			h.as(h.root).do("PATCH", k.path, object{"restrictions": object{"addresses": []string{"192.0.2.0/24"}}}).must(200)
		}, 403, latchkey.CodeForbidden},
		"its own end": {func(h *house, _ made, _ string) { h.advance(time.Hour) }, 401, latchkey.CodeUnauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			owner := h.as(h.root).do("POST", "/v1/users", object{"name": "U", "kind": "service"}).must(201).text("id")
			k := h.as(h.root).newKey(object{"owner_id": owner, "scopes": []string{"api_key:read"}})
			bearers := []caller{h.as(h.exchange(k.secret, wanted())), h.as(h.mint(k.id))}
			for _, bearer := range bearers {
				bearer.do("GET", k.path, nil).must(200)
			}
			c.end(h, k, owner)
			for _, bearer := range bearers {
				bearer.do("GET", k.path, nil).refused(c.status, c.code)
			}
		})
	}
}

// parseKey reads a key's native id.
func (h *house) parseKey(id string) latchkey.ID {
	h.Helper()
	key, err := latchkey.ParseNative(latchkey.KindKey, id)
	if err != nil {
		h.Fatal(err)
	}
	return key
}

// payloadOf reads what a token says, as any client can.
func (h *house) payloadOf(jwt string) object {
	h.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(jwt, ".")[1])
	if err != nil {
		h.Fatal(err)
	}
	var all object
	if err := json.Unmarshal(text, &all); err != nil {
		h.Fatal(err)
	}
	return all
}

// What a token says of itself, and what the edge lets it say.
func TestWhatATokenSays(t *testing.T) {
	t.Parallel()
	h := open(t)
	k := h.as(h.root).newKey(object{"name": "Ada's", "scopes": []string{"docs:read", "docs:write"}, "role": "reader"})
	want := wanted()
	want.Algorithm, want.Scopes = token.RS256, latchkey.Permissions{"docs:read"}
	want.Members = func(s *authority.TokenSubject) map[string]any {
		return map[string]any{"name": s.Key.Name, "role": s.Role, "account": s.Organization.Name, "project": s.Project.Name, "permissions": s.Permissions}
	}
	jwt := h.exchange(k.secret, want)
	got := h.payloadOf(jwt)
	now := float64(h.now().Unix())
	for name, value := range map[string]any{
		"iss": issuer, "aud": issuer, "sub": h.parseKey(k.id).Hex(), "client_id": k.text("key", "secrets", 0, "kid"), "scope": "docs:read",
		"name": "Ada's", "role": "reader", "account": "operator", "project": "default", "act": nil,
	} {
		if !reflect.DeepEqual(got[name], value) {
			t.Errorf("%s is %v, want %v", name, got[name], value)
		}
	}
	if life := got["exp"].(float64) - got["iat"].(float64); life != 3600 || got["iat"].(float64) > now || now-got["iat"].(float64) > 60 {
		t.Errorf("it lives %v seconds from %v", life, got["iat"])
	}
	if permissions := fmt.Sprint(got["permissions"]); permissions != "[docs:read]" {
		t.Errorf("its permissions are %s", permissions)
	}
	if again := h.payloadOf(h.exchange(k.secret, want)); again["jti"] == got["jti"] || len(got["jti"].(string)) < 22 {
		t.Errorf("the jti %v came again, or is short", got["jti"])
	}
}

// A token ends with its key, or with the secret of a rotation, if that is sooner.
func TestATokenIsNoLongerThanItsKey(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	end := h.now().Add(10 * time.Minute).Truncate(time.Second)
	short := root.newKey(object{"expires_at": end.Format(time.RFC3339)})
	rotating := root.newKey(object{"expires_at": h.now().Add(time.Hour * 3).Format(time.RFC3339)})
	next := root.do("POST", rotating.path+"/rotate", object{"overlap": "5m"}).must(200)
	old := next.text("key", "rotation", "ends_at")
	for what, c := range map[string]struct {
		jwt  string
		most time.Time
	}{
		"an expiring key":      {h.exchange(short.secret, wanted()), end},
		"minted for it":        {h.mint(short.id), end},
		"the old secret":       {h.exchange(rotating.secret, wanted()), h.parse(old)},
		"the new secret":       {h.exchange(next.text("secret"), wanted()), h.now().Add(time.Hour)},
		"minted in a rotation": {h.mint(rotating.id), h.now().Add(time.Hour)},
	} {
		exp := time.Unix(int64(h.payloadOf(c.jwt)["exp"].(float64)), 0)
		if exp.After(c.most) || exp.Before(c.most.Add(-time.Minute)) {
			t.Errorf("%s: it ends at %s, want %s", what, exp, c.most)
		}
	}
	if kid := h.payloadOf(h.mint(rotating.id))["client_id"]; kid != next.text("key", "rotation", "new") {
		t.Errorf("minted in a rotation: it stands for %v, not for the newest secret", kid)
	}
}

func (h *house) parse(at string) time.Time {
	h.Helper()
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		h.Fatal(err)
	}
	return t
}

// A narrowed token does what both it and its key may at the moment, and gives
// itself no more.
func TestNarrowedTokens(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	want := wanted()
	want.Scopes = latchkey.Permissions{"api_key:read"}
	narrowed := h.exchange(h.root, want)
	bearer := h.as(narrowed)
	k := root.newKey(object{"scopes": []string{"docs:read"}})
	bearer.do("GET", k.path, nil).must(200)
	for _, ask := range []answer{
		bearer.do("POST", "/v1/keys", object{"name": "x"}), bearer.do("GET", "/v1/users", nil), bearer.do("GET", "/v1/keyring", nil),
		bearer.do("POST", k.path+"/revoke", nil), bearer.with("Latchkey-Organization", h.operator.Operator.Native("org")).do("GET", "/v1/tokens/keys", nil),
	} {
		ask.refused(403, latchkey.CodeForbidden)
	}
	again := h.exchange(narrowed, wanted())
	if got := h.payloadOf(again)["scope"]; got != "api_key:read" {
		t.Errorf("exchanged for one with the scope %v", got)
	}
	h.as(again).do("POST", "/v1/keys", object{"name": "x"}).refused(403, latchkey.CodeForbidden)
	more := wanted()
	for _, scopes := range []latchkey.Permissions{{"api_key:create"}, {"api_key:read", "docs:read"}, {"*"}, {"api_key:*"}} {
		more.Scopes = scopes
		if _, err := h.authority.ExchangeToken(t.Context(), h.call(narrowed), more); latchkey.CodeOf(err) != latchkey.CodeInvalid {
			t.Errorf("a narrowed token asked for %q: %v", scopes, err)
		}
		if _, err := h.authority.ExchangeToken(t.Context(), h.call(k.secret), more); latchkey.CodeOf(err) != latchkey.CodeInvalid {
			t.Errorf("a key without them asked for %q: %v", scopes, err)
		}
	}
	// What a token gives away is bounded by the token.
	giver := wanted()
	giver.Scopes = latchkey.Permissions{"api_key:create", "docs:read"}
	giving := h.as(h.exchange(h.root, giver))
	giving.newKey(object{"scopes": []string{"docs:read"}})
	giving.do("POST", "/v1/keys", object{"name": "x", "scopes": []string{"docs:write"}}).refused(403, latchkey.CodeCeiling)
	// And by its key, as that is now.
	wide := root.newKey(object{"scopes": []string{"api_key:read", "api_key:create"}})
	want.Scopes = latchkey.Permissions{"api_key:create", "api_key:read"}
	losing := h.as(h.exchange(wide.secret, want))
	losing.do("GET", wide.path, nil).must(200)
	root.do("PATCH", wide.path, object{"scopes": []string{"api_key:create", "docs:read"}}).must(200)
	losing.do("GET", wide.path, nil).refused(403, latchkey.CodeForbidden)
	losing.newKey(object{})
	losing.do("POST", "/v1/keys", object{"name": "x", "scopes": []string{"docs:read"}}).refused(403, latchkey.CodeCeiling)
}

// Minting is telling a value: within the ceiling and reach, of a live key alone,
// with an event before the token leaves; and it gives nothing further.
func TestMinting(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	mint := func(with, id string) (authority.Token, error) {
		return h.authority.MintToken(t.Context(), h.call(with), h.parseKey(id), wanted())
	}
	strong := root.newKey(object{"scopes": []string{"api_key:*", "docs:*"}})
	weak := root.newKey(object{"scopes": []string{"api_key:read", "docs:read"}})
	blind := root.newKey(object{"scopes": []string{"docs:read"}})
	operators := h.operators()
	owner := operators.user(member("owner"))
	refused := func(what, with, id string, code latchkey.ErrorCode) {
		t.Helper()
		before := h.head()
		if _, err := mint(with, id); latchkey.CodeOf(err) != code {
			t.Errorf("%s: %v, want %s", what, err, code)
		}
		if h.head() != before {
			t.Errorf("%s: an event was made", what)
		}
	}
	refused("without the right", blind.secret, blind.id, latchkey.CodeForbidden)
	refused("for a stronger key", weak.secret, strong.id, latchkey.CodeCeiling)
	refused("for one that reaches further", weak.secret, h.call(h.root).Key.Native(latchkey.KindKey), latchkey.CodeNotFound)
	beside := operators.key(authority.NewKey{Scopes: []string{"api_key:*", "docs:*"}}).Secret.Expose()
	owned := operators.key(authority.NewKey{Owner: owner.ID, Scopes: []string{"docs:read"}})
	refused("for one of a stronger user", beside, keyID(owned), latchkey.CodeCeiling)
	speaking := operators.key(authority.NewKey{Owner: owner.ID, Role: authority.RoleRef{Identifier: operators.role(0, "docs:read").Identifier}})
	refused("for one that speaks for a stronger user", beside, keyID(speaking), latchkey.CodeCeiling)
	refused("for an unknown key", h.root, "key_0d5qh0w2e9x8v3k7m1ac", latchkey.CodeNotFound)
	refused("for another tenant's key", h.root, keyID(h.tenant("Elsewhere").key(authority.NewKey{})), latchkey.CodeNotFound)

	before := h.head()
	minted, err := mint(strong.secret, weak.id)
	if err != nil {
		t.Fatal(err)
	}
	events := root.export(fmt.Sprintf("/v1/events?after=%d", before))
	said := h.payloadOf(minted.Value.Expose())
	if len(events) != 1 || events[0]["type"] != "key.token_minted" || events[0]["object"].(map[string]any)["id"] != weak.id ||
		events[0]["changes"].(map[string]any)["token"] != said["jti"] || events[0]["changes"].(map[string]any)["kid"] != said["client_id"] {
		t.Errorf("the token says %v, the record %v", said, events)
	}
	if said["act"].(map[string]any)["sub"] != strong.id {
		t.Errorf("it was asked for by %v", said["act"])
	}
	// It is used, and nothing comes of it but its use.
	with := minted.Value.Expose()
	h.as(with).do("GET", weak.path, nil).must(200)
	refused("with a minted token, for its own key", with, weak.id, latchkey.CodeForbidden)
	if _, err := h.authority.ExchangeToken(t.Context(), h.call(with), wanted()); latchkey.CodeOf(err) != latchkey.CodeForbidden {
		t.Errorf("a minted token is exchanged: %v", err)
	}
	// The exchange of one's own key leaves no trace.
	before = h.head()
	h.exchange(weak.secret, wanted())
	if h.head() != before {
		t.Error("an exchange made an event")
	}
	for what, end := range map[string]func(k made){
		"disabled": func(k made) { root.do("PATCH", k.path, object{"enabled": false}).must(200) },
		"revoked":  func(k made) { root.do("POST", k.path+"/revoke", nil).must(200) },
		"expired": func(k made) {
			root.do("PATCH", k.path, object{"expires_at": h.now().Add(time.Minute).Format(time.RFC3339)}).must(200)
			h.advance(2 * time.Minute)
		},
	} {
		k := root.newKey(object{})
		end(k)
		refused("for a key that is "+what, h.root, k.id, latchkey.CodeConflict)
	}
	if _, err := h.authority.ExchangeToken(t.Context(), &authority.Call{Caller: authority.Socket(h.operator.Operator)}, wanted()); latchkey.CodeOf(err) != latchkey.CodeForbidden {
		t.Errorf("the socket exchanged its key: %v", err)
	}
}

// A token for another audience is no credential here: whoever it was meant for
// could present it.
func TestTokenForAnotherAudience(t *testing.T) {
	t.Parallel()
	h := open(t)
	want := wanted()
	want.Audience = []string{"https://other.example"}
	h.as(h.exchange(h.root, want)).do("GET", "/v1/keys", nil).refused(401, latchkey.CodeUnauthenticated)
	want.Audience = append(want.Audience, issuer)
	h.as(h.exchange(h.root, want)).do("GET", "/v1/keys", nil).must(200)
}

// A change that a token's bearer began is refused in its own transaction if the
// token, its key or its secret ended meanwhile.
func TestTokenEndsInFlight(t *testing.T) {
	t.Parallel()
	for what, end := range map[string]func(h *house, k made){
		"revoked": func(h *house, k made) { h.as(h.root).do("POST", k.path+"/revoke", nil).must(200) },
		"rotated": func(h *house, k made) { h.as(h.root).do("POST", k.path+"/rotate", object{"overlap": "0s"}).must(200) },
		"ran out": func(h *house, _ made) { h.advance(time.Hour) },
		"narrowed": func(h *house, k made) {
			h.as(h.root).do("PATCH", k.path, object{"scopes": []string{"docs:read"}}).must(200)
		},
		"elsewhere": func(h *house, k made) {
			h.as(h.root).do("PATCH", k.path, object{"restrictions": object{"addresses": []string{"192.0.2.1"}}}).must(200)
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			k := h.as(h.root).newKey(object{"scopes": []string{"api_key:create"}})
			call := h.call(h.exchange(k.secret, wanted())) // it came in
			end(h, k)
			_, _, err := h.authority.CreateKey(t.Context(), call, authority.NewKey{Name: "too late"})
			if code := latchkey.CodeOf(err); code != latchkey.CodeUnauthenticated && !(what == "narrowed" && code == latchkey.CodeForbidden) {
				t.Errorf("the change was answered %v", err)
			}
		})
	}
}

// An imported key may look like a token, and is a key all the same.
func TestImportedKeyThatLooksLikeAToken(t *testing.T) {
	t.Parallel()
	h := open(t)
	foreign := "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln"
	sum := sha256.Sum256([]byte(foreign))
	h.as(h.root).do("POST", "/v1/keys/import", object{"scheme": "sha256", "items": []object{{"name": "F", "digest": hex.EncodeToString(sum[:]), "scopes": []string{"api_key:read"}}}}).must(201)
	h.as(foreign).do("GET", "/v1/keys", nil).must(200)
	h.as(foreign+"A").do("GET", "/v1/keys", nil).refused(401, latchkey.CodeUnauthenticated)
}

// The key set is the same at both places, for anyone, and for five minutes.
func TestKeySetForAnyone(t *testing.T) {
	t.Parallel()
	h := open(t)
	var texts []string
	for _, path := range []string{"/.well-known/jwks.json", "/.well-known/jwks"} {
		a := h.as("").do("GET", path, nil).must(200)
		texts = append(texts, a.Text)
		if a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "public, max-age=300" {
			t.Errorf("%s: %v", path, a.Header)
		}
	}
	if texts[0] != texts[1] || strings.Count(texts[0], `"kid"`) != 2 || strings.Contains(texts[0], `"d"`) {
		t.Errorf("the sets are %s", texts)
	}
	jwt := h.exchange(h.root, wanted())
	header, err := base64.RawURLEncoding.DecodeString(strings.Split(jwt, ".")[0])
	if err != nil {
		t.Fatal(err)
	}
	var head struct{ Kid, Alg, Typ string }
	if err := json.Unmarshal(header, &head); err != nil || head.Alg != "ES256" || head.Typ != "JWT" || !strings.Contains(texts[0], head.Kid) {
		t.Errorf("the header is %s: %v", header, err)
	}
}

// The operator's rotation, and who may not.
func TestTokenKeys(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	states := func() (all []string) {
		keys, _ := root.do("GET", "/v1/tokens/keys", nil).must(200).at("keys").([]any)
		for _, k := range keys {
			all = append(all, fmt.Sprint(k.(map[string]any)["algorithm"], " ", k.(map[string]any)["state"]))
		}
		slices.Sort(all)
		return all
	}
	if got := states(); len(got) != 0 {
		t.Fatalf("before anybody asked: %q", got)
	}
	jwt := h.exchange(h.root, wanted())
	for _, step := range []struct {
		do   func()
		want []string
	}{
		{func() {}, []string{"ES256 active", "RS256 active"}},
		{func() { root.do("POST", "/v1/tokens/keys/rotate", nil).must(200) }, []string{"ES256 active", "ES256 pending", "RS256 active", "RS256 pending"}},
		{func() { root.do("POST", "/v1/tokens/keys/rotate", object{"now": true}).must(200) }, []string{"ES256 active", "ES256 retiring", "RS256 active", "RS256 retiring"}},
		{func() { h.as(jwt).do("GET", "/v1/keys", nil).must(200) }, []string{"ES256 active", "ES256 retiring", "RS256 active", "RS256 retiring"}},
		{func() { h.advance(2 * time.Hour); h.tend() }, []string{"ES256 active", "RS256 active"}},
		{func() { h.advance(90 * 24 * time.Hour); h.tend() }, []string{"ES256 active", "ES256 pending", "RS256 active", "RS256 pending"}},
		{func() { h.advance(24 * time.Hour); h.tend(); h.tend() }, []string{"ES256 active", "ES256 retiring", "RS256 active", "RS256 retiring"}},
	} {
		step.do()
		if got := states(); !slices.Equal(got, step.want) {
			t.Fatalf("%q, want %q", got, step.want)
		}
	}
	for _, c := range []caller{h.tenant("Elsewhere").with("owner"), h.operators().with("manager"), h.operators().bound()} {
		c.do("GET", "/v1/tokens/keys", nil).refused(403, latchkey.CodeForbidden)
		c.do("POST", "/v1/tokens/keys/rotate", nil).refused(403, latchkey.CodeForbidden)
	}
	root.do("POST", "/v1/tokens/keys/rotate", object{"now": "yes"}).refused(400, latchkey.CodeMalformedBody)
}

func (h *house) tend() {
	h.Helper()
	if err := h.authority.TendTokenKeys(h.Context()); err != nil {
		h.Fatal(err)
	}
}

// The signing keys go with the key ring through its rotation, and are found by
// the next start.
func TestTokenKeysOutliveTheRing(t *testing.T) {
	t.Parallel()
	h := open(t)
	jwt := h.exchange(h.root, wanted())
	h.activateNext()
	h.as(h.root).do("GET", "/v1/keys", nil).must(200)
	h.flush() // the caller's own digest moves on
	h.as(h.root).do("POST", "/v1/keyring/versions/1/retire", nil).must(200)
	h.authority = authority.New(h.authority.Config)
	for _, credential := range []string{jwt, h.exchange(h.root, wanted()), h.exchange(jwt, wanted())} {
		h.call(credential)
	}
	keys, err := h.store.TokenKeys(t.Context())
	if err != nil || len(keys) != 2 {
		t.Errorf("%d keys: %v", len(keys), err)
	}
}

// The secret that a token stands for dies with the version of the ring under
// which it was digested, and so does the token.
func TestTokenDiesWithTheRing(t *testing.T) {
	t.Parallel()
	h := open(t)
	k := h.as(h.root).newKey(object{"scopes": []string{"api_key:read"}})
	jwt := h.mint(k.id)
	h.as(jwt).do("GET", k.path, nil).must(200)
	h.activateNext()
	h.as(h.root).do("GET", "/v1/keys", nil).must(200)
	h.flush()
	h.as(h.root).do("POST", "/v1/keyring/versions/1/retire", object{"force": true}).must(200)
	h.as(jwt).do("GET", k.path, nil).refused(401, latchkey.CodeUnauthenticated)
}

// A minted token ends with the secret of whoever asked for it, and with the token
// with which they asked; inside a transaction as well.
func TestAMintedTokenDiesWithItsMinter(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		byToken bool
		end     func(h *house, minter made, with string)
	}{
		"revoked":  {end: func(h *house, m made, _ string) { h.as(h.root).do("POST", m.path+"/revoke", nil).must(200) }},
		"disabled": {end: func(h *house, m made, _ string) { h.as(h.root).do("PATCH", m.path, object{"enabled": false}).must(200) }},
		"rotated": {end: func(h *house, m made, _ string) {
			h.as(h.root).do("POST", m.path+"/rotate", object{"overlap": "0s"}).must(200)
		}},
		"its token revoked": {byToken: true, end: func(h *house, _ made, with string) {
			if _, err := h.authority.RevokePresented(t.Context(), &authority.Call{}, latchkey.NewPlaintext(with), nil); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			minter := h.as(h.root).newKey(object{"scopes": []string{"api_key:*"}, "reach": "organization"})
			k := h.as(h.root).newKey(object{"scopes": []string{"api_key:read", "api_key:create"}})
			with := minter.secret
			if c.byToken {
				with = h.exchange(minter.secret, wanted())
			}
			minted, err := h.authority.MintToken(t.Context(), h.call(with), h.parseKey(k.id), wanted())
			if err != nil {
				t.Fatal(err)
			}
			bearer := h.as(minted.Value.Expose())
			bearer.do("GET", k.path, nil).must(200)
			before := h.call(minted.Value.Expose()) // authenticated, and on its way
			c.end(h, minter, with)
			bearer.do("GET", k.path, nil).refused(401, latchkey.CodeUnauthenticated)
			if _, _, err := h.authority.CreateKey(t.Context(), before, authority.NewKey{Name: "x"}); latchkey.CodeOf(err) != latchkey.CodeUnauthenticated {
				t.Errorf("a change that was on its way: %v", err)
			}
			h.as(h.root).do("GET", k.path, nil).must(200)
		})
	}
}
