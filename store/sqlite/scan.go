package sqlite

import (
	"context"
	"fmt"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/store/sqlite/btree"
)

// CountAllKeys implements store.Local.
func (s *Store) CountAllKeys(ctx context.Context) (int64, error) {
	var n int64
	err := s.readers.use(ctx, func(on *session) error {
		return on.get([]any{&n}, `SELECT ifnull(sum(keys), 0) FROM organizations`)
	})
	return n, err
}

// ScanKeys implements store.Local. It reads the keys and their secrets side by
// side, from the pages that they are in.
func (s *Store) ScanKeys(ctx context.Context, after, through int64, row func(k *latchkey.Key, policy int64) error) error {
	return s.readers.use(ctx, func(on *session) error {
		return on.snapshot(func() error {
			c := scan{row: row, policies: func(id int64) (latchkey.Policy, error) { return s.policies.policy(on, id) }}
			if err := c.begin(ctx, on, (after+1)<<store.OrdinalShift, (through+1)<<store.OrdinalShift); err != nil {
				return err
			}
			return c.run()
		})
	})
}

// scan gathers the secrets of one key after the other.
type scan struct {
	row      func(k *latchkey.Key, policy int64) error
	policies func(id int64) (latchkey.Policy, error)

	keys     *btree.Cursor
	of       keyPlaces
	secrets  *btree.Cursor
	ofSecret secretPlaces
	more     bool // secrets is at a row

	key    latchkey.Key
	policy int64 // that key.Policy is; the keys of one policy often follow one another
	odd    bool  // something was not what a row has there: nothing is guessed about a key
}

// keyPlaces are the columns of keys that verification asks about, by their place in
// a row.
type keyPlaces struct {
	id, organization, project, owner, reach, environment, partner, policy, enabled, expiresAt, revokedAt, metadata, signingMode int
}

// secretPlaces are those of secrets.
type secretPlaces struct{ kid, scheme, pepper, digest, expiresAt int }

// begin finds the rows of a range.
func (c *scan) begin(ctx context.Context, on *session, from, below int64) error {
	keys, err := on.layout("keys")
	if err != nil {
		return err
	}
	secrets, err := on.layout("secrets")
	if err != nil {
		return err
	}
	c.of = keyPlaces{
		keys.at("id"), keys.at("organization"), keys.at("project"), keys.at("owner"), keys.at("reach"), keys.at("environment"),
		keys.at("partner"), keys.at("policy"), keys.at("enabled"), keys.at("expires_at"), keys.at("revoked_at"), keys.at("metadata"), keys.at("signing_mode"),
	}
	c.ofSecret = secretPlaces{secrets.at("kid"), secrets.at("scheme"), secrets.at("pepper"), secrets.at("digest"), secrets.at("expires_at")}
	file, err := btree.Open(on.pages(ctx))
	if err != nil {
		return err
	}
	c.keys, c.secrets = file.Rows(keys.root, from, below, len(keys.columns)), file.Rows(secrets.root, from, below, c.ofSecret.expiresAt+1)
	c.more = c.secrets.Next()
	return nil
}

// run hands over every key that has a secret, as each has.
func (c *scan) run() error {
	for c.keys.Next() {
		k := &c.key
		k.Ordinal, k.Secrets = c.keys.Number, k.Secrets[:0]
		for ; c.more && c.secrets.Number <= k.Ordinal; c.more = c.secrets.Next() {
			if c.secrets.Number == k.Ordinal {
				k.Secrets = append(k.Secrets, c.secret())
				if c.odd || c.secrets.Damaged() {
					return fmt.Errorf("%w: a secret", errColumn)
				}
			}
		}
		if err := c.secrets.Err(); err != nil {
			return err
		}
		if len(k.Secrets) == 0 {
			continue
		}
		if err := c.take(); err != nil {
			return err
		}
		if err := c.row(k, c.policy); err != nil {
			return err
		}
	}
	return c.keys.Err()
}

// secret takes what the row says of a secret.
func (c *scan) secret() (s latchkey.Secret) {
	r, of := &c.secrets.Row, &c.ofSecret
	s.KID, s.Pepper, s.ExpiresAt = latchkey.KID(r.Text(of.kid)), int(r.Int(of.pepper)), stored(r, of.expiresAt)
	c.copy(s.Digest[:], r, of.digest)
	s.Scheme = oneOf(c, r, of.scheme, latchkey.SchemeKey, latchkey.SchemeSHA256)
	return s
}

// take takes what the row says of the key.
func (c *scan) take() error {
	k, r, of := &c.key, &c.keys.Row, &c.of
	c.copy(k.ID[:], r, of.id)
	c.copy(k.Organization[:], r, of.organization)
	c.copy(k.Project[:], r, of.project)
	if k.Owner = (latchkey.ID{}); !r.Null(of.owner) {
		c.copy(k.Owner[:], r, of.owner)
	}
	k.Reach = oneOf(c, r, of.reach, latchkey.ReachProject, latchkey.ReachOrganization, latchkey.ReachAll)
	k.Environment = oneOf(c, r, of.environment, latchkey.Live, latchkey.Test)
	k.Enabled, k.RevokedAt, k.ExpiresAt = r.Int(of.enabled) != 0, stored(r, of.revokedAt), stored(r, of.expiresAt)
	k.SigningMode = oneOf(c, r, of.signingMode, latchkey.SigningOff, latchkey.SigningOptional, latchkey.SigningRequired)
	k.Partner, k.Metadata = r.Text(of.partner), latchkey.Document(r.Text(of.metadata))
	policy := r.Int(of.policy)
	if c.odd || r.Damaged() {
		return fmt.Errorf("%w: a key", errColumn)
	}
	if policy == c.policy {
		return nil
	}
	var err error
	c.policy = policy
	k.Policy, err = c.policies(policy)
	return err
}

// copy takes bytes of which there must be so many.
func (c *scan) copy(to []byte, r *btree.Row, column int) {
	c.odd = c.odd || copy(to, r.Bytes(column)) != len(to) || len(r.Bytes(column)) != len(to)
}

// oneOf takes one of a few words.
func oneOf[W ~string](c *scan, r *btree.Row, column int, words ...W) W {
	text := r.Text(column)
	for _, w := range words {
		if text == string(w) {
			return w
		}
	}
	c.odd = true
	return ""
}

// stored is a time as it is stored; NULL is none.
func stored(r *btree.Row, column int) time.Time {
	if r.Null(column) {
		return time.Time{}
	}
	return time.UnixMilli(r.Int(column)).UTC()
}
