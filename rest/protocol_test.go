package rest_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"latchkey.dev/latchkey"

	"net/http"
	"strings"
)

// storable are the paths whose answers are the same for everyone.
var storable = []string{"/openapi.json", "/docs", "/.well-known/jwks.json", "/.well-known/jwks"}

// keepsTheProtocol holds an answer against what is promised of all of them.
func (a answer) keepsTheProtocol(r *http.Request) {
	a.h.Helper()
	wrong := func(format string, args ...any) {
		a.h.Helper()
		a.h.Errorf(r.Method+" "+r.URL.Path+": "+format+"\n%d %v %s", append(args, a.Status, a.Header, a.Text)...)
	}
	if a.Status >= 500 && a.Status != http.StatusServiceUnavailable && !a.h.faulty {
		wrong("a fault of ours")
	}
	if a.Header.Get("X-Request-Id") == "" {
		wrong("no request id")
	}
	if a.Header.Get("X-Content-Type-Options") != "nosniff" {
		wrong("the type may be guessed at")
	}
	if !slices.Contains(storable, r.URL.Path) && a.Header.Get("Cache-Control") != "no-store" {
		wrong("the answer may be stored")
	}
	for name := range a.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			wrong("a header of CORS: %s", name)
		}
	}
	if a.Status == http.StatusUnauthorized && !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Bearer ") {
		wrong("401 without a challenge")
	}
	if (a.Status == http.StatusTooManyRequests || a.Status == http.StatusServiceUnavailable) && a.Header.Get("Retry-After") == "" {
		wrong("no word of when to try again")
	}
	if a.Status < 400 {
		return
	}
	if a.Header.Get("Content-Type") != "application/problem+json" {
		wrong("a refusal that is no problem")
	}
	if r.Method == http.MethodHead {
		return
	}
	if a.JSON["status"] != float64(a.Status) || a.text("request_id") != a.Header.Get("X-Request-Id") ||
		a.text("type") != "/docs#"+a.text("code") || a.text("title") == "" || a.text("detail") == "" {
		wrong("a problem that does not say what it must")
	}
}

// raw sends bytes over a connection of its own and reads one answer: for what a
// client library would not send.
func (h *house) raw(request string) answer {
	h.Helper()
	conn, err := net.Dial("tcp", h.server.Listener.Addr().String())
	if err != nil {
		h.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		h.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		h.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		h.Fatal(err)
	}
	a := answer{h: h, Status: res.StatusCode, Header: res.Header, Text: string(text)}
	_ = json.Unmarshal(text, &a.JSON)
	return a
}

// route is an operation of the document.
type route struct {
	method, path string
	*openapi3.Operation
}

