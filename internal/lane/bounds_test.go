package lane_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchkey.dev/latchkey/internal/lane"
)

// house is a server with a lane before it, to which clients connect by pipes.
type house struct {
	t       *testing.T
	clients *line
	lane    *lane.Lane
	server  *http.Server
	done    chan error
	log     bytes.Buffer
}

func newHouse(t *testing.T, h http.HandlerFunc) *house {
	t.Helper()
	return newSealedHouse(t, h, nil)
}

// newSealedHouse is one under TLS, if there is something to serve it by.
func newSealedHouse(t *testing.T, h http.HandlerFunc, secure *tls.Config) *house {
	t.Helper()
	b := &house{t: t, clients: newLine(), server: newServer(h), done: make(chan error, 1)}
	b.server.TLSConfig = secure
	b.server.ErrorLog = log.New(&b.log, "", 0)
	b.lane = lane.New(b.clients, b.server, doors()...)
	go func() { b.done <- b.server.Serve(b.lane) }()
	return b
}

func (b *house) dial() net.Conn {
	ours, theirs := net.Pipe()
	b.clients.waiting <- theirs
	return ours
}

// stop ends both as a server does, and tells what came of the lane.
func (b *house) stop(ctx context.Context) error {
	b.t.Helper()
	err := b.lane.Shutdown(ctx)
	if err := b.server.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		b.t.Error(err)
	}
	if err := <-b.done; !errors.Is(err, http.ErrServerClosed) {
		b.t.Error(err)
	}
	return err
}

const request = "GET /hot/1 HTTP/1.1\r\nHost: a\r\n\r\n"

func ask(t *testing.T, c net.Conn, text string) *http.Response {
	t.Helper()
	if text != "" { // a pipe waits for somebody to read even that
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res
}

// lasts is how long a connection that is left alone stays open.
func lasts(c net.Conn) time.Duration {
	began := time.Now()
	_, _ = io.Copy(io.Discard, c)
	return time.Since(began)
}

// A client that takes its time loses its connection as soon as the server would end
// it, or within what the lane waits besides.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	ran := 0
	for name, c := range map[string]struct {
		send        func(t *testing.T, c net.Conn)
		least, most time.Duration
	}{
		"says nothing":          {func(*testing.T, net.Conn) {}, 10 * time.Second, 10 * time.Second},
		"says nothing any more": {func(t *testing.T, c net.Conn) { ask(t, c, request) }, 2 * time.Minute, 2*time.Minute + time.Second},
		"nothing after a slow body": {func(t *testing.T, c net.Conn) {
			go func() {
				_, _ = io.WriteString(c, "POST /hot HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na")
				time.Sleep(time.Second)
				_, _ = io.WriteString(c, "bc")
			}()
			ask(t, c, "")
		}, 2 * time.Minute, 2*time.Minute + time.Second},
		"half a header": {func(_ *testing.T, c net.Conn) { _, _ = io.WriteString(c, request[:20]) }, 10 * time.Second, 11 * time.Second},
		"a header byte by byte": {func(_ *testing.T, c net.Conn) {
			go func() {
				for i := range request {
					if _, err := io.WriteString(c, request[i:i+1]); err != nil {
						return
					}
					time.Sleep(900 * time.Millisecond)
				}
			}()
		}, 10 * time.Second, 11 * time.Second},
		"half a body": {func(_ *testing.T, c net.Conn) {
			_, _ = io.WriteString(c, "POST /hot HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na")
		}, time.Minute, time.Minute},
	} {
		ran++
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newHouse(t, tell)
				client := b.dial()
				c.send(t, client)
				if took := lasts(client); took < c.least || took > c.most {
					t.Errorf("it was closed after %v, want %v to %v", took, c.least, c.most)
				}
				if err := b.stop(t.Context()); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second) // the client's own
			})
		})
	}
	if ran < 6 {
		t.Errorf("%d clients", ran)
	}
}

