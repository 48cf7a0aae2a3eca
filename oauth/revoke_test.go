package oauth_test

import (
	"net/http"
	"testing"
	"time"

	"latchkey.dev/latchkey/client"
	"latchkey.dev/latchkey/latchkeytest"
	"latchkey.dev/latchkey/store/postgres/postgrestest"
)

// What a resource server is told of a credential (RFC 7662, section 2.2).
func TestIntrospection(t *testing.T) {
	t.Parallel()
	h := open(t)
	gateway := h.key(object{"scopes": []string{"token:introspect"}, "reach": "organization"})
	k := h.key(object{"scopes": []string{"plants:*"}, "partner": "acme"})
	jwt := h.token(k, "scope", "plants:read", "audience", "plants")
	_, said := h.read(jwt)
	for name, change := range map[string]func(*http.Request){"Basic": gateway.basic(), "a key as Bearer": bearer(gateway.secret), "a token as Bearer": bearer(h.token(gateway))} {
		a := h.ask("/oauth/introspect", change, "token", jwt, "token_type_hint", "refresh_token").must(200)
		a.unstored()
		for member, want := range map[string]any{
			"active": true, "scope": "plants:read", "client_id": k.kid, "token_type": "Bearer", "sub": k.id, "iss": h.URL, "aud": "plants",
			"exp": said["exp"], "iat": said["iat"], "jti": said["jti"], "partner": "acme",
		} {
			if a.json[member] != want {
				t.Errorf("RFC 7662, section 2.2, by %s: %s is %v, want %v", name, member, a.json[member], want)
			}
		}
	}
	form := h.ask("/oauth/introspect", nil, "client_id", gateway.kid, "client_secret", gateway.secret, "token", k.secret).must(200)
	if form.json["active"] != true || form.json["scope"] != "plants:*" || form.json["sub"] != k.id || form.json["client_id"] != k.kid || form.json["jti"] != nil {
		t.Errorf("a key: %v", form.json)
	}
	// Who may ask (section 2.1), and how others are refused (section 2.3).
	h.ask("/oauth/introspect", nil, "token", jwt).refused(401, "invalid_client")
	if a := h.ask("/oauth/introspect", bearer("nothing"), "token", jwt).refused(401, "invalid_token"); a.header.Get("WWW-Authenticate") != `Bearer realm="latchkey", error="invalid_token"` {
		t.Errorf("RFC 6750, section 3: %q", a.header.Get("WWW-Authenticate"))
	}
	if a := h.ask("/oauth/introspect", bearer(k.secret), "token", jwt).refused(403, "insufficient_scope"); a.header.Get("WWW-Authenticate") != `Bearer realm="latchkey", error="insufficient_scope", scope="token:introspect"` {
		t.Errorf("RFC 6750, section 3.1: %q", a.header.Get("WWW-Authenticate"))
	}
	h.ask("/oauth/introspect", gateway.basic()).refused(400, "invalid_request")
	h.ask("/oauth/introspect", gateway.basic(), "token", jwt, "client_address", "here").refused(400, "invalid_request")
	// A key that may be used from some places is good only there.
	bound := h.key(object{"restrictions": object{"addresses": []string{"192.0.2.0/24"}}})
	h.inactive("from nowhere", gateway, bound.secret)
	h.inactive("from elsewhere", gateway, bound.secret, "client_address", "198.51.100.1")
	if a := h.ask("/oauth/introspect", gateway.basic(), "token", bound.secret, "client_address", "192.0.2.7").must(200); a.json["active"] != true {
		t.Errorf("from its own network: %v", a.json)
	}
	for name, credential := range map[string]string{"nothing of ours": "x", "a JWT of another": "eyJhbGciOiJub25lIn0.e30.AAAA", "a key with a typing error": k.secret + "x", "half a token": jwt[:len(jwt)/2]} {
		h.inactive(name, gateway, credential)
	}
}

// inactive wants the one answer on what is worth nothing.
func (h *house) inactive(what string, by key, credential string, pairs ...string) {
	h.Helper()
	for _, node := range h.nodes {
		a := h.askAt(node, "/oauth/introspect", by.basic(), append([]string{"token", credential}, pairs...)...).must(200)
		if a.unstored(); a.text != `{"active":false}` {
			h.Errorf("RFC 7662, section 2.2, %s: %s", what, a.text)
		}
	}
}

// Another organization's credential, or another project's, is worth nothing to
// one who cannot reach it.
func TestIntrospectionReach(t *testing.T) {
	t.Parallel()
	h := open(t)
	project := h.native(h.AdminKey, "POST", "/v1/projects", object{"name": "Other", "prefix": "oth", "environment": "live"}).must(201).said("id")
	there := h.key(object{"project_id": project, "scopes": []string{"plants:read"}})
	here := h.key(object{"scopes": []string{"token:introspect"}})
	h.inactive("another project's key", here, there.secret)
	h.inactive("another project's token", here, h.token(there))
	wide := h.key(object{"scopes": []string{"token:introspect"}, "reach": "organization"})
	if a := h.ask("/oauth/introspect", wide.basic(), "token", h.token(there)).must(200); a.json["active"] != true || a.json["project_id"] != project {
		t.Errorf("within reach: %v", a.json)
	}
}

