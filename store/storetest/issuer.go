package storetest

import (
	"errors"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// newIssuer has something in every field.
func (w *world) newIssuer(of latchkey.ID, name string) *latchkey.Issuer {
	id := w.id()
	return &latchkey.Issuer{
		ID: id, Organization: of, Project: w.id(), Name: name, URL: "https://id.example/" + id.Hex(), Audiences: []string{"plants", "https://api.example"},
		Algorithms: []string{"RS256", "EdDSA"}, Claim: "/realm_access/roles",
		Roles: []latchkey.RoleMapping{{Value: "admins", Role: w.id()}, {Value: `"quoted", é`, Role: w.id()}}, Enabled: true, Record: w.record(),
	}
}

// issuerCases follow issuers through their lives.
func issuerCases() []testCase {
	return []testCase{
		{"from made to deleted", func(w *world) {
			of := w.tenant()
			i := w.newIssuer(of.org.ID, "main")
			w.write(i)
			w.sameIssuers("made", of.org.ID, i.URL, i)
			i.Name, i.Project, i.Claim, i.Enabled = "other", latchkey.ID{}, "groups", false
			i.Audiences, i.Algorithms, i.Roles = []string{"x"}, []string{"ES256"}, []latchkey.RoleMapping{{Value: "x", Role: w.id()}}
			i.UpdatedAt = w.tick()
			w.write(i)
			w.sameIssuers("changed", of.org.ID, i.URL, i)
			w.reopen()
			w.sameIssuers("after reopening", of.org.ID, i.URL, i)
			i.DeletedAt = w.tick()
			w.write(i)
			w.sameIssuers("deleted", of.org.ID, i.URL)
		}},
		{"by URL, of every organization, oldest first", func(w *world) {
			a, b := w.tenant(), w.tenant()
			one, two, three := w.newIssuer(b.org.ID, "one"), w.newIssuer(a.org.ID, "one"), w.newIssuer(b.org.ID, "two")
			two.URL = one.URL
			w.write(one)
			w.write(two)
			w.write(three)
			w.sameIssuers("of two organizations", latchkey.ID{}, one.URL, one, two)
			w.sameIssuers("of another URL", latchkey.ID{}, three.URL, three)
			w.sameIssuers("a part of a URL", latchkey.ID{}, one.URL[:len(one.URL)-1])
			all, err := w.s.Issuers(w.ctx(), b.org.ID)
			w.ok("Issuers", err)
			w.same("of an organization", all, []latchkey.Issuer{*one, *three})
		}},
		{"a name is taken once in an organization, until it is deleted", func(w *world) {
			a := w.tenant()
			first := w.newIssuer(a.org.ID, "main")
			w.write(first)
			_, err := w.submit(w.batch(w.newIssuer(a.org.ID, "main")))
			var taken *store.ConflictError
			if !errors.As(err, &taken) || taken.Field != "name" {
				w.t.Errorf("a second issuer of the name: %v", err)
			}
			first.DeletedAt = w.tick()
			w.write(first)
			w.write(w.newIssuer(a.org.ID, "main"))
		}},
	}
}

// sameIssuers wants exactly these, in this order, through every door; of is the
// organization to which they all belong, or zero.
func (w *world) sameIssuers(what string, of latchkey.ID, url string, want ...*latchkey.Issuer) {
	w.t.Helper()
	var rows []latchkey.Issuer
	for _, i := range want {
		rows = append(rows, *i)
	}
	got, err := w.s.IssuersAt(w.ctx(), url)
	w.ok("IssuersAt", err)
	w.same(what, got, rows)
	if !of.IsZero() {
		got, err := w.s.Issuers(w.ctx(), of)
		w.ok("Issuers", err)
		w.same(what+", of the organization", got, rows)
	}
	w.see(store.Reads{IssuersAt: []string{url}}, func(v *store.View) {
		w.same(what+", in the view", v.Issuers, rows)
	})
}
