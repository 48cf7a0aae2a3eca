package keyring_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"latchkey.dev/latchkey/keyring"
)

// A ring's text has one form: what is read is, white space apart, what would be
// written. So what Parse accepts must open from a file, survive a change of
// that file, and read the same then.
func FuzzParse(f *testing.F) {
	for _, name := range vectorFiles(f, "sealing/ring-*.json", 21) {
		f.Add([]byte(readVector[ringVector](f, name).Ring))
	}
	f.Add([]byte(`{"format":"latchkey-keyring/v1"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := keyring.Parse(text)
		if err != nil {
			if !errors.Is(err, keyring.ErrCorrupt) && !errors.Is(err, keyring.ErrFormat) {
				t.Fatalf("a refusal without a reason: %v", err)
			}
			return
		}
		path := filepath.Join(t.TempDir(), "keyring.json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := openRing(t, path).Activate(len(r.Versions())); err != nil {
			t.Fatal(err)
		}
		written := readText(t, path)
		parseRing(t, written)
		if r.Active() != len(r.Versions()) {
			return // the change made another ring of it
		}
		var given, now bytes.Buffer
		if err := errors.Join(json.Compact(&given, text), json.Compact(&now, written)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(given.Bytes(), now.Bytes()) {
			t.Fatalf("read\n%s\nand wrote\n%s", given.Bytes(), now.Bytes())
		}
	})
}

// Nobody without the ring can make bytes that open: what does is what was
// sealed for this binding, the two genuine vectors.
func FuzzOpen(f *testing.F) {
	v := readVector[valueVector](f, filepath.Join(vectorDir, "sealing/value-opens.json"))
	key, binding := v.parts()
	r := parseRing(f, v.Ring)
	for _, name := range vectorFiles(f, "sealing/value-*.json", 25) {
		f.Add([]byte(readVector[valueVector](f, name).Sealed), key.Wrapped)
	}
	empty := readVector[valueVector](f, filepath.Join(vectorDir, "sealing/value-opens-empty.json"))
	f.Fuzz(func(t *testing.T, sealed, wrapped []byte) {
		key := key
		key.Wrapped = wrapped
		got, err := r.Open(key, binding, sealed)
		genuine := bytes.Equal(wrapped, v.DataKey.Wrapped) && (bytes.Equal(sealed, v.Sealed) || bytes.Equal(sealed, empty.Sealed))
		switch {
		case genuine != (err == nil):
			t.Fatalf("%x with data key %x: %v", sealed, wrapped, err)
		case err != nil && !errors.Is(err, keyring.ErrSealed):
			t.Fatalf("a refusal without a reason: %v", err)
		case err != nil && !got.Empty():
			t.Fatal("a refused value still gave a plaintext")
		}
	})
}
