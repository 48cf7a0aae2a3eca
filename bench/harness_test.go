package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// row is one line of the table.
type row struct {
	what, figure, floor, ratio, bar string
	met                             bool
}

var table struct {
	sync.Mutex
	rows []row
}

// report adds a line. met says whether the bar was reached.
func report(what, figure, floor, ratio, bar string, met bool) {
	table.Lock()
	defer table.Unlock()
	table.rows = append(table.rows, row{what, figure, floor, ratio, bar, met})
}

var program string // the built binary

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "latchkey-bench-")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "latchkey")
	if out, err := exec.Command("go", "build", "-o", program, "latchkey.dev/latchkey/cmd/latchkey").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s\n", out)
		os.Exit(1)
	}
	status := m.Run()
	_ = os.RemoveAll(dir)
	if len(table.rows) > 0 {
		fmt.Printf("\n%-44s  %-26s  %-26s  %8s  %-12s\n", "WHAT", "FIGURE", "FLOOR", "RATIO", "BAR")
		for _, r := range table.rows {
			word := "met"
			if !r.met {
				word = "MISSED"
			}
			fmt.Printf("%-44s  %-26s  %-26s  %8s  %-12s %s\n", r.what, r.figure, r.floor, r.ratio, r.bar, word)
		}
	}
	os.Exit(status)
}

// server is the program at work in a folder of its own.
type server struct {
	tb    testing.TB
	dir   string
	url   string
	key   string // the first user's
	org   string
	cmd   *exec.Cmd
	http  *http.Client
	lines *bytes.Buffer
}

var listening = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// start initialises a store, the embedded one unless flags name another, and
// serves it.
func start(tb testing.TB, store ...string) *server {
	tb.Helper()
	s := &server{tb: tb, dir: filepath.Join(tb.TempDir(), "data"), lines: &bytes.Buffer{}}
	out, err := exec.Command(program, append([]string{"init", "--data", s.dir, "--json"}, store...)...).Output()
	if err != nil {
		tb.Fatal(err)
	}
	var made struct {
		Key string `json:"admin_key"`
		Org string `json:"organization_id"`
	}
	if err := json.Unmarshal(out, &made); err != nil {
		tb.Fatal(err)
	}
	s.key, s.org = made.Key, made.Org
	s.cmd = exec.Command(program, append([]string{"serve", "--data", s.dir, "--listen", "127.0.0.1:0", "--log-level", "error"}, store...)...)
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	s.cmd.Stderr = s.lines
	if err := s.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for s.url == "" && lines.Scan() {
		s.url = listening.FindString(lines.Text())
	}
	go func() { _, _ = io.Copy(io.Discard, stdout) }()
	if s.url == "" {
		tb.Fatalf("the server does not say where it listens: %s", s.lines)
	}
	tb.Cleanup(s.stop)
	s.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: time.Minute}
	return s
}

func (s *server) stop() {
	if s.cmd.ProcessState != nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
}

// call sends JSON and wants 200; it returns the answer.
func (s *server) call(method, path string, body any) []byte {
	s.tb.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		s.tb.Fatal(err)
	}
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(context.Background(), method, s.url+path, reader)
	if err != nil {
		s.tb.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.key)
	r.Header.Set("Content-Type", "application/json")
	res, err := s.http.Do(r)
	if err != nil {
		s.tb.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		s.tb.Fatalf("%s %s: %d %v %s", method, path, res.StatusCode, err, answer)
	}
	return answer
}

// unlimited lifts the limits that a benchmark would run into.
func (s *server) unlimited() {
	s.call(http.MethodPatch, "/v1/organizations/"+s.org, map[string]any{"limits": map[string]any{"keys": 100_000_000, "changes_per_second": 1_000_000}})
}

// memory is what the process holds in memory, and anonymous the part of it that is
// no file's, in bytes.
func (s *server) memory() int64    { return s.status("VmRSS:") }
func (s *server) anonymous() int64 { return s.status("RssAnon:") }

func (s *server) status(name string) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.tb.Fatal("the memory of a process is read from /proc: ", err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == name {
			kib, _ := strconv.ParseInt(f[1], 10, 64)
			return kib << 10
		}
	}
	s.tb.Fatal("no ", name)
	return 0
}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/2]
}

// run runs the program to its end.
func run(tb testing.TB, args ...string) {
	tb.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		tb.Fatalf("%v: %s", err, out)
	}
}
