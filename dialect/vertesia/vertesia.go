// Package vertesia speaks Vertesia's API keys, and the token service that its
// clients call. README.md tells what their document leaves open and what was
// decided; docs/dialects.md has every item of it.
package vertesia

import (
	"net/http"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/dialect/internal/exchange"
	"latchkey.dev/latchkey/internal/body"
)

// Config is what the dialect is made of.
type Config = exchange.Config

// The paths.
const (
	keysPath  = "/api/v1/apikeys"
	rolesPath = "/api/v1/iam/roles"
	issuePath = "/token/issue"
)

// New makes the dialect.
func New(config Config) *exchange.Dialect {
	read := exchange.All(latchkey.KeyRead)
	return &exchange.Dialect{
		Config: config, Name: "vertesia",
		Mounts: []string{"/api/v1/", "/token/", "/auth/"},
		Routes: slashed([]exchange.Route{
			{Method: http.MethodGet, Path: keysPath, Permit: read, Once: []string{"level"}, Run: listKeys},
			{Method: http.MethodPost, Path: keysPath, Permit: exchange.All(latchkey.KeyCreate), Limit: body.MaxManagement, Run: createKey},
			{Method: http.MethodGet, Path: keysPath + "/{id}", Permit: read, Once: []string{"withValue"}, Run: getKey},
			{Method: http.MethodPut, Path: keysPath + "/{id}", Permit: exchange.All(latchkey.KeyUpdate), Limit: body.MaxManagement, Run: updateKey},
			{Method: http.MethodDelete, Path: keysPath + "/{id}", Permit: exchange.All(latchkey.KeyDelete), Run: deleteKey},
			{Method: http.MethodGet, Path: keysPath + "/{id}/token", Permit: read, Run: mintToken},

			{Method: http.MethodGet, Path: rolesPath, Permit: read, Run: listRoles},
			{Method: http.MethodGet, Path: rolesPath + "/system", Permit: read, Run: listRoles},

			{Method: http.MethodPost, Path: issuePath, Open: true, Run: issueToken},
			{Method: http.MethodPost, Path: "/token/refresh", Open: true, Permit: anyone, Limit: body.MaxManagement, Body: body.MissingContentType, Run: refreshToken},
			{Method: http.MethodGet, Path: "/auth/token", Open: true, Once: []string{"token", "accountId"}, Run: legacyToken},
		}),
		Admit:  admit,
		Refuse: refuse,
	}
}

// anyone permits whoever is authenticated.
func anyone(*authority.Caller) error { return nil }

// slashed takes every path with a slash at its end too. A redirect would lose
// the method and the body of a POST.
func slashed(routes []exchange.Route) []exchange.Route {
	both := routes
	for _, r := range routes {
		r.Path += "/{$}"
		both = append(both, r)
	}
	return both
}

// admit narrows the caller to the keys that have a form here.
func admit(x *exchange.Exchange) error {
	x.Only = authority.Only{Builtin: true, Standing: true}
	return nil
}

// answer sends a success. What it looks like depends on two headers.
func answer(x *exchange.Exchange, v any) error {
	vary(x.W)
	return x.Answer(http.StatusOK, v)
}
