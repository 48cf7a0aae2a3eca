package company_test

import (
	"net/http"
	"strings"
	"testing"

	"latchkey.dev/latchkey/dialect/dialecttest"
)

const stranger = "key_0d5qh0w2e9x8v3k7m1ac"

func TestGet(t *testing.T) {
	t.Parallel()
	h := open(t)
	id, key := h.create(h.User("Ada", "reader"))
	for _, at := range []string{"/keys/", "/api/keys/"} {
		a := h.root(http.MethodGet, at+id, nil).Must(200)
		a.Is(key[:len("lk_live_")+16]+"_...", "key")
		a.Is("active", "status")
	}
	_, stray := h.Key(object{"role": "reader"})
	for _, id := range []string{stray, stranger, "x", strings.ToUpper(id), "%20", "usr_" + id[4:], id + "/", id + "/x"} {
		a := h.root(http.MethodGet, "/keys/"+id, nil).Must(404)
		if id == stray || id == stranger || id == "x" {
			a.Is("API key not found", "message")
		}
		h.root(http.MethodDelete, "/keys/"+id, nil).Must(404)
	}
	h.Native(http.MethodGet, "/v1/keys/"+stray, nil).Is("live", "state")
}

func TestDelete(t *testing.T) {
	t.Parallel()
	h := open(t)
	id, key := h.create(h.User("Ada", "owner"))
	if got := h.root(http.MethodDelete, "/keys/"+id, nil).Must(204).Header.Get("X-Latchkey-Effective"); got != "everywhere" {
		t.Errorf("effective %q", got)
	}
	if got := h.Verdict(key); got != "revoked" {
		t.Errorf("deleted, and verifies as %s", got)
	}
	h.as(key, http.MethodGet, "/keys", nil).Must(401)
	first := h.root(http.MethodGet, "/keys/"+id, nil).Must(200)
	first.Is("inactive", "status")
	if first.String("deletedAt") != first.String("updatedAt") {
		t.Errorf("deleted and updated at different times: %s", first.Text)
	}
	h.root(http.MethodDelete, "/keys/"+id, nil).Must(204)
	if again := h.root(http.MethodGet, "/keys/"+id, nil).Must(200); again.Text != first.Text {
		t.Errorf("a second deletion changed the key:\n%s\n%s", first.Text, again.Text)
	}
	own, ownKey := h.create(h.User("Bob", "owner"))
	h.as(ownKey, http.MethodDelete, "/keys/"+own, nil).Must(204)
	h.as(ownKey, http.MethodDelete, "/keys/"+own, nil).Must(401)
}

// Each way in which a key can stop being live is inactive here, and only a
// revocation has a time of deletion.
func TestStates(t *testing.T) {
	t.Parallel()
	h := open(t)
	user := h.User("Ada", "reader")
	_, expired := h.Key(object{"owner_id": user, "expires_at": "2020-01-01T00:00:00Z"})
	_, disabled := h.Key(object{"owner_id": user})
	h.Native(http.MethodPatch, "/v1/keys/"+disabled, object{"enabled": false})
	_, revoked := h.Key(object{"owner_id": user})
	h.Native(http.MethodPost, "/v1/keys/"+revoked+"/revoke", object{})
	_, live := h.Key(object{"owner_id": user, "role": "member"})
	for id, want := range map[string]struct {
		status           string
		updated, deleted bool
	}{expired: {"inactive", false, false}, disabled: {"inactive", true, false}, revoked: {"inactive", true, true}, live: {"active", false, false}} {
		a := h.root(http.MethodGet, "/keys/"+id, nil).Must(200)
		a.Is(want.status, "status")
		if (a.At("updatedAt") != nil) != want.updated || (a.At("deletedAt") != nil) != want.deleted {
			t.Errorf("%s", a.Text)
		}
	}
	inactive := shown(h.root(http.MethodGet, "/keys?status=inactive", nil).Must(200))
	if len(inactive) != 3 || inactive[0] != revoked || inactive[1] != disabled || inactive[2] != expired {
		t.Errorf("inactive are %v", inactive)
	}
}

