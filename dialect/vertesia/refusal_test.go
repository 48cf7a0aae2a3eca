package vertesia_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// What the document does not speak of, and every dialect has an answer to.
func TestBadInput(t *testing.T) {
	t.Parallel()
	h := open(t)
	admin := h.admin()
	path := keysPath + "/" + admin.create().text("id")
	for _, c := range []struct{ method, path string }{{"POST", keysPath}, {"PUT", path}, {"POST", issuePath}, {"POST", refreshPath}} {
		bearer := admin
		if c.path == refreshPath {
			bearer = h.as(admin.do("POST", issuePath, nil).must(200).text("token"))
		}
		try := func(what string, status int, with caller, body string) {
			t.Helper()
			if a := with.do(c.method, c.path, body); a.Status != status {
				t.Errorf("%s %s, %s: %d %s", c.method, c.path, what, a.Status, a.Text)
			}
		}
		try("over 64 KiB", 413, bearer, `{"name":"`+strings.Repeat("x", 64<<10)+`"}`)
		try("text", 415, bearer.with("Content-Type", "text/plain"), `{"name":"n"}`)
		try("a form", 415, bearer.with("Content-Type", "application/x-www-form-urlencoded"), `name=n`)
		try("compressed", 415, bearer.with("Content-Type", "application/json").with("Content-Encoding", "gzip"), `{}`)
		for what, body := range map[string]string{
			"twice": `{"name":"a","name":"b"}`, "not UTF-8": "{\"name\":\"\xff\"}", "trailing": `{"name":"n"}{}`, "deep": strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40),
			"an array": `[{}]`, "a word": `"x"`, "broken": `{"name":`, "half a surrogate": `{"name":"\ud800"}`,
		} {
			try(what, 400, bearer, body)
		}
	}
	for _, c := range []struct{ method, path, allow string }{
		{"PUT", keysPath, "GET, HEAD, POST"}, {"DELETE", keysPath, "GET, HEAD, POST"}, {"PATCH", path, "DELETE, GET, HEAD, PUT"}, {"POST", path, "DELETE, GET, HEAD, PUT"},
		{"POST", path + "/token", "GET, HEAD"}, {"OPTIONS", keysPath, "GET, HEAD, POST"}, {"POST", rolesPath, "GET, HEAD"}, {"GET", issuePath, "POST"}, {"POST", legacyPath, "GET, HEAD"},
	} {
		if a := admin.do(c.method, c.path, nil).must(405); a.Header.Get("Allow") != c.allow {
			t.Errorf("%s %s allows %s", c.method, c.path, a.Header.Get("Allow"))
		}
	}
	admin.do("GET", path+"?withValue=true&withValue=true", nil).refused(400, "withValue")
	admin.do("GET", keysPath+"?level=%zz", nil).refused(400, "query")
	for _, missing := range []string{"/api/v1/", "/api/v1/apikey", "/api/v1/apikeys/a/b", "/api/v1/apikeys/a/token/b", "/api/v1/iam", "/api/v1/iam/roles/content", "/token/", "/token/revoke", "/auth/"} {
		admin.do("GET", missing, nil).refused(404, "")
	}
}

func TestBadCredentials(t *testing.T) {
	t.Parallel()
	h := open(t)
	good := h.AdminKey
	other := h.admin().create().text("value")
	token := h.admin().do("POST", issuePath, nil).must(200).text("token")
	for what, c := range map[string]caller{
		"none": h.nobody(), "undefined": h.as("undefined"), "empty": h.as(""), "another scheme": h.nobody().with("Authorization", "Basic "+good),
		"no scheme": h.nobody().with("Authorization", good), "twice": h.as(good).with("Authorization", "Bearer "+good), "two of them": h.as(good).with("Authorization", "Bearer "+other),
		"a letter off": h.as(good[:len(good)-1] + "!"), "a token with another end": h.as(token[:len(token)-4] + "AAAA"), "a header that is not ours": h.nobody().with("X-API-Key", good),
	} {
		if a := c.do("GET", keysPath, nil); a.Status != 401 {
			t.Errorf("%s: %d %s", what, a.Status, a.Text)
		}
	}
	h.as(token).do("GET", keysPath, nil).must(200)
	h.nobody().with("Authorization", "bearer "+good).do("GET", keysPath, nil).must(200)
	elsewhere := h.as(h.admin().native(object{"role": "owner", "restrictions": object{"addresses": []string{"192.0.2.0/24"}}}).text("secret"))
	elsewhere.do("GET", keysPath, nil).refused(403, "address")
	elsewhere.do("POST", issuePath, nil).refused(403, "token_issuance_forbidden")
}

