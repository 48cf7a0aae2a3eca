package postgrestest

import (
	"io"
	"net"
	"net/url"
	"path"
	"sync"
	"testing"
)

// Cable is a way to a database that can be cut: connections through it break, or
// stand still, and new ones are refused until it is mended.
type Cable struct {
	URL string // of the database, through the cable

	to       string // network and address of the server
	network  string
	listener net.Listener

	mu    sync.Mutex
	cut   bool
	still chan struct{} // closed while bytes pass
	conns map[net.Conn]bool
}

// NewCable lays one to the database of the URL, until the test has ended.
func NewCable(tb testing.TB, at string) *Cable {
	tb.Helper()
	u, err := url.Parse(at)
	if err != nil {
		tb.Fatal(err)
	}
	c := &Cable{network: "tcp", to: u.Host, conns: map[net.Conn]bool{}, still: make(chan struct{})}
	close(c.still)
	query := u.Query()
	if folder := query.Get("host"); folder != "" {
		c.network, c.to = "unix", path.Join(folder, ".s.PGSQL.5432")
		query.Del("host")
	}
	if c.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil { //nolint:noctx // a test's
		tb.Fatal(err)
	}
	u.Host = c.listener.Addr().String()
	query.Set("sslmode", "disable")
	u.RawQuery = query.Encode()
	c.URL = u.String()
	var serving sync.WaitGroup
	serving.Go(c.serve)
	tb.Cleanup(func() {
		_ = c.listener.Close()
		c.Flow()
		c.Cut()
		serving.Wait()
	})
	return c
}

// Cut breaks every connection and lets no new one through.
func (c *Cable) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = true
	for conn := range c.conns {
		_ = conn.Close()
	}
}

// Mend lets connections through again.
func (c *Cable) Mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = false
}

// Hold lets nothing pass, while connections stay as they are: what was sent is
// delivered when it flows again.
func (c *Cable) Hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.still:
		c.still = make(chan struct{})
	default:
	}
}

// Flow ends Hold.
func (c *Cable) Flow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.still:
	default:
		close(c.still)
	}
}

// To leads the cable to another server, whose connections are new ones.
func (c *Cable) To(tb testing.TB, at string) {
	tb.Helper()
	u, err := url.Parse(at)
	if err != nil {
		tb.Fatal(err)
	}
	c.Cut()
	c.mu.Lock()
	c.network, c.to = "tcp", u.Host
	if folder := u.Query().Get("host"); folder != "" {
		c.network, c.to = "unix", path.Join(folder, ".s.PGSQL.5432")
	}
	c.mu.Unlock()
	c.Mend()
}

func (c *Cable) serve() {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		near, err := c.listener.Accept()
		if err != nil {
			return
		}
		all.Go(func() { c.join(near) })
	}
}

func (c *Cable) join(near net.Conn) {
	defer near.Close() //nolint:errcheck // it ends
	c.mu.Lock()
	network, to, cut := c.network, c.to, c.cut
	c.mu.Unlock()
	if cut {
		return
	}
	far, err := net.Dial(network, to) //nolint:noctx // a test's
	if err != nil {
		return
	}
	defer far.Close() //nolint:errcheck // it ends
	c.mu.Lock()
	if c.cut {
		c.mu.Unlock()
		return
	}
	c.conns[near], c.conns[far] = true, true
	c.mu.Unlock()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		both.Go(func() {
			c.pass(way[0], way[1])
			_, _ = near.Close(), far.Close()
		})
	}
	both.Wait()
	c.mu.Lock()
	delete(c.conns, near)
	delete(c.conns, far)
	c.mu.Unlock()
}

func (c *Cable) pass(from io.Reader, to io.Writer) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		c.mu.Lock()
		still := c.still
		c.mu.Unlock()
		<-still
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
