package sqlite

import (
	"context"
	"database/sql"
	"time"
)

const (
	refuseTokens  = `INSERT INTO token_refusals (family, until) VALUES (?, ?) ON CONFLICT DO UPDATE SET until = max(until, excluded.until)`
	tokenRefusals = `SELECT family FROM token_refusals WHERE family IN (SELECT value FROM json_each(?))`
)

// refused are those of the families that are refused.
func (s *session) refused(families []string) (map[string]bool, error) {
	found := map[string]bool{}
	if len(families) == 0 {
		return found, nil
	}
	listed, err := list(families)
	if err != nil {
		return nil, err
	}
	err = s.each(func(rows *sql.Rows) error {
		var family string
		err := rows.Scan(&family)
		found[family] = true
		return err
	}, tokenRefusals, listed)
	return found, err
}

// TokenRefused implements store.TokenRefusals.
func (s *Store) TokenRefused(ctx context.Context, families ...string) (refused bool, err error) {
	err = s.readers.use(ctx, func(on *session) error {
		found, err := on.refused(families)
		refused = len(found) > 0
		return err
	})
	return refused || err != nil, err
}

// SweepTokens implements store.Maintenance.
func (s *Store) SweepTokens(ctx context.Context, endedBefore time.Time) error {
	return s.sweep(ctx, `DELETE FROM token_refusals WHERE family IN (SELECT family FROM token_refusals WHERE until < ? LIMIT ?)`, endedBefore)
}
