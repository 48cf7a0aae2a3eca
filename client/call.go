package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// call is one operation on the wire.
type call struct {
	method      string
	path        string // from the server's base; its parts are escaped
	query       url.Values
	body        any        // sent as JSON; nil sends none
	form        url.Values // sent in the body's place, as OAuth has it; nil: none is
	bare        bool       // without the client's credential: the form has one
	idempotency string     // the Idempotency-Key; "" sends none
	changes     bool       // something, if it succeeds
	repeatable  bool       // to do it twice is to do it once
	waits       bool       // its answer tells how far the change has come
}

// waiting marks a call whose answer tells how far its change has come.
func (k *call) waiting() *call {
	k.waits = true
	return k
}

func get(path string, query url.Values) *call {
	return &call{method: http.MethodGet, path: path, query: query, repeatable: true}
}

// ask is a POST that changes nothing.
func ask(path string, body any) *call {
	return &call{method: http.MethodPost, path: path, body: body, repeatable: true}
}

// create is a POST that names itself, so that the server knows it again.
func create(path string, body any) *call {
	return &call{method: http.MethodPost, path: path, body: body, idempotency: rand.Text(), changes: true, repeatable: true}
}

// end is a POST after which something is over; to end it again changes nothing.
func end(path string, body any) *call {
	return &call{method: http.MethodPost, path: path, body: body, changes: true, repeatable: true}
}

// change is a call that is made once.
func change(method, path string, body any) *call {
	return &call{method: method, path: path, body: body, changes: true}
}

// join makes a path from parts that may contain anything.
func join(path string, parts ...string) string {
	for _, part := range parts {
		path += "/" + url.PathEscape(part)
	}
	return path
}

// send makes the call and reads its answer.
func send[T any](ctx context.Context, c *Client, k *call) (Answer[T], error) {
	var answer Answer[T]
	header, body, err := c.exchange(ctx, k)
	if err != nil {
		return answer, err
	}
	answer.Raw, answer.ETag, answer.RequestID = NewRaw(body), header.Get("ETag"), header.Get("X-Request-Id")
	if err := json.Unmarshal(body, &answer.Value); err != nil {
		// The cause may repeat a part of the body, and a body may hold a secret.
		return answer, k.transportError(errors.New("the answer is not what the native API answers; perhaps this is not the address of a Latchkey server"))
	}
	return answer, nil
}

// exchange makes the call, again where it is safe and there is hope.
func (c *Client) exchange(ctx context.Context, k *call) (http.Header, []byte, error) {
	var payload []byte
	if k.body != nil {
		var err error
		if payload, err = json.Marshal(k.body); err != nil {
			return nil, nil, fmt.Errorf("latchkey: %s %s: %w", k.method, k.path, err)
		}
	}
	if k.form != nil {
		payload = []byte(k.form.Encode())
	}
	if k.waits && c.options.Waiting != nil {
		defer c.options.Waiting()()
	}
	uncertain := false
	for attempt := 1; ; attempt++ {
		header, body, err := c.attempt(ctx, k, payload)
		if err == nil {
			return header, body, nil
		}
		wait, hope := delay(err, attempt)
		if !hope || !k.repeatable || attempt >= c.options.Attempts || ctx.Err() != nil {
			return nil, nil, k.settle(err, uncertain && hope)
		}
		lost, ok := errors.AsType[*TransportError](err)
		uncertain = uncertain || ok && lost.Uncertain
		if c.pause(ctx, wait) != nil {
			return nil, nil, k.settle(err, uncertain)
		}
	}
}

// settle is the error of the last attempt. If an earlier one may have changed
// something and this one says no more than that nothing can be said now, the
// doubt remains.
func (k *call) settle(err error, uncertain bool) error {
	if !uncertain {
		return err
	}
	if lost, ok := errors.AsType[*TransportError](err); ok {
		err = lost.Err
	}
	return &TransportError{Operation: k.method + " " + k.path, Uncertain: true, Err: err}
}

// The waits between attempts.
const (
	firstDelay = 200 * time.Millisecond
	maxDelay   = 5 * time.Second
	maxAsked   = 30 * time.Second // a server that asks for more is not waited for
)

// delay says whether there is hope that the next attempt fares better, and when
// to make it: what the server asks for, else twice as long each time; and up to
// as much again by chance, so that many clients do not come back at once.
func delay(err error, attempt int) (wait time.Duration, hope bool) {
	wait = min(firstDelay<<min(attempt-1, 10), maxDelay)
	if e, ok := errors.AsType[*Error](err); ok {
		switch e.Status {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			hope = e.RetryAfter <= maxAsked
			wait = max(wait, e.RetryAfter)
		}
	} else {
		_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
		hope = !untrusted && !errors.Is(err, ErrTooLarge)
	}
	return wait + mathrand.N(wait), hope //nolint:gosec // spreads load, decides nothing
}

// attempt makes the call once.
func (c *Client) attempt(ctx context.Context, k *call, payload []byte) (http.Header, []byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.options.Timeout, errTimeout)
	defer cancel()
	r, err := c.request(ctx, k, payload)
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Accept", "application/json")
	response, err := c.http.Do(r)
	if err != nil {
		return nil, nil, k.transportError(timedOut(ctx, err))
	}
	defer response.Body.Close()
	body, err := c.read(response.Body)
	switch {
	case err != nil:
		return nil, nil, k.transportError(timedOut(ctx, err))
	case response.StatusCode < 200 || response.StatusCode > 299:
		return nil, nil, k.refused(response, body)
	}
	return response.Header, body, nil
}

var errTimeout = errors.New("no answer in time")

// timedOut says why the context ended, if that is why the exchange did.
func timedOut(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func (c *Client) read(body io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(body, c.options.MaxAnswer+1))
	if err == nil && int64(len(text)) > c.options.MaxAnswer {
		return nil, ErrTooLarge
	}
	return text, err
}

// request makes the HTTP request for a call.
func (c *Client) request(ctx context.Context, k *call, payload []byte) (*http.Request, error) {
	where := c.base
	where.Path, where.RawPath = "", ""
	address := where.String() + strings.TrimRight(c.base.EscapedPath(), "/") + k.path
	query := maps.Clone(k.query)
	if wait := c.options.Wait.given; wait != nil && k.waits {
		if query == nil {
			query = url.Values{}
		}
		query.Set("wait", wait.String())
	}
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, k.method, address, bytes.NewReader(payload))
	if err != nil {
		return nil, fmt.Errorf("latchkey: %s %s: %w", k.method, k.path, err)
	}
	switch {
	case k.form != nil:
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	case payload != nil:
		r.Header.Set("Content-Type", "application/json")
	}
	if k.idempotency != "" {
		r.Header.Set("Idempotency-Key", k.idempotency)
	}
	if c.options.Organization != "" {
		r.Header.Set("Latchkey-Organization", c.options.Organization)
	}
	r.Header.Set("User-Agent", c.options.UserAgent)
	if !k.bare {
		c.authorize(r.Header)
	}
	return r, nil
}
