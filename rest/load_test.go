package rest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/rest"
)

// behindProxy opens a house that believes the proxy on this machine who the
// client is.
func behindProxy(t *testing.T) *house {
	t.Helper()
	trust, err := latchkey.NewProxyTrust([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, latchkey.HeaderForwardedFor)
	if err != nil {
		t.Fatal(err)
	}
	return open(t, func(c *rest.Config) { c.Proxies = trust })
}

// from makes the caller come from an address, as the proxy says.
func (c caller) from(address string) caller { return c.with("X-Forwarded-For", address) }

// failures is how many credentials may fail from one source in a burst.
const failures = 20

func TestThrottlingBySource(t *testing.T) {
	t.Parallel()
	h := behindProxy(t)
	exhaust := func(from string) {
		h.Helper()
		for i := range failures {
			bad := h.as(fmt.Sprint("junk ", i)).from(from)
			switch i % 4 {
			case 0:
				bad = h.as("").from(from) // none is as bad as a wrong one
			case 1:
				bad = h.as(nobodys(t)).from(from)
			case 2:
				bad.do("POST", "/v1/keys/revoke-self", object{"key": "junk"}).refused(401, latchkey.CodeUnauthenticated)
				continue
			}
			bad.do("GET", "/v1/keys", nil).refused(401, latchkey.CodeUnauthenticated)
		}
	}
	throttled := func(from string, yes bool) {
		h.Helper()
		a := h.as("junk").from(from).do("GET", "/v1/keys", nil)
		if !yes {
			a.refused(401, latchkey.CodeUnauthenticated)
			return
		}
		a.refused(429, latchkey.CodeTooManyRequests)
		if n, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || n < 1 || n > 2 {
			h.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
		}
		if a.Header.Get("WWW-Authenticate") != "" {
			h.Error("429 with a challenge")
		}
	}
	h.stopClock()
	exhaust("192.0.2.1")
	throttled("192.0.2.1", true)
	throttled("::ffff:192.0.2.1", true)     // the same one
	throttled("10.9.8.7, 192.0.2.1", true)  // what it says of itself does not help
	throttled("192.0.2.1, 127.0.0.1", true) // nor what trusted proxies add
	throttled("192.0.2.2", false)           // its neighbour is another
	h.as("").from("192.0.2.1").do("POST", "/v1/keys/revoke-self", object{"key": "junk"}).refused(429, latchkey.CodeTooManyRequests)

	// A good credential is served all the same, and what it asks about is nobody's credential.
	root := h.as(h.root).from("192.0.2.1")
	k := root.newKey(object{})
	for range failures + 5 {
		if code := root.verify("junk", nil); code != "malformed" {
			t.Fatalf("verdict %s", code)
		}
	}
	h.as("").from("192.0.2.1").do("POST", "/v1/keys/revoke-self", object{"key": k.secret}).must(200)
	h.as("").from("192.0.2.1").do("GET", "/healthz", nil).must(200)

	// One failure is forgotten each second.
	h.advance(time.Second)
	throttled("192.0.2.1", false)
	throttled("192.0.2.1", true)
	h.advance(time.Duration(failures) * time.Second)
	exhaust("192.0.2.1")
	throttled("192.0.2.1", true)

	// A network of IPv6 is one source.
	exhaust("2001:db8:1:2::1")
	throttled("2001:db8:1:2:ffff:ffff:ffff:ffff", true)
	throttled("2001:db8:1:3::1", false)

	// Clients that cannot be told apart are one source, and no known one.
	for i := range failures {
		throttled(fmt.Sprintf("unknown-%d", i), false)
	}
	throttled("fe80::1%eth0", true)
	throttled("203.0.113.9", false)
}

// Nobody locks a key out by presenting it wrong.
func TestThrottlingIsNotByKey(t *testing.T) {
	t.Parallel()
	h := behindProxy(t)
	h.stopClock()
	k := h.as(h.root).newKey(object{"role": "manager"})
	for range failures + 1 {
		h.as(wrongSecret(k.secret)).from("192.0.2.1").do("GET", "/v1/keys", nil)
	}
	for _, from := range []string{"192.0.2.1", "192.0.2.2"} {
		h.as(k.secret).from(from).do("GET", "/v1/keys", nil).must(200)
	}
}

// A key that may be used from elsewhere alone is refused, and was not guessed.
func TestAddressOfTheCaller(t *testing.T) {
	t.Parallel()
	h := behindProxy(t)
	k := h.as(h.root).newKey(object{"role": "manager", "restrictions": object{"addresses": []string{"192.0.2.0/24", "2001:db8::/32"}}})
	for range failures + 5 {
		h.as(k.secret).from("198.51.100.1").do("GET", "/v1/keys", nil).refused(403, latchkey.CodeForbidden)
	}
	for from, status := range map[string]int{
		"192.0.2.1": 200, "::ffff:192.0.2.1": 200, "2001:db8::1": 200, "198.51.100.1, 192.0.2.1": 200, "192.0.2.1, 198.51.100.1": 403,
		"junk": 403, "192.0.2.1%eth0": 403, "": 403, "127.0.0.1": 403, "[2001:db8::1]:443": 200, "192.0.2.1:443": 200,
	} {
		h.as(k.secret).from(from).do("GET", "/v1/keys", nil).must(status)
	}
	h.as(k.secret).do("GET", "/v1/keys", nil).must(403) // the proxy did not say for whom it asks
}

// stopClock keeps the house's time where it is.
func (h *house) stopClock() {
	h.clock.Lock()
	defer h.clock.Unlock()
	h.clock.stopped = time.Now()
}

// slow is a body that says when it is read, and ends when it is told to.
type slow struct {
	reading chan<- struct{}
	end     <-chan struct{}
	once    sync.Once
}

func (s *slow) Read([]byte) (int, error) {
	s.once.Do(func() { s.reading <- struct{}{} })
	<-s.end
	return 0, io.EOF
}

// occupy has n requests wait for their bodies; the returned function ends them.
func (h *house) occupy(n int, path string) (end func()) {
	h.Helper()
	reading, ended := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	handler := h.api.Handler()
	for range n {
		wg.Go(func() {
			r := httptest.NewRequest("POST", path, &slow{reading: reading, end: ended})
			r.Header.Set("Authorization", "Bearer "+h.root)
			r.Header.Set("Content-Type", "application/json")
			handler.ServeHTTP(httptest.NewRecorder(), r)
		})
	}
	for range n {
		<-reading
	}
	return func() { close(ended); wg.Wait() }
}

// Each kind of work has its own bound, and none is in the way of another.
func TestBoundsOfEveryOperation(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	always := func() {
		h.Helper()
		for _, path := range []string{"/healthz", "/readyz", "/openapi.json", "/docs"} {
			h.as("").do("GET", path, nil).must(200)
		}
		root.do("POST", "/v1/nothing", nil).refused(404, latchkey.CodeNotFound)
		root.do("PUT", "/v1/keys", nil).refused(405, latchkey.CodeMethodNotAllowed)
	}
	end := h.occupy(255, "/v1/keys")
	root.do("GET", "/v1/keys", nil).must(200) // one place is left
	more := h.occupy(1, "/v1/keys")
	for _, r := range h.routes() {
		if strings.HasSuffix(r.path, "z") {
			continue
		}
		a := root.do(r.method, r.to("key_0d5qh0w2e9x8v3k7m1ac"), h.bodyOf(r))
		switch r.OperationID {
		case "verifyKey", "batchVerifyKeys", "explainKey":
			a.must(200)
		case "revokeSelf":
			a.refused(401, latchkey.CodeUnauthenticated)
		case "getKeySet":
			a.must(200)
		default:
			a.refused(503, latchkey.CodeBusy)
		}
	}
	h.as("junk").do("GET", "/v1/keys", nil).refused(503, latchkey.CodeBusy)
	always()
	end()
	more()
	root.do("GET", "/v1/keys", nil).must(200)

	end = h.occupy(1024, "/v1/keys/verify")
	for _, operation := range []string{"verify", "batch-verify", "explain"} {
		root.do("POST", "/v1/keys/"+operation, object{"key": "x"}).refused(503, latchkey.CodeBusy)
	}
	root.newKey(object{})
	always()
	end()
	root.verify("x", nil)
}

// Whoever shows no credential takes no place: it is refused before its body is read.
func TestStrangersTakeNoPlace(t *testing.T) {
	t.Parallel()
	h := open(t)
	handler := h.api.Handler()
	for range 5 {
		never := &slow{reading: make(chan struct{}), end: nil} // to read it is to wait for ever
		r := httptest.NewRequest("POST", "/v1/keys", never)
		r.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, r)
		if rec.Code != 401 {
			t.Fatalf("status %d", rec.Code)
		}
	}
}

