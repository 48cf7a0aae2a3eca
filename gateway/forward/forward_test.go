package forward_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestExchanges sends what Traefik and Envoy are documented to send, which are
// not to be had here.
func TestExchanges(t *testing.T) {
	a := startAuthority(t)
	_, secret := a.key(nil)
	_, weak := a.key(object{"scopes": []string{"other"}})
	_, elsewhere := a.key(object{"restrictions": object{"addresses": []string{"192.0.2.0/24"}}})
	_, here := a.key(object{"restrictions": object{"addresses": []string{"127.0.0.1"}}})
	id, revoked := a.key(nil)
	a.manage("POST", "/v1/keys/"+id+"/revoke", object{}, 200)
	for folder, profile := range map[string]string{"traefik": "traefik", "envoy": "envoy-http"} {
		token := a.gateway(profile, nil)
		for key, want := range map[string]int{secret: 200, weak: 403, elsewhere: 403, here: 200, revoked: 401, "noise": 401} {
			text := strings.NewReplacer("TOKEN", token, "KEY", key, "\n", "\r\n").Replace(read(t, folder+"/exchange.http"))
			first, rest, _ := strings.Cut(text, "\r\nHost: ")
			_, rest, _ = strings.Cut(rest, "\r\n")
			answer := askAs(t, strings.TrimPrefix(a.URL, "http://"), first, "api.example.com", strings.Split(strings.TrimSpace(rest), "\r\n")...)
			if answer.StatusCode != want {
				t.Errorf("%s: status %d (%s), want %d", folder, answer.StatusCode, answer.Header.Get("X-Latchkey-Code"), want)
			}
		}
	}
}

// TestSources asks in nginx's way, with every source missing, doubled or wrong.
func TestSources(t *testing.T) {
	a := startAuthority(t)
	_, secret := a.key(nil)
	_, bound := a.key(object{"restrictions": object{"addresses": []string{"192.0.2.0/24", "2001:db8::/32"}}})
	token := a.gateway("nginx", nil)
	good := []string{"Authorization: Bearer " + secret, "X-Original-Method: GET", "X-Original-Host: api.example.com:443", "X-Original-URI: /v1/plants/1", "X-Real-IP: 127.0.0.1"}
	with := func(change string, lines ...string) []string {
		var out []string
		for _, line := range good {
			if !strings.HasPrefix(line, change) || change == "" {
				out = append(out, line)
			}
		}
		return append(out, lines...)
	}
	at := "/gateway/" + token + "/"
	cases := 0
	for name, c := range map[string]struct {
		target  string
		headers []string
		status  int
		code    string
	}{
		"good":                       {at, good, 200, "valid"},
		"without a slash":            {"/gateway/" + token, good, 200, "valid"},
		"no method":                  {at, with("X-Original-Method"), 403, "request_refused"},
		"two methods":                {at, with("", "X-Original-Method: GET"), 403, "request_refused"},
		"no host":                    {at, with("X-Original-Host"), 403, "request_refused"},
		"two hosts":                  {at, with("", "X-Original-Host: b"), 403, "request_refused"},
		"no URI":                     {at, with("X-Original-URI"), 403, "request_refused"},
		"two URIs":                   {at, with("", "X-Original-URI: /open"), 403, "request_refused"},
		"two addresses":              {at, with("", "X-Real-IP: 192.0.2.1"), 403, "request_refused"},
		"another profile's sources":  {at, []string{"Authorization: Bearer " + secret, "X-Forwarded-Method: GET", "X-Forwarded-Host: a", "X-Forwarded-Uri: /open"}, 403, "request_refused"},
		"a method without a route":   {at, with("X-Original-Method", "X-Original-Method: PUT"), 403, "no_route"},
		"a whole URL":                {at, with("X-Original-URI", "X-Original-URI: http://a/v1/plants/1"), 403, "no_route"},
		"a route in the query":       {at, with("X-Original-URI", "X-Original-URI: /none?/v1/plants/1"), 403, "no_route"},
		"dots":                       {at, with("X-Original-URI", "X-Original-URI: /v1/plants/../../open"), 403, "no_route"},
		"encoded dots":               {at, with("X-Original-URI", "X-Original-URI: /v1/plants/%2e%2e"), 403, "no_route"},
		"an encoded slash":           {at, with("X-Original-URI", "X-Original-URI: /v1/plants/1%2f2"), 403, "no_route"},
		"encoded twice":              {at, with("X-Original-URI", "X-Original-URI: /v1/plants/%252e"), 403, "no_route"},
		"a parameter in the path":    {at, with("X-Original-URI", "X-Original-URI: /v1/plants/1;x"), 403, "no_route"},
		"an empty segment":           {at, with("X-Original-URI", "X-Original-URI: //open"), 403, "no_route"},
		"a slash at the end":         {at, with("X-Original-URI", "X-Original-URI: /v1/plants/1/"), 200, "valid"},
		"encoded letters":            {at, with("X-Original-URI", "X-Original-URI: /v1/pl%61nts/1"), 200, "valid"},
		"no host at all":             {at, with("X-Original-Host", "X-Original-Host: a b"), 403, "no_route"},
		"an address of the list":     {at, with("Authorization", "Authorization: Bearer "+bound), 403, "ip_not_allowed"},
		"no address":                 {at, append(with("X-Real-IP")[1:], "Authorization: Bearer "+bound), 403, "ip_not_allowed"},
		"a zone":                     {at, append(with("X-Real-IP", "X-Real-IP: 2001:db8::1%eth0")[1:], "Authorization: Bearer "+bound), 403, "ip_not_allowed"},
		"a list of addresses":        {at, append(with("X-Real-IP", "X-Real-IP: 192.0.2.1, 192.0.2.2")[1:], "Authorization: Bearer "+bound), 403, "ip_not_allowed"},
		"the right address":          {at, append(with("X-Real-IP", "X-Real-IP: 192.0.2.1")[1:], "Authorization: Bearer "+bound), 200, "valid"},
		"the right mapped address":   {at, append(with("X-Real-IP", "X-Real-IP: ::ffff:192.0.2.1")[1:], "Authorization: Bearer "+bound), 200, "valid"},
		"no token":                   {"/gateway/", good, 403, "gateway_unknown"},
		"another token":              {"/gateway/" + strings.Repeat("x", 80) + "/", good, 403, "gateway_unknown"},
		"a key for a token":          {"/gateway/" + secret + "/", good, 403, "gateway_unknown"},
		"a token less its end":       {at[:len(at)-2] + "/", good, 403, "gateway_unknown"},
		"the token in another place": {"/gateway/-/", with("", "Latchkey-Gateway: "+token), 403, "gateway_unknown"},
		"the token twice":            {at, with("", "Latchkey-Gateway: "+token), 403, "gateway_unknown"},
		"the token for a key":        {at, with("Authorization", "Authorization: Bearer "+token), 401, "unknown"},
		"a path that is not clean":   {at + "../x", good, 403, "request_refused"},
	} {
		cases++
		answer := ask(t, strings.TrimPrefix(a.URL, "http://"), c.target, c.headers...)
		if code := answer.Header.Get("X-Latchkey-Code"); answer.StatusCode != c.status || code != c.code {
			t.Errorf("%s: %d %s, want %d %s", name, answer.StatusCode, code, c.status, c.code)
		}
		for _, header := range []string{"Subject", "Key-Id", "Organization", "Partner", "Scopes", "Role", "Assertion"} {
			values := answer.Header.Values("X-Latchkey-" + header)
			if len(values) != 1 || c.status != 200 && values[0] != "" {
				t.Errorf("%s: X-Latchkey-%s is %q", name, header, values)
			}
		}
		if (answer.StatusCode == http.StatusUnauthorized) != (answer.Header.Get("WWW-Authenticate") != "") {
			t.Errorf("%s: WWW-Authenticate is %q", name, answer.Header.Get("WWW-Authenticate"))
		}
	}
	if cases == 0 {
		t.Fatal("nothing was asked")
	}
	if strings.Contains(a.Log(), token[len(token)-49:]) {
		t.Error("the gateway's token is in the log")
	}
}

