package company_test

import (
	"net/http"
	"regexp"
	"slices"
	"testing"

	"latchkey.dev/latchkey/dialect/dialecttest"
)

var (
	moment    = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`)
	keyFields = []string{"companyId", "createdAt", "deletedAt", "id", "key", "status", "updatedAt", "userId", "whitelistedIPs"}
)

// conforms holds an answer to what the document says that answers are, and to
// what holds for every answer of every dialect.
func conforms(t testing.TB, a dialecttest.Answer) {
	t.Helper()
	if got := a.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("%s: Cache-Control %q", a.Asked, got)
	}
	for name := range a.Header {
		if len(name) > 15 && name[:15] == "Access-Control-" {
			t.Errorf("%s: %s", a.Asked, name)
		}
	}
	if a.Status == http.StatusNoContent {
		if a.Text != "" {
			t.Errorf("%s: 204 with a body", a.Asked)
		}
		return
	}
	if got := a.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("%s: Content-Type %q", a.Asked, got)
	}
	body, ok := a.At().(object)
	if !ok {
		t.Errorf("%s: no object: %s", a.Asked, a.Text)
		return
	}
	switch {
	case a.Status >= 400:
		refusalConforms(t, a, body)
	case body["data"] != nil:
		listConforms(t, a, body)
	default:
		keyConforms(t, a, body)
	}
}

func refusalConforms(t testing.TB, a dialecttest.Answer, body object) {
	t.Helper()
	members(t, a, body, "detail", "message", "status", "title", "type")
	if body["status"] != float64(a.Status) || body["message"] == "" || body["message"] != body["detail"] || body["type"] != "about:blank" || body["title"] != http.StatusText(a.Status) {
		t.Errorf("%s: a refusal of another form: %d %s", a.Asked, a.Status, a.Text)
	}
	if a.Status == http.StatusUnauthorized && a.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("%s: 401 without a challenge", a.Asked)
	}
}

func listConforms(t testing.TB, a dialecttest.Answer, body object) {
	t.Helper()
	members(t, a, body, "count", "data", "nextUrl", "previousUrl", "status", "total")
	data, _ := body["data"].([]any)
	if body["status"] != 200.0 || body["count"] != float64(len(data)) || body["total"].(float64) < float64(len(data)) {
		t.Errorf("%s: an envelope that does not fit: %s", a.Asked, a.Text)
	}
	for _, name := range []string{"nextUrl", "previousUrl"} {
		if url, isText := body[name].(string); body[name] != nil && (!isText || len(url) < 8 || url[:4] != "http") {
			t.Errorf("%s: %s is %v", a.Asked, name, body[name])
		}
	}
	for _, item := range data {
		keyConforms(t, a, item.(object))
	}
}

func keyConforms(t testing.TB, a dialecttest.Answer, body object) {
	t.Helper()
	members(t, a, body, keyFields...)
	for _, name := range []string{"id", "companyId", "userId", "key"} {
		if text, ok := body[name].(string); !ok || text == "" {
			t.Errorf("%s: %s is %v", a.Asked, name, body[name])
		}
	}
	if !slices.Contains([]any{"active", "inactive"}, body["status"]) {
		t.Errorf("%s: status is %v", a.Asked, body["status"])
	}
	for _, name := range []string{"createdAt", "updatedAt", "deletedAt"} {
		if text, ok := body[name].(string); body[name] == nil && name == "createdAt" || body[name] != nil && (!ok || !moment.MatchString(text)) {
			t.Errorf("%s: %s is %v", a.Asked, name, body[name])
		}
	}
	if list, ok := body["whitelistedIPs"].([]any); body["whitelistedIPs"] != nil && !ok {
		t.Errorf("%s: whitelistedIPs is %v", a.Asked, list)
	}
	if masked := body["key"].(string)[max(0, len(body["key"].(string))-3):] == "..."; masked == (a.Status == http.StatusCreated) {
		t.Errorf("%s: %d shows the key as %v", a.Asked, a.Status, body["key"])
	}
}

// members wants exactly these.
func members(t testing.TB, a dialecttest.Answer, body object, want ...string) {
	t.Helper()
	got := []string{}
	for name := range body {
		got = append(got, name)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%s: members %v, want %v", a.Asked, got, want)
	}
}