// What goes wrong in our code is told to the log and to nobody else.
func TestPanics(t *testing.T) {
	t.Parallel()
	const secret = "what nobody may read"
	h, o := openObserved(t, func(c *rest.Config) { c.Ready = func(context.Context) error { panic(errors.New(secret)) } })
	h.faulty = true
	a := h.as("").do("GET", "/readyz", nil)
	a.refused(500, latchkey.CodeInternal)
	if strings.Contains(a.Text, secret) || strings.Contains(a.Text, "goroutine") || !strings.Contains(h.log.String(), secret) {
		t.Errorf("%s", a.Text)
	}
	if line := h.logged(a.Header.Get("X-Request-Id")); !strings.Contains(line, "status=500") || !strings.Contains(line, "level=ERROR") {
		t.Errorf("logged as %q", line)
	}
	h.as("").do("GET", "/healthz", nil).must(200)

	// In the middle of an answer it is too late to say so: the answer breaks off.
	root := h.as(h.root)
	root.do("POST", "/v1/keys/batch-create", object{"items": list(150, func(int) object { return object{"name": "a"} })}).must(201)
	readings := 0
	read := func() {
		if readings++; readings == 2 {
			panic(secret)
		}
	}
	o.read.Store(&read)
	r, err := http.NewRequestWithContext(t.Context(), "GET", h.server.URL+"/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+h.root)
	r.Header.Set("Accept", "application/x-ndjson")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err == nil || strings.Contains(string(text), secret) {
		t.Errorf("half an answer of %d bytes looks like a whole one", len(text))
	}
	h.logged(res.Header.Get("X-Request-Id"))
	root.newKey(object{})
}

// Without its store the authority says so, and accepts nothing.
func TestStoreIsGone(t *testing.T) {
	t.Parallel()
	h := open(t)
	root, socket := h.as(h.root), h.operatorSocket()
	k := root.newKey(object{"role": "reader"})
	h.as("").do("GET", "/readyz", nil).must(200)
	root.verify(k.secret, nil)
	if err := h.store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, r := range h.routes() {
		path := r.to("key_0d5qh0w2e9x8v3k7m1ac")
		if r.path == "/healthz" {
			root.do(r.method, path, nil).must(200)
			continue
		}
		body := h.bodyOf(r)
		if r.OperationID == "revokeSelf" {
			body = object{"key": k.secret}
		}
		root.do(r.method, path, body).refused(503, latchkey.CodeUnavailable)
		a := socket.do(r.method, path, body)
		if slices.Contains([]string{"verifyKey", "batchVerifyKeys", "explainKey"}, r.OperationID) {
			continue // which say so in their verdict
		}
		a.refused(503, latchkey.CodeUnavailable)
	}
	for _, key := range []string{k.secret, nobodys(t), "junk"} {
		a := socket.do("POST", "/v1/keys/verify", object{"key": key}).must(200)
		if a.text("code") != "unavailable" || a.at("valid") != false || a.at("key_id") != nil {
			t.Errorf("%s", a.Text)
		}
	}
	h.as("junk").do("GET", "/v1/keys", nil).refused(503, latchkey.CodeUnavailable) // bad or good cannot be said
	h.as("").do("GET", "/v1/keys", nil).refused(401, latchkey.CodeUnauthenticated)
	for _, path := range []string{"/openapi.json", "/docs", "/healthz"} {
		h.as("").do("GET", path, nil).must(200)
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var reason error
	h := open(t, func(c *rest.Config) {
		c.Ready = func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			return reason
		}
	})
	set := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		reason = err
	}
	nobody := h.as("")
	for range 2 {
		nobody.do("GET", "/readyz", nil).must(200).holds(nil, object{"status": "ok"})
		nobody.do("GET", "/healthz", nil).must(200).holds(nil, object{"status": "ok"})
		set(errors.New("the disk is full of secrets"))
		a := nobody.do("GET", "/readyz", nil)
		a.refused(503, latchkey.CodeUnavailable)
		if strings.Contains(a.Text, "disk") || !strings.Contains(h.log.String(), "full of secrets") {
			t.Errorf("%s", a.Text)
		}
		nobody.do("GET", "/healthz", nil).must(200)
		set(nil)
	}
}

