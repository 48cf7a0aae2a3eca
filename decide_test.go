package latchkey_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
)

// obstacle is one way in which one check fails, made from a case in which every
// check passes.
type obstacle struct {
	check  latchkey.Check
	code   latchkey.Code
	detail string // part of what Explain says of it
	make   func(*decision)
}

// decision is what Decide decides on.
type decision struct {
	grant   latchkey.Grant
	entry   *latchkey.Entry
	attempt latchkey.Attempt
}

// welcome is a loaded case that passes: every check has something to compare.
func welcome(t testing.TB) *decision {
	d := &decision{grant: latchkey.Grant{
		Permissions: latchkey.Permissions{"plants:*", "docs:read", "docs:write", "telemetry:read"},
		Rank:        3,
		Addresses:   mustParseList(t, []string{"192.0.2.0/24", "198.51.100.7", "2001:db8::/32"}),
		Resources:   latchkey.NewResources(map[string][]string{"plant": {"a", "b", "c"}, "site": {"x", "y"}}),
	}}
	d.entry = &latchkey.Entry{
		Grant: &d.grant, Environment: latchkey.Live, Enabled: true,
		KeyExpires: noon.Add(time.Nanosecond), SecretExpires: noon.Add(time.Nanosecond), Signing: latchkey.SigningRequired,
	}
	d.attempt = latchkey.Attempt{
		WellFormed: true, Match: true, Environment: latchkey.Live, Signature: latchkey.SignatureHolds, Address: netip.MustParseAddr("198.51.100.7"),
		Resource: latchkey.Resource{Type: "plant", ID: "b"},
		Scopes:   latchkey.Requirement{All: latchkey.Permissions{"docs:read", "plants:read"}, Any: latchkey.Permissions{"x", "telemetry:read"}},
	}
	return d
}

func (d *decision) decide() latchkey.Code { return latchkey.Decide(d.entry, &d.attempt, noon) }

func (d *decision) explain() []latchkey.Explanation {
	return latchkey.Explain(d.entry, &d.attempt, noon)
}

// obstacles are in the order in which the checks are made.
func obstacles() []obstacle {
	return []obstacle{
		{latchkey.CheckShape, latchkey.CodeMalformed, "not the shape", func(d *decision) { d.attempt.WellFormed = false }},
		{latchkey.CheckKID, latchkey.CodeUnknown, "no key has this", func(d *decision) { d.entry = nil }},
		{latchkey.CheckDigest, latchkey.CodeUnknown, "the secret is wrong", func(d *decision) { d.attempt.Match = false }},
		{latchkey.CheckRevoked, latchkey.CodeRevoked, "was revoked", func(d *decision) { d.entry.Revoked = true }},
		{latchkey.CheckDisabled, latchkey.CodeDisabled, "key is disabled", func(d *decision) { d.entry.Enabled = false }},
		{latchkey.CheckDisabled, latchkey.CodeDisabled, "suspended or gone", func(d *decision) { d.grant.Suspended = true }},
		{latchkey.CheckExpired, latchkey.CodeExpired, "key has expired", func(d *decision) { d.entry.KeyExpires = noon }},
		{latchkey.CheckExpired, latchkey.CodeExpired, "secret ended", func(d *decision) { d.entry.SecretExpires = noon }},
		{latchkey.CheckEnvironment, latchkey.CodeWrongEnvironment, "live environment, test was required", func(d *decision) { d.attempt.Environment = latchkey.Test }},
		{latchkey.CheckAddress, latchkey.CodeIPNotAllowed, "not in the key's list", func(d *decision) { d.attempt.Address = netip.MustParseAddr("203.0.113.1") }},
		{latchkey.CheckAddress, latchkey.CodeIPNotAllowed, "could not be determined", func(d *decision) { d.attempt.Address = netip.Addr{} }},
		{latchkey.CheckSignature, latchkey.CodeSignatureRequired, "have to be signed", func(d *decision) { d.attempt.Signature = latchkey.SignatureAbsent }},
		{latchkey.CheckSignature, latchkey.CodeSignatureInvalid, "does not hold: another nonce", func(d *decision) {
			d.attempt.Signature, d.attempt.Fault = latchkey.SignatureFails, "another nonce"
		}},
		{latchkey.CheckResource, latchkey.CodeResourceNotAllowed, "not in the key's list for its type", func(d *decision) { d.attempt.Resource.ID = "d" }},
		{latchkey.CheckScopes, latchkey.CodeInsufficientScope, "do not hold", func(d *decision) { d.attempt.Scopes.All = latchkey.Permissions{"docs:read", "docs:delete"} }},
		{latchkey.CheckScopes, latchkey.CodeInsufficientScope, "do not hold", func(d *decision) { d.attempt.Scopes.Any = latchkey.Permissions{"docs:delete"} }},
	}
}

