package forward_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey.dev/latchkey/latchkeytest"
)

const examples = "../../examples"

type object = map[string]any

// authority is a running Latchkey, reached through a relay that can be cut.
type authority struct {
	*latchkeytest.Authority
	t     *testing.T
	relay *relay
}

func startAuthority(t *testing.T) *authority {
	a := latchkeytest.Start(t, latchkeytest.Options{})
	return &authority{Authority: a, t: t, relay: startRelay(t, strings.TrimPrefix(a.URL, "http://"))}
}

// manage calls the native API as the owner.
func (a *authority) manage(method, path string, body any, want int) object {
	a.t.Helper()
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			a.t.Fatal(err)
		}
		payload = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.URL+path, payload)
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+a.AdminKey)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != want {
		a.t.Fatalf("%s %s: %d %s %v", method, path, answer.StatusCode, text, err)
	}
	var out object
	if err := json.Unmarshal(text, &out); err != nil {
		a.t.Fatal(err)
	}
	return out
}

// gateway registers one before plants, and returns its token.
func (a *authority) gateway(profile string, more object) string {
	a.t.Helper()
	in := object{"name": profile, "profile": profile, "routes": []object{
		{"methods": []string{"GET"}, "path": "/v1/plants/{plant}", "scopes": object{"all": []string{"plants:read"}}, "resource": object{"type": "plant", "id": "{plant}"}},
		{"path": "/open"},
	}}
	maps.Copy(in, more)
	return a.manage("POST", "/v1/gateways", in, 201)["token"].(string)
}

// key makes a key, and returns its id and its secret.
func (a *authority) key(more object) (id, secret string) {
	a.t.Helper()
	in := object{"name": "client", "partner": "Ä & B", "scopes": []string{"plants:read", "other"}}
	maps.Copy(in, more)
	made := a.manage("POST", "/v1/keys", in, 201)
	return made["key"].(object)["id"].(string), made["secret"].(string)
}

// relay forwards connections until it is cut.
type relay struct {
	listener net.Listener
	mu       sync.Mutex
	open     []net.Conn
	work     sync.WaitGroup
}

func startRelay(t *testing.T, to string) *relay {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: l}
	r.work.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			r.mu.Lock()
			r.open = append(r.open, in, out)
			r.mu.Unlock()
			for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
				r.work.Go(func() {
					_, _ = io.Copy(way[0], way[1]) // until either end is closed
					_, _ = way[0].Close(), way[1].Close()
				})
			}
		}
	})
	t.Cleanup(r.cut)
	return r
}

func (r *relay) address() string { return r.listener.Addr().String() }

// cut ends every connection and takes no more.
func (r *relay) cut() {
	_ = r.listener.Close()
	r.mu.Lock()
	for _, c := range r.open {
		_ = c.Close()
	}
	r.mu.Unlock()
	r.work.Wait()
}

// backend is the API behind the gateway; it remembers what came through.
type backend struct {
	*httptest.Server
	mu   sync.Mutex
	seen []http.Header
}

func startBackend(t *testing.T) *backend {
	b := &backend{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.seen = append(b.seen, r.Header.Clone())
		_, _ = io.WriteString(w, "the API")
	}))
	t.Cleanup(b.Close)
	return b
}

// take is what came through since the last call.
func (b *backend) take() []http.Header {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := b.seen
	b.seen = nil
	return seen
}

func (b *backend) address() string { return b.Listener.Addr().String() }

