package rest_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
)

// with is a copy of an object with another member.
func with(o object, name string, value any) object {
	out := object{name: value}
	for n, v := range o {
		if n != name {
			out[n] = v
		}
	}
	return out
}

// list is n times what each gives.
func list[T any](n int, each func(i int) T) []T {
	out := []T{}
	for i := range n {
		out = append(out, each(i))
	}
	return out
}

func ids(n int) []string {
	return list(n, func(i int) string { return fmt.Sprintf("id-%d", i) })
}

// idsByType are n resource types with an id each.
func idsByType(n int) map[string][]string {
	out := map[string][]string{}
	for i := range n {
		out[fmt.Sprintf("type-%d", i)] = []string{"a"}
	}
	return out
}

// limit is a bound on a member: what lies within is taken, what lies beyond is
// refused under that pointer and by that rule.
type limit struct {
	member       string
	good         []any
	bad          []any
	pointer, why string
}

var texts = struct{ wide, tooWide string }{strings.Repeat("💡", 255), strings.Repeat("💡", 256)}

func scopeLimits(member string) []limit {
	return []limit{
		{member, []any{list(256, func(i int) string { return fmt.Sprintf("s:%d", i) })}, []any{list(257, func(i int) string { return fmt.Sprintf("s:%d", i) })}, "", "too_many"},
		{member, []any{[]string{"a", strings.Repeat("b", 128)}}, []any{[]string{"a", strings.Repeat("b", 129)}, []string{"a", ""}}, "/1", "length"},
		{member, []any{[]string{"!~", "docs:*"}}, []any{[]string{"a b"}, []string{"é"}, []string{"a\tb"}, []string{"\u007f"}}, "/0", "format"},
	}
}

func nameLimits() []limit {
	return []limit{
		{"name", []any{"a", texts.wide, " ", "Ünïcödé", "\u0000"[:0] + "x"}, []any{""}, "", "required"},
		{"name", nil, []any{texts.tooWide, strings.Repeat("n", 256)}, "", "length"},
		{"name", nil, []any{"a\nb", "\t", "\u007f", "a\u001b[2J"}, "", "format"},
	}
}

// under puts limits on the members of one member.
func under(outer string, limits []limit) []limit {
	wrap := func(member string, values []any) []any {
		var out []any
		for _, v := range values {
			out = append(out, object{member: v})
		}
		return out
	}
	out := make([]limit, len(limits))
	for i, l := range limits {
		out[i] = limit{outer, wrap(l.member, l.good), wrap(l.member, l.bad), "/" + l.member + l.pointer, l.why}
	}
	return out
}

