package authority

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// Issuers are the organization's to manage, for those who may change it as a
// whole. What an issuer maps to, its callers hold, so nobody makes or changes one
// that maps to more than they could give.

// Provider checks tokens that others signed.
type Provider interface {
	// Verify says for whom the token vouches. choose finds the issuer by what the
	// token says of itself; nil where there is none. The error is a
	// *latchkey.Error: the token is not good (unauthenticated), or cannot be
	// checked now (unavailable).
	Verify(ctx context.Context, credential latchkey.Plaintext, now time.Time,
		choose func(url string, audience []string) (*latchkey.Issuer, error)) (*latchkey.Assertion, error)
}

// RoleGiven is a value that is mapped to a role.
type RoleGiven struct {
	Value string
	Role  RoleRef
}

// NewIssuer is what an issuer is to be.
type NewIssuer struct {
	Name       string
	URL        string
	Audiences  []string
	Algorithms []string // nil: RS256 and ES256
	Claim      string   // "": roles
	Roles      []RoleGiven
	Project    latchkey.ID // zero: the whole organization
}

func defaultIssuerAlgorithms() []string { return []string{"RS256", "ES256"} }

const defaultIssuerClaim = "roles"

// CreateIssuer makes an issuer. No two have the same URL and an audience in
// common, in whichever organizations: it would not be certain whose a token is.
func (a *Authority) CreateIssuer(ctx context.Context, call *Call, in NewIssuer) (latchkey.Issuer, Effective, error) {
	refused := func(err error) (latchkey.Issuer, Effective, error) { return latchkey.Issuer{}, Effective{}, err }
	if err := call.RequireWide(latchkey.OrganizationUpdate); err != nil {
		return refused(err)
	}
	if in.Algorithms == nil {
		in.Algorithms = defaultIssuerAlgorithms()
	}
	if in.Claim == "" {
		in.Claim = defaultIssuerClaim
	}
	wanted := latchkey.Issuer{
		Organization: call.Organization, Project: in.Project, Name: in.Name, URL: in.URL, Audiences: in.Audiences, Algorithms: in.Algorithms,
		Claim: in.Claim, Enabled: true,
	}
	if err := checkIssuer(&wanted, in.Roles); err != nil {
		return refused(err)
	}
	var err error
	if wanted.Roles, err = a.mappedRoles(ctx, call, in.Roles); err != nil {
		return refused(err)
	}
	if err := a.issuerProject(ctx, call, in.Project); err != nil {
		return refused(err)
	}
	all, err := a.Store.Issuers(ctx, call.Organization)
	if err != nil {
		return refused(translate(err))
	}
	if len(all) >= latchkey.MaxIssuers {
		return refused(latchkey.Errorf(latchkey.CodeConflict, "An organization has at most %d issuers; delete one that is not used.", latchkey.MaxIssuers))
	}
	return creation[latchkey.Issuer]{
		needs: latchkey.OrganizationUpdate, event: latchkey.IssuerCreated, kind: latchkey.KindIssuer, reads: issuerReads(&wanted),
		make: func(t *txn, id latchkey.ID) (*latchkey.Issuer, *store.Step, error) {
			i := wanted
			i.ID, i.Record = id, t.created()
			if err := t.mayHaveIssuer(&i); err != nil {
				return nil, nil, err
			}
			return &i, &store.Step{Issuers: []*latchkey.Issuer{&i}}, nil
		},
		tell: tellIssuer,
		again: func(ctx context.Context, id latchkey.ID) (*latchkey.Issuer, error) {
			return a.issuerByID(ctx, call, id)
		},
		record: func(row *latchkey.Issuer) *latchkey.Record { return &row.Record },
	}.submit(ctx, a, call)
}

// issuerReads is what a change of the issuer must see.
func issuerReads(i *latchkey.Issuer) store.Reads {
	r := store.Reads{IssuersAt: []string{i.URL}}
	for _, m := range i.Roles {
		r.Roles = append(r.Roles, m.Role)
	}
	if !i.Project.IsZero() {
		r.Projects = append(r.Projects, i.Project)
	}
	return r
}

