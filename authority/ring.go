package authority

import (
	"context"
	"fmt"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/store"
)

// RingStatus is a version of the key ring and what depends on it.
type RingStatus struct {
	keyring.Version
	Secrets int64 // of keys that are not revoked, digested under it
}

// RingStatus lists the versions of the key ring.
func (a *Authority) RingStatus(ctx context.Context, call *Call) ([]RingStatus, error) {
	if err := call.RequireOperator(latchkey.OrganizationUpdate); err != nil {
		return nil, err
	}
	if err := a.Ring.Reload(); err != nil {
		return nil, err
	}
	counts, err := a.Store.PepperVersions(ctx)
	if err != nil {
		return nil, translate(err)
	}
	var list []RingStatus
	for _, v := range a.Ring.Versions() {
		list = append(list, RingStatus{v, counts[v.Number]})
	}
	return list, nil
}

// AddRingVersion draws a new version. Nothing is made under it until it is activated.
func (a *Authority) AddRingVersion(ctx context.Context, call *Call) (keyring.Version, Effective, error) {
	if err := call.RequireOperator(latchkey.OrganizationUpdate); err != nil {
		return keyring.Version{}, Effective{}, err
	}
	if err := a.confirmOperator(ctx, call); err != nil {
		return keyring.Version{}, Effective{}, err
	}
	v, err := a.Ring.Add(a.Random, a.Clock())
	if err != nil {
		return v, Effective{}, err
	}
	e, err := a.recordRing(ctx, call, latchkey.RingVersionAdded, v.Number)
	return v, e, err
}

// ActivateRingVersion makes new digests and sealings under a version from now
// on. Data keys are wrapped anew at once; digests move as their keys are used.
func (a *Authority) ActivateRingVersion(ctx context.Context, call *Call, number int) (Effective, error) {
	if err := call.RequireOperator(latchkey.OrganizationUpdate); err != nil {
		return Effective{}, err
	}
	if err := a.confirmOperator(ctx, call); err != nil {
		return Effective{}, err
	}
	if err := a.Ring.Activate(number); err != nil {
		return Effective{}, err
	}
	if err := a.rewrap(ctx, call); err != nil {
		return Effective{}, err
	}
	e, err := a.recordRing(ctx, call, latchkey.RingVersionActivated, number)
	if err != nil {
		return e, err
	}
	return a.await(ctx, call, e), nil
}

// RetireRingVersion erases a version. While digests depend on it that is
// refused, unless force says that those keys may die.
func (a *Authority) RetireRingVersion(ctx context.Context, call *Call, number int, force bool) (Effective, error) {
	if err := call.RequireOperator(latchkey.OrganizationUpdate); err != nil {
		return Effective{}, err
	}
	counts, err := a.Store.PepperVersions(ctx)
	if err != nil {
		return Effective{}, translate(err)
	}
	if err := a.gatewaysLeft(ctx, number, force); err != nil {
		return Effective{}, err
	}
	if n := counts[number]; n > 0 && !force {
		return Effective{}, latchkey.Errorf(latchkey.CodeConflict, "%d secrets have not been used since version %d was replaced and would die with it; rotate or revoke their keys, or retire with force.", n, number)
	}
	switch state := a.ringState(number); state {
	case "":
		return Effective{}, latchkey.Errorf(latchkey.CodeNotFound, "There is no such version of the key ring.")
	case keyring.Active, keyring.Pending:
		return Effective{}, latchkey.Errorf(latchkey.CodeConflict, "Version %d is %s; only a version before the active one can be retired, so activate a later one first.", number, state)
	case keyring.Retiring, keyring.Retired:
	}
	if err := a.rewrap(ctx, call); err != nil {
		return Effective{}, err
	}
	// Recorded before it is erased: should the program end in between, it starts
	// with a version too many, which FinishRetirements erases, and not with one
	// too few, which nothing would bring back.
	e, err := a.recordRing(ctx, call, latchkey.RingVersionRetired, number)
	if err != nil {
		return e, err
	}
	if err := a.Ring.Retire(number); err != nil {
		return e, err
	}
	return a.await(ctx, call, e), nil
}

// confirmOperator looks at the caller once more, and at what other nodes have
// made of their rings, in the store's own order, before the ring's file is
// changed: no transaction would take that back.
func (a *Authority) confirmOperator(ctx context.Context, call *Call) error {
	_, _, err := a.submit(ctx, call, change{
		needs: latchkey.OrganizationUpdate, reads: store.Reads{Installation: true},
		apply: func(t *txn) error {
			if err := t.caller.RequireOperator(latchkey.OrganizationUpdate); err != nil {
				return err
			}
			return a.checkShared(t.Installation)
		},
	})
	return err
}

