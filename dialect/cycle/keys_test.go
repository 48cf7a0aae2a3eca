package cycle_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/dialect/dialecttest"
)

func TestCreate(t *testing.T) {
	t.Parallel()
	h := open(t)
	a := h.root(http.MethodPost, collection, object{
		"name": "deploy", "role_id": role("reader"), "ips": []string{" 10.10.3.4/16", "::1 "},
		"capabilities": object{"all": true}, "permissions": object{}, "secret": "mine",
	}).Must(201)
	a.Is(h.hub, "data", "hub_id")
	a.Is("deploy", "data", "name")
	a.Is(role("reader"), "data", "role_id")
	a.Is([]any{"10.10.3.4/16", "::1"}, "data", "ips")
	a.Is("live", "data", "state", "current")
	a.Is(h.Authority.User.Hex(), "data", "creator", "id")
	a.Is("account", "data", "creator", "type")
	a.Is("0001-01-01T00:00:00Z", "data", "events", "updated")
	if got := a.Header.Get("X-Latchkey-Effective"); got != "everywhere" {
		t.Errorf("effective %q", got)
	}
	native := h.nativeKey(a.String("data", "id"))
	native.Is("project", "reach")
	native.Is(nil, "owner_id")
	native.Is("reader", "role")

	machine, machineID := h.Key(object{"role": "admin", "reach": "organization"})
	by := h.as(machine, http.MethodPost, collection, object{"name": "x", "role_id": role("reader")}).Must(201)
	by.Is(hex(t, latchkey.KindKey, machineID), "data", "creator", "id")
	by.Is("api-key", "data", "creator", "type")
	for _, ips := range []any{nil, []any{}} {
		got := h.root(http.MethodPost, collection, object{"name": "same name", "role_id": role("reader"), "ips": ips}).Must(201)
		got.Is(ips, "data", "ips")
		if code := h.Verdict(got.String("data", "secret")); code != "valid" {
			t.Errorf("verifies as %s", code)
		}
	}
	h.root(http.MethodPost, collection, object{"name": "same name", "role_id": role("reader")}).Must(201).Is(nil, "data", "ips")
}

// nativeKey is a key as the native API shows it.
func (h house) nativeKey(id string) dialecttest.Answer {
	h.Helper()
	parsed, err := latchkey.ParseHex(id)
	if err != nil {
		h.Fatal(err)
	}
	return h.Native(http.MethodGet, "/v1/keys/"+parsed.Native(latchkey.KindKey), nil)
}

