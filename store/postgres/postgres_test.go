package postgres_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/store/postgres"
	"latchkey.dev/latchkey/store/postgres/postgrestest"
)

// patience bounds a wait for something that must come, and decides nothing.
const patience = 20 * time.Second

func open(t *testing.T, at string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), at, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func newID() latchkey.ID {
	id, err := latchkey.NewID(time.Now(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return id
}

// organize makes an organization.
func organize(s store.Submitter) (latchkey.ID, int64, error) {
	o := latchkey.Organization{ID: newID(), Name: "Acme"}
	position, err := s.Submit(context.Background(), store.Change{Organization: o.ID, Apply: func(*store.View) (store.Outcome, error) {
		made := o
		return store.Outcome{Steps: []store.Step{{
			Event:         latchkey.Event{ID: newID(), Organization: o.ID, Type: latchkey.OrganizationCreated, At: time.Now(), Object: latchkey.Object{Kind: latchkey.KindOrganization, ID: o.ID}},
			Organizations: []*latchkey.Organization{&made},
		}}}, nil
	}})
	return o.ID, position, err
}

// Nodes that start together make one store, and write in one order: each
// position once, whoever wrote it, and each node hears of the others' changes.
func TestNodes(t *testing.T) {
	const nodes, each = 4, 25
	at := postgrestest.Database(t)
	stores := make([]*postgres.Store, nodes)
	var all sync.WaitGroup
	for i := range stores {
		all.Go(func() {
			s, err := postgres.Open(context.Background(), at, nil)
			if err != nil {
				t.Errorf("node %d: %v", i, err)
			}
			stores[i] = s
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	var mu sync.Mutex
	seen := map[int64]int{}
	for _, s := range stores {
		t.Cleanup(func() { _ = s.Close() })
		for range each {
			all.Go(func() {
				_, position, err := organize(s)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				seen[position]++
			})
		}
	}
	all.Wait()
	for position := int64(1); position <= nodes*each; position++ {
		if seen[position] != 1 {
			t.Errorf("position %d was given %d times", position, seen[position])
		}
	}
	for _, s := range stores[1:] {
		woken := s.Changed()
		id, _, err := organize(stores[0])
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-woken:
		case <-time.After(patience):
			t.Fatal("a node does not hear of another's change")
		}
		if _, err := s.Organization(t.Context(), id); err != nil {
			t.Errorf("what one node acknowledged another does not find: %v", err)
		}
		if s.Generation() != 0 {
			t.Error("a node says that it knows when another changes something")
		}
	}
}

// Connections may be lost at any time between two calls, and nobody is told.
func TestLostConnections(t *testing.T) {
	at := postgrestest.Database(t)
	s := open(t, at)
	for range 3 {
		id, _, err := organize(s)
		if err != nil {
			t.Fatal(err)
		}
		postgrestest.Exec(t, at, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'latchkey' AND datname = current_database()")
		if _, err := s.Organization(t.Context(), id); err != nil {
			t.Errorf("reading: %v", err)
		}
		woken := s.Changed()
		if _, _, err := organize(s); err != nil {
			t.Errorf("writing: %v", err)
		}
		select {
		case <-woken:
		case <-time.After(patience):
			t.Error("nobody is woken")
		}
	}
}

// A database that would lose what it acknowledged, or cannot hold a store, is
// refused, with what to do.
func TestRefusals(t *testing.T) {
	name := func(at string) string {
		u, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimPrefix(u.Path, "/")
	}
	for _, c := range []struct {
		what    string
		prepare func(t *testing.T, at string) string
		want    []string
	}{
		{"commits that are not waited for", func(t *testing.T, at string) string {
			postgrestest.Exec(t, at, "ALTER DATABASE "+name(at)+" SET synchronous_commit = off")
			return at
		}, []string{"synchronous_commit = off", "ALTER ROLE"}},
		{"another program's tables", func(t *testing.T, at string) string {
			postgrestest.Exec(t, at, "CREATE TABLE keys (id integer)")
			return at
		}, []string{"tables of another program", "createdb"}},
		{"another encoding", func(t *testing.T, at string) string {
			other := name(at) + "_latin1"
			postgrestest.Exec(t, postgrestest.Server(t), "CREATE DATABASE "+other+" ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
			t.Cleanup(func() { postgrestest.Exec(t, postgrestest.Server(t), "DROP DATABASE "+other) })
			return strings.Replace(at, name(at), other, 1)
		}, []string{"encoding is LATIN1", "createdb --encoding=UTF8"}},
		{"no extension, and no right to make it", func(t *testing.T, at string) string {
			user := name(at) + "_user"
			postgrestest.Exec(t, at, "CREATE ROLE "+user+" LOGIN")
			postgrestest.Exec(t, at, "GRANT CREATE ON SCHEMA public TO "+user)
			t.Cleanup(func() {
				postgrestest.Exec(t, at, "DROP OWNED BY "+user)
				postgrestest.Exec(t, at, "DROP ROLE "+user)
			})
			u, err := url.Parse(at)
			if err != nil {
				t.Fatal(err)
			}
			u.User = url.User(user)
			return u.String()
		}, []string{"pg_trgm", "CREATE EXTENSION"}},
		{"no server", func(*testing.T, string) string { return "postgres://nobody:secret@127.0.0.1:1/none" }, []string{"There is no way", "127.0.0.1"}},
		{"no URL", func(*testing.T, string) string { return "postgres://nobody:secret@[::1/none" }, []string{"cannot be read"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			s, err := postgres.Open(t.Context(), c.prepare(t, postgrestest.Database(t)), nil)
			if err == nil {
				_ = s.Close()
				t.Fatal("it is opened")
			}
			if _, ok := errors.AsType[*postgres.OpenError](err); !ok {
				t.Errorf("the error is %T", err)
			}
			for _, want := range append(c.want, ".") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the password is told: %v", err)
			}
		})
	}
}

// A schema that this program does not know is left alone.
func TestNewerSchema(t *testing.T) {
	at := postgrestest.Database(t)
	open(t, at)
	status, err := postgres.MigrationStatus(t.Context(), at)
	if err != nil || status.Current != status.Known || len(status.Pending) != 0 {
		t.Fatalf("%+v, %v", status, err)
	}
	postgrestest.Exec(t, at, "INSERT INTO latchkey_migrations (version_id, is_applied) VALUES (999, true)")
	_, err = postgres.Open(t.Context(), at, nil)
	if newer, ok := errors.AsType[*postgres.NewerError](err); !ok || newer.Found != 999 {
		t.Errorf("it says %v", err)
	}
}
