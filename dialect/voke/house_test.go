package voke_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"latchkey.dev/latchkey/latchkeytest"
	"latchkey.dev/latchkey/server"
)

// The paths of the document.
const (
	keysPath = "/api/v1/partner/api-keys"
	noUUID   = "00000000-0000-0000-0000-000000000000"
)

// object is a JSON object.
type object = map[string]any

// house is a running authority, asked as any client would.
type house struct {
	testing.TB
	*latchkeytest.Authority

	dir string // its data
	org string // the operator's organization, as a UUID
}

// Log is the test's; the authority's is h.Authority.Log.
func (h *house) Log(args ...any) { h.TB.Log(args...) }

func open(t testing.TB) *house {
	t.Helper()
	h := &house{TB: t, dir: t.TempDir()}
	h.Authority = latchkeytest.Start(t, latchkeytest.Options{Adjust: func(c *server.Config) { c.Data = h.dir }})
	h.org = h.Organization.UUID()
	return h
}

// caller is a client with its headers.
type caller struct {
	*house
	header http.Header
}

// as is a client with that bearer key.
func (h *house) as(key string) caller {
	return caller{h, http.Header{"Authorization": {"Bearer " + key}}}
}

// admin is the client of the first user.
func (h *house) admin() caller { return h.as(h.AdminKey) }

// with adds a header.
func (c caller) with(name, value string) caller {
	c.header = c.header.Clone()
	c.header.Add(name, value)
	return c
}

// without takes a header away.
func (c caller) without(name string) caller {
	c.header = c.header.Clone()
	c.header.Del(name)
	return c
}

// answer is what came back. Body is nil where it is no JSON object.
type answer struct {
	testing.TB

	Status int
	Header http.Header
	Text   string
	Body   object
}

// do makes a request. A body that is a string is sent as it is, anything else
// as JSON.
func (c caller) do(method, path string, body any) answer {
	c.Helper()
	var content io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		content = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			c.Fatal(err)
		}
		content = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(c.Context(), method, c.URL+path, content)
	if err != nil {
		c.Fatal(err)
	}
	r.Header = c.header.Clone()
	if content != nil && r.Header["Content-Type"] == nil {
		r.Header.Set("Content-Type", "application/json")
	}
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		c.Fatal(err)
	}
	defer func() { _ = got.Body.Close() }()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		c.Fatal(err)
	}
	a := answer{TB: c, Status: got.StatusCode, Header: got.Header, Text: string(text)}
	if json.Unmarshal(text, &a.Body) != nil {
		a.Body = nil
	}
	return a
}

// must wants that status.
func (a answer) must(status int) answer {
	a.Helper()
	if a.Status != status {
		a.Fatalf("%d, not %d: %s", a.Status, status, a.Text)
	}
	return a
}

// refused wants an error of the document with that status and code, and gives
// its details.
func (a answer) refused(status int, code string) object {
	a.Helper()
	details, _ := a.Body["details"].(object)
	if a.Status != status || a.Body["code"] != code || a.Body["statusCode"] != float64(status) || details == nil {
		a.Errorf("%d %s, not %d %s", a.Status, a.Text, status, code)
	}
	return details
}

// at is a member of the answer.
func (a answer) at(path ...any) any { return at(a, a.Body, path...) }

func at(t testing.TB, v any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch of := v.(type) {
		case object:
			v = of[step.(string)]
		case []any:
			v = of[step.(int)]
		default:
			t.Fatalf("there is no %v in %v", path, v)
		}
	}
	return v
}

// text is a member that is a string.
func (a answer) text(path ...any) string {
	a.Helper()
	s, ok := a.at(path...).(string)
	if !ok {
		a.Fatalf("no string at %v: %s", path, a.Text)
	}
	return s
}

// valid is the body of a good creation, with changes; a nil among them takes a
// member out.
func valid(changes ...object) object {
	b := object{"name": "Forecasts", "partnerId": "acme", "scopes": []string{"plants:read", "telemetry:read"}}
	for _, change := range changes {
		for name, value := range change {
			b[name] = value
			if value == nil {
				delete(b, name)
			}
		}
	}
	return b
}

// create makes a key by way of the document.
func (c caller) create(changes ...object) answer {
	c.Helper()
	return c.do("POST", keysPath, valid(changes...)).must(http.StatusCreated)
}

// native makes a key by way of the native API, and gives the answer.
func (c caller) native(key object) answer {
	c.Helper()
	if key["name"] == nil {
		key["name"] = "made natively"
	}
	return c.do("POST", "/v1/keys", key).must(http.StatusCreated)
}

// granted is a client whose key has just these scopes.
func (c caller) granted(scopes ...string) caller {
	c.Helper()
	return c.as(c.native(object{"scopes": scopes, "reach": "organization"}).text("secret"))
}

// verify asks the native API for the verdict on a key.
func (h *house) verify(key string, more object) answer {
	h.Helper()
	ask := object{"key": key}
	maps.Copy(ask, more)
	return h.admin().do("POST", "/v1/keys/verify", ask).must(http.StatusOK)
}

// tenant is another organization, and a client of an owner's in it.
func (h *house) tenant() (uuid string, owner caller) {
	h.Helper()
	made := h.admin().do("POST", "/v1/organizations", object{"name": "Tenant"}).must(http.StatusCreated)
	inside := h.admin().with("Latchkey-Organization", made.text("id"))
	owner = h.as(inside.native(object{"role": "owner", "reach": "organization"}).text("secret"))
	return owner.create().text("apiKey", "organizationId"), owner
}

// ids are those of the keys in a list.
func (a answer) ids() (ids []string) {
	a.Helper()
	data, ok := a.Body["data"].([]any)
	if !ok {
		a.Fatalf("no list: %s", a.Text)
	}
	for _, k := range data {
		ids = append(ids, k.(object)["id"].(string))
	}
	return ids
}

func reversed(s []string) []string {
	s = slices.Clone(s)
	slices.Reverse(s)
	return s
}
