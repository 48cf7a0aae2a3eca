package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// A list of keys is read in one of three ways:
//
//   - A filter that few keys pass names them, and they are sorted.
//   - In order of creation, the index of a filter holds the keys in that order:
//     the page is a piece of it.
//   - Otherwise the page is a piece of the index of its order, less the keys
//     that the filters refuse, of which there are then not many more.
//
// SQLite has no statistics to choose by that stay right while keys come and go,
// so we look: few is decided by counting up to it.
const few = 1000

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
	text, args, err := newListing(query, organization.Suspended).statement(ctx, s)
	if err != nil {
		return nil, err
	}
	var found []store.ListedKey
	var rows []int64 // of the policies
	err = s.search(ctx, func(from *sql.Rows) error {
		var k store.ListedKey
		var policy int64
		err := from.Scan(append(keyTargets(&k.Key, &policy), &k.Suspended)...)
		found, rows = append(found, k), append(rows, policy)
		return err
	}, text, args...)
	for i := range found {
		if err == nil {
			found[i].Policy, err = p.policy(s, rows[i])
		}
	}
	if err != nil {
		return nil, err
	}
	return found, s.listSecrets(found)
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
	}, `SELECT `+secretColumns+`, s.key FROM json_each(?) j CROSS JOIN secrets s ON s.key = j.value ORDER BY s.key, s.place`, string(text))
}

// listing is the statement for a list of keys, as it comes about.
type listing struct {
	query     *store.KeyQuery
	suspended bool // the organization
	standing  bool // no revoked key is in the list
	where     []string
	args      []any
	filters   []filter // the more a filter is likely to refuse, the earlier
}

// filter is a set that all keys of the list are in.
type filter struct {
	keys  string // a statement for their ordinals
	args  []any
	index string // the index of keys that holds just them, in order of creation; "" if none does
}

// way is a way to find the keys, or a part of them.
type way struct {
	from, where string
	args        []any // of from
}

// badOwner says that a key's owner is suspended or gone.
const badOwner = `(t.owner IS NOT NULL AND ifnull(u.suspended, 1))`

// never is the expiry of keys that have none, as they are sorted.
const never = `ifnull(t.expires_at, 9223372036854775807)`

func newListing(query *store.KeyQuery, suspended bool) *listing {
	l := &listing{query: query, suspended: suspended}
	l.must(`t.organization = ? AND t.deleted_at IS NULL`, query.Organization[:])
	l.search()
	l.attributes()
	l.state()
	l.times()
	if !query.Project.IsZero() {
		l.must(`t.project = ?`, query.Project[:])
		l.filter(`keys_project`, `project = ?`, query.Project[:])
	}
	if l.standing {
		l.must(`t.revoked_at IS NULL`)
		l.filter(`keys_standing`, `organization = ? AND revoked_at IS NULL`, query.Organization[:])
	}
	return l
}

// must adds a condition.
func (l *listing) must(condition string, args ...any) {
	l.where = append(l.where, condition)
	l.args = append(l.args, args...)
}

// filter adds a set of keys that is in an index.
func (l *listing) filter(index, condition string, args ...any) {
	l.filters = append(l.filters, filter{`SELECT ordinal FROM keys INDEXED BY ` + index + ` WHERE ` + condition, args, index})
}

func (l *listing) search() {
	if l.query.Search == "" {
		return
	}
	name := fold(l.query.Search)
	words := grams(l.query.Organization, name)
	from, to, kid := kidRange(l.query.Search)
	const byKID = `SELECT key AS ordinal FROM secrets INDEXED BY secrets_kid WHERE kid >= ? AND kid < ?`
	byName := `SELECT rowid AS ordinal FROM key_names WHERE key_names MATCH ?
		UNION ALL SELECT ordinal FROM keys NOT INDEXED WHERE ordinal > (SELECT ordinal FROM key_names_end) AND organization = ? AND instr(name_folded, ?)`
	args := []any{strings.Join(words, " "), l.query.Organization[:], name}
	if kid {
		l.must(`(instr(t.name_folded, ?) OR t.ordinal IN (`+byKID+`))`, name, from, to)
		byName, args = byName+` UNION ALL `+byKID, append(args, from, to)
	} else {
		l.must(`instr(t.name_folded, ?)`, name)
	}
	if len(words) > 0 {
		l.filters = append(l.filters, filter{keys: byName, args: args})
	}
}

