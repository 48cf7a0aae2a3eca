package rest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
)

// uses spells a page of usage: hour, code, address, count.
func (a answer) uses() (lines []string) {
	hours, _ := a.at("data").([]any)
	for i := range hours {
		tallies, _ := a.at("data", i, "uses").([]any)
		for j := range tallies {
			at := func(member string) any { return a.at("data", i, "uses", j, member) }
			lines = append(lines, fmt.Sprintf("%.16s %v %v %v", a.at("data", i, "hour"), at("code"), at("address"), at("count")))
		}
	}
	return lines
}

// What a key was used for is told by the hour, whatever the verdict was, once
// its secret was right; and its last use with the address and the program.
func TestUsage(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.clock.stopped = time.Date(2026, 11, 27, 12, 30, 0, 0, time.UTC)
	root := h.as(h.root)
	k := root.newKey(object{"scopes": []string{"docs:read"}})
	second := root.do("POST", k.path+"/rotate", nil).must(200).text("secret")
	root.do("GET", k.path+"/usage", nil).must(200).holds(nil, object{"data": []any{}, "next_cursor": nil})

	root.verify(k.secret, object{"ip": "192.0.2.1", "user_agent": "curl/8"})
	root.verify(second, object{"ip": "192.0.2.1", "user_agent": "curl/9"})
	root.verify(k.secret, object{"ip": "2001:db8:1:2:3::4"})
	root.verify(k.secret, object{"scopes": []string{"docs:write"}, "ip": "192.0.2.1"})
	root.verify(k.secret, nil)
	root.verify(mistyped(k.secret), object{"ip": "192.0.2.9"})
	root.verify(wrongSecret(k.secret), object{"ip": "192.0.2.9"})
	root.do("POST", "/v1/keys/explain", object{"key": k.secret}).must(200)
	for n := range 10 {
		root.verify(k.secret, object{"environment": "test", "ip": fmt.Sprintf("198.51.100.%d", n+10)})
	}
	h.advance(time.Hour)
	h.as(k.secret).with("User-Agent", "robot/1").do("GET", "/v1/projects", nil).refused(403, latchkey.CodeForbidden)
	root.do("POST", k.path+"/revoke", nil).must(200)
	root.verify(k.secret, object{"ip": "203.0.113.1", "user_agent": "thief"})
	h.flush()

	want := []string{
		"2026-11-27T13:00 revoked 203.0.113.1 1", "2026-11-27T13:00 valid 127.0.0.1 1",
		"2026-11-27T12:00 insufficient_scope 192.0.2.1 1", "2026-11-27T12:00 valid <nil> 1", "2026-11-27T12:00 valid 192.0.2.1 2",
		"2026-11-27T12:00 valid 2001:db8:1:2::/64 1",
	}
	for n := range latchkey.MaxSources {
		want = append(want, fmt.Sprintf("2026-11-27T12:00 wrong_environment 198.51.100.%d 1", n+10))
	}
	want = append(want, "2026-11-27T12:00 wrong_environment other 2")
	all := root.do("GET", k.path+"/usage", nil).must(200)
	if got := all.uses(); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if last := all.text("data", 0, "uses", 1, "last_at"); last != "2026-11-27T13:30:00.000Z" || all.at("next_cursor") != nil {
		t.Errorf("last at %v, then %v", last, all.at("next_cursor"))
	}
	root.do("GET", k.path, nil).must(200).holds(nil, object{
		"last_used_at": "2026-11-27T13:30:00.000Z", "last_address": "127.0.0.1", "last_user_agent": "robot/1",
	})

	page := root.do("GET", k.path+"/usage?limit=1", nil).must(200)
	next := root.do("GET", k.path+"/usage?limit=1&cursor="+page.text("next_cursor"), nil).must(200)
	if got := append(page.uses(), next.uses()...); !slices.Equal(got, want) || next.at("next_cursor") != nil {
		t.Errorf("in pages: %q", got)
	}
	since := root.do("GET", k.path+"/usage?since=2026-11-27T12:00:00.001Z", nil).must(200)
	before := root.do("GET", k.path+"/usage?before=2026-11-27T13:00:00Z", nil).must(200)
	if !slices.Equal(since.uses(), want[:2]) || !slices.Equal(before.uses(), want[2:]) {
		t.Errorf("since %q, before %q", since.uses(), before.uses())
	}
	other := root.newKey(object{})
	root.do("GET", other.path+"/usage?limit=1&cursor="+page.text("next_cursor"), nil).refused(422, latchkey.CodeInvalid, "query:cursor")
	root.do("GET", k.path+"/usage?limit=101", nil).refused(422, latchkey.CodeInvalid, "query:limit")
	root.do("GET", k.path+"/usage?since=yesterday", nil).refused(422, latchkey.CodeInvalid, "query:since")
	root.do("POST", "/v1/keys/verify", object{"key": k.secret, "user_agent": strings.Repeat("x", 8<<10+1)}).refused(422, latchkey.CodeInvalid, "/user_agent")
}
