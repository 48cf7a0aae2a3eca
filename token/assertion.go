package token

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"latchkey.dev/latchkey"
)

// assertionType keeps an assertion from passing for a token: neither [Service.Verify]
// nor anyone who looks at the type (RFC 8725, section 3.11) takes the one for the
// other. An assertion has no client_id either.
const assertionType Type = "latchkey-assertion+jwt"

// AssertionLife is how long an assertion holds, if its key does.
const AssertionLife = time.Minute

// Assertion is what the API behind a gateway is told of a key that was let
// through. What is empty is not said.
type Assertion struct {
	Issuer       string // iss: base URL, without a slash at its end
	Audience     string // aud
	Subject      string // sub: the user who owns the key, or the key
	Key          string // key_id
	Organization string
	Partner      string
	Role         string
	Scope        string // between spaces (RFC 6749, section 3.3)
}

// Assert signs an assertion that was made at issued and ends at expires.
func (s *Service) Assert(ctx context.Context, a *Assertion, issued, expires time.Time) (latchkey.Plaintext, error) {
	members := jwt.MapClaims{
		memberID: rand.Text(), memberIssuer: a.Issuer, memberAudience: a.Audience, memberSubject: a.Subject,
		memberIssuedAt: issued.Unix(), memberExpires: expires.Unix(), memberScope: a.Scope,
	}
	for name, value := range map[string]string{"key_id": a.Key, "organization_id": a.Organization, "partner": a.Partner, "role": a.Role} {
		if value != "" {
			members[name] = value
		}
	}
	return s.sign(ctx, ES256, assertionType, members)
}
