package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// GroupSize is how many changes commit together at most, each counted by its
// weight. The last one may go beyond it.
const GroupSize = 64

// Tx is one transaction of a driver, used by its Writer.
type Tx interface {
	// Load reads what is named. Each list of ids is in ascending order, without
	// repetitions and without the zero id.
	Load(reads Reads) (*View, error)

	// Write writes the outcomes in order and numbers their steps. An outcome
	// that cannot be written is named by a *WriteError; the transaction is then
	// rolled back.
	Write(outcomes []Outcome) error

	// Commit makes it durable and returns the store's head. Whatever it
	// returns, the transaction is over; so it is after Rollback.
	Commit() (head int64, err error)
	Rollback()
}

// Joiner is a Tx that takes changes which come while it is open: after a Write
// there may be another Load, which sees what was written, and another Write.
type Joiner interface {
	Tx

	// Seal comes once, after the last Write and before Commit, for what is
	// written once for all outcomes. If it fails, the transaction is rolled back.
	Seal() error
}

// WriteError says which outcome of a group could not be written, and why.
type WriteError struct {
	Index int
	Err   error
}

// Error implements error.
func (e *WriteError) Error() string { return fmt.Sprintf("outcome %d: %v", e.Index, e.Err) }

// Unwrap gives the reason.
func (e *WriteError) Unwrap() error { return e.Err }

// Writer is the one writer of a store: it takes the changes that wait, urgent
// ones first and organizations in turn, and commits them in groups. A change
// that fails is taken out and the rest of its group runs again; a change that
// depends on another of its group waits for the next one.
type Writer struct {
	begin func(ctx context.Context) (Tx, error)

	mu      sync.Mutex
	waiting queue
	closed  bool
	enough  int           // changes that end the wait for more of them
	wake    chan struct{} // capacity 1
	done    chan struct{}

	// Of the last group; run's own.
	last int           // how many changes it had
	took time.Duration // how long it took, less what it waited

	following struct {
		sync.Mutex
		all []Follower
	}
	generation atomic.Uint64
	over       atomic.Bool // Close is through: others may write from now on

	changed struct {
		sync.Mutex
		ch chan struct{}
	}
}

// NewWriter starts a writer. begin opens a transaction that excludes all other
// writers of the store.
func NewWriter(begin func(ctx context.Context) (Tx, error)) *Writer {
	w := &Writer{begin: begin, wake: make(chan struct{}, 1), done: make(chan struct{})}
	w.changed.ch = make(chan struct{})
	w.generation.Store(1)
	go w.run()
	return w
}

// ticket is a change that waits, and then its result.
type ticket struct {
	change Change
	taken  bool // guarded by Writer.mu
	result chan result
}

type result struct {
	position int64
	err      error
}

// Submit implements Submitter.
func (w *Writer) Submit(ctx context.Context, change Change) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	t := &ticket{change: change, result: make(chan result, 1)}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return 0, fmt.Errorf("%w: it is closing", ErrUnavailable)
	}
	w.waiting.push(t)
	ready := w.waiting.ready(w.enough)
	w.mu.Unlock()
	if ready {
		w.signal()
	}

	select {
	case r := <-t.result:
		return r.position, r.err
	case <-ctx.Done():
	}
	w.mu.Lock()
	taken := t.taken
	if !taken {
		w.waiting.remove(t)
	}
	w.mu.Unlock()
	if !taken {
		return 0, ctx.Err()
	}
	r := <-t.result // it is being committed: the truth is worth the moment
	return r.position, r.err
}

// Changed implements Feed's method of that name for a store with one writer.
func (w *Writer) Changed() <-chan struct{} {
	w.changed.Lock()
	defer w.changed.Unlock()
	return w.changed.ch
}

// Generation implements Credentials' method of that name for a store with one writer.
func (w *Writer) Generation() uint64 {
	if w.over.Load() {
		return 0
	}
	return w.generation.Load()
}

// Disturb begins another generation, for what a driver writes besides changes.
func (w *Writer) Disturb() { w.generation.Add(1) }

// Follow implements Local's method of that name.
func (w *Writer) Follow(f Follower) {
	w.following.Lock()
	defer w.following.Unlock()
	w.following.all = append(w.following.all, f)
}

func (w *Writer) followers() []Follower {
	w.following.Lock()
	defer w.following.Unlock()
	return slices.Clone(w.following.all)
}

// tell hands what was committed, or perhaps was, to those who follow.
func (w *Writer) tell(outcomes []Outcome, failed error) {
	for _, f := range w.followers() {
		if failed != nil {
			f.Uncertain()
			continue
		}
		for i := range outcomes {
			f.Committed(outcomes[i].Steps)
		}
	}
}

// Close finishes what was submitted and stops.
func (w *Writer) Close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.signal()
	<-w.done
	w.over.Store(true)
	for _, f := range w.followers() {
		f.Ended()
	}
}

func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *Writer) run() {
	defer close(w.done)
	for {
		w.mu.Lock()
		group := w.waiting.take(GroupSize)
		closed := w.closed
		if len(group) == 0 {
			w.enough = 1 // those who were waited for may have taken theirs back
		}
		w.mu.Unlock()
		switch {
		case len(group) > 0:
			if w.commit(group) {
				w.gather()
			}
		case closed:
			return
		default:
			<-w.wake
		}
	}
}

