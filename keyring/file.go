package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const fileMode fs.FileMode = 0o600

// readFile reads the ring at path.
func readFile(path string) (*state, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	return readOpen(f)
}

// readOpen judges the file that was opened, not the one that has its name now.
func readOpen(f *os.File) (*state, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a regular file", ErrCorrupt, f.Name())
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w: %s has mode %04o; if nobody else has read it, run: chmod %o %q",
			ErrExposed, f.Name(), info.Mode().Perm(), fileMode, f.Name())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFileLen+1))
	if err != nil {
		return nil, err
	}
	s, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return s, nil
}

// createFile writes a new ring at path. A link, unlike a rename, never replaces
// what is there: the error is then fs.ErrExist.
func createFile(path string, s *state) error {
	temp, err := writeBeside(path, s, nil)
	if err != nil {
		return err
	}
	return errors.Join(os.Link(temp, path), os.Remove(temp), syncDir(path))
}

// changeFile replaces the ring at path by what edit makes of it, while no other
// process does the same.
func changeFile(path string, edit func(*state) (*state, error)) (*state, error) {
	path, err := filepath.EvalSymlinks(path) // replace the file, not a link to it
	if err != nil {
		return nil, err
	}
	f, err := lock(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // and with it the lock goes
	before, err := readOpen(f)
	if err != nil {
		return nil, err
	}
	after, err := edit(before)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(after.encode(), before.encode()) {
		return before, nil
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	temp, err := writeBeside(path, after, info)
	if err != nil {
		return nil, err
	}
	if err := os.Rename(temp, path); err != nil {
		return nil, errors.Join(err, os.Remove(temp))
	}
	return after, syncDir(path)
}

// lock opens the file at path and takes its advisory lock (flock), waiting for
// whoever has it. The one who had it may have put another file in its place;
// then the wait begins again at that one.
func lock(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		current, err := lockOpen(f, path)
		if current {
			return f, nil
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
}

func lockOpen(f *os.File, path string) (current bool, err error) {
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return false, fmt.Errorf("locking %s: %w", path, err)
	}
	held, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	return os.SameFile(held, named), nil
}

// writeBeside writes the ring, durably, to a file of its own in path's folder,
// and gives it the owner of the one it is to replace: an administrator's change
// must not lock the server out.
func writeBeside(path string, s *state, replaced fs.FileInfo) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".keyring-*.tmp") // made with mode 0600
	if err != nil {
		return "", err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if _, err := f.Write(s.encode()); err != nil {
		return "", err
	}
	if replaced != nil {
		if err := keepOwner(f, replaced); err != nil {
			return "", err
		}
	}
	return f.Name(), f.Sync()
}

func keepOwner(f *os.File, replaced fs.FileInfo) error {
	made, err := f.Stat()
	if err != nil {
		return err
	}
	old, ok1 := replaced.Sys().(*syscall.Stat_t)
	now, ok2 := made.Sys().(*syscall.Stat_t)
	if !ok1 || !ok2 || old.Uid == now.Uid && old.Gid == now.Gid {
		return nil
	}
	return f.Chown(int(old.Uid), int(old.Gid))
}

// syncDir makes the name durable, as Sync does for the content.
func syncDir(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
