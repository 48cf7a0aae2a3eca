package latchkey_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
	"pgregory.net/rapid"
)

func TestPermissionCovers(t *testing.T) {
	for _, c := range []struct {
		held, needed latchkey.Permission
		want         bool
	}{
		{"docs:read", "docs:read", true},
		{"docs:read", "docs:write", false},
		{"docs:read", "docs:read:all", false},
		{"docs:read", "docs:READ", false},
		{"docs:*", "docs:write", true},
		{"docs:*", "docs:", true},
		{"docs:*", "docs", false},
		{"docs:*", "docsx:write", false},
		{"docs:*", "docs:*", true},
		{"docs:*", "docs:read:*", true},
		{"docs:*", "*", false},
		{"docs:read", "docs:read*", false},
		{"docs:read:*", "docs:*", false},
		{"d*", "docs:*", true},
		{"*", "docs:write", true},
		{"*", "*", true},
		{"*", "api_key:*", true},
		{"docs:*:read", "docs:x:read", false}, // only a trailing star stands for the rest
		{"*:read", "docs:read", false},
		{"docs:**", "docs:*", false}, // what begins with docs:* is less than what begins with docs:
		{"docs:**", "docs:*x", true},
		{"docs:*", "docs:**", true},
		{"**", "*", false},
		{"**", "docs:read", false},
	} {
		if got := c.held.Covers(c.needed); got != c.want {
			t.Errorf("%q covers %q: %t, want %t", c.held, c.needed, got, c.want)
		}
	}
}

// covers is the meaning of the word, by expressions: a pattern stands for a set
// of strings, and what is needed must lie inside what is held. For a needed
// pattern two members decide, since no held string equals both and a held
// pattern that matches the shortest member matches all.
func covers(held, needed latchkey.Permission) bool {
	expression := regexp.QuoteMeta(string(held))
	if strings.HasSuffix(string(held), "*") {
		expression = strings.TrimSuffix(expression, `\*`) + `.*`
	}
	members := []string{string(needed)}
	if shortest, wild := strings.CutSuffix(string(needed), "*"); wild {
		members = []string{shortest, shortest + "x"}
	}
	matches := regexp.MustCompile(`\A(?:` + expression + `)\z`).MatchString
	return !slices.ContainsFunc(members, func(member string) bool { return !matches(member) })
}

func FuzzPermissionCovers(f *testing.F) {
	for _, pair := range [][2]string{
		{"docs:read", "docs:read"}, {"docs:*", "docs:read"}, {"docs:**", "docs:*"}, {"*", "**"}, {"**", "*"},
		{"a.b", "axb"}, {`a\*`, `a\x`}, {"a*b", "aXb"}, {"grant:*", "grant:docs:*"}, {"g*", "grant:*"}, {"[a]*", "a"},
	} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, held, needed string) {
		if latchkey.CheckPermission(held) != nil || latchkey.CheckPermission(needed) != nil {
			return
		}
		p, q := latchkey.Permission(held), latchkey.Permission(needed)
		if got, want := p.Covers(q), covers(p, q); got != want {
			t.Fatalf("%q covers %q: %t, want %t", p, q, got, want)
		}
		if !p.Covers(p) || !q.Covers(q) || !latchkey.Everything.Covers(p) {
			t.Fatalf("%q or %q is not covered by itself or by everything", p, q)
		}
	})
}

// drawPermission draws from few strings, so that coincidences are common.
func drawPermission(t *rapid.T, label string) latchkey.Permission {
	return latchkey.Permission(rapid.StringMatching(`(grant:|gr|g)?(grant:)?[ab:]{0,3}\*{0,2}`).Draw(t, label))
}

func drawPermissions(t *rapid.T, label string) latchkey.Permissions {
	var ps latchkey.Permissions
	for range rapid.IntRange(0, 4).Draw(t, label+" count") {
		ps = append(ps, drawPermission(t, label))
	}
	return ps
}

func TestCoversEqualsItsMeaning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, q := drawPermission(t, "held"), drawPermission(t, "needed")
		if got, want := p.Covers(q), covers(p, q); got != want {
			t.Fatalf("%q covers %q: %t, want %t", p, q, got, want)
		}
	})
}

func TestCoversIsAnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, q, r := drawPermission(t, "p"), drawPermission(t, "q"), drawPermission(t, "r")
		if !p.Covers(p) {
			t.Fatalf("%q does not cover itself", p)
		}
		if p.Covers(q) && q.Covers(r) && !p.Covers(r) {
			t.Fatalf("%q covers %q covers %q, but the first does not cover the last", p, q, r)
		}
		if p.Covers(q) && q.Covers(p) && p != q {
			t.Fatalf("%q and %q cover each other", p, q)
		}
	})
}

