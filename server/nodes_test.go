package server_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey/latchkeytest"
	"latchkey.dev/latchkey/server"
	"latchkey.dev/latchkey/store/postgres/postgrestest"
)

type object = map[string]any

// call makes a call and gives the answer's status and body.
func call(t *testing.T, url, key, method, path string, in any) (int, object) {
	t.Helper()
	var body io.Reader = http.NoBody
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	out := object{}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 0 && strings.Contains(res.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(text, &out); err != nil {
			t.Fatal(err)
		}
	}
	return res.StatusCode, out
}

// exchanged is a token for the key.
func exchanged(t *testing.T, at, key string) string {
	t.Helper()
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {key}, "subject_token_type": {"urn:latchkey:token-type:api-key"}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var out struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil || out.Token == "" {
		t.Fatalf("no token: %d %v", res.StatusCode, err)
	}
	return out.Token
}

// What one node acknowledged everywhere holds on each of the others at once: for
// the keys that are verified, for those that call, for gateways, and for tokens.
func TestThreeNodes(t *testing.T) {
	t.Parallel()
	first := latchkeytest.Start(t, latchkeytest.Options{DatabaseURL: postgrestest.Database(t), Adjust: func(c *server.Config) { c.Staleness = 20 * time.Second }})
	nodes := []*latchkeytest.Authority{first, first.Node(t, nil), first.Node(t, nil)}
	root := first.AdminKey
	for i, by := range nodes {
		do := func(method, path string, in any, status int) object {
			t.Helper()
			got, out := call(t, by.URL, root, method, path, in)
			if got != status {
				t.Fatalf("node %d: %s %s: %d %v\n%s", i, method, path, got, out, by.Log())
			}
			return out
		}
		everywhere := func(out object, member string) {
			t.Helper()
			if out[member] != "everywhere" {
				t.Fatalf("node %d: %s is %v: %v", i, member, out[member], out)
			}
		}
		each := func(what string, ask func(url string) bool) {
			t.Helper()
			for j, n := range nodes {
				if !ask(n.URL) {
					t.Fatalf("by node %d, on node %d: not %s\n%s", i, j, what, n.Log())
				}
			}
		}
		made := do("POST", "/v1/keys", object{"name": "caller", "role": "admin", "reach": "organization"}, 201)
		everywhere(made, "usable")
		secret, _ := made["secret"].(string)
		id, _ := made["key"].(object)["id"].(string)
		code := func(url string) any {
			_, out := call(t, url, root, "POST", "/v1/keys/verify", object{"key": secret})
			return out["code"]
		}
		status := func(url, key string) int {
			got, _ := call(t, url, key, "GET", "/v1/keys?limit=1", nil)
			return got
		}
		each("valid", func(url string) bool { return code(url) == "valid" && status(url, secret) == 200 })

		jwt := exchanged(t, by.URL, secret)
		each("a token that is taken", func(url string) bool { return status(url, jwt) == 200 })

		gateway := do("POST", "/v1/gateways", object{"name": "front" + string(rune('a'+i)), "profile": "nginx", "routes": []object{{"path": "/*"}}}, 201)
		door, _ := gateway["token"].(string)
		passes := func(url string) int {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/gateway/"+door+"/auth", nil)
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range map[string]string{
				"Authorization": "Bearer " + secret, "X-Original-Method": "GET", "X-Original-URI": "/a", "X-Original-Host": "api.example.com", "X-Real-IP": "192.0.2.1",
			} {
				r.Header.Set(name, value)
			}
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			return res.StatusCode
		}
		known := passes(by.URL)
		each("a gateway that is known alike", func(url string) bool { return passes(url) == known && known != 403 })

		everywhere(do("POST", "/v1/keys/"+id+"/revoke", object{}, 200), "effective")
		each("revoked", func(url string) bool { return code(url) == "revoked" && status(url, secret) == 401 })
	}
	if got, out := call(t, nodes[2].URL, "", "GET", "/readyz", nil); got != 200 || out["status"] != "ok" {
		t.Errorf("ready: %d %v", got, out)
	}
	nodes[1].Stop()
	if _, out := call(t, nodes[2].URL, root, "POST", "/v1/keys", object{"name": "after"}); out["usable"] != "everywhere" {
		t.Errorf("after a node left: %v", out)
	}
}
