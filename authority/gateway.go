package authority

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// Gateways are the organization's to manage, for those who may change it as a
// whole. A gateway verifies keys, so whoever makes or changes one must be able to
// give api_key:verify; a credential that can only verify makes no others, which
// would outlive it.

// NewGateway is what a gateway is to be.
type NewGateway struct {
	Name        string
	Profile     latchkey.Profile
	All         bool
	Environment latchkey.Environment
	Place       latchkey.TokenPlace // "" is in the path
	KeyHeaders  []string            // nil: Authorization (Bearer) and X-API-Key
	Routes      []latchkey.Route
	Trusted     TrustedProxies
	Audience    string         // of the assertion; "": none
	Management  *NewManagement // of a broker; nil is none
}

// TrustedProxies are those before a gateway whose word on the client's address
// is taken. The zero value trusts nobody.
type TrustedProxies struct {
	Networks []string
	Header   latchkey.ProxyHeader
}

func (t *TrustedProxies) read() (latchkey.ProxyTrust, *latchkey.FieldError) {
	return latchkey.ParseProxyTrust(t.Networks, t.Header)
}

// defaultKeyHeaders are where keys are looked for unless a gateway says otherwise.
func defaultKeyHeaders() []string { return []string{"authorization", "x-api-key"} }

// CreateGateway makes a gateway. Its token is told here and never again.
func (a *Authority) CreateGateway(ctx context.Context, call *Call, in NewGateway) (latchkey.Gateway, latchkey.Plaintext, Effective, error) {
	refused := func(err error) (latchkey.Gateway, latchkey.Plaintext, Effective, error) {
		return latchkey.Gateway{}, latchkey.Plaintext{}, Effective{}, err
	}
	if err := call.RequireWide(latchkey.OrganizationUpdate); err != nil {
		return refused(err)
	}
	if in.Place == "" {
		in.Place = latchkey.TokenInPath
		if in.Profile == latchkey.ProfileGRPC {
			in.Place = latchkey.TokenInHeader
		}
	}
	if in.KeyHeaders == nil && in.Profile != latchkey.ProfileRabbitMQ {
		in.KeyHeaders = defaultKeyHeaders()
	}
	wanted := latchkey.Gateway{
		Organization: call.Organization, Name: in.Name, Profile: in.Profile, All: in.All, Environment: in.Environment, Place: in.Place,
		KeyHeaders: in.KeyHeaders, Routes: in.Routes, Audience: in.Audience, Management: in.Management.kept(),
	}
	trust, broken := in.Trusted.read()
	wanted.Trust = trust
	if err := checkGateway(&wanted, in.Management, broken); err != nil {
		return refused(err)
	}
	if err := call.mayVerifyBy(&wanted); err != nil {
		return refused(err)
	}
	seal, err := a.sealManagement(ctx, call, in.Management)
	if err != nil {
		return refused(err)
	}
	if err := a.mayAssert(ctx, wanted.Audience); err != nil {
		return refused(err)
	}
	secret, err := a.drawGatewayToken(&wanted)
	if err != nil {
		return refused(err)
	}
	g, e, err := creation[latchkey.Gateway]{
		needs: latchkey.OrganizationUpdate, event: latchkey.GatewayCreated, kind: latchkey.KindGateway, reads: store.Reads{Gateways: true},
		make: func(t *txn, id latchkey.ID) (*latchkey.Gateway, *store.Step, error) {
			g := wanted
			g.ID, g.Record = id, t.created()
			if err := t.caller.mayVerifyBy(&g); err != nil {
				return nil, nil, err
			}
			if err := seal(t, &g); err != nil {
				return nil, nil, err
			}
			return &g, &store.Step{Gateways: []*latchkey.Gateway{&g}}, t.roomForGateway()
		},
		tell:   tellGateway,
		told:   &secret,
		again:  a.gatewayByID,
		record: func(row *latchkey.Gateway) *latchkey.Record { return &row.Record },
	}.submit(ctx, a, call)
	return g, secret.Secret, e, err
}

// roomForGateway refuses a gateway beyond the bound of the organization.
func (t *txn) roomForGateway() error {
	n := 0
	for i := range t.Gateways {
		if t.Gateways[i].Organization == t.caller.Organization {
			n++
		}
	}
	if n >= latchkey.MaxGateways {
		return latchkey.Errorf(latchkey.CodeConflict, "An organization has at most %d gateways; delete one that is not used.", latchkey.MaxGateways)
	}
	return nil
}

