package latchkey

import (
	"crypto/sha256"
	"slices"
	"strings"
	"time"
)

// Role is a named set of permissions with a rank. Built-in roles are the same
// in every organization, never change and have no Organization.
type Role struct {
	ID           ID
	Organization ID // zero: built in
	Identifier   string
	Name         string
	Rank         int
	Permissions  Permissions
	Record
}

// Builtin reports whether the role came with the program.
func (r Role) Builtin() bool { return r.Organization.IsZero() }

// Powers is what holding the role lets one do.
func (r Role) Powers() Powers { return Powers{r.Permissions, r.Rank} }

// CheckRoleIdentifier says what is wrong with s as the identifier of a custom role, or nil.
func CheckRoleIdentifier(s string) *FieldError {
	if len(s) < 2 || len(s) > MaxIdentifierLen {
		return &FieldError{Code: "length", Detail: "A role identifier is 2 to 64 characters."}
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (i == 0 || (c < '0' || c > '9') && c != '_' && c != '-') {
			return &FieldError{Code: "format", Detail: "A role identifier is a lower-case letter, then lower-case letters, digits, '_' and '-'."}
		}
	}
	if _, err := ParseNative(KindRole, s); err == nil { // where either is taken, it would mean another role
		return &FieldError{Code: "format", Detail: "A role identifier does not look like a role's id, role_…."}
	}
	if _, taken := BuiltinRole(s); taken {
		return &FieldError{Code: "taken", Detail: "This identifier belongs to a built-in role; choose another."}
	}
	return nil
}

// VertesiaPermissions is the published list of that platform, in its order. Our
// own api_key permissions are among them; the others are opaque here.
func VertesiaPermissions() Permissions {
	return Permissions{
		"interaction:read", "interaction:write", "interaction:delete", "interaction:execute", "run:read", "run:write",
		"environment:admin", "app:manage", "project:admin", "project:integration_read", "project:settings_write",
		KeyCreate, KeyRead, KeySecretRead, KeyUpdate, KeyDelete,
		"account:read", "account:write", "account:admin", "account:billing", "billing:read", "audit:read", "account:member",
		"content:read", "content:read_all", "content:write", "content:delete", "content:admin", "content:superadmin",
		"workflow:read", "workflow:run", "workflow:admin", "workflow:superadmin", "agent_run:read", "task:read", "task:manage",
		"iam:impersonate", "studio:access",
	}
}

// BuiltinRoles are the sixteen roles of every organization, highest rank first.
func BuiltinRoles() []Role { return slices.Clone(builtinRoles) }

// BuiltinRole finds a built-in role by its identifier.
func BuiltinRole(identifier string) (Role, bool) {
	i := slices.IndexFunc(builtinRoles, func(r Role) bool { return r.Identifier == identifier })
	if i < 0 {
		return Role{}, false
	}
	return builtinRoles[i], true
}

// BuiltinRoleByID finds a built-in role by its id.
func BuiltinRoleByID(id ID) (Role, bool) {
	i := slices.IndexFunc(builtinRoles, func(r Role) bool { return r.ID == id })
	if i < 0 {
		return Role{}, false
	}
	return builtinRoles[i], true
}