func TestMayGive(t *testing.T) {
	for _, c := range []struct {
		holder latchkey.Permissions
		given  latchkey.Permission
		want   bool
	}{
		{nil, "docs:read", false},
		{latchkey.Permissions{"docs:read"}, "docs:read", true},
		{latchkey.Permissions{"docs:read"}, "docs:*", false},
		{latchkey.Permissions{"docs:*"}, "docs:*", true},
		{latchkey.Permissions{"grant:docs:*"}, "docs:read", true},
		{latchkey.Permissions{"grant:docs:*"}, "docs:*", true},
		{latchkey.Permissions{"grant:docs:*"}, "grant:docs:read", true}, // it holds that
		{latchkey.Permissions{"grant:docs:*"}, "other", false},
		{latchkey.Permissions{"grant:docs:*"}, "*", false},
		{latchkey.Permissions{"grant:*"}, "*", true},
		{latchkey.Permissions{"grant:docs:read"}, "docs:*", false},
		{latchkey.Permissions{"grant:"}, "docs:read", false},
		{latchkey.Permissions{"grant:grant:docs:read"}, "grant:docs:read", true},
		{latchkey.Permissions{"grant:grant:docs:read"}, "docs:read", false},
		{latchkey.Permissions{"grant*"}, "docs:read", true}, // it covers grant:*
		{latchkey.Permissions{"Grant:*"}, "docs:read", false},
		{latchkey.Permissions{"*"}, "anything", true},
	} {
		if got := c.holder.MayGive(c.given); got != c.want {
			t.Errorf("%q may give %q: %t, want %t", c.holder, c.given, got, c.want)
		}
		if c.holder.Hold(c.given) && !c.want {
			t.Errorf("%q holds %q", c.holder, c.given)
		}
	}
	if (latchkey.Permissions{"grant:docs:*"}).Hold("docs:read") {
		t.Error("the right to give is taken for the thing given")
	}
}

func TestWhoHoldsMayGive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ps, q := drawPermissions(t, "holder"), drawPermission(t, "given")
		want := slices.ContainsFunc(ps, func(p latchkey.Permission) bool { return covers(p, q) })
		if got := ps.Hold(q); got != want {
			t.Fatalf("%q hold %q: %t, want %t", ps, q, got, want)
		}
		want = want || slices.ContainsFunc(ps, func(p latchkey.Permission) bool { return covers(p, "grant:"+q) })
		if got := ps.MayGive(q); got != want {
			t.Fatalf("%q may give %q: %t, want %t", ps, q, got, want)
		}
	})
}

// What an intersection is enough for is what both parts are enough for.
func TestIntersect(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, q := drawPermissions(t, "a"), drawPermissions(t, "b"), drawPermission(t, "asked")
		both := a.Intersect(b)
		for _, q := range slices.Concat(a, b, latchkey.Permissions{q, "*"}) {
			if got, want := both.Hold(q), a.Hold(q) && b.Hold(q); got != want {
				t.Fatalf("%q and %q are %q, which holds %q: %t, want %t", a, b, both, q, got, want)
			}
		}
	})
	got, want := (latchkey.Permissions{"*", "docs:read"}).Intersect(latchkey.Permissions{"docs:*", "a:b"}), latchkey.Permissions{"docs:read", "docs:*", "a:b"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := (latchkey.Permissions{"a:b"}).Intersect(nil); got == nil || len(got) != 0 {
		t.Errorf("with nothing: %#v", got)
	}
}

func TestUnion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawPermissions(t, "a"), drawPermissions(t, "b")
		before := slices.Concat(a, b)
		union := a.Union(b)
		for i, p := range union {
			if slices.Contains(union[:i], p) || !slices.Contains(before, p) {
				t.Fatalf("%q is twice in %q, or comes from nowhere", p, union)
			}
		}
		for _, p := range before {
			if !slices.Contains(union, p) {
				t.Fatalf("%q is not in %q", p, union)
			}
		}
		if len(union) > 0 {
			union[0] = "changed"
		}
		if !slices.Equal(slices.Concat(a, b), before) {
			t.Fatal("the union shares its array with a part")
		}
	})
	if got, want := (latchkey.Permissions{"b", "a", "b"}).Union(latchkey.Permissions{"c", "a"}), (latchkey.Permissions{"b", "a", "c"}); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRequirement(t *testing.T) {
	held := latchkey.Permissions{"docs:*", "plants:read"}
	for _, c := range []struct {
		all, any latchkey.Permissions
		want     bool
	}{
		{nil, nil, true},
		{latchkey.Permissions{"docs:write"}, nil, true},
		{latchkey.Permissions{"docs:write", "plants:read"}, nil, true},
		{latchkey.Permissions{"docs:write", "plants:write"}, nil, false},
		{latchkey.Permissions{"docs:*"}, nil, true},
		{latchkey.Permissions{"plants:*"}, nil, false},
		{nil, latchkey.Permissions{"plants:write", "docs:write"}, true},
		{nil, latchkey.Permissions{"plants:write"}, false},
		{nil, latchkey.Permissions{}, true},
		{latchkey.Permissions{"docs:write"}, latchkey.Permissions{"plants:read"}, true},
		{latchkey.Permissions{"docs:write"}, latchkey.Permissions{"plants:write"}, false},
		{latchkey.Permissions{"plants:write"}, latchkey.Permissions{"plants:read"}, false},
	} {
		if got := (latchkey.Requirement{All: c.all, Any: c.any}).MetBy(held); got != c.want {
			t.Errorf("all of %q and one of %q: %t, want %t", c.all, c.any, got, c.want)
		}
	}
	if !(latchkey.Requirement{}).MetBy(nil) || (latchkey.Requirement{All: latchkey.Permissions{"a"}}).MetBy(nil) {
		t.Error("who holds nothing meets the empty requirement and no other")
	}
}

