package oauth

import (
	"net/http"

	"latchkey.dev/latchkey/authority"
)

// revoke ends a credential (RFC 7009). Whoever holds it may, and needs no other;
// a client that authenticates besides can end its own alone. That there was
// nothing to end is a success (section 2.2).
func (x *exchange) revoke() error {
	s, err := x.client()
	if err != nil {
		return err
	}
	var of *authority.Caller
	if s != nil {
		if err := x.authenticate(s); err != nil {
			return err
		}
		of = &x.Caller
	}
	if x.form.get("token") == "" {
		return refused(invalidRequest, "token is required.")
	}
	effective, err := x.api.Authority.RevokePresented(x.r.Context(), &x.Call, x.form.secret("token"), of)
	if err != nil {
		return err
	}
	x.api.Observe(Revoked)
	h := x.w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("X-Latchkey-Effective", effective.String())
	x.w.WriteHeader(http.StatusOK)
	return nil
}
