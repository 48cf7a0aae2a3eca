package client

import (
	"encoding/json"
	"errors"
	"iter"
)

// Answer is what the server answered: its content as a Go value, and as it came.
type Answer[T any] struct {
	Value     T
	Raw       Raw    // the text, with everything that Value has no field for
	ETag      string // the object's revision
	RequestID string // under which the server's log has the call
}

// Page is a part of a list.
type Page[T any] struct {
	Data       []T    `json:"data"`
	NextCursor string `json:"next_cursor"` // of the next page; "" at the end
}

// Effect tells how far a change has come.
type Effect struct {
	Effective string        `json:"effective"` // "everywhere", or "pending" until the nodes below know of it
	Position  int64         `json:"position"`  // of the change's event
	Nodes     []PendingNode `json:"nodes"`
}

// Reached tells how far something new has come.
type Reached struct {
	Usable   string        `json:"usable"` // "everywhere", or "pending" until the nodes below know of it
	Position int64         `json:"position"`
	Nodes    []PendingNode `json:"nodes"`
}

// Effect is the same as a change's.
func (r Reached) Effect() Effect { return Effect{r.Usable, r.Position, r.Nodes} }

// PendingNode is a node that may not know of a change yet.
type PendingNode struct {
	ID       string `json:"id"`
	WithinMS int64  `json:"within_ms"` // after these milliseconds it knows, or refuses everything
}

// Changed is an object as a change left it, and how far the change has come.
type Changed[T any] struct {
	Object T
	Effect
}

// UnmarshalJSON implements json.Unmarshaler: the object has the effect among its
// own members.
func (c *Changed[T]) UnmarshalJSON(text []byte) error {
	return errors.Join(json.Unmarshal(text, &c.Object), json.Unmarshal(text, &c.Effect))
}

// Field is a member of a patch. The zero Field leaves the thing as it is.
type Field[T any] struct {
	given *T
	clear bool
}

// Set gives a member a new value.
func Set[T any](value T) Field[T] { return Field[T]{given: &value} }

// Clear takes a member's value away.
func Clear[T any]() Field[T] { return Field[T]{clear: true} }

// IsZero reports whether the member is left as it is.
func (f Field[T]) IsZero() bool { return f.given == nil && !f.clear }

// MarshalJSON implements json.Marshaler: the value, or null.
func (f Field[T]) MarshalJSON() ([]byte, error) { return json.Marshal(f.given) }

// pages asks for one page after the other.
func pages[T any](cursor string, fetch func(cursor string) (Answer[Page[T]], error)) iter.Seq2[Answer[Page[T]], error] {
	return func(yield func(Answer[Page[T]], error) bool) {
		for {
			page, err := fetch(cursor)
			if !yield(page, err) || err != nil || page.Value.NextCursor == "" {
				return
			}
			if page.Value.NextCursor == cursor {
				yield(Answer[Page[T]]{}, errors.New("latchkey: the list does not advance: the server gives the same cursor again"))
				return
			}
			cursor = page.Value.NextCursor
		}
	}
}

// items are the elements of pages, in order.
func items[T any](pages iter.Seq2[Answer[Page[T]], error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for page, err := range pages {
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range page.Value.Data {
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}
