package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// policies are those that scans came upon. They are never written again, and
// their hash is their name.
type policies struct {
	sync.Mutex

	known map[[32]byte]*scannedPolicy
}

type scannedPolicy struct {
	number int64
	latchkey.Policy
}

// CountAllKeys implements store.Scanner.
func (s *Store) CountAllKeys(ctx context.Context) (int64, error) {
	var n int64
	err := s.gather(ctx, func(g *gathering) {
		g.each(func(rows pgx.Rows) error { return rows.Scan(&n) }, `SELECT coalesce(sum(keys), 0)::bigint FROM organizations`)
	})
	return n, err
}

// selectScan reads what verification asks about, one row for each secret. What
// costs in a scan is the number of columns that are not NULL, so what has few values
// comes as the bits of one number, with the version of the key ring above them. The
// bounds are told of both tables, or each range would begin at the first of all keys.
// A word that is not known makes the number NULL, which ends the scan: nothing is
// guessed about a key.
const selectScan = `SELECT s.key, s.kid, s.digest, s.expires_at, k.id, k.organization, k.project, k.owner,
	CASE WHEN k.enabled THEN 1 ELSE 0 END + CASE WHEN k.revoked_at IS NULL THEN 0 ELSE 2 END
		+ CASE k.reach WHEN 'project' THEN 0 WHEN 'organization' THEN 4 WHEN 'all' THEN 8 END
		+ CASE k.signing_mode WHEN '' THEN 0 WHEN 'optional' THEN 16 WHEN 'required' THEN 32 END
		+ CASE k.environment WHEN 'live' THEN 0 WHEN 'test' THEN 64 END + CASE s.scheme WHEN 'key' THEN 0 WHEN 'sha256' THEN 128 END + (s.pepper << 8),
	k.policy, k.expires_at, nullif(k.partner, ''), k.metadata
	FROM secrets s JOIN keys k ON k.ordinal = s.key WHERE s.key >= $1 AND s.key < $2 AND k.ordinal >= $1 AND k.ordinal < $2 ORDER BY s.key, s.kid`

// The columns of selectScan.
const (
	scanKey = iota
	scanKID
	scanDigest
	scanSecretExpires
	scanID
	scanOrganization
	scanProject
	scanOwner
	scanBits
	scanPolicy
	scanKeyExpires
	scanPartner
	scanMetadata
	scanEnd
)

// The bits of scanBits.
const (
	bitEnabled = 1 << iota
	bitRevoked
	bitOrganization // the key's reach
	bitAll
	bitMaySign
	bitMustSign
	bitTest
	bitForeign
	pepperShift = iota
)

// ScanKeys implements store.Scanner.
func (s *Store) ScanKeys(ctx context.Context, after, through int64, row func(k *latchkey.Key, policy int64) error) error {
	from, to := (after+1)<<store.OrdinalShift, (through+1)<<store.OrdinalShift
	began := false
	return s.use(ctx, func(conn *pgxpool.Conn) error {
		if began {
			return fmt.Errorf("%w: the scan broke off", store.ErrUnavailable) // some rows were handed over
		}
		tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(ctx) }() // it only reads
		if _, err := tx.Exec(ctx, `SELECT set_config('enable_mergejoin', 'on', true)`); err != nil {
			return err
		}
		began = true
		c := scan{row: row, store: s, policies: map[[32]byte]*scannedPolicy{}}
		return c.run(ctx, tx, from, to)
	})
}

// learn reads the policies with these hashes.
func (s *Store) learn(ctx context.Context, tx pgx.Tx, hashes [][]byte) error {
	rows, err := tx.Query(ctx, `SELECT hash, role, scopes, addresses, resources, least FROM policies WHERE hash = ANY ($1::bytea[])`, hashes)
	if err != nil {
		return err
	}
	defer rows.Close()
	s.policies.Lock()
	defer s.policies.Unlock()
	for rows.Next() {
		var hash [32]byte
		p := &scannedPolicy{}
		var least int
		if err := rows.Scan((*hashColumn)(&hash), (*idColumn)(&p.Role), &listColumn{&p.Scopes}, (*addressColumn)(&p.Addresses), &listColumn{&p.Resources}, &least); err != nil {
			return err
		}
		if least > build {
			return fmt.Errorf("%w: a policy", store.ErrNewer)
		}
		if s.policies.known[hash] == nil {
			p.number = int64(len(s.policies.known)) + 1
			s.policies.known[hash] = p
		}
	}
	return rows.Err()
}

// scan gathers the secrets of one key after the other.
type scan struct {
	row      func(k *latchkey.Key, policy int64) error
	store    *Store
	policies map[[32]byte]*scannedPolicy // that were looked up; nil: it is not known
	later    [][][]byte                  // rows of keys whose policies are not known

	key    latchkey.Key
	policy *scannedPolicy
	hash   [32]byte // of policy
	text   []byte
}

