package verify

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// group is what keys have in common that verification asks about. Thousands of
// keys share one, and what a change of their owner, role or organization does to
// them is written in one place.
type group struct {
	groupKey

	policy   latchkey.Policy
	standing atomic.Pointer[standing]
	keys     atomic.Int64 // entries that are of this group
}

// groupKey is what tells groups apart.
type groupKey struct {
	organization, project, owner latchkey.ID
	reach                        latchkey.Reach
	environment                  latchkey.Environment
	policy                       [sha256.Size]byte
}

// standing is what a group's keys may do at present.
type standing struct {
	grant    *latchkey.Grant
	role     string // identifier of their own role
	operator bool   // the organization is the operator
	gone     bool   // the organization is not there any more, nor are they
}

// digestOf tells policies apart.
func digestOf(p *latchkey.Policy) (sum [sha256.Size]byte) {
	h := sha256.New()
	h.Write(p.Role[:])
	write := func(n int, texts func(yield func(string))) {
		h.Write(binary.AppendUvarint(nil, uint64(n))) //nolint:gosec // a length
		texts(func(text string) {
			h.Write(binary.AppendUvarint(nil, uint64(len(text))))
			h.Write([]byte(text))
		})
	}
	write(len(p.Scopes), func(yield func(string)) {
		for _, s := range p.Scopes {
			yield(string(s))
		}
	})
	addresses := p.Addresses.Entries()
	write(len(addresses), func(yield func(string)) {
		for _, a := range addresses {
			yield(a)
		}
	})
	types := slices.Sorted(maps.Keys(p.Resources))
	write(len(types), func(yield func(string)) {
		for _, t := range types {
			yield(t)
		}
	})
	for _, t := range types {
		write(len(p.Resources[t]), func(yield func(string)) {
			for _, id := range p.Resources[t] {
				yield(id)
			}
		})
	}
	h.Sum(sum[:0])
	return sum
}

// groups are those of the index, by number, and the directory that they stand on.
type groups struct {
	store store.Directory
	list  atomic.Pointer[[]*group] // by number less one; only ever extended, or a place of it used again

	mu            sync.Mutex
	numbers       map[groupKey]uint32
	free          []uint32
	organizations map[latchkey.ID]*latchkey.Organization // nil: gone
	users         map[latchkey.ID]*latchkey.User
	roles         map[latchkey.ID]*latchkey.Role
}

func newGroups(directory store.Directory) *groups {
	g := &groups{
		store: directory, numbers: map[groupKey]uint32{}, organizations: map[latchkey.ID]*latchkey.Organization{},
		users: map[latchkey.ID]*latchkey.User{}, roles: map[latchkey.ID]*latchkey.Role{},
	}
	g.list.Store(&[]*group{})
	return g
}

func (g *groups) at(number uint32) *group { return (*g.list.Load())[number-1] }

// number finds the group of a key, or makes it, and counts n entries to it.
func (g *groups) number(ctx context.Context, k *latchkey.Key, policy [sha256.Size]byte, n int64) (uint32, error) {
	key := groupKey{k.Organization, k.Project, k.Owner, k.Reach, k.Environment, policy}
	g.mu.Lock()
	defer g.mu.Unlock()
	number, ok := g.numbers[key]
	if !ok {
		made := &group{groupKey: key, policy: k.Policy}
		if err := g.resolve(ctx, made); err != nil {
			return 0, err
		}
		number = g.add(made)
	}
	g.at(number).keys.Add(n)
	return number, nil
}

func (g *groups) add(made *group) uint32 {
	list := *g.list.Load()
	if n := len(g.free); n > 0 {
		number := g.free[n-1]
		g.free = g.free[:n-1]
		list[number-1] = made // no entry has this number, so nobody looks at it
		g.numbers[made.groupKey] = number
		return number
	}
	list = append(list, made)
	g.list.Store(&list)
	number := uint32(len(list)) //nolint:gosec // fewer than memory holds
	g.numbers[made.groupKey] = number
	return number
}

