package rest_test

import (
	"slices"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
)

// list is every key that the caller's lists show, page by page.
func (c caller) list(query string) []string {
	c.h.Helper()
	ids, cursor := []string{}, ""
	for {
		a := c.do("GET", "/v1/keys?limit=2"+query+cursor, nil).must(200)
		rows, _ := a.at("data").([]any)
		for i := range rows {
			ids = append(ids, a.text("data", i, "id"))
		}
		if a.at("next_cursor") == nil {
			return ids
		}
		if len(rows) != 2 {
			c.h.Fatalf("a page of %d with another after it", len(rows))
		}
		cursor = "&cursor=" + a.text("next_cursor")
	}
}

// unreachable fails the test unless the key is nothing to the caller, whichever
// way it asks.
func (c caller) unreachable(name string, k authority.Issued) {
	c.h.Helper()
	path, none := "/v1/keys/"+keyID(k), "/v1/keys/"+c.h.unknown(latchkey.KindKey)
	before := c.h.head()
	for what, ask := range map[string]func(path string) answer{
		"get":      func(path string) answer { return c.do("GET", path, nil) },
		"usage":    func(path string) answer { return c.do("GET", path+"/usage", nil) },
		"rename":   func(path string) answer { return c.do("PATCH", path, object{"name": "x"}) },
		"disable":  func(path string) answer { return c.do("PATCH", path, object{"enabled": false}) },
		"rotate":   func(path string) answer { return c.do("POST", path+"/rotate", nil) },
		"complete": func(path string) answer { return c.do("POST", path+"/rotation/complete", nil) },
		"cancel":   func(path string) answer { return c.do("POST", path+"/rotation/cancel", nil) },
		"reveal":   func(path string) answer { return c.do("POST", path+"/reveal", object{"reason": "x"}) },
		"revoke":   func(path string) answer { return c.do("POST", path+"/revoke", nil) },
		"delete":   func(path string) answer { return c.do("DELETE", path, nil) },
	} {
		if a := ask(path); a.outcome() != "not_found" || a.bare() != ask(none).bare() {
			c.h.Errorf("%s: %s: %d %s", name, what, a.Status, a.Text)
		}
	}
	if slices.Contains(c.list(""), keyID(k)) {
		c.h.Errorf("%s: it is listed", name)
	}
	if kid := string(k.Secrets[0].KID); len(c.list("&search="+kid)) > 0 {
		c.h.Errorf("%s: it is found by its kid", name)
	}
	for _, path := range []string{"/v1/keys/verify", "/v1/keys/explain"} {
		if a := c.do("POST", path, object{"key": k.Secret.Expose()}); a.bare() != c.do("POST", path, object{"key": c.h.noKey()}).bare() {
			c.h.Errorf("%s: %s tells it from an unknown one: %s", name, path, a.Text)
		}
	}
	if c.h.head() != before {
		c.h.Errorf("%s: something was written", name)
	}
}

