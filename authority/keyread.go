package authority

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// Bounds on a page of any list.
const (
	MaxPage     = 100
	DefaultPage = 25
	maxSearch   = 100
)

// GetKey describes a key within the caller's reach.
func (a *Authority) GetKey(ctx context.Context, call *Call, id latchkey.ID) (Described, error) {
	if err := call.Require(latchkey.KeyRead); err != nil {
		return Described{}, err
	}
	h, err := a.key(ctx, call, id)
	if err != nil {
		return Described{}, err
	}
	return a.describe(h), nil
}

// key finds a key within the caller's reach.
func (a *Authority) key(ctx context.Context, call *Call, id latchkey.ID) (*store.Holder, error) {
	h, err := a.Store.Key(ctx, id)
	if err != nil {
		return nil, translate(err)
	}
	if !call.sees(&h.Key) {
		return nil, notFound()
	}
	return h, nil
}

// KeyFilter selects and orders keys. Zero fields do not filter.
type KeyFilter struct {
	States         []latchkey.State // one of these
	Project        latchkey.ID
	Role           RoleRef
	Owner          latchkey.ID
	Creator        latchkey.ID // the user or the key that made it
	Partner        string
	Name           string // exactly this
	Search         string // substring of the name, or prefix of a kid
	SearchIDs      bool   // Search is no prefix of a kid, but perhaps the whole id in hexadecimal
	ExpiringBefore time.Time
	UnusedSince    time.Time

	// Sort is one or more of created, updated, name, expires_at, id, role and
	// state, with commas between them and "-" before each that is descending;
	// "" is -created. Pages with cursors know the first four, one at a time.
	Sort string

	Limit  int    // of ListKeys: 1–100; 0 is 25
	Cursor string // of ListKeys: from an earlier page of the same filter
}

// ListKeys is a page of the keys within the caller's reach, and the cursor of
// the next page, "" at the end.
func (a *Authority) ListKeys(ctx context.Context, call *Call, f KeyFilter) ([]Described, string, error) {
	if err := call.Require(latchkey.KeyRead); err != nil {
		return nil, "", err
	}
	q, err := a.keyQuery(ctx, call, f, func(broken *problems, q *store.KeyQuery) {
		q.Limit = broken.limit(f.Limit)
		broken.cursored(q)
	})
	if err != nil {
		return nil, "", err
	}
	scope := f
	scope.Cursor, scope.Limit = "", 0
	list := cursorOf(call, "keys", scope)
	if f.Cursor != "" {
		q.After = &store.KeyCursor{}
		if err := a.openCursor(list, f.Cursor, q.After); err != nil {
			return nil, "", err
		}
	}
	limit := q.Limit
	q.Limit++ // one more tells whether there is a next page
	found, err := a.Store.ListKeys(ctx, q)
	if err != nil {
		return nil, "", translate(err)
	}
	next := ""
	if len(found) > limit {
		found = found[:limit]
		if next, err = a.sealCursor(list, place(q.Sort, &found[limit-1].Key)); err != nil {
			return nil, "", err
		}
	}
	described, err := a.describeAll(ctx, call, found, q.Now)
	return described, next, err
}

// keyQuery checks a filter and narrows it to what the caller sees. more checks
// what a way of paging has besides.
func (a *Authority) keyQuery(ctx context.Context, call *Call, f KeyFilter, more func(*problems, *store.KeyQuery)) (store.KeyQuery, error) {
	var broken problems
	q := store.KeyQuery{
		States: f.States, Owner: f.Owner, Creator: f.Creator, Partner: f.Partner, Name: f.Name, Search: f.Search, SearchIDs: f.SearchIDs,
		ExpiringBefore: f.ExpiringBefore, UnusedSince: f.UnusedSince, Now: a.Clock(),
	}
	if !f.SearchIDs {
		q.Search = strings.TrimSuffix(f.Search, "...") // what is shown of a key may be searched for
	}
	call.bound(&q)
	broken.sort(&q, f.Sort)
	more(&broken, &q)
	if slices.ContainsFunc(f.States, unknownState) {
		broken.add("query:state", "not_allowed", "A state is live, disabled, expired or revoked.")
	}
	if n := utf8.RuneCountInString(f.Search); n > maxSearch {
		broken.add("query:search", "length", fmt.Sprintf("A search is at most %d characters.", maxSearch))
	}
	if !f.Project.IsZero() {
		if !call.Project.IsZero() && f.Project != call.Project {
			broken.add("query:project_id", "unknown", "There is no such project within your reach.")
		}
		q.Project = f.Project
	}
	role, err := a.findRole(ctx, call, f.Role)
	if latchkey.CodeOf(err) == latchkey.CodeNotFound {
		broken.add("query:role", "unknown", "There is no such role in the organization.")
	} else if err != nil {
		return q, err
	}
	q.Role = role
	return q, broken.err()
}

func unknownState(s latchkey.State) bool {
	return !slices.Contains(latchkey.States(), s)
}

