package token_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/token"
)

func TestWhatIsSaidIsRead(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.move(token.Tend)
	for _, a := range token.Algorithms() {
		c := h.claims()
		c.Audience = []string{"https://one.example", c.Issuer}
		c.Scope = latchkey.Permissions{"docs:*", "plants:read"}
		c.Actor = token.Actor{Subject: "user:x", Key: latchkey.ID{7}, KID: "another", Family: "f"}
		c.Members = map[string]any{"name": "Ada", "sub": "someone else", "exp": 1, "client_id": "x", "scope": "*", "act": nil}
		v := h.mustVerify(string(a), h.issue(a, c))
		if v.KID() != c.KID || v.ID() != c.ID || v.Subject() != c.Subject || !v.ExpiresAt().Equal(c.ExpiresAt) || !v.ForUs() || !v.Minted() || v.Minter() != c.Actor || !slices.Equal(v.Families(), []string{c.ID, "f"}) || !v.IssuedAt().Equal(c.IssuedAt) || !slices.Equal(v.Scope(), c.Scope) {
			t.Errorf("%s: %+v came back as %+v", a, c, v)
		}
		if got := v.Narrow(latchkey.Permissions{"docs:read", "plants:*"}); !slices.Equal(got, latchkey.Permissions{"docs:read", "plants:read"}) {
			t.Errorf("%s: what is left is %q", a, got)
		}
	}
	plain := h.mustVerify("plain", h.issue(token.ES256, h.claims()))
	held := latchkey.Permissions{"*"}
	if plain.Scope() != nil || plain.Minted() || !slices.Equal(plain.Narrow(held), held) {
		t.Errorf("a plain token is bound: %+v", plain)
	}
	none := h.claims()
	none.Scope = latchkey.Permissions{}
	if got := h.mustVerify("no scope", h.issue(token.ES256, none)).Narrow(held); len(got) != 0 {
		t.Errorf("a token with an empty scope may do %q", got)
	}
	elsewhere := h.claims()
	elsewhere.Audience = []string{"https://other.example"}
	if h.mustVerify("another audience", h.issue(token.ES256, elsewhere)).ForUs() {
		t.Error("a token for another audience is for us")
	}
}

func TestTheEndOfAToken(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.move(token.Tend)
	jwt := h.issue(token.ES256, h.claims())
	h.now = h.now.Add(token.MaxLife - time.Nanosecond)
	h.mustVerify("the last moment", jwt)
	h.now = h.now.Add(time.Nanosecond)
	if _, err := h.verify(jwt); !errors.Is(err, token.ErrExpired) {
		t.Errorf("at its end: %v", err)
	}
}

func TestClaimsThatMakeNoToken(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.move(token.Tend)
	for name, spoil := range map[string]func(*token.Claims){
		"no id":       func(c *token.Claims) { c.ID = "" },
		"no issuer":   func(c *token.Claims) { c.Issuer = "" },
		"no subject":  func(c *token.Claims) { c.Subject = "" },
		"no kid":      func(c *token.Claims) { c.KID = "" },
		"no audience": func(c *token.Claims) { c.Audience = nil },
		"no life":     func(c *token.Claims) { c.ExpiresAt = c.IssuedAt },
		"no end":      func(c *token.Claims) { c.ExpiresAt = time.Time{} },
		"long life":   func(c *token.Claims) { c.ExpiresAt = c.IssuedAt.Add(token.MaxLife + time.Second) },
	} {
		c := h.claims()
		spoil(&c)
		if _, err := h.Issue(t.Context(), token.ES256, c); err == nil {
			t.Errorf("%s: a token was issued", name)
		}
	}
	c := h.claims()
	c.Members = map[string]any{"name": strings.Repeat("x", token.MaxLen)}
	if _, err := h.Issue(t.Context(), token.ES256, c); !errors.Is(err, token.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if _, err := h.Issue(t.Context(), "HS256", h.claims()); !errors.Is(err, token.ErrNoKey) {
		t.Errorf("HS256: %v", err)
	}
	if _, err := open(t).Issue(t.Context(), token.ES256, h.claims()); !errors.Is(err, token.ErrNoKey) {
		t.Errorf("without a key: %v", err)
	}
}

// Another implementation reads our key set and finds our tokens good, through a
// rotation.
func TestAnotherImplementationAgrees(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.move(token.Tend)
	check := func(signed string) {
		t.Helper()
		document, ready, err := h.KeySet(t.Context())
		if err != nil || !ready {
			t.Fatalf("ready %t: %v", ready, err)
		}
		var set jose.JSONWebKeySet
		if err := json.Unmarshal(document, &set); err != nil {
			t.Fatal(err)
		}
		parsed, err := jwt.ParseSigned(signed, []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
		if err != nil {
			t.Fatal(err)
		}
		keys := set.Key(parsed.Headers[0].KeyID)
		if len(keys) != 1 || !keys[0].Valid() || !keys[0].IsPublic() || keys[0].Use != "sig" || keys[0].Algorithm != parsed.Headers[0].Algorithm {
			t.Fatalf("the set has %+v for %s", keys, parsed.Headers[0].KeyID)
		}
		var claims jwt.Claims
		if err := parsed.Claims(keys[0], &claims); err != nil {
			t.Fatal(err)
		}
		if err := claims.Validate(jwt.Expected{Issuer: "https://keys.example", AnyAudience: jwt.Audience{"https://keys.example"}, Time: h.now}); err != nil {
			t.Fatal(err)
		}
	}
	var before []string
	for _, a := range token.Algorithms() {
		before = append(before, h.issue(a, h.claims()))
	}
	for _, order := range []token.Order{token.Tend, token.Rotate, token.RotateNow} {
		h.move(order)
		for _, a := range token.Algorithms() {
			check(h.issue(a, h.claims()))
		}
		for _, signed := range before {
			check(signed)
		}
	}
}

func TestShaped(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.move(token.Tend)
	for credential, want := range map[string]bool{
		h.issue(token.RS256, h.claims()): true, "eyJ..": true, "eyJhbGciOiJub25lIn0.e30.": true,
		"": false, "eyJ": false, "eyJ.": false, "eyJ...": false, " eyJ..": false, "EYJ..": false,
		"lk_live_7Hk2mQ9xTz4LpW0e_x": false, "sk-7Hk2mQ9xTz4LpW0ex": false,
	} {
		if got := token.Shaped(latchkey.NewPlaintext(credential)); got != want {
			t.Errorf("%.20q: %t", credential, got)
		}
	}
}
