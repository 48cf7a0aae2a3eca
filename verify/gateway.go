package verify

import (
	"context"
	"errors"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/store"
)

// ErrNoGateway says that a token is no gateway's.
var ErrNoGateway = errors.New("no gateway has this token")

// Gateways finds gateways by their tokens: in the memory of a verifier, or, for
// as long as that is not filled, in the store.
type Gateways struct{ verifier *Verifier }

// NewGateways makes them.
func NewGateways(v *Verifier) *Gateways { return &Gateways{v} }

// Find is the gateway that has the token. It is shared: do not change it. The
// error is ErrNoGateway, or that of the store; either way nothing is let through.
func (g *Gateways) Find(ctx context.Context, token latchkey.Plaintext) (*latchkey.Gateway, error) {
	k, err := latchkey.ParseKeyString(token.Expose())
	if err != nil || k.Format != latchkey.FormatNative || k.Prefix != latchkey.GatewayPrefix {
		return nil, ErrNoGateway
	}
	found, err := g.byKID(ctx, k.KID)
	if err != nil {
		return nil, err
	}
	ring := g.verifier.ring
	version := ring.Active()
	if found != nil {
		version = found.Token.Pepper
	}
	digest, err := ring.Digest(version, token) // the same work for a kid that is unknown
	if errors.Is(err, keyring.ErrVersion) {
		return nil, ErrNoGateway // it was retired, and the token with it
	}
	if err != nil {
		return nil, err
	}
	if found == nil || !keyring.Equal(digest, found.Token.Digest) {
		return nil, ErrNoGateway
	}
	return found, nil
}

// byKID is the gateway whose token has that kid; nil if there is none.
func (g *Gateways) byKID(ctx context.Context, kid latchkey.KID) (*latchkey.Gateway, error) {
	if _, err := g.verifier.now(); err != nil {
		return nil, err
	}
	if ix := g.verifier.kept.index.Load(); ix != nil {
		return ix.doors.Load().gateways[kid], nil
	}
	rows, err := g.verifier.store.Gateways(ctx)
	return gatewaysByKID(rows)[kid], err
}

func gatewaysByKID(rows []latchkey.Gateway) map[latchkey.KID]*latchkey.Gateway {
	by := make(map[latchkey.KID]*latchkey.Gateway, len(rows))
	for i := range rows {
		by[rows[i].Token.KID] = &rows[i]
	}
	return by
}

// TokenStore is a store of which the keys of tokens are kept in memory with
// everything else that verification asks about.
type TokenStore struct {
	store.Store

	Verifier *Verifier
}

// Generation is another number once TokenKeys may give others; 0 while they
// cannot be kept.
func (s *TokenStore) Generation() uint64 {
	if known := s.known(); known != nil {
		return known.generation
	}
	return s.Store.Generation()
}

// TokenKeys returns the keys that are not deleted, oldest first.
func (s *TokenStore) TokenKeys(ctx context.Context) ([]store.TokenKey, error) {
	if known := s.known(); known != nil {
		return known.tokenKeys, nil
	}
	return s.Store.TokenKeys(ctx)
}

// known are the keys where they are kept. None at all is no matter of memory: the
// first ones may just have been made.
func (s *TokenStore) known() *doors {
	if s.Verifier.node == nil {
		return nil // the store's own generation tells
	}
	if _, err := s.Verifier.now(); err != nil {
		return nil
	}
	if ix := s.Verifier.kept.index.Load(); ix != nil && len(ix.doors.Load().tokenKeys) > 0 {
		return ix.doors.Load()
	}
	return nil
}