// builtinRoles is computed once and never written again.
var builtinRoles = func() []Role {
	without := func(set Permissions, drop ...Permission) Permissions {
		kept := slices.DeleteFunc(slices.Clone(set), func(p Permission) bool { return slices.Contains(drop, p) })
		return slices.Clip(kept) // what a caller appends must not land in the shared array
	}
	manager := without(VertesiaPermissions(), "account:admin", "account:billing", "audit:read", "content:read_all",
		"content:superadmin", "workflow:superadmin", "agent_run:read")
	developer := without(manager, "environment:admin", "project:admin", "project:settings_write")
	auditor := Permissions{
		"interaction:read", "run:read", "project:integration_read", KeyRead, "account:read", "billing:read", "audit:read",
		"account:member", "content:read", "content:read_all", "workflow:read", "agent_run:read", "task:read", "studio:access",
	}
	roles := []Role{
		builtin("owner", 10, Permissions{Everything}),
		builtin("admin", 7, Permissions{Everything}),
		builtin("manager", 6, manager),
		builtin("content_superadmin", 5, developer.Union(Permissions{"content:superadmin"})),
		builtin("developer", 4, developer),
		builtin("application", 3, Permissions{
			"interaction:read", "interaction:write", "interaction:execute", "run:read", "project:admin", "project:settings_write",
			"account:write", "account:member", "content:read", "content:write", "content:admin", "workflow:run",
		}),
		builtin("automation", 2, Permissions{
			"interaction:read", "interaction:execute", "run:read", "project:integration_read", "account:member", "content:read",
			"content:write", "content:admin", "workflow:run",
		}),
		builtin("content_processor", 2, Permissions{
			"interaction:execute", "run:read", "account:member", "content:read", "content:write", "content:admin",
			"content:superadmin", "workflow:read", "workflow:run",
		}),
		builtin("executor", 2, Permissions{"interaction:execute", "run:read", "account:member", "workflow:run"}),
		builtin("consumer", 2, Permissions{
			"interaction:read", "interaction:execute", "run:read", "account:member", "content:read", "content:write",
			"content:delete", "content:admin", "workflow:run",
		}),
		builtin("app_member", 2, Permissions{
			"interaction:read", "interaction:write", "interaction:execute", "run:read", "account:member", "content:read",
			"content:write", "content:delete", "workflow:run",
		}),
		builtin("reader", 1, Permissions{"interaction:read", "run:read", "account:member", "content:read"}),
		builtin("auditor", 1, auditor),
		builtin("support", 1, auditor),
		builtin("billing", 1, Permissions{"account:billing", "account:member"}),
		builtin("member", 0, Permissions{"account:member"}),
	}
	return roles
}()

// builtin gives the role an id that is the same in every installation: zero
// seconds, then a hash of its identifier.
func builtin(identifier string, rank int, permissions Permissions) Role {
	sum := sha256.Sum256([]byte("latchkey built-in role " + identifier))
	r := Role{Identifier: identifier, Rank: rank, Permissions: permissions}
	copy(r.ID[4:], sum[:8])
	words := strings.ReplaceAll(identifier, "_", " ")
	r.Name = strings.ToUpper(words[:1]) + words[1:]
	return r
}

// Record is what every stored object carries besides its own fields.
type Record struct {
	CreatedAt time.Time
	UpdatedAt time.Time
	CreatedBy Principal
	UpdatedBy Principal
	Ordinal   int64     // order of creation within the installation: the creating event's position, then the place in its batch
	Revision  int64     // position of the event that last changed it; its ETag
	DeletedAt time.Time // zero: not deleted. Keys are revoked instead
}

// Deleted reports whether only the record's tombstone is left.
func (r Record) Deleted() bool { return !r.DeletedAt.IsZero() }

// PrincipalKind is what sort of actor made a change.
type PrincipalKind string

// The kinds of actors.
const (
	PrincipalUser     PrincipalKind = "user"
	PrincipalKey      PrincipalKind = "key"
	PrincipalIdentity PrincipalKind = "identity" // whom another issuer vouches for
	PrincipalSystem   PrincipalKind = "system"   // the authority itself, or whoever can open its socket
)

// Principal is who made a change: the calling key's owner user if it has one,
// else the key itself; or whom another issuer vouches for ([Assertion.Identity]).
// ID is zero for PrincipalSystem.
type Principal struct {
	Kind PrincipalKind
	ID   ID
}

// String spells the principal natively: usr_…, key_…, idn_… or "system".
func (p Principal) String() string {
	switch p.Kind {
	case PrincipalUser:
		return p.ID.Native(KindUser)
	case PrincipalKey:
		return p.ID.Native(KindKey)
	case PrincipalIdentity:
		return p.ID.Native(KindIdentity)
	case PrincipalSystem:
		return string(PrincipalSystem)
	}
	return ""
}
