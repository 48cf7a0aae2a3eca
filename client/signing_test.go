package client_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"latchkey.dev/latchkey/client"
	"latchkey.dev/latchkey/latchkeytest"
)

// signedAPI is an API that takes signed requests alone, checked by a real server.
type signedAPI struct {
	*httptest.Server
	*client.Client
	answered atomic.Int64 // requests that were let through
	last     atomic.Pointer[http.Request]
}

func startSignedAPI(t *testing.T) *signedAPI {
	authority := latchkeytest.Start(t, latchkeytest.Options{})
	c, err := client.New(authority.URL, client.NewSecret(authority.AdminKey), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a := &signedAPI{Client: c}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.last.Store(r)
		v := client.Verification{Key: client.NewSecret(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")), AllScopes: []string{"plants:read"}}
		if err := v.Of(r, 1<<10); err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		answer, err := c.Keys.Verify(r.Context(), v)
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		case !answer.Value.Valid || !answer.Value.Signed:
			http.Error(w, answer.Value.Code, http.StatusUnauthorized)
		default:
			a.answered.Add(1)
			body, err := io.ReadAll(r.Body) // which was put back
			_, _ = io.WriteString(w, "got "+string(body))
			if err != nil {
				panic(err)
			}
		}
	}))
	t.Cleanup(a.Server.Close)
	return a
}

// key makes a key that signs.
func (a *signedAPI) key(t *testing.T, signing client.Signing) client.IssuedKey {
	t.Helper()
	made, err := a.Keys.Create(t.Context(), client.NewKey{Name: "Signs", Scopes: []string{"plants:read"}, Signing: &signing})
	if err != nil {
		t.Fatal(err)
	}
	return made.Value
}

func pairPEM(t *testing.T) (private ed25519.PrivateKey, privatePEM, publicPEM string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return private, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})), string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// What the signing transport sends is accepted, once, whatever it is.
func TestSigner(t *testing.T) {
	t.Parallel()
	api := startSignedAPI(t)
	made := api.key(t, client.Signing{Mode: "required"})
	kid := made.Key.Secrets[0].KID
	if got := client.KID(made.Secret); got != kid {
		t.Errorf("the kid is %s, not %s", got, kid)
	}
	signer, err := client.NewSigner(kid, made.SigningKey)
	if err != nil {
		t.Fatal(err)
	}
	private, _, public := pairPEM(t)
	paired := api.key(t, client.Signing{Mode: "required", Algorithm: "ed25519", PublicKey: public})
	pair, err := client.NewPairSigner(client.KID(paired.Secret), private)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		signer *client.Signer
		key    client.Secret
	}{{signer, made.Secret}, {pair, paired.Secret}} {
		web := &http.Client{Transport: c.signer.Transport(nil)}
		for _, r := range []struct {
			method, target, body string
			status               int
		}{
			{"GET", "/", "", 200},
			{"GET", "", "", 200},
			{"GET", "/v1/pl%61nts/%2f?x=%20&y=a+b", "", 200},
			{"GET", "/v1/plants?", "", 200},
			{"POST", "/v1/plants?dry=1", `{"hello": "world"}`, 200},
			{"PUT", "/v1/plants", "", 200},
			{"DELETE", "/v1/plants/1", "", 200},
			{"POST", "/v1/plants", strings.Repeat("x", 1<<10), 200},
			{"POST", "/v1/plants", strings.Repeat("x", 1<<10+1), 413},
		} {
			request, err := http.NewRequestWithContext(t.Context(), r.method, api.URL+r.target, io.MultiReader(strings.NewReader(r.body))) // of unknown length
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Authorization", "Bearer "+c.key.Expose())
			answer, err := web.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if answer.StatusCode != r.status || r.status == 200 && string(text) != "got "+r.body {
				t.Errorf("%s %s: %d %s", r.method, r.target, answer.StatusCode, text)
			}
		}
	}
	// The same again, as somebody on the way would send it, and otherwise.
	replay := func(change func(*http.Request)) int {
		sent := api.last.Load()
		again, err := http.NewRequestWithContext(t.Context(), sent.Method, api.URL+sent.RequestURI, nil)
		if err != nil {
			t.Fatal(err)
		}
		again.Header = sent.Header.Clone()
		change(again)
		answer, err := http.DefaultClient.Do(again)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return answer.StatusCode
	}
	for name, change := range map[string]func(*http.Request){
		"the same":       func(*http.Request) {},
		"without it":     func(r *http.Request) { r.Header.Del("Signature-Input") },
		"with a body":    func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("x")) },
		"another method": func(r *http.Request) { r.Method = "PATCH" },
	} {
		if status := replay(change); status != 401 {
			t.Errorf("%s: %d", name, status)
		}
	}
}

