package rest_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey.dev/latchkey"
)

// walk reads a list to its end, page by page, and gives what stands at the
// path in each row.
func (c caller) walk(path string, size int, at string) []string {
	c.h.Helper()
	join := "?"
	if strings.Contains(path, "?") {
		join = "&"
	}
	path += join + "limit=" + fmt.Sprint(size)
	var found []string
	for cursor := ""; ; {
		a := c.do("GET", path+cursor, nil).must(200)
		rows := a.at("data").([]any)
		for _, row := range rows {
			found = append(found, row.(map[string]any)[at].(string))
		}
		next := a.text("next_cursor")
		if next == "" {
			return found
		}
		if len(rows) != size {
			c.h.Fatalf("%s: a page of %d with another after it", path, len(rows))
		}
		cursor = "&cursor=" + url.QueryEscape(next)
	}
}

// stock is a set of keys that differ in all that lists look at.
type stock struct {
	*house
	inside      caller // everything is in an organization of its own
	project     string
	owner, gone string // users; gone is suspended
	role        string
	keys        []object // as listed, in the order of creation
}

func (h *house) stockUp() *stock {
	h.Helper()
	root := h.as(h.root)
	s := &stock{house: h, inside: root.in(root.do("POST", "/v1/organizations", object{"name": "Stock"}).must(201).text("id"))}
	in := s.inside
	s.project = in.do("POST", "/v1/projects", object{"name": "P"}).must(201).text("id")
	s.owner = in.do("POST", "/v1/users", object{"name": "U", "kind": "service"}).must(201).text("id")
	s.gone = in.do("POST", "/v1/users", object{"name": "G", "kind": "service"}).must(201).text("id")
	s.role = in.do("POST", "/v1/roles", object{"identifier": "writer", "name": "W"}).must(201).text("id")
	day := func(n int) string { return h.now().AddDate(0, 0, n).UTC().Format(time.RFC3339) }
	var made []made
	for i, more := range []object{
		{}, {"project_id": s.project}, {"owner_id": s.owner}, {"owner_id": s.gone}, {"partner": "Acme"}, {"partner": "acme"}, {"role": "writer"}, {"role": "reader"},
		{"expires_at": day(1)}, {"expires_at": day(30)}, {"expires_at": day(-1)}, {"expires_at": day(1), "partner": "Acme", "project_id": s.project},
		{"name": "Ünïcödé Søren"}, {"name": "100% _sure_"}, {"name": "Same"}, {"name": "Same"}, {"reach": "organization"}, {"project_id": s.project, "reach": "organization", "role": "writer", "owner_id": s.owner},
	} {
		if more["name"] == nil {
			more["name"] = fmt.Sprintf("Key %c%02d", 'Z'-rune(i), i)
		}
		made = append(made, in.newKey(more))
	}
	in.do("POST", made[0].path+"/revoke", nil).must(200)
	in.do("PATCH", made[1].path, object{"enabled": false}).must(200)
	in.do("PATCH", "/v1/users/"+s.gone, object{"state": "suspended"}).must(200)
	in.do("POST", made[8].path+"/revoke", nil).must(200)
	in.do("POST", made[14].path+"/rotate", nil).must(200)
	h.advance(time.Hour)
	in.verify(made[4].secret, nil)
	h.flush()
	for _, k := range made {
		s.keys = append(s.keys, in.do("GET", k.path, nil).must(200).JSON)
	}
	return s
}

// expect is the ids of the keys that keep passes, newest first.
func (s *stock) expect(keep func(k object) bool) []string {
	var ids []string
	for _, k := range slices.Backward(s.keys) {
		if keep(k) {
			ids = append(ids, k["id"].(string))
		}
	}
	return ids
}

