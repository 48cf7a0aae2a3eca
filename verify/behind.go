package verify

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// The rhythm of what is written behind verification. What is kept of uses is
// therefore at most a minute behind, jitter and a slow store included.
const (
	useInterval = 10 * time.Second
	batchSize   = 250                   // rows in one write
	useShare    = 5                     // of the time, one part is spent on writing uses
	usePause    = 50 * time.Millisecond // between two writes at most
	moveLimit   = 1_000                 // moved digests that wait; more are moved at a later use
	shutdown    = 5 * time.Second
)

// behindStore is where it is written.
type behindStore interface {
	Redigest(ctx context.Context, changes []store.Redigest) error
	RecordUses(ctx context.Context, batch store.UseBatch) error
}

// writeBehind keeps what verification learns until it is written.
type writeBehind struct {
	store   behindStore
	clock   func() time.Time
	log     *slog.Logger
	written func(moves []store.Redigest) // is told of moves that are in the store

	uses *uses

	flushing sync.Mutex // one writes uses at a time
	batch    store.UseBatch
	tables   []*useTable // one for each shard: those whose rows are pending, or empty ones
	pending  []*useRow   // to be written, by key
	told     int64       // of the lost uses
	since    atomic.Int64

	mu    sync.Mutex
	moves map[latchkey.KID]store.Redigest
}

func newWriteBehind(behind behindStore, clock func() time.Time, log *slog.Logger) *writeBehind {
	b := &writeBehind{store: behind, clock: clock, log: log, uses: newUses(), moves: map[latchkey.KID]store.Redigest{}}
	_, _ = rand.Read(b.batch.Boot[:]) // never fails (crypto/rand)
	for range b.uses.shards {
		b.tables = append(b.tables, newUseTable())
	}
	b.since.Store(clock().UnixNano())
	return b
}

func (b *writeBehind) moved(m store.Redigest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.moves) < moveLimit {
		b.moves[m.KID] = m
	}
}

func (b *writeBehind) run(ctx context.Context) {
	var work sync.WaitGroup
	work.Go(func() { b.writeUses(ctx) })
	work.Go(func() { b.writeMoves(ctx) })
	work.Wait()
	// What is left is written on the way out.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdown)
	defer cancel()
	b.flushMoves(last)
	if err := b.flushUses(last, false); err != nil {
		b.log.Warn("uses since the last write are lost", "error", err)
	}
}

// writeMoves writes one batch a second: at most 1,000 rows/s.
func (b *writeBehind) writeMoves(ctx context.Context) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-second.C:
			b.flushMoves(ctx)
		}
	}
}

func (b *writeBehind) writeUses(ctx context.Context) {
	next := time.NewTimer(jittered(useInterval))
	defer next.Stop()
	for {
		gently := true
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		case <-b.uses.full:
			gently = false // there is more than usual
		}
		if err := b.flushUses(ctx, gently); err != nil && ctx.Err() == nil {
			b.log.Warn("uses of keys wait to be written", "error", err)
		}
		next.Reset(jittered(useInterval))
	}
}

// jittered keeps the nodes of an installation from writing at the same moment.
func jittered(d time.Duration) time.Duration {
	return d - mathrand.N(d/5) //nolint:gosec // spreads load, decides nothing
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

// flushUses writes what was counted until now: first what an earlier flush could
// not write, as it was then, since it may have been.
func (b *writeBehind) flushUses(ctx context.Context, gently bool) error {
	b.flushing.Lock()
	defer b.flushing.Unlock()
	if err := b.writePending(ctx, gently); err != nil {
		return err
	}
	taken := b.clock().UnixNano()
	b.take()
	if err := b.writePending(ctx, gently); err != nil {
		return err
	}
	b.since.Store(taken)
	return nil
}

// take makes pending what was counted, by key.
func (b *writeBehind) take() {
	for i := range b.tables {
		b.tables[i] = b.uses.shards[i].swap(b.tables[i])
		for number := range uint32(b.tables[i].count) { //nolint:gosec // below shardRows
			b.pending = append(b.pending, b.tables[i].at(number))
		}
	}
	slices.SortFunc(b.pending, func(one, other *useRow) int { return bytes.Compare(one.key[:], other.key[:]) })
	if lost := b.uses.lost.Load(); lost > b.told {
		b.log.Warn("uses were not counted: there were more than memory is kept for", "count", lost-b.told)
		b.told = lost
	}
}

func (b *writeBehind) writePending(ctx context.Context, gently bool) error {
	for len(b.pending) > 0 {
		rows := b.pending[:min(batchSize, len(b.pending))]
		batch := b.batch
		batch.Number++
		for _, r := range rows {
			batch.Uses = append(batch.Uses, b.uses.spell(r))
		}
		began := time.Now()
		if err := b.store.RecordUses(ctx, batch); err != nil {
			return err
		}
		b.batch.Number = batch.Number
		if b.pending = b.pending[len(rows):]; len(b.pending) > 0 && gently {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(min((useShare-1)*time.Since(began), usePause)):
			}
		}
	}
	b.pending = nil
	for _, t := range b.tables {
		t.empty()
	}
	return nil
}

// behind is how old the oldest use may be that is not written.
func (b *writeBehind) behind() time.Duration { return b.clock().Sub(time.Unix(0, b.since.Load())) }
