package rest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
)

// list answers a page of a directory list.
func list[T, R any](x *exchange, find func(context.Context, *authority.Call, authority.PageFilter) ([]R, string, error), spell func(*R) T) error {
	f, err := x.pageFilter()
	if err != nil {
		return err
	}
	rows, next, err := find(x.r.Context(), &x.Call, f)
	if err != nil {
		return err
	}
	return x.answer(pageOf(rows, next, spell))
}

type eventAnswer struct {
	ID             string       `json:"id"`
	Position       int64        `json:"position" doc:"Without a gap, in commit order."`
	Type           string       `json:"type" example:"key.revoked"`
	At             moment       `json:"at"`
	OrganizationID *string      `json:"organization_id" doc:"null: the installation's."`
	Actor          actor        `json:"actor"`
	Object         *eventObject `json:"object" doc:"null: the installation itself."`
	Changes        metadata     `json:"changes" doc:"What is different now; never a secret."`
	RequestID      *string      `json:"request_id"`
}

type actor struct {
	Type  string  `json:"type" enum:"user,key,identity,system"`
	ID    *string `json:"id" doc:"null for system. An identity is whom another issuer vouches for; changes.identity says who that is."`
	KeyID *string `json:"key_id" doc:"The key that authenticated the call; null over the socket, and for an identity."`
}

type eventObject struct {
	Type string `json:"type" example:"key"`
	ID   string `json:"id"`
}

// objectTypes are the words for kinds of objects.
var objectTypes = map[latchkey.Kind]string{
	latchkey.KindKey: "key", latchkey.KindOrganization: "organization", latchkey.KindProject: "project",
	latchkey.KindUser: "user", latchkey.KindRole: "role", latchkey.KindGateway: "gateway", latchkey.KindNode: "node", latchkey.KindIssuer: "issuer",
}

func spellEvent(e *latchkey.Event) eventAnswer {
	out := eventAnswer{
		ID: e.ID.Native(latchkey.KindEvent), Position: e.Position, Type: string(e.Type), At: moment(e.At),
		OrganizationID: optional(e.Organization.Native(latchkey.KindOrganization)),
		Actor:          actor{Type: string(e.Actor.Kind), KeyID: optional(e.Via.Native(latchkey.KindKey))},
		Changes:        spellMetadata(e.Changes), RequestID: optional(e.RequestID),
	}
	if e.Actor.Kind != latchkey.PrincipalSystem {
		out.Actor.ID = optional(e.Actor.String())
	}
	if e.Object.Kind != "" {
		out.Object = &eventObject{objectTypes[e.Object.Kind], e.Object.Native()}
	}
	return out
}

func (api *API) listEvents(x *exchange) error {
	f, err := x.eventFilter()
	if err != nil {
		return err
	}
	switch accept := x.r.Header.Get("Accept"); {
	case strings.Contains(accept, "text/event-stream"):
		return api.followEvents(x, f)
	case strings.Contains(accept, "application/x-ndjson"):
		return api.exportEvents(x, f)
	}
	events, err := api.Authority.Events(x.r.Context(), &x.Call, f)
	if err != nil {
		return err
	}
	next := ""
	if want := max(f.Limit, 1); len(events) >= want && (f.Limit != 0 || len(events) == authority.DefaultPage) {
		next = strconv.FormatInt(events[len(events)-1].Position, 10)
	}
	return x.answer(pageOf(events, next, spellEvent))
}

func (x *exchange) eventFilter() (authority.EventFilter, error) {
	q := x.queries()
	f := authority.EventFilter{After: q.number("after"), Type: latchkey.EventType(q.text("type")), Limit: q.limit(), Everywhere: q.boolean("everywhere")}
	if s := q.text("object"); s != "" {
		kind, _, _ := strings.Cut(s, "_")
		var err error
		if f.Object, err = latchkey.ParseNative(latchkey.Kind(kind), s); err != nil || objectTypes[latchkey.Kind(kind)] == "" {
			q.wrong("object", "format", "This is the native id of an object, like key_….")
		}
	}
	if last := x.r.Header.Get("Last-Event-ID"); last != "" {
		n, err := strconv.ParseInt(last, 10, 64)
		if err != nil {
			q.broken = append(q.broken, latchkey.FieldError{Pointer: "header:Last-Event-ID", Code: "format", Detail: "This is a position: a whole number."})
		}
		f.After = n
	}
	return f, q.err()
}

// followBeat is how often a follower's connection shows a sign of life, and how
// often its right to follow is looked at again at the least.
const followBeat = 15 * time.Second

