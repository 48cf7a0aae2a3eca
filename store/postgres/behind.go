package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"latchkey.dev/latchkey/store"
)

// Redigest implements store.Credentials.
func (s *Store) Redigest(ctx context.Context, changes []store.Redigest) error {
	var kids []string
	var before, after [][]byte
	var versions []int
	for i := range changes {
		c := &changes[i]
		kids, versions = append(kids, string(c.KID)), append(versions, c.Version)
		before, after = append(before, c.Old[:]), append(after, c.New[:])
	}
	// One after the other where a secret comes more than once: of several rows
	// that match, UPDATE takes any.
	return s.writer.background(ctx, func(b *pgx.Batch) {
		seen := map[string]int{}
		for i, kid := range kids {
			if n := seen[kid]; n == 0 {
				seen[kid] = i + 1
			}
		}
		if len(seen) == len(kids) {
			b.Queue(`UPDATE secrets s SET digest = c.after, pepper = c.version
				FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::int[]) AS c (kid, before, after, version)
				WHERE s.kid = c.kid AND s.digest = c.before`, kids, before, after, versions)
			return
		}
		for i := range kids {
			b.Queue(`UPDATE secrets SET digest = $1, pepper = $2 WHERE kid = $3 AND digest = $4`, after[i], versions[i], kids[i], before[i])
		}
	})
}

// sweepSize is how many records one transaction drops: changes wait for it.
const sweepSize = 500

// Sweep implements store.Maintenance.
func (s *Store) Sweep(ctx context.Context, old store.Old) error {
	const (
		uses   = `DELETE FROM uses WHERE ctid = ANY (ARRAY (SELECT ctid FROM uses WHERE hour < $1 LIMIT $2))`
		boots  = `DELETE FROM use_batches WHERE ctid = ANY (ARRAY (SELECT ctid FROM use_batches WHERE at < $1 LIMIT $2))`
		unseal = `UPDATE calls SET sealed = NULL WHERE ctid = ANY (ARRAY (SELECT ctid FROM calls WHERE sealed IS NOT NULL AND created_at < $1 LIMIT $2))`
		forget = `DELETE FROM calls WHERE ctid = ANY (ARRAY (SELECT ctid FROM calls WHERE created_at < $1 LIMIT $2))`
	)
	for _, sweep := range []struct {
		by     *writer
		text   string
		before time.Time
	}{{s.writer, forget, old.Calls}, {s.writer, unseal, old.Sealed}, {s.uses, uses, old.Uses}, {s.uses, boots, old.Uses}} {
		if err := sweep.by.sweep(ctx, sweep.text, sweep.before); err != nil {
			return err
		}
	}
	return nil
}

// sweep repeats a statement, changes of others in between, until there is
// nothing left for it to do.
func (w *writer) sweep(ctx context.Context, text string, before time.Time) error {
	for swept := int64(sweepSize); swept == sweepSize; {
		err := w.background(ctx, func(b *pgx.Batch) {
			b.Queue(text, ceiling(before), sweepSize).Exec(func(result pgconn.CommandTag) error {
				swept = result.RowsAffected()
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}
