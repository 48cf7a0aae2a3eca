package verify

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"latchkey.dev/latchkey/store"
)

// MemoryError says that the index would not fit into memory.
type MemoryError struct {
	Keys            int64
	Need, Available int64 // bytes
}

// Error implements error.
func (e *MemoryError) Error() string {
	return fmt.Sprintf("the index of %d keys needs about %d MB of memory, and %d MB are available", e.Keys, megabytes(e.Need), megabytes(e.Available))
}

func megabytes(bytes int64) int64 { return (bytes + 1<<20 - 1) >> 20 }

// perKey is what a key takes in the index at most, without its texts and the
// second secret of a rotation.
const perKey = 128

// kept is the index as the store's changes reach it. Where it is nil, the store
// is asked each time.
type kept struct {
	index  atomic.Pointer[index]
	refill chan struct{} // capacity 1: the index was given up

	mu      sync.Mutex
	follows bool
	filling bool
	waiting []arrival // since the fill began
	spoiled bool      // a commit since the fill began may or may not be there
	ended   bool      // the store was closed: others may write to it
}

// Fill brings every secret of the store into memory; from then on the store's
// changes follow by themselves. Where several nodes share the store, this one
// takes its place among them, and Run keeps it current. available is the memory
// that there is, in bytes; 0 is any amount. The error is a *MemoryError or the
// store's.
func (v *Verifier) Fill(ctx context.Context, available int64) error {
	if v.node != nil {
		return v.node.join(ctx, available)
	}
	source := v.store.Local()
	if err := v.kept.begin(v, source); err != nil {
		return err
	}
	ix, err := v.read(ctx, source, available, nil)
	return errors.Join(err, v.kept.end(ctx, ix))
}

// begin keeps what is committed from now on until the index is filled.
func (k *kept) begin(v *Verifier, source store.Local) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.filling {
		return errors.New("the index is being filled already")
	}
	k.filling, k.spoiled, k.waiting = true, false, nil
	if !k.follows {
		k.follows = true
		source.Follow(follower{v})
	}
	return nil
}

// end applies what was committed meanwhile, and puts the index to use.
func (k *kept) end(ctx context.Context, ix *index) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.filling = false
	waiting := k.waiting
	k.waiting = nil
	if ix == nil {
		return nil
	}
	if k.spoiled || k.ended {
		return errors.New("the store failed while the index was filled")
	}
	for i := range waiting {
		if err := waiting[i].apply(ctx, ix); err != nil {
			return err
		}
	}
	k.index.Store(ix)
	return nil
}

// giveUp goes back to asking the store.
func (k *kept) giveUp() {
	k.index.Store(nil)
	k.spoiled = true
	select {
	case k.refill <- struct{}{}:
	default:
	}
}

// moved takes over digests that the store moved.
func (k *kept) moved(moves []store.Redigest) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_ = k.arrive(context.Background(), arrival{moves: moves}) // moving a digest cannot fail
}

// arrive brings a change into the index, or keeps it for the one that is being
// filled.
func (k *kept) arrive(ctx context.Context, a arrival) error {
	if k.filling {
		k.waiting = append(k.waiting, a)
		return nil
	}
	if ix := k.index.Load(); ix != nil {
		return a.apply(ctx, ix)
	}
	return nil
}

// arrival is what comes to an index, in order: committed steps, or digests that
// the store moved.
type arrival struct {
	steps []store.Step
	moves []store.Redigest
}

func (a *arrival) apply(ctx context.Context, ix *index) error {
	for i := range a.steps {
		if err := ix.apply(ctx, &a.steps[i], 0); err != nil {
			return err
		}
	}
	for _, m := range a.moves {
		ix.redigest(m)
	}
	return nil
}

// follower is the verifier as the store sees it.
type follower struct{ *Verifier }

// Committed implements store.Follower.
func (f follower) Committed(steps []store.Step) {
	f.kept.mu.Lock()
	defer f.kept.mu.Unlock()
	if err := f.kept.arrive(context.Background(), arrival{steps: steps}); err != nil {
		f.log.Error("the index does not take a change; each verification asks the store until it is filled again", "error", err)
		f.kept.giveUp()
	}
}

