package rest

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/internal/body"
	"latchkey.dev/latchkey/internal/door"
)

// exchange is one request on its way through the door, and its answer.
type exchange struct {
	authority.Call

	w    http.ResponseWriter
	r    *http.Request
	op   *operation
	in   any // pointer to the decoded body
	from netip.Addr
	key  latchkey.Plaintext // what the caller authenticated with; "" on the socket

	place door.Bound // among the work in flight; nil where it has none
}

// leave gives up the place among the work in flight, if that was not done before.
func (x *exchange) leave() {
	if x.place != nil {
		x.place.Leave()
		x.place = nil
	}
}

// authenticator finds out who asks.
type authenticator func(r *http.Request, from netip.Addr) (authority.Caller, latchkey.Plaintext, error)

// serve is the one door: bound, caller, permission, body, operation.
func (api *API) serve(op operation, authenticate authenticator) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{w: w, r: r, op: &op, from: api.ClientAddress(r)}
		if b := api.boundOf(&op); b != nil {
			if !b.Enter() {
				api.refuse(w, door.Busy())
				return
			}
			x.place = b
			defer x.leave()
		}
		x.Linger = func() (func(), bool) {
			x.leave() // who waits for other nodes is in the way of nobody's work
			return api.Waiting.Enter(x.Organization)
		}
		if err := api.admit(x, authenticate); err != nil {
			api.refuse(w, err)
			return
		}
		if err := op.run(x); err != nil {
			api.refuse(w, err)
		}
	})
}

// permit says whether the caller may use the operation at all. It comes before
// everything that the request says.
func (op *operation) permit(c *authority.Caller) error {
	switch {
	case op.operator:
		return c.RequireOperator(op.needs)
	case op.wide:
		return c.RequireWide(op.needs)
	}
	return c.Require(op.needs)
}

func (api *API) boundOf(op *operation) door.Bound {
	if op.bound == nil {
		return api.Managing
	}
	return op.bound(api)
}

// admit takes the request as far as the operation: in the order in which a
// request may be refused.
func (api *API) admit(x *exchange, authenticate authenticator) error {
	if !x.op.open {
		caller, key, err := authenticate(x.r, x.from)
		if err != nil {
			return api.Throttled(x.w, x.r, err)
		}
		if caller.Identity == nil {
			door.NoteID(x.w, caller.Key, latchkey.KindKey)
		} else {
			door.NoteCaller(x.w, caller.Name())
		}
		if err := x.op.permit(&caller); err != nil {
			return err
		}
		if x.op.often {
			door.NoteOften(x.w)
		}
		x.key = key
		if x.Caller, err = api.actIn(x.r, caller); err != nil {
			return err
		}
	}
	x.RequestID = door.RequestID(x.w)
	if err := x.checkQuery(); err != nil {
		return err
	}
	if err := x.readWait(); err != nil {
		return err
	}
	return x.read()
}

// byKey authenticates a caller by the key in its Authorization header (RFC 6750,
// section 2.1). Two credentials are one too many.
func (api *API) byKey(r *http.Request, from netip.Addr) (authority.Caller, latchkey.Plaintext, error) {
	key, ok := door.BearerOf(r.Header["Authorization"])
	if !ok {
		return authority.Caller{}, latchkey.Plaintext{}, latchkey.Errorf(latchkey.CodeUnauthenticated, "Send one key of yours as `Authorization: Bearer …`.")
	}
	caller, _, err := api.Authority.Authenticate(r.Context(), key, from, r.UserAgent())
	return caller, key, err
}

func (api *API) bySocket(*http.Request, netip.Addr) (authority.Caller, latchkey.Plaintext, error) {
	return authority.Socket(api.Operator), latchkey.Plaintext{}, nil
}

// organizationHeader names the organization to act in.
const organizationHeader = "Latchkey-Organization"

func (api *API) actIn(r *http.Request, caller authority.Caller) (authority.Caller, error) {
	values := r.Header[organizationHeader]
	if len(values) == 0 {
		return caller, nil
	}
	id, err := latchkey.ParseNative(latchkey.KindOrganization, values[0])
	if caller.Operator && (err != nil || len(values) > 1) { // anyone else is refused whatever it says
		return caller, latchkey.Invalid("header:"+organizationHeader, "format", "This header names one organization: org_….")
	}
	return api.Authority.ActIn(r.Context(), caller, id)
}

// read takes in the body, If-Match and Idempotency-Key.
func (x *exchange) read() error {
	if err := x.ifMatch(); err != nil {
		return err
	}
	var data []byte
	if x.op.limit > 0 {
		var err error
		if data, err = body.Read(x.w, x.r, x.op.limit, x.op.body); err != nil {
			return err
		}
		if x.in, err = x.op.decode(data); err != nil {
			return err
		}
	} else if x.r.ContentLength != 0 && x.r.Method != http.MethodGet {
		return latchkey.Errorf(latchkey.CodeMalformedBody, "This operation takes no body.")
	}
	return x.idempotency(data)
}

func (op *operation) decode(data []byte) (any, error) {
	if op.quick != nil {
		if in := op.quick(data); in != nil {
			return in, nil
		}
	}
	in := newOf(op.in)
	return in, body.Decode(data, in, op.body)
}

func (x *exchange) ifMatch() error {
	values := x.r.Header["If-Match"]
	if len(values) == 0 || !x.op.conditional {
		return nil
	}
	if len(values) == 1 && values[0] == "*" {
		return nil
	}
	var err error
	x.IfMatch, err = strconv.ParseInt(strings.Trim(values[0], `"`), 10, 64)
	if len(values) == 1 && err == nil && x.IfMatch > 0 && values[0] == etag(x.IfMatch) {
		return nil
	}
	return latchkey.Invalid("header:If-Match", "format", `If-Match holds one ETag as this API gave it, like "42".`)
}

