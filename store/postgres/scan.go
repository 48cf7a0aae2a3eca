package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
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

	known map[[32]byte]scannedPolicy
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
// costs in a scan is the number of columns, so those of fixed length come as one:
// four ids, a letter for each of six things, and the hash of the policy.
const selectScan = `SELECT s.key, s.kid, s.pepper, s.digest, s.expires_at,
	k.id || k.organization || k.project || coalesce(k.owner, '\x000000000000000000000000'::bytea)
		|| convert_to(left(s.scheme, 1) || left(k.reach, 1) || left(k.environment, 1) || CASE WHEN k.enabled THEN 'e' ELSE '-' END
		|| CASE WHEN k.revoked_at IS NULL THEN '-' ELSE 'r' END || left(k.signing_mode || '-', 1), 'UTF8') || k.policy,
	k.expires_at, k.partner, k.metadata
	FROM secrets s JOIN keys k ON k.ordinal = s.key WHERE s.key >= $1 AND s.key < $2 ORDER BY s.key, s.kid`

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
		c := scan{row: row}
		if c.policies, err = s.policiesOf(ctx, tx, from, to); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `SELECT set_config('enable_mergejoin', 'on', true)`); err != nil {
			return err
		}
		began = true
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
		if err := rows.Err(); err != nil {
			return err
		}
		return c.give()
	})
}

// policiesOf are those of the keys in a range.
func (s *Store) policiesOf(ctx context.Context, tx pgx.Tx, from, to int64) (map[[32]byte]scannedPolicy, error) {
	of := map[[32]byte]scannedPolicy{}
	var missing [][]byte
	rows, err := tx.Query(ctx, `SELECT DISTINCT policy FROM keys WHERE ordinal >= $1 AND ordinal < $2`, from, to)
	if err != nil {
		return nil, err
	}
	hashes, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return nil, err
	}
	s.policies.Lock()
	for _, hash := range hashes {
		if known, ok := s.policies.known[[32]byte(hash)]; ok {
			of[[32]byte(hash)] = known
		} else {
			missing = append(missing, hash)
		}
	}
	s.policies.Unlock()
	if len(missing) == 0 {
		return of, nil
	}
	rows, err = tx.Query(ctx, `SELECT hash, role, scopes, addresses, resources, least FROM policies WHERE hash = ANY ($1::bytea[])`, missing)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	s.policies.Lock()
	defer s.policies.Unlock()
	for rows.Next() {
		var hash [32]byte
		var p scannedPolicy
		var least int
		if err := rows.Scan((*hashColumn)(&hash), (*idColumn)(&p.Role), &listColumn{&p.Scopes}, (*addressColumn)(&p.Addresses), &listColumn{&p.Resources}, &least); err != nil {
			return nil, err
		}
		if least > build {
			return nil, fmt.Errorf("%w: a policy", store.ErrNewer)
		}
		if known, ok := s.policies.known[hash]; ok {
			of[hash] = known
			continue
		}
		p.number = int64(len(s.policies.known)) + 1
		s.policies.known[hash], of[hash] = p, p
	}
	return of, rows.Err()
}

// scan gathers the secrets of one key after the other.
type scan struct {
	row      func(k *latchkey.Key, policy int64) error
	policies map[[32]byte]scannedPolicy

	key    latchkey.Key
	policy int64
}

// The parts of selectScan's fixed column.
const (
	scanIDs     = 4 * len(latchkey.ID{})
	scanLetters = 6
	scanFixed   = scanIDs + scanLetters + 32
)

// take takes the row of one secret, and gives the key before it, if this is
// another one's. Values are in the binary form of PostgreSQL's protocol: numbers
// with the highest byte first, bytes and text as they are.
func (c *scan) take(v [][]byte) error {
	if len(v) != 9 || len(v[0]) != 8 || len(v[2]) != 4 || len(v[3]) != 32 || len(v[5]) != scanFixed {
		return fmt.Errorf("%w: a row of a scan", errColumn)
	}
	letters := v[5][scanIDs : scanIDs+scanLetters]
	if ordinal := int64(binary.BigEndian.Uint64(v[0])); ordinal != c.key.Ordinal { //nolint:gosec // two's complement
		if err := c.give(); err != nil {
			return err
		}
		if err := c.begin(ordinal, letters, v); err != nil {
			return err
		}
	}
	secret := latchkey.Secret{
		KID: latchkey.KID(v[1]), Scheme: latchkey.SchemeKey, Pepper: int(binary.BigEndian.Uint32(v[2])), Digest: [32]byte(v[3]), ExpiresAt: scannedTime(v[4]),
	}
	if letters[0] == latchkey.SchemeSHA256[0] {
		secret.Scheme = latchkey.SchemeSHA256
	}
	c.key.Secrets = append(c.key.Secrets, secret)
	return nil
}

// begin takes what the row says of the key.
func (c *scan) begin(ordinal int64, letters []byte, v [][]byte) error {
	k := &c.key
	for i, id := range []*latchkey.ID{&k.ID, &k.Organization, &k.Project, &k.Owner} {
		copy(id[:], v[5][i*len(id):])
	}
	k.Ordinal, k.Secrets = ordinal, k.Secrets[:0]
	k.Reach, k.Environment = reachOf(letters[1]), latchkey.Live
	if letters[2] == latchkey.Test[0] {
		k.Environment = latchkey.Test
	}
	k.Enabled, k.RevokedAt = letters[3] == 'e', time.Time{}
	if letters[4] == 'r' {
		k.RevokedAt = time.UnixMilli(0)
	}
	k.SigningMode = signingModeOf(letters[5])
	k.ExpiresAt, k.Partner, k.Metadata = scannedTime(v[6]), string(v[7]), latchkey.Document(v[8])
	p, ok := c.policies[[32]byte(v[5][scanIDs+scanLetters:])]
	if !ok {
		return fmt.Errorf("%w: the policy of a key is missing", errColumn)
	}
	c.policy, k.Policy = p.number, p.Policy
	return nil
}

func scannedTime(v []byte) time.Time {
	if len(v) != 8 {
		return time.Time{} // NULL
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(v))).UTC() //nolint:gosec // two's complement
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
