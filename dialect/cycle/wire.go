package cycle

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/internal/body"
)

// moment is a time on the wire. One that is not set is the first moment of the
// year 1, as clients compare with it: never null, never absent.
type moment time.Time

// MarshalJSONTo implements json.MarshalerTo.
func (m moment) MarshalJSONTo(out *jsontext.Encoder) error {
	if time.Time(m).IsZero() {
		return out.WriteToken(jsontext.String("0001-01-01T00:00:00Z"))
	}
	text, err := body.Time(m).MarshalJSON()
	if err != nil {
		return err
	}
	return out.WriteValue(text)
}

// document is what every success holds.
type document[T any] struct {
	Data     T         `json:"data"`
	Includes *included `json:"includes,omitzero"`
}

// included is what the objects of an answer refer to, by id, each once.
type included struct {
	Roles map[string]role `json:"roles"`
}

// key is a key on the wire. Every member is always there.
type key struct {
	ID      string   `json:"id"`
	HubID   string   `json:"hub_id"`
	Name    string   `json:"name"`
	Creator scope    `json:"creator"`
	Secret  string   `json:"secret"` // masked, save in the answer that creates it
	RoleID  string   `json:"role_id"`
	IPs     ips      `json:"ips"`
	State   state    `json:"state"`
	Events  happened `json:"events"`
}

// ips are the addresses of a key as given; nil is null.
type ips []string

// MarshalJSONTo implements json.MarshalerTo.
func (list ips) MarshalJSONTo(out *jsontext.Encoder) error {
	if list == nil {
		return out.WriteToken(jsontext.Null)
	}
	if err := out.WriteToken(jsontext.BeginArray); err != nil {
		return err
	}
	for _, entry := range list {
		if err := out.WriteToken(jsontext.String(entry)); err != nil {
			return err
		}
	}
	return out.WriteToken(jsontext.EndArray)
}

// scope is who made something.
type scope struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

// The types of creators that there are here.
const (
	byAccount  = "account"
	byKey      = "api-key"
	byPlatform = "platform"
)

type state struct {
	Current string `json:"current"`
	Changed moment `json:"changed"`
}

// The states that a key can be in. The others of the document, new, configuring
// and deleting, are for what takes time; here nothing does.
const (
	live     = "live"
	inactive = "inactive"
	deleted  = "deleted"
)

// happened is when what happened to an object.
type happened struct {
	Created moment `json:"created"`
	Updated moment `json:"updated"`
	Deleted moment `json:"deleted"`
}

func spellKey(k *authority.Described) key {
	out := key{
		ID: k.ID.Hex(), HubID: k.Organization.Hex(), Name: k.Name, Creator: spellScope(k.CreatedBy, k.Organization),
		Secret: k.Newest(k.At).Masked(), RoleID: k.Policy.Role.Hex(), IPs: k.Policy.Addresses.Entries(), State: stateOf(k),
		Events: happened{Created: moment(k.CreatedAt), Deleted: moment(k.RevokedAt)},
	}
	if k.Changed() {
		out.Events.Updated = moment(k.UpdatedAt)
	}
	return out
}

// stateOf tells a key's state and since when. When a key was disabled is not
// kept; its last change stands for it.
func stateOf(k *authority.Described) state {
	switch k.State {
	case latchkey.StateRevoked:
		return state{deleted, moment(k.RevokedAt)}
	case latchkey.StateExpired:
		return state{inactive, moment(k.ExpiresAt)}
	case latchkey.StateDisabled:
		return state{inactive, moment(k.UpdatedAt)}
	case latchkey.StateLive:
	}
	return state{live, moment(k.CreatedAt)}
}

func spellScope(who latchkey.Principal, hub latchkey.ID) scope {
	switch who.Kind {
	case latchkey.PrincipalUser, latchkey.PrincipalIdentity:
		return scope{who.ID.Hex(), byAccount}
	case latchkey.PrincipalKey:
		return scope{who.ID.Hex(), byKey}
	default:
		return scope{hub.Hex(), byPlatform}
	}
}

// role is a role on the wire.
type role struct {
	ID           string       `json:"id"`
	HubID        string       `json:"hub_id"`
	Name         string       `json:"name"`
	Identifier   string       `json:"identifier"`
	Root         bool         `json:"root"`
	Rank         int          `json:"rank"`
	Default      *string      `json:"default"` // which built-in role it is; null for one of the hub's own
	Creator      scope        `json:"creator"`
	Capabilities capabilities `json:"capabilities"`
	State        state        `json:"state"`
	Events       happened     `json:"events"`
}

func spellRole(r *latchkey.Role, hub latchkey.ID) role {
	out := role{
		ID: r.ID.Hex(), HubID: hub.Hex(), Name: r.Name, Identifier: r.Identifier, Root: r.Rank == latchkey.MaxRank && r.Builtin(), Rank: r.Rank,
		Creator: spellScope(r.CreatedBy, hub), Capabilities: capabilitiesOf(r), State: state{live, moment(r.CreatedAt)},
		Events: happened{Created: moment(r.CreatedAt)},
	}
	if r.Builtin() {
		out.Default = &out.Identifier
		return out
	}
	if !r.UpdatedAt.Equal(r.CreatedAt) {
		out.Events.Updated = moment(r.UpdatedAt)
	}
	return out
}
