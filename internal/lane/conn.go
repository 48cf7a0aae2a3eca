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
	heldAnswer = 16 << 10    // the most of an answer that is held back until its handler returns
	keptAnswer = 128 << 10   // the most memory of an answer that is kept for another
	forgiven   = 4           // bytes behind a request without which net/http does not look for another
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
	seen   []byte // what the buffer holds of the request, from its first byte on
	remote string
	sealed *tls.ConnectionState // nil: in the clear
	set    time.Time            // when the deadlines of between requests were set; zero: others are
	wait   int32                // fresh until a request was answered, then waiting
	posted bool                 // what was answered last was a POST
}

// rouse ends a wait for a request, or for a handshake. It does not close the
// connection, which under TLS takes time if the client takes nothing. One on which
// nothing came yet is the server's to end.
func (c *conn) rouse() {
	if c.state.CompareAndSwap(waiting, roused) || c.state.CompareAndSwap(fresh, roused) {
		_ = c.SetReadDeadline(time.Unix(1, 0))
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
	c.in = bufio.NewReaderSize(c.Conn, bufferSize)
	c.wait = fresh
	_ = c.SetReadDeadline(time.Now().Add(c.lane.server.ReadHeaderTimeout))
	next := keep
	for next == keep {
		next = c.one()
	}
	if next == hand {
		c.lane.give(c.unread())
	} else {
		_ = c.Close()
	}
}

// shake takes TLS off the connection where the server has it. It is false where the
// connection is the server's from the beginning: it speaks HTTP/2, or its handshake
// failed, which the server finds out for itself, since a failed one fails again.
func (c *conn) shake() bool {
	if c.lane.secure == nil {
		return true
	}
	inside := tls.Server(c.Conn, c.lane.secure)
	c.Conn = inside
	_ = c.SetDeadline(time.Now().Add(c.lane.server.ReadHeaderTimeout))
	c.state.Store(fresh)
	if c.lane.closing.Load() {
		c.rouse()
	}
	err := inside.HandshakeContext(c.lane.alive)
	c.state.Store(busy)
	if err != nil {
		return false
	}
	_ = c.SetDeadline(time.Time{})
	state := inside.ConnectionState()
	c.sealed = &state
	return state.NegotiatedProtocol == "" || state.NegotiatedProtocol == "http/1.1"
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
	size, body, n := c.look()
	if n != keep {
		return n
	}
	return c.answer(size, body)
}

// first waits for the first byte of a request.
func (c *conn) first() next {
	if c.wait == waiting {
		c.extend(time.Now())
	}
	c.seen = nil
	c.state.Store(c.wait)
	if !c.lane.closing.Load() {
		_, err := c.in.Peek(1)
		if c.state.CompareAndSwap(c.wait, busy) {
			if err != nil {
				return end // unheard, as with net/http
			}
			return keep
		}
	}
	if c.wait == fresh {
		return hand
	}
	return end
}

// look looks at what came until it knows whether the request is the lane's, when it
// says keep.
func (c *conn) look() (size int, body int64, n next) {
	c.seen, _ = c.in.Peek(c.in.Buffered())
	for piece := range pieces {
		size, body, v := plain(c.seen, c.lane.doors)
		little := len(c.seen) < forgiven && c.wait == waiting
		switch {
		case v == whole:
			return size, body, keep
		case v == foreign && !little || len(c.seen) == bufferSize:
			return 0, 0, hand
		case piece == 0:
			_ = c.SetReadDeadline(time.Now().Add(patience))
			c.set = time.Time{}
		}
		_, err := c.in.Peek(len(c.seen) + 1)
		c.seen, _ = c.in.Peek(c.in.Buffered()) // which may have moved what it holds
		switch {
		case errors.Is(err, io.EOF) && little:
			return 0, 0, end // net/http does not look at it
		case err != nil: // which the server meets again
			return 0, 0, hand
		}
	}
	return 0, 0, hand
}

// unread is the connection as it was before the request that was seen.
func (c *conn) unread() net.Conn {
	b := c.seen
	if c.posted { // net/http forgives the end of a line or two behind the body of a POST
		most := min(len(b), forgiven)
		b = b[most-len(bytes.TrimLeft(b[:most], "\r\n")):]
	}
	_ = c.SetDeadline(time.Time{})
	plain := begun{c.Conn, bytes.Clone(b)}
	if c.sealed != nil {
		return &sealed{plain, *c.sealed}
	}
	return &plain
}

// answer has net/http read the request of which the header has this size, and
// answers it.
func (c *conn) answer(size int, body int64) next {
	r, err := http.ReadRequest(c.in) // of whole lines, so that what was seen stays where it is
	if err != nil {
		return hand
	}
	if len(c.seen)-c.in.Buffered() != size || r.ContentLength != body || len(r.TransferEncoding) > 0 {
		c.log("a request ends elsewhere than was thought", nil)
		return end
	}
	now := time.Now()
	c.bound(now, body)
	r = r.WithContext(c.lane.alive)
	r.RemoteAddr, r.TLS = c.remote, c.sealed
	posted := r.Method == http.MethodPost // a handler may change the request
	out := c.lane.buffers.Get().(*bytes.Buffer)
	out.Reset()
	w := &answer{
		header: http.Header{}, to: c.Conn, rest: content{r.Body, body}, now: c.lane.dateAt(now), out: out, length: -1, last: r.Close, closing: &c.lane.closing,
	}
	if body > 0 {
		r.Body = &w.rest
	}
	if !c.handle(w, r) {
		return end
	}
	if out.Len() > 0 {
		_, err = c.Write(out.Bytes())
	}
	if out.Cap() <= keptAnswer {
		c.lane.buffers.Put(out)
	}
	if err != nil || w.last {
		return end
	}
	c.wait, c.posted = waiting, posted
	return keep
}

// bound sets the deadlines of a request: where its body is not here yet, the
// server's.
func (c *conn) bound(now time.Time, body int64) {
	if int64(c.in.Buffered()) >= body {
		c.extend(now)
		return
	}
	_ = c.SetReadDeadline(now.Add(c.lane.server.ReadTimeout))
	_ = c.SetWriteDeadline(now.Add(c.lane.server.WriteTimeout))
	c.set = time.Time{}
}

// extend moves the deadlines for the next request to come, and for an answer to go,
// if they were set some time ago.
func (c *conn) extend(now time.Time) {
	if now.Sub(c.set) < slack {
		return
	}
	_ = c.SetReadDeadline(now.Add(c.lane.server.IdleTimeout + slack))
	_ = c.SetWriteDeadline(now.Add(c.lane.server.WriteTimeout + slack))
	c.set = now
}

// handle calls the handler and completes its answer. It is false where the handler
// panicked: nothing is answered.
func (c *conn) handle(w *answer, r *http.Request) (ok bool) {
	body := r.Body
	defer func() {
		if fault := recover(); fault != nil && fault != http.ErrAbortHandler { //nolint:errorlint // what was panicked with is any value, and net/http too knows this one alone, never wrapped
			c.log("panic", fault)
		}
		if !ok {
			_ = c.Close()
		}
		_ = body.Close() // nobody reads from it what comes next
	}()
	c.lane.server.Handler.ServeHTTP(w, r)
	w.finish()
	return true
}

// log tells what is wrong with us, as net/http does.
func (c *conn) log(what string, fault any) {
	c.lane.server.ErrorLog.Printf("lane: %s, serving %s: %v\n%s", what, c.remote, fault, debug.Stack())
}
