package direct

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// Conn returns a connection that does what c does, with the same errors, and
// reads and writes without telling the scheduler. Only for what package net itself
// dialed or accepted is it another one than c: who reads from something around
// that wants what is around it. The result is used in c's place.
func Conn(c net.Conn) net.Conn {
	var raw syscall.RawConn
	var err error
	switch described := c.(type) {
	case *net.TCPConn:
		raw, err = described.SyscallConn()
	case *net.UnixConn:
		raw, err = described.SyscallConn()
	default:
		return c
	}
	if err != nil {
		return c
	}
	d := &conn{Conn: c, raw: raw}
	d.in = call{op: "read", make: read, attempt: d.in.once}
	d.out = call{op: "write", make: write, attempt: d.out.all}
	return d
}

type conn struct {
	net.Conn

	raw     syscall.RawConn
	in, out call
}

const (
	// maxReady is how many reads in a row may find something without waiting. The
	// next one is announced: the scheduler's watcher also ends the turn of a
	// goroutine that never waits, and must not sleep beside one.
	maxReady = 8

	// maxBytes is how much one call reads or writes. Until it returns, its
	// processor does nothing else, not even stop.
	maxBytes = 64 << 10
)

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	if c.in.ready == maxReady || len(p) == 0 {
		c.in.ready = 0
		return c.Conn.Read(p)
	}
	c.in.ready++
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
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if len(p) == 0 {
		return c.Conn.Write(p)
	}
	n, err := c.out.run(c.raw.Write, p)
	if err != nil {
		err = c.failed("write", err)
	}
	return n, err
}

// failed gives an error the form that package net gives it.
func (c *conn) failed(op string, err error) error {
	if e, ok := errors.AsType[*net.OpError](err); ok {
		err = e.Err
	}
	told := &net.OpError{Op: op, Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
	if told.Source != nil {
		told.Net = told.Source.Network()
	}
	return told
}

// call is a system call that reads or writes. Whoever holds mu makes it.
type call struct {
	op      string
	make    func(fd uintptr, p []byte) (int, syscall.Errno)
	attempt func(fd uintptr) bool // once or all, bound here: each use would bind it anew

	mu    sync.Mutex
	rest  []byte // of what is to be read into or written
	n     int
	err   error
	ready int // calls in a row that did not have to wait
}

// run reads once, or writes all of p. via waits until the descriptor is ready.
func (c *call) run(via func(func(fd uintptr) bool) error, p []byte) (int, error) {
	c.rest, c.n, c.err = p, 0, nil
	err := via(c.attempt)
	c.rest = nil
	if err == nil {
		err = c.err
	}
	return c.n, err
}

// once makes the call, and reports whether there is nothing to wait for.
func (c *call) once(fd uintptr) bool {
	n, errno := c.make(fd, c.rest[:min(len(c.rest), maxBytes)])
	for errno == syscall.EINTR {
		n, errno = c.make(fd, c.rest[:min(len(c.rest), maxBytes)])
	}
	switch {
	case errno == 0:
		c.n += n
		c.rest = c.rest[n:]
	case errno == syscall.EAGAIN:
		c.ready = 0
		return false
	default:
		c.err = os.NewSyscallError(c.op, errno)
	}
	return true
}

// all makes the call until there is nothing left.
func (c *call) all(fd uintptr) bool {
	for len(c.rest) > 0 && c.err == nil {
		before := c.n
		if !c.once(fd) {
			return false
		}
		if c.n == before && c.err == nil {
			c.err = io.ErrUnexpectedEOF // as package net has it; no socket does that
		}
	}
	return true
}
