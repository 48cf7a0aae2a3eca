package keyring_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
)

const vectorDir = "../testdata/vectors"

// hexBytes are bytes that a vector writes in hexadecimal.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b
	return err
}

// vectorFiles lists the vectors whose names match; at least so many must be there.
func vectorFiles(t testing.TB, pattern string, atLeast int) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(vectorDir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < atLeast {
		t.Fatalf("%d vectors match %s, want at least %d", len(names), pattern, atLeast)
	}
	return names
}

func eachVector[T any](t *testing.T, pattern string, atLeast int, check func(*testing.T, T)) {
	t.Helper()
	for _, name := range vectorFiles(t, pattern, atLeast) {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".json"), func(t *testing.T) {
			check(t, readVector[T](t, name))
		})
	}
}

func readVector[T any](t testing.TB, name string) (v T) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

func parseRing(t testing.TB, text []byte) *keyring.Ring {
	t.Helper()
	r, err := keyring.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func hmacOf(key []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}

type digestVector struct {
	Description string
	Pepper      hexBytes
	Ring        json.RawMessage
	Version     int
	Key         string
	SHA256      hexBytes
	Digest      hexBytes
}

func TestDigestVectors(t *testing.T) {
	eachVector(t, "digest/*.json", 7, func(t *testing.T, v digestVector) {
		key := latchkey.NewPlaintext(v.Key)
		for name, digests := range map[string]struct {
			run       bool
			ofKey     func() ([32]byte, error)
			ofForeign func() ([32]byte, error)
		}{
			"pepper": {true,
				func() ([32]byte, error) { return keyring.PepperDigest(v.Pepper, key) },
				func() ([32]byte, error) { return keyring.PepperDigestForeign(v.Pepper, [32]byte(v.SHA256)) }},
			"ring": {v.Ring != nil,
				func() ([32]byte, error) { return parseRing(t, v.Ring).Digest(v.Version, key) },
				func() ([32]byte, error) { return parseRing(t, v.Ring).DigestForeign(v.Version, [32]byte(v.SHA256)) }},
		} {
			if !digests.run {
				continue
			}
			digest := digests.ofKey
			if v.SHA256 != nil {
				digest = digests.ofForeign
			}
			got, err := digest()
			if err != nil {
				t.Fatal(err)
			}
			if !keyring.Equal(got, [32]byte(v.Digest)) {
				t.Errorf("%s: digest %x, want %x", name, got, v.Digest)
			}
		}
	})
}

type derivationVector struct {
	Description string
	Kind        string
	Ring        json.RawMessage
	Version     int
	Root        hexBytes
	Fingerprint string
	Keys        map[string]hexBytes
}

// The derived keys are never told, so each is recognised by what it does.
func TestDerivationVectors(t *testing.T) {
	eachVector(t, "sealing/derivation-*.json", 1, func(t *testing.T, v derivationVector) {
		r := parseRing(t, v.Ring)
		if got := r.Versions()[v.Version-1].Fingerprint; got != v.Fingerprint {
			t.Errorf("fingerprint %s, want %s", got, v.Fingerprint)
		}
		digest, err1 := r.Digest(v.Version, latchkey.NewPlaintext("x"))
		cursor, err2 := r.CursorTag(v.Version, []byte("x"))
		lookup, err3 := r.IdempotencyTag(v.Version, []byte("x"))
		key, err4 := r.NewDataKey(someOrganization, rand.Reader)
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			t.Fatal(err)
		}
		for info, holds := range map[string]func(key []byte) bool{
			"latchkey/v1 pepper":             func(k []byte) bool { return bytes.Equal(digest[:], hmacOf(k, "apikey-hash/v1\x00", "x")) },
			"latchkey/v1 cursor":             func(k []byte) bool { return bytes.Equal(cursor[:], hmacOf(k, "x")[:16]) },
			"latchkey/v1 idempotency lookup": func(k []byte) bool { return bytes.Equal(lookup[:], hmacOf(k, "x")) },
			"latchkey/v1 data key wrap":      func(k []byte) bool { return unwraps(t, k, key) },
		} {
			if k, ok := v.Keys[info]; !ok || !holds(k) {
				t.Errorf("%s: the ring uses another key than the vector's", info)
			}
			delete(v.Keys, info)
		}
		if len(v.Keys) != 0 {
			t.Errorf("labels that nothing uses: %v", v.Keys)
		}
	})
}

