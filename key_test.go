package latchkey_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"latchkey.dev/latchkey"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// moments are the ways in which an expiry can lie to noon.
var moments = map[string]struct {
	at     time.Time
	passed bool
}{
	"never":  {time.Time{}, false},
	"later":  {noon.Add(time.Nanosecond), false},
	"now":    {noon, true},
	"before": {noon.Add(-time.Nanosecond), true},
}

func TestKeyState(t *testing.T) {
	seen := map[latchkey.State]int{}
	for when, moment := range moments {
		for _, bits := range []int{0, 1, 2, 3, 4, 5, 6, 7} {
			revoked, enabled, suspended := bits&1 != 0, bits&2 != 0, bits&4 != 0
			key := latchkey.Key{Enabled: enabled, ExpiresAt: moment.at}
			if revoked {
				key.RevokedAt = noon.Add(time.Hour) // that it happened counts, not when
			}
			want := latchkey.StateLive
			switch {
			case revoked:
				want = latchkey.StateRevoked
			case !enabled || suspended:
				want = latchkey.StateDisabled
			case moment.passed:
				want = latchkey.StateExpired
			}
			if got := key.State(suspended, noon); got != want || key.Revoked() != revoked {
				t.Errorf("revoked %t, enabled %t, suspended %t, expiring %s: %s, want %s", revoked, enabled, suspended, when, got, want)
			}
			seen[want]++
		}
	}
	if states := declared[latchkey.State](t, "State"); !slices.Equal(latchkey.States(), states) || len(seen) != len(states) {
		t.Errorf("States lists %q, declared are %q, met were %v", latchkey.States(), states, seen)
	}
}

// State and Decide must not tell two stories of one key.
func TestKeyStateAgreesWithDecide(t *testing.T) {
	codes := map[latchkey.State]latchkey.Code{
		latchkey.StateLive: latchkey.CodeValid, latchkey.StateDisabled: latchkey.CodeDisabled,
		latchkey.StateExpired: latchkey.CodeExpired, latchkey.StateRevoked: latchkey.CodeRevoked,
	}
	for when, moment := range moments {
		for _, bits := range []int{0, 1, 2, 3, 4, 5, 6, 7} {
			key := latchkey.Key{Enabled: bits&2 != 0, ExpiresAt: moment.at}
			if bits&1 != 0 {
				key.RevokedAt = noon
			}
			suspended := bits&4 != 0
			entry := latchkey.Entry{Grant: latchkey.ResolveGrant(&key, suspended, nil, nil), Enabled: key.Enabled, Revoked: key.Revoked(), KeyExpires: key.ExpiresAt}
			attempt := latchkey.Attempt{WellFormed: true, Match: true}
			if got, want := latchkey.Decide(&entry, &attempt, noon), codes[key.State(suspended, noon)]; got != want {
				t.Errorf("case %b, expiring %s: the verdict is %s, the state %s", bits, when, got, key.State(suspended, noon))
			}
		}
	}
}

func TestSecretEnds(t *testing.T) {
	for when, moment := range moments {
		if got := (latchkey.Secret{ExpiresAt: moment.at}).Ended(noon); got != moment.passed {
			t.Errorf("expiring %s: ended %t", when, got)
		}
	}
	if got := (latchkey.Secret{Public: "lk_live_7Hk2mQ9xTz4LpW0e_"}).Masked(); got != "lk_live_7Hk2mQ9xTz4LpW0e_..." {
		t.Errorf("masked is %q", got)
	}
}

func TestKeyLastUse(t *testing.T) {
	for _, c := range []struct{ first, second, want time.Time }{
		{},
		{noon, time.Time{}, noon},
		{time.Time{}, noon, noon},
		{noon, noon.Add(time.Second), noon.Add(time.Second)},
		{noon.Add(time.Second), noon, noon.Add(time.Second)},
	} {
		if got := (latchkey.Key{Secrets: []latchkey.Secret{{LastUse: latchkey.Use{At: c.first}}, {LastUse: latchkey.Use{At: c.second}}}}).LastUse().At; !got.Equal(c.want) {
			t.Errorf("%v and %v: %v", c.first, c.second, got)
		}
	}
}

func TestReach(t *testing.T) {
	growing := declared[latchkey.Reach](t, "Reach")
	if want := []latchkey.Reach{latchkey.ReachProject, latchkey.ReachOrganization, latchkey.ReachAll}; !slices.Equal(growing, want) {
		t.Fatalf("reaches are %q", growing)
	}
	for i, r := range growing {
		if !r.Valid() {
			t.Errorf("%q is not valid", r)
		}
		for j, s := range growing {
			if r.Includes(s) != (i >= j) {
				t.Errorf("%s includes %s: %t", r, s, r.Includes(s))
			}
		}
		if latchkey.Reach("").Includes(r) || latchkey.Reach("ALL").Includes(r) {
			t.Errorf("an unknown reach includes %s", r)
		}
	}
	if latchkey.Reach("").Valid() || latchkey.Reach("ALL").Valid() {
		t.Error("an unknown reach is valid")
	}
}

func TestResourcesAllow(t *testing.T) {
	const upper, lower = "0191F0E2-AAAA-8BBB-8CCC-DDDDEEEEFFFF", "0191f0e2-aaaa-8bbb-8ccc-ddddeeeeffff"
	restricted := latchkey.NewResources(map[string][]string{
		"plant": {upper, "b", "a", "a"}, "site": {"Z", "a", "z"}, "none": {}, "nil": nil,
	})
	for _, c := range []struct {
		kind, id string
		want     bool
	}{
		{"plant", upper, true}, {"plant", lower, true}, {"plant", "A", true}, {"plant", "c", false}, {"plant", "", false},
		{"site", "Z", true}, {"site", "z", true}, {"site", "a", true}, {"site", "A", false}, {"site", "a ", false},
		{"none", "a", false}, {"none", "", false}, {"nil", "a", false},
		{"other", "a", true}, {"Plant", "c", true}, {"", "a", true},
	} {
		if got := restricted.Allow(latchkey.Resource{Type: c.kind, ID: c.id}); got != c.want {
			t.Errorf("%s %q: %t, want %t", c.kind, c.id, got, c.want)
		}
		if !(latchkey.Resources(nil)).Allow(latchkey.Resource{Type: c.kind, ID: c.id}) {
			t.Errorf("%s %q is refused without a restriction", c.kind, c.id)
		}
	}
}

func TestEqualResourcesAreEqualValues(t *testing.T) {
	given := map[string][]string{"plant": {"B", "a", "b"}, "site": {"y", "x"}, "none": nil}
	got := latchkey.NewResources(given)
	want := latchkey.Resources{"plant": {"a", "b"}, "site": {"x", "y"}, "none": {}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, want %#v", got, want)
	}
	if !reflect.DeepEqual(given, map[string][]string{"plant": {"B", "a", "b"}, "site": {"y", "x"}, "none": nil}) {
		t.Errorf("the caller's own map was changed: %v", given)
	}
	if again := latchkey.NewResources(got); !reflect.DeepEqual(again, got) {
		t.Errorf("made of itself: %#v", again)
	}
	if latchkey.NewResources(nil) != nil || latchkey.NewResources(map[string][]string{}) != nil {
		t.Error("no restriction is not nil")
	}
}

func TestDefaultLimits(t *testing.T) {
	if got, want := latchkey.DefaultLimits(), (latchkey.Limits{Keys: 1_000_000, ChangesPerSecond: 10_000}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