func (p *problems) limit(n int) int {
	switch {
	case n == 0:
		return DefaultPage
	case n < 1 || n > MaxPage:
		p.add("query:limit", "range", fmt.Sprintf("A limit is 1 to %d.", MaxPage))
	}
	return n
}

// maxTerms is how many terms an order may have: more say nothing that these do not.
const maxTerms = 7

func (p *problems) sort(q *store.KeyQuery, s string) {
	if s == "" {
		q.Sort, q.Descending = store.ByCreation, true
		return
	}
	terms := strings.SplitN(s, ",", maxTerms+1)
	if len(terms) > maxTerms {
		p.add("query:sort", "too_many", fmt.Sprintf("An order has at most %d terms.", maxTerms))
	}
	for i, term := range terms {
		name, descending := strings.CutPrefix(term, "-")
		by := store.KeySort(name)
		switch by {
		case store.ByCreation, store.ByUpdate, store.ByName, store.ByExpiry, store.ByID, store.ByRole, store.ByState:
		default:
			p.add("query:sort", "not_allowed", "Keys are sorted by created, updated, name or expires_at, with \"-\" before it for descending.")
			return
		}
		if i == 0 {
			q.Sort, q.Descending = by, descending
		} else {
			q.Then = append(q.Then, store.KeyOrder{By: by, Descending: descending})
		}
	}
}

// cursored refuses an order that has no cursors.
func (p *problems) cursored(q *store.KeyQuery) {
	if len(q.Then) > 0 || q.Sort == store.ByID || q.Sort == store.ByRole || q.Sort == store.ByState {
		p.add("query:sort", "not_allowed", "Keys are sorted by created, updated, name or expires_at, with \"-\" before it for descending.")
	}
}

// place is where a key stands in an order.
func place(by store.KeySort, k *latchkey.Key) store.KeyCursor {
	c := store.KeyCursor{Ordinal: k.Ordinal}
	switch by {
	case store.ByCreation, store.ByID, store.ByRole, store.ByState: // the last three have no cursors
	case store.ByUpdate:
		c.Number = k.Revision
	case store.ByName:
		c.Text = k.Name
	case store.ByExpiry:
		c.Number = math.MaxInt64
		if !k.ExpiresAt.IsZero() {
			c.Number = k.ExpiresAt.UnixMilli()
		}
	}
	return c
}

// describeAll adds to listed keys what they do not carry: their roles' names.
func (a *Authority) describeAll(ctx context.Context, call *Call, found []store.ListedKey, now time.Time) ([]Described, error) {
	names := map[latchkey.ID]string{{}: ""}
	described := make([]Described, len(found))
	for i, k := range found {
		name, known := names[k.Policy.Role]
		if !known {
			r, err := a.roleByRef(ctx, call, RoleRef{ID: k.Policy.Role})
			if err != nil && latchkey.CodeOf(err) != latchkey.CodeNotFound {
				return nil, err
			}
			if err == nil {
				name = r.Identifier
			}
			names[k.Policy.Role] = name
		}
		described[i] = Described{Key: k.Key, State: k.State(k.Suspended, now), Role: name, At: now}
	}
	return described, nil
}

// A cursor is opaque to whoever holds it: which list it belongs to, and a place
// in it, authenticated under the key ring, so that nobody makes one up or uses
// it on a list that it was not made for.
//
//	base64url( ring version, 2 bytes | place as JSON | tag, 16 bytes )
const cursorTag = 16

// list identifies a list: its caller's reach and its filters.
type list [sha256.Size]byte

func cursorOf(call *Call, name string, filter any) list {
	text, err := json.Marshal([]any{name, call.Organization, call.Project, call.Only, filter})
	if err != nil { // filters are strings, numbers, times and ids
		panic("a list's filter does not marshal: " + err.Error())
	}
	return sha256.Sum256(text)
}

func (a *Authority) sealCursor(l list, place any) (string, error) {
	text, err := json.Marshal(place)
	if err != nil {
		return "", err
	}
	version := a.Ring.Active()
	raw := append(binary.BigEndian.AppendUint16(nil, uint16(version)), text...) //nolint:gosec // a ring has at most 100 versions
	tag, err := a.Ring.CursorTag(version, append(l[:], raw...))
	return base64.RawURLEncoding.EncodeToString(append(raw, tag[:]...)), err
}

// openCursor refuses anything that sealCursor did not make for this list.
func (a *Authority) openCursor(l list, cursor string, place any) error {
	refused := latchkey.Invalid("query:cursor", "unknown", "This cursor is not from a page of this list with these filters; start again without one.")
	const most = 4096
	if len(cursor) > most {
		return refused
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(raw) < 2+cursorTag {
		return refused
	}
	signed, tag := raw[:len(raw)-cursorTag], raw[len(raw)-cursorTag:]
	if !a.Ring.CursorHolds(int(binary.BigEndian.Uint16(signed)), append(l[:], signed...), tag) {
		return refused
	}
	if err := json.Unmarshal(signed[2:], place); err != nil {
		return refused
	}
	return nil
}