// unwraps opens a wrapped data key by the documented layout alone.
func unwraps(t *testing.T, wrapping []byte, key keyring.WrappedKey) bool {
	t.Helper()
	block, err := aes.NewCipher(wrapping)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	bound := lengthPrefixed([]byte("latchkey/v1 data key"), key.ID[:], key.Organization[:])
	secret, err := gcm.Open(nil, key.Wrapped[1:13], key.Wrapped[13:], bound)
	return err == nil && len(secret) == 32 && key.Wrapped[0] == 2
}

func lengthPrefixed(parts ...[]byte) (out []byte) {
	for _, p := range parts {
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(p))), p...)
	}
	return out
}

type ringVector struct {
	Description string
	Kind        string
	Ring        json.RawMessage
	Active      int
	Versions    []struct {
		Number      int
		State       keyring.State
		CreatedAt   time.Time `json:"created_at"`
		Fingerprint string
	}
	Refused string
}

var refusals = map[string]error{
	"corrupt": keyring.ErrCorrupt,
	"format":  keyring.ErrFormat,
	"sealed":  keyring.ErrSealed,
	"version": keyring.ErrVersion,
}

// refused reports whether a vector names a refusal, and checks that err is it.
func refused(t *testing.T, why string, err error) bool {
	t.Helper()
	if why == "" {
		if err != nil {
			t.Fatal(err)
		}
		return false
	}
	if want, ok := refusals[why]; !ok || !errors.Is(err, want) {
		t.Errorf("error %v, want %s", err, why)
	}
	return true
}

func TestRingVectors(t *testing.T) {
	eachVector(t, "sealing/ring-*.json", 21, func(t *testing.T, v ringVector) {
		r, err := keyring.Parse(v.Ring)
		if refused(t, v.Refused, err) {
			return
		}
		var want []keyring.Version
		for _, w := range v.Versions {
			want = append(want, keyring.Version(w))
		}
		if got := r.Versions(); !slices.Equal(got, want) {
			t.Errorf("versions %v, want %v", got, want)
		}
		if r.Active() != v.Active || r.Fingerprint() != want[0].Fingerprint {
			t.Errorf("%v, want version %d of %s", r, v.Active, want[0].Fingerprint)
		}
	})
}

type valueVector struct {
	Description string
	Kind        string
	Ring        json.RawMessage
	DataKey     struct {
		ID           hexBytes
		Organization hexBytes
		Version      int
		Wrapped      hexBytes
	} `json:"data_key"`
	Binding struct {
		Organization  hexBytes
		Object, Field string
		Version       uint64
	}
	AdditionalData hexBytes `json:"additional_data"`
	Sealed         hexBytes
	Plaintext      string
	Refused        string
}

func (v valueVector) parts() (keyring.WrappedKey, keyring.Binding) {
	return keyring.WrappedKey{
			ID:           keyring.DataKeyID(v.DataKey.ID),
			Organization: latchkey.ID(v.DataKey.Organization),
			Version:      v.DataKey.Version,
			Wrapped:      v.DataKey.Wrapped,
		}, keyring.Binding{
			Organization: latchkey.ID(v.Binding.Organization),
			Object:       v.Binding.Object,
			Field:        v.Binding.Field,
			Version:      v.Binding.Version,
		}
}

