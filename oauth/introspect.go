package oauth

import (
	"net/http"
	"net/netip"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
)

// activeAnswer is what is told of a credential that is good (RFC 7662, section
// 2.2). Of any other nothing is told but that it is not.
type activeAnswer struct {
	Active       bool   `json:"active"`
	Scope        string `json:"scope"`
	Client       string `json:"client_id"` // the kid of its secret
	Type         string `json:"token_type"`
	Subject      string `json:"sub"`
	Expires      int64  `json:"exp,omitempty"` // Unix seconds; none: it does not end
	IssuedAt     int64  `json:"iat,omitempty"`
	Issuer       string `json:"iss,omitempty"`
	Audience     any    `json:"aud,omitempty"` // one, or a list
	ID           string `json:"jti,omitempty"`
	Actor        any    `json:"act,omitempty"` // RFC 8693, section 4.1: who had it minted
	Partner      string `json:"partner,omitempty"`
	Organization string `json:"organization_id"`
	Project      string `json:"project_id,omitempty"` // the one that it reaches
}

// inactive is the whole of what is told of a credential that is not good.
type inactive struct {
	Active bool `json:"active"`
}

// introspect tells a resource server what a credential is worth.
func (x *exchange) introspect() error {
	s, err := x.client()
	if err != nil {
		return err
	}
	if s == nil {
		return refused(invalidClient, "Authenticate with a key that holds token:introspect: as Basic, with client_id and client_secret, or as Bearer.")
	}
	if err := x.authenticate(s); err != nil {
		return err
	}
	if !x.May(latchkey.TokenIntrospect) {
		return &refusal{code: insufficientScope, detail: "This needs the permission token:introspect.", bearer: true}
	}
	if x.form.get("token") == "" {
		return refused(invalidRequest, "token is required.")
	}
	from, err := x.presentedFrom()
	if err != nil {
		return err
	}
	in, err := x.api.Authority.Introspect(x.r.Context(), &x.Call, x.form.secret("token"), from)
	if err != nil {
		return err
	}
	if in == nil {
		x.api.Observe(Inactive)
		x.api.write(x.w, http.StatusOK, inactive{})
		return nil
	}
	x.api.Observe(Active)
	x.api.write(x.w, http.StatusOK, spell(in))
	return nil
}

// presentedFrom is where the credential was presented, as the resource server
// says: without it, one that may be used from some addresses alone is not good.
func (x *exchange) presentedFrom() (netip.Addr, error) {
	text := x.form.get("client_address")
	if text == "" {
		return netip.Addr{}, nil
	}
	address, err := netip.ParseAddr(text)
	if err != nil || address.Zone() != "" {
		return address, refused(invalidRequest, "client_address is one IPv4 or IPv6 address.")
	}
	return address, nil
}

func spell(in *authority.Introspection) activeAnswer {
	id := in.Identity
	out := activeAnswer{
		Active: true, Scope: joined(in.Permissions), Client: string(id.KID), Type: "Bearer", Subject: id.KeyID.Native(latchkey.KindKey),
		Expires: seconds(in.ExpiresAt), Partner: id.Key.Partner, Organization: id.Key.Organization.Native(latchkey.KindOrganization),
	}
	if id.Key.Reach == latchkey.ReachProject {
		out.Project = id.Key.Project.Native(latchkey.KindProject)
	}
	t := in.Token
	if t == nil {
		return out
	}
	out.Subject, out.IssuedAt, out.Issuer, out.ID = t.Subject(), seconds(t.IssuedAt()), t.Issuer(), t.ID()
	if out.Audience = t.Audience(); len(t.Audience()) == 1 {
		out.Audience = t.Audience()[0]
	}
	if t.Minted() {
		out.Actor = map[string]string{"sub": t.Minter().Subject}
	}
	return out
}

func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