func TestKeyFilters(t *testing.T) {
	t.Parallel()
	h := open(t)
	s := h.stockUp()
	soon := h.now().AddDate(0, 0, 2).UTC().Format(time.RFC3339)
	recently := h.now().Add(-30 * time.Minute).UTC().Format(time.RFC3339)
	is := func(name string, value any) func(object) bool { return func(k object) bool { return k[name] == value } }
	both := func(a, b func(object) bool) func(object) bool {
		return func(k object) bool { return a(k) && b(k) }
	}
	named := func(part string) func(object) bool {
		return func(k object) bool { return strings.Contains(strings.ToLower(k["name"].(string)), part) }
	}
	standing := func(k object) bool { return k["state"] != "revoked" }
	expiring := func(k object) bool {
		at, expires := k["expires_at"].(string)
		return standing(k) && expires && at < soon
	}
	unused := func(k object) bool { return standing(k) && k["last_used_at"] == nil }
	kid := s.keys[5]["secrets"].([]any)[0].(map[string]any)["kid"].(string)
	rotated := s.keys[14]["secrets"].([]any)
	old := rotated[0].(map[string]any)["kid"].(string)
	tests := map[string]func(object) bool{
		"":                                  func(object) bool { return true },
		"state=live":                        is("state", "live"),
		"state=disabled":                    is("state", "disabled"),
		"state=expired":                     is("state", "expired"),
		"state=revoked":                     is("state", "revoked"),
		"project_id=" + s.project:           is("project_id", s.project),
		"owner_id=" + s.owner:               is("owner_id", s.owner),
		"owner_id=" + s.gone:                is("owner_id", s.gone),
		"role=writer":                       is("role", "writer"),
		"role=" + s.role:                    is("role", "writer"),
		"role=reader":                       is("role", "reader"),
		"role=owner":                        is("role", "owner"),
		"partner=Acme":                      is("partner", "Acme"),
		"partner=acme":                      is("partner", "acme"),
		"partner=Acm":                       func(object) bool { return false },
		"search=key":                        named("key"),
		"search=KEY":                        named("key"),
		"search=" + url.QueryEscape("ÜNÏ"):  is("name", "Ünïcödé Søren"),
		"search=" + url.QueryEscape("ø"):    is("name", "Ünïcödé Søren"),
		"search=" + url.QueryEscape("0% _"): is("name", "100% _sure_"),
		"search=" + url.QueryEscape("%"):    is("name", "100% _sure_"),
		"search=_":                          is("name", "100% _sure_"),
		"search=same":                       is("name", "Same"),
		"search=nowhere":                    func(object) bool { return false },
		"search=" + kid:                     is("id", s.keys[5]["id"]),
		"search=" + kid[:8]:                 is("id", s.keys[5]["id"]),
		"search=" + old:                     is("id", s.keys[14]["id"]),
		"search=" + kid[1:]:                 func(object) bool { return false },
		"expiring_before=" + url.QueryEscape(soon):              expiring,
		"unused_since=" + url.QueryEscape(recently):             unused,
		"state=live&role=writer":                                both(is("state", "live"), is("role", "writer")),
		"state=live&project_id=" + s.project:                    both(is("state", "live"), is("project_id", s.project)),
		"partner=Acme&project_id=" + s.project:                  both(is("partner", "Acme"), is("project_id", s.project)),
		"owner_id=" + s.owner + "&role=writer":                  both(is("owner_id", s.owner), is("role", "writer")),
		"search=key&state=revoked":                              both(named("key"), is("state", "revoked")),
		"search=key&state=live&expiring_before=" + soon:         both(both(named("key"), is("state", "live")), expiring),
		"project_id=prj_0d5qh0w2e9x8v3k7m1ac":                   func(object) bool { return false },
		"owner_id=usr_0d5qh0w2e9x8v3k7m1ac":                     func(object) bool { return false },
		"state=disabled&unused_since=" + recently + "&search=k": both(both(is("state", "disabled"), unused), named("k")),
	}
	for filter, keep := range tests {
		want := s.expect(keep)
		for _, size := range []int{4, 100} {
			if got := s.inside.walk("/v1/keys?"+filter, size, "id"); !slices.Equal(got, want) {
				t.Errorf("%s in pages of %d: %d keys, want %d", filter, size, len(got), len(want))
			}
		}
	}
	// What is listed is what is read.
	for _, row := range s.inside.do("GET", "/v1/keys?sort=created&limit=100", nil).must(200).at("data").([]any) {
		i := slices.IndexFunc(s.keys, func(k object) bool { return k["id"] == row.(map[string]any)["id"] })
		if i < 0 || !maps.EqualFunc(s.keys[i], row.(map[string]any), func(a, b any) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
			t.Errorf("listed %v, read %v", row, s.keys[max(i, 0)])
		}
	}
}