func TestSealedValueVectors(t *testing.T) {
	eachVector(t, "sealing/value-*.json", 25, func(t *testing.T, v valueVector) {
		key, binding := v.parts()
		got, err := parseRing(t, v.Ring).Open(key, binding, v.Sealed)
		if refused(t, v.Refused, err) {
			if !got.Empty() {
				t.Error("a refused value still gave a plaintext")
			}
			return
		}
		if got.Expose() != v.Plaintext {
			t.Error("opened to another plaintext")
		}
		b := v.Binding
		version := binary.BigEndian.AppendUint64(nil, b.Version)
		if want := lengthPrefixed([]byte("latchkey/v1 sealed value"), v.DataKey.ID, b.Organization, []byte(b.Object), []byte(b.Field), version); !bytes.Equal(v.AdditionalData, want) {
			t.Errorf("additional data %x, want %x", v.AdditionalData, want)
		}
	})
}

// The document is the specification: it must list every label in use.
func TestDocumentListsLabels(t *testing.T) {
	text := readText(t, "../docs/key-ring.md")
	labels := []string{"latchkey/v1 fingerprint", "latchkey/v1 idempotency seal", "latchkey/v1 data key", "latchkey/v1 sealed value",
		"latchkey/v1 idempotency record", "apikey-hash/v1", "apikey-foreign/v1", "latchkey-keyring/v1"}
	for _, name := range vectorFiles(t, "sealing/derivation-*.json", 1) {
		for info := range readVector[derivationVector](t, name).Keys {
			labels = append(labels, info)
		}
	}
	for _, label := range labels {
		if !bytes.Contains(text, []byte("`"+label+"`")) {
			t.Errorf("docs/key-ring.md does not list %q", label)
		}
	}
}

type idempotencyVector struct {
	Description        string
	Kind               string
	Ring               json.RawMessage
	Version            int
	Header, Tag, Bound string
	Sealed             hexBytes
	Plaintext          string
	Refused            string
}

func TestIdempotencyVectors(t *testing.T) {
	eachVector(t, "sealing/idempotency-*.json", 6, func(t *testing.T, v idempotencyVector) {
		r := parseRing(t, v.Ring)
		tag, err := r.IdempotencyTag(v.Version, []byte(v.Header))
		if err != nil || hex.EncodeToString(tag[:]) != v.Tag {
			t.Errorf("tag %x (%v), want %s", tag, err, v.Tag)
		}
		got, err := r.OpenUnder(v.Version, []byte(v.Header), []byte(v.Bound), v.Sealed)
		if !refused(t, v.Refused, err) && got.Expose() != v.Plaintext {
			t.Error("opened to another plaintext")
		}
	})
}

type cursorVector struct {
	Description string
	Kind        string
	Ring        json.RawMessage
	Version     int
	Data        string
	Tag         hexBytes
}

func TestCursorVectors(t *testing.T) {
	eachVector(t, "sealing/cursor-*.json", 1, func(t *testing.T, v cursorVector) {
		r := parseRing(t, v.Ring)
		tag, err := r.CursorTag(v.Version, []byte(v.Data))
		if err != nil || !bytes.Equal(tag[:], v.Tag) {
			t.Errorf("tag %x (%v), want %x", tag, err, v.Tag)
		}
		for name, c := range map[string]struct {
			version int
			data    string
			tag     []byte
			holds   bool
		}{
			"right":         {v.Version, v.Data, v.Tag, true},
			"other version": {v.Version - 1, v.Data, v.Tag, false},
			"no version":    {v.Version + 1, v.Data, v.Tag, false},
			"other data":    {v.Version, v.Data + " ", v.Tag, false},
			"cut tag":       {v.Version, v.Data, v.Tag[:15], false},
			"no tag":        {v.Version, v.Data, nil, false},
			"flipped tag":   {v.Version, v.Data, flip(v.Tag, 0), false},
		} {
			if r.CursorHolds(c.version, []byte(c.data), c.tag) != c.holds {
				t.Errorf("%s: holds is not %v", name, c.holds)
			}
		}
	})
}

// flip is b with one bit turned over.
func flip(b []byte, bit int) []byte {
	out := bytes.Clone(b)
	out[bit/8] ^= 1 << (bit % 8)
	return out
}
