package rest_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/rest"
	"latchkey.dev/latchkey/store"
)

// others stands in for the other nodes of an installation.
type others struct {
	mu      sync.Mutex
	nodes   []store.Node
	pending []store.Pending
	waits   []time.Duration
	hold    chan struct{} // whoever waits does so until it is closed; nil: nobody does
}

// Await implements authority.Spread.
func (o *others) Await(ctx context.Context, position int64, committed time.Time, wait time.Duration) []store.Pending {
	o.mu.Lock()
	o.waits = append(o.waits, wait)
	pending, hold := o.pending, o.hold
	o.mu.Unlock()
	if position < 1 || time.Since(committed) > time.Minute {
		panic(fmt.Sprintf("asked about position %d, committed %v ago", position, time.Since(committed)))
	}
	if wait > 0 && hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
		}
	}
	return pending
}

// List implements authority.Spread.
func (o *others) List(context.Context) ([]store.Node, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.nodes), nil
}

// Forget implements authority.Spread.
func (o *others) Forget(_ context.Context, id latchkey.ID) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := len(o.nodes)
	o.nodes = slices.DeleteFunc(o.nodes, func(n store.Node) bool { return n.ID == id })
	if len(o.nodes) == before {
		return store.ErrNotFound
	}
	return nil
}

// add has one more node, and gives its id.
func (o *others) add(self bool) latchkey.ID {
	o.mu.Lock()
	defer o.mu.Unlock()
	var id latchkey.ID
	copy(id[:], fmt.Sprintf("node %07d", len(o.nodes)))
	o.nodes = append(o.nodes, store.Node{
		ID: id, State: store.NodeServing, Applied: 7, ServeFor: 3 * time.Second, Renewal: 9, Versions: []int{1, 2}, Build: "v1", Self: self,
	})
	return id
}

// asked are the waits since the last time.
func (o *others) asked() []time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	waits := o.waits
	o.waits = nil
	return waits
}

func (o *others) is(pending ...store.Pending) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pending = pending
}

// among starts a house that is one of several nodes.
func among(t testing.TB) (*house, *others) {
	t.Helper()
	o := &others{}
	return open(t, func(c *rest.Config) { c.Authority.Spread = o }), o
}

