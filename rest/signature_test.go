package rest_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/client"
)

// Public keys in PEM: one that may be registered, and one under which anybody's
// signatures hold.
const (
	publicPEM = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n-----END PUBLIC KEY-----\n"
	weakPEM   = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n-----END PUBLIC KEY-----\n"
)

// badPublicKeys are no Ed25519 public keys in PEM.
func badPublicKeys() []any {
	curve := "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lfw0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ=="
	var all []any
	for _, text := range []string{
		"", "x", "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=", publicPEM + publicPEM, publicPEM + "x",
		strings.ReplaceAll(publicPEM, "PUBLIC", "PRIVATE"), strings.Replace(publicPEM, "MCow", "MCox", 1),
		"-----BEGIN PUBLIC KEY-----\n" + curve + "\n-----END PUBLIC KEY-----\n", publicPEM + strings.Repeat(" ", 1024),
	} {
		all = append(all, object{"mode": "required", "alg": "ed25519", "public_key": text})
	}
	return all
}

// signs is a key that signs, with who signs for it.
type signs struct {
	made
	signer *client.Signer
}

func (c caller) newSigning(signing object) signs {
	c.h.Helper()
	a := c.do("POST", "/v1/keys", object{"name": "Signs", "scopes": []string{"docs:read"}, "signing": signing}).must(201)
	k := made{path: "/v1/keys/" + a.text("key", "id"), secret: a.text("secret")}
	if signing["alg"] == "ed25519" {
		return signs{k, nil} // who signs is the test's to say
	}
	return signs{k, hmacSigner(c.h, k.secret, a.text("signing_key"))}
}

func hmacSigner(t testing.TB, key, signingKey string) *client.Signer {
	t.Helper()
	signer, err := client.NewSigner(client.KID(client.NewSecret(key)), client.NewSecret(signingKey))
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// signed is the question about a request with the key, signed by that signer; the
// request may be changed before it is signed and after.
func signed(t testing.TB, key string, by *client.Signer, method, body string, after ...func(object)) object {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, plants, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if err := by.Sign(r); err != nil {
		t.Fatal(err)
	}
	var v client.Verification
	if err := v.Of(r, 0); err != nil {
		t.Fatal(err)
	}
	asked := object{
		"key": key, "method": v.Method, "host": v.Host, "path": v.Path, "query": v.Query, "signature": object{
			"input": v.Signature.Input, "value": v.Signature.Value, "content_digest": v.Signature.ContentDigest, "body_sha256": v.Signature.BodySHA256,
		},
	}
	for _, change := range after {
		change(asked)
	}
	return asked
}

const plants = "https://api.example.com/v1/plants?dry=1"

func (s signs) get(t testing.TB, after ...func(object)) object {
	return signed(t, s.secret, s.signer, "GET", "", after...)
}

func (c caller) code(asked object) string {
	c.h.Helper()
	return c.do("POST", "/v1/keys/verify", asked).must(200).text("code")
}

// A signed request is accepted once, and only as it was signed, by whoever has the
// key and what signs for it.
func TestSignedRequests(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	pair := root.newSigning(object{"mode": "required", "alg": "ed25519", "public_key": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))})
	if pair.signer, err = client.NewPairSigner(client.KID(client.NewSecret(pair.secret)), private); err != nil {
		t.Fatal(err)
	}
	other := root.newSigning(object{"mode": "required"})
	for name, k := range map[string]signs{"hmac-sha256": root.newSigning(object{"mode": "required"}), "ed25519": pair} {
		h.run(name, func() {
			for _, r := range [][2]string{{"GET", ""}, {"POST", `{"hello": "world"}`}, {"POST", ""}, {"DELETE", ""}, {"PROPFIND", "x"}} {
				asked := signed(t, k.secret, k.signer, r[0], r[1])
				a := root.do("POST", "/v1/keys/verify", asked).must(200)
				if a.text("code") != "valid" || a.at("signed") != true {
					t.Errorf("%s: %s", r[0], a.Text)
				}
				if code := root.code(asked); code != "signature_invalid" {
					t.Errorf("%s, once more: %s", r[0], code)
				}
			}
			a := root.do("POST", "/v1/keys/verify", object{"key": k.secret}).must(200)
			if a.text("code") != "signature_required" || a.at("signed") != false || a.text("kid") == "" {
				t.Errorf("without a signature: %s", a.Text)
			}
			for name, change := range map[string]func(object){
				"another method": func(o object) { o["method"] = "HEAD" },
				"another host":   func(o object) { o["host"] = "evil.example.com" },
				"another path":   func(o object) { o["path"] = "/v1/plants/1" },
				"another query":  func(o object) { o["query"] = "" },
				"a body":         func(o object) { o["signature"].(object)["body_sha256"] = strings.Repeat("00", 32) },
				"another secret": func(o object) { o["key"] = other.secret },
				"no value":       func(o object) { o["signature"].(object)["value"] = "" },
				"no input":       func(o object) { o["signature"].(object)["input"] = "" },
				"another keyid": func(o object) {
					s := o["signature"].(object)
					s["input"] = strings.Replace(s["input"].(string), client.KID(client.NewSecret(k.secret)), client.KID(client.NewSecret(other.secret)), 1)
				},
			} {
				if code := root.code(k.get(t, change)); code != "signature_invalid" {
					t.Errorf("%s: %s", name, code)
				}
			}
			// Another's signing key, in the name of this one's secret.
			raw := signed(t, k.secret, hmacSigner(t, k.secret, "lk_sgn_x"), "GET", "")
			if code := root.code(raw); code != "signature_invalid" {
				t.Errorf("another signing key: %s", code)
			}
		})
	}
}

