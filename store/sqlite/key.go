package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// The tables of keys. A policy's row is kept in policy, and the role in it
// again in role, so that keys can be found by it.
var (
	keys = newTable("keys", "ordinal id organization", "project reach format name name_folded environment owner partner policy role "+
		"enabled retrievable expires_at revoked_at revoked_reason metadata signing_mode")
	secretColumns = "s.kid, s.public, s.format, s.scheme, s.pepper, s.digest, s.sealed, s.signing, s.signing_format, s.signing_sealed, s.signing_public, s.created_at, s.expires_at, " +
		"l.at, ifnull(l.address, ''), ifnull(l.agent, '')"
)

func keyValues(k *latchkey.Key, policy int64) []any {
	return append([]any{
		k.Ordinal, ident(k.ID), ident(k.Organization), ident(k.Project), string(k.Reach), string(k.Format), k.Name, fold(k.Name),
		string(k.Environment), ident(k.Owner), k.Partner, policy, ident(k.Policy.Role), k.Enabled, k.Retrievable,
		moment(k.ExpiresAt), moment(k.RevokedAt), k.RevokedReason, string(k.Metadata), string(k.SigningMode),
	}, recordValues(&k.Record)...)
}

func keyTargets(k *latchkey.Key, policy *int64) []any {
	return append([]any{
		&k.Ordinal, (*idColumn)(&k.ID), (*idColumn)(&k.Organization), (*idColumn)(&k.Project), (*string)(&k.Reach), (*string)(&k.Format), &k.Name,
		(*string)(&k.Environment), (*idColumn)(&k.Owner), &k.Partner, policy, (*idColumn)(&k.Policy.Role), &k.Enabled, &k.Retrievable,
		(*timeColumn)(&k.ExpiresAt), (*timeColumn)(&k.RevokedAt), &k.RevokedReason, (*string)(&k.Metadata), (*string)(&k.SigningMode),
	}, recordTargets(&k.Record)...)
}

func secretTargets(s *latchkey.Secret) []any {
	return []any{
		(*string)(&s.KID), &s.Public, (*string)(&s.Format), (*string)(&s.Scheme), &s.Pepper, (*hashColumn)(&s.Digest), &s.Sealed,
		(*string)(&s.Signing.Algorithm), (*string)(&s.Signing.Format), &s.Signing.Sealed, &s.Signing.Public,
		(*timeColumn)(&s.CreatedAt), (*timeColumn)(&s.ExpiresAt), (*timeColumn)(&s.LastUse.At),
		(*fromColumn)(&s.LastUse.Address), &s.LastUse.Agent,
	}
}

// fold is how text is written that is found without regard to case.
func fold(text string) string { return strings.ToLower(text) }

// selectHolder reads a key with its organization and secrets, one row for each
// secret. It is followed by a condition on the key's ordinal.
var selectHolder = `SELECT ` + keys.columns + `, ` + strings.ReplaceAll(organizations.columns, "t.", "o.") + `, o.keys, ` + secretColumns + `
	FROM keys t JOIN organizations o ON o.id = t.organization AND o.deleted_at IS NULL JOIN secrets s ON s.key = t.ordinal
	LEFT JOIN last_uses l ON l.kid = s.kid
	WHERE t.ordinal = `

// The ways to a key.
const (
	keyByID      = `(SELECT ordinal FROM keys WHERE id = ?)`
	keyByKID     = `(SELECT key FROM secrets WHERE kid = ?)`
	keyByForeign = `(SELECT key FROM secrets WHERE scheme = 'sha256' AND digest = ?)`
)

// holder reads a key with everything that decides what it may do. It takes
// several reads, so it belongs in a snapshot.
func (p *policies) holder(s *session, way string, by any) (*store.Holder, error) {
	var h store.Holder
	var policy int64
	err := s.each(func(rows *sql.Rows) error {
		var secret latchkey.Secret
		err := rows.Scan(slices.Concat(keyTargets(&h.Key, &policy), organizationTargets(&h.Organization), secretTargets(&secret))...)
		h.Key.Secrets = append(h.Key.Secrets, secret)
		return err
	}, selectHolder+way+` ORDER BY s.place`, by)
	if err == nil && h.Key.Secrets == nil {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	if h.Key.Policy, err = p.policy(s, policy); err != nil {
		return nil, err
	}
	return &h, s.powers(&h)
}

// powers reads the key's owner, and the roles of both.
func (s *session) powers(h *store.Holder) error {
	ids := []latchkey.ID{h.Key.Policy.Role}
	if !h.Key.Owner.IsZero() {
		owner, err := s.user(h.Key.Owner)
		switch {
		case err == nil:
			h.Owner = owner
			for _, m := range owner.Memberships {
				ids = append(ids, m.Role)
			}
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
	}
	for i, id := range ids {
		if id.IsZero() || slices.Contains(ids[:i], id) {
			continue
		}
		if role, ok := latchkey.BuiltinRoleByID(id); ok {
			h.Roles = append(h.Roles, role)
			continue
		}
		role, err := s.role(id)
		if err == nil {
			h.Roles = append(h.Roles, *role)
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}

// Key implements store.Keys.
func (s *Store) Key(ctx context.Context, id latchkey.ID) (*store.Holder, error) {
	return find(ctx, s, func(on *session) (*store.Holder, error) { return s.policies.holder(on, keyByID, id[:]) })
}

// ByKID implements store.Credentials.
func (s *Store) ByKID(ctx context.Context, kid latchkey.KID) (*store.Credential, error) {
	return find(ctx, s, func(on *session) (*store.Credential, error) {
		holder, err := s.policies.holder(on, keyByKID, string(kid))
		return credential(holder, err, func(s latchkey.Secret) bool { return s.KID == kid })
	})
}

// ByForeignDigest implements store.Credentials.
func (s *Store) ByForeignDigest(ctx context.Context, digests [][32]byte) (*store.Credential, error) {
	return find(ctx, s, func(on *session) (*store.Credential, error) {
		for _, digest := range digests {
			holder, err := s.policies.holder(on, keyByForeign, digest[:])
			if !errors.Is(err, store.ErrNotFound) {
				return credential(holder, err, func(s latchkey.Secret) bool {
					return s.Scheme == latchkey.SchemeSHA256 && s.Digest == digest
				})
			}
		}
		return nil, store.ErrNotFound
	})
}

// credential picks the secret that was asked for; err is the failure to find its holder.
func credential(holder *store.Holder, err error, asked func(latchkey.Secret) bool) (*store.Credential, error) {
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(holder.Key.Secrets, asked)
	return &store.Credential{Holder: *holder, Secret: holder.Key.Secrets[i]}, nil
}

// PepperVersions implements store.Credentials.
func (s *Store) PepperVersions(ctx context.Context) (map[int]int64, error) {
	counts := map[int]int64{}
	err := s.readers.use(ctx, func(on *session) error {
		return on.search(ctx, func(rows *sql.Rows) error {
			var version int
			var count int64
			err := rows.Scan(&version, &count)
			counts[version] = count
			return err
		}, `SELECT s.pepper, count(*) FROM secrets s JOIN keys k ON k.ordinal = s.key
			WHERE k.revoked_at IS NULL GROUP BY s.pepper`)
	})
	if err != nil {
		return nil, err
	}
	return counts, nil
}
