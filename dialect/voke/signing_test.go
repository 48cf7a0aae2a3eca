package voke_test

import (
	"net/http"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/client"
)

// A request that is signed with the signing key is accepted once, and only as it
// was signed; one that is not signed is accepted still, until the mode is changed.
func TestSigningKeySigns(t *testing.T) {
	t.Parallel()
	c := open(t).admin()
	made := c.create()
	key := made.text("key")
	signer, err := client.NewSigner(client.KID(client.NewSecret(key)), client.NewSecret(made.text("signingKey")))
	if err != nil {
		t.Fatal(err)
	}
	signed := func(path string) object {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example.com/v1/plants", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := signer.Sign(r); err != nil {
			t.Fatal(err)
		}
		return object{
			"key": key, "method": "GET", "host": "api.example.com", "path": path,
			"signature": object{"input": r.Header.Get("Signature-Input"), "value": r.Header.Get("Signature")},
		}
	}
	code := func(asked object) string {
		t.Helper()
		return c.do("POST", "/v1/keys/verify", asked).must(http.StatusOK).text("code")
	}
	once := signed("/v1/plants")
	for i, want := range []string{"valid", "signature_invalid"} {
		if got := code(once); got != want {
			t.Errorf("time %d: %s", i+1, got)
		}
	}
	if got := code(signed("/v1/other")); got != "signature_invalid" {
		t.Errorf("another path: %s", got)
	}
	if got := code(object{"key": key}); got != "valid" {
		t.Errorf("not signed: %s", got)
	}
	id, _, _ := latchkey.ParseUUID(made.text("apiKey", "id"))
	c.do("PATCH", "/v1/keys/"+id.Native(latchkey.KindKey), object{"signing": object{"mode": "required"}}).must(http.StatusOK)
	if got := code(object{"key": key}); got != "signature_required" {
		t.Errorf("not signed, though required: %s", got)
	}
	if got := code(signed("/v1/plants")); got != "valid" {
		t.Errorf("signed, as required: %s", got)
	}
}
