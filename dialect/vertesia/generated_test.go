package vertesia_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

// requests is how many are drawn: what LATCHKEY_REQUESTS says, 1,500 without it.
func requests(t *testing.T) int {
	t.Helper()
	given := os.Getenv("LATCHKEY_REQUESTS")
	if given == "" {
		return 1_500
	}
	n, err := strconv.Atoi(given)
	if err != nil || n < 1 {
		t.Fatalf("LATCHKEY_REQUESTS is %q, and no number of requests", given)
	}
	return n
}

// Whatever is sent, the answer is one of the document: never a fault of ours, and
// never in another shape. shapeOf, which every answer is held to, knows no 5xx.
func TestGeneratedRequests(t *testing.T) {
	t.Parallel()
	many := requests(t)
	h := open(t)
	g := &generator{Rand: rand.New(rand.NewPCG(4, 2)), house: h}
	for range 5 {
		g.keep(h.admin().create(object{"role": "reader"}))
	}
	g.tokens = []string{h.admin().do("POST", issuePath, nil).must(200).text("token")}
	statuses := map[int]int{}
	for range many {
		method, path, body := g.request()
		a := g.caller().do(method, path, body)
		statuses[a.Status]++
		if a.Status == 200 && method == "POST" && strings.HasPrefix(path, keysPath) {
			g.keep(a)
		}
	}
	for _, status := range []int{200, 400, 401, 403, 404, 405, 413, 415} {
		if statuses[status] == 0 {
			t.Errorf("no answer of %d requests is %d", many, status)
		}
	}
	t.Logf("%d requests: %v", many, statuses)
}

// generator draws requests.
type generator struct {
	*rand.Rand
	*house

	ids, values, tokens []string
}

func (g *generator) keep(a answer) {
	const most = 50
	g.ids, g.values = append(g.ids, a.text("id")), append(g.values, a.text("value"))
	if len(g.ids) > most {
		g.ids, g.values = g.ids[1:], g.values[1:]
	}
}

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

// rarely is true once in so many times.
func (g *generator) rarely(n int) bool { return g.IntN(n) == 0 }

// caller shows a credential, mostly a good one.
func (g *generator) caller() caller {
	c := g.admin()
	switch g.IntN(10) {
	case 0:
		c = g.as(pick(g, g.values...))
	case 1:
		c = g.as(pick(g, g.tokens...))
	}
	if g.rarely(30) { // failures of these are throttled
		c = pick(g, g.as("sk-x"), g.nobody(), c.with("Authorization", "Bearer x"), g.nobody().with("Authorization", "undefined"))
	}
	switch g.IntN(5) {
	case 0:
		c = c.old()
	case 1:
		c = c.plain()
	case 2:
		c = c.plain().with("User-Agent", "OpenAPI-Generator/1.5.0/go")
	}
	if g.rarely(20) {
		c = c.with("Content-Type", pick(g, "text/plain", "application/json; charset=utf-16", "", "application/json"))
	}
	return c
}

// request draws an operation, and something to go with it.
func (g *generator) request() (method, path string, body any) {
	id := pick(g, g.ids...)
	if g.rarely(8) {
		id = pick(g, noKey, "pk", "x", "%2F", strings.ToUpper(id), strings.Repeat("a", 300), "%F0%9F%94%91", "token")
	}
	method = pick(g, "GET", "GET", "POST", "PUT", "DELETE")
	path = pick(g, keysPath, keysPath+"/"+id, keysPath+"/"+id+"/token", issuePath, refreshPath, legacyPath, rolesPath, rolesPath+"/system")
	switch {
	case method == "POST" && !g.rarely(6):
		path = pick(g, keysPath, keysPath, issuePath, refreshPath)
	case method == "PUT" && !g.rarely(6), method == "DELETE" && !g.rarely(3):
		path = keysPath + "/" + id
	case g.rarely(30):
		method = pick(g, "PATCH", "OPTIONS", "HEAD", "TRACE")
	}
	if g.rarely(10) {
		path += "/"
	}
	if g.rarely(3) {
		path += "?" + g.query()
	}
	if method == "POST" || method == "PUT" || g.rarely(10) {
		body = g.body(path)
	}
	return method, path, body
}

func (g *generator) query() string {
	var parts []string
	for range 1 + g.IntN(2) {
		name := pick(g, "level", "withValue", "token", "accountId", "x", "%zz")
		parts = append(parts, name+"="+pick(g, "account", "project", "true", "false", "1", "", "%00", g.values[0], g.Organization.Hex(), "%zz"))
	}
	return strings.Join(parts, "&")
}

// body draws a body, mostly of members that the operation knows.
func (g *generator) body(path string) any {
	if g.rarely(12) {
		return pick(g, "", "null", "[]", "{", `{"name":"a","name":"b"}`, "{}{}", `"x"`, "{\"name\":\"\xff\"}", strings.Repeat(`{"a":`, 40), `{"name":"`+strings.Repeat("x", 70<<10)+`"}`, `{"role":"\u0000"}`)
	}
	b := object{}
	if strings.HasPrefix(path, keysPath) && !g.rarely(5) {
		b = valid()
	}
	for range g.IntN(4) {
		name := pick(g, "name", "type", "role", "enabled", "expires_at", "properties", "clearance", "compartments", "scim_provisioning", "token", "key", "algorithm", "audience", "value", "id", "Name", "")
		if b[name] = g.value(name); g.rarely(5) {
			b[name] = g.value(pick(g, "name", "enabled", "properties", "compartments", "clearance"))
		}
	}
	if strings.HasPrefix(path, keysPath+"/") && g.rarely(2) {
		delete(b, "type")
	}
	if strings.HasPrefix(path, issuePath) && !g.rarely(3) {
		b = object{"type": pick(g, "apikey", "apikey", "apikey", "user", "agent", "x"), "key": pick(g, g.values...)}
	}
	text, err := json.Marshal(b)
	if err != nil {
		g.Fatal(err)
	}
	return string(text)
}

// value draws something that a member of that name might be.
func (g *generator) value(name string) any {
	switch name {
	case "role":
		return pick[any](g, "reader", "owner", "developer", "member", "boss", "", nil)
	case "type":
		return pick[any](g, "sk", "sk", "pk", "apikey", nil)
	case "enabled", "scim_provisioning":
		return pick[any](g, true, false, nil, "true")
	case "expires_at":
		return pick[any](g, future, future, past, nil, "2199-11-23T01:01:09.104854364Z", "soon", 0, "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z")
	case "properties":
		return pick[any](g, object{}, object{"a": []any{1, nil}}, object{"x": strings.Repeat("y", 9000)}, []any{}, nil)
	case "clearance":
		return pick[any](g, 0, 1.5, -7, 1e300, "high", nil)
	case "compartments":
		return pick[any](g, []string{}, []string{"a", "a"}, []any{nil}, "a", nil)
	case "token":
		return pick(g, g.tokens...)
	case "key":
		return pick(g, g.values...)
	case "algorithm":
		return pick[any](g, "ES256", "RS256", "none", nil)
	}
	return pick[any](g, "n", strings.Repeat("ä", 255), strings.Repeat("x", 256), "", "\n", "🔑", 1, nil, object{})
}
