package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// TokenRequest is a token that is asked for. The zero value is one for the server
// itself, with all that the credential may do now.
type TokenRequest struct {
	Scopes    []string // a part of what the credential holds; one that it does not hold is refused
	Audiences []string // whom it is for; none: the server, where alone it is then a credential
	Algorithm string   // ES256 or RS256; "": ES256
}

// AccessToken is a token that stands for a key.
type AccessToken struct {
	Token     Secret `json:"access_token"`
	Scope     string `json:"scope"`      // with spaces between
	ExpiresIn int64  `json:"expires_in"` // seconds
}

// Life is how long the token lives from now.
func (t AccessToken) Life() time.Duration { return time.Duration(t.ExpiresIn) * time.Second }

// Introspection is what a credential is worth (RFC 7662). Of one that is not
// active nothing else is told.
type Introspection struct {
	Active   bool   `json:"active"`
	Scope    string `json:"scope"`     // with spaces between
	ClientID string `json:"client_id"` // the kid of its secret
	Subject  string `json:"sub"`       // the key
	Expires  int64  `json:"exp"`       // Unix seconds; 0: it does not end
	IssuedAt int64  `json:"iat"`       // Unix seconds; 0: it is a key
	Issuer   string `json:"iss"`
	ID       string `json:"jti"`
	Partner  string `json:"partner"`

	OrganizationID string `json:"organization_id"`
	ProjectID      string `json:"project_id"` // the one that it reaches; "": the whole organization
}

const exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange" // RFC 8693, section 2.1

// Exchange gives a token for a key, or a narrower one for a token. Like the next
// two it needs the server's network address: the socket does not have it.
func (t Tokens) Exchange(ctx context.Context, credential Secret, want TokenRequest) (AccessToken, error) {
	form := url.Values{
		"grant_type": {exchangeGrant}, "subject_token": {credential.Expose()}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
		"scope": {strings.Join(want.Scopes, " ")}, "algorithm": {want.Algorithm}, "audience": want.Audiences,
	}
	a, err := send[AccessToken](ctx, t.c, &call{method: http.MethodPost, path: "/oauth/token", form: form, bare: true, repeatable: true})
	return a.Value, err
}

// Introspect asks what a credential is worth that was presented from an address,
// "" if that is not known. The client's own needs token:introspect.
func (t Tokens) Introspect(ctx context.Context, credential Secret, address string) (Introspection, error) {
	form := url.Values{"token": {credential.Expose()}, "client_address": {address}}
	a, err := send[Introspection](ctx, t.c, &call{method: http.MethodPost, path: "/oauth/introspect", form: form, repeatable: true})
	return a.Value, err
}

// Revoke ends a credential: a key is revoked, and a token refused with all that
// came of the same exchange. That it was worth nothing before is no error.
func (t Tokens) Revoke(ctx context.Context, credential Secret) error {
	form := url.Values{"token": {credential.Expose()}}
	_, _, err := t.c.exchange(ctx, &call{method: http.MethodPost, path: "/oauth/revoke", form: form, bare: true, changes: true, repeatable: true})
	return err
}

// refused reads an answer that is not a success; to a form it has the shape of RFC
// 6749, section 5.2.
func (k *call) refused(r *http.Response, body []byte) *Error {
	e := refusal(r, body)
	var told struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if k.form != nil && e.Code == "" && json.Unmarshal(body, &told) == nil && told.Error != "" && len(told.Error)+len(told.Description) < 1000 {
		e.Code, e.Detail = told.Error, told.Description
	}
	return e
}
