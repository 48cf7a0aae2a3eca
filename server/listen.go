package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"latchkey.dev/latchkey/internal/direct"
	"latchkey.dev/latchkey/internal/lane"
)

// Bounds on what a connection may take. A slow client loses its connection and
// nobody else's.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = time.Minute     // header and body: 1 MiB at 140 kbit/s
	writeTimeout      = 2 * time.Minute // from the end of the header to the end of the answer; streams extend it as they go
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10
	maxConnections    = 20_000 // of one listener, and at most three quarters of the open files that the process may have; later ones wait to be accepted
)

// port is a listener and the server behind it.
type port struct {
	listener net.Listener
	server   *http.Server
	lane     *lane.Lane // nil: the server answers everything
}

func newPort(l net.Listener, h http.Handler, log *slog.Logger) *port {
	return &port{
		listener: newBounded(l, connectionLimit()),
		server: &http.Server{
			Handler: h, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
			MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		},
	}
}

// hasten lets a lane answer some kinds of requests before the server.
func (p *port) hasten(doors ...lane.Door) {
	p.lane = lane.New(p.listener, p.server, doors...)
	p.listener = p.lane
}

// connectionLimit leaves the store the files that it needs, however many clients
// there are.
func connectionLimit() int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Cur/4*3 > maxConnections {
		return maxConnections
	}
	return max(int(files.Cur/4*3), 1) //nolint:gosec // at most maxConnections
}

// serve answers until the port is closed; only then the error is nil.
func (p *port) serve() error {
	var err error
	if p.server.TLSConfig != nil && p.lane == nil {
		err = p.server.ServeTLS(p.listener, "", "")
	} else {
		err = p.server.Serve(p.listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("the listener on %s failed: %w", p.listener.Addr(), err)
}

// close takes no more requests and finishes those that it took, until ctx ends.
func (p *port) close(ctx context.Context) error {
	var err error
	if p.lane != nil {
		err = p.lane.Shutdown(ctx)
	}
	err = errors.Join(err, p.server.Shutdown(ctx))
	if err != nil {
		return errors.Join(err, p.server.Close())
	}
	return p.listener.Close() // one that never served is not the server's to close
}

// listen opens a TCP listener.
func listen(ctx context.Context, setting, address string) (net.Listener, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	if err == nil {
		return l, nil
	}
	p := &Problem{
		What:  fmt.Sprintf("Cannot listen on %s: %v.", address, err),
		Do:    "Name an address of this machine with --" + setting + ".",
		Cause: err,
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		p.What = fmt.Sprintf("Cannot listen on %s: another process does.", address)
		p.Do = fmt.Sprintf("Stop that one, or name another address with --%s (port 0 picks a free one).", setting)
	case errors.Is(err, syscall.EACCES):
		p.What = fmt.Sprintf("Cannot listen on %s: this user may not.", address)
		p.Do = fmt.Sprintf("Name a port of 1024 or above with --%s, or give the program the capability CAP_NET_BIND_SERVICE.", setting)
	}
	return nil, p
}

// listenSocket opens the socket at path for this user alone. It is made in a
// folder that nobody else can enter and moved into place when its mode is right.
func listenSocket(ctx context.Context, path string) (net.Listener, error) {
	if err := checkStale(ctx, path); err != nil {
		return nil, err
	}
	l, err := placeSocket(ctx, path)
	if err != nil {
		return nil, &Problem{
			What:  fmt.Sprintf("The socket %s cannot be made: %v.", path, err),
			Do:    "Put the data folder on a local file system to which this user may write.",
			Cause: err,
		}
	}
	return l, nil
}

func placeSocket(ctx context.Context, path string) (_ net.Listener, err error) {
	private := filepath.Join(filepath.Dir(path), ".socket")
	if err := os.RemoveAll(private); err != nil { // a start that was killed left it
		return nil, err
	}
	if err := os.Mkdir(private, 0o700); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(private)) }()
	made := filepath.Join(private, "s")
	var config net.ListenConfig
	l, err := config.Listen(ctx, "unix", made)
	if err != nil {
		return nil, err
	}
	if unix, ok := l.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false) // it knows the first name only
	}
	if err := errors.Join(os.Chmod(made, 0o600), os.Rename(made, path)); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &socket{Listener: l, path: path}, nil
}

// checkStale refuses to put a socket where there is a live one, or anything
// else than a socket.
func checkStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.Mode().Type() != fs.ModeSocket {
		return &Problem{What: path + " is not a socket, so it was not made by a server.", Do: "Move it away and start again."}
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	if errors.Is(err, syscall.ECONNREFUSED) { // nobody listens any more
		return nil
	}
	if err == nil {
		_ = conn.Close() // nothing was said
	}
	return &Problem{What: "Another server has the socket " + path + ".", Do: "Stop it first, or name another folder with --data.", Cause: err}
}

// socket is a listener whose name goes when it is closed.
type socket struct {
	net.Listener
	path   string
	remove sync.Once
}

// Close implements net.Listener.
func (s *socket) Close() error {
	err := s.Listener.Close()
	s.remove.Do(func() {
		if gone := os.Remove(s.path); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	})
	return err
}

// bounded is a listener with a bounded number of open connections.
type bounded struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
}

func newBounded(l net.Listener, places int) *bounded {
	return &bounded{Listener: l, places: make(chan struct{}, places), closed: make(chan struct{})}
}

// Accept implements net.Listener; it waits for a place.
func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.places <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.places
		return nil, err
	}
	return &placed{Conn: direct.Conn(c), leave: sync.OnceFunc(func() { <-b.places })}, nil
}

// Close implements net.Listener. Closing twice is no error.
func (b *bounded) Close() error {
	var err error
	b.once.Do(func() {
		close(b.closed)
		err = b.Listener.Close()
	})
	return err
}

// placed is a connection that has a place.
type placed struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (p *placed) Close() error {
	p.leave()
	return p.Conn.Close()
}
