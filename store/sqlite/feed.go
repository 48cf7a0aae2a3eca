package sqlite

import (
	"context"
	"database/sql"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

const (
	insertEvent = `INSERT INTO events (position, id, organization, type, at, actor, via, object_kind, object, changes, request_id)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	selectEvents = `SELECT position, id, organization, type, at, actor, via, object_kind, object, changes, request_id FROM events `
	selectHead   = `SELECT ifnull(max(position), 0) FROM events`
)

func eventValues(e *latchkey.Event) []any {
	return []any{
		e.Position, e.ID[:], ident(e.Organization), string(e.Type), moment(e.At), principal(e.Actor), ident(e.Via),
		string(e.Object.Kind), ident(e.Object.ID), string(e.Changes), e.RequestID,
	}
}

func eventTargets(e *latchkey.Event) []any {
	return []any{
		&e.Position, (*idColumn)(&e.ID), (*idColumn)(&e.Organization), (*string)(&e.Type), (*timeColumn)(&e.At), (*principalColumn)(&e.Actor),
		(*idColumn)(&e.Via), (*string)(&e.Object.Kind), (*idColumn)(&e.Object.ID), (*string)(&e.Changes), &e.RequestID,
	}
}

// Events implements store.Feed.
func (s *Store) Events(ctx context.Context, query store.EventQuery) ([]latchkey.Event, error) {
	// Each index ends in the position, so whichever serves gives the order too.
	from, where, args := `NOT INDEXED`, `position > ?`, []any{query.After}
	if !query.Organization.IsZero() {
		from, where, args = `INDEXED BY events_organization`, where+` AND organization = ?`, append(args, query.Organization[:])
	}
	if query.Type != "" {
		where, args = where+` AND type = ?`, append(args, string(query.Type))
		if !query.Organization.IsZero() && query.Type != latchkey.KeyCreated {
			from, where = `INDEXED BY events_type`, where+` AND type <> 'key.created'`
		}
	}
	if !query.Object.IsZero() {
		from, where, args = `INDEXED BY events_object`, where+` AND object = ?`, append(args, query.Object[:])
	}
	var events []latchkey.Event
	err := s.readers.use(ctx, func(on *session) error {
		return on.search(ctx, func(rows *sql.Rows) error {
			var e latchkey.Event
			err := rows.Scan(eventTargets(&e)...)
			events = append(events, e)
			return err
		}, selectEvents+from+` WHERE `+where+` ORDER BY position LIMIT ?`, append(args, query.Limit)...)
	})
	if err != nil {
		return nil, err
	}
	return events, nil
}

// Head implements store.Feed.
func (s *Store) Head(ctx context.Context) (int64, error) {
	var head int64
	err := s.readers.use(ctx, func(on *session) error { return on.get([]any{&head}, selectHead) })
	return head, err
}