// mayHaveIssuer refuses an issuer that maps to more than the caller could give or
// to what is not there, and one whose tokens would be another's as well.
func (t *txn) mayHaveIssuer(i *latchkey.Issuer) error {
	for n, m := range i.Roles {
		r, ok := t.Role(m.Role)
		if !ok || !t.hasRole(m.Role) {
			return latchkey.Invalid(index("/roles", n)+"/role", "unknown", "There is no such role in the organization.")
		}
		if err := t.caller.Ceiling(r.Powers()); err != nil {
			return err
		}
	}
	if !i.Project.IsZero() && t.Projects[i.Project] == nil {
		return latchkey.Invalid("/project_id", "unknown", "There is no such project within your reach.")
	}
	for n := range t.Issuers {
		if other := &t.Issuers[n]; other.ID != i.ID && other.Meant(i.Audiences) {
			return &latchkey.Error{
				Code: latchkey.CodeConflict, Detail: "Another issuer has this URL and one of these audiences.",
				Fields: []latchkey.FieldError{{Pointer: "/audiences", Code: "taken", Detail: "An issuer with this URL has one of these audiences already, and it would not be certain whose a token is; have the provider use another."}},
			}
		}
	}
	return nil
}

// mappedRoles looks up the roles that are named, within the caller's ceiling.
func (a *Authority) mappedRoles(ctx context.Context, call *Call, given []RoleGiven) ([]latchkey.RoleMapping, error) {
	var broken problems
	var roles []latchkey.Role
	out := make([]latchkey.RoleMapping, len(given))
	for n, g := range given {
		r, err := a.roleByRef(ctx, call, g.Role)
		switch {
		case latchkey.CodeOf(err) == latchkey.CodeNotFound:
			broken.add(index("/roles", n)+"/role", "unknown", "There is no such role in the organization.")
		case err != nil:
			return nil, err
		default:
			out[n] = latchkey.RoleMapping{Value: g.Value, Role: r.ID}
			roles = append(roles, *r)
		}
	}
	if err := broken.err(); err != nil {
		return nil, err
	}
	return out, ceilingOf(&call.Caller, roles)
}

func ceilingOf(c *Caller, roles []latchkey.Role) error {
	for n := range roles {
		if err := c.Ceiling(roles[n].Powers()); err != nil {
			return err
		}
	}
	return nil
}

func (a *Authority) issuerProject(ctx context.Context, call *Call, id latchkey.ID) error {
	if id.IsZero() {
		return nil
	}
	_, err := a.project(ctx, call, id)
	if latchkey.CodeOf(err) == latchkey.CodeNotFound {
		return latchkey.Invalid("/project_id", "unknown", "There is no such project within your reach.")
	}
	return err
}

func checkIssuer(i *latchkey.Issuer, roles []RoleGiven) error {
	var broken problems
	broken.text("/name", i.Name, 1, latchkey.MaxNameLen)
	broken.at("/url", latchkey.CheckIssuerURL(i.URL))
	broken.words("/audiences", i.Audiences, latchkey.MaxAudiences, latchkey.MaxAudienceLen)
	broken.words("/algorithms", i.Algorithms, len(latchkey.IssuerAlgorithms()), latchkey.MaxAudienceLen)
	for n, name := range i.Algorithms {
		if !slices.Contains(latchkey.IssuerAlgorithms(), name) {
			broken.add(index("/algorithms", n), "not_allowed", "An algorithm is one of "+strings.Join(latchkey.IssuerAlgorithms(), ", ")+".")
		}
	}
	broken.word("/role_claim", i.Claim, latchkey.MaxClaimLen)
	if len(roles) == 0 || len(roles) > latchkey.MaxRoleMappings {
		broken.add("/roles", "length", "An issuer maps 1 to "+strconv.Itoa(latchkey.MaxRoleMappings)+" values to roles: whoever has none of them is refused.")
		return broken.err()
	}
	for n, g := range roles {
		broken.word(index("/roles", n)+"/value", g.Value, latchkey.MaxClaimValueLen)
		if g.Role == (RoleRef{}) {
			broken.add(index("/roles", n)+"/role", "required", "This is required.")
		}
	}
	return broken.err()
}