func (l *listing) attributes() {
	organization := l.query.Organization[:]
	if owner := l.query.Owner; !owner.IsZero() {
		l.must(`t.owner = ?`, owner[:])
		l.filter(`keys_owner`, `organization = ? AND owner = ?`, organization, owner[:])
	}
	if partner := l.query.Partner; partner != "" {
		l.must(`t.partner = ? AND t.partner <> ''`, partner)
		l.filter(`keys_partner`, `organization = ? AND partner = ? AND partner <> ''`, organization, partner)
	}
	if role := l.query.Role; !role.IsZero() {
		l.must(`t.role = ?`, role[:])
		l.filter(`keys_role`, `organization = ? AND role = ?`, organization, role[:])
	}
	switch reach := l.query.OnlyReach; reach {
	case "":
	case latchkey.ReachProject:
		l.must(`t.reach = ?`, string(reach))
	default:
		l.must(`t.reach = ? AND t.reach <> 'project'`, string(reach))
		l.filter(`keys_reach`, `organization = ? AND reach = ? AND reach <> 'project'`, organization, string(reach))
	}
}

// disabledKeys are those that were disabled, and those whose owner is suspended
// or gone: owners are visited one by one, as there are fewer of them than keys.
const disabledKeys = `SELECT ordinal FROM keys INDEXED BY keys_disabled WHERE organization = ? AND enabled = 0 AND revoked_at IS NULL
	UNION ALL
	SELECT k.ordinal FROM (
		WITH RECURSIVE owners (id) AS (
			SELECT (SELECT min(owner) FROM keys WHERE organization = ? AND owner IS NOT NULL)
			UNION ALL
			SELECT (SELECT min(owner) FROM keys WHERE organization = ? AND owner > owners.id) FROM owners WHERE owners.id IS NOT NULL
		) SELECT id FROM owners WHERE id IS NOT NULL
	) o CROSS JOIN keys k INDEXED BY keys_owner
	WHERE k.organization = ? AND k.owner = o.id AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = o.id AND NOT u.suspended AND u.deleted_at IS NULL)`

func (l *listing) state() {
	organization, now := l.query.Organization[:], l.query.Now.UnixMilli()
	l.standing = l.query.State != "" && l.query.State != latchkey.StateRevoked
	switch l.query.State {
	case latchkey.StateRevoked:
		l.must(`t.revoked_at IS NOT NULL`)
		l.filter(`keys_revoked`, `organization = ? AND revoked_at IS NOT NULL`, organization)
	case latchkey.StateDisabled:
		if !l.suspended {
			l.must(`(NOT t.enabled OR ` + badOwner + `)`)
			l.filters = append(l.filters, filter{keys: disabledKeys, args: []any{organization, organization, organization, organization}})
		}
	case latchkey.StateExpired:
		l.must(`NOT ? AND t.enabled AND NOT `+badOwner+` AND `+never+` <= ?`, l.suspended, now)
		l.filters = append(l.filters, expiring(organization, now+1))
	case latchkey.StateLive:
		l.must(`NOT ? AND t.enabled AND NOT `+badOwner+` AND `+never+` > ?`, l.suspended, now)
	}
}

func (l *listing) times() {
	if before := l.query.ExpiringBefore; !before.IsZero() {
		l.standing = true
		l.must(never+` < ?`, ceiling(before))
		l.filters = append(l.filters, expiring(l.query.Organization[:], ceiling(before)))
	}
	if since := l.query.UnusedSince; !since.IsZero() {
		l.standing = true
		l.must(`t.created_at < ? AND NOT EXISTS (SELECT 1 FROM secrets s WHERE s.key = t.ordinal AND s.last_used >= ?)`,
			ceiling(since), ceiling(since))
	}
}

