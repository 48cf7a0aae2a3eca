//go:build linux

package campaign

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// load is what another process asks of a server about keys. It is another one so
// that nothing which the campaign does, and no other load, stands in a queue with
// what it measures.
type load struct {
	Address     string // of the server
	Key         string // of who asks
	Keys        []string
	InTurn      bool          // each once, one after the other; else they are drawn for Lasts
	PerSecond   int           // in open loop; 0: as many as the connections carry
	Connections int           // at most so many wait for an answer at a time
	Lasts       time.Duration // of which the first tenth is not measured
	Yields      bool          // the processors to whoever else wants them, and catches up on at most pardon: what floods has a machine of its own elsewhere
}

// report is what came of a load.
type report struct {
	Took     []time.Duration // from the sending, or when no connection was free from the due time
	Codes    map[string]int  // verdicts; "": there was no answer
	Answered []int           // of each of load.Keys, how many were called valid
	Asked    []int           // how many were sent
	Elapsed  time.Duration
}

// loads tells a process that it is one.
const loads = "LATCHKEY_CAMPAIGN_LOADS"

// begin starts the load; what it gives waits for the report.
func (l load) begin(t testing.TB) (wait func() *report) {
	t.Helper()
	if l.PerSecond > 0 && l.InTurn {
		l.Lasts = time.Duration(len(l.Keys)) * time.Second / time.Duration(l.PerSecond)
	}
	command := []string{os.Args[0]}
	if l.Yields {
		command = append([]string{"chrt", "--idle", "0"}, command...)
	}
	text, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(command[0], command[1:]...)
	c.Env = append(os.Environ(), loads+"=1")
	c.Stdin, c.Stderr = strings.NewReader(string(text)), os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	output, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return func() *report {
		var r report
		err := json.NewDecoder(output).Decode(&r)
		if ended := c.Wait(); err != nil || ended != nil {
			t.Fatalf("the load: %v, %v", err, ended)
		}
		return &r
	}
}

func (l load) run(t testing.TB) *report {
	t.Helper()
	return l.begin(t)()
}

// at is the time that the part p of the answers took at most.
func (r *report) at(p float64) time.Duration {
	t := times{all: r.Took}
	return t.at(p)
}

// only fails unless every answer was of this code, and there were any.
func (r *report) only(t testing.TB, code string) {
	t.Helper()
	if r.Codes[code] == 0 || len(r.Codes) > 1 {
		t.Errorf("answers: %v, not only %q", r.Codes, code)
	}
}

// total adds numbers up.
func total(numbers []int) (n int) {
	for _, one := range numbers {
		n += one
	}
	return n
}

// serveLoad is the other process.
func serveLoad() error {
	a := asking{report: report{Codes: map[string]int{}}}
	if err := json.NewDecoder(os.Stdin).Decode(&a.load); err != nil {
		return err
	}
	a.report.Answered, a.report.Asked = make([]int, len(a.load.Keys)), make([]int, len(a.load.Keys))
	a.run()
	return json.NewEncoder(os.Stdout).Encode(&a.report)
}

type asking struct {
	load load

	began time.Time

	pace sync.Mutex
	turn int       // of the next request
	due  time.Time // of the last one

	mu     sync.Mutex
	report report
}

func (a *asking) run() {
	lines := make([]*wire, a.load.Connections)
	for i := range lines {
		lines[i] = &wire{asking: a}
		_ = lines[i].open() // tried again when it is used
	}
	a.began = time.Now()
	a.due = a.began
	var all sync.WaitGroup
	for _, l := range lines {
		all.Go(func() {
			for l.next() {
			}
		})
	}
	all.Wait()
	a.report.Elapsed = time.Since(a.began)
}

// wire is one connection.
type wire struct {
	*asking

	conn    net.Conn
	answers *bufio.Reader
}

func (l *wire) open() (err error) {
	if l.conn != nil {
		return nil
	}
	var d net.Dialer
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if l.conn, err = d.DialContext(ctx, "tcp", strings.TrimPrefix(l.load.Address, "http://")); err != nil {
		l.conn = nil
		return err
	}
	l.answers = bufio.NewReader(l.conn)
	return nil
}

// next asks when the next request is due; false: there is none.
func (l *wire) next() bool {
	n, from := l.slot()
	since := from.Sub(l.began)
	which := n
	switch {
	case !l.load.InTurn && since > l.load.Lasts, l.load.InTurn && n >= len(l.load.Keys):
		return false
	case !l.load.InTurn:
		which = rand.IntN(len(l.load.Keys))
	}
	sent, code := l.ask(l.load.Keys[which])
	took := time.Since(from)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report.Codes[code]++
	if sent {
		l.report.Asked[which]++
	}
	if code == "valid" {
		l.report.Answered[which]++
	}
	if since > l.load.Lasts/10 {
		l.report.Took = append(l.report.Took, took)
	}
	return true
}

// pardon is what a load that yields makes up for of the time in which it had no
// processor. To make up for all would be a burst of more than was asked for.
const pardon = 2 * time.Millisecond

// slot waits until the next request is due, one wire at a time. It is the number
// of the request, and the time from which its answer is waited for: when it was
// due, if nobody was free to send it then.
func (a *asking) slot() (n int, from time.Time) {
	a.pace.Lock()
	defer a.pace.Unlock()
	n, from = a.turn, time.Now()
	late := from.Add(-pardon)
	a.turn++
	if a.load.PerSecond == 0 {
		return n, from
	}
	a.due = a.due.Add(time.Second / time.Duration(a.load.PerSecond))
	if wait := a.due.Sub(from); wait > 0 {
		time.Sleep(wait)
		from = time.Now()
	} else {
		from = a.due
	}
	if a.load.Yields && a.due.Before(late) {
		a.due = late
	}
	return n, from
}

// ask gives the verdict; "" where there was no whole answer. sent is whether the
// server may have been asked.
func (l *wire) ask(key string) (sent bool, code string) {
	if err := l.open(); err != nil {
		time.Sleep(10 * time.Millisecond) // the server is down
		return false, ""
	}
	code, err := l.exchange(key)
	if err != nil {
		_ = l.conn.Close()
		l.conn = nil
	}
	return true, code
}

func (l *wire) exchange(key string) (string, error) {
	_ = l.conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintf(l.conn, "POST /v1/keys/verify HTTP/1.1\r\nHost: latchkey\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{\"key\":\"%s\"}", l.load.Key, len(key)+len(`{"key":""}`), key); err != nil {
		return "", err
	}
	res, err := http.ReadResponse(l.answers, nil)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return "", err
	}
	var told struct {
		Code string `json:"code"`
	}
	if err := json.Unmarshal(text, &told); err != nil || res.StatusCode != http.StatusOK {
		return res.Status, err
	}
	return told.Code, nil
}
