package oauth

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/internal/door"
	"latchkey.dev/latchkey/token"
)

// The grants.
const (
	clientCredentials = "client_credentials"                              // RFC 6749, section 4.4
	tokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange" // RFC 8693, section 2.1
)

// The types of tokens in an exchange (RFC 8693, section 3). A key is an access
// token of its kind, and has a type of its own for whoever wants to say so.
const (
	typeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
	typeJWT         = "urn:ietf:params:oauth:token-type:jwt"
	typeKey         = "urn:latchkey:token-type:api-key"
)

// life is how long a token lives, unless its key or its secret ends before.
const life = 10 * time.Minute

// Bounds of a request.
const (
	maxTargets   = 8
	maxTargetLen = 255 // bytes
)

// tokenAnswer is a token (RFC 6749, section 5.1; RFC 8693, section 2.2.1).
type tokenAnswer struct {
	Token      string `json:"access_token"`
	IssuedType string `json:"issued_token_type,omitempty"`
	Type       string `json:"token_type"`
	ExpiresIn  int64  `json:"expires_in"` // seconds
	Scope      string `json:"scope"`
}

// token gives an access token for a key.
func (x *exchange) token() (err error) {
	defer func() {
		if err != nil {
			x.api.Observe(Refused)
		}
	}()
	exchanged := ""
	switch grant := x.form.get("grant_type"); grant {
	case clientCredentials:
		err = x.byCredentials()
	case tokenExchange:
		exchanged, err = typeAccessToken, x.bySubject()
	case "":
		err = refused(invalidRequest, "grant_type is required.")
	default:
		err = refused(unsupportedGrant, "The grants are client_credentials and "+tokenExchange+".")
	}
	if err != nil {
		return err
	}
	want, err := x.wanted()
	if err != nil {
		return err
	}
	t, err := x.api.Authority.ExchangeToken(x.r.Context(), &x.Call, want)
	if err != nil {
		return err
	}
	x.api.Observe(Issued)
	x.api.write(x.w, http.StatusOK, tokenAnswer{
		t.Value.Expose(), exchanged, "Bearer", int64(t.ExpiresAt.Sub(t.IssuedAt) / time.Second), joined(t.Scopes),
	})
	return nil
}

// byCredentials makes the client the subject.
func (x *exchange) byCredentials() error {
	s, err := x.client()
	if err != nil {
		return err
	}
	if s == nil || s.bearer {
		return refused(invalidClient, "Authenticate as Basic, or with client_id and client_secret: the kid of your key, and the key.")
	}
	return x.authenticate(s)
}

// bySubject makes the subject token the subject. Whoever has it needs no other
// credential; one that is shown must be good, and of the same key.
func (x *exchange) bySubject() error {
	s, err := x.client()
	if err != nil {
		return err
	}
	var client authority.Caller
	if s != nil {
		if err := x.authenticate(s); err != nil {
			return err
		}
		client = x.Caller
	}
	if err := x.checkExchange(); err != nil {
		return err
	}
	caller, _, err := x.api.Authority.Authenticate(x.r.Context(), x.form.secret("subject_token"), x.api.ClientAddress(x.r), x.r.UserAgent())
	if err != nil {
		told := translate(x.api.Throttled(x.w, x.r, err))
		if told.code == invalidClient { // RFC 8693, section 2.2.2
			told = refused(invalidRequest, "The subject_token is not valid.")
		}
		return told
	}
	switch kind := x.form.get("subject_token_type"); {
	case (caller.Token == nil && kind == typeJWT) || (caller.Token != nil && kind == typeKey):
		return refused(invalidRequest, "The subject_token is of another type than subject_token_type says.")
	case s != nil && !client.Is(&caller):
		return refused(unauthorizedClient, "The subject_token is another client's.")
	}
	door.NoteCaller(x.w, caller.Name())
	caller.RequestID = x.RequestID
	x.Caller = caller
	return nil
}

// checkExchange checks the parameters of an exchange (RFC 8693, section 2.1).
func (x *exchange) checkExchange() error {
	f := x.form
	switch {
	case f.get("subject_token") == "" || f.get("subject_token_type") == "":
		return refused(invalidRequest, "subject_token and subject_token_type are required.")
	case !slices.Contains([]string{typeAccessToken, typeJWT, typeKey}, f.get("subject_token_type")):
		return refused(invalidRequest, "A subject_token_type is "+typeAccessToken+", "+typeJWT+" or "+typeKey+".")
	case f.get("actor_token") != "" || f.get("actor_token_type") != "":
		return refused(invalidRequest, "There is no delegation here: send no actor_token.")
	}
	if kind := f.get("requested_token_type"); kind != "" && kind != typeAccessToken && kind != typeJWT {
		return refused(invalidRequest, "The requested_token_type is "+typeAccessToken+" or "+typeJWT+".")
	}
	return nil
}

// wanted is the token that is asked for.
func (x *exchange) wanted() (authority.NewToken, error) {
	want := authority.NewToken{
		Type: token.AccessToken, Issuer: door.Issuer(x.r, x.api.PublicURL, x.api.OwnURL), Life: life, Bound: true,
		Spell:     func(id latchkey.ID) string { return id.Native(latchkey.KindKey) },
		Algorithm: token.Algorithm(x.form.get("algorithm")),
	}
	if want.Algorithm != "" && !slices.Contains(token.Algorithms(), want.Algorithm) {
		return want, refused(invalidRequest, "An algorithm is ES256 or RS256.")
	}
	var err error
	if want.Audience, err = x.targets(); err != nil {
		return want, err
	}
	want.Scopes, err = readScope(x.form.get("scope"))
	return want, err
}

// targets are whom the token is for: resources, which are addresses (RFC 8707,
// section 2), and audiences, which are names (RFC 8693, section 2.1).
func (x *exchange) targets() ([]string, error) {
	var all []string
	for _, resource := range x.form["resource"] {
		u, err := url.Parse(resource)
		if err != nil || !u.IsAbs() || u.Host == "" && u.Opaque == "" || strings.Contains(resource, "#") {
			return nil, refused(invalidTarget, "A resource is an absolute URI without a fragment.")
		}
	}
	for _, target := range slices.Concat(x.form["resource"], x.form["audience"]) {
		if len(target) > maxTargetLen {
			return nil, refused(invalidTarget, "A resource or audience is at most 255 bytes.")
		}
		if !slices.Contains(all, target) {
			all = append(all, target)
		}
	}
	if len(all) > maxTargets {
		return nil, refused(invalidTarget, "A token is for at most 8 resources and audiences.")
	}
	return all, nil
}

// readScope reads scopes (RFC 6749, section 3.3); nil where none are asked for.
func readScope(text string) (latchkey.Permissions, error) {
	if text == "" {
		return nil, nil
	}
	var scopes latchkey.Permissions
	for word := range strings.SplitSeq(text, " ") {
		p := latchkey.Permission(word)
		if latchkey.CheckPermission(word) != nil || strings.ContainsAny(word, `"\`) {
			return nil, refused(invalidScope, "Scopes are printable ASCII without quotes and backslashes, with one space between two of them.")
		}
		if !slices.Contains(scopes, p) {
			scopes = append(scopes, p)
		}
	}
	if len(scopes) > latchkey.MaxScopes {
		return nil, refused(invalidScope, "These are more scopes than any key has.")
	}
	return scopes, nil
}

func joined(scopes latchkey.Permissions) string {
	words := make([]string, len(scopes))
	for i, p := range scopes {
		words[i] = string(p)
	}
	return strings.Join(words, " ")
}
