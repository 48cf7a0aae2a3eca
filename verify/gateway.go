package verify

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
)

// ErrNoGateway says that a token is no gateway's.
var ErrNoGateway = errors.New("no gateway has this token")

// GatewaySource is the part of a store that gateways need.
type GatewaySource interface {
	Gateways(ctx context.Context) ([]latchkey.Gateway, error)
	Generation() uint64
}

// Gateways finds gateways by their tokens. They are kept in memory for as long as
// the store's generation says that they are what they were, so that a change
// holds for the next request once it is acknowledged.
type Gateways struct {
	source GatewaySource
	ring   *keyring.Ring

	reading sync.Mutex // one reads, and the others have what it found
	kept    atomic.Pointer[gatewayTable]
}

// gatewayTable is every gateway as of a generation. It is never written again.
type gatewayTable struct {
	generation uint64
	byKID      map[latchkey.KID]*latchkey.Gateway
}

// NewGateways makes them.
func NewGateways(source GatewaySource, ring *keyring.Ring) *Gateways {
	return &Gateways{source: source, ring: ring}
}

// Find is the gateway that has the token. It is shared: do not change it. The
// error is ErrNoGateway, or that of the store; either way nothing is let through.
func (g *Gateways) Find(ctx context.Context, token latchkey.Plaintext) (*latchkey.Gateway, error) {
	k, err := latchkey.ParseKeyString(token.Expose())
	if err != nil || k.Format != latchkey.FormatNative || k.Prefix != latchkey.GatewayPrefix {
		return nil, ErrNoGateway
	}
	table, err := g.table(ctx)
	if err != nil {
		return nil, err
	}
	found, version := table.byKID[k.KID], g.ring.Active()
	if found != nil {
		version = found.Token.Pepper
	}
	digest, err := g.ring.Digest(version, token) // the same work for a kid that is unknown
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

func (g *Gateways) table(ctx context.Context) (*gatewayTable, error) {
	if t := g.current(); t != nil {
		return t, nil
	}
	g.reading.Lock()
	defer g.reading.Unlock()
	if t := g.current(); t != nil { // read while this one waited
		return t, nil
	}
	// Taken before the read: what is read now is of this generation or a later one.
	generation := g.source.Generation()
	rows, err := g.source.Gateways(ctx)
	if err != nil {
		return nil, err
	}
	t := &gatewayTable{generation: generation, byKID: make(map[latchkey.KID]*latchkey.Gateway, len(rows))}
	for i := range rows {
		t.byKID[rows[i].Token.KID] = &rows[i]
	}
	g.kept.Store(t)
	return t, nil
}

// current is what is kept, if it still holds; generation 0 says that nothing may
// be kept.
func (g *Gateways) current() *gatewayTable {
	t := g.kept.Load()
	if t == nil || t.generation == 0 || t.generation != g.source.Generation() {
		return nil
	}
	return t
}
