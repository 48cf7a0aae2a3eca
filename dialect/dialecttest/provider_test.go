package dialecttest_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"latchkey.dev/latchkey/client"
	"latchkey.dev/latchkey/latchkeytest"
	"latchkey.dev/latchkey/server"
)

// providerURL starts a real OpenID provider, which runs until the test ends.
func providerURL(t *testing.T, groups string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), "node", "provider.mjs")
	c.Dir, c.Env = "clients", []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "NO_COLOR=1", "CLIENTS=" + groups}
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the provider does not start (is it installed? scripts/test does): %v", err)
	}
	return strings.TrimSpace(line)
}

// exchanged sends a request and reads the answer; body is a form or JSON.
func exchanged(t *testing.T, method, to, body string, header http.Header) (status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, to, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(read)
}

// The document's oauth2: a token of a real OpenID provider manages keys within its
// mapped role and no further.
func TestCompanyProvider(t *testing.T) {
	t.Parallel()
	at := providerURL(t, `{"dev":["platform"],"auditor":["support"],"nobody":["other"]}`)
	house := latchkeytest.Start(t, latchkeytest.Options{Adjust: func(c *server.Config) { c.IssuerNetworks = []string{"127.0.0.1"} }})
	c, err := client.New(house.URL, client.NewSecret(house.AdminKey), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	token := func(id string) string {
		t.Helper()
		header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
		r := &http.Request{Header: header}
		r.SetBasicAuth(id, "secret")
		_, text := exchanged(t, http.MethodPost, at+"/token", url.Values{"grant_type": {"client_credentials"}}.Encode(), header)
		var said struct {
			Token string `json:"access_token"`
		}
		if json.Unmarshal([]byte(text), &said) != nil || said.Token == "" {
			t.Fatalf("the provider answers %s", text)
		}
		return said.Token
	}
	ask := func(as, method, path, body string, want int) string {
		t.Helper()
		header := http.Header{"Authorization": {"Bearer " + as}}
		if body != "" {
			header.Set("Content-Type", "application/json")
		}
		status, text := exchanged(t, method, house.URL+path, body, header)
		if status != want {
			t.Fatalf("%s %s %s: %d, want %d: %s", method, path, body, status, want, text)
		}
		return text
	}
	dev, auditor, nobody := token("dev"), token("auditor"), token("nobody")
	ask(dev, "GET", "/keys", "", 401) // nobody trusts it yet
	if _, err := c.Issuers.Create(t.Context(), client.NewIssuer{
		Name: "staff", URL: at, Audiences: []string{"latchkey"}, RoleClaim: "groups",
		Roles: []client.RoleMapping{{Value: "platform", Role: "developer"}, {Value: "support", Role: "auditor"}},
	}); err != nil {
		t.Fatal(err)
	}
	user := func(name, role string) string {
		t.Helper()
		u, err := c.Users.Create(t.Context(), client.NewUser{Name: name, Kind: "service", Roles: []client.MemberRole{{Role: role}}})
		if err != nil {
			t.Fatal(err)
		}
		return u.Value.ID
	}
	weak, strong := user("Weak", "reader"), user("Strong", "admin")
	made := ask(dev, "POST", "/keys", `{"userId":"`+weak+`"}`, 201)
	ask(dev, "POST", "/keys", `{"userId":"`+strong+`"}`, 403)
	ask(auditor, "POST", "/keys", `{"userId":"`+weak+`"}`, 403)
	if list := ask(auditor, "GET", "/keys", "", 200); !strings.Contains(list, weak) {
		t.Errorf("the list has no key of the user: %s", list)
	}
	_, rest, _ := strings.Cut(made, `"id":"`)
	id, _, _ := strings.Cut(rest, `"`)
	ask(auditor, "DELETE", "/keys/"+id, "", 403)
	ask(dev, "DELETE", "/keys/"+id, "", 204)
	ask(nobody, "GET", "/keys", "", 403)
	ask(dev[:len(dev)-4]+"AAAA", "GET", "/keys", "", 401)
}
