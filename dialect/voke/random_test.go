package voke_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// requests is how many TestGeneratedRequests makes. LATCHKEY_REQUESTS is another
// number, `make requests` has ten thousand.
func requests(t *testing.T) int {
	t.Helper()
	given := os.Getenv("LATCHKEY_REQUESTS")
	if given == "" {
		return 1500
	}
	n, err := strconv.Atoi(given)
	if err != nil || n < 1 {
		t.Fatalf("LATCHKEY_REQUESTS is %q", given)
	}
	return n
}

// TestGeneratedRequests makes requests of every sort: valid, at the bounds and
// beyond them, of wrong types, with members missing, more and twice, too large,
// with several credentials. No answer is a fault of ours, and each has the form
// of the document.
func TestGeneratedRequests(t *testing.T) {
	t.Parallel()
	h := open(t)
	_, other := h.tenant()
	g := &generator{Rand: rand.New(rand.NewPCG(4, 2026)), h: h} // the same requests each time
	g.callers = []caller{
		h.admin(), h.admin(), h.admin(), h.admin().with("X-API-Key", h.AdminKey), caller{h, http.Header{}}.with("X-API-Key", h.AdminKey),
		h.admin().with("x-org-id", h.org), h.admin().with("x-org-id", "x"), other, h.admin().granted("api_key:read", "api_key:create"),
		h.as(h.admin().create().text("key")),
	}
	g.failing = []caller{
		{h, http.Header{}}, h.as("x"), h.admin().with("X-API-Key", "x"), h.admin().with("Authorization", "Bearer x"),
		h.admin().with("X-API-Key", strings.TrimPrefix(other.header.Get("Authorization"), "Bearer ")),
	}
	g.ids = []string{noUUID, "x", h.AdminKey, other.create().text("apiKey", "id"), "%20", "%ff", strings.Repeat("9", 300)}
	statuses := map[int]int{}
	for n := range requests(t) {
		q := g.request()
		got := q.caller.do(q.method, q.path, q.body)
		statuses[got.Status]++
		if err := documented(q.method, got); err != nil {
			t.Fatalf("request %d: %v\n%s %s %v\n%.2000v\n%d %.2000s", n, err, q.method, q.path, q.caller.header, q.body, got.Status, got.Text)
		}
		if got.Status == http.StatusCreated {
			g.ids = append(g.ids, got.text("apiKey", "id"))
		}
	}
	for _, status := range []int{200, 201, 400, 401, 403, 404, 429} {
		if statuses[status] == 0 {
			t.Errorf("nothing was answered with %d: %v", status, statuses)
		}
	}
	t.Logf("answers by status: %v", statuses)
}

// generator makes requests up.
type generator struct {
	*rand.Rand
	h                *house
	callers, failing []caller
	ids              []string
}

type generated struct {
	caller       caller
	method, path string
	body         any
}

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

// in reports true once in n times.
func (g *generator) in(n int) bool { return g.IntN(n) == 0 }

func (g *generator) request() generated {
	q := generated{caller: pick(g, g.callers...), method: pick(g, "GET", "POST", "POST", "DELETE"), path: keysPath}
	if g.in(20) {
		q.caller = pick(g, g.failing...)
	}
	if g.in(50) {
		q.method = pick(g, "PUT", "PATCH", "HEAD", "OPTIONS", "TRACE", "get", "QUERY")
	}
	switch q.method {
	case "DELETE":
		q.path += "/" + pick(g, strings.ToUpper, strings.ToLower)(pick(g, g.ids...))
	case "POST":
		q.caller, q.body = g.body(q.caller)
	default:
		q.path += g.query()
	}
	if g.in(50) {
		q.path += pick(g, "/", "/x", "/..", "?page=%", "//", "/"+strings.Repeat("a", 500), "?"+strings.Repeat("a=b&", 500))
	}
	return q
}

func (g *generator) query() string {
	var params []string
	for range g.IntN(4) {
		name := pick(g, "page", "limit", "page", "limit", "Page", "x", "")
		value := pick(g, "1", "2", "20", "100", "0", "-1", "101", "abc", "1.5", "", "%00", "1e3", "9007199254740991", "9007199254740992", "18446744073709551616", "%31", "null", strings.Repeat("1", 60))
		params = append(params, name+"="+value)
	}
	return "?" + strings.Join(params, "&")
}

