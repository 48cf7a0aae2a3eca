package oauth_test

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"
)

const (
	exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"
	accessToken   = "urn:ietf:params:oauth:token-type:access_token"
	jwtType       = "urn:ietf:params:oauth:token-type:jwt"
	keyType       = "urn:latchkey:token-type:api-key"
)

// A client gets a token by either way of authenticating (RFC 6749, sections 2.3.1,
// 4.4 and 5.1).
func TestClientCredentials(t *testing.T) {
	t.Parallel()
	h := open(t)
	k := h.key(object{"scopes": []string{"api_key:read", "plants:read"}})
	for name, a := range map[string]answer{
		"Basic":                         h.ask("/oauth/token", k.basic(), "grant_type", "client_credentials"),
		"Basic, and the same client_id": h.ask("/oauth/token", k.basic(), "grant_type", "client_credentials", "client_id", k.kid),
		"form":                          h.ask("/oauth/token", nil, "grant_type", "client_credentials", "client_id", k.kid, "client_secret", k.secret),
		"what is not known is passed over (section 3.2)": h.ask("/oauth/token", k.basic(), "grant_type", "client_credentials", "colour", "blue", "scope", ""),
	} {
		a.TB = t
		a.must(200).unstored()
		if a.json["token_type"] != "Bearer" || a.json["expires_in"] != 600.0 || a.json["scope"] != "api_key:read plants:read" || len(a.json) != 4 {
			t.Errorf("%s: %v", name, a.json)
		}
		h.native(a.said("access_token"), "GET", k.path, nil).must(200)
		h.native(a.said("access_token"), "POST", "/v1/keys", object{"name": "x"}).must(403)
	}
}

// What an access token says (RFC 9068, section 2).
func TestAccessToken(t *testing.T) {
	t.Parallel()
	h := open(t)
	k := h.key(object{"scopes": []string{"plants:read"}})
	header, payload := h.read(h.token(k))
	if header["typ"] != "at+jwt" || header["alg"] != "ES256" || header["kid"] == "" {
		t.Errorf("RFC 9068, section 2.1: %v", header)
	}
	for name, want := range map[string]any{
		"iss": h.URL, "aud": h.URL, "sub": k.id, "client_id": k.kid, "scope": "plants:read",
	} {
		if payload[name] != want {
			t.Errorf("RFC 9068, section 2.2: %s is %v, want %v", name, payload[name], want)
		}
	}
	if payload["exp"].(float64)-payload["iat"].(float64) != 600 || len(payload["jti"].(string)) < 22 {
		t.Errorf("RFC 9068, section 2.2: %v", payload)
	}
	if header, _ := h.read(h.token(k, "algorithm", "RS256")); header["alg"] != "RS256" {
		t.Errorf("asked for RS256: %v", header)
	}
	if again, _ := h.read(h.token(k)); again["kid"] != header["kid"] {
		t.Errorf("another key signs: %v", again)
	}
	_, other := h.read(h.token(k))
	if other["jti"] == payload["jti"] {
		t.Error("a jti came again")
	}
}