// Refusals come in one order, so that whoever may not learns nothing.
func TestOrderOfRefusals(t *testing.T) {
	t.Parallel()
	h := open(t)
	path := keysPath + "/" + h.admin().create(object{"role": "admin"}).text("id")
	weak := h.granted("api_key:create", "api_key:read", "api_key:update", "api_key:delete")
	poor := h.granted("docs:read")
	for _, c := range []struct {
		who    caller
		method string
		path   string
		body   any
		status int
	}{
		{h.nobody(), "POST", keysPath, "{", 401},
		{poor, "POST", keysPath, "{", 403},
		{weak, "POST", keysPath, "{", 400},
		{weak, "POST", keysPath, valid(object{"role": "boss"}), 400},
		{weak, "POST", keysPath, valid(object{"role": "admin"}), 403},
		{h.nobody(), "PUT", keysPath + "/x", "{", 401},
		{poor, "PUT", keysPath + "/x", "{", 403},
		{weak, "PUT", keysPath + "/x", "{", 400},
		{weak, "PUT", keysPath + "/" + noKey, object{"name": ""}, 400},
		{weak, "PUT", keysPath + "/" + noKey, object{"role": "admin"}, 403},
		{weak, "PUT", keysPath + "/" + noKey, object{"name": "n"}, 404},
		{weak, "PUT", path, object{"enabled": true}, 403},
		{weak, "PUT", path, object{"expires_at": nil}, 403},
		{weak, "PUT", path, object{"properties": object{}}, 403},
		{weak, "PUT", path, object{"role": "admin"}, 403},
		{weak, "PUT", path, object{"enabled": false}, 200},
		{poor, "GET", keysPath + "/x?withValue=maybe", nil, 403},
		{weak, "GET", keysPath + "/x?withValue=maybe", nil, 400},
		{weak, "GET", keysPath + "/x", nil, 404},
		{poor, "GET", keysPath + "/x/token", nil, 403},
		{weak, "GET", path + "/token", nil, 403},
		{weak, "GET", keysPath + "?level=x", nil, 400},
		{poor, "GET", keysPath + "?level=x", nil, 403},
		{poor, "DELETE", keysPath + "/x", nil, 403},
		{weak, "DELETE", path, nil, 200}, // to revoke takes no ceiling
		{h.nobody(), "POST", refreshPath, "{", 401},
		{h.as("sk-x"), "POST", issuePath, "{", 401},
	} {
		if a := c.who.do(c.method, c.path, c.body); a.Status != c.status {
			t.Errorf("%s %s %v: %d %s, not %d", c.method, c.path, c.body, a.Status, a.Text, c.status)
		}
	}
}

// Each operation takes the permission that the document names, and no other.
func TestRights(t *testing.T) {
	t.Parallel()
	h := open(t)
	all := []string{"api_key:create", "api_key:read", "api_key:update", "api_key:delete", "api_key:secret_read", "api_key:verify"}
	for _, c := range []struct{ method, path, needs string }{
		{"GET", keysPath, "api_key:read"}, {"POST", keysPath, "api_key:create"}, {"GET", keysPath + "/" + noKey, "api_key:read"}, {"PUT", keysPath + "/" + noKey, "api_key:update"},
		{"DELETE", keysPath + "/" + noKey, "api_key:delete"}, {"GET", keysPath + "/" + noKey + "/token", "api_key:read"}, {"GET", keysPath + "/" + noKey + "?withValue=true", "api_key:read"},
		{"GET", rolesPath, "api_key:read"}, {"GET", rolesPath + "/system", "api_key:read"},
	} {
		var body any
		if c.method == "POST" || c.method == "PUT" {
			body = object{}
		}
		for _, scope := range all {
			a := h.granted(scope).do(c.method, c.path, body)
			if allowed := scope == c.needs; allowed == (a.Status == 403) {
				t.Errorf("%s %s with %s: %d %s", c.method, c.path, scope, a.Status, a.Text)
			}
		}
	}
}

