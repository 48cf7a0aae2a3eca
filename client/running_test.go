package client_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"latchkey.dev/latchkey/client"
	"latchkey.dev/latchkey/client/grpcauth"
)

// running is the program that users run, on a folder of its own.
type running struct {
	t       *testing.T
	program string
	dir     string
	listen  string
	url     string
	process *exec.Cmd
}

func startProgram(t *testing.T) (s *running, admin client.Secret) {
	t.Helper()
	s = &running{t: t, program: filepath.Join(t.TempDir(), "latchkey"), dir: filepath.Join(t.TempDir(), "d"), listen: "127.0.0.1:0"}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", s.program, "latchkey.dev/latchkey/cmd/latchkey").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), s.program, "init", "--data", s.dir, "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var made struct {
		Key client.Secret `json:"admin_key"`
	}
	if err := json.Unmarshal(out, &made); err != nil {
		t.Fatal(err)
	}
	s.start()
	t.Cleanup(s.kill)
	return s, made.Key
}

// start serves, the second time at the address of the first.
func (s *running) start() {
	s.t.Helper()
	s.process = exec.Command(s.program, "serve", "--data", s.dir, "--listen", s.listen, "--json", "--log-level", "error")
	out, err := s.process.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var told struct {
		URL string `json:"url"`
	}
	if err == nil {
		err = json.Unmarshal(line, &told)
	}
	if err != nil {
		s.t.Fatalf("the server does not start: %v", err)
	}
	at, err := url.Parse(told.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	s.url, s.listen = told.URL, at.Host
}

// kill ends the process as a power cut would.
func (s *running) kill() {
	if s.process != nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
		s.process = nil
	}
}

// guarded is an API behind the middleware: over HTTP, and over gRPC.
type guarded struct {
	http   *httptest.Server
	health grpc_health_v1.HealthClient
	inside atomic.Int64 // requests that came through without saying who it is
}

// guardedBody is the longest body of a signed request there.
const guardedBody = 1 << 10

func startGuarded(t *testing.T, c *client.Client) *guarded {
	t.Helper()
	g := &guarded{}
	guard := client.NewGuard(c, client.GuardOptions{MaxBody: guardedBody})
	mux := http.NewServeMux()
	mux.Handle("GET /docs", guard.Require(client.Need{AllScopes: []string{"docs:read"}}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := client.Identity(r.Context())
		if who == nil || !who.Valid {
			g.inside.Add(1)
			return
		}
		_, _ = io.WriteString(w, who.KeyID)
	})))
	mux.Handle("POST /echo", guard.Require(client.Need{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })))
	mux.Handle("GET /plants/{id}", guard.RequireFor(func(r *http.Request) client.Need {
		return client.Need{Resource: &client.Resource{Type: "plant", ID: r.PathValue("id")}}
	}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	g.http = httptest.NewServer(mux)
	t.Cleanup(g.http.Close)

	options := grpcauth.Options{Need: func(method string) client.Need {
		if strings.HasSuffix(method, "/Check") {
			return client.Need{AllScopes: []string{"docs:read"}}
		}
		return client.Need{AllScopes: []string{"docs:watch"}}
	}}
	server := grpc.NewServer(grpc.UnaryInterceptor(grpcauth.Unary(c, options)), grpc.StreamInterceptor(grpcauth.Stream(c, options)))
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(l) }() // until it is stopped
	t.Cleanup(server.Stop)
	connection, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	g.health = grpc_health_v1.NewHealthClient(connection)
	return g
}

// ask is the status that a key gets over HTTP, and what was said.
func (g *guarded) ask(path string, headers ...string) (int, string) {
	r, err := http.NewRequest(http.MethodGet, g.http.URL+path, http.NoBody)
	if err != nil {
		return 0, err.Error()
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text)
}

// call is the status that a key gets over gRPC.
func (g *guarded) call(ctx context.Context, key string) codes.Code {
	_, err := g.health.Check(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key), &grpc_health_v1.HealthCheckRequest{})
	return status.Code(err)
}

// watch is the same of a stream.
func (g *guarded) watch(ctx context.Context, key string) codes.Code {
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(ctx, "x-api-key", key))
	defer cancel()
	stream, err := g.health.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	return status.Code(err)
}

