package storetest

import (
	"fmt"
	"slices"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// searched is a search, with names that it must find and names that it must not.
type searched struct {
	name    string
	search  string
	finds   []string
	ignores []string
}

func searches() []searched {
	return []searched{
		{"the whole name", "Billing", []string{"Billing"}, []string{"Bill", "ing"}},
		{"begin, middle and end", "lin", []string{"linen", "Billing", "Berlin"}, []string{"l i n", "nil"}},
		{"without regard to case", "BiLL", []string{"billing", "BILLING", "Wild Bill"}, []string{"bil l"}},
		{"one character", "q", []string{"Q", "q", "aqua", "seq"}, []string{"", "g"}},
		{"two characters", "qu", []string{"QU", "qu", "aqua", "sequ"}, []string{"q", "u", "q u"}},
		{"one character of three bytes", "日", []string{"日", "毎日", "日本語"}, []string{"目", "本"}},
		{"one character of four bytes", "🔑", []string{"🔑", "my 🔑s"}, []string{"🔒"}},
		{"two characters of four bytes", "🔑🔒", []string{"🔑🔒"}, []string{"🔒🔑", "🔑 🔒"}},
		{"letters with accents", "é", []string{"É", "café"}, []string{"e", "cafe\u0301", "è"}},
		{"letters without accents", "cafe", []string{"Cafeteria", "cafe\u0301"}, []string{"café"}},
		{"Greek and Cyrillic", "ключ", []string{"КЛЮЧ", "Ключи"}, []string{"клю"}},
		{"sharp s is no double s", "ss", []string{"Massiv"}, []string{"Maß"}},
		{"a percent sign", "%", []string{"100%", "%"}, []string{"100", "per cent"}},
		{"an underscore", "a_b", []string{"a_b", "XA_BX"}, []string{"a-b", "axb"}},
		{"a backslash", `a\`, []string{`a\b`}, []string{"ab", "a/b"}},
		{"an asterisk", "ab*", []string{"ab*c"}, []string{"abc", "ab"}},
		{"a double quote", `say "hi"`, []string{`they say "hi" twice`}, []string{"say hi", `say 'hi'`}},
		{"a lone double quote", `"`, []string{`5" disk`}, []string{"5 disk"}},
		{"a single quote", `o'b`, []string{"O'Brien"}, []string{"OBrien", "o''b"}},
		{"words of a query language", "a OR b", []string{"this: a OR b"}, []string{"a", "b", "a and b"}},
		{"NEAR and brackets", "NEAR(a b)", []string{"near(A B)"}, []string{"near a b"}},
		{"a column of a query language", "name:x", []string{"NAME:X"}, []string{"x", "name x"}},
		{"a hyphen and a caret", "-a^b", []string{"x-a^by"}, []string{"b", "a^b"}},
		{"spaces count", "a b", []string{"xa bx"}, []string{"ab", "a  b", "b a"}},
		{"spaces around count", " a ", []string{"x a y"}, []string{"a", "x a", "a y"}},
		{"a space", " ", []string{"a b"}, []string{"ab"}},
		{"a long part", "0123456789 0123456789 0123456789 0123456789", []string{"x0123456789 0123456789 0123456789 0123456789x"},
			[]string{"0123456789 0123456789 0123456789 012345678"}},
		{"parts in another order", "abcabd", []string{"xabcabdx"}, []string{"abdabc", "abcxabd", "abcab", "bcabda"}},
		{"control characters", "\x01\n", []string{"a\x01\nb"}, []string{"\n\x01", "ab"}},
	}
}

// crowd is a store's other keys: enough of them for a driver to find names in
// another way. Each search is made before they come, and again.
type crowd struct{ there bool }

const crowdSize = 1500

func (c *crowd) gather(w *world) {
	w.t.Helper()
	if c.there {
		return
	}
	w.writeChunks(w.newKeys(w.tenant(), crowdSize), 500)
	c.there = true
}

// searchCases look for parts of names, and for the beginnings of kids.
func searchCases() []testCase {
	others := &crowd{}
	var few, many []testCase
	for _, s := range searches() {
		var of *tenant
		var want []latchkey.ID
		look := func(w *world) {
			w.t.Helper()
			if of == nil {
				of, want = w.writeNames(s)
			}
			for _, by := range []store.KeySort{store.ByCreation, store.ByName} {
				got := keyIDs(w.list(store.KeyQuery{Organization: of.org.ID, Search: s.search, Sort: by}))
				w.sameIDs(fmt.Sprintf("search for %+q by %s", s.search, by), sortedIDs(got), sortedIDs(want))
			}
		}
		few = append(few, testCase{s.name, look})
		many = append(many, testCase{s.name + ", among many", func(w *world) {
			if of == nil {
				of, want = w.writeNames(s)
			}
			others.gather(w)
			look(w)
		}})
	}
	few = append(few, changingNames("names that change", func(*world) {}))
	many = append(many, changingNames("names that change, among many", func(w *world) { new(crowd).gather(w) }))
	return slices.Concat(few, many, kidCases())
}

// writeNames writes a search's names, and those that it must find in another
// organization as well.
func (w *world) writeNames(s searched) (of *tenant, want []latchkey.ID) {
	w.t.Helper()
	of = w.tenant()
	elsewhere := w.tenant()
	var keys []*latchkey.Key
	add := func(name string, to *tenant) latchkey.ID {
		k := w.newKey(to)
		k.Name = name
		k.Secrets[0].KID = latchkey.KID(fmt.Sprintf("ZZZZZZZZ%08d", w.names)) // like none of the searches
		keys = append(keys, k)
		return k.ID
	}
	for _, name := range s.finds {
		want = append(want, add(name, of))
		add(name, elsewhere)
	}
	for _, name := range s.ignores {
		add(name, of)
	}
	w.writeKeys(keys)
	return of, want
}

// changingNames gives one key several names, after something happened.
func changingNames(name string, happens func(w *world)) testCase {
	return testCase{name, func(w *world) {
		k := w.newKey(w.tenant())
		k.Name = "name of the beginning"
		w.write(k)
		happens(w)
		for _, name := range []string{"first name", "second name", "FIRST NAME", "", "first", "seconds and firsts"} {
			k.Name = name
			w.write(k)
			for _, search := range []string{"first", "second", "name", "beginning", "st", "m"} {
				want := []latchkey.ID{k.ID}
				if !searchFinds(k, &store.KeyQuery{Search: search}) {
					want = nil
				}
				w.sameIDs(fmt.Sprintf("search for %q where the name is %q", search, name),
					keyIDs(w.list(store.KeyQuery{Organization: k.Organization, Search: search})), want)
			}
		}
	}}
}

// kidCases look for the beginnings of kids.
func kidCases() []testCase {
	return []testCase{
		{"beginnings of kids", func(w *world) {
			of := w.tenant()
			keys := w.newKeys(of, 3)
			keys[0].Secrets[0].KID, keys[1].Secrets[0].KID, keys[2].Secrets[0].KID = "Abc4567890123456", "abc4567890123456", "xAbc567890123456"
			keys[2].Secrets = append(keys[2].Secrets, w.newSecret())
			keys[2].Secrets[1].KID = "Abd4567890123456"
			for _, k := range keys {
				k.Name = "-"
			}
			w.writeKeys(keys)
			for search, want := range map[string][]latchkey.ID{
				"A": {keys[0].ID, keys[2].ID}, "Ab": {keys[0].ID, keys[2].ID}, "Abc": {keys[0].ID}, "abc": {keys[1].ID}, "Abd45": {keys[2].ID},
				"xAb": {keys[2].ID}, "Abc4567890123456": {keys[0].ID}, "Abc45678901234567": nil, "bc4": nil, "3456": nil, "ABC": nil, "A%": nil, "A_c": nil, "A*": nil,
			} {
				w.sameIDs("search for "+search, keyIDs(w.list(store.KeyQuery{Organization: of.org.ID, Search: search})), want)
			}
		}},
		{"name or kid, each key once", func(w *world) {
			of := w.tenant()
			keys := w.newKeys(of, 3)
			keys[0].Secrets[0].KID, keys[0].Name = "Abcdef7890123456", "abc and Abc"
			keys[0].Secrets = append(keys[0].Secrets, w.newSecret())
			keys[0].Secrets[1].KID = "Abcxyz7890123456"
			keys[1].Name, keys[2].Name = "the ABC", "none of it"
			w.writeKeys(keys)
			w.sameIDs("keys", keyIDs(w.list(store.KeyQuery{Organization: of.org.ID, Search: "Abc"})), []latchkey.ID{keys[0].ID, keys[1].ID})
		}},
		{"revoked keys are found", func(w *world) {
			k := w.newKey(w.tenant())
			k.Name, k.RevokedAt = "retired", w.tick()
			w.write(k)
			w.sameIDs("keys", keyIDs(w.list(store.KeyQuery{Organization: k.Organization, Search: "TIRE"})), []latchkey.ID{k.ID})
		}},
	}
}
