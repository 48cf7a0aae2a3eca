package vertesia

import (
	"crypto/subtle"
	"slices"
	"time"
	"unicode/utf8"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/dialect/internal/exchange"
	"latchkey.dev/latchkey/internal/body"
	"latchkey.dev/latchkey/internal/door"
	"latchkey.dev/latchkey/token"
)

// tokenAnswer is a token alone.
type tokenAnswer struct {
	Token string `json:"token"`
}

// issuedAnswer is a token as the token service issues it.
type issuedAnswer struct {
	Token     string `json:"token"`
	Type      string `json:"token_type"`
	ExpiresIn int64  `json:"expires_in"` // seconds
}

// mintToken gives a token for another key.
func mintToken(x *exchange.Exchange) error {
	id, err := pathID(x)
	if err != nil {
		return err
	}
	t, err := x.Dialect.Authority.MintToken(x.R.Context(), &x.Call, id, wanted(x))
	if e := latchkey.AsError(err); err != nil && e.Code == latchkey.CodeConflict { // disabled or expired
		return &latchkey.Error{Code: latchkey.CodeInvalid, Detail: e.Detail}
	}
	if err != nil {
		return err
	}
	return answer(x, tokenAnswer{t.Value.Expose()})
}

// issueToken exchanges a credential for a token. Clients send no body at all, or
// null, where the credential in the header is meant; it may be one to be renewed.
func issueToken(x *exchange.Exchange) error {
	bearer, shown := door.Bearer(x.R.Header)
	if !shown && len(x.R.Header.Values("Authorization")) > 0 {
		return x.Identify()
	}
	if shown {
		if err := x.Identify(bearer); err != nil {
			return err
		}
	}
	want := wanted(x)
	asked, err := readRequest(x)
	if err != nil {
		return err
	}
	switch {
	case asked != nil:
		err = asked.apply(x, &want, shown)
	case !shown:
		err = x.Identify()
	}
	if err != nil {
		return err
	}
	t, err := x.Dialect.Authority.ExchangeToken(x.R.Context(), &x.Call, want)
	if err != nil {
		return err
	}
	return x.Answer(200, issuedAnswer{t.Value.Expose(), "Bearer", int64(t.ExpiresAt.Sub(t.IssuedAt) / time.Second)})
}

// keyType is the one type of request that is answered.
const keyType = "apikey"

// otherTypes are the types of requests for tokens of users, projects and
// machines that there are none of here.
var otherTypes = []string{"user", "project", "environment", "agent", "service_account"}

// keyRequest asks for a token of a key.
type keyRequest struct {
	Type      string                `json:"type"`
	Key       string                `json:"key"`
	Audience  body.Optional[string] `json:"audience"`
	Algorithm body.Optional[string] `json:"algorithm"`
}

// readRequest reads what is asked for; nil if nothing is.
func readRequest(x *exchange.Exchange) (*keyRequest, error) {
	const options = body.EmptyBody | body.MissingContentType
	data, err := body.Read(x.W, x.R, body.MaxManagement, options)
	if err != nil {
		return nil, err
	}
	var sent map[string]any
	if err := body.Decode(data, &sent, options); err != nil || len(sent) == 0 {
		return nil, err
	}
	kind, _ := sent["type"].(string)
	switch {
	case slices.Contains(otherTypes, kind):
		return nil, latchkey.Errorf(latchkey.CodeForbidden, "Tokens are issued for API keys alone.")
	case kind != keyType:
		return nil, latchkey.Invalid("/type", "not_allowed", "A request is of type apikey; without one, send no body.")
	}
	asked := &keyRequest{}
	if err := body.Decode(data, asked); err != nil {
		return nil, err
	}
	return asked, asked.check()
}

// maxAudience bounds an audience, in characters.
const maxAudience = 255

func (r *keyRequest) check() error {
	var broken problems
	notNull(&broken, "/audience", r.Audience)
	notNull(&broken, "/algorithm", r.Algorithm)
	if r.Key == "" {
		broken.add("/key", "required", "This is required.")
	}
	if n := utf8.RuneCountInString(r.Audience.Value); r.Audience.Set && !r.Audience.Null && (n < 1 || n > maxAudience) {
		broken.add("/audience", "length", "An audience is 1 to 255 characters.")
	}
	if r.Algorithm.Set && !r.Algorithm.Null && !slices.Contains(token.Algorithms(), token.Algorithm(r.Algorithm.Value)) {
		broken.add("/algorithm", "not_allowed", "An algorithm is ES256 or RS256.")
	}
	return broken.err()
}