func TestBadBodies(t *testing.T) {
	t.Parallel()
	h := open(t)
	user := h.User("Ada", "")
	suspended := h.User("Sue", "")
	h.Native(http.MethodPatch, "/v1/users/"+suspended, object{"state": "suspended"})
	post := func(contentType, body string) dialecttest.Answer {
		q := dialecttest.Request{Method: http.MethodPost, Path: "/keys", Body: body, Header: []string{"X-API-Key: " + h.AdminKey}}
		if contentType != "" {
			q.Header = append(q.Header, "Content-Type: "+contentType)
		}
		a := h.Send(q)
		conforms(t, a)
		return a
	}
	long := strings.Repeat(`"1.1.1.1",`, 257)
	for body, field := range map[string]string{
		`{}`: "userId", `{"userId":""}`: "userId", `{"userId":null}`: "userId", `{"userId":1}`: "userId", `{"userId":["` + user + `"]}`: "userId",
		`{"userId":"` + stranger + `"}`: "userId", `{"userId":"usr_0d5qh0w2e9x8v3k7m1ac"}`: "userId", `{"userId":"` + suspended + `"}`: "userId",
		`{"userid":"` + user + `"}`:                                               "userId",
		`{"userId":"` + user + `","whitelistedIPs":["x"]}`:                        "whitelistedIPs/0",
		`{"userId":"` + user + `","whitelistedIPs":["1.1.1.1,x"]}`:                "whitelistedIPs/1",
		`{"userId":"` + user + `","whitelistedIPs":""}`:                           "whitelistedIPs/0",
		`{"userId":"` + user + `","whitelistedIPs":"1.1.1.1,"}`:                   "whitelistedIPs/1",
		`{"userId":"` + user + `","whitelistedIPs":["10.0.0.0/33"]}`:              "whitelistedIPs/0",
		`{"userId":"` + user + `","whitelistedIPs":1}`:                            "whitelistedIPs",
		`{"userId":"` + user + `","whitelistedIPs":{}}`:                           "whitelistedIPs",
		`{"userId":"` + user + `","whitelistedIPs":[1]}`:                          "whitelistedIPs/0",
		`{"userId":"` + user + `","whitelistedIPs":[null]}`:                       "whitelistedIPs/0",
		`{"userId":"` + user + `","whitelistedIPs":[["1.1.1.1"]]}`:                "whitelistedIPs/0",
		`{"userId":"` + user + `","whitelistedIPs":[` + long[:len(long)-1] + `]}`: "whitelistedIPs",
	} {
		a := post("application/json", body).Must(400)
		if !strings.HasPrefix(a.String("message"), field+": ") {
			t.Errorf("%.200s: %s", body, a.Text)
		}
	}
	good := `{"userId":"` + user + `"}`
	for _, body := range []string{
		"", " ", "null", "[]", `"x"`, "{", good + "x", good + good, `{"userId":"` + user + `","userId":"` + user + `"}`, "{\"userId\":\"\xff\"}",
		`{"userId":"\ud800"}`, `{"userId":"a\u0000b"}`, `{"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, `{'userId':1}`,
	} {
		post("application/json", body).Must(400)
	}
	post("", "").Must(400)
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "application/problem+json", "multipart/form-data"} {
		post(contentType, good).Must(415)
	}
	post("application/json", `{"userId":"`+user+`","x":"`+strings.Repeat("x", 64<<10)+`"}`).Must(413)
	post("application/json; charset=utf-8", good).Must(201)
	post("application/json", `{"userId":"`+user+`","x":"`+strings.Repeat("x", 60<<10)+`","whitelistedIPs":null}`).Must(201)
}

func TestPathsAndMethods(t *testing.T) {
	t.Parallel()
	h := open(t)
	id, _ := h.create(h.User("Ada", ""))
	for _, at := range []string{"/keys", "/api/keys"} {
		for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodOptions, "BREW"} {
			if got := h.root(method, at, nil).Must(405).Header.Get("Allow"); got != "GET, HEAD, POST" {
				t.Errorf("Allow: %s", got)
			}
			if got := h.root(method, at+"/"+id, nil).Must(405).Header.Get("Allow"); got != "DELETE, GET, HEAD" {
				t.Errorf("Allow: %s", got)
			}
		}
		h.root(http.MethodDelete, at, nil).Must(405)
		h.root(http.MethodPost, at+"/"+id, nil).Must(405)
		for _, path := range []string{"/", "/" + id + "/", "/" + id + "/rotate", "//" + id, "/../keys"} {
			h.root(http.MethodGet, at+path, nil).Must(404)
		}
		h.Send(dialecttest.Request{Method: http.MethodHead, Path: at, Header: []string{"X-API-Key: " + h.AdminKey}}).Must(200)
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	h := open(t)
	_, other := h.create(h.User("Ada", "owner"))
	old, _ := h.Key(object{"owner_id": h.User("Eve", "owner"), "expires_at": "2020-01-01T00:00:00Z"})
	elsewhere, _ := h.Key(object{"role": "owner", "restrictions": object{"addresses": []string{"192.0.2.1"}}})
	for _, test := range []struct {
		want   int
		header []string
	}{
		{200, []string{"X-API-Key: " + other}}, {200, []string{"x-api-key: " + other}}, {200, []string{"X_API_KEY: " + other}},
		{200, []string{"Authorization: Bearer " + other}}, {200, []string{"Authorization: bearer " + other}},
		{200, []string{"X-API-Key: " + other, "Authorization: Bearer " + other}},
		{200, []string{"X-API-Key: " + other, "X_API_KEY: " + other}},
		{401, nil}, {401, []string{"X-API-Key: "}}, {401, []string{"X-API-Key: nonsense"}}, {401, []string{"Authorization: Basic " + other}},
		{401, []string{"X-API-Key: " + old}},
		{401, []string{"X-API-Key: " + other, "X-API-Key: " + other}},
		{401, []string{"X-API-Key: " + other, "Authorization: Bearer nonsense"}},
		{401, []string{"X-API-Key: nonsense", "Authorization: Bearer " + other}},
		{401, []string{"X-API-Key: " + other, "Authorization: Bearer " + h.AdminKey}},
		{403, []string{"X-API-Key: " + elsewhere}},
	} {
		for _, path := range []string{"/keys", "/api/keys/" + stranger} {
			a := h.Send(dialecttest.Request{Method: http.MethodGet, Path: path, Header: test.header})
			conforms(t, a)
			if want := test.want; want == 200 && path != "/keys" {
				a.Must(404)
			} else {
				a.Must(want)
			}
		}
	}
}

// A token is its key, and ends with it.
func TestTokens(t *testing.T) {
	t.Parallel()
	h := open(t)
	id, key := h.create(h.User("Ada", "owner"))
	token := h.Token(key)
	for want, header := range map[int][]string{
		200: {"Authorization: Bearer " + token},
		401: {"Authorization: Bearer " + token + "x"},
	} {
		a := h.Send(dialecttest.Request{Method: http.MethodGet, Path: "/keys", Header: header}).Must(want)
		conforms(t, a)
	}
	h.Send(dialecttest.Request{Method: http.MethodGet, Path: "/keys", Header: []string{"Authorization: Bearer " + token, "X-API-Key: " + key}}).Must(200)
	h.Send(dialecttest.Request{Method: http.MethodGet, Path: "/keys", Header: []string{"Authorization: Bearer " + token, "X-API-Key: " + h.AdminKey}}).Must(401)
	h.root(http.MethodDelete, "/keys/"+id, nil).Must(204)
	h.Send(dialecttest.Request{Method: http.MethodGet, Path: "/keys", Header: []string{"Authorization: Bearer " + token}}).Must(401)
}

// A caller without a right is told so before anything about its request or about
// what exists.
func TestOrderOfRefusals(t *testing.T) {
	t.Parallel()
	h := open(t)
	id, _ := h.create(h.User("Ada", ""))
	reader, _ := h.Key(object{"scopes": []string{"api_key:read"}})
	maker, _ := h.Key(object{"scopes": []string{"api_key:create"}, "reach": "organization"})
	nobody, _ := h.Key(object{})
	boss := h.User("Boss", "owner")
	for _, path := range []string{"/keys", "/keys?limit=0", "/keys/" + id, "/keys/" + stranger, "/keys/x"} {
		h.as(nobody, http.MethodGet, path, nil).Must(403)
		h.as(maker, http.MethodGet, path, nil).Must(403)
	}
	for _, path := range []string{id, stranger, "x"} {
		h.as(reader, http.MethodDelete, "/keys/"+path, nil).Must(403)
	}
	h.as(reader, http.MethodPost, "/keys", object{"userId": 1}).Must(403)
	h.as(reader, http.MethodPost, "/keys", nil).Must(403)
	h.as(maker, http.MethodPost, "/keys", object{"userId": boss, "whitelistedIPs": "x"}).Must(400)
	h.as(maker, http.MethodPost, "/keys", object{"userId": "usr_0d5qh0w2e9x8v3k7m1ac"}).Must(400)
	h.as(maker, http.MethodPost, "/keys", object{"userId": boss}).Must(403)
	h.as(maker, http.MethodPost, "/keys", object{"userId": h.User("Nobody", "")}).Must(201)
}

// Nobody makes a key for a user who is above it.
func TestCeiling(t *testing.T) {
	t.Parallel()
	h := open(t)
	_, manager := h.create(h.User("Manager", "manager"))
	for role, want := range map[string]int{"owner": 403, "admin": 403, "manager": 201, "developer": 201, "reader": 201, "": 201, "auditor": 403} {
		h.as(manager, http.MethodPost, "/keys", object{"userId": h.User("A "+role, role)}).Must(want)
	}
}

// A key is its user's: what the user may do now, and nothing while the user is
// suspended.
func TestPowersAreTheUsers(t *testing.T) {
	t.Parallel()
	h := open(t)
	user := h.User("Ada", "reader")
	id, key := h.create(user)
	h.as(key, http.MethodGet, "/keys", nil).Must(403)
	h.Native(http.MethodPatch, "/v1/users/"+user, object{"roles": []object{{"role": "admin"}}})
	h.as(key, http.MethodGet, "/keys", nil).Must(200)
	h.Native(http.MethodPatch, "/v1/users/"+user, object{"state": "suspended"})
	if got := h.Verdict(key); got != "disabled" {
		t.Errorf("of a suspended user, and verifies as %s", got)
	}
	h.as(key, http.MethodGet, "/keys", nil).Must(401)
	h.root(http.MethodGet, "/keys/"+id, nil).Must(200).Is("inactive", "status")
}

// What belongs to another company or project is not there.
func TestReach(t *testing.T) {
	t.Parallel()
	h := open(t)
	project := h.Native(http.MethodPost, "/v1/projects", object{"name": "second"}).String("id")
	other := h.Native(http.MethodPost, "/v1/projects", object{"name": "third"}).String("id")
	member := func(name string, projects ...string) string {
		roles := []object{}
		for _, p := range projects {
			roles = append(roles, object{"role": "owner", "project_id": p})
		}
		return h.Native(http.MethodPost, "/v1/users", object{"name": name, "kind": "service", "roles": roles}).String("id")
	}
	wideID, _ := h.create(h.User("Wide", "owner"))
	hereID, here := h.create(member("Here", project))
	thereID, _ := h.create(member("There", other, project))
	for id, want := range map[string][2]string{wideID: {"organization", ""}, hereID: {"project", project}, thereID: {"project", other}} {
		a := h.Native(http.MethodGet, "/v1/keys/"+id, nil)
		a.Is(want[0], "reach")
		if want[1] != "" {
			a.Is(want[1], "project_id")
		}
	}
	if got := shown(h.as(here, http.MethodGet, "/keys", nil).Must(200)); len(got) != 1 || got[0] != hereID {
		t.Errorf("bound to a project and sees %v", got)
	}
	for _, id := range []string{wideID, thereID} {
		h.as(here, http.MethodGet, "/keys/"+id, nil).Must(404)
		h.as(here, http.MethodDelete, "/keys/"+id, nil).Must(404)
		h.as(here, http.MethodGet, "/keys?startingAfter="+id, nil).Must(400)
	}
	made := h.as(here, http.MethodPost, "/keys", object{"userId": member("Both", project, other)}).Must(201).String("id")
	h.Native(http.MethodGet, "/v1/keys/"+made, nil).Is(project, "project_id")
	h.as(here, http.MethodPost, "/keys", object{"userId": member("Else", other)}).Must(400)

	company := h.Native(http.MethodPost, "/v1/organizations", object{"name": "another"}).String("id")
	q := dialecttest.Request{Method: http.MethodPost, Path: "/v1/keys", Body: `{"name":"theirs","role":"owner","reach":"organization"}`, Header: []string{
		"Authorization: Bearer " + h.AdminKey, "Content-Type: application/json", "Latchkey-Organization: " + company,
	}}
	theirs := h.Send(q).Must(201).String("secret")
	h.as(theirs, http.MethodGet, "/keys", nil).Must(200).Is(0.0, "total")
	h.as(theirs, http.MethodGet, "/keys/"+wideID, nil).Must(404)
	h.as(theirs, http.MethodDelete, "/keys/"+wideID, nil).Must(404)
	h.as(theirs, http.MethodGet, "/keys?endingBefore="+wideID, nil).Must(400)
	h.as(theirs, http.MethodPost, "/keys", object{"userId": member("Ours", project)}).Must(400)
}

func TestNames(t *testing.T) {
	t.Parallel()
	h := open(t)
	id, _ := h.create(h.User(strings.Repeat("ü", 255), ""))
	h.Native(http.MethodGet, "/v1/keys/"+id, nil).Is("API key of "+strings.Repeat("ü", 244), "name")
}
