package client

import (
	"context"
	"time"
)

// Issuers is what can be done with issuers.
type Issuers struct {
	Directory[Issuer, NewIssuer, IssuerPatch]
}

// Issuer is an OpenID provider whose tokens are credentials.
type Issuer struct {
	ID             string        `json:"id"` // iss_…
	OrganizationID string        `json:"organization_id"`
	ProjectID      string        `json:"project_id"` // the one that its callers reach; "": the whole organization
	Name           string        `json:"name"`
	URL            string        `json:"url"`
	Audiences      []string      `json:"audiences"`
	Algorithms     []string      `json:"algorithms"`
	RoleClaim      string        `json:"role_claim"`
	Roles          []RoleMapping `json:"roles"`
	Enabled        bool          `json:"enabled"`
	CreatedAt      time.Time     `json:"created_at"`
	UpdatedAt      time.Time     `json:"updated_at"`
	CreatedBy      string        `json:"created_by"`
}

// RoleMapping gives a role to those of whom a token says a value.
type RoleMapping struct {
	Value  string `json:"value"`
	Role   string `json:"role,omitempty"`    // identifier or id, where it is asked for
	RoleID string `json:"role_id,omitempty"` // where it is told
}

// NewIssuer is what an issuer is to be.
type NewIssuer struct {
	Name       string        `json:"name"`
	URL        string        `json:"url"`
	Audiences  []string      `json:"audiences"`
	Algorithms []string      `json:"algorithms,omitempty"` // none: RS256 and ES256
	RoleClaim  string        `json:"role_claim,omitempty"` // "": roles
	Roles      []RoleMapping `json:"roles"`
	ProjectID  string        `json:"project_id,omitempty"` // "": the whole organization
}

// IssuerPatch is what is to be different about an issuer.
type IssuerPatch struct {
	Name       Field[string]        `json:"name,omitzero"`
	Audiences  Field[[]string]      `json:"audiences,omitzero"`
	Algorithms Field[[]string]      `json:"algorithms,omitzero"`
	RoleClaim  Field[string]        `json:"role_claim,omitzero"`
	Roles      Field[[]RoleMapping] `json:"roles,omitzero"`      // replaces all of them
	ProjectID  Field[string]        `json:"project_id,omitzero"` // Clear: the whole organization
	Enabled    Field[bool]          `json:"enabled,omitzero"`
}

// Delete deletes an issuer.
func (i Issuers) Delete(ctx context.Context, id string) (Answer[Effect], error) {
	return i.Directory.Delete(ctx, id, false)
}
