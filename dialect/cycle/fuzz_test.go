package cycle

import (
	"net/url"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
)

// A query that is taken is within its bounds and of known words alone; one that is
// refused says where, and repeats nothing that could be a secret.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"", "sort=-name&sort=id", "sort=-name%2Cid", "filter[state]=live,deleted", "filter%5Bstate%5D=live", "page[size]=20&page[number]=2", "include=roles,roles",
		"filter=x", "filter[", "page[size]=1001", "page[number]=99999999999999999999", "filter[a][b]=c", "sort=--id", "filter[role]=651586fca6078e98982dbd90",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		given, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		q, err := readQuery(given, keyOrders, keyFilters)
		if err == nil {
			if q.size < 1 || q.size > maxSize || q.number < 1 || q.offset() < 0 || len(q.sort) > maxTerms {
				t.Fatalf("%q is taken as %+v", text, q)
			}
			_, _, err = q.keys()
		}
		if err == nil {
			_, err = q.roles(latchkey.ID{1})
		}
		if err == nil {
			return
		}
		e := latchkey.AsError(err)
		if e.Code != latchkey.CodeInvalid || len(e.Fields) == 0 {
			t.Fatalf("%q is refused by %v", text, err)
		}
		for _, field := range e.Fields {
			if source := sourceOf(field.Pointer); !strings.HasPrefix(source, "/query/") || len(source) > 60 {
				t.Fatalf("%q is refused at %q", text, source)
			}
		}
	})
}
