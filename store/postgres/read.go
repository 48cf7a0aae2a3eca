package postgres

import (
	"context"
	"errors"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// use runs a read on a connection of the pool. One that meets a dead connection
// runs again, on another: reading twice does no harm.
func (s *Store) use(ctx context.Context, read func(*pgxpool.Conn) error) error {
	select {
	case <-s.closed:
		return errClosed
	default:
	}
	err := s.useOnce(ctx, read)
	if errors.Is(err, errLost) && ctx.Err() == nil {
		err = s.useOnce(ctx, read)
	}
	return err
}

var errLost = errors.New("the connection was lost")

func (s *Store) useOnce(ctx context.Context, read func(*pgxpool.Conn) error) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return fault(err)
	}
	defer conn.Release() // which gives up a connection that failed within a transaction
	err = fault(read(conn))
	if err != nil && conn.Conn().IsClosed() && ctx.Err() == nil {
		err = errors.Join(errLost, err)
	}
	return err
}

// gather runs reads with one message. Those of more than one statement get one
// snapshot for all.
func (s *Store) gather(ctx context.Context, ask func(*gathering)) error {
	return s.use(ctx, func(conn *pgxpool.Conn) error {
		var g gathering
		ask(&g)
		if g.Len() > 1 {
			g = gathering{}
			g.Queue(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`)
			ask(&g)
			g.Queue(`COMMIT`)
		}
		return conn.SendBatch(ctx, &g.Batch).Close()
	})
}

// planned is gather for a statement that depends on the question: it is planned
// for its arguments, and in every way that there is.
func (s *Store) planned(ctx context.Context, row func(pgx.Rows) error, begin func(), text string, args ...any) error {
	return s.gather(ctx, func(g *gathering) {
		begin()
		g.Queue(`SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('enable_hashjoin', 'on', true), set_config('enable_mergejoin', 'on', true)`)
		g.each(row, text, args...)
	})
}

// Installation implements store.Directory.
func (s *Store) Installation(ctx context.Context) (*store.Installation, error) {
	var in *store.Installation
	return one(&in, s.gather(ctx, func(g *gathering) { g.installation(&in) }))
}

// one is what a read of one object found.
func one[T any](found **T, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	if *found == nil {
		return nil, store.ErrNotFound
	}
	return *found, nil
}

// first is one of a map that has no more than one.
func first[K comparable, T any](found map[K]*T, err error) (*T, error) {
	var v *T
	for _, v = range found {
	}
	return one(&v, err)
}

// Key implements store.Keys.
func (s *Store) Key(ctx context.Context, id latchkey.ID) (*store.Holder, error) {
	found := newObjects()
	err := s.gather(ctx, func(g *gathering) {
		*found = *newObjects()
		g.holders(found, keysByID(id), &store.Reads{})
	})
	h := found.holder(found.keys[id])
	return one(&h, err)
}

// ByKID implements store.Credentials.
func (s *Store) ByKID(ctx context.Context, kid latchkey.KID) (*store.Credential, error) {
	c, err := s.byKID.get(ctx, kid)
	if err != nil {
		return nil, err
	}
	return copied(c), nil
}

// copied is a credential of its own, but for what is never changed in place.
func copied(c *store.Credential) *store.Credential {
	own := *c
	own.Key.Secrets, own.Roles = slices.Clone(c.Key.Secrets), slices.Clone(c.Roles)
	if c.Owner != nil {
		owner := *c.Owner
		owner.Memberships = slices.Clone(owner.Memberships)
		own.Owner = &owner
	}
	return &own
}

func (s *Store) readKID(ctx context.Context, kid latchkey.KID) (*store.Credential, error) {
	return s.credential(ctx, keysByKID(kid), func(s *latchkey.Secret) int {
		if s.KID == kid {
			return 0
		}
		return -1
	})
}

// ByForeignDigest implements store.Credentials.
func (s *Store) ByForeignDigest(ctx context.Context, digests [][32]byte) (*store.Credential, error) {
	return s.credential(ctx, keysByForeign(digests), func(s *latchkey.Secret) int {
		if s.Scheme != latchkey.SchemeSHA256 {
			return -1
		}
		return slices.Index(digests, s.Digest)
	})
}

// credential finds a secret with its holder. rank says how much a secret is the
// one that was asked for: 0 is best, and below that it is not.
func (s *Store) credential(ctx context.Context, from way, rank func(*latchkey.Secret) int) (*store.Credential, error) {
	found := newObjects()
	err := s.gather(ctx, func(g *gathering) {
		*found = *newObjects()
		g.holders(found, from, &store.Reads{})
	})
	var best *store.Credential
	least := math.MaxInt
	for _, k := range found.keys {
		for i := range k.Secrets {
			if r := rank(&k.Secrets[i]); r >= 0 && r < least {
				if h := found.holder(k); h != nil {
					best, least = &store.Credential{Holder: *h, Secret: k.Secrets[i]}, r
				}
			}
		}
	}
	return one(&best, err)
}

// Organization implements store.Directory.
func (s *Store) Organization(ctx context.Context, id latchkey.ID) (*latchkey.Organization, error) {
	found := newObjects()
	return first(found.organizations, s.gather(ctx, func(g *gathering) {
		g.directory(found, &store.Reads{Organizations: []latchkey.ID{id}})
	}))
}

// Project implements store.Directory.
func (s *Store) Project(ctx context.Context, id latchkey.ID) (*latchkey.Project, error) {
	return s.project(ctx, `t.id = $1`, id[:])
}

// DefaultProject implements store.Directory.
func (s *Store) DefaultProject(ctx context.Context, organization latchkey.ID) (*latchkey.Project, error) {
	p, err := s.defaults.get(ctx, organization)
	if err != nil {
		return nil, err
	}
	own := *p
	return &own, nil
}

func (s *Store) readDefault(ctx context.Context, organization latchkey.ID) (*latchkey.Project, error) {
	return s.project(ctx, `t.is_default AND t.organization = $1 ORDER BY t.ordinal LIMIT 1`, organization[:])
}

func (s *Store) project(ctx context.Context, where string, args ...any) (*latchkey.Project, error) {
	found := newObjects()
	return first(found.projects, s.gather(ctx, func(g *gathering) {
		g.each(func(rows pgx.Rows) error { return addProject(found, rows) }, selectProject+where, args...)
	}))
}

// User implements store.Directory.
func (s *Store) User(ctx context.Context, id latchkey.ID) (*latchkey.User, error) {
	found := newObjects()
	return first(found.users, s.gather(ctx, func(g *gathering) {
		clear(found.users)
		g.directory(found, &store.Reads{Users: []latchkey.ID{id}})
	}))
}

// Role implements store.Directory.
func (s *Store) Role(ctx context.Context, id latchkey.ID) (*latchkey.Role, error) {
	found := newObjects()
	return first(found.roles, s.gather(ctx, func(g *gathering) { g.directory(found, &store.Reads{Roles: []latchkey.ID{id}}) }))
}

// RoleByIdentifier implements store.Directory.
func (s *Store) RoleByIdentifier(ctx context.Context, organization latchkey.ID, identifier string) (*latchkey.Role, error) {
	if !storable(identifier) {
		return nil, store.ErrNotFound
	}
	found := newObjects()
	return first(found.roles, s.gather(ctx, func(g *gathering) {
		g.each(func(rows pgx.Rows) error { return addRole(found, rows) }, selectRole+`t.organization = $1 AND t.identifier = $2`, organization[:], identifier)
	}))
}

// TokenKeys implements store.TokenKeyReader.
func (s *Store) TokenKeys(ctx context.Context) ([]store.TokenKey, error) {
	var all []store.TokenKey
	err := s.gather(ctx, func(g *gathering) {
		all = nil
		g.tokenKeys(&all)
	})
	return all, err
}

// DataKey implements store.Directory.
func (s *Store) DataKey(ctx context.Context, organization latchkey.ID) (*store.DataKey, error) {
	found := map[latchkey.ID]*store.DataKey{}
	return first(found, s.gather(ctx, func(g *gathering) { g.dataKeys(found, []latchkey.ID{organization}) }))
}

// page runs a read of a part of a directory list, where text ends before the
// condition on the ordinal.
func page[T any](ctx context.Context, s *Store, p store.Page, targets func(*T) []any, text string, args ...any) ([]T, error) {
	var found []T
	before := p.Before
	if before == 0 {
		before = math.MaxInt64
	}
	err := s.use(ctx, func(conn *pgxpool.Conn) error {
		found = nil
		rows, err := conn.Query(ctx, text+` ORDER BY t.ordinal DESC LIMIT $2`, append([]any{before, p.Limit}, args...)...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var row T
			if err := rows.Scan(targets(&row)...); err != nil {
				return err
			}
			found = append(found, row)
		}
		return rows.Err()
	})
	return found, err
}

// ListOrganizations implements store.Directory.
func (s *Store) ListOrganizations(ctx context.Context, p store.Page) ([]latchkey.Organization, error) {
	return page(ctx, s, p, organizationTargets, selectOrganization+`t.ordinal < $1`)
}

// ListProjects implements store.Directory.
func (s *Store) ListProjects(ctx context.Context, p store.Page) ([]latchkey.Project, error) {
	return page(ctx, s, p, projectTargets, selectProject+`t.ordinal < $1 AND t.organization = $3`, p.Organization[:])
}

// ListRoles implements store.Directory.
func (s *Store) ListRoles(ctx context.Context, p store.Page) ([]latchkey.Role, error) {
	return page(ctx, s, p, roleTargets, selectRole+`t.ordinal < $1 AND t.organization = $3`, p.Organization[:])
}

// ListUsers implements store.Directory.
func (s *Store) ListUsers(ctx context.Context, p store.Page) ([]latchkey.User, error) {
	before := p.Before
	if before == 0 {
		before = math.MaxInt64
	}
	const these = ` WHERE t.deleted_at IS NULL AND t.ordinal < $1 AND t.organization = $2 ORDER BY t.ordinal DESC LIMIT $3`
	var found []*latchkey.User
	err := s.gather(ctx, func(g *gathering) {
		found = nil
		to := newObjects()
		g.each(func(rows pgx.Rows) error {
			var u latchkey.User
			err := rows.Scan(userTargets(&u)...)
			found, to.members[u.Ordinal] = append(found, &u), &u
			return err
		}, `SELECT `+users.columns+` FROM users t`+these, before, p.Organization[:], p.Limit)
		g.each(func(rows pgx.Rows) error { return addMembership(to, rows) },
			selectMemberships+`m.member`+among(`SELECT t.ordinal FROM users t`+these)+` ORDER BY m.member, m.place`, before, p.Organization[:], p.Limit)
	})
	if err != nil {
		return nil, err
	}
	var list []latchkey.User
	for _, u := range found {
		list = append(list, *u)
	}
	return list, nil
}

// PepperVersions implements store.Credentials.
func (s *Store) PepperVersions(ctx context.Context) (map[int]int64, error) {
	counts := map[int]int64{}
	err := s.gather(ctx, func(g *gathering) {
		g.each(func(rows pgx.Rows) error {
			var version int
			var count int64
			err := rows.Scan(&version, &count)
			counts[version] = count
			return err
		}, `SELECT s.pepper, count(*) FROM secrets s JOIN keys k ON k.ordinal = s.key WHERE k.revoked_at IS NULL GROUP BY s.pepper`)
	})
	if err != nil {
		return nil, err
	}
	return counts, nil
}
