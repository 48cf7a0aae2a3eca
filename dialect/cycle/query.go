package cycle

import (
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
)

// Bounds of a page.
const (
	defaultSize = 20
	maxSize     = 1000
)

// maxTerms is how many terms an order may have.
const maxTerms = 7

// keyOrders are the names by which keys are sorted, in the document's words and
// in the authority's.
var keyOrders = map[string]string{
	"id": "id", "name": "name", "role_id": "role", "state": "state", "state.current": "state",
	"created": "created", "events.created": "created", "updated": "updated", "events.updated": "updated",
}

// keyFilters are the names by which keys are filtered.
var keyFilters = []string{"search", "state", "creator", "role", "role_id", "name"}

// query is what a list is asked for. Clients spell it in several ways: sort and
// include repeated or with commas, brackets raw or encoded.
type query struct {
	sort         []term
	filter       map[string]string // without empty ones
	size, number int
	withRoles    bool
}

// term is one term of an order.
type term struct {
	by         string
	descending bool
}

// offset is how many objects come before the page.
func (q *query) offset() int { return (q.number - 1) * q.size }

// reading collects what is wrong with a query.
type reading struct {
	query

	orders  map[string]string
	filters []string
	broken  []latchkey.FieldError
}

// readQuery reads the parameters of a list by these orders and filters. Others
// than sort, filter, page and include are ignored; an unknown filter is refused,
// for without it the answer would be wider than what was asked for.
func readQuery(given url.Values, orders map[string]string, filters []string) (query, error) {
	r := reading{query: query{filter: map[string]string{}, size: defaultSize, number: 1}, orders: orders, filters: filters}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		family, rest, _ := strings.Cut(name, "[")
		switch inner, closed := strings.CutSuffix(rest, "]"); {
		case name == "sort" && orders != nil:
			r.readSort(given[name])
		case name == "include":
			r.readInclude(given[name])
		case family != "filter" && family != "page" || filters == nil:
		case !closed:
			r.refuse(family, "format", "This is written with a name in brackets: "+family+"[name]=value.")
		case len(given[name]) > 1:
			r.refuse(family+"/"+inner, "duplicate", "This is given once.")
		case family == "filter":
			r.readFilter(inner, given.Get(name))
		default:
			r.readPage(inner, given.Get(name))
		}
	}
	if len(r.broken) > 0 {
		return query{}, &latchkey.Error{Code: latchkey.CodeInvalid, Detail: "The query breaks a rule.", Fields: r.broken}
	}
	return r.query, nil
}

// refuse notes what is wrong with a parameter. A name that could be anything is
// not repeated.
func (r *reading) refuse(name, rule, detail string) {
	const most = 40
	if len(name) > most || strings.ContainsFunc(name, func(c rune) bool { return c < '!' || c > '~' }) {
		name, _, _ = strings.Cut(name, "/")
	}
	r.broken = append(r.broken, latchkey.FieldError{Pointer: "query:" + name, Code: rule, Detail: detail})
}

// items are the values of a list, whether it is repeated or has commas.
func items(values []string) (all []string) {
	for _, value := range values {
		for item := range strings.SplitSeq(value, ",") {
			if item != "" {
				all = append(all, item)
			}
		}
	}
	return all
}

func (r *reading) readSort(values []string) {
	for _, item := range items(values) {
		name, descending := strings.CutPrefix(item, "-")
		by, known := r.orders[name]
		if !known {
			r.refuse("sort", "not_allowed", "There is no order by that name; there is "+strings.Join(slices.Sorted(maps.Keys(r.orders)), ", ")+`, each with "-" before it for descending.`)
			return
		}
		r.sort = append(r.sort, term{by, descending})
	}
	if len(r.sort) > maxTerms {
		r.refuse("sort", "too_many", "An order has at most "+strconv.Itoa(maxTerms)+" terms.")
	}
}

func (r *reading) readInclude(values []string) {
	for _, item := range items(values) {
		if item != "roles" {
			r.refuse("include", "not_allowed", "What can be included is roles.")
			return
		}
		r.withRoles = true
	}
}

func (r *reading) readFilter(name, value string) {
	switch {
	case !slices.Contains(r.filters, name):
		r.refuse("filter/"+name, "unknown_filter", "There is no filter by that name; there is "+strings.Join(r.filters, ", ")+".")
	case value != "":
		r.filter[name] = value
	}
}

func (r *reading) readPage(name, value string) {
	switch name {
	case "size":
		if r.size = natural(value); r.size < 1 || r.size > maxSize {
			r.refuse("page/size", "range", "A page has 1 to 1000 objects.")
		}
	case "number":
		if r.number = natural(value); r.number < 1 {
			r.refuse("page/number", "range", "A page's number is an integer, from 1.")
		}
	default:
		r.refuse("page/"+name, "unknown_filter", "A page has a size and a number.")
	}
}

// natural reads a number in decimal digits: 0 if it is none. One that is too large
// to be held is a page past any end.
func natural(s string) int {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return math.MaxInt32
	}
	return int(n)
}

// keys is the query in the authority's words. some is false where no key can be
// in an answer.
func (q *query) keys() (f authority.KeyFilter, some bool, err error) {
	f = authority.KeyFilter{Name: q.filter["name"], Search: q.filter["search"], SearchIDs: true}
	terms := make([]string, len(q.sort))
	for i, t := range q.sort {
		terms[i] = t.by
		if t.descending {
			terms[i] = "-" + t.by
		}
	}
	f.Sort = strings.Join(terms, ",")
	if f.States, err = q.states(); err != nil {
		return f, false, err
	}
	if f.Creator, err = q.id("creator"); err != nil {
		return f, false, err
	}
	role, err := q.id("role")
	if err != nil {
		return f, false, err
	}
	same, err := q.id("role_id") // another word for it
	if err != nil {
		return f, false, err
	}
	if role.IsZero() {
		role = same
	}
	if !same.IsZero() && same != role {
		return f, false, nil // no key has two
	}
	f.Role = authority.RoleRef{ID: role}
	return f, len(f.States) > 0, nil
}

func (q *query) id(name string) (latchkey.ID, error) {
	if q.filter[name] == "" {
		return latchkey.ID{}, nil
	}
	id, err := latchkey.ParseHex(q.filter[name])
	if err != nil {
		return id, latchkey.Invalid("query:filter/"+name, "format", "An id is 24 hexadecimal digits in lower case.")
	}
	return id, nil
}

// states are those that the filter names; unless it names them, deleted keys are
// not shown.
func (q *query) states() (states []latchkey.State, err error) {
	if q.filter["state"] == "" {
		return []latchkey.State{latchkey.StateLive, latchkey.StateDisabled, latchkey.StateExpired}, nil
	}
	for name := range strings.SplitSeq(q.filter["state"], ",") {
		switch name {
		case live:
			states = append(states, latchkey.StateLive)
		case inactive:
			states = append(states, latchkey.StateDisabled, latchkey.StateExpired)
		case deleted:
			states = append(states, latchkey.StateRevoked)
		case "new", "configuring", "deleting": // nothing is ever in these
		default:
			return nil, latchkey.Invalid("query:filter/state", "not_allowed", "A state is new, configuring, live, inactive, deleting or deleted.")
		}
	}
	return states, nil
}
