package cycle

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/dialect/internal/exchange"
	"latchkey.dev/latchkey/internal/body"
)

// envelope is an error on the wire; data is null.
type envelope struct {
	Error failure   `json:"error"`
	Data  *struct{} `json:"data"`
}

type failure struct {
	Status int               `json:"status"` // the digits with which Code begins
	Code   string            `json:"code"`
	Title  string            `json:"title"`
	Detail string            `json:"detail,omitzero"`
	Source string            `json:"source,omitzero"` // a pointer to what is wrong: /name, /query/sort, /headers/x-hub-id
	Extra  map[string]string `json:"extra,omitzero"`
}

// refusal is one that this dialect brings about, with what the document tells of
// it beyond the cause.
type refusal struct {
	code, source, capability string
	cause                    error
}

// Error implements error.
func (r *refusal) Error() string { return r.code + ": " + r.cause.Error() }

// Unwrap gives the cause to errors.As.
func (r *refusal) Unwrap() error { return r.cause }

// codes translates every code of the core, where nothing more is known; a test
// counts them.
var codes = map[latchkey.ErrorCode]string{
	latchkey.CodeUnauthenticated:         "401.auth-invalid",
	latchkey.CodeTooManyRequests:         "429.rate-limiting",
	latchkey.CodeBusy:                    "503.not-ready",
	latchkey.CodeForbidden:               "403.permissions",
	latchkey.CodeMethodNotAllowed:        "404.uri",
	latchkey.CodeUnsupportedMediaType:    "415.invalid-content-type",
	latchkey.CodeTooLarge:                "422.max-exceeded",
	latchkey.CodeMalformedBody:           "400.invalid-syntax",
	latchkey.CodeInvalid:                 "422.invalid-argument",
	latchkey.CodeCeiling:                 "403.permissions",
	latchkey.CodeNotFound:                "404.uri",
	latchkey.CodeConflict:                "422.max-exceeded", // the one conflict that can come of these operations: the hub has as many keys as it may
	latchkey.CodePreconditionFailed:      "403.invalid-state",
	latchkey.CodeIdempotencyMismatch:     "403.invalid-state",
	latchkey.CodeIdempotentSecretExpired: "403.invalid-state",
	latchkey.CodeRotationInProgress:      "403.invalid-state",
	latchkey.CodeUnavailable:             "503.not-ready",
	latchkey.CodeInternal:                "500.unknown",
}

// titles are the codes in words.
var titles = map[string]string{
	"400.invalid-syntax":       "The body cannot be read",
	"401.auth-invalid":         "No valid credential",
	"401.auth-expired":         "The credential has expired",
	"403.permissions":          "Not permitted",
	"403.wrong-hub":            "Not your hub",
	"403.invalid-ip":           "Not from this address",
	"403.invalid-state":        "The present state does not allow it",
	"404.uri":                  "There is nothing at this path",
	"404.hub.api-key":          "API key not found",
	"404.hub.role":             "Role not found",
	"415.invalid-content-type": "The body must be JSON",
	"422.missing-argument":     "An argument is missing",
	"422.invalid-argument":     "An argument is not valid",
	"422.invalid-input":        "An argument names nothing in the hub",
	"422.max-exceeded":         "Too much",
	"429.rate-limiting":        "Too many requests",
	"500.unknown":              "Something failed on our side",
	"503.not-ready":            "Not now",
}

// The rule of a member that has to be there and is not.
const ruleMissing = "missing"

// refuse is the one place where an error becomes an answer.
func refuse(x *exchange.Exchange, err error) {
	e := latchkey.AsError(err)
	x.Logged(e)
	out := failure{Code: codeOf(x, e), Detail: tell(e)}
	if len(e.Fields) > 0 {
		out.Source = sourceOf(e.Fields[0].Pointer)
	}
	if own, ok := errors.AsType[*refusal](err); ok {
		out.Code, out.Source = own.code, own.source
		if own.capability != "" {
			out.Extra = map[string]string{"capability": own.capability}
		}
	}
	out.Title = titles[out.Code]
	out.Status, _ = strconv.Atoi(out.Code[:3])
	if out.Status != 403 {
		x.Challenge(e.Code)
	}
	_ = x.Answer(out.Status, envelope{Error: out})
}

// codeOf is the document's code for a refusal.
func codeOf(x *exchange.Exchange, e *latchkey.Error) string {
	switch {
	case e.Code == latchkey.CodeUnauthenticated && x.Verdict == latchkey.CodeDisabled:
		return "403.invalid-state"
	case e.Code == latchkey.CodeUnauthenticated && x.Verdict == latchkey.CodeExpired:
		return "401.auth-expired"
	case e.Code == latchkey.CodeForbidden && x.Verdict == latchkey.CodeIPNotAllowed:
		return "403.invalid-ip"
	case e.Code == latchkey.CodeNotFound && x.R.PathValue("apikeyId") != "":
		return "404.hub.api-key"
	case e.Code == latchkey.CodeNotFound && x.R.PathValue("roleId") != "":
		return "404.hub.role"
	case len(e.Fields) > 0:
		return codeOfRule(e.Code, e.Fields[0].Code)
	}
	if code, known := codes[e.Code]; known {
		return code
	}
	return codes[latchkey.CodeInternal]
}

// codeOfRule is the document's code for a broken rule: of the grammar, or of what
// an argument may be.
func codeOfRule(code latchkey.ErrorCode, rule string) string {
	switch {
	case rule == ruleMissing:
		return "422.missing-argument"
	case rule == "unknown":
		return "422.invalid-input"
	case slices.Contains([]string{body.RuleWrongType, body.RuleRange, body.RuleFormat, body.RuleNUL}, rule):
		return "422.invalid-argument"
	}
	return codes[code]
}

// tell says everything that is wrong in one line.
func tell(e *latchkey.Error) string {
	if len(e.Fields) == 0 {
		return e.Detail
	}
	told := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		told[i] = strings.TrimPrefix(sourceOf(f.Pointer)+": "+f.Detail, ": ")
	}
	return strings.Join(told, " ")
}

// sourceOf is how the document points to what our pointer points to.
func sourceOf(pointer string) string {
	for _, spelling := range [][2]string{
		{"query:filter/", "/query/filter/"}, {"query:page/", "/query/page/"}, {"query:search", "/query/filter/search"},
		{"query:role", "/query/filter/role_id"}, {"query:", "/query/"}, {"/restrictions/addresses", "/ips"}, {"/role_id", "/role_id"}, {"/role", "/role_id"},
	} {
		if rest, ok := strings.CutPrefix(pointer, spelling[0]); ok {
			return strings.TrimSuffix(spelling[1]+rest, "/")
		}
	}
	return pointer
}
