package vertesia_test

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

const (
	keysPath  = "/api/v1/apikeys"
	rolesPath = "/api/v1/iam/roles"
	noKey     = "0123456789abcdef01234567"
)

// object is a JSON object.
type object = map[string]any

// house is a running authority, asked as any client would.
type house struct {
	testing.TB
	*latchkeytest.Authority
}

// Log is the test's; the authority's is h.Authority.Log.
func (h *house) Log(args ...any) { h.TB.Log(args...) }

func open(t testing.TB, adjust ...func(*server.Config)) *house {
	t.Helper()
	return &house{t, latchkeytest.Start(t, latchkeytest.Options{Adjust: func(c *server.Config) {
		for _, change := range adjust {
			change(c)
		}
	}})}
}

// caller is a client with its headers.
type caller struct {
	*house
	header http.Header
}

// as is a client with that bearer, as the newest clients are.
func (h *house) as(credential string) caller {
	return caller{h, http.Header{"Authorization": {"Bearer " + credential}, "X-Api-Version": {"20260803"}}}
}

// admin is the client of the first user.
func (h *house) admin() caller { return h.as(h.AdminKey) }

// nobody shows no credential.
func (h *house) nobody() caller { return h.as("").without("Authorization") }

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

// old is a client of the time when unknown members were skipped.
func (c caller) old() caller { return c.without("X-Api-Version").with("X-Api-Version", "20260319") }

// plain is a client that says nothing of versions, as the document's examples.
func (c caller) plain() caller { return c.without("X-Api-Version") }

// answer is what came back.
type answer struct {
	testing.TB

	Status int
	Header http.Header
	Text   string
	Body   any
}

// do makes a request, and holds the answer to the forms of the document. A body
// that is a string is sent as it is, anything else as JSON.
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
	r.Host = r.Header.Get("Host")
	r.Header.Del("Host")
	if content != nil && r.Header["Content-Type"] == nil {
		r.Header.Set("Content-Type", "application/json")
	}
	got, err := http.DefaultTransport.RoundTrip(r) // which follows no redirect
	if err != nil {
		c.Fatal(err)
	}
	defer func() { _ = got.Body.Close() }()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		c.Fatal(err)
	}
	a := answer{TB: c, Status: got.StatusCode, Header: got.Header, Text: string(text)}
	if err := json.Unmarshal(text, &a.Body); err != nil && method != http.MethodHead {
		c.Fatalf("%s %s: %d is not JSON: %s", method, path, got.StatusCode, text)
	}
	if method != http.MethodHead && !strings.HasPrefix(path, "/v1/") && !strings.HasPrefix(path, "/.well-known/") {
		for _, wrong := range shapeOf(r, a) {
			c.Errorf("%s %s: %d %s\n%s", method, path, a.Status, a.Text, wrong)
		}
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

// refused wants an error with that status whose message or details say this.
func (a answer) refused(status int, says string) {
	a.Helper()
	if a.Status != status || !strings.Contains(a.Text, says) {
		a.Errorf("%d %s, not %d with %q", a.Status, a.Text, status, says)
	}
}

// at is a member of the answer.
func (a answer) at(path ...any) any {
	a.Helper()
	v := a.Body
	for _, step := range path {
		switch of := v.(type) {
		case object:
			v = of[step.(string)]
		case []any:
			v = of[step.(int)]
		default:
			a.Fatalf("there is no %v in %s", path, a.Text)
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

// holds wants these members, among others.
func (a answer) holds(want object) answer {
	a.Helper()
	for name, value := range want {
		got, err := json.Marshal(a.at(name))
		if err != nil {
			a.Fatal(err)
		}
		wanted, err := json.Marshal(value)
		if err != nil {
			a.Fatal(err)
		}
		if !bytes.Equal(got, wanted) {
			a.Errorf("%s is %s, not %s", name, got, wanted)
		}
	}
	return a
}

// valid is the body of a good creation, with changes; a nil among them takes a
// member out.
func valid(changes ...object) object {
	b := object{"name": "My API Key", "type": "sk", "role": "developer"}
	for _, change := range changes {
		maps.Copy(b, change)
	}
	maps.DeleteFunc(b, func(_ string, v any) bool { return v == nil })
	return b
}

// create makes a key by way of the document.
func (c caller) create(changes ...object) answer {
	c.Helper()
	return c.do("POST", keysPath, valid(changes...)).must(200)
}

// native makes a key by way of the native API, and gives the answer.
func (c caller) native(key object) answer {
	c.Helper()
	made := object{"name": "made natively"}
	maps.Copy(made, key)
	return c.do("POST", "/v1/keys", made).must(201)
}

// role is a client whose key has that role over the organization.
func (h *house) role(identifier string) caller {
	h.Helper()
	return h.as(h.admin().native(object{"role": identifier, "reach": "organization"}).text("secret"))
}

// granted is a client whose key has just these scopes.
func (h *house) granted(scopes ...string) caller {
	h.Helper()
	return h.as(h.admin().native(object{"scopes": scopes, "reach": "organization"}).text("secret"))
}

// verdict is the native verdict on a key.
func (h *house) verdict(key string) string {
	h.Helper()
	return h.admin().do("POST", "/v1/keys/verify", object{"key": key}).must(200).text("code")
}

// events are how many of that type there are about a key.
func (h *house) events(kind string) int {
	h.Helper()
	return len(h.admin().do("GET", "/v1/events?limit=100&type="+kind, nil).must(200).at("data").([]any))
}

// ids are those of the keys in a list.
func (a answer) ids() (ids []string) {
	a.Helper()
	list, ok := a.Body.([]any)
	if !ok {
		a.Fatalf("no list: %s", a.Text)
	}
	for _, k := range list {
		ids = append(ids, k.(object)["id"].(string))
	}
	return ids
}

func reversed(s []string) []string {
	s = slices.Clone(s)
	slices.Reverse(s)
	return s
}
