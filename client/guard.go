package client

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Need is what is required of the key in a request.
type Need struct {
	Environment string    // live or test; "" for either
	AllScopes   []string  // all of these
	AnyScopes   []string  // and one of these, if there are any
	Resource    *Resource // nil for none
}

// Refused says that a request is not let in, for whichever reason.
type Refused struct {
	Code       string        // of the verdict; unavailable where there was none
	Status     int           // of HTTP: 401, 403, 429 or 503; 400 and 413 for a signed body that was not read
	RetryAfter time.Duration // whole seconds; 0 if there is nothing to wait for
	Err        error         // why there was no verdict; nil if there was
}

// Error implements error.
func (e *Refused) Error() string {
	text := "latchkey: refused: " + e.Code
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives the cause to errors.Is and errors.As.
func (e *Refused) Unwrap() error { return e.Err }

// The codes of verdicts that are told by a status other than 401.
var statuses = map[string]int{
	"wrong_environment": http.StatusForbidden, "ip_not_allowed": http.StatusForbidden, "resource_not_allowed": http.StatusForbidden,
	"insufficient_scope": http.StatusForbidden, "rate_limited": http.StatusTooManyRequests, "quota_exceeded": http.StatusTooManyRequests,
	"unavailable": http.StatusServiceUnavailable, codeTooLarge: http.StatusRequestEntityTooLarge, codeIncomplete: http.StatusBadRequest,
}

const (
	codeMalformed   = "malformed"
	codeUnavailable = "unavailable"

	// Of signed requests, which nobody was asked about.
	codeTooLarge   = "body_too_large"
	codeIncomplete = "body_incomplete"
)

func refused(code string, err error) *Refused {
	e := &Refused{Code: code, Status: statuses[code], Err: err}
	switch e.Status {
	case 0:
		e.Status = http.StatusUnauthorized
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		e.RetryAfter = time.Second
	}
	return e
}

// Admit asks whether the key that was presented from an address may do what is
// needed. Everything but a valid verdict is a [*Refused], and so is the lack of
// one: without the server nobody is let in.
func (k Keys) Admit(ctx context.Context, key Secret, address string, need Need) (*Verdict, error) {
	return k.admit(ctx, Verification{Key: key, IP: address}, need)
}

// admit is Admit of a key with the request that it came with.
func (k Keys) admit(ctx context.Context, shown Verification, need Need) (*Verdict, error) {
	if shown.Key.Expose() == "" {
		return nil, refused(codeMalformed, nil)
	}
	shown.Environment, shown.AllScopes, shown.AnyScopes, shown.Resource = need.Environment, need.AllScopes, need.AnyScopes, need.Resource
	answer, err := k.Verify(ctx, shown)
	switch v := &answer.Value; {
	case err != nil:
		return nil, refused(codeUnavailable, err)
	case !v.Valid || v.Code != "valid":
		return nil, refused(v.Code, nil)
	default:
		return v, nil
	}
}

// Guard stands before HTTP handlers and lets in what shows a key that may. Where a
// request is signed, it is asked about with all that the signature covers, and its
// body held against what was signed; it is let in once. It is safe for concurrent
// use.
type Guard struct {
	keys    Keys
	options GuardOptions
}

// GuardOptions adjust a Guard. The zero value is what most want.
type GuardOptions struct {
	// KeyHeaders are where a key is looked for; nil is Authorization, which is
	// Bearer, and X-API-Key. Where a request has keys in several, they must be
	// the same.
	KeyHeaders []string

	// Address is where a request came from; nil is the other end of its
	// connection, which behind a proxy is the proxy. "" cannot be told: keys that
	// are bound to addresses are refused then.
	Address func(*http.Request) string

	// MaxBody is the longest body of a signed request, in bytes; 0 is 1 MiB. It is
	// read whole before the handler runs, which then reads it from memory. Bodies of
	// requests that are not signed are left alone.
	MaxBody int64

	// Refuse answers what is not let in; nil answers with a problem document
	// (RFC 9457) that says no more than the code.
	Refuse func(http.ResponseWriter, *http.Request, *Refused)
}

const defaultMaxBody = 1 << 20

// NewGuard makes a guard that asks with a client, whose credential needs
// api_key:verify.
func NewGuard(c *Client, options GuardOptions) *Guard {
	if options.KeyHeaders == nil {
		options.KeyHeaders = []string{"Authorization", "X-API-Key"}
	}
	if options.Address == nil {
		options.Address = connectedFrom
	}
	orDefault(&options.MaxBody, defaultMaxBody)
	if options.Refuse == nil {
		options.Refuse = refuse
	}
	return &Guard{keys: c.Keys, options: options}
}

// Require stands before a handler that needs the same of every request.
func (g *Guard) Require(need Need, next http.Handler) http.Handler {
	return g.RequireFor(func(*http.Request) Need { return need }, next)
}

// RequireFor stands before a handler whose requests differ in what they need,
// such as the resource in the path.
func (g *Guard) RequireFor(need func(*http.Request) Need, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := g.admit(r, need(r))
		if no, ok := errors.AsType[*Refused](err); ok {
			g.options.Refuse(w, r, no)
			return
		}
		next.ServeHTTP(w, r.WithContext(WithIdentity(r.Context(), who)))
	})
}

// admit asks about a request, with its signature if it has one. What it is about is
// told in that case alone.
func (g *Guard) admit(r *http.Request, need Need) (*Verdict, error) {
	key, ok := keyOf(r.Header, g.options.KeyHeaders)
	if !ok {
		return nil, refused(codeMalformed, nil)
	}
	shown := Verification{Key: key, IP: g.options.Address(r)}
	if len(r.Header.Values("Signature-Input")) > 0 {
		switch err := shown.Of(r, g.options.MaxBody); {
		case errors.Is(err, ErrBodyTooLarge):
			return nil, refused(codeTooLarge, err)
		case err != nil:
			return nil, refused(codeIncomplete, err)
		}
	}
	return g.keys.admit(r.Context(), shown, need)
}

// keyOf reads the key of a request. ok is false where there is none, where a
// header is there twice or holds something else, and where two hold different ones.
func keyOf(h http.Header, names []string) (key Secret, ok bool) {
	for _, name := range names {
		values := h.Values(name)
		if len(values) == 0 {
			continue
		}
		text := values[0]
		if strings.EqualFold(name, "Authorization") {
			text = Bearer(text)
		}
		if len(values) > 1 || text == "" || ok && text != key.Expose() {
			return Secret{}, false
		}
		key, ok = NewSecret(text), true
	}
	return key, ok
}

// Bearer is the credential in the value of an Authorization header (RFC 6750,
// section 2.1); "" if it holds none.
func Bearer(authorization string) string {
	scheme, text, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return text
}

func connectedFrom(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

func refuse(w http.ResponseWriter, _ *http.Request, no *Refused) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if no.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if no.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(no.RetryAfter/time.Second)))
	}
	w.WriteHeader(no.Status)
	_ = json.NewEncoder(w).Encode(struct { // or the client hung up
		Title  string `json:"title"`
		Status int    `json:"status"`
		Code   string `json:"code"`
	}{http.StatusText(no.Status), no.Status, no.Code})
}

type identityKey struct{}

// WithIdentity puts a verdict into a context.
func WithIdentity(ctx context.Context, who *Verdict) context.Context {
	return context.WithValue(ctx, identityKey{}, who)
}

// Identity is the verdict on the key with which the request was let in; nil where
// no guard let it in. It is shared: do not change it.
func Identity(ctx context.Context) *Verdict {
	who, _ := ctx.Value(identityKey{}).(*Verdict)
	return who
}
