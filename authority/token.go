package authority

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/token"
)

// NewToken is what a token is to be, beside what follows from its key.
type NewToken struct {
	Type      token.Type               // "": token.JWT
	Issuer    string                   // base URL of the edge, without a slash at its end
	Audience  []string                 // empty: the issuer, where alone the token is a credential
	Algorithm token.Algorithm          // "": ES256
	Life      time.Duration            // 0: token.MaxLife; less where the key or its secret ends before
	Spell     func(latchkey.ID) string // the key's id, as the edge spells it

	// Scopes bounds the token to a part of what its key may do. nil: whatever the
	// key may do at each use.
	Scopes latchkey.Permissions

	// Bound has a token that is asked for without scopes say what its key may do
	// now, so that it never gains what the key gains.
	Bound bool

	// Members are what the edge says of the key besides; nil for nothing.
	Members func(*TokenSubject) map[string]any
}

// TokenSubject is the key that a token is to stand for.
type TokenSubject struct {
	Key          latchkey.Key
	Role         string               // identifier of its own role; "" for none
	Permissions  latchkey.Permissions // of the token, if it is used now
	Organization latchkey.Organization
	Project      latchkey.Project
}

// Token is a token that is told this once.
type Token struct {
	Value     latchkey.Plaintext
	Scopes    latchkey.Permissions // nil: whatever its key may do
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// ExchangeToken gives the caller a token that stands for the key with which it
// authenticated, and for the secret that it used. Nothing is written: the caller
// held all of that before. A token gives another with its scope, unless it was
// minted.
func (a *Authority) ExchangeToken(ctx context.Context, call *Call, want NewToken) (Token, error) {
	if err := call.mayHaveToken(); err != nil {
		return Token{}, err
	}
	if call.Key.IsZero() {
		return Token{}, latchkey.Errorf(latchkey.CodeForbidden, "A token stands for a key, and you have shown none.")
	}
	h, err := a.Store.Key(ctx, call.Key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Token{}, translate(err)
	}
	now := a.Clock()
	if err != nil || h.Key.State(h.Grant().Suspended, now) != latchkey.StateLive || !holds(&h.Key, call.KID, now) {
		return Token{}, latchkey.Errorf(latchkey.CodeUnauthenticated, "The credential stopped being valid before the token was made.")
	}
	held := h.Grant().Permissions
	if want.Scopes, err = call.scope(want.Scopes, held); err != nil {
		return Token{}, err
	}
	if want.Scopes == nil && want.Bound {
		want.Scopes = held
	}
	family := ""
	if call.Token != nil {
		family = call.Token.Family()
	}
	id, err := a.tokenID(family)
	if err != nil {
		return Token{}, err
	}
	return a.issue(ctx, h, want, token.Claims{ID: id, KID: call.KID})
}

// MintToken gives the caller a token that stands for another key, and for its
// newest secret. It is like telling the key's value: within the ceiling alone,
// and the event is committed before the token leaves. Unlike a value the token
// ends within the hour and with the secret of the caller, and cannot be exchanged
// for a fresh one.
func (a *Authority) MintToken(ctx context.Context, call *Call, id latchkey.ID, want NewToken) (Token, error) {
	if err := call.Require(latchkey.KeyRead); err != nil {
		return Token{}, err
	}
	if err := call.mayHaveToken(); err != nil {
		return Token{}, err
	}
	claims := token.Claims{}
	var err error
	if claims.ID, err = a.tokenID(""); err != nil {
		return Token{}, err
	}
	var h store.Holder
	_, _, err = a.submit(ctx, call, change{
		needs: latchkey.KeyRead, reads: store.Reads{Keys: []latchkey.ID{id}},
		apply: func(t *txn) error {
			found := t.Keys[id]
			if found == nil || !t.caller.sees(&found.Key) {
				return notFound()
			}
			h = *found
			if err := t.mayMint(&h, want.Scopes); err != nil {
				return err
			}
			if want.Scopes == nil {
				want.Scopes = h.Grant().Permissions // what the caller was allowed to give, whatever the key is given later
			}
			claims.KID, claims.Actor = h.Key.Newest(t.Now).KID, t.caller.minter()
			_, err := t.step(latchkey.KeyTokenMinted, latchkey.Object{Kind: latchkey.KindKey, ID: id},
				changes{"kid": claims.KID, "token": claims.ID}.document())
			return err
		},
	})
	if err != nil {
		return Token{}, err
	}
	return a.issue(ctx, &h, want, claims)
}

// mayMint refuses a token for a key that could do what the caller could not give
// it, that the caller may not speak for, or that holds no more.
func (t *txn) mayMint(h *store.Holder, scopes latchkey.Permissions) error {
	if err := t.mayTell(h); err != nil {
		return err
	}
	grant := h.Grant()
	state := h.Key.State(grant.Suspended, t.Now)
	if state == latchkey.StateLive && len(h.Key.LiveSecrets(t.Now)) == 0 {
		state = latchkey.StateExpired
	}
	if state != latchkey.StateLive {
		return latchkey.Errorf(latchkey.CodeConflict, "The key is %s: a token of it would be refused everywhere.", state)
	}
	if h.Key.SigningMode == latchkey.SigningRequired {
		return latchkey.Errorf(latchkey.CodeConflict, "The key's requests have to be signed: a token of it would be refused everywhere.")
	}
	return within(scopes, grant.Permissions)
}

// minter is the caller as a token says who asked for it.
func (c *Caller) minter() token.Actor {
	m := token.Actor{Subject: c.Actor().String(), Key: c.Key, KID: c.KID}
	if c.Token != nil {
		m.Family = c.Token.Family()
	}
	return m
}

// mayHaveToken refuses a caller whose own token was minted by another: what was
// meant to end within the hour would be renewed for ever.
func (c *Caller) mayHaveToken() error {
	if c.Identity != nil {
		return latchkey.Errorf(latchkey.CodeForbidden, "A token stands for a key, and yours is another issuer's; authenticate with a key.")
	}
	if c.Token != nil && c.Token.Minted() {
		return latchkey.Errorf(latchkey.CodeForbidden, "Your token was minted for a key that you need not hold; it gives no other token. Authenticate with the key itself.")
	}
	return nil
}

// mayHaveSecret refuses the secret of a key to such a caller: that has no end.
func (c *Caller) mayHaveSecret() error {
	if c.Token != nil && c.Token.Minted() {
		return latchkey.Errorf(latchkey.CodeForbidden, "Your token was minted for a key that you need not hold, and ends within the hour; it is told no secret. Authenticate with a key itself.")
	}
	return nil
}

// scope is what a token for the caller itself is bound to: what was asked for,
// if the caller holds it, else what the presented token was bound to.
func (c *Caller) scope(asked, held latchkey.Permissions) (latchkey.Permissions, error) {
	var bound latchkey.Permissions
	if c.Token != nil {
		bound, held = c.Token.Scope(), c.Token.Narrow(held)
	}
	if asked == nil {
		return bound, nil
	}
	return asked, within(asked, held)
}

// within refuses scopes that are not held. None is dropped in silence.
func within(asked, held latchkey.Permissions) error {
	for _, p := range asked {
		if !held.Hold(p) {
			return latchkey.Invalid("/scope", "not_held", "The token is to hold a scope that its key does not hold.")
		}
	}
	return nil
}

// tokenID draws a jti: 128 random bits, behind the family if there is one.
func (a *Authority) tokenID(family string) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(a.Random, b[:]); err != nil {
		return "", fmt.Errorf("drawing a token's id: %w", err)
	}
	id := base64.RawURLEncoding.EncodeToString(b[:])
	if family != "" {
		id = family + "." + id
	}
	return id, nil
}

