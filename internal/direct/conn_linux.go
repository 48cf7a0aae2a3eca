package direct

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// Conn returns a connection that does what c does, with the same errors, and
// reads and writes without telling the scheduler. Where c has no descriptor it is
// c itself. The result is used in c's place.
func Conn(c net.Conn) net.Conn {
	described, ok := c.(syscall.Conn)
	if !ok {
		return c
	}
	raw, err := described.SyscallConn()
	if err != nil {
		return c
	}
	d := &conn{Conn: c, raw: raw}
	d.in.number, d.in.attempt = syscall.SYS_READ, d.in.try
	d.out.number, d.out.attempt = syscall.SYS_WRITE, d.out.try
	return d
}

type conn struct {
	net.Conn

	raw     syscall.RawConn
	in, out call
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return c.Conn.Read(p)
	}
	n, err := c.in.run(c.raw.Read, p)
	if err != nil {
		return 0, c.failed("read", err)
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return c.Conn.Write(p)
	}
	written, err := c.out.run(c.raw.Write, p)
	if err != nil {
		return written, c.failed("write", err)
	}
	return written, nil
}

// failed gives an error the form that package net gives it.
func (c *conn) failed(op string, err error) error {
	if e, ok := err.(*net.OpError); ok { //nolint:errorlint // package net's own, which is not wrapped
		err = e.Err
	}
	if errno, ok := err.(syscall.Errno); ok { //nolint:errorlint // this package's own, which is not wrapped
		err = os.NewSyscallError(op, errno)
	}
	here := c.LocalAddr()
	return &net.OpError{Op: op, Net: here.Network(), Source: here, Addr: c.RemoteAddr(), Err: err}
}

// call is a system call that reads or writes. One is made at a time, as on every
// connection.
type call struct {
	mu      sync.Mutex
	number  uintptr
	attempt func(fd uintptr) bool // try, made once, or each call would make one

	rest  []byte // of what is to be read into or written
	n     int
	errno syscall.Errno
}

// run reads once, or writes all of p. via waits until the descriptor is ready.
func (c *call) run(via func(func(fd uintptr) bool) error, p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rest, c.n, c.errno = p, 0, 0
	err := via(c.attempt)
	c.rest = nil
	if err == nil && c.errno != 0 {
		err = c.errno
	}
	return c.n, err
}

// try makes the call until there is nothing to wait for.
func (c *call) try(fd uintptr) bool {
	for {
		n, _, errno := syscall.RawSyscall(c.number, fd, uintptr(unsafe.Pointer(unsafe.SliceData(c.rest))), uintptr(len(c.rest))) //nolint:gosec // the kernel is told where a slice is and how long, and keeps neither
		switch errno {
		case 0:
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		default:
			c.errno = errno
			return true
		}
		c.n += int(n)
		c.rest = c.rest[n:]
		if c.number == syscall.SYS_READ || len(c.rest) == 0 {
			return true
		}
		if n == 0 { // which no socket does
			c.errno = syscall.EIO
			return true
		}
	}
}
