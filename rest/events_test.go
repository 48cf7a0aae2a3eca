package rest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/rest"
	"latchkey.dev/latchkey/store"
)

// history makes an event of every type there is.
func (h *house) history() {
	h.Helper()
	root := h.as(h.root)
	do := func(method, path string, body any) answer {
		h.Helper()
		a := root.do(method, path, body)
		if a.Status >= 300 {
			h.Fatalf("%s %s: %s", method, path, a.Text)
		}
		return a
	}
	organization := do("POST", "/v1/organizations", object{"name": "O"}).text("id")
	do("PATCH", "/v1/organizations/"+organization, object{"name": "P"})
	do("DELETE", "/v1/organizations/"+organization, nil)
	project := do("POST", "/v1/projects", object{"name": "P", "retrievable": true}).text("id")
	for path, body := range map[string]object{"/v1/users": {"name": "U", "kind": "service"}, "/v1/roles": {"identifier": "ro", "name": "R"}} {
		id := do("POST", path, body).text("id")
		do("PATCH", path+"/"+id, object{"name": "Other"})
		do("DELETE", path+"/"+id, nil)
	}
	gateway := "/v1/gateways/" + do("POST", "/v1/gateways", gatewayBody("G")).text("gateway", "id")
	do("PATCH", gateway, object{"name": "Other"})
	do("POST", gateway+"/rotate-token", nil)
	do("DELETE", gateway, nil)
	issuer := "/v1/issuers/" + do("POST", "/v1/issuers", issuerBody("I")).text("id")
	do("PATCH", issuer, object{"name": "Other"})
	do("DELETE", issuer, nil)
	k := root.newKey(object{"project_id": project, "retrievable": true})
	do("PATCH", k.path, object{"name": "Other"})
	do("POST", k.path+"/reveal", object{"reason": "lost"})
	do("POST", k.path+"/rotate", nil)
	do("POST", k.path+"/rotation/complete", nil)
	do("POST", k.path+"/rotate", nil)
	do("POST", k.path+"/rotation/cancel", nil)
	do("POST", k.path+"/revoke", nil)
	do("PATCH", "/v1/projects/"+project, object{"name": "Other"})
	do("DELETE", "/v1/projects/"+project, nil)
	do("POST", "/v1/keys/import", bodies["importKeys"])
	h.activateNext()
	do("GET", "/v1/keys", nil)
	h.flush() // the caller's own digest moves on
	do("POST", "/v1/keyring/versions/1/retire", object{"force": true})
	do("POST", "/v1/tokens/keys/rotate", nil) // the first ones
	do("POST", "/v1/tokens/keys/rotate", nil)
	do("POST", "/v1/tokens/keys/rotate", object{"now": true})
	h.mint(root.newKey(nil).id)
	token := h.exchange(h.root, wanted())
	if _, err := h.authority.RevokePresented(h.Context(), &authority.Call{}, latchkey.NewPlaintext(token), nil); err != nil {
		h.Fatal(err)
	}
	h.advance(2 * time.Hour)
	do("POST", "/v1/tokens/keys/rotate", nil)
	nodes, alone := &others{}, h.authority.Spread
	h.authority.Spread = nodes
	do("DELETE", "/v1/nodes/"+nodes.add(false).Native(latchkey.KindNode), nil)
	h.authority.Spread = alone
}

func TestEveryEventType(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.history()
	events := h.as(h.root).export("/v1/events?everywhere=true")
	seen := map[string]bool{}
	for i, e := range events {
		seen[e["type"].(string)] = true
		if e["position"] != float64(i+1) {
			t.Fatalf("event %d has position %v", i+1, e["position"])
		}
		actor := e["actor"].(map[string]any)
		if actor["type"] != "user" || actor["id"] != h.operator.Owner.Native(latchkey.KindUser) {
			t.Errorf("%s by %v", e["type"], actor)
		}
		installation := strings.HasPrefix(e["type"].(string), "installation.") || strings.HasPrefix(e["type"].(string), "token_key.") || strings.HasPrefix(e["type"].(string), "keyring.") && e["object"] == nil
		node := strings.HasPrefix(e["type"].(string), "node.")
		if (installation || node) != (e["organization_id"] == nil) || installation != (e["object"] == nil) {
			t.Errorf("whose is it? %v", e)
		}
	}
	for _, kind := range latchkey.EventTypes() {
		if !seen[string(kind)] {
			t.Errorf("no event of type %s", kind)
		}
	}
}

