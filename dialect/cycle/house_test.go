package cycle_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/dialect/dialecttest"
	"latchkey.dev/latchkey/latchkeytest"
)

type object = dialecttest.Object

const (
	collection = "/v1/hubs/current/api-keys"
	rolesPath  = "/v1/hubs/current/roles"
	stranger   = "651586fca6078e98982dbd90"
)

// house is an authority, seen as a hub.
type house struct {
	*dialecttest.House

	hub string
}

func open(t testing.TB) house {
	t.Helper()
	h := dialecttest.Open(t, latchkeytest.Options{})
	return house{h, h.Organization.Hex()}
}

// role is the id of a built-in role.
func role(identifier string) string {
	r, _ := latchkey.BuiltinRole(identifier)
	return r.ID.Hex()
}

// hex is the spelling of a native id here.
func hex(t testing.TB, kind latchkey.Kind, native string) string {
	t.Helper()
	id, err := latchkey.ParseNative(kind, native)
	if err != nil {
		t.Fatal(err)
	}
	return id.Hex()
}

// as calls with a key as bearer, in the hub.
func (h house) as(key, method, path string, body any) dialecttest.Answer {
	h.Helper()
	q := dialecttest.Request{Method: method, Path: path, Header: []string{"Authorization: Bearer " + key, "X-Hub-Id: " + h.hub}}
	if body != nil {
		q.Header = append(q.Header, "Content-Type: application/json")
		q.Body = dialecttest.JSON(h.TB, body)
	}
	a := h.Send(q)
	conforms(h.TB, a)
	return a
}

// root calls as the first user.
func (h house) root(method, path string, body any) dialecttest.Answer {
	h.Helper()
	return h.as(h.AdminKey, method, path, body)
}

// create makes a key, and returns its id and secret.
func (h house) create(name, role string) (id, secret string) {
	h.Helper()
	a := h.root(http.MethodPost, collection, object{"name": name, "role_id": role}).Must(201)
	return a.String("data", "id"), a.String("data", "secret")
}

// refuses wants a refusal with that code and source, "" for none.
func refuses(a dialecttest.Answer, code, source string) {
	a.Helper()
	if a.Status < 400 {
		a.Fatalf("%s: %d, want %s: %s", a.Asked, a.Status, code, a.Text)
	}
	failure := a.At("error").(object)
	if got, _ := failure["source"].(string); failure["code"] != code || got != source {
		a.Errorf("%s: want %s at %q: %s", a.Asked, code, source, a.Text)
	}
}

