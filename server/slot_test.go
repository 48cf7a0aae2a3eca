package server

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"latchkey.dev/latchkey"
)

// Taking a slot proves its predecessor dead in the very file that the predecessor
// had locked, under the kernel that let go of it, and nowhere else.
func TestSlot(t *testing.T) {
	t.Parallel()
	id := func() latchkey.ID {
		id, err := latchkey.NewID(time.Now(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	take := func(data string, node latchkey.ID, number int, want ...latchkey.ID) *slot {
		t.Helper()
		s, dead, err := takeSlot(data, node)
		if err != nil {
			t.Fatal(err)
		}
		if s.number != number || len(dead) != len(want) || len(want) == 1 && dead[0] != want[0] {
			t.Errorf("slot %d, and dead are %v; want slot %d, and %v", s.number, dead, number, want)
		}
		return s
	}
	leave := func(s *slot) {
		if err := s.leave(); err != nil {
			t.Error(err)
		}
	}
	data := t.TempDir()
	first, second, third := id(), id(), id()
	a := take(data, first, 1)
	b := take(data, second, 2) // while the first is held
	leave(a)
	a = take(data, third, 1, first)
	leave(a)
	leave(b)

	at := filepath.Join(data, "nodes", "1")
	written, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	copied := t.TempDir()
	write := func(data string, text []byte) {
		t.Helper()
		err := os.MkdirAll(filepath.Join(data, "nodes"), 0o700)
		if err == nil {
			err = os.WriteFile(filepath.Join(data, "nodes", "1"), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(copied, written)
	leave(take(copied, id(), 1)) // of a copy nothing is certain
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	write(data, bytes.ReplaceAll(written, bytes.TrimSpace(boot), []byte("another boot")))
	leave(take(data, id(), 1))
	write(data, []byte(`{"node":"node_`))
	last := id()
	leave(take(data, last, 1))
	leave(take(data, id(), 1, last))
}
