package rest

import (
	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/internal/body"
)

// IssuerAnswer is an OpenID provider whose tokens are credentials.
type IssuerAnswer struct {
	ID             string          `json:"id"`
	OrganizationID string          `json:"organization_id"`
	ProjectID      *string         `json:"project_id" doc:"The one project that its callers reach; null: the whole organization."`
	Name           string          `json:"name"`
	URL            string          `json:"url" doc:"Its identifier, as its tokens say it (iss)."`
	Audiences      []string        `json:"audiences" nullable:"false" doc:"A token must be for one of them (aud)."`
	Algorithms     []string        `json:"algorithms" nullable:"false" doc:"With which a token may be signed."`
	RoleClaim      string          `json:"role_claim" doc:"Where a token says who its bearer is: a member, or a JSON pointer (RFC 6901) such as /realm_access/roles."`
	Roles          []mappingAnswer `json:"roles" nullable:"false"`
	Enabled        bool            `json:"enabled"`
	CreatedAt      moment          `json:"created_at"`
	UpdatedAt      moment          `json:"updated_at"`
	CreatedBy      string          `json:"created_by"`
}

type changedIssuerAnswer struct {
	IssuerAnswer
	Effective
}

type mappingAnswer struct {
	Value  string `json:"value" doc:"That a token says in the claim."`
	RoleID string `json:"role_id"`
}

func spellIssuer(i *latchkey.Issuer) IssuerAnswer {
	out := IssuerAnswer{
		ID: i.ID.Native(latchkey.KindIssuer), OrganizationID: i.Organization.Native(latchkey.KindOrganization),
		ProjectID: optional(i.Project.Native(latchkey.KindProject)), Name: i.Name, URL: i.URL, Audiences: i.Audiences, Algorithms: i.Algorithms,
		RoleClaim: i.Claim, Roles: make([]mappingAnswer, len(i.Roles)), Enabled: i.Enabled,
		CreatedAt: moment(i.CreatedAt), UpdatedAt: moment(i.UpdatedAt), CreatedBy: i.CreatedBy.String(),
	}
	for n, m := range i.Roles {
		out.Roles[n] = mappingAnswer{m.Value, m.Role.Native(latchkey.KindRole)}
	}
	return out
}

type issuerInput struct {
	Name       string         `json:"name" minLength:"1" maxLength:"255"`
	URL        string         `json:"url" maxLength:"255" doc:"An https URL; plain http is for networks that the operator names (issuer-networks)."`
	Audiences  []string       `json:"audiences" minItems:"1" maxItems:"8" nullable:"false"`
	Algorithms []string       `json:"algorithms" required:"false" maxItems:"10" doc:"By default RS256 and ES256."`
	RoleClaim  *string        `json:"role_claim" required:"false" maxLength:"255" doc:"By default roles."`
	Roles      []mappingInput `json:"roles" minItems:"1" maxItems:"100" nullable:"false" doc:"Whoever has several has them all; whoever has none is refused."`
	ProjectID  *string        `json:"project_id" required:"false" doc:"Absent or null: the whole organization."`
}

type mappingInput struct {
	Value string `json:"value" maxLength:"255"`
	Role  string `json:"role" doc:"Identifier or id."`
}

func readMappings(given []mappingInput) []authority.RoleGiven {
	out := make([]authority.RoleGiven, len(given))
	for n, m := range given {
		out[n] = authority.RoleGiven{Value: m.Value, Role: readRole(m.Role)}
	}
	return out
}

type issuerPatch struct {
	Name       body.Optional[string]         `json:"name" required:"false" nullable:"false"`
	Audiences  body.Optional[[]string]       `json:"audiences" required:"false" nullable:"false"`
	Algorithms body.Optional[[]string]       `json:"algorithms" required:"false" nullable:"false"`
	RoleClaim  body.Optional[string]         `json:"role_claim" required:"false" nullable:"false"`
	Roles      body.Optional[[]mappingInput] `json:"roles" required:"false" nullable:"false"`
	ProjectID  body.Optional[string]         `json:"project_id" required:"false" doc:"null: the whole organization."`
	Enabled    body.Optional[bool]           `json:"enabled" required:"false" nullable:"false"`
}

func (in *issuerPatch) read() (authority.IssuerPatch, error) {
	var broken []latchkey.FieldError
	p := authority.IssuerPatch{
		Name: needed("/name", in.Name, &broken), Audiences: needed("/audiences", in.Audiences, &broken),
		Algorithms: needed("/algorithms", in.Algorithms, &broken), Claim: needed("/role_claim", in.RoleClaim, &broken),
		Enabled: needed("/enabled", in.Enabled, &broken),
	}
	if roles := needed("/roles", in.Roles, &broken); roles != nil {
		read := readMappings(*roles)
		p.Roles = &read
	}
	if in.ProjectID.Set {
		project := latchkey.ID{}
		if !in.ProjectID.Null {
			project = readID("/project_id", latchkey.KindProject, &in.ProjectID.Value, &broken)
		}
		p.Project = &project
	}
	return p, refusedFields(broken)
}

func (api *API) listIssuers(x *exchange) error {
	return list(x, api.Authority.ListIssuers, spellIssuer)
}

func (api *API) createIssuer(x *exchange) error {
	in := x.in.(*issuerInput)
	var broken []latchkey.FieldError
	wanted := authority.NewIssuer{
		Name: in.Name, URL: in.URL, Audiences: in.Audiences, Algorithms: in.Algorithms, Claim: stated("/role_claim", in.RoleClaim, &broken),
		Roles: readMappings(in.Roles), Project: readID("/project_id", latchkey.KindProject, in.ProjectID, &broken),
	}
	if err := refusedFields(broken); err != nil {
		return err
	}
	i, _, err := api.Authority.CreateIssuer(x.r.Context(), &x.Call, wanted)
	if err != nil {
		return err
	}
	return x.answerRevision(i.Revision, i.ID.Native(latchkey.KindIssuer), spellIssuer(&i))
}

func (api *API) getIssuer(x *exchange) error {
	i, err := api.Authority.GetIssuer(x.r.Context(), &x.Call, x.pathID(latchkey.KindIssuer))
	if err != nil {
		return err
	}
	return x.answerRevision(i.Revision, "", spellIssuer(&i))
}

func (api *API) updateIssuer(x *exchange) error {
	patch, err := x.in.(*issuerPatch).read()
	if err != nil {
		return err
	}
	i, e, err := api.Authority.UpdateIssuer(x.r.Context(), &x.Call, x.pathID(latchkey.KindIssuer), patch)
	if err != nil {
		return err
	}
	return x.answerRevision(i.Revision, "", changedIssuerAnswer{spellIssuer(&i), spellEffective(e)})
}

func (api *API) deleteIssuer(x *exchange) error {
	e, err := api.Authority.DeleteIssuer(x.r.Context(), &x.Call, x.pathID(latchkey.KindIssuer))
	if err != nil {
		return err
	}
	return x.answer(effectiveAnswer{spellEffective(e)})
}
