package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"latchkey.dev/latchkey"
)

// GroupSize is how many changes commit together at most.
const GroupSize = 64

// Tx is one transaction of a driver, used by its Writer.
type Tx interface {
	// Load reads what is named.
	Load(reads Reads) (*View, error)

	// Write writes the outcomes in order and numbers their steps. An outcome
	// that cannot be written is named by a *WriteError; the transaction is then
	// rolled back.
	Write(outcomes []Outcome) error

	// Commit makes it durable and returns the store's head.
	Commit() (head int64, err error)
	Rollback()
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
	waiting *queue
	closed  bool
	wake    chan struct{} // capacity 1
	done    chan struct{}

	changed struct {
		sync.Mutex
		ch chan struct{}
	}
}

// NewWriter starts a writer. begin opens a transaction that excludes all other
// writers of the store.
func NewWriter(begin func(ctx context.Context) (Tx, error)) *Writer {
	w := &Writer{begin: begin, waiting: newQueue(), wake: make(chan struct{}, 1), done: make(chan struct{})}
	w.changed.ch = make(chan struct{})
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
	t := &ticket{change: change, result: make(chan result, 1)}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return 0, fmt.Errorf("%w: it is closing", ErrUnavailable)
	}
	w.waiting.push(t)
	w.mu.Unlock()
	w.signal()

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

// Close finishes what was submitted and stops.
func (w *Writer) Close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.signal()
	<-w.done
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
		w.mu.Unlock()
		switch {
		case len(group) > 0:
			w.commit(group)
		case closed:
			return
		default:
			<-w.wake
		}
	}
}

// commit brings the group, or what is left of it, into the store.
func (w *Writer) commit(group []*ticket) {
	for len(group) > 0 {
		var later []*ticket
		group, later = w.attempt(group)
		if len(later) > 0 {
			w.mu.Lock()
			w.waiting.pushFront(later)
			w.mu.Unlock()
		}
	}
}

// attempt runs one transaction. It answers those that were decided, and returns
// those to run again now, and those to run in a later group.
func (w *Writer) attempt(group []*ticket) (again, later []*ticket) {
	// The group outlives any one caller, so no caller's context reaches it.
	tx, err := w.begin(context.Background())
	if err != nil {
		answer(group, 0, unavailable(err))
		return nil, nil
	}
	view, err := load(tx, group)
	if err != nil {
		tx.Rollback()
		answer(group, 0, unavailable(err))
		return nil, nil
	}
	p := decide(group, view)
	if len(p.outcomes) == 0 {
		tx.Rollback()
		p.answerRefused()
		return nil, p.later
	}
	if err := tx.Write(p.outcomes); err != nil {
		tx.Rollback()
		culprit, ok := errors.AsType[*WriteError](err)
		if !ok || errors.Is(culprit.Err, ErrUnavailable) {
			answer(p.accepted, 0, unavailable(err))
			p.answerRefused()
			return nil, p.later
		}
		answer(p.accepted[culprit.Index:culprit.Index+1], 0, culprit.Err)
		return without(group, p.accepted[culprit.Index]), nil
	}
	head, err := tx.Commit()
	if err != nil {
		answer(p.accepted, 0, fmt.Errorf("%w: %w", ErrUncertain, err))
		p.answerRefused()
		return nil, p.later
	}
	w.announce()
	for i, t := range p.accepted {
		position := head
		if steps := p.outcomes[i].Steps; len(steps) > 0 {
			position = steps[len(steps)-1].Event.Position
		}
		t.result <- result{position: position}
	}
	p.answerRefused()
	return nil, p.later
}

// announce wakes those that wait for a change.
func (w *Writer) announce() {
	w.changed.Lock()
	defer w.changed.Unlock()
	close(w.changed.ch)
	w.changed.ch = make(chan struct{})
}

func load(tx Tx, group []*ticket) (*View, error) {
	var reads Reads
	for _, t := range group {
		reads.merge(t.change.Reads)
	}
	return tx.Load(reads)
}

