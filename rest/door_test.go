package rest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
)

// bodies are bodies that each operation takes, by operation.
var bodies = map[string]object{
	"createKey":            {"name": "A key"},
	"updateKey":            {"name": "Another name"},
	"revokeKey":            {"reason": "done"},
	"rotateKey":            {"overlap": "1h"},
	"revealKey":            {"reason": "lost"},
	"batchCreateKeys":      {"items": []object{{"name": "One"}, {"name": "Two"}}},
	"importKeys":           {"scheme": "sha256", "items": []object{{"name": "Foreign", "digest": strings.Repeat("ab", 32)}}},
	"revokeSelf":           {"key": "nobody's"},
	"verifyKey":            {"key": "nobody's"},
	"explainKey":           {"key": "nobody's"},
	"batchVerifyKeys":      {"items": []object{{"key": "nobody's"}}},
	"createOrganization":   {"name": "Tenant"},
	"updateOrganization":   {"name": "Tenant"},
	"createProject":        {"name": "Project"},
	"updateProject":        {"name": "Project"},
	"createUser":           {"name": "Service", "kind": "service"},
	"updateUser":           {"name": "Service"},
	"createRole":           {"identifier": "made", "name": "Made", "permissions": []string{"docs:read"}},
	"updateRole":           {"name": "Made"},
	"createGateway":        gatewayBody("Made"),
	"createIssuer":         issuerBody("Made"),
	"updateIssuer":         {"name": "Made"},
	"updateGateway":        {"name": "Made"},
	"retireKeyRingVersion": {"force": false},
	"rotateTokenKeys":      {"now": true},
}

// bodyOf is a body that the operation takes; nil if it takes none.
func (h *house) bodyOf(r route) any {
	h.Helper()
	if r.RequestBody == nil {
		return nil
	}
	body, known := bodies[r.OperationID]
	if !known {
		h.Fatalf("give bodies a body for %s", r.OperationID)
	}
	return body
}

// emptyAllowed are the operations that can be called without a body.
var emptyAllowed = []string{"revokeKey", "rotateKey", "retireKeyRingVersion", "rotateTokenKeys"}

// bodyLimit is how many bytes the operation's body may have.
func bodyLimit(operation string) int {
	switch operation {
	case "verifyKey", "explainKey", "revokeSelf":
		return 16 << 10
	case "batchVerifyKeys", "batchCreateKeys", "importKeys":
		return 1 << 20
	}
	return 64 << 10
}

// withBody are the operations that take a body, with a path to each.
func (h *house) withBody() map[route]string {
	paths := map[route]string{}
	for _, r := range h.routes() {
		if r.RequestBody == nil {
			continue
		}
		kind := map[string]string{"keys": "key", "organizations": "org", "projects": "prj", "users": "usr", "roles": "role"}[strings.Split(r.path, "/")[2]]
		paths[r] = r.to(kind + "_0d5qh0w2e9x8v3k7m1ac")
	}
	return paths
}

// breaks fails the test unless the answer names that one broken rule at that
// place, in words of its own.
func (a answer) breaks(status int, code latchkey.ErrorCode, pointer, rule string) {
	a.h.Helper()
	a.refused(status, code)
	list, _ := a.at("errors").([]any)
	if len(list) != 1 || a.text("errors", 0, "pointer") != pointer || a.text("errors", 0, "code") != rule || len(a.text("errors", 0, "detail")) < 10 {
		a.h.Errorf("want the one rule %s at %q: %s", rule, pointer, a.Text)
	}
}

func TestBodiesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	const secret = "s3cr3t-that-nobody-repeats-aaaaaaaaaaaaaaaaaaaaaaaaaaa"
	for r, path := range h.withBody() {
		for _, test := range []struct {
			name, body, pointer, rule string
		}{
			{"not JSON", `{"name": ` + secret + `}`, "/name", "syntax"},
			{"cut off", `{"name": "` + secret, "/name", "syntax"},
			{"no object", `["` + secret + `"]`, "", "not_an_object"},
			{"a text", `"` + secret + `"`, "", "not_an_object"},
			{"whitespace in front", "\u00a0{}", "", "syntax"},
			{"a byte order mark", "\ufeff{}", "", "syntax"},
			{"twice the same member", `{"name":"` + secret + `","name":"b"}`, "/name", "duplicate"},
			{"twice the same member in another spelling", `{"name":"a","\u006eame":"b"}`, "/name", "duplicate"},
			{"twice within", `{"x":{"y":[{"z":1,"z":2}]}}`, "/x/y/0/z", "duplicate"},
			{"an unknown member", `{"nonsense":"` + secret + `"}`, "/nonsense", "unknown_member"},
			{"a member in capitals", `{"NAME":"a"}`, "/NAME", "unknown_member"},
			{"a secret for a name", `{"` + secret + `":1}`, "", "unknown_member"},
			{"something after it", `{} {"name":"` + secret + `"}`, "", "trailing"},
			{"a comma after it", `{},`, "", "trailing"},
			{"no UTF-8", "{\"x\":\"\xff" + secret + "\"}", "/x", "utf8"},
			{"a surrogate in UTF-8", "{\"x\":\"\xed\xa0\x80\"}", "/x", "utf8"},
			{"half a surrogate pair", `{"x":"\ud800"}`, "/x", "utf8"},
			{"too deep", `{"x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`, "/x" + strings.Repeat("/0", 31), "depth"},
			{"as deep as may be", `{"x":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`, "/x", "unknown_member"},
			{"a number of no end", `{"x":1e}`, "/x", "syntax"},
		} {
			a := root.do(r.method, path, test.body)
			a.breaks(400, latchkey.CodeMalformedBody, test.pointer, test.rule)
			if strings.Contains(a.Text, "s3cr3t") || t.Failed() {
				t.Fatalf("%s %s, %s: %s", r.method, path, test.name, a.Text)
			}
		}
		if !slices.Contains(emptyAllowed, r.OperationID) {
			root.do(r.method, path, "").breaks(400, latchkey.CodeMalformedBody, "", "empty")
			root.do(r.method, path, " \r\n\t").breaks(400, latchkey.CodeMalformedBody, "", "empty")
			root.do(r.method, path, "null").breaks(400, latchkey.CodeMalformedBody, "", "not_an_object")
		}
	}
}

// U+0000 is refused where it would be stored, and compared where it is compared.
func TestNUL(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	for r, path := range h.withBody() {
		a := root.do(r.method, path, `{"x\u0000":1}`)
		switch r.OperationID {
		case "verifyKey", "explainKey", "batchVerifyKeys":
			a.breaks(400, latchkey.CodeMalformedBody, "", "unknown_member")
		default:
			a.breaks(400, latchkey.CodeMalformedBody, "", "nul")
		}
	}
	root.do("POST", "/v1/keys", `{"name":"a","metadata":{"x":["\u0000"]}}`).breaks(400, latchkey.CodeMalformedBody, "/metadata/x/0", "nul")
	if code := root.do("POST", "/v1/keys/verify", `{"key":"\u0000"}`).must(200).text("code"); code != "malformed" {
		t.Errorf("a key that is U+0000: %s", code)
	}
}

