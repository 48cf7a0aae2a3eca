// Package speed measures what a request costs a server: processor time of its
// process, as the kernel counts it, by requests that another process sends. It
// knows nothing of what is asked but bytes, and so measures a floor as it measures
// anything else.
package speed

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Exchange is one request, asked of one server over and over.
type Exchange struct {
	Address string   // of the server
	PIDs    []int    // its processes
	Text    []byte   // the request as it is sent
	Spots   []int    // where in it a key stands
	Keys    []string // of one length, from which each is drawn

	// Dial opens what asks by another protocol than HTTP/1.1; nil opens a connection
	// over which the text is sent.
	Dial func(ctx context.Context, of *Exchange) (Asker, error)
}

// Asker asks one question after the other. An answer that lets nothing through is
// [ErrAnswer].
type Asker interface {
	Ask() error
	Close() error
}

// Sample is what came of asking for a while.
type Sample struct {
	Requests int64
	Took     time.Duration
	CPU      time.Duration // of the server
}

// PerRequest is what one request took of the server's processors.
func (s Sample) PerRequest() time.Duration { return s.CPU / time.Duration(max(s.Requests, 1)) }

// ErrAnswer says that a request was answered otherwise than by 200: a figure with
// refusals in it is none.
var ErrAnswer = errors.New("a request was not answered by 200")

// warm is how many requests each connection makes before anything is counted.
const warm = 50

// Measure asks over so many kept connections for a while.
func (e *Exchange) Measure(ctx context.Context, connections int, span time.Duration) (Sample, error) {
	var line []Asker
	defer func() {
		for _, a := range line {
			_ = a.Close()
		}
	}()
	dial := e.Dial
	if dial == nil {
		dial = overHTTP
	}
	for range connections {
		a, err := dial(ctx, e)
		if err != nil {
			return Sample{}, err
		}
		line = append(line, a)
	}
	if _, err := together(line, func(done int64) bool { return done >= warm }); err != nil {
		return Sample{}, err
	}
	before, err := cpu(e.PIDs)
	if err != nil {
		return Sample{}, err
	}
	var over atomic.Bool
	stop := time.AfterFunc(span, func() { over.Store(true) })
	defer stop.Stop()
	began := time.Now()
	requests, err := together(line, func(int64) bool { return over.Load() || ctx.Err() != nil })
	took := time.Since(began)
	if err = errors.Join(err, ctx.Err()); err != nil {
		return Sample{}, err
	}
	after, err := cpu(e.PIDs)
	return Sample{Requests: requests, Took: took, CPU: after - before}, err
}

// together has everyone ask until enough was done by each.
func together(line []Asker, enough func(done int64) bool) (int64, error) {
	var group sync.WaitGroup
	var all atomic.Int64
	failures := make([]error, len(line))
	for i, a := range line {
		group.Go(func() {
			done := int64(0)
			for failures[i] == nil && !enough(done) {
				failures[i] = a.Ask()
				done++
			}
			all.Add(done)
		})
	}
	group.Wait()
	return all.Load(), errors.Join(failures...)
}

// asker is one connection. It shares the machine with the server, so it does the
// least that a client can do.
type asker struct {
	*Exchange

	conn    net.Conn
	answers *bufio.Reader
	text    []byte
}

func overHTTP(ctx context.Context, e *Exchange) (Asker, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", e.Address)
	if err != nil {
		return nil, err
	}
	return &asker{Exchange: e, conn: conn, answers: bufio.NewReaderSize(conn, 64<<10), text: slices.Clone(e.Text)}, nil
}

// Draw is one of the keys.
func (e *Exchange) Draw() string { return e.Keys[rand.IntN(len(e.Keys))] } //nolint:gosec // which key is asked about is no secret

// Close implements Asker.
func (a *asker) Close() error { return a.conn.Close() }

// Ask implements Asker.
func (a *asker) Ask() error {
	for _, at := range a.Spots {
		copy(a.text[at:], a.Draw())
	}
	if _, err := a.conn.Write(a.text); err != nil {
		return err
	}
	return a.answer()
}

// answer reads one answer (RFC 9112) with a length.
func (a *asker) answer() error {
	length := -1
	for first := true; ; first = false {
		line, err := a.answers.ReadSlice('\n')
		if err != nil {
			return err
		}
		switch {
		case first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")):
			return fmt.Errorf("%w: %q", ErrAnswer, line)
		case len(line) > 16 && (line[0] == 'C' || line[0] == 'c') && line[14] == ':' && bytes.EqualFold(line[:14], []byte("content-length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[15:]))); err != nil {
				return err
			}
		case len(line) == 2 && length < 0:
			return fmt.Errorf("%w: it has no length", ErrAnswer)
		case len(line) == 2:
			_, err := a.answers.Discard(length)
			return err
		}
	}
}

// tick is the unit of processor time in /proc/PID/stat (proc_pid_stat(5)): Linux
// tells programs a hundredth of a second, whatever it counts by itself.
const tick = 10 * time.Millisecond

// cpu is the processor time that processes have taken.
func cpu(pids []int) (all time.Duration, err error) {
	for _, pid := range pids {
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		if err != nil {
			return 0, fmt.Errorf("processor time is read from /proc, which only Linux has: %w", err)
		}
		_, behind, _ := strings.Cut(string(text), ") ") // the name before it may hold anything
		fields := strings.Fields(behind)
		if len(fields) < 13 {
			return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
		}
		for _, f := range fields[11:13] { // utime, stime
			n, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				return 0, err
			}
			all += time.Duration(n) * tick
		}
	}
	return all, nil
}

// NewExchange spells a request in HTTP/1.1. A key stands wherever key does.
func NewExchange(address string, pids []int, method, path string, header http.Header, body, key string) *Exchange {
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, address)
	_ = header.Write(&text) // a buffer takes everything
	if body != "" {
		fmt.Fprintf(&text, "Content-Length: %d\r\n", len(body))
	}
	text.WriteString("\r\n" + body)
	e := &Exchange{Address: address, PIDs: pids, Text: text.Bytes()}
	for at := 0; ; at += len(key) {
		i := bytes.Index(e.Text[at:], []byte(key))
		if i < 0 {
			return e
		}
		at += i
		e.Spots = append(e.Spots, at)
	}
}

// Resident is how much memory a process has, in bytes.
func Resident(pid int) (int64, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "statm"))
	if err != nil {
		return 0, err
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0, err
	}
	return resident * int64(os.Getpagesize()), nil
}
