package rest_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/internal/door"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/rest"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/store/sqlite"
	"latchkey.dev/latchkey/verify"
)

// house is a running authority with the native API over it. Every answer that
// passes through it is held against /openapi.json.
type house struct {
	testing.TB

	dir       string
	store     store.Store
	ring      *keyring.Ring
	authority *authority.Authority
	verifier  *verify.Verifier
	api       *rest.API
	server    *httptest.Server
	socket    *httptest.Server
	log       *syncBuffer
	operator  *store.Installation
	root      string // the first user's key, over the whole organization
	document  *openapi3.T
	router    routers.Router
	answers   *atomic.Int64 // held against the document

	conforming sync.Map // answers that were

	faulty      bool   // 5xx answers are meant
	stopWriting func() // what verification writes behind, after writing what is left

	clock struct {
		sync.Mutex
		ahead   time.Duration
		stopped time.Time // zero: it goes
	}
}

// clocked is a store whose transactions have the house's time.
type clocked struct {
	store.Store
	now func() time.Time
}

func (c *clocked) Submit(ctx context.Context, change store.Change) (int64, error) {
	apply := change.Apply
	change.Apply = func(view *store.View) (store.Outcome, error) {
		view.Now = store.Truncate(c.now())
		return apply(view)
	}
	return c.Store.Submit(ctx, change)
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// open starts an authority in a temporary folder.
func open(t testing.TB, adjust ...func(*rest.Config)) *house {
	t.Helper()
	h := &house{TB: t, dir: t.TempDir(), log: &syncBuffer{}, answers: &atomic.Int64{}}
	log := slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	opened, err := sqlite.Open(t.Context(), h.dir, log)
	if err != nil {
		t.Fatal(err)
	}
	h.store = &clocked{Store: opened, now: h.now}
	t.Cleanup(func() { _ = h.store.Close() })
	if h.ring, err = keyring.Create(filepath.Join(h.dir, "keyring.json"), rand.Reader, time.Now()); err != nil {
		t.Fatal(err)
	}
	h.verifier = verify.New(h.store, h.ring, h.now, "test", log)
	h.writeBehind()
	t.Cleanup(func() { h.stopWriting() })
	h.authority = authority.New(authority.Config{
		Store: h.store, Ring: h.ring, Verifier: h.verifier, Clock: h.now, Random: rand.Reader, Log: log,
	})
	if h.operator, _, err = h.authority.Bootstrap(t.Context(), authority.DefaultEmail); err != nil {
		t.Fatal(err)
	}
	if err := h.verifier.Fill(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	first, err := h.authority.CreateFirstKey(t.Context(), h.operator)
	if err != nil {
		t.Fatal(err)
	}
	h.root = first.Secret.Expose()
	config := rest.Config{
		Door:      door.New(door.Config{Clock: h.now, Log: log}),
		Authority: h.authority, Verifier: h.verifier, Operator: h.operator.Operator, Version: "test",
		Ready: h.store.Ping,
	}
	for _, a := range adjust {
		a(&config)
	}
	if h.api, err = rest.New(config); err != nil {
		t.Fatal(err)
	}
	h.server, h.socket = httptest.NewServer(h.api.Handler()), httptest.NewServer(h.api.SocketHandler())
	t.Cleanup(h.server.Close)
	t.Cleanup(h.socket.Close)
	h.readDocument()
	return h
}

func (h *house) now() time.Time {
	h.clock.Lock()
	defer h.clock.Unlock()
	if !h.clock.stopped.IsZero() {
		return h.clock.stopped.Add(h.clock.ahead)
	}
	return time.Now().Add(h.clock.ahead)
}

// advance moves the clock, the authority's and its store's.
func (h *house) advance(d time.Duration) {
	h.clock.Lock()
	defer h.clock.Unlock()
	h.clock.ahead += d
}

// writeBehind lets verification write what it learns.
func (h *house) writeBehind() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { h.verifier.Run(ctx); close(done) }()
	h.stopWriting = func() { stop(); <-done }
}

// flush has verification write what it learned so far.
func (h *house) flush() {
	h.stopWriting()
	h.writeBehind()
}

func (h *house) readDocument() {
	h.Helper()
	res, err := http.Get(h.server.URL + "/openapi.json")
	if err != nil {
		h.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		h.Fatal(err)
	}
	if h.document, err = openapi3.NewLoader().LoadFromData(text); err != nil {
		h.Fatal(err)
	}
	if h.router, err = gorillamux.NewRouter(h.document); err != nil {
		h.Fatal(err)
	}
}

// answer is what came back.
type answer struct {
	h      *house
	Status int
	Header http.Header
	Text   string
	JSON   map[string]any
}

// run is a subtest that shares the house.
func (h *house) run(name string, test func()) {
	outer := h.TB
	outer.(*testing.T).Run(name, func(t *testing.T) {
		h.TB = t
		defer func() { h.TB = outer }()
		test()
	})
}

// as is a caller: a key, or "" for nobody.
func (h *house) as(key string) caller { return caller{h: h, key: key, url: h.server.URL} }

// operatorSocket is whoever can open the socket.
func (h *house) operatorSocket() caller { return caller{h: h, url: h.socket.URL} }

type caller struct {
	h      *house
	key    string
	url    string
	header http.Header
}

// with adds a header to every call.
func (c caller) with(name, value string) caller {
	c.header = c.header.Clone()
	if c.header == nil {
		c.header = http.Header{}
	}
	c.header.Add(name, value)
	return c
}

// in acts in another organization.
func (c caller) in(organization string) caller { return c.with("Latchkey-Organization", organization) }

// do sends a request: body is nil, a string sent as it is, or anything else sent
// as JSON.
func (c caller) do(method, path string, body any) answer {
	c.h.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			c.h.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(c.h.Context(), method, c.url+path, reader)
	if err != nil {
		c.h.Fatal(err)
	}
	if reader != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	maps.Copy(r.Header, c.header)
	if c.key != "" {
		r.Header.Set("Authorization", "Bearer "+c.key)
	}
	return c.h.send(r)
}

// send sends a request as it is. A redirection is an answer like any other.
func (h *house) send(r *http.Request) answer {
	h.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(r)
	if err != nil {
		h.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		h.Fatal(err)
	}
	a := answer{h: h, Status: res.StatusCode, Header: res.Header, Text: string(text)}
	_ = json.Unmarshal(text, &a.JSON)
	h.conforms(r, res, text)
	a.keepsTheProtocol(r)
	return a
}

// conforms holds an answer against the document. Paths that are not in it are
// nothing to hold.
func (h *house) conforms(r *http.Request, res *http.Response, text []byte) {
	h.Helper()
	bare := r.Clone(h.Context())
	bare.URL.Host, bare.URL.Scheme, bare.Host = "", "", ""
	route, params, err := h.router.FindRoute(bare)
	if err != nil {
		return
	}
	h.answers.Add(1)
	held.Add(1)
	same := fmt.Sprintf("%s %s %d %s\n%s", r.Method, route.Path, res.StatusCode, res.Header.Get("Content-Type"), differing.ReplaceAll(text, nil))
	if _, seen := h.conforming.LoadOrStore(same, true); seen {
		return // most of the time goes here, and one answer is often given a hundred times
	}
	asked := &openapi3filter.RequestValidationInput{
		Request: bare, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	if res.StatusCode < 300 { // what is taken must be what the document says
		h.announced(r, asked)
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: asked,
		Status:                 res.StatusCode, Header: res.Header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	in.SetBodyBytes(text)
	if err := openapi3filter.ValidateResponse(h.Context(), in); err != nil {
		h.Errorf("%s %s: %d does not conform to the document: %v\n%s", r.Method, r.URL.Path, res.StatusCode, err, text)
	}
}

// announced holds a request that was taken against the document. A member that
// is null counts as absent, as it does for most of them.
func (h *house) announced(r *http.Request, asked *openapi3filter.RequestValidationInput) {
	h.Helper()
	if r.Body != nil && r.GetBody == nil {
		return // it came in chunks and cannot be read again
	}
	if r.GetBody != nil {
		body, err := r.GetBody()
		if err != nil {
			h.Fatal(err)
		}
		var v any
		_ = json.NewDecoder(body).Decode(&v) // what cannot be read was not taken, save nothing at all
		text := []byte{}
		if v != nil {
			if text, err = json.Marshal(withoutNulls(v)); err != nil {
				h.Fatal(err)
			}
		}
		if asked.Request.Header.Get("Content-Type") == "" { // where that was taken, it counts as JSON
			asked.Request = asked.Request.Clone(asked.Request.Context())
			asked.Request.Header.Set("Content-Type", "application/json")
		}
		asked.Request.Body, asked.Request.GetBody = io.NopCloser(bytes.NewReader(text)), nil
	}
	if err := openapi3filter.ValidateRequest(h.Context(), asked); err != nil {
		h.Errorf("%s %s was taken and does not conform to the document: %.1000v", r.Method, r.URL, err)
	}
}

func withoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if v[name] = withoutNulls(member); member == nil {
				delete(v, name)
			}
		}
	case []any:
		for i := range v {
			v[i] = withoutNulls(v[i])
		}
	}
	return v
}

