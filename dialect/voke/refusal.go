package voke

import (
	"cmp"
	"errors"
	"net/http"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/dialect/internal/exchange"
)

// refusal is how an error is told.
type refusal struct {
	status  int
	code    string
	message string
}

// Error implements error.
func (r refusal) Error() string { return r.code + ": " + r.message }

// invalidInput is a refusal that names fields.
type invalidInput struct {
	refusal
	details problems
}

func invalid(details problems) error {
	return invalidInput{meanings[latchkey.CodeInvalid], details}
}

func noKey() error { return refusal{http.StatusNotFound, "API_KEY_NOT_FOUND", "API key not found"} }

// errorAnswer is the document's error.
type errorAnswer struct {
	Code       string   `json:"code"`
	Details    problems `json:"details"`
	Error      string   `json:"error"`
	Message    string   `json:"message"`
	StatusCode int      `json:"statusCode"`
}

// meanings translates every code; a test counts them. Where the message is "",
// the error's own is told: the document has none.
var meanings = map[latchkey.ErrorCode]refusal{
	latchkey.CodeUnauthenticated:         {http.StatusUnauthorized, "UNAUTHORIZED", "Unauthorized"},
	latchkey.CodeTooManyRequests:         {http.StatusTooManyRequests, "TOO_MANY_REQUESTS", ""},
	latchkey.CodeBusy:                    {http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE", ""},
	latchkey.CodeForbidden:               {http.StatusForbidden, "FORBIDDEN", "Forbidden"},
	latchkey.CodeMethodNotAllowed:        {http.StatusNotFound, "NOT_FOUND", ""},
	latchkey.CodeUnsupportedMediaType:    {http.StatusBadRequest, "BAD_REQUEST", ""},
	latchkey.CodeTooLarge:                {http.StatusBadRequest, "BAD_REQUEST", ""},
	latchkey.CodeMalformedBody:           {http.StatusBadRequest, "BAD_REQUEST", ""},
	latchkey.CodeInvalid:                 {http.StatusBadRequest, "VALIDATION_ERROR", "Validation error"},
	latchkey.CodeCeiling:                 {http.StatusForbidden, "FORBIDDEN", "Forbidden"},
	latchkey.CodeNotFound:                {http.StatusNotFound, "NOT_FOUND", ""},
	latchkey.CodeConflict:                {http.StatusConflict, "CONFLICT", ""},
	latchkey.CodePreconditionFailed:      {http.StatusConflict, "CONFLICT", ""},
	latchkey.CodeIdempotencyMismatch:     {http.StatusConflict, "CONFLICT", ""},
	latchkey.CodeIdempotentSecretExpired: {http.StatusConflict, "CONFLICT", ""},
	latchkey.CodeRotationInProgress:      {http.StatusConflict, "CONFLICT", ""},
	latchkey.CodeUnavailable:             {http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE", ""},
	latchkey.CodeInternal:                {http.StatusInternalServerError, "INTERNAL_SERVER_ERROR", "Internal server error"},
}

// refuse is the one place where errors get a form.
func refuse(x *exchange.Exchange, err error) {
	told, details := form(x, err)
	x.Challenge(latchkey.CodeOf(err))
	if told.code == "BAD_REQUEST" {
		x.W.Header().Set("Connection", "close") // what is left of the body is not worth reading
	}
	_ = x.Answer(told.status, errorAnswer{told.code, details, http.StatusText(told.status), told.message, told.status})
}

func form(x *exchange.Exchange, err error) (refusal, problems) {
	if own, ok := errors.AsType[invalidInput](err); ok {
		return own.refusal, own.details
	}
	if own, ok := errors.AsType[refusal](err); ok {
		return own, problems{}
	}
	e := latchkey.AsError(err)
	x.Logged(e)
	told, known := meanings[e.Code]
	if !known {
		told = meanings[latchkey.CodeInternal]
	}
	details := problems{}
	switch e.Code {
	case latchkey.CodeInvalid:
		for _, f := range e.Fields {
			field, what := translate(f)
			details.add(field, "%s", what)
		}
	case latchkey.CodeForbidden, latchkey.CodeCeiling:
		details.add("request", "%s", e.Detail)
	case latchkey.CodeMalformedBody:
		for _, f := range e.Fields {
			told.message = f.Detail
		}
	default:
	}
	told.message = cmp.Or(told.message, e.Detail)
	return told, details
}