// drawGatewayToken gives the gateway a new token, of which only the digest is kept.
func (a *Authority) drawGatewayToken(g *latchkey.Gateway) (told, error) {
	k, err := latchkey.NewKeyString(latchkey.FormatNative, latchkey.GatewayPrefix, latchkey.Live, a.Random)
	if err != nil {
		return told{}, err
	}
	version := a.Ring.Active()
	digest, err := a.Ring.Digest(version, k.Plaintext())
	g.Token = latchkey.GatewayToken{KID: k.KID, Pepper: version, Digest: digest}
	return told{Secret: k.Plaintext()}, err
}

// mayVerifyBy refuses a gateway that would verify more than its maker could let
// a key of its own verify.
func (c *Caller) mayVerifyBy(g *latchkey.Gateway) error {
	if g.All && (!c.Operator || c.Organization != c.Home) {
		return latchkey.Errorf(latchkey.CodeCeiling, "Only the operator's owner and admin may have a gateway verify every organization's keys, and only in the operator's own.")
	}
	return c.Ceiling(latchkey.Powers{Permissions: latchkey.Permissions{latchkey.KeyVerify}})
}

// mayAssert makes the keys that sign, if a gateway is to tell assertions.
func (a *Authority) mayAssert(ctx context.Context, audience string) error {
	if audience == "" {
		return nil
	}
	return a.firstTokenKeys(ctx)
}

// checkGateway checks a gateway, and the management API of a broker; trust is what
// was wrong with its proxies.
func checkGateway(g *latchkey.Gateway, m *NewManagement, trust *latchkey.FieldError) error {
	var broken problems
	broken.at("", trust)
	broken.text("/name", g.Name, 1, latchkey.MaxNameLen)
	if !g.Profile.Valid() {
		broken.add("/profile", "not_allowed", "A profile is nginx, traefik, caddy, haproxy, envoy-http, envoy-grpc or rabbitmq.")
	}
	if g.Environment != "" && !g.Environment.Valid() {
		broken.add("/environment", "not_allowed", "An environment is live or test.")
	}
	if !g.Place.Valid() {
		broken.add("/credential", "not_allowed", "A credential is shown in the path or in a header.")
	}
	if len(g.Audience) > latchkey.MaxAudience || strings.ContainsFunc(g.Audience, func(r rune) bool { return r <= ' ' || r > '~' }) {
		broken.add("/assertion_audience", "format", "An audience is 1 to "+strconv.Itoa(latchkey.MaxAudience)+" characters of ASCII without spaces, such as https://api.example.com.")
	}
	broken.together(g)
	broken.management(m)
	if g.Profile == latchkey.ProfileRabbitMQ {
		return broken.err()
	}
	broken.keyHeaders("/key_headers", g.KeyHeaders)
	if len(g.Routes) == 0 {
		broken.add("/routes", "required", "Without a route every request is refused; name at least one, such as {\"path\": \"/*\"}.")
	}
	if len(g.Routes) > latchkey.MaxRoutes {
		broken.add("/routes", "too_many", "A gateway has at most "+strconv.Itoa(latchkey.MaxRoutes)+" routes.")
		return broken.err()
	}
	for i := range g.Routes {
		at, r := index("/routes", i), &g.Routes[i]
		broken.at(at, latchkey.CheckRoute(r))
		for _, list := range []struct {
			name  string
			given latchkey.Permissions
		}{{"/scopes/all", r.Scopes.All}, {"/scopes/any", r.Scopes.Any}} {
			broken.required(at+list.name, list.given)
		}
	}
	return broken.err()
}

// together checks what depends on the profile.
func (p *problems) together(g *latchkey.Gateway) {
	if g.Profile == latchkey.ProfileGRPC && g.Place == latchkey.TokenInPath {
		p.add("/credential", "not_allowed", "A gateway that asks over gRPC shows its token in a header: there is no path for it.")
	}
	p.broker(g)
	if g.Profile.TellsItself(g.Trust.Header()) {
		p.add("/proxy_header", "not_allowed", "A gateway of this profile writes X-Real-IP itself; its proxies can tell the client's address in X-Forwarded-For or Forwarded.")
	}
}

