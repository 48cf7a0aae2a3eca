package storetest

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// oracle answers key queries from memory, by the words of the contract.
type oracle struct {
	keys      []*latchkey.Key
	suspended func(k *latchkey.Key) bool
}

// answer is what ListKeys must give.
func (o *oracle) answer(q store.KeyQuery) []latchkey.ID {
	var found []*latchkey.Key
	for _, k := range o.keys {
		if o.matches(k, &q) && (q.After == nil || compareCursors(q, cursorAt(q.Sort, k), *q.After) > 0) {
			found = append(found, k)
		}
	}
	slices.SortFunc(found, func(a, b *latchkey.Key) int { return o.compare(&q, a, b) })
	found = found[min(q.Offset, len(found)):]
	var ids []latchkey.ID
	for _, k := range found[:min(q.Limit, len(found))] {
		ids = append(ids, k.ID)
	}
	return ids
}

// total is what CountKeys must give.
func (o *oracle) total(q store.KeyQuery) int64 {
	var n int64
	for _, k := range o.keys {
		if o.matches(k, &q) {
			n++
		}
	}
	return n
}

// compare is negative where a comes before b in the query's order.
func (o *oracle) compare(q *store.KeyQuery, a, b *latchkey.Key) int {
	last := store.KeyOrder{By: store.ByCreation, Descending: q.Descending}
	for _, term := range slices.Concat([]store.KeyOrder{{By: q.Sort, Descending: q.Descending}}, q.Then, []store.KeyOrder{last}) {
		c := o.compareBy(term.By, q, a, b)
		if term.Descending {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

func (o *oracle) compareBy(by store.KeySort, q *store.KeyQuery, a, b *latchkey.Key) int {
	switch by {
	case store.ByID:
		return slices.Compare(a.ID[:], b.ID[:])
	case store.ByRole:
		return slices.Compare(a.Policy.Role[:], b.Policy.Role[:])
	case store.ByState:
		ranks := map[latchkey.State]int{latchkey.StateRevoked: 0, latchkey.StateDisabled: 1, latchkey.StateExpired: 1, latchkey.StateLive: 2}
		return cmp.Compare(ranks[a.State(o.suspended(a), q.Now)], ranks[b.State(o.suspended(b), q.Now)])
	case store.ByUpdate, store.ByName, store.ByExpiry:
		x, y := cursorAt(by, a), cursorAt(by, b)
		return cmp.Or(cmp.Compare(x.Number, y.Number), strings.Compare(x.Text, y.Text))
	case store.ByCreation, "":
	}
	return cmp.Compare(a.Ordinal, b.Ordinal)
}

func (o *oracle) matches(k *latchkey.Key, q *store.KeyQuery) bool {
	named := func(want, got latchkey.ID) bool { return want.IsZero() || want == got }
	return k.Organization == q.Organization && named(q.Project, k.Project) && named(q.Role, k.Policy.Role) && named(q.Owner, k.Owner) &&
		(q.MaxReach == "" || q.MaxReach.Includes(k.Reach)) &&
		(q.Partner == "" || q.Partner == k.Partner) &&
		(!q.HasRole || !k.Policy.Role.IsZero()) && (!q.Builtin || builtin(k.Policy.Role)) &&
		(!q.HasOwner || !k.Owner.IsZero()) && (!q.HasPartner || k.Partner != "") &&
		(q.Creator.IsZero() || q.Creator == k.CreatedBy.ID && k.CreatedBy.Kind != latchkey.PrincipalSystem) &&
		(q.Name == "" || q.Name == k.Name) &&
		(len(q.States) == 0 || slices.Contains(q.States, k.State(o.suspended(k), q.Now))) &&
		(q.Search == "" || searchFinds(k, q)) &&
		(q.ExpiringBefore.IsZero() || !k.Revoked() && !k.ExpiresAt.IsZero() && k.ExpiresAt.Before(q.ExpiringBefore)) &&
		(q.UnusedSince.IsZero() || !k.Revoked() && k.CreatedAt.Before(q.UnusedSince) && k.LastUse().At.Before(q.UnusedSince))
}

func searchFinds(k *latchkey.Key, q *store.KeyQuery) bool {
	if strings.Contains(strings.ToLower(k.Name), strings.ToLower(q.Search)) {
		return true
	}
	if q.SearchIDs {
		return k.ID.Hex() == q.Search
	}
	return slices.ContainsFunc(k.Secrets, func(s latchkey.Secret) bool { return strings.HasPrefix(string(s.KID), q.Search) })
}

func builtin(role latchkey.ID) bool {
	_, is := latchkey.BuiltinRoleByID(role)
	return is
}

// cursorAt is the place of a key in an order.
func cursorAt(by store.KeySort, k *latchkey.Key) store.KeyCursor {
	c := store.KeyCursor{Ordinal: k.Ordinal}
	switch by {
	case store.ByUpdate:
		c.Number = k.Revision
	case store.ByName:
		c.Text = k.Name
	case store.ByExpiry:
		c.Number = math.MaxInt64
		if !k.ExpiresAt.IsZero() {
			c.Number = k.ExpiresAt.UnixMilli()
		}
	case store.ByCreation, "":
	}
	return c
}

// compareCursors is negative where a comes before b in the query's order.
func compareCursors(q store.KeyQuery, a, b store.KeyCursor) int {
	c := cmp.Or(cmp.Compare(a.Number, b.Number), strings.Compare(a.Text, b.Text), cmp.Compare(a.Ordinal, b.Ordinal))
	if q.Descending {
		return -c
	}
	return c
}

// keySorts are the orders that have cursors.
func keySorts() []store.KeySort {
	return []store.KeySort{store.ByCreation, store.ByUpdate, store.ByName, store.ByExpiry}
}

// allSorts are the others as well.
func allSorts() []store.KeySort { return append(keySorts(), store.ByID, store.ByRole, store.ByState) }
