package verify

import (
	"context"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/store"
)

// Alone is the spread of changes where one process has the store to itself: its
// index takes a change before the change is acknowledged.
type Alone struct {
	Feed  store.Feed
	Ring  *keyring.Ring
	Node  latchkey.ID
	Build string // of the program
}

// Await has nothing to wait for.
func (*Alone) Await(context.Context, int64, time.Time, time.Duration) []store.Pending { return nil }

// List is this node.
func (a *Alone) List(ctx context.Context) ([]store.Node, error) {
	head, err := a.Feed.Head(ctx)
	if err != nil {
		return nil, err
	}
	return []store.Node{{ID: a.Node, State: store.NodeServing, Applied: head, Versions: versions(a.Ring), Build: a.Build, Self: true}}, nil
}

// Forget knows no node that could be forgotten.
func (a *Alone) Forget(context.Context, latchkey.ID) error { return store.ErrNotFound }

// versions are those of the ring with which digests are made, in ascending order.
func versions(ring *keyring.Ring) (numbers []int) {
	for _, v := range ring.Versions() {
		if v.State != keyring.Retired {
			numbers = append(numbers, v.Number)
		}
	}
	return numbers
}
