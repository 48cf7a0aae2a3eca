package vertesia_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey/server"
)

const past, future = "2024-04-19T12:34:56.000Z", "2199-04-19T12:34:56.000Z"

func TestCreate(t *testing.T) {
	t.Parallel()
	h := open(t)
	owner := "user:" + h.User.Hex()
	made := h.admin().create(object{"expires_at": future})
	made.holds(object{
		"name": "My API Key", "type": "sk", "role": "developer", "enabled": true, "expires_at": future, "can_retrieve_value": true,
		"account": h.Organization.Hex(), "created_by": owner, "updated_by": owner,
		"project": object{"id": h.Project.Hex(), "name": "default", "account": h.Organization.Hex()},
	})
	value := made.text("value")
	if !regexp.MustCompile(`^sk-[0-9A-Za-z]{65}$`).MatchString(value) || made.text("maskedValue") != value[:len("sk-")+16]+"..." {
		t.Errorf("value %s, masked %s", value, made.text("maskedValue"))
	}
	if at, err := time.Parse(time.RFC3339, made.text("created_at")); err != nil || time.Since(at) > time.Minute || made.text("created_at") != made.text("updated_at") {
		t.Errorf("made at %s", made.Text)
	}
	if h.verdict(value) != "valid" {
		t.Error("the key is not valid natively")
	}
	if k := h.admin().do("GET", "/v1/keys?search="+value[3:19], nil).must(200); k.text("data", 0, "reach") != "project" || k.at("data", 0, "owner_id") != nil {
		t.Errorf("%s", k.Text)
	}
	// Whoever has no owner is named itself, and what it makes is its project's.
	project := h.admin().do("POST", "/v1/projects", object{"name": "Second"}).must(201).text("id")
	bound := h.admin().native(object{"role": "developer", "project_id": project})
	inside := h.as(bound.text("secret")).create()
	if who := inside.text("created_by"); !strings.HasPrefix(who, "apikey:") || inside.at("project", "name") != "Second" {
		t.Errorf("%s", inside.Text)
	}
	if h.as(inside.text("value")).do("GET", keysPath, nil).must(200).ids()[0] != inside.text("id") {
		t.Error("the key does not see itself")
	}
	// The last change's author is named beside the first's.
	h.admin().do("PUT", keysPath+"/"+inside.text("id"), object{"name": "n"}).must(200).holds(object{"created_by": inside.text("created_by"), "updated_by": owner})
}

