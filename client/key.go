package client

import (
	"encoding/json"
	"net/url"
	"strconv"
	"time"
)

// Key is an identity that is granted something.
type Key struct {
	ID             string          `json:"id"` // key_…
	OrganizationID string          `json:"organization_id"`
	ProjectID      string          `json:"project_id"`
	Reach          string          `json:"reach"` // project, organization or all
	Name           string          `json:"name"`
	Environment    string          `json:"environment"` // live or test
	OwnerID        string          `json:"owner_id"`    // "" for none
	Partner        string          `json:"partner"`     // "" for none
	Role           string          `json:"role"`        // identifier; "" for none
	Scopes         []string        `json:"scopes"`
	Restrictions   Restrictions    `json:"restrictions"`
	State          string          `json:"state"` // live, disabled, expired or revoked
	Enabled        bool            `json:"enabled"`
	Retrievable    bool            `json:"retrievable"` // its value can be told again
	Masked         string          `json:"masked"`      // what may be shown of its newest secret
	Secrets        []KeySecret     `json:"secrets"`
	Rotation       *Rotation       `json:"rotation"` // nil unless one runs
	Signing        *Signing        `json:"signing"`  // nil: its requests are not signed
	Metadata       json.RawMessage `json:"metadata"` // a JSON object
	CreatedAt      time.Time       `json:"created_at"`
	UpdatedAt      time.Time       `json:"updated_at"`
	CreatedBy      string          `json:"created_by"`      // usr_…, key_… or system
	ExpiresAt      time.Time       `json:"expires_at"`      // zero: never
	LastUsedAt     time.Time       `json:"last_used_at"`    // zero: never; at most a minute behind, as are the two that follow
	LastAddress    string          `json:"last_address"`    // from where it was used then; "" if that was not told
	LastUserAgent  string          `json:"last_user_agent"` // what the client program called itself then
}

// Signing is what a key's requests are signed with.
type Signing struct {
	Mode      string `json:"mode"`                 // off, optional or required
	Algorithm string `json:"alg,omitempty"`        // hmac-sha256, or ed25519 with a public key
	PublicKey string `json:"public_key,omitempty"` // in PEM; "" with hmac-sha256
}

// KeySecret is one credential of a key, without its value.
type KeySecret struct {
	KID        string    `json:"kid"`
	CreatedAt  time.Time `json:"created_at"`
	ExpiresAt  time.Time `json:"expires_at"`   // zero: with its key
	LastUsedAt time.Time `json:"last_used_at"` // zero: never
}

// Rotation is a change of secret under way: both are good until EndsAt.
type Rotation struct {
	Old       string    `json:"old"` // kid of the secret that ends
	New       string    `json:"new"` // kid of the secret that stays
	StartedAt time.Time `json:"started_at"`
	EndsAt    time.Time `json:"ends_at"`
}

// Restrictions narrow what a key may be used for.
type Restrictions struct {
	Addresses []string            `json:"addresses,omitempty"` // addresses and CIDR blocks; none: all
	Resources map[string][]string `json:"resources,omitempty"` // ids by type; a type without ids allows none
}

// NewKey is what a key is to be. Fields with their zero value are left to the
// server.
type NewKey struct {
	Name         string          `json:"name"`
	ProjectID    string          `json:"project_id,omitempty"`
	Reach        string          `json:"reach,omitempty"`
	OwnerID      string          `json:"owner_id,omitempty"`
	Partner      string          `json:"partner,omitempty"`
	Role         string          `json:"role,omitempty"` // identifier or role_…
	Scopes       []string        `json:"scopes,omitempty"`
	Restrictions Restrictions    `json:"restrictions,omitzero"`
	ExpiresAt    time.Time       `json:"expires_at,omitzero"`
	Retrievable  bool            `json:"retrievable,omitempty"`
	Metadata     json.RawMessage `json:"metadata,omitempty"` // a JSON object
	Signing      *Signing        `json:"signing,omitempty"`  // without an algorithm a signing key is made
}

