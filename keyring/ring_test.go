package keyring_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
)

var someTime = time.Date(2026, 1, 2, 3, 4, 5, 678, time.FixedZone("CET", 3600))

// addTo and addCount make of this test binary another process that adds versions.
const (
	addTo    = "KEYRING_TEST_ADD_TO"
	addCount = 12
)

func TestMain(m *testing.M) {
	if path := os.Getenv(addTo); path != "" {
		if err := addMany(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func addMany(path string) error {
	r, err := keyring.Open(path)
	for range addCount {
		if err != nil {
			return err
		}
		_, err = r.Add(rand.Reader, someTime)
	}
	return err
}

func createRing(t testing.TB) (*keyring.Ring, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyring.json")
	r, err := keyring.Create(path, rand.Reader, someTime)
	if err != nil {
		t.Fatal(err)
	}
	return r, path
}

func newRing(t testing.TB) *keyring.Ring {
	t.Helper()
	r, _ := createRing(t)
	return r
}

func openRing(t testing.TB, path string) *keyring.Ring {
	t.Helper()
	r, err := keyring.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func addVersion(t testing.TB, r *keyring.Ring) keyring.Version {
	t.Helper()
	v, err := r.Add(rand.Reader, someTime)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func readText(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func states(r *keyring.Ring) string {
	var s []string
	for _, v := range r.Versions() {
		s = append(s, string(v.State))
	}
	return strings.Join(s, " ")
}

func TestCreate(t *testing.T) {
	r, path := createRing(t)
	if got := states(r); got != "active" || r.Active() != 1 {
		t.Errorf("a new ring is %q with version %d active", got, r.Active())
	}
	v := r.Versions()[0]
	if v.Number != 1 || !v.CreatedAt.Equal(someTime.Truncate(time.Second)) || v.CreatedAt.Location() != time.UTC {
		t.Errorf("the first version is %+v", v)
	}
	if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(v.Fingerprint) || r.Fingerprint() != v.Fingerprint {
		t.Errorf("fingerprints %q and %q", r.Fingerprint(), v.Fingerprint)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v (%v), want 0600", info.Mode(), err)
	}
	if again := openRing(t, path); again.String() != r.String() {
		t.Errorf("reopened as %v, want %v", again, r)
	}
	if other := newRing(t); other.Fingerprint() == r.Fingerprint() {
		t.Error("two rings have one fingerprint")
	}
	onlyTheRing(t, path)
}

// onlyTheRing checks that no working file with roots in it was left behind.
func onlyTheRing(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v (%v), want the ring alone", entries, err)
	}
}

func TestCreateNeverReplaces(t *testing.T) {
	_, path := createRing(t)
	before := readText(t, path)
	_, err := keyring.Create(path, rand.Reader, someTime)
	if !errors.Is(err, fs.ErrExist) {
		t.Errorf("error %v, want fs.ErrExist", err)
	}
	if !bytes.Equal(readText(t, path), before) {
		t.Error("the ring that was there is changed")
	}
	onlyTheRing(t, path)
}

// Of several that make a ring at one path at once, one wins and the others are told.
func TestCreateRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring.json")
	var wg sync.WaitGroup
	won := make(chan *keyring.Ring, 8)
	for range cap(won) {
		wg.Go(func() {
			r, err := keyring.Create(path, rand.Reader, someTime)
			if err == nil {
				won <- r
			} else if !errors.Is(err, fs.ErrExist) {
				t.Errorf("error %v, want fs.ErrExist", err)
			}
		})
	}
	wg.Wait()
	close(won)
	if len(won) != 1 {
		t.Fatalf("%d won, want 1", len(won))
	}
	if r := <-won; openRing(t, path).Fingerprint() != r.Fingerprint() {
		t.Error("the file is not the winner's")
	}
	onlyTheRing(t, path)
}

func TestRandomnessFails(t *testing.T) {
	broken := iotest.ErrReader(errors.New("no entropy"))
	path := filepath.Join(t.TempDir(), "keyring.json")
	if _, err := keyring.Create(path, broken, someTime); err == nil {
		t.Error("a ring was made without randomness")
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file was made all the same: %v", err)
	}
	r := newRing(t)
	if _, err := r.Add(broken, someTime); err == nil || len(r.Versions()) != 1 {
		t.Error("a version was added without randomness")
	}
	if _, err := r.NewDataKey(someOrganization, broken); err == nil {
		t.Error("a data key was made without randomness")
	}
}

func TestOpenRefusesExposedFiles(t *testing.T) {
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o666, 0o777} {
		r, path := createRing(t)
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := keyring.Open(path)
		if !errors.Is(err, keyring.ErrExposed) || !strings.Contains(err.Error(), "chmod 600 \""+path+"\"") {
			t.Errorf("mode %04o: error %v, want ErrExposed and the remedy", mode, err)
		}
		if err := r.Reload(); !errors.Is(err, keyring.ErrExposed) {
			t.Errorf("mode %04o: reload gives %v", mode, err)
		}
		if _, err := r.Add(rand.Reader, someTime); !errors.Is(err, keyring.ErrExposed) {
			t.Errorf("mode %04o: add gives %v", mode, err)
		}
	}
	_, path := createRing(t)
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	openRing(t, path)
}

func TestOpenRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := keyring.Open(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := keyring.Open(dir); !errors.Is(err, keyring.ErrCorrupt) {
		t.Errorf("a folder: %v", err)
	}
}

// White space apart, which editors and environment files touch, no bit of a
// ring's text may turn over and no byte be missing.
func TestDamage(t *testing.T) {
	r, path := createRing(t)
	addVersion(t, r)
	if err := errors.Join(r.Activate(2), r.Retire(1)); err != nil {
		t.Fatal(err)
	}
	text := readText(t, path)
	isRefused := func(what string, damaged []byte) {
		t.Helper()
		_, err := keyring.Parse(damaged)
		if !errors.Is(err, keyring.ErrCorrupt) && !errors.Is(err, keyring.ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for bit := range 8 * len(text) {
		isRefused(fmt.Sprintf("bit %d turned over", bit), flip(text, bit))
	}
	for n := range len(text) - 1 {
		isRefused(fmt.Sprintf("cut to %d bytes", n), text[:n])
	}
	_, err := keyring.Parse(bytes.Replace(text, []byte(`"active": 2`), []byte(`"active": 1`), 1))
	if err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("an edited ring: %v, want the checksum named", err)
	}
	isRefused("twice", append(bytes.Clone(text), text...))
	isRefused("too long", append(bytes.Clone(text), bytes.Repeat([]byte(" "), 1<<20)...))
	isRefused("a member twice", bytes.Replace(text, []byte(`"active": 2`), []byte(`"active": 2, "active": 2`), 1))
	isRefused("a member in capitals", bytes.Replace(text, []byte(`"active"`), []byte(`"ACTIVE"`), 1))
	isRefused("an escaped character", bytes.Replace(text, []byte(`"retired"`), []byte(`"retire\u0064"`), 1))

	if err := os.WriteFile(path, flip(text, 8*len(text)/2), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Open(path); !errors.Is(err, keyring.ErrCorrupt) || !strings.Contains(err.Error(), path) {
		t.Errorf("a damaged file: %v, want ErrCorrupt and its path", err)
	}
}

func TestParse(t *testing.T) {
	r, path := createRing(t)
	text := readText(t, path)
	oneLine := strings.Join(strings.Fields(string(text)), "")
	for _, form := range []string{string(text), strings.TrimSpace(string(text)), oneLine, "\n\t" + oneLine + "\r\n"} {
		parsed := parseRing(t, []byte(form))
		want, err1 := r.Digest(1, someKey)
		got, err2 := parsed.Digest(1, someKey)
		if err := errors.Join(err1, err2); err != nil || got != want {
			t.Errorf("%q: digests differ (%v)", form, err)
		}
	}
	parsed := parseRing(t, text)
	if err := parsed.Reload(); err != nil {
		t.Errorf("reload of a ring from memory: %v", err)
	}
	_, err := parsed.Add(rand.Reader, someTime)
	for _, err := range []error{err, parsed.Activate(1), parsed.Retire(1)} {
		if latchkey.CodeOf(err) != latchkey.CodeConflict {
			t.Errorf("change of a ring from memory: %v, want conflict", err)
		}
	}
}

func TestRotation(t *testing.T) {
	r, path := createRing(t)
	first := r.Fingerprint()
	root := regexp.MustCompile(`"root": "([0-9a-f]{64})"`).FindSubmatch(readText(t, path))[1]
	step := func(what, want string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got := states(r); got != want {
			t.Fatalf("%s: %s, want %s", what, got, want)
		}
		if got := states(openRing(t, path)); got != want {
			t.Fatalf("%s: the file says %s, want %s", what, got, want)
		}
	}
	v := addVersion(t, r)
	if v.Number != 2 || v.State != keyring.Pending || v.Fingerprint == first {
		t.Errorf("added %+v", v)
	}
	step("add", "active pending", nil)
	addVersion(t, r)
	step("activate", "retiring active pending", r.Activate(2))
	step("activate again", "retiring active pending", r.Activate(2))
	if !bytes.Contains(readText(t, path), root) {
		t.Error("a retiring version has no root")
	}
	step("retire", "retired active pending", r.Retire(1))
	step("retire again", "retired active pending", r.Retire(1))
	if bytes.Contains(readText(t, path), root) {
		t.Error("the root of a retired version is still in the file")
	}
	step("activate the next", "retired retiring active", r.Activate(3))
	if r.Fingerprint() != first || openRing(t, path).Fingerprint() != first {
		t.Error("the ring's fingerprint did not outlive its first version")
	}
	onlyTheRing(t, path)
}

func TestRefusedChanges(t *testing.T) {
	r, path := createRing(t)
	addVersion(t, r)
	addVersion(t, r)
	if err := r.Activate(2); err != nil {
		t.Fatal(err)
	}
	before := readText(t, path)
	for what, c := range map[string]struct {
		err  error
		code latchkey.ErrorCode
	}{
		"activate 0":          {r.Activate(0), latchkey.CodeNotFound},
		"activate -1":         {r.Activate(-1), latchkey.CodeNotFound},
		"activate an unknown": {r.Activate(4), latchkey.CodeNotFound},
		"activate an earlier": {r.Activate(1), latchkey.CodeConflict},
		"retire an unknown":   {r.Retire(4), latchkey.CodeNotFound},
		"retire 0":            {r.Retire(0), latchkey.CodeNotFound},
		"retire the active":   {r.Retire(2), latchkey.CodeConflict},
		"retire a pending":    {r.Retire(3), latchkey.CodeConflict},
	} {
		if latchkey.CodeOf(c.err) != c.code {
			t.Errorf("%s: %v, want %s", what, c.err, c.code)
		}
	}
	if !bytes.Equal(readText(t, path), before) {
		t.Error("a refused change changed the file")
	}
}

func TestReload(t *testing.T) {
	server, path := createRing(t)
	old := readText(t, path)
	command := openRing(t, path)
	addVersion(t, command)
	if err := command.Activate(2); err != nil {
		t.Fatal(err)
	}
	if server.Active() != 1 {
		t.Fatal("the ring changed without a reload")
	}
	if err := server.Reload(); err != nil || states(server) != "retiring active" {
		t.Fatalf("reloaded as %q (%v)", states(server), err)
	}
	_, other := createRing(t)
	for what, c := range map[string]struct {
		text []byte
		want error
	}{
		"an old copy":  {old, keyring.ErrStale},
		"another ring": {readText(t, other), keyring.ErrOther},
		"half a file":  {old[:len(old)/2], keyring.ErrCorrupt},
	} {
		if err := os.WriteFile(path, c.text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := server.Reload(); !errors.Is(err, c.want) {
			t.Errorf("%s: reload gives %v, want %v", what, err, c.want)
		}
		if err := server.Activate(2); !errors.Is(err, c.want) {
			t.Errorf("%s: a change gives %v, want %v", what, err, c.want)
		}
		if states(server) != "retiring active" {
			t.Errorf("%s: the ring in use became %q", what, states(server))
		}
		if !bytes.Equal(readText(t, path), c.text) {
			t.Errorf("%s: the file was changed", what)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := server.Reload(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: reload gives %v", err)
	}
	if _, err := server.Digest(2, someKey); err != nil {
		t.Errorf("the ring in use is gone with its file: %v", err)
	}
}

// A retired version whose root comes back with an old copy stays unusable.
func TestReloadDoesNotRevive(t *testing.T) {
	r, path := createRing(t)
	addVersion(t, r)
	if err := r.Activate(2); err != nil {
		t.Fatal(err)
	}
	old := readText(t, path)
	if err := r.Retire(1); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Reload(); !errors.Is(err, keyring.ErrStale) {
		t.Errorf("reload gives %v, want ErrStale", err)
	}
	if _, err := r.Digest(1, someKey); !errors.Is(err, keyring.ErrVersion) {
		t.Errorf("version 1 is alive again: %v", err)
	}
}

// Changes by other processes and by other rings of this one are all kept.
func TestConcurrentAdd(t *testing.T) {
	r, path := createRing(t)
	const processes, rings = 2, 3
	var wg sync.WaitGroup
	for range processes {
		wg.Go(func() {
			c := exec.CommandContext(t.Context(), os.Args[0])
			c.Env = append(os.Environ(), addTo+"="+path)
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	for range rings {
		wg.Go(func() {
			if err := addMany(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := r.Reload(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, v := range r.Versions() {
		if v.Number != i+1 {
			t.Errorf("version %d at place %d", v.Number, i+1)
		}
		seen[v.Fingerprint] = true
	}
	if want := 1 + (processes+rings)*addCount; len(seen) != want {
		t.Errorf("%d versions, want %d", len(seen), want)
	}
	onlyTheRing(t, path)
}

// The race detector judges this one.
func TestConcurrentUse(t *testing.T) {
	r, path := createRing(t)
	want, err := r.Digest(1, someKey)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if got, err := r.Digest(1, someKey); err != nil || got != want {
					t.Errorf("digest changed under use (%v)", err)
				}
				key, err := r.NewDataKey(someOrganization, rand.Reader)
				if err != nil {
					t.Error(err)
				}
				if _, _, err := r.Rewrap(key); err != nil {
					t.Error(err)
				}
				if err := r.Reload(); err != nil {
					t.Error(err)
				}
				_, _ = r.Versions(), r.String()
			}
		})
	}
	other := openRing(t, path)
	for n := 2; n < 12; n++ {
		addVersion(t, []*keyring.Ring{r, other}[n%2])
		if err := r.Reload(); err != nil {
			t.Error(err)
		}
		if err := r.Activate(n); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
}

// A change replaces the file that a link leads to, keeps its owner and mode,
// and leaves the link.
func TestChangeKeepsLinkAndOwner(t *testing.T) {
	_, path := createRing(t)
	if os.Geteuid() == 0 { // anyone else can only be the owner
		if err := os.Chown(path, 12345, 12346); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	before, err1 := os.Stat(path)
	addVersion(t, openRing(t, link))
	after, err2 := os.Stat(path)
	linked, err3 := os.Lstat(link)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	was, is := before.Sys().(*syscall.Stat_t), after.Sys().(*syscall.Stat_t)
	if was.Uid != is.Uid || was.Gid != is.Gid || after.Mode() != 0o600 {
		t.Errorf("owner %d:%d and mode %v, were %d:%d", is.Uid, is.Gid, after.Mode(), was.Uid, was.Gid)
	}
	if linked.Mode()&fs.ModeSymlink == 0 || len(openRing(t, path).Versions()) != 2 {
		t.Error("the link was replaced, not the file")
	}
}

// A ring that grew as long as it may is still read.
func TestVersionLimit(t *testing.T) {
	const limit = 100
	r, path := createRing(t)
	for range limit - 1 {
		addVersion(t, r)
	}
	if _, err := r.Add(rand.Reader, someTime); latchkey.CodeOf(err) != latchkey.CodeConflict {
		t.Errorf("one too many: %v, want conflict", err)
	}
	if got := len(openRing(t, path).Versions()); got != limit {
		t.Errorf("%d versions, want %d", got, limit)
	}
}

// No way of printing a ring, and no refusal, shows a root.
func TestRingDoesNotTell(t *testing.T) {
	r, path := createRing(t)
	text := readText(t, path)
	root := string(regexp.MustCompile(`"root": "([0-9a-f]{64})"`).FindSubmatch(text)[1])
	raw, err := hex.DecodeString(root)
	if err != nil {
		t.Fatal(err)
	}
	_, damaged := keyring.Parse(bytes.Replace(text, []byte(`"active": 1`), []byte(`"active": 2`), 1))
	_, broken := keyring.Parse(bytes.Replace(text, []byte(root), []byte(root[:63]+"x"), 1))
	for _, shown := range []string{
		fmt.Sprintf("%v %+v %#v %s %x", r, r, r, r, r), fmt.Sprint(damaged, broken), fmt.Sprintf("%+v", r.Versions()),
	} {
		for _, secret := range []string{root, string(raw), fmt.Sprint(raw), strings.Trim(fmt.Sprintf("%#v", raw), "[]byte{}")} {
			if strings.Contains(shown, secret) {
				t.Errorf("a root is shown in %s", shown)
			}
		}
	}
}