// What is required, what is known, and what each may be.
func TestCreateInput(t *testing.T) {
	t.Parallel()
	h := open(t)
	for name, c := range map[string]struct {
		body    any
		message string // "": it is taken
	}{
		"no name":               {valid(object{"name": nil}), "name"},
		"null name":             {`{"name":null,"role":"reader"}`, "name"},
		"empty name":            {valid(object{"name": ""}), "name: This is required."},
		"long name":             {valid(object{"name": strings.Repeat("ä", 256)}), "1 to 255 characters"},
		"longest name":          {valid(object{"name": strings.Repeat("ä", 255)}), ""},
		"no role":               {valid(object{"role": nil}), "role: This is required."},
		"null role":             {`{"name":"n","role":null}`, "role"},
		"unknown role":          {valid(object{"role": "boss"}), "one of the sixteen"},
		"role in capitals":      {valid(object{"role": "Developer"}), "one of the sixteen"},
		"no type":               {valid(object{"type": nil}), ""},
		"null type":             {`{"name":"n","role":"reader","type":null}`, "type sk"},
		"public type":           {valid(object{"type": "pk"}), "type sk"},
		"a past end":            {valid(object{"expires_at": past}), ""},
		"nanoseconds":           {valid(object{"expires_at": "2199-11-23T01:01:09.104854364Z"}), ""},
		"an offset":             {valid(object{"expires_at": "2199-11-23T01:01:09+05:30"}), ""},
		"no end":                {`{"name":"n","role":"reader","expires_at":null}`, ""},
		"a date alone":          {valid(object{"expires_at": "2199-11-23"}), "expires_at"},
		"a number for an end":   {valid(object{"expires_at": 1}), "expires_at"},
		"an end before 1971":    {valid(object{"expires_at": "1969-01-01T00:00:00Z"}), "expires_at"},
		"the first moment":      {valid(object{"expires_at": "0001-01-01T00:00:00Z"}), "expires_at"},
		"a number for a name":   {valid(object{"name": 1}), "name"},
		"a control character":   {valid(object{"name": "a\nb"}), "name"},
		"NUL":                   {valid(object{"name": "a\x00b"}), "name"},
		"enabled":               {valid(object{"enabled": true}), "enabled"},
		"an id":                 {valid(object{"id": noKey}), "id"},
		"unknown member":        {valid(object{"foo": 1}), "foo"},
		"another spelling":      {`{"Name":"n","role":"reader"}`, "Name"},
		"provisioning":          {valid(object{"scim_provisioning": false}), "scim_provisioning"},
		"properties":            {valid(object{"properties": object{"a": []any{1, "b", nil}}}), ""},
		"null properties":       {`{"name":"n","role":"reader","properties":null}`, "properties"},
		"a list of properties":  {valid(object{"properties": []any{}}), "properties: This must be an object."},
		"large properties":      {valid(object{"properties": object{"a": strings.Repeat("x", 8<<10)}}), "properties, clearance, compartments: "},
		"clearance":             {valid(object{"clearance": 2.5}), ""},
		"null clearance":        {`{"name":"n","role":"reader","clearance":null}`, "clearance"},
		"a word for clearance":  {valid(object{"clearance": "secret"}), "clearance"},
		"a clearance beyond":    {`{"name":"n","role":"reader","clearance":1e999}`, "clearance"},
		"compartments":          {valid(object{"compartments": []string{"a", "b"}}), ""},
		"no compartments":       {valid(object{"compartments": []string{}}), ""},
		"null compartments":     {`{"name":"n","role":"reader","compartments":null}`, "compartments"},
		"a null compartment":    {valid(object{"compartments": []any{nil}}), "compartments"},
		"a word for a list":     {valid(object{"compartments": "a"}), "compartments"},
		"several rules at once": {`{"type":"pk","role":"boss"}`, "name: This is required. type: A key is of type sk. role: A role is"},
	} {
		a := h.admin().do("POST", keysPath, c.body)
		switch {
		case c.message == "" && a.Status != 200:
			t.Errorf("%s: %d %s", name, a.Status, a.Text)
		case c.message != "" && (a.Status != 400 || !strings.Contains(a.text("message")+fmt.Sprint(a.at("details")), c.message)):
			t.Errorf("%s: %d %s", name, a.Status, a.Text)
		}
	}
	if n := h.admin().create(object{"expires_at": "2199-11-23T01:01:09.104854364Z"}).text("expires_at"); n != "2199-11-23T01:01:09.104Z" {
		t.Errorf("nanoseconds become %s", n)
	}
	if a := h.admin().create(); a.at("expires_at") != nil {
		t.Errorf("no end is told as %s", a.Text)
	}
}

// The sixteen roles are taken, and do what the platform says they do.
func TestRoles(t *testing.T) {
	t.Parallel()
	h := open(t)
	list := h.admin().do("GET", rolesPath+"/system", nil).must(200)
	roles := list.Body.([]any)
	if len(roles) != 16 {
		t.Fatalf("%d roles", len(roles))
	}
	for _, r := range roles {
		name := r.(object)["name"].(string)
		h.admin().create(object{"role": name}).holds(object{"role": name})
		if n, all := len(r.(object)["permissions"].([]any)), name == "owner" || name == "admin"; all != (n == 38) {
			t.Errorf("%s has %d permissions", name, n)
		}
	}
	if all := h.admin().do("GET", rolesPath+"/", nil).must(200); all.Text != list.Text {
		t.Error("the two lists differ")
	}
	h.role("auditor").do("GET", rolesPath, nil).must(200)
	h.role("member").do("GET", rolesPath, nil).refused(403, "api_key:read")
}

