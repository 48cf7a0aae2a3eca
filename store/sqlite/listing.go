package sqlite

import (
	"context"
	"database/sql"
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
// In order of creation the keys that stand and those that are revoked are
// found each in its own way, and merged. SQLite has no statistics to choose by
// that stay right while keys come and go, so we look: few is decided by counting
// up to it. An order that has no index is sorted, whatever it takes.
const few = 1000

// listing is the statement for a list of keys, as it comes about.
type listing struct {
	query     *store.KeyQuery
	suspended bool             // the organization
	states    []latchkey.State // that the list asks for and keys can be in
	halves    []half           // which keys can be in the list; none: it is empty
	where     []string         // conditions on them
	args      []any
	filters   []filter // sets that they are in; the more a filter is likely to refuse, the earlier
}

// half is one of the two halves of each filter's index.
type half struct{ suffix, holds string }

// The halves: keys that stand, and keys that are revoked.
func standing() half { return half{``, `revoked_at IS NULL`} }
func revoked() half  { return half{`_revoked`, `revoked_at IS NOT NULL`} }

// filter is a set that all keys of the list are in.
type filter struct {
	index string // that has its keys in order of creation, in two halves; "" for none

	// keys is a statement for the ordinals of those in some halves; "" where
	// it refuses none.
	keys func(of []half) (string, []any)
}

const unionAll = ` UNION ALL `

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
	l := &listing{query: query, suspended: suspended, states: slices.Clone(query.States)}
	if suspended { // then all keys that stand are disabled
		l.states = slices.DeleteFunc(l.states, func(s latchkey.State) bool { return s == latchkey.StateLive || s == latchkey.StateExpired })
	}
	l.halve()
	l.must(`t.organization = ?`, query.Organization[:])
	l.search()
	l.attributes()
	l.state()
	l.times()
	l.has()
	l.filter(`keys_organization`, `organization = ?`, query.Organization[:])
	return l
}

// halve leaves out the half that no key of the list can be in.
func (l *listing) halve() {
	gone := slices.Contains(l.states, latchkey.StateRevoked)
	stands := len(l.states) > 1 || len(l.states) == 1 && !gone
	if len(l.query.States) == 0 {
		gone, stands = true, true
	}
	if !l.query.ExpiringBefore.IsZero() || !l.query.UnusedSince.IsZero() {
		l.must(`t.` + standing().holds)
		gone = false
	}
	if stands {
		l.halves = append(l.halves, standing())
	}
	if gone {
		l.halves = append(l.halves, revoked())
	}
	if len(l.halves) == 1 {
		l.must(`t.` + l.halves[0].holds)
	}
}

// must adds a condition.
func (l *listing) must(condition string, args ...any) {
	l.where = append(l.where, condition)
	l.args = append(l.args, args...)
}

// filter adds a set of keys that is in an index.
func (l *listing) filter(index, condition string, args ...any) {
	l.filters = append(l.filters, filter{index, func(of []half) (string, []any) {
		var selects []string
		var all []any
		for _, h := range of {
			selects, all = append(selects, h.pick(index, condition)), append(all, args...)
		}
		return strings.Join(selects, unionAll), all
	}})
}

// pick is a statement for the keys of a half that pass a condition.
func (h half) pick(index, condition string) string {
	return `SELECT ordinal FROM keys INDEXED BY ` + index + h.suffix + ` WHERE ` + condition + ` AND ` + h.holds
}

// set adds a set of keys that a statement gives.
func (l *listing) set(text string, args ...any) {
	l.filters = append(l.filters, filter{keys: func([]half) (string, []any) { return text, args }})
}

func (l *listing) search() {
	if name := l.query.Name; name != "" {
		l.must(`t.name = ?`, name)
		l.set(`SELECT ordinal FROM keys INDEXED BY keys_name WHERE organization = ? AND name = ?`, l.query.Organization[:], name)
	}
	if l.query.Search == "" {
		return
	}
	name := fold(l.query.Search)
	words := grams(l.query.Organization, name)
	byName := `SELECT rowid AS ordinal FROM key_names WHERE key_names MATCH ?
		UNION ALL SELECT ordinal FROM keys NOT INDEXED WHERE ordinal > (SELECT ordinal FROM key_names_end) AND organization = ? AND instr(name_folded, ?)`
	args := []any{strings.Join(words, " "), l.query.Organization[:], name}
	if other, others := l.searchOther(); other != "" {
		l.must(`(instr(t.name_folded, ?) OR t.ordinal IN (`+other+`))`, append([]any{name}, others...)...)
		byName, args = byName+` UNION ALL `+other, append(args, others...)
	} else {
		l.must(`instr(t.name_folded, ?)`, name)
	}
	if len(words) > 0 {
		l.set(byName, args...)
	}
}

