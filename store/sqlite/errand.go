package sqlite

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

const (
	sameErrand   = ` gateway = ? AND kind = ? AND subject_kind = ? AND subject = ?`
	askErrand    = `INSERT OR REPLACE INTO errands (due_at, round, failures, gateway, kind, subject_kind, subject, position) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
	hastenErrand = `INSERT INTO errands (due_at, round, failures, gateway, kind, subject_kind, subject, position) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET due_at = excluded.due_at, position = excluded.position WHERE due_at > excluded.due_at`
	giveUpErrand = `DELETE FROM errands WHERE` + sameErrand
	keepErrand   = `UPDATE errands SET due_at = ?, round = ?, failures = ? WHERE` + sameErrand + ` AND position = ?`
	dropErrand   = giveUpErrand + ` AND position = ?`
)

// errandKey is what sameErrand compares.
func errandKey(e *store.Errand) []any {
	return []any{e.Gateway[:], string(e.Kind), string(e.Subject.Kind), e.Subject.ID[:]}
}

func errandValues(e *store.Errand) []any {
	return append(append([]any{ceiling(e.Due), e.Round, e.Failures}, errandKey(e)...), e.Position)
}

// ErrandsThrough implements store.Errands.
func (s *Store) ErrandsThrough(ctx context.Context) (position int64, err error) {
	err = s.readers.use(ctx, func(on *session) error { return on.get([]any{&position}, `SELECT position FROM errands_through`) })
	return position, err
}

// AskErrands implements store.Errands.
func (s *Store) AskErrands(ctx context.Context, after, through int64, errands []store.Errand) error {
	return s.writer.background(ctx, func(on *session) error {
		moved, err := on.exec(`UPDATE errands_through SET position = ? WHERE position = ?`, through, after)
		if err == nil && moved == 0 {
			err = store.ErrConflict
		}
		if err != nil {
			return err
		}
		for i := range errands {
			e := &errands[i]
			text, args := askErrand, errandValues(e)
			if e.Due.IsZero() {
				text, args = giveUpErrand, errandKey(e)
			}
			if _, err := on.exec(text, args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// HastenErrand implements store.Errands.
func (s *Store) HastenErrand(ctx context.Context, e store.Errand) error {
	return s.writer.background(ctx, func(on *session) error {
		_, err := on.exec(hastenErrand, errandValues(&e)...)
		return err
	})
}

// TakeErrands implements store.Errands.
func (s *Store) TakeErrands(ctx context.Context, gateway latchkey.ID, kinds []store.ErrandKind, now, until time.Time, limit int) (taken []store.Errand, err error) {
	err = s.writer.background(ctx, func(on *session) error {
		args := append([]any{gateway[:], now.UnixMilli()}, kindsOf(kinds)...)
		err := on.each(func(rows *sql.Rows) error {
			var e store.Errand
			err := rows.Scan((*idColumn)(&e.Gateway), (*string)(&e.Kind), (*string)(&e.Subject.Kind), (*idColumn)(&e.Subject.ID), &e.Position,
				(*timeColumn)(&e.Due), &e.Round, &e.Failures)
			taken = append(taken, e)
			return err
		}, `SELECT gateway, kind, subject_kind, subject, position, due_at, round, failures FROM errands
			WHERE gateway = ? AND due_at <= ? AND kind IN (`+places(len(kinds))+`) ORDER BY due_at, kind, subject LIMIT ?`, append(args, limit)...)
		for i := range taken {
			put := taken[i]
			put.Due = until
			if err == nil {
				_, err = on.exec(keepErrand, errandValues(&put)...)
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return taken, nil
}

func kindsOf(kinds []store.ErrandKind) []any {
	list := make([]any, len(kinds))
	for i, k := range kinds {
		list[i] = string(k)
	}
	return list
}

func places(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }

// NextErrand implements store.Errands.
func (s *Store) NextErrand(ctx context.Context, gateway latchkey.ID, kinds []store.ErrandKind) (due time.Time, err error) {
	err = s.readers.use(ctx, func(on *session) error {
		return on.get([]any{(*timeColumn)(&due)}, `SELECT min(due_at) FROM errands WHERE gateway = ? AND kind IN (`+places(len(kinds))+`)`,
			append([]any{gateway[:]}, kindsOf(kinds)...)...)
	})
	return due, err
}

// KeepErrands implements store.Errands.
func (s *Store) KeepErrands(ctx context.Context, errands []store.Errand) error {
	return s.writer.background(ctx, func(on *session) error {
		for i := range errands {
			e := &errands[i]
			text, args := keepErrand, errandValues(e)
			if e.Due.IsZero() {
				text, args = dropErrand, append(errandKey(e), e.Position)
			}
			if _, err := on.exec(text, args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// DropErrands implements store.Errands.
func (s *Store) DropErrands(ctx context.Context, gateway latchkey.ID) error {
	return s.writer.background(ctx, func(on *session) error {
		_, err := on.exec(`DELETE FROM errands WHERE gateway = ?`, gateway[:])
		return err
	})
}
