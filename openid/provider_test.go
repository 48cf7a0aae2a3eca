package openid_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/latchkeytest"
	"latchkey.dev/latchkey/server"
)

// clients are the published programs that tests run, as dialect/dialecttest locks
// and scripts/test installs them.
const clients = "../dialect/dialecttest/clients"

// provider is a real OpenID provider, in a process of its own.
type provider struct {
	url  string
	kill func()
}

// provide starts one, whose clients are in those groups.
func provide(t *testing.T, groups string) provider {
	t.Helper()
	if _, err := os.Stat(filepath.Join(clients, "node_modules", "oidc-provider")); err != nil {
		t.Fatalf("the provider is not installed; run scripts/test, or `npm ci` in %s", strings.TrimPrefix(clients, "../"))
	}
	c := exec.CommandContext(t.Context(), "node", "provider.mjs")
	c.Dir, c.Env = clients, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "NO_COLOR=1", "CLIENTS=" + groups}
	var complaints bytes.Buffer
	c.Stderr = &complaints
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	kill := func() { _ = c.Process.Kill(); _ = c.Wait() }
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the provider does not start: %v\n%s", err, complaints.String())
	}
	return provider{strings.TrimSpace(line), kill}
}

// token is an access token for a client, for a resource ("": that of Latchkey).
func (p provider) token(t *testing.T, client, resource string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}}
	if resource != "" {
		form.Set("resource", resource)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(client, "secret")
	a := do(t, r)
	token, _ := a.json["access_token"].(string)
	if token == "" {
		t.Fatalf("the provider answers %d: %s", a.status, a.text)
	}
	return token
}

type object = map[string]any

type answer struct {
	status int
	text   string
	json   object
}

func do(t *testing.T, r *http.Request) answer {
	t.Helper()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: response.StatusCode, text: string(text)}
	_ = json.Unmarshal(text, &a.json)
	return a
}

// house is a running authority that may ask providers on this machine.
type house struct {
	*testing.T
	*latchkeytest.Authority
}

func open(t *testing.T) *house {
	t.Helper()
	return &house{t, latchkeytest.Start(t, latchkeytest.Options{Adjust: func(c *server.Config) { c.IssuerNetworks = []string{"127.0.0.1"} }})}
}

// ask asks with a credential, and wants a status.
func (h *house) ask(credential, method, path string, body any, status int) answer {
	h.Helper()
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			h.Fatal(err)
		}
		sent = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(h.Context(), method, h.URL+path, sent)
	if err != nil {
		h.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Authorization", "Bearer "+credential)
	a := do(h.T, r)
	if a.status != status {
		h.Fatalf("%s %s: %d, want %d: %s", method, path, a.status, status, a.text)
	}
	return a
}

// trust makes an issuer of the provider.
func (h *house) trust(p provider, more object) string {
	h.Helper()
	in := object{
		"name": "staff", "url": p.url, "audiences": []string{"latchkey"}, "role_claim": "groups",
		"roles": []object{{"value": "platform", "role": "developer"}, {"value": "support", "role": "auditor"}},
	}
	maps.Copy(in, more)
	return h.ask(h.AdminKey, "POST", "/v1/issuers", in, 201).json["id"].(string)
}

const groups = `{"dev":["platform","other"],"auditor":["support"],"both":["support","platform"],"nobody":["other"]}`

