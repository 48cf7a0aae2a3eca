package cycle

import (
	"net/http"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/dialect/internal/exchange"
	"latchkey.dev/latchkey/internal/body"
)

func listKeys(x *exchange.Exchange) error {
	q, err := readQuery(x.Query, keyOrders, keyFilters)
	if err != nil {
		return err
	}
	f, some, err := q.keys()
	if err != nil {
		return err
	}
	var found []authority.Described
	if some {
		if found, _, err = x.Dialect.Authority.PageKeys(x.R.Context(), &x.Call, f, q.offset(), q.size); err != nil {
			return err
		}
	}
	data := make([]key, len(found))
	for i := range found {
		data[i] = spellKey(&found[i])
	}
	with, err := include(x, q, found)
	if err != nil {
		return err
	}
	return x.Answer(http.StatusOK, document[[]key]{data, with})
}

func getKey(x *exchange.Exchange) error {
	q, err := readQuery(x.Query, nil, nil)
	if err != nil {
		return err
	}
	id, err := keyID(x)
	if err != nil {
		return err
	}
	k, err := x.Dialect.Authority.GetKey(x.R.Context(), &x.Call, id)
	if err != nil {
		return err
	}
	with, err := include(x, q, []authority.Described{k})
	if err != nil {
		return err
	}
	return x.Answer(http.StatusOK, document[key]{spellKey(&k), with})
}

// include adds the roles of the keys, if they were asked for.
func include(x *exchange.Exchange, q query, keys []authority.Described) (*included, error) {
	if !q.withRoles {
		return nil, nil
	}
	roles, err := x.Dialect.Authority.RolesOf(x.R.Context(), &x.Call, keys)
	if err != nil {
		return nil, err
	}
	out := included{Roles: map[string]role{}}
	for id, r := range roles {
		out.Roles[id.Hex()] = spellRole(&r, x.Organization)
	}
	return &out, nil
}

// keyInput is the body of a creation and of an update. Members of earlier
// revisions (permissions, capabilities) are ignored, as any that is unknown.
type keyInput struct {
	Name   body.Optional[string]   `json:"name"`
	RoleID body.Optional[string]   `json:"role_id"`
	IPs    body.Optional[[]string] `json:"ips"`
}

// read checks what can be told of the input without the authority; nil is what
// was not given.
func (in *keyInput) read(required bool) (name *string, role *authority.RoleRef, err error) {
	var broken []latchkey.FieldError
	text := func(pointer string, o *body.Optional[string]) *string {
		switch {
		case o.Null:
			broken = append(broken, latchkey.FieldError{Pointer: pointer, Code: "null", Detail: "This cannot be null."})
		case !o.Set && required:
			broken = append(broken, latchkey.FieldError{Pointer: pointer, Code: ruleMissing, Detail: "This is required."})
		case o.Set:
			return &o.Value
		}
		return nil
	}
	name = text("/name", &in.Name)
	if id := text("/role_id", &in.RoleID); id != nil {
		role = &authority.RoleRef{}
		if role.ID, err = latchkey.ParseHex(*id); err != nil {
			broken = append(broken, latchkey.FieldError{Pointer: "/role_id", Code: "format", Detail: "An id is 24 hexadecimal digits in lower case."})
		}
	}
	for i, entry := range in.IPs.Value {
		in.IPs.Value[i] = strings.TrimSpace(entry)
	}
	if len(broken) > 0 {
		return nil, nil, &latchkey.Error{Code: latchkey.CodeInvalid, Detail: "The body breaks a rule.", Fields: broken}
	}
	return name, role, nil
}

func createKey(x *exchange.Exchange) error {
	var in keyInput
	if err := x.Decode(&in, body.UnknownMembers); err != nil {
		return err
	}
	name, role, err := in.read(true)
	if err != nil {
		return err
	}
	issued, effective, err := x.Dialect.Authority.CreateKey(x.R.Context(), &x.Call, authority.NewKey{Name: *name, Role: *role, Addresses: in.IPs.Value})
	if err != nil {
		return err
	}
	x.Changed(effective)
	k := spellKey(&issued.Described)
	k.Secret = issued.Secret.Expose()
	return x.Answer(http.StatusCreated, document[key]{Data: k})
}

// updateKey changes what the body has. A client of the vendor's that renames a key
// sends "ips": null with it, which lifts the restriction: that is what the schema
// says, and the event tells it.
func updateKey(x *exchange.Exchange) error {
	var in keyInput
	if err := x.Decode(&in, body.UnknownMembers); err != nil {
		return err
	}
	name, role, err := in.read(false)
	if err != nil {
		return err
	}
	patch := authority.KeyPatch{Name: name, Role: role}
	if in.IPs.Set {
		patch.Addresses = &in.IPs.Value
	}
	return change(x, func(id latchkey.ID) (authority.Described, authority.Effective, error) {
		return x.Dialect.Authority.UpdateKey(x.R.Context(), &x.Call, id, patch)
	})
}

func deleteKey(x *exchange.Exchange) error {
	return change(x, func(id latchkey.ID) (authority.Described, authority.Effective, error) {
		return x.Dialect.Authority.RevokeKey(x.R.Context(), &x.Call, id, "")
	})
}

// change answers with the changed key.
func change(x *exchange.Exchange, run func(id latchkey.ID) (authority.Described, authority.Effective, error)) error {
	id, err := keyID(x)
	if err != nil {
		return err
	}
	k, effective, err := run(id)
	if err != nil {
		return err
	}
	x.Changed(effective)
	return x.Answer(http.StatusOK, document[key]{Data: spellKey(&k)})
}

// keyID reads the id in the path. By id, a revoked key is not there.
func keyID(x *exchange.Exchange) (latchkey.ID, error) {
	x.Only.Standing = true
	return pathID(x, "apikeyId")
}

// pathID reads an id in the path. What is none of ours names nothing.
func pathID(x *exchange.Exchange, name string) (latchkey.ID, error) {
	id, err := latchkey.ParseHex(x.R.PathValue(name))
	if err != nil {
		return id, latchkey.Errorf(latchkey.CodeNotFound, "There is no such object in the hub.")
	}
	return id, nil
}