// searchOther finds what a search means besides a part of a name; "" if nothing.
func (l *listing) searchOther() (string, []any) {
	if l.query.SearchIDs {
		id, err := latchkey.ParseHex(l.query.Search)
		if err != nil {
			return "", nil
		}
		return `SELECT ordinal FROM keys WHERE id = ?`, []any{id[:]}
	}
	from, to, ok := kidRange(l.query.Search)
	if !ok {
		return "", nil
	}
	return `SELECT key AS ordinal FROM secrets INDEXED BY secrets_kid WHERE kid >= ? AND kid < ?`, []any{from, to}
}

func (l *listing) attributes() {
	organization := l.query.Organization[:]
	if creator := l.query.Creator; !creator.IsZero() {
		l.must(`t.created_by IN (?, ?)`, principal(latchkey.Principal{Kind: latchkey.PrincipalUser, ID: creator}),
			principal(latchkey.Principal{Kind: latchkey.PrincipalKey, ID: creator}))
	}
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
	if within := reaches(l.query.MaxReach); within != "" {
		l.must(`t.` + within)
	}
	if project := l.query.Project; !project.IsZero() {
		l.must(`t.project = ?`, project[:])
		l.filter(`keys_project`, `project = ?`, project[:])
	}
}

// reaches is the condition that a key reaches no further; "" for any.
func reaches(most latchkey.Reach) string {
	switch most {
	case latchkey.ReachProject:
		return `reach = 'project'`
	case latchkey.ReachOrganization:
		return `reach <> 'all'`
	case latchkey.ReachAll:
	}
	return ""
}

// has selects keys that have something, whatever it is.
func (l *listing) has() {
	organization := l.query.Organization[:]
	if l.query.HasPartner {
		l.must(`t.partner <> ''`)
		l.filter(`keys_with_partner`, `organization = ? AND partner <> ''`, organization)
	}
	if l.query.HasOwner {
		l.must(`t.owner IS NOT NULL`)
		l.filter(`keys_with_owner`, `organization = ? AND owner IS NOT NULL`, organization)
	}
	if l.query.HasRole || l.query.Builtin {
		l.must(`t.role IS NOT NULL`)
		l.filter(`keys_with_role`, `organization = ? AND role IS NOT NULL`, organization)
	}
	if l.query.Builtin {
		l.must(`t.role IN (` + builtinRoles() + `)`)
	}
}

// builtinRoles are the ids of the built-in roles, as SQL.
func builtinRoles() string {
	var ids []string
	for _, r := range latchkey.BuiltinRoles() {
		ids = append(ids, `x'`+r.ID.Hex()+`'`)
	}
	return strings.Join(ids, `, `)
}

// state selects keys by their states; the set of those that stand is of use
// where most keys that stand are in other states.
func (l *listing) state() {
	if len(l.states) == 0 {
		return
	}
	var conditions, sets []string
	var args []any
	for _, state := range l.states {
		condition, set, arguments := l.inState(state)
		conditions = append(conditions, condition)
		if set != "" {
			sets, args = append(sets, set), append(args, arguments...)
		}
	}
	l.must(`(` + strings.Join(conditions, ` OR `) + `)`)
	if l.suspended {
		return
	}
	l.filters = append(l.filters, filter{keys: func(of []half) (string, []any) {
		switch {
		case !slices.Contains(of, standing()):
			return "", nil
		case len(of) == 2:
			return strings.Join(append(slices.Clone(sets), revoked().pick(`keys_organization`, `organization = ?`)), unionAll), append(slices.Clone(args), l.query.Organization[:])
		}
		return strings.Join(sets, unionAll), args
	}})
}

