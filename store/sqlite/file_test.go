package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/store/sqlite"
)

// count asks the file of a closed store for a number.
func count(t *testing.T, dir, question string) (n int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, sqlite.FileName)+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	if err := db.QueryRowContext(t.Context(), question).Scan(&n); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestEqualPoliciesShareARow(t *testing.T) {
	dir := t.TempDir()
	for range 2 { // the second time, what was interned is forgotten
		s := open(t, dir)
		of := newTenant(t, s)
		for n := range 20 {
			must(t, s, of.create(of.key(n, nil), of.key(n, func(k *latchkey.Key) { k.Policy.Scopes = latchkey.Permissions{"a:a"} })))
		}
		// A policy that was made in vain must be made again.
		again := of.key(0, func(k *latchkey.Key) { k.Policy.Scopes = latchkey.Permissions{"b:b"} })
		twin := *again
		twin.ID = newID() // with the same kid
		if _, err := submit(s, of.create(again, &twin)); !errors.Is(err, store.ErrConflict) {
			t.Fatalf("two keys with one kid: %v", err)
		}
		again.Ordinal = 0
		must(t, s, of.create(again))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, dir, `SELECT count(*) FROM policies`); n != 2*3 {
		t.Errorf("three policies in each of two organizations take %d rows", n)
	}
	if n := count(t, dir, `SELECT count(*) FROM policies WHERE id NOT IN (SELECT policy FROM keys)`); n != 0 {
		t.Errorf("%d policies belong to no key", n)
	}
	if n := count(t, dir, `SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'`); n != 0 {
		t.Errorf("the file has %d faults", n)
	}
}

func TestNoTraceOfDeletedUsers(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	of := newTenant(t, s)
	const name, email = "Wilhelmina Quackenbush", "Wilhelmina.Quackenbush@Example.com"
	u := &latchkey.User{ID: newID(), Organization: of.organization, Kind: latchkey.Person, Name: name, Email: email}
	must(t, s, store.Step{Users: []*latchkey.User{u}})
	u.DeletedAt = time.Now()
	must(t, s, store.Step{Users: []*latchkey.User{u}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(dir, sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(content, []byte("ada@example.com")) {
		t.Error("the file does not show what it holds, so this test shows nothing")
	}
	for _, trace := range []string{name, email, "wilhelmina.quackenbush@example.com"} {
		if bytes.Contains(content, []byte(trace)) {
			t.Errorf("the file still contains %q", trace)
		}
	}
}

// Whoever stops waiting for a list must not spoil the connection for others.
func TestCanceledLists(t *testing.T) {
	s := open(t, t.TempDir())
	of := newTenant(t, s)
	keys := make([]*latchkey.Key, 3000)
	for i := range keys {
		keys[i] = of.key(i, nil)
	}
	must(t, s, of.create(keys...))
	slow := store.KeyQuery{Organization: of.organization, Sort: store.ByName, Search: "zz", Limit: 10}
	var all sync.WaitGroup
	for side := range 8 {
		all.Go(func() {
			for n := range 20 {
				ctx, stop := context.WithTimeout(t.Context(), time.Duration(side*20+n)*20*time.Microsecond)
				if _, err := s.ListKeys(ctx, slow); err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("a canceled list: %v", err)
				}
				stop()
			}
		})
	}
	all.Wait()
	for range 20 {
		if list, err := s.ListKeys(t.Context(), store.KeyQuery{Organization: of.organization, Limit: 5}); err != nil || len(list) != 5 {
			t.Fatalf("after canceled lists, one gives %d keys, %v", len(list), err)
		}
	}
}

func TestClosedStore(t *testing.T) {
	s := open(t, t.TempDir())
	of := newTenant(t, s)
	k := of.key(1, nil)
	must(t, s, of.create(k))
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"Key":   func() error { _, err := s.Key(ctx, k.ID); return err },
		"ByKID": func() error { _, err := s.ByKID(ctx, k.Secrets[0].KID); return err },
		"ListKeys": func() error {
			_, err := s.ListKeys(ctx, store.KeyQuery{Organization: of.organization, Limit: 1})
			return err
		},
		"Events":    func() error { _, err := s.Events(ctx, store.EventQuery{Limit: 1}); return err },
		"Ping":      func() error { return s.Ping(ctx) },
		"Submit":    func() error { _, err := submit(s, of.create(of.key(2, nil))); return err },
		"Redigest":  func() error { return s.Redigest(ctx, nil) },
		"Sweep":     func() error { return s.Sweep(ctx, store.Old{Sealed: time.Now(), Calls: time.Now(), Uses: time.Now()}) },
		"RecordUse": func() error { return s.RecordUses(ctx, useOf(k, time.Now())) },
	} {
		if err := call(); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s of a closed store: %v", name, err)
		}
	}
}

// Changes and what is written behind verification take turns.
func TestWritersTakeTurns(t *testing.T) {
	s := open(t, t.TempDir())
	of := newTenant(t, s)
	k := of.key(0, nil)
	must(t, s, of.create(k))
	var all sync.WaitGroup
	for side := range 6 {
		all.Go(func() {
			for n := range 30 {
				var err error
				switch side % 3 {
				case 0:
					_, err = submit(s, of.create(of.key(n, nil)))
				case 1:
					err = s.RecordUses(t.Context(), useOf(k, time.Now()))
				case 2:
					err = s.Sweep(t.Context(), store.Old{Sealed: time.Now(), Calls: time.Now(), Uses: time.Now()})
				}
				if err != nil {
					t.Errorf("side %d: %v", side, err)
				}
			}
		})
	}
	all.Wait()
	whole(t, s, of)
}

// Moments are kept to the millisecond, and those asked about need not be.
func TestMomentsBetweenMilliseconds(t *testing.T) {
	s := open(t, t.TempDir())
	of := newTenant(t, s)
	at := store.Truncate(time.Now())
	k := of.key(1, func(k *latchkey.Key) {
		k.CreatedAt, k.ExpiresAt = at.Add(-time.Hour), at
	})
	must(t, s, of.create(k))
	if err := s.RecordUses(t.Context(), useOf(k, at)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after time.Duration
		found int
	}{{-1, 0}, {0, 0}, {1, 1}, {time.Millisecond, 1}} {
		for _, query := range []store.KeyQuery{{ExpiringBefore: at.Add(c.after)}, {UnusedSince: at.Add(c.after)}} {
			query.Organization, query.Limit, query.Now = of.organization, 10, at
			list, err := s.ListKeys(t.Context(), query)
			if err != nil || len(list) != c.found {
				t.Errorf("%v later, a list by %+v finds %d keys, not %d (%v)", c.after, query, len(list), c.found, err)
			}
		}
	}
}
