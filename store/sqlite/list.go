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
	list := newListing(query, organization.Suspended)
	ways, err := list.ways(ctx, s)
	if err != nil {
		return nil, err
	}
	var found []store.ListedKey
	for _, part := range list.parts() {
		if err == nil && len(found) < query.Limit {
			text, args := list.statement(ways, part, query.Limit-len(found))
			found, err = p.listPart(ctx, s, found, text, args)
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
	}, `SELECT `+secretColumns+`, s.key FROM json_each(?) j CROSS JOIN secrets s ON s.key = j.value ORDER BY s.key, s.place`, string(text))
}

// listing is the statement for a list of keys, as it comes about.
type listing struct {
	query     *store.KeyQuery
	suspended bool     // the organization
	halves    []half   // which keys can be in the list
	where     []string // conditions on them
	args      []any
	filters   []filter // sets that they are in; the more a filter is likely to refuse, the earlier
}

// half is one of the two halves of each filter's index.
type half struct{ suffix, holds string }

// filter is a set that all keys of the list are in: the keys of an index's
// halves that pass the condition, or those that a statement gives.
type filter struct {
	index, condition string
	statement        string
	args             []any
}

// way is a way to find the keys, or some of them.
type way struct {
	from, where string
	args        []any // of from
}

// part is a piece of the order that follows another.
type part struct {
	where string
	args  []any
}

// badOwner says that a key's owner is suspended or gone.
const badOwner = `(t.owner IS NOT NULL AND ifnull(u.suspended, 1))`

func newListing(query *store.KeyQuery, suspended bool) *listing {
	standing, revoked := half{``, `revoked_at IS NULL`}, half{`_revoked`, `revoked_at IS NOT NULL`}
	l := &listing{query: query, suspended: suspended, halves: []half{standing, revoked}}
	switch {
	case query.State == latchkey.StateRevoked:
		l.halves = []half{revoked}
		l.must(`t.` + revoked.holds)
	case query.State != "":
		l.halves = []half{standing}
	}
	if !query.ExpiringBefore.IsZero() || !query.UnusedSince.IsZero() || query.State != "" && query.State != latchkey.StateRevoked {
		l.halves = []half{standing}
		l.must(`t.` + standing.holds)
	}
	l.must(`t.organization = ?`, query.Organization[:])
	l.search()
	l.attributes()
	l.state()
	l.times()
	l.filter(`keys_organization`, `organization = ?`, query.Organization[:])
	return l
}

// must adds a condition.
func (l *listing) must(condition string, args ...any) {
	l.where = append(l.where, condition)
	l.args = append(l.args, args...)
}

// filter adds a set of keys that is in an index.
func (l *listing) filter(index, condition string, args ...any) {
	l.filters = append(l.filters, filter{index: index, condition: condition, args: args})
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
		l.filters = append(l.filters, filter{statement: byName, args: args})
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
	if project := l.query.Project; !project.IsZero() {
		l.must(`t.project = ?`, project[:])
		l.filter(`keys_project`, `project = ?`, project[:])
	}
}

// disabledKeys are those that were disabled, and those whose owner is suspended
// or gone: owners are visited one by one, as there are fewer of them than keys.
const disabledKeys = `SELECT ordinal FROM keys INDEXED BY keys_disabled WHERE organization = ? AND enabled = 0 AND revoked_at IS NULL
	UNION ALL
	SELECT k.ordinal FROM (
		WITH RECURSIVE owners (id) AS (
			SELECT (SELECT min(owner) FROM keys INDEXED BY keys_owner WHERE organization = ? AND owner IS NOT NULL AND revoked_at IS NULL)
			UNION ALL
			SELECT (SELECT min(owner) FROM keys INDEXED BY keys_owner WHERE organization = ? AND owner > owners.id AND revoked_at IS NULL)
			FROM owners WHERE owners.id IS NOT NULL
		) SELECT id FROM owners WHERE id IS NOT NULL
	) o CROSS JOIN keys k INDEXED BY keys_owner
	WHERE k.organization = ? AND k.owner = o.id AND k.revoked_at IS NULL
		AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = o.id AND NOT u.suspended AND u.deleted_at IS NULL)`

func (l *listing) state() {
	organization, now := l.query.Organization[:], l.query.Now.UnixMilli()
	switch l.query.State {
	case latchkey.StateDisabled:
		if !l.suspended {
			l.must(`(NOT t.enabled OR ` + badOwner + `)`)
			l.filters = append(l.filters, filter{statement: disabledKeys, args: []any{organization, organization, organization, organization}})
		}
	case latchkey.StateExpired:
		l.must(`NOT ? AND t.enabled AND NOT `+badOwner+` AND t.expiry <= ?`, l.suspended, now)
		l.expiring(now + 1)
	case latchkey.StateLive:
		l.must(`NOT ? AND t.enabled AND NOT `+badOwner+` AND t.expiry > ?`, l.suspended, now)
	case latchkey.StateRevoked:
	}
}

