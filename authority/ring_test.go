package authority

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/store"
)

// A program that ends between the record of a retirement and the erasure starts
// again, and erases then.
func TestRetirementIsFinishedAtTheNextStart(t *testing.T) {
	ring := cursorAuthority(t).Ring
	if _, err := ring.Add(rand.Reader, time.Unix(1_700_000_001, 0)); err != nil {
		t.Fatal(err)
	}
	if err := ring.Activate(2); err != nil {
		t.Fatal(err)
	}
	in := &store.Installation{Ring: ring.Fingerprint(), Versions: listVersions(ring)}
	in.Versions[0].Retired = true
	if err := CheckRing(in, ring); err != nil {
		t.Fatal(err)
	}
	if err := FinishRetirements(in, ring); err != nil {
		t.Fatal(err)
	}
	if got := ring.Versions()[0].State; got != keyring.Retired {
		t.Fatalf("version 1 is %s", got)
	}
	if err := CheckRing(in, ring); err != nil {
		t.Fatal(err)
	}
}

// A ring that lacks what rows may depend on is refused, and told how to mend it.
func TestCheckRing(t *testing.T) {
	ring, other := cursorAuthority(t).Ring, cursorAuthority(t).Ring
	in := &store.Installation{Ring: ring.Fingerprint(), Versions: listVersions(ring)}
	if err := CheckRing(in, ring); err != nil {
		t.Fatal(err)
	}
	if err := CheckRing(in, other); err == nil {
		t.Fatal("another ring passes")
	}
	in.Versions = append(in.Versions, store.RingVersion{Number: 2, Fingerprint: "not here"})
	if err := CheckRing(in, ring); err == nil {
		t.Fatal("a ring that lacks a version passes")
	}
}

// What one node does with the ring another does with its own; and a ring that is
// behind is told so, and nothing is done with it.
func TestFollowRing(t *testing.T) {
	mine := cursorAuthority(t).Ring
	in := &store.Installation{Ring: mine.Fingerprint(), Versions: listVersions(mine)}
	v, err := mine.Add(rand.Reader, time.Unix(1_700_000_001, 0))
	if err != nil {
		t.Fatal(err)
	}
	in.Versions[0].Active = false
	in.Versions = append(in.Versions, store.RingVersion{Number: v.Number, Fingerprint: v.Fingerprint, Active: true})
	if err := FollowRing(in, mine); err != nil || mine.Active() != v.Number {
		t.Fatalf("version %d is active, %v", mine.Active(), err)
	}
	in.Versions[0].Retired = true
	if err := FollowRing(in, mine); err != nil || mine.Versions()[0].State != keyring.Retired {
		t.Fatalf("version 1 is %s, %v", mine.Versions()[0].State, err)
	}
	in.Versions = append(in.Versions, store.RingVersion{Number: 3, Fingerprint: "elsewhere"})
	if err := FollowRing(in, mine); !errors.Is(err, ErrRing) {
		t.Fatalf("a ring without version 3: %v", err)
	}
	if err := (&Authority{Config: Config{Ring: mine}}).checkShared(in); latchkey.CodeOf(err) != latchkey.CodeConflict {
		t.Fatalf("it may be changed: %v", err)
	}
}
