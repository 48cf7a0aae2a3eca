package postgres

import (
	"context"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// ListKeys implements store.Keys. It is one statement, and so of one moment.
func (s *Store) ListKeys(ctx context.Context, query store.KeyQuery) ([]store.ListedKey, error) {
	if !storable(query.Partner + query.Search + query.Name) {
		return nil, nil // no key has that
	}
	text, args := newListing(&query).statement()
	var found []store.ListedKey
	err := s.planned(ctx, func(rows pgx.Rows) error {
		var k store.ListedKey
		var secret latchkey.Secret
		err := rows.Scan(append(append(keyTargets(&k.Key), &k.Suspended), secretTargets(&secret)...)...)
		if n := len(found); n == 0 || found[n-1].Ordinal != k.Ordinal {
			found = append(found, k)
		}
		last := &found[len(found)-1]
		last.Secrets = append(last.Secrets, secret)
		return err
	}, func() { found = nil }, text, args...)
	return found, err
}

// listing is the statement for a list of keys, as it comes about.
type listing struct {
	query *store.KeyQuery
	where []string
	args  []any
}

// badOwner says that a key's owner is suspended or gone.
const badOwner = `(t.owner IS NOT NULL AND coalesce(u.suspended, true))`

func newListing(query *store.KeyQuery) *listing {
	l := &listing{query: query}
	l.choose()
	return l
}

// choose adds every condition of the query.
func (l *listing) choose() {
	l.must(`t.organization = ?`, l.query.Organization[:])
	l.attributes()
	l.search()
	l.state()
	l.times()
	l.after()
}

// place adds an argument and gives its place.
func (l *listing) place(arg any) string {
	l.args = append(l.args, arg)
	return "$" + strconv.Itoa(len(l.args))
}

// must adds a condition; each question mark in it is the next argument.
func (l *listing) must(condition string, args ...any) {
	for _, arg := range args {
		condition = strings.Replace(condition, "?", l.place(arg), 1)
	}
	l.where = append(l.where, condition)
}

func (l *listing) attributes() {
	l.has()
	if creator := l.query.Creator; !creator.IsZero() {
		l.must(`t.created_by = ANY (?::bytea[])`, [][]byte{
			principal(latchkey.Principal{Kind: latchkey.PrincipalUser, ID: creator}), principal(latchkey.Principal{Kind: latchkey.PrincipalKey, ID: creator}),
		})
	}
	if name := l.query.Name; name != "" {
		l.must(`t.name = ?`, name)
	}
	if owner := l.query.Owner; !owner.IsZero() {
		l.must(`t.owner = ?`, owner[:])
	}
	if partner := l.query.Partner; partner != "" {
		l.must(`t.partner = ? AND t.partner <> ''`, partner)
	}
	if role := l.query.Role; !role.IsZero() {
		l.must(`t.role = ?`, role[:])
	}
	if within := reaches(l.query.MaxReach); within != "" {
		l.must(`t.` + within)
	}
	if project := l.query.Project; !project.IsZero() {
		l.must(`t.project = ?`, project[:])
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
	if l.query.HasRole {
		l.must(`t.role IS NOT NULL`)
	}
	if l.query.Builtin {
		l.must(`t.role IS NOT NULL AND t.role = ANY (?::bytea[])`, builtinRoles())
	}
	if l.query.HasOwner {
		l.must(`t.owner IS NOT NULL`)
	}
	if l.query.HasPartner {
		l.must(`t.partner <> ''`)
	}
}

func builtinRoles() [][]byte {
	var ids [][]byte
	for _, r := range latchkey.BuiltinRoles() {
		ids = append(ids, r.ID[:])
	}
	return ids
}

// likeEscapes makes a text stand for itself in a pattern of LIKE.
var likeEscapes = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// search looks for names in the index of trigrams, and for kids in theirs.
func (l *listing) search() {
	if l.query.Search == "" {
		return
	}
	pattern := `%` + likeEscapes.Replace(fold(l.query.Search)) + `%`
	byName := `SELECT ordinal FROM keys WHERE organization = ? AND name_folded LIKE ?`
	args := []any{l.query.Organization[:], pattern}
	if from, to, kid := kidRange(l.query.Search); l.query.SearchIDs {
		id, err := hex.DecodeString(l.query.Search)
		if err == nil && hex.EncodeToString(id) == l.query.Search { // in lower case
			byName, args = byName+` UNION ALL SELECT ordinal FROM keys WHERE id = ?`, append(args, id)
		}
	} else if kid {
		byName, args = byName+` UNION ALL SELECT key FROM secrets WHERE kid >= ? AND kid < ?`, append(args, from, to)
	}
	l.must(`t.ordinal IN (`+byName+`)`, args...)
}

// kidRange is the range of kids that begin with text; false if none can.
func kidRange(text string) (from, to string, ok bool) {
	if len(text) > latchkey.KIDLen {
		return "", "", false
	}
	for i := range len(text) {
		c := text[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return "", "", false
		}
	}
	return text, text + "~", true // which is above every character of a kid
}

// suspended says that a key's owner or its organization is.
const suspended = `(o.suspended OR ` + badOwner + `)`

// away are the keys that are disabled, found from what disables them: the key
// itself, its owner, its organization.
const away = `SELECT ordinal FROM keys WHERE organization = ? AND NOT enabled AND revoked_at IS NULL
	UNION ALL SELECT k.ordinal FROM users u JOIN keys k ON k.owner = u.id
	WHERE u.organization = ? AND (u.suspended OR u.deleted_at IS NOT NULL) AND k.revoked_at IS NULL
	UNION ALL SELECT k.ordinal FROM organizations o JOIN keys k ON k.organization = o.id WHERE o.id = ? AND o.suspended AND k.revoked_at IS NULL`

func (l *listing) state() {
	states, organization := l.query.States, l.query.Organization[:]
	if len(states) == 0 {
		return
	}
	if !slices.Contains(states, latchkey.StateRevoked) {
		l.must(`t.revoked_at IS NULL`)
	}
	if len(states) == 1 && states[0] == latchkey.StateDisabled {
		l.must(`t.ordinal IN (`+away+`)`, organization, organization, organization)
	}
	now := l.query.Now.UnixMilli()
	var either []string
	var args []any
	for _, state := range states {
		switch state {
		case latchkey.StateRevoked:
			either = append(either, `t.revoked_at IS NOT NULL`)
		case latchkey.StateDisabled:
			either = append(either, `t.revoked_at IS NULL AND (NOT t.enabled OR `+suspended+`)`)
		case latchkey.StateExpired:
			either, args = append(either, `t.revoked_at IS NULL AND t.enabled AND NOT `+suspended+` AND t.expiry <= ?`), append(args, now)
		case latchkey.StateLive:
			either, args = append(either, `t.revoked_at IS NULL AND t.enabled AND NOT `+suspended+` AND t.expiry > ?`), append(args, now)
		}
	}
	l.must(`(`+strings.Join(either, ` OR `)+`)`, args...)
}

func (l *listing) times() {
	if before := l.query.ExpiringBefore; !before.IsZero() {
		l.must(`t.revoked_at IS NULL AND t.expiry < ?`, ceiling(before))
	}
	if since := l.query.UnusedSince; !since.IsZero() {
		l.must(`t.revoked_at IS NULL AND t.created_at < ? AND NOT EXISTS (SELECT 1 FROM secrets s JOIN last_uses l ON l.kid = s.kid WHERE s.key = t.ordinal AND l.at >= ?)`,
			ceiling(since), ceiling(since))
	}
}

// by is what a term of the order compares.
func (l *listing) by(sort store.KeySort) string {
	switch sort {
	case store.ByUpdate:
		return `t.revision`
	case store.ByExpiry:
		return `t.expiry`
	case store.ByName:
		return `t.name`
	case store.ByID:
		return `t.id`
	case store.ByRole:
		return `coalesce(t.role, '')` // which is below every id
	case store.ByState:
		return `(CASE WHEN t.revoked_at IS NOT NULL THEN 0 WHEN t.enabled AND NOT ` + suspended + ` AND t.expiry > ` +
			l.place(l.query.Now.UnixMilli()) + ` THEN 2 ELSE 1 END)`
	case store.ByCreation:
	}
	return `t.ordinal`
}

// after leaves out what does not follow the cursor. Comparing rows is a range of
// the order's index.
func (l *listing) after() {
	after := l.query.After
	if after == nil {
		return
	}
	follows := ` > `
	if l.query.Descending {
		follows = ` < `
	}
	at := any(after.Number)
	switch l.query.Sort {
	case "", store.ByCreation:
		l.must(`t.ordinal`+follows+`?`, after.Ordinal)
		return
	case store.ByName:
		at = after.Text
	case store.ByUpdate, store.ByExpiry, store.ByID, store.ByRole, store.ByState:
	}
	l.must(`(`+l.by(l.query.Sort)+`, t.ordinal)`+follows+`(?, ?)`, at, after.Ordinal)
}

// order is what the list is sorted by.
func (l *listing) order() string {
	var terms []string
	for _, term := range slices.Concat([]store.KeyOrder{{By: l.query.Sort, Descending: l.query.Descending}}, l.query.Then,
		[]store.KeyOrder{{By: store.ByCreation, Descending: l.query.Descending}}) {
		by := l.by(term.By)
		if term.Descending {
			by += ` DESC`
		}
		terms = append(terms, by)
	}
	return strings.Join(terms, `, `)
}

// find selects something of the keys.
func (l *listing) find(what string) string {
	return `SELECT ` + what + ` FROM keys t JOIN organizations o ON o.id = t.organization AND o.deleted_at IS NULL
		LEFT JOIN users u ON u.id = t.owner AND u.deleted_at IS NULL WHERE ` + strings.Join(l.where, ` AND `)
}

// statement finds the keys of the page, and then reads them in their order.
func (l *listing) statement() (string, []any) {
	order := l.order()
	page := l.find(`t.ordinal, `+suspended+` AS suspended, row_number() OVER (ORDER BY `+order+`) AS place`) +
		` ORDER BY ` + order + ` LIMIT ` + l.place(l.query.Limit) + ` OFFSET ` + l.place(l.query.Offset)
	return `WITH page AS (` + page + `)
		SELECT ` + keyColumns + `, page.suspended, ` + secretColumns + `
		FROM page JOIN keys t ON t.ordinal = page.ordinal JOIN policies p ON p.hash = t.policy JOIN secrets s ON s.key = t.ordinal
		LEFT JOIN last_uses l ON l.kid = s.kid
		ORDER BY page.place, s.place`, l.args
}
