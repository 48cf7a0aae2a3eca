package sqlite

import (
	"context"
	"database/sql"

	"latchkey.dev/latchkey/store"
)

var (
	tokenKeys       = newTable("token_keys", "ordinal id", "algorithm public sealed active_at retired_at")
	selectTokenKeys = `SELECT ` + tokenKeys.columns + ` FROM token_keys t WHERE t.deleted_at IS NULL ORDER BY t.ordinal`
)

// tokenKeyValues leaves nothing of a deleted private key.
func tokenKeyValues(k *store.TokenKey) []any {
	sealed := k.Sealed
	if k.Deleted() {
		sealed = nil
	}
	return append([]any{k.Ordinal, ident(k.ID), k.Algorithm, k.Public, sealed, moment(k.ActiveAt), moment(k.RetiredAt)},
		recordValues(&k.Record)...)
}

func tokenKeyTargets(k *store.TokenKey) []any {
	return append([]any{&k.Ordinal, (*idColumn)(&k.ID), &k.Algorithm, &k.Public, &k.Sealed, (*timeColumn)(&k.ActiveAt), (*timeColumn)(&k.RetiredAt)},
		recordTargets(&k.Record)...)
}

func (s *session) tokenKeys() ([]store.TokenKey, error) {
	var all []store.TokenKey
	err := s.each(func(rows *sql.Rows) error {
		var k store.TokenKey
		err := rows.Scan(tokenKeyTargets(&k)...)
		all = append(all, k)
		return err
	}, selectTokenKeys)
	return all, err
}

// TokenKeys implements store.TokenKeyReader.
func (s *Store) TokenKeys(ctx context.Context) (all []store.TokenKey, err error) {
	err = s.readers.use(ctx, func(on *session) (err error) {
		all, err = on.tokenKeys()
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}