// body is a valid one with some members made something else, or none at all.
func (g *generator) body(c caller) (caller, any) {
	if g.in(15) {
		c = c.with("Content-Type", pick(g, "text/plain", "", "application/json;charset=utf-8", "application/json; x=y", "multipart/form-data"))
	}
	if g.in(15) {
		return c, pick(g, "", "null", "[]", "{", "{}", `{"name":1}x`, `{"name":"a","name":"b"}`, "\xff", `{"a":"\ud800"}`, strings.Repeat(" ", 65<<10), strings.Repeat("[", 70), `"`+strings.Repeat("x", 70<<10)+`"`)
	}
	b := valid()
	for range g.IntN(5) {
		member := pick(g, "name", "partnerId", "scopes", "allowedIps", "allowedPlantIds", "expiresAt", "Name", "signingKey", "id", "")
		if g.in(5) {
			delete(b, member)
			continue
		}
		b[member] = g.value(2)
	}
	return c, b
}

func (g *generator) value(depth int) any {
	if depth > 0 && g.in(2) {
		list := make([]any, g.IntN(4))
		for i := range list {
			list[i] = g.value(depth - 1)
		}
		return list
	}
	return pick[any](g, nil, true, 0, -1.5, 1e300, "", " ", "x", "plants:read", "*", "grant:*", "api_key:delete", strings.Repeat("ü", 100), strings.Repeat("x", 101), strings.Repeat("s", 129),
		"a b", "\x00", "\n", "192.0.2.1", "192.0.2.1/24", "::/0", "::ffff:1.2.3.4/95", "fe80::1%1", plant, noUUID, "2019-08-24T14:15:22Z", "2099-08-24T14:15:22Z", "2099-08-24T14:15:22+14:00",
		"9999-12-31T23:59:59.999999999Z", object{}, object{"a": object{"b": nil}}, []string{}, []string{plant}, make([]int, 1100), jsonNull{})
}

// codes are the documented codes by status.
var codes = map[int][]string{
	400: {"VALIDATION_ERROR", "INVALID_UUID", "BAD_REQUEST"}, 401: {"UNAUTHORIZED"}, 403: {"FORBIDDEN", "ORG_MEMBERSHIP_REQUIRED", "ORG_CONTEXT_REQUIRED"},
	404: {"API_KEY_NOT_FOUND", "NOT_FOUND"}, 429: {"TOO_MANY_REQUESTS"},
}

// documented says in what an answer is not of the document's form.
func documented(method string, got answer) error {
	if got.Header.Get("Cache-Control") != "no-store" {
		return fmt.Errorf("Cache-Control is %q", got.Header.Get("Cache-Control"))
	}
	if method == "HEAD" {
		return nil
	}
	if got.Header.Get("Content-Type") != "application/json" || got.Body == nil {
		return fmt.Errorf("no JSON object, but %q", got.Header.Get("Content-Type"))
	}
	key := object{
		"allowedIps": []any{""}, "createdAt": "", "createdBy": "", "creator": object{"createdAt": "", "email": "", "id": "", "name": "", "role": "", "updatedAt": ""},
		"expiresAt": "", "id": "", "isActive": true, "keyPrefix": "", "lastUsedAt": "", "name": "", "organizationId": "", "partnerId": "", "scopes": []any{""}, "updatedAt": "", "vhost": "",
	}
	switch got.Status {
	case http.StatusOK:
		if method == "DELETE" {
			return sameForm(got.Body, object{"message": ""}, "answer")
		}
		return sameForm(got.Body, object{"data": []any{key}, "meta": object{"page": 0.0, "limit": 0.0, "total": 0.0, "totalPages": 0.0}}, "answer")
	case http.StatusCreated:
		return sameForm(got.Body, object{"apiKey": key, "key": "", "signingKey": ""}, "answer")
	}
	code, _ := got.Body["code"].(string)
	if !slices.Contains(codes[got.Status], code) {
		return fmt.Errorf("the code %q does not go with %d", code, got.Status)
	}
	if got.Body["statusCode"] != float64(got.Status) || got.Body["error"] != http.StatusText(got.Status) || got.Body["message"] == "" {
		return fmt.Errorf("no error of the document")
	}
	details, _ := got.Body["details"].(object)
	form := object{"code": "", "error": "", "message": "", "statusCode": 0.0, "details": object{}}
	for field := range details {
		form["details"].(object)[field] = []any{""}
	}
	return sameForm(got.Body, form, "answer")
}
