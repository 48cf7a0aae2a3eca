package authority

import (
	"context"

	"latchkey.dev/latchkey"
)

// CreateKeyFor makes a key that is its owner's and nothing of its own: without a
// role and scopes it has the user's permissions, read live, and it is named after
// the user. The user must be active.
//
// It reaches as far as the user does: over the organization, unless all roles of
// the user are in projects. A key reaches one project or all of them, so of
// several it is the default one, if the user has a role there, else that of the
// first role. A caller that is bound to a project makes it there.
func (a *Authority) CreateKeyFor(ctx context.Context, call *Call, owner latchkey.ID, addresses []string) (Issued, Effective, error) {
	if err := call.Require(latchkey.KeyCreate); err != nil {
		return Issued{}, Effective{}, err
	}
	var broken problems
	broken.addresses("/restrictions/addresses", addresses)
	if err := broken.err(); err != nil {
		return Issued{}, Effective{}, err
	}
	u, err := a.user(ctx, call, owner)
	if latchkey.CodeOf(err) == latchkey.CodeNotFound || err == nil && u.Suspended {
		err = latchkey.Invalid("/owner_id", "unknown", "There is no such active user in the organization.")
	}
	if err != nil {
		return Issued{}, Effective{}, err
	}
	reach, project, err := a.reachOf(ctx, call, u)
	if err != nil {
		return Issued{}, Effective{}, err
	}
	return a.CreateKey(ctx, call, NewKey{Name: nameAfter(u), Owner: owner, Reach: reach, Project: project, Addresses: addresses})
}

// reachOf is how far a key of the user goes, and in which project it is made;
// zero for where keys go that name none.
func (a *Authority) reachOf(ctx context.Context, call *Call, u *latchkey.User) (latchkey.Reach, latchkey.ID, error) {
	_, wide := u.Membership(latchkey.ID{})
	switch {
	case !call.Project.IsZero():
		return latchkey.ReachProject, call.Project, nil
	case wide, len(u.Memberships) == 0:
		return latchkey.ReachOrganization, latchkey.ID{}, nil
	}
	project, err := a.knownDefault(ctx, call.Organization)
	if err != nil {
		return "", latchkey.ID{}, err
	}
	if _, member := u.Membership(project.ID); member {
		return latchkey.ReachProject, project.ID, nil
	}
	return latchkey.ReachProject, u.Memberships[0].Project, nil
}

// nameAfter is the name of a key that has none of its own.
func nameAfter(u *latchkey.User) string {
	name := []rune("API key of " + u.Name)
	return string(name[:min(len(name), latchkey.MaxNameLen)])
}
