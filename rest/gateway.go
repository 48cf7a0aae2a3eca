package rest

import (
	"strconv"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/internal/body"
)

// GatewayAnswer is what stands before an API.
type GatewayAnswer struct {
	ID                string            `json:"id"`
	OrganizationID    string            `json:"organization_id"`
	Name              string            `json:"name"`
	Profile           string            `json:"profile" enum:"nginx,traefik,caddy,haproxy,envoy-http,envoy-grpc,rabbitmq" doc:"How it tells which request came to it."`
	AllOrganizations  bool              `json:"all_organizations" doc:"It verifies every organization's keys, not only its own."`
	Environment       *string           `json:"environment" enum:"live,test" doc:"Keys of the other one are refused; null: neither is."`
	Credential        string            `json:"credential" enum:"path,header" doc:"Where it shows its token: /gateway/{token}/…, or the header Latchkey-Gateway and /gateway/-/… (over gRPC: the metadata latchkey-gateway)"`
	KeyHeaders        []string          `json:"key_headers" nullable:"false" doc:"Where a client's key is looked for; authorization is Bearer."`
	Routes            []gatewayRoute    `json:"routes" nullable:"false"`
	TrustedProxies    *trustedProxies   `json:"trusted_proxies" doc:"Proxies before the gateway; null: whoever connects to it is the client."`
	AssertionAudience *string           `json:"assertion_audience" doc:"Of the JWT of 60 s that the API is told; null: none is told."`
	Management        *managementAnswer `json:"management,omitzero" required:"false" doc:"How a broker's management API is reached; absent where there is none."`
	KID               string            `json:"kid" doc:"The public part of its token."`
	CreatedAt         moment            `json:"created_at"`
	UpdatedAt         moment            `json:"updated_at"`
	CreatedBy         string            `json:"created_by"`
}

type issuedGatewayAnswer struct {
	Gateway GatewayAnswer `json:"gateway"`
	Token   string        `json:"token" doc:"Told here and never again."`
	Usable
}

type changedGatewayAnswer struct {
	GatewayAnswer
	Effective
}

// trustedProxies is whose word on the client's address is taken.
type trustedProxies struct {
	Networks []string `json:"networks" minItems:"1" maxItems:"64" nullable:"false" doc:"Addresses and networks of the proxies, and of nobody else: whoever is in them can claim any address."`
	Header   string   `json:"header" enum:"X-Forwarded-For,Forwarded,X-Real-IP" doc:"Where they write it. The client is the rightmost entry that no trusted proxy is."`
}

func (t *trustedProxies) read() authority.TrustedProxies {
	if t == nil {
		return authority.TrustedProxies{}
	}
	return authority.TrustedProxies{Networks: t.Networks, Header: latchkey.ProxyHeader(t.Header)}
}

func spellTrust(t latchkey.ProxyTrust) *trustedProxies {
	if t.Nobody() {
		return nil
	}
	return &trustedProxies{t.Entries(), string(t.Header())}
}

type managementAnswer struct {
	URL          string `json:"url"`
	Username     string `json:"username"`
	DeleteVHosts bool   `json:"delete_vhosts" doc:"A revoked key's virtual host is deleted, with everything in it."`
}

// managementInput has the password too, which is told to nobody again.
type managementInput struct {
	URL          string `json:"url" maxLength:"1024" doc:"https://rabbitmq.internal:15671: http or https, a host and perhaps a path."`
	Username     string `json:"username" minLength:"1" maxLength:"255" doc:"Of an administrator of the broker."`
	Password     string `json:"password" minLength:"1" maxLength:"1024" doc:"Stored sealed, and told to nobody."`
	DeleteVHosts bool   `json:"delete_vhosts" required:"false" doc:"Delete a revoked key's virtual host, with everything in it. By default it stays."`
}

func (in *managementInput) read() *authority.NewManagement {
	if in == nil {
		return nil
	}
	return &authority.NewManagement{URL: in.URL, Username: in.Username, Password: latchkey.NewPlaintext(in.Password), DeleteVHosts: in.DeleteVHosts}
}

// gatewayRoute is one route, as it is given and as it is told.
type gatewayRoute struct {
	Methods  []string       `json:"methods" required:"false" maxItems:"16" nullable:"false" doc:"None: every method."`
	Host     *string        `json:"host" required:"false" doc:"Lower case, without a port; *.example.com is each name below. null: every host."`
	Path     string         `json:"path" maxLength:"512" doc:"/v1/plants/{plant}: {…} is any one segment, a last * any rest."`
	Scopes   *routeScopes   `json:"scopes,omitzero" required:"false" doc:"What the key must hold; absent: a valid key is enough."`
	Resource *resourceInput `json:"resource,omitzero" required:"false" doc:"What the request touches. Its id may be a {…} of the path."`
}

