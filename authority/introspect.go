package authority

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/token"
	"latchkey.dev/latchkey/verify"
)

// Introspection is a credential that may be used now, and what it may do.
type Introspection struct {
	Identity    *verify.Identity
	Permissions latchkey.Permissions // of the credential, now
	ExpiresAt   time.Time            // zero: it does not say
	Token       *token.Verified      // nil: it is a key
}

// Introspect tells whoever may ask what a credential is worth that somebody else
// presented from that address; nil where it is worth nothing, for whichever
// reason. One beyond the caller's reach is worth nothing either.
func (a *Authority) Introspect(ctx context.Context, call *Call, credential latchkey.Plaintext, from netip.Addr) (*Introspection, error) {
	if err := call.Require(latchkey.TokenIntrospect); err != nil {
		return nil, err
	}
	in := &Introspection{}
	var v verify.Verdict
	if in.Token, v = a.ours(ctx, credential, from, ""); in.Token == nil && v.Code == latchkey.CodeUnknown {
		v = a.Verifier.Verify(ctx, &verify.Request{Key: credential, Address: from, Within: call.Within()})
	}
	switch {
	case v.Code == latchkey.CodeVerifyUnavailable:
		return nil, latchkey.Errorf(latchkey.CodeUnavailable, "The credential cannot be checked now; retry later.")
	case v.Code != latchkey.CodeValid || !call.Within().Includes(&v.Identity.Key):
		return nil, nil
	}
	in.Identity, in.Permissions, in.ExpiresAt = v.Identity, v.Identity.Grant.Permissions, v.Identity.ExpiresAt()
	if in.Token != nil {
		in.Permissions, in.ExpiresAt = in.Token.Narrow(in.Permissions), in.Token.ExpiresAt()
	}
	return in, nil
}

// ours asks for the verdict on a credential that is a token of ours, for whomever
// it is; unknown if it is none.
func (a *Authority) ours(ctx context.Context, credential latchkey.Plaintext, from netip.Addr, agent string) (*token.Verified, verify.Verdict) {
	if !token.Shaped(credential) {
		return nil, verify.Verdict{Code: latchkey.CodeUnknown}
	}
	t, err := a.tokens.Verify(ctx, credential, a.Clock())
	switch {
	case err == nil:
		return t, a.Verifier.Token(ctx, t, from, agent)
	case errors.Is(err, token.ErrExpired):
		return nil, verify.Verdict{Code: latchkey.CodeExpired}
	case errors.Is(err, token.ErrInvalid):
		// It may still be a key: one that was made elsewhere, and imported, can
		// look like anything.
		return nil, verify.Verdict{Code: latchkey.CodeUnknown}
	}
	if ctx.Err() == nil { // or the caller hung up
		a.Log.ErrorContext(ctx, "a token cannot be checked", "error", err)
	}
	return nil, verify.Verdict{Code: latchkey.CodeVerifyUnavailable}
}

// RevokePresented ends a credential at the word of whoever presents it: a key is
// revoked, and a token refused with all that came of the same exchange. For what
// is worth nothing already there is nothing to do. of, if it is not nil, is whose
// it must be. The call itself has no caller.
func (a *Authority) RevokePresented(ctx context.Context, call *Call, credential latchkey.Plaintext, of *Caller) (Effective, error) {
	t, v := a.ours(ctx, credential, netip.Addr{}, "")
	switch {
	case v.Code == latchkey.CodeVerifyUnavailable:
		return Effective{}, latchkey.Errorf(latchkey.CodeUnavailable, "The credential cannot be checked now; retry later.")
	case t == nil && v.Code == latchkey.CodeExpired:
		return Effective{}, nil
	case t != nil && v.Identity == nil: // its key is gone, or it was revoked before
		head, err := a.Store.Head(ctx)
		if err != nil {
			return Effective{}, translate(err)
		}
		return a.await(ctx, call, Effective{Position: head}), nil
	case t != nil:
		if err := of.mayRevoke(v.Identity.KeyID); err != nil {
			return Effective{}, err
		}
		return a.refuseToken(ctx, call, t, v.Identity)
	}
	if of != nil {
		v := a.Verifier.Verify(ctx, &verify.Request{Key: credential})
		if v.Identity != nil {
			if err := of.mayRevoke(v.Identity.KeyID); err != nil {
				return Effective{}, err
			}
		}
	}
	_, e, err := a.RevokeSelf(ctx, call, credential)
	if latchkey.CodeOf(err) == latchkey.CodeUnauthenticated {
		return Effective{}, nil // no credential of ours
	}
	return e, err
}

// mayRevoke refuses one who authenticated as another key.
func (c *Caller) mayRevoke(key latchkey.ID) error {
	if c == nil || c.Identity == nil && c.Key == key {
		return nil
	}
	return latchkey.Errorf(latchkey.CodeForbidden, "The credential was issued to another client.")
}

// refuseToken writes that the token's family is refused. It counts as a change of
// its organization: tokens can be had without end.
func (a *Authority) refuseToken(ctx context.Context, call *Call, t *token.Verified, id *verify.Identity) (Effective, error) {
	if err := a.spend(ctx, id.Key.Organization, 1); err != nil {
		return Effective{}, err
	}
	family := t.Family()
	// Whatever comes of the same exchange until the commit ends by then.
	refusal := store.TokenRefusal{Family: family, Until: store.Truncate(a.Clock().Add(token.MaxLife + token.ClockSkew))}
	position, err := a.Store.Submit(ctx, store.Change{
		Organization: id.Key.Organization, Urgent: true, Reads: store.Reads{Tokens: []string{family}},
		Apply: func(view *store.View) (store.Outcome, error) {
			if view.Refused[family] {
				return store.Outcome{}, nil
			}
			x := &txn{View: view, a: a, caller: Caller{
				Key: id.KeyID, Owner: id.Key.Owner, Home: id.Key.Organization, Organization: id.Key.Organization, RequestID: call.RequestID,
			}}
			step, err := x.step(latchkey.TokenRevoked, latchkey.Object{Kind: latchkey.KindKey, ID: id.KeyID},
				changes{"token": t.ID(), "kid": t.KID(), "until": refusal.Until.Format(time.RFC3339)}.document())
			if err != nil {
				return store.Outcome{}, err
			}
			step.TokenRefusals = []store.TokenRefusal{refusal}
			return store.Outcome{Steps: x.written()}, nil
		},
	})
	if err != nil {
		return Effective{}, translate(err)
	}
	return a.await(ctx, call, Effective{Position: position}), nil
}
