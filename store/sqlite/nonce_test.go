package sqlite_test

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/store/sqlite"
)

// floorOf is the floor, and the store's clock.
func floorOf(t *testing.T, s store.Store) (floor, now time.Time) {
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

func spend(t *testing.T, s store.Store) store.Nonce {
	t.Helper()
	n := store.Nonce{NonceKey: store.NonceKey{KID: "0000000000000000"}, Created: time.Now().Truncate(time.Second)}
	_, _ = rand.Read(n.Hash[:])
	_, err := s.Submit(context.Background(), store.Change{Apply: func(*store.View) (store.Outcome, error) { return store.Outcome{Nonces: []store.Nonce{n}}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A file that was put back from a copy may have lost nonces: nothing that was
// signed before is accepted on it. The same file is the same one, however its
// process ended.
func TestRestoredFileRaisesTheFloor(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	spend(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	copied, err := os.ReadFile(filepath.Join(dir, sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if floor, _ := floorOf(t, s); floor.Unix() != 0 {
		t.Errorf("on the same file the floor is %v", floor)
	}
	lost := spend(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// As docs/operations.md says: away with the old files, and a copy in their place.
	old := filepath.Join(dir, sqlite.FileName)
	if err := os.Rename(old, old+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(old, copied, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	floor, now := floorOf(t, s)
	if latchkey.SignatureFresh(lost.Created, floor, now) || floor.Before(now.Add(latchkey.SignatureAhead-time.Minute)) {
		t.Errorf("the floor is %v, now is %v: a nonce of %v was lost", floor, now, lost.Created)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if again, _ := floorOf(t, s); !again.Equal(floor) {
		t.Errorf("opened again, the floor went from %v to %v", floor, again)
	}
}