// One who asks and never reads the answers is cut off.
func TestWhoeverDoesNotRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newHouse(t, tell)
		client := b.dial()
		began := time.Now()
		_, _ = io.WriteString(client, request) // a pipe holds nothing: the answer waits
		time.Sleep(3 * time.Minute)
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if err := b.stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A connection that is used again and again, seldom, stays.
func TestSeldomUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newHouse(t, tell)
		client := b.dial()
		for range 10 {
			ask(t, client, request)
			time.Sleep(119 * time.Second)
		}
		if err := b.stop(t.Context()); err != nil {
			t.Error(err)
		}
		if took := lasts(client); took != 0 {
			t.Errorf("after the shutdown it stayed for %v", took)
		}
	})
}

// A shutdown closes those who wait, answers those who were heard, and tells them
// that it was the last answer; who said nothing yet has as long as with net/http.
func TestShutdown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		enter, leave := make(chan struct{}), make(chan struct{})
		b := newHouse(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hot/slow" {
				close(enter)
				<-leave
			}
			tell(w, r)
		})
		waits, asks, silent := b.dial(), b.dial(), b.dial()
		ask(t, waits, request)
		go func() { _, _ = io.WriteString(asks, strings.Replace(request, "/1", "/slow", 1)) }()
		<-enter
		stopped := make(chan error, 1)
		go func() { stopped <- b.stop(t.Context()) }()
		if took := lasts(waits); took != 0 {
			t.Errorf("an idle connection stayed for %v", took)
		}
		synctest.Wait()
		select {
		case err := <-stopped:
			t.Fatalf("the shutdown did not wait: %v", err)
		default:
		}
		close(leave)
		if res := ask(t, asks, ""); res.StatusCode != http.StatusOK || !res.Close {
			t.Errorf("%v, close: %t", res.Status, res.Close)
		}
		if took := lasts(asks); took != 0 {
			t.Errorf("after the last answer it stayed for %v", took)
		}
		if took := lasts(silent); took > 10*time.Second {
			t.Errorf("who said nothing stayed for %v", took)
		}
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}

// A request that does not end is cut off with the shutdown, and its context ends.
func TestShutdownCutsOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		enter := make(chan struct{})
		b := newHouse(t, func(_ http.ResponseWriter, r *http.Request) {
			close(enter)
			<-r.Context().Done()
		})
		client := b.dial()
		go func() { _, _ = io.WriteString(client, request) }()
		<-enter
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := b.stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the shutdown: %v", err)
		}
		if took := lasts(client); took != 0 {
			t.Errorf("it stayed for %v", took)
		}
	})
}

// A listener that fails is told to whoever accepts, which then decides.
func TestBrokenListener(t *testing.T) {
	t.Parallel()
	b := newHouse(t, tell)
	_ = b.clients.Close()
	if err := <-b.done; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if err := errors.Join(b.lane.Shutdown(t.Context()), b.lane.Close(), b.lane.Close()); err != nil {
		t.Error(err)
	}
}

// What a handler keeps of a request tells it nothing of the next one, and takes it
// nowhere.
func TestWhatIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type kept struct {
			w    http.ResponseWriter
			r    *http.Request
			body io.Reader
		}
		var first *kept
		b := newHouse(t, func(w http.ResponseWriter, r *http.Request) {
			if first == nil {
				first = &kept{w, r, r.Body}
				r.Body, r.Close, r.Method = http.NoBody, true, "ODD" // which is nobody's business but its own
				return
			}
			before := fmt.Sprint(first.r.Header, first.r.RequestURI, first.r.URL)
			if n, err := first.body.Read(make([]byte, 100)); n > 0 || err == nil {
				t.Errorf("the body of an earlier request has %d bytes more: %v", n, err)
			}
			first.w.Header().Set("X-Stray", "1")
			first.w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(first.w, "stray")
			tell(w, r)
			if after := fmt.Sprint(first.r.Header, first.r.RequestURI, first.r.URL); after != before || strings.Contains(after, "Second") {
				t.Errorf("an earlier request became %s", after)
			}
		})
		client := b.dial()
		answers := bufio.NewReader(client)
		for i, text := range []string{
			"POST /hot HTTP/1.1\r\nHost: a\r\nFirst: 1\r\nContent-Length: 3\r\n\r\nabc",
			"POST /hot HTTP/1.1\r\nHost: a\r\nSecond: 1\r\nContent-Length: 6\r\n\r\nsecret",
		} {
			_, _ = io.WriteString(client, text)
			res, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(res.Body)
			if res.StatusCode != http.StatusOK || res.Header.Get("X-Stray") != "" || strings.Contains(string(body), "stray") || i == 1 && !strings.Contains(string(body), `"secret"`) {
				t.Errorf("%v %q", res, body)
			}
		}
		if err := b.stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A handler that panics is told of, and its client hears nothing.
