package token

import (
	"context"
	"crypto"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/store"
)

// Store is what the service reads: the keys, what seals them, and whether what
// it read before still holds.
type Store interface {
	store.TokenKeyReader
	Generation() uint64
	Installation(ctx context.Context) (*store.Installation, error)
	DataKey(ctx context.Context, organization latchkey.ID) (*store.DataKey, error)
}

// Service signs and reads tokens. It is safe for concurrent use.
type Service struct {
	store   Store
	ring    *keyring.Ring
	checks  chan struct{} // places for signatures that are being checked
	current atomic.Pointer[keySet]

	mu      sync.Mutex // held while the set is read anew, and for signers
	signers map[latchkey.ID]crypto.Signer
}

// New makes a service over a store.
func New(from Store, ring *keyring.Ring) *Service {
	return &Service{
		store: from, ring: ring, signers: map[latchkey.ID]crypto.Signer{},
		// Half the processors: a flood of tokens with a good kid and a bad
		// signature leaves the other half for keys.
		checks: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}
}

// keySet is the keys as they were in one generation of the store.
type keySet struct {
	generation uint64
	all        []*signingKey // oldest first
	active     map[Algorithm]*signingKey
	document   []byte
}

// keys are the keys as they are now. They are kept for as long as the store's
// generation lasts, which ends before a change of them is acknowledged.
func (s *Service) keys(ctx context.Context) (*keySet, error) {
	if set := s.current.Load(); set.holds(s.store.Generation()) {
		return set, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Taken before the read: what is read is of this generation or a later one.
	generation, before := s.store.Generation(), s.current.Load()
	if before.holds(generation) {
		return before, nil
	}
	rows, err := s.store.TokenKeys(ctx)
	if err != nil {
		return nil, err
	}
	set, err := newKeySet(generation, rows, before)
	if err != nil {
		return nil, err
	}
	s.current.Store(set)
	for id := range s.signers {
		if !slices.ContainsFunc(set.all, func(k *signingKey) bool { return k.ID == id && k.Sealed != nil }) {
			delete(s.signers, id)
		}
	}
	return set, nil
}

func (set *keySet) holds(generation uint64) bool {
	return set != nil && generation != 0 && set.generation == generation
}

// newKeySet reads rows. Keys that have not changed are taken over, and so is the
// document if none has.
func newKeySet(generation uint64, rows []store.TokenKey, before *keySet) (*keySet, error) {
	if before == nil {
		before = &keySet{}
	}
	set := &keySet{generation: generation, active: map[Algorithm]*signingKey{}}
	for i := range rows {
		k := before.byID(rows[i].ID)
		if k == nil || k.Revision != rows[i].Revision {
			var err error
			if k, err = readKey(&rows[i]); err != nil {
				return nil, err
			}
		}
		set.all = append(set.all, k)
		if StateOf(&rows[i]) == Active {
			set.active[Algorithm(k.Algorithm)] = k
		}
	}
	if set.document = before.document; set.document != nil && slices.Equal(set.all, before.all) {
		return set, nil
	}
	var err error
	set.document, err = document(set.all)
	return set, err
}

func (set *keySet) byID(id latchkey.ID) *signingKey {
	for _, k := range set.all {
		if k.ID == id {
			return k
		}
	}
	return nil
}

// byKID finds the key that a token's header names. The kid is compared and never
// interpreted.
func (set *keySet) byKID(kid string) *signingKey {
	for _, k := range set.all {
		if k.kid == kid {
			return k
		}
	}
	return nil
}

// signer is the private half of an active key, opened once.
func (s *Service) signer(ctx context.Context, k *signingKey) (crypto.Signer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if signer := s.signers[k.ID]; signer != nil {
		return signer, nil
	}
	signer, err := s.unseal(ctx, k)
	if err == nil {
		s.signers[k.ID] = signer
	}
	return signer, err
}

// KeySet is the public keys as a JSON Web Key Set (RFC 7517, section 5): all that
// sign, will sign, or signed what may still be valid. ready is false if there is
// an algorithm that nothing signs with yet.
func (s *Service) KeySet(ctx context.Context) (document []byte, ready bool, err error) {
	set, err := s.keys(ctx)
	if err != nil {
		return nil, false, err
	}
	return set.document, len(set.active) == len(Algorithms()), nil
}
