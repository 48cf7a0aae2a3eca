package rest_test

import (
	"crypto/rand"
	"encoding/hex"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/rest"
)

var update = flag.Bool("update", false, "write docs/permissions.md anew")

const permissionsPage = "../docs/permissions.md"

// place is where the object of a request stands, seen from its caller.
type place int

const (
	own       place = iota
	sibling         // in another project of the organization
	foreign         // in another organization
	unknown         // nowhere, by a well-formed id
	malformed       // there, by a spelling that is not the API's
)

func (p place) String() string {
	return [...]string{"own", "another project's", "another organization's", "unknown", "malformed"}[p]
}

// principal is one who calls.
type principal struct {
	group, name string
	home        *tenancy
	caller      caller
	bound       bool // to its organization's first project
	operator    bool
	holds       latchkey.Permissions
}

// may is told here anew, without the domain's own rules: the permissions of the
// built-in roles have no patterns but "*".
func (p *principal) may(q latchkey.Permission) bool {
	return slices.Contains(p.holds, "*") || slices.Contains(p.holds, q)
}

// row is how an operation is asked for: on what, and with what body.
type row struct {
	target string
	body   func(n *tenancy, target string) any
}

// matrixRows says how each operation is asked for. The bodies are right, so that
// whatever is refused is refused for the caller or the target.
func matrixRows() map[string]row {
	always := func(body any) func(*tenancy, string) any { return func(*tenancy, string) any { return body } }
	presented := func(_ *tenancy, key string) any { return object{"key": key} }
	return map[string]row{
		"createKey":       {body: always(object{"name": "key"})},
		"listKeys":        {},
		"verifyKey":       {target: "secret", body: presented},
		"batchVerifyKeys": {target: "secret", body: func(_ *tenancy, key string) any { return object{"items": []object{{"key": key}}} }},
		"explainKey":      {target: "secret", body: presented},
		"batchCreateKeys": {body: always(object{"items": []object{{"name": "key"}}})},
		"importKeys": {body: func(*tenancy, string) any {
			var digest [32]byte
			_, _ = rand.Read(digest[:])
			return object{"scheme": "sha256", "items": []object{{"name": "key", "digest": hex.EncodeToString(digest[:])}}}
		}},
		"revokeSelf":       {target: "leaked secret", body: presented},
		"getKey":           {target: "key"},
		"getKeyUsage":      {target: "key"},
		"updateKey":        {target: "key", body: always(object{"name": "renamed", "enabled": true})},
		"deleteKey":        {target: "key"},
		"revokeKey":        {target: "key", body: always(object{"reason": "matrix"})},
		"rotateKey":        {target: "key", body: always(object{"overlap": "1h"})},
		"completeRotation": {target: "rotating key"},
		"cancelRotation":   {target: "rotating key"},
		"revealKey":        {target: "key", body: always(object{"reason": "matrix"})},

		"listOrganizations":  {},
		"createOrganization": {body: always(object{"name": "made"})},
		"getOrganization":    {target: "organization"},
		"updateOrganization": {target: "organization", body: always(object{"name": "renamed"})},
		"deleteOrganization": {target: "organization"},

		"listProjects":  {},
		"createProject": {body: func(n *tenancy, _ string) any { return object{"name": n.name("made")} }},
		"getProject":    {target: "project"},
		"updateProject": {target: "project", body: always(object{"retrievable": true})},
		"deleteProject": {target: "project"},

		"listUsers":  {},
		"createUser": {body: always(object{"name": "made", "kind": "service"})},
		"getUser":    {target: "user"},
		"updateUser": {target: "user", body: always(object{"name": "renamed"})},
		"deleteUser": {target: "user"},

		"listRoles": {},
		"createRole": {body: func(n *tenancy, _ string) any {
			return object{"identifier": n.name("made"), "name": "made", "permissions": []string{}}
		}},
		"getRole":    {target: "role"},
		"updateRole": {target: "role", body: always(object{"name": "renamed"})},
		"deleteRole": {target: "role"},

		"listGateways":       {},
		"createGateway":      {body: func(n *tenancy, _ string) any { return gatewayBody(n.name("made")) }},
		"getGateway":         {target: "gateway"},
		"updateGateway":      {target: "gateway", body: always(object{"environment": "live"})},
		"rotateGatewayToken": {target: "gateway"},
		"deleteGateway":      {target: "gateway"},

		"listIssuers":  {},
		"createIssuer": {body: func(n *tenancy, _ string) any { return issuerBody(n.name("made")) }},
		"getIssuer":    {target: "issuer"},
		"updateIssuer": {target: "issuer", body: always(object{"enabled": true})},
		"deleteIssuer": {target: "issuer"},

		"listEvents": {},

		"listNodes":  {},
		"forgetNode": {target: "node"},

		"getKeyRing":             {},
		"addKeyRingVersion":      {},
		"activateKeyRingVersion": {target: "version"}, // the active one: that changes nothing
		"retireKeyRingVersion":   {target: "version"}, // the active one: that is refused

		"listTokenKeys":   {},
		"rotateTokenKeys": {body: always(object{})},
		"getKeySet":       {},

		"health":    {},
		"readiness": {},
	}
}

