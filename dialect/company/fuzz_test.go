package company

import (
	"net/url"
	"slices"
	"testing"

	"github.com/go-json-experiment/json"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/body"
)

// A query that is taken is within its bounds, and taken again from the URL that
// is made of it.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"", "status=active&limit=25&offset=0", "limit=101", "startingAfter=key_0d5qh0w2e9x8v3k7m1ac&endingBefore=", "status", "%zz", "limit=%2B5"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		given, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		q, err := readQuery(given)
		if err != nil {
			if e := latchkey.AsError(err); e.Code != latchkey.CodeInvalid || len(e.Fields) == 0 {
				t.Fatalf("%q is refused by %v", text, err)
			}
			return
		}
		if q.at.Limit < 1 || q.at.Limit > maxLimit || q.at.Offset < 0 || len(q.states) == 0 || !q.at.After.IsZero() && !q.at.Before.IsZero() {
			t.Fatalf("%q is taken as %+v", text, q)
		}
		again, err := readQuery(url.Values{byStatus: {q.status}})
		if err != nil || !slices.Equal(again.states, q.states) {
			t.Fatalf("%q is taken once as %+v, then as %+v (%v)", text, q, again, err)
		}
	})
}

// Addresses that are taken have no commas left, and are the same when they are
// written and read again.
func FuzzAddresses(f *testing.F) {
	for _, seed := range []string{`null`, `[]`, `"1.1.1.1,2.2.2.2"`, `["1.1.1.1, ::1"]`, `""`, `[","]`, `[1]`, `{}`, `[null]`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var in newKey
		if err := body.Decode([]byte(`{"whitelistedIPs":`+text+`}`), &in); err != nil {
			if latchkey.CodeOf(err) != latchkey.CodeMalformedBody {
				t.Fatalf("%q is refused by %v", text, err)
			}
			return
		}
		written, err := json.Marshal(in.WhitelistedIPs)
		if err != nil {
			t.Fatal(err)
		}
		var again addresses
		if err := json.Unmarshal(written, &again); err != nil || !slices.Equal(again, in.WhitelistedIPs) || (again == nil) != (in.WhitelistedIPs == nil) {
			t.Fatalf("%q is %q, then %q (%v)", text, in.WhitelistedIPs, again, err)
		}
	})
}
