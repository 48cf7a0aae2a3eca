// Package latchkeytest starts a whole Latchkey for a test: the server that users
// run, on a store of its own in a temporary folder, on a free port.
//
// The store is the embedded one, or with [Options.DatabaseURL] a PostgreSQL
// database; LATCHKEY_TEST_STORE=postgres gives every authority that names none a
// database of its own on the server of LATCHKEY_TEST_POSTGRES.
//
//	authority := latchkeytest.Start(t, latchkeytest.Options{})
//	c, err := client.New(authority.URL, authority.AdminKey, client.Options{})
//
// It is stopped when the test ends. Nothing is shared between two of them.
package latchkeytest

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/server"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/store/postgres"
	"latchkey.dev/latchkey/store/postgres/postgrestest"
	"latchkey.dev/latchkey/store/sqlite"
)

// Options adjust an authority. The zero value is what most tests want.
type Options struct {
	PublicURL string   // where clients are told that it is; "": where it is asked
	Dialects  []string // which foreign APIs it speaks; nil: all

	// DatabaseURL is an empty PostgreSQL database; "" is the embedded store.
	DatabaseURL string

	// Adjust changes the server's configuration before it starts; nil changes
	// nothing.
	Adjust func(*server.Config)
}

// Authority is a running Latchkey.
type Authority struct {
	URL         string // without a slash at the end
	ExtAuthzURL string // where Envoy asks; "" unless the configuration says where to listen
	AdminKey    string // of the first user: the whole organization, role owner, without an end

	Organization latchkey.ID // the operator
	Project      latchkey.ID // its default one
	User         latchkey.ID // the owner
	Email        string      // of that user

	log    buffer
	config server.Config
	stop   func()
}

// Log is what the server has logged.
func (a *Authority) Log() string { return a.log.String() }

// Start makes an installation and serves it until the test ends.
func Start(t testing.TB, options Options) *Authority {
	t.Helper()
	a := &Authority{}
	log := slog.New(slog.NewTextHandler(&a.log, nil))
	config := server.Config{
		Data: t.TempDir(), Listen: "127.0.0.1:0", Log: log, PublicURL: options.PublicURL, Dialects: options.Dialects, StopTimeout: 10 * time.Second,
	}
	openStore(t, &config, options.DatabaseURL)
	if options.Adjust != nil {
		options.Adjust(&config)
	}
	made, err := server.Init(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	a.AdminKey, a.Organization, a.Project, a.User, a.Email = made.Key.Expose(), made.Organization, made.Project, made.User, made.Email
	a.serve(t, config)
	return a
}

// Node starts another node on the authority's database, from a folder of its own,
// that ends with the test. The authority must have been started on PostgreSQL.
// adjust changes its configuration; nil changes nothing.
func (a *Authority) Node(t testing.TB, adjust func(*server.Config)) *Authority {
	t.Helper()
	ring, err := os.ReadFile(filepath.Join(a.config.Data, "keyring.json"))
	if err != nil {
		t.Fatal(err)
	}
	n := &Authority{AdminKey: a.AdminKey, Organization: a.Organization, Project: a.Project, User: a.User, Email: a.Email}
	config := a.config
	config.Data, config.Log = t.TempDir(), slog.New(slog.NewTextHandler(&n.log, nil))
	if err := os.WriteFile(filepath.Join(config.Data, "keyring.json"), ring, 0o600); err != nil { //nolint:gosec // the folder is the test's own
		t.Fatal(err)
	}
	if adjust != nil {
		adjust(&config)
	}
	n.serve(t, config)
	return n
}

// Stop ends the node before the test does.
func (a *Authority) Stop() { a.stop() }

// serve serves until the test ends.
func (a *Authority) serve(t testing.TB, config server.Config) {
	t.Helper()
	s, err := server.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	a.config, a.URL, a.ExtAuthzURL = config, s.URL(), s.ExtAuthzURL()
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- s.Wait(ctx) }()
	a.stop = sync.OnceFunc(func() {
		stop()
		if err := <-stopped; err != nil {
			t.Errorf("the authority did not stop well: %v", err)
		}
	})
	t.Cleanup(a.stop)
}

// openStore chooses the driver.
func openStore(t testing.TB, config *server.Config, database string) {
	if database == "" && os.Getenv("LATCHKEY_TEST_STORE") == "postgres" {
		database = postgrestest.Database(t)
	}
	config.Shared = database != ""
	config.OpenStore = func(ctx context.Context, data string) (store.Store, error) {
		if database == "" {
			return opened(sqlite.Open(ctx, data, config.Log))
		}
		return opened(postgres.Open(ctx, database, config.Log))
	}
}

// opened keeps a nil pointer from passing for a store.
func opened[S store.Store](s S, err error) (store.Store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// buffer is safe for concurrent use.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
