package company_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"latchkey.dev/latchkey/dialect/dialecttest"
	"latchkey.dev/latchkey/latchkeytest"
	"latchkey.dev/latchkey/server"
)

// shown are the ids on a page, in its order.
func shown(a dialecttest.Answer) []string {
	a.Helper()
	ids := []string{}
	for i := range a.At("data").([]any) {
		ids = append(ids, a.String("data", i, "id"))
	}
	return ids
}

// follow gets the page that another one names; nil if it names none.
func (h house) follow(a dialecttest.Answer, name string) *dialecttest.Answer {
	h.Helper()
	to, _ := a.At(name).(string)
	if to == "" {
		return nil
	}
	path, ok := strings.CutPrefix(to, h.URL)
	if !ok {
		h.Fatalf("%s is %q, not below %s", name, to, h.URL)
	}
	page := h.root(http.MethodGet, path, nil).Must(200)
	return &page
}

func TestList(t *testing.T) {
	t.Parallel()
	h := open(t)
	user := h.User("Ada", "reader")
	keys := []string{} // newest first
	for range 7 {
		id, _ := h.create(user)
		keys = slices.Insert(keys, 0, id)
	}
	h.Key(object{"role": "reader"}) // has no owner: not shown
	bootstrap := shown(h.root(http.MethodGet, "/keys?offset=7", nil).Must(200))
	keys = append(keys, bootstrap...)
	if len(keys) != 8 {
		t.Fatalf("%d keys", len(keys))
	}
	for _, test := range []struct {
		query          string
		want           []string
		previous, next bool
	}{
		{"", keys, false, false},
		{"?status=active&limit=100", keys, false, false},
		{"?limit=3", keys[:3], false, true},
		{"?limit=3&startingAfter=" + keys[2], keys[3:6], true, true},
		{"?limit=3&startingAfter=" + keys[5], keys[6:], true, false},
		{"?limit=3&startingAfter=" + keys[7], nil, false, false},
		{"?limit=3&endingBefore=" + keys[6], keys[3:6], true, true},
		{"?limit=3&endingBefore=" + keys[3], keys[:3], false, true},
		{"?limit=3&endingBefore=" + keys[0], nil, false, false},
		{"?limit=3&endingBefore=" + keys[6] + "&startingAfter=" + keys[0], keys[3:6], true, true},
		{"?limit=3&endingBefore=" + keys[6] + "&startingAfter=nonsense", keys[3:6], true, true},
		{"?limit=3&offset=2", keys[2:5], true, true},
		{"?limit=3&offset=2&startingAfter=" + keys[0], keys[3:6], true, true},
		{"?limit=3&offset=2&endingBefore=" + keys[7], keys[2:5], true, true},
		{"?offset=8", nil, false, false},
		{"?offset=9223372036854775807", nil, false, false},
		{"?status=inactive", nil, false, false},
		{"?unknown=parameter&limit=1", keys[:1], false, true},
	} {
		for _, at := range []string{"/keys", "/api/keys"} {
			a := h.root(http.MethodGet, at+test.query, nil).Must(200)
			if got := shown(a); !slices.Equal(got, append([]string{}, test.want...)) {
				t.Errorf("%s%s: %v, want %v", at, test.query, got, test.want)
			}
			if (a.At("previousUrl") != nil) != test.previous || (a.At("nextUrl") != nil) != test.next {
				t.Errorf("%s%s: previousUrl %v, nextUrl %v", at, test.query, a.At("previousUrl"), a.At("nextUrl"))
			}
			total := 8.0
			if strings.Contains(test.query, "inactive") {
				total = 0
			}
			a.Is(total, "total")
		}
	}
}

func TestListURLs(t *testing.T) {
	t.Parallel()
	const public = "https://keys.example.com"
	h := house{dialecttest.Open(t, latchkeytest.Options{Adjust: func(c *server.Config) { c.PublicURL = public }})}
	user := h.User("Ada", "")
	first, _ := h.create(user)
	second, _ := h.create(user)
	third, _ := h.create(user)
	for _, id := range []string{first, second, third} {
		h.root(http.MethodDelete, "/keys/"+id, nil).Must(204)
	}
	a := h.root(http.MethodGet, "/api/keys?status=inactive&limit=1&offset=1", nil).Must(200)
	for name, want := range map[string]url.Values{
		"nextUrl":     {"status": {"inactive"}, "limit": {"1"}, "startingAfter": {second}},
		"previousUrl": {"status": {"inactive"}, "limit": {"1"}, "endingBefore": {second}},
	} {
		got, err := url.Parse(a.String(name))
		if err != nil || got.Scheme+"://"+got.Host+got.Path != public+"/api/keys" || got.Query().Encode() != want.Encode() {
			t.Errorf("%s is %v, want %v below %s", name, got, want, public)
		}
	}
}

