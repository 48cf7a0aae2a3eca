package rest_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"latchkey.dev/latchkey"
)

// takes are the operations that take the request header.
func (h *house) takes(header string) []route {
	return slices.DeleteFunc(h.routes(), func(r route) bool { return r.Parameters.GetByInAndName("header", header) == nil })
}

func TestIfMatchForms(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	routes := h.takes("If-Match")
	if len(routes) < 13 {
		t.Fatalf("%d operations take If-Match", len(routes))
	}
	for _, r := range routes {
		kind := map[string]string{"keys": "key", "organizations": "org", "projects": "prj", "users": "usr", "roles": "role"}[strings.Split(r.path, "/")[2]]
		path, body := r.to(kind+"_0d5qh0w2e9x8v3k7m1ac"), h.bodyOf(r)
		for _, form := range []string{
			"", "42", `W/"42"`, `"42", "43"`, `"42" `[:4] + `,*`, `""`, `"0"`, `"-1"`, `"+42"`, `"042"`, `" 42"`, `"4x"`, `'4'`, "`42`", `"\x34"`, `"42`, `42"`, `""42""`,
			`"99999999999999999999"`, "* ", "**", `"*"`,
		} {
			a := root.with("If-Match", form).do(r.method, path, body)
			if form == "* " { // a space at the end of a header is not part of it
				a.refused(404, latchkey.CodeNotFound)
				continue
			}
			a.breaks(422, latchkey.CodeInvalid, "header:If-Match", "format")
		}
		root.with("If-Match", `"42"`).with("If-Match", `"42"`).do(r.method, path, body).breaks(422, latchkey.CodeInvalid, "header:If-Match", "format")
		root.with("If-Match", `"42"`).do(r.method, path, body).refused(404, latchkey.CodeNotFound)
	}
}

// What was changed since it was seen is not changed again; every way to change
// something holds to that.
func TestIfMatchHolds(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	for _, test := range []struct {
		noun, path  string
		made, patch object
	}{
		{"key", "/v1/keys", object{"name": "Seen"}, object{"name": "Changed"}},
		{"organization", "/v1/organizations", object{"name": "Seen"}, object{"name": "Changed"}},
		{"project", "/v1/projects", object{"name": "Seen"}, object{"name": "Changed"}},
		{"user", "/v1/users", object{"name": "Seen", "kind": "service"}, object{"name": "Changed"}},
		{"role", "/v1/roles", object{"identifier": "seen", "name": "Seen"}, object{"name": "Changed"}},
	} {
		h.run(test.noun, func() {
			made := root.do("POST", test.path, test.made).must(201)
			id := made.text("id")
			if test.noun == "key" {
				id = made.text("key", "id")
			}
			path, first := test.path+"/"+id, made.Header.Get("ETag")
			if made.Header.Get("Location") != path {
				h.Errorf("made at %q, not %q", made.Header.Get("Location"), path)
			}
			if got := root.do("GET", path, nil).must(200).Header.Get("ETag"); got != first || first == "" {
				h.Errorf("ETag %q when it was made, %q when it was read", first, got)
			}
			nothing := root.with("If-Match", first).do("PATCH", path, object{}).must(200)
			if nothing.Header.Get("ETag") != first {
				h.Errorf("no change changed the ETag: %q, %q", first, nothing.Header.Get("ETag"))
			}
			second := root.with("If-Match", first).do("PATCH", path, test.patch).must(200).Header.Get("ETag")
			if second == first {
				h.Errorf("the ETag stayed %s", first)
			}
			before := root.do("GET", path, nil).must(200)
			head := h.head()
			root.with("If-Match", first).do("PATCH", path, object{"name": "Again"}).refused(412, latchkey.CodePreconditionFailed)
			root.with("If-Match", first).do("PATCH", path, object{}).refused(412, latchkey.CodePreconditionFailed)
			root.with("If-Match", first).do("DELETE", path, nil).refused(412, latchkey.CodePreconditionFailed)
			if after := root.do("GET", path, nil).must(200); after.Text != before.Text || h.head() != head {
				h.Errorf("a refused change left\n%s\nof\n%s", after.Text, before.Text)
			}
			root.with("If-Match", "*").do("PATCH", path, object{"name": "Any"}).must(200)
			last := root.do("GET", path, nil).must(200).Header.Get("ETag")
			root.with("If-Match", last).do("DELETE", path, nil).must(200)
		})
	}
}

