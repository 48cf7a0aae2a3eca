package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// Events implements store.Feed.
func (s *Store) Events(ctx context.Context, query store.EventQuery) ([]latchkey.Event, error) {
	// Each index ends in the position, so whichever serves gives the order too.
	where, args := `position > $1`, []any{query.After}
	must := func(condition string, arg any) {
		args = append(args, arg)
		where += fmt.Sprintf(` AND `+condition, len(args))
	}
	if !query.Organization.IsZero() {
		must(`organization = $%d`, query.Organization[:])
	}
	if query.Type != "" {
		must(`type = $%d`, string(query.Type))
		if query.Type != latchkey.KeyCreated {
			where += ` AND type <> 'key.created'`
		}
	}
	if !query.Object.IsZero() {
		must(`object = $%d`, query.Object[:])
	}
	if !storable(string(query.Type)) {
		return nil, nil
	}
	var events []latchkey.Event
	err := s.gather(ctx, func(g *gathering) {
		events = nil
		g.each(func(rows pgx.Rows) error {
			var e latchkey.Event
			err := rows.Scan(eventTargets(&e)...)
			events = append(events, e)
			return err
		}, `SELECT `+eventColumns+` FROM events WHERE `+where+fmt.Sprintf(` ORDER BY position LIMIT $%d`, len(args)+1), append(args, query.Limit)...)
	})
	return events, err
}

// Head implements store.Feed.
func (s *Store) Head(ctx context.Context) (int64, error) {
	var head int64
	err := s.gather(ctx, func(g *gathering) {
		g.each(func(rows pgx.Rows) error { return rows.Scan(&head) }, selectHead)
	})
	return head, err
}