func newKey(t *testing.T, c *client.Client, in client.NewKey) (id, key string) {
	t.Helper()
	in.Name = "k"
	a, err := c.Keys.Create(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return a.Value.Key.ID, a.Value.Secret.Expose()
}

// TestAgainstTheProgram has the client and both middlewares at work while the
// server is killed and comes back: what may come in does once it is back, what
// may not never does, and without the server nobody does.
func TestAgainstTheProgram(t *testing.T) {
	s, admin := startProgram(t)
	owner, err := client.New(s.url, admin, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	id, good := newKey(t, owner, client.NewKey{Scopes: []string{"docs:read", "docs:watch"}})
	_, weak := newKey(t, owner, client.NewKey{Scopes: []string{"docs:write"}})
	_, far := newKey(t, owner, client.NewKey{Scopes: []string{"docs:read"}, Restrictions: client.Restrictions{Addresses: []string{"192.0.2.1"}}})
	_, one := newKey(t, owner, client.NewKey{Restrictions: client.Restrictions{Resources: map[string][]string{"plant": {"1"}}}})
	doomed, ended := newKey(t, owner, client.NewKey{Scopes: []string{"docs:read"}})
	_, verifying := newKey(t, owner, client.NewKey{Scopes: []string{"api_key:verify"}})
	asking, err := client.New(s.url, client.NewSecret(verifying), client.Options{Attempts: 2, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	g := startGuarded(t, asking)
	if _, err := owner.Keys.Revoke(t.Context(), doomed, "over"); err != nil {
		t.Fatal(err)
	}
	if status, text := g.ask("/docs", "Authorization", "Bearer "+good); status != 200 || text != id {
		t.Fatalf("a good key: %d %s", status, text)
	}
	for name, c := range map[string]struct {
		path    string
		headers []string
		status  int
		code    string
	}{
		"no key":           {"/docs", nil, 401, "malformed"},
		"noise":            {"/docs", []string{"X-API-Key", "noise"}, 401, "malformed"},
		"another scheme":   {"/docs", []string{"Authorization", "Basic " + good}, 401, "malformed"},
		"two keys":         {"/docs", []string{"Authorization", "Bearer " + good, "X-API-Key", weak}, 401, "malformed"},
		"a header twice":   {"/docs", []string{"X-API-Key", good, "X-API-Key", good}, 401, "malformed"},
		"a revoked key":    {"/docs", []string{"X-API-Key", ended}, 401, "revoked"},
		"too little":       {"/docs", []string{"X-API-Key", weak}, 403, "insufficient_scope"},
		"another address":  {"/docs", []string{"X-API-Key", far}, 403, "ip_not_allowed"},
		"another resource": {"/plants/2", []string{"X-API-Key", one}, 403, "resource_not_allowed"},
		"its resource":     {"/plants/1", []string{"X-API-Key", one}, 200, ""},
		"the same twice":   {"/plants/1", []string{"X-API-Key", good, "Authorization", "Bearer " + good}, 200, ""},
	} {
		if status, text := g.ask(c.path, c.headers...); status != c.status || !strings.Contains(text, c.code) {
			t.Errorf("%s: %d %s, want %d %s", name, status, text, c.status, c.code)
		}
	}
	for key, want := range map[string]codes.Code{good: codes.OK, weak: codes.PermissionDenied, ended: codes.Unauthenticated, "noise": codes.Unauthenticated} {
		if got := g.call(t.Context(), key); got != want {
			t.Errorf("over gRPC: %s, want %s", got, want)
		}
		if got := g.watch(t.Context(), key); got != want {
			t.Errorf("a stream over gRPC: %s, want %s", got, want)
		}
	}
	g.takesSigned(t, owner)
	g.survives(t, s, owner, good, ended)
}

// takesSigned sends requests that are signed, and what somebody on the way could
// make of them.
func (g *guarded) takesSigned(t *testing.T, owner *client.Client) {
	t.Helper()
	made, err := owner.Keys.Create(t.Context(), client.NewKey{Name: "signs", Scopes: []string{"docs:read"}, Signing: &client.Signing{Mode: "required"}})
	if err != nil {
		t.Fatal(err)
	}
	key := made.Value.Secret
	signer, err := client.NewSigner(client.KID(key), made.Value.SigningKey)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, target, body string, change func(*http.Request)) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, g.http.URL+target, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if err := signer.Sign(r); err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+key.Expose())
		change(r)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(text)
	}
	with := func(body string) func(*http.Request) {
		return func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		}
	}
	sent := http.Header{}
	most, none := strings.Repeat("x", guardedBody), func(*http.Request) {}
	cases := 0
	for _, c := range []struct {
		name, method, target, body string
		change                     func(*http.Request)
		status                     int
		told                       string
	}{
		{"signed", "GET", "/docs?of=1", "", func(r *http.Request) { sent = r.Header.Clone() }, 200, made.Value.Key.ID},
		{"once more", "GET", "/docs?of=1", "", func(r *http.Request) { r.Header = sent }, 401, "signature_invalid"},
		{"with a body", "POST", "/echo", "hello", none, 200, "hello"},
		{"with the longest body", "POST", "/echo", most, none, 200, most},
		{"with a longer body", "POST", "/echo", most + "x", none, 413, "body_too_large"},
		{"with a longer body, of unknown length", "POST", "/echo", most + "x", func(r *http.Request) { r.ContentLength = -1 }, 413, "body_too_large"},
		{"another body", "POST", "/echo", "hello", with("jello"), 401, "signature_invalid"},
		{"a body that was not there", "POST", "/echo", "", with("x"), 401, "signature_invalid"},
		{"another digest", "POST", "/echo", "hello", func(r *http.Request) {
			with("jello")(r)
			r.Header.Set("Content-Digest", "sha-256=:bZMjMh6NLXD8yJqAg8Nv5oqMFAEBKPJRDOcrIJRRnSI=:")
		}, 401, "signature_invalid"},
		{"another method", "GET", "/docs", "", func(r *http.Request) { r.Method = "HEAD" }, 401, ""},
		{"another path", "POST", "/docs", "", func(r *http.Request) { r.URL.Path = "/echo" }, 401, "signature_invalid"},
		{"another query", "GET", "/docs?of=1", "", func(r *http.Request) { r.URL.RawQuery = "of=2" }, 401, "signature_invalid"},
		{"no query", "GET", "/docs?of=1", "", func(r *http.Request) { r.URL.RawQuery = "" }, 401, "signature_invalid"},
		{"another host", "GET", "/docs", "", func(r *http.Request) { r.Host = "other.example.com" }, 401, "signature_invalid"},
		{"another signature", "GET", "/docs", "", func(r *http.Request) { r.Header.Set("Signature", sent.Get("Signature")) }, 401, "signature_invalid"},
		{"not signed", "GET", "/docs", "", func(r *http.Request) { r.Header.Del("Signature-Input"); r.Header.Del("Signature") }, 401, "signature_required"},
		{"half signed", "GET", "/docs", "", func(r *http.Request) { r.Header.Del("Signature-Input") }, 401, "signature_required"},
	} {
		cases++
		status, text := ask(c.method, c.target, c.body, c.change)
		if status != c.status || c.status == 200 && text != c.told || !strings.Contains(text, c.told) {
			t.Errorf("signed requests, %s: %d %.200s, want %d %.200s", c.name, status, text, c.status, c.told)
		}
	}
	if cases == 0 {
		t.Error("nothing was signed")
	}
}

