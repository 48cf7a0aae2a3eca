package latchkey

// Organization is a tenant. Nothing crosses it, save for the operator: the
// first organization, whose owner and admin may manage the others.
type Organization struct {
	ID        ID
	Name      string
	Operator  bool
	Suspended bool // all its keys give the verdict disabled
	Limits    Limits
	Keys      int64 // how many keys it has, revoked ones counted; kept by the store
	Record
}

// Limits bound what one organization may take of the installation.
type Limits struct {
	Keys             int64 // keys, revoked ones counted
	ChangesPerSecond int64 // accepted changes per second and node, with bursts of twice that
}

// DefaultLimits are what an organization starts with.
func DefaultLimits() Limits {
	return Limits{Keys: DefaultKeyLimit, ChangesPerSecond: DefaultChangeLimit}
}

// Project is a set of keys of an organization, with the prefix and the
// environment that their key strings carry.
type Project struct {
	ID           ID
	Organization ID
	Name         string
	Prefix       string
	Environment  Environment
	Default      bool // where a key goes that names no project
	Record

	// Whether the value of a key is stored, so that it can be told again. Keys in
	// the short format are made for clients that are promised that, so theirs is,
	// unless it is forbidden. The value of others is stored where it is allowed
	// and asked for. What forbids goes before what allows.
	Retrievable       bool // allows
	ForbidRetrievable bool // forbids, and tells no value that is stored already
}

// Stores reports whether the project lets the value of a key in that format be
// stored.
func (p Project) Stores(f Format) bool {
	return !p.ForbidRetrievable && (p.Retrievable || f == FormatShort)
}

// UserKind tells a person from a service account.
type UserKind string

// The kinds of users.
const (
	Person  UserKind = "person"
	Service UserKind = "service"
)

// User is a person or a service account of an organization.
type User struct {
	ID           ID
	Organization ID
	Kind         UserKind
	Name         string
	Email        string // "" for a service account
	Suspended    bool
	Memberships  []Membership // at most one for each reach
	Record
}

// Membership gives a user a role: over one project, or over the whole
// organization where Project is zero.
type Membership struct {
	Project ID
	Role    ID
}

// Membership is the user's role at exactly that reach.
func (u User) Membership(project ID) (role ID, ok bool) {
	for _, m := range u.Memberships {
		if m.Project == project {
			return m.Role, true
		}
	}
	return ID{}, false
}