// issue fills in what follows from the key, and signs.
func (a *Authority) issue(ctx context.Context, h *store.Holder, want NewToken, claims token.Claims) (Token, error) {
	claims.Type, claims.Issuer, claims.Audience, claims.Subject, claims.Scope = want.Type, want.Issuer, want.Audience, want.Spell(h.Key.ID), want.Scopes
	if len(claims.Audience) == 0 {
		claims.Audience = []string{want.Issuer}
	}
	claims.IssuedAt = a.Clock().Truncate(time.Second).UTC()
	claims.ExpiresAt = endOf(&h.Key, claims.KID, claims.IssuedAt, want.Life)
	if !claims.ExpiresAt.After(claims.IssuedAt) {
		return Token{}, latchkey.Errorf(latchkey.CodeConflict, "The key ends within a second, and a token would with it.")
	}
	if want.Members != nil {
		subject, err := a.tokenSubject(ctx, h, want.Scopes)
		if err != nil {
			return Token{}, err
		}
		claims.Members = want.Members(subject)
	}
	if want.Algorithm == "" {
		want.Algorithm = token.ES256
	}
	signed, err := a.tokens.Issue(ctx, want.Algorithm, claims)
	if errors.Is(err, token.ErrNoKey) {
		if err := a.firstTokenKeys(ctx); err != nil {
			return Token{}, err
		}
		signed, err = a.tokens.Issue(ctx, want.Algorithm, claims)
	}
	if errors.Is(err, token.ErrTooLarge) {
		return Token{}, latchkey.Errorf(latchkey.CodeConflict, "A token that says all of this would be larger than %d bytes; give the key shorter names, or the token fewer scopes.", token.MaxLen)
	}
	return Token{Value: signed, Scopes: claims.Scope, IssuedAt: claims.IssuedAt, ExpiresAt: claims.ExpiresAt}, translate(err)
}

// endOf is when a token ends: after its life, and not after its key or secret.
func endOf(k *latchkey.Key, kid latchkey.KID, now time.Time, life time.Duration) time.Time {
	if life == 0 {
		life = token.MaxLife
	}
	end := now.Add(life)
	ends := []time.Time{k.ExpiresAt}
	for _, s := range k.Secrets {
		if s.KID == kid {
			ends = append(ends, s.ExpiresAt)
		}
	}
	for _, t := range ends {
		if !t.IsZero() && t.Before(end) {
			end = t
		}
	}
	return end.Truncate(time.Second)
}

func (a *Authority) tokenSubject(ctx context.Context, h *store.Holder, scopes latchkey.Permissions) (*TokenSubject, error) {
	project, err := a.Store.Project(ctx, h.Key.Project)
	if err != nil {
		return nil, translate(err)
	}
	s := &TokenSubject{Key: h.Key, Permissions: h.Grant().Permissions, Organization: h.Organization, Project: *project}
	if scopes != nil {
		s.Permissions = s.Permissions.Intersect(scopes)
	}
	for _, r := range h.Roles {
		if r.ID == h.Key.Policy.Role {
			s.Role = r.Identifier
		}
	}
	return s, nil
}
