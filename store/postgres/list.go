package postgres

import (
	"context"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// ListKeys implements store.Keys. It is one statement, and so of one moment.
func (s *Store) ListKeys(ctx context.Context, query store.KeyQuery) ([]store.ListedKey, error) {
	if !storable(query.Partner) || !storable(query.Search) {
		return nil, nil // no key has that
	}
	text, args := newListing(&query).statement()
	var found []store.ListedKey
	err := s.gather(ctx, func(g *gathering) {
		found = nil
		g.each(func(rows pgx.Rows) error {
			var k store.ListedKey
			var secret latchkey.Secret
			err := rows.Scan(append(append(keyTargets(&k.Key), &k.Suspended), secretTargets(&secret)...)...)
			if n := len(found); n == 0 || found[n-1].Ordinal != k.Ordinal {
				found = append(found, k)
			}
			last := &found[len(found)-1]
			last.Secrets = append(last.Secrets, secret)
			return err
		}, text, args...)
	})
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
	l.must(`t.organization = ?`, query.Organization[:])
	l.attributes()
	l.search()
	l.state()
	l.times()
	l.after()
	return l
}

// must adds a condition; each question mark in it is the next argument.
func (l *listing) must(condition string, args ...any) {
	for _, arg := range args {
		l.args = append(l.args, arg)
		condition = strings.Replace(condition, "?", "$"+strconv.Itoa(len(l.args)), 1)
	}
	l.where = append(l.where, condition)
}

func (l *listing) attributes() {
	if owner := l.query.Owner; !owner.IsZero() {
		l.must(`t.owner = ?`, owner[:])
	}
	if partner := l.query.Partner; partner != "" {
		l.must(`t.partner = ? AND t.partner <> ''`, partner)
	}
	if role := l.query.Role; !role.IsZero() {
		l.must(`t.role = ?`, role[:])
	}
	switch reach := l.query.OnlyReach; reach {
	case "":
	case latchkey.ReachProject:
		l.must(`t.reach = ?`, string(reach))
	default:
		l.must(`t.reach = ? AND t.reach <> 'project'`, string(reach))
	}
	if project := l.query.Project; !project.IsZero() {
		l.must(`t.project = ?`, project[:])
	}
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
	from, to, kid := kidRange(l.query.Search)
	if !kid {
		l.must(`t.ordinal IN (`+byName+`)`, l.query.Organization[:], pattern)
		return
	}
	l.must(`t.ordinal IN (`+byName+` UNION ALL SELECT key FROM secrets WHERE kid >= ? AND kid < ?)`, l.query.Organization[:], pattern, from, to)
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

func (l *listing) state() {
	const suspended = `(o.suspended OR ` + badOwner + `)`
	now := l.query.Now.UnixMilli()
	switch l.query.State {
	case latchkey.StateRevoked:
		l.must(`t.revoked_at IS NOT NULL`)
	case latchkey.StateDisabled:
		l.must(`t.revoked_at IS NULL AND (NOT t.enabled OR ` + suspended + `)`)
	case latchkey.StateExpired:
		l.must(`t.revoked_at IS NULL AND t.enabled AND NOT `+suspended+` AND t.expiry <= ?`, now)
	case latchkey.StateLive:
		l.must(`t.revoked_at IS NULL AND t.enabled AND NOT `+suspended+` AND t.expiry > ?`, now)
	}
}

func (l *listing) times() {
	if before := l.query.ExpiringBefore; !before.IsZero() {
		l.must(`t.revoked_at IS NULL AND t.expiry < ?`, ceiling(before))
	}
	if since := l.query.UnusedSince; !since.IsZero() {
		l.must(`t.revoked_at IS NULL AND t.created_at < ? AND NOT EXISTS (SELECT 1 FROM secrets s WHERE s.key = t.ordinal AND s.last_used >= ?)`,
			ceiling(since), ceiling(since))
	}
}

// by is what the list is sorted by, besides the ordinal; "" for nothing.
func (l *listing) by() string {
	switch l.query.Sort {
	case store.ByUpdate:
		return `revision`
	case store.ByExpiry:
		return `expiry`
	case store.ByName:
		return `name`
	case store.ByCreation:
	}
	return ""
}

// after leaves out what does not follow the cursor. Comparing rows is a range of
// the order's index.
func (l *listing) after() {
	after, by := l.query.After, l.by()
	if after == nil {
		return
	}
	follows := ` > `
	if l.query.Descending {
		follows = ` < `
	}
	switch {
	case by == "":
		l.must(`t.ordinal`+follows+`?`, after.Ordinal)
	case l.query.Sort == store.ByName:
		l.must(`(t.name, t.ordinal)`+follows+`(?, ?)`, after.Text, after.Ordinal)
	default:
		l.must(`(t.`+by+`, t.ordinal)`+follows+`(?, ?)`, after.Number, after.Ordinal)
	}
}

// order is what the list is sorted by, in the columns behind an alias.
func (l *listing) order(alias string) string {
	direction := ` ASC`
	if l.query.Descending {
		direction = ` DESC`
	}
	order := alias + `.ordinal` + direction
	if by := l.by(); by != "" {
		order = alias + `.` + by + direction + `, ` + order
	}
	return order
}

// statement finds the keys of the page, and then reads them.
func (l *listing) statement() (string, []any) {
	l.args = append(l.args, l.query.Limit)
	return `WITH page AS (
		SELECT t.ordinal, t.revision, t.expiry, t.name, o.suspended OR ` + badOwner + ` AS suspended
		FROM keys t JOIN organizations o ON o.id = t.organization AND o.deleted_at IS NULL
			LEFT JOIN users u ON u.id = t.owner AND u.deleted_at IS NULL
		WHERE ` + strings.Join(l.where, ` AND `) + ` ORDER BY ` + l.order(`t`) + ` LIMIT $` + strconv.Itoa(len(l.args)) + `
	)
	SELECT ` + keyColumns + `, page.suspended, ` + secretColumns + `
	FROM page JOIN keys t ON t.ordinal = page.ordinal JOIN policies p ON p.hash = t.policy JOIN secrets s ON s.key = t.ordinal
	ORDER BY ` + l.order(`page`) + `, s.place`, l.args
}
