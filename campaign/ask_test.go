//go:build linux

package campaign

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"latchkey.dev/latchkey/internal/direct"
)

// asker calls a server over kept connections. It shares the processors with what
// is measured, so it does the least that a client can do.
type asker struct {
	address string
	head    string // of a request, behind its path and up to the length of its body

	mu   sync.Mutex
	idle []*line
}

// line is a kept connection.
type line struct {
	net.Conn

	answers *bufio.Reader
	text    []byte
}

func (s *server) asker() *asker {
	address := strings.TrimPrefix(s.url(), "http://")
	a := &asker{address: address, head: " HTTP/1.1\r\nHost: " + address + "\r\nAuthorization: Bearer " + s.key + "\r\nContent-Type: application/json\r\nContent-Length: "}
	s.t.Cleanup(func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, l := range a.idle {
			_ = l.Close()
		}
	})
	return a
}

// verify gives the code of the verdict.
func (a *asker) verify(key string) (string, error) {
	return a.post("/v1/keys/verify", `{"key":"`+key+`"}`, `"code":"`)
}

// revoke tells where a key is refused now.
func (a *asker) revoke(id string) (string, error) {
	return a.post("/v1/keys/"+id+"/revoke", `{}`, `"effective":"`)
}

// post gives the text behind a mark in the answer's body. A connection that failed
// is not used again.
func (a *asker) post(path, body, mark string) (string, error) {
	l, err := a.take()
	if err != nil {
		return "", err
	}
	l.text = append(append(append(l.text[:0], "POST "...), path...), a.head...)
	l.text = append(append(strconv.AppendInt(l.text, int64(len(body)), 10), "\r\n\r\n"...), body...)
	told, err := l.exchange([]byte(mark))
	if err != nil {
		_ = l.Close()
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.idle = append(a.idle, l)
	return told, nil
}

func (a *asker) take() (*line, error) {
	a.mu.Lock()
	if n := len(a.idle); n > 0 {
		l := a.idle[n-1]
		a.idle = a.idle[:n-1]
		a.mu.Unlock()
		return l, nil
	}
	a.mu.Unlock()
	conn, err := net.Dial("tcp", a.address)
	if err != nil {
		return nil, err
	}
	conn = direct.Conn(conn)
	return &line{Conn: conn, answers: bufio.NewReaderSize(conn, 4096)}, nil
}

// exchange sends the text and reads one answer (RFC 9112), which has a length; of
// its body it gives the text from a mark to the next quotation mark.
func (l *line) exchange(mark []byte) (string, error) {
	if err := l.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return "", err
	}
	if _, err := l.Write(l.text); err != nil {
		return "", err
	}
	length := 0
	for first := true; ; first = false {
		text, err := l.answers.ReadSlice('\n')
		if err != nil {
			return "", err
		}
		name, value, _ := bytes.Cut(text, []byte(": "))
		switch {
		case first && !bytes.HasPrefix(text, []byte("HTTP/1.1 200 ")):
			return "", fmt.Errorf("answered %q", text)
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return "", err
			}
		case len(text) == 2:
			body, err := l.answers.Peek(length)
			if err != nil {
				return "", err
			}
			_, text, _ := bytes.Cut(body, mark)
			text, _, _ = bytes.Cut(text, []byte(`"`))
			told := string(text)
			_, err = l.answers.Discard(length)
			return told, err
		}
	}
}

// strain is what the processors did since it was begun.
type strain struct {
	began         time.Time
	all, own, our time.Duration
	stolen        time.Duration // by the machine's host
}

// strain begins to look at what the processors do.
func (f *fleet) strain() strain {
	s := strain{began: time.Now(), all: busy(f.t, "/proc/stat", 1, 2, 3, 6, 7), stolen: busy(f.t, "/proc/stat", 8)}
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		f.t.Fatal(err)
	}
	s.own = time.Duration(own.Utime.Nano() + own.Stime.Nano())
	for _, n := range f.nodes {
		s.our += busy(f.t, fmt.Sprintf("/proc/%d/stat", n.process.Process.Pid), 13, 14)
	}
	return s
}

// since tells, in parts of one processor, who kept the processors busy.
func (s strain) since(f *fleet) string {
	now := f.strain()
	part := func(d time.Duration) float64 { return float64(d) / float64(now.began.Sub(s.began)) }
	own, our := now.own-s.own, now.our-s.our
	return fmt.Sprintf("processors busy: %.2f by nodes, %.2f by who asks, %.2f by the database and others; %.2f taken away by the host", part(our), part(own), part(now.all-s.all-own-our), part(now.stolen-s.stolen))
}

// busy adds up fields of the first line of a file of ticks (proc_stat(5)).
func busy(t testing.TB, path string, fields ...int) (all time.Duration) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ = bytes.Cut(text, []byte("\n"))
	all = 0
	words := strings.Fields(string(text))
	for _, i := range fields {
		n, err := strconv.ParseInt(words[i], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		all += time.Duration(n) * 10 * time.Millisecond
	}
	return all
}