type routeScopes struct {
	All []string `json:"all" required:"false" nullable:"false" doc:"All of these."`
	Any []string `json:"any" required:"false" nullable:"false" doc:"One of these; none: no matter."`
}

func spellGateway(g *latchkey.Gateway) GatewayAnswer {
	out := GatewayAnswer{
		ID: g.ID.Native(latchkey.KindGateway), OrganizationID: g.Organization.Native(latchkey.KindOrganization), Name: g.Name,
		Profile: string(g.Profile), AllOrganizations: g.All, Environment: optional(string(g.Environment)), Credential: string(g.Place),
		KeyHeaders: texts(g.KeyHeaders), Routes: make([]gatewayRoute, len(g.Routes)), KID: string(g.Token.KID),
		TrustedProxies: spellTrust(g.Trust), AssertionAudience: optional(g.Audience),
		CreatedAt: moment(g.CreatedAt), UpdatedAt: moment(g.UpdatedAt), CreatedBy: g.CreatedBy.String(),
	}
	if m := &g.Management; m.Set() {
		out.Management = &managementAnswer{m.URL, m.Username, m.DeleteVHosts}
	}
	for i, r := range g.Routes {
		out.Routes[i] = gatewayRoute{Methods: texts(r.Methods), Host: optional(r.Host), Path: r.Path}
		if len(r.Scopes.All)+len(r.Scopes.Any) > 0 {
			out.Routes[i].Scopes = &routeScopes{texts(r.Scopes.All), texts(r.Scopes.Any)}
		}
		if r.Resource != (latchkey.Resource{}) {
			out.Routes[i].Resource = &resourceInput{r.Resource.Type, r.Resource.ID}
		}
	}
	return out
}

type gatewayInput struct {
	Name              string           `json:"name" minLength:"1" maxLength:"255"`
	Profile           string           `json:"profile" enum:"nginx,traefik,caddy,haproxy,envoy-http,envoy-grpc,rabbitmq"`
	AllOrganizations  bool             `json:"all_organizations" required:"false" doc:"Verify every organization's keys; the operator's to ask."`
	Environment       *string          `json:"environment" required:"false" enum:"live,test"`
	Credential        *string          `json:"credential" required:"false" enum:"path,header" doc:"By default in the path, and for envoy-grpc in a header."`
	KeyHeaders        []string         `json:"key_headers" required:"false" maxItems:"4" doc:"By default authorization (Bearer) and x-api-key. Where a request has keys in several, they must be the same."`
	TrustedProxies    *trustedProxies  `json:"trusted_proxies" required:"false" doc:"Proxies before the gateway whose word on the client's address is taken."`
	AssertionAudience *string          `json:"assertion_audience" required:"false" minLength:"1" maxLength:"255" doc:"Tell the API who it is in a signed JWT of 60 s for this audience as well."`
	Routes            []gatewayRoute   `json:"routes" required:"false" maxItems:"100" nullable:"false" doc:"The first that matches a request says what is required of its key. What none matches is refused. At least one; none for a broker."`
	Management        *managementInput `json:"management" required:"false" doc:"How the management API of a broker is reached, for making virtual hosts and closing connections; the operator's to say, for this server sends requests there."`
}

func readRoutes(given []gatewayRoute, broken *[]latchkey.FieldError) []latchkey.Route {
	out := make([]latchkey.Route, len(given))
	for i, r := range given {
		at := "/routes/" + strconv.Itoa(i)
		out[i] = latchkey.Route{Methods: r.Methods, Host: stated(at+"/host", r.Host, broken), Path: r.Path}
		if r.Scopes != nil {
			out[i].Scopes = latchkey.Requirement{All: permissionsOf(r.Scopes.All), Any: permissionsOf(r.Scopes.Any)}
		}
		if r.Resource != nil {
			out[i].Resource = latchkey.Resource{Type: r.Resource.Type, ID: r.Resource.ID}
		}
	}
	return out
}

func permissionsOf(texts []string) latchkey.Permissions {
	var out latchkey.Permissions
	for _, s := range texts {
		out = append(out, latchkey.Permission(s))
	}
	return out
}

// lowered are the names in lower case: headers have no case.
func lowered(names []string) []string {
	if names == nil {
		return nil
	}
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = strings.ToLower(name)
	}
	return out
}

type gatewayPatch struct {
	Name              body.Optional[string]          `json:"name" required:"false" nullable:"false"`
	Profile           body.Optional[string]          `json:"profile" required:"false" nullable:"false"`
	AllOrganizations  body.Optional[bool]            `json:"all_organizations" required:"false" nullable:"false"`
	Environment       body.Optional[string]          `json:"environment" required:"false"`
	Credential        body.Optional[string]          `json:"credential" required:"false" nullable:"false"`
	KeyHeaders        body.Optional[[]string]        `json:"key_headers" required:"false" nullable:"false"`
	Routes            body.Optional[[]gatewayRoute]  `json:"routes" required:"false" nullable:"false"`
	TrustedProxies    body.Optional[trustedProxies]  `json:"trusted_proxies" required:"false"`
	AssertionAudience body.Optional[string]          `json:"assertion_audience" required:"false"`
	Management        body.Optional[managementInput] `json:"management" required:"false" doc:"Replaced as a whole, password included; null takes it away."`
}

