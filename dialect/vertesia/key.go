package vertesia

import (
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/dialect/internal/exchange"
	"latchkey.dev/latchkey/internal/body"
)

// secretType is the one type of keys there is; "pk" was another once.
const secretType = "sk"

// key is a key as the document shows it.
type key struct {
	ID           string         `json:"id"`
	Name         string         `json:"name"`
	Type         string         `json:"type"`
	Role         string         `json:"role"`
	Masked       string         `json:"maskedValue"`
	Retrievable  bool           `json:"can_retrieve_value"`
	Value        string         `json:"value,omitempty"`
	Account      string         `json:"account"`
	Project      any            `json:"project"` // a project, or its id
	Enabled      bool           `json:"enabled"`
	CreatedBy    string         `json:"created_by"`
	UpdatedBy    string         `json:"updated_by"`
	CreatedAt    body.Time      `json:"created_at"`
	UpdatedAt    body.Time      `json:"updated_at"`
	ExpiresAt    body.Time      `json:"expires_at,omitzero"`
	Properties   jsontext.Value `json:"properties,omitzero"`
	Clearance    *float64       `json:"clearance,omitzero"`
	Compartments *[]string      `json:"compartments,omitzero"`
}

// project is a project as an object.
type project struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Account string `json:"account"`
}

func spellProject(p *latchkey.Project) project {
	return project{p.ID.Hex(), p.Name, p.Organization.Hex()}
}

// speller spells keys for one request.
type speller struct {
	x     *exchange.Exchange
	known map[latchkey.ID]latchkey.Project
	done  bool // a change was made, and a refusal would say that it was not
}

func newSpeller(x *exchange.Exchange) *speller {
	return &speller{x: x, known: map[latchkey.ID]latchkey.Project{}}
}

// changed answers for a change with the key as it is now.
func changed(x *exchange.Exchange, e authority.Effective, d *authority.Described, value latchkey.Plaintext) error {
	x.Changed(e)
	spell := newSpeller(x)
	spell.done = true
	k, err := spell.key(d, value)
	if err != nil {
		return err
	}
	return answer(x, k)
}

// key spells a key, with its value if that is told.
func (s *speller) key(d *authority.Described, value latchkey.Plaintext) (*key, error) {
	in, err := s.project(d)
	if err != nil {
		return nil, err
	}
	a := attributesOf(d.Metadata)
	k := &key{
		ID: d.ID.Hex(), Name: d.Name, Type: secretType, Role: d.Role, Masked: d.Newest(d.At).Masked(),
		Retrievable: s.x.Dialect.Authority.Tells(&in, &d.Key, d.At), Value: value.Expose(),
		Account: d.Organization.Hex(), Project: in.ID.Hex(), Enabled: d.Enabled,
		CreatedBy: principal(d.CreatedBy), UpdatedBy: principal(d.UpdatedBy),
		CreatedAt: body.Time(d.CreatedAt), UpdatedAt: body.Time(d.UpdatedAt), ExpiresAt: body.Time(d.ExpiresAt),
		Properties: a.Properties, Clearance: a.Clearance, Compartments: a.Compartments,
	}
	if wholeProjects(s.x.R.Header) {
		k.Project = spellProject(&in)
	}
	return k, nil
}

// maxKnown bounds how many projects a list remembers.
const maxKnown = 1000

func (s *speller) project(d *authority.Described) (latchkey.Project, error) {
	if p, ok := s.known[d.Project]; ok {
		return p, nil
	}
	found, err := s.x.Dialect.Authority.ProjectsOf(s.x.R.Context(), &s.x.Call, []authority.Described{*d})
	if err != nil && !s.done {
		return latchkey.Project{}, err
	}
	p, ok := found[d.Project]
	if !ok { // gone since the key was read, and the key with it; or it cannot be read now
		p = latchkey.Project{ID: d.Project, Organization: d.Organization, ForbidRetrievable: true}
	}
	if len(s.known) >= maxKnown {
		clear(s.known)
	}
	s.known[d.Project] = p
	return p, nil
}

