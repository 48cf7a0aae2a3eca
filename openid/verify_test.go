package openid_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/openid"
)

// desk is a provider whose every answer the test chooses.
type desk struct {
	testing.TB
	*httptest.Server
	*openid.Service

	now      time.Time
	issuer   *latchkey.Issuer
	keys     map[string]crypto.Signer // by kid
	readings atomic.Int64             // of the key set
	metadata func(w http.ResponseWriter)
	set      atomic.Pointer[func(w http.ResponseWriter)] // in the key set's place
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	es, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	es384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	rs, _ := rsa.GenerateKey(rand.Reader, 2048)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	d := &desk{TB: t, now: time.Unix(1_800_000_000, 0), keys: map[string]crypto.Signer{"es": es, "es384": es384, "rs": rs, "ed": ed}}
	d.Server = httptest.NewServer(http.HandlerFunc(d.serve))
	t.Cleanup(d.Close)
	d.issuer = &latchkey.Issuer{
		ID: latchkey.ID{1}, URL: d.URL, Audiences: []string{"latchkey", "other"}, Algorithms: []string{"ES256", "ES384", "RS256", "PS256", "EdDSA"}, Claim: "groups",
	}
	d.Service = openid.New(openid.Config{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	return d
}

func (d *desk) serve(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		if d.metadata != nil {
			d.metadata(w)
			return
		}
		_, _ = fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, d.URL, d.URL+"/keys")
	case "/keys":
		d.readings.Add(1)
		if other := d.set.Load(); other != nil {
			(*other)(w)
			return
		}
		_, _ = w.Write(d.published())
	default:
		w.WriteHeader(404)
	}
}

func (d *desk) published() []byte {
	var set jose.JSONWebKeySet
	for kid, k := range d.keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.Public(), KeyID: kid, Use: "sig"})
	}
	text, err := json.Marshal(set)
	if err != nil {
		d.Fatal(err)
	}
	return text
}

func (d *desk) claims() jwt.MapClaims {
	return jwt.MapClaims{"iss": d.URL, "sub": "ada", "aud": "latchkey", "exp": d.now.Unix() + 600, "iat": d.now.Unix(), "groups": []string{"a", "b"}}
}

func (d *desk) with(name string, value any) jwt.MapClaims {
	c := d.claims()
	if c[name] = value; value == nil {
		delete(c, name)
	}
	return c
}

func (d *desk) sign(algorithm, kid string, claims jwt.MapClaims, headers ...string) string {
	d.Helper()
	t := jwt.NewWithClaims(jwt.GetSigningMethod(algorithm), claims)
	t.Header["kid"] = kid
	for i := 0; i < len(headers); i += 2 {
		if t.Header[headers[i]] = headers[i+1]; headers[i+1] == "" {
			delete(t.Header, headers[i])
		}
	}
	signed, err := t.SignedString(d.keys[kid])
	if err != nil {
		d.Fatal(err)
	}
	return signed
}

func (d *desk) verify(token string) (*latchkey.Assertion, error) {
	return d.Verify(d.Context(), latchkey.NewPlaintext(token), d.now, func(url string, audience []string) (*latchkey.Issuer, error) {
		if url == d.issuer.URL && d.issuer.Meant(audience) {
			return d.issuer, nil
		}
		return nil, nil
	})
}

func (d *desk) refused(what, token string, code latchkey.ErrorCode) {
	d.Helper()
	if said, err := d.verify(token); latchkey.CodeOf(err) != code {
		d.Errorf("%s: %v, %v", what, said, err)
	}
}

func (d *desk) good(what, token string) *latchkey.Assertion {
	d.Helper()
	said, err := d.verify(token)
	if err != nil {
		d.Fatalf("%s: %v", what, err)
	}
	return said
}