// TestReachOfOneProject: a caller bound to a project can do nothing with a key
// that reaches further, in its own project or another.
func TestReachOfOneProject(t *testing.T) {
	t.Parallel()
	h := open(t)
	n := h.tenant("Tenant")
	c := n.bound()
	mine := n.key(authority.NewKey{Retrievable: true})
	if ids := c.list(""); !slices.Contains(ids, keyID(mine)) || len(ids) != 2 {
		t.Fatalf("it sees %v", ids)
	}
	c.unreachable("over the organization, in its project", n.key(authority.NewKey{Reach: latchkey.ReachOrganization, Retrievable: true}))
	c.unreachable("in another project", n.key(authority.NewKey{Project: n.two.ID, Retrievable: true}))
	c.unreachable("in another organization", h.tenant("Other").key(authority.NewKey{Retrievable: true}))

	for _, reach := range []string{"organization", "all"} {
		item := object{"name": "x", "reach": reach}
		imported := object{"name": "x", "reach": reach, "digest": h.digest()}
		c.do("POST", "/v1/keys", item).refused(403, latchkey.CodeCeiling)
		c.do("POST", "/v1/keys/batch-create", object{"items": []object{{"name": "y"}, item}}).refused(403, latchkey.CodeCeiling)
		c.do("POST", "/v1/keys/import", object{"scheme": "sha256", "items": []object{imported}}).refused(403, latchkey.CodeCeiling)
	}
	made := c.do("POST", "/v1/keys", object{"name": "x"}).must(201)
	if made.text("key", "project_id") != n.one.ID.Native(latchkey.KindProject) || made.text("key", "reach") != "project" {
		t.Errorf("it made a key elsewhere: %s", made.Text)
	}

	colleague := n.user(member("reader", n.one.ID), member("reader", n.two.ID))
	if a := c.do("GET", "/v1/users/"+colleague.ID.Native(latchkey.KindUser), nil).must(200); strings.Contains(a.Text, n.two.ID.Native(latchkey.KindProject)) {
		t.Errorf("a member's roles name another project: %s", a.Text)
	}
	projects := c.do("GET", "/v1/projects", nil).must(200)
	if rows := projects.at("data").([]any); len(rows) != 1 || projects.text("data", 0, "id") != n.one.ID.Native(latchkey.KindProject) {
		t.Errorf("it sees projects %s", projects.Text)
	}
}

// TestReferencesBeyondReach: an id in a body or a query names something within
// reach, or nothing; it never tells whether something is there.
func TestReferencesBeyondReach(t *testing.T) {
	t.Parallel()
	h := open(t)
	n, far := h.tenant("Tenant"), h.tenant("Other")
	project := func(p latchkey.Project) string { return p.ID.Native(latchkey.KindProject) }
	user := func(u latchkey.User) string { return u.ID.Native(latchkey.KindUser) }
	role := func(r latchkey.Role) string { return r.ID.Native(latchkey.KindRole) }
	foreignRole := far.role(0)
	owners, bound := n.with("owner"), n.bound()
	plain := n.key(authority.NewKey{})
	nobody := n.user()
	type try struct {
		name   string
		caller caller
		ask    func(c caller, id string) answer
		ids    []string // that are beyond reach; the last is unknown
	}
	create := func(member string) func(caller, string) answer {
		return func(c caller, id string) answer { return c.do("POST", "/v1/keys", object{"name": "x", member: id}) }
	}
	filter := func(name string) func(caller, string) answer {
		return func(c caller, id string) answer { return c.do("GET", "/v1/keys?"+name+"="+id, nil) }
	}
	membership := func(member string) func(caller, string) answer {
		return func(c caller, id string) answer {
			of := object{"role": "member"}
			of[member] = id
			return c.do("PATCH", "/v1/users/"+user(nobody), object{"roles": []object{of}})
		}
	}
	projects := []string{project(far.one), h.unknown(latchkey.KindProject)}
	users := []string{user(far.user()), h.unknown(latchkey.KindUser)}
	roles := []string{role(foreignRole), h.unknown(latchkey.KindRole)}
	for _, test := range []try{
		{"project of a key", owners, create("project_id"), projects},
		{"project of a key, bound", bound, create("project_id"), append([]string{project(n.two)}, projects...)},
		{"owner of a key", owners, create("owner_id"), users},
		{"owner of a key, bound", bound, create("owner_id"), append([]string{user(n.user(member("member", n.two.ID))), user(n.user(member("member")))}, users...)},
		{"role of a key", owners, create("role"), roles},
		{"role of a key by its identifier", owners, create("role"), []string{foreignRole.Identifier, "no-such-role"}},
		{"new role of a key", owners, func(c caller, id string) answer { return c.do("PATCH", "/v1/keys/"+keyID(plain), object{"role": id}) }, roles},
		{"new role of an unknown key", owners, func(c caller, id string) answer {
			return c.do("PATCH", "/v1/keys/key_00000000000000000001", object{"role": id})
		}, roles},
		{"project of a membership", owners, membership("project_id"), projects},
		{"role of a membership", owners, membership("role"), roles},
		{"role of a new user", owners, func(c caller, id string) answer {
			return c.do("POST", "/v1/users", object{"name": "x", "kind": "service", "roles": []object{{"role": id}}})
		}, roles},
		{"filter by project", owners, filter("project_id"), projects},
		{"filter by project, bound", bound, filter("project_id"), append([]string{project(n.two)}, projects...)},
		{"filter by owner", owners, filter("owner_id"), users},
		{"filter by role", owners, filter("role"), roles},
		{"filter of events", owners, func(c caller, id string) answer { return c.do("GET", "/v1/events?object="+id, nil) }, append([]string{keyID(far.key(authority.NewKey{}))}, projects...)},
	} {
		want := test.ask(test.caller, test.ids[len(test.ids)-1]).bare()
		for _, id := range test.ids {
			if got := test.ask(test.caller, id).bare(); got != want {
				t.Errorf("%s: one that is there can be told from one that is not:\n%s\nand\n%s", test.name, got, want)
			}
		}
	}
	// A page of one list is no key to another, nor to another caller's.
	far.key(authority.NewKey{})
	far.key(authority.NewKey{})
	cursor := far.with("owner").do("GET", "/v1/keys?limit=1", nil).must(200).text("next_cursor")
	owners.do("GET", "/v1/keys?limit=1&cursor="+cursor, nil).refused(422, latchkey.CodeInvalid, "query:cursor")
	wide := owners.do("GET", "/v1/keys?limit=1", nil).must(200).text("next_cursor")
	bound.do("GET", "/v1/keys?limit=1&cursor="+wide, nil).refused(422, latchkey.CodeInvalid, "query:cursor")
}

