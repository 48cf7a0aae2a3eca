package company_test

import (
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"latchkey.dev/latchkey/dialect/dialecttest"
)

// stormSize is how many requests are drawn: what LATCHKEY_REQUESTS says, 1,000
// without it.
func stormSize(t *testing.T) int {
	t.Helper()
	given := os.Getenv("LATCHKEY_REQUESTS")
	if given == "" {
		return 1000
	}
	n, err := strconv.Atoi(given)
	if err != nil || n < 1 {
		t.Fatalf("LATCHKEY_REQUESTS is %q, and no number of requests", given)
	}
	return n
}

// Whatever is sent, the answer is one that the document has, and never a fault of
// ours.
func TestGeneratedRequests(t *testing.T) {
	t.Parallel()
	h := open(t)
	ada := h.User("Ada", "reader")
	_, manager := h.create(h.User("Manager", "manager"))
	_, boss := h.create(h.User("Boss", "owner"))
	disabled, id := h.Key(object{"owner_id": ada, "role": "owner"})
	h.Native(http.MethodPatch, "/v1/keys/"+id, object{"enabled": false})
	bound, _ := h.Key(object{"role": "owner", "restrictions": object{"addresses": []string{"192.0.2.1"}}})
	keys := append(slices.Repeat([]string{h.AdminKey}, 12), boss, boss, boss, manager, manager, disabled, bound, "nonsense", "")
	ids := []string{id, stranger, "x"}
	users := []string{ada, ada, ada, h.User("Bob", ""), "usr_0d5qh0w2e9x8v3k7m1ac", "x"}

	draw := func(d dialecttest.Dice) dialecttest.Request {
		q := dialecttest.Request{
			Method: dialecttest.Pick(d, http.MethodGet, http.MethodGet, http.MethodGet, http.MethodPost, http.MethodPost, http.MethodDelete, http.MethodDelete, dialecttest.Pick(d, http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch)),
			Path:   dialecttest.Pick(d, "/keys", "/api/keys"),
		}
		one := q.Method == http.MethodDelete || q.Method == http.MethodGet && d.Once(3)
		switch {
		case d.Once(30):
			q.Path += dialecttest.Pick(d, "/", "/x/y", "//x", "/"+url.PathEscape(d.Text()))
		case one != d.Once(20):
			q.Path += "/" + dialecttest.Pick(d, ids...)
		}
		if d.Once(2) {
			q.Path += "?" + parameters(d, ids)
		}
		for range dialecttest.Pick(d, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 2) {
			q.Header = append(q.Header, dialecttest.Pick(d, "X-API-Key: ", "X-API-Key: ", "X_API_KEY: ", "X_API_KEY: ", "Authorization: Bearer ", "Authorization: Bearer ", "Authorization: Bearer ", "Authorization: bearer ", "Authorization: ")+dialecttest.Pick(d, keys...))
		}
		if q.Method == http.MethodPost || d.Once(10) {
			in := object{"userId": dialecttest.Pick(d, users...)}
			if d.Once(2) {
				in["whitelistedIPs"] = dialecttest.Pick(d, any([]string{"10.0.0.1", "::/0"}), any("1.1.1.1,2.2.2.2"), any([]string{}), nil, d.Value(2))
			}
			if d.Once(5) {
				in[dialecttest.Pick(d, "userId", "whitelistedIPs", "status", "x")] = d.Value(2)
			}
			q.Body = d.Body(dialecttest.JSON(t, in))
			if !d.Once(20) {
				q.Header = append(q.Header, "Content-Type: "+dialecttest.Pick(d, "application/json", "application/json", "application/json", "application/json; charset=utf-8", "application/json", "text/plain"))
			}
		}
		return q
	}
	h.Storm(stormSize(t), draw, func(q dialecttest.Request, a dialecttest.Answer) {
		conforms(t, a)
		if a.Status == http.StatusCreated && len(ids) < 300 {
			ids = append(ids, a.String("id"))
		}
	}, 200, 201, 204, 400, 401, 403, 404, 405, 413, 415)
}

func parameters(d dialecttest.Dice, ids []string) string {
	var all []string
	for range 1 + d.IntN(3) {
		name := dialecttest.Pick(d, "status", "limit", "startingAfter", "endingBefore", "offset", "x")
		value := d.Text()
		if !d.Once(6) {
			value = dialecttest.Pick(d, map[string][]string{
				"status": {"active", "inactive"}, "limit": {"1", "25", "100", "101", "0"}, "offset": {"0", "3", "1000000", "-1"},
				"startingAfter": ids, "endingBefore": ids, "x": {"y"},
			}[name]...)
		}
		all = append(all, name+"="+url.QueryEscape(value))
	}
	if d.Once(50) {
		all = append(all, dialecttest.Pick(d, "%", "%zz", ";", "a=b;c", "&&", "="))
	}
	return strings.Join(all, "&")
}
