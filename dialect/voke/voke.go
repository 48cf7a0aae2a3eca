// Package voke speaks Voke's partner API keys: a list with totals, a creation
// that tells a key and a signing key, a revocation. README.md has the original's
// warts and what was decided; docs/dialects.md is the document, item by item.
package voke

import (
	"fmt"
	"math"
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
	keysPath = "/api/v1/partner/api-keys"
	keyPath  = keysPath + "/{id}"
)

// New makes the dialect.
func New(config Config) *exchange.Dialect {
	return &exchange.Dialect{
		Config: config, Name: "voke",
		Mounts:     []string{"/api/v1/partner/"},
		KeyHeaders: []string{"X-API-Key"},
		Routes: []exchange.Route{
			{Method: http.MethodGet, Path: keysPath, Permit: exchange.All(latchkey.KeyRead), Run: list},
			{Method: http.MethodPost, Path: keysPath, Permit: exchange.All(latchkey.KeyCreate), Limit: body.MaxManagement, Run: create},
			{Method: http.MethodDelete, Path: keyPath, Permit: exchange.All(latchkey.KeyDelete), Run: revoke},
		},
		Admit:  admit,
		Refuse: refuse,
	}
}

// admit holds the caller to its organization. A client may name it in x-org-id,
// and has to where its credential belongs to none in particular.
func admit(x *exchange.Exchange) error {
	x.Only = authority.Only{Partner: true}
	named := x.R.Header.Values("X-Org-Id")
	if len(named) == 0 && x.Reach == latchkey.ReachAll {
		return refusal{http.StatusForbidden, "ORG_CONTEXT_REQUIRED", "Your credential reaches every organization: name one in the header x-org-id"}
	}
	for _, name := range named {
		if id, ours, err := latchkey.ParseUUID(name); err != nil || !ours || id != x.Organization {
			return refusal{http.StatusForbidden, "ORG_MEMBERSHIP_REQUIRED", "The header x-org-id names an organization that is not your credential's"}
		}
	}
	return nil
}

func list(x *exchange.Exchange) error {
	page, limit, err := pageOf(x.Query)
	if err != nil {
		return err
	}
	keys, total, err := x.Dialect.Authority.PageKeys(x.R.Context(), &x.Call, authority.KeyFilter{}, (page-1)*limit, limit)
	if err != nil {
		return err
	}
	data, err := spellKeys(x, keys)
	if err != nil {
		return err
	}
	pages := (total + int64(limit) - 1) / int64(limit)
	return x.Answer(http.StatusOK, listAnswer{data, meta{page, limit, total, pages}})
}

func create(x *exchange.Exchange) error {
	in, err := readKey(x)
	if err != nil {
		return err
	}
	issued, effective, err := x.Dialect.Authority.CreateKey(x.R.Context(), &x.Call, in)
	if err != nil {
		return err
	}
	x.Changed(effective)
	keys, err := spellKeys(x, []authority.Described{issued.Described})
	if err != nil { // of its creator: the key is made, and its secrets are told now or never
		x.Logged(latchkey.AsError(err))
		keys = []partnerKey{spellKey(&issued.Described)}
	}
	return x.Answer(http.StatusCreated, createdAnswer{keys[0], issued.Secret.Expose(), issued.SigningKey.Expose()})
}

func revoke(x *exchange.Exchange) error {
	id, ours, err := latchkey.ParseUUID(x.R.PathValue("id"))
	if err != nil {
		return refusal{http.StatusBadRequest, "INVALID_UUID", "Invalid API key UUID"}
	}
	if !ours {
		return noKey()
	}
	_, effective, err := x.Dialect.Authority.RevokeKey(x.R.Context(), &x.Call, id, "revoked by way of the Voke API")
	if latchkey.CodeOf(err) == latchkey.CodeNotFound {
		return noKey()
	}
	if err != nil {
		return err
	}
	x.Changed(effective)
	message := "API key revoked"
	if !effective.Everywhere() {
		message += fmt.Sprintf("; it may take up to %ds until every node refuses it", int64(math.Ceil(effective.Within().Seconds())))
	}
	return x.Answer(http.StatusOK, revokedAnswer{message})
}
