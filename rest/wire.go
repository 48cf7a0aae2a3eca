package rest

import (
	"reflect"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/internal/body"
)

// moment is a time in an answer; null for none.
type moment = body.Time

// metadata is a JSON object of the customer's.
type metadata map[string]jsontext.Value

// page is a part of a list.
type page[T any] struct {
	Data       []T     `json:"data" nullable:"false"`
	NextCursor *string `json:"next_cursor" doc:"Give it as cursor to get the next page; null on the last one."`
}

func pageOf[T, R any](rows []R, next string, spell func(*R) T) page[T] {
	p := page[T]{Data: make([]T, len(rows))}
	for i := range rows {
		p.Data[i] = spell(&rows[i])
	}
	if next != "" {
		p.NextCursor = &next
	}
	return p
}

// keyAnswer is a key.
type keyAnswer struct {
	ID             string       `json:"id" example:"key_0d5qh0w2e9x8v3k7m1ac"`
	OrganizationID string       `json:"organization_id"`
	ProjectID      string       `json:"project_id"`
	Reach          string       `json:"reach" enum:"project,organization,all" doc:"What the key can touch."`
	Name           string       `json:"name"`
	Environment    string       `json:"environment" enum:"live,test"`
	OwnerID        *string      `json:"owner_id" doc:"The user whose permissions the key has if it has no role."`
	Partner        *string      `json:"partner" doc:"The external party the key is for."`
	Role           *string      `json:"role" doc:"Identifier of its role."`
	Scopes         []string     `json:"scopes" nullable:"false"`
	Restrictions   restrictions `json:"restrictions"`
	State          string       `json:"state" enum:"live,disabled,expired,revoked"`
	Enabled        bool         `json:"enabled"`
	Retrievable    bool         `json:"retrievable" doc:"Its value is stored, sealed, and can be revealed."`
	Masked         string       `json:"masked" doc:"The public part of the newest secret."`
	Secrets        []secret     `json:"secrets" nullable:"false" doc:"One, or two during a rotation; none once all have ended."`
	Rotation       *rotation    `json:"rotation"`
	Signing        *signing     `json:"signing" doc:"What its requests are signed with; null: nothing."`
	Metadata       metadata     `json:"metadata"`
	CreatedAt      moment       `json:"created_at"`
	UpdatedAt      moment       `json:"updated_at"`
	CreatedBy      string       `json:"created_by" doc:"usr_…, key_…, or system."`
	ExpiresAt      moment       `json:"expires_at" nullable:"true"`
	LastUsedAt     moment       `json:"last_used_at" nullable:"true" doc:"At most a minute behind, as are the two that follow."`
	LastAddress    *string      `json:"last_address" doc:"From where it was used then; null if that was not told."`
	LastUserAgent  *string      `json:"last_user_agent" doc:"What the client program called itself then: at most its first 96 bytes."`
}

type restrictions struct {
	Addresses []string            `json:"addresses" nullable:"false" doc:"IPv4, IPv6 and CIDR; empty is unrestricted."`
	Resources map[string][]string `json:"resources" doc:"Allowed ids by resource type. A type that is absent is unrestricted, an empty list allows none."`
}

type secret struct {
	KID        string `json:"kid" doc:"Its public key id."`
	CreatedAt  moment `json:"created_at"`
	ExpiresAt  moment `json:"expires_at" nullable:"true" doc:"When it ends before its key, as the old secret of a rotation does."`
	LastUsedAt moment `json:"last_used_at" nullable:"true"`
}

type rotation struct {
	Old       string `json:"old" doc:"kid of the secret that ends."`
	New       string `json:"new" doc:"kid of the secret that stays."`
	StartedAt moment `json:"started_at"`
	EndsAt    moment `json:"ends_at"`
}

