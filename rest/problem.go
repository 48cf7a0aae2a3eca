package rest

import (
	"context"
	"errors"
	"net/http"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/body"
	"latchkey.dev/latchkey/internal/door"
)

// problem is a refusal on the wire (RFC 9457, section 3.1).
type problem struct {
	Type      string         `json:"type" doc:"Where this code is explained, relative to the API."`
	Title     string         `json:"title" doc:"The code in words."`
	Status    int            `json:"status" doc:"The HTTP status."`
	Code      string         `json:"code" doc:"Why, from a closed set."`
	Detail    string         `json:"detail" doc:"What happened and what to do next."`
	RequestID string         `json:"request_id" doc:"Finds this request in the log."`
	Object    string         `json:"object,omitzero" required:"false" doc:"The object concerned, where telling it is the point."`
	Errors    []fieldProblem `json:"errors" nullable:"false" doc:"The broken rules, one by one."`
}

// fieldProblem is one broken rule.
type fieldProblem struct {
	Pointer string `json:"pointer" doc:"JSON pointer into the body (RFC 6901), or query:<name>, header:<name>."`
	Code    string `json:"code" doc:"The rule in a word."`
	Detail  string `json:"detail" doc:"The rule in a sentence."`
}

// meaning is how a code is told over HTTP.
type meaning struct {
	status int
	title  string
}

// meanings translates every code; a test counts them.
var meanings = map[latchkey.ErrorCode]meaning{
	latchkey.CodeUnauthenticated:         {http.StatusUnauthorized, "No valid credential"},
	latchkey.CodeTooManyRequests:         {http.StatusTooManyRequests, "Too many requests"},
	latchkey.CodeBusy:                    {http.StatusServiceUnavailable, "Busy"},
	latchkey.CodeForbidden:               {http.StatusForbidden, "Not permitted"},
	latchkey.CodeMethodNotAllowed:        {http.StatusMethodNotAllowed, "Method not allowed"},
	latchkey.CodeUnsupportedMediaType:    {http.StatusUnsupportedMediaType, "Unsupported media type"},
	latchkey.CodeTooLarge:                {http.StatusRequestEntityTooLarge, "Too large"},
	latchkey.CodeMalformedBody:           {http.StatusBadRequest, "Cannot be read"},
	latchkey.CodeInvalid:                 {http.StatusUnprocessableEntity, "Breaks a rule"},
	latchkey.CodeCeiling:                 {http.StatusForbidden, "More than you could give"},
	latchkey.CodeNotFound:                {http.StatusNotFound, "Not found"},
	latchkey.CodeConflict:                {http.StatusConflict, "Conflict"},
	latchkey.CodePreconditionFailed:      {http.StatusPreconditionFailed, "Changed meanwhile"},
	latchkey.CodeIdempotencyMismatch:     {http.StatusUnprocessableEntity, "Idempotency-Key used for another call"},
	latchkey.CodeIdempotentSecretExpired: {http.StatusConflict, "Secret can no longer be told"},
	latchkey.CodeRotationInProgress:      {http.StatusConflict, "Rotation in progress"},
	latchkey.CodeUnavailable:             {http.StatusServiceUnavailable, "Unavailable"},
	latchkey.CodeInternal:                {http.StatusInternalServerError, "Internal error"},
}

// refused is refuse for the door.
func (api *API) refused(w http.ResponseWriter, _ *http.Request, err error) { api.refuse(w, err) }

// refuse is the one place where an error becomes an answer. Causes go to the
// log and never leave.
func (api *API) refuse(w http.ResponseWriter, err error) {
	e := latchkey.AsError(err)
	m, known := meanings[e.Code]
	if !known {
		m = meanings[latchkey.CodeInternal]
	}
	if e.Cause != nil && !errors.Is(err, context.Canceled) {
		api.Log.Error("refused for a fault", "request_id", door.RequestID(w), "code", string(e.Code), "error", err)
	}
	switch e.Code {
	case latchkey.CodeUnauthenticated:
		w.Header().Set("WWW-Authenticate", `Bearer realm="latchkey"`)
	case latchkey.CodeUnavailable, latchkey.CodeBusy, latchkey.CodeTooManyRequests:
		if w.Header().Get("Retry-After") == "" {
			w.Header().Set("Retry-After", "1")
		}
	case latchkey.CodeMalformedBody, latchkey.CodeTooLarge:
		// What is left of the body is not worth reading.
		w.Header().Set("Connection", "close")
	default:
	}
	p := problem{
		Type: "/docs#" + string(e.Code), Title: m.title, Status: m.status, Code: string(e.Code), Detail: e.Detail,
		RequestID: door.RequestID(w), Object: e.Object, Errors: make([]fieldProblem, len(e.Fields)),
	}
	for i, f := range e.Fields {
		p.Errors[i] = fieldProblem(f)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	if err := body.Write(w, m.status, p); err != nil {
		api.Log.Error("a refusal could not be told", "request_id", door.RequestID(w), "error", err)
	}
}
