package verify

import (
	"context"
	"errors"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/token"
)

// ErrEnds says that a key ends too soon for an assertion to say anything of it.
var ErrEnds = errors.New("the key ends within a second")

// Assertion is what an API is told of a key.
type Assertion = token.Assertion

// maxAssertions is how many assertions a generation holds. Each is at most
// [token.MaxLen].
const maxAssertions = 4096

// Assertions makes what gateways tell the APIs behind them, and keeps each for
// half its life: signing takes a hundred times as long as a verdict. One is kept
// for exactly what it says, so that a key which changed is told as it is now. It
// is safe for concurrent use.
type Assertions struct {
	tokens *token.Service
	issuer string
	clock  func() time.Time

	mu       sync.Mutex
	new, old map[token.Assertion]assertion // the older generation goes when the newer is full
}

// assertion is one that was signed.
type assertion struct {
	signed          latchkey.Plaintext
	issued, expires time.Time
}

// NewAssertions makes them. issuer is the base URL under which the key set is
// published, without a slash at its end.
func NewAssertions(tokens *token.Service, issuer string, clock func() time.Time) *Assertions {
	return &Assertions{tokens: tokens, issuer: issuer, clock: clock, new: map[token.Assertion]assertion{}}
}

// Of is an assertion of who it is, all but the issuer of which is given. It never
// outlives ends, which is when the key does; zero is never. The error is ErrEnds,
// or that of the store or the key ring: then nobody is let through.
func (s *Assertions) Of(ctx context.Context, who Assertion, ends time.Time) (latchkey.Plaintext, error) {
	who.Issuer = s.issuer
	now := s.clock()
	if a, ok := s.kept(who); ok && a.holds(now, ends) {
		return a.signed, nil
	}
	a := assertion{issued: now.Truncate(time.Second)}
	a.expires = a.issued.Add(token.AssertionLife)
	if !ends.IsZero() && ends.Before(a.expires) {
		a.expires = ends.Truncate(time.Second)
	}
	if !a.expires.After(now) {
		return latchkey.Plaintext{}, ErrEnds
	}
	var err error
	if a.signed, err = s.tokens.Assert(ctx, &who, a.issued, a.expires); err != nil {
		return latchkey.Plaintext{}, err
	}
	s.keep(who, a)
	return a.signed, nil
}

// holds reports whether the assertion is in the first half of its life, and ends
// no later than the key does by now.
func (a *assertion) holds(now, ends time.Time) bool {
	half := a.issued.Add(a.expires.Sub(a.issued) / 2)
	return !now.Before(a.issued) && now.Before(half) && (ends.IsZero() || !a.expires.After(ends))
}

func (s *Assertions) kept(who token.Assertion) (assertion, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.new[who]
	if !ok {
		a, ok = s.old[who]
	}
	return a, ok
}

func (s *Assertions) keep(who token.Assertion, a assertion) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.new) >= maxAssertions {
		s.old, s.new = s.new, map[token.Assertion]assertion{}
	}
	s.new[who] = a
}