// routes lists the operations of the document.
func (h *house) routes() []route {
	var all []route
	for path, item := range h.document.Paths.Map() {
		for method, op := range item.Operations() {
			all = append(all, route{method, path, op})
		}
	}
	slices.SortFunc(all, func(a, b route) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	return all
}

// to is the route's path with an id in it.
func (r route) to(id string) string {
	return strings.NewReplacer("{id}", id, "{version}", id).Replace(r.path)
}

func TestPathsThatAreNotThere(t *testing.T) {
	t.Parallel()
	h := open(t)
	for _, path := range []string{
		"/", "/v1", "/v1/", "/v1/keys/", "//v1/keys", "/v1//keys", "/v1/./keys", "/v1/../v1/keys", "/v1/keys/%2e%2e/keys", "/v1/keys/..", "/V1/keys",
		"/v1/keys/x/y/z", "/v2/keys", "/healthz/", "/docs/", "/docs/index.html", "/openapi.yaml", "/v1/keys;x", "/v1/keys%20", "/v1/keys%00", "*", "/*",
		"/v1/keys/" + strings.Repeat("k", 100_000) + "/x", "http://elsewhere.example/v1/nothing",
	} {
		for _, method := range []string{"GET", "POST", "DELETE", "OPTIONS", "BREW"} {
			if method == "OPTIONS" && path == "*" {
				continue // about the server, not about a path: net/http answers it
			}
			a := h.raw(method + " " + path + " HTTP/1.1\r\nHost: authority.example\r\nContent-Length: 0\r\n\r\n")
			a.refused(404, latchkey.CodeNotFound)
			a.keepsTheProtocol(&http.Request{Method: method, URL: &url.URL{Path: path}})
			if a.Header.Get("Location") != "" {
				t.Errorf("%s %s leads elsewhere: %s", method, path, a.Header.Get("Location"))
			}
		}
	}
}

func TestMethodsOfEveryPath(t *testing.T) {
	t.Parallel()
	h := open(t)
	allowed := map[string][]string{"/openapi.json": {"GET"}, "/docs": {"GET"}, "/.well-known/jwks": {"GET"}}
	for _, r := range h.routes() {
		allowed[r.path] = append(allowed[r.path], r.method)
	}
	for path, methods := range allowed {
		if slices.Contains(methods, "GET") {
			methods = append(methods, "HEAD")
		}
		slices.Sort(methods)
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get"} {
			if slices.Contains(methods, method) {
				continue
			}
			a := h.raw(method + " " + route{path: path}.to("x") + " HTTP/1.1\r\nHost: authority.example\r\nContent-Length: 0\r\nOrigin: https://elsewhere.example\r\nAccess-Control-Request-Method: POST\r\n\r\n")
			if method != "HEAD" { // which has no body to look at
				a.refused(405, latchkey.CodeMethodNotAllowed)
			}
			a.must(405).keepsTheProtocol(&http.Request{Method: method, URL: &url.URL{Path: path}})
			if got := a.Header.Get("Allow"); got != strings.Join(methods, ", ") {
				t.Errorf("%s %s: Allow %q, want %q", method, path, got, methods)
			}
		}
	}
}

func TestHEADIsGETWithoutBody(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	for _, r := range h.routes() {
		if r.method != "GET" {
			continue
		}
		get, head := root.do("GET", r.to("x"), nil), root.do("HEAD", r.to("x"), nil)
		if head.Status != get.Status || head.Text != "" || head.Header.Get("Content-Length") != strconv.Itoa(len(get.Text)) ||
			head.Header.Get("Content-Type") != get.Header.Get("Content-Type") {
			t.Errorf("%s: HEAD %d %v, GET %d %v", r.path, head.Status, head.Header, get.Status, get.Header)
		}
	}
	stream := root.with("Accept", "text/event-stream").do("HEAD", "/v1/events", nil).must(200)
	if stream.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("the head of a stream: %v", stream.Header)
	}
}

// A malformed id names nothing, like a well-formed one that was never given.
func TestMalformedIDsAreUnknown(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	bound := h.boundToProject()
	kinds := map[string]latchkey.Kind{"keys": "key", "organizations": "org", "projects": "prj", "users": "usr", "roles": "role", "keyring": ""}
	for _, r := range h.routes() {
		if !strings.Contains(r.path, "{") {
			continue
		}
		kind := kinds[strings.Split(r.path, "/")[2]]
		unknown := string(kind) + "_0d5qh0w2e9x8v3k7m1ac"
		malformed := []string{
			"key", string(kind) + "_", string(kind) + "_0d5qh0w2e9x8v3k7m1a", strings.ToUpper(unknown), "evt_0d5qh0w2e9x8v3k7m1ac",
			string(kind) + "_00000000000000000000", string(kind) + "_zzzzzzzzzzzzzzzzzzzz", "0123456789abcdef01234567", "01234567-89ab-8cde-8123-456780000000",
			"%00", "a%2fb", "%F0%9F%94%91", "1e3", "-1", "99999999999999999999", strings.Repeat("k", 300), unknown + "%20", "null",
		}
		if kind == "" {
			unknown = "77"
		}
		for _, body := range []any{h.bodyOf(r), object{"nonsense": true}} {
			if r.RequestBody == nil {
				body = nil
			}
			for _, as := range []caller{root, bound} {
				want := as.do(r.method, r.to(unknown), body)
				for _, id := range malformed {
					got := as.do(r.method, r.to(id), body)
					if got.Status != want.Status || got.text("code") != want.text("code") || !reflect.DeepEqual(got.at("errors"), want.at("errors")) {
						t.Errorf("%s %s with id %q: %d %s, with an unknown one %d %s", r.method, r.path, id, got.Status, got.Text, want.Status, want.Text)
					}
				}
				if r.RequestBody == nil && as.key == h.root {
					want.refused(404, latchkey.CodeNotFound)
				}
			}
		}
	}
}

