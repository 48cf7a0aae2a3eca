package extauthz_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"latchkey.dev/latchkey/client"
	"latchkey.dev/latchkey/latchkeytest"
	"latchkey.dev/latchkey/server"
)

type object = map[string]any

// authority is a running Latchkey that Envoy can ask.
type authority struct {
	*latchkeytest.Authority
	t     *testing.T
	asked auth.AuthorizationClient
}

func startAuthority(t *testing.T) *authority {
	a := &authority{t: t, Authority: latchkeytest.Start(t, latchkeytest.Options{Adjust: func(c *server.Config) {
		c.ExtAuthzListen, c.Log = "127.0.0.1:0", slog.New(loud{c.Log.Handler()})
	}})}
	a.asked = dial(t, a.ExtAuthzURL, insecure.NewCredentials())
	return a
}

// loud has every line logged, those for debugging too.
type loud struct{ slog.Handler }

// Enabled implements slog.Handler.
func (loud) Enabled(context.Context, slog.Level) bool { return true }

func dial(t *testing.T, url string, secure credentials.TransportCredentials) auth.AuthorizationClient {
	_, address, _ := strings.Cut(url, "://")
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(secure))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return auth.NewAuthorizationClient(connection)
}

// post calls the native API as the owner.
func (a *authority) post(path string, body any, want int) object {
	a.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		a.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(a.t.Context(), http.MethodPost, a.URL+path, bytes.NewReader(text))
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+a.AdminKey)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	told, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != want {
		a.t.Fatalf("POST %s: %d %s %v", path, answer.StatusCode, told, err)
	}
	var out object
	if err := json.Unmarshal(told, &out); err != nil {
		a.t.Fatal(err)
	}
	return out
}

// gateway registers one before plants, and returns its token.
func (a *authority) gateway(name, profile string, more object) string {
	a.t.Helper()
	in := object{"name": name, "profile": profile, "credential": "header", "routes": []object{
		{"methods": []string{"GET"}, "path": "/v1/plants/{plant}", "scopes": object{"all": []string{"plants:read"}}, "resource": object{"type": "plant", "id": "{plant}"}},
		{"path": "/open"},
	}}
	maps.Copy(in, more)
	return a.post("/v1/gateways", in, 201)["token"].(string)
}

func (a *authority) key(more object) (id, secret string) {
	a.t.Helper()
	in := object{"name": "client", "partner": "Ä & B", "scopes": []string{"plants:read", "other"}}
	maps.Copy(in, more)
	made := a.post("/v1/keys", in, 201)
	return made["key"].(object)["id"].(string), made["secret"].(string)
}

// request is what Envoy says of a request, as its documentation describes it:
// header names in lower case, the path with its query, the address of its peer.
func request(path, source string, headers map[string]string) *auth.CheckRequest {
	if headers == nil {
		headers = map[string]string{}
	}
	headers[":method"], headers[":path"], headers[":authority"] = "GET", path, "api.example.com"
	return &auth.CheckRequest{Attributes: &auth.AttributeContext{
		Source: &auth.AttributeContext_Peer{Address: &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
			Address: source, PortSpecifier: &core.SocketAddress_PortValue{PortValue: 40000},
		}}}},
		Request: &auth.AttributeContext_Request{Http: &auth.AttributeContext_HttpRequest{
			Id: "1", Method: "GET", Path: path, Host: "api.example.com", Scheme: "http", Protocol: "HTTP/1.1", Headers: headers,
		}},
	}}
}

// check asks, with the token in the initial metadata.
func (a *authority) check(in *auth.CheckRequest, tokens ...string) *auth.CheckResponse {
	a.t.Helper()
	ctx := a.t.Context()
	for _, token := range tokens {
		ctx = metadata.AppendToOutgoingContext(ctx, "latchkey-gateway", token)
	}
	out, err := a.asked.Check(ctx, in)
	if err != nil {
		a.t.Fatal(err)
	}
	if ok := out.GetStatus().GetCode() == int32(codes.OK); ok != (out.GetOkResponse() != nil) || ok == (out.GetDeniedResponse() != nil) {
		a.t.Fatalf("half an answer: %v", out)
	}
	return out
}