func TestMembersOfAWrongType(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	tried := 0
	for r, path := range h.withBody() {
		schema := r.RequestBody.Value.Content["application/json"].Schema.Value
		for name, member := range schema.Properties {
			var wrong []any
			switch {
			case member.Value.OneOf != nil:
				wrong = []any{5, "docs:read", true}
			case member.Value.Type == nil: // anything
				continue
			case member.Value.Type.Includes("string"):
				wrong = []any{5, true, []any{}, object{}}
			case member.Value.Type.Includes("integer"):
				wrong = []any{"5", true, []any{}, object{}, 1.5}
			case member.Value.Type.Includes("boolean"):
				wrong = []any{"true", 1, []any{}, object{}}
			case member.Value.Type.Includes("array"):
				wrong = []any{"a", 1, true, object{}}
			case member.Value.Type.Includes("object"):
				wrong = []any{"a", 1, true, []any{}}
			default:
				t.Fatalf("%s: what is the type of %s?", r.OperationID, name)
			}
			for _, value := range wrong {
				root.do(r.method, path, object{name: value}).breaks(400, latchkey.CodeMalformedBody, "/"+name, "wrong_type")
				tried++
			}
		}
	}
	if tried < 100 {
		t.Fatalf("only %d members of a wrong type were tried", tried)
	}
	for _, test := range []struct{ path, body, pointer, rule string }{
		{"/v1/keys", `{"name":"a","scopes":[1]}`, "/scopes/0", "wrong_type"},
		{"/v1/keys", `{"name":"a","scopes":[null]}`, "/scopes/0", "wrong_type"},
		{"/v1/keys", `{"name":null}`, "/name", "wrong_type"},
		{"/v1/keys", `{"name":"a","retrievable":null}`, "/retrievable", "wrong_type"},
		{"/v1/keys", `{"name":"a","restrictions":{"addresses":"10.0.0.1"}}`, "/restrictions/addresses", "wrong_type"},
		{"/v1/keys", `{"name":"a","restrictions":{"ips":[]}}`, "/restrictions/ips", "unknown_member"},
		{"/v1/keys", `{"name":"a","restrictions":{"resources":{"plant":"x"}}}`, "/restrictions/resources/plant", "wrong_type"},
		{"/v1/keys", `{"name":"a","restrictions":{"resources":{"plant":[1]}}}`, "/restrictions/resources/plant/0", "wrong_type"},
		{"/v1/keys", `{"name":"a","expires_at":"tomorrow"}`, "/expires_at", "format"},
		{"/v1/keys", `{"name":"a","expires_at":"2026-01-02"}`, "/expires_at", "format"},
		{"/v1/keys", `{"name":"a","expires_at":"2026-01-02T03:04:05"}`, "/expires_at", "format"},
		{"/v1/keys", `{"name":"a","expires_at":"2026-02-30T03:04:05Z"}`, "/expires_at", "format"},
		{"/v1/keys", `{"name":"a","expires_at":"2026-01-02t03:04:05z"}`, "/expires_at", "format"},
		{"/v1/keys", `{"name":"a","expires_at":""}`, "/expires_at", "format"},
		{"/v1/keys", `{"name":"a","expires_at":"0001-01-01T00:00:00Z"}`, "/expires_at", "format"}, // "never" is not spelled so
		{"/v1/keys/batch-create", `{"items":[{"name":"a"},{"nom":"b"}]}`, "/items/1/nom", "unknown_member"},
		{"/v1/keys/batch-create", `{"items":[{"name":"a"},null]}`, "/items/1", "wrong_type"},
		{"/v1/keys/import", `{"items":[{"digest":5}]}`, "/items/0/digest", "wrong_type"},
		{"/v1/keys/verify", `{"key":"a","scopes":{"none":[]}}`, "/scopes/none", "unknown_member"},
		{"/v1/keys/verify", `{"key":"a","scopes":{"all":"docs:read"}}`, "/scopes/all", "wrong_type"},
		{"/v1/keys/verify", `{"key":"a","scopes":[[]]}`, "/scopes/0", "wrong_type"},
		{"/v1/keys/verify", `{"key":"a","resource":{"kind":"plant"}}`, "/resource/kind", "unknown_member"},
		{"/v1/keys/batch-verify", `{"items":[{"key":"a"},{"key":["b"]}]}`, "/items/1/key", "wrong_type"},
		{"/v1/keys/key_0d5qh0w2e9x8v3k7m1ac/rotate", `{"overlap":"one day"}`, "/overlap", "format"},
		{"/v1/keys/key_0d5qh0w2e9x8v3k7m1ac/rotate", `{"overlap":"24"}`, "/overlap", "format"},
		{"/v1/keys/key_0d5qh0w2e9x8v3k7m1ac/revoke", `{"wait":"2 s"}`, "/wait", "format"},
		{"/v1/users", `{"name":"a","roles":[{"role":1}]}`, "/roles/0/role", "wrong_type"},
		{"/v1/roles", `{"identifier":"ab","name":"a","rank":99999999999999999999}`, "/rank", "range"},
		{"/v1/roles", `{"identifier":"ab","name":"a","rank":1e0}`, "/rank", "wrong_type"},
	} {
		root.do("POST", test.path, test.body).breaks(400, latchkey.CodeMalformedBody, test.pointer, test.rule)
	}
}

