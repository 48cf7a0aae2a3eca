package rest

import (
	"strconv"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/internal/body"
)

// The organizations, projects, users and roles: what keys hang on.

// OrganizationAnswer is a tenant.
type OrganizationAnswer struct {
	ID        string `json:"id" example:"org_0d5qh0w2e9x8v3k7m1ac"`
	UUID      string `json:"uuid" doc:"The same id as a UUID."`
	HubID     string `json:"hub_id" doc:"The same id in 24 hexadecimal digits."`
	Name      string `json:"name"`
	Operator  bool   `json:"operator" doc:"The first organization, whose owner and admin manage the others."`
	State     string `json:"state" enum:"active,suspended"`
	Keys      int64  `json:"keys" doc:"How many keys it has, revoked ones counted."`
	Limits    limits `json:"limits"`
	CreatedAt moment `json:"created_at"`
	UpdatedAt moment `json:"updated_at"`
	CreatedBy string `json:"created_by"`
}

type limits struct {
	Keys             int64 `json:"keys"`
	ChangesPerSecond int64 `json:"changes_per_second"`
}

type changedOrganizationAnswer struct {
	OrganizationAnswer
	Effective
}

func spellOrganization(o *latchkey.Organization) OrganizationAnswer {
	return OrganizationAnswer{
		ID: o.ID.Native(latchkey.KindOrganization), UUID: o.ID.UUID(), HubID: o.ID.Hex(), Name: o.Name, Operator: o.Operator,
		State: activity(o.Suspended), Keys: o.Keys, Limits: limits{o.Limits.Keys, o.Limits.ChangesPerSecond},
		CreatedAt: moment(o.CreatedAt), UpdatedAt: moment(o.UpdatedAt), CreatedBy: o.CreatedBy.String(),
	}
}

// The states of users and organizations.
const (
	active    = "active"
	suspended = "suspended"
)

func activity(isSuspended bool) string {
	if isSuspended {
		return suspended
	}
	return active
}

// readActivity reads a state into suspended or not; nil if it is absent.
func readActivity(o body.Optional[string], broken *[]latchkey.FieldError) *bool {
	if !o.Set {
		return nil
	}
	is := o.Value == suspended
	if o.Null || !is && o.Value != active {
		*broken = append(*broken, latchkey.FieldError{Pointer: "/state", Code: "not_allowed", Detail: "A state is active or suspended."})
	}
	return &is
}

type organizationInput struct {
	Name string `json:"name" minLength:"1" maxLength:"255"`
}

type organizationPatch struct {
	Name   body.Optional[string]      `json:"name" required:"false" nullable:"false"`
	State  body.Optional[string]      `json:"state" required:"false" nullable:"false" doc:"active or suspended: all its keys give the verdict disabled."`
	Limits body.Optional[limitsPatch] `json:"limits" required:"false" nullable:"false"`
}

type limitsPatch struct {
	Keys             body.Optional[int64] `json:"keys" required:"false" nullable:"false"`
	ChangesPerSecond body.Optional[int64] `json:"changes_per_second" required:"false" nullable:"false"`
}

func (api *API) listOrganizations(x *exchange) error {
	return list(x, api.Authority.ListOrganizations, spellOrganization)
}

func (api *API) createOrganization(x *exchange) error {
	o, _, err := api.Authority.CreateOrganization(x.r.Context(), &x.Call, authority.NewOrganization{Name: x.in.(*organizationInput).Name})
	if err != nil {
		return err
	}
	return x.answerRevision(o.Revision, o.ID.Native(latchkey.KindOrganization), spellOrganization(&o))
}

func (api *API) getOrganization(x *exchange) error {
	id := x.pathID(latchkey.KindOrganization)
	o, err := api.Authority.GetOrganization(x.r.Context(), &x.Call, id)
	if err != nil {
		return err
	}
	return x.answerRevision(o.Revision, "", spellOrganization(&o))
}

func (api *API) updateOrganization(x *exchange) error {
	in := x.in.(*organizationPatch)
	var broken []latchkey.FieldError
	patch := authority.OrganizationPatch{
		Name: needed("/name", in.Name, &broken), Suspended: readActivity(in.State, &broken),
		KeyLimit:         needed("/limits/keys", in.Limits.Value.Keys, &broken),
		ChangesPerSecond: needed("/limits/changes_per_second", in.Limits.Value.ChangesPerSecond, &broken),
	}
	needed("/limits", in.Limits, &broken)
	if err := refusedFields(broken); err != nil {
		return err
	}
	id := x.pathID(latchkey.KindOrganization)
	o, e, err := api.Authority.UpdateOrganization(x.r.Context(), &x.Call, id, patch)
	if err != nil {
		return err
	}
	return x.answerRevision(o.Revision, "", changedOrganizationAnswer{spellOrganization(&o), spellEffective(e)})
}

