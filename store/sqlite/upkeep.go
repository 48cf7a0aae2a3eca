package sqlite

import (
	"context"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// Redigest implements store.Credentials.
func (s *Store) Redigest(ctx context.Context, changes []store.Redigest) error {
	defer s.queue.Disturb()
	return s.writer.background(ctx, func(on *session) error {
		for _, c := range changes {
			if _, err := on.exec(`UPDATE secrets SET digest = ?, pepper = ? WHERE kid = ? AND digest = ?`,
				c.New[:], c.Version, string(c.KID), c.Old[:]); err != nil {
				return err
			}
		}
		return nil
	})
}

// sweepSize is how many records one transaction drops: changes wait for it.
const sweepSize = 500

// Sweep implements store.Maintenance.
func (s *Store) Sweep(ctx context.Context, old store.Old) error {
	const (
		uses   = `DELETE FROM uses WHERE (key, hour, code, source) IN (SELECT key, hour, code, source FROM uses WHERE hour < ? LIMIT ?)`
		boots  = `DELETE FROM use_batches WHERE boot IN (SELECT boot FROM use_batches WHERE at < ? LIMIT ?)`
		unseal = `UPDATE calls SET sealed = NULL WHERE rowid IN (SELECT rowid FROM calls WHERE sealed IS NOT NULL AND created_at < ? LIMIT ?)`
		forget = `DELETE FROM calls WHERE rowid IN (SELECT rowid FROM calls WHERE created_at < ? LIMIT ?)`
	)
	for _, sweep := range []struct {
		text   string
		before time.Time
	}{{forget, old.Calls}, {unseal, old.Sealed}, {uses, old.Uses}, {boots, old.Uses}} {
		if err := s.sweep(ctx, sweep.text, sweep.before); err != nil {
			return err
		}
	}
	return nil
}

// sweep repeats a statement, changes of others in between, until there is
// nothing left for it to do.
func (s *Store) sweep(ctx context.Context, text string, before time.Time) error {
	for swept := int64(sweepSize); swept == sweepSize; {
		err := s.writer.background(ctx, func(on *session) (err error) {
			swept, err = on.exec(text, ceiling(before), sweepSize)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *session) record(key store.RecordKey) (*store.Record, error) {
	r := store.Record{RecordKey: key}
	var objects []byte
	err := s.get([]any{(*hashColumn)(&r.BodyHash), &objects, &r.Sealed, (*timeColumn)(&r.CreatedAt)},
		`SELECT body_hash, objects, sealed, created_at FROM calls WHERE caller = ? AND organization = ? AND route = ? AND tag = ?`,
		key.Caller[:], key.Organization[:], key.Route, key.Tag[:])
	if err != nil {
		return nil, err
	}
	for len(objects) > 0 {
		var id latchkey.ID
		objects = objects[copy(id[:], objects):]
		r.Objects = append(r.Objects, id)
	}
	return &r, nil
}

// writeRecord remembers a call, in place of what was remembered of the same call before.
func (s *session) writeRecord(r *store.Record) error {
	var objects []byte
	for _, id := range r.Objects {
		objects = append(objects, id[:]...)
	}
	_, err := s.exec(`INSERT OR REPLACE INTO calls (caller, organization, route, tag, body_hash, objects, sealed, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		r.Caller[:], r.Organization[:], r.Route, r.Tag[:], r.BodyHash[:], objects, r.Sealed, moment(r.CreatedAt))
	return err
}
