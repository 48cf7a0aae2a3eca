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
	Retrievable  bool // keys may be stored so that their value can be told again
	Record
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
