// Package cycle speaks the API keys of a Cycle hub, at /v1/hubs/current: keys that
// carry a role, and the roles that there are to carry.
//
// A hub is an organization; which one is current is what the X-Hub-Id header says,
// and it must be the caller's. The README beside this tells the document's warts
// and what was decided.
package cycle

import (
	"net/http"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/dialect/internal/exchange"
	"latchkey.dev/latchkey/internal/body"
)

// Config is what the dialect is made of.
type Config = exchange.Config

// New makes the dialect.
func New(config Config) *exchange.Dialect {
	const (
		keys  = "/v1/hubs/current/api-keys"
		roles = "/v1/hubs/current/roles"
	)
	managing := needs(keysManage, exchange.All(ofKeys()...))
	viewing := needs(rolesView, exchange.Any(latchkey.RoleRead, latchkey.KeyCreate))
	const takes = body.MissingContentType
	return &exchange.Dialect{
		Config: config, Name: "cycle",
		Mounts: []string{"/v1/hubs/"},
		Admit:  admit,
		Refuse: refuse,
		Routes: []exchange.Route{
			{Method: http.MethodGet, Path: keys, Permit: managing, Run: listKeys},
			{Method: http.MethodPost, Path: keys, Permit: managing, Limit: body.MaxManagement, Body: takes, Run: createKey},
			{Method: http.MethodGet, Path: keys + "/{apikeyId}", Permit: managing, Run: getKey},
			{Method: http.MethodPatch, Path: keys + "/{apikeyId}", Permit: managing, Limit: body.MaxManagement, Body: takes, Run: updateKey},
			{Method: http.MethodDelete, Path: keys + "/{apikeyId}", Permit: managing, Run: deleteKey},
			{Method: http.MethodGet, Path: roles, Permit: viewing, Run: listRoles},
			{Method: http.MethodGet, Path: roles + "/{roleId}", Permit: viewing, Run: getRole},
		},
	}
}

// admit holds the hub that the request names to the caller's own. Another hub and
// one that there is not are not told apart.
func admit(x *exchange.Exchange) error {
	x.Only = authority.Only{Role: true}
	named := x.R.Header.Values("X-Hub-Id")
	if len(named) != 1 || named[0] == "" {
		return &refusal{
			code: "401.auth-invalid", source: "/headers/x-hub-id",
			cause: latchkey.Errorf(latchkey.CodeUnauthenticated, "Send the id of your hub, once, in the header X-Hub-Id."),
		}
	}
	if hub, err := latchkey.ParseHex(named[0]); err != nil || hub != x.Organization {
		return &refusal{
			code: "403.wrong-hub", source: "/headers/x-hub-id",
			cause: latchkey.Errorf(latchkey.CodeForbidden, "Your key is not one of the hub that X-Hub-Id names."),
		}
	}
	return nil
}