// Unknown members are refused, but for clients that say that they are old.
func TestLeniency(t *testing.T) {
	t.Parallel()
	h := open(t)
	partial := valid(object{"id": noKey, "account": "a", "project": "p", "enabled": false, "maskedValue": "sk-", "created_at": past, "foo": object{}})
	for version, strict := range map[string]bool{
		"": true, "20260803": true, "20260804": true, "99999999": true, "20260802": false, "20260319": false, "00000000": false,
		"latest": true, "2026-03-19": true, "-2026031": true, "1": true, "020260319": true, " 2026031": true,
	} {
		c := h.admin().plain().with("X-Api-Version", version)
		if version == "" {
			c = h.admin().plain()
		}
		if a := c.do("POST", keysPath, partial); a.Status != map[bool]int{true: 400, false: 200}[strict] {
			t.Errorf("version %q: %d %s", version, a.Status, a.Text)
		}
	}
	h.admin().with("X-Api-Version", "20260319").do("POST", keysPath, partial).refused(400, "account")
	k := h.admin().old().do("POST", keysPath, partial).must(200).holds(object{"enabled": true, "account": h.Organization.Hex()})
	path := keysPath + "/" + k.text("id")
	h.admin().do("PUT", path, object{"type": "sk"}).refused(400, "type")
	h.admin().old().do("PUT", path, object{"type": "sk", "id": noKey, "name": "new"}).must(200).holds(object{"id": k.text("id"), "name": "new"})
	h.admin().old().do("PUT", path, `{"name":"a","name":"b"}`).refused(400, "")
	h.admin().old().do("PUT", path, object{"scim_provisioning": true}).refused(400, "scim_provisioning")
	h.admin().do("GET", path+"?withValue=yes", nil).refused(400, "withValue: This is true or false.")
	h.admin().do("GET", path+"?withValue=", nil).refused(400, "withValue")
	if a := h.admin().old().do("GET", path+"?withValue=yes", nil).must(200); a.at("value") != nil {
		t.Error("a value that was not asked for")
	}
}

// A project is its id for the document's examples, and an object for clients.
func TestProjectShape(t *testing.T) {
	t.Parallel()
	h := open(t)
	id := h.admin().create().text("id")
	for _, c := range []caller{h.admin(), h.admin().old(), h.admin().plain().with("X-Api-Version", "?"), h.admin().plain().with("User-Agent", "OpenAPI-Generator/1.5.0/go")} {
		for _, a := range []answer{c.do("GET", keysPath+"/"+id, nil), c.do("PUT", keysPath+"/"+id, object{})} {
			if a.must(200).at("project", "id") != h.Project.Hex() {
				t.Error(a.Text)
			}
		}
	}
	for _, c := range []caller{h.admin().plain(), h.admin().plain().with("User-Agent", "curl/8 OpenAPI-Generator/")} {
		for _, a := range []answer{c.do("GET", keysPath+"/"+id, nil), c.do("POST", keysPath, valid())} {
			a.must(200).holds(object{"project": h.Project.Hex()})
		}
		if c.do("GET", keysPath, nil).must(200).at(0, "project") != h.Project.Hex() {
			t.Error("the list")
		}
	}
}

func TestGet(t *testing.T) {
	t.Parallel()
	h := open(t)
	made := h.admin().create(object{"properties": object{"team": "grid", "n": 1.5}, "clearance": 3, "compartments": []string{"b", "a"}})
	path := keysPath + "/" + made.text("id")
	got := h.admin().do("GET", path, nil).must(200)
	want := made.Body.(object)
	if got.at("value") != nil {
		t.Error("the value is told to whoever did not ask")
	}
	delete(want, "value")
	got.holds(want)
	for _, id := range []string{noKey, "x", strings.ToUpper(made.text("id")), made.text("id") + "0", "000000000000000000000000", "%00", "..."} {
		h.admin().do("GET", keysPath+"/"+id, nil).refused(404, "")
		h.admin().do("PUT", keysPath+"/"+id, object{"name": "n"}).refused(404, "")
		h.admin().do("DELETE", keysPath+"/"+id, nil).refused(404, "")
		h.admin().do("GET", keysPath+"/"+id+"/token", nil).refused(404, "")
	}
	h.admin().do("GET", keysPath+"/pk?name=n&projectId=p&ttl=60", nil).refused(404, "Public keys are not supported")
	h.admin().do("GET", path+"?unheard=of", nil).must(200)
	h.admin().do("HEAD", path, nil).must(200)
}

