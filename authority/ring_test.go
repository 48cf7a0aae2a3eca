package authority

import (
	"crypto/rand"
	"testing"
	"time"

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