// A key, or a token of ours, is exchanged (RFC 8693, section 2).
func TestExchange(t *testing.T) {
	t.Parallel()
	h := open(t)
	k := h.key(object{"scopes": []string{"api_key:read", "plants:*"}})
	ask := func(change func(*http.Request), pairs ...string) answer {
		t.Helper()
		return h.ask("/oauth/token", change, append([]string{"grant_type", exchangeGrant}, pairs...)...)
	}
	for name, kind := range map[string]string{"as an access token": accessToken, "as a key": keyType} {
		a := ask(nil, "subject_token", k.secret, "subject_token_type", kind, "scope", "plants:write").must(200)
		a.unstored()
		if a.json["issued_token_type"] != accessToken || a.json["token_type"] != "Bearer" || a.json["scope"] != "plants:write" || a.json["expires_in"] != 600.0 {
			t.Errorf("RFC 8693, section 2.2.1, %s: %v", name, a.json)
		}
	}
	ask(k.basic(), "subject_token", k.secret, "subject_token_type", accessToken, "requested_token_type", jwtType).must(200)
	// A token narrows itself, and never the other way.
	narrow := ask(nil, "subject_token", h.token(k, "scope", "plants:* api_key:read"), "subject_token_type", jwtType, "scope", "plants:read").must(200)
	again := ask(nil, "subject_token", narrow.said("access_token"), "subject_token_type", accessToken).must(200)
	if again.json["scope"] != "plants:read" {
		t.Errorf("the exchange of a narrow token gave %v", again.json)
	}
	ask(nil, "subject_token", narrow.said("access_token"), "subject_token_type", accessToken, "scope", "plants:write").refused(400, "invalid_scope")

	other := h.key(object{})
	for name, c := range map[string]struct {
		code   string
		change func(*http.Request)
		pairs  []string
	}{
		"no subject_token":                  {"invalid_request", nil, []string{"subject_token_type", accessToken}},
		"no subject_token_type":             {"invalid_request", nil, []string{"subject_token", k.secret}},
		"a type that there is none of":      {"invalid_request", nil, []string{"subject_token", k.secret, "subject_token_type", "urn:ietf:params:oauth:token-type:saml2"}},
		"a key that says it is a JWT":       {"invalid_request", nil, []string{"subject_token", k.secret, "subject_token_type", jwtType}},
		"a token that says it is a key":     {"invalid_request", nil, []string{"subject_token", h.token(k), "subject_token_type", keyType}},
		"not a credential":                  {"invalid_request", nil, []string{"subject_token", "x", "subject_token_type", accessToken}},
		"a token for another (section 2.2)": {"invalid_request", nil, []string{"subject_token", h.token(k, "audience", "elsewhere"), "subject_token_type", accessToken}},
		"an actor":                          {"invalid_request", nil, []string{"subject_token", k.secret, "subject_token_type", accessToken, "actor_token", k.secret, "actor_token_type", accessToken}},
		"a refresh token is wanted":         {"invalid_request", nil, []string{"subject_token", k.secret, "subject_token_type", accessToken, "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"}},
		"by another client":                 {"unauthorized_client", other.basic(), []string{"subject_token", k.secret, "subject_token_type", accessToken}},
	} {
		a := ask(c.change, c.pairs...)
		if a.status != 400 {
			t.Errorf("RFC 8693, section 2.2.2, %s: %d", name, a.status)
		}
		a.refused(a.status, c.code)
	}
	ask(basic(other.kid, k.secret), "subject_token", k.secret, "subject_token_type", accessToken).refused(401, "invalid_client")
}

// A requested scope that the key lacks is refused, and no other is dropped (RFC
// 6749, sections 3.3 and 5.2).
func TestScope(t *testing.T) {
	t.Parallel()
	h := open(t)
	k := h.key(object{"scopes": []string{"plants:*", "docs:read"}})
	ask := func(scope string) answer {
		t.Helper()
		return h.ask("/oauth/token", k.basic(), "grant_type", "client_credentials", "scope", scope)
	}
	for asked, got := range map[string]string{
		"plants:read": "plants:read", "docs:read plants:read": "docs:read plants:read", "plants:*": "plants:*",
		"plants:read plants:read": "plants:read", "": "plants:* docs:read",
	} {
		if a := ask(asked).must(200); a.json["scope"] != got {
			t.Errorf("asked for %q, got %v", asked, a.json["scope"])
		}
	}
	for _, scope := range []string{"docs:write", "plants:read docs:write", "*", "docs:*", "PLANTS:READ", "api_key:read", " plants:read", "plants:read  docs:read", "a\"b", `a\b`, "é", strings.Repeat("x", 200)} {
		ask(scope).refused(400, "invalid_scope")
	}
	// The key's gain is not the token's; its loss is.
	jwt := h.token(k)
	h.native(h.AdminKey, "PATCH", k.path, object{"scopes": []string{"api_key:read", "docs:read"}}).must(200)
	h.native(jwt, "GET", k.path, nil).must(403)
	gateway := h.key(object{"scopes": []string{"token:introspect"}, "reach": "organization"})
	if a := h.ask("/oauth/introspect", gateway.basic(), "token", jwt).must(200); a.json["scope"] != "docs:read" {
		t.Errorf("what is left is %v", a.json)
	}
}

