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
	store store.Credentials
	log   *slog.Logger

	mu    sync.Mutex
	uses  map[latchkey.KID]time.Time
	moves map[latchkey.KID]store.Redigest
}

func newWriteBehind(credentials store.Credentials, log *slog.Logger) *writeBehind {
	return &writeBehind{store: credentials, log: log, uses: map[latchkey.KID]time.Time{}, moves: map[latchkey.KID]store.Redigest{}}
}

func (b *writeBehind) used(kid latchkey.KID, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at.After(b.uses[kid]) {
		b.uses[kid] = at
	}
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
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range moves {
		delete(b.moves, m.KID)
	}
}

// flushUses writes in batches; what could not be written is kept for the next
// time, since a time of last use only ever rises.
func (b *writeBehind) flushUses(ctx context.Context) {
	b.mu.Lock()
	uses := make([]store.Use, 0, len(b.uses))
	for kid, at := range b.uses {
		uses = append(uses, store.Use{KID: kid, At: at})
	}
	clear(b.uses)
	b.mu.Unlock()
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
