package vertesia

import (
	"net/http"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/dialect/internal/exchange"
)

// refusal is how the platform's API tells an error. Its generated clients demand
// error and status, and take details for a string.
type refusal struct {
	Error   string `json:"error"`
	Status  int    `json:"status"`
	Message string `json:"message,omitempty"`
	Details string `json:"details,omitempty"`
}

// denial is how the token service tells a 403.
type denial struct {
	Error   string `json:"error"`
	Message string `json:"message"`
	Code    string `json:"errorCode"`
}

// The codes of denials.
const (
	issuanceForbidden = "token_issuance_forbidden"
	noSuchAccount     = "no_accessible_account"
)

// outage is how the token service tells a 503.
type outage struct {
	Error   string `json:"error"`
	Message string `json:"message"`
}

// statuses gives each code its one status here.
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
	latchkey.CodePreconditionFailed:      http.StatusPreconditionFailed,
	latchkey.CodeIdempotencyMismatch:     http.StatusConflict,
	latchkey.CodeIdempotentSecretExpired: http.StatusConflict,
	latchkey.CodeRotationInProgress:      http.StatusConflict,
	latchkey.CodeUnavailable:             http.StatusServiceUnavailable,
	latchkey.CodeInternal:                http.StatusInternalServerError,
}

// refuse tells a refusal.
func refuse(x *exchange.Exchange, err error) {
	e := latchkey.AsError(err)
	x.Logged(e)
	status, known := statuses[e.Code]
	if !known {
		status = http.StatusInternalServerError
	}
	x.Challenge(e.Code)
	vary(x.W)
	if err := x.Answer(status, spellRefusal(x, e, status)); err != nil {
		x.Logged(latchkey.AsError(err))
	}
}

// spellRefusal gives a refusal its form: the token service has one of its own for
// two statuses.
func spellRefusal(x *exchange.Exchange, e *latchkey.Error, status int) any {
	ofTokens := !strings.HasPrefix(x.R.URL.Path, "/api/")
	switch {
	case ofTokens && status == http.StatusForbidden:
		code := issuanceForbidden
		if len(e.Fields) > 0 {
			code = e.Fields[0].Code
		}
		return denial{http.StatusText(status), e.Detail, code}
	case ofTokens && status == http.StatusServiceUnavailable:
		return outage{http.StatusText(status), e.Detail}
	}
	return refusal{http.StatusText(status), status, e.Detail, details(e.Fields)}
}

// details tells every broken rule in one text.
func details(fields []latchkey.FieldError) string {
	var told []string
	for _, f := range fields {
		name := strings.TrimPrefix(strings.TrimPrefix(f.Pointer, "query:"), "/")
		if name == "metadata" { // where these are kept
			name = "properties, clearance, compartments"
		}
		if name != "" {
			name += ": "
		}
		told = append(told, name+f.Detail)
	}
	return strings.Join(told, " ")
}
