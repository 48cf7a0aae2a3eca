package company

import (
	"net/http"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/dialect/internal/exchange"
)

// refusal is an error on the wire. The document has none; the vendor's servers
// answer in two forms, {status, message} and a problem document (RFC 7807), and
// clients look for either. This is both.
type refusal struct {
	Status  int    `json:"status"`
	Message string `json:"message"`
	Type    string `json:"type"`
	Title   string `json:"title"`
	Detail  string `json:"detail"` // the same as Message
}

// statuses translates every code; a test counts them.
var statuses = map[latchkey.ErrorCode]int{
	latchkey.CodeUnauthenticated:         http.StatusUnauthorized,
	latchkey.CodeTooManyRequests:         http.StatusTooManyRequests,
	latchkey.CodeBusy:                    http.StatusServiceUnavailable,
	latchkey.CodeForbidden:               http.StatusForbidden,
	latchkey.CodeMethodNotAllowed:        http.StatusMethodNotAllowed,
	latchkey.CodeUnsupportedMediaType:    http.StatusUnsupportedMediaType,
	latchkey.CodeTooLarge:                http.StatusRequestEntityTooLarge,
	latchkey.CodeMalformedBody:           http.StatusBadRequest,
	latchkey.CodeInvalid:                 http.StatusBadRequest,
	latchkey.CodeCeiling:                 http.StatusForbidden,
	latchkey.CodeNotFound:                http.StatusNotFound,
	latchkey.CodeConflict:                http.StatusConflict,
	latchkey.CodePreconditionFailed:      http.StatusConflict,
	latchkey.CodeIdempotencyMismatch:     http.StatusConflict,
	latchkey.CodeIdempotentSecretExpired: http.StatusConflict,
	latchkey.CodeRotationInProgress:      http.StatusConflict,
	latchkey.CodeUnavailable:             http.StatusServiceUnavailable,
	latchkey.CodeInternal:                http.StatusInternalServerError,
}

// refuse is the one place where an error becomes an answer.
func refuse(x *exchange.Exchange, err error) {
	e := latchkey.AsError(err)
	x.Logged(e)
	status, known := statuses[e.Code]
	if !known {
		status = http.StatusInternalServerError
	}
	x.Challenge(e.Code)
	message := tell(x, e)
	_ = x.Answer(status, refusal{status, message, "about:blank", http.StatusText(status), message})
}

// tell says what is wrong in one line: each field with its rule.
func tell(x *exchange.Exchange, e *latchkey.Error) string {
	if e.Code == latchkey.CodeNotFound && x.R.PathValue("keyId") != "" {
		return "API key not found"
	}
	if len(e.Fields) == 0 {
		return e.Detail
	}
	told := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		told[i] = f.Detail
		if name := nameOf(f.Pointer); name != "" {
			told[i] = name + ": " + f.Detail
		}
	}
	return strings.Join(told, " ")
}

// nameOf is how the document calls what a pointer points to; "" is the whole.
func nameOf(pointer string) string {
	pointer = strings.TrimPrefix(pointer, "query:")
	for ours, theirs := range map[string]string{
		"/owner_id": "userId", "/restrictions/addresses": "whitelistedIPs", "after": startingAfter, "before": endingBefore,
	} {
		if rest, ok := strings.CutPrefix(pointer, ours); ok {
			return theirs + rest
		}
	}
	return strings.TrimPrefix(pointer, "/")
}