// Whom a token is for (RFC 8693, section 2.1; RFC 8707, section 2; RFC 9068,
// section 4).
func TestAudience(t *testing.T) {
	t.Parallel()
	h := open(t)
	k := h.key(object{"scopes": []string{"api_key:read"}})
	_, payload := h.read(h.token(k, "audience", "plants", "audience", "docs", "audience", "docs", "resource", "https://api.example.com/v1?x=1"))
	got, _ := payload["aud"].([]any)
	if !slices.Equal(got, []any{"https://api.example.com/v1?x=1", "plants", "docs"}) {
		t.Errorf("aud is %v", payload["aud"])
	}
	// A token for somebody else is no credential here.
	elsewhere := h.token(k, "audience", "plants")
	h.native(elsewhere, "GET", k.path, nil).must(401)
	h.native(h.token(k, "audience", "plants", "audience", h.URL), "GET", k.path, nil).must(200)
	many := []string{"grant_type", "client_credentials"}
	for name := range strings.SplitSeq("abcdefghi", "") {
		many = append(many, "audience", name)
	}
	for _, pairs := range [][]string{
		many,
		{"grant_type", "client_credentials", "resource", "plants"},
		{"grant_type", "client_credentials", "resource", "https://api.example.com/#x"},
		{"grant_type", "client_credentials", "resource", "https:///x"},
		{"grant_type", "client_credentials", "audience", strings.Repeat("a", 256)},
	} {
		h.ask("/oauth/token", k.basic(), pairs...).refused(400, "invalid_target")
	}
}

// How a request is refused (RFC 6749, sections 2.3, 3.2 and 5.2).
func TestRefusals(t *testing.T) {
	t.Parallel()
	h := open(t)
	k, other := h.key(object{}), h.key(object{})
	const grant, credentials = "grant_type", "client_credentials"
	raw := func(header string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", header) }
	}
	for name, c := range map[string]struct {
		status int
		code   string
		change func(*http.Request)
		pairs  []string
	}{
		"section 5.2: no client":                       {401, "invalid_client", nil, []string{grant, credentials}},
		"section 5.2: an unknown client":               {401, "invalid_client", basic("0000000000000000", k.secret), []string{grant, credentials}},
		"section 5.2: another's kid":                   {401, "invalid_client", basic(other.kid, k.secret), []string{grant, credentials}},
		"section 5.2: another's kid in the form":       {401, "invalid_client", nil, []string{grant, credentials, "client_id", other.kid, "client_secret", k.secret}},
		"section 5.2: a wrong secret":                  {401, "invalid_client", basic(k.kid, k.secret+"x"), []string{grant, credentials}},
		"section 5.2: a token is no client":            {401, "invalid_client", basic(k.kid, h.token(k)), []string{grant, credentials}},
		"section 4.4.2: a bearer is no client":         {401, "invalid_client", bearer(k.secret), []string{grant, credentials}},
		"section 2.3.1: not base64":                    {401, "invalid_client", raw("Basic !!"), []string{grant, credentials}},
		"section 2.3.1: no colon":                      {401, "invalid_client", raw("Basic " + base64.StdEncoding.EncodeToString([]byte(k.kid))), []string{grant, credentials}},
		"section 2.3.1: no secret":                     {401, "invalid_client", raw("Basic " + base64.StdEncoding.EncodeToString([]byte(k.kid+":"))), []string{grant, credentials}},
		"section 2.3.1: badly encoded":                 {401, "invalid_client", raw("Basic " + base64.StdEncoding.EncodeToString([]byte(k.kid+":%zz"))), []string{grant, credentials}},
		"another scheme":                               {401, "invalid_client", raw("Digest x"), []string{grant, credentials}},
		"section 2.3: two ways":                        {400, "invalid_request", k.basic(), []string{grant, credentials, "client_id", k.kid, "client_secret", k.secret}},
		"section 2.3: two headers":                     {400, "invalid_request", func(r *http.Request) { k.basic()(r); r.Header.Add("Authorization", "Bearer x") }, []string{grant, credentials}},
		"section 2.3: another client_id beside Basic":  {400, "invalid_request", k.basic(), []string{grant, credentials, "client_id", other.kid}},
		"section 2.3.1: a secret without client_id":    {400, "invalid_request", nil, []string{grant, credentials, "client_secret", k.secret}},
		"section 2.3.1: client_id without a secret":    {401, "invalid_client", nil, []string{grant, credentials, "client_id", k.kid}},
		"section 4.4.2: no grant":                      {400, "invalid_request", k.basic(), nil},
		"section 3.2: an empty grant is none":          {400, "invalid_request", k.basic(), []string{grant, ""}},
		"section 5.2: a grant that there is none of":   {400, "unsupported_grant_type", k.basic(), []string{grant, "password", "username", "a", "password", "b"}},
		"section 4.1.3: the code grant is not offered": {400, "unsupported_grant_type", k.basic(), []string{grant, "authorization_code", "code", "x"}},
		"section 6: nor is refreshing":                 {400, "unsupported_grant_type", k.basic(), []string{grant, "refresh_token", "refresh_token", "x"}},
		"section 3.2: a parameter twice":               {400, "invalid_request", k.basic(), []string{grant, credentials, grant, credentials}},
		"section 3.2: scope twice":                     {400, "invalid_request", k.basic(), []string{grant, credentials, "scope", "a", "scope", "a"}},
		"an algorithm of another key":                  {400, "invalid_request", k.basic(), []string{grant, credentials, "algorithm", "HS256"}},
		"an unsigned one":                              {400, "invalid_request", k.basic(), []string{grant, credentials, "algorithm", "none"}},
		"control characters":                           {400, "invalid_request", k.basic(), []string{grant, credentials, "scope", "a\x00b"}},
		"invalid UTF-8":                                {400, "invalid_request", k.basic(), []string{grant, credentials, "x", "\xff"}},
		"section 3.2: parameters in the query":         {400, "invalid_request", func(r *http.Request) { k.basic()(r); r.URL.RawQuery = "grant_type=client_credentials" }, nil},
		"appendix B: JSON":                             {400, "invalid_request", func(r *http.Request) { k.basic()(r); r.Header.Set("Content-Type", "application/json") }, []string{grant, credentials}},
		"appendix B: no type":                          {400, "invalid_request", func(r *http.Request) { k.basic()(r); r.Header.Del("Content-Type") }, []string{grant, credentials}},
		"appendix B: another charset": {400, "invalid_request", func(r *http.Request) {
			k.basic()(r)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=latin1")
		}, []string{grant, credentials}},
		"too large":        {413, "invalid_request", k.basic(), []string{grant, credentials, "x", strings.Repeat("x", 70_000)}},
		"section 3.2: GET": {405, "invalid_request", func(r *http.Request) { k.basic()(r); r.Method = http.MethodGet }, []string{grant, credentials}},
	} {
		t.Run(name, func(t *testing.T) {
			a := h.ask("/oauth/token", c.change, c.pairs...)
			a.TB = t
			a.refused(c.status, c.code)
			challenge := a.header.Get("WWW-Authenticate")
			if c.status == 401 != strings.HasPrefix(challenge, `Basic realm="`) {
				t.Errorf("section 5.2: the challenge is %q", challenge)
			}
			if strings.Contains(a.text, k.secret[20:40]) {
				t.Errorf("the answer repeats the secret: %s", a.text)
			}
		})
	}
	if strings.Contains(h.Authority.Log(), k.secret[20:40]) {
		t.Error("the log has the secret")
	}
	h.ask("/oauth/elsewhere", k.basic()).refused(404, "invalid_request")
}

