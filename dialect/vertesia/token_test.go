package vertesia_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey/latchkeytest"
)

const issuePath, refreshPath, legacyPath = "/token/issue", "/token/refresh", "/auth/token"

// claims reads a token's payload, and its header into the first of more.
func claims(t testing.TB, token string, more ...*object) object {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no token: %s", token)
	}
	var payload object
	for i, to := range append([]*object{&payload}, more...) {
		text, err := base64.RawURLEncoding.DecodeString(parts[1-i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, to); err != nil {
			t.Fatal(err)
		}
	}
	return payload
}

// Every way in which clients say that the credential in the header is meant.
func TestIssueWithoutARequest(t *testing.T) {
	t.Parallel()
	h := open(t)
	made := h.admin().create()
	key := h.as(made.text("value"))
	for name, body := range map[string]any{"none": nil, "empty": "", "spaces": " \r\n\t", "null": "null", "the Go client's": "null\n", "an object": "{}", "an object in spaces": " { } "} {
		for _, kind := range []string{"", "application/json", "application/json; charset=utf-8"} {
			c := key
			if kind != "" {
				c = c.with("Content-Type", kind)
			}
			a := c.do("POST", issuePath, body).must(200).holds(object{"token_type": "Bearer", "expires_in": 3600})
			if claims(t, a.text("token"))["sub"] != made.text("id") {
				t.Errorf("%s: another key's token", name)
			}
		}
	}
	token := key.do("POST", issuePath, nil).must(200).text("token")
	again := h.as(token).do("POST", issuePath, nil).must(200).text("token")
	h.as(again).do("GET", keysPath, nil).must(200)
}

func TestClaims(t *testing.T) {
	t.Parallel()
	h := open(t)
	made := h.admin().create(object{"name": "Named"})
	var header object
	got := claims(t, h.as(made.text("value")).do("POST", issuePath, nil).must(200).text("token"), &header)
	now := float64(time.Now().Unix())
	if iat := got["iat"].(float64); iat > now || iat < now-60 || got["exp"] != iat+3600 {
		t.Errorf("from %v to %v", got["iat"], got["exp"])
	}
	if n := len(got["permissions"].([]any)); n != 28 {
		t.Errorf("%d permissions", n)
	}
	account := object{"id": h.Organization.Hex(), "name": got["account"].(object)["name"]}
	for name, want := range (object{
		"sub": made.text("id"), "name": "Named", "type": "apikey", "iss": h.URL, "aud": h.URL, "account": account, "accounts": []any{account},
		"account_roles": []any{}, "project": object{"id": h.Project.Hex(), "name": "default", "account": h.Organization.Hex()},
		"project_roles": []any{"developer"}, "apps": []any{}, "endpoints": object{"studio": h.URL, "store": h.URL, "token": h.URL},
	}) {
		a, _ := json.Marshal(got[name])
		b, _ := json.Marshal(want)
		if string(a) != string(b) {
			t.Errorf("%s is %s, not %s", name, a, b)
		}
	}
	if header["alg"] != "ES256" || header["kid"] == "" {
		t.Errorf("header %v", header)
	}
	keys := h.nobody().do("GET", "/.well-known/jwks", nil).must(200)
	if other := h.nobody().do("GET", "/.well-known/jwks.json", nil).must(200); other.Text != keys.Text || !strings.Contains(keys.Text, `"kid":"`+header["kid"].(string)+`"`) {
		t.Error(keys.Text)
	}

	// A key over the organization has its role in the account as well; one without
	// a role of the platform's has none, and permissions all the same.
	wide := claims(t, h.role("manager").do("POST", issuePath, nil).must(200).text("token"))
	if !slices.Equal(wide["account_roles"].([]any), []any{"manager"}) || !slices.Equal(wide["project_roles"].([]any), []any{"manager"}) {
		t.Errorf("%v", wide)
	}
	bare := claims(t, h.granted("docs:read").do("POST", issuePath, nil).must(200).text("token"))
	if len(bare["project_roles"].([]any)) != 0 || !slices.Equal(bare["permissions"].([]any), []any{"docs:read"}) {
		t.Errorf("%v", bare)
	}
	if all := claims(t, h.admin().do("POST", issuePath, nil).must(200).text("token")); len(all["permissions"].([]any)) != 38 {
		t.Errorf("%v", all)
	}
	// More permissions than a token holds are left out whole.
	var many []string
	for i := range 60 {
		many = append(many, strings.Repeat("x", 100)+":"+string(rune('a'+i%26))+string(rune('a'+i/26)))
	}
	if full := claims(t, h.granted(many...).do("POST", issuePath, nil).must(200).text("token")); full["permissions"] != nil {
		t.Error("a part of the permissions")
	}
	// It ends with its key.
	end := time.Now().Add(10 * time.Minute).Truncate(time.Second)
	short := h.admin().create(object{"expires_at": end.UTC().Format(time.RFC3339)})
	if got := claims(t, h.as(short.text("value")).do("POST", issuePath, nil).must(200).text("token")); got["exp"] != float64(end.Unix()) {
		t.Errorf("exp %v, not %v", got["exp"], end.Unix())
	}
}

