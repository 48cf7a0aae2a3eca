package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/store/sqlite"
)

// refused opens a store that must not open, and wants that kind of error, with
// every one of the texts in it.
func refused[E error](t *testing.T, dir string, texts ...string) E {
	t.Helper()
	s, err := sqlite.Open(context.Background(), dir, nil)
	if err == nil {
		_ = s.Close()
		t.Fatal("the store opened")
	}
	e, ok := errors.AsType[E](err)
	if !ok {
		t.Fatalf("the store did not open, but for another reason (%T): %v", err, err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error does not say %q: %v", text, err)
		}
	}
	return e
}

func TestFolderInUse(t *testing.T) {
	dir := t.TempDir()
	c := startChild(t, dir)
	c.say(t)
	e := refused[*sqlite.InUseError](t, dir, dir, "stop it first")
	if e.PID != c.Process.Pid {
		t.Errorf("it is in use by process %d, not %d", c.Process.Pid, e.PID)
	}
	if _, err := sqlite.Migrate(t.Context(), dir, nil); !errors.As(err, new(*sqlite.InUseError)) {
		t.Errorf("migrating a folder in use: %v", err)
	}
	if m, err := sqlite.MigrationStatus(t.Context(), dir); err != nil || len(m.Pending) != 0 || m.Current != m.Known {
		t.Errorf("the status of a folder in use is %+v, %v", m, err)
	}
	c.kill()
	_ = c.Wait() // it was killed
	open(t, dir)
	refused[*sqlite.InUseError](t, dir) // by this very process
}

func TestFolderIsMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there?#%20yet")
	s := open(t, dir)
	newTenant(t, s)
	for name, want := range map[string]os.FileMode{
		"": 0o700, sqlite.FileName: 0o600, sqlite.FileName + "-wal": 0o600, sqlite.FileName + "-shm": 0o600, "latchkey.lock": 0o600,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%q has mode %v, not %v", name, got, want)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "*", sqlite.FileName+"-*")); err != nil || len(left) != 0 {
		t.Errorf("a closed store leaves %v, %v", left, err)
	}
}