// principal spells who made a change.
func principal(p latchkey.Principal) string {
	switch p.Kind {
	case latchkey.PrincipalUser, latchkey.PrincipalIdentity:
		return "user:" + p.ID.Hex()
	case latchkey.PrincipalKey:
		return "apikey:" + p.ID.Hex()
	case latchkey.PrincipalSystem:
	}
	return "system"
}

// pathID reads the key's id. One that is none of ours names nothing.
func pathID(x *exchange.Exchange) (latchkey.ID, error) {
	text := x.R.PathValue("id")
	id, err := latchkey.ParseHex(text)
	switch {
	case text == "pk":
		return id, latchkey.Errorf(latchkey.CodeNotFound, "Public keys are not supported; issue a key with a role of few rights.")
	case err != nil:
		return id, latchkey.Errorf(latchkey.CodeNotFound, "There is no such API key within your reach.")
	}
	return id, nil
}

// The levels of a list.
const (
	accountLevel = "account"
	projectLevel = "project"
)

func listKeys(x *exchange.Exchange) error {
	var filter authority.KeyFilter
	switch level := x.Query.Get("level"); {
	case level == accountLevel:
	case level == projectLevel || !x.Query.Has("level"):
		own, err := x.Dialect.Authority.OwnProject(x.R.Context(), &x.Call)
		if err != nil {
			return err
		}
		filter.Project = own.ID
	default:
		return latchkey.Invalid("query:level", "not_allowed", "A level is account or project.")
	}
	vary(x.W)
	spell := newSpeller(x)
	return x.Stream(func(add func(v any) error) error {
		return x.Dialect.Authority.EachKey(x.R.Context(), &x.Call, filter, func(d *authority.Described) error {
			k, err := spell.key(d, latchkey.Plaintext{})
			if err != nil {
				return err
			}
			return add(k)
		})
	})
}

// createPayload is what a key is to be.
type createPayload struct {
	Name      body.Optional[string]    `json:"name"`
	Type      body.Optional[string]    `json:"type"`
	Role      body.Optional[string]    `json:"role"`
	ExpiresAt body.Optional[body.Time] `json:"expires_at"`
	givenAttributes
}

func createKey(x *exchange.Exchange) error {
	var in createPayload
	if err := x.Decode(&in, members(x)); err != nil {
		return err
	}
	wanted, err := in.read()
	if err != nil {
		return err
	}
	issued, effective, err := x.Dialect.Authority.CreateKey(x.R.Context(), &x.Call, wanted)
	if err != nil {
		return err
	}
	return changed(x, effective, &issued.Described, issued.Secret)
}

func (in *createPayload) read() (authority.NewKey, error) {
	var broken problems
	notNull(&broken, "/name", in.Name)
	if in.Name.Value == "" && !in.Name.Null {
		broken.add("/name", "required", "This is required.")
	}
	if in.Type.Set && in.Type.Value != secretType {
		broken.add("/type", "not_allowed", "A key is of type sk.")
	}
	if !in.Role.Set {
		broken.add("/role", "required", "This is required.")
	}
	role := readRole(in.Role, &broken)
	in.check(&broken)
	wanted := authority.NewKey{Name: in.Name.Value, Format: latchkey.FormatShort, Role: role, ExpiresAt: time.Time(in.ExpiresAt.Value)}
	if err := broken.err(); err != nil || !in.any() {
		return wanted, err
	}
	var err error
	wanted.Metadata, err = in.set("")
	return wanted, err
}

func readRole(given body.Optional[string], broken *problems) authority.RoleRef {
	if _, known := latchkey.BuiltinRole(given.Value); given.Set && !known {
		broken.add("/role", "not_allowed", "A role is one of the sixteen that "+rolesPath+"/system lists.")
	}
	return authority.RoleRef{Identifier: given.Value}
}