func (api *API) deleteOrganization(x *exchange) error {
	return x.delete(latchkey.KindOrganization, func(id latchkey.ID, revoke bool) (authority.Effective, error) {
		return api.Authority.DeleteOrganization(x.r.Context(), &x.Call, id, revoke)
	})
}

// delete answers a deletion of any kind.
func (x *exchange) delete(kind latchkey.Kind, run func(id latchkey.ID, revokeKeys bool) (authority.Effective, error)) error {
	q := x.queries()
	revoke := q.boolean("revoke_keys")
	if err := q.err(); err != nil {
		return err
	}
	id := x.pathID(kind)
	e, err := run(id, revoke)
	if err != nil {
		return err
	}
	return x.answer(effectiveAnswer{spellEffective(e)})
}

// ProjectAnswer is a set of keys.
type ProjectAnswer struct {
	ID                string `json:"id"`
	OrganizationID    string `json:"organization_id"`
	Name              string `json:"name"`
	Prefix            string `json:"prefix" doc:"Begins its keys."`
	Environment       string `json:"environment" enum:"live,test"`
	Default           bool   `json:"default" doc:"Where a key goes that names no project."`
	Retrievable       bool   `json:"retrievable" doc:"Keys may be stored so that their value can be revealed."`
	ForbidRetrievable bool   `json:"forbid_retrievable" doc:"No key's value is stored or revealed, not even of a key that is made for an API which promises it."`
	CreatedAt         moment `json:"created_at"`
	UpdatedAt         moment `json:"updated_at"`
	CreatedBy         string `json:"created_by"`
}

type changedProjectAnswer struct {
	ProjectAnswer
	Effective
}

func spellProject(p *latchkey.Project) ProjectAnswer {
	return ProjectAnswer{
		ID: p.ID.Native(latchkey.KindProject), OrganizationID: p.Organization.Native(latchkey.KindOrganization), Name: p.Name,
		Prefix: p.Prefix, Environment: string(p.Environment), Default: p.Default, Retrievable: p.Retrievable, ForbidRetrievable: p.ForbidRetrievable,
		CreatedAt: moment(p.CreatedAt), UpdatedAt: moment(p.UpdatedAt), CreatedBy: p.CreatedBy.String(),
	}
}

type projectInput struct {
	Name              string  `json:"name" minLength:"1" maxLength:"255"`
	Prefix            *string `json:"prefix" required:"false" pattern:"^[a-z][a-z0-9]{1,15}$" doc:"lk by default."`
	Environment       *string `json:"environment" required:"false" enum:"live,test" doc:"live by default."`
	Retrievable       bool    `json:"retrievable" required:"false"`
	ForbidRetrievable bool    `json:"forbid_retrievable" required:"false"`
}

type projectPatch struct {
	Name              body.Optional[string] `json:"name" required:"false" nullable:"false"`
	Retrievable       body.Optional[bool]   `json:"retrievable" required:"false" nullable:"false"`
	ForbidRetrievable body.Optional[bool]   `json:"forbid_retrievable" required:"false" nullable:"false"`
}

func (api *API) listProjects(x *exchange) error {
	return list(x, api.Authority.ListProjects, spellProject)
}

func (api *API) createProject(x *exchange) error {
	in := x.in.(*projectInput)
	var broken []latchkey.FieldError
	project := authority.NewProject{
		Name: in.Name, Prefix: stated("/prefix", in.Prefix, &broken), Environment: latchkey.Environment(stated("/environment", in.Environment, &broken)),
		Retrievable: in.Retrievable, ForbidRetrievable: in.ForbidRetrievable,
	}
	if err := refusedFields(broken); err != nil {
		return err
	}
	p, _, err := api.Authority.CreateProject(x.r.Context(), &x.Call, project)
	if err != nil {
		return err
	}
	return x.answerRevision(p.Revision, p.ID.Native(latchkey.KindProject), spellProject(&p))
}

func (api *API) getProject(x *exchange) error {
	id := x.pathID(latchkey.KindProject)
	p, err := api.Authority.GetProject(x.r.Context(), &x.Call, id)
	if err != nil {
		return err
	}
	return x.answerRevision(p.Revision, "", spellProject(&p))
}

func (api *API) updateProject(x *exchange) error {
	in := x.in.(*projectPatch)
	var broken []latchkey.FieldError
	patch := authority.ProjectPatch{
		Name: needed("/name", in.Name, &broken), Retrievable: needed("/retrievable", in.Retrievable, &broken),
		ForbidRetrievable: needed("/forbid_retrievable", in.ForbidRetrievable, &broken),
	}
	if err := refusedFields(broken); err != nil {
		return err
	}
	id := x.pathID(latchkey.KindProject)
	p, e, err := api.Authority.UpdateProject(x.r.Context(), &x.Call, id, patch)
	if err != nil {
		return err
	}
	return x.answerRevision(p.Revision, "", changedProjectAnswer{spellProject(&p), spellEffective(e)})
}