// Every combination of obstacles, and so of failing checks: the first failing
// check decides, and Explain tells the same story.
func TestDecideInOrder(t *testing.T) {
	all := obstacles()
	if !slices.IsSortedFunc(all, func(a, b obstacle) int { return int(a.check - b.check) }) {
		t.Fatal("the obstacles are not in the order of the checks")
	}
	for set := range 1 << len(all) {
		d := welcome(t)
		want, failing := latchkey.CodeValid, map[latchkey.Check]bool{}
		for i, o := range slices.Backward(all) {
			if set&(1<<i) != 0 {
				want, failing[o.check] = o.code, true
				o.make(d)
			}
		}
		if got := d.decide(); got != want {
			t.Fatalf("checks %v fail: %s, want %s", failing, got, want)
		}
		checkExplanation(t, d.explain(), failing)
	}
}

// checkExplanation demands one outcome for each check, in order: a failure for
// each that fails, but nothing after the first failure before the digest
// matched.
func checkExplanation(t *testing.T, told []latchkey.Explanation, failing map[latchkey.Check]bool) {
	t.Helper()
	if len(told) != int(latchkey.CheckScopes)+1 {
		t.Fatalf("%d checks are told of", len(told))
	}
	stranger := false
	for i, x := range told {
		want := latchkey.Passed
		switch {
		case stranger:
			want = latchkey.NotReached
		case failing[x.Check]:
			want = latchkey.Failed
		}
		if x.Check != latchkey.Check(i) || x.Outcome != want || x.Detail == "" {
			t.Fatalf("checks %v fail: %s is told as %s (%s), want %s", failing, x.Check, x.Outcome, x.Detail, want)
		}
		stranger = stranger || failing[x.Check] && x.Check <= latchkey.CheckDigest
	}
}

func TestDecideWelcomes(t *testing.T) {
	d := welcome(t)
	if got := d.decide(); got != latchkey.CodeValid {
		t.Errorf("got %s", got)
	}
	checkExplanation(t, d.explain(), nil)
	bare := latchkey.Entry{Grant: &latchkey.Grant{}, Enabled: true}
	if got := latchkey.Decide(&bare, &latchkey.Attempt{WellFormed: true, Match: true}, noon); got != latchkey.CodeValid {
		t.Errorf("a key that is neither granted nor asked anything: %s", got)
	}
}

func TestExplainNamesTheObstacle(t *testing.T) {
	for _, o := range obstacles() {
		d := welcome(t)
		o.make(d)
		told := d.explain()
		first := slices.IndexFunc(told, func(x latchkey.Explanation) bool { return x.Outcome == latchkey.Failed })
		if first != int(o.check) || !strings.Contains(told[o.check].Detail, o.detail) || d.decide() != o.code {
			t.Errorf("%s, %s: told as %+v", o.code, o.detail, told)
		}
	}
}

// Checks that have nothing to compare pass, and say that they did not look.
func TestExplainSaysWhatWasNotAsked(t *testing.T) {
	for name, c := range map[string]struct {
		check latchkey.Check
		make  func(*decision)
	}{
		"no environment required": {latchkey.CheckEnvironment, func(d *decision) { d.attempt.Environment = "" }},
		"any address":             {latchkey.CheckAddress, func(d *decision) { d.grant.Addresses = latchkey.AddressList{} }},
		"any address, none known": {latchkey.CheckAddress, func(d *decision) { d.grant.Addresses, d.attempt.Address = latchkey.AddressList{}, netip.Addr{} }},
		"no resource named":       {latchkey.CheckResource, func(d *decision) { d.attempt.Resource = latchkey.Resource{} }},
		"no resource, no type": {latchkey.CheckResource, func(d *decision) {
			d.attempt.Resource, d.grant.Resources = latchkey.Resource{}, latchkey.Resources{"": {"d"}}
		}},
		"a type without limits":   {latchkey.CheckResource, func(d *decision) { d.attempt.Resource = latchkey.Resource{Type: "other", ID: "d"} }},
		"no resources restricted": {latchkey.CheckResource, func(d *decision) { d.grant.Resources = nil }},
		"no signature asked":      {latchkey.CheckSignature, func(d *decision) { d.entry.Signing = latchkey.SigningOff }},
		"a bad one, none asked":   {latchkey.CheckSignature, func(d *decision) { d.entry.Signing, d.attempt.Signature = latchkey.SigningOff, latchkey.SignatureFails }},
		"none, one is allowed": {latchkey.CheckSignature, func(d *decision) {
			d.entry.Signing, d.attempt.Signature = latchkey.SigningOptional, latchkey.SignatureAbsent
		}},
		"no scope required":        {latchkey.CheckScopes, func(d *decision) { d.attempt.Scopes = latchkey.Requirement{} }},
		"no scope, none held":      {latchkey.CheckScopes, func(d *decision) { d.attempt.Scopes, d.grant.Permissions = latchkey.Requirement{}, nil }},
		"no scope, an empty any":   {latchkey.CheckScopes, func(d *decision) { d.attempt.Scopes = latchkey.Requirement{Any: latchkey.Permissions{}} }},
		"no environment, test key": {latchkey.CheckEnvironment, func(d *decision) { d.attempt.Environment, d.entry.Environment = "", latchkey.Test }},
	} {
		t.Run(name, func(t *testing.T) {
			d := welcome(t)
			c.make(d)
			if got := d.decide(); got != latchkey.CodeValid {
				t.Errorf("the verdict is %s", got)
			}
			for _, x := range d.explain() {
				want := latchkey.Passed
				if x.Check == c.check {
					want = latchkey.NotAsked
				}
				if x.Outcome != want {
					t.Errorf("%s is told as %s, want %s", x.Check, x.Outcome, want)
				}
			}
		})
	}
}