func TestPanic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newHouse(t, tell)
		client := b.dial()
		_, _ = io.WriteString(client, strings.Replace(request, "Host", "Do: panic\r\nHost", 1))
		if heard, err := io.ReadAll(client); len(heard) > 0 || err != nil {
			t.Errorf("%q %v", heard, err)
		}
		if err := b.stop(t.Context()); err != nil {
			t.Error(err)
		}
		if !strings.Contains(b.log.String(), "panic, serving pipe: as asked") {
			t.Errorf("the log: %q", b.log.String())
		}
	})
}

func newSecure(t *testing.T) *tls.Config {
	t.Helper()
	borrowed := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(borrowed.Close)
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: borrowed.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}}
}

// overTLS is a house on the network, with a certificate.
func overTLS(t *testing.T) (address string, server *http.Server, served *counted) {
	t.Helper()
	server = newServer(http.HandlerFunc(tell))
	server.TLSConfig = newSecure(t)
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	before := lane.New(l, server, doors()...)
	served = &counted{Listener: before}
	done := make(chan error, 1)
	go func() { done <- server.Serve(served) }()
	t.Cleanup(func() {
		if err := errors.Join(before.Shutdown(context.Background()), server.Shutdown(context.Background())); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return l.Addr().String(), server, served
}

// Under TLS the lane answers HTTP/1.1, and the rest is the server's: what follows
// on the same connection, HTTP/2, and who speaks no TLS at all.
func TestTLS(t *testing.T) {
	t.Parallel()
	address, _, served := overTLS(t)
	anyone := &tls.Config{InsecureSkipVerify: true}
	var dialer net.Dialer
	raw, err := dialer.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Client(raw, anyone)
	defer c.Close()
	for i, path := range []string{"/hot/1", "/hot/2", "/cold", "/hot/3"} {
		res := ask(t, c, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n")
		text, _ := io.ReadAll(res.Body)
		if !strings.Contains(string(text), "tls=true") {
			t.Errorf("%s: %s", path, text)
		}
		if handed := i / 2; served.handed != handed {
			t.Errorf("%s: %d connections are the server's, want %d", path, served.handed, handed)
		}
	}
	modern := &http.Client{Transport: &http.Transport{TLSClientConfig: anyone, ForceAttemptHTTP2: true}}
	defer modern.CloseIdleConnections()
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/hot/1", nil)
	res, err := modern.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, _ := io.ReadAll(res.Body); res.ProtoMajor != 2 || !strings.Contains(string(text), "HTTP/2.0") {
		t.Errorf("%s: %s", res.Proto, text)
	}
	r, _ = http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/hot/1", nil)
	bare, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Body.Close()
	if text, _ := io.ReadAll(bare.Body); bare.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), "HTTP request to an HTTPS server") {
		t.Errorf("%s: %s", bare.Status, text)
	}
}

// Many clients at once hear each their own answer.
func TestManyClients(t *testing.T) {
	t.Parallel()
	b := newHouse(t, tell)
	var group sync.WaitGroup
	for i := range 32 {
		group.Go(func() {
			c := b.dial()
			defer c.Close()
			for n := range 50 {
				mine := fmt.Sprintf("%d of %d", n, i)
				res := ask(t, c, "POST /hot HTTP/1.1\r\nHost: a\r\nMine: "+mine+"\r\nContent-Length: 8\r\n\r\n"+fmt.Sprintf("%8d", i))
				text, _ := io.ReadAll(res.Body)
				if !strings.Contains(string(text), `Mine=["`+mine+`"]`) || !strings.Contains(string(text), fmt.Sprintf(`body="%8d"`, i)) {
					t.Errorf("%s: %s", mine, text)
				}
			}
		})
	}
	group.Wait()
	if err := b.stop(t.Context()); err != nil {
		t.Error(err)
	}
}