// The value is told to readers within the ceiling, and each time it is on record.
func TestWithValue(t *testing.T) {
	t.Parallel()
	h := open(t)
	made := h.admin().create(object{"role": "reader"})
	path := keysPath + "/" + made.text("id")
	asked := path + "?withValue=true"
	before := h.events("key.revealed")
	got := h.admin().do("GET", asked, nil).must(200).holds(object{"value": made.text("value"), "can_retrieve_value": true})
	if h.events("key.revealed") != before+1 || got.text("updated_at") != made.text("updated_at") {
		t.Error("a reveal is an event, and no change of the key")
	}
	h.admin().do("GET", path+"?withValue=false", nil).must(200)
	h.admin().do("GET", path, nil).must(200)
	if h.events("key.revealed") != before+1 {
		t.Error("an event for a value that was not told")
	}
	// An auditor reads keys, and may have no more than it holds: a reader's
	// key is within that, a developer's is not.
	silent := func(c caller, path string, stored bool) {
		t.Helper()
		a := c.do("GET", path, nil).must(200).holds(object{"can_retrieve_value": stored})
		if a.at("value") != nil {
			t.Errorf("the value is told: %s", a.Text)
		}
	}
	developer := h.admin().create(object{"role": "developer"})
	silent(h.role("auditor"), keysPath+"/"+developer.text("id")+"?withValue=true", true)
	h.granted("api_key:read", "interaction:read", "run:read", "account:member", "content:read").do("GET", asked, nil).must(200)
	h.granted("api_key:create").do("GET", asked, nil).refused(403, "api_key:read")

	// A key of another API has no stored value.
	native := h.admin().native(object{"role": "reader"})
	_, id, _ := strings.Cut(h.admin().do("GET", keysPath, nil).must(200).text(0, "id"), "")
	silent(h.admin(), keysPath+"/"+id+"?withValue=true", false)
	if h.verdict(native.text("secret")) != "valid" {
		t.Error("the native key does not live")
	}
	// A rotated secret is the one that is told.
	key := h.admin().do("GET", "/v1/keys?search="+made.text("value")[3:19], nil).must(200).text("data", 0, "id")
	next := h.admin().do("POST", "/v1/keys/"+key+"/rotate", object{}).must(200).text("secret")
	if !strings.HasPrefix(next, "sk-") {
		t.Error("a rotated secret keeps the form")
	}
	h.admin().do("GET", asked, nil).must(200).holds(object{"value": next, "maskedValue": next[:19] + "..."})

	// A project forbids it, for what is stored and what is to come.
	project := h.admin().do("GET", "/v1/projects", nil).must(200).text("data", 0, "id")
	h.admin().do("PATCH", "/v1/projects/"+project, object{"forbid_retrievable": true}).must(200)
	silent(h.admin(), asked, false)
	later := h.admin().create().holds(object{"can_retrieve_value": false})
	silent(h.admin(), keysPath+"/"+later.text("id")+"?withValue=true", false)
	h.admin().do("POST", "/v1/keys/"+key+"/reveal", object{"reason": "test"}).must(409)
	h.admin().do("PATCH", "/v1/projects/"+project, object{"forbid_retrievable": false}).must(200)
	h.admin().do("GET", asked, nil).must(200).holds(object{"value": next})
	silent(h.admin(), keysPath+"/"+later.text("id")+"?withValue=true", false)
	if n := strings.Count(h.Authority.Log(), made.text("value")[19:]); n > 0 {
		t.Error("a value is in the log")
	}
}