func keyLimits() []limit {
	metadata := func(n int) object { return object{"x": strings.Repeat("m", n-len(`{"x":""}`))} }
	all := append(nameLimits(), scopeLimits("scopes")...)
	all = append(all, under("restrictions", []limit{
		{"addresses", []any{[]string{}, list(256, func(i int) string { return fmt.Sprintf("10.0.%d.0/24", i) })}, []any{list(257, func(i int) string { return fmt.Sprintf("10.0.%d.%d", i/256, i%256) })}, "", "too_many"},
		{"addresses", []any{[]string{"10.0.0.1/8", "::1", "::ffff:10.0.0.1", "2001:DB8::/32"}}, []any{
			[]string{"10.0.0.1", "10.0.0.0/33"}, []string{"::1", "10.0.0.1:80"}, []string{"::1", "fe80::1%eth0"}, []string{"::1", ""}, []string{"::1", "010.0.0.1"}, []string{"::1", " 10.0.0.1"}, []string{"::1", "example.com"},
		}, "/1", "format"},
		{"addresses", nil, []any{[]string{strings.Repeat("1", 65)}}, "/0", "too_long"},
		{"addresses", nil, []any{[]string{"::ffff:0:0/95"}}, "/0", "range"},
		{"resources", []any{object{}, object{"plant": []string{}}, idsByType(16)}, []any{idsByType(17)}, "", "too_many"},
		{"resources", []any{object{"plant": ids(1000)}}, []any{object{"plant": ids(1001)}}, "/plant", "too_many"},
		{"resources", []any{object{"plant": []string{strings.Repeat("i", 128)}}}, []any{
			object{"plant": []string{strings.Repeat("i", 129)}}, object{"plant": []string{""}}, object{"plant": []string{"a b"}}, object{"plant": []string{"a\nb"}},
		}, "/plant/0", "format"},
		{"resources", nil, []any{object{"a/b~c": []string{""}}}, "/a~1b~0c/0", "format"},
		{"resources", nil, []any{object{"": []string{"a"}}}, "/", "format"},
		{"resources", []any{object{strings.Repeat("t", 128): []string{"a"}}}, []any{object{strings.Repeat("t", 129): []string{"a"}}}, "", "format"},
	})...)
	return append(all, []limit{
		{"expires_at", []any{"2199-12-31T23:59:59.999999999+14:00", "1971-01-01T00:00:00Z", "9999-12-31T23:59:59Z"}, []any{
			"1970-12-31T23:59:59Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-00:01",
		}, "", "range"},
		{"metadata", []any{object{}, metadata(8192)}, []any{metadata(8193)}, "", "too_large"},
		{"role", nil, []any{""}, "", "required"},
		{"role", []any{"reader"}, []any{"nobody", "role_0d5qh0w2e9x8v3k7m1ac", "Owner"}, "", "unknown"},
	}...)
}

