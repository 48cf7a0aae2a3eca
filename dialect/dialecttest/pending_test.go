package dialecttest_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/dialect/company"
	"latchkey.dev/latchkey/dialect/cycle"
	"latchkey.dev/latchkey/dialect/dialecttest"
	"latchkey.dev/latchkey/dialect/vertesia"
	"latchkey.dev/latchkey/dialect/voke"
	"latchkey.dev/latchkey/internal/door"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/latchkeytest"
	"latchkey.dev/latchkey/rest"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/store/sqlite"
	"latchkey.dev/latchkey/verify"
)

// silent is another node that does not tell how far it is.
type silent struct {
	authority.Spread
	mu     sync.Mutex
	within time.Duration // 0: it is as far as any
	waits  []time.Duration
}

func (s *silent) Await(_ context.Context, _ int64, _ time.Time, wait time.Duration) []store.Pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waits = append(s.waits, wait)
	if s.within == 0 {
		return nil
	}
	return []store.Pending{{Node: latchkey.ID{1}, Within: s.within}}
}

func (s *silent) is(within time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.within, s.waits = within, nil
}

// besideSilent is a world over an authority beside a silent node.
func besideSilent(t *testing.T) (*world, *silent) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	log := slog.New(slog.DiscardHandler)
	dir := t.TempDir()
	opened, err := sqlite.Open(t.Context(), dir, log)
	must(err)
	t.Cleanup(func() { _ = opened.Close() })
	ring, err := keyring.Create(dir+"/ring.json", rand.Reader, time.Now())
	must(err)
	verifier := verify.New(opened, ring, time.Now, "test", log)
	other := &silent{}
	a := authority.New(authority.Config{Store: opened, Ring: ring, Verifier: verifier, Clock: time.Now, Random: rand.Reader, Log: log, Spread: other})
	installation, _, err := a.Bootstrap(t.Context(), authority.DefaultEmail)
	must(err)
	first, err := a.CreateFirstKey(t.Context(), installation)
	must(err)
	front := door.New(door.Config{Clock: time.Now, Log: log})
	native, err := rest.New(rest.Config{Door: front, Authority: a, Verifier: verifier, Operator: installation.Operator})
	must(err)
	config := voke.Config{Door: front, Authority: a}
	mux := http.NewServeMux()
	mux.Handle("/", native.Handler())
	for _, d := range []struct {
		mounts  []string
		handler http.Handler
	}{
		{[]string{"/api/v1/partner/api-keys", "/api/v1/partner/api-keys/"}, voke.New(config).Handler()},
		{[]string{"/api/v1/apikeys", "/api/v1/apikeys/"}, vertesia.New(config).Handler()},
		{[]string{"/keys", "/keys/"}, company.New(config).Handler()},
		{[]string{"/v1/hubs/current/api-keys", "/v1/hubs/current/api-keys/"}, cycle.New(config).Handler()},
	} {
		for _, at := range d.mounts {
			mux.Handle(at, d.handler)
		}
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	h := &dialecttest.House{TB: t, Authority: &latchkeytest.Authority{
		URL: server.URL, AdminKey: first.Secret.Expose(), Organization: installation.Operator, User: installation.Owner,
	}}
	w := &world{House: h, hub: installation.Operator.Hex(), owner: h.User("Ada", "developer")}
	for _, r := range latchkey.BuiltinRoles() {
		if r.Identifier == "developer" {
			w.role = r.ID.Hex()
		}
	}
	return w, other
}

// Every dialect answers its documented success and says beside it how far the
// change has come, after waiting as long as the native API does by default.
func TestPendingIsToldBeside(t *testing.T) {
	t.Parallel()
	w, other := besideSilent(t)
	for _, s := range speakers()[1:] {
		for _, test := range []struct {
			within time.Duration
			want   string
		}{{0, "everywhere"}, {2500 * time.Millisecond, "pending"}} {
			told := func(what string, a dialecttest.Answer) {
				t.Helper()
				other.mu.Lock()
				waits := other.waits
				other.mu.Unlock()
				if got := a.Header.Get("X-Latchkey-Effective"); a.Status/100 != 2 || got != test.want || len(waits) != 1 || waits[0] != authority.DefaultWait {
					t.Errorf("%s, %s: %d %q, having waited %v; want %q", s.name, what, a.Status, got, waits, test.want)
				}
			}
			other.is(test.within)
			made := w.ask(s, w.AdminKey, http.MethodPost, s.path, s.body(w))
			told("create", made)
			other.is(test.within)
			revoked := w.ask(s, w.AdminKey, http.MethodDelete, s.path+"/"+made.String(s.id...), nil)
			told("revoke", revoked)
			if s.name == "voke" {
				want := map[string]string{
					"everywhere": "API key revoked",
					"pending":    "API key revoked; it may take up to 3s until every node refuses it",
				}[test.want]
				revoked.Is(want, "message")
			}
		}
	}
}