// IsZero reports whether nothing is restricted.
func (r Restrictions) IsZero() bool { return len(r.Addresses) == 0 && len(r.Resources) == 0 }

// IssuedKey is a key with a secret that is told this once.
type IssuedKey struct {
	Key        Key    `json:"key"`
	Secret     Secret `json:"secret"`
	SigningKey Secret `json:"signing_key"` // "" unless the key signs with one that the server made
	Reached
}

// IssuedKeys are keys that were made together, in the order asked for.
type IssuedKeys struct {
	Results []struct {
		Key    Key    `json:"key"`
		Secret Secret `json:"secret"` // "" for imported keys

		SigningKey Secret `json:"signing_key"` // "" unless the key signs with one that the server made
	} `json:"results"`
	Reached
}

// ChangedKey is a key as a change left it.
type ChangedKey struct {
	Key Key `json:"key"`
	Effect
}

// RevokedSelf tells which key was revoked by whoever holds it.
type RevokedSelf struct {
	KeyID string `json:"key_id"`
	Effect
}

// KeyPatch is what is to be different about a key.
type KeyPatch struct {
	Name         Field[string]          `json:"name,omitzero"`
	Role         Field[string]          `json:"role,omitzero"`
	Scopes       Field[[]string]        `json:"scopes,omitzero"`
	Restrictions RestrictionsPatch      `json:"restrictions,omitzero"`
	Enabled      Field[bool]            `json:"enabled,omitzero"`
	ExpiresAt    Field[time.Time]       `json:"expires_at,omitzero"` // cleared: never
	Metadata     Field[json.RawMessage] `json:"metadata,omitzero"`
	Signing      Field[SigningPatch]    `json:"signing,omitzero"` // cleared: nothing to sign with any more
}

// SigningPatch is what is to be different about how requests are signed; "" leaves
// a field as it is.
type SigningPatch struct {
	Mode      string `json:"mode,omitempty"`
	Algorithm string `json:"alg,omitempty"`        // ed25519, with a public key
	PublicKey string `json:"public_key,omitempty"` // in PEM
}

// RestrictionsPatch is what is to be different about restrictions.
type RestrictionsPatch struct {
	Addresses Field[[]string]            `json:"addresses,omitzero"`
	Resources Field[map[string][]string] `json:"resources,omitzero"`
}

// ImportedKey is a key that was made elsewhere and is known by its digest alone.
type ImportedKey struct {
	NewKey
	Digest string `json:"digest"`           // of the whole key string, in hexadecimal
	Public string `json:"public,omitempty"` // what may be shown of it
}

// KeyFilter selects and orders keys. Zero fields do not filter.
type KeyFilter struct {
	State          string // live, disabled, expired or revoked
	ProjectID      string
	Role           string // identifier or role_…
	OwnerID        string
	Partner        string
	Search         string // part of the name, or the beginning of a kid
	ExpiringBefore time.Time
	UnusedSince    time.Time
	Sort           string // created, updated, name or expires_at; "-" before it for descending
	Limit          int    // of a page, 1–100; 0 leaves it to the server
	Cursor         string // from an earlier page of the same filter
}

func (f *KeyFilter) query() url.Values {
	q := query{}
	q.text("state", f.State)
	q.text("project_id", f.ProjectID)
	q.text("role", f.Role)
	q.text("owner_id", f.OwnerID)
	q.text("partner", f.Partner)
	q.text("search", f.Search)
	q.time("expiring_before", f.ExpiringBefore)
	q.time("unused_since", f.UnusedSince)
	q.text("sort", f.Sort)
	q.number("limit", int64(f.Limit))
	q.text("cursor", f.Cursor)
	return url.Values(q)
}

// query leaves out what has its zero value.
type query url.Values

func (q query) text(name, value string) {
	if value != "" {
		url.Values(q).Set(name, value)
	}
}

func (q query) number(name string, value int64) {
	if value != 0 {
		q.text(name, strconv.FormatInt(value, 10))
	}
}

func (q query) time(name string, value time.Time) {
	if !value.IsZero() {
		q.text(name, value.UTC().Format(time.RFC3339Nano))
	}
}
