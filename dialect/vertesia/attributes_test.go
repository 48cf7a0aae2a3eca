package vertesia

import (
	"net/http"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/body"
)

// Whatever a body gives, what is set can be read again as it was, and nothing
// else in the metadata is touched.
func FuzzAttributes(f *testing.F) {
	f.Add(`{"properties":{"a":1},"clearance":2,"compartments":["x"]}`, `{"ticket":"OPS-1"}`)
	f.Add(`{"properties":{}}`, `{"vertesia":{"clearance":1}}`)
	f.Add(`{"clearance":1e300}`, `{"vertesia":7}`)
	f.Add(`{"compartments":[]}`, ``)
	f.Add(`{"scim_provisioning":true}`, `{"vertesia":null}`)
	f.Fuzz(func(t *testing.T, given, kept string) {
		if kept != "" && body.Decode([]byte(kept), &map[string]any{}) != nil {
			return // no metadata is like this
		}
		var g givenAttributes
		if body.Decode([]byte(given), &g) != nil {
			return // refused before
		}
		var broken problems
		if g.check(&broken); broken.err() != nil || !g.any() {
			return // refused, or nothing to set
		}
		before := attributesOf(latchkey.Document(kept))
		set, err := g.set(latchkey.Document(kept))
		if err != nil {
			t.Fatal(err)
		}
		after := attributesOf(set)
		want := before
		if g.Properties.Set {
			want.Properties = g.Properties.Value
		}
		if g.Clearance.Set {
			want.Clearance = &g.Clearance.Value
		}
		if g.Compartments.Set {
			want.Compartments = &g.Compartments.Value
		}
		if text(t, after) != text(t, want) {
			t.Errorf("set %s, read %s", text(t, want), text(t, after))
		}
		rest, restBefore := membersOf(set), membersOf(latchkey.Document(kept))
		delete(rest, attributesMember)
		delete(restBefore, attributesMember)
		if text(t, rest) != text(t, restBefore) {
			t.Errorf("the rest was %s, and is %s", text(t, restBefore), text(t, rest))
		}
	})
}

func text(t *testing.T, v any) string {
	t.Helper()
	out, err := json.Marshal(v, json.Deterministic(true), jsontext.CanonicalizeRawInts(true), jsontext.CanonicalizeRawFloats(true), jsontext.ReorderRawObjects(true))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// A version is eight digits, and lenient only if it is one of long ago.
func FuzzVersion(f *testing.F) {
	for _, v := range []string{"20260803", "20260319", "", "latest", "-2026031", "２０２６０３１９"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		old := lenient(http.Header{versionHeader: {v}})
		readable := len(v) == 8
		for i := range len(v) {
			readable = readable && v[i] >= '0' && v[i] <= '9'
		}
		if want := readable && v < "20260803"; old != want {
			t.Errorf("%q: lenient %v", v, old)
		}
	})
}