// export reads the record as lines.
func (c caller) export(path string) []object {
	c.h.Helper()
	a := c.with("Accept", "application/x-ndjson").do("GET", path, nil).must(200)
	if a.Header.Get("Content-Type") != "application/x-ndjson" {
		c.h.Fatalf("content type %s", a.Header.Get("Content-Type"))
	}
	var events []object
	for line := range strings.Lines(a.Text) {
		var e object
		if err := json.Unmarshal([]byte(line), &e); err != nil || !strings.HasSuffix(line, "\n") {
			c.h.Fatalf("line %q: %v", line, err)
		}
		events = append(events, e)
	}
	return events
}

func TestEventPages(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	k := root.newKey(object{})
	root.do("POST", k.path+"/revoke", nil).must(200)
	for i := range 30 {
		root.do("POST", "/v1/projects", object{"name": fmt.Sprint("P", i)}).must(201)
	}
	other := root.in(root.do("POST", "/v1/organizations", object{"name": "O"}).must(201).text("id"))
	theirs := other.newKey(object{})
	walk := func(as caller, filter string, size int) []any {
		var all []any
		for after := "0"; ; {
			a := as.do("GET", fmt.Sprintf("/v1/events?limit=%d&after=%s%s", size, after, filter), nil).must(200)
			all = append(all, a.at("data").([]any)...)
			if after = a.text("next_cursor"); after == "" {
				return all
			}
		}
	}
	mine := walk(root, "", 100)
	everything := walk(root, "&everywhere=true", 100)
	count := func(keep func(e map[string]any) bool) (n int) {
		for _, e := range everything {
			if keep(e.(map[string]any)) {
				n++
			}
		}
		return n
	}
	org := h.operator.Operator.Native(latchkey.KindOrganization)
	if want := count(func(e map[string]any) bool { return e["organization_id"] == org }); len(mine) != want || want < 33 || len(everything) != int(h.head()) {
		t.Errorf("%d of mine, want %d; %d of all, want %d", len(mine), want, len(everything), h.head())
	}
	for _, size := range []int{1, 7, 33} {
		if got := walk(root, "", size); !reflect.DeepEqual(got, mine) {
			t.Errorf("in pages of %d: %d events", size, len(got))
		}
	}
	if a := root.do("GET", "/v1/events", nil).must(200); len(a.at("data").([]any)) != 25 || a.text("next_cursor") == "" {
		t.Errorf("without a limit: %d", len(a.at("data").([]any)))
	}
	if got := walk(root, "&type=project.created", 10); len(got) != 30 {
		t.Errorf("%d projects were made", len(got))
	}
	if got := walk(root, "&object="+k.id, 10); len(got) != 2 {
		t.Errorf("%d events of the key", len(got))
	}
	if got := walk(root, "&type=key.revoked&object="+k.id, 10); len(got) != 1 {
		t.Errorf("%d revocations of the key", len(got))
	}
	if got := walk(root, "&object="+theirs.id, 10); len(got) != 0 {
		t.Errorf("another organization's: %v", got)
	}
	if got := walk(other, "", 10); len(got) != 2 {
		t.Errorf("the other organization has %d events", len(got))
	}
	last := strconv.FormatInt(h.head(), 10)
	if a := root.do("GET", "/v1/events?after="+last, nil).must(200); len(a.at("data").([]any)) != 0 || a.at("next_cursor") != nil {
		t.Errorf("after the end: %s", a.Text)
	}
	tenant := h.as(other.newKey(object{"role": "owner", "reach": "organization"}).secret)
	tenant.do("GET", "/v1/events", nil).must(200)
	tenant.do("GET", "/v1/events?everywhere=true", nil).refused(403, latchkey.CodeForbidden)
	tenant.with("Accept", "text/event-stream").do("GET", "/v1/events?everywhere=true", nil).refused(403, latchkey.CodeForbidden)
	tenant.with("Accept", "application/x-ndjson").do("GET", "/v1/events?everywhere=true", nil).refused(403, latchkey.CodeForbidden)
}

