package storetest

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"latchkey.dev/latchkey"
)

// same compares two values field by field and names the fields that differ. It
// tells apart what the domain tells apart, and no more: an absent and an empty
// list are different in address lists alone.
func (w *world) same(what string, got, want any) {
	w.t.Helper()
	gotLines, wantLines := describe(got), describe(want)
	if slices.Equal(gotLines, wantLines) {
		return
	}
	w.t.Errorf("%s is not what it should be:\n%s", what, difference(gotLines, wantLines))
}

func difference(got, want []string) string {
	var b strings.Builder
	for _, line := range got {
		if !slices.Contains(want, line) {
			fmt.Fprintf(&b, "\tgot  %s\n", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			fmt.Fprintf(&b, "\twant %s\n", line)
		}
	}
	if b.Len() == 0 {
		return "\tthe same fields in another order"
	}
	return b.String()
}

// describe is one line for each field, list element and so on.
func describe(v any) []string {
	var lines []string
	walk(reflect.ValueOf(v), "", func(path, value string) { lines = append(lines, path+" = "+value) })
	return lines
}

func walk(v reflect.Value, path string, tell func(path, value string)) {
	if !v.IsValid() {
		tell(path, "nothing")
		return
	}
	switch x := v.Interface().(type) {
	case time.Time:
		tell(path, spellTime(x))
		return
	case latchkey.AddressList:
		tell(path, fmt.Sprintf("%#v", x.Entries()))
		return
	case netip.Addr:
		tell(path, x.String())
		return
	case latchkey.ProxyTrust:
		tell(path, fmt.Sprintf("%#v by %q", x.Entries(), x.Header()))
		return
	case latchkey.ID:
		tell(path, x.Hex())
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			tell(path, "nil")
			return
		}
		walk(v.Elem(), path, tell)
	case reflect.Struct:
		for i := range v.NumField() {
			walk(v.Field(i), path+"."+v.Type().Field(i).Name, tell)
		}
	case reflect.Slice, reflect.Array:
		walkList(v, path, tell)
	case reflect.Map:
		for _, key := range slices.SortedFunc(slices.Values(v.MapKeys()), func(a, b reflect.Value) int {
			return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
		}) {
			tell(fmt.Sprintf("%s[%#v]", path, key), "there")
			walk(v.MapIndex(key), fmt.Sprintf("%s[%#v]", path, key), tell)
		}
	case reflect.String:
		tell(path, fmt.Sprintf("%+q", v.String()))
	default:
		tell(path, fmt.Sprintf("%#v", v.Interface()))
	}
}

func walkList(v reflect.Value, path string, tell func(path, value string)) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		tell(path, fmt.Sprintf("%x", v.Interface()))
		return
	}
	for i := range v.Len() {
		walk(v.Index(i), fmt.Sprintf("%s[%d]", path, i), tell)
	}
}

// spellTime shows the zone as well: stored times are in UTC.
func spellTime(t time.Time) string {
	if t.IsZero() {
		return "no time"
	}
	return t.Format(time.RFC3339Nano) + " " + t.Location().String()
}

// sameIDs compares lists of ids, in order.
func (w *world) sameIDs(what string, got, want []latchkey.ID) {
	w.t.Helper()
	if !slices.Equal(got, want) {
		w.t.Errorf("%s:\n\tgot  %s\n\twant %s", what, spellIDs(got), spellIDs(want))
	}
}

func spellIDs(ids []latchkey.ID) []string {
	var out []string
	for _, id := range ids {
		out = append(out, id.Hex()[18:])
	}
	return out
}

// sortedIDs makes a set of ids comparable.
func sortedIDs(ids []latchkey.ID) []latchkey.ID {
	return slices.SortedFunc(slices.Values(ids), func(a, b latchkey.ID) int { return bytes.Compare(a[:], b[:]) })
}

func idsOf[T any](rows []T, id func(*T) latchkey.ID) []latchkey.ID {
	var ids []latchkey.ID
	for i := range rows {
		ids = append(ids, id(&rows[i]))
	}
	return ids
}

// sameCounts compares maps of counts, where nothing and zero are the same.
func (w *world) sameCounts(what string, got, want map[int]int64) {
	w.t.Helper()
	zero := func(_ int, n int64) bool { return n == 0 }
	got, want = maps.Clone(got), maps.Clone(want)
	maps.DeleteFunc(got, zero)
	maps.DeleteFunc(want, zero)
	if !maps.Equal(got, want) {
		w.t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