// Every operation that alters verdicts waits for the nodes, tells which of them
// are pending, and takes the time that it may wait; the others do not.
func TestEffect(t *testing.T) {
	t.Parallel()
	h, o := among(t)
	root := h.as(h.root)
	slow, slower := o.add(false), o.add(false)
	rotating := func() string {
		k := root.newKey(object{})
		root.do("POST", k.path+"/rotate", nil).must(200)
		return k.path
	}
	user := func() string {
		return "/v1/users/" + root.do("POST", "/v1/users", object{"name": "Robot", "kind": "service"}).must(201).text("id")
	}
	n := 0
	digest := func() string {
		n++
		return fmt.Sprintf("%064x", n)
	}
	role := func() string {
		n++
		return "/v1/roles/" + root.do("POST", "/v1/roles", object{"identifier": fmt.Sprintf("role-%d", n), "name": "r", "permissions": []string{"docs:read"}}).must(201).text("id")
	}
	organization := func() string {
		n++
		return "/v1/organizations/" + root.do("POST", "/v1/organizations", object{"name": fmt.Sprintf("Org %d", n)}).must(201).text("id")
	}
	project := func() string {
		n++
		return "/v1/projects/" + root.do("POST", "/v1/projects", object{"name": fmt.Sprintf("Project %d", n)}).must(201).text("id")
	}
	gateway := func() string {
		n++
		return "/v1/gateways/" + root.do("POST", "/v1/gateways", gatewayBody(fmt.Sprintf("gw %d", n))).must(201).text("gateway", "id")
	}
	issuer := func() string {
		n++
		return "/v1/issuers/" + root.do("POST", "/v1/issuers", issuerBody(fmt.Sprintf("issuer-%d", n))).must(201).text("id")
	}
	key := func() string { return root.newKey(object{}).path }
	at := func(path string) func() string { return func() string { return path } }
	asked := map[string]bool{}
	for _, test := range []struct {
		id, method string
		path       func() string
		tail       string
		body       func() any
		word       string // effective or usable; "": nobody is waited for
	}{
		{"createKey", "POST", at("/v1/keys"), "", func() any { return object{"name": "k"} }, "usable"},
		{"batchCreateKeys", "POST", at("/v1/keys/batch-create"), "", func() any { return object{"items": []object{{"name": "a"}, {"name": "b"}}} }, "usable"},
		{"importKeys", "POST", at("/v1/keys/import"), "", func() any {
			return object{"scheme": "sha256", "items": []object{{"name": "a", "digest": digest()}}}
		}, "usable"},
		{"updateKey", "PATCH", key, "", func() any { return object{"enabled": false} }, "effective"},
		{"deleteKey", "DELETE", key, "", nil, "effective"},
		{"revokeKey", "POST", key, "/revoke", nil, "effective"},
		{"revokeSelf", "POST", at("/v1/keys/revoke-self"), "", func() any { return object{"key": root.newKey(object{}).secret} }, "effective"},
		{"rotateKey", "POST", key, "/rotate", nil, "usable"},
		{"completeRotation", "POST", rotating, "/rotation/complete", nil, "effective"},
		{"cancelRotation", "POST", rotating, "/rotation/cancel", nil, "effective"},
		{"updateOrganization", "PATCH", organization, "", func() any { return object{"state": "suspended"} }, "effective"},
		{"deleteOrganization", "DELETE", organization, "", nil, "effective"},
		{"deleteProject", "DELETE", project, "", nil, "effective"},
		{"updateUser", "PATCH", user, "", func() any { return object{"state": "suspended"} }, "effective"},
		{"deleteUser", "DELETE", user, "", nil, "effective"},
		{"updateRole", "PATCH", role, "", func() any { return object{"permissions": []string{}} }, "effective"},
		{"deleteRole", "DELETE", role, "", nil, "effective"},
		{"createGateway", "POST", at("/v1/gateways"), "", func() any { n++; return gatewayBody(fmt.Sprintf("made %d", n)) }, "usable"},
		{"updateGateway", "PATCH", gateway, "", func() any { return object{"environment": "live"} }, "effective"},
		{"rotateGatewayToken", "POST", gateway, "/rotate-token", nil, "usable"},
		{"deleteGateway", "DELETE", gateway, "", nil, "effective"},
		{"updateIssuer", "PATCH", issuer, "", func() any { return object{"enabled": false} }, "effective"},
		{"deleteIssuer", "DELETE", issuer, "", nil, "effective"},
		{"rotateTokenKeys", "POST", at("/v1/tokens/keys/rotate"), "", nil, "effective"},

		{"updateProject", "PATCH", project, "", func() any { return object{"retrievable": true} }, "effective still"},
		{"activateKeyRingVersion", "POST", at("/v1/keyring/versions/1"), "/activate", nil, "effective still"},
		{"createOrganization", "POST", at("/v1/organizations"), "", func() any { return object{"name": "O"} }, ""},
		{"createProject", "POST", at("/v1/projects"), "", func() any { return object{"name": "P"} }, ""},
		{"createUser", "POST", at("/v1/users"), "", func() any { return object{"name": "U", "kind": "service"} }, ""},
		{"createRole", "POST", at("/v1/roles"), "", func() any { return object{"identifier": "made", "name": "R"} }, ""},
	} {
		asked[test.id] = true
		body := func() any {
			if test.body == nil {
				return nil
			}
			return test.body()
		}
		o.is()
		path, given := test.path(), body()
		o.asked()
		a := root.do(test.method, path+test.tail, given)
		word, still := strings.CutSuffix(test.word, " still")
		switch waits := o.asked(); {
		case a.Status > 299:
			t.Fatalf("%s: %d %s", test.id, a.Status, a.Text)
		case (word == "" || still) != (len(waits) == 0), len(waits) > 1 || len(waits) == 1 && waits[0] != authority.DefaultWait:
			t.Errorf("%s waited %v", test.id, waits)
		case word == "" && (a.at("effective") != nil || a.at("usable") != nil):
			t.Errorf("%s: %s", test.id, a.Text)
		case word != "" && (a.at(word) != "everywhere" || a.at("nodes") != nil || a.at("position").(float64) < 1):
			t.Errorf("%s, everywhere: %s", test.id, a.Text)
		}
		if word == "" {
			root.do(test.method, test.path()+test.tail+"?wait=1s", body()).refused(422, latchkey.CodeInvalid, "query:wait")
			continue
		}
		if still || test.id == "rotateTokenKeys" {
			continue // to do it again is another matter
		}
		o.is(store.Pending{Node: slow, Within: 1500*time.Millisecond + 1}, store.Pending{Node: slower, Within: 3 * time.Second})
		path, given = test.path(), body()
		o.asked()
		a = root.do(test.method, path+test.tail+"?wait=500ms", given)
		if a.Status > 299 || a.at(word) != "pending" || a.at("nodes", 0, "id") != slow.Native(latchkey.KindNode) || a.at("nodes", 0, "within_ms") != 1501.0 ||
			a.at("nodes", 1, "within_ms") != 3000.0 {
			t.Errorf("%s, pending: %d %s", test.id, a.Status, a.Text)
		}
		if waits := o.asked(); !slices.Equal(waits, []time.Duration{500 * time.Millisecond}) {
			t.Errorf("%s waited %v", test.id, waits)
		}
		o.is()
		for wait, rule := range map[string]string{"31s": "range", "-1s": "range", "soon": "format"} {
			root.do(test.method, test.path()+test.tail+"?wait="+wait, body()).breaks(422, latchkey.CodeInvalid, "query:wait", rule)
		}
	}
	for _, op := range h.api.Operations() {
		if op.Waits && !asked[op.ID] && op.ID != "retireKeyRingVersion" {
			t.Errorf("%s tells how far its change has come, and is not asked here", op.ID)
		}
	}
}