// ends are the ways in which a token comes to its end before its time.
func ends() map[string]func(h *house, k key, jwt string) answer {
	root := func(h *house, method, path string, body any) answer {
		return h.native(h.AdminKey, method, path, body).must(200)
	}
	return map[string]func(h *house, k key, jwt string) answer{
		"its key is revoked":  func(h *house, k key, _ string) answer { return root(h, "POST", k.path+"/revoke", nil) },
		"its key is disabled": func(h *house, k key, _ string) answer { return root(h, "PATCH", k.path, object{"enabled": false}) },
		"its secret is rotated away": func(h *house, k key, _ string) answer {
			return root(h, "POST", k.path+"/rotate", object{"overlap": "0s"})
		},
		"its rotation is completed": func(h *house, k key, _ string) answer {
			root(h, "POST", k.path+"/rotate", object{"overlap": "1h"})
			return root(h, "POST", k.path+"/rotation/complete", nil)
		},
		"it is revoked": func(h *house, _ key, jwt string) answer { return h.ask("/oauth/revoke", nil, "token", jwt).must(200) },
		"it is revoked by its client": func(h *house, k key, jwt string) answer {
			return h.ask("/oauth/revoke", k.basic(), "token", jwt, "token_type_hint", "access_token").must(200)
		},
		"its key is revoked here": func(h *house, k key, _ string) answer {
			return h.ask("/oauth/revoke", nil, "token", k.secret).must(200)
		},
		"its key revokes itself": func(h *house, k key, _ string) answer {
			return h.native("", "POST", "/v1/keys/revoke-self", object{"key": k.secret}).must(200)
		},
	}
}

// everywhere reports whether the answer says that every node knows.
func (a answer) everywhere() bool {
	return a.header.Get("X-Latchkey-Effective") == "everywhere" || a.json["effective"] == "everywhere" || a.json["usable"] == "everywhere"
}

// refusedAfter ends a token, and wants it refused by the first call after the
// answer, at every node, with what it was exchanged for; and introspection to say
// so and nothing else.
func (h *house) refusedAfter(what string, end func(h *house, k key, jwt string) answer) (jwt string) {
	h.Helper()
	gateway := h.key(object{"scopes": []string{"token:introspect"}, "reach": "organization"})
	k := h.key(object{"scopes": []string{"api_key:read"}})
	jwt = h.token(k)
	exchanged := h.ask("/oauth/token", nil, "grant_type", exchangeGrant, "subject_token", jwt, "subject_token_type", accessToken).must(200).said("access_token")
	for _, node := range h.nodes {
		h.at(node, jwt, "GET", k.path, nil).must(200)
		h.at(node, exchanged, "GET", k.path, nil).must(200)
	}
	if told := end(h, k, jwt); !told.everywhere() {
		h.Errorf("%s: the answer is %s, %v", what, told.text, told.header)
	}
	for _, node := range h.nodes {
		for which, token := range map[string]string{"the token": jwt, "what it was exchanged for": exchanged} {
			if a := h.at(node, token, "GET", k.path, nil); a.status != 401 {
				h.Errorf("%s: at %s %s is answered %d: %s", what, node, which, a.status, a.text)
			}
		}
	}
	h.inactive(what+": the token", gateway, jwt)
	h.inactive(what+": what it was exchanged for", gateway, exchanged)
	return jwt
}

// From the first call after the answer to its end, a token is refused, and cannot
// be exchanged.
func TestRefusedEverywhere(t *testing.T) {
	t.Parallel()
	for name, end := range ends() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			jwt := h.refusedAfter(name, end)
			h.ask("/oauth/token", nil, "grant_type", exchangeGrant, "subject_token", jwt, "subject_token_type", accessToken).refused(400, "invalid_request")
		})
	}
}

// The same at each of three nodes, wherever it was ended.
func TestRefusedAtEveryNode(t *testing.T) {
	t.Parallel()
	first := latchkeytest.Start(t, latchkeytest.Options{DatabaseURL: postgrestest.Database(t)})
	h := &house{TB: t, Authority: first, nodes: []string{first.URL, first.Node(t, nil).URL, first.Node(t, nil).URL}}
	n := 0
	for name, end := range ends() {
		h.URL = h.nodes[n%len(h.nodes)] // where everything is asked for
		h.refusedAfter(name, end)
		n++
	}
	if n < 8 {
		t.Errorf("%d ways", n)
	}
}