// run reads the rows of a range. Those whose policies no scan came upon yet are kept
// until the others were read, since the connection is taken so long.
func (c *scan) run(ctx context.Context, tx pgx.Tx, from, to int64) error {
	rows, err := tx.Query(ctx, selectScan, pgx.QueryResultFormats{pgx.BinaryFormatCode}, from, to)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := c.take(rows.RawValues()); err != nil {
			return err
		}
	}
	if err := errors.Join(rows.Err(), c.give()); err != nil || len(c.later) == 0 {
		return err
	}
	var missing [][]byte
	for hash, p := range c.policies {
		if p == nil {
			missing = append(missing, bytes.Clone(hash[:]))
		}
	}
	if err := c.store.learn(ctx, tx, missing); err != nil {
		return err
	}
	late := scan{row: c.row, store: c.store, policies: map[[32]byte]*scannedPolicy{}}
	for _, row := range c.later {
		if err := late.take(row); err != nil {
			return err
		}
	}
	if len(late.later) > 0 {
		return fmt.Errorf("%w: the policy of a key is missing", errColumn)
	}
	return late.give()
}

// take takes the row of one secret, and gives the key before it, if this is
// another one's. Values are in the binary form of PostgreSQL's protocol: numbers
// with the highest byte first, bytes and text as they are.
func (c *scan) take(v [][]byte) error {
	if len(v) != scanEnd || len(v[scanKey]) != 8 || len(v[scanBits]) != 4 || len(v[scanDigest]) != 32 || len(v[scanPolicy]) != 32 || !areIDs(v[scanID:scanOwner]) ||
		v[scanOwner] != nil && !areIDs(v[scanOwner:scanOwner+1]) {
		return fmt.Errorf("%w: a row of a scan", errColumn)
	}
	if !c.know([32]byte(v[scanPolicy])) {
		kept := make([][]byte, len(v))
		for i := range v {
			kept[i] = bytes.Clone(v[i])
		}
		c.later = append(c.later, kept)
		return nil
	}
	ordinal := int64(binary.BigEndian.Uint64(v[scanKey])) //nolint:gosec // PostgreSQL sends a bigint in two's complement, which this turns back
	another := ordinal != c.key.Ordinal
	if another {
		if err := c.give(); err != nil {
			return err
		}
	}
	// One string for all texts is one allocation.
	c.text = append(append(append(c.text[:0], v[scanKID]...), v[scanPartner]...), v[scanMetadata]...)
	text, kid := string(c.text), len(v[scanKID])
	bits := binary.BigEndian.Uint32(v[scanBits])
	if another {
		k := &c.key
		k.Ordinal, k.Secrets = ordinal, k.Secrets[:0]
		k.Partner, k.Metadata = text[kid:kid+len(v[scanPartner])], latchkey.Document(text[kid+len(v[scanPartner]):])
		c.begin(bits, v)
	}
	secret := latchkey.Secret{
		KID: latchkey.KID(text[:kid]), Scheme: latchkey.SchemeKey, Pepper: int(bits >> pepperShift), Digest: [32]byte(v[scanDigest]), ExpiresAt: scannedTime(v[scanSecretExpires]),
	}
	if bits&bitForeign != 0 {
		secret.Scheme = latchkey.SchemeSHA256
	}
	c.key.Secrets = append(c.key.Secrets, secret)
	return nil
}

func areIDs(v [][]byte) bool {
	return !slices.ContainsFunc(v, func(id []byte) bool { return len(id) != len(latchkey.ID{}) })
}

// know finds a policy by its hash. It is most likely that of the key before.
func (c *scan) know(hash [32]byte) bool {
	if c.policy != nil && c.hash == hash {
		return true
	}
	p, asked := c.policies[hash]
	if !asked {
		c.store.policies.Lock()
		p = c.store.policies.known[hash]
		c.store.policies.Unlock()
		c.policies[hash] = p
	}
	return p != nil
}

// begin takes what the row says of the key, but for its texts.
func (c *scan) begin(bits uint32, v [][]byte) {
	k := &c.key
	for i, id := range []*latchkey.ID{&k.ID, &k.Organization, &k.Project, &k.Owner} {
		*id = latchkey.ID{}
		copy(id[:], v[scanID+i])
	}
	k.Reach, k.Environment, k.SigningMode = latchkey.ReachProject, latchkey.Live, latchkey.SigningOff
	switch {
	case bits&bitOrganization != 0:
		k.Reach = latchkey.ReachOrganization
	case bits&bitAll != 0:
		k.Reach = latchkey.ReachAll
	}
	switch {
	case bits&bitMaySign != 0:
		k.SigningMode = latchkey.SigningOptional
	case bits&bitMustSign != 0:
		k.SigningMode = latchkey.SigningRequired
	}
	if bits&bitTest != 0 {
		k.Environment = latchkey.Test
	}
	k.Enabled, k.RevokedAt = bits&bitEnabled != 0, time.Time{}
	if bits&bitRevoked != 0 {
		k.RevokedAt = time.UnixMilli(0)
	}
	k.ExpiresAt = scannedTime(v[scanKeyExpires])
	if hash := [32]byte(v[scanPolicy]); c.policy == nil || c.hash != hash {
		c.hash, c.policy = hash, c.policies[hash]
		k.Policy = c.policy.Policy
	}
}

func scannedTime(v []byte) time.Time {
	if len(v) != 8 {
		return time.Time{} // NULL
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(v))).UTC() //nolint:gosec // two's complement
}

// give hands the key over that was gathered.
func (c *scan) give() error {
	if c.key.Ordinal == 0 {
		return nil
	}
	return c.row(&c.key, c.policy.number)
}