// told is the HTTP status that a client gets, and the code of a refusal.
func told(out *auth.CheckResponse) (status int, code string) {
	no := out.GetDeniedResponse()
	if no == nil {
		return 200, "valid"
	}
	return int(no.GetStatus().GetCode()), header(no.GetHeaders(), "x-latchkey-code")
}

func header(list []*core.HeaderValueOption, name string) string {
	for _, h := range list {
		if h.GetHeader().GetKey() == name {
			return h.GetHeader().GetValue()
		}
	}
	return ""
}

func bearer(secret string) map[string]string {
	return map[string]string{"authorization": "Bearer " + secret}
}

func TestCheck(t *testing.T) {
	a := startAuthority(t)
	id, secret := a.key(nil)
	_, weak := a.key(object{"scopes": []string{"other"}})
	_, bound := a.key(object{"restrictions": object{"addresses": []string{"192.0.2.0/24", "2001:db8::/32"}}})
	_, test := a.key(object{"restrictions": object{"resources": object{"plant": []string{"1"}}}})
	token, live := a.gateway("front", "envoy-grpc", nil), a.gateway("live", "envoy-grpc", object{"environment": "test"})
	other := a.gateway("other", "nginx", nil)
	noMethod, noHost, noPath := request("/open", "192.0.2.1", bearer(secret)), request("/open", "192.0.2.1", bearer(secret)), request("", "192.0.2.1", bearer(secret))
	noMethod.Attributes.Request.Http.Method, noHost.Attributes.Request.Http.Host = "", ""
	pipe := request("/open", "", bearer(bound))
	pipe.Attributes.Source.Address.Address = &core.Address_Pipe{Pipe: &core.Pipe{Path: "/192.0.2.1"}}
	many := bearer(secret)
	for i := range 250 {
		many[strings.Repeat("a", i+1)] = ""
	}
	for name, c := range map[string]struct {
		in     *auth.CheckRequest
		tokens []string
		status int
		code   string
	}{
		"allowed":                      {request("/v1/plants/1?x=/none", "192.0.2.1", bearer(secret)), []string{token}, 200, "valid"},
		"by the other header":          {request("/v1/plants/1", "192.0.2.1", map[string]string{"x-api-key": secret}), []string{token}, 200, "valid"},
		"no key":                       {request("/open", "192.0.2.1", nil), []string{token}, 401, "malformed"},
		"two keys in one header":       {request("/open", "192.0.2.1", bearer(secret+",Bearer "+secret)), []string{token}, 401, "malformed"},
		"two keys":                     {request("/open", "192.0.2.1", map[string]string{"x-api-key": weak, "authorization": "Bearer " + secret}), []string{token}, 401, "malformed"},
		"the token for a key":          {request("/open", "192.0.2.1", bearer(token)), []string{token}, 401, "unknown"},
		"too little":                   {request("/v1/plants/1", "192.0.2.1", bearer(weak)), []string{token}, 403, "insufficient_scope"},
		"its plant":                    {request("/v1/plants/1", "192.0.2.1", bearer(test)), []string{token}, 200, "valid"},
		"another plant":                {request("/v1/plants/2", "192.0.2.1", bearer(test)), []string{token}, 403, "resource_not_allowed"},
		"another environment":          {request("/open", "192.0.2.1", bearer(secret)), []string{live}, 403, "wrong_environment"},
		"its address":                  {request("/open", "192.0.2.1", bearer(bound)), []string{token}, 200, "valid"},
		"its mapped address":           {request("/open", "::ffff:192.0.2.1", bearer(bound)), []string{token}, 200, "valid"},
		"another address":              {request("/open", "198.51.100.1", bearer(bound)), []string{token}, 403, "ip_not_allowed"},
		"another address, forged":      {request("/open", "198.51.100.1", map[string]string{"x-api-key": bound, "x-forwarded-for": "192.0.2.1", "x-real-ip": "192.0.2.1"}), []string{token}, 403, "ip_not_allowed"},
		"a zone":                       {request("/open", "2001:db8::1%eth0", bearer(bound)), []string{token}, 403, "ip_not_allowed"},
		"no address":                   {request("/open", "", bearer(bound)), []string{token}, 403, "ip_not_allowed"},
		"a pipe":                       {pipe, []string{token}, 403, "ip_not_allowed"},
		"no route":                     {request("/v2", "192.0.2.1", bearer(secret)), []string{token}, 403, "no_route"},
		"an ambiguous path":            {request("/v1/plants/%2e%2e", "192.0.2.1", bearer(secret)), []string{token}, 403, "no_route"},
		"a path of its own making":     {request("/v1/plants/1", "192.0.2.1", map[string]string{"x-api-key": weak, "x-original-uri": "/open", "x-envoy-original-path": "/open"}), []string{token}, 403, "insufficient_scope"},
		"no method":                    {noMethod, []string{token}, 403, "request_refused"},
		"no host":                      {noHost, []string{token}, 403, "request_refused"},
		"no path":                      {noPath, []string{token}, 403, "request_refused"},
		"nothing":                      {&auth.CheckRequest{}, []string{token}, 403, "request_refused"},
		"too many headers":             {request("/open", "192.0.2.1", many), []string{token}, 403, "request_refused"},
		"no token":                     {request("/open", "192.0.2.1", bearer(secret)), nil, 403, "gateway_unknown"},
		"two tokens":                   {request("/open", "192.0.2.1", bearer(secret)), []string{token, token}, 403, "gateway_unknown"},
		"a key for a token":            {request("/open", "192.0.2.1", bearer(secret)), []string{secret}, 403, "gateway_unknown"},
		"the token of another profile": {request("/open", "192.0.2.1", bearer(secret)), []string{other}, 403, "gateway_unknown"},
	} {
		status, code := told(a.check(c.in, c.tokens...))
		if status != c.status || code != c.code {
			t.Errorf("%s: %d %s, want %d %s", name, status, code, c.status, c.code)
		}
	}
	raw := request("/open", "192.0.2.1", nil)
	raw.Attributes.Request.Http.Headers = nil
	raw.Attributes.Request.Http.HeaderMap = &core.HeaderMap{Headers: []*core.HeaderValue{{Key: "authorization", RawValue: []byte("Bearer " + secret)}}}
	if status, code := told(a.check(raw, token)); status != 200 {
		t.Errorf("raw headers: %d %s", status, code)
	}
	raw.Attributes.Request.Http.HeaderMap.Headers = append(raw.Attributes.Request.Http.HeaderMap.Headers, raw.Attributes.Request.Http.HeaderMap.Headers[0])
	if status, code := told(a.check(raw, token)); status != 401 {
		t.Errorf("the same raw header twice: %d %s", status, code)
	}
	raw.Attributes.Request.Http.Headers = bearer(weak)
	if status, code := told(a.check(raw, token)); status != 403 || code != "request_refused" {
		t.Errorf("raw headers beside others: %d %s", status, code)
	}
	a.post("/v1/keys/"+id+"/revoke", object{}, 200)
	out := a.check(request("/open", "192.0.2.1", bearer(secret)), token)
	if status, code := told(out); status != 401 || code != "revoked" || header(out.GetDeniedResponse().GetHeaders(), "www-authenticate") != "Bearer" {
		t.Errorf("the request after the revocation: %v", out)
	}
	if log := a.Log(); strings.Contains(log, secret) || strings.Contains(log, token) || !strings.Contains(log, "gw_") {
		t.Error("the log has a secret in it, or does not say which gateway asked")
	}
}