// gather lets those who were just answered submit again before the next group
// is taken, as most callers that are busy do: a larger group costs less for each
// of its changes. It waits until as many changes are there as were in the last
// group or behind it, and never longer than that group took. Nothing urgent
// waits, nor does whoever is alone.
func (w *Writer) gather() {
	w.mu.Lock()
	w.enough = min(w.last+w.waiting.size(), GroupSize)
	w.mu.Unlock()
	timer := time.NewTimer(w.took)
	defer timer.Stop()
	for !w.gathered() {
		select {
		case <-w.wake:
		case <-timer.C:
			w.mu.Lock()
			w.enough = 1
			w.mu.Unlock()
			return
		}
	}
}

func (w *Writer) gathered() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed || w.waiting.ready(w.enough)
}

// maxJoining is how long a transaction waits, in all, for others to join it. The
// store is held meanwhile.
const maxJoining = 5 * time.Millisecond

// joinTogether is how many join at a time: writing a few together costs less for
// each, and the others are on their way meanwhile.
const joinTogether = 4

// join is gather for a transaction that others may join while it is open: those
// who have come are written while the rest is on its way. It returns nothing when
// the group is to be committed.
func (w *Writer) join(g *group) []*ticket {
	if g.urgent || len(g.outcomes) == 0 || g.weight >= GroupSize {
		return nil
	}
	began := time.Now()
	defer func() { g.waited += time.Since(began) }()
	timer := time.NewTimer(min(w.took, maxJoining) - g.waited)
	defer timer.Stop()
	w.mu.Lock()
	w.enough = max(1, min(joinTogether, w.last-len(g.tickets)))
	w.mu.Unlock()
	for late := false; ; {
		more, last := w.joining(g, late)
		if len(more) > 0 || last {
			return more
		}
		select {
		case <-w.wake:
		case <-timer.C:
			late = true
		}
	}
}

// joining takes those who join now: enough of them, or whoever is there when
// nobody is waited for any longer. last says that no more are to join.
func (w *Writer) joining(g *group, late bool) (more []*ticket, last bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	last = late || w.closed || len(g.tickets) >= w.last
	if last || w.waiting.ready(w.enough) {
		more = w.waiting.take(GroupSize - g.weight)
	}
	return more, last
}

// commit brings the tickets, or what is left of them, into the store. alone says
// that the driver's transactions take no changes once they are open.
func (w *Writer) commit(tickets []*ticket) (alone bool) {
	for again := false; len(tickets) > 0; again = true {
		began := time.Now()
		var g *group
		g, tickets = w.attempt(tickets, again)
		w.last, w.took, alone = len(g.tickets), time.Since(began)-g.waited, g.alone
		if len(g.later) > 0 {
			w.mu.Lock()
			w.waiting.putBack(g.later)
			w.mu.Unlock()
		}
	}
	return alone
}

// attempt runs one transaction. It answers those that were decided, and returns
// those to run again now. Nobody joins those who run again, or whoever fails each
// time could keep them from ever being committed.
func (w *Writer) attempt(tickets []*ticket, rerun bool) (g *group, again []*ticket) {
	g = &group{refused: map[*ticket]error{}, alone: true}
	// The group outlives any one caller, so no caller's context reaches it.
	tx, err := w.begin(context.Background())
	if err != nil {
		answer(tickets, unavailable(err))
		return g, nil
	}
	joiner, joins := tx.(Joiner)
	g.alone = !joins
	for part := tickets; len(part) > 0; {
		if culprit, err := g.run(tx, part); err != nil {
			tx.Rollback()
			return g, g.failed(culprit, err)
		}
		if part = nil; joins && !rerun {
			part = w.join(g)
		}
	}
	if len(g.outcomes) == 0 {
		tx.Rollback()
		g.answerRefused()
		return g, nil
	}
	if joins {
		if err := joiner.Seal(); err != nil {
			tx.Rollback()
			return g, g.failed(nil, err)
		}
	}
	head, err := tx.Commit()
	if slices.ContainsFunc(g.outcomes, func(o Outcome) bool { return len(o.Steps) > 0 }) {
		w.tell(g.outcomes, err)
		if slices.ContainsFunc(g.outcomes, Outcome.Disturbs) {
			w.Disturb()
		}
		w.Announce() // also of what may be there
	}
	if err != nil {
		answer(g.accepted, fmt.Errorf("%w: %w", ErrUncertain, err))
		if g.parts > 1 { // what they were refused for may not have happened
			for t := range g.refused {
				g.refused[t] = unavailable(err)
			}
		}
	} else {
		g.answerAccepted(head)
	}
	g.answerRefused()
	return g, nil
}

// Announce wakes those that wait for a change. A driver calls it for changes that
// others made.
func (w *Writer) Announce() {
	w.changed.Lock()
	defer w.changed.Unlock()
	close(w.changed.ch)
	w.changed.ch = make(chan struct{})
}

// answer tells those whose change was not made why.
func answer(tickets []*ticket, err error) {
	for _, t := range tickets {
		t.result <- result{err: err}
	}
}

func without(tickets []*ticket, culprit *ticket) []*ticket {
	return slices.DeleteFunc(slices.Clone(tickets), func(t *ticket) bool { return t == culprit })
}

func unavailable(err error) error {
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// Truncate drops what a store does not keep of a time.
func Truncate(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