// words checks a list of texts, of which there must be one at least.
func (p *problems) words(pointer string, given []string, most, long int) {
	if len(given) == 0 || len(given) > most {
		p.add(pointer, "length", "There are 1 to "+strconv.Itoa(most)+" of these.")
		return
	}
	for n, s := range given {
		p.word(index(pointer, n), s, long)
	}
}

// word checks a text that is compared byte for byte with what a token says.
func (p *problems) word(pointer, s string, long int) {
	if s == "" || len(s) > long || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }) {
		p.add(pointer, "format", "This is text of 1 to "+strconv.Itoa(long)+" bytes without control characters.")
	}
}

func tellIssuer(i *latchkey.Issuer) changes {
	return changes{
		"name": i.Name, "url": i.URL, "audiences": i.Audiences, "algorithms": i.Algorithms, "role_claim": i.Claim, "roles": tellMappings(i.Roles),
		"project_id": i.Project.Native(latchkey.KindProject), "enabled": i.Enabled,
	}
}

func tellMappings(roles []latchkey.RoleMapping) []map[string]string {
	out := make([]map[string]string, len(roles))
	for n, m := range roles {
		out[n] = map[string]string{"value": m.Value, "role_id": m.Role.Native(latchkey.KindRole)}
	}
	return out
}

// issuerByID finds one of the organization's.
func (a *Authority) issuerByID(ctx context.Context, call *Call, id latchkey.ID) (*latchkey.Issuer, error) {
	all, err := a.Store.Issuers(ctx, call.Organization)
	if err != nil {
		return nil, err
	}
	for n := range all {
		if all[n].ID == id {
			return &all[n], nil
		}
	}
	return nil, store.ErrNotFound
}

// GetIssuer describes an issuer.
func (a *Authority) GetIssuer(ctx context.Context, call *Call, id latchkey.ID) (latchkey.Issuer, error) {
	if err := call.RequireWide(latchkey.OrganizationRead); err != nil {
		return latchkey.Issuer{}, err
	}
	i, err := a.issuerByID(ctx, call, id)
	if err != nil {
		return latchkey.Issuer{}, translate(err)
	}
	return *i, nil
}

// ListIssuers is a page of the organization's issuers.
func (a *Authority) ListIssuers(ctx context.Context, call *Call, f PageFilter) ([]latchkey.Issuer, string, error) {
	if err := call.RequireWide(latchkey.OrganizationRead); err != nil {
		return nil, "", err
	}
	return directoryPage(ctx, a, call, "issuers", f, func(ctx context.Context, page store.Page) ([]latchkey.Issuer, error) {
		all, err := a.Store.Issuers(ctx, page.Organization)
		slices.Reverse(all)
		all = slices.DeleteFunc(all, func(i latchkey.Issuer) bool { return page.Before != 0 && i.Ordinal >= page.Before })
		return all[:min(len(all), page.Limit)], err
	}, func(i *latchkey.Issuer) latchkey.Record { return i.Record })
}

// IssuerPatch is what is to be different about an issuer; nil leaves a field as
// it is. Its URL stays: another one is another issuer.
type IssuerPatch struct {
	Name       *string
	Audiences  *[]string
	Algorithms *[]string
	Claim      *string
	Roles      *[]RoleGiven
	Project    *latchkey.ID
	Enabled    *bool
}

// apply makes the changes and tells them. roles are those of the patch, looked up.
func (p *IssuerPatch) apply(i *latchkey.Issuer, roles []latchkey.RoleMapping) changes {
	c := changes{}
	if p.Name != nil {
		set(c, "name", &i.Name, *p.Name)
	}
	if p.Audiences != nil {
		set(c, "audiences", &i.Audiences, *p.Audiences)
	}
	if p.Algorithms != nil {
		set(c, "algorithms", &i.Algorithms, *p.Algorithms)
	}
	if p.Claim != nil {
		set(c, "role_claim", &i.Claim, *p.Claim)
	}
	if p.Roles != nil {
		before := tellMappings(i.Roles)
		i.Roles = roles
		set(c, "roles", &before, tellMappings(roles))
	}
	if p.Project != nil {
		before := i.Project.Native(latchkey.KindProject)
		i.Project = *p.Project
		set(c, "project_id", &before, i.Project.Native(latchkey.KindProject))
	}
	if p.Enabled != nil {
		set(c, "enabled", &i.Enabled, *p.Enabled)
	}
	return c
}

