package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Directory is what can be done with one of the nouns that keys hang on: T is
// the object, N what a new one is made from, P what is to be different.
type Directory[T, N, P any] struct {
	c    *Client
	path string
}

// PageFilter selects a page of a list, newest first.
type PageFilter struct {
	Limit  int    // 1–100; 0 leaves it to the server
	Cursor string // from an earlier page
}

// Create makes an object.
func (d Directory[T, N, P]) Create(ctx context.Context, in N) (Answer[T], error) {
	return send[T](ctx, d.c, create(d.path, in))
}

// List is one page of the objects within reach.
func (d Directory[T, N, P]) List(ctx context.Context, f PageFilter) (Answer[Page[T]], error) {
	q := query{}
	q.number("limit", int64(f.Limit))
	q.text("cursor", f.Cursor)
	return send[Page[T]](ctx, d.c, get(d.path, url.Values(q)))
}

// Pages are the pages of all objects within reach. It ends after the first error.
func (d Directory[T, N, P]) Pages(ctx context.Context, f PageFilter) iter.Seq2[Answer[Page[T]], error] {
	return pages(f.Cursor, func(cursor string) (Answer[Page[T]], error) {
		f.Cursor = cursor
		return d.List(ctx, f)
	})
}

// All are all objects within reach. It ends after the first error.
func (d Directory[T, N, P]) All(ctx context.Context, f PageFilter) iter.Seq2[T, error] {
	return items(d.Pages(ctx, f))
}

// Get describes an object.
func (d Directory[T, N, P]) Get(ctx context.Context, id string) (Answer[T], error) {
	return send[T](ctx, d.c, get(join(d.path, id), nil))
}

// Update changes what the patch names.
func (d Directory[T, N, P]) Update(ctx context.Context, id string, patch P) (Answer[Changed[T]], error) {
	return send[Changed[T]](ctx, d.c, change(http.MethodPatch, join(d.path, id), patch).waiting())
}

// Delete takes an object away. One that holds keys which are not revoked is
// refused, unless revokeKeys says to revoke them first.
func (d Directory[T, N, P]) Delete(ctx context.Context, id string, revokeKeys bool) (Answer[Effect], error) {
	k := change(http.MethodDelete, join(d.path, id), nil)
	if revokeKeys {
		k.query = url.Values{"revoke_keys": {"true"}}
	}
	return send[Effect](ctx, d.c, k.waiting())
}

