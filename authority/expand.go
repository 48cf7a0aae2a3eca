package authority

import (
	"context"

	"latchkey.dev/latchkey"
)

// Creator is a user who made keys.
type Creator struct {
	latchkey.User
	Rank int // over the whole organization
}

// Creators are the users who made keys that the caller was shown, by id. Those
// who are gone are absent, and so are those of another organization, and the
// keys and the system that made keys.
func (a *Authority) Creators(ctx context.Context, call *Call, shown []Described) (map[latchkey.ID]Creator, error) {
	return expand(call, shown,
		func(d *Described) latchkey.ID {
			if d.CreatedBy.Kind != latchkey.PrincipalUser {
				return latchkey.ID{}
			}
			return d.CreatedBy.ID
		},
		func(id latchkey.ID) (Creator, error) {
			u, err := a.Store.User(ctx, id)
			if err == nil && u.Organization != call.Organization {
				err = notFound()
			}
			if err != nil {
				return Creator{}, translate(err)
			}
			rank, err := a.rankOf(ctx, call, u)
			return Creator{*u, rank}, err
		})
}

// rankOf is a user's rank over the whole organization.
func (a *Authority) rankOf(ctx context.Context, call *Call, u *latchkey.User) (int, error) {
	id, ok := u.Membership(latchkey.ID{})
	if !ok {
		return 0, nil
	}
	r, err := a.roleByRef(ctx, call, RoleRef{ID: id})
	if latchkey.CodeOf(err) == latchkey.CodeNotFound {
		return 0, nil // a role that is gone gives nothing
	}
	if err != nil {
		return 0, err
	}
	return r.Rank, nil
}

// ProjectsOf are the projects of keys that the caller was shown, by id; those
// that are gone are absent.
func (a *Authority) ProjectsOf(ctx context.Context, call *Call, shown []Described) (map[latchkey.ID]latchkey.Project, error) {
	return expand(call, shown, func(d *Described) latchkey.ID { return d.Project },
		func(id latchkey.ID) (latchkey.Project, error) {
			p, err := a.project(ctx, call, id)
			if err != nil {
				return latchkey.Project{}, err
			}
			return *p, nil
		})
}

// RolesOf are the roles of keys that the caller was shown, by id; those that are
// gone are absent.
func (a *Authority) RolesOf(ctx context.Context, call *Call, shown []Described) (map[latchkey.ID]latchkey.Role, error) {
	return expand(call, shown, func(d *Described) latchkey.ID { return d.Policy.Role },
		func(id latchkey.ID) (latchkey.Role, error) {
			r, err := a.roleByRef(ctx, call, RoleRef{ID: id})
			if err != nil {
				return latchkey.Role{}, err
			}
			return *r, nil
		})
}

// OwnProject is the project to which the caller is bound, or the organization's
// default one: where what it makes goes.
func (a *Authority) OwnProject(ctx context.Context, call *Call) (latchkey.Project, error) {
	if err := call.Require(latchkey.KeyRead); err != nil {
		return latchkey.Project{}, err
	}
	p, err := a.projectFor(ctx, call, placing{current: true})
	if err != nil {
		return latchkey.Project{}, err
	}
	return *p, nil
}

// expand reads each object once that the keys refer to. It asks for no right of
// its own: that a key was shown to the caller is what permits it.
func expand[T any](call *Call, shown []Described, refer func(*Described) latchkey.ID, read func(latchkey.ID) (T, error)) (map[latchkey.ID]T, error) {
	known, gone := map[latchkey.ID]T{}, map[latchkey.ID]bool{{}: true}
	for i := range shown {
		id := refer(&shown[i])
		if _, is := known[id]; is || gone[id] || shown[i].Organization != call.Organization {
			continue
		}
		switch object, err := read(id); {
		case err == nil:
			known[id] = object
		case latchkey.CodeOf(err) == latchkey.CodeNotFound:
			gone[id] = true
		default:
			return nil, err
		}
	}
	return known, nil
}