func (api *API) deleteProject(x *exchange) error {
	return x.delete(latchkey.KindProject, func(id latchkey.ID, revoke bool) (authority.Effective, error) {
		return api.Authority.DeleteProject(x.r.Context(), &x.Call, id, revoke)
	})
}

// UserAnswer is a person or a service account.
type UserAnswer struct {
	ID             string       `json:"id"`
	OrganizationID string       `json:"organization_id"`
	Kind           string       `json:"kind" enum:"person,service"`
	Name           string       `json:"name"`
	Email          string       `json:"email" doc:"Empty for a service account."`
	State          string       `json:"state" enum:"active,suspended"`
	Roles          []memberRole `json:"roles" nullable:"false" doc:"One for each reach."`
	CreatedAt      moment       `json:"created_at"`
	UpdatedAt      moment       `json:"updated_at"`
	CreatedBy      string       `json:"created_by"`
}

type memberRole struct {
	ProjectID *string `json:"project_id" doc:"null: over the whole organization."`
	Role      string  `json:"role" doc:"Identifier, or the id of a custom role."`
}

type changedUserAnswer struct {
	UserAnswer
	Effective
}

func spellUser(u *latchkey.User) UserAnswer {
	out := UserAnswer{
		ID: u.ID.Native(latchkey.KindUser), OrganizationID: u.Organization.Native(latchkey.KindOrganization), Kind: string(u.Kind),
		Name: u.Name, Email: u.Email, State: activity(u.Suspended),
		CreatedAt: moment(u.CreatedAt), UpdatedAt: moment(u.UpdatedAt), CreatedBy: u.CreatedBy.String(),
	}
	for _, m := range u.Memberships {
		role := m.Role.Native(latchkey.KindRole)
		if r, builtin := latchkey.BuiltinRoleByID(m.Role); builtin {
			role = r.Identifier
		}
		out.Roles = append(out.Roles, memberRole{optional(m.Project.Native(latchkey.KindProject)), role})
	}
	return out
}

type userInput struct {
	Kind  *string           `json:"kind" required:"false" enum:"person,service" doc:"person by default."`
	Name  string            `json:"name" minLength:"1" maxLength:"255"`
	Email *string           `json:"email" required:"false" maxLength:"254" doc:"Required of a person."`
	Roles []memberRoleInput `json:"roles" required:"false"`
}

type memberRoleInput struct {
	ProjectID *string `json:"project_id" required:"false" doc:"Absent or null: over the whole organization."`
	Role      string  `json:"role" doc:"Identifier or id."`
}

func readMembers(in []memberRoleInput, broken *[]latchkey.FieldError) []authority.MemberRole {
	out := make([]authority.MemberRole, len(in))
	for i, m := range in {
		out[i] = authority.MemberRole{Project: readID("/roles/"+strconv.Itoa(i)+"/project_id", latchkey.KindProject, m.ProjectID, broken), Role: readRole(m.Role)}
	}
	return out
}

type userPatch struct {
	Name  body.Optional[string]            `json:"name" required:"false" nullable:"false"`
	Email body.Optional[string]            `json:"email" required:"false" nullable:"false"`
	State body.Optional[string]            `json:"state" required:"false" nullable:"false" doc:"active or suspended: the user's keys give the verdict disabled."`
	Roles body.Optional[[]memberRoleInput] `json:"roles" required:"false" nullable:"false" doc:"Replaces all of them."`
}

func (api *API) listUsers(x *exchange) error {
	return list(x, api.Authority.ListUsers, spellUser)
}

func (api *API) createUser(x *exchange) error {
	in := x.in.(*userInput)
	var broken []latchkey.FieldError
	user := authority.NewUser{
		Kind: latchkey.UserKind(stated("/kind", in.Kind, &broken)), Name: in.Name, Email: value(in.Email), Roles: readMembers(in.Roles, &broken),
	}
	if err := refusedFields(broken); err != nil {
		return err
	}
	u, _, err := api.Authority.CreateUser(x.r.Context(), &x.Call, user)
	if err != nil {
		return err
	}
	return x.answerRevision(u.Revision, u.ID.Native(latchkey.KindUser), spellUser(&u))
}

func (api *API) getUser(x *exchange) error {
	id := x.pathID(latchkey.KindUser)
	u, err := api.Authority.GetUser(x.r.Context(), &x.Call, id)
	if err != nil {
		return err
	}
	return x.answerRevision(u.Revision, "", spellUser(&u))
}