// Nothing is spent by a verification that another check refuses, nor by an
// explanation.
func TestNoncesAreSpentLast(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	k := root.newSigning(object{"mode": "required"})
	asked := k.get(t)
	with := func(member string, value any) object {
		more := object{member: value}
		maps.Copy(more, asked)
		return more
	}
	if code := root.code(with("scopes", []string{"docs:write"})); code != "insufficient_scope" {
		t.Errorf("a scope: %s", code)
	}
	if code := root.code(with("environment", "test")); code != "wrong_environment" {
		t.Errorf("an environment: %s", code)
	}
	explain := func(o object, want, outcome, detail string) {
		t.Helper()
		a := root.do("POST", "/v1/keys/explain", o).must(200)
		for _, c := range a.at("checks").([]any) {
			if c := c.(object); c["name"] == "signature" && (c["outcome"] != outcome || !strings.Contains(c["detail"].(string), detail)) {
				t.Errorf("the signature is %v", c)
			}
		}
		if a.text("code") != want {
			t.Errorf("explained: %s", a.Text)
		}
	}
	for range 2 {
		explain(asked, "valid", "passed", "nonce is new")
	}
	if code := root.code(asked); code != "valid" {
		t.Errorf("afterwards: %s", code)
	}
	explain(asked, "signature_invalid", "failed", "used before")
	explain(k.get(t, func(o object) { o["path"] = "/x" }), "signature_invalid", "failed", "over another request")
	explain(object{"key": k.secret}, "signature_required", "failed", "this one is not")
	batch := root.do("POST", "/v1/keys/batch-verify", object{"items": []object{k.get(t), asked}}).must(200)
	if batch.text("results", 0, "code") != "valid" || batch.text("results", 1, "code") != "signature_invalid" {
		t.Errorf("in a batch: %s", batch.Text)
	}
}