// ringState is where a version stands; "" for one that is not there.
func (a *Authority) ringState(number int) keyring.State {
	for _, v := range a.Ring.Versions() {
		if v.Number == number {
			return v.State
		}
	}
	return ""
}

// FinishRetirements erases from the ring what the store records as retired.
func FinishRetirements(in *store.Installation, ring *keyring.Ring) error {
	for _, v := range in.Versions {
		if !v.Retired || v.Number == ring.Active() {
			continue
		}
		if err := ring.Retire(v.Number); err != nil {
			return fmt.Errorf("erasing retired version %d of the key ring: %w", v.Number, err)
		}
	}
	return nil
}

// FollowRing takes up in this node's ring what another node did with its own and
// the store records: a version that was activated is active here as well, and
// what was retired is erased. It fails as CheckRing does if the ring lacks a
// version that it should have.
func FollowRing(in *store.Installation, ring *keyring.Ring) error {
	if err := CheckRing(in, ring); err != nil {
		return err
	}
	for _, v := range in.Versions {
		if v.Active && v.Number > ring.Active() {
			if err := ring.Activate(v.Number); err != nil {
				return fmt.Errorf("activating version %d of the key ring as the store says: %w", v.Number, err)
			}
		}
	}
	return FinishRetirements(in, ring)
}

// checkShared refuses to change a ring that lacks what the store lists: another
// node has changed its own, and two versions of one number cannot be merged.
func (a *Authority) checkShared(in *store.Installation) error {
	if err := CheckRing(in, a.Ring); err != nil {
		return latchkey.Errorf(latchkey.CodeConflict, "This node's key ring is behind another's: %v.", err)
	}
	return nil
}

// recordRing makes the store list the versions as the ring has them.
func (a *Authority) recordRing(ctx context.Context, call *Call, event latchkey.EventType, number int) (Effective, error) {
	e, _, err := a.submit(ctx, call, change{
		needs: latchkey.OrganizationUpdate, reads: store.Reads{Installation: true},
		apply: func(t *txn) error {
			if err := t.caller.RequireOperator(latchkey.OrganizationUpdate); err != nil {
				return err
			}
			if err := a.checkShared(t.Installation); err != nil {
				return err
			}
			in := *t.Installation
			in.Versions = listVersions(a.Ring)
			for i := range in.Versions {
				if in.Versions[i].Number == number && event == latchkey.RingVersionRetired {
					in.Versions[i].Retired = true
				}
			}
			step, err := t.step(event, latchkey.Object{}, changes{"version": number}.document())
			if err != nil {
				return err
			}
			step.Event.Organization = latchkey.ID{}
			step.Installation = &in
			return nil
		},
	})
	return e, err
}

// rewrap wraps every organization's data key under the active version.
func (a *Authority) rewrap(ctx context.Context, call *Call) error {
	page := store.Page{Limit: MaxPage}
	for {
		organizations, err := a.Store.ListOrganizations(ctx, page)
		if err != nil {
			return translate(err)
		}
		for _, o := range organizations {
			if err := a.rewrapOne(ctx, call, o.ID); err != nil {
				return fmt.Errorf("organization %s: %w", o.ID.Native(latchkey.KindOrganization), err)
			}
		}
		if len(organizations) < page.Limit {
			return nil
		}
		page.Before = organizations[len(organizations)-1].Ordinal
	}
}

func (a *Authority) rewrapOne(ctx context.Context, call *Call, organization latchkey.ID) error {
	_, _, err := a.submit(ctx, call, change{
		needs: latchkey.OrganizationUpdate, reads: store.Reads{DataKeys: []latchkey.ID{organization}},
		apply: func(t *txn) error {
			if err := t.caller.RequireOperator(latchkey.OrganizationUpdate); err != nil {
				return err
			}
			d := t.DataKeys[organization]
			if d == nil {
				return nil
			}
			wrapped, changed, err := a.Ring.Rewrap(keyring.WrappedKey{ID: d.ID, Organization: d.Organization, Version: d.Version, Wrapped: d.Wrapped})
			if err != nil || !changed {
				return err
			}
			step, err := t.step(latchkey.RingVersionActivated, latchkey.Object{Kind: latchkey.KindOrganization, ID: organization},
				changes{"data_key_version": wrapped.Version}.document())
			if err != nil {
				return err
			}
			step.DataKeys = []*store.DataKey{{ID: wrapped.ID, Organization: organization, Version: wrapped.Version, Wrapped: wrapped.Wrapped}}
			return nil
		},
	})
	return err
}
