//go:build race

package direct

import (
	"errors"
	"syscall"
)

// The race detector learns from package syscall's own functions what a call reads
// and writes, and what came before what.

func read(fd uintptr, p []byte) (int, syscall.Errno) { return told(syscall.Read(int(fd), p)) }

func write(fd uintptr, p []byte) (int, syscall.Errno) { return told(syscall.Write(int(fd), p)) }

func told(n int, err error) (int, syscall.Errno) {
	errno, _ := errors.AsType[syscall.Errno](err) // nil is 0
	return max(n, 0), errno
}