// required checks scopes that are required of a key.
func (p *problems) required(pointer string, scopes latchkey.Permissions) {
	if len(scopes) > latchkey.MaxScopes {
		p.add(pointer, "too_many", "There are at most "+strconv.Itoa(latchkey.MaxScopes)+" of these.")
		return
	}
	for i, s := range scopes {
		p.at(index(pointer, i), latchkey.CheckPermission(string(s)))
	}
}

// keyHeaders checks where a gateway looks for keys. Headers that proxies or the
// profiles give a meaning of their own are not among them.
func (p *problems) keyHeaders(pointer string, names []string) {
	if len(names) == 0 || len(names) > latchkey.MaxKeyHeaders {
		p.add(pointer, "length", "These are 1 to "+strconv.Itoa(latchkey.MaxKeyHeaders)+" headers.")
		return
	}
	for i, name := range names {
		if detail := brokenKeyHeader(name); detail != "" {
			p.add(index(pointer, i), "format", detail)
		} else if slices.Contains(names[:i], name) {
			p.add(index(pointer, i), "duplicate", "This header is named twice.")
		}
	}
}

func brokenKeyHeader(name string) string {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return "A header is lower-case letters, digits and '-'."
		}
	}
	taken := []string{"host", "connection", "cookie", "forwarded", "content-length", "transfer-encoding", "latchkey-gateway", "x-real-ip"}
	for _, prefix := range []string{"x-forwarded-", "x-original-", "x-latchkey-"} {
		if len(name) >= len(prefix) && name[:len(prefix)] == prefix {
			taken = append(taken, name)
		}
	}
	if name == "" || len(name) > latchkey.MaxIdentifierLen || slices.Contains(taken, name) {
		return "This header has another meaning; name one of your own, such as x-api-key."
	}
	return ""
}

func tellGateway(g *latchkey.Gateway) changes {
	return changes{
		"name": g.Name, "profile": g.Profile, "every_organization": g.All, "environment": g.Environment, "credential": g.Place,
		"key_headers": g.KeyHeaders, "routes": tellRoutes(g.Routes), "kid": g.Token.KID, "trusted_proxies": tellProxies(g.Trust),
		"proxy_header": g.Trust.Header(), "assertion_audience": g.Audience, "management": tellManagement(&g.Management),
	}
}

// tellProxies is a list even where nobody is trusted.
func tellProxies(t latchkey.ProxyTrust) []string { return append([]string{}, t.Entries()...) }

// tellRoutes spells routes as the native API does.
func tellRoutes(routes []latchkey.Route) []map[string]any {
	out := make([]map[string]any, len(routes))
	for i, r := range routes {
		out[i] = map[string]any{"path": r.Path}
		for name, given := range map[string]any{
			"methods": r.Methods, "host": r.Host, "all": r.Scopes.All, "any": r.Scopes.Any, "resource_type": r.Resource.Type, "resource_id": r.Resource.ID,
		} {
			switch v := given.(type) {
			case string:
				if v != "" {
					out[i][name] = v
				}
			case []string:
				if len(v) > 0 {
					out[i][name] = v
				}
			case latchkey.Permissions:
				if len(v) > 0 {
					out[i][name] = v
				}
			}
		}
	}
	return out
}

func (a *Authority) gatewayByID(ctx context.Context, id latchkey.ID) (*latchkey.Gateway, error) {
	all, err := a.Store.Gateways(ctx)
	if err != nil {
		return nil, err
	}
	return found(all, id)
}

func found(all []latchkey.Gateway, id latchkey.ID) (*latchkey.Gateway, error) {
	for i := range all {
		if all[i].ID == id {
			return &all[i], nil
		}
	}
	return nil, store.ErrNotFound
}

// GetGateway describes a gateway.
func (a *Authority) GetGateway(ctx context.Context, call *Call, id latchkey.ID) (latchkey.Gateway, error) {
	if err := call.RequireWide(latchkey.OrganizationRead); err != nil {
		return latchkey.Gateway{}, err
	}
	g, err := a.gatewayByID(ctx, id)
	if err != nil {
		return latchkey.Gateway{}, translate(err)
	}
	if g.Organization != call.Organization {
		return latchkey.Gateway{}, notFound()
	}
	return *g, nil
}

