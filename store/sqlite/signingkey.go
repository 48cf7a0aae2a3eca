package sqlite

import (
	"context"
	"database/sql"

	"latchkey.dev/latchkey/store"
)

var (
	signingKeys       = newTable("signing_keys", "ordinal id", "algorithm public sealed active_at retired_at")
	selectSigningKeys = `SELECT ` + signingKeys.columns + ` FROM signing_keys t WHERE t.deleted_at IS NULL ORDER BY t.ordinal`
)

// signingKeyValues leaves nothing of a deleted private key.
func signingKeyValues(k *store.SigningKey) []any {
	sealed := k.Sealed
	if k.Deleted() {
		sealed = nil
	}
	return append([]any{k.Ordinal, ident(k.ID), k.Algorithm, k.Public, sealed, moment(k.ActiveAt), moment(k.RetiredAt)},
		recordValues(&k.Record)...)
}

func signingKeyTargets(k *store.SigningKey) []any {
	return append([]any{&k.Ordinal, (*idColumn)(&k.ID), &k.Algorithm, &k.Public, &k.Sealed, (*timeColumn)(&k.ActiveAt), (*timeColumn)(&k.RetiredAt)},
		recordTargets(&k.Record)...)
}

func (s *session) signingKeys() ([]store.SigningKey, error) {
	var all []store.SigningKey
	err := s.each(func(rows *sql.Rows) error {
		var k store.SigningKey
		err := rows.Scan(signingKeyTargets(&k)...)
		all = append(all, k)
		return err
	}, selectSigningKeys)
	return all, err
}

// SigningKeys implements store.TokenKeys.
func (s *Store) SigningKeys(ctx context.Context) (all []store.SigningKey, err error) {
	err = s.readers.use(ctx, func(on *session) (err error) {
		all, err = on.signingKeys()
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}
