package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// lockName is the file that whoever has the folder holds a lock on. Its text is
// the holder's process id, for people.
const lockName = "latchkey.lock"

// possess makes the folder where it does not exist and locks it for the life of
// the returned file: the kernel lets go of the lock when the process dies.
func possess(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, &FolderError{Dir: dir, Err: err}
	}
	file, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, &FolderError{Dir: dir, Err: err}
	}
	if err := hold(file, dir); err != nil {
		_ = file.Close() // nothing was written
		return nil, err
	}
	return file, nil
}

func hold(file *os.File, dir string) error {
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return &InUseError{Dir: dir, PID: holder(file)}
	}
	if err != nil {
		return &FolderError{Dir: dir, Err: fmt.Errorf("locking %s: %w", file.Name(), err)}
	}
	// The id only helps people: on a full disk the lock holds without it.
	if err := file.Truncate(0); err == nil {
		_, _ = file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return nil
}

// holder reads which process has the folder, 0 if the file does not say.
func holder(file *os.File) int {
	var text [32]byte
	n, _ := file.ReadAt(text[:], 0) // short by design
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	return pid
}