func TestLimitsOfEveryMember(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	made := root.do("POST", "/v1/keys", object{"name": "Limited"}).must(201).text("key", "id")
	project := root.do("POST", "/v1/projects", object{"name": "Limited"}).must(201).text("id")
	organization := root.do("POST", "/v1/organizations", object{"name": "Limited"}).must(201).text("id")
	user := root.do("POST", "/v1/users", object{"name": "Limited", "email": "a@example.com"}).must(201).text("id")
	role := root.do("POST", "/v1/roles", object{"identifier": "limited", "name": "Limited"}).must(201).text("id")
	unknownIDs := []any{"", "x", "key_0d5qh0w2e9x8v3k7m1ac", "prj_0d5qh0w2e9x8v3k7m1ac", "usr_0d5qh0w2e9x8v3k7m1ac", "prj_00000000000000000000"}
	email := func(n int) string { return strings.Repeat("e", n-len("@example.com")) + "@example.com" }

	for _, test := range []struct {
		method, path string
		base         object
		limits       []limit
	}{
		{"POST", "/v1/keys", object{"name": "a"}, append(keyLimits(),
			limit{"partner", []any{"", texts.wide}, []any{texts.tooWide}, "", "length"},
			limit{"partner", nil, []any{"a\x00b"[:1] + "\n"}, "", "format"},
			limit{"reach", []any{"project", "organization"}, []any{"galaxy", "Project"}, "", "not_allowed"},
			limit{"reach", nil, []any{""}, "", "required"},
			limit{"project_id", []any{project, nil}, unknownIDs, "", "unknown"},
			limit{"owner_id", []any{user, nil}, unknownIDs, "", "unknown"},
			limit{"retrievable", []any{false}, []any{true}, "", "not_allowed"},
			limit{"signing", []any{nil, object{"mode": "off"}, object{"mode": "optional", "alg": "hmac-sha256"}, object{"mode": "required", "alg": "ed25519", "public_key": publicPEM}}, nil, "", ""},
			limit{"signing", nil, []any{object{"mode": "on"}, object{"mode": ""}}, "/mode", "not_allowed"},
			limit{"signing", nil, []any{object{"mode": "off", "alg": "none"}, object{"mode": "off", "alg": ""}}, "/alg", "not_allowed"},
			limit{"signing", nil, []any{object{"mode": "off", "alg": "ed25519"}}, "/public_key", "required"},
			limit{"signing", nil, []any{object{"mode": "off", "public_key": publicPEM}, object{"mode": "off", "alg": "ed25519", "public_key": weakPEM}}, "/public_key", "not_allowed"},
			limit{"signing", nil, badPublicKeys(), "/public_key", "format"},
		)},
		{"PATCH", "/v1/keys/" + made, object{}, keyLimits()},
		{"POST", "/v1/keys/" + made + "/rotate", object{}, []limit{
			{"overlap", nil, []any{"-1ns", "720h0m0.001s", "8760h"}, "", "range"},
		}},
		{"POST", "/v1/keys/" + made + "/reveal", object{}, []limit{
			{"reason", nil, []any{""}, "", "required"},
			{"reason", nil, []any{strings.Repeat("r", 501)}, "", "length"},
			{"reason", nil, []any{"a\r\nb"}, "", "format"},
		}},
		{"POST", "/v1/organizations", object{"name": "a"}, nameLimits()},
		{"PATCH", "/v1/organizations/" + organization, object{}, append(append(nameLimits(),
			limit{"state", []any{"suspended", "active"}, []any{"", "gone", "Active", nil}, "", "not_allowed"},
			limit{"limits", []any{object{}}, []any{nil}, "", "required"},
			limit{"name", nil, []any{nil}, "", "required"},
		), under("limits", []limit{
			{"keys", []any{0, 1_000_000_000}, []any{-1, 1_000_000_001}, "", "range"},
			{"keys", nil, []any{nil}, "", "required"},
			{"changes_per_second", []any{1, 1_000_000}, []any{0, -5, 1_000_001}, "", "range"},
			{"changes_per_second", nil, []any{nil}, "", "required"},
		})...)},
		{"POST", "/v1/projects", object{"name": "a"}, append(nameLimits(),
			limit{"prefix", []any{"ab", "a123456789012345", nil}, []any{"a", "a1234567890123456", "Ab", "1a", "a_b", "ä1"}, "", "format"},
			limit{"prefix", nil, []any{"sk", "ghp", "xoxb", "eyjhb", "github"}, "", "not_allowed"},
			limit{"prefix", nil, []any{""}, "", "required"},
			limit{"environment", []any{"live", "test", nil}, []any{"prod", "Live"}, "", "not_allowed"},
			limit{"environment", nil, []any{""}, "", "required"},
		)},
		{"PATCH", "/v1/projects/" + project, object{}, append(nameLimits()[1:], // the good ones are taken
			limit{"name", nil, []any{nil}, "", "required"},
			limit{"retrievable", []any{true, false}, []any{nil}, "", "required"},
		)},
		{"POST", "/v1/users", object{"name": "a", "kind": "service"}, append(nameLimits(),
			limit{"kind", []any{"service"}, []any{"robot", "Person"}, "", "not_allowed"},
			limit{"kind", nil, []any{""}, "", "required"},
			limit{"email", []any{"", nil}, []any{"a@example.com"}, "", "not_allowed"},
			limit{"roles", []any{[]object{}, []object{{"role": "reader"}, {"role": "owner", "project_id": project}}}, []any{list(1001, func(int) object { return object{"role": "reader"} })}, "", "too_many"},
			limit{"roles", nil, []any{[]object{{}}, []object{{"role": ""}}}, "/0/role", "required"},
			limit{"roles", nil, []any{[]object{{"role": "nobody"}}, []object{{"role": "role_0d5qh0w2e9x8v3k7m1ac"}}}, "/0/role", "unknown"},
			limit{"roles", nil, []any{[]object{{"role": "reader"}, {"role": "reader"}}, []object{{"role": "reader", "project_id": project}, {"role": "owner", "project_id": project}}}, "/1/project_id", "duplicate"},
			limit{"roles", nil, []any{[]object{{"role": "reader", "project_id": "prj_0d5qh0w2e9x8v3k7m1ac"}}, []object{{"role": "reader", "project_id": "x"}}, []object{{"role": "reader", "project_id": ""}}}, "/0/project_id", "unknown"},
		)},
		{"POST", "/v1/users", object{"name": "a", "email": "b@example.com"}, []limit{
			{"email", nil, []any{"", "a", "a@", "@b", "a@b@c", "Ada <ada@example.com>", "a@example.com ", "a@example.com\n", "a b@example.com"}, "", "format"},
			{"email", []any{email(254)}, []any{email(255)}, "", "length"},
		}},
		{"PATCH", "/v1/users/" + user, object{}, append(nameLimits(),
			limit{"name", nil, []any{nil}, "", "required"},
			limit{"email", nil, []any{nil}, "", "required"},
			limit{"email", []any{"c@example.com"}, []any{"", "a", "a@b@c"}, "", "format"},
			limit{"state", []any{"suspended", "active"}, []any{"", "gone", nil}, "", "not_allowed"},
			limit{"roles", []any{[]object{}, []object{{"role": "reader"}}}, []any{[]object{{"role": "nobody"}}}, "/0/role", "unknown"},
		)},
		{"POST", "/v1/roles", object{"identifier": "ab", "name": "a"}, append(append(nameLimits(), scopeLimits("permissions")...),
			limit{"identifier", []any{strings.Repeat("i", 64), "a-_9"}, []any{"", "a", strings.Repeat("i", 65)}, "", "length"},
			limit{"identifier", nil, []any{"1a", "Ab", "a b", "é1", "-a"}, "", "format"},
			limit{"identifier", nil, []any{"owner", "app_member"}, "", "taken"},
			limit{"rank", []any{0, 10}, []any{-1, 11}, "", "range"},
		)},
		{"PATCH", "/v1/roles/" + role, object{}, append(append(nameLimits(), scopeLimits("permissions")...),
			limit{"name", nil, []any{nil}, "", "required"},
			limit{"rank", []any{0, 10}, []any{-1, 11}, "", "range"},
			limit{"rank", nil, []any{nil}, "", "required"},
			limit{"permissions", nil, []any{nil}, "", "required"},
		)},
		{"POST", "/v1/keys/verify", object{"key": "k"}, append(append(append(scopeLimits("scopes"), under("scopes", scopeLimits("all"))...), under("scopes", scopeLimits("any"))...),
			limit{"scopes", []any{[]string{}, object{}, object{"all": []string{}}}, []any{object{"any": []string{}}}, "/any", "required"},
			limit{"ip", []any{"10.0.0.1", "::1", "::ffff:10.0.0.1", nil}, []any{"", "10.0.0.1:80", "[::1]", "fe80::1%eth0", "10.0.0.0/8", "010.0.0.1", "localhost", " ::1"}, "", "format"},
			limit{"environment", []any{"live", "test", nil}, []any{"", "prod"}, "", "not_allowed"},
			limit{"method", []any{strings.Repeat("M", 32)}, []any{strings.Repeat("M", 33)}, "", "length"},
			limit{"host", []any{strings.Repeat("h", 8192)}, []any{strings.Repeat("h", 8193)}, "", "length"},
			limit{"path", []any{strings.Repeat("h", 8192)}, []any{strings.Repeat("h", 8193)}, "", "length"},
			limit{"query", []any{strings.Repeat("h", 8192)}, []any{strings.Repeat("h", 8193)}, "", "length"},
			limit{"resource", []any{object{"type": strings.Repeat("t", 128), "id": strings.Repeat("t", 128)}}, []any{object{"type": "", "id": "a"}, object{"id": "a"}, object{"type": strings.Repeat("t", 129), "id": "a"}}, "/type", "length"},
			limit{"resource", nil, []any{object{"type": "a"}, object{"type": "a", "id": strings.Repeat("t", 129)}}, "/id", "length"},
			limit{"cost", nil, []any{1, 0, "x"}, "", "not_offered"},
		)},
		// At the end, since it is for good.
		{"POST", "/v1/keys/" + made + "/revoke", object{}, []limit{
			{"wait", nil, []any{"-1ns", "30.001s", "1h"}, "", "range"},
			{"reason", nil, []any{strings.Repeat("r", 501)}, "", "length"},
			{"reason", nil, []any{"a\nb"}, "", "format"},
			{"wait", []any{"0s", "30s", nil}, nil, "", ""},
			{"reason", []any{"", strings.Repeat("💡", 500), nil}, nil, "", ""},
		}},
	} {
		h.run(test.method+" "+route{path: test.path}.path, func() {
			serial := 0
			for _, l := range test.limits {
				for _, value := range l.bad {
					h.checks(root.do(test.method, test.path, with(test.base, l.member, value)), "/"+l.member+l.pointer, l.why, value)
				}
				for _, value := range l.good {
					body := with(test.base, l.member, value)
					for unique, form := range map[string]string{"identifier": "role-%d", "email": "person-%d@example.com", "name": "Name %d"} {
						if test.base[unique] != nil && l.member != unique {
							serial++
							body[unique] = fmt.Sprintf(form, serial)
						}
					}
					if a := root.do(test.method, test.path, body); a.Status >= 300 {
						h.Errorf("%s %v: %s", l.member, value, a.Text)
					}
				}
			}
		})
	}
}