// kinds of targets that have an id, and whether a project holds them.
var kinds = map[string]struct {
	kind    latchkey.Kind
	project bool
}{
	"key": {latchkey.KindKey, true}, "rotating key": {latchkey.KindKey, true}, "secret": {"", true}, "leaked secret": {"", true},
	"project": {latchkey.KindProject, true}, "user": {latchkey.KindUser, true},
	"organization": {latchkey.KindOrganization, false}, "role": {latchkey.KindRole, false}, "gateway": {latchkey.KindGateway, false}, "issuer": {latchkey.KindIssuer, false}, "version": {"", false}, "node": {latchkey.KindNode, false},
}

// shelf is where a target lies that another cell can use.
type shelf struct {
	home            *tenancy
	kind            string
	at              place
	bound, operator bool
}

// matrix is the whole of it.
type matrix struct {
	*house
	nodes                *others
	near, far, operators *tenancy
	principals           []*principal
	stock                map[shelf]string  // targets that no cell has changed yet
	untouched            map[string]string // what stands beyond everyone's reach, by kind
	before               map[string]int64  // its revisions
	cells                map[string]map[*principal]string
	statuses             map[string]int // of the refusals that were seen
}

// TestPermissionMatrix asks for every operation as every kind of caller, on
// targets within and beyond its reach, and holds the outcomes against
// docs/permissions.md. -update writes that page.
func TestPermissionMatrix(t *testing.T) {
	h, nodes := among(t)
	m := &matrix{house: h, nodes: nodes, near: h.tenant("Near"), far: h.tenant("Far"), operators: h.operators(),
		stock: map[shelf]string{}, untouched: map[string]string{}, cells: map[string]map[*principal]string{}, statuses: map[string]int{}}
	m.populate()
	m.layOut()
	rows := matrixRows()
	for _, op := range h.api.Operations() {
		row, known := rows[op.ID]
		if !known {
			t.Errorf("%s (%s %s): give matrixRows a row for it", op.ID, op.Method, op.Path)
			continue
		}
		delete(rows, op.ID)
		m.cells[op.ID] = map[*principal]string{}
		for _, p := range m.principals {
			m.cells[op.ID][p] = m.cell(op, row, p)
		}
	}
	for id := range rows {
		t.Errorf("matrixRows has a row for %s, which the API does not have", id)
	}
	m.stayedAsItWas()
	pairs := h.escalate()
	if t.Failed() {
		return
	}
	page := m.page() + pairs.page()
	if *update {
		if err := os.WriteFile(permissionsPage, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(permissionsPage)
	if err != nil {
		t.Fatal(err)
	}
	reportDifference(t, string(written), page)
}

func reportDifference(t *testing.T, written, found string) {
	t.Helper()
	if written == found {
		return
	}
	was, is := strings.Split(written, "\n"), strings.Split(found, "\n")
	for i := range max(len(was), len(is)) {
		line := func(of []string) string {
			if i < len(of) {
				return of[i]
			}
			return "(no line)"
		}
		if line(was) != line(is) {
			t.Errorf("%s, line %d\nsays:  %s\nfound: %s", permissionsPage, i+1, line(was), line(is))
		}
	}
	t.Error("if the new outcomes are meant, write the page with: make matrix")
}

// populate makes the callers.
func (m *matrix) populate() {
	add := func(group, name string, n *tenancy, in authority.NewKey, holds latchkey.Permissions, operator bool) {
		for _, scope := range in.Scopes {
			holds = append(slices.Clip(holds), latchkey.Permission(scope))
		}
		bound := in.Reach != latchkey.ReachOrganization && in.Reach != latchkey.ReachAll
		m.principals = append(m.principals, &principal{group, name, n, m.as(n.key(in).Secret.Expose()), bound, operator, holds})
	}
	roles := latchkey.BuiltinRoles()
	for _, r := range roles {
		ref := authority.RoleRef{Identifier: r.Identifier}
		add("role over the organization", r.Identifier, m.near, authority.NewKey{Reach: latchkey.ReachOrganization, Role: ref}, r.Permissions, false)
	}
	for _, r := range roles {
		ref := authority.RoleRef{Identifier: r.Identifier}
		add("role in one project", r.Identifier, m.near, authority.NewKey{Role: ref}, r.Permissions, false)
	}
	const alone = "no role"
	add(alone, "nothing at all", m.near, authority.NewKey{Reach: latchkey.ReachOrganization}, nil, false)
	add(alone, "the scope `api_key:verify`, as a gateway", m.near, authority.NewKey{Reach: latchkey.ReachOrganization, Scopes: []string{"api_key:verify"}}, nil, false)
	add(alone, "the scope `*`", m.near, authority.NewKey{Reach: latchkey.ReachOrganization, Scopes: []string{"*"}}, nil, false)
	for _, r := range roles[:5] { // those above the line between who manages organizations and who does not, and below it
		ref := authority.RoleRef{Identifier: r.Identifier}
		add("role over the operator's organization", r.Identifier, m.operators, authority.NewKey{Reach: latchkey.ReachOrganization, Role: ref}, r.Permissions, r.Rank >= 7)
	}
	owner, _ := latchkey.BuiltinRole("owner")
	add("in the operator's organization", "owner in one project", m.operators, authority.NewKey{Role: authority.RoleRef{Identifier: "owner"}}, owner.Permissions, false)
	add("in the operator's organization", "reach `all`, as the gateway of every tenant", m.operators, authority.NewKey{Reach: latchkey.ReachAll, Scopes: []string{"api_key:verify", "token:introspect"}}, nil, false)
	m.principals = append(m.principals,
		&principal{"on the machine", "whoever can open the socket", m.operators, m.operatorSocket(), false, true, owner.Permissions},
		&principal{"nobody", "no credential", m.near, m.as(""), false, false, nil})
}

// layOut makes what nobody may touch.
func (m *matrix) layOut() {
	for kind := range kinds {
		if kind != "leaked secret" && kind != "version" && kind != "node" {
			m.untouched[kind] = m.make(m.far, kind, m.far.one)
		}
	}
	m.before = m.revisions()
}

func (m *matrix) revisions() map[string]int64 {
	m.Helper()
	revisions := map[string]int64{}
	for kind, id := range m.untouched {
		if kind == "secret" {
			continue
		}
		var record latchkey.Record
		call, ctx := m.far.call(), m.Context()
		parsed, err := latchkey.ParseNative(kinds[kind].kind, id)
		if err != nil {
			m.Fatal(err)
		}
		switch kinds[kind].kind {
		case latchkey.KindKey:
			k, err2 := m.authority.GetKey(ctx, call, parsed)
			record, err = k.Record, err2
		case latchkey.KindOrganization:
			o, err2 := m.authority.GetOrganization(ctx, call, parsed)
			record, err = o.Record, err2
		case latchkey.KindProject:
			p, err2 := m.authority.GetProject(ctx, call, parsed)
			record, err = p.Record, err2
		case latchkey.KindUser:
			u, err2 := m.authority.GetUser(ctx, call, parsed)
			record, err = u.Record, err2
		case latchkey.KindRole:
			r, err2 := m.authority.GetRole(ctx, call, authority.RoleRef{ID: parsed})
			record, err = r.Record, err2
		}
		if err != nil {
			m.Fatalf("the untouched %s: %v", kind, err)
		}
		revisions[kind] = record.Revision
	}
	return revisions
}

func (m *matrix) stayedAsItWas() {
	m.Helper()
	if after := m.revisions(); !maps.Equal(m.before, after) {
		m.Errorf("what stands beyond everyone's reach was changed: revisions %v, then %v", m.before, after)
	}
}

// make makes an object of the organization, in that project if a project holds
// such objects, and gives its id; of a secret, the secret.
func (m *matrix) make(n *tenancy, kind string, in latchkey.Project) string {
	m.Helper()
	switch kind {
	case "key":
		return keyID(n.key(authority.NewKey{Project: in.ID, Retrievable: true}))
	case "rotating key":
		k := n.key(authority.NewKey{Project: in.ID})
		if _, _, err := m.authority.RotateKey(m.Context(), n.call(), k.ID, time.Hour); err != nil {
			m.Fatal(err)
		}
		return keyID(k)
	case "secret", "leaked secret":
		return n.key(authority.NewKey{Project: in.ID}).Secret.Expose()
	case "organization":
		return n.native
	case "project":
		return in.ID.Native(latchkey.KindProject)
	case "user":
		return n.user(member("member", in.ID)).ID.Native(latchkey.KindUser)
	case "role":
		return n.role(0).ID.Native(latchkey.KindRole)
	case "gateway":
		return n.gateway(n.name("front")).ID.Native(latchkey.KindGateway)
	case "node":
		return m.nodes.add(false).Native(latchkey.KindNode)
	case "issuer":
		return n.issuer(n.name("staff")).ID.Native(latchkey.KindIssuer)
	case "version":
		return fmt.Sprint(m.ring.Active())
	}
	m.Fatalf("no %s can be made", kind)
	return ""
}

// take gives what the request is about: nothing that any other cell has changed.
func (m *matrix) take(p *principal, kind string, at place) string {
	m.Helper()
	on := shelf{p.home, kind, at, p.bound, p.operator}
	if m.stock[on] == "" || kind == "version" {
		m.stock[on] = m.target(p, kind, at)
	}
	return m.stock[on]
}

// target makes it.
func (m *matrix) target(p *principal, kind string, at place) string {
	m.Helper()
	switch at {
	case own, sibling:
		in := p.home.one
		if at == sibling {
			in = p.home.two
		}
		if kind == "project" && !p.bound {
			in = p.home.project() // the other two are needed
		}
		return m.make(p.home, kind, in)
	case foreign:
		if kind == "leaked secret" {
			return m.make(m.far, kind, m.far.one)
		}
		if kind == "organization" && p.operator {
			return m.tenant("Passing").native
		}
		return m.untouched[kind]
	case unknown:
		switch kind {
		case "secret", "leaked secret":
			return m.noKey()
		case "version":
			return "99"
		}
		return m.unknown(kinds[kind].kind)
	}
	return misspelt(m.take(p, kind, own))
}

// misspelt names what is there in a way that the API does not take: another
// API's spelling of an id, or a key with a typing error.
func misspelt(target string) string {
	for _, kind := range []latchkey.Kind{latchkey.KindKey, latchkey.KindOrganization, latchkey.KindProject, latchkey.KindUser, latchkey.KindRole, latchkey.KindNode} {
		if id, err := latchkey.ParseNative(kind, target); err == nil {
			return id.Hex()
		}
	}
	return "0x" + target
}

func (m *matrix) ask(op rest.Operation, row row, p *principal, target string) answer {
	m.Helper()
	var body any
	if row.body != nil {
		body = row.body(p.home, target)
	}
	a := p.caller.do(op.Method, pathTo(op, target), body)
	if a.Status >= 400 {
		m.statuses[a.text("code")] = a.Status
	}
	if a.Status == 401 {
		m.advance(time.Second) // or the source of so many would be throttled
	}
	return a
}

func pathTo(op rest.Operation, target string) string {
	return strings.NewReplacer("{id}", target, "{version}", target).Replace(op.Path)
}

// cell asks for one operation as one caller, holds the answers to the laws, and
// tells the outcomes.
func (m *matrix) cell(op rest.Operation, row row, p *principal) string {
	m.Helper()
	where := placesOf(row.target)
	outcomes, answers := map[place]string{}, map[place]string{}
	for _, at := range where {
		target := ""
		if row.target != "" {
			target = m.take(p, row.target, at)
		}
		a := m.ask(op, row, p, target)
		if a.Status < 400 && op.Method != "GET" {
			delete(m.stock, shelf{p.home, row.target, at, p.bound, p.operator})
		}
		outcomes[at], answers[at] = a.verdict(), a.bare()
	}
	label := func(at place) string { return fmt.Sprintf("%s as %s (%s), target %s", op.ID, p.name, p.group, at) }

	if !op.Open && !p.may(op.Needs) {
		m.refusedBeforeAnything(op, p, label(own), answers)
	}
	if outcomes[own] == "forbidden" {
		m.refusedBeforeAnything(op, p, label(own), answers)
	}
	if !p.bound && outcomes[own] != outcomes[sibling] && slices.Contains(where, sibling) {
		m.Errorf("%s: %s, but %s where it is its own: it reaches both", label(sibling), outcomes[sibling], outcomes[own])
	}
	if typo, asked := outcomes[malformed]; asked && (typo == "malformed") != (row.target == "secret" && outcomes[own] != "forbidden" && p.group != "nobody") {
		m.Errorf("%s: %s", label(malformed), typo)
	}
	m.alikeBeyondReach(row, p, answers, label)
	return condense(where, outcomes, p.bound)
}

// placesOf are the places where a target of that kind can be.
func placesOf(kind string) []place {
	switch {
	case kind == "":
		return []place{own}
	case kind == "version", kind == "node":
		return []place{own, unknown, malformed}
	case !kinds[kind].project:
		return []place{own, foreign, unknown, malformed}
	}
	return []place{own, sibling, foreign, unknown, malformed}
}

// refusedBeforeAnything: who may not use the operation is told just that,
// whatever else is wrong with the request.
func (m *matrix) refusedBeforeAnything(op rest.Operation, p *principal, label string, answers map[place]string) {
	m.Helper()
	c := p.caller.with("If-Match", "nonsense").with("Idempotency-Key", "short").with("Latchkey-Organization", "nonsense").with("Content-Type", "text/plain")
	var body any
	if op.Method != "GET" {
		body = `{"unfinished":`
	}
	a := c.do(op.Method, pathTo(op, "nonsense")+"?no_such=1&no_such=2", body)
	if a.Status == 401 {
		m.advance(time.Second)
	}
	want := "403"
	if p.group == "nobody" {
		want = "401"
	}
	for at, text := range answers {
		if !strings.HasPrefix(text, want) {
			m.Errorf("%s: want %s on a target that is %s, got\n%s", label, want, at, text)
		}
		if text != a.bare() {
			m.Errorf("%s: the refusal depends on the request: on a target that is %s\n%s\nand when everything is wrong\n%s", label, at, text, a.bare())
		}
	}
}

// alikeBeyondReach: what is in another project, in another organization, nowhere
// or misspelt is told alike, to the byte.
func (m *matrix) alikeBeyondReach(row row, p *principal, answers map[place]string, label func(place) string) {
	m.Helper()
	beyond := []place{foreign, unknown, malformed}
	switch {
	case row.target == "leaked secret":
		beyond = []place{unknown, malformed} // possession is the authority, wherever the key is
	case row.target == "secret":
		beyond = []place{foreign, unknown} // a typing error is a verdict of its own
		if len(p.holds) == 2 && p.home == m.operators {
			beyond = nil // the gateway of every tenant reaches every key
		}
	case row.target == "organization" && p.operator:
		beyond = []place{unknown, malformed}
	}
	if p.bound && row.target != "leaked secret" {
		beyond = append(beyond, sibling)
	}
	for _, at := range beyond {
		text, asked := answers[at]
		if asked && text != answers[beyond[1]] {
			m.Errorf("%s can be told from %s:\n%s\nand\n%s", label(at), beyond[1], text, answers[beyond[1]])
		}
	}
}

// verdict is the outcome, with the verdict of a verification.
func (a answer) verdict() string {
	code := a.text("code")
	if code == "" {
		code = a.text("results", 0, "code")
	}
	if a.Status < 400 && code != "" {
		return code
	}
	return a.outcome()
}

// condense says outcomes in few words: the one on what is within reach, then the
// one on what is beyond, where it is another.
func condense(where []place, outcomes map[place]string, bound bool) string {
	first, beyond := outcomes[own], map[string][]string{}
	for _, at := range where[1:] {
		if at == sibling && !bound || outcomes[at] == "malformed" {
			continue // within reach; and what every verification says of a typing error
		}
		beyond[outcomes[at]] = append(beyond[outcomes[at]], at.String())
	}
	if len(beyond) == 0 || len(beyond) == 1 && beyond[first] != nil {
		return first
	}
	if len(beyond) == 1 {
		for outcome := range beyond {
			return first + " · " + outcome
		}
	}
	parts := []string{first}
	for _, at := range where[1:] {
		if names := beyond[outcomes[at]]; len(names) > 0 {
			if outcomes[at] != first {
				parts = append(parts, strings.Join(names, ", ")+": "+outcomes[at])
			}
			delete(beyond, outcomes[at])
		}
	}
	return strings.Join(parts, " · ")
}
