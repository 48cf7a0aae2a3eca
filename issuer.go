package latchkey

import (
	"crypto/sha256"
	"slices"
	"strings"
	"time"
)

// Issuer is an OpenID provider of the organization's: whoever it vouches for by a
// token may call, and do what the roles may to which the token's claim is mapped.
type Issuer struct {
	ID           ID
	Organization ID // in which its callers act
	Project      ID // the one project that they reach; zero: the whole organization
	Name         string
	URL          string   // its identifier, byte for byte as its tokens say it (iss)
	Audiences    []string // a token must be for one of them
	Algorithms   []string // with one of which a token must be signed (RFC 7518, section 3.1)
	Claim        string   // where a token says who its bearer is: a member, or a JSON pointer (RFC 6901)
	Roles        []RoleMapping
	Enabled      bool
	Record
}

// RoleMapping gives a role to those of whom a token says a value.
type RoleMapping struct {
	Value string
	Role  ID
}

// Bounds of issuers.
const (
	MaxIssuers       = 20  // of an organization
	MaxIssuerURLLen  = 255 // bytes
	MaxAudiences     = 8   // of an issuer
	MaxAudienceLen   = 255 // bytes
	MaxClaimLen      = 255 // bytes
	MaxRoleMappings  = 100 // of an issuer
	MaxClaimValueLen = 255 // bytes of a value that is mapped
)

// IssuerAlgorithms are those with which an issuer may sign: none has a secret
// that both sides know.
func IssuerAlgorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// RolesOf are the roles to which values are mapped, each once.
func (i *Issuer) RolesOf(values []string) []ID {
	var roles []ID
	for _, m := range i.Roles {
		if slices.Contains(values, m.Value) && !slices.Contains(roles, m.Role) {
			roles = append(roles, m.Role)
		}
	}
	return roles
}

// Meant reports whether a token for that audience is for the issuer's callers.
func (i *Issuer) Meant(audience []string) bool {
	return slices.ContainsFunc(i.Audiences, func(a string) bool { return slices.Contains(audience, a) })
}

// CheckIssuerURL says what is wrong with an issuer's identifier, or nil. It is an
// https URL without query and fragment (OpenID Connect Discovery 1.0, section 3);
// plain http is for providers on networks that the operator names.
func CheckIssuerURL(s string) *FieldError {
	wrong := &FieldError{Code: "format", Detail: "An issuer is an https URL without user, query and fragment, exactly as its tokens say it."}
	rest, secure := strings.CutPrefix(s, "https://")
	if !secure {
		var plain bool
		if rest, plain = strings.CutPrefix(s, "http://"); !plain {
			return wrong
		}
	}
	host, _, _ := strings.Cut(rest, "/")
	if len(s) > MaxIssuerURLLen || host == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`?#@\"<>`, r) }) {
		return wrong
	}
	return nil
}

// Assertion is what a token of another issuer says, after it was checked.
type Assertion struct {
	Issuer    *Issuer
	Subject   string // sub: with the issuer it says who this is
	ExpiresAt time.Time
	Values    []string // of the issuer's claim
}

// Identity stands for issuer and subject in the place of an id: the same two
// always have the same one, and no other two do.
func (a *Assertion) Identity() ID {
	sum := sha256.Sum256(append(a.Issuer.ID[:], a.Subject...))
	return ID(sum[:len(ID{})])
}