func TestGoodTokens(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for algorithm, kid := range map[string]string{"ES256": "es", "ES384": "es384", "RS256": "rs", "PS256": "rs", "EdDSA": "ed"} {
		said := d.good(algorithm, d.sign(algorithm, kid, d.claims()))
		if said.Issuer != d.issuer || said.Subject != "ada" || said.ExpiresAt.Unix() != d.now.Unix()+600 || !slices.Equal(said.Values, []string{"a", "b"}) {
			t.Errorf("%s: %+v", algorithm, said)
		}
	}
	for name, c := range map[string]struct {
		claim  string
		claims jwt.MapClaims
		values []string
	}{
		"one value":          {"groups", d.with("groups", "a"), []string{"a"}},
		"none":               {"groups", d.with("groups", nil), nil},
		"other things":       {"groups", d.with("groups", []any{"a", 1, nil, []string{"b"}}), []string{"a"}},
		"a pointer":          {"/realm/roles", d.with("realm", object{"roles": []string{"x"}}), []string{"x"}},
		"an escaped pointer": {"/https:~1~1id~0/0", d.with("https://id~", object{"0": "y"}), []string{"y"}},
		"past the end":       {"/groups/0", d.claims(), nil},
		"a name with dots":   {"a.b", d.with("a.b", "z"), []string{"z"}},
	} {
		d.issuer.Claim = c.claim
		if said := d.good(name, d.sign("ES256", "es", c.claims)); !slices.Equal(said.Values, c.values) {
			t.Errorf("%s: %q", name, said.Values)
		}
	}
	for _, claims := range []jwt.MapClaims{d.with("aud", []string{"x", "other"}), d.with("exp", float64(d.now.Unix())+0.5), d.with("nbf", d.now.Unix()+30), d.with("iat", nil)} {
		d.good(fmt.Sprint(claims), d.sign("ES256", "es", claims))
	}
	for _, typ := range []string{"", "JWT", "at+jwt", "application/at+JWT"} {
		d.good("typ "+typ, d.sign("ES256", "es", d.claims(), "typ", typ))
	}
	if d.readings.Load() != 1 {
		t.Errorf("the keys were read %d times", d.readings.Load())
	}
	one, two := latchkey.Assertion{Issuer: d.issuer, Subject: "ada"}, latchkey.Assertion{Issuer: &latchkey.Issuer{ID: latchkey.ID{2}}, Subject: "ada"}
	if one.Identity() == two.Identity() || one.Identity().IsZero() {
		t.Error("one subject of two issuers is one identity")
	}
}

func TestHostileTokensOfIssuers(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	own, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	d.keys["hidden"] = own // signs, and is not published
	published := d.published()
	delete(d.keys, "hidden")
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal(published, &set); err != nil {
		t.Fatal(err)
	}
	good := d.sign("ES256", "es", d.claims())
	parts := strings.Split(good, ".")
	b64 := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	der, _ := x509.MarshalPKIXPublicKey(d.keys["rs"].Public())
	mac := func(kid string, secret []byte) string {
		k := jwt.NewWithClaims(jwt.SigningMethodHS256, d.claims())
		k.Header["kid"] = kid
		signed, _ := k.SignedString(secret)
		return signed
	}
	foreign := func(header string) string {
		signing := b64(header) + "." + parts[1]
		signature, _ := jwt.SigningMethodES256.Sign(signing, own)
		return signing + "." + base64.RawURLEncoding.EncodeToString(signature)
	}
	hostile := map[string]string{
		"nothing": "", "two segments": parts[0] + "." + parts[1], "no signature": parts[0] + "." + parts[1] + ".", "a padded one": good + "=", "a megabyte": strings.Repeat("A", 1<<20),
		"signed by another": foreign(`{"alg":"ES256","kid":"es"}`), "HMAC of the public key": mac("rs", der), "HMAC of nothing": mac("es", nil), "of the set": mac("es", published),
		"a key brought along": foreign(`{"alg":"ES256","kid":"es","jwk":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}}`), "jku": foreign(`{"alg":"ES256","kid":"es","jku":"https://attacker.example"}`),
		"kid a path": foreign(`{"alg":"ES256","kid":"../../dev/null"}`), "no kid": d.sign("ES256", "es", d.claims(), "kid", ""),
		"a switched payload": parts[0] + "." + b64(`{"iss":"`+d.URL+`","sub":"root","aud":"latchkey","exp":99999999999}`) + "." + parts[2],
		"psychic":            parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
	}
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "", "HS256", "ES384", "RS256", "ES256K", "PS256"} {
		hostile["alg "+alg] = b64(`{"alg":"`+alg+`","kid":"es"}`) + "." + parts[1] + "." + parts[2]
	}
	for name, headers := range map[string][]string{
		"a logout token": {"typ", "logout+jwt"}, "a security event": {"typ", "secevent+jwt"}, "dpop": {"typ", "dpop+jwt"}, "crit": {"crit", "exp"}, "b64": {"b64", "x"},
	} {
		hostile[name] = d.sign("ES256", "es", d.claims(), headers...)
	}
	for name, claims := range map[string]jwt.MapClaims{
		"another issuer": d.with("iss", "https://id.example"), "no issuer": d.with("iss", nil), "a slash more": d.with("iss", d.URL+"/"), "another audience": d.with("aud", "elsewhere"),
		"no audience": d.with("aud", nil), "an empty one": d.with("aud", []string{}), "audience an object": d.with("aud", object{"a": 1}), "no subject": d.with("sub", nil),
		"an empty subject": d.with("sub", ""), "a long subject": d.with("sub", strings.Repeat("a", 256)), "a number": d.with("sub", 7), "no end": d.with("exp", nil),
		"ended now": d.with("exp", d.now.Unix()), "ended": d.with("exp", d.now.Unix()-1), "an end in words": d.with("exp", "2100"), "endless": d.with("exp", 1e300), "before time": d.with("exp", -1),
		"not yet": d.with("nbf", d.now.Unix()+61), "of tomorrow": d.with("iat", d.now.Unix()+86400), "nbf in words": d.with("nbf", "x"),
	} {
		hostile[name] = d.sign("ES256", "es", claims)
	}
	twice := b64(`{"alg":"ES256","kid":"es"}`) + "." + b64(`{"iss":"`+d.URL+`","sub":"ada","sub":"root","aud":"latchkey","exp":99999999999}`)
	signature, _ := jwt.SigningMethodES256.Sign(twice, d.keys["es"])
	hostile["a member twice"] = twice + "." + base64.RawURLEncoding.EncodeToString(signature)
	d.good("to begin with", good)
	for name, token := range hostile {
		d.refused(name, token, latchkey.CodeUnauthenticated)
	}
	d.issuer.Algorithms = []string{"RS256"}
	d.refused("an algorithm that is not allowed", good, latchkey.CodeUnauthenticated)
	if len(hostile) < 50 {
		t.Errorf("%d hostile tokens", len(hostile))
	}
	if n := d.readings.Load(); n != 1 {
		t.Errorf("they made %d readings", n)
	}
}

