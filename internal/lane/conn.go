package lane

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"
)

const (
	bufferSize = 8 << 10     // of what is read: a header that does not fit is the server's
	patience   = time.Second // in which the rest of a header has to come; then it is the server's, whose own bound begins
	pieces     = 8           // in which it may come
	slack      = time.Second // by which deadlines may be late: they are set no more often
	keptAnswer = 16 << 10    // the most memory that a connection keeps for its next answer
)

// What a connection is doing.
const (
	busy    int32 = iota // reading or answering
	fresh                // waiting for its first request
	waiting              // for another one
	roused               // told not to wait
)

// conn is a connection of the lane.
type conn struct {
	net.Conn // what is read and written: under TLS, its inside

	raw    net.Conn // as it was accepted
	lane   *Lane
	state  atomic.Int32
	in     *bufio.Reader
	out    bytes.Buffer
	seen   []byte // what of the buffer a request began with
	remote string
	sealed *tls.ConnectionState // nil: in the clear
	set    time.Time            // when the deadlines between requests were last set; zero: others are set
	wait   int32                // fresh until a request was answered, then waiting
	posted bool                 // what was answered last was a POST
}

// rouse ends a wait for a request. A connection on which nothing came yet is the
// server's to end.
func (c *conn) rouse() {
	switch {
	case c.state.CompareAndSwap(waiting, roused):
		_ = c.raw.Close()
	case c.state.CompareAndSwap(fresh, roused):
		_ = c.raw.SetReadDeadline(time.Unix(1, 0))
	}
}

// run answers requests until the connection ends or becomes the server's.
func (c *conn) run() {
	defer c.lane.left(c)
	if !c.shake() {
		c.lane.give(c.Conn)
		return
	}
	c.remote = c.RemoteAddr().String()
	c.in = c.lane.readers.Get().(*bufio.Reader)
	c.in.Reset(c.Conn)
	_ = c.SetReadDeadline(time.Now().Add(c.lane.server.ReadHeaderTimeout))
	c.wait = fresh
	next := keep
	for next == keep {
		next = c.one()
	}
	if next == hand {
		c.lane.give(c.unread(c.seen))
	} else {
		_ = c.Close()
	}
	c.in.Reset(nil)
	c.lane.readers.Put(c.in)
}

// next is what becomes of a connection.
type next int

const (
	keep next = iota // it waits for another request
	hand             // it is the server's
	end
)

// one waits for a request and answers it, if it is the lane's.
func (c *conn) one() next {
	if c.in.Buffered() == 0 {
		if n := c.first(); n != keep {
			return n
		}
	}
	size, body, ok := c.header()
	if !ok {
		return hand
	}
	return c.answer(size, body)
}

// first waits for the first byte of a request.
func (c *conn) first() next {
	c.state.Store(c.wait)
	if !c.lane.closing.Load() {
		_, err := c.in.Peek(1)
		if c.state.CompareAndSwap(c.wait, busy) {
			if err != nil {
				return end
			}
			return keep
		}
	}
	if c.wait == fresh {
		return hand
	}
	return end
}

// header looks at what came until it knows whether the request is the lane's.
func (c *conn) header() (size int, body int64, ok bool) {
	for piece := range pieces {
		c.seen, _ = c.in.Peek(c.in.Buffered())
		size, body, v := plain(c.seen, c.lane.doors)
		if v != more || len(c.seen) == bufferSize {
			return size, body, v == whole
		}
		if piece == 0 {
			_ = c.SetReadDeadline(time.Now().Add(patience))
			c.set = time.Time{}
		}
		if _, err := c.in.Peek(len(c.seen) + 1); err != nil { // the server will see it for itself
			break
		}
	}
	c.seen, _ = c.in.Peek(c.in.Buffered())
	return 0, 0, false
}

