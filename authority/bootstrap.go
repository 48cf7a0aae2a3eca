package authority

import (
	"context"
	"errors"
	"fmt"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/store"
)

// DefaultEmail is the first user's address where none is given.
const DefaultEmail = "owner@localhost"

// Bootstrap makes the operator organization, its default project, its first
// user and the record of the key ring, all in one transaction. Of several that
// try, one wins; for the others, and on a store that was bootstrapped before,
// won is false and the installation is the one that is there.
func (a *Authority) Bootstrap(ctx context.Context, email string) (installation *store.Installation, won bool, err error) {
	var broken problems
	broken.email("/email", email)
	if err := broken.err(); err != nil {
		return nil, false, err
	}
	_, err = a.Store.Submit(ctx, store.Change{
		Reads: store.Reads{Installation: true},
		Apply: func(view *store.View) (store.Outcome, error) {
			won = view.Installation == nil
			if !won {
				installation = view.Installation
				return store.Outcome{}, nil
			}
			steps, err := a.foundation(view, email)
			if err != nil {
				return store.Outcome{}, err
			}
			installation = steps[0].Installation
			return store.Outcome{Steps: steps}, nil
		},
	})
	return installation, won, translate(err)
}

// foundation is everything that a new installation has. All of it counts as
// made by the first user.
func (a *Authority) foundation(view *store.View, email string) ([]store.Step, error) {
	var ids [6]latchkey.ID
	for i := range ids {
		var err error
		if ids[i], err = latchkey.NewID(view.Now, a.Random); err != nil {
			return nil, err
		}
	}
	self, operator, owner := ids[0], ids[1], ids[2]
	by := latchkey.Principal{Kind: latchkey.PrincipalUser, ID: owner}
	record := latchkey.Record{CreatedAt: view.Now, UpdatedAt: view.Now, CreatedBy: by, UpdatedBy: by}

	org := &latchkey.Organization{ID: operator, Name: "operator", Operator: true, Limits: latchkey.DefaultLimits(), Record: record}
	furnished, err := a.furnish(org)
	if err != nil {
		return nil, err
	}
	role, _ := latchkey.BuiltinRole("owner")
	user := &latchkey.User{
		ID: owner, Organization: operator, Kind: latchkey.Person, Name: "Owner", Email: email,
		Memberships: []latchkey.Membership{{Role: role.ID}}, Record: record,
	}
	event := func(id latchkey.ID, t latchkey.EventType, organization latchkey.ID, o latchkey.Object, c changes) latchkey.Event {
		return latchkey.Event{ID: id, Organization: organization, Type: t, At: view.Now, Actor: by, Object: o, Changes: c.document()}
	}
	furnished.Event = event(ids[4], latchkey.OrganizationCreated, operator, latchkey.Object{Kind: latchkey.KindOrganization, ID: operator}, changes{"name": org.Name})
	return []store.Step{
		{
			Event: event(ids[3], latchkey.InstallationCreated, latchkey.ID{}, latchkey.Object{}, changes{"key_ring": a.Ring.Fingerprint()}),
			Installation: &store.Installation{
				ID: self, Operator: operator, Owner: owner, Ring: a.Ring.Fingerprint(), Versions: listVersions(a.Ring),
			},
		},
		*furnished,
		{
			Event: event(ids[5], latchkey.UserCreated, operator, latchkey.Object{Kind: latchkey.KindUser, ID: owner}, changes{"name": user.Name, "kind": user.Kind}),
			Users: []*latchkey.User{user},
		},
	}, nil
}

// CreateFirstKey makes the key that the first user was promised: over the whole
// organization, its own, with the role owner, without an end.
func (a *Authority) CreateFirstKey(ctx context.Context, in *store.Installation) (Issued, error) {
	issued, _, err := a.CreateKey(ctx, &Call{Caller: asOwner(in)}, NewKey{
		Name: "First key", Reach: latchkey.ReachOrganization, Owner: in.Owner, Role: RoleRef{Identifier: "owner"},
	})
	return issued, err
}

// asOwner is the first user, whom the bootstrap speaks for.
func asOwner(in *store.Installation) Caller {
	c := Socket(in.Operator)
	c.Owner = in.Owner
	return c
}

func listVersions(r *keyring.Ring) []store.RingVersion {
	var list []store.RingVersion
	for _, v := range r.Versions() {
		list = append(list, store.RingVersion{
			Number: v.Number, Fingerprint: v.Fingerprint, Active: v.State == keyring.Active, Retired: v.State == keyring.Retired,
		})
	}
	return list
}

// ErrRing says that the key ring at hand is not the one that the store needs.
var ErrRing = errors.New("the key ring does not fit the store")

// CheckRing refuses a ring that lacks a version which rows of the store may
// depend on; the error says what mends it.
func CheckRing(in *store.Installation, ring *keyring.Ring) error {
	if in.Ring != ring.Fingerprint() {
		return fmt.Errorf("%w: the store was made with ring %s, the file is ring %s. Put the right file in place: a copy from another node or a backup (`latchkey keyring export --recipient …` there, `latchkey keyring import` here)", ErrRing, in.Ring, ring.Fingerprint())
	}
	have := map[int]keyring.Version{}
	for _, v := range ring.Versions() {
		have[v.Number] = v
	}
	for _, v := range in.Versions {
		if v.Retired {
			continue
		}
		mine, ok := have[v.Number]
		if !ok || mine.State == keyring.Retired || mine.Fingerprint != v.Fingerprint {
			return fmt.Errorf("%w: version %d (%s) is missing from the file. On a machine that has it run `latchkey keyring export --recipient …`, then `latchkey keyring import` here", ErrRing, v.Number, v.Fingerprint)
		}
	}
	return nil
}