func (api *API) updateUser(x *exchange) error {
	in := x.in.(*userPatch)
	var broken []latchkey.FieldError
	patch := authority.UserPatch{
		Name: needed("/name", in.Name, &broken), Email: needed("/email", in.Email, &broken), Suspended: readActivity(in.State, &broken),
	}
	if in.Roles.Set {
		roles := readMembers(in.Roles.Value, &broken)
		patch.Roles = &roles
	}
	if err := refusedFields(broken); err != nil {
		return err
	}
	id := x.pathID(latchkey.KindUser)
	u, e, err := api.Authority.UpdateUser(x.r.Context(), &x.Call, id, patch)
	if err != nil {
		return err
	}
	return x.answerRevision(u.Revision, "", changedUserAnswer{spellUser(&u), spellEffective(e)})
}

func (api *API) deleteUser(x *exchange) error {
	return x.delete(latchkey.KindUser, func(id latchkey.ID, revoke bool) (authority.Effective, error) {
		return api.Authority.DeleteUser(x.r.Context(), &x.Call, id, revoke)
	})
}

// RoleAnswer is a named set of permissions.
type RoleAnswer struct {
	ID             string   `json:"id"`
	OrganizationID *string  `json:"organization_id" doc:"null for a built-in role."`
	Identifier     string   `json:"identifier"`
	Name           string   `json:"name"`
	Rank           int      `json:"rank" minimum:"0" maximum:"10"`
	Permissions    []string `json:"permissions" nullable:"false" doc:"A trailing * stands for the rest."`
	Builtin        bool     `json:"builtin"`
	CreatedAt      moment   `json:"created_at" nullable:"true"`
	UpdatedAt      moment   `json:"updated_at" nullable:"true"`
	CreatedBy      *string  `json:"created_by"`
}

type changedRoleAnswer struct {
	RoleAnswer
	Effective
}

func spellRole(r *latchkey.Role) RoleAnswer {
	return RoleAnswer{
		ID: r.ID.Native(latchkey.KindRole), OrganizationID: optional(r.Organization.Native(latchkey.KindOrganization)),
		Identifier: r.Identifier, Name: r.Name, Rank: r.Rank, Permissions: texts(r.Permissions), Builtin: r.Builtin(),
		CreatedAt: moment(r.CreatedAt), UpdatedAt: moment(r.UpdatedAt), CreatedBy: optional(r.CreatedBy.String()),
	}
}

type roleInput struct {
	Identifier  string   `json:"identifier" minLength:"2" maxLength:"64"`
	Name        string   `json:"name" minLength:"1" maxLength:"255"`
	Rank        int      `json:"rank" required:"false" minimum:"0" maximum:"10"`
	Permissions []string `json:"permissions" required:"false" maxItems:"256"`
}

type rolePatch struct {
	Name        body.Optional[string]   `json:"name" required:"false" nullable:"false"`
	Rank        body.Optional[int]      `json:"rank" required:"false" nullable:"false"`
	Permissions body.Optional[[]string] `json:"permissions" required:"false" nullable:"false"`
}

func (api *API) listRoles(x *exchange) error {
	return list(x, api.Authority.ListRoles, spellRole)
}

func (api *API) createRole(x *exchange) error {
	in := x.in.(*roleInput)
	r, _, err := api.Authority.CreateRole(x.r.Context(), &x.Call, authority.NewRole{
		Identifier: in.Identifier, Name: in.Name, Rank: in.Rank, Permissions: in.Permissions,
	})
	if err != nil {
		return err
	}
	return x.answerRevision(r.Revision, r.ID.Native(latchkey.KindRole), spellRole(&r))
}

func (api *API) getRole(x *exchange) error {
	r, err := api.Authority.GetRole(x.r.Context(), &x.Call, readRole(x.r.PathValue("id")))
	if err != nil {
		return err
	}
	return x.answerRevision(r.Revision, "", spellRole(&r))
}

func (api *API) updateRole(x *exchange) error {
	in := x.in.(*rolePatch)
	var broken []latchkey.FieldError
	patch := authority.RolePatch{
		Name: needed("/name", in.Name, &broken), Rank: needed("/rank", in.Rank, &broken),
		Permissions: needed("/permissions", in.Permissions, &broken),
	}
	if err := refusedFields(broken); err != nil {
		return err
	}
	id := x.pathID(latchkey.KindRole)
	r, e, err := api.Authority.UpdateRole(x.r.Context(), &x.Call, id, patch)
	if err != nil {
		return err
	}
	return x.answerRevision(r.Revision, "", changedRoleAnswer{spellRole(&r), spellEffective(e)})
}

func (api *API) deleteRole(x *exchange) error {
	return x.delete(latchkey.KindRole, func(id latchkey.ID, revoke bool) (authority.Effective, error) {
		return api.Authority.DeleteRole(x.r.Context(), &x.Call, id, revoke)
	})
}
