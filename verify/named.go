package verify

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/token"
)

// Named answers about keys that are named and not presented: a broker shows a
// password once, when somebody logs in, and from then on says who it is.
// Whatever it answers holds for what was acknowledged before it was asked.
type Named struct {
	verifier *Verifier
	store    NamedStore
	tokens   *token.Service
}

// NamedStore is the part of a store in which keys are found by their ids, and in
// which it is noted that a connection lasts no longer than a token.
type NamedStore interface {
	Key(ctx context.Context, id latchkey.ID) (*store.Holder, error)
	HastenErrand(ctx context.Context, e store.Errand) error
}

// NewNamed makes it. tokens reads those that are shown as passwords.
func NewNamed(v *Verifier, in NamedStore, tokens *token.Service) *Named {
	return &Named{verifier: v, store: in, tokens: tokens}
}

// Login decides whether a password opens the key of that name: it is a secret of
// the very same key, or a token of ours that stands for one. The address is not
// asked about, which a broker tells when it asks about the virtual host.
//
// Nothing that is asked later says how somebody logged in. So a token must let its
// bearer do all that its key may do at brokers, must hang on that key alone, and
// opens nothing where connections cannot be closed; and before it opens anything it
// is noted when they have to be.
func (n *Named) Login(ctx context.Context, g *latchkey.Gateway, name string, password latchkey.Plaintext) latchkey.Code {
	code, key := n.find(ctx, g, name, netip.Addr{}, true)
	if code != latchkey.CodeValid {
		return code
	}
	shown, by := n.present(ctx, g, password)
	switch {
	case shown.Code != latchkey.CodeValid:
		return shown.Code
	case shown.Identity == nil || shown.Identity.KeyID != key.KeyID:
		return latchkey.CodeUnknown
	case by == nil:
		return latchkey.CodeValid
	case !g.Management.Set() || by.Minted():
		return latchkey.CodeUnknown
	case !coversAll(by.Narrow(key.Grant.Permissions), key.Grant.Permissions.BrokerPart()):
		return latchkey.CodeInsufficientScope
	}
	lapse := store.Errand{
		Gateway: g.ID, Kind: store.ErrandLapse, Subject: latchkey.Object{Kind: latchkey.KindKey, ID: key.KeyID}, Position: by.ExpiresAt().Unix(), Due: by.ExpiresAt(),
	}
	if err := n.store.HastenErrand(ctx, lapse); err != nil {
		return n.verifier.unavailable(ctx, n.verifier.clock(), err).Code
	}
	return latchkey.CodeValid
}

func coversAll(held, wanted latchkey.Permissions) bool {
	return !slices.ContainsFunc(wanted, func(p latchkey.Permission) bool { return !held.Hold(p) })
}

// present gives the verdict on a password, and the token if it is one.
func (n *Named) present(ctx context.Context, g *latchkey.Gateway, password latchkey.Plaintext) (Verdict, *token.Verified) {
	if token.Shaped(password) {
		now, stale := n.verifier.now()
		if stale != nil {
			return n.verifier.unavailable(ctx, now, stale), nil
		}
		t, err := n.tokens.Verify(ctx, password, now)
		switch {
		case err == nil && t.ForUs():
			return n.verifier.token(ctx, t, latchkey.Attempt{Environment: g.Environment, Anywhere: true}, ""), t
		case err == nil, errors.Is(err, token.ErrExpired):
			return Verdict{Code: latchkey.CodeUnknown}, nil
		case !errors.Is(err, token.ErrInvalid):
			return n.verifier.unavailable(ctx, now, err), nil
		}
	}
	return n.verifier.Verify(ctx, &Request{Key: password, Within: within(g), Environment: g.Environment, Anywhere: true}), nil
}

// Enter decides whether the key of that name may enter a virtual host from an
// address: its own and no other.
func (n *Named) Enter(ctx context.Context, g *latchkey.Gateway, name, vhost string, from netip.Addr) latchkey.Code {
	code, key := n.find(ctx, g, name, from, false)
	if code == latchkey.CodeValid && vhost != latchkey.VHost(key.KeyID) {
		return latchkey.CodeResourceNotAllowed
	}
	return code
}

// Stay decides whether a key that entered could do so now. Where its address is not
// known any more, it is not asked about.
func (n *Named) Stay(ctx context.Context, g *latchkey.Gateway, name, vhost string, from netip.Addr) latchkey.Code {
	code, key := n.find(ctx, g, name, from, !from.IsValid())
	if code == latchkey.CodeValid && vhost != latchkey.VHost(key.KeyID) {
		return latchkey.CodeResourceNotAllowed
	}
	return code
}

// Use decides whether the key of that name may do something with a thing in a
// virtual host.
func (n *Named) Use(ctx context.Context, g *latchkey.Gateway, name, vhost string, action latchkey.BrokerAction, thing string) latchkey.Code {
	code, key := n.find(ctx, g, name, netip.Addr{}, true)
	switch {
	case code != latchkey.CodeValid:
		return code
	case vhost != latchkey.VHost(key.KeyID):
		return latchkey.CodeResourceNotAllowed
	case !key.Grant.Permissions.AllowBroker(action, thing):
		return latchkey.CodeInsufficientScope
	}
	return latchkey.CodeValid
}

func within(g *latchkey.Gateway) (w Within) {
	if !g.All {
		w.Organization = g.Organization
	}
	return w
}

// find looks the key up and judges it as if it had been presented, save for the
// digest. A key without a partner has no virtual host, and is unknown here.
func (n *Named) find(ctx context.Context, g *latchkey.Gateway, name string, from netip.Addr, anywhere bool) (latchkey.Code, *Identity) {
	c := credential{Identity: &Identity{}}
	at, err := latchkey.ParseKeyName(name)
	if err == nil {
		err = n.look(ctx, at, &c)
	}
	if errors.Is(err, latchkey.ErrID) || errors.Is(err, store.ErrNotFound) || err == nil && (c.Key.Partner == "" || !within(g).Includes(&c.Key)) {
		return latchkey.CodeUnknown, nil
	}
	now, stale := n.verifier.now()
	if err = errors.Join(err, stale); err != nil {
		return n.verifier.unavailable(ctx, now, err).Code, nil
	}
	f := found{credential: c, attempt: latchkey.Attempt{
		WellFormed: true, Match: !n.verifier.retired(c.Pepper), Environment: g.Environment, Address: from, Anywhere: anywhere,
	}}
	f.learn()
	return latchkey.Decide(f.known(), &f.attempt, now), c.Identity
}

// look finds the key: under the kid of a secret, that secret; under its id, the
// secret that lives longest, for as long as one lives the key does.
func (n *Named) look(ctx context.Context, name latchkey.KeyName, c *credential) error {
	if name.KID != "" {
		return n.verifier.byKID(ctx, name.KID, c)
	}
	h, err := n.store.Key(ctx, name.ID)
	if err != nil {
		return err
	}
	c.learn(&store.Credential{Holder: *h, Secret: longest(h.Key.Secrets)})
	return nil
}

func longest(secrets []latchkey.Secret) latchkey.Secret {
	return slices.MaxFunc(secrets, func(a, b latchkey.Secret) int { return ends(a).Compare(ends(b)) })
}

func ends(s latchkey.Secret) time.Time {
	if s.ExpiresAt.IsZero() {
		return time.Unix(1<<40, 0) // after every other
	}
	return s.ExpiresAt
}
