package cycle

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/dialect/internal/exchange"
)

// roleOrders are the names by which roles are sorted. Without any, they come as
// the authority has them: the hub's own, newest first, and then the built-in ones.
var roleOrders = map[string]string{
	"id": "id", "name": "name", "identifier": "identifier", "rank": "rank", "created": "created", "events.created": "created",
}

// roleFilters are the names by which roles are filtered.
var roleFilters = []string{"search", "state", "identifier", "name", "creator"}

func listRoles(x *exchange.Exchange) error {
	q, err := readQuery(x.Query, roleOrders, roleFilters)
	if err != nil {
		return err
	}
	keep, err := q.roles(x.Organization)
	if err != nil {
		return err
	}
	all, err := x.Dialect.Authority.RolesToChoose(x.R.Context(), &x.Call)
	if err != nil {
		return err
	}
	found := slices.DeleteFunc(all, func(r latchkey.Role) bool { return !keep(&r) })
	slices.SortStableFunc(found, func(a, b latchkey.Role) int { return q.compareRoles(&a, &b) })
	found = found[min(q.offset(), len(found)):]
	data := make([]role, min(q.size, len(found)))
	for i := range data {
		data[i] = spellRole(&found[i], x.Organization)
	}
	return x.Answer(http.StatusOK, document[[]role]{Data: data})
}

func getRole(x *exchange.Exchange) error {
	id, err := pathID(x, "roleId")
	if err != nil {
		return err
	}
	r, err := x.Dialect.Authority.RoleToChoose(x.R.Context(), &x.Call, id)
	if err != nil {
		return err
	}
	return x.Answer(http.StatusOK, document[role]{Data: spellRole(&r, x.Organization)})
}

// roles says which roles the filters select.
func (q *query) roles(hub latchkey.ID) (func(*latchkey.Role) bool, error) {
	states, err := q.states()
	if err != nil {
		return nil, err
	}
	creator, err := q.id("creator")
	if err != nil {
		return nil, err
	}
	named := func(filter, value string) bool { return q.filter[filter] == "" || q.filter[filter] == value }
	search := strings.ToLower(q.filter["search"])
	return func(r *latchkey.Role) bool {
		return slices.Contains(states, latchkey.StateLive) && named("identifier", r.Identifier) && named("name", r.Name) &&
			(creator.IsZero() || spellScope(r.CreatedBy, hub).ID == creator.Hex()) &&
			(strings.Contains(strings.ToLower(r.Name), search) || strings.Contains(r.Identifier, search) || r.ID.Hex() == search)
	}, nil
}

func (q *query) compareRoles(a, b *latchkey.Role) int {
	for _, t := range q.sort {
		var c int
		switch t.by {
		case "id":
			c = strings.Compare(a.ID.Hex(), b.ID.Hex())
		case "name":
			c = strings.Compare(a.Name, b.Name)
		case "identifier":
			c = strings.Compare(a.Identifier, b.Identifier)
		case "rank":
			c = cmp.Compare(a.Rank, b.Rank)
		default:
			c = cmp.Compare(a.Ordinal, b.Ordinal)
		}
		if t.descending {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return 0
}
