package authority

import (
	"context"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// mayChoose refuses a caller who may neither read roles nor make keys: whoever
// makes keys has to know the roles that there are to give them.
func (c *Caller) mayChoose() error {
	if c.May(latchkey.KeyCreate) {
		return nil
	}
	return c.Require(latchkey.RoleRead)
}

// RolesToChoose are all roles that a key can have: the organization's own, newest
// first, and then the built-in ones. Which of them the caller may give is for the
// ceiling to say.
func (a *Authority) RolesToChoose(ctx context.Context, call *Call) ([]latchkey.Role, error) {
	if err := call.mayChoose(); err != nil {
		return nil, err
	}
	const batch = 1000
	var roles []latchkey.Role
	for page := (store.Page{Organization: call.Organization, Limit: batch}); ; {
		found, err := a.Store.ListRoles(ctx, page)
		if err != nil {
			return nil, translate(err)
		}
		roles = append(roles, found...)
		if len(found) < batch {
			return append(roles, latchkey.BuiltinRoles()...), nil
		}
		page.Before = found[len(found)-1].Ordinal
	}
}

// RoleToChoose is one of them.
func (a *Authority) RoleToChoose(ctx context.Context, call *Call, id latchkey.ID) (latchkey.Role, error) {
	if err := call.mayChoose(); err != nil {
		return latchkey.Role{}, err
	}
	r, err := a.roleByRef(ctx, call, RoleRef{ID: id})
	if err != nil {
		return latchkey.Role{}, err
	}
	return *r, nil
}
