package forward_test

import (
	"net/http"
	"strings"
	"testing"

	"latchkey.dev/latchkey/client"
)

// signedThrough sends signed requests through a proxy: each comes through once,
// as it was signed.
func signedThrough(t *testing.T, a *authority, at string, api *backend) {
	t.Helper()
	made := a.manage("POST", "/v1/keys", object{"name": "Signs", "scopes": []string{"plants:read"}, "signing": object{"mode": "required"}}, 201)
	secret := made["secret"].(string)
	signer, err := client.NewSigner(client.KID(client.NewSecret(secret)), client.NewSecret(made["signing_key"].(string)))
	if err != nil {
		t.Fatal(err)
	}
	const host = "api.example.com"
	signed := func(method, target string) []string {
		r, err := http.NewRequestWithContext(t.Context(), method, "https://"+host+target, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := signer.Sign(r); err != nil {
			t.Fatal(err)
		}
		headers := []string{"Authorization: Bearer " + secret}
		for _, name := range []string{"Signature-Input", "Signature", "Content-Digest"} {
			if v := r.Header.Get(name); v != "" {
				headers = append(headers, name+": "+v)
			}
		}
		return headers
	}
	split := func(headers []string) []string { // another's signature beside it, in a line of its own
		return append([]string{headers[0], `Signature-Input: proxy=("date");created=1`, "Signature: proxy=:AAAA:"}, headers[1:]...)
	}
	once := signed("GET", "/v1/plants/1?dry=1")
	posted := signed("POST", "/open")
	for _, c := range []struct {
		name, line string
		headers    []string
		status     int
		code       string
	}{
		{"not signed", "GET /v1/plants/1", once[:1], 401, "signature_required"},
		{"signed", "GET /v1/plants/1?dry=1", once, 200, ""},
		{"once more", "GET /v1/plants/1?dry=1", once, 401, "signature_invalid"},
		{"another query", "GET /v1/plants/1?dry=2", signed("GET", "/v1/plants/1?dry=1"), 401, "signature_invalid"},
		{"another path", "GET /v1/plants/2", signed("GET", "/v1/plants/1"), 401, "signature_invalid"},
		{"another method", "POST /v1/plants/1", signed("GET", "/v1/plants/1"), 401, "signature_invalid"},
		{"beside another's signature", "GET /v1/plants/1", split(signed("GET", "/v1/plants/1")), 200, ""},
		{"a digest", "POST /open", posted, 200, ""},
		{"another digest", "POST /open", withAnotherDigest(signed("POST", "/open")), 401, "signature_invalid"},
	} {
		answer := askAs(t, at, c.line+" HTTP/1.1", host, c.headers...)
		through := api.take()
		if told := answer.Header.Get("X-Latchkey-Code"); answer.StatusCode != c.status || (c.status == 200) != (len(through) == 1) || c.code != "" && told != c.code {
			t.Errorf("%s: status %d with %q, want %d; %d requests came through", c.name, answer.StatusCode, told, c.status, len(through))
		}
	}
}

// withAnotherDigest has the digest of another body.
func withAnotherDigest(headers []string) []string {
	var out []string
	for _, h := range headers {
		if !strings.HasPrefix(h, "Content-Digest") {
			out = append(out, h)
		}
	}
	return append(out, "Content-Digest: sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:")
}