func TestKeyOrders(t *testing.T) {
	t.Parallel()
	h := open(t)
	s := h.stockUp()
	place := map[string]int{}
	for i, k := range s.keys {
		place[k["id"].(string)] = i
	}
	position := map[string]float64{} // of the last change
	for _, k := range s.keys {
		id := k["id"].(string)
		events := s.inside.do("GET", "/v1/events?limit=100&object="+id, nil).must(200).at("data").([]any)
		position[id] = events[len(events)-1].(map[string]any)["position"].(float64)
	}
	by := map[string]func(a, b object) int{
		"created": func(a, b object) int { return place[a["id"].(string)] - place[b["id"].(string)] },
		"updated": func(a, b object) int { return int(position[a["id"].(string)] - position[b["id"].(string)]) },
		"name":    func(a, b object) int { return strings.Compare(a["name"].(string), b["name"].(string)) },
		"expires_at": func(a, b object) int {
			never := func(k object) string {
				if at, ok := k["expires_at"].(string); ok {
					return at
				}
				return "never, which is after every year"
			}
			return strings.Compare(never(a), never(b))
		},
	}
	for name, compare := range by {
		sorted := slices.Clone(s.keys)
		slices.SortFunc(sorted, func(a, b object) int {
			if c := compare(a, b); c != 0 {
				return c
			}
			return by["created"](a, b)
		})
		var want []string
		for _, k := range sorted {
			want = append(want, k["id"].(string))
		}
		for _, size := range []int{1, 5, 18} {
			if got := s.inside.walk("/v1/keys?sort="+name, size, "id"); !slices.Equal(got, want) {
				t.Errorf("%s in pages of %d: %v, want %v", name, size, got, want)
			}
		}
		slices.Reverse(want)
		for _, size := range []int{2, 17} {
			if got := s.inside.walk("/v1/keys?sort=-"+name, size, "id"); !slices.Equal(got, want) {
				t.Errorf("-%s in pages of %d: %v, want %v", name, size, got, want)
			}
		}
	}
	if rows := s.inside.do("GET", "/v1/keys", nil).must(200); len(rows.at("data").([]any)) != 18 || rows.at("next_cursor") != nil {
		t.Errorf("without a limit: %s", rows.Text)
	}
}

// While a list is walked keys come and go; each that stays is met exactly once.
func TestPagesWhileKeysComeAndGo(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	inside := root.in(root.do("POST", "/v1/organizations", object{"name": "Busy"}).must(201).text("id"))
	batch := func(n int) []any {
		return inside.do("POST", "/v1/keys/batch-create", object{"items": list(n, func(i int) object { return object{"name": fmt.Sprintf("N%03d", i*7%n)} })}).must(201).at("results").([]any)
	}
	idOf := func(result any) string { return result.(map[string]any)["key"].(map[string]any)["id"].(string) }
	stays, goes := batch(40), batch(40)
	stop, churned := make(chan struct{}), make(chan int, 1)
	go func() {
		changes := 0
		for _, k := range goes {
			inside.do("DELETE", "/v1/keys/"+idOf(k), nil)
			inside.do("POST", "/v1/keys", object{"name": fmt.Sprint("N", changes)})
			changes++
			select {
			case <-stop:
				churned <- changes
				return
			default:
			}
		}
		churned <- changes
	}()
	for _, sort := range []string{"created", "-created", "-name"} {
		for _, state := range []string{"", "&state=live"} {
			met := map[string]int{}
			for _, id := range inside.walk("/v1/keys?sort="+sort+state, 7, "id") {
				met[id]++
			}
			for _, k := range stays {
				if n := met[idOf(k)]; n != 1 {
					t.Errorf("%s%s: a key was met %d times", sort, state, n)
				}
			}
			for id, n := range met {
				if n > 1 {
					t.Errorf("%s%s: %s was met %d times", sort, state, id, n)
				}
			}
		}
	}
	close(stop)
	if n := <-churned; n == 0 {
		t.Fatal("nothing came or went")
	}
}

