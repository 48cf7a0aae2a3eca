package dialecttest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"latchkey.dev/latchkey/latchkeytest"
)

// Object is a JSON object, to be sent or as it was answered.
type Object = map[string]any

// House is a running authority with what a test of a dialect does to it: requests
// as any client sends them, and the native API for what the dialect cannot do.
type House struct {
	testing.TB
	*latchkeytest.Authority
}

// Open starts an authority for the test.
func Open(t testing.TB, options latchkeytest.Options) *House {
	t.Helper()
	return &House{TB: t, Authority: latchkeytest.Start(t, options)}
}

// Request is one request.
type Request struct {
	Method string
	Path   string   // with the query
	Header []string // "Name: value"; a name may come twice
	Body   string
}

// Answer is what came back.
type Answer struct {
	testing.TB

	Asked  string // for messages
	Status int
	Header http.Header
	Text   string
}

// Send sends a request and reads the whole answer.
func (h *House) Send(q Request) Answer {
	h.Helper()
	r, err := http.NewRequestWithContext(h.Context(), q.Method, h.URL+q.Path, strings.NewReader(q.Body))
	if err != nil {
		h.Fatal(err)
	}
	for _, line := range q.Header {
		name, value, _ := strings.Cut(line, ": ")
		if strings.EqualFold(name, "Host") {
			r.Host = value
			continue
		}
		r.Header[name] = append(r.Header[name], value) // in the spelling that was given
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		h.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		h.Fatal(err)
	}
	return Answer{h.TB, q.Method + " " + q.Path, res.StatusCode, res.Header, string(text)}
}

// Native calls the native API as the first user, and wants success.
func (h *House) Native(method, path string, body any) Answer {
	h.Helper()
	q := Request{Method: method, Path: path, Header: []string{"Authorization: Bearer " + h.AdminKey}}
	if body != nil {
		q.Header = append(q.Header, "Content-Type: application/json")
		q.Body = JSON(h.TB, body)
	}
	a := h.Send(q)
	if a.Status/100 != 2 {
		h.Fatalf("%s %s: %d %s", method, path, a.Status, a.Text)
	}
	return a
}

// Key makes a key natively, and returns its value and its id.
func (h *House) Key(in Object) (secret, id string) {
	h.Helper()
	if in["name"] == nil {
		in["name"] = "made natively"
	}
	a := h.Native(http.MethodPost, "/v1/keys", in)
	return a.String("secret"), a.String("key", "id")
}

// User makes a user natively with this role over the organization, "" for none,
// and returns its id.
func (h *House) User(name, role string) string {
	h.Helper()
	in := Object{"name": name, "kind": "service"}
	if role != "" {
		in["roles"] = []Object{{"role": role}}
	}
	return h.Native(http.MethodPost, "/v1/users", in).String("id")
}

// Token is a token of a key's, as a dialect with a token service issues it.
func (h *House) Token(key string) string {
	h.Helper()
	return h.Send(Request{Method: http.MethodPost, Path: "/token/issue", Header: []string{"Authorization: Bearer " + key}}).Must(http.StatusOK).String("token")
}

// Verdict is the code that a native verification of a key gives.
func (h *House) Verdict(key string) string {
	h.Helper()
	return h.Native(http.MethodPost, "/v1/keys/verify", Object{"key": key}).String("code")
}

// Must wants a status.
func (a Answer) Must(status int) Answer {
	a.Helper()
	if a.Status != status {
		a.Fatalf("%s: %d, want %d: %s", a.Asked, a.Status, status, a.Text)
	}
	return a
}

// At is the value at a path of member names and indices into the answer.
func (a Answer) At(path ...any) any {
	a.Helper()
	var at any
	if err := json.Unmarshal([]byte(a.Text), &at); err != nil {
		a.Fatalf("%s: %d is no JSON: %v: %q", a.Asked, a.Status, err, a.Text)
	}
	for _, step := range path {
		switch in := at.(type) {
		case Object:
			name, _ := step.(string)
			value, there := in[name]
			if !there {
				a.Fatalf("%s: no member %v of %v in %s", a.Asked, step, path, a.Text)
			}
			at = value
		case []any:
			i, _ := step.(int)
			if i >= len(in) {
				a.Fatalf("%s: no element %v of %v in %s", a.Asked, step, path, a.Text)
			}
			at = in[i]
		default:
			a.Fatalf("%s: nothing at %v in %s", a.Asked, path, a.Text)
		}
	}
	return at
}

// String is the string there.
func (a Answer) String(path ...any) string {
	a.Helper()
	s, ok := a.At(path...).(string)
	if !ok {
		a.Fatalf("%s: no string at %v in %s", a.Asked, path, a.Text)
	}
	return s
}

// Is wants that value there; numbers are float64.
func (a Answer) Is(want any, path ...any) {
	a.Helper()
	if got := a.At(path...); fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
		a.Errorf("%s: %v is %#v, want %#v", a.Asked, path, got, want)
	}
}

// JSON is a value as JSON.
func JSON(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
