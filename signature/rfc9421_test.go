package signature_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"latchkey.dev/latchkey/signature"
)

// The messages of RFC 9421, appendix B.2.
var (
	testRequest = map[string]string{
		`"@method"`: "POST", `"@authority"`: "example.com", `"@path"`: "/foo", `"@query"`: "?param=Value&Pet=dog", `"@query-param";name="Pet"`: "dog",
		`"date"`: "Tue, 20 Apr 2021 02:07:55 GMT", `"content-type"`: "application/json", `"content-length"`: "18",
		`"content-digest"`: "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
	}
	testResponse = map[string]string{
		`"@status"`: "200", `"date"`: "Tue, 20 Apr 2021 02:07:56 GMT", `"content-type"`: "application/json", `"content-length"`: "23",
		`"content-digest"`: "sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:",
	}
)

// baseOf makes the base of one signature of a message.
func baseOf(t *testing.T, label, input string, message map[string]string) string {
	t.Helper()
	all, err := signature.ParseInput(label + "=" + input)
	if err != nil || len(all) != 1 || all[0].Label != label {
		t.Fatalf("ParseInput: %v, %v", all, err)
	}
	if all[0].String() != input {
		t.Errorf("%s is written %s", input, all[0].String())
	}
	base, err := all[0].Base(func(c signature.Component) (string, error) {
		if v, ok := message[c.String()]; ok {
			return v, nil
		}
		return "", fmt.Errorf("no %s", c)
	})
	if err != nil {
		t.Fatal(err)
	}
	return base
}

// The signature bases of RFC 9421, appendices B.2.1 to B.2.6.
func TestBasesOfRFC9421(t *testing.T) {
	digest := "\"content-digest\": " + testRequest[`"content-digest"`] + "\n"
	for _, c := range []struct {
		section, input string
		message        map[string]string
		lines          string // before that of the parameters
	}{
		{"b21", `();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd"`, testRequest, ""},
		{"b22", `("@authority" "content-digest" "@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss";tag="header-example"`, testRequest,
			"\"@authority\": example.com\n" + digest + "\"@query-param\";name=\"Pet\": dog\n"},
		{"b23", `("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss"`, testRequest,
			"\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@method\": POST\n\"@path\": /foo\n\"@query\": ?param=Value&Pet=dog\n\"@authority\": example.com\n" +
				"\"content-type\": application/json\n" + digest + "\"content-length\": 18\n"},
		{"b24", `("@status" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-ecc-p256"`, testResponse,
			"\"@status\": 200\n\"content-type\": application/json\n\"content-digest\": " + testResponse[`"content-digest"`] + "\n\"content-length\": 23\n"},
		{"b25", inputB25, testRequest, "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@authority\": example.com\n\"content-type\": application/json\n"},
		{"b26", inputB26, testRequest,
			"\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@method\": POST\n\"@path\": /foo\n\"@authority\": example.com\n\"content-type\": application/json\n\"content-length\": 18\n"},
	} {
		if got, want := baseOf(t, "sig-"+c.section, c.input, c.message), c.lines+`"@signature-params": `+c.input; got != want {
			t.Errorf("%s: the base is\n%s\nand not\n%s", c.section, got, want)
		}
	}
}

const (
	inputB24 = `("@status" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-ecc-p256"`
	inputB25 = `("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`
	inputB26 = `("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"`
)

// The signatures of RFC 9421 that are the same each time, or can be checked with
// the standard library, hold over these bases.
func TestSignaturesOfRFC9421(t *testing.T) {
	mac := hmac.New(sha256.New, decoded(t, "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="))
	mac.Write([]byte(baseOf(t, "sig-b25", inputB25, testRequest)))
	if got := base64.StdEncoding.EncodeToString(mac.Sum(nil)); got != "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=" {
		t.Errorf("B.2.5: %s", got)
	}
	public := publicKey[ed25519.PublicKey](t, "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=")
	if !ed25519.Verify(public, []byte(baseOf(t, "sig-b26", inputB26, testRequest)),
		decoded(t, "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==")) {
		t.Error("B.2.6 does not hold")
	}
	curve := publicKey[*ecdsa.PublicKey](t, "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lfw0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==")
	sum := sha256.Sum256([]byte(baseOf(t, "sig-b24", inputB24, testResponse)))
	value := decoded(t, "wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==")
	if !ecdsa.Verify(curve, sum[:], new(big.Int).SetBytes(value[:32]), new(big.Int).SetBytes(value[32:])) {
		t.Error("B.2.4 does not hold")
	}
	for body, digest := range map[string]string{`{"hello": "world"}`: testRequest[`"content-digest"`], `{"message": "good dog"}`: testResponse[`"content-digest"`]} {
		sum := sha512.Sum512([]byte(body))
		if digest != "sha-512=:"+base64.StdEncoding.EncodeToString(sum[:])+":" {
			t.Errorf("the digest of %s is another", body)
		}
	}
}

func publicKey[K any](t *testing.T, der string) K {
	t.Helper()
	parsed, err := x509.ParsePKIXPublicKey(decoded(t, der))
	if err != nil {
		t.Fatal(err)
	}
	return parsed.(K)
}

func decoded(t *testing.T, s string) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// A base has one line for each component, whatever is in the message.
func TestBaseIsOfTheMessageAlone(t *testing.T) {
	for name, c := range map[string]struct{ input, value, fails string }{
		"a line break":        {`a=("x")`, "1\n\"y\": 2", "printable"},
		"a carriage return":   {`a=("x")`, "1\r", "printable"},
		"beyond ASCII":        {`a=("x")`, "ü", "printable"},
		"a component twice":   {`a=("x" "y" "x")`, "", "twice"},
		"twice with a param":  {`a=("x";p=1 "x";p=1)`, "", "twice"},
		"its own parameters":  {`a=("@signature-params")`, "", "cannot be covered"},
		"a param on one only": {`a=("x" "x";p)`, "1", ""},
	} {
		all, err := signature.ParseInput(c.input)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, err = all[0].Base(func(signature.Component) (string, error) { return c.value, nil })
		if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, input := range []string{`a=("X")`, `a=(x)`, `a=("")`, `a="x"`, `a`, `a=("x"`, `a=("x");p;p`, `a=("x"), a=("y")`, `A=("x")`, `a=("x"),`, "a=(\"x\n\")", `a=("x""y")`, `a=(1)`} {
		if all, err := signature.ParseInput(input); err == nil {
			t.Errorf("%s is read as %v", input, all)
		}
	}
}