func TestInstallationForbidsValues(t *testing.T) {
	t.Parallel()
	h := open(t, func(c *server.Config) { c.ForbidRetrievable = true })
	made := h.admin().create().holds(object{"can_retrieve_value": false})
	if a := h.admin().do("GET", keysPath+"/"+made.text("id")+"?withValue=true", nil).must(200); a.at("value") != nil {
		t.Error(a.Text)
	}
	h.admin().do("GET", keysPath+"/"+made.text("id")+"/token", nil).must(200)
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	h := open(t)
	made := h.admin().create(object{"expires_at": future})
	path := keysPath + "/" + made.text("id")
	put := func(body any) answer { t.Helper(); return h.admin().do("PUT", path, body).must(200) }
	put(object{"name": "My Updated API Key", "role": "admin", "enabled": false, "expires_at": past}).
		holds(object{"name": "My Updated API Key", "role": "admin", "enabled": false, "expires_at": past})
	if a := put(object{"expires_at": nil}); a.at("expires_at") != nil || h.verdict(made.text("value")) != "disabled" {
		t.Error(a.Text)
	}
	was := put(object{"enabled": true})
	if h.verdict(made.text("value")) != "valid" {
		t.Error("the key is enabled again")
	}
	if now := put(object{}); now.Text != was.Text {
		t.Errorf("{} changed\n%s to\n%s", was.Text, now.Text)
	}
	// Each of the attributes is set alone, and replaced whole.
	put(object{"properties": object{"a": 1, "b": 2}}).holds(object{"properties": object{"a": 1, "b": 2}, "clearance": nil})
	put(object{"clearance": 0, "compartments": []string{"x"}}).holds(object{"properties": object{"a": 1, "b": 2}, "clearance": 0, "compartments": []string{"x"}})
	put(object{"properties": object{}}).holds(object{"properties": object{}, "clearance": 0, "compartments": []string{"x"}})
	put(object{"compartments": []string{}}).holds(object{"compartments": []string{}})
	// What the customer keeps beside them stays.
	key := h.admin().do("GET", "/v1/keys?search="+made.text("value")[3:19], nil).must(200)
	native := "/v1/keys/" + key.text("data", 0, "id")
	h.admin().do("PATCH", native, object{"metadata": object{"ticket": "OPS-1", "vertesia": object{"clearance": 7}}}).must(200)
	put(object{"compartments": []string{"y"}}).holds(object{"properties": nil, "clearance": 7, "compartments": []string{"y"}})
	if kept := h.admin().do("GET", native, nil).must(200); kept.at("metadata", "ticket") != "OPS-1" {
		t.Error(kept.Text)
	}
	for _, junk := range []any{1, object{"clearance": "x"}, object{"properties": []any{}}, object{"more": 1}, nil} {
		h.admin().do("PATCH", native, object{"metadata": object{"vertesia": junk}}).must(200)
		h.admin().do("GET", path, nil).must(200).holds(object{"properties": nil, "clearance": nil, "compartments": nil})
	}
	for name, body := range map[string]any{
		"name": object{"name": ""}, "role": object{"role": "boss"}, "enabled": `{"enabled":null}`, "expires_at": object{"expires_at": "soon"},
		"properties": `{"properties":null}`, "clearance": object{"clearance": "high"}, "compartments": object{"compartments": 1},
		"scim_provisioning": object{"scim_provisioning": true}, "type": object{"type": "sk"}, "value": object{"value": "x"},
	} {
		h.admin().do("PUT", path, body).refused(400, name)
	}
	h.admin().do("PUT", path, `{"role":null}`).refused(400, "role")
}

func TestDelete(t *testing.T) {
	t.Parallel()
	h := open(t)
	made := h.admin().create()
	path := keysPath + "/" + made.text("id")
	h.admin().do("DELETE", path, nil).must(200).holds(object{"acknowledged": true, "deletedCount": 1})
	if h.verdict(made.text("value")) != "revoked" {
		t.Error("the key lives on")
	}
	for _, method := range []string{"DELETE", "GET"} {
		h.admin().do(method, path, nil).refused(404, "")
	}
	h.admin().do("PUT", path, object{"name": "x"}).refused(404, "")
	h.admin().do("GET", path+"?withValue=true", nil).refused(404, "")
	h.admin().do("GET", path+"/token", nil).refused(404, "")
	if ids := h.admin().do("GET", keysPath+"?level=account", nil).must(200).ids(); slices.Contains(ids, made.text("id")) {
		t.Error("it is still listed")
	}
	h.as(made.text("value")).do("GET", keysPath, nil).refused(401, "")
}