// TestReachOverAll: a key that reaches every organization is the operator's
// people's to make and to see, and verifies and introspects and no more.
func TestReachOverAll(t *testing.T) {
	t.Parallel()
	h := open(t)
	n, tenant := h.operators(), h.tenant("Tenant")
	all := object{"name": "gateway", "reach": "all", "scopes": []string{"api_key:verify", "token:introspect"}}
	for name, c := range map[string]caller{
		"the operator's manager, with all permissions": n.with("manager", append([]string{"grant:*", "*"}, management...)...),
		"the operator's owner, in one project":         n.bound(),
		"a tenant's owner":                             tenant.with("owner"),
		"the operator's owner, acting in a tenant":     n.with("owner").in(tenant.native),
		"the socket, acting in a tenant":               h.operatorSocket().in(tenant.native),
	} {
		if a := c.do("POST", "/v1/keys", all); a.Status != 403 || a.text("code") != "ceiling" {
			t.Errorf("%s: %d %s", name, a.Status, a.Text)
		}
	}
	for name, c := range map[string]caller{"owner": n.with("owner"), "admin": n.with("admin"), "socket": h.operatorSocket()} {
		made := c.do("POST", "/v1/keys", all).must(201)
		c.do("GET", "/v1/keys/"+made.text("key", "id"), nil).must(200)
		if !slices.Contains(c.list(""), made.text("key", "id")) {
			t.Errorf("the operator's %s does not see it in lists", name)
		}
		c.do("POST", "/v1/keys/"+made.text("key", "id")+"/rotate", nil).must(200)
		for _, body := range []object{{"role": "reader"}, {"role": "reader", "scopes": []string{}}} {
			c.do("PATCH", "/v1/keys/"+made.text("key", "id"), body).refused(422, latchkey.CodeInvalid)
		}
		for _, scopes := range [][]string{{"*"}, {"api_key:*"}, {"api_key:verify", "api_key:read"}, {"docs:read"}} {
			c.do("PATCH", "/v1/keys/"+made.text("key", "id"), object{"scopes": scopes}).refused(422, latchkey.CodeInvalid)
			c.do("POST", "/v1/keys", object{"name": "x", "reach": "all", "scopes": scopes}).refused(422, latchkey.CodeInvalid)
		}
		c.do("POST", "/v1/keys", object{"name": "x", "reach": "all", "role": "member"}).refused(422, latchkey.CodeInvalid)
		c.do("POST", "/v1/keys", object{"name": "x", "reach": "all", "owner_id": h.operator.Owner.Native(latchkey.KindUser)}).refused(422, latchkey.CodeInvalid)
	}

	k := n.key(authority.NewKey{Reach: latchkey.ReachAll, Scopes: []string{"api_key:verify", "token:introspect"}, Project: n.one.ID, Retrievable: true})
	n.with("manager", append([]string{"*"}, management...)...).unreachable("the operator's manager", k)
	n.bound().unreachable("the operator's owner in its project", k)
	tenant.with("owner").unreachable("a tenant's owner", k)
	n.with("owner").in(tenant.native).unreachable("the operator's owner, acting in a tenant", k)

	gateway := h.as(k.Secret.Expose())
	for _, m := range []*tenancy{n, tenant} {
		for _, reach := range []latchkey.Reach{latchkey.ReachProject, latchkey.ReachOrganization} {
			if code := gateway.verify(m.key(authority.NewKey{Reach: reach}).Secret.Expose(), nil); code != "valid" {
				t.Errorf("it does not verify a key of reach %s: %s", reach, code)
			}
		}
	}
	gateway.in(tenant.native).do("POST", "/v1/keys/verify", object{"key": "x"}).refused(403, latchkey.CodeForbidden)
}