// Where clients reach us is what they are told, behind a proxy too.
func TestIssuerIsThePublicURL(t *testing.T) {
	t.Parallel()
	h := &house{t, latchkeytest.Start(t, latchkeytest.Options{PublicURL: "https://keys.example"})}
	got := claims(t, h.admin().do("POST", issuePath, nil).must(200).text("token"))
	if got["iss"] != "https://keys.example" || got["endpoints"].(object)["token"] != "https://keys.example" {
		t.Errorf("%v", got)
	}
}

func TestIssueRequests(t *testing.T) {
	t.Parallel()
	h := open(t)
	made := h.admin().create(object{"role": "reader"})
	key := made.text("value")
	ask := func(more object) object {
		b := object{"type": "apikey", "key": key}
		maps.Copy(b, more)
		return b
	}
	// The key in the body is the credential, with or without another.
	for _, c := range []caller{h.nobody(), h.admin(), h.as(key)} {
		a := c.do("POST", issuePath, ask(nil)).must(200)
		if claims(t, a.text("token"))["sub"] != made.text("id") {
			t.Error("another key's token")
		}
	}
	var header object
	for _, algorithm := range []string{"ES256", "RS256"} {
		got := claims(t, h.nobody().do("POST", issuePath, ask(object{"algorithm": algorithm, "audience": "https://elsewhere.example"})).must(200).text("token"), &header)
		if header["alg"] != algorithm || got["aud"] != "https://elsewhere.example" {
			t.Errorf("%v %v", header, got)
		}
	}
	// One for another audience is no credential here.
	foreign := h.nobody().do("POST", issuePath, ask(object{"audience": "https://elsewhere.example"})).must(200).text("token")
	h.as(foreign).do("GET", keysPath, nil).refused(401, "")
	h.as(foreign).do("POST", issuePath, nil).refused(401, "")

	for name, c := range map[string]struct {
		body   any
		status int
		says   string
	}{
		"no type":              {object{"key": key}, 400, "type apikey"},
		"unknown type":         {object{"type": "key", "key": key}, 400, "type apikey"},
		"type of another type": {object{"type": 1}, 400, "type apikey"},
		"no key":               {object{"type": "apikey"}, 400, "key: This is required."},
		"unknown member":       {ask(object{"user_id": "u"}), 400, "user_id"},
		"algorithm":            {ask(object{"algorithm": "none"}), 400, "ES256 or RS256"},
		"null algorithm":       {`{"type":"apikey","key":"k","algorithm":null}`, 400, "algorithm"},
		"empty audience":       {ask(object{"audience": ""}), 400, "1 to 255"},
		"long audience":        {ask(object{"audience": strings.Repeat("a", 256)}), 400, "1 to 255"},
		"audience of a number": {ask(object{"audience": 1}), 400, "audience"},
		"an array":             {`[]`, 400, ""},
		"twice":                {`{"type":"apikey","type":"apikey"}`, 400, ""},
		"another's key":        {object{"type": "apikey", "key": "sk-nonsense"}, 401, ""},
		"a token for a key":    {object{"type": "apikey", "key": h.admin().do("POST", issuePath, nil).text("token")}, 400, "no key"},
		"user":                 {object{"type": "user"}, 403, `"errorCode":"token_issuance_forbidden"`},
		"project":              {object{"type": "project", "project_id": "p", "account_id": "a"}, 403, "token_issuance_forbidden"},
		"environment":          {object{"type": "environment"}, 403, "token_issuance_forbidden"},
		"agent":                {object{"type": "agent"}, 403, "token_issuance_forbidden"},
		"service_account":      {object{"type": "service_account"}, 403, "token_issuance_forbidden"},
	} {
		if a := h.admin().do("POST", issuePath, c.body); a.Status != c.status || !strings.Contains(a.Text, c.says) {
			t.Errorf("%s: %d %s", name, a.Status, a.Text)
		}
	}
	// A credential beside it has to hold, and be of the same organization.
	h.as("sk-nonsense").do("POST", issuePath, ask(nil)).refused(401, "")
	h.nobody().with("Authorization", "undefined").do("POST", issuePath, ask(nil)).refused(401, "")
	tenant := h.admin().do("POST", "/v1/organizations", object{"name": "Tenant"}).must(201).text("id")
	stranger := h.admin().with("Latchkey-Organization", tenant).native(object{"role": "owner", "reach": "organization"}).text("secret")
	h.as(stranger).do("POST", issuePath, ask(nil)).refused(403, `"errorCode":"no_accessible_account"`)
	for _, c := range []caller{h.nobody(), h.as("undefined"), h.as("sk-x"), h.as("pk-x"), h.nobody().with("Authorization", "undefined"), h.as("")} {
		c.do("POST", issuePath, nil).refused(401, "")
	}
}

