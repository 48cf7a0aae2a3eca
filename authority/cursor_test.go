package authority

import (
	"crypto/rand"
	"encoding/base64"
	"path/filepath"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/store"
)

func cursorAuthority(tb testing.TB) *Authority {
	tb.Helper()
	ring, err := keyring.Create(filepath.Join(tb.TempDir(), "ring.json"), rand.Reader, time.Unix(1_700_000_000, 0))
	if err != nil {
		tb.Fatal(err)
	}
	return New(Config{Ring: ring})
}

// A cursor is good for the list that it was made for and for no other.
func TestCursorBelongsToItsList(t *testing.T) {
	a := cursorAuthority(t)
	caller := func(organization, project byte) *Call {
		return &Call{Caller: Caller{Organization: latchkey.ID{organization}, Project: latchkey.ID{project}}}
	}
	made := cursorOf(caller(1, 0), "keys", KeyFilter{Partner: "acme"})
	cursor, err := a.sealCursor(made, store.KeyCursor{Ordinal: 7, Text: "x"})
	if err != nil {
		t.Fatal(err)
	}
	var at store.KeyCursor
	if err := a.openCursor(made, cursor, &at); err != nil || at.Ordinal != 7 || at.Text != "x" {
		t.Fatalf("%v %+v", err, at)
	}
	for name, other := range map[string]list{
		"another organization": cursorOf(caller(2, 0), "keys", KeyFilter{Partner: "acme"}),
		"another reach":        cursorOf(caller(1, 3), "keys", KeyFilter{Partner: "acme"}),
		"another filter":       cursorOf(caller(1, 0), "keys", KeyFilter{Partner: "acme2"}),
		"another order":        cursorOf(caller(1, 0), "keys", KeyFilter{Partner: "acme", Sort: "name"}),
		"another list":         cursorOf(caller(1, 0), "users", KeyFilter{Partner: "acme"}),
	} {
		if err := a.openCursor(other, cursor, &at); latchkey.CodeOf(err) != latchkey.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := cursorAuthority(t).openCursor(made, cursor, &at); latchkey.CodeOf(err) != latchkey.CodeInvalid {
		t.Errorf("another ring: %v", err)
	}
}

// Cursors made under an older version of the ring are good until it is retired.
func TestCursorOutlivesAnActivation(t *testing.T) {
	a := cursorAuthority(t)
	l := cursorOf(&Call{}, "keys", nil)
	cursor, err := a.sealCursor(l, int64(42))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Ring.Add(rand.Reader, time.Unix(1_700_000_001, 0)); err != nil {
		t.Fatal(err)
	}
	if err := a.Ring.Activate(2); err != nil {
		t.Fatal(err)
	}
	var at int64
	if err := a.openCursor(l, cursor, &at); err != nil || at != 42 {
		t.Fatalf("after the activation: %v %d", err, at)
	}
	if err := a.Ring.Retire(1); err != nil {
		t.Fatal(err)
	}
	if err := a.openCursor(l, cursor, &at); latchkey.CodeOf(err) != latchkey.CodeInvalid {
		t.Fatalf("after the retirement: %v", err)
	}
}

// Nothing but what was sealed opens, whatever is done to it; one string for one
// place.
func FuzzCursor(f *testing.F) {
	a := cursorAuthority(f)
	l := cursorOf(&Call{Caller: Caller{Organization: latchkey.ID{1}}}, "keys", nil)
	good, err := a.sealCursor(l, store.KeyCursor{Ordinal: 1 << 40, Number: 9, Text: "name"})
	if err != nil {
		f.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, []byte{}, 0)
	f.Add(good+"=", []byte{0}, 3)
	f.Add("", []byte("AAA"), 20)
	f.Add(good[:len(good)-1], []byte{1}, 2)
	f.Fuzz(func(t *testing.T, cursor string, flip []byte, at int) {
		var got store.KeyCursor
		if err := a.openCursor(l, cursor, &got); (err == nil) != (cursor == good) {
			t.Fatalf("%q: %v", cursor, err)
		}
		// The same string, altered from within.
		altered := append([]byte{}, raw...)
		for i, b := range flip {
			altered[uint(at+i)%uint(len(altered))] ^= b
		}
		spelled := base64.RawURLEncoding.EncodeToString(altered)
		if err := a.openCursor(l, spelled, &got); (err == nil) != (spelled == good) {
			t.Fatalf("altered to %q: %v", spelled, err)
		}
	})
}
