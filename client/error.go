package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The codes of refusals. The set is closed on the server that this client was
// written for; a later one may know more.
const (
	CodeUnauthenticated         = "unauthenticated"           // no credential, or one that does not hold
	CodeTooManyRequests         = "too_many_requests"         // wait for Error.RetryAfter
	CodeBusy                    = "busy"                      // the server has too much in flight
	CodeForbidden               = "forbidden"                 // the caller lacks the permission
	CodeMethodNotAllowed        = "method_not_allowed"        // the path exists, the method does not
	CodeUnsupportedMediaType    = "unsupported_media_type"    // the body is not application/json
	CodeTooLarge                = "too_large"                 // a body or batch beyond its bound
	CodeMalformedBody           = "malformed_body"            // cannot be read; see Error.Fields
	CodeInvalid                 = "invalid"                   // read, but against a rule; see Error.Fields
	CodeCeiling                 = "ceiling"                   // would give away more than the caller holds
	CodeNotFound                = "not_found"                 // unknown, or out of the caller's reach
	CodeConflict                = "conflict"                  // the present state does not allow it
	CodePreconditionFailed      = "precondition_failed"       // changed since it was read
	CodeIdempotencyMismatch     = "idempotency_mismatch"      // the Idempotency-Key was used with another body
	CodeIdempotentSecretExpired = "idempotent_secret_expired" // made before; its secret can no longer be told
	CodeRotationInProgress      = "rotation_in_progress"      // one rotation at a time
	CodeUnavailable             = "unavailable"               // the server's store does not answer
	CodeInternal                = "internal"                  // the server's fault; its log has the request id
)

// Error is a refusal: the problem document (RFC 9457) that the server answered
// with. From something that is no Latchkey server, a proxy for instance, only
// Status is known: then Code is "" and Detail says so.
type Error struct {
	Status     int           // of the answer
	Code       string        // why; one of the Code constants
	Title      string        // the code in words
	Detail     string        // what happened and what to do about it
	RequestID  string        // under which the server's log has the call
	Fields     []FieldError  // one for each broken rule
	Object     string        // the id of the object concerned, where telling it is the point
	RetryAfter time.Duration // how long to wait; 0 if the server did not say
}

// FieldError is one broken rule of one input field.
type FieldError struct {
	Pointer string `json:"pointer"` // RFC 6901 pointer into the body, or query:limit, header:If-Match, path:id
	Code    string `json:"code"`    // the rule, in a word
	Detail  string `json:"detail"`  // the rule, in a sentence
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "latchkey: %d", e.Status)
	if e.Code != "" {
		b.WriteString(" " + e.Code)
	}
	b.WriteString(": " + e.Detail)
	for _, f := range e.Fields {
		fmt.Fprintf(&b, " [%s: %s]", f.Pointer, f.Detail)
	}
	if e.RequestID != "" {
		b.WriteString(" (request " + e.RequestID + ")")
	}
	return b.String()
}

// CodeOf is the code of the refusal in err; "" if there is none.
func CodeOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

// TransportError says that a call got no answer, or one that cannot be read.
type TransportError struct {
	Operation string // method and path
	Uncertain bool   // a change was asked for and may have been made: read before you ask again
	Err       error
}

// Error implements error.
func (e *TransportError) Error() string {
	s := "latchkey: " + e.Operation + ": " + e.Err.Error()
	if e.Uncertain {
		s += " (the change may have been made; read before you try again)"
	}
	return s
}

// Unwrap gives the cause to errors.Is and errors.As.
func (e *TransportError) Unwrap() error { return e.Err }

// ErrTooLarge says that an answer was longer than [Options.MaxAnswer].
var ErrTooLarge = errors.New("the answer is longer than this client reads; ask for less at a time")

// transportError describes a failed exchange. A connection that was never made
// carried nothing.
func (k *call) transportError(err error) *TransportError {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // the rest repeats the operation
	}
	dial, ok := errors.AsType[*net.OpError](err)
	reached := !ok || dial.Op != "dial"
	return &TransportError{Operation: k.method + " " + k.path, Uncertain: reached && k.changes, Err: err}
}

// problem is the wire form of a refusal.
type problem struct {
	Title     string       `json:"title"`
	Code      string       `json:"code"`
	Detail    string       `json:"detail"`
	RequestID string       `json:"request_id"`
	Object    string       `json:"object"`
	Errors    []FieldError `json:"errors"`
}

// refusal reads an answer that is not a success. Nothing of a body that is not
// a problem document is repeated: nobody knows what it says.
func refusal(r *http.Response, body []byte) *Error {
	e := &Error{Status: r.StatusCode, RequestID: r.Header.Get("X-Request-Id"), RetryAfter: retryAfter(r.Header)}
	var p problem
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case media == "application/problem+json" && json.Unmarshal(body, &p) == nil && p.Code != "":
		e.Code, e.Title, e.Detail, e.Fields, e.Object = p.Code, p.Title, p.Detail, p.Errors, p.Object
		if p.RequestID != "" {
			e.RequestID = p.RequestID
		}
	case r.StatusCode >= 300 && r.StatusCode < 400:
		e.Detail = "The server redirects; redirects are not followed, since the credential would go along. Use the address it redirects to, if it is yours" + destination(r) + "."
	default:
		e.Detail = fmt.Sprintf("The answer is %s without a problem document, so it is not from Latchkey; look at what stands in between, or at the address.", statusText(r.StatusCode))
	}
	return e
}

func destination(r *http.Response) string {
	to, err := r.Location()
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (%s://%s)", to.Scheme, to.Host)
}

func statusText(status int) string {
	return strings.TrimSpace(strconv.Itoa(status) + " " + http.StatusText(status))
}

// retryAfter reads the header's seconds (RFC 9110, section 10.2.3); the form
// with a date is not used by the server.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.ParseUint(h.Get("Retry-After"), 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
