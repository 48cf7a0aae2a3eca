package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/store/postgres/postgrestest"
)

// cable is a connection that is cut when it is told to: before what is written
// next, or after it, so that the server has it and its answer is lost.
type cable struct {
	net.Conn
	cut *atomic.Int32
}

const (
	whole = iota
	cutBefore
	cutAfter
)

// Write implements net.Conn.
func (c *cable) Write(p []byte) (int, error) {
	switch c.cut.Load() {
	case cutBefore:
		c.cut.Store(whole)
		_ = c.Conn.Close()
	case cutAfter:
		c.cut.Store(whole)
		n, err := c.Conn.Write(p)
		_ = c.Conn.Close()
		return n, err
	}
	return c.Conn.Write(p)
}

// Where the connection is lost when the COMMIT is on its way, the change may be
// there: the answer says so, the record and the rows agree about it, and writing
// goes on.
func TestUncertain(t *testing.T) {
	at := postgrestest.Database(t)
	target, err := parse(at)
	if err != nil {
		t.Fatal(err)
	}
	var cut atomic.Int32
	dial := target.pool.ConnConfig.DialFunc
	target.pool.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &cable{conn, &cut}, nil
	}
	s, err := target.open(t.Context(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	s.listener.close() // it writes as well, and would be cut in the writer's place

	for range 3 { // the first time the statements are sent to be prepared
		if _, _, err := organize(s, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, how := range []int32{cutAfter, cutBefore, cutAfter} {
		before, err := s.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		id, _, err := organize(s, func() { cut.Store(how) })
		if !errors.Is(err, store.ErrUncertain) && !(how == cutBefore && errors.Is(err, store.ErrUnavailable)) {
			t.Fatalf("cut %d: the answer is %v", how, err)
		}
		// The next change waits for the lock, and so for the end of that one.
		_, after, err := organize(s, nil)
		if err != nil {
			t.Fatalf("cut %d: writing does not go on: %v", how, err)
		}
		_, err = s.Organization(t.Context(), id)
		there := err == nil
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
		want := before + 1
		if there {
			want++
		}
		if after != want || there && how == cutBefore {
			t.Errorf("cut %d: the change is there %t, and the next one at %d, not %d", how, there, after, want)
		}
	}
}

func organize(s *Store, deciding func()) (latchkey.ID, int64, error) {
	id, err := latchkey.NewID(time.Now(), rand.Reader)
	if err != nil {
		return id, 0, err
	}
	position, err := s.Submit(context.Background(), store.Change{Organization: id, Apply: func(*store.View) (store.Outcome, error) {
		if deciding != nil {
			deciding()
		}
		return store.Outcome{Steps: []store.Step{{
			Event:         latchkey.Event{ID: id, Organization: id, Type: latchkey.OrganizationCreated, At: time.Now()},
			Organizations: []*latchkey.Organization{{ID: id, Name: "Acme"}},
		}}}, nil
	}})
	return id, position, err
}
