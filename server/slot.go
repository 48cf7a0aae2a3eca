package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// slot is a place among the nodes that share a data folder: a file in its folder
// nodes that this process holds a lock on. The kernel lets go of the lock when
// the process dies, so the place is free then, whatever was left behind.
type slot struct {
	file   *os.File
	number int // 1 is the first
}

// takeSlot takes the first free one. Whoever has the first owns the socket.
func takeSlot(data string) (*slot, error) {
	folder := filepath.Join(data, "nodes")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, unusable(data, err)
	}
	for n := 1; ; n++ {
		file, err := os.OpenFile(filepath.Join(folder, strconv.Itoa(n)), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, unusable(data, err)
		}
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			// The id only helps people: on a full disk the lock holds without it.
			if err := file.Truncate(0); err == nil {
				_, _ = file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
			}
			return &slot{file, n}, nil
		}
		_ = file.Close() // nothing was written
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, unusable(data, fmt.Errorf("locking %s: %w", file.Name(), err))
		}
	}
}

// first reports whether the slot's holder owns the socket; where the store is in
// the folder there are no slots, and one process.
func (s *slot) first() bool { return s == nil || s.number == 1 }

// leave frees the slot.
func (s *slot) leave() error {
	if s == nil {
		return nil
	}
	return s.file.Close()
}