// Whoever presents a key whose digest does not match learns nothing from the
// explanation about the key that its kid names.
func TestExplainTellsStrangersNothing(t *testing.T) {
	for _, o := range obstacles()[:3] {
		plain := welcome(t)
		o.make(plain)
		for _, secret := range obstacles()[3:] {
			d := welcome(t)
			secret.make(d)
			o.make(d)
			if got := d.explain(); !slices.Equal(got, plain.explain()) || d.decide() != plain.decide() {
				t.Errorf("before the digest matched, %s shows: %+v", secret.code, got)
			}
		}
	}
}

func TestCodes(t *testing.T) {
	codes := declared[latchkey.Code](t, "Code")
	if !slices.Equal(latchkey.Codes(), codes) {
		t.Errorf("listed are   %q\ndeclared are %q", latchkey.Codes(), codes)
	}
	status := map[latchkey.Code]int{
		"valid":     200,
		"malformed": 401, "unknown": 401, "revoked": 401, "disabled": 401, "expired": 401, "signature_required": 401, "signature_invalid": 401,
		"wrong_environment": 403, "ip_not_allowed": 403, "resource_not_allowed": 403, "insufficient_scope": 403,
		"rate_limited": 429, "quota_exceeded": 429,
		"unavailable": 503,
	}
	for i, code := range codes {
		if got, want := code.HTTPStatus(), status[code]; got != want || slices.Contains(codes[:i], code) {
			t.Errorf("%s is told as %d, want %d, and must be there once", code, got, want)
		}
	}
	if len(codes) != len(status) {
		t.Errorf("%d codes, want %d", len(codes), len(status))
	}
	if got := latchkey.Code("unheard_of").HTTPStatus(); got != 503 {
		t.Errorf("an unknown code is told as %d: it must refuse", got)
	}
}

func TestChecksHaveNames(t *testing.T) {
	var names []string
	for c := latchkey.CheckShape; c <= latchkey.CheckScopes; c++ {
		names = append(names, c.String())
	}
	want := []string{"shape", "kid", "digest", "revoked", "disabled", "expired", "environment", "address", "signature", "resource", "scopes"}
	if !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	if got := (latchkey.CheckScopes + 1).String(); got != "none" {
		t.Errorf("a check that does not exist is %q", got)
	}
}

func TestDecideDoesNotAllocate(t *testing.T) {
	cases := map[string]*decision{"valid": welcome(t)}
	for _, o := range obstacles() {
		d := welcome(t)
		o.make(d)
		cases[string(o.code)+", "+o.detail] = d
	}
	for name, d := range cases {
		if got := testing.AllocsPerRun(100, func() { d.decide() }); got != 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}

// BenchmarkDecide is the whole decision on a key with much to check: a role's
// permissions and scopes, an address list, resources, expiries.
func BenchmarkDecide(b *testing.B) {
	d := welcome(b)
	developer, _ := latchkey.BuiltinRole("developer")
	d.grant.Permissions = developer.Permissions.Union(d.grant.Permissions)
	d.grant.Addresses = fullList(b)
	d.attempt.Address = netip.MustParseAddr("10.128.1.2")
	if got := d.decide(); got != latchkey.CodeValid {
		b.Fatal(got)
	}
	b.ReportAllocs()
	for b.Loop() {
		if d.decide() != latchkey.CodeValid {
			b.Fatal("refused")
		}
	}
}
