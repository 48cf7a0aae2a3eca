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

// answer is what the query must give.
func (o *oracle) answer(q store.KeyQuery) []latchkey.ID {
	var found []*latchkey.Key
	for _, k := range o.keys {
		if o.matches(k, &q) && (q.After == nil || compareCursors(q, cursorAt(q.Sort, k), *q.After) > 0) {
			found = append(found, k)
		}
	}
	slices.SortFunc(found, func(a, b *latchkey.Key) int { return compareCursors(q, cursorAt(q.Sort, a), cursorAt(q.Sort, b)) })
	var ids []latchkey.ID
	for _, k := range found[:min(q.Limit, len(found))] {
		ids = append(ids, k.ID)
	}
	return ids
}

func (o *oracle) matches(k *latchkey.Key, q *store.KeyQuery) bool {
	named := func(want, got latchkey.ID) bool { return want.IsZero() || want == got }
	return k.Organization == q.Organization && named(q.Project, k.Project) && named(q.Role, k.Policy.Role) && named(q.Owner, k.Owner) &&
		(q.OnlyReach == "" || q.OnlyReach == k.Reach) &&
		(q.Partner == "" || q.Partner == k.Partner) &&
		(q.State == "" || q.State == k.State(o.suspended(k), q.Now)) &&
		(q.Search == "" || searchFinds(k, q.Search)) &&
		(q.ExpiringBefore.IsZero() || !k.Revoked() && !k.ExpiresAt.IsZero() && k.ExpiresAt.Before(q.ExpiringBefore)) &&
		(q.UnusedSince.IsZero() || !k.Revoked() && k.CreatedAt.Before(q.UnusedSince) && k.LastUsed().Before(q.UnusedSince))
}

func searchFinds(k *latchkey.Key, search string) bool {
	return strings.Contains(strings.ToLower(k.Name), strings.ToLower(search)) ||
		slices.ContainsFunc(k.Secrets, func(s latchkey.Secret) bool { return strings.HasPrefix(string(s.KID), search) })
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

func keySorts() []store.KeySort {
	return []store.KeySort{store.ByCreation, store.ByUpdate, store.ByName, store.ByExpiry}
}
