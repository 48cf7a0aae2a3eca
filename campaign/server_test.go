//go:build linux

package campaign

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// server is the program at work on a store.
type server struct {
	t            testing.TB
	dir          string
	store        []string               // flags that name the store; none: the embedded one
	address      atomic.Pointer[string] // of the process that serves now
	key          string                 // the first user's
	organization string                 // the operator's
	process      *exec.Cmd
	log          *log
	http         *http.Client
}

// log is what the program said; it is safe for concurrent use.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// install makes an installation and serves it.
func install(t testing.TB, dir string, store ...string) *server {
	t.Helper()
	s := &server{t: t, dir: dir, store: store}
	s.install()
	s.start()
	t.Cleanup(s.kill)
	return s
}

// install makes the installation.
func (s *server) install() {
	s.t.Helper()
	init := exec.Command(program, append([]string{"init", "--data", s.dir, "--json"}, s.store...)...)
	var complaint strings.Builder
	init.Stderr = &complaint
	out, err := init.Output()
	if err != nil {
		s.t.Fatalf("init: %v\n%s", err, complaint.String())
	}
	var made struct {
		Key          string `json:"admin_key"`
		Organization string `json:"organization_id"`
	}
	if err := json.Unmarshal(out, &made); err != nil {
		s.t.Fatal(err)
	}
	s.key, s.organization = made.Key, made.Organization
}

// start serves what is in the folder.
func (s *server) start() {
	s.t.Helper()
	s.log = &log{}
	s.process = exec.Command(program, append([]string{"serve", "--data", s.dir, "--listen", "127.0.0.1:0", "--json", "--log-level", "warn"}, s.store...)...)
	s.process.Stderr = s.log
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := s.process.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	var told struct {
		URL string `json:"url"`
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &told)
	}
	if err != nil {
		_ = s.process.Wait()
		s.t.Fatalf("the server did not start: %v\n%s", err, s.log)
	}
	s.address.Store(&told.URL)
	if s.http == nil {
		s.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: time.Minute}
	}
}

// url is where it listens. Others may call while it is started again.
func (s *server) url() string { return *s.address.Load() }

// kill ends the process as a power cut would: it gets no chance to do anything.
func (s *server) kill() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
	s.http.CloseIdleConnections()
	s.process = nil
}

// answer is what came back; Status 0 if nothing did.
type answer struct {
	Status int
	Body   map[string]any
	Err    error
}

// ok reports whether the call was acknowledged.
func (a answer) ok() bool { return a.Status >= 200 && a.Status < 300 }

// open reports whether it is unknown what became of the call.
func (a answer) open() bool { return a.Status == 0 || a.Status >= 500 }

func (a answer) String() string {
	return fmt.Sprintf("status %d, %v, %v", a.Status, a.Err, a.Body["detail"])
}

// at finds a value in the answer: at("key", "id").
func (a answer) at(path ...string) any {
	var v any = a.Body
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

func (a answer) text(path ...string) string {
	s, _ := a.at(path...).(string)
	return s
}

// call makes one call as the first user, and never repeats it.
func (s *server) call(method, path string, in any, header ...string) answer {
	return s.as(s.key, method, path, in, header...)
}

func (s *server) as(key, method, path string, in any, header ...string) answer {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return answer{Err: err}
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequest(method, s.url()+path, body)
	if err != nil {
		return answer{Err: err}
	}
	r.GetBody = nil // or the transport would repeat what has an Idempotency-Key
	r.Header.Set("Authorization", "Bearer "+key)
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := s.http.Do(r)
	if err != nil {
		return answer{Err: err}
	}
	defer res.Body.Close()
	a := answer{Status: res.StatusCode}
	text, err := io.ReadAll(res.Body)
	if err == nil && len(text) > 0 {
		err = json.Unmarshal(text, &a.Body)
	}
	if err != nil {
		return answer{Err: errors.Join(errors.New("an answer that broke off"), err)} // it may be a 2xx of which we saw half
	}
	return a
}

// must fails the campaign unless the call was acknowledged.
func (s *server) must(a answer) answer {
	s.t.Helper()
	if !a.ok() {
		s.t.Fatalf("%v\n%s", a, s.log)
	}
	return a
}

// folder is a data folder with a path short enough for a socket.
func folder(t testing.TB) string { return filepath.Join(t.TempDir(), "d") }
