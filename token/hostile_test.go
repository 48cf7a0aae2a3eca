package token_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/token"
)

// forge is an attacker who has everything that is public, and some tokens; and
// for the cases about what is read after the signature, the private keys too.
type forge struct {
	*house

	kids    map[token.Algorithm]string
	public  map[token.Algorithm][]byte // SubjectPublicKeyInfo
	own     *ecdsa.PrivateKey          // the attacker's
	private *ecdsa.PrivateKey          // ours
	payload string                     // of a good token
	good    map[token.Algorithm]string
}

func newForge(h *house) *forge {
	h.Helper()
	h.move(token.Tend)
	f := &forge{house: h, kids: map[token.Algorithm]string{}, public: map[token.Algorithm][]byte{}, good: map[token.Algorithm]string{}}
	for i := range h.shelf.keys {
		k := &h.shelf.keys[i]
		f.kids[token.Algorithm(k.Algorithm)], f.public[token.Algorithm(k.Algorithm)] = k.ID.Hex(), k.Public
		if k.Algorithm == string(token.ES256) {
			f.private = f.unsealed(k)
		}
	}
	for _, a := range token.Algorithms() {
		f.good[a] = h.issue(a, h.claims())
	}
	_, rest, _ := strings.Cut(f.good[token.ES256], ".")
	encoded, _, _ := strings.Cut(rest, ".")
	payload, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		h.Fatal(err)
	}
	f.payload = string(payload)
	if f.own, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		h.Fatal(err)
	}
	return f
}