// must fails the test unless the status is the one given.
func (a answer) must(status int) answer {
	a.h.Helper()
	if a.Status != status {
		a.h.Fatalf("status %d, want %d: %s", a.Status, status, a.Text)
	}
	return a
}

// refused fails the test unless the answer is that refusal, and about that
// place if one is given.
func (a answer) refused(status int, code latchkey.ErrorCode, pointer ...string) {
	a.h.Helper()
	a.must(status)
	if got := a.text("code"); got != string(code) {
		a.h.Fatalf("code %q, want %q: %s", got, code, a.Text)
	}
	if ct := a.Header.Get("Content-Type"); ct != "application/problem+json" {
		a.h.Errorf("content type %q", ct)
	}
	for _, p := range pointer {
		if !strings.Contains(a.Text, `"pointer":"`+p+`"`) {
			a.h.Fatalf("no error at %s: %s", p, a.Text)
		}
	}
}

// at walks into the answer: a.at("key", "id").
func (a answer) at(path ...any) any {
	var v any = a.JSON
	for _, step := range path {
		switch s := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[s]
		case int:
			l, _ := v.([]any)
			if s >= len(l) {
				return nil
			}
			v = l[s]
		}
	}
	return v
}

func (a answer) text(path ...any) string {
	s, _ := a.at(path...).(string)
	return s
}

// verify asks as the caller whether a key may do something.
func (c caller) verify(key string, more map[string]any) string {
	c.h.Helper()
	in := map[string]any{"key": key}
	maps.Copy(in, more)
	return c.do("POST", "/v1/keys/verify", in).must(200).text("code")
}

type object = map[string]any
