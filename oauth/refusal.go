package oauth

import (
	"net/http"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/body"
	"latchkey.dev/latchkey/internal/door"
)

// code is why a request is refused, from the closed set of the standards.
type code string

// The codes.
const (
	invalidRequest     code = "invalid_request"        // RFC 6749, section 5.2
	invalidClient      code = "invalid_client"         // the same
	invalidGrant       code = "invalid_grant"          // the same
	unauthorizedClient code = "unauthorized_client"    // the same
	unsupportedGrant   code = "unsupported_grant_type" // the same
	invalidScope       code = "invalid_scope"          // the same
	invalidTarget      code = "invalid_target"         // RFC 8693, section 2.2.2; RFC 8707, section 2
	invalidToken       code = "invalid_token"          // RFC 6750, section 3.1
	insufficientScope  code = "insufficient_scope"     // the same
	unavailable        code = "temporarily_unavailable"
	serverError        code = "server_error"
)

// refusal is an error in the form of RFC 6749, section 5.2.
type refusal struct {
	code   code
	detail string
	status int  // 0: what the code stands for
	bearer bool // the credential was shown as Bearer: the challenge is that of RFC 6750
}

// Error implements error.
func (e *refusal) Error() string { return string(e.code) + ": " + e.detail }

func refused(c code, detail string) *refusal { return &refusal{code: c, detail: detail} }

// statusOf is the status of a code.
func statusOf(c code) int {
	switch c {
	case invalidClient, invalidToken:
		return http.StatusUnauthorized
	case insufficientScope:
		return http.StatusForbidden
	case unavailable:
		return http.StatusServiceUnavailable
	case serverError:
		return http.StatusInternalServerError
	default:
		return http.StatusBadRequest
	}
}

// translated are the core's codes as this edge tells them; a test counts them.
// What says more than its code is told where it happens.
var translated = map[latchkey.ErrorCode]refusal{
	latchkey.CodeUnauthenticated:         {code: invalidClient},
	latchkey.CodeForbidden:               {code: unauthorizedClient},
	latchkey.CodeCeiling:                 {code: unauthorizedClient},
	latchkey.CodeInvalid:                 {code: invalidRequest},
	latchkey.CodeMalformedBody:           {code: invalidRequest},
	latchkey.CodeConflict:                {code: invalidGrant},
	latchkey.CodePreconditionFailed:      {code: invalidGrant},
	latchkey.CodeIdempotencyMismatch:     {code: invalidRequest},
	latchkey.CodeIdempotentSecretExpired: {code: invalidRequest},
	latchkey.CodeRotationInProgress:      {code: invalidGrant},
	latchkey.CodeNotFound:                {code: invalidRequest, status: http.StatusNotFound},
	latchkey.CodeMethodNotAllowed:        {code: invalidRequest, status: http.StatusMethodNotAllowed},
	latchkey.CodeUnsupportedMediaType:    {code: invalidRequest},
	latchkey.CodeTooLarge:                {code: invalidRequest, status: http.StatusRequestEntityTooLarge},
	latchkey.CodeTooManyRequests:         {code: unavailable, status: http.StatusTooManyRequests},
	latchkey.CodeBusy:                    {code: unavailable},
	latchkey.CodeUnavailable:             {code: unavailable},
	latchkey.CodeInternal:                {code: serverError},
}

// translate gives an error of the core this edge's form.
func translate(err error) *refusal {
	if e, ok := err.(*refusal); ok { //nolint:errorlint // ours are never wrapped
		return e
	}
	e := latchkey.AsError(err)
	told, known := translated[e.Code]
	if !known {
		told.code = serverError
	}
	told.detail = e.Detail
	for _, f := range e.Fields {
		if f.Pointer == "/scope" {
			told.code, told.detail = invalidScope, f.Detail
		}
	}
	return &told
}

// refuse is the one place where an error becomes an answer. Causes go to the log
// and never leave.
func (api *API) refuse(w http.ResponseWriter, r *http.Request, err error) {
	told := translate(err)
	if e := latchkey.AsError(err); told.code == serverError || told.code == unavailable && e.Cause != nil {
		if r.Context().Err() == nil {
			api.Log.Error("refused for a fault", "request_id", door.RequestID(w), "code", string(told.code), "error", err)
		}
	}
	status := told.status
	if status == 0 {
		status = statusOf(told.code)
	}
	h := w.Header()
	switch told.code {
	case invalidClient, invalidToken, insufficientScope:
		h.Set("WWW-Authenticate", told.challenge())
	case unavailable:
		if h.Get("Retry-After") == "" {
			h.Set("Retry-After", "1")
		}
	default:
	}
	api.write(w, status, map[string]string{"error": string(told.code), "error_description": describable(told.detail)})
}

// challenge is the WWW-Authenticate of the scheme in which the client showed its
// credential (RFC 6749, section 5.2; RFC 6750, section 3).
func (e *refusal) challenge() string {
	if !e.bearer {
		return `Basic realm="latchkey", charset="UTF-8"`
	}
	challenge := `Bearer realm="latchkey", error="` + string(e.code) + `"`
	if e.code == insufficientScope {
		challenge += `, scope="` + string(latchkey.TokenIntrospect) + `"`
	}
	return challenge
}

// describable keeps a detail within what an error_description may hold (RFC 6749,
// section 5.2).
func describable(detail string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r < ' ' || r > '~' || r == '\\':
			return '?'
		}
		return r
	}, detail)
}

// write answers. No cache keeps it (RFC 6749, section 5.1).
func (api *API) write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Pragma", "no-cache")
	if err := body.Write(w, status, v); err != nil {
		api.Log.Error("an answer could not be told", "request_id", door.RequestID(w), "error", err)
	}
}