// unsealed opens the private half as its service does.
func (h *house) unsealed(k *store.TokenKey) *ecdsa.PrivateKey {
	h.Helper()
	der, err := h.ring.Open(keyring.WrappedKey{
		ID: h.shelf.dataKey.ID, Organization: h.shelf.dataKey.Organization, Version: h.shelf.dataKey.Version, Wrapped: h.shelf.dataKey.Wrapped,
	}, keyring.Binding{Organization: h.shelf.operator, Object: "token key " + k.ID.Hex(), Field: "ES256 private key"}, k.Sealed)
	if err != nil {
		h.Fatal(err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey([]byte(der.Expose()))
	if err != nil {
		h.Fatal(err)
	}
	return parsed.(*ecdsa.PrivateKey)
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// header is a good one of ES256, with members added in front.
func (f *forge) header(more string) string {
	return fmt.Sprintf(`{%s"alg":"ES256","typ":"JWT","kid":"%s"}`, more, f.kids[token.ES256])
}

// signed is what the texts make with an ES256 signature of the key.
func (f *forge) signed(key *ecdsa.PrivateKey, header, payload string) string {
	return f.sealed(key, b64(header)+"."+b64(payload))
}

func (f *forge) sealed(key *ecdsa.PrivateKey, signing string) string {
	f.Helper()
	sum := sha256.Sum256([]byte(signing))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		f.Fatal(err)
	}
	return signing + "." + base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

// mac is what the texts make with an HMAC.
func mac(secret []byte, header, payload string) string {
	signing := b64(header) + "." + b64(payload)
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(signing))
	return signing + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// with changes one member of the good payload.
func (f *forge) with(name string, value any) string {
	f.Helper()
	var all map[string]any
	if err := json.Unmarshal([]byte(f.payload), &all); err != nil {
		f.Fatal(err)
	}
	if all[name] = value; value == nil {
		delete(all, name)
	}
	text, err := json.Marshal(all)
	if err != nil {
		f.Fatal(err)
	}
	return string(text)
}

// hostile are tokens of which none may be taken.
func (f *forge) hostile() map[string]string {
	f.Helper()
	all := map[string]string{}
	es, rs := f.good[token.ES256], f.good[token.RS256]
	parts := strings.Split(es, ".")
	own, ours := f.own, f.private
	good := f.header("")

	// No signature, under every name for that.
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "noNe", "", " none", "none\x00", "null"} {
		text, _ := json.Marshal(map[string]string{"alg": alg, "typ": "JWT", "kid": f.kids[token.ES256]})
		all["alg "+alg+", no signature"] = b64(string(text)) + "." + parts[1] + "."
		all["alg "+alg+", a signature"] = b64(string(text)) + "." + parts[1] + "." + parts[2]
		all["alg "+alg+", signed by us"] = f.signed(ours, string(text), f.payload)
	}
	// Our public keys as the secrets of an HMAC.
	for _, a := range token.Algorithms() {
		block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: f.public[a]})
		document, _, err := f.KeySet(f.Context())
		if err != nil {
			f.Fatal(err)
		}
		for name, secret := range map[string][]byte{"DER": f.public[a], "PEM": block, "PEM, trimmed": []byte(strings.TrimSpace(string(block))), "nothing": {}, "the kid": []byte(f.kids[a]), "the set": document} {
			for _, alg := range []string{"HS256", "HS384", string(a)} {
				all[fmt.Sprintf("%s with the %s key as %s", alg, a, name)] = mac(secret, fmt.Sprintf(`{"alg":"%s","typ":"JWT","kid":"%s"}`, alg, f.kids[a]), f.payload)
			}
		}
	}
	// Algorithms that are not the key's.
	for _, alg := range []string{"ES384", "ES512", "ES256K", "RS256", "PS256", "RS384", "EdDSA", "es256", "ES256 ", "RSA-OAEP", "dir", "A128KW"} {
		all["our key as "+alg] = f.signed(ours, fmt.Sprintf(`{"alg":"%s","typ":"JWT","kid":"%s"}`, alg, f.kids[token.ES256]), f.payload)
		all["the RS256 key as "+alg] = f.signed(ours, fmt.Sprintf(`{"alg":"%s","typ":"JWT","kid":"%s"}`, strings.Replace(alg, "RS256", "RS512", 1), f.kids[token.RS256]), f.payload)
	}
	all["no alg"] = f.signed(ours, fmt.Sprintf(`{"typ":"JWT","kid":"%s"}`, f.kids[token.ES256]), f.payload)
	all["alg a number"] = f.signed(ours, fmt.Sprintf(`{"alg":256,"typ":"JWT","kid":"%s"}`, f.kids[token.ES256]), f.payload)
	all["alg a list"] = f.signed(ours, fmt.Sprintf(`{"alg":["ES256"],"typ":"JWT","kid":"%s"}`, f.kids[token.ES256]), f.payload)
	all["ALG"] = f.signed(ours, fmt.Sprintf(`{"ALG":"ES256","typ":"JWT","kid":"%s"}`, f.kids[token.ES256]), f.payload)

	// Keys that the token brings along.
	x, y := encodedPoint(own)
	for name, more := range map[string]string{
		"jwk":      fmt.Sprintf(`"jwk":{"kty":"EC","crv":"P-256","x":"%s","y":"%s"},`, x, y),
		"jku":      `"jku":"https://attacker.example/jwks.json",`,
		"x5u":      `"x5u":"https://attacker.example/chain.pem",`,
		"x5c":      `"x5c":["MIIB"],`,
		"x5t":      `"x5t":"AAAA",`,
		"x5t#S256": `"x5t#S256":"AAAA",`,
	} {
		all[name+" of another"] = f.signed(own, f.header(more), f.payload)
	}
	// kids that are no kids of ours.
	for _, kid := range []string{
		"", "x", f.kids[token.ES256][:23], f.kids[token.ES256] + "0", strings.ToUpper(f.kids[token.ES256]) + "!", " " + f.kids[token.ES256], f.kids[token.ES256] + "\x00",
		"../../../../dev/null", "/dev/null", "' OR '1'='1", "'; DROP TABLE token_keys; --", "| id", "http://attacker.example/key", "%00", "${jndi:ldap://x}", "000000000000000000000000",
	} {
		text, _ := json.Marshal(map[string]string{"alg": "ES256", "typ": "JWT", "kid": kid})
		all["kid "+kid+", another's signature"] = f.signed(own, string(text), f.payload)
		all["kid "+kid+", our signature"] = f.signed(ours, string(text), f.payload)
	}
	all["no kid"] = f.signed(ours, `{"alg":"ES256","typ":"JWT"}`, f.payload)
	all["kid a list"] = f.signed(ours, fmt.Sprintf(`{"alg":"ES256","typ":"JWT","kid":["%s"]}`, f.kids[token.ES256]), f.payload)
	all["kid null"] = f.signed(ours, `{"alg":"ES256","typ":"JWT","kid":null}`, f.payload)

	// Extensions that change how it is read, and types that are not ours.
	for _, more := range []string{
		`"crit":["exp"],`, `"crit":[],`, `"crit":null,`, `"crit":["b64"],"b64":false,`, `"b64":false,`, `"b64":true,`, `"b64":null,`, `"crit":"x",`, `"crit":["alg"],`,
	} {
		all[more] = f.signed(ours, f.header(more), f.payload)
	}
	for _, typ := range []string{"", "jwt", "JOSE", "at+JWT", "application/at+jwt", "at", "id_token", "secevent+jwt", "token-introspection+jwt", "dpop+jwt", "logout+jwt", "JWE", "application/jwt", "JWT "} {
		all["typ "+typ] = f.signed(ours, fmt.Sprintf(`{"alg":"ES256","typ":"%s","kid":"%s"}`, typ, f.kids[token.ES256]), f.payload)
	}
	all["no typ"] = f.signed(ours, fmt.Sprintf(`{"alg":"ES256","kid":"%s"}`, f.kids[token.ES256]), f.payload)

	// Texts of which two readers would think differently.
	for name, text := range map[string]string{
		"alg twice":              f.header(`"alg":"none",`),
		"kid twice":              f.header(`"kid":"x",`),
		"typ twice":              f.header(`"typ":"JWT",`),
		"an unknown one twice":   f.header(`"a":1,"a":2,`),
		"twice below":            f.header(`"a":{"b":1,"b":2},`),
		"escaped twice":          f.header(`"\u0061lg":"none",`),
		"text after it":          good + "{}",
		"a NUL after it":         good + "\x00",
		"invalid UTF-8":          f.header("\"a\":\"\xff\","),
		"a lone surrogate":       f.header(`"a":"\ud800",`),
		"a comment":              f.header(`/* */`),
		"a byte order mark":      "\ufeff" + good,
		"a comma too many":       strings.Replace(good, "}", ",}", 1),
		"a list":                 "[" + good + "]",
		"a string":               `"x"`,
		"null":                   "null",
		"a number":               "1",
		"nothing but white text": "   ",
		"cut short":              good[:len(good)-1],
	} {
		all["header: "+name] = f.signed(ours, text, f.payload)
	}
	for name, text := range map[string]string{
		"exp twice":            strings.Replace(f.payload, "{", `{"exp":99999999999,`, 1),
		"client_id twice":      strings.Replace(f.payload, "{", `{"client_id":"x",`, 1),
		"an unknown one twice": strings.Replace(f.payload, "{", `{"a":1,"a":1,`, 1),
		"twice below":          strings.Replace(f.payload, "{", `{"a":[{"b":1,"b":1}],`, 1),
		"escaped twice":        strings.Replace(f.payload, "{", `{"s\u0075b":"x",`, 1),
		"text after it":        f.payload + "x",
		"invalid UTF-8":        strings.Replace(f.payload, "{", "{\"a\":\"\xc3\x28\",", 1),
		"a list":               "[" + f.payload + "]",
		"null":                 "null",
		"no object":            "true",
		"too deep":             strings.Replace(f.payload, "{", `{"a":`+strings.Repeat("[", 5000)+`,`, 1),
		"no exp":               f.with("exp", nil),
		"exp a string":         f.with("exp", "99999999999"),
		"exp a fraction":       f.with("exp", 99999999999.5),
		"exp beyond 64 bits":   strings.Replace(f.with("exp", nil), "{", `{"exp":1e30,`, 1),
		"exp null":             strings.Replace(f.with("exp", nil), "{", `{"exp":null,`, 1),
		"exp true":             f.with("exp", true),
		"exp a list":           f.with("exp", []int64{99999999999}),
		"EXP":                  strings.Replace(f.payload, `"exp"`, `"EXP"`, 1),
		"no sub":               f.with("sub", nil),
		"sub empty":            f.with("sub", ""),
		"sub a number":         f.with("sub", 1),
		"no iss":               f.with("iss", nil),
		"no jti":               f.with("jti", nil),
		"no client_id":         f.with("client_id", nil),
		"client_id a list":     f.with("client_id", []string{"7Hk2mQ9xTz4LpW0e"}),
		"no aud":               f.with("aud", nil),
		"aud empty":            f.with("aud", []string{}),
		"aud an object":        f.with("aud", map[string]string{"a": "b"}),
		"aud of numbers":       f.with("aud", []int{1}),
		"scope a list":         f.with("scope", []string{"*"}),
		"scope a number":       f.with("scope", 1),
	} {
		all["payload: "+name] = f.signed(ours, good, text)
	}
	// Ends that have come.
	for name, exp := range map[string]int64{"now": f.now.Unix(), "a second ago": f.now.Unix() - 1, "the epoch": 0, "before it": -1, "the least": -1 << 63} {
		all["exp "+name] = f.signed(ours, good, f.with("exp", exp))
	}

	// Signatures that are none.
	signing := parts[0] + "." + parts[1]
	n := elliptic.P256().Params().N
	pair := func(r, s *big.Int) string {
		return signing + "." + base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
	}
	zero, one := new(big.Int), big.NewInt(1)
	for name, jwt := range map[string]string{
		"r and s 0": pair(zero, zero), "r 0": pair(zero, one), "s 0": pair(one, zero), "r and s n": pair(n, n), "r and s 1": pair(one, one),
		"r n, s 0": pair(n, zero), "r n+1": pair(new(big.Int).Add(n, one), one),
		"all ones": signing + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("\xff", 64))),
		"empty":    signing + ".", "a byte": signing + ".AA", "63 bytes": signing + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 63)),
		"65 bytes":              signing + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 65)),
		"another token's":       signing + "." + strings.Split(f.issue(token.ES256, f.claims()), ".")[2] + "A",
		"the RS256 one":         signing + "." + strings.Split(rs, ".")[2],
		"another's":             f.sealed(own, signing),
		"of the payload alone":  signing + "." + strings.Split(f.sealed(own, parts[1]), ".")[1],
		"DER":                   signing + "." + base64.RawURLEncoding.EncodeToString(der(f, ours, signing)),
		"RSA, of a key of ours": strings.Join(strings.Split(rs, ".")[:2], ".") + "." + base64.RawURLEncoding.EncodeToString(make([]byte, rsaSize(f))),
	} {
		all["signature: "+name] = jwt
	}

	// Spellings of a good one that are not its own, and what is not even a token.
	for name, jwt := range map[string]string{
		"a segment more": es + ".", "two more": es + "..", "a dot before": "." + es, "five segments": es + ".a.b", "two segments": signing, "one segment": parts[0],
		"nothing": "", "dots": "..", "many dots": strings.Repeat(".", 8000), "padded": es + "==", "padded header": parts[0] + "=." + parts[1] + "." + parts[2],
		"a line break at its end": es + "\n", "a line break inside": parts[0] + ".\n" + parts[1] + "." + parts[2], "a return inside": parts[0][:4] + "\r" + parts[0][4:] + "." + parts[1] + "." + parts[2],
		"a space before": " " + es, "a space after": es + " ", "Bearer": "Bearer " + es, "standard alphabet": strings.NewReplacer("-", "+", "_", "/").Replace(es) + "+/",
		"trailing bits": trailing(es), "the last character gone": es[:len(es)-1], "the first gone": es[1:], "header and payload swapped": parts[1] + "." + parts[0] + "." + parts[2],
		"the JSON form": `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`,
		"an unsecured":  b64(`{"alg":"none"}`) + "." + parts[1] + ".", "encrypted": b64(`{"alg":"dir","enc":"A128GCM"}`) + "..AAAA.AAAA.AAAA",
		"too long, and signed": f.signed(ours, good, f.with("name", strings.Repeat("x", token.MaxLen))), "a megabyte": strings.Repeat("A", 1<<20),
		"a megabyte in three": strings.Repeat("A", 1<<19) + "." + strings.Repeat("A", 1<<18) + "." + strings.Repeat("A", 1<<18), "a NUL": es + "\x00", "in capitals": strings.ToUpper(es),
		"percent": strings.ReplaceAll(es, ".", "%2e"), "invalid UTF-8": es[:10] + "\xff" + es[10:], "detached": parts[0] + ".." + parts[2], "an empty header": "." + parts[1] + "." + parts[2],
	} {
		all["form: "+name] = jwt
	}
	// Good tokens with one character changed, here and there.
	for alg, jwt := range f.good {
		for i := 3; i < len(jwt); i += len(jwt)/40 + 1 {
			if jwt[i] != '.' {
				all[fmt.Sprintf("%s: character %d changed", alg, i)] = jwt[:i] + string("AB"[(jwt[i]&1)]) + jwt[i+1:]
			}
		}
	}
	f.accessTokens(all)
	return all
}

