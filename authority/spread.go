package authority

import (
	"context"
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// DefaultWait is how long a change waits for the nodes before its answer says
// which of them are pending.
const DefaultWait = 2 * time.Second

// Spread knows how far a change has come among the nodes that answer
// verifications from memory.
type Spread interface {
	// Await returns when no node answers any more by what was before position,
	// or after wait at the latest, or when ctx ends. Those that still may are
	// pending; nil says that the change is effective everywhere. committed is a
	// moment after the commit, by this process's monotonic clock.
	Await(ctx context.Context, position int64, committed time.Time, wait time.Duration) (pending []store.Pending)

	// List returns the nodes that are known, in order of their ids. The error is
	// the store's.
	List(ctx context.Context) ([]store.Node, error)

	// Forget strikes a node off the list on the operator's word that it answers
	// no more. A node that lives joins again. The error is store.ErrNotFound or
	// the store's.
	Forget(ctx context.Context, node latchkey.ID) error
}

// Effective is how far a committed change has come.
type Effective struct {
	Position int64 // of the event; 0 if there was nothing to change

	// Pending are the nodes that may still answer by what was before. None: the
	// change is effective everywhere.
	Pending []store.Pending

	committed time.Time // a moment after the commit; zero: it was some time ago
	inert     bool      // it alters no verdict, so that there is nothing to wait for
}

// Everywhere reports whether no node answers any more by what was before.
func (e Effective) Everywhere() bool { return len(e.Pending) == 0 }

// String is the word for it, on every wire.
func (e Effective) String() string {
	if e.Everywhere() {
		return "everywhere"
	}
	return "pending"
}

// Within is the time after which the change is effective everywhere for certain.
func (e Effective) Within() (longest time.Duration) {
	for _, p := range e.Pending {
		longest = max(longest, p.Within)
	}
	return longest
}

// inert reports whether what was written alters no verdict. Where nothing was
// written, what is so already may still be on its way.
func (t *txn) inert() bool {
	return len(t.steps) > 0 && !slices.ContainsFunc(t.steps, func(s *store.Step) bool {
		c, _ := s.Event.Type.Consequence()
		return c.Narrows || c.Widens
	})
}

// await waits for the nodes as long as the caller has time.
func (a *Authority) await(ctx context.Context, call *Call, e Effective) Effective {
	if e.inert {
		return e
	}
	if e.committed.IsZero() {
		e.committed = time.Now()
	}
	wait := DefaultWait
	if call.Wait != nil {
		wait = *call.Wait
	}
	if call.Linger != nil {
		leave, ok := call.Linger()
		if ok {
			defer leave()
		} else {
			wait = 0
		}
	}
	e.Pending = a.Spread.Await(ctx, e.Position, e.committed, wait)
	return e
}

// Node is a process that answers verifications from memory.
type Node = store.Node

// Nodes lists the nodes that answer verifications from memory, with the position
// of the newest event. They are the operator's to know.
func (a *Authority) Nodes(ctx context.Context, call *Call) (nodes []Node, head int64, err error) {
	if err := call.RequireOperator(latchkey.OrganizationRead); err != nil {
		return nil, 0, err
	}
	if nodes, err = a.Spread.List(ctx); err == nil {
		head, err = a.Store.Head(ctx)
	}
	return nodes, head, translate(err)
}

// ForgetNode strikes a node off the list, on the operator's word that it answers
// no more: changes do not wait for it any longer. The word is an event.
func (a *Authority) ForgetNode(ctx context.Context, call *Call, id latchkey.ID) error {
	if err := call.RequireOperator(latchkey.OrganizationUpdate); err != nil {
		return err
	}
	nodes, err := a.Spread.List(ctx)
	if err != nil {
		return translate(err)
	}
	at := slices.IndexFunc(nodes, func(n store.Node) bool { return n.ID == id })
	if at < 0 || id.IsZero() {
		return latchkey.Errorf(latchkey.CodeNotFound, "There is no such node; GET /v1/nodes lists those that there are.")
	}
	if nodes[at].Self {
		return latchkey.Errorf(latchkey.CodeConflict, "This is the node that answers you; it is not dead.")
	}
	_, _, err = a.submit(ctx, call, change{
		needs: latchkey.OrganizationUpdate,
		apply: func(t *txn) error {
			if err := t.caller.RequireOperator(latchkey.OrganizationUpdate); err != nil {
				return err
			}
			step, err := t.step(latchkey.NodeForgotten, latchkey.Object{Kind: latchkey.KindNode, ID: id}, changes{"applied": nodes[at].Applied}.document())
			if err == nil {
				step.Event.Organization = latchkey.ID{}
			}
			return err
		},
	})
	if err != nil {
		return err
	}
	return translate(a.Spread.Forget(ctx, id))
}
