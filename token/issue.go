package token

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"latchkey.dev/latchkey"
)

// Type is the type of a token, in its header (RFC 7515, section 4.1.9).
type Type string

// The types.
const (
	JWT         Type = "JWT"    // for clients that know no other
	AccessToken Type = "at+jwt" // RFC 9068, section 2.1
)

func (t Type) ours() bool { return t == JWT || t == AccessToken }

// Claims is what a token is to say.
type Claims struct {
	Type      Type     // "": JWT
	ID        string   // jti: a family, and for a token that came of a token more behind a dot
	Issuer    string   // iss: base URL, without a slash at its end
	Subject   string   // sub: the key, as the edge spells its id
	Audience  []string // aud: one at least
	KID       latchkey.KID
	IssuedAt  time.Time
	ExpiresAt time.Time // exp, rounded down to a second; at most MaxLife after IssuedAt

	// Scope bounds what the token may do to a part of what its key may. nil: the
	// token says nothing of it, and may do what the key may at each use.
	Scope latchkey.Permissions

	// Actor is who asked for the token, where that is not the holder of its key
	// (RFC 8693, section 4.1). Such a token is exchanged for no other, and ends
	// with the secret of who asked. The zero value is its holder.
	Actor Actor

	// Members are further members. One that is ours is not taken.
	Members map[string]any
}

// Actor is who had a token minted for a key that is not theirs.
type Actor struct {
	Subject string       // as events name it
	Key     latchkey.ID  // with which it authenticated; zero: the socket
	KID     latchkey.KID // of the secret that it used; "" likewise
	Family  string       // of the token that it used; "": it was the secret itself
}

// actor is an Actor as it is written.
type actor struct {
	Subject string `json:"sub"`
	Key     string `json:"key,omitempty"`
	Client  string `json:"client_id,omitempty"`
	Family  string `json:"jti,omitempty"`
}

// registered are the members by which a token is judged here.
const (
	memberID       = "jti"
	memberIssuer   = "iss"
	memberSubject  = "sub"
	memberAudience = "aud"
	memberClient   = "client_id" // RFC 8693, section 4.3: the kid of the secret
	memberIssuedAt = "iat"
	memberExpires  = "exp"
	memberScope    = "scope" // RFC 8693, section 4.2
	memberActor    = "act"
)

func (c *Claims) payload() (jwt.MapClaims, error) {
	life := c.ExpiresAt.Sub(c.IssuedAt)
	if c.ID == "" || c.Issuer == "" || c.Subject == "" || c.KID == "" || len(c.Audience) == 0 || life <= 0 || life > MaxLife {
		return nil, fmt.Errorf("claims that make no token: life %s, %d audiences", life, len(c.Audience))
	}
	all := jwt.MapClaims{}
	maps.Copy(all, c.Members)
	all[memberID], all[memberIssuer], all[memberSubject], all[memberClient] = c.ID, c.Issuer, c.Subject, string(c.KID)
	all[memberIssuedAt], all[memberExpires] = c.IssuedAt.Unix(), c.ExpiresAt.Unix()
	all[memberAudience] = c.Audience
	if len(c.Audience) == 1 {
		all[memberAudience] = c.Audience[0] // what clients that expect a string can read
	}
	delete(all, memberScope)
	if c.Scope != nil {
		all[memberScope] = joined(c.Scope)
	}
	delete(all, memberActor)
	if c.Actor.Subject != "" {
		all[memberActor] = actor{c.Actor.Subject, c.Actor.Key.Native(latchkey.KindKey), string(c.Actor.KID), c.Actor.Family}
	}
	return all, nil
}

// Issue signs a token with the active key of the algorithm.
func (s *Service) Issue(ctx context.Context, a Algorithm, c Claims) (latchkey.Plaintext, error) {
	payload, err := c.payload()
	if err != nil {
		return latchkey.Plaintext{}, err
	}
	if c.Type == "" {
		c.Type = JWT
	}
	return s.sign(ctx, a, c.Type, payload)
}

// sign signs members as a JWT of a type.
func (s *Service) sign(ctx context.Context, a Algorithm, typ Type, members jwt.MapClaims) (latchkey.Plaintext, error) {
	set, err := s.keys(ctx)
	if err != nil {
		return latchkey.Plaintext{}, err
	}
	k := set.active[a]
	if k == nil {
		return latchkey.Plaintext{}, fmt.Errorf("%w: %q", ErrNoKey, string(a))
	}
	signer, err := s.signer(ctx, k)
	if err != nil {
		return latchkey.Plaintext{}, err
	}
	t := jwt.NewWithClaims(k.method, members)
	t.Header["typ"], t.Header["kid"] = string(typ), k.kid
	signed, err := t.SignedString(signer)
	if err != nil {
		return latchkey.Plaintext{}, err
	}
	if len(signed) > MaxLen {
		return latchkey.Plaintext{}, ErrTooLarge
	}
	return latchkey.NewPlaintext(signed), nil
}

// joined spells scopes as OAuth does (RFC 6749, section 3.3): none has a space in it.
func joined(scope latchkey.Permissions) string {
	words := make([]string, len(scope))
	for i, p := range scope {
		words[i] = string(p)
	}
	return strings.Join(words, " ")
}