// Keys that are not good, and where they may be used (RFC 6749, section 5.2).
func TestDeadClients(t *testing.T) {
	t.Parallel()
	h := open(t)
	revoked, disabled, bound := h.key(object{}), h.key(object{}), h.key(object{"restrictions": object{"addresses": []string{"192.0.2.0/24"}}})
	h.native(h.AdminKey, "POST", revoked.path+"/revoke", nil).must(200)
	h.native(h.AdminKey, "PATCH", disabled.path, object{"enabled": false}).must(200)
	for _, k := range []key{revoked, disabled} {
		h.ask("/oauth/token", k.basic(), "grant_type", "client_credentials").refused(401, "invalid_client")
		h.ask("/oauth/token", nil, "grant_type", exchangeGrant, "subject_token", k.secret, "subject_token_type", accessToken).refused(400, "invalid_request")
	}
	h.ask("/oauth/token", bound.basic(), "grant_type", "client_credentials").refused(400, "unauthorized_client")
}

// Failed credentials are throttled by where they come from, and a good one is
// served nevertheless.
func TestThrottling(t *testing.T) {
	t.Parallel()
	h := open(t)
	k := h.key(object{})
	var last answer
	for range 40 {
		last = h.ask("/oauth/token", basic(k.kid, k.secret+"x"), "grant_type", "client_credentials")
	}
	last.refused(429, "temporarily_unavailable")
	if last.header.Get("Retry-After") == "" {
		t.Error("nothing says when to come back")
	}
	h.token(k)
}
