package latchkey

import (
	"slices"
	"time"
)

// EventType says what changed.
type EventType string

// The types of events.
const (
	InstallationCreated EventType = "installation.created"

	OrganizationCreated EventType = "organization.created"
	OrganizationUpdated EventType = "organization.updated"
	OrganizationDeleted EventType = "organization.deleted"

	ProjectCreated EventType = "project.created"
	ProjectUpdated EventType = "project.updated"
	ProjectDeleted EventType = "project.deleted"

	UserCreated EventType = "user.created"
	UserUpdated EventType = "user.updated"
	UserDeleted EventType = "user.deleted"

	RoleCreated EventType = "role.created"
	RoleUpdated EventType = "role.updated"
	RoleDeleted EventType = "role.deleted"

	KeyCreated           EventType = "key.created"
	KeysImported         EventType = "keys.imported"
	KeyUpdated           EventType = "key.updated"
	KeyRotated           EventType = "key.rotated"
	KeyRotationCompleted EventType = "key.rotation_completed"
	KeyRotationCancelled EventType = "key.rotation_cancelled"
	KeyRevoked           EventType = "key.revoked"
	KeyRevealed          EventType = "key.revealed"
	KeyTokenMinted       EventType = "key.token_minted"

	GatewayCreated      EventType = "gateway.created"
	GatewayUpdated      EventType = "gateway.updated"
	GatewayTokenRotated EventType = "gateway.token_rotated"
	GatewayDeleted      EventType = "gateway.deleted"

	IssuerCreated EventType = "issuer.created"
	IssuerUpdated EventType = "issuer.updated"
	IssuerDeleted EventType = "issuer.deleted"

	RingVersionAdded     EventType = "keyring.version_added"
	RingVersionActivated EventType = "keyring.version_activated"
	RingVersionRetired   EventType = "keyring.version_retired"

	TokenKeyAdded     EventType = "token_key.added"
	TokenKeyActivated EventType = "token_key.activated"
	TokenKeyRetired   EventType = "token_key.retired"
	TokenKeyRemoved   EventType = "token_key.removed"

	TokenRevoked EventType = "token.revoked"

	NodeForgotten EventType = "node.forgotten"
)

// Consequence is what an event of a type can do to verdicts. A change that
// narrows or widens is acknowledged as effective only when every node applies it.
type Consequence struct {
	Narrows bool // a key that was valid may be refused
	Widens  bool // a key that was refused may be valid
}

// consequences declares every type; a test fails for one that is missing.
var consequences = map[EventType]Consequence{
	InstallationCreated:  {},
	OrganizationCreated:  {},
	OrganizationUpdated:  {Narrows: true, Widens: true}, // suspension and its end
	OrganizationDeleted:  {Narrows: true},
	ProjectCreated:       {},
	ProjectUpdated:       {},
	ProjectDeleted:       {Narrows: true},
	UserCreated:          {},
	UserUpdated:          {Narrows: true, Widens: true}, // suspension, roles
	UserDeleted:          {Narrows: true},
	RoleCreated:          {},
	RoleUpdated:          {Narrows: true, Widens: true},
	RoleDeleted:          {Narrows: true},
	KeyCreated:           {Widens: true},
	KeysImported:         {Widens: true},
	KeyUpdated:           {Narrows: true, Widens: true},
	KeyRotated:           {Narrows: true, Widens: true}, // an overlap of zero ends the old secret at once
	KeyRotationCompleted: {Narrows: true},
	KeyRotationCancelled: {Narrows: true, Widens: true}, // the new secret dies, the old one lives on without an end
	KeyRevoked:           {Narrows: true},
	KeyRevealed:          {},
	KeyTokenMinted:       {},
	GatewayCreated:       {Widens: true},
	GatewayUpdated:       {Narrows: true, Widens: true},
	GatewayTokenRotated:  {Narrows: true, Widens: true}, // the old token ends at once
	GatewayDeleted:       {Narrows: true},
	IssuerCreated:        {Widens: true},
	IssuerUpdated:        {Narrows: true, Widens: true},
	IssuerDeleted:        {Narrows: true},
	RingVersionAdded:     {},
	RingVersionActivated: {},
	RingVersionRetired:   {Narrows: true}, // digests still marked with it die
	TokenKeyAdded:        {Widens: true},  // tokens that it signs are refused where it is not known yet
	TokenKeyActivated:    {},
	TokenKeyRetired:      {},
	TokenKeyRemoved:      {Narrows: true}, // a token that it signed is refused
	TokenRevoked:         {Narrows: true},
	NodeForgotten:        {}, // of itself: the operator vouches for it that the node answers no more
}

// Consequence gives what t declares; false for a type that is not one of ours.
func (t EventType) Consequence() (Consequence, bool) {
	c, ok := consequences[t]
	return c, ok
}

// EventTypes lists the types, sorted.
func EventTypes() []EventType {
	types := make([]EventType, 0, len(consequences))
	for t := range consequences {
		types = append(types, t)
	}
	slices.Sort(types)
	return types
}

// Object names what an event is about.
type Object struct {
	Kind Kind // "" for the installation itself
	ID   ID
}

// Native spells the object's id; "" for the installation.
func (o Object) Native() string {
	if o.Kind == "" {
		return ""
	}
	return o.ID.Native(o.Kind)
}

// Event is the record of one change. It is written in the transaction of the
// change; Position numbers all events of the installation without a gap, in
// commit order.
type Event struct {
	ID           ID
	Position     int64 // given by the store
	Organization ID    // whose change it is; zero for the installation
	Type         EventType
	At           time.Time
	Actor        Principal
	Via          ID // the key that authenticated the call; zero for the socket
	Object       Object
	Changes      Document // what is different now; never a secret
	RequestID    string
}