// Revocation (RFC 7009, section 2).
func TestRevocation(t *testing.T) {
	t.Parallel()
	h := open(t)
	k, other := h.key(object{"scopes": []string{"api_key:read"}}), h.key(object{})
	one, two := h.token(k), h.token(k)
	h.ask("/oauth/revoke", nil).refused(400, "invalid_request")
	h.ask("/oauth/revoke", basic(k.kid, "x"), "token", one).refused(401, "invalid_client")
	h.ask("/oauth/revoke", other.basic(), "token", one).refused(400, "unauthorized_client")
	h.ask("/oauth/revoke", other.basic(), "token", k.secret).refused(400, "unauthorized_client")
	h.native(one, "GET", k.path, nil).must(200)
	head := len(h.events("token.revoked"))
	for range 2 { // the second time there is nothing to do, and that is a success
		a := h.ask("/oauth/revoke", k.basic(), "token", one).must(200)
		if a.unstored(); a.text != "" || a.header.Get("X-Latchkey-Effective") != "everywhere" {
			t.Errorf("RFC 7009, section 2.2: %q, %v", a.text, a.header)
		}
	}
	h.native(one, "GET", k.path, nil).must(401)
	h.native(two, "GET", k.path, nil).must(200) // of another exchange
	h.native(k.secret, "GET", k.path, nil).must(200)
	events := h.events("token.revoked")
	_, said := h.read(one)
	if len(events) != head+1 || events[head]["changes"].(object)["token"] != said["jti"] || events[head]["object"].(object)["id"] != k.id {
		t.Errorf("on record: %v", events)
	}
	for name, nothing := range map[string]string{"no token": "x", "a token of another": "eyJhbGciOiJub25lIn0.e30.AAAA", "half": one[:50]} {
		if a := h.ask("/oauth/revoke", nil, "token", nothing); a.status != 200 {
			t.Errorf("RFC 7009, section 2.2, %s: %d", name, a.status)
		}
	}
	h.ask("/oauth/revoke", nil, "token", k.secret).must(200)
	h.ask("/oauth/revoke", nil, "token", k.secret).must(200)
	h.native(two, "GET", k.path, nil).must(401)
}

func (h *house) events(kind string) []object {
	h.Helper()
	var out []object
	for _, e := range h.native(h.AdminKey, "GET", "/v1/events?limit=100&type="+kind, nil).must(200).json["data"].([]any) {
		out = append(out, e.(object))
	}
	return out
}

// What there is, and where (RFC 8414, section 3).
func TestMetadata(t *testing.T) {
	t.Parallel()
	h := open(t)
	a := h.native("", "GET", "/.well-known/oauth-authorization-server", nil).must(200)
	if a.json["issuer"] != h.URL {
		t.Errorf("RFC 8414, section 3.3: the issuer is %v", a.json["issuer"])
	}
	k := h.key(object{"scopes": []string{"token:introspect"}, "reach": "organization"})
	at := func(name string) string { return a.said(name)[len(h.URL):] }
	jwt := h.ask(at("token_endpoint"), k.basic(), "grant_type", "client_credentials").must(200).said("access_token")
	h.ask(at("introspection_endpoint"), k.basic(), "token", jwt).must(200)
	h.ask(at("revocation_endpoint"), k.basic(), "token", jwt).must(200)
	keys := h.native("", "GET", at("jwks_uri"), nil).must(200)
	if len(keys.json["keys"].([]any)) == 0 {
		t.Errorf("no keys: %s", keys.text)
	}
	if types, ok := a.json["response_types_supported"].([]any); !ok || len(types) != 0 {
		t.Errorf("RFC 8414, section 2: %v", a.json)
	}
}

// The Go client asks for tokens, asks about them and ends them.
func TestGoClient(t *testing.T) {
	t.Parallel()
	h := open(t)
	k := h.key(object{"scopes": []string{"plants:*", "token:introspect"}, "reach": "organization"})
	c, err := client.New(h.URL, client.NewSecret(k.secret), client.Options{Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, secret := t.Context(), client.NewSecret(k.secret)
	token, err := c.Tokens.Exchange(ctx, secret, client.TokenRequest{Scopes: []string{"plants:read"}, Audiences: []string{"plants"}, Algorithm: "RS256"})
	if err != nil || token.Scope != "plants:read" || token.Life() != 10*time.Minute {
		t.Fatalf("%+v: %v", token, err)
	}
	in, err := c.Tokens.Introspect(ctx, token.Token, "127.0.0.1")
	if err != nil || !in.Active || in.Subject != k.id || in.ClientID != k.kid || in.Scope != "plants:read" || in.Issuer != h.URL {
		t.Errorf("%+v: %v", in, err)
	}
	if err := c.Tokens.Revoke(ctx, token.Token); err != nil {
		t.Error(err)
	}
	if in, err := c.Tokens.Introspect(ctx, token.Token, ""); err != nil || in != (client.Introspection{}) {
		t.Errorf("after its end: %+v: %v", in, err)
	}
	if _, err := c.Tokens.Exchange(ctx, secret, client.TokenRequest{Scopes: []string{"docs:read"}}); client.CodeOf(err) != "invalid_scope" {
		t.Errorf("a scope that it lacks: %v", err)
	}
}
