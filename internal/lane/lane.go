package lane

import (
	"bufio"
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
	Body   int64  // the most bytes of a body; a request with more is the server's
}

// Lane is a listener. Accept gives the connections that are not, or no longer, its
// own: http.Server.Serve takes them. It is safe for concurrent use.
type Lane struct {
	net.Listener

	server  *http.Server
	secure  *tls.Config // the server's own; nil: in the clear
	doors   []Door
	date    atomic.Pointer[date]
	readers sync.Pool       // of *bufio.Reader
	alive   context.Context // of all requests: ended when a shutdown has waited long enough
	kill    context.CancelFunc

	begin  sync.Once
	handed chan net.Conn
	failed chan error
	closed chan struct{}
	end    sync.Once

	mu      sync.Mutex
	open    map[*conn]struct{}
	empty   chan struct{} // closed when the last connection went while closing
	closing atomic.Bool
}

// New makes a lane before the server, which must not be changed any more: its
// handler and bounds are those of the lane. Where it has a TLSConfig, the lane
// speaks TLS; the server must then be told to Serve, not to ServeTLS.
func New(l net.Listener, server *http.Server, doors ...Door) *Lane {
	alive, kill := context.WithCancel(context.Background())
	return &Lane{
		alive: alive, kill: kill, Listener: l, server: server, secure: server.TLSConfig, doors: doors, handed: make(chan net.Conn), failed: make(chan error), closed: make(chan struct{}),
		open: map[*conn]struct{}{}, empty: make(chan struct{}),
		readers: sync.Pool{New: func() any { return bufio.NewReaderSize(nil, bufferSize) }},
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
		c, err := l.Listener.Accept()
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
func (l *Lane) take(c net.Conn) {
	taken := &conn{lane: l, Conn: c, raw: c}
	l.mu.Lock()
	l.open[taken] = struct{}{}
	l.mu.Unlock()
	go taken.run()
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

// Shutdown takes no more connections, closes those that wait for a request, and
// waits for the others to be answered or handed over, or for ctx, when it closes
// what is left. The server is to be shut down after it.
func (l *Lane) Shutdown(ctx context.Context) error {
	err := l.Listener.Close()
	l.mu.Lock()
	if !l.closing.Swap(true) && len(l.open) == 0 {
		close(l.empty)
	}
	for c := range l.open {
		c.rouse()
	}
	l.mu.Unlock()
	select {
	case <-l.empty:
		return err
	case <-ctx.Done():
	}
	l.kill()
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		_ = c.raw.Close()
	}
	return ctx.Err()
}

// Close implements net.Listener. Closing twice is no error.
func (l *Lane) Close() error {
	l.closing.Store(true)
	l.end.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// date is the moment as the header Date has it, for as long as it is true.
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

// handed is a connection of which the lane has read some bytes.
type handed struct {
	net.Conn
	unread []byte
}

// Read implements net.Conn.
func (h *handed) Read(p []byte) (int, error) {
	if len(h.unread) == 0 {
		return h.Conn.Read(p)
	}
	n := copy(p, h.unread)
	if h.unread = h.unread[n:]; len(h.unread) == 0 {
		h.unread = nil
	}
	return n, nil
}

// sealed is one under TLS, of which net/http asks the state.
type sealed struct {
	handed
	state tls.ConnectionState
}

// ConnectionState is what net/http asks for.
func (s *sealed) ConnectionState() tls.ConnectionState { return s.state }