// TestSigned asks about signed requests: each is let through once, as it was signed.
func TestSigned(t *testing.T) {
	a := startAuthority(t)
	token := a.gateway("front", "envoy-grpc", nil)
	made := a.post("/v1/keys", object{"name": "signs", "scopes": []string{"plants:read"}, "signing": object{"mode": "required"}}, 201)
	secret := made["secret"].(string)
	signer, err := client.NewSigner(client.KID(client.NewSecret(secret)), client.NewSecret(made["signing_key"].(string)))
	if err != nil {
		t.Fatal(err)
	}
	const target = "/v1/plants/1?dry=1"
	once := ""
	for _, c := range []struct {
		name   string
		change func(*auth.AttributeContext_HttpRequest)
		status int
		code   string
	}{
		{"signed", func(r *auth.AttributeContext_HttpRequest) {
			once = r.GetHeaders()["signature"] + "|" + r.GetHeaders()["signature-input"]
		}, 200, ""},
		{"once more", func(r *auth.AttributeContext_HttpRequest) {
			r.Headers["signature"], r.Headers["signature-input"], _ = strings.Cut(once, "|")
		}, 401, "signature_invalid"},
		{"another query", func(r *auth.AttributeContext_HttpRequest) { r.Path = "/v1/plants/1?dry=2" }, 401, "signature_invalid"},
		{"no query", func(r *auth.AttributeContext_HttpRequest) { r.Path = "/v1/plants/1" }, 401, "signature_invalid"},
		{"another path", func(r *auth.AttributeContext_HttpRequest) { r.Path = "/v1/plants/2?dry=1" }, 401, "signature_invalid"},
		{"another method", func(r *auth.AttributeContext_HttpRequest) { r.Method = "POST" }, 401, "signature_invalid"},
		{"another host", func(r *auth.AttributeContext_HttpRequest) { r.Host = "other.example.com" }, 401, "signature_invalid"},
		{"not signed", func(r *auth.AttributeContext_HttpRequest) { delete(r.Headers, "signature-input") }, 401, "signature_required"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example.com"+target, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := signer.Sign(r); err != nil {
			t.Fatal(err)
		}
		in := request(target, "192.0.2.1", map[string]string{
			"authorization": "Bearer " + secret, "signature": r.Header.Get("Signature"), "signature-input": r.Header.Get("Signature-Input"),
		})
		c.change(in.GetAttributes().GetRequest().GetHttp())
		if status, code := told(a.check(in, token)); status != c.status || c.status != 200 && code != c.code {
			t.Errorf("%s: %d %s, want %d %s", c.name, status, code, c.status, c.code)
		}
	}
}

