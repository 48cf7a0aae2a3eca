package latchkey_test

import (
	"strings"
	"testing"

	"latchkey.dev/latchkey"
)

func TestCheckRoute(t *testing.T) {
	for _, c := range []struct {
		route   latchkey.Route
		pointer string // "-": nothing is wrong
	}{
		{latchkey.Route{Path: "/"}, "-"},
		{latchkey.Route{Path: "/*"}, "-"},
		{latchkey.Route{Path: "/v1/{a}/x/*", Methods: []string{"GET", "M-SEARCH"}, Host: "*.example.com", Resource: latchkey.Resource{Type: "t", ID: "{a}"}}, "-"},
		{latchkey.Route{Path: "/v1", Resource: latchkey.Resource{Type: "t", ID: "one"}}, "-"},
		{latchkey.Route{Path: ""}, "/path"},
		{latchkey.Route{Path: "v1"}, "/path"},
		{latchkey.Route{Path: "/a//b"}, "/path"},
		{latchkey.Route{Path: "/a/../b"}, "/path"},
		{latchkey.Route{Path: "/a%2fb"}, "/path"},
		{latchkey.Route{Path: "/a;b"}, "/path"},
		{latchkey.Route{Path: "/*/a"}, "/path"},
		{latchkey.Route{Path: "/a*"}, "/path"},
		{latchkey.Route{Path: "/{}"}, "/path"},
		{latchkey.Route{Path: "/x{a}"}, "/path"},
		{latchkey.Route{Path: "/" + strings.Repeat("a/", 65)}, "/path"},
		{latchkey.Route{Path: "/" + strings.Repeat("a", 512)}, "/path"},
		{latchkey.Route{Path: "/", Methods: []string{"get"}}, "/methods"},
		{latchkey.Route{Path: "/", Methods: make([]string, 17)}, "/methods"},
		{latchkey.Route{Path: "/", Host: "Example.com"}, "/host"},
		{latchkey.Route{Path: "/", Host: "example.com:80"}, "/host"},
		{latchkey.Route{Path: "/", Host: "*"}, "/host"},
		{latchkey.Route{Path: "/", Host: "*."}, "/host"},
		{latchkey.Route{Path: "/", Resource: latchkey.Resource{Type: "t"}}, "/resource"},
		{latchkey.Route{Path: "/{a}", Resource: latchkey.Resource{Type: "t", ID: "{b}"}}, "/resource/id"},
	} {
		found := latchkey.CheckRoute(&c.route)
		got := "-"
		if found != nil {
			got = found.Pointer
		}
		if got != c.pointer {
			t.Errorf("%+v: %s, want %s", c.route, got, c.pointer)
		}
	}
}

func TestGatewayRoute(t *testing.T) {
	g := latchkey.Gateway{Routes: []latchkey.Route{
		{Path: "/v1/{plant}/x", Methods: []string{"GET"}, Host: "*.example.com", Resource: latchkey.Resource{Type: "plant", ID: "{plant}"}},
		{Path: "/v1/*", Host: "a.example.com"},
		{Path: "/"},
	}}
	for _, c := range []struct {
		method, host, path string
		route              int // -1: none
		about              string
	}{
		{"GET", "a.example.com", "/v1/7/x", 0, "7"},
		{"GET", "A.Example.COM.", "/v1/7/x/", 0, "7"},
		{"GET", "a.example.com:8443", "/v1/a%20b/x", 0, "a b"},
		{"GET", "example.com", "/v1/7/x", -1, ""},
		{"GET", "notexample.com", "/v1/7/x", -1, ""},
		{"get", "b.example.com", "/v1/7/x", -1, ""},
		{"PUT", "a.example.com", "/v1/7/x", 1, ""},
		{"PUT", "a.example.com", "/v1", 1, ""},
		{"PUT", "a.example.com", "/v10", -1, ""},
		{"PUT", "[::1]:80", "/", 2, ""},
		{"PUT", "a b", "/", -1, ""},
		{"PUT", "", "/", -1, ""},
		{"GET", "a.example.com", "/v1/" + strings.Repeat("7", 129) + "/x", -1, ""},
		{"GET", "a.example.com", "/v1/./x", -1, ""},
		{"GET", "a.example.com", "/v1/%00/x", -1, ""},
		{"GET", "a.example.com", "/v1/%5c/x", -1, ""},
		{"GET", "a.example.com", "/v1/%zz", -1, ""},
		{"GET", "a.example.com", "/v1/%4", -1, ""},
		{"GET", "a.example.com", "/v1" + strings.Repeat("/a", 64), -1, ""},
		{"GET", "a.example.com", "*", -1, ""},
	} {
		route, about, ok := g.Route(c.method, c.host, c.path)
		if ok != (c.route >= 0) || ok && (route != &g.Routes[c.route] || about.ID != c.about) {
			t.Errorf("%s %s %s: %v %+v %v, want route %d", c.method, c.host, c.path, route, about, ok, c.route)
		}
	}
}

// FuzzGatewayRoute looks for a path that two servers could read differently and
// that is not refused: a segment that another decoding, or none, would change
// into another path.
func FuzzGatewayRoute(f *testing.F) {
	for _, seed := range []string{"/", "/a/b", "/%2e%2e/a", "/a//b", "/a;b", "/a%2fb", "/%25", "/a/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		g := latchkey.Gateway{Routes: []latchkey.Route{{Path: "/{one}", Resource: latchkey.Resource{Type: "t", ID: "{one}"}}, {Path: "/*"}}}
		route, about, ok := g.Route("GET", "a", path)
		if !ok {
			return
		}
		if strings.Contains(path, "//") || strings.ContainsAny(path, "\\;#?\x00") || !strings.HasPrefix(path, "/") {
			t.Errorf("%q has a route", path)
		}
		if route == &g.Routes[0] && (strings.ContainsAny(about.ID, "/\\%;") || about.ID == "." || about.ID == ".." || about.ID == "") {
			t.Errorf("%q is about %q", path, about.ID)
		}
	})
}