// TestChangesHoldAtOnce changes a gateway in every way between two requests.
func TestChangesHoldAtOnce(t *testing.T) {
	a := startAuthority(t)
	_, secret := a.key(nil)
	made := a.manage("POST", "/v1/gateways", object{"name": "front", "profile": "nginx", "routes": []object{{"path": "/*"}}}, 201)
	token, path := made["token"].(string), "/v1/gateways/"+made["gateway"].(object)["id"].(string)
	wants := func(token string, status int, code string) {
		t.Helper()
		answer := ask(t, strings.TrimPrefix(a.URL, "http://"), "/gateway/"+token+"/", "Authorization: Bearer "+secret,
			"X-Original-Method: GET", "X-Original-Host: a", "X-Original-URI: /v1", "X-Real-IP: 127.0.0.1")
		if told := answer.Header.Get("X-Latchkey-Code"); answer.StatusCode != status || told != code {
			t.Errorf("%d %s, want %d %s", answer.StatusCode, told, status, code)
		}
	}
	wants(token, 200, "valid")
	a.manage("PATCH", path, object{"routes": []object{{"path": "/*", "scopes": object{"all": []string{"root"}}}}}, 200)
	wants(token, 403, "insufficient_scope")
	a.manage("PATCH", path, object{"routes": []object{{"path": "/*"}}, "environment": "test"}, 200)
	wants(token, 403, "wrong_environment")
	a.manage("PATCH", path, object{"environment": nil}, 200)
	wants(token, 200, "valid")
	next := a.manage("POST", path+"/rotate-token", nil, 200)["token"].(string)
	wants(token, 403, "gateway_unknown")
	wants(next, 200, "valid")
	a.manage("DELETE", path, nil, 200)
	wants(next, 403, "gateway_unknown")
}