// leave takes an entry off a group, which ends with the last of them.
func (g *groups) leave(number uint32) {
	if number == 0 {
		return
	}
	of := g.at(number)
	if of.keys.Add(-1) > 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if of.keys.Load() == 0 && g.numbers[of.groupKey] == number {
		delete(g.numbers, of.groupKey)
		g.free = append(g.free, number)
	}
}

// resolve works out what the group's keys may do.
func (g *groups) resolve(ctx context.Context, of *group) error {
	organization, err := known(ctx, g.organizations, of.organization, g.store.Organization)
	if err != nil {
		return err
	}
	if organization == nil {
		of.standing.Store(&standing{grant: &latchkey.Grant{Suspended: true}, gone: true})
		return nil
	}
	var owner *latchkey.User
	ids := []latchkey.ID{of.policy.Role}
	if !of.owner.IsZero() {
		if owner, err = known(ctx, g.users, of.owner, g.store.User); err != nil {
			return err
		}
		if owner != nil {
			for _, m := range owner.Memberships {
				ids = append(ids, m.Role)
			}
		}
	}
	s := &standing{operator: organization.Operator}
	var roles []latchkey.Role
	for _, id := range ids {
		role, err := g.role(ctx, id)
		if err != nil {
			return err
		}
		if role != nil {
			roles = append(roles, *role)
			if id == of.policy.Role {
				s.role = role.Identifier
			}
		}
	}
	k := latchkey.Key{Organization: of.organization, Project: of.project, Owner: of.owner, Reach: of.reach, Policy: of.policy}
	s.grant = latchkey.ResolveGrant(&k, organization.Suspended, owner, roles)
	of.standing.Store(s)
	return nil
}

func (g *groups) role(ctx context.Context, id latchkey.ID) (*latchkey.Role, error) {
	if id.IsZero() {
		return nil, nil
	}
	if r, ok := latchkey.BuiltinRoleByID(id); ok {
		return &r, nil
	}
	return known(ctx, g.roles, id, g.store.Role)
}

// known gives the object as it is known, or reads it; nil is none.
func known[T any](ctx context.Context, objects map[latchkey.ID]*T, id latchkey.ID, read func(context.Context, latchkey.ID) (*T, error)) (*T, error) {
	if o, ok := objects[id]; ok {
		return o, nil
	}
	o, err := read(ctx, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if err != nil {
		o = nil
	}
	objects[id] = o
	return o, nil
}

// changed takes over what a step says of organizations, users and roles, and
// resolves the groups that stand on them.
func (g *groups) changed(ctx context.Context, step *store.Step) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	touched := map[latchkey.ID]bool{}
	for _, o := range step.Organizations {
		learn(g.organizations, o.ID, o, o.Deleted(), touched)
	}
	for _, u := range step.Users {
		learn(g.users, u.ID, u, u.Deleted(), touched)
	}
	for _, r := range step.Roles {
		learn(g.roles, r.ID, r, r.Deleted(), touched)
	}
	if len(touched) == 0 {
		return nil
	}
	for _, of := range *g.list.Load() {
		if g.standsOn(of, touched) {
			if err := g.resolve(ctx, of); err != nil {
				return err
			}
		}
	}
	return nil
}

// learn replaces what is known of an object that some group stands on.
func learn[T any](objects map[latchkey.ID]*T, id latchkey.ID, row *T, deleted bool, touched map[latchkey.ID]bool) {
	if _, asked := objects[id]; !asked {
		return
	}
	touched[id] = true
	if deleted {
		objects[id] = nil
		return
	}
	kept := *row
	objects[id] = &kept
}

func (g *groups) standsOn(of *group, touched map[latchkey.ID]bool) bool {
	if touched[of.organization] || touched[of.policy.Role] || touched[of.owner] {
		return true
	}
	owner := g.users[of.owner]
	return owner != nil && slices.ContainsFunc(owner.Memberships, func(m latchkey.Membership) bool { return touched[m.Role] })
}