// What cannot be signed is not sent.
func TestSignerRefuses(t *testing.T) {
	t.Parallel()
	if _, err := client.NewSigner("short", client.NewSecret("x")); err == nil {
		t.Error("a kid that is none")
	}
	if _, err := client.NewSigner("7Hk2mQ9xTz4LpW0e", client.NewSecret("")); err == nil {
		t.Error("no signing key")
	}
	if _, err := client.NewPairSigner("7Hk2mQ9xTz4LpW0e", nil); err == nil {
		t.Error("no private key")
	}
	signer, err := client.NewSigner("7Hk2mQ9xTz4LpW0e", client.NewSecret("x"))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*http.Request){
		"no host":             func(r *http.Request) { r.Host, r.URL.Host = "", "" },
		"an opaque target":    func(r *http.Request) { r.URL.Opaque = "x:y" },
		"a host beyond ASCII": func(r *http.Request) { r.Host = "bücher.example" },
		"a method's line":     func(r *http.Request) { r.Method = "GET\n" },
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://api.example.com/", nil)
		if err != nil {
			t.Fatal(err)
		}
		change(r)
		if err := signer.Sign(r); err == nil || r.Header.Get("Signature") != "" {
			t.Errorf("%s: signed", name)
		}
	}
	for key, want := range map[string]string{"lk_live_7Hk2mQ9xTz4LpW0e_x": "7Hk2mQ9xTz4LpW0e", "sk-7Hk2mQ9xTz4LpW0ex": "7Hk2mQ9xTz4LpW0e", "": "", "sk-": "", "a_b_c_d": "", "x": ""} {
		if got := client.KID(client.NewSecret(key)); got != want {
			t.Errorf("the kid of %q is %q", key, got)
		}
	}
}

// The clients of examples/signing, as they are.
func TestSigningExamples(t *testing.T) {
	t.Parallel()
	api := startSignedAPI(t)
	made := api.key(t, client.Signing{Mode: "required"})
	_, private, public := pairPEM(t)
	paired := api.key(t, client.Signing{Mode: "required", Algorithm: "ed25519", PublicKey: public})
	file := filepath.Join(t.TempDir(), "private.pem")
	if err := os.WriteFile(file, []byte(private), 0o600); err != nil {
		t.Fatal(err)
	}
	hmac := []string{"LATCHKEY_KEY=" + made.Secret.Expose(), "LATCHKEY_SIGNING_KEY=" + made.SigningKey.Expose()}
	asPair := []string{"LATCHKEY_KEY=" + paired.Secret.Expose(), "LATCHKEY_PRIVATE_KEY=" + file}
	folder, err := filepath.Abs("../examples/signing")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		command     []string
		environment []string
	}{
		"curl and openssl":        {[]string{"sh", "curl.sh"}, hmac},
		"curl, openssl, a pair":   {[]string{"sh", "curl.sh"}, asPair},
		"python":                  {[]string{"python3", "sign.py"}, hmac},
		"node":                    {[]string{"node", "sign.mjs"}, hmac},
		"curl with a wrong key":   {[]string{"sh", "curl.sh"}, append(hmac[:1:1], "LATCHKEY_SIGNING_KEY=wrong")},
		"python with a wrong key": {[]string{"python3", "sign.py"}, append(hmac[:1:1], "LATCHKEY_SIGNING_KEY=wrong")},
		"node with a wrong key":   {[]string{"node", "sign.mjs"}, append(hmac[:1:1], "LATCHKEY_SIGNING_KEY=wrong")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, r := range [][]string{
				{"GET", "/v1/plants"}, {"GET", "/v1/plants?dry=1&x=%20"}, {"POST", "/v1/plants?dry=1", `{"hello": "world"}`}, {"DELETE", "/v1/plants/1"}, {"POST", "/v1/plants"},
			} {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				command := exec.CommandContext(ctx, c.command[0], append(append(c.command[1:len(c.command):len(c.command)], r[0], api.URL+r[1]), r[2:]...)...)
				command.Dir, command.Env = folder, append(os.Environ(), c.environment...)
				out, err := command.CombinedOutput()
				want := "got " + strings.Join(r[2:], "") + "\n200\n"
				if strings.Contains(name, "wrong") {
					want = "signature_invalid\n\n401\n"
				}
				if err != nil || string(out) != want {
					t.Errorf("%s: %v\n%s\nwant\n%s", strings.Join(r, " "), err, out, want)
				}
			}
		})
	}
}