// survives kills the server three times while requests are under way.
func (g *guarded) survives(t *testing.T, s *running, owner *client.Client, good, ended string) {
	t.Helper()
	var work sync.WaitGroup
	var let, closed, made atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	for range 4 {
		work.Go(func() {
			for ctx.Err() == nil {
				if status, text := g.ask("/docs", "X-API-Key", good); status == 200 {
					let.Add(1)
				} else if closed.Add(1); status != 503 {
					t.Errorf("a good key: %d %s", status, text)
				}
				if status, _ := g.ask("/docs", "X-API-Key", ended); status != 401 && status != 503 {
					t.Errorf("a revoked key: %d", status)
				}
			}
		})
	}
	names := map[string]bool{}
	work.Go(func() { // each key is made once, however often the server goes away
		for n := 0; ctx.Err() == nil; n++ {
			a, err := owner.Keys.Create(t.Context(), client.NewKey{Name: "made"})
			switch lost, ok := errors.AsType[*client.TransportError](err); {
			case err == nil && names[a.Value.Key.ID]:
				t.Errorf("one key for two calls: %s", a.Value.Key.ID)
			case err == nil:
				names[a.Value.Key.ID] = true
				made.Add(1)
			case !ok || lost.Operation == "":
				t.Errorf("creating: %v", err)
			}
		}
	})
	progress := func(of *atomic.Int64) {
		t.Helper()
		from, deadline := of.Load(), time.Now().Add(30*time.Second)
		for of.Load() == from {
			if time.Now().After(deadline) {
				t.Error("nothing goes on")
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	for range 3 {
		progress(&let)
		s.kill()
		progress(&closed)
		s.start()
		progress(&let)
		progress(&made)
	}
	stop()
	work.Wait()
	if n := g.inside.Load(); n > 0 {
		t.Errorf("%d requests came through without an identity", n)
	}
	if code := g.call(t.Context(), good); code != codes.OK {
		t.Errorf("over gRPC, after it came back: %s", code)
	}
	s.kill()
	if code := g.call(t.Context(), good); code != codes.Unavailable {
		t.Errorf("over gRPC, without the server: %s", code)
	}
}
