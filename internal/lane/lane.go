package lane

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Door is a kind of request that is answered here.
type Door struct {
	Method string
	Path   string // the whole target, or, where it ends with a slash, what begins it
	Body   int64  // the most bytes of a body, at most 256 KiB; a request with more is the server's
}

// Lane is a listener. Accept gives the connections that are the server's, from the
// beginning or from some request on: http.Server.Serve takes them. It is safe for
// concurrent use.
type Lane struct {
	listener net.Listener
	server   *http.Server
	secure   *tls.Config // the server's own; nil: in the clear
	doors    []Door
	date     atomic.Pointer[date]
	buffers  sync.Pool // of *bytes.Buffer, for answers

	alive context.Context //nolint:containedctx // the parent of every request's context, which a shutdown ends: nobody passes one in for a connection
	kill  context.CancelFunc

	begin  sync.Once
	handed chan net.Conn
	failed chan error
	closed chan struct{}
	finish sync.Once
	stop   func() error // closes the listener, once

	mu      sync.Mutex
	open    map[*conn]struct{}
	closing atomic.Bool   // no connection is added any more
	empty   chan struct{} // closed when the last one went after that
}

// New makes a lane before a server, whose handler, bounds and TLSConfig are the
// lane's as well; its ErrorLog must be set, and it is not to be changed any more.
// The server must be told to Serve, not to ServeTLS: the lane has taken TLS off.
func New(l net.Listener, server *http.Server, doors ...Door) *Lane {
	alive, kill := context.WithCancel(context.Background())
	return &Lane{
		listener: l, server: server, secure: server.TLSConfig, doors: doors, alive: alive, kill: kill,
		buffers: sync.Pool{New: func() any { return new(bytes.Buffer) }},
		handed:  make(chan net.Conn), failed: make(chan error), closed: make(chan struct{}), stop: sync.OnceValue(l.Close),
		open: map[*conn]struct{}{}, empty: make(chan struct{}),
	}
}

// Accept implements net.Listener.
func (l *Lane) Accept() (net.Conn, error) {
	l.begin.Do(func() { go l.accept() })
	select {
	case c := <-l.handed:
		return c, nil
	case err := <-l.failed:
		return nil, err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// accept takes connections from the network. Its errors are for whoever accepts
// from the lane to judge, and to wait after.
func (l *Lane) accept() {
	for {
		c, err := l.listener.Accept()
		if err == nil {
			l.take(c)
			continue
		}
		if l.closing.Load() {
			return
		}
		select {
		case l.failed <- err:
		case <-l.closed:
			return
		}
	}
}

// take serves a connection.
func (l *Lane) take(from net.Conn) {
	c := &conn{Conn: from, raw: from, lane: l}
	l.mu.Lock()
	late := l.closing.Load()
	if !late {
		l.open[c] = struct{}{}
	}
	l.mu.Unlock()
	if late {
		_ = from.Close()
		return
	}
	go c.run()
}

// left is told of a connection that is the lane's no more.
func (l *Lane) left(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
	if l.closing.Load() && len(l.open) == 0 {
		close(l.empty)
	}
}

// give hands a connection to the server.
func (l *Lane) give(c net.Conn) {
	select {
	case l.handed <- c:
	case <-l.closed:
		_ = c.Close()
	}
}

// Shutdown takes no more connections, closes those that wait for another request,
// and waits for the rest to be answered or to become the server's; when ctx ends, it
// closes them. It is called once, and the server is to be shut down after it.
func (l *Lane) Shutdown(ctx context.Context) error {
	defer l.kill()
	l.shut()
	err := l.stop()
	select {
	case <-l.empty:
		return err
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		_ = c.raw.Close()
	}
	return ctx.Err()
}

// shut ends every wait for a request.
func (l *Lane) shut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closing.Swap(true) && len(l.open) == 0 {
		close(l.empty)
	}
	for c := range l.open {
		c.rouse()
	}
}

// Close implements net.Listener. Closing twice is no error.
func (l *Lane) Close() error {
	l.shut()
	l.finish.Do(func() { close(l.closed) })
	return l.stop()
}

// Addr implements net.Listener.
func (l *Lane) Addr() net.Addr { return l.listener.Addr() }

// date is a second as the header Date has it.
type date struct {
	second int64
	text   string
}

func (l *Lane) dateAt(now time.Time) string {
	d := l.date.Load()
	if d == nil || d.second != now.Unix() {
		d = &date{now.Unix(), now.UTC().Format(http.TimeFormat)}
		l.date.Store(d)
	}
	return d.text
}

// begun is a connection of which some bytes were read, which are read again.
type begun struct {
	net.Conn

	unread []byte
}

// Read implements net.Conn.
func (b *begun) Read(p []byte) (int, error) {
	if len(b.unread) == 0 {
		return b.Conn.Read(p)
	}
	n := copy(p, b.unread)
	if b.unread = b.unread[n:]; len(b.unread) == 0 {
		b.unread = nil
	}
	return n, nil
}

// sealed is one under TLS, of which net/http asks the state.
type sealed struct {
	begun

	state tls.ConnectionState
}

// ConnectionState is what net/http asks for.
func (s *sealed) ConnectionState() tls.ConnectionState { return s.state }
