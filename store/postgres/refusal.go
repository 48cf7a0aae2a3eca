package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

const refuseTokens = `INSERT INTO token_refusals (family, until) VALUES ($1, $2)
	ON CONFLICT (family) DO UPDATE SET until = greatest(token_refusals.until, excluded.until)`

// refused marks those of the families that are refused.
func (g *gathering) refused(to map[string]bool, families []string) {
	g.each(func(rows pgx.Rows) error {
		var family string
		err := rows.Scan(&family)
		to[family] = true
		return err
	}, `SELECT family FROM token_refusals WHERE family = ANY ($1::text[])`, families)
}

// TokenRefused implements store.TokenRefusals.
func (s *Store) TokenRefused(ctx context.Context, families ...string) (bool, error) {
	var found map[string]bool
	err := s.gather(ctx, func(g *gathering) {
		found = map[string]bool{}
		g.refused(found, families)
	})
	return len(found) > 0 || err != nil, err
}

// SweepTokens implements store.Maintenance.
func (s *Store) SweepTokens(ctx context.Context, endedBefore time.Time) error {
	return s.writer.sweep(ctx, `DELETE FROM token_refusals WHERE ctid = ANY (ARRAY (SELECT ctid FROM token_refusals WHERE until < $1 LIMIT $2))`, endedBefore)
}