// A token of a real provider manages keys within its mapped role and no further;
// dialecttest.TestCompanyProvider has the same for the company dialect.
func TestRealProvider(t *testing.T) {
	t.Parallel()
	p, h := provide(t, groups), open(t)
	dev, auditor, nobody := p.token(t, "dev", ""), p.token(t, "auditor", ""), p.token(t, "nobody", "")
	h.ask(dev, "GET", "/v1/keys", nil, 401) // nobody trusts it yet
	issuer := h.trust(p, nil)

	// Natively. A developer manages keys; an auditor reads.
	made := h.ask(dev, "POST", "/v1/keys", object{"name": "mine", "role": "reader"}, 201)
	path := "/v1/keys/" + made.json["key"].(object)["id"].(string)
	h.ask(dev, "POST", path+"/rotate", object{"overlap": "1h"}, 200)
	h.ask(auditor, "GET", path, nil, 200)
	h.ask(auditor, "PATCH", path, object{"name": "x"}, 403)
	h.ask(auditor, "POST", "/v1/keys", object{"name": "x"}, 403)
	h.ask(dev, "POST", "/v1/keys", object{"name": "x", "role": "admin"}, 403)
	h.ask(dev, "PATCH", path, object{"role": "manager"}, 403)
	h.ask(dev, "POST", "/v1/keys", object{"name": "x", "scopes": []string{"*"}}, 403)
	h.ask(dev, "POST", "/v1/issuers", object{}, 403)
	h.ask(dev, "GET", "/v1/keyring", nil, 403)
	h.ask(nobody, "GET", "/v1/keys", nil, 403)
	h.ask(p.token(t, "both", "urn:rs"), "GET", path, nil, 401) // for another audience
	h.ask(p.token(t, "both", ""), "PATCH", path, object{"name": "y"}, 200)
	// Who did it is on record: issuer and subject.
	event := h.ask(h.AdminKey, "GET", "/v1/events?type=key.created&object="+path[len("/v1/keys/"):], nil, 200).json["data"].([]any)[0].(object)
	actor, identity := event["actor"].(object), event["changes"].(object)["identity"].(object)
	if actor["type"] != "identity" || !strings.HasPrefix(actor["id"].(string), "idn_") || identity["issuer"] != issuer || identity["subject"] != "dev" {
		t.Errorf("on record: %v", event)
	}
	// A call that is repeated is the same caller's.
	h.ask(dev, "DELETE", path, nil, 200)

	// Changes hold for the next call.
	h.ask(h.AdminKey, "PATCH", "/v1/issuers/"+issuer, object{"roles": []object{{"value": "platform", "role": "auditor"}}}, 200)
	h.ask(dev, "POST", "/v1/keys", object{"name": "x"}, 403)
	h.ask(auditor, "GET", "/v1/keys", nil, 403)
	h.ask(h.AdminKey, "PATCH", "/v1/issuers/"+issuer, object{"enabled": false}, 200)
	h.ask(dev, "GET", "/v1/keys", nil, 401)
	h.ask(h.AdminKey, "PATCH", "/v1/issuers/"+issuer, object{"enabled": true, "algorithms": []string{"RS256"}}, 200)
	h.ask(dev, "GET", "/v1/keys", nil, 401)
	h.ask(h.AdminKey, "PATCH", "/v1/issuers/"+issuer, object{"algorithms": []string{"ES256"}}, 200)
	h.ask(dev, "GET", "/v1/keys", nil, 200)
	h.ask(h.AdminKey, "DELETE", "/v1/issuers/"+issuer, nil, 200)
	h.ask(dev, "GET", "/v1/keys", nil, 401)
}

// An issuer of one project gives its callers that and nothing beyond.
func TestProviderOfAProject(t *testing.T) {
	t.Parallel()
	p, h := provide(t, groups), open(t)
	other := h.ask(h.AdminKey, "POST", "/v1/projects", object{"name": "Other", "prefix": "oth", "environment": "live"}, 201).json["id"].(string)
	h.trust(p, object{"project_id": other, "roles": []object{{"value": "platform", "role": "admin"}}})
	dev := p.token(t, "dev", "")
	made := h.ask(dev, "POST", "/v1/keys", object{"name": "mine"}, 201)
	if made.json["key"].(object)["project_id"] != other {
		t.Errorf("it was made in %v", made.json["key"])
	}
	h.ask(dev, "POST", "/v1/keys", object{"name": "x", "project_id": h.Project.Native(latchkey.KindProject)}, 422)
	h.ask(dev, "POST", "/v1/keys", object{"name": "x", "reach": "organization"}, 403)
	h.ask(dev, "POST", "/v1/issuers", object{}, 403)
	h.ask(dev, "GET", "/v1/events", nil, 403)
	h.ask(dev, "GET", "/v1/keyring", nil, 403)
}

