package token

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/jws"
)

// Verified is what a token of ours says, after its signature and its end were
// checked. Only [Service.Verify] makes one: the zero value names no secret, and
// so holds nowhere.
type Verified struct{ claims claims }

// claims are the members by which a token is judged. The names of members have
// to be written exactly; what else is there means nothing here.
type claims struct {
	ID       string       `json:"jti"`
	Issuer   string       `json:"iss"`
	Subject  string       `json:"sub"`
	Audience jws.Audience `json:"aud"`
	Client   string       `json:"client_id"`
	IssuedAt int64        `json:"iat"`
	Expires  *int64       `json:"exp"`
	Scope    *string      `json:"scope"`
	Actor    *actor       `json:"act"`
}

// KID is the secret for which the token stands.
func (v *Verified) KID() latchkey.KID { return latchkey.KID(v.claims.Client) }

// ID is the token's own (jti).
func (v *Verified) ID() string { return v.claims.ID }

// Subject is the key's id, as the edge that issued the token spelled it.
func (v *Verified) Subject() string { return v.claims.Subject }

// ExpiresAt is when the token ends.
func (v *Verified) ExpiresAt() time.Time { return time.Unix(*v.claims.Expires, 0).UTC() }

// ForUs reports whether the token is meant for its issuer. One for another
// audience is no credential here: whoever it was sent to could present it.
func (v *Verified) ForUs() bool { return slices.Contains(v.claims.Audience, v.claims.Issuer) }

// IssuedAt is when the token was signed; zero if it does not say.
func (v *Verified) IssuedAt() time.Time {
	if v.claims.IssuedAt == 0 {
		return time.Time{}
	}
	return time.Unix(v.claims.IssuedAt, 0).UTC()
}

// Issuer is the base URL of the edge that issued the token.
func (v *Verified) Issuer() string { return v.claims.Issuer }

// Audience is whom the token is for.
func (v *Verified) Audience() []string { return v.claims.Audience }

// Minted reports whether another than the holder of its key asked for it.
func (v *Verified) Minted() bool { return v.claims.Actor != nil }

// Minter is who asked for a minted token; the zero value where its holder did.
func (v *Verified) Minter() Actor {
	if v.claims.Actor == nil {
		return Actor{}
	}
	key, _ := latchkey.ParseNative(latchkey.KindKey, v.claims.Actor.Key) // none: the socket
	return Actor{v.claims.Actor.Subject, key, latchkey.KID(v.claims.Actor.Client), v.claims.Actor.Family}
}

// Family is what the token has in common with all that came of the same exchange
// of a key: with one of them all are refused.
func (v *Verified) Family() string {
	family, _, _ := strings.Cut(v.claims.ID, ".")
	return family
}

// Families are those of which none may be refused: the token's own, and that of
// the token with which it was minted.
func (v *Verified) Families() []string {
	families := []string{v.Family()}
	if minter := v.Minter(); minter.Family != "" {
		families = append(families, minter.Family)
	}
	return families
}

// Scope is the part of its key's permissions to which the token is bound; nil
// for all of them.
func (v *Verified) Scope() latchkey.Permissions {
	if v.claims.Scope == nil {
		return nil
	}
	scope := latchkey.Permissions{}
	for word := range strings.FieldsSeq(*v.claims.Scope) {
		scope = append(scope, latchkey.Permission(word))
	}
	return scope
}

// Narrow is what is left of its key's permissions to the bearer of the token.
func (v *Verified) Narrow(held latchkey.Permissions) latchkey.Permissions {
	if v.claims.Scope == nil {
		return held
	}
	return held.Intersect(v.Scope())
}

// Shaped reports whether a credential can be nothing but a token: no key of ours
// looks like one.
func Shaped(credential latchkey.Plaintext) bool {
	const opening = "eyJ" // the first bytes of a JSON object, `{"`, in base64
	s := credential.Expose()
	return strings.HasPrefix(s, opening) && strings.Count(s, ".") == 2
}

// Verify reads a token that was presented at now.
func (s *Service) Verify(ctx context.Context, presented latchkey.Plaintext, now time.Time) (*Verified, error) {
	parsed, err := jws.Parse(presented.Expose())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	set, err := s.keys(ctx)
	if err != nil {
		return nil, err
	}
	k, err := set.choose(&parsed.Header)
	if err != nil {
		return nil, err
	}
	if err := s.check(ctx, k, parsed); err != nil {
		return nil, err
	}
	v := &Verified{}
	if err := json.Unmarshal(parsed.Payload, &v.claims); err != nil {
		return nil, invalid("a payload that cannot be read")
	}
	switch c := &v.claims; {
	case c.Expires == nil:
		return nil, invalid("no exp")
	case c.ID == "" || c.Issuer == "" || c.Subject == "" || c.Client == "" || len(c.Audience) == 0 || c.Actor != nil && c.Actor.Subject == "":
		return nil, invalid("a registered claim is missing")
	case !now.Before(v.ExpiresAt()):
		return nil, ErrExpired
	}
	return v, nil
}

// choose finds the key that the header names, and refuses a header that asks for
// anything but what this key does.
func (set *keySet) choose(h *jws.Header) (*signingKey, error) {
	if !Type(h.Type).ours() {
		return nil, invalid("of another type")
	}
	k := set.byKID(h.KeyID)
	if k == nil {
		return nil, invalid("an unknown kid")
	}
	if h.Algorithm != k.Algorithm {
		return nil, invalid("another algorithm than its key's")
	}
	return k, nil // a pending one too: another node may know already that it signs
}

// check compares the signature, as many at a time as there are places.
func (s *Service) check(ctx context.Context, k *signingKey, t *jws.Token) error {
	select {
	case s.checks <- struct{}{}:
		defer func() { <-s.checks }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := k.method.Verify(t.Signed, t.Signature, k.public); err != nil {
		return invalid("a signature that is not its key's")
	}
	return nil
}

func invalid(why string) error { return fmt.Errorf("%w: %s", ErrInvalid, why) }
