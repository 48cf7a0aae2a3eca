package vertesia

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/body"
)

// attributes are what the platform matches by when it decides about documents of
// its own. They are stored and given back, and decide nothing here.
type attributes struct {
	Properties   jsontext.Value `json:"properties,omitzero"` // an object
	Clearance    *float64       `json:"clearance,omitzero"`
	Compartments *[]string      `json:"compartments,omitzero"`
}

// attributesMember is the member of a key's metadata in which they are kept.
const attributesMember = "vertesia"

// attributesOf reads them from a key's metadata. What somebody else wrote in
// their place, and is not what they are, is nothing.
func attributesOf(metadata latchkey.Document) attributes {
	all := membersOf(metadata)
	var a attributes
	if text, ok := all[attributesMember]; ok {
		if json.Unmarshal(text, &a, json.RejectUnknownMembers(true)) != nil || a.Properties != nil && a.Properties.Kind() != jsontext.KindBeginObject {
			return attributes{}
		}
	}
	return a
}

func membersOf(metadata latchkey.Document) map[string]jsontext.Value {
	all := map[string]jsontext.Value{}
	if metadata != "" && json.Unmarshal([]byte(metadata), &all) != nil {
		return map[string]jsontext.Value{}
	}
	return all
}

// givenAttributes are the members of a body that set them.
type givenAttributes struct {
	Properties   body.Optional[jsontext.Value] `json:"properties"`
	Clearance    body.Optional[float64]        `json:"clearance"`
	Compartments body.Optional[[]string]       `json:"compartments"`
	Provisioning body.Optional[jsontext.Value] `json:"scim_provisioning"`
}

// check refuses what they cannot be.
func (g *givenAttributes) check(broken *problems) {
	notNull(broken, "/properties", g.Properties)
	notNull(broken, "/clearance", g.Clearance)
	notNull(broken, "/compartments", g.Compartments)
	if g.Properties.Set && !g.Properties.Null && g.Properties.Value.Kind() != jsontext.KindBeginObject {
		broken.add("/properties", "wrong_type", "This must be an object.")
	}
	if g.Provisioning.Set {
		broken.add("/scim_provisioning", "not_allowed", "Users are not provisioned by keys here; leave it out.")
	}
}

// any reports whether there is something to set.
func (g *givenAttributes) any() bool {
	return g.Properties.Set || g.Clearance.Set || g.Compartments.Set
}

// set is a key's metadata with those that are given.
func (g *givenAttributes) set(metadata latchkey.Document) (latchkey.Document, error) {
	a, all := attributesOf(metadata), membersOf(metadata)
	if g.Properties.Set {
		a.Properties = g.Properties.Value
	}
	if g.Clearance.Set {
		a.Clearance = &g.Clearance.Value
	}
	if g.Compartments.Set {
		a.Compartments = &g.Compartments.Value
	}
	own, err := json.Marshal(a, json.Deterministic(true))
	if err != nil {
		return "", err
	}
	all[attributesMember] = own
	text, err := json.Marshal(all, json.Deterministic(true))
	return latchkey.Document(text), err
}