// boundToProject is a caller with every permission in one project alone.
func (h *house) boundToProject() caller {
	h.Helper()
	made := h.as(h.root).do("POST", "/v1/keys", object{"name": "Of one project", "role": "admin"}).must(201)
	return h.as(made.text("secret"))
}

// The name by which a client calls the authority has no say in anything.
func TestHostIsNotLookedAt(t *testing.T) {
	t.Parallel()
	h := open(t)
	for _, host := range []string{"", "evil.example", "evil.example:1", "[::1]:80", "EVIL.example.", "127.0.0.1", "a.b.c.d.e.f", "xn--80ak6aa92e.com"} {
		for _, path := range []string{"/v1/keys", "/healthz", "/openapi.json", "/docs", "/nothing"} {
			a := h.raw("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nX-Forwarded-Host: evil.example\r\nAuthorization: Bearer " + h.root + "\r\n\r\n")
			want := h.raw("GET " + path + " HTTP/1.1\r\nHost: authority\r\nAuthorization: Bearer " + h.root + "\r\n\r\n")
			if a.Status != want.Status || strings.Contains(strings.ToLower(a.Text), "evil") || strings.Contains(a.Header.Get("Location"), "evil") {
				t.Errorf("%s for host %q: %d %v", path, host, a.Status, a.Header)
			}
		}
	}
	for _, host := range []string{"a b", "a/b", "a\x01b"} {
		if a := h.raw("GET /healthz HTTP/1.1\r\nHost: " + host + "\r\n\r\n"); a.Status != 400 {
			t.Errorf("host %q: %d", host, a.Status)
		}
	}
}