// TestActingInAnotherOrganization is for the operator's owner and admin alone,
// and nobody else can use the header to find out who the tenants are.
func TestActingInAnotherOrganization(t *testing.T) {
	t.Parallel()
	h := open(t)
	n, tenant := h.operators(), h.tenant("Tenant")
	theirs, ours := tenant.key(authority.NewKey{}), n.key(authority.NewKey{})
	for name, c := range map[string]caller{
		"owner": n.with("owner"), "admin": n.with("admin"), "socket": h.operatorSocket(), "first user": h.as(h.root),
		"a role of the operator's own like it": n.ranked(7, "*"), "without a role, by its owner": n.owned("admin"),
	} {
		inside := c.in(tenant.native)
		if a := inside.do("GET", "/v1/keys/"+keyID(theirs), nil); a.Status != 200 {
			t.Errorf("%s: %d %s", name, a.Status, a.Text)
		}
		inside.do("GET", "/v1/keys/"+keyID(ours), nil).refused(404, latchkey.CodeNotFound)
		c.do("GET", "/v1/keys/"+keyID(theirs), nil).refused(404, latchkey.CodeNotFound)
		c.in(h.unknown(latchkey.KindOrganization)).do("GET", "/v1/keys", nil).refused(404, latchkey.CodeNotFound)
		c.in("nonsense").do("GET", "/v1/keys", nil).refused(422, latchkey.CodeInvalid, "header:Latchkey-Organization")
		inside.in(n.native).do("GET", "/v1/keys", nil).refused(422, latchkey.CodeInvalid, "header:Latchkey-Organization")
		made := inside.do("POST", "/v1/keys", object{"name": "x"}).must(201)
		if made.text("key", "organization_id") != tenant.native {
			t.Errorf("%s made it elsewhere: %s", name, made.Text)
		}
	}
	for name, c := range map[string]caller{
		"the operator's manager, with all permissions":         n.with("manager", "*"),
		"the operator's owner, in one project":                 n.bound(),
		"a key of the operator's with every permission":        h.as(n.key(authority.NewKey{Reach: latchkey.ReachOrganization, Scopes: []string{"*"}}).Secret.Expose()),
		"a role of the operator's with every permission":       n.ranked(6, "*"),
		"a role of the operator's as high, with all but grant": n.ranked(10, append([]string{"a*", "api_key:*", "grant:*"}, management...)...),
		"a tenant's owner":       tenant.with("owner"),
		"another tenant's owner": h.tenant("Other").with("owner"),
	} {
		elsewhere := n.native
		if c.do("GET", "/v1/organizations/"+n.native, nil).Status == 200 {
			elsewhere = tenant.native
		}
		want := c.in(elsewhere).do("GET", "/v1/keys", nil)
		if want.Status != 403 || want.text("code") != "forbidden" {
			t.Errorf("%s: %d %s", name, want.Status, want.Text)
		}
		for _, organization := range []string{h.unknown(latchkey.KindOrganization), "nonsense", ""} {
			if a := c.in(organization).do("GET", "/v1/keys", nil); a.bare() != want.bare() {
				t.Errorf("%s: the header %q tells: %s", name, organization, a.Text)
			}
		}
		c.do("POST", "/v1/organizations", object{"name": "x"}).refused(403, latchkey.CodeForbidden)
		c.do("GET", "/v1/keyring", nil).refused(403, latchkey.CodeForbidden)
	}
}

