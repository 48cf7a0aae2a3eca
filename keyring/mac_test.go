package keyring_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
)

var someKey = latchkey.NewPlaintext("acme_live_7Hk2mQ9xTz4LpW0e_Q1w2E3r4T5y6U7i8O9p0AaSsDdFfGgHhJjKkLlZzXxC4aEhIp")

// The kept states give what HMAC gives, for any pepper and any length of key.
func TestDigestIsHMAC(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pepper := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "pepper")
		key := rapid.SliceOfN(rapid.Byte(), 0, 700).Draw(t, "key")
		got, err := keyring.PepperDigest(pepper, latchkey.NewPlaintext(string(key)))
		if err != nil {
			t.Fatal(err)
		}
		if want := hmacOf(pepper, "apikey-hash/v1\x00", string(key)); !bytes.Equal(got[:], want) {
			t.Fatalf("digest %x, want %x", got, want)
		}
		sha := sha256.Sum256(key)
		foreign, err := keyring.PepperDigestForeign(pepper, sha)
		if err != nil {
			t.Fatal(err)
		}
		if want := hmacOf(pepper, "apikey-foreign/v1\x00", string(sha[:])); !bytes.Equal(foreign[:], want) {
			t.Fatalf("foreign digest %x, want %x", foreign, want)
		}
	})
}

// Every verification digests once: one allocation here is one per request.
func TestDigestDoesNotAllocate(t *testing.T) {
	r := newRing(t)
	sha := sha256.Sum256([]byte("legacy"))
	for name, digest := range map[string]func() ([32]byte, error){
		"native":  func() ([32]byte, error) { return r.Digest(1, someKey) },
		"foreign": func() ([32]byte, error) { return r.DigestForeign(1, sha) },
	} {
		var digested [32]byte
		var err error
		allocs := testing.AllocsPerRun(1000, func() { digested, err = digest() })
		if err != nil || digested == [32]byte{} {
			t.Fatalf("%s: %v", name, err)
		}
		if allocs != 0 {
			t.Errorf("%s: %v allocations for each digest, want 0", name, allocs)
		}
	}
}

func TestVersionsWithoutKey(t *testing.T) {
	r := newRing(t)
	addVersion(t, r)
	if err := errors.Join(r.Activate(2), r.Retire(1)); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{-1, 0, 1, 3} {
		_, err1 := r.Digest(n, someKey)
		_, err2 := r.DigestForeign(n, [32]byte{})
		_, err3 := r.CursorTag(n, nil)
		_, err4 := r.IdempotencyTag(n, nil)
		_, err5 := r.SealUnder(n, someHeader, nil, latchkey.NewPlaintext("x"))
		_, err6 := r.OpenUnder(n, someHeader, nil, nil)
		for i, err := range []error{err1, err2, err3, err4, err5, err6} {
			if !errors.Is(err, keyring.ErrVersion) {
				t.Errorf("version %d, operation %d: %v, want ErrVersion", n, i+1, err)
			}
		}
	}
}

func TestEqual(t *testing.T) {
	a := sha256.Sum256([]byte("a"))
	if !keyring.Equal(a, a) {
		t.Error("a digest differs from itself")
	}
	for bit := range 256 {
		if keyring.Equal(a, [32]byte(flip(a[:], bit))) {
			t.Errorf("digests that differ in bit %d are equal", bit)
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	r := newRing(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Digest(1, someKey); err != nil {
			b.Fatal(err)
		}
	}
}
