package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// history names which one the database is at: its cluster, the timeline of
// that, which is another one after each failover and restore, and the database
// itself.
const history = `(SELECT (SELECT system_identifier FROM pg_control_system())::text || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8) || '/' ||
	(SELECT oid FROM pg_database WHERE datname = current_database())::text)`

// serverNow is the server's clock, in Unix seconds.
const serverNow = `floor(extract(epoch FROM clock_timestamp()))::bigint`

// errMoved says that the connection leads to another history than when it was
// opened, as behind a proxy that does not tell.
var errMoved = errors.New("another server, or another history of it, is behind the connection now")

// raiseIfMoved raises the floor where the database is not at the place that it was at,
// so that nonces which were lost on the way are not missed. It is done on every
// connection that writes, before anything else.
func raiseIfMoved(ctx context.Context, conn *pgx.Conn) error {
	var moved bool
	if err := conn.QueryRow(ctx, `SELECT place <> `+history+` FROM nonce_floor`).Scan(&moved); err != nil || !moved {
		return err
	}
	var g gathering
	g.lock(writeLock)
	g.Queue(`UPDATE nonce_floor SET at = CASE WHEN place = '' THEN at ELSE greatest(at, `+serverNow+` + $1) END, place = `+history+`
		WHERE place <> `+history, ahead)
	g.Queue(`COMMIT`)
	return conn.SendBatch(ctx, &g.Batch).Close()
}

const ahead = int64(latchkey.SignatureAhead / time.Second)

// nonces gathers which of them are spent, and the floor.
func (g *gathering) nonces(view *store.View, keys []store.NonceKey) {
	view.Nonces = map[store.NonceKey]bool{}
	kids, hashes := make([]string, len(keys)), make([][]byte, len(keys))
	for i := range keys {
		kids[i], hashes[i] = string(keys[i].KID), keys[i].Hash[:]
	}
	g.each(func(rows pgx.Rows) error {
		var at int64
		var moved bool
		err := rows.Scan(&at, &moved)
		view.NonceFloor = time.Unix(at, 0).UTC()
		if moved {
			return errMoved
		}
		return err
	}, `SELECT at, place <> `+history+` FROM nonce_floor`)
	g.each(func(rows pgx.Rows) error {
		var n store.NonceKey
		err := rows.Scan((*string)(&n.KID), (*hashColumn)(&n.Hash))
		view.Nonces[n] = true
		return err
	}, `SELECT n.kid, n.hash FROM unnest($1::text[], $2::bytea[]) AS r (kid, hash) JOIN nonces n ON n.kid = r.kid AND n.hash = r.hash`, kids, hashes)
}

func nonceRow(n *store.Nonce) []any { return []any{string(n.KID), n.Hash[:], n.Created.Unix()} }

// PruneNonces implements store.Nonces. The floor is committed before any nonce
// that lies below it goes.
func (s *Store) PruneNonces(ctx context.Context) error {
	err := s.writer.background(ctx, func(b *pgx.Batch) {
		b.Queue(`UPDATE nonce_floor SET at = greatest(at, `+serverNow+` - $1)`, int64(latchkey.SignaturePast/time.Second)+1)
	})
	if err != nil {
		return err
	}
	for pruned := int64(sweepSize); pruned == sweepSize; {
		err := s.writer.background(ctx, func(b *pgx.Batch) {
			b.Queue(`DELETE FROM nonces WHERE ctid = ANY (ARRAY (SELECT ctid FROM nonces WHERE created <= (SELECT at FROM nonce_floor) LIMIT $1))`, sweepSize).
				Exec(func(result pgconn.CommandTag) error {
					pruned = result.RowsAffected()
					return nil
				})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// RaiseNonceFloor implements store.Nonces.
func (s *Store) RaiseNonceFloor(ctx context.Context) error {
	return s.writer.background(ctx, func(b *pgx.Batch) {
		b.Queue(`UPDATE nonce_floor SET at = greatest(at, `+serverNow+` + $1)`, ahead)
	})
}
