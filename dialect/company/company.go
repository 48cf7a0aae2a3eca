// Package company speaks the API keys of a company, at /keys: keys that act as a
// user of the company, listed by cursors that are the ids of keys.
//
// It shows the keys that have an owner user, those made elsewhere too. A key that
// is made here has its user's permissions and reach and none of its own. The
// README beside it tells the document's warts and what was decided.
package company

import (
	"net/http"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/dialect/internal/exchange"
	"latchkey.dev/latchkey/internal/body"
)

// Config is what the dialect is made of.
type Config = exchange.Config

// New makes the dialect. It answers at /keys, as the document prints it, and at
// /api/keys, as the vendor's servers have it.
func New(config Config) *exchange.Dialect {
	d := &exchange.Dialect{
		Config: config, Name: "company",
		KeyHeaders: []string{"X-API-Key", "X_API_KEY"},
		Admit:      admit,
		Refuse:     refuse,
	}
	for _, at := range []string{"/keys", "/api/keys"} {
		d.Mounts = append(d.Mounts, at, at+"/")
		d.Routes = append(d.Routes, routes(at)...)
	}
	return d
}

func routes(at string) []exchange.Route {
	one := at + "/{keyId}"
	return []exchange.Route{
		{Method: http.MethodGet, Path: at, Permit: exchange.All(latchkey.KeyRead), Once: listParameters(), Run: list},
		{Method: http.MethodPost, Path: at, Permit: exchange.All(latchkey.KeyCreate), Limit: body.MaxManagement, Body: body.EmptyBody, Run: create},
		{Method: http.MethodGet, Path: one, Permit: exchange.All(latchkey.KeyRead), Run: get},
		{Method: http.MethodDelete, Path: one, Permit: exchange.All(latchkey.KeyDelete), Run: remove},
	}
}

// admit narrows the caller to the keys that are shown here.
func admit(x *exchange.Exchange) error {
	x.Only = authority.Only{Owner: true}
	return nil
}

func create(x *exchange.Exchange) error {
	var in newKey
	if err := x.Decode(&in, body.UnknownMembers); err != nil {
		return err
	}
	owner, err := in.owner()
	if err != nil {
		return err
	}
	issued, effective, err := x.Dialect.Authority.CreateKeyFor(x.R.Context(), &x.Call, owner, in.WhitelistedIPs)
	if err != nil {
		return err
	}
	x.Changed(effective)
	k := spell(&issued.Described)
	k.Key = issued.Secret.Expose()
	return x.Answer(http.StatusCreated, k)
}

func get(x *exchange.Exchange) error {
	id, err := keyID(x)
	if err != nil {
		return err
	}
	k, err := x.Dialect.Authority.GetKey(x.R.Context(), &x.Call, id)
	if err != nil {
		return err
	}
	return x.Answer(http.StatusOK, spell(&k))
}

func remove(x *exchange.Exchange) error {
	id, err := keyID(x)
	if err != nil {
		return err
	}
	_, effective, err := x.Dialect.Authority.RevokeKey(x.R.Context(), &x.Call, id, "")
	if err != nil {
		return err
	}
	x.Changed(effective)
	return x.AnswerNothing()
}

// keyID reads the id in the path. What is no id of ours names nothing.
func keyID(x *exchange.Exchange) (latchkey.ID, error) {
	id, err := latchkey.ParseNative(latchkey.KindKey, x.R.PathValue("keyId"))
	if err != nil {
		return id, latchkey.Errorf(latchkey.CodeNotFound, "There is no such key.")
	}
	return id, nil
}
