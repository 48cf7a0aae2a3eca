package token

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"latchkey.dev/latchkey"
)

// Verified is what a token of ours says, after its signature and its end were
// checked. Only [Service.Verify] makes one: the zero value names no secret, and
// so holds nowhere.
type Verified struct{ claims claims }

// claims are the members by which a token is judged. The names of members have
// to be written exactly; what else is there means nothing here.
type claims struct {
	ID       string         `json:"jti"`
	Issuer   string         `json:"iss"`
	Subject  string         `json:"sub"`
	Audience audience       `json:"aud"`
	Client   string         `json:"client_id"`
	Expires  *int64         `json:"exp"`
	Scope    *string        `json:"scope"`
	Actor    jsontext.Value `json:"act"`
}

// audience is a string or a list of them (RFC 7519, section 4.1.3).
type audience []string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (a *audience) UnmarshalJSONFrom(from *jsontext.Decoder) error {
	if from.PeekKind() == '[' {
		return json.UnmarshalDecode(from, (*[]string)(a))
	}
	*a = audience{""}
	return json.UnmarshalDecode(from, &(*a)[0])
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

// Minted reports whether another than the holder of its key asked for it.
func (v *Verified) Minted() bool { return v.claims.Actor != nil }

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

// header is what is read of a token's own header (RFC 7515, section 4.1). It
// chooses a key and nothing else: jku, jwk, x5u and x5c are not even read.
type header struct {
	Algorithm string         `json:"alg"`
	KeyID     string         `json:"kid"`
	Type      string         `json:"typ"`
	Critical  jsontext.Value `json:"crit"`
	Detached  jsontext.Value `json:"b64"` // RFC 7797
}

// Verify reads a token that was presented at now.
func (s *Service) Verify(ctx context.Context, presented latchkey.Plaintext, now time.Time) (*Verified, error) {
	jws, err := split(presented.Expose())
	if err != nil {
		return nil, err
	}
	set, err := s.keys(ctx)
	if err != nil {
		return nil, err
	}
	k, err := set.choose(jws.header)
	if err != nil {
		return nil, err
	}
	if err := s.check(ctx, k, &jws); err != nil {
		return nil, err
	}
	v := &Verified{}
	if err := json.Unmarshal(jws.payload, &v.claims); err != nil {
		return nil, invalid("a payload that cannot be read")
	}
	switch c := &v.claims; {
	case c.Expires == nil:
		return nil, invalid("no exp")
	case c.ID == "" || c.Issuer == "" || c.Subject == "" || c.Client == "" || len(c.Audience) == 0:
		return nil, invalid("a registered claim is missing")
	case !now.Before(v.ExpiresAt()):
		return nil, ErrExpired
	}
	return v, nil
}

// choose finds the key that the header names, and refuses a header that asks for
// anything but what this key does.
func (set *keySet) choose(text []byte) (*signingKey, error) {
	var h header
	if err := json.Unmarshal(text, &h); err != nil {
		return nil, invalid("a header that cannot be read")
	}
	if h.Critical != nil || h.Detached != nil {
		return nil, invalid("an extension that changes how it is read")
	}
	if h.Type != typ {
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
func (s *Service) check(ctx context.Context, k *signingKey, jws *parts) error {
	select {
	case s.checks <- struct{}{}:
		defer func() { <-s.checks }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := k.method.Verify(jws.signed, jws.signature, k.public); err != nil {
		return invalid("a signature that is not its key's")
	}
	return nil
}

// parts is a token in the compact serialization, taken apart (RFC 7515, section 7.1).
type parts struct {
	signed                     string // the first two segments as they came
	header, payload, signature []byte
}

func split(s string) (jws parts, err error) {
	if len(s) > MaxLen {
		return jws, invalid("too long")
	}
	segments := strings.Split(s, ".")
	if len(segments) != 3 {
		return jws, invalid("not three segments")
	}
	jws.signed = s[:len(segments[0])+1+len(segments[1])]
	for i, to := range []*[]byte{&jws.header, &jws.payload, &jws.signature} {
		if *to, err = decode(segments[i]); err != nil {
			return jws, err
		}
	}
	return jws, nil
}

// decode reads base64url in its one spelling: without padding, line breaks or
// bits that nothing stands for (RFC 7515, section 2; RFC 4648, section 3.5).
func decode(segment string) ([]byte, error) {
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(segment)
	if err != nil || len(decoded) == 0 || strings.ContainsAny(segment, "\r\n") {
		return nil, invalid("a segment that is not base64url")
	}
	return decoded, nil
}

func invalid(why string) error { return fmt.Errorf("%w: %s", ErrInvalid, why) }