// UpdateIssuer changes an issuer, from the next token on. Neither what it was nor
// what it becomes may map to more than the caller could give.
func (a *Authority) UpdateIssuer(ctx context.Context, call *Call, id latchkey.ID, patch IssuerPatch) (latchkey.Issuer, Effective, error) {
	refused := func(err error) (latchkey.Issuer, Effective, error) { return latchkey.Issuer{}, Effective{}, err }
	if err := call.RequireWide(latchkey.OrganizationUpdate); err != nil {
		return refused(err)
	}
	// What the patch says is checked before it is known whether there is such an
	// issuer; with what stays as it is nothing is wrong.
	tried := latchkey.Issuer{Name: "-", URL: "https://-", Audiences: []string{"-"}, Algorithms: defaultIssuerAlgorithms(), Claim: "-"}
	patch.apply(&tried, nil)
	given := []RoleGiven{{"-", RoleRef{Identifier: "-"}}}
	if patch.Roles != nil {
		given = *patch.Roles
	}
	if err := checkIssuer(&tried, given); err != nil {
		return refused(err)
	}
	var roles []latchkey.RoleMapping
	if patch.Roles != nil {
		var err error
		if roles, err = a.mappedRoles(ctx, call, given); err != nil {
			return refused(err)
		}
	}
	if patch.Project != nil {
		if err := a.issuerProject(ctx, call, *patch.Project); err != nil {
			return refused(err)
		}
	}
	return a.changeIssuer(ctx, call, id, latchkey.IssuerUpdated, &latchkey.Issuer{Roles: roles, Project: tried.Project}, func(t *txn, i *latchkey.Issuer) (changes, error) {
		c := patch.apply(i, roles)
		return c, t.mayHaveIssuer(i)
	})
}

// DeleteIssuer deletes an issuer: its tokens open nothing from now on.
func (a *Authority) DeleteIssuer(ctx context.Context, call *Call, id latchkey.ID) (Effective, error) {
	if err := call.RequireWide(latchkey.OrganizationUpdate); err != nil {
		return Effective{}, err
	}
	_, e, err := a.changeIssuer(ctx, call, id, latchkey.IssuerDeleted, &latchkey.Issuer{}, func(t *txn, i *latchkey.Issuer) (changes, error) {
		i.DeletedAt = t.Now
		return tellIssuer(i), nil
	})
	return e, err
}

// changeIssuer changes one. more says what must be seen besides what it has.
func (a *Authority) changeIssuer(ctx context.Context, call *Call, id latchkey.ID, event latchkey.EventType, more *latchkey.Issuer,
	change func(*txn, *latchkey.Issuer) (changes, error),
) (latchkey.Issuer, Effective, error) {
	known, err := a.issuerByID(ctx, call, id)
	if err != nil {
		return latchkey.Issuer{}, Effective{}, translate(err)
	}
	reads := issuerReads(known)
	added := issuerReads(more)
	reads.Roles, reads.Projects = append(reads.Roles, added.Roles...), append(reads.Projects, added.Projects...)
	return directoryChange[latchkey.Issuer]{
		needs: latchkey.OrganizationUpdate, event: event, kind: latchkey.KindIssuer, id: id, reads: reads,
		current: func(t *txn) *latchkey.Issuer {
			for n := range t.Issuers {
				if i := &t.Issuers[n]; i.ID == id && i.Organization == t.caller.Organization {
					return i
				}
			}
			return nil
		},
		change: func(t *txn, i *latchkey.Issuer) (changes, error) {
			for _, m := range i.Roles { // as it is, with the roles that are still there
				if r, ok := t.Role(m.Role); ok {
					if err := t.caller.Ceiling(r.Powers()); err != nil {
						return nil, err
					}
				}
			}
			return change(t, i)
		},
		write:  func(s *store.Step, i *latchkey.Issuer) { s.Issuers = []*latchkey.Issuer{i} },
		record: func(i *latchkey.Issuer) *latchkey.Record { return &i.Record },
	}.submit(ctx, a, call)
}

