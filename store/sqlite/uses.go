package sqlite

import (
	"context"
	"database/sql"
	"math"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

const (
	countBatch = `INSERT INTO use_batches (boot, number, at) VALUES (?, ?, ?)
		ON CONFLICT (boot) DO UPDATE SET number = excluded.number, at = excluded.at WHERE number < excluded.number`
	countUse = `INSERT INTO uses (key, hour, code, source, count, last_at) VALUES (?1, ?2, ?3,
			CASE WHEN ?4 IN ('', '` + latchkey.SourceOthers + `')
				OR EXISTS (SELECT 1 FROM uses WHERE key = ?1 AND hour = ?2 AND code = ?3 AND source = ?4)
				OR (SELECT count(*) FROM uses WHERE key = ?1 AND hour = ?2 AND code = ?3 AND source NOT IN ('', '` + latchkey.SourceOthers + `')) < ?5
			THEN ?4 ELSE '` + latchkey.SourceOthers + `' END, ?6, ?7)
		ON CONFLICT (key, hour, code, source) DO UPDATE SET count = count + excluded.count, last_at = max(last_at, excluded.last_at)`
	useLast = `INSERT INTO last_uses (kid, at, address, agent) VALUES (?, ?, ?, ?)
		ON CONFLICT (kid) DO UPDATE SET at = excluded.at, address = excluded.address, agent = excluded.agent WHERE at < excluded.at`
	selectUses = `SELECT hour, code, source, count, last_at FROM uses
		WHERE key = ?1 AND hour IN (SELECT DISTINCT hour FROM uses WHERE key = ?1 AND hour >= ?2 AND hour < ?3 ORDER BY hour DESC LIMIT ?4)
		ORDER BY hour DESC, code, source`
)

// RecordUses implements store.Uses.
func (s *Store) RecordUses(ctx context.Context, batch store.UseBatch) error {
	return s.writer.background(ctx, func(on *session) error {
		fresh, err := on.exec(countBatch, batch.Boot[:], batch.Number, time.Now().UnixMilli())
		if err != nil || fresh == 0 {
			return err
		}
		for i := range batch.Uses {
			if err := on.use(&batch.Uses[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *session) use(u *store.Use) error {
	last, hour := u.Last.UnixMilli(), u.Last.UTC().Truncate(time.Hour).UnixMilli()
	if _, err := s.exec(countUse, u.Key[:], hour, string(u.Code), u.Source, latchkey.MaxSources, u.Count, last); err != nil {
		return err
	}
	if u.Code != latchkey.CodeValid {
		return nil
	}
	_, err := s.exec(useLast, string(u.KID), last, latchkey.Use{Address: u.Address}.From(), u.Agent)
	return err
}

// Usage implements store.Uses.
func (s *Store) Usage(ctx context.Context, q store.UsageQuery) ([]latchkey.Tally, error) {
	before := int64(math.MaxInt64)
	if !q.Before.IsZero() {
		before = ceiling(q.Before)
	}
	var tallies []latchkey.Tally
	err := s.readers.use(ctx, func(on *session) error {
		return on.each(func(rows *sql.Rows) error {
			var t latchkey.Tally
			err := rows.Scan((*timeColumn)(&t.Hour), (*string)(&t.Code), &t.Source, &t.Count, (*timeColumn)(&t.Last))
			tallies = append(tallies, t)
			return err
		}, selectUses, q.Key[:], ceiling(q.Since), before, q.Hours)
	})
	if err != nil {
		return nil, err
	}
	return tallies, nil
}
