package company

import (
	"net/http"
	"net/url"
	"strconv"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/dialect/internal/exchange"
)

// The parameters of a list; each may be given once.
const (
	byStatus      = "status"
	byLimit       = "limit"
	startingAfter = "startingAfter"
	endingBefore  = "endingBefore"
	byOffset      = "offset"
)

func listParameters() []string {
	return []string{byStatus, byLimit, startingAfter, endingBefore, byOffset}
}

// Bounds of a page.
const (
	defaultLimit = 25
	maxLimit     = 100
)

// page is the answer to a list, newest key first.
type page struct {
	Status      int     `json:"status"` // of HTTP, once more
	Total       int64   `json:"total"`  // keys that match the filter, on whichever page
	Count       int     `json:"count"`
	NextURL     *string `json:"nextUrl"`     // of older keys; null where there are none
	PreviousURL *string `json:"previousUrl"` // of newer keys; null where there are none
	Data        []key   `json:"data"`
}

// query is what a list is asked for.
type query struct {
	status string
	states []latchkey.State
	at     authority.Beside
}

func list(x *exchange.Exchange) error {
	q, err := readQuery(x.Query)
	if err != nil {
		return err
	}
	piece, err := x.Dialect.Authority.KeysBeside(x.R.Context(), &x.Call, authority.KeyFilter{States: q.states}, q.at)
	if err != nil {
		return err
	}
	out := page{Status: http.StatusOK, Total: piece.Total, Count: len(piece.Keys), Data: make([]key, len(piece.Keys))}
	for i := range piece.Keys {
		out.Data[i] = spell(&piece.Keys[i])
	}
	if piece.Older {
		out.NextURL = q.further(x, startingAfter, out.Data[out.Count-1].ID)
	}
	if piece.Newer {
		out.PreviousURL = q.further(x, endingBefore, out.Data[0].ID)
	}
	return x.Answer(http.StatusOK, out)
}

// further is the URL of the page beside this one, on the other side of a key. An
// offset is not taken along: from a key, every further one comes once.
func (q *query) further(x *exchange.Exchange, direction, id string) *string {
	to := x.Base() + x.R.URL.Path + "?" + url.Values{
		byStatus: {q.status}, byLimit: {strconv.Itoa(q.at.Limit)}, direction: {id},
	}.Encode()
	return &to
}

// readQuery reads the parameters of a list. Others are ignored. One that is there
// without a value is refused: it is not the same as one that is absent.
func readQuery(given url.Values) (q query, err error) {
	var broken []latchkey.FieldError
	refuse := func(name, rule, detail string) {
		broken = append(broken, latchkey.FieldError{Pointer: "query:" + name, Code: rule, Detail: detail})
	}
	q = query{status: active, at: authority.Beside{Limit: defaultLimit}}
	if given.Has(byStatus) {
		q.status = given.Get(byStatus)
	}
	switch q.status {
	case active:
		q.states = []latchkey.State{latchkey.StateLive}
	case inactive:
		q.states = []latchkey.State{latchkey.StateDisabled, latchkey.StateExpired, latchkey.StateRevoked}
	default:
		refuse(byStatus, "not_allowed", "This is active or inactive.")
	}
	if given.Has(byLimit) {
		if q.at.Limit, err = strconv.Atoi(given.Get(byLimit)); err != nil || q.at.Limit < 1 || q.at.Limit > maxLimit {
			refuse(byLimit, "range", "This is an integer from 1 to 100.")
		}
	}
	if given.Has(byOffset) {
		if q.at.Offset, err = strconv.Atoi(given.Get(byOffset)); err != nil || q.at.Offset < 0 {
			refuse(byOffset, "range", "This is an integer, 0 or more.")
		}
	}
	// Where both are there, endingBefore alone is used, and the other not read.
	cursor, to := startingAfter, &q.at.After
	if given.Has(endingBefore) {
		cursor, to = endingBefore, &q.at.Before
	}
	if given.Has(cursor) {
		if *to, err = latchkey.ParseNative(latchkey.KindKey, given.Get(cursor)); err != nil {
			refuse(cursor, "unknown", "There is no such key in this list.")
		}
	}
	if len(broken) > 0 {
		return q, &latchkey.Error{Code: latchkey.CodeInvalid, Detail: "The query breaks a rule.", Fields: broken}
	}
	return q, nil
}
