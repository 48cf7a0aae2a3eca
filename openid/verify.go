package openid

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/jws"
)

// claims are the members by which a token is judged.
type claims struct {
	Issuer    string       `json:"iss"`
	Subject   string       `json:"sub"`
	Audience  jws.Audience `json:"aud"`
	Expires   *float64     `json:"exp"` // RFC 7519, section 2: a fraction is allowed
	NotBefore *float64     `json:"nbf"`
	IssuedAt  *float64     `json:"iat"`
}

// leeway is how far the clocks of provider and node may be apart where a token
// says since when it is good. Its end is not made later by it.
const leeway = time.Minute

// Bounds of what a token says.
const (
	maxSubject = 255 // bytes (OpenID Connect Core 1.0, section 2)
	maxTime    = 1 << 40
	maxValues  = 1000
)

// Verify implements authority.Provider.
func (s *Service) Verify(ctx context.Context, credential latchkey.Plaintext, now time.Time,
	choose func(url string, audience []string) (*latchkey.Issuer, error),
) (*latchkey.Assertion, error) {
	t, err := jws.Parse(credential.Expose())
	if err != nil {
		return nil, refused()
	}
	var said claims
	if err := json.Unmarshal(t.Payload, &said); err != nil || said.Issuer == "" {
		return nil, refused()
	}
	issuer, err := choose(said.Issuer, said.Audience)
	if err != nil {
		return nil, err
	}
	if issuer == nil || issuer.URL != said.Issuer || !said.holds(issuer, now) || !typed(t.Header.Type) ||
		t.Header.KeyID == "" || !slices.Contains(issuer.Algorithms, t.Header.Algorithm) {
		return nil, refused()
	}
	k, err := s.key(ctx, issuer.URL, t.Header.KeyID, now)
	if err != nil {
		return nil, err
	}
	if err := s.check(ctx, k, t); err != nil {
		return nil, err
	}
	return &latchkey.Assertion{Issuer: issuer, Subject: said.Subject, ExpiresAt: moment(*said.Expires), Values: values(t.Payload, issuer.Claim)}, nil
}

// holds reports whether the token is for whom the issuer was set up, says who its
// bearer is, and is good now.
func (c *claims) holds(issuer *latchkey.Issuer, now time.Time) bool {
	if !issuer.Meant(c.Audience) || c.Subject == "" || len(c.Subject) > maxSubject || c.Expires == nil {
		return false
	}
	for _, at := range []*float64{c.Expires, c.NotBefore, c.IssuedAt} {
		if at != nil && (math.IsNaN(*at) || *at < 0 || *at > maxTime) {
			return false
		}
	}
	since := func(at *float64) bool { return at == nil || !moment(*at).After(now.Add(leeway)) }
	return now.Before(moment(*c.Expires)) && since(c.NotBefore) && since(c.IssuedAt)
}

func moment(seconds float64) time.Time {
	return time.UnixMilli(int64(seconds * 1000)).UTC()
}

// typed reports whether a token of that type can be one to authenticate with: an
// access token, or one that does not say. A token that says that somebody signed
// out, or that proves possession, is not.
func typed(typ string) bool {
	switch strings.TrimPrefix(strings.ToLower(typ), "application/") {
	case "", "jwt", "at+jwt":
		return true
	}
	return false
}

// check compares the signature, as many at a time as there are places. The
// algorithm is the one that the key is for.
func (s *Service) check(ctx context.Context, k *webKey, t *jws.Token) error {
	method := k.method(t.Header.Algorithm)
	if method == nil {
		return refused()
	}
	select {
	case s.checks <- struct{}{}:
		defer func() { <-s.checks }()
	case <-ctx.Done():
		return unavailable()
	}
	if err := method.Verify(t.Signed, t.Signature, k.public); err != nil {
		return refused()
	}
	return nil
}

// values are what a token says in a claim: a member of that name, or what a JSON
// pointer leads to (RFC 6901). It is a text, or a list of them.
func values(payload []byte, claim string) []string {
	var at any
	if json.Unmarshal(payload, &at) != nil {
		return nil
	}
	path := []string{claim}
	if strings.HasPrefix(claim, "/") {
		path = strings.Split(claim[1:], "/")
		for i := range path {
			path[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(path[i])
		}
	}
	for _, name := range path {
		object, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = object[name]
	}
	switch v := at.(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, one := range v {
			if text, ok := one.(string); ok && len(all) < maxValues {
				all = append(all, text)
			}
		}
		return all
	}
	return nil
}