// Who holds a dead key gets no token, and the token of one that died is dead.
func TestTokensDieWithTheirKeys(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(h *house, path string){
		"disabled": func(h *house, path string) { h.admin().do("PUT", path, object{"enabled": false}).must(200) },
		"expired":  func(h *house, path string) { h.admin().do("PUT", path, object{"expires_at": past}).must(200) },
		"deleted":  func(h *house, path string) { h.admin().do("DELETE", path, nil).must(200) },
	} {
		h := open(t) // one for each, for failures are throttled
		made := h.admin().create()
		path := keysPath + "/" + made.text("id")
		key := h.as(made.text("value"))
		own := h.as(key.do("POST", issuePath, nil).must(200).text("token"))
		minted := h.as(h.admin().do("GET", path+"/token", nil).must(200).text("token"))
		own.do("GET", keysPath, nil).must(200)
		minted.do("GET", keysPath, nil).must(200)
		end(h, path)
		for _, c := range []caller{key, own, minted} {
			c.do("POST", issuePath, nil).refused(401, "")
			c.do("GET", keysPath, nil).refused(401, "")
			c.do("GET", legacyPath, nil).refused(401, "")
			c.do("POST", refreshPath, object{"token": "x"}).refused(401, "")
		}
		if a := h.admin().do("GET", path+"/token", nil); a.Status != map[string]int{"disabled": 400, "expired": 400, "deleted": 404}[name] || a.at("message") == "" {
			t.Errorf("%s: %d %s", name, a.Status, a.Text)
		}
	}
	// It does what its key may at each use.
	h := open(t)
	made := h.admin().create()
	token := h.as(h.as(made.text("value")).do("POST", issuePath, nil).must(200).text("token"))
	token.create(object{"role": "reader"})
	h.admin().do("PUT", keysPath+"/"+made.text("id"), object{"role": "auditor"}).must(200)
	token.do("POST", keysPath, valid(object{"role": "reader"})).refused(403, "api_key:create")
}