// A signature is good for five minutes, and for one that was made a minute ahead,
// by the store's clock. What was pruned is not admitted again, wherever the clock
// goes.
func TestSignaturesAge(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	k := root.newSigning(object{"mode": "required"})
	made := k.get(t)
	h.advance(-59 * time.Second)
	ahead := k.get(t)
	if code := root.code(ahead); code != "valid" {
		t.Errorf("59 s ahead: %s", code)
	}
	h.advance(-3 * time.Second)
	if code := root.code(made); code != "signature_invalid" {
		t.Errorf("62 s ahead: %s", code)
	}
	h.advance(62*time.Second + 298*time.Second)
	if code := root.code(made); code != "valid" {
		t.Errorf("298 s old: %s", code)
	}
	late := k.get(t)
	h.advance(5 * time.Second)
	for name, asked := range map[string]object{"303 s old": late, "303 s old, and used": made} {
		if code := root.code(asked); code != "signature_invalid" {
			t.Errorf("%s: %s", name, code)
		}
	}
	h.advance(-303 * time.Second)
	if code := root.code(made); code != "signature_invalid" {
		t.Errorf("used, the clock back: %s", code)
	}
	if err := h.store.RaiseNonceFloor(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code := root.code(k.get(t)); code != "signature_invalid" {
		t.Errorf("below the floor: %s", code)
	}
}

// Modes and what is signed with change with the key, at once, and never by
// themselves.
func TestSigningModes(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	k := root.newSigning(object{"mode": "optional"})
	bad := func() object { return k.get(t, func(o object) { o["path"] = "/x" }) }
	expect := func(when, plain, good, wrong string, counts bool) {
		t.Helper()
		if code := root.code(object{"key": k.secret}); code != plain {
			t.Errorf("%s, not signed: %s, want %s", when, code, plain)
		}
		a := root.do("POST", "/v1/keys/verify", k.get(t)).must(200)
		if a.text("code") != good || a.at("signed") != counts {
			t.Errorf("%s, signed: %s, want %s", when, a.Text, good)
		}
		if code := root.code(bad()); code != wrong {
			t.Errorf("%s, signed badly: %s, want %s", when, code, wrong)
		}
	}
	patch := func(signing any) answer { return root.do("PATCH", k.path, object{"signing": signing}) }
	expect("optional", "valid", "valid", "signature_invalid", true)
	patch(object{"mode": "required"}).must(200).holds([]any{"key", "signing"}, object{"mode": "required", "alg": "hmac-sha256", "public_key": nil})
	expect("required", "signature_required", "valid", "signature_invalid", true)
	patch(object{"mode": "off"}).must(200)
	expect("off", "valid", "valid", "valid", false)
	patch(object{"mode": "required"}).must(200)
	patch(object{"mode": "required", "alg": "hmac-sha256"}).refused(422, latchkey.CodeInvalid, "/signing/alg")
	patch(object{"alg": "ed25519"}).refused(422, latchkey.CodeInvalid, "/signing/public_key")
	patch(object{"mode": "on"}).refused(422, latchkey.CodeInvalid, "/signing/mode")
	patch(object{"public_key": publicPEM}).refused(422, latchkey.CodeInvalid, "/signing/alg")
	patch(object{"alg": "ed25519", "public_key": weakPEM}).refused(422, latchkey.CodeInvalid, "/signing/public_key")
	expect("still required", "signature_required", "valid", "signature_invalid", true)
	a := patch(object{"alg": "ed25519", "public_key": publicPEM}).must(200)
	if a.text("key", "signing", "public_key") != publicPEM {
		t.Errorf("registered: %s", a.Text)
	}
	expect("with a pair", "signature_required", "signature_invalid", "signature_invalid", false)
	patch(nil).must(200)
	if got := root.do("GET", k.path, nil).must(200).at("signing"); got != nil {
		t.Errorf("cleared: %v", got)
	}
	expect("cleared", "valid", "valid", "valid", false)
	patch(object{"mode": "required"}).refused(422, latchkey.CodeInvalid, "/signing/mode")
	// Who may not give the key away may not open it either.
	weak := h.as(root.newKey(object{"scopes": []string{"api_key:update"}}).secret)
	weak.do("PATCH", k.path, object{"signing": object{"alg": "ed25519", "public_key": publicPEM}}).refused(403, latchkey.CodeCeiling)
}

// A rotation gives the new secret a signing key of its own; each is good for its
// own secret alone, as long as that is.
func TestSigningKeysRotateWithOverlap(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	old := root.newSigning(object{"mode": "required"})
	a := root.do("POST", old.path+"/rotate", object{"overlap": "1h"}).must(200)
	next := signs{made{path: old.path, secret: a.text("secret")}, hmacSigner(t, a.text("secret"), a.text("signing_key"))}
	if !strings.HasPrefix(a.text("signing_key"), "lk_sgn_"+client.KID(client.NewSecret(next.secret))+"_") {
		t.Errorf("the signing key is not the new secret's")
	}
	for name, c := range map[string]struct {
		asked object
		want  string
	}{
		"the old one":       {old.get(t), "valid"},
		"the new one":       {next.get(t), "valid"},
		"the new by an old": {signed(t, next.secret, old.signer, "GET", ""), "signature_invalid"},
		"the old by a new":  {signed(t, old.secret, next.signer, "GET", ""), "signature_invalid"},
	} {
		if code := root.code(c.asked); code != c.want {
			t.Errorf("%s: %s", name, code)
		}
	}
	root.do("POST", old.path+"/rotation/complete", nil).must(200)
	if code := root.code(old.get(t)); code != "expired" {
		t.Errorf("the old one, afterwards: %s", code)
	}
	if code := root.code(next.get(t)); code != "valid" {
		t.Errorf("the new one, afterwards: %s", code)
	}
	root.do("POST", next.path+"/revoke", nil).must(200)
	if code := root.code(next.get(t)); code != "revoked" {
		t.Errorf("revoked: %s", code)
	}
}

// A key whose requests have to be signed opens nothing by itself: not this API,
// and no token.
func TestABearerValueAloneIsUseless(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	made := root.do("POST", "/v1/keys", object{"name": "Admin", "role": "owner", "signing": object{"mode": "required"}}).must(201)
	stolen := h.as(made.text("secret"))
	stolen.do("GET", "/v1/keys", nil).refused(401, latchkey.CodeUnauthenticated)
	stolen.do("POST", "/v1/keys", object{"name": "x"}).refused(401, latchkey.CodeUnauthenticated)
	// Whoever finds it may end it.
	h.as("").do("POST", "/v1/keys/revoke-self", object{"key": made.text("secret")}).must(200)
}

// An imported key signs with a pair; no signing key is made for it, and several
// keys that are made at once are each told theirs.
func TestSigningOfManyKeys(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	items := []object{{"name": "a", "signing": object{"mode": "required"}}, {"name": "b"}}
	both := root.do("POST", "/v1/keys/batch-create", object{"items": items}).must(201)
	k := signs{made{secret: both.text("results", 0, "secret")}, hmacSigner(t, both.text("results", 0, "secret"), both.text("results", 0, "signing_key"))}
	if code := root.code(k.get(t)); code != "valid" || both.text("results", 1, "signing_key") != "" {
		t.Errorf("made together: %s", code)
	}
	digest := func(n byte) string { return hex.EncodeToString(append(make([]byte, 31), n)) }
	imported := func(n byte, signing object) answer {
		return root.do("POST", "/v1/keys/import", object{"scheme": "sha256", "items": []object{{"name": "x", "digest": digest(n), "signing": signing}}})
	}
	imported(1, object{"mode": "required"}).refused(422, latchkey.CodeInvalid, "/items/0/signing/alg")
	a := imported(2, object{"mode": "required", "alg": "ed25519", "public_key": publicPEM}).must(201)
	if a.text("results", 0, "key", "signing", "alg") != "ed25519" {
		t.Errorf("imported: %s", a.Text)
	}
}

// What is told of a request beside its signature is held against the rules.
func TestWhatASignatureNeeds(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	k := root.newSigning(object{"mode": "required"})
	for member, pointer := range map[string]string{"method": "/method", "host": "/host", "path": "/path"} {
		asked := k.get(t)
		delete(asked, member)
		root.do("POST", "/v1/keys/verify", asked).refused(422, latchkey.CodeInvalid, pointer)
	}
	for member, value := range map[string]any{"input": strings.Repeat("x", 8193), "value": strings.Repeat("x", 8193), "body_sha256": "00"} {
		root.do("POST", "/v1/keys/verify", k.get(t, func(o object) { o["signature"].(object)[member] = value })).
			refused(422, latchkey.CodeInvalid, "/signature/"+member)
	}
	root.do("POST", "/v1/keys/verify", k.get(t, func(o object) { o["signature"].(object)["more"] = 1 })).refused(400, latchkey.CodeMalformedBody)
	// Whoever has not seen the body must have it covered.
	unseen := func(o object) { delete(o["signature"].(object), "body_sha256") }
	if code := root.code(signed(t, k.secret, k.signer, "POST", "x", unseen)); code != "valid" {
		t.Errorf("a body that was not seen: %s", code)
	}
	changed := func(o object) {
		unseen(o)
		o["signature"].(object)["content_digest"] = "sha-256=:" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + ":"
	}
	if code := root.code(signed(t, k.secret, k.signer, "POST", "x", changed)); code != "signature_invalid" {
		t.Errorf("another digest: %s", code)
	}
}