func drawPowers(t *rapid.T, label string) latchkey.Powers {
	return latchkey.Powers{Permissions: drawPermissions(t, label), Rank: rapid.IntRange(0, latchkey.MaxRank).Draw(t, label+" rank")}
}

func TestCeilingIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		caller, more, target := drawPowers(t, "caller"), drawPowers(t, "more"), drawPowers(t, "target")
		within := caller.Ceiling(target) == nil
		if stronger := caller.Union(more); within && stronger.Ceiling(target) != nil {
			t.Fatalf("%+v may bring about %+v, but not with %+v besides", caller, target, more)
		}
		if replaced := (latchkey.Powers{Permissions: more.Permissions, Rank: max(caller.Rank, more.Rank)}); within && holdsAll(replaced, caller) && replaced.Ceiling(target) != nil {
			t.Fatalf("%+v may bring about %+v, but not %+v, who holds all of that", caller, target, replaced)
		}
		if len(target.Permissions) > 0 {
			weaker := latchkey.Powers{Permissions: target.Permissions[1:], Rank: target.Rank / 2}
			if within && caller.Ceiling(weaker) != nil {
				t.Fatalf("%+v may bring about %+v, but not %+v", caller, target, weaker)
			}
		}
		if err := caller.Ceiling(caller); err != nil {
			t.Fatalf("%+v may not bring about its equal: %v", caller, err)
		}
		if (latchkey.Powers{Permissions: latchkey.Permissions{latchkey.Everything}, Rank: latchkey.MaxRank}).Ceiling(target) != nil {
			t.Fatalf("the owner may not bring about %+v", target)
		}
	})
}

func holdsAll(p, q latchkey.Powers) bool {
	return !slices.ContainsFunc(q.Permissions, func(needed latchkey.Permission) bool { return !p.Permissions.Hold(needed) })
}

func TestCeiling(t *testing.T) {
	caller := latchkey.Powers{Permissions: latchkey.Permissions{"docs:*", "grant:plants:*"}, Rank: 5}
	for _, c := range []struct {
		name   string
		target latchkey.Powers
		names  string // what the refusal names; "" for none
	}{
		{"nothing", latchkey.Powers{}, ""},
		{"its own", caller, ""},
		{"less", latchkey.Powers{Permissions: latchkey.Permissions{"docs:read"}, Rank: 4}, ""},
		{"what it may give", latchkey.Powers{Permissions: latchkey.Permissions{"plants:read", "plants:*"}, Rank: 5}, ""},
		{"a permission too many", latchkey.Powers{Permissions: latchkey.Permissions{"docs:read", "users:read"}}, `"users:read"`},
		{"everything", latchkey.Powers{Permissions: latchkey.Permissions{"*"}}, `"*"`},
		{"a rank too high", latchkey.Powers{Rank: 6}, "rank 6"},
	} {
		err := caller.Ceiling(c.target)
		if c.names == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if refusal := latchkey.AsError(err); refusal.Code != latchkey.CodeCeiling || !strings.Contains(refusal.Detail, c.names) {
			t.Errorf("%s: %v does not name %s", c.name, err, c.names)
		}
	}
	ranked := latchkey.Powers{Permissions: latchkey.Permissions{"*", "grant:*"}, Rank: 7}
	if err := ranked.Ceiling(latchkey.Powers{Rank: 8}); latchkey.CodeOf(err) != latchkey.CodeCeiling {
		t.Errorf("a permission lifts rank: %v", err)
	}
}

func TestCheckPermission(t *testing.T) {
	for s, want := range map[string]string{
		"a": "", "plants:read": "", "*": "", "!~": "", "grant:docs:*": "", strings.Repeat("x", 128): "",
		"": "length", strings.Repeat("x", 129): "length",
		"plants read": "format", "plants:read ": "format", "a\tb": "format", "a\nb": "format", "a\x00b": "format", "a\x7fb": "format", "é": "format", "\xff": "format",
	} {
		switch broken := latchkey.CheckPermission(s); {
		case broken == nil && want != "":
			t.Errorf("%q is accepted, want %s", s, want)
		case broken != nil && broken.Code != want:
			t.Errorf("%q: %s, want %q", s, broken.Code, want)
		}
	}
}

// Our own permissions are well-formed, and no two are the same.
func TestOwnPermissions(t *testing.T) {
	own := declared[latchkey.Permission](t, "Permission")
	if len(own) != 6+4*4+2+1 {
		t.Errorf("%d permissions are declared: %q", len(own), own)
	}
	for i, p := range own {
		if latchkey.CheckPermission(string(p)) != nil || slices.Contains(own[:i], p) {
			t.Errorf("%q is malformed or declared twice", p)
		}
	}
}