func (x *exchange) idempotency(data []byte) error {
	values := x.r.Header["Idempotency-Key"]
	if len(values) == 0 || !x.op.idempotent {
		return nil
	}
	if len(values) > 1 {
		return latchkey.Invalid("header:Idempotency-Key", "duplicate", "Send one Idempotency-Key.")
	}
	var err error
	x.Idempotency, err = authority.NewIdempotency(values[0], x.r.Method+" "+x.r.URL.Path, data)
	return err
}

// checkQuery refuses parameters that the operation does not have, and empty
// ones: a filter that is misspelt or forgotten must not widen the answer.
func (x *exchange) checkQuery() error {
	if x.r.URL.RawQuery == "" {
		return nil
	}
	values, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		return latchkey.Invalid("query:", "format", "The query string cannot be read.")
	}
	var broken []latchkey.FieldError
	for name, given := range values {
		switch {
		case !x.declares(name):
			broken = append(broken, latchkey.FieldError{Pointer: "query:" + door.Printable(name), Code: "unknown", Detail: "There is no such parameter."})
		case len(given) > 1:
			broken = append(broken, latchkey.FieldError{Pointer: "query:" + name, Code: "duplicate", Detail: "This is given once."})
		case given[0] == "":
			broken = append(broken, latchkey.FieldError{Pointer: "query:" + name, Code: "required", Detail: "This is empty; give it a value or leave it out."})
		}
	}
	if len(broken) > 0 {
		return &latchkey.Error{Code: latchkey.CodeInvalid, Detail: "The query breaks a rule; see errors.", Fields: broken[:min(len(broken), 20)]}
	}
	return nil
}

func (x *exchange) declares(name string) bool {
	for _, p := range x.op.query {
		if p.name == name {
			return true
		}
	}
	return false
}

// answer sends the success.
func (x *exchange) answer(v any) error { return body.Write(x.w, x.op.status, v) }

func etag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// answerRevision sends an object with its ETag and, if it is new, its place.
func (x *exchange) answerRevision(revision int64, id string, v any) error {
	x.w.Header().Set("ETag", etag(revision))
	if x.op.status == http.StatusCreated {
		x.w.Header().Set("Location", x.r.URL.Path+"/"+id)
	}
	return x.answer(v)
}

// pathID reads the id in the path. A malformed one becomes the one that names
// nothing, so that the authority refuses it where it refuses an unknown one.
func (x *exchange) pathID(kind latchkey.Kind) latchkey.ID {
	id, err := latchkey.ParseNative(kind, x.r.PathValue("id"))
	if err != nil {
		return latchkey.ID{}
	}
	return id
}

// reader gives typed access to the query parameters and keeps what is wrong
// with them.
type reader struct {
	values url.Values
	broken []latchkey.FieldError
}

func (x *exchange) queries() *reader { return &reader{values: x.r.URL.Query()} }

func (q *reader) text(name string) string { return q.values.Get(name) }

func (q *reader) wrong(name, rule, detail string) {
	q.broken = append(q.broken, latchkey.FieldError{Pointer: "query:" + name, Code: rule, Detail: detail})
}

func (q *reader) number(name string) int64 {
	s := q.values.Get(name)
	if s == "" && !q.values.Has(name) {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		q.wrong(name, "format", "This is a whole number.")
	}
	return n
}

// limit is a number of rows; a given 0 must not pass for one that is absent.
func (q *reader) limit() int {
	n := q.number("limit")
	if q.values.Has("limit") && (n < 1 || n > authority.MaxPage) {
		q.wrong("limit", "range", fmt.Sprintf("A limit is 1 to %d.", authority.MaxPage))
	}
	return int(n)
}

func (q *reader) boolean(name string) bool {
	switch q.values.Get(name) {
	case "true":
		return true
	case "", "false":
	default:
		q.wrong(name, "format", "This is true or false.")
	}
	return false
}

func (q *reader) time(name string) time.Time {
	s := q.values.Get(name)
	if s == "" {
		return time.Time{}
	}
	t, err := body.ParseTime(s)
	if err != nil {
		q.wrong(name, "format", "This is a time like 2026-01-02T03:04:05Z (RFC 3339).")
	}
	return t
}

func (q *reader) id(name string, kind latchkey.Kind) latchkey.ID {
	s := q.values.Get(name)
	if s == "" {
		return latchkey.ID{}
	}
	id, err := latchkey.ParseNative(kind, s)
	if err != nil {
		q.wrong(name, "format", fmt.Sprintf("This is an id of the form %s_….", kind))
	}
	return id
}

func (q *reader) err() error {
	if len(q.broken) == 0 {
		return nil
	}
	return &latchkey.Error{Code: latchkey.CodeInvalid, Detail: "The query breaks a rule; see errors.", Fields: q.broken}
}

// pageFilter reads the parameters of every directory list.
func (x *exchange) pageFilter() (authority.PageFilter, error) {
	q := x.queries()
	f := authority.PageFilter{Limit: q.limit(), Cursor: q.text("cursor")}
	return f, q.err()
}

// alive is the context of the request, ended as well when the server stops.
func (api *API) alive(x *exchange) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(x.r.Context())
	if api.Stopping != nil {
		go func() {
			select {
			case <-api.Stopping:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	return ctx, cancel
}
