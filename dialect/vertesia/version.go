package vertesia

import (
	"net/http"
	"strconv"
	"strings"

	"latchkey.dev/latchkey/dialect/internal/exchange"
	"latchkey.dev/latchkey/internal/body"
)

// versionHeader says which version of the API a client was written for, as
// YYYYMMDD.
const versionHeader = "X-Api-Version"

// strictSince is the version from which on a body may have no members that the
// document does not know.
const strictSince = 20260803

// generatedClient begins the User-Agent of the clients that are generated from
// the platform's OpenAPI document. They read projects as objects alone, and send
// no version.
const generatedClient = "OpenAPI-Generator/"

// lenient reports whether the client is of the time when unknown members were
// skipped. One that does not say so readably is not.
func lenient(h http.Header) bool {
	values := h.Values(versionHeader)
	if len(values) != 1 || len(values[0]) != len("YYYYMMDD") || strings.Trim(values[0], "0123456789") != "" {
		return false
	}
	version, err := strconv.Atoi(values[0])
	return err == nil && version < strictSince
}

// wholeProjects reports whether the client reads projects as objects. Others,
// such as the document's own examples, know the id alone.
func wholeProjects(h http.Header) bool {
	return len(h.Values(versionHeader)) > 0 || strings.HasPrefix(h.Get("User-Agent"), generatedClient)
}

// vary tells caches and people what an answer depends on.
func vary(w http.ResponseWriter) {
	w.Header().Set("Vary", "x-api-version, User-Agent")
}

// members are the options with which a body is read.
func members(x *exchange.Exchange) body.Option {
	if lenient(x.R.Header) {
		return body.UnknownMembers
	}
	return 0
}
