package postgres

import (
	"context"
	"slices"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// own is what this node's writer committed and its member has not taken yet: the
// member need not read it from the database, nor is anybody but this process
// waiting to hear that it has it.
//
// A group is taken by its marks. Its transaction saw, behind the lock, the event
// that the member's mark names, so the two know one history; and all of it is
// forgotten when either opens another connection, behind which another server may
// be. What is not here is read.
type own struct {
	mu      sync.Mutex
	epoch   int         // rises when all is forgotten
	self    latchkey.ID // the member; zero: there is none
	groups  []*ownGroup // each begins where the one before it ends
	rows    int         // in these
	open    *ownGroup   // on its way
	taken   int64       // the position up to which the member took groups last; 0: it read since
	applied int64       // the position up to which it applied them; 0: none, or it is not known any more
}

// ownGroup is the changes of a transaction, if they are about keys alone.
type ownGroup struct {
	before, head store.Mark
	keys         []*latchkey.Key
	types        []latchkey.EventType
	over         chan struct{} // closed when the COMMIT was answered
}

// maxOwnRows is how many events and keys are kept at most: a member that fills its
// memory takes none.
const maxOwnRows = 1000

// settleWithin is how long a member waits for the answer to a COMMIT of its own
// node of which it has heard. It reads from the database then.
const settleWithin = 20 * time.Millisecond

// serves begins: there is a member.
func (o *own) serves(self latchkey.ID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.self = self
}

// forget is called when nothing is known any more of the server behind a connection.
func (o *own) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop()
	if o.open != nil {
		close(o.open.over)
	}
	o.open, o.taken, o.applied = nil, 0, 0
	o.epoch++
}

func (o *own) drop() { o.groups, o.rows = nil, 0 }

// begin takes note of a group before it is sent.
func (o *own) begin(before store.Mark, outcomes []store.Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.self.IsZero() {
		return
	}
	o.open = newOwnGroup(before, outcomes)
}

// newOwnGroup copies the keys: whoever submitted them goes on with theirs. It is
// nil where a group is about anything else, or about nothing.
func newOwnGroup(before store.Mark, outcomes []store.Outcome) *ownGroup {
	g := &ownGroup{before: before, head: before, over: make(chan struct{})}
	for i := range outcomes {
		for _, step := range outcomes[i].Steps {
			if step.Event.Object.Kind != latchkey.KindKey || g.rows()+len(step.Keys) > maxOwnRows {
				return nil
			}
			g.head = store.Mark{Position: step.Event.Position, Event: step.Event.ID}
			g.types = append(g.types, step.Event.Type)
			for _, k := range step.Keys {
				copied := *k
				copied.Secrets = slices.Clone(k.Secrets)
				g.keys = append(g.keys, &copied)
			}
		}
	}
	if len(g.types) == 0 {
		return nil
	}
	return g
}

// end tells how the group that began ended. Where that is not known it did not
// end well: what became of it is to be read.
func (o *own) end(committed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	g := o.open
	if o.open = nil; g == nil {
		return
	}
	close(g.over)
	if !committed {
		return
	}
	if last := len(o.groups) - 1; last >= 0 && o.groups[last].head != g.before || o.rows+g.rows() > maxOwnRows {
		o.drop()
	}
	o.groups, o.rows = append(o.groups, g), o.rows+g.rows()
}

func (g *ownGroup) rows() int { return len(g.types) + len(g.keys) }

// take gives what follows a mark if all of it is here, up to a position at least,
// and nothing otherwise.
func (o *own) take(ctx context.Context, after store.Mark, least int64) *store.Changes {
	o.settle(ctx, after)
	o.mu.Lock()
	defer o.mu.Unlock()
	groups := o.groups
	o.drop() // now, or by what is read now, the member has them
	for len(groups) > 0 && groups[0].before != after {
		groups = groups[1:]
	}
	if len(groups) == 0 || groups[len(groups)-1].head.Position < least {
		return nil
	}
	c := &store.Changes{Same: true, Head: groups[len(groups)-1].head}
	c.Events = c.Head.Position - after.Position
	for _, g := range groups {
		c.Step.Keys = append(c.Step.Keys, g.keys...) // some more than once: in order, the last as it is now
		for _, t := range g.types {
			if !slices.Contains(c.Types, t) {
				c.Types = append(c.Types, t)
			}
		}
	}
	o.taken = c.Head.Position
	return c
}

// settle waits for the answer to a COMMIT whose group follows the mark.
func (o *own) settle(ctx context.Context, after store.Mark) {
	o.mu.Lock()
	g := o.open
	o.mu.Unlock()
	if g == nil || g.before != after {
		return
	}
	timer := time.NewTimer(settleWithin)
	defer timer.Stop()
	select {
	case <-g.over:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// read says that the member reads from the database instead.
func (o *own) read() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.taken = 0
}

// apply says that the member has applied what it has up to the position, and
// reports whether that was taken from here.
func (o *own) apply(position int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if position == 0 || o.taken != position {
		return false
	}
	o.applied = position
	return true
}

// now is the epoch, which is asked for before a list is read that is to be corrected.
func (o *own) now() (epoch int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.epoch
}

// correct brings a list up to what this process knows better than its row, if it
// still is the epoch in which that was read.
func (o *own) correct(list *store.NodeList, epoch int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if epoch != o.epoch {
		return
	}
	for i := range list.Nodes {
		if n := &list.Nodes[i]; n.ID == o.self && n.State == store.NodeServing {
			n.Applied = max(n.Applied, o.applied)
		}
	}
}
