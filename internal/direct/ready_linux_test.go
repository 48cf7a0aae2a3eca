package direct

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// Of reads that never wait, some are announced, so that who sends without a pause
// is watched; whoever waits begins anew.
func TestReady(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	other, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c, ok := Conn(accepted).(*conn)
	if !ok {
		t.Fatal("an accepted TCP connection stayed as it was")
	}
	defer func() { _, _ = c.Close(), other.Close() }()
	receive := func() byte {
		p := make([]byte, 1)
		if _, err := c.Read(p); err != nil {
			t.Fatal(err)
		}
		return p[0]
	}
	var all []byte
	for i := range byte(3 * maxReady) {
		all = append(all, i)
	}
	if _, err := other.Write(append(all, 0)); err != nil { // in one piece, so that all of it is there when the first byte is
		t.Fatal(err)
	}
	announced := 0
	for i := range all {
		if got := receive(); got != byte(i) {
			t.Fatalf("byte %d is %d", i, got)
		}
		if c.in.ready == 0 {
			announced++
		}
	}
	if announced < 2 {
		t.Errorf("of %d reads in a row %d were announced", len(all), announced)
	}
	receive()
	c.in.ready = 1
	_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || c.in.ready != 0 {
		t.Errorf("%v, and %d reads in a row did not wait", err, c.in.ready)
	}
}