// accessTokens are hostile ones that say they are of the type of RFC 9068.
func (f *forge) accessTokens(all map[string]string) {
	f.Helper()
	header := func(alg, kid, more string) string {
		return fmt.Sprintf(`{%s"alg":"%s","typ":"at+jwt","kid":"%s"}`, more, alg, kid)
	}
	kid, own := f.kids[token.ES256], f.own
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: f.public[token.RS256]})
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "NoNe"} {
		all["at+jwt, alg "+alg] = b64(header(alg, kid, "")) + "." + b64(f.payload) + "."
		all["at+jwt, alg "+alg+", signed by us"] = f.signed(f.private, header(alg, kid, ""), f.payload)
	}
	for _, alg := range []string{"HS256", "HS384", "HS512"} {
		all["at+jwt, "+alg+" with the PEM key"] = mac(block, header(alg, f.kids[token.RS256], ""), f.payload)
		all["at+jwt, "+alg+" with the DER key"] = mac(f.public[token.RS256], header(alg, f.kids[token.RS256], ""), f.payload)
		all["at+jwt, "+alg+" with ours of ES256"] = mac(f.public[token.ES256], header(alg, kid, ""), f.payload)
	}
	x, y := encodedPoint(own)
	for name, more := range map[string]string{
		"jwk": fmt.Sprintf(`"jwk":{"kty":"EC","crv":"P-256","x":"%s","y":"%s","kid":"%s"},`, x, y, kid), "jku": `"jku":"https://attacker.example/jwks.json",`,
		"x5u": `"x5u":"https://attacker.example/chain.pem",`, "x5c": `"x5c":["MIIB"],`, "x5t": `"x5t":"AAAA",`, "cty": `"cty":"JWT",`, "zip": `"zip":"DEF",`, "enc": `"enc":"A128GCM",`,
		"epk": `"epk":{},`, "nonce": `"nonce":"x",`, "url": `"url":"https://attacker.example",`, "p2c": `"p2c":2147483647,`,
	} {
		all["at+jwt, "+name+" of another"] = f.signed(own, header("ES256", kid, more), f.payload)
		all["at+jwt, "+name+", no signature"] = b64(header("none", kid, more)) + "." + b64(f.payload) + "."
	}
	for _, more := range []string{`"crit":["exp"],`, `"crit":["jku"],"jku":"x",`, `"b64":false,`, `"crit":["b64"],"b64":true,`, `"typ":"JWT",`, `"alg":"ES256",`, `"kid":"x",`} {
		all["at+jwt, "+more] = f.signed(f.private, header("ES256", kid, more), f.payload)
	}
	for name, exp := range map[string]any{
		"now": f.now.Unix(), "a second ago": f.now.Unix() - 1, "in milliseconds ago": -f.now.UnixMilli(), "a fraction": float64(f.now.Unix()) + 600.5, "in words": "never",
		"a list": []int{1}, "an object": map[string]int{"a": 1}, "true": true, "the epoch": 0, "none": nil,
	} {
		all["at+jwt, exp "+name] = f.signed(f.private, header("ES256", kid, ""), f.with("exp", exp))
	}
	for name, act := range map[string]any{"a text": "user:x", "a list": []string{"x"}, "nobody": map[string]string{}, "a number": 1, "true": true, "a number within": map[string]int{"sub": 1}} {
		all["at+jwt, act "+name] = f.signed(f.private, header("ES256", kid, ""), f.with("act", act))
	}
	for name, member := range map[string]string{"sub": "sub", "jti": "jti", "iss": "iss", "client_id": "client_id", "aud": "aud"} {
		all["at+jwt, no "+name] = f.signed(f.private, header("ES256", kid, ""), f.with(member, nil))
		all["at+jwt, "+name+" an object"] = f.signed(f.private, header("ES256", kid, ""), f.with(member, map[string]string{"a": "b"}))
	}
}