func TestExportIsWhole(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	root.do("POST", "/v1/keys/batch-create", object{"items": list(250, func(int) object { return object{"name": "a"} })}).must(201)
	all := root.export("/v1/events?everywhere=true")
	if len(all) != int(h.head()) {
		t.Fatalf("%d events of %d", len(all), h.head())
	}
	for i, e := range all {
		if e["position"] != float64(i+1) {
			t.Fatalf("line %d is position %v", i, e["position"])
		}
	}
	if got := root.export("/v1/events?everywhere=true&after=100"); len(got) != len(all)-100 || got[0]["position"] != 101.0 {
		t.Errorf("after 100: %d", len(got))
	}
	if got := root.export("/v1/events?type=organization.created"); len(got) != 1 {
		t.Errorf("filtered: %d", len(got))
	}
	if got := root.export("/v1/events?after=100000"); len(got) != 0 {
		t.Errorf("after the end: %d", len(got))
	}
	// What is one line is what the list has.
	listed := root.do("GET", "/v1/events?everywhere=true&limit=100", nil).must(200).at("data").([]any)
	for i := range listed {
		if !reflect.DeepEqual(listed[i], any(all[i])) {
			t.Errorf("listed %v, exported %v", listed[i], all[i])
		}
	}
}

// observed is a store that says when the record was read.
type observed struct {
	store.Store
	read atomic.Pointer[func()] // after each reading
}

func (o *observed) Events(ctx context.Context, q store.EventQuery) ([]latchkey.Event, error) {
	events, err := o.Store.Events(ctx, q)
	if read := o.read.Load(); read != nil {
		(*read)()
	}
	return events, err
}

// openObserved opens a house whose API reads the record through an observer.
func openObserved(t *testing.T, adjust ...func(*rest.Config)) (*house, *observed) {
	t.Helper()
	o := &observed{}
	h := open(t, append(adjust, func(c *rest.Config) {
		config := c.Authority.Config
		o.Store = config.Store
		config.Store = o
		c.Authority = authority.New(config)
	})...)
	return h, o
}