// A flood of unknown kids makes one reading a minute.
func TestUnknownKids(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	good := d.sign("ES256", "es", d.claims())
	d.good("known", good)
	d.keys["other"] = d.keys["es"]
	unknown := func(n int) string { return d.sign("ES256", "es", d.claims(), "kid", fmt.Sprint("unknown-", n)) }
	begin := d.now
	for second := range 180 {
		d.now = begin.Add(time.Duration(second) * time.Second)
		for n := range 5 {
			d.refused("an unknown kid", unknown(second*5+n), latchkey.CodeUnauthenticated)
		}
		d.good("a known one meanwhile", good)
	}
	if n := d.readings.Load(); n != 3 { // at the start, and after one and two minutes
		t.Errorf("%d readings in three minutes", n)
	}
	d.now = begin.Add(4 * time.Minute)
	d.good("one that is new at the provider", d.sign("ES256", "es", d.claims(), "kid", "other"))
	delete(d.keys, "other")
	d.keys["other2"] = d.keys["es"]
	d.now = begin.Add(6 * time.Minute)
	d.good("another", d.sign("ES256", "es", d.claims(), "kid", "other2"))
	d.refused("one that the provider withdrew", d.sign("ES256", "es", d.claims(), "kid", "other"), latchkey.CodeUnauthenticated)
}

// A provider that does not answer holds up nobody whose key is known; those who
// wait for it wait for one reading, and a bounded number of them.
func TestProviderHangs(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	good := d.sign("ES256", "es", d.claims())
	d.good("before", good)
	asked, release := make(chan struct{}, 10), make(chan struct{})
	hang := func(http.ResponseWriter) { asked <- struct{}{}; <-release }
	d.set.Store(&hang)
	d.now = d.now.Add(2 * time.Minute)
	var waiting sync.WaitGroup
	var refused, busy atomic.Int64
	for n := range 100 {
		token := d.sign("ES256", "es", d.claims(), "kid", fmt.Sprint("unknown-", n))
		waiting.Go(func() {
			switch _, err := d.verify(token); latchkey.CodeOf(err) {
			case latchkey.CodeUnauthenticated:
				refused.Add(1)
			case latchkey.CodeUnavailable:
				busy.Add(1)
			}
		})
	}
	<-asked
	for range 100 {
		d.good("meanwhile", good)
	}
	ctx, hangUp := context.WithCancel(t.Context())
	hangUp()
	if _, err := d.Verify(ctx, latchkey.NewPlaintext(d.sign("ES256", "es", d.claims(), "kid", "x")), d.now, func(string, []string) (*latchkey.Issuer, error) { return d.issuer, nil }); latchkey.CodeOf(err) != latchkey.CodeUnavailable {
		t.Errorf("a caller who hung up: %v", err)
	}
	close(release)
	waiting.Wait()
	if d.readings.Load() != 2 || refused.Load()+busy.Load() != 100 || refused.Load() > 64 {
		t.Errorf("%d readings; %d refused, %d were too many", d.readings.Load(), refused.Load(), busy.Load())
	}
	d.good("after", good)
}

