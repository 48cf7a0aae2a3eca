package direct_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"latchkey.dev/latchkey/internal/direct"
)

// pair gives two ends of a connection, the first as it is accepted.
func pair(network, address string) (accepted, dialed net.Conn, err error) {
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = l.Close() }()
	if dialed, err = net.Dial(network, l.Addr().String()); err != nil {
		return nil, nil, err
	}
	if accepted, err = l.Accept(); err != nil {
		return nil, nil, errors.Join(err, dialed.Close())
	}
	return accepted, dialed, nil
}

// A direct connection is what package net and its users take for a connection.
func TestConn(t *testing.T) {
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "s")} {
		t.Run(network, func(t *testing.T) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				a, b, err := pair(network, address)
				if err != nil {
					return nil, nil, nil, err
				}
				c1, c2 = direct.Conn(a), direct.Conn(b)
				return c1, c2, func() { _, _ = c1.Close(), c2.Close() }, nil
			})
		})
	}
}

// readOne and writeOne give the error of reading, or writing, one byte.
func readOne(c net.Conn) error {
	_, err := c.Read(make([]byte, 1))
	return err
}

func writeOne(c net.Conn) error {
	_, err := c.Write(make([]byte, 1))
	return err
}

// What goes wrong goes wrong in the same words as without this package.
func TestErrors(t *testing.T) {
	reset := func(other net.Conn) {
		_ = other.(*net.TCPConn).SetLinger(0)
		_ = other.Close()
	}
	for _, c := range []struct {
		name string
		do   func(c, other net.Conn) error
		is   error
	}{
		{"the end", func(c, other net.Conn) error { _ = other.Close(); return readOne(c) }, io.EOF},
		{"too late to read", func(c, _ net.Conn) error { _ = c.SetReadDeadline(time.Unix(1, 0)); return readOne(c) }, os.ErrDeadlineExceeded},
		{"too late to write", func(c, _ net.Conn) error { _ = c.SetWriteDeadline(time.Unix(1, 0)); return writeOne(c) }, os.ErrDeadlineExceeded},
		{"read when closed", func(c, _ net.Conn) error { _ = c.Close(); return readOne(c) }, net.ErrClosed},
		{"write when closed", func(c, _ net.Conn) error { _ = c.Close(); return writeOne(c) }, net.ErrClosed},
		{"nothing to write when closed", func(c, _ net.Conn) error {
			_ = c.Close()
			_, err := c.Write(nil)
			return err
		}, net.ErrClosed},
		{"reset", func(c, other net.Conn) error { reset(other); return readOne(c) }, syscall.ECONNRESET},
		{"nobody reads", func(c, other net.Conn) error { reset(other); _ = readOne(c); return writeOne(c) }, syscall.EPIPE},
	} {
		t.Run(c.name, func(t *testing.T) {
			var told [2]string
			for i, as := range []func(net.Conn) net.Conn{func(c net.Conn) net.Conn { return c }, direct.Conn} {
				accepted, dialed, err := pair("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				err = c.do(as(accepted), dialed)
				if _, _ = accepted.Close(), dialed.Close(); !errors.Is(err, c.is) {
					t.Fatalf("%v, not %v", err, c.is)
				}
				var op *net.OpError
				if told[i] = err.Error(); errors.As(err, &op) {
					told[i] = op.Op + " " + op.Net + " " + op.Err.Error()
					if op.Source.String() != accepted.LocalAddr().String() || op.Addr.String() != accepted.RemoteAddr().String() {
						t.Errorf("it is said of %v and %v", op.Source, op.Addr)
					}
				}
			}
			if told[0] != told[1] {
				t.Errorf("%q, and without this package %q", told[1], told[0])
			}
		})
	}
}

// What does not fit into the kernel's buffers goes in parts, and where it stops
// that is told.
func TestLargeWrites(t *testing.T) {
	a, other, err := pair("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := direct.Conn(a)
	defer func() { _, _ = c.Close(), other.Close() }()
	sent := bytes.Repeat([]byte("latchkey"), 4<<20)
	received := make(chan []byte)
	go func() {
		all, _ := io.ReadAll(io.LimitReader(other, int64(len(sent))))
		received <- all
	}()
	if n, err := c.Write(sent); n != len(sent) || err != nil {
		t.Fatal(n, err)
	}
	if !bytes.Equal(<-received, sent) {
		t.Error("what was received is not what was sent")
	}
	_ = c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Write(sent); n == 0 || n == len(sent) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nobody reads, and %d bytes are written: %v", n, err)
	}
}

// What has no descriptor stays as it is.
func TestNoDescriptor(t *testing.T) {
	a, b := net.Pipe()
	defer func() { _, _ = a.Close(), b.Close() }()
	if direct.Conn(a) != a {
		t.Error("a pipe was wrapped")
	}
}