// An export whose reader loses its right on the way breaks off: what is there
// must not look like all there is.
func TestExportThatBreaksOff(t *testing.T) {
	t.Parallel()
	h, o := openObserved(t)
	root := h.as(h.root)
	root.do("POST", "/v1/keys/batch-create", object{"items": list(250, func(int) object { return object{"name": "a"} })}).must(201)
	reader := root.newKey(object{"role": "owner", "reach": "organization"})
	readings := 0
	read := func() {
		if readings++; readings == 2 {
			root.do("POST", reader.path+"/revoke", nil)
		}
	}
	o.read.Store(&read)
	r, err := http.NewRequestWithContext(t.Context(), "GET", h.server.URL+"/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+reader.secret)
	r.Header.Set("Accept", "application/x-ndjson")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil {
		t.Fatalf("%d bytes look like a whole export", len(text))
	}
	if lines := strings.Count(string(text), "\n"); lines < 100 || lines >= 250 {
		t.Errorf("%d lines came before", lines)
	}
	h.logged(res.Header.Get("X-Request-Id"))
}

// follower reads a stream of events.
type follower struct {
	*house
	res    *http.Response
	lines  *bufio.Reader
	cancel context.CancelFunc
}

// follow opens a stream.
func (c caller) follow(path string) *follower {
	c.h.Helper()
	ctx, cancel := context.WithCancel(c.h.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", c.url+path, nil)
	if err != nil {
		c.h.Fatal(err)
	}
	r.Header = c.header.Clone()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Header.Set("Accept", "text/event-stream")
	if c.key != "" {
		r.Header.Set("Authorization", "Bearer "+c.key)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		c.h.Fatal(err)
	}
	f := &follower{c.h, res, bufio.NewReader(res.Body), cancel}
	c.h.Cleanup(f.hangUp)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("Cache-Control") != "no-store" {
		c.h.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	return f
}

func (f *follower) hangUp() {
	f.cancel()
	_ = f.res.Body.Close()
}

// next is the next event; nil at the end of the stream.
func (f *follower) next() object {
	f.Helper()
	fields := map[string]string{}
	for {
		line, err := f.lines.ReadString('\n')
		if err != nil {
			if err != io.EOF {
				f.Fatalf("the stream broke: %v", err)
			}
			return nil
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" && fields["data"] != "" {
			break
		}
		if name, value, ok := strings.Cut(line, ": "); ok && name != "" {
			fields[name] = value
		}
	}
	var e object
	if err := json.Unmarshal([]byte(fields["data"]), &e); err != nil {
		f.Fatal(err)
	}
	if fields["id"] != fmt.Sprint(e["position"]) || fields["event"] != e["type"] {
		f.Errorf("%v", fields)
	}
	return e
}

// sees fails the test unless these are the types of the next events.
func (f *follower) sees(types ...string) {
	f.Helper()
	for _, want := range types {
		if e := f.next(); e["type"] != want {
			f.Fatalf("%v came, want %s", e, want)
		}
	}
}

// ends fails the test unless the stream ends without another event.
func (f *follower) ends() {
	f.Helper()
	if e := f.next(); e != nil {
		f.Fatalf("it goes on: %v", e)
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	k := root.newKey(object{})
	from := fmt.Sprint(h.head())
	all, one, kind := root.follow("/v1/events?after="+from), root.follow("/v1/events?object="+k.id), root.follow("/v1/events?type=key.revoked&everywhere=true")
	resumed := root.with("Last-Event-ID", from).follow("/v1/events?after=0")
	socket := h.operatorSocket().follow("/v1/events?after=" + from)
	one.sees("key.created")
	root.newKey(object{})
	root.do("POST", "/v1/projects", object{"name": "P"}).must(201)
	root.do("PATCH", k.path, object{"name": "Other"}).must(200)
	root.do("POST", k.path+"/revoke", nil).must(200)
	for _, f := range []*follower{all, resumed, socket} {
		f.sees("key.created", "project.created", "key.updated", "key.revoked")
	}
	one.sees("key.updated", "key.revoked")
	kind.sees("key.revoked")
	// What is followed is what is listed.
	listed := root.do("GET", "/v1/events?after="+from, nil).must(200).at("data").([]any)
	again := root.follow("/v1/events?after=" + from)
	for i := range listed {
		if e := again.next(); !reflect.DeepEqual(any(e), listed[i]) {
			t.Errorf("listed %v, followed %v", listed[i], e)
		}
	}
	root.do("POST", "/v1/keys/batch-create", object{"items": list(250, func(int) object { return object{"name": "a"} })}).must(201)
	all.sees(slices.Repeat([]string{"key.created"}, 250)...)
	for header, rule := range map[string]string{"x": "format", "1.5": "format", "99999999999999999999": "format"} {
		root.with("Last-Event-ID", header).with("Accept", "text/event-stream").do("GET", "/v1/events", nil).breaks(422, latchkey.CodeInvalid, "header:Last-Event-ID", rule)
	}
	h.as("").with("Accept", "text/event-stream").do("GET", "/v1/events", nil).refused(401, latchkey.CodeUnauthenticated)
}

// A stream does not outlive the right to it.
func TestFollowingEnds(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	user := root.do("POST", "/v1/users", object{"name": "U", "kind": "service", "roles": []object{{"role": "owner"}}}).must(201).text("id")
	for name, end := range map[string]func(k made){
		"revoked":  func(k made) { root.do("POST", k.path+"/revoke", nil).must(200) },
		"disabled": func(k made) { root.do("PATCH", k.path, object{"enabled": false}).must(200) },
		"restricted": func(k made) {
			root.do("PATCH", k.path, object{"restrictions": object{"addresses": []string{"192.0.2.1"}}}).must(200)
		},
		"rotated":      func(k made) { root.do("POST", k.path+"/rotate", object{"overlap": "0s"}).must(200) },
		"another role": func(k made) { root.do("PATCH", k.path, object{"role": "reader"}).must(200) },
		"suspended":    func(k made) { root.do("PATCH", "/v1/users/"+user, object{"state": "suspended"}).must(200) },
		"expired": func(k made) {
			root.do("PATCH", k.path, object{"expires_at": h.now().Add(-time.Second).Format(time.RFC3339Nano)}).must(200)
		},
	} {
		h.run(name, func() {
			k := root.newKey(object{"role": "owner", "reach": "organization", "owner_id": user})
			f := h.as(k.secret).follow("/v1/events?after=" + fmt.Sprint(h.head()))
			root.do("POST", "/v1/projects", object{"name": name}).must(201)
			f.sees("project.created")
			end(k)
			f.ends()
			root.do("PATCH", "/v1/users/"+user, object{"state": "active"}).must(200)
		})
	}
	h.run("acting elsewhere", func() {
		k := root.newKey(object{"role": "admin", "reach": "organization"})
		organization := root.do("POST", "/v1/organizations", object{"name": "O"}).must(201).text("id")
		f := h.as(k.secret).in(organization).follow("/v1/events")
		f.sees("organization.created")
		root.in(organization).newKey(object{})
		f.sees("key.created")
		root.do("PATCH", k.path, object{"role": nil, "scopes": []string{"event:read"}}).must(200) // no operator any more
		f.ends()
	})
}

func TestFollowingEndsWithTheServer(t *testing.T) {
	t.Parallel()
	stopping := make(chan struct{})
	h := open(t, func(c *rest.Config) { c.Stopping = stopping })
	f, socket := h.as(h.root).follow("/v1/events?type=key.created"), h.operatorSocket().follow("/v1/events?type=key.created")
	f.sees("key.created")
	socket.sees("key.created")
	close(stopping)
	f.ends()
	socket.ends()
}

// What commits between a reading and the wait for the next one is not missed.
func TestFollowerMissesNothing(t *testing.T) {
	t.Parallel()
	h, o := openObserved(t)
	root := h.as(h.root)
	readings := 0
	read := func() {
		if readings++; readings <= 5 {
			if _, _, err := h.authority.CreateProject(context.Background(), &authority.Call{Caller: authority.Socket(h.operator.Operator)}, authority.NewProject{Name: fmt.Sprint("P", readings)}); err != nil {
				t.Error(err)
			}
		}
	}
	o.read.Store(&read)
	f := root.follow("/v1/events?type=project.created")
	began := time.Now()
	f.sees("project.created", "project.created", "project.created", "project.created", "project.created")
	if beat := 15 * time.Second; time.Since(began) > 4*beat {
		t.Errorf("five events took %v: a beat each", time.Since(began))
	}
}

// Followers are in the way of nobody else's work, and there is a bound on them.
func TestFollowersAreBounded(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	followers := list(256, func(int) *follower { return root.follow("/v1/events?after=1000000") })
	root.newKey(object{})
	root.verify(h.root, nil)
	for _, accept := range []string{"text/event-stream", "application/x-ndjson"} {
		root.with("Accept", accept).do("GET", "/v1/events", nil).refused(503, latchkey.CodeBusy)
	}
	root.do("GET", "/v1/events", nil).must(200)
	followers[0].hangUp()
	h.eventually("a place is free", func() bool {
		return root.with("Accept", "application/x-ndjson").do("GET", "/v1/events", nil).Status == 200
	})
}