// Keys are read again beside their use, last a day without that, and no longer.
func TestHowLongKeysLast(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	token := func() string { return d.sign("ES256", "es", d.claims()) }
	d.good("first", token())
	begin := d.now
	d.now = begin.Add(16 * time.Minute)
	d.good("while it is read again", token())
	d.settled(2)
	d.Close()
	for n, after := range []time.Duration{20 * time.Minute, time.Hour, 24 * time.Hour} {
		d.now = begin.Add(after)
		d.good("after "+after.String(), token())
		d.settled(int64(2 + n)) // none after so short a time, and then one each
	}
	d.now = begin.Add(24*time.Hour + 16*time.Minute)
	d.refused("after a day without the provider", token(), latchkey.CodeUnavailable)
	if all, failed := d.Readings(); all != 5 || failed != 3 {
		t.Errorf("%d readings, %d failed", all, failed)
	}
}

// settled waits until readings have ended.
func (d *desk) settled(n int64) {
	d.Helper()
	for range 1000 {
		if all, _ := d.Readings(); all >= n {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	d.Fatalf("there were no %d readings", n)
}

// What a provider may answer, and what is made of answers that it may not give.
func TestBrokenProviders(t *testing.T) {
	t.Parallel()
	text := func(s string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { _, _ = io.WriteString(w, s) }
	}
	moved := func(w http.ResponseWriter) { w.Header().Set("Location", "/keys"); w.WriteHeader(302) }
	for name, c := range map[string]struct {
		metadata func(d *desk) func(http.ResponseWriter)
		set      func(http.ResponseWriter)
	}{
		"another's metadata": {metadata: func(d *desk) func(http.ResponseWriter) {
			return text(`{"issuer":"https://id.example","jwks_uri":"` + d.URL + `/keys"}`)
		}},
		"no JSON":        {metadata: func(*desk) func(http.ResponseWriter) { return text("<html>") }},
		"a member twice": {metadata: func(d *desk) func(http.ResponseWriter) { return text(`{"issuer":"x","issuer":"` + d.URL + `"}`) }},
		"no key set":     {metadata: func(d *desk) func(http.ResponseWriter) { return text(`{"issuer":"` + d.URL + `"}`) }},
		"a file": {metadata: func(d *desk) func(http.ResponseWriter) {
			return text(`{"issuer":"` + d.URL + `","jwks_uri":"file:///etc/passwd"}`)
		}},
		"moved":                 {metadata: func(*desk) func(http.ResponseWriter) { return moved }},
		"too large":             {metadata: func(*desk) func(http.ResponseWriter) { return text(strings.Repeat(" ", 70<<10)) }},
		"the set moved":         {set: moved},
		"the set is too large":  {set: text(`{"keys":[]` + strings.Repeat(" ", 300<<10) + "}")},
		"an empty set":          {set: text(`{"keys":[]}`)},
		"a secret":              {set: text(`{"keys":[{"kty":"oct","k":"AAAA","kid":"es"}]}`)},
		"too many":              {set: text(`{"keys":[` + strings.Repeat(`{},`, 200) + `{}]}`)},
		"a short RSA key":       {set: text(`{"keys":[{"kty":"RSA","kid":"rs","n":"` + strings.Repeat("_", 171) + `","e":"AQAB"}]}`)},
		"a point off the curve": {set: text(`{"keys":[{"kty":"EC","crv":"P-256","kid":"es","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}`)},
		"an error":              {set: func(w http.ResponseWriter) { w.WriteHeader(500) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			if c.metadata != nil {
				d.metadata = c.metadata(d)
			}
			if c.set != nil {
				d.set.Store(&c.set)
			}
			d.refused(name, d.sign("ES256", "es", d.claims()), latchkey.CodeUnavailable)
		})
	}
}

// No request goes to an address that is not public, whatever the name resolves to
// and wherever the metadata points.
func TestNothingIsAskedOfPrivateAddresses(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.Service = openid.New(openid.Config{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	d.refused("loopback", d.sign("ES256", "es", d.claims()), latchkey.CodeUnavailable)
	d.issuer.URL = strings.Replace(d.URL, "127.0.0.1", "localhost", 1)
	d.refused("a name that resolves to it", d.sign("ES256", "es", d.with("iss", d.issuer.URL)), latchkey.CodeUnavailable)
	tls := httptest.NewTLSServer(http.HandlerFunc(d.serve))
	t.Cleanup(tls.Close)
	d.issuer.URL = tls.URL
	d.refused("over TLS", d.sign("ES256", "es", d.with("iss", tls.URL)), latchkey.CodeUnavailable)
	if d.readings.Load() != 0 {
		t.Errorf("%d readings", d.readings.Load())
	}
}