func (l *listing) times() {
	if before := l.query.ExpiringBefore; !before.IsZero() {
		l.must(`t.expiry < ?`, ceiling(before))
		l.expiring(ceiling(before))
	}
	if since := l.query.UnusedSince; !since.IsZero() {
		l.must(`t.created_at < ? AND NOT EXISTS (SELECT 1 FROM secrets s WHERE s.key = t.ordinal AND s.last_used >= ?)`,
			ceiling(since), ceiling(since))
	}
}

// expiring adds the set of keys that expire before a time.
func (l *listing) expiring(before int64) {
	l.filters = append(l.filters, filter{
		statement: `SELECT ordinal FROM keys INDEXED BY keys_expiry WHERE organization = ? AND expiry < ?`,
		args:      []any{l.query.Organization[:], before},
	})
}

// statement spells a part of the list.
func (l *listing) statement(ways []way, part part, limit int) (string, []any) {
	var selects []string
	var args []any
	for _, w := range ways {
		selects = append(selects, `SELECT `+keys.columns+`, ? OR `+badOwner+` FROM `+w.from+
			` LEFT JOIN users u ON u.id = t.owner AND u.deleted_at IS NULL WHERE `+strings.Join(l.where, ` AND `)+w.where+part.where)
		args = slices.Concat(args, []any{l.suspended}, w.args, l.args, part.args)
	}
	return strings.Join(selects, ` UNION ALL `) + ` ORDER BY ` + l.order() + ` LIMIT ?`, append(args, limit)
}

// byCreation reports whether that is the list's order.
func (l *listing) byCreation() bool { return l.query.Sort == "" || l.query.Sort == store.ByCreation }

// ways chooses how the keys are found.
func (l *listing) ways(ctx context.Context, s *session) ([]way, error) {
	first := l.filters[0]
	inOrder := l.byCreation() && first.index != "" && len(l.filters) <= 2 // the last is the organization
	plain := len(l.filters) == 1 && len(l.halves) == 2
	if inOrder || plain {
		return l.inOrder(), nil
	}
	for _, f := range l.filters {
		small, err := l.small(ctx, s, f)
		if err != nil {
			return nil, err
		}
		if small {
			text, args := l.keys(f)
			return []way{{from: `(SELECT DISTINCT ordinal FROM (` + text + `)) f CROSS JOIN keys t ON t.ordinal = f.ordinal`, args: args}}, nil
		}
	}
	return l.inOrder(), nil
}

// inOrder finds the keys in the list's order.
func (l *listing) inOrder() []way {
	if !l.byCreation() {
		return []way{{from: `keys t INDEXED BY keys_` + l.by()}}
	}
	best := slices.IndexFunc(l.filters, func(f filter) bool { return f.index != "" })
	var ways []way
	for _, h := range l.halves {
		ways = append(ways, way{from: `keys t INDEXED BY ` + l.filters[best].index + h.suffix, where: ` AND t.` + h.holds})
	}
	return ways
}

// keys is a statement for the ordinals of a filter's keys.
func (l *listing) keys(f filter) (string, []any) {
	if f.statement != "" {
		return f.statement, f.args
	}
	var selects []string
	var args []any
	for _, h := range l.halves {
		selects = append(selects, `SELECT ordinal FROM keys INDEXED BY `+f.index+h.suffix+` WHERE `+f.condition+` AND `+h.holds)
		args = append(args, f.args...)
	}
	return strings.Join(selects, ` UNION ALL `), args
}

// small reports whether only few keys pass the filter.
func (l *listing) small(ctx context.Context, s *session, f filter) (bool, error) {
	var n int
	text, args := l.keys(f)
	err := s.search(ctx, func(rows *sql.Rows) error { return rows.Scan(&n) },
		fmt.Sprintf(`SELECT count(*) FROM (SELECT 1 FROM (%s) LIMIT %d)`, text, few+1), args...)
	return n <= few, err
}

// by is what the list is sorted by, besides the ordinal.
func (l *listing) by() string {
	switch l.query.Sort {
	case store.ByUpdate:
		return `revision`
	case store.ByExpiry:
		return `expiry`
	case store.ByName, store.ByCreation:
	}
	return `name`
}

// order is what the list is sorted by.
func (l *listing) order() string {
	direction := ` ASC`
	if l.query.Descending {
		direction = ` DESC`
	}
	if l.byCreation() {
		return `1` + direction // the ordinal, whichever way it was found
	}
	return `t.` + l.by() + direction + `, t.ordinal` + direction
}

// parts cuts what follows the cursor into pieces that are each a range of an
// index: first what is equal to the cursor but for the ordinal.
func (l *listing) parts() []part {
	after := l.query.After
	follows := ` > ?`
	if l.query.Descending {
		follows = ` < ?`
	}
	switch {
	case after == nil:
		return []part{{}}
	case l.byCreation():
		return []part{{` AND t.ordinal` + follows, []any{after.Ordinal}}}
	}
	var at any = after.Number
	if l.query.Sort == store.ByName {
		at = after.Text
	}
	by := ` AND t.` + l.by()
	return []part{{by + ` = ? AND t.ordinal` + follows, []any{at, after.Ordinal}}, {by + follows, []any{at}}}
}