// The list has what can be shown, newest first, and nothing of others.
func TestList(t *testing.T) {
	t.Parallel()
	h := open(t)
	var made []string
	for _, change := range []object{{}, {"role": "member"}, {"expires_at": past}} {
		made = append(made, h.admin().create(change).text("id"))
	}
	off := h.admin().create().text("id")
	h.admin().do("PUT", keysPath+"/"+off, object{"enabled": false}).must(200)
	made = append(made, off)
	custom := h.admin().do("POST", "/v1/roles", object{"identifier": "writer", "name": "W", "permissions": []string{}}).must(201).text("id")
	h.admin().native(object{"role": custom})
	h.admin().native(object{"scopes": []string{"docs:read"}})
	list := h.admin().do("GET", keysPath, nil).must(200)
	got := list.ids()
	if len(got) != len(made)+1 || !slices.Equal(got[:len(made)], reversed(made)) { // the last is the admin key, whose role is owner
		t.Errorf("listed %v, made %v", got, made)
	}
	if list.at(0, "enabled") != false || list.at(1, "enabled") != true || list.text(1, "expires_at") != past {
		t.Error(list.Text)
	}
	hidden := h.admin().do("GET", "/v1/keys?limit=100", nil).must(200)
	for _, k := range hidden.at("data").([]any) {
		if k.(object)["role"] != nil && k.(object)["role"] != "writer" {
			continue
		}
		if strings.Contains(list.Text, k.(object)["masked"].(string)) {
			t.Errorf("a key without a built-in role is shown: %v", k)
		}
	}
	if strings.Contains(list.Text, `"value"`) {
		t.Error("values in a list")
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	h := open(t)
	second := h.admin().do("POST", "/v1/projects", object{"name": "Second"}).must(201).text("id")
	first := h.admin().create().text("id")
	bound := h.as(h.admin().native(object{"role": "developer", "project_id": second}).text("secret"))
	inside := bound.create().text("id")
	has := func(c caller, query, id string, want bool) {
		t.Helper()
		if got := slices.Contains(c.do("GET", keysPath+query, nil).must(200).ids(), id); got != want {
			t.Errorf("%q: listed %v", query, got)
		}
	}
	for query, all := range map[string]bool{"?level=account": true, "?level=project": false, "": false} {
		has(h.admin(), query, first, true)
		has(h.admin(), query, inside, all)
		has(bound, query, inside, true)
		has(bound, query, first, false)
	}
	bound.do("GET", keysPath+"/"+first, nil).refused(404, "")
	for _, query := range []string{"?level=", "?level=Account", "?level=organization", "?level=account&level=account"} {
		h.admin().do("GET", keysPath+query, nil).refused(400, "level")
		h.admin().old().do("GET", keysPath+query, nil).refused(400, "level")
	}
}

// A slash at the end changes nothing, and sends nobody elsewhere.
func TestSlashesAtTheEnd(t *testing.T) {
	t.Parallel()
	h := open(t)
	made := h.admin().do("POST", keysPath+"/", valid()).must(200)
	path := keysPath + "/" + made.text("id")
	h.admin().do("GET", keysPath+"/", nil).must(200)
	h.admin().do("GET", path+"/", nil).must(200)
	h.admin().do("PUT", path+"/", object{}).must(200)
	h.admin().do("GET", path+"/token/", nil).must(200)
	h.admin().do("GET", rolesPath+"/system/", nil).must(200)
	h.admin().do("POST", "/token/issue/", nil).must(200)
	h.admin().do("GET", "/auth/token/", nil).must(200)
	h.admin().do("DELETE", path+"/", nil).must(200)
	h.admin().do("GET", keysPath+"//", nil).refused(404, "")
}