// A header that says who asks, or for whom, stands once.
func TestCredentialHeaders(t *testing.T) {
	t.Parallel()
	h := open(t)
	org := h.operator.Operator.Native(latchkey.KindOrganization)
	good := "Authorization: Bearer " + h.root
	for _, test := range []struct {
		name, headers string
		status        int
		code          latchkey.ErrorCode
		pointer       []string
	}{
		{"good", good, 200, "", nil},
		{"the scheme in another case", "authorization: bEARER " + h.root, 200, "", nil},
		{"none", "", 401, latchkey.CodeUnauthenticated, nil},
		{"empty", "Authorization:", 401, latchkey.CodeUnauthenticated, nil},
		{"no scheme", "Authorization: " + h.root, 401, latchkey.CodeUnauthenticated, nil},
		{"the scheme alone", "Authorization: Bearer", 401, latchkey.CodeUnauthenticated, nil},
		{"another scheme", "Authorization: Basic " + h.root, 401, latchkey.CodeUnauthenticated, nil},
		{"two spaces", "Authorization: Bearer  " + h.root, 401, latchkey.CodeUnauthenticated, nil},
		{"a comma", good + "," + h.root, 401, latchkey.CodeUnauthenticated, nil},
		{"a tail", good + " x", 401, latchkey.CodeUnauthenticated, nil},
		{"the same twice", good + "\r\n" + good, 401, latchkey.CodeUnauthenticated, nil},
		{"a bad one beside it", good + "\r\nAuthorization: Bearer x", 401, latchkey.CodeUnauthenticated, nil},
		{"in another header", "X-API-Key: " + h.root, 401, latchkey.CodeUnauthenticated, nil},
		{"a last character more", good + "x", 401, latchkey.CodeUnauthenticated, nil},
		{"its organization", good + "\r\nLatchkey-Organization: " + org, 200, "", nil},
		{"an organization twice", good + "\r\nLatchkey-Organization: " + org + "\r\nLatchkey-Organization: " + org, 422, latchkey.CodeInvalid, []string{"header:Latchkey-Organization"}},
		{"a list of organizations", good + "\r\nLatchkey-Organization: " + org + ", " + org, 422, latchkey.CodeInvalid, []string{"header:Latchkey-Organization"}},
		{"an empty organization", good + "\r\nLatchkey-Organization:", 422, latchkey.CodeInvalid, []string{"header:Latchkey-Organization"}},
		{"its UUID", good + "\r\nLatchkey-Organization: " + h.operator.Operator.UUID(), 422, latchkey.CodeInvalid, []string{"header:Latchkey-Organization"}},
		{"an unknown organization", good + "\r\nLatchkey-Organization: org_0d5qh0w2e9x8v3k7m1ac", 404, latchkey.CodeNotFound, nil},
	} {
		h.run(test.name, func() {
			a := h.raw("GET /v1/projects HTTP/1.1\r\nHost: authority\r\n" + strings.TrimSuffix(test.headers+"\r\n", "\r\n\r\n") + "\r\n")
			if test.status == 200 {
				a.must(200)
				return
			}
			a.refused(test.status, test.code, test.pointer...)
			a.keepsTheProtocol(&http.Request{Method: "GET", URL: &url.URL{Path: "/v1/projects"}})
		})
	}
	if a := h.raw("GET /v1/projects?access_token=" + h.root + " HTTP/1.1\r\nHost: authority\r\n\r\n"); a.Status != 401 {
		t.Errorf("a credential in the query was looked at: %d", a.Status)
	}
}

func TestRequestIDsAreOfOneRequestAlone(t *testing.T) {
	t.Parallel()
	h := open(t)
	seen := map[string]bool{}
	for range 50 {
		id := h.as("").with("X-Request-Id", "given-by-the-client").do("GET", "/healthz", nil).must(200).Header.Get("X-Request-Id")
		if len(id) != 16 || seen[id] {
			t.Fatalf("request id %q, again: %v", id, seen[id])
		}
		seen[id] = true
	}
	a := h.as("").do("GET", "/v1/keys", nil)
	h.logged(a.Header.Get("X-Request-Id"))
	made := h.as(h.root).do("POST", "/v1/keys", object{"name": "Logged"}).must(201)
	events := h.as(h.root).do("GET", "/v1/events?object="+made.text("key", "id"), nil).must(200)
	if events.text("data", 0, "request_id") != made.Header.Get("X-Request-Id") {
		t.Errorf("the event of request %s: %s", made.Header.Get("X-Request-Id"), events.Text)
	}
	line := h.logged(made.Header.Get("X-Request-Id"))
	caller := events.text("data", 0, "actor", "key_id")
	for _, want := range []string{"method=POST", "route=/v1/keys", "status=201", "caller=" + caller} {
		if caller == "" || !strings.Contains(line, want) {
			t.Errorf("the log line lacks %s: %s", want, line)
		}
	}
}

// logged is the log line of a request, which is written after its answer.
func (h *house) logged(requestID string) (found string) {
	h.Helper()
	h.eventually("the request is logged", func() bool {
		for line := range strings.Lines(h.log.String()) {
			if strings.Contains(line, "msg=request request_id="+requestID+" ") {
				found = line
			}
		}
		return found != ""
	})
	return found
}

// eventually waits for what happens beside the answers. How long that takes
// decides nothing: only what never happens fails.
func (h *house) eventually(what string, happened func() bool) {
	h.Helper()
	for deadline := time.Now().Add(time.Minute); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.Fatalf("never came about: %s", what)
		}
	}
}
