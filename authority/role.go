package authority

import (
	"context"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// NewRole is what a role is to be.
type NewRole struct {
	Identifier  string
	Name        string
	Rank        int
	Permissions []string
}

// CreateRole makes a role of the organization's own.
func (a *Authority) CreateRole(ctx context.Context, call *Call, in NewRole) (latchkey.Role, Effective, error) {
	if err := call.RequireWide(latchkey.RoleCreate); err != nil {
		return latchkey.Role{}, Effective{}, err
	}
	var broken problems
	broken.at("/identifier", latchkey.CheckRoleIdentifier(in.Identifier))
	broken.text("/name", in.Name, 1, latchkey.MaxNameLen)
	broken.rank("/rank", in.Rank)
	permissions := broken.scopes("/permissions", in.Permissions)
	if err := broken.err(); err != nil {
		return latchkey.Role{}, Effective{}, err
	}
	return creation[latchkey.Role]{
		needs: latchkey.RoleCreate, event: latchkey.RoleCreated, kind: latchkey.KindRole,
		make: func(t *txn, id latchkey.ID) (*latchkey.Role, *store.Step, error) {
			r := &latchkey.Role{
				ID: id, Organization: call.Organization, Identifier: in.Identifier, Name: in.Name, Rank: in.Rank,
				Permissions: permissions, Record: t.created(),
			}
			return r, &store.Step{Roles: []*latchkey.Role{r}}, t.caller.Ceiling(r.Powers())
		},
		tell:   tellRole,
		again:  a.Store.Role,
		record: func(row *latchkey.Role) *latchkey.Record { return &row.Record },
	}.submit(ctx, a, call)
}

func tellRole(r *latchkey.Role) changes {
	return changes{"identifier": r.Identifier, "name": r.Name, "rank": r.Rank, "permissions": r.Permissions}
}

// GetRole describes a role, built in or the organization's own.
func (a *Authority) GetRole(ctx context.Context, call *Call, ref RoleRef) (latchkey.Role, error) {
	if err := call.Require(latchkey.RoleRead); err != nil {
		return latchkey.Role{}, err
	}
	r, err := a.roleByRef(ctx, call, ref)
	if err != nil {
		return latchkey.Role{}, err
	}
	return *r, nil
}

func (a *Authority) roleByRef(ctx context.Context, call *Call, ref RoleRef) (*latchkey.Role, error) {
	var r *latchkey.Role
	var err error
	if ref.ID.IsZero() {
		if builtin, ok := latchkey.BuiltinRole(ref.Identifier); ok {
			return &builtin, nil
		}
		r, err = a.Store.RoleByIdentifier(ctx, call.Organization, ref.Identifier)
	} else {
		if builtin, ok := latchkey.BuiltinRoleByID(ref.ID); ok {
			return &builtin, nil
		}
		r, err = a.Store.Role(ctx, ref.ID)
	}
	if err != nil {
		return nil, translate(err)
	}
	if r.Organization != call.Organization {
		return nil, notFound()
	}
	return r, nil
}

// ListRoles is a page of the organization's own roles; the built-in ones come
// before them on the first page, beyond the limit.
func (a *Authority) ListRoles(ctx context.Context, call *Call, f PageFilter) ([]latchkey.Role, string, error) {
	if err := call.Require(latchkey.RoleRead); err != nil {
		return nil, "", err
	}
	roles, next, err := directoryPage(ctx, a, call, "roles", f, a.Store.ListRoles, func(r *latchkey.Role) latchkey.Record { return r.Record })
	if err == nil && f.Cursor == "" {
		roles = append(latchkey.BuiltinRoles(), roles...)
	}
	return roles, next, err
}

// RolePatch is what is to be different about a role; nil leaves a field as it is.
type RolePatch struct {
	Name        *string
	Rank        *int
	Permissions *[]string
}

// UpdateRole changes a role, and with it all who have it. Neither what it was
// nor what it becomes may be more than the caller could give.
func (a *Authority) UpdateRole(ctx context.Context, call *Call, id latchkey.ID, patch RolePatch) (latchkey.Role, Effective, error) {
	if err := call.RequireWide(latchkey.RoleUpdate); err != nil {
		return latchkey.Role{}, Effective{}, err
	}
	var broken problems
	var permissions latchkey.Permissions
	if patch.Name != nil {
		broken.text("/name", *patch.Name, 1, latchkey.MaxNameLen)
	}
	if patch.Rank != nil {
		broken.rank("/rank", *patch.Rank)
	}
	if patch.Permissions != nil {
		permissions = broken.scopes("/permissions", *patch.Permissions)
	}
	if err := broken.err(); err != nil {
		return latchkey.Role{}, Effective{}, err
	}
	given := latchkey.Powers{Permissions: permissions}
	if patch.Rank != nil {
		given.Rank = *patch.Rank
	}
	// Before the role is looked for: with too much in it, the answer must not
	// depend on whether there is such a role.
	if err := call.Ceiling(given); err != nil {
		return latchkey.Role{}, Effective{}, err
	}
	return a.changeRole(ctx, call, id, latchkey.RoleUpdate, latchkey.RoleUpdated, store.Reads{},
		func(t *txn, r *latchkey.Role) (changes, error) {
			c := changes{}
			if patch.Name != nil {
				set(c, "name", &r.Name, *patch.Name)
			}
			if patch.Rank != nil {
				set(c, "rank", &r.Rank, *patch.Rank)
			}
			if patch.Permissions != nil {
				set(c, "permissions", &r.Permissions, permissions)
			}
			return c, t.caller.Ceiling(r.Powers())
		})
}

// DeleteRole deletes a role that nobody has; with revokeKeys the keys that have
// it are revoked first.
func (a *Authority) DeleteRole(ctx context.Context, call *Call, id latchkey.ID, revokeKeys bool) (Effective, error) {
	if err := call.RequireWide(latchkey.RoleDelete); err != nil {
		return Effective{}, err
	}
	r, err := a.ownRole(ctx, call, id)
	if err != nil {
		return Effective{}, err
	}
	// Before anything is revoked, for the answer must not be half a deletion.
	if err := call.Ceiling(r.Powers()); err != nil {
		return Effective{}, err
	}
	if err := call.matches(r.Record); err != nil {
		return Effective{}, err
	}
	return a.delete(ctx, call, deletion{
		revokeKeys: revokeKeys, keys: store.KeyQuery{Role: id}, holding: id, noun: "role",
		run: func(gone func(t *txn) error) (Effective, error) {
			_, e, err := a.changeRole(ctx, call, id, latchkey.RoleDelete, latchkey.RoleDeleted, store.Reads{Holdings: []latchkey.ID{id}},
				func(t *txn, r *latchkey.Role) (changes, error) {
					r.DeletedAt = t.Now
					return tellRole(r), gone(t)
				})
			return e, err
		},
	})
}

// ownRole finds a role that can be changed.
func (a *Authority) ownRole(ctx context.Context, call *Call, id latchkey.ID) (*latchkey.Role, error) {
	r, err := a.roleByRef(ctx, call, RoleRef{ID: id})
	if err != nil {
		return nil, err
	}
	if r.Builtin() {
		return nil, latchkey.Errorf(latchkey.CodeConflict, "A built-in role never changes; create one of your own.")
	}
	return r, nil
}

func (a *Authority) changeRole(ctx context.Context, call *Call, id latchkey.ID, needs latchkey.Permission, event latchkey.EventType,
	reads store.Reads, change func(*txn, *latchkey.Role) (changes, error),
) (latchkey.Role, Effective, error) {
	if _, err := a.ownRole(ctx, call, id); err != nil {
		return latchkey.Role{}, Effective{}, err
	}
	reads.Roles = append(reads.Roles, id)
	return directoryChange[latchkey.Role]{
		needs: needs, event: event, kind: latchkey.KindRole, id: id, reads: reads,
		current: func(t *txn) *latchkey.Role {
			if r := t.Roles[id]; r != nil && r.Organization == t.caller.Organization {
				return r
			}
			return nil
		},
		change: func(t *txn, r *latchkey.Role) (changes, error) {
			if err := t.caller.Ceiling(r.Powers()); err != nil {
				return nil, err
			}
			return change(t, r)
		},
		write:  func(s *store.Step, r *latchkey.Role) { s.Roles = []*latchkey.Role{r} },
		record: func(r *latchkey.Role) *latchkey.Record { return &r.Record },
	}.submit(ctx, a, call)
}
