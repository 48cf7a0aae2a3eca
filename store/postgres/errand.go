package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

const (
	sameErrand   = ` gateway = $1 AND kind = $2 AND subject_kind = $3 AND subject = $4`
	giveUpErrand = `DELETE FROM errands WHERE` + sameErrand
	keepErrand   = `UPDATE errands SET due_at = $6, round = $7, failures = $8 WHERE` + sameErrand + ` AND position = $5`
	askErrand    = `INSERT INTO errands (gateway, kind, subject_kind, subject, position, due_at, round, failures)
		SELECT $1::bytea, $2::text, $3::text, $4::bytea, $5::bigint, $6::bigint, $7::int, $8::int FROM errands_through WHERE position = $9
		ON CONFLICT (gateway, kind, subject_kind, subject) DO UPDATE
		SET position = excluded.position, due_at = excluded.due_at, round = excluded.round, failures = excluded.failures`
	hastenErrand = `INSERT INTO errands AS e (gateway, kind, subject_kind, subject, position, due_at, round, failures) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (gateway, kind, subject_kind, subject) DO UPDATE SET due_at = excluded.due_at, position = excluded.position WHERE e.due_at > excluded.due_at`
)

// errandKey is what sameErrand compares.
func errandKey(e *store.Errand) []any {
	return []any{e.Gateway[:], string(e.Kind), string(e.Subject.Kind), e.Subject.ID[:]}
}

func errandValues(e *store.Errand) []any {
	return append(errandKey(e), e.Position, ceiling(e.Due), e.Round, e.Failures)
}

// ErrandsThrough implements store.Errands.
func (s *Store) ErrandsThrough(ctx context.Context) (position int64, err error) {
	err = s.gather(ctx, func(g *gathering) {
		g.each(func(rows pgx.Rows) error { return rows.Scan(&position) }, `SELECT position FROM errands_through`)
	})
	return position, err
}

// AskErrands implements store.Errands.
func (s *Store) AskErrands(ctx context.Context, after, through int64, errands []store.Errand) error {
	moved := int64(0)
	err := s.writer.background(ctx, func(b *pgx.Batch) {
		for i := range errands {
			e := &errands[i]
			if e.Due.IsZero() {
				b.Queue(giveUpErrand+` AND EXISTS (SELECT FROM errands_through WHERE position = $5)`, append(errandKey(e), after)...)
			} else {
				b.Queue(askErrand, append(errandValues(e), after)...)
			}
		}
		b.Queue(`UPDATE errands_through SET position = $1 WHERE position = $2`, through, after).Exec(func(result pgconn.CommandTag) error {
			moved = result.RowsAffected()
			return nil
		})
	})
	if err == nil && moved == 0 {
		return store.ErrConflict
	}
	return err
}

// HastenErrand implements store.Errands.
func (s *Store) HastenErrand(ctx context.Context, e store.Errand) error {
	return s.writer.background(ctx, func(b *pgx.Batch) { b.Queue(hastenErrand, errandValues(&e)...) })
}

// TakeErrands implements store.Errands.
func (s *Store) TakeErrands(ctx context.Context, gateway latchkey.ID, kinds []store.ErrandKind, now, until time.Time, limit int) ([]store.Errand, error) {
	var taken []store.Errand
	err := s.writer.background(ctx, func(b *pgx.Batch) {
		b.Queue(`WITH due AS (SELECT gateway, kind, subject_kind, subject, due_at FROM errands
				WHERE gateway = $1 AND due_at <= $2 AND kind = ANY ($3::text[]) ORDER BY due_at, kind, subject LIMIT $4),
			taken AS (UPDATE errands e SET due_at = $5 FROM due
				WHERE e.gateway = due.gateway AND e.kind = due.kind AND e.subject_kind = due.subject_kind AND e.subject = due.subject
				RETURNING e.gateway, e.kind, e.subject_kind, e.subject, e.position, due.due_at, e.round, e.failures)
			SELECT * FROM taken ORDER BY due_at, kind, subject`,
			gateway[:], now.UnixMilli(), kindsOf(kinds), limit, ceiling(until)).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				var e store.Errand
				if err := rows.Scan((*idColumn)(&e.Gateway), (*string)(&e.Kind), (*string)(&e.Subject.Kind), (*idColumn)(&e.Subject.ID), &e.Position,
					(*timeColumn)(&e.Due), &e.Round, &e.Failures); err != nil {
					return err
				}
				taken = append(taken, e)
			}
			return rows.Err()
		})
	})
	if err != nil {
		return nil, err
	}
	return taken, nil
}

func kindsOf(kinds []store.ErrandKind) []string {
	list := make([]string, len(kinds))
	for i, k := range kinds {
		list[i] = string(k)
	}
	return list
}

// NextErrand implements store.Errands.
func (s *Store) NextErrand(ctx context.Context, gateway latchkey.ID, kinds []store.ErrandKind) (due time.Time, err error) {
	err = s.gather(ctx, func(g *gathering) {
		g.each(func(rows pgx.Rows) error { return rows.Scan((*timeColumn)(&due)) },
			`SELECT min(due_at) FROM errands WHERE gateway = $1 AND kind = ANY ($2::text[])`, gateway[:], kindsOf(kinds))
	})
	return due, err
}

// KeepErrands implements store.Errands.
func (s *Store) KeepErrands(ctx context.Context, errands []store.Errand) error {
	return s.writer.background(ctx, func(b *pgx.Batch) {
		for i := range errands {
			e := &errands[i]
			if e.Due.IsZero() {
				b.Queue(giveUpErrand+` AND position = $5`, append(errandKey(e), e.Position)...)
			} else {
				b.Queue(keepErrand, errandValues(e)...)
			}
		}
	})
}

// DropErrands implements store.Errands.
func (s *Store) DropErrands(ctx context.Context, gateway latchkey.ID) error {
	return s.writer.background(ctx, func(b *pgx.Batch) { b.Queue(`DELETE FROM errands WHERE gateway = $1`, gateway[:]) })
}
