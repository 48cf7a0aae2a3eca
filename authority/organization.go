package authority

import (
	"context"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// NewOrganization is what an organization is to be. It starts with a default
// project, the built-in roles, and nobody: the operator makes its first user or
// key by acting in it.
type NewOrganization struct {
	Name string
}

// The bounds of what an operator may set as an organization's limits.
const (
	maxKeyLimit    = 1_000_000_000
	maxChangeLimit = 1_000_000
)

// RequireOperator refuses all but the operator's owner and admin.
func (c *Caller) RequireOperator(p latchkey.Permission) error {
	if err := c.Require(p); err != nil {
		return err
	}
	if !c.Operator {
		return latchkey.Errorf(latchkey.CodeForbidden, "Only the operator's owner and admin may manage organizations.")
	}
	return nil
}

// CreateOrganization makes a tenant.
func (a *Authority) CreateOrganization(ctx context.Context, call *Call, in NewOrganization) (latchkey.Organization, Effective, error) {
	if err := call.RequireOperator(latchkey.OrganizationCreate); err != nil {
		return latchkey.Organization{}, Effective{}, err
	}
	var broken problems
	broken.text("/name", in.Name, 1, latchkey.MaxNameLen)
	if err := broken.err(); err != nil {
		return latchkey.Organization{}, Effective{}, err
	}
	return creation[latchkey.Organization]{
		needs: latchkey.OrganizationCreate, event: latchkey.OrganizationCreated, kind: latchkey.KindOrganization,
		make: func(t *txn, id latchkey.ID) (*latchkey.Organization, *store.Step, error) {
			if err := t.caller.RequireOperator(latchkey.OrganizationCreate); err != nil {
				return nil, nil, err
			}
			o := &latchkey.Organization{ID: id, Name: in.Name, Limits: latchkey.DefaultLimits(), Record: t.created()}
			step, err := a.furnish(o)
			return o, step, err
		},
		tell:   func(o *latchkey.Organization) changes { return changes{"name": o.Name} },
		again:  a.Store.Organization,
		record: func(row *latchkey.Organization) *latchkey.Record { return &row.Record },
	}.submit(ctx, a, call)
}

// furnish gives a new organization what every organization has.
func (a *Authority) furnish(o *latchkey.Organization) (*store.Step, error) {
	project, err := latchkey.NewID(o.CreatedAt, a.Random)
	if err != nil {
		return nil, err
	}
	key, err := a.Ring.NewDataKey(o.ID, a.Random)
	if err != nil {
		return nil, err
	}
	return &store.Step{
		Organizations: []*latchkey.Organization{o},
		Projects: []*latchkey.Project{{
			ID: project, Organization: o.ID, Name: "default", Prefix: DefaultPrefix, Environment: latchkey.Live, Default: true, Record: o.Record,
		}},
		DataKeys: []*store.DataKey{{ID: key.ID, Organization: o.ID, Version: key.Version, Wrapped: key.Wrapped}},
	}, nil
}

// seesOrganization: one's own; the operator's people see all.
func (c *Caller) seesOrganization(id latchkey.ID) bool { return c.Operator || id == c.Organization }

// GetOrganization describes an organization within the caller's reach.
func (a *Authority) GetOrganization(ctx context.Context, call *Call, id latchkey.ID) (latchkey.Organization, error) {
	if err := call.Require(latchkey.OrganizationRead); err != nil {
		return latchkey.Organization{}, err
	}
	if !call.seesOrganization(id) {
		return latchkey.Organization{}, notFound()
	}
	o, err := a.Store.Organization(ctx, id)
	if err != nil {
		return latchkey.Organization{}, translate(err)
	}
	return *o, nil
}

// ListOrganizations is a page of the organizations within the caller's reach.
func (a *Authority) ListOrganizations(ctx context.Context, call *Call, f PageFilter) ([]latchkey.Organization, string, error) {
	if err := call.Require(latchkey.OrganizationRead); err != nil {
		return nil, "", err
	}
	find := a.Store.ListOrganizations
	if !call.Operator {
		find = func(ctx context.Context, page store.Page) ([]latchkey.Organization, error) {
			o, err := a.Store.Organization(ctx, call.Organization)
			if err != nil || page.Before != 0 {
				return nil, err
			}
			return []latchkey.Organization{*o}, nil
		}
	}
	return directoryPage(ctx, a, call, "organizations", f, find, func(o *latchkey.Organization) latchkey.Record { return o.Record })
}

// OrganizationPatch is what is to be different about an organization; nil
// leaves a field as it is. All but the name are the operator's to set.
type OrganizationPatch struct {
	Name             *string
	Suspended        *bool
	KeyLimit         *int64
	ChangesPerSecond *int64
}

// UpdateOrganization changes an organization.
func (a *Authority) UpdateOrganization(ctx context.Context, call *Call, id latchkey.ID, patch OrganizationPatch) (latchkey.Organization, Effective, error) {
	if err := call.RequireWide(latchkey.OrganizationUpdate); err != nil {
		return latchkey.Organization{}, Effective{}, err
	}
	if err := patch.check(); err != nil {
		return latchkey.Organization{}, Effective{}, err
	}
	if err := patch.ceiling(&call.Caller); err != nil {
		return latchkey.Organization{}, Effective{}, err
	}
	o, e, err := a.changeOrganization(ctx, call, id, latchkey.OrganizationUpdate, latchkey.OrganizationUpdated, store.Reads{}, patch.apply)
	if err == nil && patch.ChangesPerSecond != nil {
		a.setBudget(id, o.Limits.ChangesPerSecond)
	}
	return o, e, err
}

func (p *OrganizationPatch) check() error {
	var broken problems
	if p.Name != nil {
		broken.text("/name", *p.Name, 1, latchkey.MaxNameLen)
	}
	if n := p.KeyLimit; n != nil && (*n < 0 || *n > maxKeyLimit) {
		broken.add("/limits/keys", "range", "An organization may have 0 to 1,000,000,000 keys.")
	}
	if n := p.ChangesPerSecond; n != nil && (*n < 1 || *n > maxChangeLimit) {
		broken.add("/limits/changes_per_second", "range", "An organization may make 1 to 1,000,000 changes per second.")
	}
	return broken.err()
}

func (p *OrganizationPatch) ceiling(c *Caller) error {
	if !c.Operator && (p.Suspended != nil || p.KeyLimit != nil || p.ChangesPerSecond != nil) {
		return latchkey.Errorf(latchkey.CodeCeiling, "Suspension and limits are the operator's to set.")
	}
	return nil
}

func (p *OrganizationPatch) apply(t *txn, o *latchkey.Organization) (changes, error) {
	if err := p.ceiling(&t.caller); err != nil {
		return nil, err
	}
	c := changes{}
	if p.Name != nil {
		set(c, "name", &o.Name, *p.Name)
	}
	if p.Suspended != nil {
		if *p.Suspended && o.Operator {
			return nil, latchkey.Errorf(latchkey.CodeConflict, "The operator's own organization cannot be suspended.")
		}
		set(c, "suspended", &o.Suspended, *p.Suspended)
	}
	if p.KeyLimit != nil {
		set(c, "limits.keys", &o.Limits.Keys, *p.KeyLimit)
	}
	if p.ChangesPerSecond != nil {
		set(c, "limits.changes_per_second", &o.Limits.ChangesPerSecond, *p.ChangesPerSecond)
	}
	return c, nil
}

// DeleteOrganization deletes a tenant that has no keys left; with revokeKeys
// those that it has are revoked first.
func (a *Authority) DeleteOrganization(ctx context.Context, call *Call, id latchkey.ID, revokeKeys bool) (Effective, error) {
	if err := call.RequireOperator(latchkey.OrganizationDelete); err != nil {
		return Effective{}, err
	}
	o, err := a.Store.Organization(ctx, id)
	if err != nil {
		return Effective{}, translate(err)
	}
	if o.Operator {
		return Effective{}, latchkey.Errorf(latchkey.CodeConflict, "The operator's own organization stays.")
	}
	if err := call.matches(o.Record); err != nil {
		return Effective{}, err
	}
	// Its keys are revoked by the operator acting in it.
	inside := *call
	inside.Organization, inside.IfMatch = id, 0
	return a.delete(ctx, &inside, deletion{
		revokeKeys: revokeKeys, holding: id, noun: "organization",
		run: func(gone func(t *txn) error) (Effective, error) {
			_, e, err := a.changeOrganization(ctx, call, id, latchkey.OrganizationDelete, latchkey.OrganizationDeleted, store.Reads{Holdings: []latchkey.ID{id}},
				func(t *txn, o *latchkey.Organization) (changes, error) {
					o.DeletedAt = t.Now
					return changes{"name": o.Name}, gone(t)
				})
			return e, err
		},
	})
}

func (a *Authority) changeOrganization(ctx context.Context, call *Call, id latchkey.ID, needs latchkey.Permission, event latchkey.EventType,
	reads store.Reads, change func(*txn, *latchkey.Organization) (changes, error),
) (latchkey.Organization, Effective, error) {
	reads.Organizations = append(reads.Organizations, id)
	return directoryChange[latchkey.Organization]{
		needs: needs, event: event, kind: latchkey.KindOrganization, id: id, reads: reads, change: change,
		current: func(t *txn) *latchkey.Organization {
			if !t.caller.seesOrganization(id) {
				return nil
			}
			return t.Organizations[id]
		},
		write:  func(s *store.Step, o *latchkey.Organization) { s.Organizations = []*latchkey.Organization{o} },
		record: func(o *latchkey.Organization) *latchkey.Record { return &o.Record },
	}.submit(ctx, a, call)
}