// vouched asks whether another issuer vouches for whoever presents the credential,
// and makes a caller of them.
func (a *Authority) vouched(ctx context.Context, credential latchkey.Plaintext, from netip.Addr) (Caller, latchkey.Code, error) {
	if a.Provider == nil {
		return Caller{}, latchkey.CodeUnknown, strange()
	}
	said, err := a.Provider.Verify(ctx, credential, a.Clock(), func(url string, audience []string) (*latchkey.Issuer, error) {
		all, err := a.Store.IssuersAt(ctx, url)
		for n := range all {
			if all[n].Enabled && all[n].Meant(audience) {
				return &all[n], nil
			}
		}
		return nil, translate(err)
	})
	switch latchkey.CodeOf(err) {
	case "":
	case latchkey.CodeUnavailable, latchkey.CodeBusy:
		return Caller{}, latchkey.CodeVerifyUnavailable, err
	case latchkey.CodeUnauthenticated:
		return Caller{}, latchkey.CodeUnknown, strange()
	default:
		a.Log.ErrorContext(ctx, "a token of an issuer cannot be checked", "error", err)
		return Caller{}, latchkey.CodeVerifyUnavailable, latchkey.Errorf(latchkey.CodeUnavailable, "Your token cannot be checked now; retry later.")
	}
	c := Caller{
		Identity: said, From: from, Home: said.Issuer.Organization, Organization: said.Issuer.Organization,
		Project: said.Issuer.Project, Reach: latchkey.ReachOrganization,
	}
	if !c.Project.IsZero() {
		c.Reach = latchkey.ReachProject
	}
	o, err := a.Store.Organization(ctx, c.Home)
	if err != nil || o.Suspended {
		return Caller{}, latchkey.CodeDisabled, strange()
	}
	var roles []latchkey.Role
	for _, id := range said.Issuer.RolesOf(said.Values) {
		r, err := a.roleByRef(ctx, &Call{Caller: c}, RoleRef{ID: id})
		if err != nil && latchkey.CodeOf(err) != latchkey.CodeNotFound {
			return Caller{}, latchkey.CodeVerifyUnavailable, err
		}
		if err == nil {
			roles = append(roles, *r)
		}
	}
	if len(roles) == 0 {
		return Caller{}, latchkey.CodeInsufficientScope, latchkey.Errorf(latchkey.CodeForbidden, "Your token is good, but nothing that it says of you is mapped to a role here.")
	}
	c.Powers = powersOf(roles)
	c.Operator = o.Operator && c.manages()
	return c, latchkey.CodeValid, nil
}

func powersOf(roles []latchkey.Role) (p latchkey.Powers) {
	for i := range roles {
		p = p.Union(roles[i].Powers())
	}
	return p
}

// vouchedStill is the caller as it is in the transaction, by the issuer and the
// roles as they are there.
func (c Caller) vouchedStill(view *store.View) (Caller, bool) {
	o := view.Organizations[c.Home]
	at := slices.IndexFunc(view.Issuers, func(i latchkey.Issuer) bool { return i.ID == c.Identity.Issuer.ID })
	if at < 0 || o == nil || o.Suspended || !view.Now.Before(c.Identity.ExpiresAt) {
		return Caller{}, false
	}
	i := &view.Issuers[at]
	// One that is otherwise now has to be asked again: the token may not be for it.
	if !i.Enabled || i.Revision != c.Identity.Issuer.Revision {
		return Caller{}, false
	}
	var roles []latchkey.Role
	for _, id := range i.RolesOf(c.Identity.Values) {
		if r, ok := view.Role(id); ok && (r.Organization == c.Home || r.Builtin()) {
			roles = append(roles, r)
		}
	}
	c.Powers = powersOf(roles)
	c.Operator = o.Operator && c.manages()
	return c, len(roles) > 0 && (c.Organization == c.Home || c.Operator)
}
