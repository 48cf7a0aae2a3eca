package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// CountAllKeys implements store.Local.
func (s *Store) CountAllKeys(ctx context.Context) (int64, error) {
	var n int64
	err := s.readers.use(ctx, func(on *session) error {
		return on.get([]any{&n}, `SELECT ifnull(sum(keys), 0) FROM organizations`)
	})
	return n, err
}

// selectScan reads what verification asks about, one row for each secret. Both
// tables are in this order, so they are read side by side. What costs in a scan
// is the number of columns, so the ids come as one, and what has few values as
// letters of one word.
const selectScan = `SELECT s.key, s.kid, s.pepper, s.digest, s.expires_at,
	k.id || k.organization || k.project || ifnull(k.owner, zeroblob(12)),
	substr(s.scheme, 1, 1) || substr(k.reach, 1, 1) || substr(k.environment, 1, 1) || iif(k.enabled, 'e', '-') || iif(k.revoked_at IS NULL, '-', 'r') || substr(k.signing_mode || '-', 1, 1),
	k.policy, k.expires_at, k.partner, k.metadata
	FROM secrets s CROSS JOIN keys k ON k.ordinal = s.key WHERE s.key >= ? AND s.key < ? ORDER BY s.key, s.kid`

// ScanKeys implements store.Local.
func (s *Store) ScanKeys(ctx context.Context, after, through int64, row func(k *latchkey.Key, policy int64) error) error {
	return s.readers.use(ctx, func(on *session) error {
		return on.snapshot(func() error {
			c := scan{row: row, policies: func(id int64) (latchkey.Policy, error) { return s.policies.policy(on, id) }}
			err := on.search(ctx, c.take, selectScan, (after+1)<<store.OrdinalShift, (through+1)<<store.OrdinalShift)
			if err != nil {
				return err
			}
			return c.give()
		})
	})
}

// scan gathers the secrets of one key after the other.
type scan struct {
	row      func(k *latchkey.Key, policy int64) error
	policies func(id int64) (latchkey.Policy, error)

	key    latchkey.Key
	policy int64 // that key.Policy is; the keys of one policy often follow one another

	secret       latchkey.Secret // of the row that is read
	ordinal, of  int64           // its key, and that key's policy
	ids, letters sql.RawBytes
	partner      sql.RawBytes
	metadata     sql.RawBytes
	expires      timeColumn
}

// take takes the row of one secret, and gives the key before it, if this is
// another one's.
func (c *scan) take(rows *sql.Rows) error {
	err := rows.Scan(&c.ordinal, (*string)(&c.secret.KID), &c.secret.Pepper, (*hashColumn)(&c.secret.Digest), (*timeColumn)(&c.secret.ExpiresAt),
		&c.ids, &c.letters, &c.of, &c.expires, &c.partner, &c.metadata)
	if err != nil {
		return err
	}
	if c.ordinal != c.key.Ordinal {
		if err := c.give(); err != nil {
			return err
		}
		if err := c.begin(); err != nil {
			return err
		}
	}
	c.secret.Scheme = latchkey.SchemeKey
	if c.letters[0] == latchkey.SchemeSHA256[0] {
		c.secret.Scheme = latchkey.SchemeSHA256
	}
	c.key.Secrets = append(c.key.Secrets, c.secret)
	return nil
}

// begin takes what the row says of the key.
func (c *scan) begin() error {
	k := &c.key
	if len(c.ids) != 4*len(k.ID) || len(c.letters) != 6 {
		return fmt.Errorf("%w: ids", errColumn)
	}
	for i, id := range []*latchkey.ID{&k.ID, &k.Organization, &k.Project, &k.Owner} {
		copy(id[:], c.ids[i*len(id):])
	}
	k.Ordinal, k.Secrets = c.ordinal, k.Secrets[:0]
	k.Reach, k.Environment = reachOf(c.letters[1]), latchkey.Live
	if c.letters[2] == latchkey.Test[0] {
		k.Environment = latchkey.Test
	}
	k.Enabled, k.RevokedAt = c.letters[3] == 'e', time.Time{}
	if c.letters[4] == 'r' {
		k.RevokedAt = time.UnixMilli(0)
	}
	k.SigningMode = signingModeOf(c.letters[5])
	k.ExpiresAt, k.Partner, k.Metadata = time.Time(c.expires), string(c.partner), latchkey.Document(c.metadata)
	if c.of == c.policy {
		return nil
	}
	var err error
	c.policy = c.of
	k.Policy, err = c.policies(c.of)
	return err
}

func reachOf(letter byte) latchkey.Reach {
	for _, r := range []latchkey.Reach{latchkey.ReachProject, latchkey.ReachOrganization} {
		if letter == r[0] {
			return r
		}
	}
	return latchkey.ReachAll
}

func signingModeOf(letter byte) latchkey.SigningMode {
	for _, m := range []latchkey.SigningMode{latchkey.SigningOptional, latchkey.SigningRequired} {
		if letter == m[0] {
			return m
		}
	}
	return latchkey.SigningOff
}

// give hands the key over that was gathered.
func (c *scan) give() error {
	if c.key.Ordinal == 0 {
		return nil
	}
	return c.row(&c.key, c.policy)
}