// followEvents streams events as they come (HTML Standard, section 9.2). The
// caller's key is looked at again before each batch: a stream must not outlive
// the key that opened it.
func (api *API) followEvents(x *exchange, f authority.EventFilter) error {
	f.Limit = authority.MaxPage
	changed := api.Authority.EventsChanged()                       // before each read: what commits after it must wake us
	events, err := api.Authority.Events(x.r.Context(), &x.Call, f) // refusals are told before the stream begins
	if err != nil {
		return err
	}
	out, err := api.begin(x, "text/event-stream")
	if err != nil {
		return err
	}
	defer api.waiting.Leave()
	if x.r.Method == http.MethodHead {
		return nil
	}
	ctx, cancel := api.alive(x)
	defer cancel()
	beat := time.NewTicker(followBeat)
	defer beat.Stop()
	for {
		for i := range events {
			f.After = events[i].Position
			if err := out.event(&events[i]); err != nil {
				return nil // the client is gone
			}
		}
		if len(events) < f.Limit {
			if err := out.flush(": \n\n"); err != nil {
				return nil
			}
			select {
			case <-ctx.Done():
				return nil
			case <-changed:
			case <-beat.C:
			}
		}
		changed = api.Authority.EventsChanged()
		if events, err = api.more(ctx, x, f); err != nil {
			return nil // the right to follow ended, or the store cannot be read: the client connects again and is told
		}
	}
}

// more reads the next events for a caller who still may.
func (api *API) more(ctx context.Context, x *exchange, f authority.EventFilter) ([]latchkey.Event, error) {
	if !x.key.Empty() {
		home := x.Organization
		caller, _, err := api.Authority.Authenticate(ctx, x.key, x.from, x.r.UserAgent())
		if err != nil {
			return nil, err
		}
		if x.Caller, err = api.Authority.ActIn(ctx, caller, home); err != nil {
			return nil, err
		}
	}
	return api.Authority.Events(ctx, &x.Call, f)
}

// exportEvents writes every event up to the present head, one a line.
func (api *API) exportEvents(x *exchange, f authority.EventFilter) error {
	f.Limit = authority.MaxPage
	events, err := api.Authority.Events(x.r.Context(), &x.Call, f)
	if err != nil {
		return err
	}
	out, err := api.begin(x, "application/x-ndjson")
	if err != nil {
		return err
	}
	defer api.waiting.Leave()
	if x.r.Method == http.MethodHead {
		return nil
	}
	for {
		for i := range events {
			f.After = events[i].Position
			if err := out.line(&events[i]); err != nil {
				return nil
			}
		}
		if len(events) < f.Limit {
			return nil
		}
		if events, err = api.more(x.r.Context(), x, f); err != nil {
			api.Log.Warn("an export was cut off", "request_id", x.RequestID, "error", err)
			panic(http.ErrAbortHandler) // half an export must not look like a whole one
		}
	}
}

// stream is an answer that is written as it comes. Each write may take as long
// as writeGrace, however long the whole lasts.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

const writeGrace = 30 * time.Second

// begin begins a stream. Its client may take its time, so the request is now one
// of those that wait, and in the way of nobody's work; the caller must leave
// them at the end.
func (api *API) begin(x *exchange, contentType string) (stream, error) {
	s := stream{w: x.w, control: http.NewResponseController(x.w)}
	if !api.waiting.Enter() {
		return s, latchkey.Errorf(latchkey.CodeBusy, "This node has as many followers as it takes; retry in a moment.")
	}
	x.leave()
	s.w.Header().Set("Content-Type", contentType)
	s.w.Header().Set("Cache-Control", "no-store")
	s.grace()
	s.w.WriteHeader(http.StatusOK)
	return s, nil
}

func (s stream) grace() { _ = s.control.SetWriteDeadline(time.Now().Add(writeGrace)) }

func (s stream) event(e *latchkey.Event) error {
	text, err := json.Marshal(spellEvent(e), json.Deterministic(true))
	if err != nil {
		return err
	}
	s.grace()
	_, err = fmt.Fprintf(s.w, "id: %d\nevent: %s\ndata: %s\n\n", e.Position, e.Type, text)
	return err
}

func (s stream) line(e *latchkey.Event) error {
	text, err := json.Marshal(spellEvent(e), json.Deterministic(true))
	if err != nil {
		return err
	}
	s.grace()
	_, err = s.w.Write(append(text, '\n'))
	return err
}

func (s stream) flush(sign string) error {
	s.grace()
	if _, err := io.WriteString(s.w, sign); err != nil {
		return err
	}
	return s.control.Flush()
}
