package forward_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// asserted are the members of an assertion whose signature holds by the
// published keys.
func (a *authority) asserted(text string) (members object) {
	a.t.Helper()
	answer, err := http.Get(a.URL + "/.well-known/jwks.json")
	if err != nil {
		a.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	published, err := io.ReadAll(answer.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(published, &keys); err != nil {
		a.t.Fatal(err)
	}
	signed, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		a.t.Fatalf("%q: %v", text, err)
	}
	if err := signed.Claims(keys, &members); err != nil {
		a.t.Fatal(err)
	}
	return members
}

// TestAssertion asks through a gateway that tells an assertion, and through one
// that does not.
func TestAssertion(t *testing.T) {
	a := startAuthority(t)
	id, secret := a.key(nil)
	made := a.manage("POST", "/v1/gateways", object{"name": "front", "profile": "nginx", "routes": []object{{"path": "/*"}}, "assertion_audience": "https://api.example.com"}, 201)
	token, path := made["token"].(string), "/v1/gateways/"+made["gateway"].(object)["id"].(string)
	asks := func(secret string) http.Header {
		return ask(t, strings.TrimPrefix(a.URL, "http://"), "/gateway/"+token+"/", "Authorization: Bearer "+secret,
			"X-Original-Method: GET", "X-Original-Host: a", "X-Original-URI: /v1", "X-Real-IP: 127.0.0.1").Header
	}
	first := asks(secret)
	text := first.Get("X-Latchkey-Assertion")
	got := a.asserted(text)
	for name, want := range map[string]any{
		"iss": a.URL, "aud": "https://api.example.com", "sub": first.Get("X-Latchkey-Subject"), "key_id": id, "scope": "plants:read other",
		"partner": "Ä & B", "organization_id": first.Get("X-Latchkey-Organization"), "client_id": nil,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	issued, ends := int64(got["iat"].(float64)), int64(got["exp"].(float64))
	if now := time.Now().Unix(); ends-issued != 60 || issued > now || issued < now-30 {
		t.Errorf("it holds from %d to %d, and now it is %d", issued, ends, now)
	}
	if header, err := base64.RawURLEncoding.DecodeString(text[:strings.IndexByte(text, '.')]); err != nil || !strings.Contains(string(header), `"latchkey-assertion+jwt"`) {
		t.Errorf("its header is %s, %v", header, err)
	}
	if again := asks(secret).Get("X-Latchkey-Assertion"); again != text {
		t.Error("it is signed anew for each request")
	}

	// It is no credential here.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL+"/v1/keys", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+text)
	if answer, err := http.DefaultClient.Do(r); err != nil || answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("as a token of ours: %v, %v", answer, err)
	} else {
		_ = answer.Body.Close()
	}

	// What changed is told as it is now, and nothing is told of what is refused.
	a.manage("PATCH", "/v1/keys/"+id, object{"scopes": []string{"other"}}, 200)
	if changed := a.asserted(asks(secret).Get("X-Latchkey-Assertion")); changed["scope"] != "other" {
		t.Errorf("the scopes of a moment ago are told: %v", changed["scope"])
	}
	_, brief := a.key(object{"expires_at": time.Now().Add(20 * time.Second).UTC().Format(time.RFC3339)})
	if short := a.asserted(asks(brief).Get("X-Latchkey-Assertion")); int64(short["exp"].(float64)) > time.Now().Unix()+20 {
		t.Errorf("it outlives its key: %v", short["exp"])
	}
	a.manage("POST", "/v1/keys/"+id+"/revoke", object{}, 200)
	if told := asks(secret).Get("X-Latchkey-Assertion"); told != "" {
		t.Errorf("a revoked key is told: %s", told)
	}
	a.manage("PATCH", path, object{"assertion_audience": nil}, 200)
	_, other := a.key(nil)
	if told := asks(other); told.Get("X-Latchkey-Assertion") != "" || told.Get("X-Latchkey-Code") != "valid" {
		t.Errorf("a gateway without an audience tells %q", told)
	}
	if strings.Contains(a.Log(), text) {
		t.Error("the assertion is in the log")
	}
}

// TestSettings changes the proxies and the audience of a gateway, well and badly.
func TestSettings(t *testing.T) {
	a := startAuthority(t)
	trusted := func(header string, networks ...string) object { return object{"networks": networks, "header": header} }
	with := func(field string, value any) object {
		return object{"name": "n", "profile": "nginx", "routes": []object{{"path": "/*"}}, field: value}
	}
	for name, in := range map[string]object{
		"no networks":      with("trusted_proxies", trusted("Forwarded")),
		"no header":        with("trusted_proxies", object{"networks": []string{"10.0.0.0/8"}}),
		"another header":   with("trusted_proxies", trusted("X-Client-IP", "10.0.0.0/8")),
		"no network":       with("trusted_proxies", trusted("Forwarded", "10.0.0.0/8", "ten")),
		"everyone":         with("trusted_proxies", trusted("Forwarded", "0.0.0.0/0")),
		"nginx's own":      with("trusted_proxies", trusted("X-Real-IP", "10.0.0.0/8")),
		"a space":          with("assertion_audience", "my api"),
		"no audience":      with("assertion_audience", ""),
		"a long one":       with("assertion_audience", strings.Repeat("a", 256)),
		"gRPC in the path": {"name": "n", "profile": "envoy-grpc", "credential": "path", "routes": []object{{"path": "/*"}}},
	} {
		if answer := a.manage("POST", "/v1/gateways", in, 422); answer["code"] != "invalid" {
			t.Errorf("%s: %v", name, answer)
		}
	}
	made := a.manage("POST", "/v1/gateways", with("trusted_proxies", trusted("Forwarded", "10.0.0.0/8", "2001:db8::1")), 201)["gateway"].(object)
	path := "/v1/gateways/" + made["id"].(string)
	if got := made["trusted_proxies"].(object); got["header"] != "Forwarded" || len(got["networks"].([]any)) != 2 {
		t.Errorf("it is told as %v", got)
	}
	a.manage("PATCH", path, object{"trusted_proxies": trusted("X-Real-IP", "10.0.0.0/8")}, 422) // nginx writes it itself
	a.manage("PATCH", path, object{"profile": "envoy-grpc"}, 422)                               // its token is in the path
	a.manage("PATCH", path, object{"profile": "traefik", "trusted_proxies": trusted("X-Real-IP", "10.0.0.0/8"), "assertion_audience": "a"}, 200)
	a.manage("PATCH", path, object{"profile": "nginx"}, 422)
	if got := a.manage("PATCH", path, object{"trusted_proxies": nil, "assertion_audience": nil}, 200); got["trusted_proxies"] != nil || got["assertion_audience"] != nil {
		t.Errorf("after null: %v", got)
	}
	if grpc := a.manage("POST", "/v1/gateways", object{"name": "g", "profile": "envoy-grpc", "routes": []object{{"path": "/*"}}}, 201)["gateway"].(object); grpc["credential"] != "header" {
		t.Errorf("over gRPC the token is in the %v", grpc["credential"])
	}
}

// TestStrangersWait asks with bad tokens until they are told to wait; a gateway
// at the same address never is.
func TestStrangersWait(t *testing.T) {
	a := startAuthority(t)
	_, secret := a.key(nil)
	token, header := a.gateway("nginx", nil), a.gateway("nginx", object{"name": "other", "credential": "header"})
	asks := func(target string, more ...string) *http.Response {
		return ask(t, strings.TrimPrefix(a.URL, "http://"), target, append(more, "Authorization: Bearer "+secret,
			"X-Original-Method: GET", "X-Original-Host: a", "X-Original-URI: /open", "X-Real-IP: 127.0.0.1")...)
	}
	waits := 0
	for i := range 60 {
		bad := []func() *http.Response{
			func() *http.Response { return asks("/gateway/" + header + "/") },
			func() *http.Response { return asks("/gateway/-/", "Latchkey-Gateway: "+secret) },
			func() *http.Response { return asks("/gateway/noise/") },
			func() *http.Response { return asks("/gateway/"+token+"/", "Latchkey-Gateway: "+token) },
		}[i%4]()
		switch code := bad.Header.Get("X-Latchkey-Code"); {
		case bad.StatusCode == 403 && code == "gateway_unknown" && waits == 0:
		case bad.StatusCode == 429 && code == "too_many_requests" && bad.Header.Get("Retry-After") != "":
			waits++
		case bad.StatusCode != 403: // a place came free meanwhile
			t.Fatalf("stranger %d: %d %s", i, bad.StatusCode, code)
		}
		if good := asks("/gateway/" + token + "/"); good.StatusCode != 200 {
			t.Fatalf("a gateway, after stranger %d: %d", i, good.StatusCode)
		}
	}
	if waits < 20 {
		t.Errorf("of 60 strangers %d were told to wait", waits)
	}
}