// Organization is a tenant.
type Organization struct {
	ID        string    `json:"id"`     // org_…
	UUID      string    `json:"uuid"`   // the same, as the Voke dialect spells it
	HubID     string    `json:"hub_id"` // the same, as the Cycle dialect spells it
	Name      string    `json:"name"`
	Operator  bool      `json:"operator"` // the first organization, which manages the others
	State     string    `json:"state"`    // active or suspended
	Keys      int64     `json:"keys"`     // how many it has, revoked ones counted
	Limits    Limits    `json:"limits"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	CreatedBy string    `json:"created_by"`
}

// Limits bound what one organization may take of the installation.
type Limits struct {
	Keys             int64 `json:"keys"` // revoked ones counted
	ChangesPerSecond int64 `json:"changes_per_second"`
}

// NewOrganization is what an organization is to be.
type NewOrganization struct {
	Name string `json:"name"`
}

// OrganizationPatch is what is to be different about an organization.
type OrganizationPatch struct {
	Name   Field[string] `json:"name,omitzero"`
	State  Field[string] `json:"state,omitzero"` // active or suspended
	Limits LimitsPatch   `json:"limits,omitzero"`
}

// LimitsPatch is what is to be different about limits.
type LimitsPatch struct {
	Keys             Field[int64] `json:"keys,omitzero"`
	ChangesPerSecond Field[int64] `json:"changes_per_second,omitzero"`
}

// Project is a set of keys, with the prefix and environment that their strings
// carry.
type Project struct {
	ID                string    `json:"id"` // prj_…
	OrganizationID    string    `json:"organization_id"`
	Name              string    `json:"name"`
	Prefix            string    `json:"prefix"`
	Environment       string    `json:"environment"`        // live or test
	Default           bool      `json:"default"`            // where a key goes that names no project
	Retrievable       bool      `json:"retrievable"`        // keys may be stored so that their value can be told again
	ForbidRetrievable bool      `json:"forbid_retrievable"` // no key's value is stored or told, whatever its API promises
	CreatedAt         time.Time `json:"created_at"`
	UpdatedAt         time.Time `json:"updated_at"`
	CreatedBy         string    `json:"created_by"`
}

// NewProject is what a project is to be. Prefix and Environment cannot be
// changed later.
type NewProject struct {
	Name              string `json:"name"`
	Prefix            string `json:"prefix,omitempty"`      // "": lk
	Environment       string `json:"environment,omitempty"` // "": live
	Retrievable       bool   `json:"retrievable,omitempty"`
	ForbidRetrievable bool   `json:"forbid_retrievable,omitempty"`
}

// ProjectPatch is what is to be different about a project.
type ProjectPatch struct {
	Name              Field[string] `json:"name,omitzero"`
	Retrievable       Field[bool]   `json:"retrievable,omitzero"`
	ForbidRetrievable Field[bool]   `json:"forbid_retrievable,omitzero"`
}

// User is a person or a service account.
type User struct {
	ID             string       `json:"id"` // usr_…
	OrganizationID string       `json:"organization_id"`
	Kind           string       `json:"kind"` // person or service
	Name           string       `json:"name"`
	Email          string       `json:"email"` // "" for a service account
	State          string       `json:"state"` // active or suspended
	Roles          []MemberRole `json:"roles"`
	CreatedAt      time.Time    `json:"created_at"`
	UpdatedAt      time.Time    `json:"updated_at"`
	CreatedBy      string       `json:"created_by"`
}

// MemberRole gives a user a role: over one project, or over the whole
// organization where ProjectID is "".
type MemberRole struct {
	ProjectID string `json:"project_id,omitempty"`
	Role      string `json:"role"` // identifier, or role_… when asking
}

// NewUser is what a user is to be.
type NewUser struct {
	Kind  string       `json:"kind,omitempty"` // "": person
	Name  string       `json:"name"`
	Email string       `json:"email,omitempty"` // required of a person
	Roles []MemberRole `json:"roles,omitempty"`
}

// UserPatch is what is to be different about a user.
type UserPatch struct {
	Name  Field[string]       `json:"name,omitzero"`
	Email Field[string]       `json:"email,omitzero"`
	State Field[string]       `json:"state,omitzero"` // active or suspended
	Roles Field[[]MemberRole] `json:"roles,omitzero"`
}

// Role is a named set of permissions with a rank.
type Role struct {
	ID             string    `json:"id"`              // role_…
	OrganizationID string    `json:"organization_id"` // "" if it is built in
	Identifier     string    `json:"identifier"`
	Name           string    `json:"name"`
	Rank           int       `json:"rank"` // 0 the lowest, 10 the owner's
	Permissions    []string  `json:"permissions"`
	Builtin        bool      `json:"builtin"`
	CreatedAt      time.Time `json:"created_at"` // zero if it is built in, as the next two
	UpdatedAt      time.Time `json:"updated_at"`
	CreatedBy      string    `json:"created_by"`
}

// NewRole is what a role is to be.
type NewRole struct {
	Identifier  string   `json:"identifier"` // cannot be changed later
	Name        string   `json:"name"`
	Rank        int      `json:"rank"`
	Permissions []string `json:"permissions"`
}

// RolePatch is what is to be different about a role.
type RolePatch struct {
	Name        Field[string]   `json:"name,omitzero"`
	Rank        Field[int]      `json:"rank,omitzero"`
	Permissions Field[[]string] `json:"permissions,omitzero"`
}