func TestGet(t *testing.T) {
	t.Parallel()
	h := open(t)
	id, secret := h.create("deploy", role("reader"))
	a := h.root(http.MethodGet, collection+"/"+id, nil).Must(200)
	a.Is(secret[:len("lk_live_")+16]+"_...", "data", "secret")
	if _, there := a.At().(object)["includes"]; there {
		t.Errorf("includes that nobody asked for: %s", a.Text)
	}
	for _, query := range []string{"?include=roles", "?include=roles,roles", "?include=roles&include=roles", "?include=roles&x=y"} {
		h.root(http.MethodGet, collection+"/"+id+query, nil).Must(200).Is("reader", "includes", "roles", role("reader"), "identifier")
	}
	for _, query := range []string{"?", "?include=", "?include"} {
		h.root(http.MethodGet, collection+"/"+id+query, nil).Must(200)
	}
	refuses(h.root(http.MethodGet, collection+"/"+id+"?include=creators", nil), "422.invalid-argument", "/query/include")
	refuses(h.root(http.MethodGet, collection+"/"+id+"?include=roles,creators", nil), "422.invalid-argument", "/query/include")
	_, scoped := h.Key(object{"scopes": []string{"a:b"}})
	for _, id := range []string{hex(t, latchkey.KindKey, scoped), stranger, "x", strings.ToUpper(id), "000000000000000000000000"} {
		for _, method := range []string{http.MethodGet, http.MethodDelete} {
			refuses(h.root(method, collection+"/"+id, nil), "404.hub.api-key", "")
		}
		refuses(h.root(http.MethodPatch, collection+"/"+id, object{"name": "x"}), "404.hub.api-key", "")
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	h := open(t)
	a := h.root(http.MethodPost, collection, object{"name": "deploy", "role_id": role("reader"), "ips": []string{"10.0.0.0/8"}}).Must(201)
	path := collection + "/" + a.String("data", "id")
	unchanged := h.root(http.MethodGet, path, nil).Must(200)
	if got := h.root(http.MethodPatch, path, object{}).Must(200); got.Text != unchanged.Text {
		t.Errorf("{} changed it:\n%s\n%s", unchanged.Text, got.Text)
	}
	h.root(http.MethodPatch, path, object{"unknown": 1, "capabilities": nil}).Must(200).Is("0001-01-01T00:00:00Z", "data", "events", "updated")
	named := h.root(http.MethodPatch, path, object{"name": "other"}).Must(200)
	named.Is("other", "data", "name")
	named.Is([]any{"10.0.0.0/8"}, "data", "ips")
	if named.String("data", "events", "updated") == "0001-01-01T00:00:00Z" {
		t.Errorf("changed, and never updated: %s", named.Text)
	}
	// As the vendor's Go client renames: ips has no omitempty.
	h.root(http.MethodPatch, path, object{"name": "third", "ips": nil}).Must(200).Is(nil, "data", "ips")
	h.root(http.MethodPatch, path, object{"ips": []string{"192.0.2.1"}}).Must(200).Is([]any{"192.0.2.1"}, "data", "ips")
	h.root(http.MethodPatch, path, object{"ips": []string{}}).Must(200).Is([]any{}, "data", "ips")
	h.root(http.MethodPatch, path, object{"role_id": role("auditor")}).Must(200).Is(role("auditor"), "data", "role_id")
	for body, want := range map[string][2]string{
		`{"name":null}`: {"422.invalid-argument", "/name"}, `{"name":""}`: {"422.invalid-argument", "/name"},
		`{"role_id":null}`: {"422.invalid-argument", "/role_id"}, `{"role_id":""}`: {"422.invalid-argument", "/role_id"},
		`{"role_id":"` + stranger + `"}`: {"422.invalid-input", "/role_id"}, `{"ips":"10.0.0.1"}`: {"422.invalid-argument", "/ips"},
		`{"ips":["x"]}`: {"422.invalid-argument", "/ips/0"}, `null`: {"400.invalid-syntax", ""}, ``: {"400.invalid-syntax", ""}, `[]`: {"400.invalid-syntax", ""},
	} {
		q := dialecttest.Request{Method: http.MethodPatch, Path: path, Body: body, Header: []string{"Authorization: Bearer " + h.AdminKey, "X-Hub-Id: " + h.hub}}
		got := h.Send(q)
		conforms(t, got)
		refuses(got, want[0], want[1])
	}
	h.root(http.MethodGet, path, nil).Must(200).Is("third", "data", "name")
}

func TestDelete(t *testing.T) {
	t.Parallel()
	h := open(t)
	id, secret := h.create("deploy", role("owner"))
	a := h.root(http.MethodDelete, collection+"/"+id, nil).Must(200)
	a.Is("deleted", "data", "state", "current")
	if a.String("data", "events", "deleted") != a.String("data", "state", "changed") {
		t.Errorf("deleted at two times: %s", a.Text)
	}
	if got := h.Verdict(secret); got != "revoked" {
		t.Errorf("deleted, and verifies as %s", got)
	}
	refuses(h.as(secret, http.MethodGet, collection, nil), "401.auth-invalid", "")
	refuses(h.root(http.MethodGet, collection+"/"+id, nil), "404.hub.api-key", "")
	refuses(h.root(http.MethodDelete, collection+"/"+id, nil), "404.hub.api-key", "")
	refuses(h.root(http.MethodPatch, collection+"/"+id, object{}), "404.hub.api-key", "")
	h.root(http.MethodGet, collection+"?filter[state]=deleted", nil).Must(200).Is(id, "data", 0, "id")
	own, ownSecret := h.create("own", role("owner"))
	h.as(ownSecret, http.MethodDelete, collection+"/"+own, nil).Must(200)
	refuses(h.as(ownSecret, http.MethodDelete, collection+"/"+own, nil), "401.auth-invalid", "")
}

func TestStates(t *testing.T) {
	t.Parallel()
	h := open(t)
	expiredSecret, expired := h.Key(object{"role": "owner", "expires_at": "2020-01-01T00:00:00Z"})
	disabledSecret, disabled := h.Key(object{"role": "owner"})
	h.Native(http.MethodPatch, "/v1/keys/"+disabled, object{"enabled": false})
	at := func(native string) dialecttest.Answer {
		return h.root(http.MethodGet, collection+"/"+hex(t, latchkey.KindKey, native), nil).Must(200)
	}
	at(expired).Is("inactive", "data", "state", "current")
	at(expired).Is("2020-01-01T00:00:00.000Z", "data", "state", "changed")
	at(disabled).Is("inactive", "data", "state", "current")
	// The caller's own key in these states.
	refuses(h.as(expiredSecret, http.MethodGet, collection, nil), "401.auth-expired", "")
	refuses(h.as(disabledSecret, http.MethodGet, collection, nil), "403.invalid-state", "")
	h.as(disabledSecret, http.MethodGet, collection, nil).Must(403)
}

func TestBadBodies(t *testing.T) {
	t.Parallel()
	h := open(t)
	good := `"name":"x","role_id":"` + role("reader") + `"`
	post := func(contentType, body string) dialecttest.Answer {
		q := dialecttest.Request{Method: http.MethodPost, Path: collection, Body: body, Header: []string{"Authorization: Bearer " + h.AdminKey, "X-Hub-Id: " + h.hub}}
		if contentType != "" {
			q.Header = append(q.Header, "Content-Type: "+contentType)
		}
		a := h.Send(q)
		conforms(t, a)
		return a
	}
	long := strings.Repeat(`"1.1.1.1",`, 257)
	for body, want := range map[string][2]string{
		`{}`: {"422.missing-argument", "/name"}, `{"name":"x"}`: {"422.missing-argument", "/role_id"},
		`{"role_id":"` + role("reader") + `"}`:                                           {"422.missing-argument", "/name"},
		`{"name":null,"role_id":"` + role("reader") + `"}`:                               {"422.invalid-argument", "/name"},
		`{"name":"","role_id":"` + role("reader") + `"}`:                                 {"422.invalid-argument", "/name"},
		`{"name":1,"role_id":"` + role("reader") + `"}`:                                  {"422.invalid-argument", "/name"},
		`{"name":"` + strings.Repeat("n", 256) + `","role_id":"` + role("reader") + `"}`: {"422.invalid-argument", "/name"},
		`{"name":"a\nb","role_id":"` + role("reader") + `"}`:                             {"422.invalid-argument", "/name"},
		`{"name":"a\u0000b","role_id":"` + role("reader") + `"}`:                         {"422.invalid-argument", "/name"},
		`{"name":"x","role_id":"x"}`:                                                     {"422.invalid-argument", "/role_id"}, `{"name":"x","role_id":null}`: {"422.invalid-argument", "/role_id"},
		`{"name":"x","role_id":"` + strings.ToUpper(role("reader")) + `"}`: {"422.invalid-argument", "/role_id"},
		`{"name":"x","role_id":["` + role("reader") + `"]}`:                {"422.invalid-argument", "/role_id"},
		`{"name":"x","role_id":"` + stranger + `"}`:                        {"422.invalid-input", "/role_id"},
		`{` + good + `,"ips":["x"]}`:                                       {"422.invalid-argument", "/ips/0"},
		`{` + good + `,"ips":["1.1.1.1",""]}`:                              {"422.invalid-argument", "/ips/1"},
		`{` + good + `,"ips":["1.1.1.1,2.2.2.2"]}`:                         {"422.invalid-argument", "/ips/0"},
		`{` + good + `,"ips":[1]}`:                                         {"422.invalid-argument", "/ips/0"},
		`{` + good + `,"ips":[null]}`:                                      {"422.invalid-argument", "/ips/0"},
		`{` + good + `,"ips":"1.1.1.1"}`:                                   {"422.invalid-argument", "/ips"},
		`{` + good + `,"ips":[` + long[:len(long)-1] + `]}`:                {"422.invalid-argument", "/ips"},
		``: {"400.invalid-syntax", ""}, ` `: {"400.invalid-syntax", ""}, `null`: {"400.invalid-syntax", ""}, `[]`: {"400.invalid-syntax", ""}, `{`: {"400.invalid-syntax", ""},
		`{` + good + `}x`: {"400.invalid-syntax", ""}, `{` + good + `,"name":"y"}`: {"400.invalid-syntax", "/name"}, "{\"name\":\"\xff\"}": {"400.invalid-syntax", "/name"},
		`{"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`: {"400.invalid-syntax", ""},
		`{` + good + `,"x":"` + strings.Repeat("x", 64<<10) + `"}`:        {"422.max-exceeded", ""},
	} {
		got := post("application/json", body)
		if source, _ := got.At("error").(object)["source"].(string); want[0] == "400.invalid-syntax" && strings.HasPrefix(source, "/x") {
			continue // however deep it was read
		}
		refuses(got, want[0], want[1])
	}
	for _, contentType := range []string{"text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"} {
		refuses(post(contentType, `{`+good+`}`), "415.invalid-content-type", "")
	}
	post("", `{`+good+`}`).Must(201)
	post("application/json; charset=UTF-8", `{`+good+`}`).Must(201)
	both := post("application/json", `{}`).String("error", "detail")
	if !strings.Contains(both, "/name: ") || !strings.Contains(both, "/role_id: ") {
		t.Errorf("not all that is missing is told: %s", both)
	}
}

func TestCredentialsAndHub(t *testing.T) {
	t.Parallel()
	h := open(t)
	elsewhere, _ := h.Key(object{"role": "owner", "restrictions": object{"addresses": []string{"192.0.2.1"}}})
	bearer, hub := "Authorization: Bearer "+h.AdminKey, "X-Hub-Id: "+h.hub
	company := h.Native(http.MethodPost, "/v1/organizations", object{"name": "another"}).String("id")
	for _, test := range []struct {
		header       []string
		code, source string
	}{
		{[]string{bearer, hub}, "", ""}, {[]string{bearer, "x-hub-id: " + h.hub}, "", ""}, {[]string{"authorization: bearer " + h.AdminKey, hub}, "", ""},
		{nil, "401.auth-invalid", ""}, {[]string{hub}, "401.auth-invalid", ""}, {[]string{"Authorization: Bearer nonsense"}, "401.auth-invalid", ""},
		{[]string{"X-API-Key: " + h.AdminKey, hub}, "401.auth-invalid", ""},
		{[]string{bearer, bearer, hub}, "401.auth-invalid", ""},
		{[]string{bearer}, "401.auth-invalid", "/headers/x-hub-id"}, {[]string{bearer, "X-Hub-Id: "}, "401.auth-invalid", "/headers/x-hub-id"},
		{[]string{bearer, hub, hub}, "401.auth-invalid", "/headers/x-hub-id"},
		{[]string{bearer, "X-Hub-Id: " + stranger}, "403.wrong-hub", "/headers/x-hub-id"},
		{[]string{bearer, "X-Hub-Id: " + hex(t, latchkey.KindOrganization, company)}, "403.wrong-hub", "/headers/x-hub-id"},
		{[]string{bearer, "X-Hub-Id: " + strings.ToUpper(h.hub)}, "403.wrong-hub", "/headers/x-hub-id"},
		{[]string{bearer, "X-Hub-Id: nonsense"}, "403.wrong-hub", "/headers/x-hub-id"},
		{[]string{"Authorization: Bearer " + elsewhere, hub}, "403.invalid-ip", ""},
	} {
		for _, path := range []string{collection, rolesPath} {
			a := h.Send(dialecttest.Request{Method: http.MethodGet, Path: path, Header: test.header})
			conforms(t, a)
			if test.code == "" {
				a.Must(200)
			} else {
				refuses(a, test.code, test.source)
			}
		}
	}
}

// A token is its key, and ends with it.
func TestTokens(t *testing.T) {
	t.Parallel()
	h := open(t)
	id, secret := h.create("x", role("owner"))
	token := h.Token(secret)
	h.as(token, http.MethodGet, collection, nil).Must(200)
	refuses(h.as(token+"x", http.MethodGet, collection, nil), "401.auth-invalid", "")
	made := h.as(token, http.MethodPost, collection, object{"name": "y", "role_id": role("reader")}).Must(201)
	made.Is(id, "data", "creator", "id")
	h.as(token, http.MethodDelete, collection+"/"+id, nil).Must(200)
	refuses(h.as(token, http.MethodGet, collection, nil), "401.auth-invalid", "")
}

func TestCapabilities(t *testing.T) {
	t.Parallel()
	h := open(t)
	id, _ := h.create("x", role("reader"))
	all := []string{"api_key:read", "api_key:create", "api_key:update", "api_key:delete"}
	for i := range all {
		some, _ := h.Key(object{"scopes": slices.Delete(slices.Clone(all), i, i+1)})
		for _, try := range [][2]string{
			{http.MethodGet, collection}, {http.MethodGet, collection + "?page[size]=0"}, {http.MethodPost, collection}, {http.MethodGet, collection + "/" + id},
			{http.MethodGet, collection + "/" + stranger}, {http.MethodPatch, collection + "/" + id}, {http.MethodDelete, collection + "/" + id}, {http.MethodDelete, collection + "/x"},
		} {
			a := h.as(some, try[0], try[1], nil)
			refuses(a, "403.permissions", "")
			a.Is("api-keys-manage", "error", "extra", "capability")
		}
	}
	whole, _ := h.Key(object{"scopes": all})
	h.as(whole, http.MethodGet, collection, nil).Must(200)
	h.as(whole, http.MethodGet, rolesPath, nil).Must(200)
	reading, _ := h.Key(object{"scopes": []string{"role:read"}})
	h.as(reading, http.MethodGet, rolesPath+"/"+role("owner"), nil).Must(200)
	nobody, _ := h.Key(object{"scopes": []string{"api_key:read"}})
	for _, path := range []string{rolesPath, rolesPath + "/" + role("owner"), rolesPath + "/" + stranger} {
		a := h.as(nobody, http.MethodGet, path, nil)
		refuses(a, "403.permissions", "")
		a.Is("hubs-roles-view", "error", "extra", "capability")
	}
}

// Nobody gives a key more than they hold: what the body alone decides is refused
// before a key is looked for, the rest after.
func TestCeiling(t *testing.T) {
	t.Parallel()
	h := open(t)
	weak, _ := h.Key(object{"role": "manager"})
	mine := h.as(weak, http.MethodPost, collection, object{"name": "x", "role_id": role("developer")}).Must(201).String("data", "id")
	strong, _ := h.create("strong", role("owner"))
	for _, above := range []string{"owner", "admin", "auditor"} {
		refuses(h.as(weak, http.MethodPost, collection, object{"name": "x", "role_id": role(above)}), "403.permissions", "")
		for _, id := range []string{mine, stranger, strong} {
			refuses(h.as(weak, http.MethodPatch, collection+"/"+id, object{"role_id": role(above)}), "403.permissions", "")
		}
	}
	refuses(h.as(weak, http.MethodPatch, collection+"/"+stranger, object{"role_id": role("reader")}), "404.hub.api-key", "")
	refuses(h.as(weak, http.MethodPatch, collection+"/"+strong, object{"ips": nil}), "403.permissions", "")
	refuses(h.as(weak, http.MethodPatch, collection+"/"+strong, object{"ips": "x"}), "422.invalid-argument", "/ips")
	h.as(weak, http.MethodPatch, collection+"/"+strong, object{"name": "renamed"}).Must(200)
	h.as(weak, http.MethodDelete, collection+"/"+strong, nil).Must(200)
}

func TestReach(t *testing.T) {
	t.Parallel()
	h := open(t)
	project := h.Native(http.MethodPost, "/v1/projects", object{"name": "second"}).String("id")
	bound, boundID := h.Key(object{"role": "owner", "project_id": project})
	elsewhere, _ := h.create("in the default project", role("reader"))
	here := h.as(bound, http.MethodPost, collection, object{"name": "here", "role_id": role("reader")}).Must(201).String("data", "id")
	h.nativeKey(here).Is(project, "project_id")
	if got := names(h.as(bound, http.MethodGet, collection, nil).Must(200)); !slices.Equal(got, []string{here, hex(t, latchkey.KindKey, boundID)}) {
		t.Errorf("bound to a project and sees %v", got)
	}
	refuses(h.as(bound, http.MethodGet, collection+"/"+elsewhere, nil), "404.hub.api-key", "")
	refuses(h.as(bound, http.MethodDelete, collection+"/"+elsewhere, nil), "404.hub.api-key", "")
	if got := names(h.root(http.MethodGet, collection, nil).Must(200)); len(got) < 3 {
		t.Errorf("the whole organization's caller sees %v", got)
	}
}

func TestPathsAndMethods(t *testing.T) {
	t.Parallel()
	h := open(t)
	id, _ := h.create("x", role("reader"))
	for _, path := range []string{
		"/v1/hubs/", "/v1/hubs/current", "/v1/hubs/" + h.hub + "/api-keys", collection + "/", collection + "/" + id + "/", collection + "/" + id + "/x",
		"/v1/hubs/current/members", "/v1/hubs/current/capabilities", "/v1/hubs//current/api-keys", rolesPath + "/",
	} {
		refuses(h.root(http.MethodGet, path, nil), "404.uri", "")
	}
	for _, try := range [][2]string{
		{http.MethodPut, collection}, {http.MethodPatch, collection}, {http.MethodDelete, collection}, {http.MethodOptions, collection}, {"BREW", collection},
		{http.MethodPost, collection + "/" + id}, {http.MethodPut, collection + "/" + id}, {http.MethodPost, rolesPath}, {http.MethodDelete, rolesPath + "/" + role("reader")},
	} {
		refuses(h.root(try[0], try[1], nil), "404.uri", "")
	}
}

func TestFailedCredentialsAreThrottled(t *testing.T) {
	t.Parallel()
	h := open(t)
	for range 20 {
		refuses(h.as("nonsense", http.MethodGet, collection, nil), "401.auth-invalid", "")
	}
	a := h.as("nonsense", http.MethodGet, collection, nil)
	refuses(a, "429.rate-limiting", "")
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.root(http.MethodGet, collection, nil).Must(200)
}
