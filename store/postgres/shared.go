package postgres

import (
	"context"
	"sync"
)

// shared reads one thing for all who ask for it at a time. Whoever asks while it
// is being read gets the read after that one, which begins after the question:
// nobody is answered by what was before it asked.
type shared[K comparable, V any] struct {
	read func(context.Context, K) (V, error) // what it returns is not changed afterwards

	mu   sync.Mutex
	next map[K]*answer[V] // by what is being read now; nil: nobody waits for another
}

// answer is what a read finds, for those who asked.
type answer[V any] struct {
	ctx    context.Context // ends when the last of them gives up
	cancel context.CancelFunc
	askers int // guarded by shared.mu

	ready chan struct{} // closed once value and err are there
	value V
	err   error
}

func newShared[K comparable, V any](read func(context.Context, K) (V, error)) *shared[K, V] {
	return &shared[K, V]{read: read, next: map[K]*answer[V]{}}
}

// get reads what key names.
func (s *shared[K, V]) get(ctx context.Context, key K) (value V, err error) {
	if err := ctx.Err(); err != nil {
		return value, err
	}
	a := s.ask(key)
	select {
	case <-a.ready:
		return a.value, a.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.askers--; a.askers == 0 {
		a.cancel()
	}
	return value, ctx.Err()
}

func (s *shared[K, V]) ask(key K) *answer[V] {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, reading := s.next[key]
	if a == nil || a.askers == 0 {
		a = &answer[V]{ready: make(chan struct{})}
		a.ctx, a.cancel = context.WithCancel(context.Background()) //nolint:gosec // run calls it, and so does the last who waits
		s.next[key] = a
	}
	a.askers++
	if !reading {
		s.next[key] = nil
		go s.run(key, a)
	}
	return a
}

// run reads until nobody waits.
func (s *shared[K, V]) run(key K, a *answer[V]) {
	for a != nil {
		a.value, a.err = s.read(a.ctx, key)
		a.cancel()
		close(a.ready)
		a = s.turn(key)
	}
}

// turn is who is to be answered next.
func (s *shared[K, V]) turn(key K) *answer[V] {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.next[key]
	if a == nil {
		delete(s.next, key)
	} else {
		s.next[key] = nil
	}
	return a
}
