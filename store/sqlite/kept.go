package sqlite

import (
	"slices"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// kept are the objects that groups of changes read lately. Nobody but the writer
// writes, and it forgets all of them with any write but that of new keys, of
// which it keeps count; so a kept object is what a read in the transaction would
// find. Whoever has the writer has them.
type kept struct {
	keys          shelf[store.Holder]
	organizations shelf[latchkey.Organization]
	projects      shelf[latchkey.Project]
	users         shelf[latchkey.User]
	roles         shelf[latchkey.Role]
}

// maxKept is how many objects of a kind are kept; then all of it are forgotten.
const maxKept = 256

func newKept() kept {
	return kept{
		shelf[store.Holder]{}, shelf[latchkey.Organization]{}, shelf[latchkey.Project]{}, shelf[latchkey.User]{}, shelf[latchkey.Role]{},
	}
}

// forget is for when anything may have changed.
func (k *kept) forget() {
	clear(k.keys)
	clear(k.organizations)
	clear(k.projects)
	clear(k.users)
	clear(k.roles)
}

// count notes how many keys organizations have more.
func (k *kept) count(created map[latchkey.ID]int64) {
	for id, o := range k.organizations {
		o.Keys += created[id]
	}
	for _, h := range k.keys {
		h.Organization.Keys += created[h.Organization.ID]
	}
}

// shelf holds objects of one kind.
type shelf[V any] map[latchkey.ID]*V

// or gives a copy of the kept object, or reads it and keeps a copy.
func (s shelf[V]) or(read func(latchkey.ID) (*V, error), copied func(*V) *V) func(latchkey.ID) (*V, error) {
	return func(id latchkey.ID) (*V, error) {
		if v := s[id]; v != nil {
			return copied(v), nil
		}
		v, err := read(id)
		if err != nil {
			return nil, err
		}
		if len(s) >= maxKept {
			clear(s)
		}
		s[id] = copied(v)
		return v, nil
	}
}

// copyOf copies an object whose lists are never changed in place.
func copyOf[V any](v *V) *V {
	c := *v
	return &c
}

func copyUser(u *latchkey.User) *latchkey.User {
	c := *u
	c.Memberships = slices.Clone(u.Memberships)
	return &c
}

func copyHolder(h *store.Holder) *store.Holder {
	c := *h
	c.Key.Secrets, c.Roles = slices.Clone(h.Key.Secrets), slices.Clone(h.Roles)
	if h.Owner != nil {
		c.Owner = copyUser(h.Owner)
	}
	return &c
}
