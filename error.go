package latchkey

import (
	"errors"
	"fmt"
	"strings"
)

// ErrorCode is why an operation was refused. The set is closed: each edge
// (native API, dialect, command line) translates every member once, and a test
// at each edge counts them.
type ErrorCode string

// The codes, in the order in which a request can meet them.
const (
	CodeUnauthenticated         ErrorCode = "unauthenticated"           // no credential, or one that does not hold
	CodeTooManyRequests         ErrorCode = "too_many_requests"         // failed credentials from this source are throttled
	CodeBusy                    ErrorCode = "busy"                      // a bound on work in flight is reached
	CodeForbidden               ErrorCode = "forbidden"                 // the caller lacks the permission for this operation
	CodeMethodNotAllowed        ErrorCode = "method_not_allowed"        // the path exists, the method does not
	CodeUnsupportedMediaType    ErrorCode = "unsupported_media_type"    // a body that is not application/json
	CodeTooLarge                ErrorCode = "too_large"                 // a body or a batch beyond its bound
	CodeMalformedBody           ErrorCode = "malformed_body"            // cannot be read: not JSON, wrong type, unknown or duplicate member
	CodeInvalid                 ErrorCode = "invalid"                   // read, but against a rule
	CodeCeiling                 ErrorCode = "ceiling"                   // would give away more than the caller holds
	CodeNotFound                ErrorCode = "not_found"                 // unknown, or out of the caller's reach: the two cannot be told apart
	CodeConflict                ErrorCode = "conflict"                  // the present state does not allow it
	CodePreconditionFailed      ErrorCode = "precondition_failed"       // If-Match names another revision
	CodeIdempotencyMismatch     ErrorCode = "idempotency_mismatch"      // the Idempotency-Key was used with another body
	CodeIdempotentSecretExpired ErrorCode = "idempotent_secret_expired" // a replay came after the secret could be told again
	CodeRotationInProgress      ErrorCode = "rotation_in_progress"      // one rotation at a time
	CodeUnavailable             ErrorCode = "unavailable"               // the store does not answer or cannot write
	CodeInternal                ErrorCode = "internal"                  // our fault; the cause is logged and never told
)

// ErrorCodes lists the closed set in declaration order.
func ErrorCodes() []ErrorCode {
	return []ErrorCode{
		CodeUnauthenticated, CodeTooManyRequests, CodeBusy, CodeForbidden, CodeMethodNotAllowed,
		CodeUnsupportedMediaType, CodeTooLarge, CodeMalformedBody, CodeInvalid, CodeCeiling, CodeNotFound,
		CodeConflict, CodePreconditionFailed, CodeIdempotencyMismatch, CodeIdempotentSecretExpired,
		CodeRotationInProgress, CodeUnavailable, CodeInternal,
	}
}

// FieldError is one broken rule of one input field.
type FieldError struct {
	Pointer string // RFC 6901 pointer into the body ("/scopes/0"), or "query:limit", "header:If-Match", "path:id"
	Code    string // the rule, in a word: required, too_long, too_many, not_allowed, unknown, format, range …
	Detail  string // a sentence that names the rule and its bound; never echoes the rejected value
}

// Error is a refusal. Detail says what to do next and is safe to show; Cause is
// for the log alone.
type Error struct {
	Code   ErrorCode
	Detail string
	Fields []FieldError // one for each broken rule, for CodeInvalid and CodeMalformedBody
	Object string       // the native id of the object concerned, where telling it is the point (idempotent_secret_expired)
	Cause  error        // never shown
}

// Error implements error. It includes the cause, so it belongs in logs only.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(string(e.Code))
	if e.Detail != "" {
		b.WriteString(": ")
		b.WriteString(e.Detail)
	}
	for _, f := range e.Fields {
		fmt.Fprintf(&b, " [%s %s: %s]", f.Pointer, f.Code, f.Detail)
	}
	if e.Cause != nil {
		b.WriteString(": ")
		b.WriteString(e.Cause.Error())
	}
	return b.String()
}

// Unwrap gives the cause to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes a refusal with a formatted detail.
func Errorf(code ErrorCode, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Invalid makes a refusal for one field.
func Invalid(pointer, rule, detail string) *Error {
	return &Error{Code: CodeInvalid, Detail: "The request breaks a rule; see errors.", Fields: []FieldError{{pointer, rule, detail}}}
}

// AsError finds the refusal in err. Anything else is CodeInternal, with err as
// the cause that is logged and not told.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: CodeInternal, Detail: "Something failed on our side; the log has the request id.", Cause: err}
}

// CodeOf is the code of err, or "" for nil.
func CodeOf(err error) ErrorCode {
	if err == nil {
		return ""
	}
	return AsError(err).Code
}
