package authority

import (
	"context"
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
