package postgres

import (
	"slices"

	"github.com/jackc/pgx/v5"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// gathering reads several things with one message to the server. Its statements
// run one after the other, each in a snapshot of its own, unless the first
// begins a transaction that has one for all.
type gathering struct{ pgx.Batch }

// each adds a query and hands its rows over one by one.
func (g *gathering) each(row func(pgx.Rows) error, text string, args ...any) {
	g.Queue(text, args...).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			if err := row(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// Where objects are found from: text is a query of ids or of ordinals, with one
// argument.
type way struct {
	text string
	by   any
}

// The ways to keys: queries of their ordinals.
func keysByID(ids ...latchkey.ID) way {
	return way{`SELECT ordinal FROM keys WHERE id = ANY ($1::bytea[])`, idents(ids)}
}

func keysByKID(kid latchkey.KID) way {
	return way{`SELECT key FROM secrets WHERE kid = $1`, string(kid)}
}

func keysByForeign(digests [][32]byte) way {
	list := make([][]byte, len(digests))
	for i := range digests {
		list[i] = digests[i][:]
	}
	return way{`SELECT key FROM secrets WHERE scheme = 'sha256' AND digest = ANY ($1::bytea[])`, list}
}

// objects are what a gathering found.
type objects struct {
	keys          map[latchkey.ID]*latchkey.Key
	organizations map[latchkey.ID]*latchkey.Organization
	users         map[latchkey.ID]*latchkey.User
	roles         map[latchkey.ID]*latchkey.Role
	projects      map[latchkey.ID]*latchkey.Project

	byOrdinal map[int64]*latchkey.Key
	members   map[int64]*latchkey.User
}

func newObjects() *objects {
	return &objects{
		keys: map[latchkey.ID]*latchkey.Key{}, organizations: map[latchkey.ID]*latchkey.Organization{}, users: map[latchkey.ID]*latchkey.User{},
		roles: map[latchkey.ID]*latchkey.Role{}, projects: map[latchkey.ID]*latchkey.Project{},
		byOrdinal: map[int64]*latchkey.Key{}, members: map[int64]*latchkey.User{},
	}
}

// among is a condition that a column is one of what a query gives. The query runs
// once and first, so that what follows is a look into an index, whatever the
// server believes about the size of tables.
func among(query string) string { return ` = ANY (ARRAY(` + query + `))` }

// lastUse joins the last use of each secret s. Uses are looked up one by one,
// though there were none when the statement was planned.
const lastUse = `LEFT JOIN LATERAL (SELECT * FROM last_uses WHERE kid = s.kid OFFSET 0) l ON true`

// holders gathers keys with everything that decides what they may do, and other
// organizations, users and roles along with them.
func (g *gathering) holders(to *objects, from way, more *store.Reads) {
	const asWell = ` UNION ALL SELECT unnest($2::bytea[])`
	these := among(from.text)
	owners := `SELECT owner FROM keys WHERE ordinal` + these
	g.each(func(rows pgx.Rows) error {
		var k latchkey.Key
		err := rows.Scan(keyTargets(&k)...)
		to.keys[k.ID], to.byOrdinal[k.Ordinal] = &k, &k
		return err
	}, `SELECT `+keyColumns+` FROM keys t JOIN policies p ON p.hash = t.policy WHERE t.ordinal`+these, from.by)
	g.each(func(rows pgx.Rows) error {
		var key int64
		var secret latchkey.Secret
		err := rows.Scan(append(secretTargets(&secret), &key)...)
		if k := to.byOrdinal[key]; k != nil {
			k.Secrets = append(k.Secrets, secret)
		}
		return err
	}, `SELECT `+secretColumns+`, s.key FROM secrets s `+lastUse+` WHERE s.key`+these+` ORDER BY s.key, s.place`, from.by)
	g.each(func(rows pgx.Rows) error { return addOrganization(to, rows) },
		selectOrganization+`t.id`+among(`SELECT organization FROM keys WHERE ordinal`+these+asWell), from.by, idents(more.Organizations))
	g.each(func(rows pgx.Rows) error { return addUser(to, rows) },
		selectUser+`t.id`+among(owners+asWell), from.by, idents(more.Users))
	members := `SELECT ordinal FROM users WHERE id`
	g.each(func(rows pgx.Rows) error { return addMembership(to, rows) },
		selectMemberships+`m.member`+among(members+among(owners+asWell))+` ORDER BY m.member, m.place`, from.by, idents(more.Users))
	g.each(func(rows pgx.Rows) error { return addRole(to, rows) },
		selectRole+`t.id`+among(`SELECT role FROM keys WHERE ordinal`+these+
			` UNION ALL SELECT role FROM memberships WHERE member`+among(members+among(owners))+asWell), from.by, idents(more.Roles))
}

func addOrganization(to *objects, rows pgx.Rows) error {
	var o latchkey.Organization
	err := rows.Scan(organizationTargets(&o)...)
	to.organizations[o.ID] = &o
	return err
}

func addUser(to *objects, rows pgx.Rows) error {
	var u latchkey.User
	err := rows.Scan(userTargets(&u)...)
	to.users[u.ID], to.members[u.Ordinal] = &u, &u
	return err
}

func addMembership(to *objects, rows pgx.Rows) error {
	var member int64
	var m latchkey.Membership
	err := rows.Scan(&member, (*idColumn)(&m.Project), (*idColumn)(&m.Role))
	if u := to.members[member]; u != nil {
		u.Memberships = append(u.Memberships, m)
	}
	return err
}

func addRole(to *objects, rows pgx.Rows) error {
	var r latchkey.Role
	err := rows.Scan(roleTargets(&r)...)
	to.roles[r.ID] = &r
	return err
}

func addProject(to *objects, rows pgx.Rows) error {
	var p latchkey.Project
	err := rows.Scan(projectTargets(&p)...)
	to.projects[p.ID] = &p
	return err
}

// holder puts a key together with what it hangs on; nil if it is not there, or
// its organization is not. Nothing is shared with another holder.
func (o *objects) holder(k *latchkey.Key) *store.Holder {
	if k == nil || len(k.Secrets) == 0 || o.organizations[k.Organization] == nil {
		return nil
	}
	h := &store.Holder{Key: *k, Organization: *o.organizations[k.Organization]}
	ids := []latchkey.ID{k.Policy.Role}
	if owner := o.users[k.Owner]; owner != nil {
		copied := *owner
		copied.Memberships = slices.Clone(owner.Memberships)
		h.Owner = &copied
		for _, m := range owner.Memberships {
			ids = append(ids, m.Role)
		}
	}
	for i, id := range ids {
		if slices.Contains(ids[:i], id) {
			continue
		}
		if role, ok := latchkey.BuiltinRoleByID(id); ok {
			h.Roles = append(h.Roles, role)
		} else if role := o.roles[id]; role != nil {
			h.Roles = append(h.Roles, *role)
		}
	}
	return h
}

// The reads of objects; each is followed by its condition.
var (
	selectOrganization = `SELECT ` + organizations.columns + `, t.keys FROM organizations t WHERE t.deleted_at IS NULL AND `
	selectProject      = `SELECT ` + projects.columns + ` FROM projects t WHERE t.deleted_at IS NULL AND `
	selectUser         = `SELECT ` + users.columns + ` FROM users t WHERE t.deleted_at IS NULL AND `
	selectRole         = `SELECT ` + roles.columns + ` FROM roles t WHERE t.deleted_at IS NULL AND `
	selectMemberships  = `SELECT m.member, m.project, m.role FROM memberships m WHERE `
)

const selectHead = `SELECT coalesce(max(position), 0) FROM events`

// installation gathers what the bootstrap wrote.
func (g *gathering) installation(to **store.Installation) {
	g.each(func(rows pgx.Rows) error {
		*to = &store.Installation{}
		return rows.Scan((*idColumn)(&(*to).ID), (*idColumn)(&(*to).Operator), (*idColumn)(&(*to).Owner), &(*to).Ring)
	}, `SELECT id, operator, owner, ring FROM installation`)
	g.each(func(rows pgx.Rows) error {
		var v store.RingVersion
		err := rows.Scan(&v.Number, &v.Fingerprint, &v.Active, &v.Retired)
		if *to != nil {
			(*to).Versions = append((*to).Versions, v)
		}
		return err
	}, `SELECT number, fingerprint, active, retired FROM ring_versions ORDER BY number`)
}

func (g *gathering) tokenKeys(to *[]store.TokenKey) {
	g.each(func(rows pgx.Rows) error {
		var k store.TokenKey
		err := rows.Scan(tokenKeyTargets(&k)...)
		*to = append(*to, k)
		return err
	}, `SELECT `+tokenKeys.columns+` FROM token_keys t WHERE t.deleted_at IS NULL ORDER BY t.ordinal`)
}

func (g *gathering) dataKeys(to map[latchkey.ID]*store.DataKey, organizations []latchkey.ID) {
	g.each(func(rows pgx.Rows) error {
		var d store.DataKey
		var id []byte
		err := rows.Scan((*idColumn)(&d.Organization), &id, &d.Version, &d.Wrapped)
		copy(d.ID[:], id)
		to[d.Organization] = &d
		return err
	}, `SELECT organization, id, version, wrapped FROM data_keys WHERE organization = ANY ($1::bytea[])`, idents(organizations))
}

func (g *gathering) records(to map[store.RecordKey]*store.Record, keys []store.RecordKey) {
	var callers, organizations, tags [][]byte
	var routes []string
	for _, k := range keys {
		callers, organizations, tags = append(callers, k.Caller[:]), append(organizations, k.Organization[:]), append(tags, k.Tag[:])
		routes = append(routes, k.Route)
	}
	g.each(func(rows pgx.Rows) error {
		var r store.Record
		var objects []byte
		err := rows.Scan((*idColumn)(&r.Caller), (*idColumn)(&r.Organization), &r.Route, (*hashColumn)(&r.Tag),
			(*hashColumn)(&r.BodyHash), &objects, &r.Sealed, (*timeColumn)(&r.CreatedAt))
		for len(objects) > 0 {
			var id latchkey.ID
			objects = objects[copy(id[:], objects):]
			r.Objects = append(r.Objects, id)
		}
		to[r.RecordKey] = &r
		return err
	}, `SELECT c.caller, c.organization, c.route, c.tag, c.body_hash, c.objects, c.sealed, c.created_at
		FROM unnest($1::bytea[], $2::bytea[], $3::text[], $4::bytea[]) AS r (caller, organization, route, tag)
		JOIN calls c ON c.caller = r.caller AND c.organization = r.organization AND c.route = r.route AND c.tag = r.tag`,
		callers, organizations, routes, tags)
}

// holdings counts what hangs on objects, whichever kinds they are of.
func (g *gathering) holdings(to map[latchkey.ID]store.Holding, ids []latchkey.ID) {
	g.each(func(rows pgx.Rows) error {
		var id latchkey.ID
		var h store.Holding
		err := rows.Scan((*idColumn)(&id), &h.Keys, &h.Users)
		to[id] = h
		return err
	}, `SELECT h.id,
			(SELECT count(*) FROM keys WHERE organization = h.id AND revoked_at IS NULL)
			+ (SELECT count(*) FROM keys WHERE project = h.id AND revoked_at IS NULL)
			+ (SELECT count(*) FROM keys WHERE role = h.id AND revoked_at IS NULL)
			+ (SELECT count(*) FROM keys WHERE owner = h.id AND revoked_at IS NULL),
			(SELECT count(*) FROM memberships WHERE project = h.id)
			+ (SELECT count(*) FROM memberships WHERE role = h.id)
			+ (SELECT count(*) FROM users u JOIN memberships m ON m.member = u.ordinal WHERE u.organization = h.id AND u.deleted_at IS NULL)
		FROM unnest($1::bytea[]) AS h (id)`, idents(ids))
}
