//go:build linux

package campaign

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// crowd is how many connections a server has to bear, and for how long.
type crowd struct {
	idle, slow int
	lasts      time.Duration
}

// The bounds of "Done when": a verification is late after this, and a server is
// too large with that.
const (
	lateP99   = 100 * time.Millisecond
	mostBytes = 1 << 30
)

// TestConnections lets good verifications compete with thousands of connections
// that do nothing and with others that are slow in each way: with their header,
// with their body, without a credential and with a good one. Whichever the server
// ends is opened again. Every verification is answered, and when the crowd is
// gone, so are its descriptors and most of its memory. Whether 99 in 100 came in
// time is a matter of the machine, and decides the long campaign alone.
func TestConnections(t *testing.T) {
	c := crowd{500, 100, 3 * time.Second}
	if *longFlag {
		c = crowd{10_000, 2_000, 5 * time.Minute}
	}
	s := install(t, folder(t))
	made := s.must(s.call("POST", "/v1/keys", map[string]any{"name": "asks", "scopes": []string{"api_key:verify"}}))
	asking, key := made.text("secret"), s.must(s.call("POST", "/v1/keys", map[string]any{"name": "shown"})).text("secret")
	s.verify(asking, key, 100, 100) // a server that has just started has files yet to open
	before := s.descriptors()
	end := make(chan struct{})
	var work sync.WaitGroup
	var open, opened atomic.Int64
	for n := range c.idle + c.slow {
		work.Go(func() { s.loiter(end, n, n >= c.idle, asking, &open, &opened) })
	}
	deadline := time.Now().Add(2 * time.Minute)
	for open.Load() < int64(c.idle+c.slow)*99/100 && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	if n := open.Load(); n < int64(c.idle+c.slow)*9/10 {
		t.Errorf("of %d connections %d are open: is the bound on open files (ulimit -n) at least 20,000?", c.idle+c.slow, n)
	}
	rate := 200
	took := s.verify(asking, key, rate, int(c.lasts.Seconds())*rate)
	held, largest := open.Load(), s.memory("VmHWM")
	close(end)
	work.Wait()
	s.http.CloseIdleConnections()
	left := s.descriptors()
	for deadline := time.Now().Add(time.Minute); left > before && time.Now().Before(deadline); left = s.descriptors() {
		time.Sleep(100 * time.Millisecond)
	}
	slices.Sort(took)
	p99 := took[len(took)*99/100]
	t.Logf("%d connections were open, %d in all; %d verifications: median %s, p99 %s, longest %s; %d MiB at most, %d afterwards; descriptors: %d before, %d after",
		held, opened.Load(), len(took), took[len(took)/2], p99, took[len(took)-1], largest>>20, s.memory("VmRSS")>>20, before, left)
	if largest > mostBytes {
		t.Errorf("it took %d MiB", largest>>20)
	}
	if left > before {
		t.Errorf("%d descriptors are left behind", left-before)
	}
	if *longFlag && p99 > lateP99 {
		t.Errorf("99 in 100 verifications took up to %s", p99)
	}
}

// loiter keeps one connection open until the end, and opens another when it is
// closed. Idle ones have sent nothing, or one request; slow ones send a byte from
// time to time.
func (s *server) loiter(end chan struct{}, n int, slow bool, asking string, open, opened *atomic.Int64) {
	body := `{"key": "` + strings.Repeat("x", 4000)
	sent := []string{
		"", "GET /healthz HTTP/1.1\r\nHost: latchkey\r\n\r\n",
	}[n%2]
	drip := ""
	if slow {
		drip = "GET /v1/keys HTTP/1.1\r\nHost: latchkey\r\nX-Slow: " + strings.Repeat("x", 1000)
		sent = ""
		if credential := []string{"", "Authorization: Bearer noise\r\n", "Authorization: Bearer " + asking + "\r\n"}[n%3]; n%4 != 0 {
			sent = fmt.Sprintf("POST /v1/keys/verify HTTP/1.1\r\nHost: latchkey\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n%s\r\n", credential)
			drip = body
		}
	}
	for {
		select {
		case <-end:
			return
		default:
		}
		c, err := net.DialTimeout("tcp", strings.TrimPrefix(s.url(), "http://"), 30*time.Second)
		if err != nil {
			select {
			case <-end:
			case <-time.After(time.Second):
			}
			continue
		}
		open.Add(1)
		opened.Add(1)
		hold(c, end, sent, drip)
		open.Add(-1)
	}
}

// hold writes what is sent at once and what drips, until the end or until the
// other side closes.
func hold(c net.Conn, end chan struct{}, sent, drip string) {
	closed := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, c) // until either side closes
		close(closed)
	}()
	defer func() {
		_ = c.Close()
		<-closed
	}()
	if _, err := io.WriteString(c, sent); err != nil {
		return
	}
	for i := 0; ; i++ {
		select {
		case <-end:
			return
		case <-closed:
			return
		case <-time.After(time.Second):
		}
		if i < len(drip) {
			if _, err := io.WriteString(c, drip[i:i+1]); err != nil {
				return
			}
		}
	}
}

// verify asks n times at a steady rate, each a second's part after the one before
// whether or not that was answered, and gives how long each took from its due
// time. Any answer but "valid" fails.
func (s *server) verify(asking, key string, rate, n int) []time.Duration {
	took := make([]time.Duration, n)
	var work sync.WaitGroup
	began := time.Now()
	for i := range n {
		due := began.Add(time.Duration(i) * time.Second / time.Duration(rate))
		time.Sleep(time.Until(due))
		work.Go(func() {
			a := s.as(asking, "POST", "/v1/keys/verify", map[string]any{"key": key})
			took[i] = time.Since(due)
			if valid, _ := a.Body["valid"].(bool); !valid {
				s.t.Errorf("verification %d: %v", i, a)
			}
		})
	}
	work.Wait()
	return took
}

// descriptors is how many files the process has open.
func (s *server) descriptors() int {
	list, err := os.ReadDir("/proc/" + strconv.Itoa(s.process.Process.Pid) + "/fd")
	if err != nil {
		s.t.Fatal(err)
	}
	return len(list)
}

// memory is a line of the process's status, in bytes.
func (s *server) memory(line string) int64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(s.process.Process.Pid) + "/status")
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(text, []byte(line+":"))
	var kib int64
	if _, err := fmt.Sscan(string(rest), &kib); err != nil {
		s.t.Fatal(err)
	}
	return kib << 10
}
