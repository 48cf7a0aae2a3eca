package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/server"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/store/sqlite"
)

func openSQLite(ctx context.Context, data string) (store.Store, error) {
	s, err := sqlite.Open(ctx, data, nil)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// config serves on a free port from a folder of the test's own.
func config(t *testing.T) server.Config {
	t.Helper()
	dir, err := os.MkdirTemp("", "lk") //nolint:usetesting // the path of a socket is short, and the name of a test is not
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return server.Config{OpenStore: openSQLite, Data: filepath.Join(dir, "data"), Listen: "127.0.0.1:0"}
}

// start serves until the test ends.
func start(t *testing.T, c server.Config) *server.Server {
	t.Helper()
	s, err := server.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *server.Server) {
	t.Helper()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Wait(ended); err != nil {
		t.Error(err)
	}
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// A configuration that cannot be meant is refused before anything is opened.
func TestConfig(t *testing.T) {
	t.Parallel()
	opened := errors.New("the configuration was taken")
	for _, test := range []struct {
		set   func(*server.Config)
		wrong string // "" if it is taken
	}{
		{func(*server.Config) {}, ""},
		{func(c *server.Config) { c.Listen = ":0" }, ""},
		{func(c *server.Config) { c.Listen = "[::1]:8080" }, ""},
		{func(c *server.Config) { c.Listen = "127.0.0.1" }, "listen"},
		{func(c *server.Config) { c.Listen = "127.0.0.1:http" }, "listen"},
		{func(c *server.Config) { c.Listen = "127.0.0.1:65536" }, "listen"},
		{func(c *server.Config) { c.Listen = "::1:80" }, "listen"},
		{func(c *server.Config) { c.MetricsListen = "9090" }, "metrics-listen"},
		{func(c *server.Config) { c.PublicURL = "https://keys.example.com" }, ""},
		{func(c *server.Config) { c.PublicURL = "http://[::1]:8080/" }, ""},
		{func(c *server.Config) { c.PublicURL = "keys.example.com" }, "public-url"},
		{func(c *server.Config) { c.PublicURL = "ftp://keys.example.com" }, "public-url"},
		{func(c *server.Config) { c.PublicURL = "https://user@keys.example.com" }, "public-url"},
		{func(c *server.Config) { c.PublicURL = "https://keys.example.com/api" }, "public-url"},
		{func(c *server.Config) { c.PublicURL = "https://keys.example.com?a=b" }, "public-url"},
		{func(c *server.Config) { c.PublicURL = "https://:8080" }, "public-url"},
		{func(c *server.Config) { c.TLSCert = "cert.pem" }, "tls-cert and tls-key"},
		{func(c *server.Config) { c.TLSKey = "key.pem" }, "tls-cert and tls-key"},
		{func(c *server.Config) { c.TLSCert, c.TLSKey = "no.pem", "no.pem" }, "certificate and its key"},
		{func(c *server.Config) {
			c.TrustedProxies, c.ProxyHeader = []string{"10.0.0.0/8", "2001:db8::1", "192.0.2.1"}, latchkey.HeaderForwarded
		}, ""},
		{func(c *server.Config) { c.TrustedProxies = []string{"10.0.0.0/8"} }, "do not go together"},
		{func(c *server.Config) { c.ProxyHeader = latchkey.HeaderForwarded }, "do not go together"},
		{func(c *server.Config) {
			c.TrustedProxies, c.ProxyHeader = []string{"0.0.0.0/0"}, latchkey.HeaderForwarded
		}, "do not go together"},
		{func(c *server.Config) {
			c.TrustedProxies, c.ProxyHeader = []string{"10.0.0.1", "proxy"}, latchkey.HeaderForwarded
		}, "Entry 2 of trusted-proxies"},
		{func(c *server.Config) { c.KeyringFile, c.KeyringText = "ring.json", latchkey.NewPlaintext("{}") }, "two key rings"},
		{func(c *server.Config) { c.Data = strings.Repeat("x", 120) }, "longer than"},
		{func(c *server.Config) { c.StopTimeout = -1 }, "stop-timeout"},
		{func(c *server.Config) { c.OpenStore = nil }, "No store"},
	} {
		c := config(t)
		c.OpenStore = func(context.Context, string) (store.Store, error) { return nil, opened }
		test.set(&c)
		s, err := server.Start(t.Context(), c)
		if s != nil {
			t.Fatal("started without a store")
		}
		if test.wrong == "" {
			if !errors.Is(err, opened) {
				t.Errorf("refused: %v", err)
			}
			continue
		}
		problem, ok := errors.AsType[*server.Problem](err)
		if !ok || !strings.Contains(problem.What, test.wrong) || problem.Do == "" {
			t.Errorf("want a problem with %q, got: %v", test.wrong, err)
		}
		if _, err := os.Stat(c.Data); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q: the folder was made", test.wrong)
		}
	}
}

// A start that fails lets go of everything it had.
func TestFailedStartLetsGo(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c := config(t)
	for _, set := range []*string{&c.Listen, &c.MetricsListen} {
		before := *set
		*set = taken.Addr().String()
		if _, err := server.Start(t.Context(), c); err == nil || !strings.Contains(err.Error(), "another process does") {
			t.Fatalf("want a taken address, got %v", err)
		}
		if _, err := os.Lstat(filepath.Join(c.Data, "latchkey.sock")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is still there (%v)", err)
		}
		*set = before
	}
	start(t, c)
}

// The socket takes the place of a dead server's, and of nothing else.
func TestSocket(t *testing.T) {
	t.Parallel()
	c := config(t)
	path := filepath.Join(c.Data, "latchkey.sock")
	if err := os.Mkdir(c.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	refused := func(why string) {
		t.Helper()
		before, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := server.Start(t.Context(), c); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("want a refusal with %q, got %v", why, err)
		}
		after, err := os.Lstat(path)
		if err != nil || !os.SameFile(before, after) {
			t.Errorf("%q, and yet it was touched (%v)", why, err)
		}
	}

	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("is not a socket")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}

	live, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	live.(*net.UnixListener).SetUnlinkOnClose(false)
	refused("Another server has the socket")
	if err := live.Close(); err != nil {
		t.Fatal(err)
	}

	start(t, c) // nobody listens on it any more
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("the socket: %v %v", info.Mode(), err)
	}
}

