package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"latchkey.dev/latchkey"
)

// slot is a place among the nodes that share a data folder: a file in its folder
// nodes that this process holds a lock on. The kernel lets go of the lock when
// the process dies, so the place is free then, whatever was left behind.
type slot struct {
	file   *os.File
	number int // 1 is the first
}

// tenure is what is written in a slot's file: who has it, and by which this file
// is known from a copy of it.
type tenure struct {
	Node   string `json:"node"`
	Boot   string `json:"boot"` // of the kernel
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
}

// takeSlot takes the first free one for a node. Whoever has the first owns the
// socket. dead is the node that had it before, if it is certain that it is dead:
// its lock was in this very file, and this kernel let go of it. In a folder that
// was copied or restored, or after a reboot, nothing is certain.
func takeSlot(data string, node latchkey.ID) (_ *slot, dead []latchkey.ID, err error) {
	folder := filepath.Join(data, "nodes")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, nil, unusable(data, err)
	}
	for n := 1; ; n++ {
		file, err := os.OpenFile(filepath.Join(folder, strconv.Itoa(n)), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, nil, unusable(data, err)
		}
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			s := &slot{file, n}
			return s, s.succeed(node), nil
		}
		_ = file.Close() // nothing was written
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, nil, unusable(data, fmt.Errorf("locking %s: %w", file.Name(), err))
		}
	}
}

// succeed reads who had the slot, and writes who has it now. Where it cannot be
// written (a full disk) nobody is named: the lock holds without it.
func (s *slot) succeed(node latchkey.ID) (dead []latchkey.ID) {
	now, known := s.tenure(node)
	var before tenure
	text := make([]byte, 1024)
	if n, _ := s.file.ReadAt(text, 0); json.Unmarshal(text[:n], &before) == nil && known {
		id, err := latchkey.ParseNative(latchkey.KindNode, before.Node)
		if before.Node = now.Node; err == nil && before == now {
			dead = []latchkey.ID{id}
		}
	}
	if err := s.file.Truncate(0); err != nil || !known {
		return dead
	}
	if text, err := json.Marshal(now); err == nil {
		_, _ = s.file.WriteAt(append(text, '\n'), 0)
	}
	return dead
}

// tenure is that of a node that has this file; false where the kernel does not
// tell which boot this is.
func (s *slot) tenure(node latchkey.ID) (tenure, bool) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return tenure{}, false
	}
	info, err := s.file.Stat()
	if err != nil {
		return tenure{}, false
	}
	at, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return tenure{}, false
	}
	return tenure{
		Node: node.Native(latchkey.KindNode), Boot: strings.TrimSpace(string(boot)),
		Device: uint64(at.Dev), Inode: at.Ino, //nolint:unconvert // their types differ between systems
	}, true
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
