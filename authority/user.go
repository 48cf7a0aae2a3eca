package authority

import (
	"context"
	"fmt"
	"slices"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// MemberRole gives a user a role: over one project, or over the whole
// organization where Project is zero.
type MemberRole struct {
	Project latchkey.ID
	Role    RoleRef
}

// NewUser is what a user is to be.
type NewUser struct {
	Kind  latchkey.UserKind // "": a person
	Name  string
	Email string // required of a person
	Roles []MemberRole
}

// CreateUser makes a user.
func (a *Authority) CreateUser(ctx context.Context, call *Call, in NewUser) (latchkey.User, Effective, error) {
	if err := call.RequireWide(latchkey.UserCreate); err != nil {
		return latchkey.User{}, Effective{}, err
	}
	if in.Kind == "" {
		in.Kind = latchkey.Person
	}
	var broken problems
	broken.text("/name", in.Name, 1, latchkey.MaxNameLen)
	switch {
	case in.Kind == latchkey.Person:
		broken.email("/email", in.Email)
	case in.Kind != latchkey.Service:
		broken.add("/kind", "not_allowed", "A user is a person or a service.")
	case in.Email != "":
		broken.add("/email", "not_allowed", "A service account has no e-mail address.")
	}
	broken.memberships(in.Roles)
	if err := broken.err(); err != nil {
		return latchkey.User{}, Effective{}, err
	}
	memberships, reads, err := a.memberships(ctx, call, in.Roles)
	if err != nil {
		return latchkey.User{}, Effective{}, err
	}
	return creation[latchkey.User]{
		needs: latchkey.UserCreate, event: latchkey.UserCreated, kind: latchkey.KindUser, reads: reads,
		make: func(t *txn, id latchkey.ID) (*latchkey.User, *store.Step, error) {
			u := &latchkey.User{
				ID: id, Organization: call.Organization, Kind: in.Kind, Name: in.Name, Email: in.Email,
				Memberships: memberships, Record: t.created(),
			}
			return u, &store.Step{Users: []*latchkey.User{u}}, t.userCeiling(u)
		},
		tell: func(u *latchkey.User) changes {
			return changes{"name": u.Name, "kind": u.Kind, "roles": spellMemberships(u.Memberships)}
		},
		again:  a.Store.User,
		record: func(row *latchkey.User) *latchkey.Record { return &row.Record },
	}.submit(ctx, a, call)
}

func (p *problems) memberships(roles []MemberRole) {
	if len(roles) > latchkey.MaxMemberships {
		p.add("/roles", "too_many", fmt.Sprintf("A user has at most %d roles.", latchkey.MaxMemberships))
		return
	}
	seen := map[latchkey.ID]bool{}
	for i, m := range roles {
		if m.Role == (RoleRef{}) {
			p.add(index("/roles", i)+"/role", "required", "This is required.")
		}
		if seen[m.Project] {
			p.add(index("/roles", i)+"/project_id", "duplicate", "A user has one role for each project, and one for the organization.")
		}
		seen[m.Project] = true
	}
}

// memberships looks up the projects and roles that are named.
func (a *Authority) memberships(ctx context.Context, call *Call, roles []MemberRole) ([]latchkey.Membership, store.Reads, error) {
	var reads store.Reads
	var broken problems
	out := make([]latchkey.Membership, 0, len(roles))
	for i, m := range roles {
		role, err := a.findRole(ctx, call, m.Role)
		if latchkey.CodeOf(err) == latchkey.CodeNotFound {
			broken.add(index("/roles", i)+"/role", "unknown", "There is no such role in the organization.")
		} else if err != nil {
			return nil, reads, err
		}
		if !m.Project.IsZero() {
			if _, err := a.project(ctx, call, m.Project); latchkey.CodeOf(err) == latchkey.CodeNotFound {
				broken.add(index("/roles", i)+"/project_id", "unknown", "There is no such project within your reach.")
			} else if err != nil {
				return nil, reads, err
			}
			reads.Projects = append(reads.Projects, m.Project)
		}
		reads.Roles = append(reads.Roles, role)
		out = append(out, latchkey.Membership{Project: m.Project, Role: role})
	}
	return out, reads, broken.err()
}

// userCeiling refuses a user who can do, anywhere, more than the caller, or
// whose roles or projects went away meanwhile.
func (t *txn) userCeiling(u *latchkey.User) error {
	for i, m := range u.Memberships {
		if !m.Project.IsZero() && t.Projects[m.Project] == nil {
			return latchkey.Invalid(index("/roles", i)+"/project_id", "unknown", "There is no such project within your reach.")
		}
		r, ok := t.Role(m.Role)
		if !ok || !t.hasRole(m.Role) {
			return latchkey.Invalid(index("/roles", i)+"/role", "unknown", "There is no such role in the organization.")
		}
		if err := t.caller.Ceiling(r.Powers()); err != nil {
			return err
		}
	}
	return nil
}

func spellMemberships(ms []latchkey.Membership) []map[string]string {
	out := make([]map[string]string, len(ms))
	for i, m := range ms {
		out[i] = map[string]string{"project_id": m.Project.Native(latchkey.KindProject), "role_id": m.Role.Native(latchkey.KindRole)}
	}
	return out
}

// GetUser describes a user within the caller's reach.
func (a *Authority) GetUser(ctx context.Context, call *Call, id latchkey.ID) (latchkey.User, error) {
	if err := call.Require(latchkey.UserRead); err != nil {
		return latchkey.User{}, err
	}
	u, err := a.user(ctx, call, id)
	if err != nil {
		return latchkey.User{}, err
	}
	if !call.Project.IsZero() {
		u.Memberships = slices.DeleteFunc(u.Memberships, func(m latchkey.Membership) bool {
			return !m.Project.IsZero() && m.Project != call.Project
		})
	}
	return *u, nil
}

// user finds a user within the caller's reach.
func (a *Authority) user(ctx context.Context, call *Call, id latchkey.ID) (*latchkey.User, error) {
	u, err := a.Store.User(ctx, id)
	if err != nil {
		return nil, translate(err)
	}
	if !call.seesUser(u) {
		return nil, notFound()
	}
	return u, nil
}

// seesUser: a caller that is bound to a project sees its members alone.
func (c *Caller) seesUser(u *latchkey.User) bool {
	if u.Organization != c.Organization {
		return false
	}
	_, member := u.Membership(c.Project)
	return c.Project.IsZero() || member
}

// ListUsers is a page of the users within the caller's reach.
func (a *Authority) ListUsers(ctx context.Context, call *Call, f PageFilter) ([]latchkey.User, string, error) {
	if err := call.RequireWide(latchkey.UserRead); err != nil {
		return nil, "", err
	}
	return directoryPage(ctx, a, call, "users", f, a.Store.ListUsers, func(u *latchkey.User) latchkey.Record { return u.Record })
}

// UserPatch is what is to be different about a user; nil leaves a field as it is.
type UserPatch struct {
	Name      *string
	Email     *string
	Suspended *bool
	Roles     *[]MemberRole
}

// UpdateUser changes a user. Neither what it was nor what it becomes may stand
// above the caller.
func (a *Authority) UpdateUser(ctx context.Context, call *Call, id latchkey.ID, patch UserPatch) (latchkey.User, Effective, error) {
	if err := call.RequireWide(latchkey.UserUpdate); err != nil {
		return latchkey.User{}, Effective{}, err
	}
	var broken problems
	if patch.Name != nil {
		broken.text("/name", *patch.Name, 1, latchkey.MaxNameLen)
	}
	if patch.Email != nil {
		broken.email("/email", *patch.Email)
	}
	if patch.Roles != nil {
		broken.memberships(*patch.Roles)
	}
	if err := broken.err(); err != nil {
		return latchkey.User{}, Effective{}, err
	}
	var memberships []latchkey.Membership
	var reads store.Reads
	if patch.Roles != nil {
		var err error
		if memberships, reads, err = a.memberships(ctx, call, *patch.Roles); err != nil {
			return latchkey.User{}, Effective{}, err
		}
		// Before the user is looked for: with too much in it, the answer must
		// not depend on whether there is such a user.
		if err := a.belowCeiling(ctx, call, memberships); err != nil {
			return latchkey.User{}, Effective{}, err
		}
	}
	return a.changeUser(ctx, call, id, latchkey.UserUpdate, latchkey.UserUpdated, reads,
		func(t *txn, u *latchkey.User) (changes, error) {
			c := changes{}
			if patch.Name != nil {
				set(c, "name", &u.Name, *patch.Name)
			}
			if patch.Email != nil {
				if u.Kind == latchkey.Service {
					return nil, latchkey.Invalid("/email", "not_allowed", "A service account has no e-mail address.")
				}
				set(c, "email", &u.Email, *patch.Email)
			}
			if patch.Suspended != nil {
				set(c, "suspended", &u.Suspended, *patch.Suspended)
			}
			if patch.Roles != nil && !slices.Equal(u.Memberships, memberships) {
				c["roles"] = fromTo{spellMemberships(u.Memberships), spellMemberships(memberships)}
				u.Memberships = memberships
				return c, t.userCeiling(u)
			}
			return c, nil
		})
}

// DeleteUser deletes a user who owns no key; with revokeKeys those are revoked first.
func (a *Authority) DeleteUser(ctx context.Context, call *Call, id latchkey.ID, revokeKeys bool) (Effective, error) {
	if err := call.RequireWide(latchkey.UserDelete); err != nil {
		return Effective{}, err
	}
	u, err := a.user(ctx, call, id)
	if err != nil {
		return Effective{}, err
	}
	// Before anything is revoked, for the answer must not be half a deletion.
	if err := a.belowCeiling(ctx, call, u.Memberships); err != nil {
		return Effective{}, err
	}
	if err := call.matches(u.Record); err != nil {
		return Effective{}, err
	}
	return a.delete(ctx, call, deletion{
		revokeKeys: revokeKeys, keys: store.KeyQuery{Owner: id}, holding: id, noun: "user",
		run: func(gone func(t *txn) error) (Effective, error) {
			_, e, err := a.changeUser(ctx, call, id, latchkey.UserDelete, latchkey.UserDeleted, store.Reads{Holdings: []latchkey.ID{id}},
				func(t *txn, u *latchkey.User) (changes, error) {
					u.DeletedAt = t.Now
					u.Memberships = nil
					return changes{"kind": u.Kind}, gone(t)
				})
			return e, err
		},
	})
}

// belowCeiling refuses a caller above whom a user with these roles stands.
func (a *Authority) belowCeiling(ctx context.Context, call *Call, memberships []latchkey.Membership) error {
	for _, m := range memberships {
		r, err := a.roleByRef(ctx, call, RoleRef{ID: m.Role})
		if err != nil {
			return err
		}
		if err := call.Ceiling(r.Powers()); err != nil {
			return err
		}
	}
	return nil
}

// knowsRoles refuses to judge a user who was given roles after these were named
// for the transaction: a role that it has not read would count for nothing.
func (t *txn) knowsRoles(u *latchkey.User) error {
	for _, m := range u.Memberships {
		if _, ok := t.Role(m.Role); !ok {
			return latchkey.Errorf(latchkey.CodeConflict, "The user was changed at the same moment; try again.")
		}
	}
	return nil
}

// changeUser changes a user who does not stand above the caller.
func (a *Authority) changeUser(ctx context.Context, call *Call, id latchkey.ID, needs latchkey.Permission, event latchkey.EventType,
	reads store.Reads, change func(*txn, *latchkey.User) (changes, error),
) (latchkey.User, Effective, error) {
	u, err := a.user(ctx, call, id)
	if err != nil {
		return latchkey.User{}, Effective{}, err
	}
	for _, m := range u.Memberships {
		reads.Roles = append(reads.Roles, m.Role)
	}
	reads.Users = append(reads.Users, id)
	return directoryChange[latchkey.User]{
		needs: needs, event: event, kind: latchkey.KindUser, id: id, reads: reads,
		current: func(t *txn) *latchkey.User {
			if u := t.Users[id]; u != nil && u.Organization == t.caller.Organization {
				return u
			}
			return nil
		},
		change: func(t *txn, u *latchkey.User) (changes, error) {
			if err := t.knowsRoles(u); err != nil {
				return nil, err
			}
			for _, m := range u.Memberships {
				r, _ := t.Role(m.Role)
				if err := t.caller.Ceiling(r.Powers()); err != nil {
					return nil, err
				}
			}
			return change(t, u)
		},
		write:  func(s *store.Step, u *latchkey.User) { s.Users = []*latchkey.User{u} },
		record: func(u *latchkey.User) *latchkey.Record { return &u.Record },
	}.submit(ctx, a, call)
}