// unread is the connection as it was before b was read from it.
func (c *conn) unread(b []byte) net.Conn {
	if c.posted { // net/http forgives a line's end or two behind the body of a POST
		most := min(len(b), 4)
		b = b[most-len(bytes.TrimLeft(b[:most], "\r\n")):]
	}
	_ = c.SetDeadline(time.Time{})
	h := handed{c.Conn, bytes.Clone(b)}
	if c.sealed != nil {
		return &sealed{h, *c.sealed}
	}
	return &h
}

// answer reads the request of which the header has this size, and answers it.
func (c *conn) answer(size int, body int64) next {
	r, err := http.ReadRequest(c.in) // of complete lines: the buffer stays as it is
	if err != nil {
		return hand
	}
	if len(c.seen)-c.in.Buffered() != size || r.ContentLength != body {
		c.log("a request ends elsewhere than where it was thought to", nil)
		return end
	}
	now := time.Now()
	c.bound(now, body)
	r = r.WithContext(c.lane.alive)
	r.RemoteAddr, r.TLS = c.remote, c.sealed
	c.out.Reset()
	w := &answer{header: http.Header{}, out: &c.out, length: -1}
	if !c.handle(w, r) {
		return end
	}
	w.last = w.last || r.Close || !drained(r.Body) || c.lane.closing.Load()
	w.finish(c.lane.dateAt(now))
	_, err = c.Write(c.out.Bytes())
	if c.out.Cap() > keptAnswer {
		c.out = bytes.Buffer{}
	}
	if err != nil || w.last {
		return end
	}
	c.posted, c.wait = r.Method == http.MethodPost, waiting
	return keep
}

// bound sets deadlines: for a body that is not here yet the server's, else those of
// the time between requests, where they are old.
func (c *conn) bound(now time.Time, body int64) {
	server := c.lane.server
	if int64(c.in.Buffered()) < body {
		_ = c.SetReadDeadline(now.Add(server.ReadTimeout))
		_ = c.SetWriteDeadline(now.Add(server.WriteTimeout))
		c.set = time.Time{}
	} else if now.Sub(c.set) > slack {
		_ = c.SetReadDeadline(now.Add(server.IdleTimeout + slack))
		_ = c.SetWriteDeadline(now.Add(server.WriteTimeout + slack))
		c.set = now
	}
}

// drained reports whether the body could be read to its end, so that what follows
// is another request.
func drained(body io.Reader) bool {
	_, err := io.Copy(io.Discard, body)
	return err == nil || errors.Is(err, http.ErrBodyReadAfterClose)
}

// handle is false where the handler panicked, and its answer must not be sent.
func (c *conn) handle(w http.ResponseWriter, r *http.Request) (ok bool) {
	defer func() {
		if fault := recover(); fault != nil && fault != http.ErrAbortHandler { //nolint:errorlint // as net/http compares it
			c.log("panic", fault)
		}
	}()
	c.lane.server.Handler.ServeHTTP(w, r)
	return true
}

// shake makes TLS of the connection where the server has it. It is false where the
// connection is the server's from the beginning: it speaks HTTP/2, or no TLS, which
// the server will find out for itself, since a handshake fails the same way again.
func (c *conn) shake() bool {
	config := c.lane.secure
	if config == nil {
		return true
	}
	inside := tls.Server(c.Conn, config)
	c.Conn = inside
	_ = c.SetDeadline(time.Now().Add(c.lane.server.ReadHeaderTimeout))
	if err := inside.HandshakeContext(c.lane.alive); err != nil {
		return false
	}
	state := inside.ConnectionState()
	c.sealed = &state
	_ = c.SetDeadline(time.Time{})
	return state.NegotiatedProtocol == "" || state.NegotiatedProtocol == "http/1.1"
}

// log tells what is wrong with us, as net/http does.
func (c *conn) log(what string, fault any) {
	c.lane.server.ErrorLog.Printf("lane: %s, serving %s: %v\n%s", what, c.remote, fault, debug.Stack())
}
