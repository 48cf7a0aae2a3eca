package keyring_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
	"pgregory.net/rapid"

	"latchkey.dev/latchkey/keyring"
)

func newIdentity(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func export(t testing.TB, r *keyring.Ring, to ...age.Recipient) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := r.Export(&out, to...); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func importRing(t testing.TB, exported []byte, path string, ids ...age.Identity) *keyring.Ring {
	t.Helper()
	r, err := keyring.Import(bytes.NewReader(exported), path, ids...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestExportAndImport(t *testing.T) {
	first, second := newIdentity(t), newIdentity(t)
	r, path := createRing(t)
	addVersion(t, r)
	exported := export(t, r, first.Recipient(), second.Recipient())
	if !bytes.HasPrefix(exported, []byte(armor.Header)) || bytes.Contains(exported, []byte("root")) {
		t.Errorf("the export is not armored age text: %s", exported)
	}
	for _, id := range []age.Identity{first, second} {
		copied := filepath.Join(t.TempDir(), "copy.json")
		if got := importRing(t, exported, copied, newIdentity(t), id); got.String() != r.String() {
			t.Errorf("imported as %v, want %v", got, r)
		}
		info, err := os.Stat(copied)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("mode %v (%v), want 0600", info.Mode(), err)
		}
		if !bytes.Equal(readText(t, copied), readText(t, path)) {
			t.Error("the copy differs from the original")
		}
		onlyTheRing(t, copied)
	}
}

func TestImportWithoutArmor(t *testing.T) {
	id := newIdentity(t)
	r, path := createRing(t)
	var out bytes.Buffer
	w, err := age.Encrypt(&out, id.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := w.Write(readText(t, path))
	if err := errors.Join(err1, w.Close()); err != nil {
		t.Fatal(err)
	}
	if got := importRing(t, out.Bytes(), filepath.Join(t.TempDir(), "copy.json"), id); got.String() != r.String() {
		t.Errorf("imported as %v, want %v", got, r)
	}
}

func TestExportToNobody(t *testing.T) {
	var out bytes.Buffer
	if err := newRing(t).Export(&out); err == nil || strings.Contains(out.String(), "root") {
		t.Errorf("exported to nobody: %v", err)
	}
}

type failingWriter struct{ after int }

func (w *failingWriter) Write(b []byte) (int, error) {
	if w.after -= len(b); w.after < 0 {
		return 0, errors.New("the disk is full")
	}
	return len(b), nil
}

// An export that was not written to its last byte is not reported as made.
func TestExportReportsFailedWrites(t *testing.T) {
	r, id := newRing(t), newIdentity(t)
	for n := range len(export(t, r, id.Recipient())) {
		if r.Export(&failingWriter{n}, id.Recipient()) == nil {
			t.Fatalf("no error though only %d bytes could be written", n)
		}
	}
}

func TestImportRefuses(t *testing.T) {
	id := newIdentity(t)
	r, _ := createRing(t)
	good := export(t, r, id.Recipient())
	_, damaged := createRing(t)
	var notARing bytes.Buffer
	w, err := age.Encrypt(&notARing, id.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := w.Write(readText(t, damaged)[1:])
	if err := errors.Join(err1, w.Close()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		export []byte
		id     age.Identity
		is     error // nil: any
	}{
		"another's identity": {good, newIdentity(t), nil},
		"nothing":            {nil, id, nil},
		"plain text":         {readText(t, damaged), id, nil},
		"cut short":          {good[:len(good)-60], id, nil},
		"trailing text":      {append(bytes.Clone(good), "x"...), id, nil},
		"no ring inside":     {notARing.Bytes(), id, keyring.ErrCorrupt},
	} {
		path := filepath.Join(t.TempDir(), "copy.json")
		_, err := keyring.Import(bytes.NewReader(c.export), path, c.id)
		if err == nil || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: error %v, want %v", name, err, c.is)
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a file was made all the same (%v)", name, err)
		}
	}
	if _, err := keyring.Import(bytes.NewReader(good), filepath.Join(t.TempDir(), "none", "copy.json"), id); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

func TestImportLeavesOthersAlone(t *testing.T) {
	id := newIdentity(t)
	r, path := createRing(t)
	_, other := createRing(t)
	exposed := filepath.Join(t.TempDir(), "exposed.json")
	if err := os.WriteFile(exposed, readText(t, path), 0o644); err != nil {
		t.Fatal(err)
	}
	torn := filepath.Join(t.TempDir(), "torn.json")
	if err := os.WriteFile(torn, readText(t, path)[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	// Two administrators each add a version 2 on their own machine.
	exported := export(t, r, id.Recipient())
	twin := importRing(t, exported, filepath.Join(t.TempDir(), "twin.json"), id)
	addVersion(t, twin)
	addVersion(t, r)
	exported = export(t, r, id.Recipient())
	twinPath := filepath.Join(t.TempDir(), "twin.json")
	importRing(t, export(t, twin, id.Recipient()), twinPath, id)

	for at, want := range map[string]error{
		other: keyring.ErrOther, twinPath: keyring.ErrOther, exposed: keyring.ErrExposed, torn: keyring.ErrCorrupt,
	} {
		before := readText(t, at)
		if _, err := keyring.Import(bytes.NewReader(exported), at, id); !errors.Is(err, want) {
			t.Errorf("error %v, want %v", err, want)
		}
		if !bytes.Equal(readText(t, at), before) {
			t.Errorf("%v: the file there was changed", want)
		}
		onlyTheRing(t, at)
	}
}

// machine is one copy of a ring.
type machine struct {
	ring *keyring.Ring
	path string
}

func (m *machine) take(t testing.TB, from *machine, id *age.X25519Identity) {
	t.Helper()
	importRing(t, export(t, from.ring, id.Recipient()), m.path, id)
	if err := m.ring.Reload(); err != nil {
		t.Fatal(err)
	}
}

// Each machine did something that the other did not; after one import each way
// both have all of it.
func TestMerge(t *testing.T) {
	id := newIdentity(t)
	ring, path := createRing(t)
	addVersion(t, ring)
	addVersion(t, ring)
	at := filepath.Join(t.TempDir(), "keyring.json")
	a, b := &machine{ring, path}, &machine{importRing(t, export(t, ring, id.Recipient()), at, id), at}
	if err := errors.Join(a.ring.Activate(2), a.ring.Retire(1), b.ring.Activate(3)); err != nil {
		t.Fatal(err)
	}
	addVersion(t, a.ring)
	a.take(t, b, id)
	b.take(t, a, id)
	for _, m := range []*machine{a, b} {
		if got := states(m.ring); got != "retired retiring active pending" {
			t.Errorf("merged to %q", got)
		}
	}
	importRing(t, export(t, b.ring, id.Recipient()), at, id)
	if !bytes.Equal(readText(t, path), readText(t, at)) {
		t.Error("the two files differ")
	}
	// The same with as many versions on either side, so that only the states differ.
	if err := b.ring.Activate(4); err != nil {
		t.Fatal(err)
	}
	a.take(t, b, id)
	if got := states(a.ring); got != "retired retiring retiring active" {
		t.Errorf("merged to %q", got)
	}
}

// Whatever was done on which machine, in whatever order copies are merged: all
// end with the same ring, no version is lost and none comes back.
func TestMergeLaws(t *testing.T) {
	id := newIdentity(t)
	rapid.Check(t, func(rt *rapid.T) {
		ring, path := createRing(t)
		for range rapid.IntRange(0, 3).Draw(rt, "versions before") {
			addVersion(t, ring)
		}
		machines := []*machine{{ring, path}}
		for range 2 {
			at := filepath.Join(t.TempDir(), "keyring.json")
			machines = append(machines, &machine{importRing(t, export(t, ring, id.Recipient()), at, id), at})
		}
		some := rapid.SampledFrom(machines)
		actions := rapid.SampledFrom([]string{"add", "activate", "retire", "copy"})
		for range rapid.IntRange(0, 10).Draw(rt, "steps") {
			m := some.Draw(rt, "machine")
			n := rapid.IntRange(1, 5).Draw(rt, "version")
			switch actions.Draw(rt, "action") { // refusals are as good as any
			case "add": // on one machine, as the documents ask
				addVersion(t, machines[0].ring)
			case "activate":
				_ = m.ring.Activate(n)
			case "retire":
				_ = m.ring.Retire(n)
			case "copy":
				m.take(t, some.Draw(rt, "from"), id)
			}
		}
		before := machines[0].ring.Versions()
		order := rapid.Permutation(machines).Draw(rt, "order")
		for range 2 {
			for i, m := range order {
				m.take(t, order[(i+1)%len(order)], id)
			}
		}
		for _, m := range order[1:] {
			if !bytes.Equal(readText(t, m.path), readText(t, order[0].path)) {
				rt.Fatalf("merged to %q and %q", states(m.ring), states(order[0].ring))
			}
		}
		after := order[0].ring.Versions()
		if len(after) != len(before) {
			rt.Fatalf("%d versions became %d", len(before), len(after))
		}
		for i, v := range before {
			if after[i].Fingerprint != v.Fingerprint || stage(after[i].State) < stage(v.State) {
				rt.Fatalf("%+v became %+v", v, after[i])
			}
		}
	})
}

func stage(s keyring.State) int {
	return strings.Index("pending active retiring retired", string(s))
}
