package authority

import (
	"context"
	"slices"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// EventFilter selects events, oldest first. Zero fields do not filter.
type EventFilter struct {
	After      int64 // position; events after it
	Type       latchkey.EventType
	Object     latchkey.ID
	Limit      int  // 1–100; 0 is 25
	Everywhere bool // every organization's and the installation's; the operator's to ask
}

// Events is a page of the record of changes of the caller's organization.
func (a *Authority) Events(ctx context.Context, call *Call, f EventFilter) ([]latchkey.Event, error) {
	if err := call.RequireWide(latchkey.EventRead); err != nil {
		return nil, err
	}
	if f.Everywhere && !call.Operator {
		return nil, latchkey.Errorf(latchkey.CodeForbidden, "Only the operator's owner and admin may read every organization's events.")
	}
	var broken problems
	limit := broken.limit(f.Limit)
	if f.After < 0 {
		broken.add("query:after", "range", "A position is 0 or more.")
	}
	if f.Type != "" && !slices.Contains(latchkey.EventTypes(), f.Type) {
		broken.add("query:type", "unknown", "There is no such type of event.")
	}
	if err := broken.err(); err != nil {
		return nil, err
	}
	q := store.EventQuery{Organization: call.Organization, After: f.After, Type: f.Type, Object: f.Object, Limit: limit}
	if f.Everywhere {
		q.Organization = latchkey.ID{}
	}
	events, err := a.Store.Events(ctx, q)
	return events, translate(err)
}

// EventsChanged is closed when there may be new events.
func (a *Authority) EventsChanged() <-chan struct{} { return a.Store.Changed() }