// While the provider is down its known keys go on, nothing hangs, and what it has
// to be asked for is refused.
func TestProviderIsDown(t *testing.T) {
	t.Parallel()
	p, h := provide(t, groups), open(t)
	h.trust(p, nil)
	known := p.token(t, "dev", "")
	h.ask(known, "GET", "/v1/keys", nil, 200)
	later := p.token(t, "auditor", "")
	p.kill()
	began := time.Now()
	h.ask(known, "GET", "/v1/keys", nil, 200)
	h.ask(later, "GET", "/v1/keys", nil, 200)
	h.ask(strings.Replace(known, ".", "x.", 1), "GET", "/v1/keys", nil, 401)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s without the provider", took)
	}
	// One that was never asked: nothing is known of its keys.
	down := provide(t, groups)
	h.trust(down, object{"name": "down"})
	token := down.token(t, "dev", "")
	down.kill()
	h.ask(token, "GET", "/v1/keys", nil, 503)
}

// Nobody maps to more than they could give, and nobody takes another's tokens.
func TestIssuersCeiling(t *testing.T) {
	t.Parallel()
	p, h := provide(t, `{}`), open(t)
	manager := h.ask(h.AdminKey, "POST", "/v1/roles", object{"identifier": "keeper", "name": "Keeper", "rank": 6, "permissions": []string{"organization:*", "api_key:read"}}, 201).json["id"]
	keeper := h.ask(h.AdminKey, "POST", "/v1/keys", object{"name": "keeper", "role": "keeper", "reach": "organization"}, 201).json["secret"].(string)
	body := func(role string) object {
		return object{"name": "mine", "url": p.url, "audiences": []string{"latchkey"}, "roles": []object{{"value": "x", "role": role}}}
	}
	h.ask(keeper, "POST", "/v1/issuers", body("admin"), 403)
	h.ask(keeper, "POST", "/v1/issuers", body("nothing"), 422)
	mine := "/v1/issuers/" + h.ask(keeper, "POST", "/v1/issuers", body(manager.(string)), 201).json["id"].(string)
	h.ask(keeper, "PATCH", mine, object{"roles": []object{{"value": "x", "role": "owner"}}}, 403)
	h.ask(keeper, "PATCH", "/v1/issuers/iss_0d5qh0w2e9x8v3k7m1ac", object{"roles": []object{{"value": "x", "role": "owner"}}}, 403)
	strong := "/v1/issuers/" + h.trust(p, object{"name": "strong", "audiences": []string{"another"}, "roles": []object{{"value": "x", "role": "owner"}}})
	for _, change := range []object{{"enabled": false}, {"audiences": []string{"third"}}, {"role_claim": "sub"}} {
		h.ask(keeper, "PATCH", strong, change, 403)
	}
	h.ask(keeper, "DELETE", strong, nil, 403)
	// One URL and audience is one issuer's, in whichever organization.
	tenant := h.ask(h.AdminKey, "POST", "/v1/organizations", object{"name": "Tenant"}, 201).json["id"].(string)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.URL+"/v1/issuers", strings.NewReader(`{"name":"n","url":"`+p.url+`","audiences":["x","latchkey"],"roles":[{"value":"x","role":"member"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+h.AdminKey)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Latchkey-Organization", tenant)
	if a := do(t, r); a.status != 409 || strings.Contains(a.text, mine[len("/v1/issuers/"):]) {
		t.Errorf("another's tokens: %d %s", a.status, a.text)
	}
	h.ask(keeper, "PATCH", mine, object{"audiences": []string{"another"}}, 409)
	for name, spoil := range map[string]object{
		"no URL": {"url": "id"}, "a query": {"url": "https://id.example/?x"}, "a user": {"url": "https://a@id.example"}, "no audience": {"audiences": []string{}},
		"HS256": {"algorithms": []string{"HS256"}}, "none": {"algorithms": []string{"none"}}, "no roles": {"roles": []object{}}, "no value": {"roles": []object{{"value": "", "role": "member"}}},
	} {
		in := body("member")
		in["name"] = name
		maps.Copy(in, spoil)
		h.ask(h.AdminKey, "POST", "/v1/issuers", in, 422)
	}
}
