package latchkey

import (
	"slices"
	"strconv"
	"strings"
)

// Permission is the right to do something, written resource:action[:detail].
// A trailing "*" stands for the rest. The ones declared here open operations of
// ours; every other string is the customer's own and opaque.
type Permission string

// The permissions that open operations here.
const (
	KeyRead            Permission = "api_key:read"
	KeyCreate          Permission = "api_key:create"
	KeyUpdate          Permission = "api_key:update"
	KeyDelete          Permission = "api_key:delete"
	KeySecretRead      Permission = "api_key:secret_read"
	KeyVerify          Permission = "api_key:verify"
	RoleRead           Permission = "role:read"
	RoleCreate         Permission = "role:create"
	RoleUpdate         Permission = "role:update"
	RoleDelete         Permission = "role:delete"
	UserRead           Permission = "user:read"
	UserCreate         Permission = "user:create"
	UserUpdate         Permission = "user:update"
	UserDelete         Permission = "user:delete"
	ProjectRead        Permission = "project:read"
	ProjectCreate      Permission = "project:create"
	ProjectUpdate      Permission = "project:update"
	ProjectDelete      Permission = "project:delete"
	OrganizationRead   Permission = "organization:read"
	OrganizationCreate Permission = "organization:create"
	OrganizationUpdate Permission = "organization:update"
	OrganizationDelete Permission = "organization:delete"
	EventRead          Permission = "event:read"
	TokenIntrospect    Permission = "token:introspect"

	// Everything is held by owners and admins.
	Everything Permission = "*"
)

// grantPrefix begins a permission to give away what one does not hold:
// grant:<pattern>.
const grantPrefix = "grant:"

// Covers reports whether holding p is enough where q is needed. q may itself
// end in "*": then all that it stands for must be covered.
func (p Permission) Covers(q Permission) bool {
	if rest, wild := strings.CutSuffix(string(p), "*"); wild {
		return strings.HasPrefix(strings.TrimSuffix(string(q), "*"), rest)
	}
	return p == q
}

// CheckPermission says what is wrong with s as a permission or scope, or nil.
func CheckPermission(s string) *FieldError {
	if len(s) < 1 || len(s) > MaxPermissionLen {
		return &FieldError{Code: "length", Detail: "A scope or permission is 1 to 128 characters."}
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return &FieldError{Code: "format", Detail: "A scope or permission is printable ASCII without spaces."}
		}
	}
	return nil
}

// Permissions is a set of permissions in the order in which they were given.
type Permissions []Permission

// Hold reports whether the set is enough where q is needed.
func (ps Permissions) Hold(q Permission) bool {
	for _, p := range ps {
		if p.Covers(q) {
			return true
		}
	}
	return false
}

// MayGive reports whether the holder may give q to another: it holds q, or a
// grant:<pattern> that covers it.
func (ps Permissions) MayGive(q Permission) bool {
	return ps.Hold(q) || ps.Hold(grantPrefix+q)
}

// Union is ps and then what qs adds, without duplicates.
func (ps Permissions) Union(qs Permissions) Permissions {
	out := make(Permissions, 0, len(ps)+len(qs))
	for _, set := range []Permissions{ps, qs} {
		for _, p := range set {
			if !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
	}
	return out
}

// Intersect is what both sets are enough for: of two patterns that meet, one is
// a part of the other.
func (ps Permissions) Intersect(qs Permissions) Permissions {
	out := Permissions{}
	for _, sets := range [][2]Permissions{{ps, qs}, {qs, ps}} {
		for _, p := range sets[0] {
			if sets[1].Hold(p) && !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
	}
	return out
}

// Requirement is what a verification asks of a key's permissions: all of All,
// and one of Any where Any is not empty.
type Requirement struct {
	All, Any Permissions
}

// MetBy reports whether held is enough.
func (r Requirement) MetBy(held Permissions) bool {
	for _, q := range r.All {
		if !held.Hold(q) {
			return false
		}
	}
	if len(r.Any) == 0 {
		return true
	}
	return slices.ContainsFunc(r.Any, held.Hold)
}

// Powers is what a credential may do: its effective permissions and its rank.
// Rank 0 is the lowest, 10 the owner's.
type Powers struct {
	Permissions Permissions
	Rank        int
}

// Union is the powers of one who has both.
func (p Powers) Union(q Powers) Powers {
	return Powers{p.Permissions.Union(q.Permissions), max(p.Rank, q.Rank)}
}

// Ceiling reports whether someone with powers p may bring about something with
// powers target: no permission that p could not give, and no higher rank, which
// nothing lifts. The refusal names what is too much.
func (p Powers) Ceiling(target Powers) error {
	if target.Rank > p.Rank {
		return Errorf(CodeCeiling, "This would have rank %d, above your own rank %d.", target.Rank, p.Rank)
	}
	for _, q := range target.Permissions {
		if !p.Permissions.MayGive(q) {
			return Errorf(CodeCeiling, "This would hold %s, which you neither hold nor may give (grant:<pattern>).", q.told())
		}
	}
	return nil
}

// told is the permission in a refusal. A name that is long enough to be a secret
// which was pasted in the wrong place is not repeated.
func (p Permission) told() string {
	const most = 40
	if len(p) > most {
		return "a permission with a long name"
	}
	return strconv.Quote(string(p))
}
