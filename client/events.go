package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Events is the record of changes.
type Events struct{ c *Client }

const eventsPath = "/v1/events"

// Event is the record of one change.
type Event struct {
	ID             string          `json:"id"`       // evt_…
	Position       int64           `json:"position"` // in the order of the changes; without gaps over the whole installation
	Type           string          `json:"type"`     // as key.revoked
	At             time.Time       `json:"at"`
	OrganizationID string          `json:"organization_id"` // "": the installation's
	Actor          Actor           `json:"actor"`
	Object         Object          `json:"object"` // zero: the installation itself
	Changes        json.RawMessage `json:"changes"`
	RequestID      string          `json:"request_id"`
}

// Actor is who made a change.
type Actor struct {
	Type  string `json:"type"`   // user, key or system
	ID    string `json:"id"`     // "" for system
	KeyID string `json:"key_id"` // of the key that authenticated the call; "" over the socket
}

// Object is what an event is about.
type Object struct {
	Type string `json:"type"` // key, organization, project, user or role
	ID   string `json:"id"`
}

// EventFilter selects events, oldest first. Zero fields do not filter.
type EventFilter struct {
	After      int64  // position; events after it
	Type       string // as key.revoked
	Object     string // id of the object
	Limit      int    // of a page, 1–100; 0 leaves it to the server
	Everywhere bool   // every organization's; the operator's to ask
}

func (f *EventFilter) query() url.Values {
	q := query{}
	q.number("after", f.After)
	q.text("type", f.Type)
	q.text("object", f.Object)
	q.number("limit", int64(f.Limit))
	if f.Everywhere {
		q.text("everywhere", "true")
	}
	return url.Values(q)
}

// List is one page of the events that match. The page's cursor is the position
// after which the next page begins.
func (e Events) List(ctx context.Context, f EventFilter) (Answer[Page[Event]], error) {
	return send[Page[Event]](ctx, e.c, get(eventsPath, f.query()))
}

// Pages are the pages of the events that match, up to the newest. It ends after
// the first error.
func (e Events) Pages(ctx context.Context, f EventFilter) iter.Seq2[Answer[Page[Event]], error] {
	return pages("", func(cursor string) (Answer[Page[Event]], error) {
		if cursor != "" {
			after, err := strconv.ParseInt(cursor, 10, 64)
			if err != nil {
				return Answer[Page[Event]]{}, errors.New("latchkey: the cursor of a page of events is not a position")
			}
			f.After = after
		}
		return e.List(ctx, f)
	})
}

// All are all events that match, up to the newest. It ends after the first error.
func (e Events) All(ctx context.Context, f EventFilter) iter.Seq2[Event, error] {
	return items(e.Pages(ctx, f))
}

// Follow gives the events that match, then each new one as it comes, until ctx
// ends or the server refuses. A connection that is lost is made again where the
// last event was; when that fails [Options.Attempts] times in a row, the error
// is the last one. An answer's Raw is the event's text.
func (e Events) Follow(ctx context.Context, f EventFilter) iter.Seq2[Answer[Event], error] {
	f.Limit = 0
	return func(yield func(Answer[Event], error) bool) {
		for failures := 0; ; {
			opened, err := e.follow(ctx, &f, yield)
			switch {
			case errors.Is(err, errEnough):
				return
			case ctx.Err() != nil:
				yield(Answer[Event]{}, context.Cause(ctx))
				return
			case opened:
				failures = 0
			default:
				failures++
			}
			wait, hope := delay(err, failures+1)
			if !hope || failures >= e.c.options.Attempts {
				yield(Answer[Event]{}, err)
				return
			}
			if e.c.pause(ctx, wait) != nil {
				yield(Answer[Event]{}, context.Cause(ctx))
				return
			}
		}
	}
}

// errEnough says that whoever reads the events wants no more.
var errEnough = errors.New("enough")

// follow reads one stream to its end, which is always an error; opened says
// whether it began. f is left at the last event.
func (e Events) follow(ctx context.Context, f *EventFilter, yield func(Answer[Event], error) bool) (opened bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	k := get(eventsPath, f.query())
	r, err := e.c.request(ctx, k, nil)
	if err != nil {
		return false, err
	}
	r.Header.Set("Accept", "text/event-stream")
	slow := time.AfterFunc(e.c.options.Timeout, func() { cancel(errTimeout) }) // for the answer to begin
	response, err := e.c.http.Do(r)
	slow.Stop()
	if err != nil {
		return false, k.transportError(timedOut(ctx, err))
	}
	defer response.Body.Close()
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if response.StatusCode != http.StatusOK || media != "text/event-stream" {
		body, err := e.c.read(response.Body)
		if err != nil {
			return false, k.transportError(err)
		}
		return false, refusal(response, body)
	}
	for message, err := range messages(response.Body) {
		if err != nil {
			return true, k.transportError(err)
		}
		answer := Answer[Event]{Raw: NewRaw(bytes.Clone(message)), RequestID: response.Header.Get("X-Request-Id")}
		if err := json.Unmarshal(message, &answer.Value); err != nil || answer.Value.Position <= f.After {
			return true, &Error{Status: response.StatusCode, Detail: fmt.Sprintf("What follows position %d in the stream is not an event of the native API.", f.After)}
		}
		f.After = answer.Value.Position
		if !yield(answer, nil) {
			return true, errEnough
		}
	}
	return true, k.transportError(io.ErrUnexpectedEOF)
}

// maxMessage bounds one message of a stream, in bytes.
const maxMessage = 1 << 20

// messages reads the data of the messages of an event stream (HTML Living
// Standard, section 9.2.6). Fields but data are not needed: an event has its
// position in it. A line over the bound is [ErrTooLarge].
func messages(stream io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		lines := bufio.NewScanner(stream)
		lines.Buffer(make([]byte, 0, 4<<10), maxMessage)
		lines.Split(wholeLines)
		var data []byte // nil: the message has none
		for lines.Scan() {
			line := lines.Bytes()
			if len(line) == 0 {
				if data != nil && !yield(data, nil) {
					return
				}
				data = nil
				continue
			}
			text, ok := bytes.CutPrefix(line, []byte("data:"))
			if !ok {
				continue
			}
			if data == nil {
				data = []byte{}
			} else {
				data = append(data, '\n')
			}
			if len(data)+len(text) > maxMessage {
				yield(nil, ErrTooLarge)
				return
			}
			data = append(data, bytes.TrimPrefix(text, []byte(" "))...)
		}
		switch err := lines.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			yield(nil, ErrTooLarge)
		case err != nil:
			yield(nil, err)
		}
	}
}

// wholeLines splits as bufio.ScanLines does, and drops a last line that was cut
// off: what is not whole was not said.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	advance, token, err = bufio.ScanLines(data, false)
	if advance == 0 && atEOF {
		advance = len(data)
	}
	return advance, token, err
}