func spellKey(d *authority.Described) keyAnswer {
	last := d.LastUse()
	k := keyAnswer{
		ID: d.ID.Native(latchkey.KindKey), OrganizationID: d.Organization.Native(latchkey.KindOrganization),
		ProjectID: d.Project.Native(latchkey.KindProject), Reach: string(d.Reach), Name: d.Name, Environment: string(d.Environment),
		OwnerID: optional(d.Owner.Native(latchkey.KindUser)), Partner: optional(d.Partner), Role: optional(d.Role),
		Scopes:       texts(d.Policy.Scopes),
		Restrictions: restrictions{Addresses: d.Policy.Addresses.Entries(), Resources: d.Policy.Resources},
		State:        string(d.State), Enabled: d.Enabled, Retrievable: d.Retrievable, Masked: d.Newest(d.At).Masked(),
		Signing: spellSigning(d), Metadata: spellMetadata(d.Metadata), CreatedAt: moment(d.CreatedAt), UpdatedAt: moment(d.UpdatedAt),
		CreatedBy: d.CreatedBy.String(), ExpiresAt: moment(d.ExpiresAt), LastUsedAt: moment(last.At),
		LastAddress: optional(last.From()), LastUserAgent: optional(last.Agent),
	}
	for _, s := range d.LiveSecrets(d.At) {
		k.Secrets = append(k.Secrets, secret{string(s.KID), moment(s.CreatedAt), moment(s.ExpiresAt), moment(s.LastUse.At)})
	}
	if r, running := d.Rotation(d.At); running {
		k.Rotation = &rotation{string(r.Old), string(r.New), moment(r.StartedAt), moment(r.EndsAt)}
	}
	return k
}

func spellMetadata(d latchkey.Document) metadata {
	m := metadata{}
	if d != "" {
		_ = json.Unmarshal([]byte(d), &m) // written by readMetadata alone
	}
	return m
}

func (m metadata) document() (latchkey.Document, error) {
	if len(m) == 0 {
		return "", nil
	}
	text, err := json.Marshal(m, json.Deterministic(true))
	return latchkey.Document(text), err
}

// optional is null for the empty string.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func texts[S ~string](in []S) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = string(s)
	}
	return out
}

type changedKeyAnswer struct {
	Key keyAnswer `json:"key"`
	Effective
}

type issuedAnswer struct {
	Key        keyAnswer `json:"key"`
	Secret     string    `json:"secret" doc:"The whole key. It is told this once."`
	SigningKey string    `json:"signing_key,omitzero" required:"false" doc:"What requests are signed with, told this once; absent unless the key signs with one that was made here."`
	Usable
}

type issuedItem struct {
	Key        keyAnswer `json:"key"`
	Secret     string    `json:"secret,omitzero" required:"false" doc:"The whole key, told this once; absent for an imported one."`
	SigningKey string    `json:"signing_key,omitzero" required:"false" doc:"What requests are signed with, told this once; absent unless the key signs with one that was made here."`
}

type batchIssuedAnswer struct {
	Results []issuedItem `json:"results" nullable:"false" doc:"In the order of the items."`
	Usable
}

type effectiveAnswer struct{ Effective }

// KeyInput is a key to be.
type KeyInput struct {
	Name         string             `json:"name" minLength:"1" maxLength:"255"`
	ProjectID    *string            `json:"project_id" required:"false" doc:"The caller's, or the default one."`
	Reach        *string            `json:"reach" required:"false" enum:"project,organization,all" doc:"project by default; never beyond the caller's."`
	OwnerID      *string            `json:"owner_id" required:"false" doc:"A user. Without a role the key has this user's permissions, read live."`
	Partner      *string            `json:"partner" required:"false" maxLength:"255"`
	Role         *string            `json:"role" required:"false" doc:"Identifier or id."`
	Scopes       []string           `json:"scopes" required:"false" maxItems:"256"`
	Restrictions *restrictionsInput `json:"restrictions" required:"false"`
	ExpiresAt    *moment            `json:"expires_at" required:"false"`
	Retrievable  bool               `json:"retrievable" required:"false" doc:"Store the value, sealed, so that it can be revealed; the project must allow it."`
	Metadata     metadata           `json:"metadata" required:"false" doc:"A JSON object of at most 8 KiB, given back as it is."`
	Signing      *signingInput      `json:"signing" required:"false" doc:"What its requests are signed with (RFC 9421, profile apikey-v1)."`
}