// checks fails the test unless the answer names the rule at that place and does
// not repeat the value.
func (h *house) checks(a answer, pointer, rule string, value any) {
	h.Helper()
	a.refused(422, latchkey.CodeInvalid)
	if a.text("errors", 0, "pointer") != pointer || a.text("errors", 0, "code") != rule || len(a.text("errors", 0, "detail")) < 10 {
		h.Errorf("%.80v: want %s at %q: %s", value, rule, pointer, a.Text)
	}
	if s, ok := value.(string); ok && len(s) > 16 && strings.Contains(a.Text, s) {
		h.Errorf("the value is repeated: %s", a.Text)
	}
}

// All broken rules of a request are told at once, but no more than a hundred.
func TestBrokenRulesAreToldTogether(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	a := root.do("POST", "/v1/keys", object{
		"name": "", "partner": "\n", "scopes": []string{"", "b c"}, "reach": "x", "expires_at": "1960-01-01T00:00:00Z",
		"restrictions": object{"addresses": []string{"x"}, "resources": object{"plant": []string{""}}},
	})
	a.refused(422, latchkey.CodeInvalid, "/name", "/partner", "/scopes/0", "/scopes/1", "/reach", "/expires_at", "/restrictions/addresses/0", "/restrictions/resources/plant/0")
	a = root.do("POST", "/v1/keys/batch-create", object{"items": list(1000, func(int) object { return object{"name": "", "scopes": []string{""}} })})
	a.refused(422, latchkey.CodeInvalid, "/items/0/name", "/items/0/scopes/0", "/items/49/name")
	if n := len(a.at("errors").([]any)); n != 100 {
		t.Errorf("%d errors", n)
	}
	a = root.do("POST", "/v1/keys/batch-create", object{"items": list(1000, func(int) object { return object{"name": "a", "project_id": "x"} })})
	a.refused(422, latchkey.CodeInvalid, "/items/0/project_id")
	if n := len(a.at("errors").([]any)); n != 100 {
		t.Errorf("%d errors", n)
	}
}