func TestCursorsBelongToTheirList(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	for i := range 5 {
		root.newKey(object{"name": fmt.Sprint("Key ", i), "role": "reader"})
		root.do("POST", "/v1/projects", object{"name": fmt.Sprint("P", i)}).must(201)
		root.do("POST", "/v1/users", object{"name": fmt.Sprint("U", i), "kind": "service"}).must(201)
	}
	organization := root.do("POST", "/v1/organizations", object{"name": "O"}).must(201).text("id")
	other := root.in(organization)
	bound := h.as(root.newKey(object{"role": "admin"}).secret)
	same := h.as(root.newKey(object{"role": "owner", "reach": "organization"}).secret)
	const of = "/v1/keys?role=reader&limit=2"
	cursor := root.do("GET", of, nil).must(200).text("next_cursor")
	at := func(as caller, path, cursor string) answer {
		return as.do("GET", path+"&cursor="+url.QueryEscape(cursor), nil)
	}
	refused := func(what string, as caller, path, cursor string) {
		h.Helper()
		if a := at(as, path, cursor); a.Status != 422 || a.text("errors", 0, "pointer") != "query:cursor" || a.text("errors", 0, "code") != "unknown" {
			h.Errorf("%s: %d %s", what, a.Status, a.Text)
		}
	}
	at(root, of, cursor).must(200)
	at(same, of, cursor).must(200)                             // whoever sees the same may go on
	at(root, "/v1/keys?role=reader&limit=1", cursor).must(200) // and in other steps
	for what, path := range map[string]string{
		"no filter": "/v1/keys?limit=2", "another filter": "/v1/keys?role=owner&limit=2", "one more filter": of + "&state=live", "another order": of + "&sort=name",
		"the same order by name": of + "&sort=-created", "projects": "/v1/projects?limit=2", "users": "/v1/users?limit=2", "roles": "/v1/roles?limit=2", "organizations": "/v1/organizations?limit=2",
	} {
		refused(what, root, path, cursor)
	}
	refused("another organization", other, of, cursor)
	refused("one project alone", bound, of, cursor)
	users := root.do("GET", "/v1/users?limit=2", nil).must(200).text("next_cursor")
	at(root, "/v1/users?limit=2", users).must(200)
	refused("users' for projects", root, "/v1/projects?limit=2", users)
	refused("users' for keys", root, of, users)
	refused("users' elsewhere", other, "/v1/users?limit=2", users)

	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		altered := slices.Clone(raw)
		altered[i] ^= 1
		refused(fmt.Sprint("altered at ", i), root, of, base64.RawURLEncoding.EncodeToString(altered))
	}
	for _, made := range []string{
		cursor[:len(cursor)-1], cursor + "A", cursor + "=", " " + cursor, strings.ToUpper(cursor), "x", "null", "e30", strings.Repeat("A", 5000), strings.Repeat("A", 4096),
		base64.RawURLEncoding.EncodeToString([]byte("\x00\x01{\"Ordinal\":1}0123456789abcdef")), base64.StdEncoding.EncodeToString(raw) + "+",
	} {
		refused("made up", root, of, made)
	}
	// A cursor outlives an activation, and not the retirement of its version.
	h.activateNext()
	at(root, of, cursor).must(200)
	h.flush() // the caller's own digest moves on
	root.do("POST", "/v1/keyring/versions/1/retire", object{"force": true}).must(200)
	refused("a retired version's", root, of, cursor)
}

// Directory lists are newest first, and whole however they are cut.
func TestDirectoryLists(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	in := root.in(root.do("POST", "/v1/organizations", object{"name": "Listed"}).must(201).text("id"))
	var builtin []string
	for _, r := range latchkey.BuiltinRoles() {
		builtin = append(builtin, r.Identifier)
	}
	for _, test := range []struct {
		path   string
		as     caller
		id     string
		before []string // on the first page, beyond its limit
		after  int      // that were there
		make   func(i int) object
	}{
		{"/v1/organizations", root, "name", nil, 2, func(i int) object { return object{"name": fmt.Sprint("o", i)} }},
		{"/v1/projects", in, "name", nil, 1, func(i int) object { return object{"name": fmt.Sprint("p", i)} }},
		{"/v1/users", in, "name", nil, 0, func(i int) object { return object{"name": fmt.Sprint("u", i), "kind": "service"} }},
		{"/v1/roles", in, "identifier", builtin, 0, func(i int) object { return object{"identifier": fmt.Sprint("r", i), "name": "R"} }},
	} {
		var want []string
		for i := range 7 {
			made := test.as.do("POST", test.path, test.make(i)).must(201)
			want = slices.Insert(want, 0, made.text(test.id))
		}
		for _, size := range []int{1, 3, 7, 100} {
			var got []string
			pages := 0
			for cursor := ""; ; pages++ {
				a := test.as.do("GET", test.path+"?limit="+fmt.Sprint(size)+cursor, nil).must(200)
				for _, row := range a.at("data").([]any) {
					got = append(got, row.(map[string]any)[test.id].(string))
				}
				if a.at("next_cursor") == nil {
					break
				}
				cursor = "&cursor=" + a.text("next_cursor")
			}
			listed := len(test.before) + 7
			if len(got) != listed+test.after || !slices.Equal(got[:listed], append(slices.Clone(test.before), want...)) {
				t.Errorf("%s in pages of %d: %v, want %v and then %d more", test.path, size, got, want, test.after)
			}
			if size == 1 && pages < 6 {
				t.Errorf("%s: %d pages of 1", test.path, pages+1)
			}
		}
	}
	// Others see their own organization alone.
	if got := h.as(in.newKey(object{"role": "owner", "reach": "organization"}).secret).walk("/v1/organizations", 1, "name"); !slices.Equal(got, []string{"Listed"}) {
		t.Errorf("a tenant sees %v", got)
	}
}

// Lists that are walked at once do not disturb one another.
func TestListsAtOnce(t *testing.T) {
	t.Parallel()
	h := open(t)
	s := h.stockUp()
	want := s.expect(func(object) bool { return true })
	got := make([][]string, 16)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() { got[i] = s.inside.walk("/v1/keys", 1+i, "id") })
	}
	wg.Wait()
	for i := range got {
		if !slices.Equal(got[i], want) {
			t.Errorf("walk %d: %v", i, got[i])
		}
	}
}