func TestMint(t *testing.T) {
	t.Parallel()
	h := open(t)
	made := h.admin().create(object{"role": "reader"})
	path := keysPath + "/" + made.text("id") + "/token"
	before := h.events("key.token_minted")
	token := h.admin().do("GET", path, nil).must(200).text("token")
	if h.events("key.token_minted") != before+1 || claims(t, token)["sub"] != made.text("id") || claims(t, token)["act"] == nil {
		t.Error("a minted token is on record, and says that it was minted")
	}
	// It is not renewed, and gives no other.
	h.as(token).do("POST", issuePath, nil).refused(403, "token_issuance_forbidden")
	h.as(token).do("POST", refreshPath, object{"token": token}).refused(403, "token_issuance_forbidden")
	h.as(token).do("GET", legacyPath, nil).refused(403, "token_issuance_forbidden")
	developer := h.admin().create(object{"role": "developer"})
	strong := h.as(h.admin().do("GET", keysPath+"/"+developer.text("id")+"/token", nil).must(200).text("token"))
	strong.do("GET", path, nil).refused(403, "")
	// The ceiling alone decides, whether or not the value is stored.
	auditor := h.role("auditor")
	auditor.do("GET", path, nil).must(200)
	auditor.do("GET", keysPath+"/"+developer.text("id")+"/token", nil).refused(403, "")
	h.granted("api_key:secret_read").do("GET", path, nil).refused(403, "api_key:read")
	h.admin().do("GET", keysPath+"/"+h.admin().do("GET", keysPath+"?level=account", nil).text(0, "id")+"/token", nil).must(200)
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	h := open(t)
	token := h.admin().do("POST", issuePath, nil).must(200).text("token")
	other := h.admin().do("POST", issuePath, nil).must(200).text("token")
	c := h.as(token)
	next := c.do("POST", refreshPath, object{"token": token}).must(200).text("token")
	if next == token || h.as(next).do("GET", keysPath, nil).Status != 200 {
		t.Error("the new token")
	}
	for name, body := range map[string]any{
		"another token": object{"token": other}, "no token": object{}, "null": `{"token":null}`, "more": object{"token": token, "x": 1}, "nothing": "",
	} {
		if a := c.do("POST", refreshPath, body); a.Status != 400 {
			t.Errorf("%s: %d %s", name, a.Status, a.Text)
		}
	}
	h.admin().do("POST", refreshPath, object{"token": h.AdminKey}).refused(400, "token")
	h.nobody().do("POST", refreshPath, object{"token": token}).refused(401, "")
	c.do("GET", refreshPath, nil).refused(405, "")
}

// Clients of long ago sent the key in the query, beside a header that says nothing.
func TestLegacyToken(t *testing.T) {
	t.Parallel()
	h := open(t)
	made := h.admin().create()
	key := url.QueryEscape(made.text("value"))
	for _, c := range []caller{h.nobody(), h.nobody().with("Authorization", "undefined"), h.nobody().with("Authorization", ""), h.as(made.text("value"))} {
		a := c.do("GET", legacyPath+"?token="+key, nil).must(200)
		if claims(t, a.text("token"))["sub"] != made.text("id") {
			t.Error("another key's token")
		}
	}
	h.as(made.text("value")).do("GET", legacyPath, nil).must(200)
	h.nobody().do("GET", legacyPath+"?token="+key+"&accountId="+h.Organization.Hex(), nil).must(200)
	h.nobody().do("GET", legacyPath+"?token="+key+"&accountId="+noKey, nil).refused(403, "no_accessible_account")
	for _, c := range []caller{h.nobody(), h.nobody().with("Authorization", "undefined")} {
		c.do("GET", legacyPath, nil).refused(401, "")
		c.do("GET", legacyPath+"?token=", nil).refused(401, "")
		c.do("GET", legacyPath+"?token=undefined", nil).refused(401, "")
	}
	h.as("sk-x").do("GET", legacyPath+"?token="+key, nil).refused(401, "")
	h.admin().do("GET", legacyPath+"?token="+key, nil).refused(401, "two identities")
	h.admin().with("Authorization", "Bearer "+h.AdminKey).do("GET", legacyPath+"?token="+key, nil).refused(401, "")
	h.nobody().do("GET", legacyPath+"?token="+key+"&token="+key, nil).refused(400, "token")
	if strings.Contains(h.Authority.Log(), made.text("value")[19:]) {
		t.Error("the key is in the log")
	}
}