// ListGateways is a page of the organization's gateways.
func (a *Authority) ListGateways(ctx context.Context, call *Call, f PageFilter) ([]latchkey.Gateway, string, error) {
	if err := call.RequireWide(latchkey.OrganizationRead); err != nil {
		return nil, "", err
	}
	return directoryPage(ctx, a, call, "gateways", f, a.pageOfGateways, func(g *latchkey.Gateway) latchkey.Record { return g.Record })
}

func (a *Authority) pageOfGateways(ctx context.Context, page store.Page) ([]latchkey.Gateway, error) {
	all, err := a.Store.Gateways(ctx)
	if err != nil {
		return nil, err
	}
	slices.Reverse(all)
	all = slices.DeleteFunc(all, func(g latchkey.Gateway) bool {
		return g.Organization != page.Organization || page.Before != 0 && g.Ordinal >= page.Before
	})
	return all[:min(len(all), page.Limit)], nil
}

// GatewayPatch is what is to be different about a gateway; nil leaves a field as
// it is.
type GatewayPatch struct {
	Name        *string
	Profile     *latchkey.Profile
	All         *bool
	Environment *latchkey.Environment
	Place       *latchkey.TokenPlace
	KeyHeaders  *[]string
	Routes      *[]latchkey.Route
	Trusted     *TrustedProxies
	Audience    *string

	// Management replaces the whole of it, password included, so that none is sent
	// where it was not meant to go; a pointer to nil takes it away.
	Management **NewManagement
}

// management is what the patch wants a broker's to be; nil for none.
func (p *GatewayPatch) management() *NewManagement {
	if p.Management == nil {
		return nil
	}
	return *p.Management
}

// apply makes the changes and tells them.
func (p *GatewayPatch) apply(g *latchkey.Gateway) (changes, *latchkey.FieldError) {
	c := changes{}
	if p.Name != nil {
		set(c, "name", &g.Name, *p.Name)
	}
	if p.Profile != nil {
		set(c, "profile", &g.Profile, *p.Profile)
	}
	if p.All != nil {
		set(c, "every_organization", &g.All, *p.All)
	}
	if p.Environment != nil {
		set(c, "environment", &g.Environment, *p.Environment)
	}
	if p.Place != nil {
		set(c, "credential", &g.Place, *p.Place)
	}
	if p.KeyHeaders != nil {
		set(c, "key_headers", &g.KeyHeaders, *p.KeyHeaders)
	}
	if p.Routes != nil {
		before := tellRoutes(g.Routes)
		g.Routes = *p.Routes
		set(c, "routes", &before, tellRoutes(g.Routes))
	}
	if p.Audience != nil {
		set(c, "assertion_audience", &g.Audience, *p.Audience)
	}
	if p.Management != nil {
		before := tellManagement(&g.Management)
		g.Management = p.management().kept()
		c["management"] = fromTo{before, tellManagement(&g.Management)} // told where only the password is another, too
	}
	if p.Trusted == nil {
		return c, nil
	}
	before, header := tellProxies(g.Trust), g.Trust.Header()
	trust, broken := p.Trusted.read()
	g.Trust = trust
	set(c, "trusted_proxies", &before, tellProxies(trust))
	set(c, "proxy_header", &header, trust.Header())
	return c, broken
}

// UpdateGateway changes a gateway, from the next request that it asks about.
func (a *Authority) UpdateGateway(ctx context.Context, call *Call, id latchkey.ID, patch GatewayPatch) (latchkey.Gateway, Effective, error) {
	if err := call.RequireWide(latchkey.OrganizationUpdate); err != nil {
		return latchkey.Gateway{}, Effective{}, err
	}
	tried, broken := patch.tried()
	if err := checkGateway(tried, patch.management(), broken); err != nil {
		return latchkey.Gateway{}, Effective{}, err
	}
	if err := call.mayVerifyBy(tried); err != nil {
		return latchkey.Gateway{}, Effective{}, err
	}
	seal, err := a.sealManagement(ctx, call, patch.management())
	if err != nil {
		return latchkey.Gateway{}, Effective{}, err
	}
	if err := a.mayAssert(ctx, tried.Audience); err != nil {
		return latchkey.Gateway{}, Effective{}, err
	}
	return a.changeGateway(ctx, call, id, latchkey.GatewayUpdated, func(t *txn, g *latchkey.Gateway) (changes, error) {
		was := g.Profile
		c, _ := patch.apply(g)
		var broken problems
		broken.together(g)
		if err := errors.Join(broken.err(), staysBroker(was, g), t.caller.mayVerifyBy(g)); err != nil {
			return nil, err
		}
		return c, seal(t, g)
	})
}

