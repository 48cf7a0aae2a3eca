package postgres

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// countUses adds a batch to what is counted, in one statement: nothing of it is
// done unless the batch is a new one. The sources that are there keep their rows;
// of the new ones as many get one as there is room, and the others share a row.
const countUses = `WITH fresh AS (
		INSERT INTO use_batches AS b (boot, number, at) VALUES ($1, $2, $3)
		ON CONFLICT (boot) DO UPDATE SET number = excluded.number, at = excluded.at WHERE b.number < excluded.number RETURNING 1
	), used AS (
		SELECT * FROM unnest($4::bytea[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::bigint[], $10::bigint[], $11::text[], $12::text[])
			AS c (key, kid, hour, code, source, count, last_at, address, agent)
		WHERE EXISTS (SELECT FROM fresh)
	), tallies AS (
		SELECT key, hour, code, source, sum(count) AS count, max(last_at) AS last_at,
			source IN ('', '` + latchkey.SourceOthers + `') OR EXISTS (SELECT FROM uses u
				WHERE u.key = c.key AND u.hour = c.hour AND u.code = c.code AND u.source = c.source) AS known
		FROM used c GROUP BY key, hour, code, source
	), placed AS (
		SELECT key, hour, code, count, last_at, CASE WHEN known
				OR row_number() OVER (PARTITION BY key, hour, code, known ORDER BY source) + (SELECT count(*) FROM uses u
					WHERE u.key = t.key AND u.hour = t.hour AND u.code = t.code AND u.source NOT IN ('', '` + latchkey.SourceOthers + `')) <= $13
			THEN source ELSE '` + latchkey.SourceOthers + `' END AS source
		FROM tallies t
	), counted AS (
		INSERT INTO uses AS u (key, hour, code, source, count, last_at)
		SELECT key, hour, code, source, sum(count), max(last_at) FROM placed GROUP BY key, hour, code, source ORDER BY key, hour, code, source
		ON CONFLICT (key, hour, code, source) DO UPDATE SET count = u.count + excluded.count, last_at = greatest(u.last_at, excluded.last_at)
	)
	INSERT INTO last_uses AS l (kid, at, address, agent)
	SELECT DISTINCT ON (kid) kid, last_at, address, agent FROM used WHERE code = '` + string(latchkey.CodeValid) + `' ORDER BY kid, last_at DESC
	ON CONFLICT (kid) DO UPDATE SET at = excluded.at, address = excluded.address, agent = excluded.agent WHERE l.at < excluded.at`

// RecordUses implements store.Uses. It has a connection of its own, and a lock
// that nodes take for this alone, so changes do not wait for it.
func (s *Store) RecordUses(ctx context.Context, batch store.UseBatch) error {
	n := len(batch.Uses)
	keys, kids, codes, sources := make([][]byte, n), make([]string, n), make([]string, n), make([]string, n)
	hours, counts, lasts := make([]int64, n), make([]int64, n), make([]int64, n)
	addresses, agents := make([]string, n), make([]string, n)
	for i := range batch.Uses {
		u := &batch.Uses[i]
		keys[i], kids[i], codes[i], sources[i] = u.Key[:], string(u.KID), string(u.Code), u.Source
		hours[i], counts[i], lasts[i] = u.Last.UTC().Truncate(time.Hour).UnixMilli(), u.Count, u.Last.UnixMilli()
		addresses[i], agents[i] = latchkey.Use{Address: u.Address}.From(), u.Agent
	}
	return s.uses.background(ctx, func(b *pgx.Batch) {
		b.Queue(countUses, batch.Boot[:], batch.Number, time.Now().UnixMilli(),
			keys, kids, hours, codes, sources, counts, lasts, addresses, agents, latchkey.MaxSources)
	})
}

// Usage implements store.Uses.
func (s *Store) Usage(ctx context.Context, q store.UsageQuery) ([]latchkey.Tally, error) {
	before := int64(math.MaxInt64)
	if !q.Before.IsZero() {
		before = ceiling(q.Before)
	}
	var tallies []latchkey.Tally
	err := s.gather(ctx, func(g *gathering) {
		tallies = nil
		g.each(func(rows pgx.Rows) error {
			var t latchkey.Tally
			err := rows.Scan((*timeColumn)(&t.Hour), (*string)(&t.Code), &t.Source, &t.Count, (*timeColumn)(&t.Last))
			tallies = append(tallies, t)
			return err
		}, `SELECT hour, code, source, count, last_at FROM uses
			WHERE key = $1 AND hour`+among(`SELECT DISTINCT hour FROM uses WHERE key = $1 AND hour >= $2 AND hour < $3 ORDER BY hour DESC LIMIT $4`)+`
			ORDER BY hour DESC, code, source`, q.Key[:], ceiling(q.Since), before, q.Hours)
	})
	return tallies, err
}