// TestHeaders looks at what Envoy is told to set and to remove.
func TestHeaders(t *testing.T) {
	a := startAuthority(t)
	id, secret := a.key(nil)
	token := a.gateway("front", "envoy-grpc", object{"assertion_audience": "https://api.example.com"})
	spoofed := bearer(secret)
	spoofed["x-latchkey-subject"], spoofed["x_latchkey_subject"], spoofed["x.latchkey.subject"], spoofed["x-latchkey_subject"] = "usr_1", "usr_1", "usr_1", "usr_1"
	spoofed["x-latchkey-admin"], spoofed["X_LATCHKEY-Role"], spoofed["x-latchkey-code"] = "1", "1", "1"
	ok := a.check(request("/open", "192.0.2.1", spoofed), token).GetOkResponse()
	for name, want := range map[string]string{
		"x-latchkey-subject": id, "x-latchkey-key-id": id, "x-latchkey-partner": "%C3%84%20%26%20B", "x-latchkey-scopes": "plants:read other",
	} {
		if got := header(ok.GetHeaders(), name); got != want {
			t.Errorf("%s is set to %q, want %q", name, got, want)
		}
	}
	if text := header(ok.GetHeaders(), "x-latchkey-assertion"); strings.Count(text, ".") != 2 {
		t.Errorf("the assertion is %q", text)
	}
	for _, name := range []string{
		"authorization", "x-api-key", "x_latchkey_subject", "x.latchkey.subject", "x-latchkey_subject", "x-latchkey-admin", "x_latchkey-role",
		"x-latchkey-code", "x-latchkey-role", "x_latchkey_assertion",
	} {
		if !slices.Contains(ok.GetHeadersToRemove(), name) {
			t.Errorf("%s is not removed", name)
		}
	}
	for _, h := range ok.GetHeaders() {
		if h.GetAppendAction() != core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD || slices.Contains(ok.GetHeadersToRemove(), h.GetHeader().GetKey()) {
			t.Errorf("%s stands beside the client's own, or is set and removed", h.GetHeader().GetKey())
		}
	}
}