// tried is a gateway with what the patch says, of which everything else is right.
func (p *GatewayPatch) tried() (*latchkey.Gateway, *latchkey.FieldError) {
	g := &latchkey.Gateway{Name: "-", Profile: latchkey.ProfileRabbitMQ, Place: latchkey.TokenInPath}
	if p.Management == nil && (p.Profile == nil || *p.Profile != latchkey.ProfileRabbitMQ) {
		g.Profile, g.Place, g.KeyHeaders, g.Routes = latchkey.ProfileTraefik, latchkey.TokenInHeader, defaultKeyHeaders(), []latchkey.Route{{Path: "/"}}
	}
	_, broken := p.apply(g)
	return g, broken
}

// RotateGatewayToken gives the gateway a new token, which is told here and never
// again. The old one ends at once.
func (a *Authority) RotateGatewayToken(ctx context.Context, call *Call, id latchkey.ID) (latchkey.Gateway, latchkey.Plaintext, Effective, error) {
	if err := call.RequireWide(latchkey.OrganizationUpdate); err != nil {
		return latchkey.Gateway{}, latchkey.Plaintext{}, Effective{}, err
	}
	var drawn latchkey.Gateway
	secret, err := a.drawGatewayToken(&drawn)
	if err != nil {
		return latchkey.Gateway{}, latchkey.Plaintext{}, Effective{}, err
	}
	g, e, err := a.changeGateway(ctx, call, id, latchkey.GatewayTokenRotated, func(_ *txn, g *latchkey.Gateway) (changes, error) {
		c := changes{}
		set(c, "kid", &g.Token.KID, drawn.Token.KID)
		g.Token = drawn.Token
		return c, nil
	})
	if err != nil {
		return latchkey.Gateway{}, latchkey.Plaintext{}, Effective{}, err
	}
	return g, secret.Secret, e, nil
}

// DeleteGateway deletes a gateway: its token opens nothing from now on.
func (a *Authority) DeleteGateway(ctx context.Context, call *Call, id latchkey.ID) (Effective, error) {
	if err := call.RequireWide(latchkey.OrganizationUpdate); err != nil {
		return Effective{}, err
	}
	_, e, err := a.changeGateway(ctx, call, id, latchkey.GatewayDeleted, func(t *txn, g *latchkey.Gateway) (changes, error) {
		g.DeletedAt = t.Now
		return tellGateway(g), nil
	})
	return e, err
}

func (a *Authority) changeGateway(ctx context.Context, call *Call, id latchkey.ID, event latchkey.EventType,
	change func(*txn, *latchkey.Gateway) (changes, error),
) (latchkey.Gateway, Effective, error) {
	return directoryChange[latchkey.Gateway]{
		needs: latchkey.OrganizationUpdate, event: event, kind: latchkey.KindGateway, id: id, reads: store.Reads{Gateways: true},
		current: func(t *txn) *latchkey.Gateway {
			g, err := found(t.Gateways, id)
			if err != nil || g.Organization != t.caller.Organization {
				return nil
			}
			return g
		},
		change: func(t *txn, g *latchkey.Gateway) (changes, error) {
			if err := t.caller.mayVerifyBy(g); err != nil {
				return nil, err
			}
			return change(t, g)
		},
		write:  func(s *store.Step, g *latchkey.Gateway) { s.Gateways = []*latchkey.Gateway{g} },
		record: func(g *latchkey.Gateway) *latchkey.Record { return &g.Record },
	}.submit(ctx, a, call)
}

// gatewaysLeft refuses to retire a version of the key ring on which the tokens of
// gateways depend: they do not move by themselves.
func (a *Authority) gatewaysLeft(ctx context.Context, version int, force bool) error {
	all, err := a.Store.Gateways(ctx)
	if err != nil {
		return translate(err)
	}
	n := 0
	for i := range all {
		if all[i].Token.Pepper == version {
			n++
		}
	}
	if n > 0 && !force {
		return latchkey.Errorf(latchkey.CodeConflict, "%d tokens of gateways depend on version %d and would die with it; rotate them, or retire with force.", n, version)
	}
	return nil
}