func TestBatchSizes(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	item := func(operation string, i int) object {
		switch operation {
		case "batch-verify":
			return object{"key": fmt.Sprint("nobody's ", i)}
		case "import":
			return object{"name": "a", "digest": fmt.Sprintf("%064x", i)}
		}
		return object{"name": "a"}
	}
	for _, test := range []struct {
		operation string
		most      int
		status    int
	}{{"batch-create", 1000, 201}, {"import", 1000, 201}, {"batch-verify", 100, 200}} {
		path := "/v1/keys/" + test.operation
		send := func(n, first int) answer {
			return root.do("POST", path, object{"scheme": "sha256", "items": list(n, func(i int) object { return item(test.operation, first+i) })})
		}
		if test.operation != "import" {
			send = func(n, first int) answer {
				return root.do("POST", path, object{"items": list(n, func(i int) object { return item(test.operation, first+i) })})
			}
		}
		send(0, 0).breaks(422, latchkey.CodeInvalid, "/items", "length")
		send(test.most+1, 0).breaks(422, latchkey.CodeInvalid, "/items", "length")
		root.do("POST", path, object{"scheme": "sha256", "items": nil}).must(map[bool]int{true: 422, false: 400}[test.operation == "import"])
		root.do("POST", path, "{}").refused(422, latchkey.CodeInvalid)
		for n, first := range map[int]int{1: 0, test.most: 1} {
			if got := len(send(n, first).must(test.status).at("results").([]any)); got != n {
				t.Errorf("%s of %d: %d results", test.operation, n, got)
			}
		}
	}
	root.do("POST", "/v1/keys/batch-verify", object{"items": []object{{"key": "a"}, {"key": "b", "ip": "x"}}}).breaks(422, latchkey.CodeInvalid, "/items/1/ip", "format")
	root.do("POST", "/v1/keys/batch-create", object{"items": []object{{"name": "a"}, {"name": ""}}}).breaks(422, latchkey.CodeInvalid, "/items/1/name", "required")
	for _, digest := range []string{"", "ab", strings.Repeat("a", 63), strings.Repeat("a", 65), strings.Repeat("g", 64), strings.Repeat("é", 32)} {
		root.do("POST", "/v1/keys/import", object{"scheme": "sha256", "items": []object{{"name": "a", "digest": digest}}}).breaks(422, latchkey.CodeInvalid, "/items/0/digest", "format")
	}
	good := strings.Repeat("0f", 32)
	root.do("POST", "/v1/keys/import", object{"scheme": "md5", "items": []object{{"name": "a", "digest": good}}}).breaks(422, latchkey.CodeInvalid, "/scheme", "not_allowed")
	root.do("POST", "/v1/keys/import", object{"items": []object{{"name": "a", "digest": good}}}).breaks(422, latchkey.CodeInvalid, "/scheme", "not_allowed")
	root.do("POST", "/v1/keys/import", object{"scheme": "sha256", "items": []object{{"name": "a", "digest": good, "retrievable": true}}}).breaks(422, latchkey.CodeInvalid, "/items/0/retrievable", "not_allowed")
	root.do("POST", "/v1/keys/import", object{"scheme": "sha256", "items": []object{{"name": "a", "digest": good, "public": strings.Repeat("p", 129)}}}).breaks(422, latchkey.CodeInvalid, "/items/0/public", "length")
	root.do("POST", "/v1/keys/import", object{"scheme": "sha256", "items": []object{{"name": "a", "digest": good, "public": "a\nb"}}}).breaks(422, latchkey.CodeInvalid, "/items/0/public", "format")
}

