package verify

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// The rhythm of what is written behind verification. A time of last use is
// therefore at most a minute behind, jitter and a slow store included.
const (
	useInterval = 10 * time.Second
	batchSize   = 1_000 // rows in one write
	moveLimit   = 1_000 // moved digests that wait; more are moved at a later use
	shutdown    = 5 * time.Second
)

// writeBehind keeps what verification learns until it is written.
type writeBehind struct {
	store   store.Credentials
	log     *slog.Logger
	written func(moves []store.Redigest) // is told of moves that are in the store

	uses [64]useShard

	mu    sync.Mutex
	moves map[latchkey.KID]store.Redigest
}

// useShard has the times of last use of some secrets, in Unix milliseconds.
// There is no pointer in it: a million uses cost the garbage collector nothing.
type useShard struct {
	sync.Mutex

	last map[packedKID]int64
	_    [48]byte
}

func newWriteBehind(credentials store.Credentials, log *slog.Logger) *writeBehind {
	return &writeBehind{store: credentials, log: log, moves: map[latchkey.KID]store.Redigest{}}
}

func (b *writeBehind) used(kid latchkey.KID, at time.Time) {
	packed, ok := packKID(kid)
	if !ok {
		return
	}
	b.usedAt(packed, at.UnixMilli())
}

func (b *writeBehind) usedAt(kid packedKID, at int64) {
	s := &b.uses[kid.hash()%uint64(len(b.uses))]
	s.Lock()
	defer s.Unlock()
	if s.last == nil {
		s.last = map[packedKID]int64{}
	}
	if at > s.last[kid] {
		s.last[kid] = at
	}
}

// takeUses takes what there is.
func (b *writeBehind) takeUses() []store.Use {
	var uses []store.Use
	for i := range b.uses {
		s := &b.uses[i]
		s.Lock()
		for kid, at := range s.last {
			uses = append(uses, store.Use{KID: kid.KID(), At: time.UnixMilli(at)})
		}
		clear(s.last)
		s.Unlock()
	}
	return uses
}

func (b *writeBehind) moved(m store.Redigest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.moves) < moveLimit {
		b.moves[m.KID] = m
	}
}

func (b *writeBehind) run(ctx context.Context) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	next := jittered(useInterval)
	for {
		select {
		case <-ctx.Done():
			// What is left is written on the way out.
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdown)
			defer cancel()
			b.flushMoves(last)
			b.flushUses(last)
			return
		case <-second.C:
			b.flushMoves(ctx) // one batch a second: at most 1,000 rows/s
			if next -= time.Second; next <= 0 {
				b.flushUses(ctx)
				next = jittered(useInterval)
			}
		}
	}
}

// jittered keeps the nodes of an installation from writing at the same moment.
func jittered(d time.Duration) time.Duration {
	return d - rand.N(d/5) //nolint:gosec // spreads load, decides nothing
}

func (b *writeBehind) flushMoves(ctx context.Context) {
	b.mu.Lock()
	moves := make([]store.Redigest, 0, len(b.moves))
	for _, m := range b.moves {
		moves = append(moves, m)
	}
	b.mu.Unlock()
	if len(moves) == 0 {
		return
	}
	if err := b.store.Redigest(ctx, moves); err != nil {
		b.log.Warn("digests stay under an older pepper for now", "count", len(moves), "error", err)
		return
	}
	b.written(moves)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range moves {
		delete(b.moves, m.KID)
	}
}

// flushUses writes in batches; what could not be written is kept for the next
// time, since a time of last use only ever rises.
func (b *writeBehind) flushUses(ctx context.Context) {
	uses := b.takeUses()
	for len(uses) > 0 {
		n := min(batchSize, len(uses))
		if err := b.store.RecordUses(ctx, uses[:n]); err != nil {
			b.log.Warn("times of last use wait", "count", len(uses), "error", err)
			for _, u := range uses {
				b.used(u.KID, u.At)
			}
			return
		}
		uses = uses[n:]
	}
}