func (in *gatewayPatch) read() (authority.GatewayPatch, error) {
	var broken []latchkey.FieldError
	p := authority.GatewayPatch{
		Name: needed("/name", in.Name, &broken), All: needed("/all_organizations", in.AllOrganizations, &broken),
		Profile: as[latchkey.Profile](needed("/profile", in.Profile, &broken)), Environment: as[latchkey.Environment](set(in.Environment)),
		Place: as[latchkey.TokenPlace](needed("/credential", in.Credential, &broken)),
	}
	if in.Environment.Set && !in.Environment.Null {
		stated("/environment", &in.Environment.Value, &broken)
	}
	if headers := needed("/key_headers", in.KeyHeaders, &broken); headers != nil {
		*headers = lowered(*headers)
		p.KeyHeaders = headers
	}
	if routes := needed("/routes", in.Routes, &broken); routes != nil {
		read := readRoutes(*routes, &broken)
		p.Routes = &read
	}
	if in.AssertionAudience.Set {
		p.Audience = set(in.AssertionAudience)
		if !in.AssertionAudience.Null {
			stated("/assertion_audience", &in.AssertionAudience.Value, &broken)
		}
	}
	if in.TrustedProxies.Set {
		trusted := in.TrustedProxies.Value.read() // the zero value where it is null
		p.Trusted = &trusted
	}
	if in.Management.Set {
		var management *authority.NewManagement
		if !in.Management.Null {
			management = in.Management.Value.read()
		}
		p.Management = &management
	}
	return p, refusedFields(broken)
}

// as is the text as one of the domain's own kinds of text.
func as[T ~string](s *string) *T {
	if s == nil {
		return nil
	}
	t := T(*s)
	return &t
}

func (api *API) listGateways(x *exchange) error {
	return list(x, api.Authority.ListGateways, spellGateway)
}

func (api *API) createGateway(x *exchange) error {
	in := x.in.(*gatewayInput)
	var broken []latchkey.FieldError
	wanted := authority.NewGateway{
		Name: in.Name, Profile: latchkey.Profile(in.Profile), All: in.AllOrganizations,
		Environment: latchkey.Environment(stated("/environment", in.Environment, &broken)),
		Place:       latchkey.TokenPlace(stated("/credential", in.Credential, &broken)),
		KeyHeaders:  lowered(in.KeyHeaders), Routes: readRoutes(in.Routes, &broken),
		Trusted: in.TrustedProxies.read(), Audience: stated("/assertion_audience", in.AssertionAudience, &broken),
		Management: in.Management.read(),
	}
	if err := refusedFields(broken); err != nil {
		return err
	}
	g, token, e, err := api.Authority.CreateGateway(x.r.Context(), &x.Call, wanted)
	if err != nil {
		return err
	}
	return x.answerRevision(g.Revision, g.ID.Native(latchkey.KindGateway), issuedGatewayAnswer{spellGateway(&g), token.Expose(), spellUsable(e)})
}

func (api *API) getGateway(x *exchange) error {
	g, err := api.Authority.GetGateway(x.r.Context(), &x.Call, x.pathID(latchkey.KindGateway))
	if err != nil {
		return err
	}
	return x.answerRevision(g.Revision, "", spellGateway(&g))
}

func (api *API) updateGateway(x *exchange) error {
	patch, err := x.in.(*gatewayPatch).read()
	if err != nil {
		return err
	}
	g, e, err := api.Authority.UpdateGateway(x.r.Context(), &x.Call, x.pathID(latchkey.KindGateway), patch)
	if err != nil {
		return err
	}
	return x.answerRevision(g.Revision, "", changedGatewayAnswer{spellGateway(&g), spellEffective(e)})
}

func (api *API) rotateGatewayToken(x *exchange) error {
	g, token, e, err := api.Authority.RotateGatewayToken(x.r.Context(), &x.Call, x.pathID(latchkey.KindGateway))
	if err != nil {
		return err
	}
	return x.answerRevision(g.Revision, "", issuedGatewayAnswer{spellGateway(&g), token.Expose(), spellUsable(e)})
}

func (api *API) deleteGateway(x *exchange) error {
	e, err := api.Authority.DeleteGateway(x.r.Context(), &x.Call, x.pathID(latchkey.KindGateway))
	if err != nil {
		return err
	}
	return x.answer(effectiveAnswer{spellEffective(e)})
}
