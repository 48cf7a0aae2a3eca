package dialecttest_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/dialect/dialecttest"
	"latchkey.dev/latchkey/latchkeytest"
)

type object = dialecttest.Object

// world is a running authority with what the APIs need to make keys of their
// own: a user for a company's key, a role for a hub's.
type world struct {
	*dialecttest.House

	hub   string // the organization in hexadecimal
	owner string // an active user, of role developer
	role  string // the built-in role developer in hexadecimal
}

func openWorld(t *testing.T) *world {
	t.Helper()
	h := dialecttest.Open(t, latchkeytest.Options{})
	w := &world{House: h, hub: h.Organization.Hex(), owner: h.User("Ada", "developer")}
	for _, r := range latchkey.BuiltinRoles() {
		if r.Identifier == "developer" {
			w.role = r.ID.Hex()
		}
	}
	return w
}

// speaker is one of the APIs, as far as the laws need to know it.
type speaker struct {
	name   string
	path   string // of the list
	whole  string // its query for as much as one answer holds
	body   func(w *world) object
	value  []any // where a creation tells the key
	id     []any // and the id
	rows   []any // where a list has its rows
	spell  func(latchkey.ID) string
	kinds  string // which keys it shows: p with a partner, o with an owner, r with a built-in role
	single bool   // a key can be read by itself
}

func nativeID(id latchkey.ID) string { return id.Native(latchkey.KindKey) }

// speakers are the native API and the dialects.
func speakers() []speaker {
	return []speaker{
		{
			name: "native", path: "/v1/keys", whole: "?limit=100", value: []any{"secret"}, id: []any{"key", "id"}, rows: []any{"data"}, spell: nativeID, single: true,
			body: func(*world) object { return object{"name": "by the native API"} },
		},
		{
			name: "voke", path: "/api/v1/partner/api-keys", whole: "?limit=100", value: []any{"key"}, id: []any{"apiKey", "id"}, rows: []any{"data"}, spell: latchkey.ID.UUID, kinds: "p",
			body: func(*world) object {
				return object{"name": "by Voke", "partnerId": "acme", "scopes": []string{"plants:read"}}
			},
		},
		{
			name: "vertesia", path: "/api/v1/apikeys", whole: "?level=account", value: []any{"value"}, id: []any{"id"}, spell: latchkey.ID.Hex, kinds: "r", single: true,
			body: func(*world) object { return object{"name": "by Vertesia", "role": "developer"} },
		},
		{
			name: "company", path: "/keys", whole: "?limit=100", value: []any{"key"}, id: []any{"id"}, rows: []any{"data"}, spell: nativeID, kinds: "o", single: true,
			body: func(w *world) object { return object{"userId": w.owner} },
		},
		{
			name: "cycle", path: "/v1/hubs/current/api-keys", whole: "?page[size]=1000", value: []any{"data", "secret"}, id: []any{"data", "id"}, rows: []any{"data"}, spell: latchkey.ID.Hex, kinds: "r", single: true,
			body: func(w *world) object { return object{"name": "by Cycle", "role_id": w.role} },
		},
	}
}

// ask sends a request in the speaker's form, with that bearer credential.
func (w *world) ask(s speaker, credential, method, path string, body object) dialecttest.Answer {
	w.Helper()
	q := dialecttest.Request{Method: method, Path: path, Header: []string{"Authorization: Bearer " + credential}}
	if s.name == "cycle" {
		q.Header = append(q.Header, "X-Hub-Id: "+w.hub)
	}
	if body != nil {
		q.Header, q.Body = append(q.Header, "Content-Type: application/json"), dialecttest.JSON(w.TB, body)
	}
	return w.Send(q)
}

// list is the speaker's list as the first user sees it.
func (w *world) list(s speaker) dialecttest.Answer {
	w.Helper()
	return w.ask(s, w.AdminKey, http.MethodGet, s.path+s.whole, nil).Must(http.StatusOK)
}

// make makes a key of the speaker's own sort, with changes to its body.
func (w *world) make(s speaker, changes object) (value, id string) {
	w.Helper()
	body := s.body(w)
	maps.Copy(body, changes)
	a := w.ask(s, w.AdminKey, http.MethodPost, s.path, body)
	if a.Status/100 != 2 {
		w.Fatalf("%s: %d %s", s.name, a.Status, a.Text)
	}
	return a.String(s.value...), a.String(s.id...)
}

// revoke takes a key away.
func (w *world) revoke(s speaker, id string) {
	w.Helper()
	if a := w.ask(s, w.AdminKey, http.MethodDelete, s.path+"/"+id, nil); a.Status/100 != 2 {
		w.Fatalf("%s does not revoke: %d %s", s.name, a.Status, a.Text)
	}
}

// ids are those in a list.
func (s speaker) ids(a dialecttest.Answer) (ids []string) {
	a.Helper()
	for i := range a.At(s.rows...).([]any) {
		ids = append(ids, a.String(append(slices.Clone(s.rows), i, "id")...))
	}
	return ids
}

// parse reads the speaker's spelling of an id.
func (s speaker) parse(t testing.TB, spelled string) latchkey.ID {
	t.Helper()
	var id latchkey.ID
	var err error
	switch s.name {
	case "voke":
		id, _, err = latchkey.ParseUUID(spelled)
	case "vertesia", "cycle":
		id, err = latchkey.ParseHex(spelled)
	default:
		id, err = latchkey.ParseNative(latchkey.KindKey, spelled)
	}
	if err != nil || id.IsZero() {
		t.Fatalf("%s spells an id %q: %v", s.name, spelled, err)
	}
	return id
}

// everyone makes a key natively that each of the APIs shows, and that may do
// whatever the first user may.
func (w *world) everyone() (value string, id latchkey.ID) {
	w.Helper()
	value, spelled := w.Key(object{"name": "for everyone", "owner_id": w.User1(), "role": "owner", "partner": "acme", "reach": "organization"})
	return value, speakers()[0].parse(w.TB, spelled)
}

// User1 is the first user, in the native spelling.
func (w *world) User1() string { return w.Authority.User.Native(latchkey.KindUser) }

// hidden is the part of a key that is a secret.
func hidden(t testing.TB, value string) string {
	t.Helper()
	k, err := latchkey.ParseKeyString(value)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(value, k.PublicPart())
}