// What was so already may still be on its way: to revoke again tells how far the
// first revocation has come. So does a creation that is repeated.
func TestEffectOfWhatWasSo(t *testing.T) {
	t.Parallel()
	h, o := among(t)
	root := h.as(h.root)
	k := root.newKey(object{})
	first := root.do("POST", k.path+"/revoke", nil).must(200)
	root.do("POST", "/v1/projects", object{"name": "another change"}).must(201)
	o.is(store.Pending{Node: o.add(false), Within: time.Second})
	again := root.do("POST", k.path+"/revoke", object{"wait": "0s"}).must(200)
	if again.at("effective") != "pending" || again.at("position") != first.at("position") {
		t.Errorf("%s", again.Text)
	}
	self := root.do("POST", "/v1/keys/revoke-self", object{"key": k.secret}).must(200)
	if self.at("effective") != "pending" || self.at("position") != first.at("position") {
		t.Errorf("%s", self.Text)
	}
	named := root.again("a header of enough length")
	made := named.do("POST", "/v1/keys", object{"name": "k"}).must(201)
	if repeated := named.do("POST", "/v1/keys", object{"name": "k"}).must(201); repeated.at("usable") != "pending" || repeated.at("position") != made.at("position") {
		t.Errorf("%s", repeated.Text)
	}
	root.do("POST", k.path+"/revoke?wait=1s", object{"wait": "1s"}).breaks(422, latchkey.CodeInvalid, "/wait", "duplicate")
	root.do("POST", k.path+"/revoke", object{"wait": "31s"}).breaks(422, latchkey.CodeInvalid, "/wait", "range")
	if waits := o.asked(); !slices.Contains(waits, 0) {
		t.Errorf("waits %v", waits)
	}
}

// A deletion that revokes many keys waits once.
func TestDeletionWaitsOnce(t *testing.T) {
	t.Parallel()
	h, o := among(t)
	root := h.as(h.root)
	user := root.do("POST", "/v1/users", object{"name": "Robot", "kind": "service"}).must(201).text("id")
	for range 3 {
		root.newKey(object{"owner_id": user})
	}
	o.asked()
	root.do("DELETE", "/v1/users/"+user+"?revoke_keys=true&wait=3s", nil).must(200)
	if waits := o.asked(); !slices.Equal(waits, []time.Duration{3 * time.Second}) {
		t.Errorf("waits %v", waits)
	}
}

