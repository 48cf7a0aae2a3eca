package signature

import (
	"strings"
	"testing"

	"github.com/dunglas/httpsfv"
)

// Whatever is read here is read by another implementation as the same thing, and
// what that one writes is read here.
func FuzzDictionary(f *testing.F) {
	for _, seed := range []string{
		`sig1=("@method" "@path";req "x";name="a\"b\\c");created=1700000000;keyid="k", b=:AAEC:`, `a`, `a;b;c=?0`, `a=?1;x=-5, b=1.50;y=tok/en:x`,
		`a=(), b=("x"   "y" ), c=( 1 2.0 :AA==: ?0 t);p`, `a="ü"`, `a=1,,b=2`, `a=1, a=2`, `a=:A:`, `a=007;b=-0`, `a=-0.0`, ` a=1 `, "a=1,\tb=2",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		ours, err := parseDictionary(field)
		theirs, failed := httpsfv.UnmarshalDictionary([]string{field})
		if err == nil {
			if failed != nil {
				t.Fatalf("%q is read here, and elsewhere: %v", field, failed)
			}
			written, err := httpsfv.Marshal(theirs)
			if err != nil {
				t.Fatal(err)
			}
			if got := write(ours); got != written {
				t.Errorf("%q is written %q, elsewhere %q", field, got, written)
			}
		}
		if failed != nil {
			return
		}
		written, err := httpsfv.Marshal(theirs)
		if err != nil || len(written) > maxField {
			return
		}
		if again, err := parseDictionary(written); err != nil && err != errMany && !strings.Contains(written, "@") && !strings.Contains(written, "%") {
			t.Errorf("%q, written %q elsewhere, is not read: %v", field, written, err)
		} else if err == nil && write(again) != written {
			t.Errorf("%q is written %q", written, write(again))
		}
	})
}

// write writes a dictionary (RFC 8941, section 4.1.2).
func write(dictionary []member) string {
	all := make([]string, len(dictionary))
	for i, m := range dictionary {
		text := m.name
		switch value := m.items; {
		case m.list:
			items := make([]string, len(value))
			for at, one := range value {
				items[at] = one.value.String() + one.params.String()
			}
			text += "=(" + strings.Join(items, " ") + ")"
		case value[0].value != (bare{kind: kindBoolean, number: 1}):
			text += "=" + value[0].value.String()
		}
		all[i] = text + m.params.String()
	}
	return strings.Join(all, ", ")
}