// ranked is a caller with a role of the organization's own.
func (n *tenancy) ranked(rank int, permissions ...string) caller {
	n.h.Helper()
	return n.h.as(n.key(authority.NewKey{Reach: latchkey.ReachOrganization, Role: authority.RoleRef{ID: n.role(rank, permissions...).ID}}).Secret.Expose())
}

// owned is a caller with the powers of a user who has that role.
func (n *tenancy) owned(role string) caller {
	n.h.Helper()
	return n.h.as(n.key(authority.NewKey{Reach: latchkey.ReachOrganization, Owner: n.user(member(role)).ID}).Secret.Expose())
}

// TestTenantsLearnNothingOfEachOther: whatever the operator does while it acts
// in a tenant, that tenant's record has nothing of another.
func TestTenantsLearnNothingOfEachOther(t *testing.T) {
	t.Parallel()
	h := open(t)
	one, other := h.tenant("One"), h.tenant("Other")
	inside := h.as(h.root).in(one.native)
	made := inside.do("POST", "/v1/organizations", object{"name": "Secret venture"}).must(201).text("id")
	inside.do("PATCH", "/v1/organizations/"+other.native, object{"name": "Renamed venture", "limits": object{"keys": 77}}).must(200)
	inside.do("PATCH", "/v1/organizations/"+other.native, object{"state": "suspended"}).must(200)
	inside.do("DELETE", "/v1/organizations/"+made, nil).must(200)
	record := one.with("owner").do("GET", "/v1/events?limit=100", nil).must(200).Text
	for _, hint := range []string{"venture", made, other.native} {
		if strings.Contains(record, hint) {
			t.Errorf("a tenant reads of another: %s", hint)
		}
	}
	if own := h.as(h.root).in(other.native).do("GET", "/v1/events?limit=100", nil).must(200).Text; !strings.Contains(own, "Renamed venture") || !strings.Contains(own, `"suspended"`) {
		t.Errorf("what was done to a tenant is not in its own record: %s", own)
	}
}

// TestBudgetIsNotRefilled: what an organization may change in a second is not
// more because its own owner renames it.
func TestBudgetIsNotRefilled(t *testing.T) {
	t.Parallel()
	h := open(t)
	n := h.tenant("Tenant")
	c := n.with("owner")
	h.as(h.root).do("PATCH", "/v1/organizations/"+n.native, object{"limits": object{"changes_per_second": 1}}).must(200)
	for i := range 200 {
		a := c.do("PATCH", "/v1/organizations/"+n.native, object{"name": h.word()})
		if a.Status == 429 {
			return
		}
		if a.Status != 200 {
			t.Fatalf("change %d: %d %s", i, a.Status, a.Text)
		}
	}
	t.Error("200 changes in a row, where one a second is allowed")
}