// inState is the condition for one state, and a set of all keys that are in it
// unless it is that of revoked keys.
func (l *listing) inState(state latchkey.State) (condition, set string, args []any) {
	organization, now := l.query.Organization[:], l.query.Now.UnixMilli()
	switch {
	case state == latchkey.StateRevoked:
		return `t.revoked_at IS NOT NULL`, ``, nil
	case l.suspended && state == latchkey.StateDisabled:
		return `t.revoked_at IS NULL`, ``, nil
	case l.suspended:
		return `FALSE`, ``, nil
	case state == latchkey.StateDisabled:
		return `t.revoked_at IS NULL AND (NOT t.enabled OR ` + badOwner + `)`, disabledKeys, []any{organization, organization}
	}
	than := ` > `
	if state == latchkey.StateExpired {
		than = ` <= `
	}
	return fmt.Sprintf(`t.revoked_at IS NULL AND t.enabled AND NOT %s AND t.expiry%s%d`, badOwner, than, now),
		`SELECT ordinal FROM keys INDEXED BY keys_expiry WHERE organization = ? AND expiry` + than + `?`, []any{organization, now}
}

// disabledKeys are those that were disabled, and those whose owner is suspended
// or gone. A user who is gone has left its row.
const disabledKeys = `SELECT ordinal FROM keys INDEXED BY keys_disabled WHERE organization = ? AND enabled = 0 AND revoked_at IS NULL
	UNION ALL
	SELECT k.ordinal FROM users o INDEXED BY users_away CROSS JOIN keys k INDEXED BY keys_owner
	WHERE o.organization = ? AND (o.suspended OR o.deleted_at IS NOT NULL) AND k.organization = o.organization AND k.owner = o.id
		AND k.owner IS NOT NULL AND k.revoked_at IS NULL`

func (l *listing) times() {
	if before := l.query.ExpiringBefore; !before.IsZero() {
		l.must(`t.expiry < ?`, ceiling(before))
		l.set(`SELECT ordinal FROM keys INDEXED BY keys_expiry WHERE organization = ? AND expiry < ?`, l.query.Organization[:], ceiling(before))
	}
	if since := l.query.UnusedSince; !since.IsZero() {
		l.must(`t.created_at < ? AND NOT EXISTS (SELECT 1 FROM secrets s JOIN last_uses l ON l.kid = s.kid WHERE s.key = t.ordinal AND l.at >= ?)`,
			ceiling(since), ceiling(since))
	}
}

// find spells the search for keys, each part of them with what is to be told of it.
func (l *listing) find(told string, ways []way, part part) (string, []any) {
	var selects []string
	var args []any
	for _, w := range ways {
		selects = append(selects, `SELECT `+told+` FROM `+w.from+
			` LEFT JOIN users u ON u.id = t.owner AND u.deleted_at IS NULL WHERE `+strings.Join(l.where, ` AND `)+w.where+part.where)
		args = slices.Concat(args, w.args, l.args, part.args)
	}
	return strings.Join(selects, unionAll), args
}

// statement spells a part of the list.
func (l *listing) statement(ways []way, part part) (string, []any) {
	told := keys.columns + `, ` + badOwner
	if l.suspended {
		told = keys.columns + `, 1`
	}
	text, args := l.find(told, ways, part)
	return text + ` ORDER BY ` + l.order(), args
}

// byCreation reports whether that is the list's order.
func (l *listing) byCreation() bool { return l.query.Sort == "" || l.query.Sort == store.ByCreation }

// ways chooses how the keys are found.
func (l *listing) ways(ctx context.Context, s *session) ([]way, error) {
	if !l.byCreation() {
		return l.wayOf(ctx, s, l.halves)
	}
	var ways []way
	for _, h := range l.halves {
		found, err := l.wayOf(ctx, s, []half{h})
		if err != nil {
			return nil, err
		}
		ways = append(ways, found...)
	}
	if len(ways) == 2 && ways[0].from == ways[1].from { // one set for both
		ways[0].where, ways = ``, ways[:1]
	}
	return ways, nil
}

// wayOf chooses how the keys of some halves are found.
func (l *listing) wayOf(ctx context.Context, s *session, halves []half) ([]way, error) {
	if l.isRange(halves) {
		return l.inOrder(halves), nil
	}
	for _, f := range l.filters {
		text, args := f.keys(halves)
		if text == "" {
			continue
		}
		small, err := s.small(ctx, text, args)
		if err != nil {
			return nil, err
		}
		if small {
			w := way{from: `(SELECT DISTINCT ordinal FROM (` + text + `)) f CROSS JOIN keys t ON t.ordinal = f.ordinal`, args: args}
			if len(halves) == 1 {
				w.where = ` AND t.` + halves[0].holds
			}
			return []way{w}, nil
		}
	}
	return l.inOrder(halves), nil
}

