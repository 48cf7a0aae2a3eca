package keyring_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
)

var (
	someOrganization  = latchkey.ID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	otherOrganization = latchkey.ID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13}
	someBinding       = keyring.Binding{Organization: someOrganization, Object: "key_1", Field: "value", Version: 1}
	someHeader        = []byte("0123456789abcdef")
)

var someSecret = latchkey.NewPlaintext("the secret itself")

func dataKey(t testing.TB, r *keyring.Ring, organization latchkey.ID) keyring.WrappedKey {
	t.Helper()
	key, err := r.NewDataKey(organization, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sealSome(t testing.TB, r *keyring.Ring, key keyring.WrappedKey) []byte {
	t.Helper()
	sealed, err := r.Seal(key, someBinding, someSecret)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// What is sealed opens for its own binding and for no other.
func TestSealBinds(t *testing.T) {
	r := newRing(t)
	bindings := rapid.Custom(func(t *rapid.T) keyring.Binding {
		return keyring.Binding{
			Organization: someOrganization,
			Object:       rapid.StringMatching(`[ab]{1,3}`).Draw(t, "object"), // small, so that draws often meet
			Field:        rapid.StringMatching(`[ab]{1,3}`).Draw(t, "field"),
			Version:      rapid.Uint64Range(0, 3).Draw(t, "version"),
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		key := dataKey(t, r, someOrganization)
		sealedFor, openedFor := bindings.Draw(rt, "sealed for"), bindings.Draw(rt, "opened for")
		secret := latchkey.NewPlaintext(rapid.String().Draw(rt, "secret"))
		sealed, err := r.Seal(key, sealedFor, secret)
		if err != nil {
			rt.Fatal(err)
		}
		if got, err := r.Open(key, sealedFor, sealed); err != nil || got.Expose() != secret.Expose() {
			rt.Fatalf("does not open for its own binding: %v", err)
		}
		got, err := r.Open(key, openedFor, sealed)
		if sealedFor == openedFor {
			return
		}
		if !errors.Is(err, keyring.ErrSealed) || !got.Empty() {
			rt.Fatalf("sealed for %+v, opened for %+v: %v", sealedFor, openedFor, err)
		}
	})
}

func TestSealRefusesIncompleteBindings(t *testing.T) {
	r := newRing(t)
	key := dataKey(t, r, someOrganization)
	sealed := sealSome(t, r, key)
	for name, spoil := range map[string]func(*keyring.Binding){
		"no organization":    func(b *keyring.Binding) { b.Organization = latchkey.ID{} },
		"other organization": func(b *keyring.Binding) { b.Organization = otherOrganization },
		"no object":          func(b *keyring.Binding) { b.Object = "" },
		"no field":           func(b *keyring.Binding) { b.Field = "" },
	} {
		b := someBinding
		spoil(&b)
		if _, err := r.Seal(key, b, someSecret); !errors.Is(err, keyring.ErrBinding) {
			t.Errorf("%s: seal gives %v, want ErrBinding", name, err)
		}
		if _, err := r.Open(key, b, sealed); !errors.Is(err, keyring.ErrSealed) {
			t.Errorf("%s: open gives %v, want ErrSealed", name, err)
		}
	}
	if _, err := r.NewDataKey(latchkey.ID{}, rand.Reader); !errors.Is(err, keyring.ErrBinding) {
		t.Errorf("a data key for nobody: %v", err)
	}
}

// Another data key opens nothing, be it the same organization's or another's.
func TestOpenWithAnotherDataKey(t *testing.T) {
	r := newRing(t)
	key := dataKey(t, r, someOrganization)
	sealed := sealSome(t, r, key)
	for name, spoil := range map[string]func(*keyring.WrappedKey){
		"a sibling":                 func(k *keyring.WrappedKey) { *k = dataKey(t, r, someOrganization) },
		"a sibling under its id":    func(k *keyring.WrappedKey) { k.Wrapped = dataKey(t, r, someOrganization).Wrapped },
		"another organization's":    func(k *keyring.WrappedKey) { *k = dataKey(t, r, otherOrganization) },
		"moved to another":          func(k *keyring.WrappedKey) { k.Organization = otherOrganization },
		"the same bytes, renamed":   func(k *keyring.WrappedKey) { k.ID[0] ^= 1 },
		"cut short":                 func(k *keyring.WrappedKey) { k.Wrapped = k.Wrapped[:len(k.Wrapped)-1] },
		"empty":                     func(k *keyring.WrappedKey) { k.Wrapped = nil },
		"a sealed value in its row": func(k *keyring.WrappedKey) { k.Wrapped = sealed },
	} {
		k := key
		k.Wrapped = bytes.Clone(key.Wrapped)
		spoil(&k)
		b := someBinding
		b.Organization = k.Organization
		if got, err := r.Open(k, b, sealed); !errors.Is(err, keyring.ErrSealed) || !got.Empty() {
			t.Errorf("%s: open gives %v, want ErrSealed", name, err)
		}
	}
	other := newRing(t)
	if _, err := other.Open(key, someBinding, sealed); !errors.Is(err, keyring.ErrSealed) {
		t.Errorf("another ring: %v, want ErrSealed", err)
	}
}

func TestAlteredValues(t *testing.T) {
	r := newRing(t)
	key := dataKey(t, r, someOrganization)
	sealed := sealSome(t, r, key)
	under, err := r.SealUnder(1, someHeader, []byte("record"), someSecret)
	if err != nil {
		t.Fatal(err)
	}
	doors := map[string]struct {
		good []byte
		open func([]byte) (latchkey.Plaintext, error)
	}{
		"value": {sealed, func(b []byte) (latchkey.Plaintext, error) { return r.Open(key, someBinding, b) }},
		"data key": {key.Wrapped, func(b []byte) (latchkey.Plaintext, error) {
			k := key
			k.Wrapped = b
			return r.Open(k, someBinding, sealed)
		}},
		"idempotency": {under, func(b []byte) (latchkey.Plaintext, error) {
			return r.OpenUnder(1, someHeader, []byte("record"), b)
		}},
	}
	for name, door := range doors {
		if got, err := door.open(door.good); err != nil || got.Expose() != someSecret.Expose() {
			t.Fatalf("%s: does not open: %v", name, err)
		}
		for bit := range 8 * len(door.good) {
			if _, err := door.open(flip(door.good, bit)); !errors.Is(err, keyring.ErrSealed) {
				t.Errorf("%s, bit %d turned over: %v, want ErrSealed", name, bit, err)
			}
		}
		for n := range door.good {
			if _, err := door.open(door.good[:n]); !errors.Is(err, keyring.ErrSealed) {
				t.Errorf("%s, cut to %d bytes: %v, want ErrSealed", name, n, err)
			}
		}
		if _, err := door.open(append(bytes.Clone(door.good), 0)); !errors.Is(err, keyring.ErrSealed) {
			t.Errorf("%s, a byte more: %v, want ErrSealed", name, err)
		}
	}
}

// Sealing the same twice gives two texts, and neither holds the secret.
func TestSealIsRandom(t *testing.T) {
	r := newRing(t)
	key := dataKey(t, r, someOrganization)
	a, b := sealSome(t, r, key), sealSome(t, r, key)
	if bytes.Equal(a, b) {
		t.Error("two sealings are the same bytes")
	}
	if bytes.Contains(a, []byte(someSecret.Expose())) {
		t.Error("the secret is in the sealed value")
	}
	if k := dataKey(t, r, someOrganization); k.ID == key.ID || bytes.Equal(k.Wrapped, key.Wrapped) {
		t.Error("two data keys are the same")
	}
}

func TestDataKeyOf(t *testing.T) {
	r := newRing(t)
	key := dataKey(t, r, someOrganization)
	if id, err := keyring.DataKeyOf(sealSome(t, r, key)); err != nil || id != key.ID {
		t.Errorf("data key %v (%v), want %v", id, err, key.ID)
	}
	for _, b := range [][]byte{nil, {1}, make([]byte, 17), append([]byte{1}, make([]byte, 15)...), key.Wrapped} {
		if _, err := keyring.DataKeyOf(b); !errors.Is(err, keyring.ErrSealed) {
			t.Errorf("%x: %v, want ErrSealed", b, err)
		}
	}
}

// A value outlives every rotation if its data key is wrapped anew before the
// old version goes, and not otherwise.
func TestRewrap(t *testing.T) {
	r := newRing(t)
	key := dataKey(t, r, someOrganization)
	sealed := sealSome(t, r, key)
	if same, did, err := r.Rewrap(key); did || err != nil || same.Version != 1 {
		t.Errorf("rewrapped under the active version: %v %v", did, err)
	}
	addVersion(t, r)
	if err := r.Activate(2); err != nil {
		t.Fatal(err)
	}
	rewrapped, did, err := r.Rewrap(key)
	if err != nil || !did || rewrapped.Version != 2 || rewrapped.ID != key.ID || rewrapped.Organization != key.Organization {
		t.Fatalf("rewrapped as %+v, %v, %v", rewrapped, did, err)
	}
	if fresh := dataKey(t, r, someOrganization); fresh.Version != 2 {
		t.Errorf("a new data key is wrapped under version %d", fresh.Version)
	}
	for _, k := range []keyring.WrappedKey{key, rewrapped} {
		if got, err := r.Open(k, someBinding, sealed); err != nil || got.Expose() != someSecret.Expose() {
			t.Errorf("wrapped under %d: %v", k.Version, err)
		}
	}
	tampered := key
	tampered.Wrapped = flip(key.Wrapped, 100)
	if _, did, err := r.Rewrap(tampered); did || !errors.Is(err, keyring.ErrSealed) {
		t.Errorf("a damaged data key was rewrapped: %v %v", did, err)
	}
	if err := r.Retire(1); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Open(rewrapped, someBinding, sealed); err != nil || got.Expose() != someSecret.Expose() {
		t.Errorf("after retiring: %v", err)
	}
	_, err1 := r.Open(key, someBinding, sealed)
	_, err2 := r.Seal(key, someBinding, someSecret)
	_, _, err3 := r.Rewrap(key)
	for _, err := range []error{err1, err2, err3} {
		if !errors.Is(err, keyring.ErrVersion) {
			t.Errorf("a data key under a retired version: %v, want ErrVersion", err)
		}
	}
}

func TestIdempotencySealing(t *testing.T) {
	r := newRing(t)
	addVersion(t, r)
	sealed, err := r.SealUnder(1, someHeader, []byte("record"), someSecret)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		version       int
		header, bound string
	}{
		"other version": {2, string(someHeader), "record"},
		"other header":  {1, "0123456789abcdeF", "record"},
		"short header":  {1, "0123456789", "record"},
		"other record":  {1, string(someHeader), "recorD"},
		"no record":     {1, string(someHeader), ""},
	} {
		if got, err := r.OpenUnder(c.version, []byte(c.header), []byte(c.bound), sealed); !errors.Is(err, keyring.ErrSealed) || !got.Empty() {
			t.Errorf("%s: %v, want ErrSealed", name, err)
		}
	}
	if _, err := r.SealUnder(1, someHeader[:15], nil, someSecret); !errors.Is(err, keyring.ErrBinding) {
		t.Errorf("a header of 15 bytes: %v, want ErrBinding", err)
	}
	one, err1 := r.IdempotencyTag(1, someHeader)
	two, err2 := r.IdempotencyTag(2, someHeader)
	if err := errors.Join(err1, err2); err != nil || keyring.Equal(one, two) {
		t.Errorf("tags under two versions are the same (%v)", err)
	}
}
