//go:build linux

package campaign

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDiskFull fills the disk under the embedded store. Writes are refused and
// say why, reads and verification go on, and all is well again once there is
// room, without a restart.
func TestDiskFull(t *testing.T) {
	newDisk(t).fills(20)
}

// fills fills the disk and makes room again, many times.
func (d *disk) fills(many int) {
	t := d.t
	rounds(t, 2, many, func(int) {
		ballast := filepath.Join(d.mount, "ballast")
		if err := fill(ballast); err != nil {
			t.Fatal(err)
		}
		d.refuses("full")
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		d.recovers()
	})
	d.inspect()
}

// TestDiskReadOnly makes the files of the embedded store immutable, under a server
// that has them open: as a file system that turned read-only, and that can be
// turned back without stopping the server.
func TestDiskReadOnly(t *testing.T) {
	d := &disk{t: t, server: install(t, folder(t)), keys: map[string]string{}}
	t.Cleanup(func() { d.immutable(false) })
	d.creates()
	rounds(t, 1, 5, func(int) {
		d.immutable(true)
		d.refuses("read-only")
		d.immutable(false)
		d.recovers()
	})
	d.inspect()
}

// disk is a server whose data folder is on a small disk of its own.
type disk struct {
	t      *testing.T
	mount  string
	server *server
	keys   map[string]string // secrets of what was acknowledged, by id
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	d := &disk{t: t, mount: mount(t), keys: map[string]string{}}
	d.server = install(t, filepath.Join(d.mount, "d"))
	d.creates()
	return d
}

// mount makes a small disk, for as long as t runs.
func mount(t *testing.T) string {
	t.Helper()
	at := t.TempDir()
	if err := syscall.Mount("latchkey", at, "tmpfs", 0, "size=48m"); err != nil {
		t.Fatalf("a disk of its own cannot be mounted, which needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(at, 0); err != nil {
			t.Error(err)
		}
	})
	return at
}

// fill takes all room that there is.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	zeros := make([]byte, 64<<10)
	for size := len(zeros); size > 0; {
		if _, err := f.Write(zeros[:size]); err != nil {
			size /= 2
		}
	}
	if _, err := f.Write(zeros[:1]); err == nil {
		return io.ErrShortWrite // there is room still
	}
	return nil
}

// immutable marks the folder and the store's files (FS_IMMUTABLE_FL, see
// ioctl_iflags(2)): nobody writes to them from then on, whoever has them open.
// The shared memory of the engine's connections is a file in name alone.
func (d *disk) immutable(yes bool) {
	d.t.Helper()
	paths, err := filepath.Glob(filepath.Join(d.server.dir, "*.db*"))
	paths = slices.DeleteFunc(paths, func(path string) bool { return strings.HasSuffix(path, "-shm") })
	if err != nil || len(paths) == 0 {
		d.t.Fatalf("the store's files are not there: %v", err)
	}
	for _, path := range append(paths, d.server.dir) {
		if err := mark(path, yes); err != nil {
			d.t.Fatalf("%s cannot be made immutable, which needs root and a file system such as ext4 or XFS: %v", path, err)
		}
	}
}

func mark(path string, yes bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		return err
	}
	const immutable = 0x10 // FS_IMMUTABLE_FL of linux/fs.h
	if flags &^= immutable; yes {
		flags |= immutable
	}
	return unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags)
}

// creates makes keys that must be acknowledged.
func (d *disk) creates() {
	d.t.Helper()
	for range 5 {
		a := d.server.must(d.create())
		d.keys[a.text("key", "id")] = a.text("secret")
	}
}

func (d *disk) create() answer {
	a := d.server.call("POST", "/v1/keys", map[string]any{
		"name": fmt.Sprintf("key %d", len(d.keys)), "metadata": map[string]any{"ballast": strings.Repeat("x", 4000)},
	})
	if a.ok() {
		d.keys[a.text("key", "id")] = a.text("secret")
	}
	return a
}

// refuses writes until the disk takes no more: from then on every write is
// refused, and nothing else is.
func (d *disk) refuses(state string) {
	d.t.Helper()
	refused := 0
	for range 5_000 { // what is left in files that were there before can be written still
		a := d.create()
		if a.ok() {
			refused = 0
			continue
		}
		if a.Status != 503 || a.text("code") != "unavailable" || a.text("detail") == "" {
			d.t.Fatalf("the disk is %s: %v\n%s", state, a, d.server.log)
		}
		if refused++; refused == 5 {
			break
		}
	}
	if refused != 5 {
		d.t.Fatalf("the disk is %s, and writes are taken", state)
	}
	if !strings.Contains(d.server.log.String(), "the store cannot be written") {
		d.t.Errorf("the disk is %s, and the log does not say so:\n%s", state, d.server.log)
	}
	d.inspect()
}

// inspect reads and verifies everything that was acknowledged.
func (d *disk) inspect() {
	d.t.Helper()
	n := 0
	for id, secret := range d.keys {
		if n++; n > 50 {
			return
		}
		d.server.must(d.server.call("GET", "/v1/keys/"+id, nil))
		if a := d.server.call("POST", "/v1/keys/verify", map[string]any{"key": secret}); a.text("code") != "valid" {
			d.t.Fatalf("%s: %v %v", id, a, a.Body)
		}
	}
	if n == 0 {
		d.t.Fatal("nothing was acknowledged: this shows nothing")
	}
}

// recovers writes again, in the same process.
func (d *disk) recovers() {
	d.t.Helper()
	d.creates()
	d.inspect()
}
