package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"latchkey.dev/latchkey/bench/speed"
)

// child is a server that was started to be measured.
type child struct {
	cmd     *exec.Cmd
	address string
	checks  string // where Envoy asks over gRPC
	socket  string // the operator's
}

func (p *child) pid() int    { return p.cmd.Process.Pid }
func (p *child) pids() []int { return []int{p.pid()} }

// instead is the same request to this server.
func (p *child) instead(e *speed.Exchange) *speed.Exchange {
	other := *e
	other.Address, other.PIDs = p.address, p.pids()
	return &other
}

// children are those that were started.
type children []*child

// stop ends them, the last one first.
func (all *children) stop() {
	for i := range slices.Backward(*all) {
		p := (*all)[i]
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		_ = p.cmd.Wait()
	}
}

// start starts a program and reads the first line that it writes.
func (all *children) start(cmd *exec.Cmd) (*child, string, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	var told bytes.Buffer
	if cmd.Stderr == nil {
		cmd.Stderr = &told
	}
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	p := &child{cmd: cmd}
	*all = append(*all, p)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, "", fmt.Errorf("%s did not start: %w %s", cmd.Path, err, told.String())
	}
	return p, strings.TrimSpace(line), nil
}

// own is this program with a command line of its own. It ends with the context.
func own(ctx context.Context, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, args...) //nolint:gosec // this program
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	return cmd, nil
}

// initialize makes an installation and tells its owner's key.
func (all *children) initialize(ctx context.Context, data string) (key string, err error) {
	cmd, err := own(ctx, "init", "--data", data, "--json")
	if err != nil {
		return "", err
	}
	text, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("no installation can be made in %s: %w", data, err)
	}
	var made struct {
		Key string `json:"admin_key"`
	}
	err = json.Unmarshal(text, &made)
	return made.Key, err
}

// serve serves a data folder as users do, and tells how long it took until it said
// so: it does when requests are answered.
func (all *children) serve(ctx context.Context, data string) (*child, time.Duration, error) {
	cmd, err := own(ctx, "serve", "--data", data, "--listen", "127.0.0.1:0", "--extauthz-listen", "127.0.0.1:0", "--json")
	if err != nil {
		return nil, 0, err
	}
	log, err := os.Create(filepath.Join(filepath.Dir(data), "serve.log"))
	if err != nil {
		return nil, 0, err
	}
	defer log.Close() //nolint:errcheck // the server has its own
	cmd.Stderr = log
	began := time.Now()
	p, line, err := all.start(cmd)
	if err != nil {
		return nil, 0, fmt.Errorf("%w; %s says why", err, log.Name())
	}
	took := time.Since(began)
	var said struct {
		URL    string `json:"url"`
		Checks string `json:"extauthz_url"`
		Socket string `json:"socket"`
	}
	if err := json.Unmarshal([]byte(line), &said); err != nil {
		return nil, 0, err
	}
	at, err := url.Parse(said.URL)
	if err != nil {
		return nil, 0, err
	}
	p.address, p.socket = at.Host, said.Socket
	_, p.checks, _ = strings.Cut(said.Checks, "://")
	return p, took, nil
}

// floor serves the floors, until this process ends or stops it.
func (all *children) floor(ctx context.Context, answers map[string]speed.Answer) (*child, error) {
	cmd, err := own(ctx, "bench", "floor")
	if err != nil {
		return nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	go func() { _ = json.NewEncoder(in).Encode(answers) }() // it is read before anything is written
	p, line, err := all.start(cmd)
	if err != nil {
		return nil, err
	}
	p.address = line
	return p, nil
}

// nginx serves the same headers without a body; an error where there is none.
func (all *children) nginx(ctx context.Context, folder string, header http.Header) (*child, error) {
	path, err := exec.LookPath("nginx")
	if err != nil {
		return nil, errors.New("it is not installed")
	}
	address, err := free(ctx)
	if err != nil {
		return nil, err
	}
	var lines strings.Builder
	for name, values := range header {
		if name != "Content-Length" && name != "Content-Type" {
			fmt.Fprintf(&lines, "add_header %s %q always;", name, values[0])
		}
	}
	config := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/nginx.pid; error_log %[1]s/nginx.log;
events {}
http { access_log off; keepalive_requests 1000000000; client_body_temp_path %[1]s/nginx; proxy_temp_path %[1]s/nginx; fastcgi_temp_path %[1]s/nginx;
uwsgi_temp_path %[1]s/nginx; scgi_temp_path %[1]s/nginx; server { listen %[2]s; location / { %[3]s return 200; } } }`, folder, address, lines.String())
	file := filepath.Join(folder, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, "-c", file, "-e", filepath.Join(folder, "nginx.log")) //nolint:gosec // what the machine has
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &child{cmd: cmd, address: address}
	*all = append(*all, p)
	return p, p.wait(ctx)
}

// wait waits until the server takes connections.
func (p *child) wait(ctx context.Context) error {
	var dialer net.Dialer
	var err error
	for range 200 {
		var c net.Conn
		if c, err = dialer.DialContext(ctx, "tcp", p.address); err == nil {
			return c.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	return err
}

// free is an address on which nobody listens just now.
func free(ctx context.Context) (string, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
