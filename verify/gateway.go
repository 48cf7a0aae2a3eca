package verify

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"sync/atomic"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/store"
)

// ErrNoGateway says that a token is no gateway's.
var ErrNoGateway = errors.New("no gateway has this token")

// Gateways finds gateways by their tokens: in the memory of a verifier, or, for
// as long as that is not filled, in the store.
type Gateways struct {
	verifier *Verifier
	proved   atomic.Pointer[proved]
}

// proved are tokens that were right, by their SHA-256: of so many random bits it
// tells nothing, and it is found without telling how much of it another one has in
// common. They count for as long as no gateway changes.
type proved struct {
	among *doors
	by    map[[sha256.Size]byte]*latchkey.Gateway // never written to
}

// maxProved is how many tokens are remembered. Those beyond are proved each time.
const maxProved = 1024

// NewGateways makes them.
func NewGateways(v *Verifier) *Gateways { return &Gateways{verifier: v} }

// Find is the gateway that has the token. It is shared: do not change it. The
// error is ErrNoGateway, or that of the store; either way nothing is let through.
func (g *Gateways) Find(ctx context.Context, token latchkey.Plaintext) (*latchkey.Gateway, error) {
	if _, err := g.verifier.now(); err != nil {
		return nil, err
	}
	among := g.doors()
	sum, short := sumOf(token)
	if p := g.proved.Load(); short && p != nil && p.among == among {
		if found := p.by[sum]; found != nil && g.verifier.ring.Has(found.Token.Pepper) {
			return found, nil
		}
	}
	found, err := g.prove(ctx, among, token)
	if err == nil && short && among != nil {
		g.remember(among, sum, found)
	}
	return found, err
}

// doors are the gateways that are in memory; nil where they are not.
func (g *Gateways) doors() *doors {
	if ix := g.verifier.kept.index.Load(); ix != nil {
		return ix.doors.Load()
	}
	return nil
}

// sumOf is false for what is longer than any token.
func sumOf(token latchkey.Plaintext) (sum [sha256.Size]byte, short bool) {
	var text [128]byte
	n := copy(text[:], token.Expose())
	return sha256.Sum256(text[:n]), n < len(text)
}

// remember keeps what was proved. Where two do so at once, one is proved again.
func (g *Gateways) remember(among *doors, sum [sha256.Size]byte, found *latchkey.Gateway) {
	before := g.proved.Load()
	next := &proved{among: among, by: map[[sha256.Size]byte]*latchkey.Gateway{}}
	if before != nil && before.among == among {
		if len(before.by) >= maxProved {
			return
		}
		maps.Copy(next.by, before.by)
	}
	next.by[sum] = found
	g.proved.CompareAndSwap(before, next)
}

// prove is Find by the token's digest.
func (g *Gateways) prove(ctx context.Context, among *doors, token latchkey.Plaintext) (*latchkey.Gateway, error) {
	k, err := latchkey.ParseKeyString(token.Expose())
	if err != nil || k.Format != latchkey.FormatNative || k.Prefix != latchkey.GatewayPrefix {
		return nil, ErrNoGateway
	}
	found, err := g.byKID(ctx, among, k.KID)
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
func (g *Gateways) byKID(ctx context.Context, among *doors, kid latchkey.KID) (*latchkey.Gateway, error) {
	if among != nil {
		return among.gateways[kid], nil
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
