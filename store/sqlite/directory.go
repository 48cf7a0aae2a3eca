package sqlite

import (
	"context"
	"database/sql"
	"math"
	"slices"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// The tables of the directory, written once here.
var (
	organizations = newTable("organizations", "ordinal id", "name operator suspended key_limit change_limit")
	projects      = newTable("projects", "ordinal id organization", "name prefix environment is_default retrievable forbid_retrievable")
	users         = newTable("users", "ordinal id organization", "kind name email email_folded suspended")
	roles         = newTable("roles", "ordinal id organization", "identifier name rank permissions")
)

func organizationValues(o *latchkey.Organization) []any {
	return append([]any{o.Ordinal, ident(o.ID), o.Name, o.Operator, o.Suspended, o.Limits.Keys, o.Limits.ChangesPerSecond},
		recordValues(&o.Record)...)
}

// organizationTargets has the number of keys at the end, behind the table's columns.
func organizationTargets(o *latchkey.Organization) []any {
	return slices.Concat([]any{&o.Ordinal, (*idColumn)(&o.ID), &o.Name, &o.Operator, &o.Suspended, &o.Limits.Keys, &o.Limits.ChangesPerSecond},
		recordTargets(&o.Record), []any{&o.Keys})
}

func projectValues(p *latchkey.Project) []any {
	return append([]any{p.Ordinal, ident(p.ID), ident(p.Organization), p.Name, p.Prefix, string(p.Environment), p.Default, p.Retrievable, p.ForbidRetrievable},
		recordValues(&p.Record)...)
}

func projectTargets(p *latchkey.Project) []any {
	return append([]any{&p.Ordinal, (*idColumn)(&p.ID), (*idColumn)(&p.Organization), &p.Name, &p.Prefix, (*string)(&p.Environment), &p.Default, &p.Retrievable, &p.ForbidRetrievable},
		recordTargets(&p.Record)...)
}

// userValues leaves no trace of who a deleted user was.
func userValues(u *latchkey.User) []any {
	name, email := u.Name, u.Email
	if u.Deleted() {
		name, email = "", ""
	}
	return append([]any{u.Ordinal, ident(u.ID), ident(u.Organization), string(u.Kind), name, email, strings.ToLower(email), u.Suspended},
		recordValues(&u.Record)...)
}

func userTargets(u *latchkey.User) []any {
	return append([]any{&u.Ordinal, (*idColumn)(&u.ID), (*idColumn)(&u.Organization), (*string)(&u.Kind), &u.Name, &u.Email, &u.Suspended},
		recordTargets(&u.Record)...)
}

func roleValues(r *latchkey.Role) ([]any, error) {
	permissions, err := list(r.Permissions)
	return append([]any{r.Ordinal, ident(r.ID), ident(r.Organization), r.Identifier, r.Name, r.Rank, permissions},
		recordValues(&r.Record)...), err
}

func roleTargets(r *latchkey.Role) []any {
	return append([]any{&r.Ordinal, (*idColumn)(&r.ID), (*idColumn)(&r.Organization), &r.Identifier, &r.Name, &r.Rank, listColumn{&r.Permissions}},
		recordTargets(&r.Record)...)
}

// The reads of one object; each is followed by its condition.
var (
	selectOrganization = `SELECT ` + organizations.columns + `, t.keys FROM organizations t WHERE t.deleted_at IS NULL AND `
	selectProject      = `SELECT ` + projects.columns + ` FROM projects t WHERE t.deleted_at IS NULL AND `
	selectUser         = `SELECT ` + users.columns + ` FROM users t WHERE t.deleted_at IS NULL AND `
	selectRole         = `SELECT ` + roles.columns + ` FROM roles t WHERE t.deleted_at IS NULL AND `
)

func (s *session) organization(id latchkey.ID) (*latchkey.Organization, error) {
	var o latchkey.Organization
	return &o, s.get(organizationTargets(&o), selectOrganization+`t.id = ?`, id[:])
}

func (s *session) project(id latchkey.ID) (*latchkey.Project, error) {
	var p latchkey.Project
	return &p, s.get(projectTargets(&p), selectProject+`t.id = ?`, id[:])
}

func (s *session) user(id latchkey.ID) (*latchkey.User, error) {
	var u latchkey.User
	if err := s.get(userTargets(&u), selectUser+`t.id = ?`, id[:]); err != nil {
		return nil, err
	}
	return &u, s.memberships(&u)
}

func (s *session) memberships(u *latchkey.User) error {
	return s.each(func(rows *sql.Rows) error {
		var m latchkey.Membership
		err := rows.Scan((*idColumn)(&m.Project), (*idColumn)(&m.Role))
		u.Memberships = append(u.Memberships, m)
		return err
	}, `SELECT project, role FROM memberships WHERE user = ? ORDER BY place`, u.Ordinal)
}

func (s *session) role(id latchkey.ID) (*latchkey.Role, error) {
	var r latchkey.Role
	return &r, s.get(roleTargets(&r), selectRole+`t.id = ?`, id[:])
}

func (s *session) dataKey(organization latchkey.ID) (*store.DataKey, error) {
	d := store.DataKey{Organization: organization}
	var id []byte
	err := s.get([]any{&id, &d.Version, &d.Wrapped}, `SELECT id, version, wrapped FROM data_keys WHERE organization = ?`, organization[:])
	copy(d.ID[:], id)
	return &d, err
}

func (s *session) installation() (*store.Installation, error) {
	var i store.Installation
	err := s.get([]any{(*idColumn)(&i.ID), (*idColumn)(&i.Operator), (*idColumn)(&i.Owner), &i.Ring},
		`SELECT id, operator, owner, ring FROM installation`)
	if err != nil {
		return nil, err
	}
	return &i, s.each(func(rows *sql.Rows) error {
		var v store.RingVersion
		err := rows.Scan(&v.Number, &v.Fingerprint, &v.Active, &v.Retired)
		i.Versions = append(i.Versions, v)
		return err
	}, `SELECT number, fingerprint, active, retired FROM ring_versions ORDER BY number`)
}

// find runs a read of one object on a session of its own, in a snapshot.
func find[T any](ctx context.Context, s *Store, read func(*session) (*T, error)) (*T, error) {
	var found *T
	err := s.readers.use(ctx, func(session *session) error {
		return session.snapshot(func() (err error) {
			found, err = read(session)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Installation implements store.Directory.
func (s *Store) Installation(ctx context.Context) (*store.Installation, error) {
	return find(ctx, s, (*session).installation)
}

// Organization implements store.Directory.
func (s *Store) Organization(ctx context.Context, id latchkey.ID) (*latchkey.Organization, error) {
	return find(ctx, s, func(on *session) (*latchkey.Organization, error) { return on.organization(id) })
}

// Project implements store.Directory.
func (s *Store) Project(ctx context.Context, id latchkey.ID) (*latchkey.Project, error) {
	return find(ctx, s, func(on *session) (*latchkey.Project, error) { return on.project(id) })
}

// User implements store.Directory.
func (s *Store) User(ctx context.Context, id latchkey.ID) (*latchkey.User, error) {
	return find(ctx, s, func(on *session) (*latchkey.User, error) { return on.user(id) })
}

// Role implements store.Directory.
func (s *Store) Role(ctx context.Context, id latchkey.ID) (*latchkey.Role, error) {
	return find(ctx, s, func(on *session) (*latchkey.Role, error) { return on.role(id) })
}

// DataKey implements store.Directory.
func (s *Store) DataKey(ctx context.Context, organization latchkey.ID) (*store.DataKey, error) {
	return find(ctx, s, func(on *session) (*store.DataKey, error) { return on.dataKey(organization) })
}

// RoleByIdentifier implements store.Directory.
func (s *Store) RoleByIdentifier(ctx context.Context, organization latchkey.ID, identifier string) (*latchkey.Role, error) {
	return find(ctx, s, func(on *session) (*latchkey.Role, error) {
		var r latchkey.Role
		return &r, on.get(roleTargets(&r), selectRole+`t.organization = ? AND t.identifier = ?`, organization[:], identifier)
	})
}

// DefaultProject implements store.Directory.
func (s *Store) DefaultProject(ctx context.Context, organization latchkey.ID) (*latchkey.Project, error) {
	return find(ctx, s, func(on *session) (*latchkey.Project, error) {
		var p latchkey.Project
		return &p, on.get(projectTargets(&p), selectProject+`t.is_default AND t.organization = ? ORDER BY t.ordinal LIMIT 1`, organization[:])
	})
}

// page runs a read of a part of a directory list. rest reads what a row has in
// other tables; nil is nothing.
func page[T any](ctx context.Context, s *Store, page store.Page, targets func(*T) []any, rest func(*session, *T) error, text string, args ...any) ([]T, error) {
	before := page.Before
	if before == 0 {
		before = math.MaxInt64
	}
	var found []T
	read := func(on *session) error {
		err := on.each(func(rows *sql.Rows) error {
			var row T
			err := rows.Scan(targets(&row)...)
			found = append(found, row)
			return err
		}, text+`t.ordinal < ? ORDER BY t.ordinal DESC LIMIT ?`, append(args, before, page.Limit)...)
		for i := range found {
			if rest != nil && err == nil {
				err = rest(on, &found[i])
			}
		}
		return err
	}
	err := s.readers.use(ctx, func(on *session) error { return on.snapshot(func() error { return read(on) }) })
	if err != nil {
		return nil, err
	}
	return found, nil
}

// ListOrganizations implements store.Directory.
func (s *Store) ListOrganizations(ctx context.Context, p store.Page) ([]latchkey.Organization, error) {
	return page(ctx, s, p, organizationTargets, nil, selectOrganization)
}

// ListProjects implements store.Directory.
func (s *Store) ListProjects(ctx context.Context, p store.Page) ([]latchkey.Project, error) {
	return page(ctx, s, p, projectTargets, nil, selectProject+`t.organization = ? AND `, p.Organization[:])
}

// ListUsers implements store.Directory.
func (s *Store) ListUsers(ctx context.Context, p store.Page) ([]latchkey.User, error) {
	return page(ctx, s, p, userTargets, (*session).memberships, selectUser+`t.organization = ? AND `, p.Organization[:])
}

// ListRoles implements store.Directory.
func (s *Store) ListRoles(ctx context.Context, p store.Page) ([]latchkey.Role, error) {
	return page(ctx, s, p, roleTargets, nil, selectRole+`t.organization = ? AND `, p.Organization[:])
}