type restrictionsInput struct {
	Addresses []string            `json:"addresses" required:"false" maxItems:"256"`
	Resources map[string][]string `json:"resources" required:"false"`
}

type batchCreateInput struct {
	Items []KeyInput `json:"items" minItems:"1" maxItems:"1000" nullable:"false"`
}

type importInput struct {
	Scheme string       `json:"scheme" enum:"sha256" doc:"How the digests were made: SHA-256 of the whole key."`
	Items  []importItem `json:"items" minItems:"1" maxItems:"1000" nullable:"false"`
}

type importItem struct {
	Digest string  `json:"digest" minLength:"64" maxLength:"64" doc:"In hexadecimal."`
	Public *string `json:"public" required:"false" maxLength:"128" doc:"What of the key may be shown, like its first characters."`
	KeyInput
}

// read translates a key to be; what is wrong with it goes to broken, under at.
func (in *KeyInput) read(at string, broken *[]latchkey.FieldError) authority.NewKey {
	k := authority.NewKey{
		Name: in.Name, Partner: value(in.Partner), Scopes: in.Scopes, Retrievable: in.Retrievable,
		Reach:   latchkey.Reach(stated(at+"/reach", in.Reach, broken)),
		Project: readID(at+"/project_id", latchkey.KindProject, in.ProjectID, broken),
		Owner:   readID(at+"/owner_id", latchkey.KindUser, in.OwnerID, broken),
		Role:    readRole(stated(at+"/role", in.Role, broken)),
	}
	if in.Restrictions != nil {
		k.Addresses, k.Resources = in.Restrictions.Addresses, in.Restrictions.Resources
	}
	if in.ExpiresAt != nil {
		k.ExpiresAt = time.Time(*in.ExpiresAt)
	}
	var err error
	if k.Metadata, err = in.Metadata.document(); err != nil {
		*broken = append(*broken, latchkey.FieldError{Pointer: at + "/metadata", Code: "format", Detail: "This is a JSON object."})
	}
	if in.Signing != nil {
		k.Signing = in.Signing.read(at+"/signing", broken)
	}
	return k
}

// stated is the value of a member whose absence has a meaning: an empty string
// must not pass for that.
func stated(pointer string, s *string, broken *[]latchkey.FieldError) string {
	if s != nil && *s == "" {
		*broken = append(*broken, latchkey.FieldError{Pointer: pointer, Code: "required", Detail: "This is empty; leave it out to get the default."})
	}
	return value(s)
}

// readID reads an id in a body. A malformed one names nothing, like an unknown
// one, and is told alike.
func readID(pointer string, kind latchkey.Kind, s *string, broken *[]latchkey.FieldError) latchkey.ID {
	if s == nil {
		return latchkey.ID{}
	}
	id, err := latchkey.ParseNative(kind, *s)
	if err != nil || id.IsZero() {
		*broken = append(*broken, latchkey.FieldError{Pointer: pointer, Code: "unknown", Detail: "There is no such object within your reach; an id looks like " + string(kind) + "_…."})
	}
	return id
}

// readRole reads a role's id or identifier.
func readRole(s string) authority.RoleRef {
	if id, err := latchkey.ParseNative(latchkey.KindRole, s); err == nil {
		return authority.RoleRef{ID: id}
	}
	return authority.RoleRef{Identifier: s}
}

func refusedFields(broken []latchkey.FieldError) error {
	if len(broken) == 0 {
		return nil
	}
	return &latchkey.Error{Code: latchkey.CodeInvalid, Detail: "The request breaks a rule; see errors.", Fields: broken[:min(len(broken), 100)]}
}

func value[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}

// newOf makes a new value of the same type as sample, and returns a pointer to it.
func newOf(sample any) any { return reflect.New(reflect.TypeOf(sample)).Interface() }