// Another organization's keys are as unknown as those that never were.
func TestTenancy(t *testing.T) {
	t.Parallel()
	h := open(t)
	tenant := h.admin().do("POST", "/v1/organizations", object{"name": "Tenant"}).must(201).text("id")
	stranger := h.as(h.admin().with("Latchkey-Organization", tenant).native(object{"role": "owner", "reach": "organization"}).text("secret"))
	ours := h.admin().create()
	theirs := stranger.create()
	for _, c := range []struct {
		who caller
		id  string
	}{{stranger, ours.text("id")}, {h.admin(), theirs.text("id")}} {
		path := keysPath + "/" + c.id
		unknown := c.who.do("GET", keysPath+"/"+noKey, nil)
		for _, a := range []answer{
			c.who.do("GET", path, nil), c.who.do("GET", path+"?withValue=true", nil), c.who.do("PUT", path, object{"name": "x"}), c.who.do("DELETE", path, nil), c.who.do("GET", path+"/token", nil),
		} {
			if a.must(404); a.Text != unknown.Text {
				t.Errorf("%s tells more than %s", a.Text, unknown.Text)
			}
		}
		if strings.Contains(c.who.do("GET", keysPath+"?level=account", nil).must(200).Text, c.id) {
			t.Error("a foreign key is listed")
		}
	}
}

// Nobody gives more than they hold, and a ceiling is lifted for what may be given.
func TestCeiling(t *testing.T) {
	t.Parallel()
	h := open(t)
	manager := h.role("manager")
	for role, status := range map[string]int{"owner": 403, "admin": 403, "content_superadmin": 403, "auditor": 403, "manager": 200, "developer": 200, "reader": 200, "member": 200} {
		if a := manager.do("POST", keysPath, valid(object{"role": role})); a.Status != status {
			t.Errorf("a manager makes an %s: %d %s", role, a.Status, a.Text)
		}
	}
	id := manager.create(object{"role": "reader"}).text("id")
	manager.do("PUT", keysPath+"/"+id, object{"role": "owner"}).refused(403, "")
	manager.do("PUT", keysPath+"/"+id, object{"role": "developer"}).must(200)
	giver := h.as(h.admin().native(object{"role": "manager", "scopes": []string{"grant:content:*"}, "reach": "organization"}).text("secret"))
	giver.do("POST", keysPath, valid(object{"role": "content_superadmin"})).must(200)
}

// An organization that has all its keys gets no more, and is told so.
func TestConflictsAreTold(t *testing.T) {
	t.Parallel()
	h := open(t)
	organization := h.admin().do("GET", "/v1/organizations", nil).must(200).text("data", 0, "id")
	h.admin().do("PATCH", "/v1/organizations/"+organization, object{"limits": object{"keys": 2}}).must(200)
	h.admin().create()
	h.admin().do("POST", keysPath, valid()).refused(409, "limits.keys")
}

// Who tries many credentials has to wait; a good one is served all the while.
func TestFailuresAreThrottled(t *testing.T) {
	t.Parallel()
	h := open(t)
	held := 0
	for range 60 {
		if a := h.as("undefined").do("GET", keysPath, nil); a.Status == 429 {
			held++
		}
		if a := h.nobody().do("POST", issuePath, object{"type": "apikey", "key": "sk-x"}); a.Status == 429 {
			held++
		}
	}
	if held == 0 {
		t.Error("nothing was held up")
	}
	h.admin().do("POST", issuePath, nil).must(200)
	h.admin().do("GET", keysPath, nil).must(200)
}

// A list of many is sent in pieces, whole.
func TestLongLists(t *testing.T) {
	t.Parallel()
	h := open(t)
	const many = 2_500
	for made := 0; made < many; {
		var items []object
		for range 500 {
			items = append(items, object{"name": strings.Repeat("n", 200), "role": "reader"})
			made++
		}
		h.admin().do("POST", "/v1/keys/batch-create", object{"items": items}).must(201)
	}
	list := h.admin().do("GET", keysPath, nil).must(200)
	seen := map[string]bool{}
	for _, id := range list.ids() {
		seen[id] = true
	}
	if len(seen) != many+1 || list.Header.Get("Content-Length") != "" {
		t.Errorf("%d keys, %s bytes", len(seen), list.Header.Get("Content-Length"))
	}
	// Whoever leaves in between takes nothing with it.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.URL+keysPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+h.AdminKey)
	for range 20 {
		got, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(got.Body, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		if err := got.Body.Close(); err != nil {
			t.Fatal(err)
		}
	}
	h.admin().do("GET", keysPath, nil).must(200)
}