func getKey(x *exchange.Exchange) error {
	withValue, err := readWithValue(x)
	if err != nil {
		return err
	}
	id, err := pathID(x)
	if err != nil {
		return err
	}
	var d authority.Described
	var value latchkey.Plaintext
	if withValue {
		d, value, err = x.Dialect.Authority.GetKeyWithValue(x.R.Context(), &x.Call, id, "GET "+keysPath+"/{id}?withValue=true")
	} else {
		d, err = x.Dialect.Authority.GetKey(x.R.Context(), &x.Call, id)
	}
	if err != nil {
		return err
	}
	k, err := newSpeller(x).key(&d, value)
	if err != nil {
		return err
	}
	return answer(x, k)
}

// readWithValue tells whether the value is asked for. What is neither true nor
// false is refused, but for old clients.
func readWithValue(x *exchange.Exchange) (bool, error) {
	given, ok := x.Query["withValue"]
	switch {
	case !ok || given[0] == "false":
		return false, nil
	case given[0] == "true":
		return true, nil
	case lenient(x.R.Header):
		return false, nil
	}
	return false, latchkey.Invalid("query:withValue", "wrong_type", "This is true or false.")
}

// updatePayload is what is to be different about a key.
type updatePayload struct {
	Name      body.Optional[string]    `json:"name"`
	Role      body.Optional[string]    `json:"role"`
	Enabled   body.Optional[bool]      `json:"enabled"`
	ExpiresAt body.Optional[body.Time] `json:"expires_at"`
	givenAttributes
}

func updateKey(x *exchange.Exchange) error {
	var in updatePayload
	if err := x.Decode(&in, members(x)); err != nil {
		return err
	}
	patch, err := in.read()
	if err != nil {
		return err
	}
	id, err := pathID(x)
	if err != nil {
		return err
	}
	d, effective, err := x.Dialect.Authority.UpdateKey(x.R.Context(), &x.Call, id, patch)
	if err != nil {
		return err
	}
	return changed(x, effective, &d, latchkey.Plaintext{})
}

func (in *updatePayload) read() (authority.KeyPatch, error) {
	var broken problems
	var patch authority.KeyPatch
	notNull(&broken, "/name", in.Name)
	notNull(&broken, "/enabled", in.Enabled)
	if in.Name.Set {
		patch.Name = &in.Name.Value
	}
	if in.Role.Set {
		role := readRole(in.Role, &broken)
		patch.Role = &role
	}
	if in.Enabled.Set {
		patch.Enabled = &in.Enabled.Value
	}
	if in.ExpiresAt.Set { // null: never
		at := time.Time(in.ExpiresAt.Value)
		patch.ExpiresAt = &at
	}
	in.check(&broken)
	if in.any() {
		patch.EditMetadata = in.set
	}
	return patch, broken.err()
}

// deletion is what the platform's database says of a deletion.
type deletion struct {
	Acknowledged bool `json:"acknowledged"`
	DeletedCount int  `json:"deletedCount"`
}

func deleteKey(x *exchange.Exchange) error {
	id, err := pathID(x)
	if err != nil {
		return err
	}
	_, effective, err := x.Dialect.Authority.RevokeKey(x.R.Context(), &x.Call, id, "")
	if err != nil {
		return err
	}
	x.Changed(effective)
	return answer(x, deletion{true, 1})
}

// role is a built-in role.
type role struct {
	Name        string               `json:"name"`
	Permissions latchkey.Permissions `json:"permissions"`
	Domain      string               `json:"domain"`
}

func listRoles(x *exchange.Exchange) error {
	var roles []role
	for _, r := range latchkey.BuiltinRoles() {
		roles = append(roles, role{r.Identifier, spelledOut(r.Permissions), "system"})
	}
	return answer(x, roles)
}

// spelledOut are permissions as the platform's clients compare them: by name.
func spelledOut(held latchkey.Permissions) latchkey.Permissions {
	if !slices.Contains(held, latchkey.Everything) {
		return held
	}
	others := slices.DeleteFunc(slices.Clone(held), func(p latchkey.Permission) bool { return p == latchkey.Everything })
	return latchkey.VertesiaPermissions().Union(others)
}