func TestMigrateTwice(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	before, err := sqlite.MigrationStatus(t.Context(), dir)
	if err != nil || before.Current != 0 || len(before.Pending) == 0 || before.Known == 0 {
		t.Fatalf("the status of nothing is %+v, %v", before, err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Error("asking for the status made the folder")
	}
	for round, want := range [][]string{before.Pending, nil} {
		applied, err := sqlite.Migrate(t.Context(), dir, nil)
		if err != nil || strings.Join(applied, " ") != strings.Join(want, " ") {
			t.Fatalf("round %d applied %v, %v", round, applied, err)
		}
		after, err := sqlite.MigrationStatus(t.Context(), dir)
		if err != nil || after.Current != before.Known || len(after.Pending) != 0 {
			t.Fatalf("after round %d the status is %+v, %v", round, after, err)
		}
	}
}

// edit changes the file of a store that is not open, behind the driver's back.
func edit(t *testing.T, dir, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestNewerSchema(t *testing.T) {
	dir := t.TempDir()
	if _, err := sqlite.Migrate(t.Context(), dir, nil); err != nil {
		t.Fatal(err)
	}
	edit(t, dir, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (4711, 1)`)
	e := refused[*sqlite.NewerError](t, dir, filepath.Join(dir, sqlite.FileName), "4711", "upgrade the program")
	if e.Found != 4711 || e.Known == 0 || e.Known >= 4711 {
		t.Errorf("the error says %+v", *e)
	}
	if m, err := sqlite.MigrationStatus(t.Context(), dir); err != nil || m.Current != 4711 || m.Known != e.Known || len(m.Pending) != 0 {
		t.Errorf("the status is %+v, %v", m, err)
	}
}

func TestDamagedFile(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"not a database": func(path string) error {
			return os.WriteFile(path, []byte(strings.Repeat("not a database ", 500)), 0o600)
		},
		"too short for a database": func(path string) error { return os.WriteFile(path, []byte("SQLite"), 0o600) },
		"cut off":                  func(path string) error { return os.Truncate(path, 5*4096) },
		"first page overwritten": func(path string) error {
			file, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			_, err = file.WriteAt([]byte(strings.Repeat("\xFF", 4096-100)), 100)
			return errors.Join(err, file.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := sqlite.Migrate(t.Context(), dir, nil); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, sqlite.FileName)
			if err := damage(path); err != nil {
				t.Fatal(err)
			}
			refused[*sqlite.DamagedError](t, dir, path, "backup")
			if _, err := sqlite.MigrationStatus(t.Context(), dir); !errors.As(err, new(*sqlite.DamagedError)) {
				t.Errorf("its status: %v", err)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			open(t, dir) // the folder was let go of
		})
	}
}

func TestFileOfAnotherProgram(t *testing.T) {
	for name, statement := range map[string]string{
		"its own tables":        `CREATE TABLE books (title TEXT)`,
		"its own mark":          `PRAGMA application_id = 1; CREATE TABLE books (title TEXT)`,
		"migrated by goose too": `CREATE TABLE goose_db_version (version_id INTEGER, is_applied INTEGER); INSERT INTO goose_db_version VALUES (0, 1), (1, 1)`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			edit(t, dir, statement)
			refused[*sqlite.DamagedError](t, dir, sqlite.FileName, "another program")
		})
	}
}

// mount puts a small file system of its own at a new folder.
func mount(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts a small file system, which only root may: run the tests as root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("this test needs to mount a tmpfs and may not, although it runs as root (in a container, give it CAP_SYS_ADMIN): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestFolderThatCannotBeWritten(t *testing.T) {
	t.Run("a file is in its place", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		refused[*sqlite.FolderError](t, path, path, "choose another folder")
	})
	t.Run("a folder is in the file's place", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, sqlite.FileName), 0o700); err != nil {
			t.Fatal(err)
		}
		refused[*sqlite.FolderError](t, dir, dir)
	})
	for _, made := range []bool{false, true} {
		t.Run(map[bool]string{false: "read-only and empty", true: "read-only, with a store"}[made], func(t *testing.T) {
			dir := mount(t, "16m")
			if made {
				if _, err := sqlite.Migrate(t.Context(), dir, nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
			refused[*sqlite.FolderError](t, dir, dir, "read-only file system")
		})
	}
	t.Run("full", func(t *testing.T) {
		dir := mount(t, "16m")
		fill(t, filepath.Join(dir, "ballast"))
		refused[*sqlite.FolderError](t, dir, dir, "free space")
	})
}

// fill writes a file until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 20; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = file.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFullDisk(t *testing.T) {
	dir := mount(t, "16m")
	s := open(t, dir)
	of := newTenant(t, s)
	kept := of.key(1, nil)
	must(t, s, of.create(kept))
	var lost []latchkey.ID
	for round := range 3 {
		ballast := filepath.Join(dir, "ballast")
		fill(t, ballast)
		full := false
		for n := range 100 {
			k := of.key(1000*round+n, nil)
			_, err := submit(s, of.create(k))
			if err == nil {
				continue // there was room in the log yet
			}
			full = true
			lost = append(lost, k.ID)
			if !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("a write to a full disk: %v", err)
			}
		}
		if !full {
			t.Fatal("a hundred keys were written to a full disk")
		}
		if _, err := s.ByKID(t.Context(), kept.Secrets[0].KID); err != nil {
			t.Errorf("a read from a full disk: %v", err)
		}
		if _, err := s.ListKeys(t.Context(), store.KeyQuery{Organization: of.organization, Sort: store.ByName, Limit: 100}); err != nil {
			t.Errorf("a list from a full disk: %v", err)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		must(t, s, of.create(of.key(1000*round+999, nil)))
		if err := s.RecordUses(t.Context(), useOf(kept, time.Now())); err != nil {
			t.Errorf("RecordUses with room again: %v", err)
		}
	}
	for _, id := range lost {
		if _, err := s.Key(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("a key whose creation failed: %v", err)
		}
	}
	whole(t, s, of)
}

// whole checks that the store agrees with itself: positions without a gap, and
// as many keys as were ever made.
func whole(t *testing.T, s *sqlite.Store, of tenant) {
	t.Helper()
	events, err := s.Events(t.Context(), store.EventQuery{Limit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	made := int64(0)
	for i, e := range events {
		if e.Position != int64(i)+1 {
			t.Fatalf("event %d has position %d", i, e.Position)
		}
		if e.Type == latchkey.KeyCreated {
			made++
			if _, err := s.Key(t.Context(), e.Object.ID); err != nil {
				t.Fatalf("key of event %d: %v", i, err)
			}
		}
	}
	organization, err := s.Organization(t.Context(), of.organization)
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.ListKeys(t.Context(), store.KeyQuery{Organization: of.organization, Limit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if organization.Keys != made || int64(len(list)) != made {
		t.Errorf("%d keys were made, %d are counted and %d listed", made, organization.Keys, len(list))
	}
}

func TestCrash(t *testing.T) {
	dir := t.TempDir()
	c := startChild(t, dir)
	organization := c.say(t)
	var made []string
	for range 700 { // past the point where names enter their index
		made = append(made, c.say(t))
	}
	c.kill()
	for c.lines.Scan() { // what it still said was acknowledged as well
		if id, ok := strings.CutPrefix(c.lines.Text(), "made "); ok && len(id) == 24 {
			made = append(made, id)
		}
	}
	_ = c.Wait() // it was killed
	s := open(t, dir)
	for _, hex := range made {
		id, err := latchkey.ParseHex(hex)
		if err != nil {
			t.Fatal(err)
		}
		h, err := s.Key(t.Context(), id)
		if err != nil {
			t.Fatalf("an acknowledged key: %v", err)
		}
		found, err := s.ListKeys(t.Context(), store.KeyQuery{Organization: h.Key.Organization, Search: h.Key.Name, Limit: 1 << 20})
		if err != nil || !slices.ContainsFunc(found, func(k store.ListedKey) bool { return k.ID == id }) {
			t.Fatalf("searching %q finds %d keys, %v", h.Key.Name, len(found), err)
		}
	}
	id, err := latchkey.ParseHex(organization)
	if err != nil {
		t.Fatal(err)
	}
	whole(t, s, tenant{organization: id})
}