// Uncertain implements store.Follower.
func (f follower) Uncertain() {
	f.kept.mu.Lock()
	defer f.kept.mu.Unlock()
	f.kept.giveUp()
}

// Ended implements store.Follower.
func (f follower) Ended() {
	f.kept.mu.Lock()
	defer f.kept.mu.Unlock()
	f.kept.ended = true
	f.kept.index.Store(nil)
}

// refills fills the index again whenever it was given up.
func (v *Verifier) refills(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-v.kept.refill:
		}
		for v.kept.index.Load() == nil && !v.kept.over() {
			err := v.Fill(ctx, 0)
			if err == nil {
				break
			}
			v.log.Warn("the index cannot be filled again yet; each verification asks the store", "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
		}
	}
}

func (k *kept) over() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ended
}

// The fill reads the store in ranges of positions, several at a time.
const (
	parts         = 256
	progressEvery = 2 * time.Second
)

// read reads everything into a new index. lost, if it is not nil, is told of
// every key.
func (v *Verifier) read(ctx context.Context, source store.Scanner, available int64, lost *lost) (*index, error) {
	began := time.Now()
	keys, err := source.CountAllKeys(ctx)
	if err != nil {
		return nil, err
	}
	if need := keys * perKey; available > 0 && need > available {
		return nil, &MemoryError{keys, need, available}
	}
	head, err := v.store.Head(ctx)
	if err != nil {
		return nil, err
	}
	f := &fill{Verifier: v, index: newIndex(v.store, keys), keys: keys, available: available, lost: lost}
	_, f.empty = f.index.size()
	f.index.generations = &v.generations
	if err := f.index.openDoors(ctx, v.store); err != nil {
		return nil, err
	}
	if err := f.run(ctx, source, head); err != nil {
		return nil, err
	}
	secrets, size := f.index.size()
	v.log.Info("every key is in memory", "keys", f.done.Load(), "secrets", secrets, "groups", len(f.index.groups.numbers),
		"mb", megabytes(size), "took", time.Since(began).Round(time.Millisecond).String())
	return f.index, nil
}

// fill is one reading of the store.
type fill struct {
	*Verifier

	index     *index
	keys      int64 // that are to come, about
	empty     int64 // bytes of the index before any of them
	done      atomic.Int64
	available int64
	lost      *lost
}

func (f *fill) run(ctx context.Context, source store.Scanner, head int64) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ranges := make(chan [2]int64, parts)
	for _, r := range split(head) {
		ranges <- r
	}
	close(ranges)
	var readers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		readers.Go(func() {
			w := newFiller(ctx, f)
			defer w.end()
			for r := range ranges {
				if err := source.ScanKeys(ctx, r[0], r[1], w.row); err != nil {
					stop(err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { readers.Wait(); close(done) }()
	if err := f.watch(ctx, done); err != nil {
		stop(err)
	}
	<-done
	return context.Cause(ctx)
}

// split cuts the positions up to head into ranges: after one, through the other.
func split(head int64) [][2]int64 {
	var ranges [][2]int64
	for i := range int64(parts) {
		from, to := head*i/parts, head*(i+1)/parts
		if from < to {
			ranges = append(ranges, [2]int64{from, to})
		}
	}
	slices.Reverse(ranges) // the newest first: they are the ones in the page cache
	return ranges
}

// watch tells how far it is, and stops a fill that would not fit.
func (f *fill) watch(ctx context.Context, done <-chan struct{}) error {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		n := f.done.Load()
		f.log.Info("reading the keys into memory", "keys", n, "of", f.keys)
		_, size := f.index.size()
		if n == 0 || f.available == 0 {
			continue
		}
		if need := f.empty + int64(float64(size-f.empty)/float64(n)*float64(max(f.keys, n))); need > f.available {
			return &MemoryError{f.keys, need, f.available}
		}
	}
}
