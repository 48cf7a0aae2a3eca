package token_test

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/token"
)

// shelf is a store of token keys alone.
type shelf struct {
	mu         sync.Mutex
	generation uint64
	keys       []store.TokenKey
	dataKey    store.DataKey
	operator   latchkey.ID
	broken     error
	reads      int
}

func (s *shelf) TokenKeys(context.Context) ([]store.TokenKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	return slices.Clone(s.keys), s.broken
}

func (s *shelf) Generation() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.generation
}

func (s *shelf) Installation(context.Context) (*store.Installation, error) {
	return &store.Installation{Operator: s.operator}, nil
}

func (s *shelf) DataKey(context.Context, latchkey.ID) (*store.DataKey, error) { return &s.dataKey, nil }

// write does what a change does.
func (s *shelf) write(changes []token.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range changes {
		s.generation++
		k := c.Key
		k.Revision = int64(s.generation)
		at := slices.IndexFunc(s.keys, func(old store.TokenKey) bool { return old.ID == k.ID })
		switch {
		case at < 0:
			k.Ordinal = int64(s.generation)
			s.keys = append(s.keys, k)
		case k.Deleted():
			s.keys = slices.Delete(slices.Clone(s.keys), at, at+1)
		default:
			s.keys = slices.Clone(s.keys)
			s.keys[at] = k
		}
	}
}

// house is a token service over a shelf, at a time that the test moves.
type house struct {
	testing.TB
	*token.Service

	shelf *shelf
	ring  *keyring.Ring
	now   time.Time
}

func open(t testing.TB) *house {
	t.Helper()
	ring, err := keyring.Create(filepath.Join(t.TempDir(), "ring.json"), rand.Reader, time.Unix(1_700_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	operator := latchkey.ID{1}
	wrapped, err := ring.NewDataKey(operator, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &shelf{generation: 1, operator: operator, dataKey: store.DataKey{ID: wrapped.ID, Organization: operator, Version: wrapped.Version, Wrapped: wrapped.Wrapped}}
	return &house{TB: t, Service: token.New(s, ring), shelf: s, ring: ring, now: time.Unix(1_800_000_000, 0).UTC()}
}

// move does what is due, or ordered.
func (h *house) move(order token.Order) []token.Change {
	h.Helper()
	_, wants := token.Plan(h.shelf.keys, nil, order, h.now)
	fresh := map[token.Algorithm]*store.TokenKey{}
	for _, a := range wants {
		k, err := h.Draw(h.Context(), a, rand.Reader, h.now)
		if err != nil {
			h.Fatal(err)
		}
		fresh[a] = k
	}
	changes, wants := token.Plan(h.shelf.keys, fresh, order, h.now)
	if len(wants) > 0 {
		h.Fatalf("still wants keys for %v", wants)
	}
	h.shelf.write(changes)
	return changes
}

// claims are plain ones, as of now.
func (h *house) claims() token.Claims {
	return token.Claims{
		ID: "a-token", Issuer: "https://keys.example", Subject: "65a0b1c2d3e4f50617283940", Audience: []string{"https://keys.example"},
		KID: "7Hk2mQ9xTz4LpW0e", IssuedAt: h.now, ExpiresAt: h.now.Add(token.MaxLife),
	}
}

func (h *house) issue(a token.Algorithm, c token.Claims) string {
	h.Helper()
	signed, err := h.Issue(h.Context(), a, c)
	if err != nil {
		h.Fatal(err)
	}
	return signed.Expose()
}

func (h *house) verify(jwt string) (*token.Verified, error) {
	return h.Verify(h.Context(), latchkey.NewPlaintext(jwt), h.now)
}

// mustVerify wants a token to be good.
func (h *house) mustVerify(what, jwt string) *token.Verified {
	h.Helper()
	v, err := h.verify(jwt)
	if err != nil {
		h.Fatalf("%s: %v", what, err)
	}
	return v
}