// Metrics know routes by their pattern: what a client makes up is no label.
func TestObserve(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]int{}
	h := open(t, func(c *rest.Config) {
		c.Observe = func(route string, status int, took time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			seen[fmt.Sprint(route, " ", status)]++
			if took < 0 {
				t.Errorf("%s took %v", route, took)
			}
		}
	})
	root := h.as(h.root)
	root.do("GET", "/v1/keys/key_0d5qh0w2e9x8v3k7m1ac", nil)
	root.do("GET", "/v1/keys/made-up", nil)
	root.do("PUT", "/v1/keys/made-up", nil)
	root.do("GET", "/made-up", nil)
	root.do("GET", "//v1/keys", nil)
	h.as("").do("GET", "/v1/keys", nil)
	root.do("HEAD", "/healthz", nil)
	want := map[string]int{"/v1/keys/{id} 404": 2, "/v1/keys/{id} 405": 1, " 404": 2, "/v1/keys 401": 1, "/healthz 200": 1}
	h.eventually("all were observed", func() bool {
		mu.Lock()
		defer mu.Unlock()
		for name, n := range want {
			if seen[name] != n {
				return false
			}
		}
		return true
	})
	mu.Lock()
	defer mu.Unlock()
	for name := range seen {
		if strings.Contains(name, "made-up") {
			t.Errorf("observed %q", name)
		}
	}
}