// head is the position of the last event.
func (h *house) head() int64 {
	h.Helper()
	position, err := h.store.Head(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	return position
}

func TestIfMatchOnTheWaysOfAKey(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	made := root.do("POST", "/v1/keys", object{"name": "Seen"}).must(201)
	path, stale := "/v1/keys/"+made.text("key", "id"), made.Header.Get("ETag")
	root.do("PATCH", path, object{"name": "Changed"}).must(200)
	now := func() caller { return root.with("If-Match", root.do("GET", path, nil).must(200).Header.Get("ETag")) }
	for _, way := range []string{"/rotate", "/rotation/cancel", "/rotate", "/rotation/complete", "/revoke"} {
		root.with("If-Match", stale).do("POST", path+way, nil).refused(412, latchkey.CodePreconditionFailed)
		a := now().do("POST", path+way, nil).must(200)
		if got := root.do("GET", path, nil).Header.Get("ETag"); got != a.Header.Get("ETag") {
			t.Errorf("%s: ETag %q, then %q", way, a.Header.Get("ETag"), got)
		}
	}
	// To revoke a revoked key changes nothing, and still holds to what was seen.
	root.with("If-Match", stale).do("POST", path+"/revoke", nil).refused(412, latchkey.CodePreconditionFailed)
	now().do("POST", path+"/revoke", nil).must(200)
}

// What hangs on an object stays when the object was changed meanwhile.
func TestIfMatchKeepsWhatHangsOnIt(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	project := root.do("POST", "/v1/projects", object{"name": "P"}).must(201)
	user := root.do("POST", "/v1/users", object{"name": "U", "kind": "service"}).must(201)
	role := root.do("POST", "/v1/roles", object{"identifier": "ro", "name": "R"}).must(201)
	organization := root.do("POST", "/v1/organizations", object{"name": "O"}).must(201)
	for path, made := range map[string]answer{"/v1/projects/": project, "/v1/users/": user, "/v1/roles/": role, "/v1/organizations/": organization} {
		as := root
		if path == "/v1/organizations/" {
			as = root.in(organization.text("id"))
		}
		hanging := object{"name": "Hangs on it"}
		switch path {
		case "/v1/projects/":
			hanging["project_id"] = made.text("id")
		case "/v1/users/":
			hanging["owner_id"] = made.text("id")
		case "/v1/roles/":
			hanging["role"] = made.text("id")
		}
		key := as.do("POST", "/v1/keys", hanging).must(201)
		root.do("PATCH", path+made.text("id"), object{"name": "Changed"}).must(200)
		root.with("If-Match", made.Header.Get("ETag")).do("DELETE", path+made.text("id")+"?revoke_keys=true", nil).refused(412, latchkey.CodePreconditionFailed)
		if got := as.do("GET", "/v1/keys/"+key.text("key", "id"), nil).must(200).text("state"); got != "live" {
			t.Errorf("%s: its key is %s", path, got)
		}
	}
}

// Of many who saw the same, one changes it.
func TestIfMatchLetsOneWin(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	made := root.do("POST", "/v1/keys", object{"name": "Contended"}).must(201)
	as := root.with("If-Match", made.Header.Get("ETag"))
	answers := make([]answer, 20)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			answers[i] = as.do("PATCH", "/v1/keys/"+made.text("key", "id"), object{"name": strings.Repeat("x", i+1)})
		})
	}
	wg.Wait()
	won := 0
	for _, a := range answers {
		if a.Status == 200 {
			won++
			continue
		}
		a.refused(412, latchkey.CodePreconditionFailed)
	}
	if won != 1 {
		t.Fatalf("%d won", won)
	}
}
