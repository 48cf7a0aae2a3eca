package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/store/postgres/postgrestest"
)

// floorOf is the floor, and the store's clock.
func floorOf(t *testing.T, s store.Submitter) (floor, now time.Time) {
	t.Helper()
	_, err := s.Submit(context.Background(), store.Change{Reads: store.Reads{Nonces: []store.NonceKey{{}}}, Apply: func(v *store.View) (store.Outcome, error) {
		floor, now = v.NonceFloor, v.Now
		return store.Outcome{}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return floor, now
}

// Where another history is behind a connection, as after a failover or a restore,
// the floor is raised before anything is accepted: by a connection that is open
// already, and by the next one. By itself it does not rise again.
func TestAnotherHistoryRaisesTheFloor(t *testing.T) {
	at := postgrestest.Database(t)
	s := open(t, at)
	if floor, _ := floorOf(t, s); floor.Unix() != 0 {
		t.Errorf("on a new store the floor is %v", floor)
	}
	if floor, _ := floorOf(t, open(t, at)); floor.Unix() != 0 {
		t.Errorf("for another node the floor is %v", floor)
	}
	conn, err := pgx.Connect(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), `UPDATE nonce_floor SET place = 'another timeline'`); err != nil {
		t.Fatal(err)
	}
	floor, now := floorOf(t, s)
	if latchkey.SignatureFresh(now, floor, now) || latchkey.SignatureFresh(now.Add(latchkey.SignatureAhead-2*time.Second), floor, now) {
		t.Errorf("the floor is %v, now is %v", floor, now)
	}
	if again, _ := floorOf(t, open(t, at)); !again.Equal(floor) {
		t.Errorf("for another node the floor went from %v to %v", floor, again)
	}
	if again, _ := floorOf(t, s); !again.Equal(floor) {
		t.Errorf("the floor went from %v to %v", floor, again)
	}
}