// Those who wait hold up nobody: not management, and beyond a bound for each
// organization not each other. What is not waited for is told as it is.
func TestWaitingIsInNobodysWay(t *testing.T) {
	t.Parallel()
	h, o := among(t)
	root := h.as(h.root)
	path := root.newKey(object{}).path
	o.is(store.Pending{Node: o.add(false), Within: time.Second})
	o.asked()
	o.mu.Lock()
	o.hold = make(chan struct{})
	o.mu.Unlock()
	const waiters = 200 // more than one organization may have waiting
	var all sync.WaitGroup
	answers := make(chan int, waiters)
	for range waiters {
		all.Go(func() { answers <- root.do("POST", path+"/revoke", object{"wait": "30s"}).Status })
	}
	for waiting, refused := 0, 0; waiting+refused < waiters; {
		o.mu.Lock()
		waiting, refused = 0, 0
		for _, w := range o.waits {
			if w == 0 {
				refused++
			} else {
				waiting++
			}
		}
		o.mu.Unlock()
		if waiting > 128 {
			t.Fatalf("%d wait", waiting)
		}
		time.Sleep(time.Millisecond)
	}
	root.do("GET", path, nil).must(200)
	if len(h.api.Managing) != 0 {
		t.Errorf("%d places for work are held", len(h.api.Managing))
	}
	close(o.hold)
	all.Wait()
	close(answers)
	for status := range answers {
		if status != http.StatusOK {
			t.Errorf("a waiter got %d", status)
		}
	}
}

// The operator sees the nodes and may strike one off the list; the word is an
// event.
func TestNodes(t *testing.T) {
	t.Parallel()
	h, o := among(t)
	root := h.as(h.root)
	self, dead := o.add(true), o.add(false)
	list := root.do("GET", "/v1/nodes", nil).must(200)
	list.holds([]any{"data", 1}, object{
		"id": dead.Native(latchkey.KindNode), "state": "serving", "applied": 7.0, "serve_for_ms": 3000.0, "keyring_versions": []any{1.0, 2.0}, "build": "v1", "self": false,
	})
	if list.at("data", 0, "self") != true || list.at("position") != float64(h.head()) {
		t.Errorf("%s", list.Text)
	}
	path := "/v1/nodes/" + dead.Native(latchkey.KindNode)
	root.do("DELETE", path, nil).must(200).holds(nil, object{"id": dead.Native(latchkey.KindNode)})
	if nodes, _ := o.List(t.Context()); len(nodes) != 1 {
		t.Errorf("%d nodes are left", len(nodes))
	}
	root.do("DELETE", path, nil).refused(404, latchkey.CodeNotFound)
	root.do("DELETE", "/v1/nodes/"+self.Native(latchkey.KindNode), nil).refused(409, latchkey.CodeConflict)
	events := root.do("GET", "/v1/events?type=node.forgotten&everywhere=true", nil).must(200)
	events.holds([]any{"data", 0, "object"}, object{"type": "node", "id": dead.Native(latchkey.KindNode)})
	if len(events.at("data").([]any)) != 1 {
		t.Errorf("%s", events.Text)
	}
	tenant := h.tenant("Tenant").with("owner") // of its own organization alone
	for _, c := range []caller{tenant, h.as("")} {
		for _, a := range []answer{c.do("GET", "/v1/nodes", nil), c.do("DELETE", "/v1/nodes/"+self.Native(latchkey.KindNode), nil)} {
			if a.Status != 403 && a.Status != 401 {
				t.Errorf("%d %s", a.Status, a.Text)
			}
		}
	}
}

// One process with a store of its own is one node.
func TestOneNode(t *testing.T) {
	t.Parallel()
	h := open(t)
	list := h.as(h.root).do("GET", "/v1/nodes", nil).must(200)
	if nodes := list.at("data").([]any); len(nodes) != 1 || list.at("data", 0, "self") != true || list.at("data", 0, "applied") != float64(h.head()) {
		t.Errorf("%s", list.Text)
	}
}