// proxies start the real ones with the files of examples; the proxy is to listen
// at the address.
var proxies = map[string]func(t *testing.T, listen, latchkey, backend, token string) *exec.Cmd{
	"nginx": func(t *testing.T, listen, latchkey, backend, token string) *exec.Cmd {
		dir := t.TempDir()
		place(t, dir, "nginx.conf", read(t, "nginx/nginx.conf"))
		place(t, dir, "listen.conf", "listen "+listen+";")
		addresses := strings.NewReplacer("127.0.0.1:8080", latchkey, "127.0.0.1:9000", backend, "lkgw_live_REPLACE", token)
		place(t, dir, "addresses.conf", addresses.Replace(read(t, "nginx/addresses.conf")))
		return exec.CommandContext(t.Context(), program(t, "nginx"), "-p", dir, "-e", "stderr", "-c", "nginx.conf", "-g", "daemon off;")
	},
	"caddy": func(t *testing.T, listen, latchkey, backend, token string) *exec.Cmd {
		c := exec.CommandContext(t.Context(), program(t, "caddy"), "run", "--adapter", "caddyfile", "--config", "Caddyfile")
		return in(c, "caddy", "LISTEN=:"+listen[strings.LastIndexByte(listen, 0x3a)+1:], "LATCHKEY="+latchkey, "BACKEND="+backend, "LATCHKEY_GATEWAY_TOKEN="+token,
			"XDG_DATA_HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir())
	},
	"haproxy": func(t *testing.T, listen, latchkey, backend, token string) *exec.Cmd {
		c := exec.CommandContext(t.Context(), program(t, "haproxy"), "-db", "-f", "haproxy.cfg")
		return in(c, "haproxy", "LISTEN="+listen, "LATCHKEY="+latchkey, "BACKEND="+backend, "LATCHKEY_GATEWAY_TOKEN="+token)
	},
}

func in(c *exec.Cmd, dir string, environment ...string) *exec.Cmd {
	c.Dir, c.Env = filepath.Join(examples, dir), append(c.Environ(), environment...)
	return c
}

func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil {
		t.Fatalf("%v: scripts/test installs it on Debian as root", err)
	}
	return path
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(examples, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func place(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// startProxy starts a proxy on a free port, and waits until it takes connections.
func startProxy(t *testing.T, name, latchkey, backend, token string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	_ = l.Close()
	var output bytes.Buffer
	c := proxies[name](t, address, latchkey, backend, token)
	c.Stdout, c.Stderr = &output, &output
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 10 * time.Second
	ctx, stop := context.WithCancel(context.Background())
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = c.Wait() // however it ended
		close(ended)
		stop()
	}()
	t.Cleanup(func() {
		_ = c.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = c.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Log(output.String())
		}
	})
	for ctx.Err() == nil {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
			return address
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s ended at once", name)
	return ""
}

// ask sends a request as it is written, and reads the answer.
func ask(t *testing.T, address, target string, headers ...string) *http.Response {
	t.Helper()
	return askAs(t, address, "GET "+target+" HTTP/1.1", "api.example.com", headers...)
}

func askAs(t *testing.T, address, line, host string, headers ...string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	lines := append([]string{line, "Host: " + host}, headers...)
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	return answer
}

const spoofed = "usr_spoofed"

// forms are the twelve ways in which a client tries to say who it is.
var forms = map[string][]string{
	"dash":             {"X-Latchkey-Subject: " + spoofed},
	"lower case":       {"x-latchkey-subject: " + spoofed},
	"upper case":       {"X-LATCHKEY-SUBJECT: " + spoofed},
	"underscore":       {"X_Latchkey_Subject: " + spoofed},
	"mixed underscore": {"X-Latchkey_Subject: " + spoofed},
	"dot":              {"X.Latchkey.Subject: " + spoofed},
	"mixed dot":        {"X-Latchkey.Subject: " + spoofed},
	"twice":            {"X-Latchkey-Subject: " + spoofed, "X-Latchkey-Subject: " + spoofed},
	"twice, mixed":     {"X-Latchkey-Subject: " + spoofed, "x_latchkey_subject: " + spoofed},
	"hop by hop":       {"X-Latchkey-Subject: " + spoofed, "Connection: close, X-Latchkey-Subject"},
	"empty one":        {"X-Latchkey-Assertion: " + spoofed, "X-Latchkey-Role: " + spoofed, "X_Latchkey_Role: " + spoofed},
	"the verdict":      {"X-Latchkey-Code: " + spoofed, "x_latchkey_code: " + spoofed},
}

// places are where each shows its token, if not in the path.
var places = map[string]object{"nginx": {"credential": "header"}}

func TestProxies(t *testing.T) {
	for name := range proxies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, api := startAuthority(t), startBackend(t)
			at := startProxy(t, name, a.relay.address(), api.address(), a.gateway(name, places[name]))
			id, secret := a.key(nil)
			_, weak := a.key(object{"scopes": []string{"other"}})
			_, elsewhere := a.key(object{"restrictions": object{"addresses": []string{"192.0.2.0/24"}}})
			_, here := a.key(object{"restrictions": object{"addresses": []string{"127.0.0.1"}}})
			_, planted := a.key(object{"restrictions": object{"resources": object{"plant": []string{"11111111-1111-4111-8111-111111111111"}}}})

			for _, c := range []struct {
				name, target string
				headers      []string
				status       int
				code         string
			}{
				{"allowed", "/v1/plants/1?x=/v1/none", []string{"Authorization: Bearer " + secret}, 200, ""},
				{"allowed by the other header", "/v1/plants/1", []string{"X-API-Key: " + secret}, 200, ""},
				{"the same key in both", "/v1/plants/1", []string{"X-API-Key: " + secret, "Authorization: Bearer " + secret}, 200, ""},
				{"no key", "/v1/plants/1", nil, 401, "malformed"},
				{"no key on an open route", "/open", nil, 401, "malformed"},
				{"two keys", "/v1/plants/1", []string{"X-API-Key: " + weak, "Authorization: Bearer " + secret}, 401, "malformed"},
				{"one good key and one broken header", "/v1/plants/1", []string{"X-API-Key: " + secret, "Authorization: Basic eDp5"}, 401, "malformed"},
				{"noise", "/v1/plants/1", []string{"Authorization: Bearer noise"}, 401, "malformed"},
				{"too little", "/v1/plants/1", []string{"Authorization: Bearer " + weak}, 403, "insufficient_scope"},
				{"enough for the open route", "/open", []string{"Authorization: Bearer " + weak}, 200, ""},
				{"another address", "/v1/plants/1", []string{"Authorization: Bearer " + elsewhere}, 403, "ip_not_allowed"},
				{"another address, forged", "/v1/plants/1", []string{"Authorization: Bearer " + elsewhere, "X-Forwarded-For: 192.0.2.1", "X-Real-IP: 192.0.2.1"}, 403, "ip_not_allowed"},
				{"the right address", "/v1/plants/1", []string{"Authorization: Bearer " + here}, 200, ""},
				{"its plant", "/v1/plants/11111111-1111-4111-8111-111111111111", []string{"Authorization: Bearer " + planted}, 200, ""},
				{"another plant", "/v1/plants/22222222-2222-4222-8222-222222222222", []string{"Authorization: Bearer " + planted}, 403, "resource_not_allowed"},
				{"no route", "/v2", []string{"Authorization: Bearer " + secret}, 403, "no_route"},
				{"an ambiguous path", "/v1/plants/..%2f..%2fopen", []string{"Authorization: Bearer " + secret}, 403, "no_route"},
				{"a request of its own making", "/v1/plants/1", []string{"Authorization: Bearer " + weak, "X-Original-URI: /open", "X-Forwarded-Uri: /open", "X-Forwarded-Method: PUT", "X-Original-Method: PUT"}, 403, "insufficient_scope"},
			} {
				answer := ask(t, at, c.target, c.headers...)
				through := api.take()
				if answer.StatusCode != c.status || (c.status == 200) != (len(through) == 1) {
					t.Errorf("%s: status %d, want %d; %d requests came through", c.name, answer.StatusCode, c.status, len(through))
				}
				if told := answer.Header.Get("X-Latchkey-Code"); c.code != "" && told != c.code {
					t.Errorf("%s: refused with %q, want %q", c.name, told, c.code)
				}
				for _, h := range through {
					if h.Get("Authorization") != "" || h.Get("X-Api-Key") != "" {
						t.Errorf("%s: the key came through", c.name)
					}
				}
			}
			identity(t, at, api, id, secret)
			tried := 0
			for form, headers := range forms {
				answer := ask(t, at, "/v1/plants/1", append([]string{"Authorization: Bearer " + secret}, headers...)...)
				for _, h := range api.take() {
					tried++
					if text := fmt.Sprint(h); strings.Contains(text, spoofed) {
						t.Errorf("%s: came through: %s", form, text)
					}
				}
				if answer.StatusCode != 200 && answer.StatusCode != 400 {
					t.Errorf("%s: status %d", form, answer.StatusCode)
				}
			}
			if len(forms) != 12 || tried == 0 {
				t.Errorf("%d forms, of which %d came to the API", len(forms), tried)
			}
			signedThrough(t, a, at, api)
			a.manage("POST", "/v1/keys/"+id+"/revoke", object{}, 200)
			if answer := ask(t, at, "/v1/plants/1", "Authorization: Bearer "+secret); answer.StatusCode != 401 || len(api.take()) > 0 {
				t.Errorf("the request after the revocation: %d", answer.StatusCode)
			}
			a.relay.cut()
			for range 3 {
				if answer := ask(t, at, "/open", "Authorization: Bearer "+weak); answer.StatusCode != 503 || len(api.take()) > 0 {
					t.Errorf("without Latchkey: %d", answer.StatusCode)
				}
			}
		})
	}
}

// identity wants the API to be told who it is.
func identity(t *testing.T, at string, api *backend, id, secret string) {
	t.Helper()
	ask(t, at, "/v1/plants/1", "Authorization: Bearer "+secret)
	through := api.take()
	if len(through) != 1 {
		t.Fatalf("%d requests came through", len(through))
	}
	for name, want := range map[string]string{
		"X-Latchkey-Subject": id, "X-Latchkey-Key-Id": id, "X-Latchkey-Partner": "%C3%84%20%26%20B", "X-Latchkey-Scopes": "plants:read other",
		"X-Latchkey-Role": "", "X-Latchkey-Assertion": "",
	} {
		if got := through[0].Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}