// apply makes the key in the body the credential. Who shows one in the header
// too must be of the same organization.
func (r *keyRequest) apply(x *exchange.Exchange, want *authority.NewToken, shown bool) error {
	by := x.Organization
	if err := x.Identify(latchkey.NewPlaintext(r.Key)); err != nil {
		return err
	}
	if x.Token != nil {
		return latchkey.Invalid("/key", "not_allowed", "A token is no key; send it as `Authorization: Bearer …` alone.")
	}
	if shown && by != x.Organization {
		return denied(noSuchAccount, "The key is not of the organization of your credential.")
	}
	if r.Audience.Set {
		want.Audience = []string{r.Audience.Value}
	}
	want.Algorithm = token.Algorithm(r.Algorithm.Value)
	return nil
}

// denied is a refusal with a code of the token service.
func denied(code, detail string) error {
	return &latchkey.Error{Code: latchkey.CodeForbidden, Detail: detail, Fields: []latchkey.FieldError{{Code: code}}}
}

// refreshToken renews the token that authenticates the call.
func refreshToken(x *exchange.Exchange) error {
	var in struct {
		Token string `json:"token"`
	}
	if err := x.Decode(&in); err != nil {
		return err
	}
	if x.Token == nil || subtle.ConstantTimeCompare([]byte(in.Token), []byte(x.Credential.Expose())) == 0 {
		return latchkey.Invalid("/token", "not_allowed", "This is the token with which you authenticate.")
	}
	return exchangeToken(x)
}

// legacyToken is how clients asked for a token once: with the key in the query,
// and a header that says nothing.
func legacyToken(x *exchange.Exchange) error {
	var shown []latchkey.Plaintext
	if bearer, ok := door.Bearer(x.R.Header); ok {
		shown = append(shown, bearer)
	}
	if x.Query.Has("token") {
		shown = append(shown, latchkey.NewPlaintext(x.Query.Get("token")))
	}
	if len(x.R.Header.Values("Authorization")) > 1 {
		shown = nil
	}
	if err := x.Identify(shown...); err != nil {
		return err
	}
	if x.Query.Has("accountId") && x.Query.Get("accountId") != x.Organization.Hex() {
		return denied(noSuchAccount, "Your key is not of this account.")
	}
	return exchangeToken(x)
}

func exchangeToken(x *exchange.Exchange) error {
	t, err := x.Dialect.Authority.ExchangeToken(x.R.Context(), &x.Call, wanted(x))
	if err != nil {
		return err
	}
	return x.Answer(200, tokenAnswer{t.Value.Expose()})
}

// account names an organization.
type account struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// wanted is a token as the clients need it, for an hour.
func wanted(x *exchange.Exchange) authority.NewToken {
	base := x.Issuer()
	return authority.NewToken{
		Issuer: base, Spell: latchkey.ID.Hex, Life: time.Hour,
		Members: func(s *authority.TokenSubject) map[string]any { return claims(s, base) },
	}
}

// claims are the members of a token that the clients read.
func claims(s *authority.TokenSubject, base string) map[string]any {
	of := account{s.Organization.ID.Hex(), s.Organization.Name}
	over, in := []string{}, []string{} // the account, the project
	if _, builtin := latchkey.BuiltinRole(s.Role); builtin {
		in = []string{s.Role}
		if s.Key.Reach == latchkey.ReachOrganization {
			over = in
		}
	}
	all := map[string]any{
		"name": s.Key.Name, "type": "apikey", "account": of, "accounts": []account{of},
		"account_roles": over, "project": spellProject(&s.Project), "project_roles": in, "apps": []string{},
		// Without these the client takes the token elsewhere. A domain would be
		// forced to https.
		"endpoints": map[string]string{"studio": base, "store": base, "token": base},
	}
	if held := spelledOut(s.Permissions); lengthOf(held) <= maxPermissions {
		all["permissions"] = held
	}
	return all
}

// maxPermissions bounds the permissions in a token, in bytes: a list that is
// longer is left out, for a part of it would say that there are no others.
const maxPermissions = 2 << 10

func lengthOf(ps latchkey.Permissions) (n int) {
	for _, p := range ps {
		n += len(p)
	}
	return n
}
