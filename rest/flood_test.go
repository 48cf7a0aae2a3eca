package rest_test

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/rest"
)

// standing is a clock that goes when it is told to.
type standing struct{ seconds atomic.Int64 }

func (s *standing) now() time.Time { return time.Unix(1_800_000_000+s.seconds.Load(), 0) }

// Whoever fails again and again is held up, by source and not by key; nobody
// else is, and a good credential never.
func TestFailedCredentialsAreThrottled(t *testing.T) {
	t.Parallel()
	clock := &standing{}
	h := open(t, func(c *rest.Config) {
		c.Clock = clock.now
		var err error
		c.Proxies, err = latchkey.NewProxyTrust([]netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, latchkey.HeaderForwardedFor)
		if err != nil {
			t.Fatal(err)
		}
	})
	from := func(key, address string) caller { return h.as(key).with("X-Forwarded-For", address) }
	list := func(c caller) answer { return c.do("GET", "/v1/keys", nil) }

	const burst = 20
	for range burst {
		list(from("wrong", "2001:db8::1")).refused(401, latchkey.CodeUnauthenticated)
	}
	for range 3 {
		a := list(from("wrong", "2001:db8::1"))
		a.refused(429, latchkey.CodeTooManyRequests)
		if wait := a.Header.Get("Retry-After"); wait != "1" && wait != "2" {
			t.Errorf("the next is due in a second, and Retry-After is %q", wait)
		}
	}
	list(from("", "2001:db8::ffff:1")).refused(429, latchkey.CodeTooManyRequests) // the same /64
	h.as("").with("X-Forwarded-For", "2001:db8::1").do("POST", "/v1/keys/revoke-self", object{"key": "wrong"}).refused(429, latchkey.CodeTooManyRequests)

	list(from(h.root, "2001:db8::1")).must(http.StatusOK)
	list(from("wrong", "2001:db8:0:1::1")).refused(401, latchkey.CodeUnauthenticated)
	list(from("wrong", "192.0.2.1")).refused(401, latchkey.CodeUnauthenticated)
	for range 2 * burst { // what is presented for verification is nobody's credential
		if code := from(h.root, "2001:db8::1").verify("wrong", nil); code != "malformed" {
			t.Fatalf("verdict %s", code)
		}
	}

	clock.seconds.Add(1)
	list(from("wrong", "2001:db8::1")).refused(401, latchkey.CodeUnauthenticated)
	list(from("wrong", "2001:db8::1")).refused(429, latchkey.CodeTooManyRequests)
}

// Strangers who hold up the one operation that needs no credential hold up
// nothing else.
func TestStrangersAreInTheWayOfStrangersAlone(t *testing.T) {
	t.Parallel()
	h := open(t)
	for range 300 { // more than any bound on management
		conn, err := net.Dial("tcp", h.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := fmt.Fprint(conn, "POST /v1/keys/revoke-self HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) { // until the bound is reached
		if a := h.as("").do("POST", "/v1/keys/revoke-self", object{"key": "wrong"}); a.Status == http.StatusServiceUnavailable {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the bound is never reached")
		}
	}
	made := h.as(h.root).do("POST", "/v1/keys", object{"name": "x"}).must(http.StatusCreated)
	h.as(h.root).do("DELETE", "/v1/keys/"+made.text("key", "id"), nil).must(http.StatusOK)
}

// A node takes so much work and no more, and one kind of it does not keep
// another out.
func TestWorkInFlightIsBounded(t *testing.T) {
	t.Parallel()
	h := open(t)
	const bound = 256
	var slow []net.Conn
	for range bound + 10 { // half a request each; the last ones may be refused
		conn, err := net.Dial("tcp", h.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		slow = append(slow, conn)
		t.Cleanup(func() { _ = conn.Close() }) // where the test failed before
		if _, err := fmt.Fprintf(conn, "POST /v1/keys HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", h.root); err != nil {
			t.Fatal(err)
		}
	}
	root := h.as(h.root)
	until := func(status int) answer {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) { // whoever waits that long has failed
			a := root.do("GET", "/v1/keys", nil)
			if a.Status == status {
				return a
			}
			if time.Now().After(end) {
				t.Fatalf("still %d: %s", a.Status, a.Text)
			}
		}
	}
	until(http.StatusServiceUnavailable).refused(503, latchkey.CodeBusy)
	if code := root.verify(h.root, nil); code != "valid" {
		t.Errorf("verdict %s", code)
	}
	h.as("").do("GET", "/healthz", nil).must(http.StatusOK)
	h.as("").do("GET", "/readyz", nil).must(http.StatusOK)

	// Places that are given back are taken again.
	for _, c := range slow {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	until(http.StatusOK)
}