// expiring are the keys that expire before a time.
func expiring(organization []byte, before int64) filter {
	return filter{
		keys: `SELECT ordinal FROM keys INDEXED BY keys_expiry WHERE organization = ? AND ifnull(expires_at, 9223372036854775807) < ?`,
		args: []any{organization, before},
	}
}

// statement spells the list.
func (l *listing) statement(ctx context.Context, s *session) (string, []any, error) {
	order := l.order()
	ways, err := l.ways(ctx, s)
	if err != nil {
		return "", nil, err
	}
	var parts []string
	var args []any
	for _, w := range ways {
		parts = append(parts, `SELECT `+keys.columns+`, ? OR `+badOwner+` FROM `+w.from+
			` LEFT JOIN users u ON u.id = t.owner AND u.deleted_at IS NULL WHERE `+strings.Join(l.where, ` AND `)+w.where)
		args = slices.Concat(args, []any{l.suspended}, w.args, l.args)
	}
	return strings.Join(parts, ` UNION ALL `) + ` ORDER BY ` + order + ` LIMIT ?`, append(args, l.query.Limit), nil
}

// ways chooses how the keys are found.
func (l *listing) ways(ctx context.Context, s *session) ([]way, error) {
	byCreation := l.query.Sort == "" || l.query.Sort == store.ByCreation
	indexed := slices.IndexFunc(l.filters, func(f filter) bool { return f.index != "" })
	if byCreation && indexed == 0 && len(l.filters) == 1 {
		return []way{{from: `keys t INDEXED BY ` + l.filters[0].index}}, nil
	}
	for _, f := range l.filters {
		small, err := f.small(ctx, s)
		if err != nil {
			return nil, err
		}
		if small {
			return []way{{from: `(SELECT DISTINCT ordinal FROM (` + f.keys + `)) f CROSS JOIN keys t ON t.ordinal = f.ordinal`, args: f.args}}, nil
		}
	}
	switch {
	case !byCreation:
		return []way{{from: `keys t INDEXED BY ` + l.index()}}, nil
	case indexed >= 0:
		return []way{{from: `keys t INDEXED BY ` + l.filters[indexed].index}}, nil
	}
	return []way{
		{from: `keys t INDEXED BY keys_standing`, where: ` AND t.revoked_at IS NULL`},
		{from: `keys t INDEXED BY keys_revoked`, where: ` AND t.revoked_at IS NOT NULL`},
	}, nil
}

// small reports whether only few keys are in the set.
func (f *filter) small(ctx context.Context, s *session) (bool, error) {
	var n int
	err := s.search(ctx, func(rows *sql.Rows) error { return rows.Scan(&n) },
		fmt.Sprintf(`SELECT count(*) FROM (SELECT 1 FROM (%s) LIMIT %d)`, f.keys, few+1), f.args...)
	return n <= few, err
}

// index is the index of the list's order, which is not that of creation.
func (l *listing) index() string {
	switch l.query.Sort {
	case store.ByUpdate:
		return `keys_revision`
	case store.ByExpiry:
		return `keys_expiry`
	case store.ByName, store.ByCreation:
	}
	return `keys_name`
}

// order is what the list is sorted by. It also adds the condition that leaves
// out what comes before the cursor.
func (l *listing) order() string {
	direction, follows := ` ASC`, ` > `
	if l.query.Descending {
		direction, follows = ` DESC`, ` < `
	}
	after := l.query.After
	if after == nil {
		after = &store.KeyCursor{}
	}
	var by string
	var from any
	switch l.query.Sort {
	case store.ByUpdate:
		by, from = `t.revision`, after.Number
	case store.ByName:
		by, from = `t.name`, after.Text
	case store.ByExpiry:
		by, from = never, after.Number
	default:
		if l.query.After != nil {
			l.must(`t.ordinal`+follows+`?`, after.Ordinal)
		}
		return `1` + direction // the ordinal, whichever way it was found
	}
	if l.query.After != nil {
		l.must(`(`+by+`, t.ordinal)`+follows+`(?, ?)`, from, after.Ordinal)
	}
	return by + direction + `, t.ordinal` + direction
}