var (
	moment  = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`)
	hexID   = regexp.MustCompile(`^[0-9a-f]{24}$`)
	code    = regexp.MustCompile(`^(400|401|403|404|415|422|429|500|503)\.[a-z-]+(\.[a-z-]+)*$`)
	states  = []any{"live", "inactive", "deleted"}
	authors = []any{"account", "api-key", "platform"}
)

// conforms holds an answer to the document's schemas, and to what holds for every
// answer of every dialect.
func conforms(t testing.TB, a dialecttest.Answer) {
	t.Helper()
	if got := a.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("%s: Cache-Control %q", a.Asked, got)
	}
	for name := range a.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("%s: %s", a.Asked, name)
		}
	}
	if got := a.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("%s: Content-Type %q", a.Asked, got)
	}
	c := schema{t, a}
	body := c.object(a.At(), "data")
	switch {
	case a.Status >= 400:
		c.failure(body)
	case strings.Contains(a.Asked, rolesPath):
		c.each(body["data"], c.role)
	default:
		c.each(body["data"], c.key)
	}
	if includes, there := body["includes"]; there {
		for id, r := range c.object(c.object(includes, "roles")["roles"]) {
			if c.role(r.(object)); r.(object)["id"] != id {
				t.Errorf("%s: %s is included as %s", a.Asked, r.(object)["id"], id)
			}
		}
	}
}

// schema checks one answer.
type schema struct {
	testing.TB

	a dialecttest.Answer
}

// object wants an object with at least these members.
func (c schema) object(v any, required ...string) object {
	c.Helper()
	o, ok := v.(object)
	if !ok {
		c.Fatalf("%s: %v is no object: %s", c.a.Asked, v, c.a.Text)
	}
	for _, name := range required {
		if _, there := o[name]; !there {
			c.Errorf("%s: no %s in %v", c.a.Asked, name, o)
		}
	}
	return o
}

// exactly wants an object with these members and no others.
func (c schema) exactly(v any, members ...string) object {
	c.Helper()
	o := c.object(v, members...)
	if len(o) != len(members) {
		c.Errorf("%s: members beyond %v in %v", c.a.Asked, members, o)
	}
	return o
}

func (c schema) matches(pattern *regexp.Regexp, values ...any) {
	c.Helper()
	for _, v := range values {
		if s, ok := v.(string); !ok || !pattern.MatchString(s) {
			c.Errorf("%s: %v is not like %s", c.a.Asked, v, pattern)
		}
	}
}

// each checks one or a list of them.
func (c schema) each(data any, check func(object)) {
	c.Helper()
	if one, ok := data.(object); ok {
		check(one)
		return
	}
	list, ok := data.([]any)
	if !ok {
		c.Errorf("%s: data is %v", c.a.Asked, data)
	}
	for _, item := range list {
		check(item.(object))
	}
}

func (c schema) failure(body object) {
	c.Helper()
	c.exactly(body, "data", "error")
	f := c.object(body["error"], "status", "code", "title")
	c.matches(code, f["code"])
	if body["data"] != nil || f["status"] != float64(c.a.Status) || f["title"] == "" || !strings.HasPrefix(f["code"].(string), strings.Split(f["code"].(string), ".")[0]) {
		c.Errorf("%s: a failure of another form: %d %s", c.a.Asked, c.a.Status, c.a.Text)
	}
	if f["code"].(string)[:3] != map[int]string{400: "400", 401: "401", 403: "403", 404: "404", 415: "415", 422: "422", 429: "429", 500: "500", 503: "503"}[c.a.Status] {
		c.Errorf("%s: %d says %v", c.a.Asked, c.a.Status, f["code"])
	}
	if source, there := f["source"]; there && !strings.HasPrefix(source.(string), "/") {
		c.Errorf("%s: source %v", c.a.Asked, source)
	}
}

func (c schema) author(v any) {
	c.Helper()
	o := c.exactly(v, "id", "type")
	c.matches(hexID, o["id"])
	if !slices.Contains(authors, o["type"]) {
		c.Errorf("%s: creator %v", c.a.Asked, o)
	}
}

func (c schema) happened(v any) object {
	c.Helper()
	o := c.exactly(v, "created", "updated", "deleted")
	c.matches(moment, o["created"], o["updated"], o["deleted"])
	return o
}

func (c schema) key(k object) {
	c.Helper()
	c.exactly(k, "id", "hub_id", "name", "creator", "secret", "role_id", "ips", "state", "events")
	c.matches(hexID, k["id"], k["hub_id"], k["role_id"])
	c.author(k["creator"])
	s := c.exactly(k["state"], "current", "changed")
	c.matches(moment, s["changed"])
	if !slices.Contains(states, s["current"]) {
		c.Errorf("%s: state %v", c.a.Asked, s)
	}
	deleted := c.happened(k["events"])["deleted"] != "0001-01-01T00:00:00Z"
	if deleted != (s["current"] == "deleted") {
		c.Errorf("%s: %v and %v", c.a.Asked, s, k["events"])
	}
	if list, ok := k["ips"].([]any); k["ips"] != nil && !ok {
		c.Errorf("%s: ips %v", c.a.Asked, list)
	}
	if secret, _ := k["secret"].(string); len(secret) < 3 || strings.HasSuffix(secret, "...") == (c.a.Status == 201) {
		c.Errorf("%s: %d shows the secret as %v", c.a.Asked, c.a.Status, k["secret"])
	}
}

func (c schema) role(r object) {
	c.Helper()
	c.exactly(r, "id", "hub_id", "name", "identifier", "root", "rank", "default", "creator", "capabilities", "state", "events")
	c.matches(hexID, r["id"], r["hub_id"])
	c.author(r["creator"])
	c.happened(r["events"])
	can := c.exactly(r["capabilities"], "all", "specific")
	if _, ok := can["specific"].([]any); !ok {
		c.Errorf("%s: capabilities %v", c.a.Asked, can)
	}
	if s := c.exactly(r["state"], "current", "changed"); s["current"] != "live" {
		c.Errorf("%s: state %v", c.a.Asked, s)
	}
	if rank, ok := r["rank"].(float64); !ok || rank < 0 || rank > 10 {
		c.Errorf("%s: rank %v", c.a.Asked, r["rank"])
	}
}