func encodedPoint(k *ecdsa.PrivateKey) (x, y string) {
	point, _ := k.PublicKey.Bytes()
	return base64.RawURLEncoding.EncodeToString(point[1:33]), base64.RawURLEncoding.EncodeToString(point[33:])
}

func der(f *forge, k *ecdsa.PrivateKey, signing string) []byte {
	sum := sha256.Sum256([]byte(signing))
	signature, err := ecdsa.SignASN1(rand.Reader, k, sum[:])
	if err != nil {
		f.Fatal(err)
	}
	return signature
}

func rsaSize(f *forge) int {
	k, err := x509.ParsePKIXPublicKey(f.public[token.RS256])
	if err != nil {
		f.Fatal(err)
	}
	return k.(*rsa.PublicKey).Size()
}

// trailing is the token with its last character changed in bits that stand for
// nothing: 64 bytes leave four of them.
func trailing(jwt string) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(digits, jwt[len(jwt)-1])
	return jwt[:len(jwt)-1] + string(digits[last|1])
}

func TestHostileTokens(t *testing.T) {
	t.Parallel()
	f := newForge(open(t))
	// The forge itself works, or the table would prove nothing.
	f.mustVerify("signed by the forge with our key", f.signed(f.private, f.header(""), f.payload))
	f.mustVerify("with headers that are not read", f.signed(f.private, f.header(`"jku":"https://x","x5u":1,"jwk":[],"x5c":{},`), f.payload))
	f.mustVerify("an access token", f.signed(f.private, strings.Replace(f.header(""), "JWT", "at+jwt", 1), f.payload))
	for _, a := range token.Algorithms() {
		f.mustVerify("issued", f.good[a])
	}
	all := f.hostile()
	for name, jwt := range all {
		if v, err := f.verify(jwt); err == nil {
			t.Errorf("%s: taken as %s", name, v.Subject())
		} else if !errors.Is(err, token.ErrInvalid) && !errors.Is(err, token.ErrExpired) {
			t.Errorf("%s: %v is no word on the token", name, err)
		} else if len(jwt) > 40 && strings.Contains(err.Error(), jwt[:40]) {
			t.Errorf("%s: the error repeats the token", name)
		}
	}
	const atLeast = 400
	if t.Logf("%d hostile tokens", len(all)); len(all) < atLeast {
		t.Errorf("%d hostile tokens, and there were %d", len(all), atLeast)
	}
}