// TestTrustedProxies asks as an Envoy behind proxies does.
func TestTrustedProxies(t *testing.T) {
	a := startAuthority(t)
	_, secret := a.key(object{"restrictions": object{"addresses": []string{"192.0.2.0/24"}}})
	token := a.gateway("front", "envoy-grpc", object{"trusted_proxies": object{"networks": []string{"10.0.0.0/8"}, "header": "X-Forwarded-For"}})
	for forwarded, c := range map[string]struct {
		source string
		status int
	}{
		"192.0.2.1":                       {"10.0.0.1", 200},
		"198.51.100.1, 192.0.2.1":         {"10.0.0.1", 200},
		"192.0.2.1, 10.0.0.2, 10.0.0.1":   {"10.0.0.1", 200},
		"192.0.2.1, 198.51.100.1":         {"10.0.0.1", 403},
		"192.0.2.1, unknown":              {"10.0.0.1", 403},
		"192.0.2.1, 10.0.0.3, fe80::1%e0": {"10.0.0.1", 403},
		"192.0.2.9":                       {"198.51.100.1", 403},
		"":                                {"10.0.0.1", 403},
	} {
		headers := bearer(secret)
		if forwarded != "" {
			headers["x-forwarded-for"] = forwarded
		}
		if status, code := told(a.check(request("/open", c.source, headers), token)); status != c.status {
			t.Errorf("%q from %s: %d %s, want %d", forwarded, c.source, status, code, c.status)
		}
	}
}

// TestBounds breaks each bound of the transport, and asks well after it.
func TestBounds(t *testing.T) {
	a := startAuthority(t)
	_, secret := a.key(nil)
	token := a.gateway("front", "envoy-grpc", nil)
	large := request("/open", "192.0.2.1", bearer(secret))
	large.Attributes.Request.Http.Body = strings.Repeat("x", 1<<18)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "latchkey-gateway", token)
	if _, err := a.asked.Check(ctx, large); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a large message: %v", err)
	}
	if _, err := a.asked.Check(metadata.AppendToOutgoingContext(ctx, "much", strings.Repeat("x", 1<<16)), request("/open", "192.0.2.1", bearer(secret))); err == nil {
		t.Error("a large header is taken")
	}
	for i := range 60 { // strangers wait, a gateway does not
		code, _ := told(a.check(request("/open", "192.0.2.1", bearer(secret)), secret))
		if i == 59 && code != 429 {
			t.Errorf("stranger %d: %d", i, code)
		}
		if code, _ := told(a.check(request("/open", "192.0.2.1", bearer(secret)), token)); code != 200 {
			t.Fatalf("the gateway after stranger %d: %d", i, code)
		}
	}
	// What is not gRPC loses its connection.
	_, address, _ := strings.Cut(a.ExtAuthzURL, "://")
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	_, _ = io.WriteString(connection, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	_ = connection.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.Copy(io.Discard, connection); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("it is kept: %v", err)
	}
}

// TestTLS serves with a certificate, and takes up another one.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	certificate, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write := func(serial int64) *x509.CertPool {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			t.Fatal(err)
		}
		for name, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: encoded}} {
			if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		pool := x509.NewCertPool()
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		pool.AddCert(parsed)
		return pool
	}
	pool := write(1)
	a := &authority{t: t, Authority: latchkeytest.Start(t, latchkeytest.Options{Adjust: func(c *server.Config) {
		c.ExtAuthzListen, c.TLSCert, c.TLSKey = "127.0.0.1:0", certificate, key
	}})}
	if !strings.HasPrefix(a.ExtAuthzURL, "https://") {
		t.Fatalf("it is at %s", a.ExtAuthzURL)
	}
	asks := func(pool *x509.CertPool) error {
		_, err := dial(t, a.ExtAuthzURL, credentials.NewTLS(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})).Check(t.Context(), &auth.CheckRequest{})
		return err
	}
	if err := asks(pool); err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t, a.ExtAuthzURL, insecure.NewCredentials()).Check(t.Context(), &auth.CheckRequest{}); err == nil {
		t.Error("it answers without TLS")
	}
	next := write(2)
	deadline := time.Now().Add(30 * time.Second)
	for asks(next) != nil {
		if time.Now().After(deadline) {
			t.Fatal("the new certificate is not taken up")
		}
		time.Sleep(100 * time.Millisecond)
	}
}