// isRange reports whether the keys are a range of an index in the list's order,
// so that nothing has to be counted.
func (l *listing) isRange(halves []half) bool {
	if !l.byCreation() {
		return len(l.filters) == 1 && len(halves) == 2 // all keys of the organization
	}
	refusing := slices.DeleteFunc(slices.Clone(l.filters), func(f filter) bool {
		text, _ := f.keys(halves)
		return text == ""
	})
	return len(refusing) <= 2 && refusing[0].index != "" // the last is the organization
}

// inOrder finds the keys in the list's order, if that has an index.
func (l *listing) inOrder(halves []half) []way {
	if !l.byCreation() {
		return []way{{from: `keys t INDEXED BY keys_` + l.by()}}
	}
	best := slices.IndexFunc(l.filters, func(f filter) bool { return f.index != "" })
	var ways []way
	for _, h := range halves {
		ways = append(ways, way{from: `keys t INDEXED BY ` + l.filters[best].index + h.suffix, where: ` AND t.` + h.holds})
	}
	return ways
}

// small reports whether a statement for keys gives only few.
func (s *session) small(ctx context.Context, text string, args []any) (bool, error) {
	n, err := s.count(ctx, fmt.Sprintf(`SELECT 1 FROM (%s) LIMIT %d`, text, few+1), args)
	return n <= few, err
}

// count counts the rows of a statement.
func (s *session) count(ctx context.Context, text string, args []any) (n int64, err error) {
	err = s.search(ctx, func(rows *sql.Rows) error { return rows.Scan(&n) }, `SELECT count(*) FROM (`+text+`)`, args...)
	return n, err
}

// by is the column that the list is sorted by; of the orders that have no index,
// revision, whose index has all keys.
func (l *listing) by() string {
	switch l.query.Sort {
	case store.ByName:
		return `name`
	case store.ByExpiry:
		return `expiry`
	case store.ByCreation, store.ByUpdate, store.ByID, store.ByRole, store.ByState:
	}
	return `revision`
}

// order is what the list is sorted by.
func (l *listing) order() string {
	if l.byCreation() {
		return `1` + direction(l.query.Descending) // the ordinal, whichever way it was found
	}
	terms := []string{l.term(l.query.Sort) + direction(l.query.Descending)}
	for _, then := range l.query.Then {
		terms = append(terms, l.term(then.By)+direction(then.Descending))
	}
	return strings.Join(append(terms, `t.ordinal`+direction(l.query.Descending)), `, `)
}

// term is what a key has for an order.
func (l *listing) term(by store.KeySort) string {
	switch by {
	case store.ByName:
		return `t.name`
	case store.ByExpiry:
		return `t.expiry`
	case store.ByUpdate:
		return `t.revision`
	case store.ByID:
		return `t.id`
	case store.ByRole:
		return `t.role`
	case store.ByState:
		live, _, _ := l.inState(latchkey.StateLive)
		return `CASE WHEN t.revoked_at IS NOT NULL THEN 0 WHEN ` + live + ` THEN 2 ELSE 1 END`
	case store.ByCreation:
	}
	return `t.ordinal`
}

func direction(descending bool) string {
	if descending {
		return ` DESC`
	}
	return ` ASC`
}

// parts cuts what follows the cursor into pieces that are each a range of an
// index: first what is equal to the cursor but for the ordinal.
func (l *listing) parts() []part {
	after := l.query.After
	follows := ` > `
	if l.query.Descending {
		follows = ` < `
	}
	switch {
	case after == nil:
		return []part{{}}
	case l.byCreation():
		return []part{{` AND t.ordinal` + follows + `?`, []any{after.Ordinal}}}
	}
	var at any = after.Number
	if l.query.Sort == store.ByName {
		at = after.Text
	}
	by := ` AND t.` + l.by()
	if l.query.Offset > 0 { // which counts over both pieces
		return []part{{` AND (t.` + l.by() + `, t.ordinal)` + follows + `(?, ?)`, []any{at, after.Ordinal}}}
	}
	return []part{{by + ` = ? AND t.ordinal` + follows + `?`, []any{at, after.Ordinal}}, {by + follows + `?`, []any{at}}}
}
