package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// ListKeys implements store.Keys.
func (s *Store) ListKeys(ctx context.Context, query store.KeyQuery) ([]store.ListedKey, error) {
	var found []store.ListedKey
	err := s.readers.use(ctx, func(on *session) error {
		return on.snapshot(func() (err error) {
			found, err = s.policies.list(ctx, on, &query)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

func (p *policies) list(ctx context.Context, s *session, query *store.KeyQuery) ([]store.ListedKey, error) {
	organization, err := s.organization(query.Organization)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list := newListing(query, organization.Suspended)
	if len(list.halves) == 0 {
		return nil, nil
	}
	ways, err := list.ways(ctx, s)
	if err != nil {
		return nil, err
	}
	var found []store.ListedKey
	for _, part := range list.parts() {
		if err == nil && len(found) < query.Limit {
			text, args := list.statement(ways, part)
			found, err = p.listPart(ctx, s, found, text+` LIMIT ? OFFSET ?`, append(args, query.Limit-len(found), query.Offset))
		}
	}
	if err != nil {
		return nil, err
	}
	return found, s.listSecrets(found)
}

// listPart adds the keys that a statement gives, without their secrets.
func (p *policies) listPart(ctx context.Context, s *session, found []store.ListedKey, text string, args []any) ([]store.ListedKey, error) {
	var rows []int64 // of the policies
	before := len(found)
	err := s.search(ctx, func(from *sql.Rows) error {
		var k store.ListedKey
		var policy int64
		err := from.Scan(append(keyTargets(&k.Key, &policy), &k.Suspended)...)
		found, rows = append(found, k), append(rows, policy)
		return err
	}, text, args...)
	for i := range rows {
		if err == nil {
			found[before+i].Policy, err = p.policy(s, rows[i])
		}
	}
	return found, err
}

// listSecrets reads the secrets of all keys of a page.
func (s *session) listSecrets(page []store.ListedKey) error {
	ordinals := make([]int64, len(page))
	at := make(map[int64]*latchkey.Key, len(page))
	for i := range page {
		ordinals[i] = page[i].Ordinal
		at[page[i].Ordinal] = &page[i].Key
	}
	text, err := json.Marshal(ordinals)
	if err != nil {
		return err
	}
	return s.each(func(rows *sql.Rows) error {
		var key int64
		var secret latchkey.Secret
		err := rows.Scan(append(secretTargets(&secret), &key)...)
		at[key].Secrets = append(at[key].Secrets, secret)
		return err
	}, `SELECT `+secretColumns+`, s.key FROM json_each(?) j CROSS JOIN secrets s ON s.key = j.value
		LEFT JOIN last_uses l ON l.kid = s.kid ORDER BY s.key, s.place`, string(text))
}