func TestQueryParameters(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	ids := map[string]string{"keys": "key", "organizations": "org", "projects": "prj", "users": "usr", "roles": "role"}
	good := map[string]string{"string": "a", "integer": "1", "boolean": "true"}
	declared := 0
	for _, r := range h.routes() {
		var path string
		if parts := strings.Split(r.path, "/"); len(parts) > 2 {
			path = r.to(ids[parts[2]] + "_0d5qh0w2e9x8v3k7m1ac")
		} else {
			path = r.path
		}
		body := h.bodyOf(r)
		for _, name := range []string{"nonsense", "LIMIT", "state%20", "key", "access_token", "waits", "%C3%A9"} {
			a := root.do(r.method, path+"?"+name+"=x", body)
			plain, _ := url.QueryUnescape(name)
			if plain == "state " || plain == "é" {
				plain = "?"
			}
			a.breaks(422, latchkey.CodeInvalid, "query:"+plain, "unknown")
		}
		root.do(r.method, path+"?"+strings.Repeat("n", 50)+"=x", body).breaks(422, latchkey.CodeInvalid, "query:?", "unknown")
		root.do(r.method, path+"?%zz", body).breaks(422, latchkey.CodeInvalid, "query:", "format")
		root.do(r.method, path+"?a;b", body).breaks(422, latchkey.CodeInvalid, "query:", "format")
		for _, p := range r.Parameters {
			if p.Value.In != "query" {
				continue
			}
			declared++
			name := p.Value.Name
			value := good[(*p.Value.Schema.Value.Type)[0]]
			root.do(r.method, path+"?"+name+"="+value+"&"+name+"="+value, body).breaks(422, latchkey.CodeInvalid, "query:"+name, "duplicate")
			// An empty one must not pass for one that is absent: it would widen the answer.
			root.do(r.method, path+"?"+name+"=", body).breaks(422, latchkey.CodeInvalid, "query:"+name, "required")
			root.do(r.method, path+"?"+name, body).breaks(422, latchkey.CodeInvalid, "query:"+name, "required")
		}
	}
	if declared < 25 {
		t.Fatalf("only %d parameters are declared", declared)
	}
	for _, test := range []struct {
		path    string
		values  []string
		pointer string
		rule    string
	}{
		{"/v1/keys?limit=", []string{"0", "-1", "101", "99999999999"}, "limit", "range"},
		{"/v1/keys?limit=", []string{"x", "1.5", "1e1", "%20", "0x10", "99999999999999999999"}, "limit", "format"},
		{"/v1/users?limit=", []string{"0", "101"}, "limit", "range"},
		{"/v1/events?limit=", []string{"0", "101"}, "limit", "range"},
		{"/v1/keys?state=", []string{"gone", "Live", "live,revoked"}, "state", "not_allowed"},
		{"/v1/keys?sort=", []string{"id", "--created", "-", "created,name", "+name"}, "sort", "not_allowed"},
		{"/v1/keys?project_id=", []string{"x", "org_0d5qh0w2e9x8v3k7m1ac", "prj_00000000000000000000"}, "project_id", "format"},
		{"/v1/keys?owner_id=", []string{"x", "key_0d5qh0w2e9x8v3k7m1ac"}, "owner_id", "format"},
		{"/v1/keys?role=", []string{"nobody", "role_0d5qh0w2e9x8v3k7m1ac"}, "role", "unknown"},
		{"/v1/keys?search=", []string{strings.Repeat("s", 101)}, "search", "length"},
		{"/v1/keys?expiring_before=", []string{"tomorrow", "2026-01-02", "2026-01-02T03:04:05", "2026-01-02T03:04:05+01:00" /* a plus is a space */, "0001-01-01T00:00:00Z"}, "expiring_before", "format"},
		{"/v1/keys?unused_since=", []string{"yesterday", "1767322800", "0001-01-01T01:00:00%2B01:00"}, "unused_since", "format"},
		{"/v1/events?after=", []string{"x", "1.0", "99999999999999999999"}, "after", "format"},
		{"/v1/events?after=", []string{"-1"}, "after", "range"},
		{"/v1/events?type=", []string{"key", "key.Created", "*"}, "type", "unknown"},
		{"/v1/events?object=", []string{"x", "key_", "evt_0d5qh0w2e9x8v3k7m1ac", "_0d5qh0w2e9x8v3k7m1ac", "key_0D5QH0W2E9X8V3K7M1AC"}, "object", "format"},
		{"/v1/events?everywhere=", []string{"yes", "1", "TRUE"}, "everywhere", "format"},
	} {
		for _, value := range test.values {
			a := root.do("GET", test.path+value, nil)
			a.refused(422, latchkey.CodeInvalid)
			if a.text("errors", 0, "pointer") != "query:"+test.pointer || a.text("errors", 0, "code") != test.rule {
				t.Errorf("%s%s: %s", test.path, value, a.Text)
			}
		}
	}
	root.do("DELETE", "/v1/projects/prj_0d5qh0w2e9x8v3k7m1ac?revoke_keys=yes", nil).breaks(422, latchkey.CodeInvalid, "query:revoke_keys", "format")
	root.do("GET", "/v1/keys?search="+url.QueryEscape(strings.Repeat("💡", 100)), nil).must(200)
	root.do("GET", "/v1/keys?limit=100&search=%00%ff", nil).must(200)
}