func TestBadQueries(t *testing.T) {
	t.Parallel()
	h := open(t)
	_, stray := h.Key(object{"role": "reader"})
	id, _ := h.create(h.User("Ada", ""))
	for query, parameter := range map[string]string{
		"status=all": "status", "status=": "status", "status=Active": "status", "status": "status", "status=active&status=active": "status",
		"limit=0": "limit", "limit=101": "limit", "limit=-1": "limit", "limit=": "limit", "limit=1.5": "limit", "limit=x": "limit",
		"limit=99999999999999999999": "limit", "limit=1&limit=1": "limit",
		"offset=-1": "offset", "offset=": "offset", "offset=1e3": "offset", "offset=0&offset=0": "offset",
		"startingAfter=": "startingAfter", "startingAfter=x": "startingAfter", "startingAfter=" + stray: "startingAfter",
		"startingAfter=key_0d5qh0w2e9x8v3k7m1ac": "startingAfter", "startingAfter=" + strings.ToUpper(id): "startingAfter",
		"endingBefore=": "endingBefore", "endingBefore=" + stray: "endingBefore", "endingBefore=" + id + "&endingBefore=" + id: "endingBefore",
		"endingBefore=x&startingAfter=" + id: "endingBefore",
	} {
		a := h.root(http.MethodGet, "/keys?"+query, nil).Must(400)
		if !strings.HasPrefix(a.String("message"), parameter+": ") {
			t.Errorf("%s: %s", query, a.Text)
		}
	}
	h.root(http.MethodGet, "/keys?%zz", nil).Must(400)
	h.root(http.MethodGet, "/keys?limit=1;offset=2", nil).Must(400)
	both := h.root(http.MethodGet, "/keys?limit=0&offset=-1", nil).Must(400).String("detail")
	if !strings.Contains(both, "limit: ") || !strings.Contains(both, "offset: ") {
		t.Errorf("not all that is wrong is told: %s", both)
	}
}

// Whoever walks the pages in either direction meets every key exactly once that
// is there all the while, whatever is created and revoked meanwhile.
func TestWalkWhileKeysComeAndGo(t *testing.T) {
	t.Parallel()
	h := open(t)
	user := h.User("Ada", "")
	all := []string{}
	for range 40 {
		id, _ := h.create(user)
		all = append(all, id)
	}
	for _, direction := range []string{"nextUrl", "previousUrl"} {
		survivors := h.Native(http.MethodGet, "/v1/keys?state=live&limit=100", nil)
		stays := map[string]bool{}
		for i := range survivors.At("data").([]any) {
			stays[survivors.String("data", i, "id")] = true
		}
		start := "/keys?limit=4"
		if direction == "previousUrl" {
			start = "/keys?limit=4&endingBefore=" + all[0]
			delete(stays, all[0])
			oldest := shown(h.root(http.MethodGet, "/keys?limit=100&startingAfter="+all[0], nil).Must(200))
			for _, id := range oldest {
				delete(stays, id)
			}
		}
		met := map[string]int{}
		a := h.root(http.MethodGet, start, nil).Must(200)
		for page, turn := &a, 0; page != nil; turn++ {
			ids := shown(*page)
			for _, id := range ids {
				met[id]++
			}
			h.create(user)
			if turn < 8 { // the page's last key, at which the next one begins, and one further on
				for _, id := range []string{ids[len(ids)-1], ids[0], all[(turn*13+5)%len(all)]} {
					h.root(http.MethodDelete, "/keys/"+id, nil).Must(204)
					delete(stays, id)
				}
			}
			page = h.follow(*page, direction)
		}
		if len(stays) < 5 {
			t.Fatalf("only %d keys stayed", len(stays))
		}
		for id := range stays {
			if met[id] != 1 {
				t.Errorf("%s: %s was met %d times", direction, id, met[id])
			}
		}
		for id, times := range met {
			if times != 1 {
				t.Errorf("%s: %s was met %d times", direction, id, times)
			}
		}
	}
}

func TestTotalsAreExact(t *testing.T) {
	t.Parallel()
	h := open(t)
	user := h.User("Ada", "")
	for i := range 5 {
		id, _ := h.create(user)
		if i%2 == 0 {
			h.root(http.MethodDelete, "/keys/"+id, nil).Must(204)
		}
	}
	for status, want := range map[string]float64{"active": 3, "inactive": 3} { // the first user's own key is active
		h.root(http.MethodGet, fmt.Sprintf("/keys?status=%s&limit=2", status), nil).Must(200).Is(want, "total")
	}
	h.Native(http.MethodPatch, "/v1/users/"+user, object{"state": "suspended"})
	h.root(http.MethodGet, "/keys", nil).Must(200).Is(1.0, "total")
	h.root(http.MethodGet, "/keys?status=inactive", nil).Must(200).Is(5.0, "total")
}

func TestListDefaults(t *testing.T) {
	t.Parallel()
	h := open(t)
	user := h.User("Ada", "")
	for range 26 {
		h.create(user)
	}
	first := h.root(http.MethodGet, "/keys", nil).Must(200)
	first.Is(25.0, "count")
	first.Is(27.0, "total")
	h.follow(first, "nextUrl").Is(2.0, "count")
}
