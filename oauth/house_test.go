package oauth_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"latchkey.dev/latchkey/latchkeytest"
)

type object = map[string]any

// house is a running authority, or several nodes of one.
type house struct {
	testing.TB
	*latchkeytest.Authority

	nodes []string // where they are; URL is the first
}

func open(t testing.TB) *house {
	t.Helper()
	a := latchkeytest.Start(t, latchkeytest.Options{})
	return &house{TB: t, Authority: a, nodes: []string{a.URL}}
}

// answer is what came back.
type answer struct {
	testing.TB
	status int
	header http.Header
	text   string
	json   object
}

// must wants a status.
func (a answer) must(status int) answer {
	a.Helper()
	if a.status != status {
		a.Fatalf("status %d, want %d: %s", a.status, status, a.text)
	}
	return a
}

// refused wants an error in the form of RFC 6749, section 5.2, and nothing else.
func (a answer) refused(status int, code string) answer {
	a.Helper()
	a.must(status)
	description, _ := a.json["error_description"].(string)
	if a.json["error"] != code || description == "" || len(a.json) != 2 || strings.ContainsAny(description, "\"\\") {
		a.Errorf("%s, want the error %s and its description", a.text, code)
	}
	a.unstored()
	return a
}

// unstored wants an answer that no cache keeps (RFC 6749, section 5.1).
func (a answer) unstored() {
	a.Helper()
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache" {
		a.Errorf("it may be stored: %v", a.header)
	}
}

// said is a member of the answer, which is a text.
func (a answer) said(name string) string {
	a.Helper()
	s, ok := a.json[name].(string)
	if !ok {
		a.Fatalf("%s has no text %s", a.text, name)
	}
	return s
}

func (h *house) do(r *http.Request) answer {
	h.Helper()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		h.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		h.Fatal(err)
	}
	a := answer{TB: h.TB, status: response.StatusCode, header: response.Header, text: string(text)}
	_ = json.Unmarshal(text, &a.json)
	return a
}

// native asks the native API of the first node, as a key or token.
func (h *house) native(credential, method, path string, body any) answer {
	h.Helper()
	return h.at(h.URL, credential, method, path, body)
}

func (h *house) at(node, credential, method, path string, body any) answer {
	h.Helper()
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			h.Fatal(err)
		}
		sent = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(h.Context(), method, node+path, sent)
	if err != nil {
		h.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if credential != "" {
		r.Header.Set("Authorization", "Bearer "+credential)
	}
	return h.do(r)
}

// key is one that was made for the test.
type key struct{ id, secret, kid, path string }

func (h *house) key(in object) key {
	h.Helper()
	if in["name"] == nil {
		in["name"] = "key"
	}
	made := h.native(h.AdminKey, "POST", "/v1/keys", in).must(201)
	id := made.json["key"].(object)["id"].(string)
	secret := made.said("secret")
	return key{id, secret, kidOf(secret), "/v1/keys/" + id}
}

// kidOf reads the kid of a native key.
func kidOf(secret string) string { return strings.Split(secret, "_")[2] }

// ask sends a form. Pairs of names and values follow the path.
func (h *house) ask(path string, change func(*http.Request), pairs ...string) answer {
	h.Helper()
	return h.askAt(h.URL, path, change, pairs...)
}

func (h *house) askAt(node, path string, change func(*http.Request), pairs ...string) answer {
	h.Helper()
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	r, err := http.NewRequestWithContext(h.Context(), http.MethodPost, node+path, strings.NewReader(values.Encode()))
	if err != nil {
		h.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if change != nil {
		change(r)
	}
	return h.do(r)
}

// basic authenticates a client as RFC 6749, section 2.3.1, has it.
func basic(id, secret string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret)) }
}

func bearer(credential string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+credential) }
}

func (k key) basic() func(*http.Request) { return basic(k.kid, k.secret) }

// token gives an access token for a key.
func (h *house) token(k key, pairs ...string) string {
	h.Helper()
	return h.ask("/oauth/token", k.basic(), append([]string{"grant_type", "client_credentials"}, pairs...)...).must(200).said("access_token")
}

// read takes a token apart, as any client can.
func (h *house) read(jwt string) (header, payload object) {
	h.Helper()
	for i, to := range []*object{&header, &payload} {
		text, err := base64.RawURLEncoding.DecodeString(strings.Split(jwt, ".")[i])
		if err == nil {
			err = json.Unmarshal(text, to)
		}
		if err != nil {
			h.Fatal(err)
		}
	}
	return header, payload
}
