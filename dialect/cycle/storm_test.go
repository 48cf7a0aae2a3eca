package cycle_test

import (
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
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
	manager, _ := h.Key(object{"role": "manager"})
	reader, _ := h.Key(object{"role": "reader"})
	disabled, id := h.Key(object{"role": "owner"})
	h.Native(http.MethodPatch, "/v1/keys/"+id, object{"enabled": false})
	away, _ := h.Key(object{"role": "owner", "restrictions": object{"addresses": []string{"192.0.2.1"}}})
	made, _ := h.create("made", role("reader"))
	keys := append(slices.Repeat([]string{h.AdminKey}, 20), manager, manager, manager, reader, disabled, away, "nonsense", "")
	ids := []string{made, made, hex(t, latchkey.KindKey, id), stranger, "x"}
	roles := []string{role("reader"), role("reader"), role("reader"), role("consumer"), role("owner"), role("developer"), stranger, "x"}

	draw := func(d dialecttest.Dice) dialecttest.Request {
		q := dialecttest.Request{
			Method: dialecttest.Pick(d, http.MethodGet, http.MethodGet, http.MethodGet, http.MethodPost, http.MethodPost, http.MethodPatch, http.MethodPatch, http.MethodDelete, dialecttest.Pick(d, http.MethodGet, http.MethodPut)),
			Path:   collection,
		}
		one := q.Method == http.MethodDelete || q.Method == http.MethodPatch || q.Method == http.MethodGet && d.Once(4)
		switch {
		case d.Once(30):
			q.Path = "/v1/hubs/" + dialecttest.Pick(d, "", "current", "x/api-keys", "current/"+url.PathEscape(d.Text()))
		case d.Once(10):
			q.Path = rolesPath + dialecttest.Pick(d, "", "/"+dialecttest.Pick(d, roles...))
		case one != d.Once(20):
			q.Path += "/" + dialecttest.Pick(d, ids...)
		}
		if d.Once(2) {
			q.Path += "?" + parameters(d, append(ids, roles...))
		}
		for range dialecttest.Pick(d, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 2) {
			q.Header = append(q.Header, dialecttest.Pick(d, "Authorization: Bearer ", "Authorization: Bearer ", "Authorization: Bearer ", "Authorization: Bearer ", "Authorization: Bearer ", "Authorization: Bearer ", "Authorization: Bearer ", "authorization: bearer ", "Authorization: ", "X-API-Key: ")+dialecttest.Pick(d, keys...))
		}
		for range dialecttest.Pick(d, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 2) {
			q.Header = append(q.Header, "X-Hub-Id: "+dialecttest.Pick(d, append(slices.Repeat([]string{h.hub}, 20), stranger, "")...))
		}
		if q.Method == http.MethodPost || q.Method == http.MethodPatch || d.Once(10) {
			in := object{}
			for name, value := range map[string]any{"name": "x", "role_id": dialecttest.Pick(d, roles...), "ips": dialecttest.Pick(d, any([]string{"10.0.0.1", "::/0"}), any([]string{}), nil)} {
				if !d.Once(4) {
					in[name] = value
				}
			}
			if d.Once(5) {
				in[dialecttest.Pick(d, "name", "role_id", "ips", "capabilities", "x")] = d.Value(2)
			}
			q.Body = d.Body(dialecttest.JSON(t, in))
			if !d.Once(5) {
				q.Header = append(q.Header, "Content-Type: "+dialecttest.Pick(d, "application/json", "application/json", "application/json", "application/json; charset=utf-8", "text/plain"))
			}
		}
		return q
	}
	h.Storm(stormSize(t), draw, func(q dialecttest.Request, a dialecttest.Answer) {
		conforms(t, a)
		if a.Status == http.StatusCreated && len(ids) < 300 {
			ids = append(ids, a.String("data", "id"))
		}
	}, 200, 201, 400, 401, 403, 404, 415, 422)
}

func parameters(d dialecttest.Dice, ids []string) string {
	var all []string
	for range 1 + d.IntN(4) {
		values := map[string][]string{
			"sort": {"-name", "id,-created", "state", "secret"}, "filter[state]": {"live", "deleted,inactive", "new", "gone"}, "filter[search]": {"x", "a"},
			"filter[creator]": ids, "filter[role]": ids, "filter[role_id]": ids, "filter[name]": {"x", ""}, "filter[tags]": {"a"}, "filter": {"a"},
			"page[size]": {"1", "20", "1000", "1001", "0"}, "page[number]": {"1", "2", "99999999999", "0"}, "page[offset]": {"1"}, "include": {"roles", "roles,roles", "x"}, "meta": {"counts"},
		}
		name := dialecttest.Pick(d, "sort", "filter[state]", "filter[search]", "filter[creator]", "filter[role]", "filter[role_id]", "filter[name]", "filter[tags]",
			"filter", "page[size]", "page[number]", "page[offset]", "include", "meta")
		value := dialecttest.Pick(d, values[name]...)
		if d.Once(6) {
			value = d.Text()
		}
		if d.Once(30) {
			name = "filter[" + d.Text() + "]"
		}
		if d.Once(2) {
			name = strings.NewReplacer("[", "%5B", "]", "%5D").Replace(url.PathEscape(name))
		} else {
			name = url.QueryEscape(name)
		}
		all = append(all, name+"="+url.QueryEscape(value))
	}
	if d.Once(50) {
		all = append(all, dialecttest.Pick(d, "%", "%zz", ";", "a=b;c", "&&", "="))
	}
	return strings.Join(all, "&")
}