func TestContentTypes(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	for r, path := range h.withBody() {
		send := func(headers ...string) answer {
			c := root
			for _, header := range headers {
				name, value, _ := strings.Cut(header, ": ")
				c = c.with(name, value)
			}
			text, err := json.Marshal(bodies[r.OperationID])
			if err != nil {
				t.Fatal(err)
			}
			request, err := http.NewRequestWithContext(t.Context(), r.method, c.url+path, bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			request.Header = c.header.Clone()
			if request.Header == nil {
				request.Header = http.Header{}
			}
			request.Header.Set("Authorization", "Bearer "+h.root)
			return h.send(request)
		}
		for _, good := range [][]string{
			{"Content-Type: application/json"}, {"Content-Type: application/json; charset=utf-8"}, {"Content-Type: Application/JSON;charset=\"UTF-8\""},
			{"Content-Type: application/json", "Content-Encoding: identity"},
		} {
			if a := send(good...); a.Status == 415 {
				t.Errorf("%s with %q: %s", r.OperationID, good, a.Text)
			}
		}
		for _, bad := range [][]string{
			{"Content-Type: text/plain"}, {"Content-Type: application/x-www-form-urlencoded"}, {"Content-Type: application/json; charset=latin1"},
			{"Content-Type: application/json; v=1"}, {"Content-Type: application/merge-patch+json"}, {"Content-Type: multipart/form-data"},
			{"Content-Type: "}, {"Content-Type: application/json", "Content-Type: application/json"},
			{"Content-Type: application/json", "Content-Encoding: gzip"}, {"Content-Type: application/json, text/plain"},
		} {
			send(bad...).refused(415, latchkey.CodeUnsupportedMediaType)
		}
		if a := send(); (a.Status == 415) == slices.Contains(emptyAllowed, r.OperationID) {
			t.Errorf("%s without a content type: %d", r.OperationID, a.Status)
		}
	}
}

// endless is a body whose end is not known, so that it comes in chunks.
type endless struct{ io.Reader }

func TestBodySizes(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	for r, path := range h.withBody() {
		limit := bodyLimit(r.OperationID)
		text, err := json.Marshal(bodies[r.OperationID])
		if err != nil {
			t.Fatal(err)
		}
		send := func(size int, chunked bool) answer {
			padded := append(slices.Clone(text), bytes.Repeat([]byte(" "), size-len(text))...)
			var reader io.Reader = bytes.NewReader(padded)
			if chunked {
				reader = endless{reader}
			}
			request, err := http.NewRequestWithContext(t.Context(), r.method, root.url+path, reader)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "application/json")
			request.Header.Set("Authorization", "Bearer "+h.root)
			return h.send(request)
		}
		for _, chunked := range []bool{false, true} {
			if a := send(limit, chunked); a.Status == 413 || a.Status == 400 {
				t.Errorf("%s with %d bytes, chunked %v: %s", r.OperationID, limit, chunked, a.Text)
			}
			a := send(limit+1, chunked)
			a.refused(413, latchkey.CodeTooLarge)
			if !strings.Contains(a.text("detail"), strconv.Itoa(limit)) {
				t.Errorf("%s does not tell its bound: %s", r.OperationID, a.Text)
			}
		}
	}
}

// What announces more than the bound is refused before it is sent.
func TestAnnouncedSizeIsEnough(t *testing.T) {
	t.Parallel()
	h := open(t)
	a := h.raw("POST /v1/keys HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + h.root + "\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n{")
	a.refused(413, latchkey.CodeTooLarge)
}

// An operation without a body takes none; one that reads ignores it.
func TestBodiesWhereThereIsNone(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	for _, r := range h.routes() {
		if r.RequestBody != nil {
			continue
		}
		path := r.to("key_0d5qh0w2e9x8v3k7m1ac")
		a := root.do(r.method, path, "{}")
		if r.method == "GET" {
			if b := root.do(r.method, path, nil); a.Status != b.Status {
				t.Errorf("GET %s: %d with a body, %d without", path, a.Status, b.Status)
			}
			continue
		}
		a.refused(400, latchkey.CodeMalformedBody)
	}
}

// A body that ends before its announced length is not taken for a whole one.
func TestBodyThatEndsEarly(t *testing.T) {
	t.Parallel()
	h := open(t)
	conn, err := net.Dial("tcp", h.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const whole = `{"name":"Half of it"}`
	_, err = io.WriteString(conn, "POST /v1/keys HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "+h.root+"\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"+whole)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), "HTTP/1.1 400 ") || !strings.Contains(string(text), `"code":"incomplete"`) {
		t.Errorf("%s", text)
	}
	if found := h.as(h.root).do("GET", "/v1/keys?search=Half", nil).must(200); len(found.at("data").([]any)) != 0 {
		t.Errorf("half a body made a key: %s", found.Text)
	}
}