// plan is what a group decided.
type plan struct {
	accepted []*ticket
	outcomes []Outcome
	refused  map[*ticket]error
	later    []*ticket
}

// answerRefused tells the refused. It is done after the group is through, since
// a group that runs again decides anew.
func (p *plan) answerRefused() {
	for t, err := range p.refused {
		t.result <- result{err: err}
	}
}

// decide runs the changes against the view, in order. The view is as it was
// before the group, so a change that reads what an earlier one touched waits.
func decide(group []*ticket, view *View) plan {
	p := plan{refused: map[*ticket]error{}}
	touched := map[latchkey.ID]bool{}
	recorded := map[RecordKey]bool{}
	for _, t := range group {
		if reads := &t.change.Reads; dependsOn(reads, view, touched) ||
			slices.ContainsFunc(reads.Records, func(k RecordKey) bool { return recorded[k] }) {
			p.later = append(p.later, t)
			continue
		}
		outcome, err := apply(t.change, view)
		if err != nil {
			p.refused[t] = err
			continue
		}
		p.accepted = append(p.accepted, t)
		p.outcomes = append(p.outcomes, outcome)
		if outcome.Record != nil {
			recorded[outcome.Record.RecordKey] = true
		}
		for i := range outcome.Steps {
			step := &outcome.Steps[i]
			for _, id := range step.touched() {
				touched[id] = true
			}
			count(view, touched, step)
		}
	}
	return p
}

// apply keeps a fault in one change from stopping the writer.
func apply(change Change, view *View) (outcome Outcome, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("a change panicked: %v\n%s", fault, debug.Stack())
		}
	}()
	return change.Apply(view)
}

// holdingOf marks that what hangs on an object changed, without the object
// itself having changed.
func holdingOf(id latchkey.ID) latchkey.ID {
	for i := range id {
		id[i] = ^id[i]
	}
	return id
}

// count keeps the number of an organization's keys right within the group, and
// marks what the step's keys and users hang on.
func count(view *View, touched map[latchkey.ID]bool, step *Step) {
	for _, k := range step.Keys {
		if o := view.Organizations[k.Organization]; o != nil && k.Ordinal == 0 {
			o.Keys++
		}
		for _, id := range []latchkey.ID{k.Organization, k.Project, k.Owner, k.Policy.Role} {
			touched[holdingOf(id)] = true
		}
	}
	for _, u := range step.Users {
		for _, m := range u.Memberships {
			touched[holdingOf(m.Project)] = true
			touched[holdingOf(m.Role)] = true
		}
	}
}

// dependsOn reports whether what a change reads was touched by an earlier one of
// its group. A key depends on its organization, owner and roles as well.
func dependsOn(reads *Reads, view *View, touched map[latchkey.ID]bool) bool {
	if len(touched) == 0 {
		return false
	}
	was := func(id latchkey.ID) bool { return touched[id] }
	for _, ids := range [][]latchkey.ID{reads.Keys, reads.Organizations, reads.Projects, reads.Users, reads.Roles, reads.DataKeys} {
		if slices.ContainsFunc(ids, was) {
			return true
		}
	}
	for _, id := range reads.Keys {
		if h := view.Keys[id]; h != nil && (was(h.Key.Owner) || was(h.Organization.ID) ||
			slices.ContainsFunc(h.Roles, func(r latchkey.Role) bool { return was(r.ID) })) {
			return true
		}
	}
	return reads.Installation || slices.ContainsFunc(reads.Holdings, func(id latchkey.ID) bool {
		return was(id) || was(holdingOf(id))
	})
}

func answer(tickets []*ticket, position int64, err error) {
	for _, t := range tickets {
		t.result <- result{position, err}
	}
}

func without(group []*ticket, culprit *ticket) []*ticket {
	return slices.DeleteFunc(slices.Clone(group), func(t *ticket) bool { return t == culprit })
}

func unavailable(err error) error {
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// Truncate drops what a store does not keep of a time.
func Truncate(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