// failing is a store of which some parts fail.
type failing struct {
	store.Store
	submit func() error
	ping   func() error
}

func (f *failing) Submit(ctx context.Context, c store.Change) (int64, error) {
	if f.submit != nil {
		if err := f.submit(); err != nil {
			return 0, err
		}
	}
	return f.Store.Submit(ctx, c)
}

func (f *failing) Ping(ctx context.Context) error {
	if f.ping != nil {
		if err := f.ping(); err != nil {
			return err
		}
	}
	return f.Store.Ping(ctx)
}

func through(f *failing) func(context.Context, string) (store.Store, error) {
	return func(ctx context.Context, data string) (store.Store, error) {
		var err error
		f.Store, err = openSQLite(ctx, data)
		return f, err
	}
}

// Wherever a first start or an init breaks off, what is there can be gone on with.
func TestInitBreaksOff(t *testing.T) {
	t.Parallel()
	c := config(t)
	submits, breaks := 0, 1
	c.OpenStore = through(&failing{submit: func() error {
		if submits++; submits == breaks {
			return fmt.Errorf("%w: disk full", store.ErrUnavailable)
		}
		return nil
	}})

	if _, err := server.Init(t.Context(), c); latchkey.CodeOf(err) != latchkey.CodeUnavailable {
		t.Fatalf("without its bootstrap: %v", err)
	}
	// The ring is there now and the store is empty: init goes on with both.
	submits, breaks = 0, 2
	_, err := server.Init(t.Context(), c)
	problem, ok := errors.AsType[*server.Problem](err)
	if !ok || !strings.Contains(problem.What, "not its first key") || !strings.Contains(problem.Do, "latchkey keys create") {
		t.Fatalf("without its key: %v", err)
	}
	// The advice is good: the installation can be served, and makes keys.
	submits, breaks = 0, 0
	s := start(t, c)
	if s.Made() {
		t.Error("the installation was made twice")
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(c.Data, "latchkey.sock"))
	}}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://latchkey/v1/keys", strings.NewReader(`{"name":"First key","reach":"organization","role":"owner"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		t.Errorf("making the key by hand: %s", answer.Status)
	}
}

func TestInitTellsWhatItMade(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.Email = "me@example.com"
	made, err := server.Init(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if shown := fmt.Sprintf("%v %+v", made, *made); strings.Contains(shown, made.Key.Expose()) {
		t.Error("the key shows when the result is printed")
	}
	if _, err := server.Init(t.Context(), c); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("the second init: %v", err)
	}
	s := start(t, c)
	if s.Made() || s.Operator() != made.Organization || made.Email != c.Email {
		t.Errorf("served: made %t, organization %v, email %s", s.Made(), s.Operator(), made.Email)
	}
}

// A node that cannot read its store asks for no traffic, and lives.
func TestReadiness(t *testing.T) {
	t.Parallel()
	c := config(t)
	broken := make(chan struct{})
	c.OpenStore = through(&failing{ping: func() error {
		select {
		case <-broken:
			return store.ErrUnavailable
		default:
			return nil
		}
	}})
	s := start(t, c)
	if status, body := get(t, s.URL()+"/readyz"); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	close(broken)
	if status, body := get(t, s.URL()+"/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", status, body)
	}
	if status, body := get(t, s.URL()+"/healthz"); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
}

// Slow and big clients lose their own connection. The deadline of this test is
// far beyond the server's and only ends it when the server's is missing.
func TestBoundsOnClients(t *testing.T) {
	t.Parallel()
	at := strings.TrimPrefix(start(t, config(t)).URL(), "http://")
	dial := func(t *testing.T) net.Conn {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		return c
	}
	t.Run("slow header", func(t *testing.T) {
		c := dial(t)
		if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); err != nil {
			t.Errorf("the connection stays: %v", err)
		}
	})
	t.Run("big header", func(t *testing.T) {
		c := dial(t)
		if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("x", 20<<10)); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, len("HTTP/1.1 431"))
		if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "HTTP/1.1 431" {
			t.Errorf("%q %v", answer, err)
		}
	})
}
