//go:build linux

package campaign

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"latchkey.dev/latchkey/store/postgres/postgrestest"
)

// fleet is several nodes on one database.
type fleet struct {
	t      *testing.T
	base   *database
	nodes  []*server
	cables []*postgrestest.Cable // each node's way to the database, where that is to be cut
}

func newFleet(t *testing.T, nodes int, cut bool, flags ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, base: newDatabase(t)}
	for n := range nodes {
		at := f.base.url
		if cut {
			cable := postgrestest.NewCable(t, at)
			f.cables, at = append(f.cables, cable), cable.URL
		}
		s := &server{t: t, dir: folder(t), store: []string{"--database-url", at}}
		if n == 0 {
			s.install()
		} else {
			s.key, s.organization = f.nodes[0].key, f.nodes[0].organization
			s.takeRing(f.nodes[0])
		}
		s.store = append(s.store, flags...)
		s.start()
		t.Cleanup(s.kill)
		f.nodes = append(f.nodes, s)
	}
	return f
}

// The faults of histories. Each makes a node or the database fail, and mends it.
var faults = []struct {
	name   string
	forget bool // changes that were acknowledged may be lost
	happen func(f *fleet, node int)
}{
	{"kill -9", false, func(f *fleet, node int) {
		f.nodes[node].kill()
		f.nodes[node].start()
	}},
	{"the node is cut off", false, func(f *fleet, node int) {
		f.cables[node].Cut()
		time.Sleep(outage())
		f.cables[node].Mend()
	}},
	{"what listens is ended", false, func(f *fleet, _ int) {
		for range 5 {
			f.base.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND (query LIKE 'LISTEN%' OR application_name = 'latchkey node')`)
			time.Sleep(200 * time.Millisecond)
		}
	}},
	{"SIGSTOP", false, func(f *fleet, node int) {
		process := f.nodes[node].process.Process
		_ = process.Signal(syscall.SIGSTOP)
		time.Sleep(outage())
		_ = process.Signal(syscall.SIGCONT)
	}},
	{"the database is restarted", false, func(f *fleet, _ int) { f.base.fall() }},
	{"failover to a standby that lacks the last commits", true, func(f *fleet, _ int) { f.base.failOver(time.Second) }},
}

// longestAnswer is for how long a node of these histories answers without the
// database.
const longestAnswer = 2 * time.Second

// outage is longer than that, or shorter.
func outage() time.Duration {
	return longestAnswer/2 + rand.N(longestAnswer)
}

// TestNodes records histories with a fault in each: keys are made through one
// node, verified on all the time, and revoked through another. A verification
// that was sent after a revocation was effective everywhere, by the word of its
// answer, must not be accepted by any node.
func TestNodes(t *testing.T) {
	f := newFleet(t, 3, true, "--staleness", longestAnswer.String())
	total := map[string]int{}
	few := 3
	rounds(t, few, 200, func(n int) {
		fault := faults[n%len(faults)]
		h := newNodeHistory(f)
		h.forget = fault.forget
		h.run(func(node int) { fault.happen(f, node) })
		h.judge(fault.name)
		for what, n := range h.counts {
			total[what] += n
		}
		if fault.forget {
			total["failovers"]++
			total["with revocations made again"] += min(f.restored(), 1)
		}
	})
	fmt.Printf("%s: %v\n", t.Name(), total)
	tried := []string{"accepted", "refused", "everywhere"}
	if *longFlag {
		tried = append(tried, "pending", "failovers", "with revocations made again")
	}
	for _, what := range tried {
		if total[what] == 0 {
			t.Errorf("nothing was %s: this tried too little", what)
		}
	}
}

// restored is how many nodes have revoked again, since they started, what the
// database had lost.
func (f *fleet) restored() (n int) {
	for _, s := range f.nodes {
		if strings.Contains(s.log.String(), "the database forgot revocations") {
			n++
		}
	}
	return n
}

// nodeHistory is what a client saw of some keys.
type nodeHistory struct {
	*fleet

	forget bool
	began  time.Time

	mu     sync.Mutex
	ops    map[string][]porcupine.Operation // by key and node
	counts map[string]int
}

// What operations are, and what came of them.
type (
	attempt struct{ revoke bool }
	outcome struct{ accepted bool }
)

func newNodeHistory(f *fleet) *nodeHistory {
	return &nodeHistory{fleet: f, began: time.Now(), ops: map[string][]porcupine.Operation{}, counts: map[string]int{}}
}

func (h *nodeHistory) now() int64 { return int64(time.Since(h.began)) }

func (h *nodeHistory) count(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts[what]++
}

func (h *nodeHistory) add(key string, node int, client int, in attempt, call int64, out outcome, ret int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	name := fmt.Sprintf("%s@%d", key, node)
	h.ops[name] = append(h.ops[name], porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: ret})
}

// run lets keys live and die while the fault happens.
func (h *nodeHistory) run(fault func(node int)) {
	const keys = 6
	type key struct{ id, secret string }
	var made []key
	for _, s := range h.nodes { // after the fault of the history before
		s.ready()
	}
	for n := range keys {
		by := h.nodes[n%len(h.nodes)]
		a := by.must(by.call("POST", "/v1/keys?wait=10s", map[string]any{"name": "history"}))
		if a.text("usable") != "everywhere" {
			h.count("created pending")
		}
		made = append(made, key{a.text("key", "id"), a.text("secret")})
	}
	done := make(chan struct{})
	var asking, revoking, failing sync.WaitGroup
	for n, k := range made {
		for node := range h.nodes {
			asking.Go(func() { h.verify(done, k.id, k.secret, node, 1+n*len(h.nodes)+node) })
		}
	}
	victim := rand.IntN(len(h.nodes))
	failing.Go(func() {
		time.Sleep(rand.N(150 * time.Millisecond))
		fault(victim)
	})
	for _, k := range made {
		revoking.Go(func() {
			time.Sleep(rand.N(1500 * time.Millisecond))
			h.revoke(k.id, rand.IntN(len(h.nodes)))
		})
	}
	failing.Wait()
	revoking.Wait()
	for _, s := range h.nodes { // until all answer again
		s.ready()
	}
	time.Sleep(300 * time.Millisecond) // verifications after everything
	close(done)
	asking.Wait()
}

// verify presents a key to a node again and again.
func (h *nodeHistory) verify(done <-chan struct{}, id, secret string, node, client int) {
	pause := time.NewTicker(8 * time.Millisecond)
	defer pause.Stop()
	for {
		select {
		case <-done:
			return
		case <-pause.C:
		}
		s := h.nodes[node]
		call := h.now()
		a := s.call("POST", "/v1/keys/verify", map[string]any{"key": secret})
		ret := h.now()
		switch code := a.text("code"); {
		case a.Status == 200 && code == "valid":
			h.add(id, node, client, attempt{}, call, outcome{true}, ret)
			h.count("accepted")
		case a.Status == 200 && code == "revoked":
			h.add(id, node, client, attempt{}, call, outcome{}, ret)
			h.count("refused")
		case a.Status == 200 && code == "unavailable", a.open():
			h.count("unavailable")
		case h.forget && (a.Status == 401 || code == "unknown"):
			h.count("lost") // with what else the standby lacked
		default:
			h.t.Errorf("node %d says %v of a key that was made", node, a)
			return
		}
	}
}

// revoke revokes a key, and notes from when on it is refused everywhere.
func (h *nodeHistory) revoke(id string, node int) {
	call := h.now()
	a := h.nodes[node].call("POST", "/v1/keys/"+id+"/revoke?wait=500ms", map[string]any{})
	received := h.now()
	until := int64(math.MaxInt64) // it is not known whether it was made
	switch {
	case a.ok() && a.text("effective") == "everywhere":
		until = received
		h.count("everywhere")
	case a.ok() && a.text("effective") == "pending":
		nodes, _ := a.at("nodes").([]any)
		var longest float64
		for _, n := range nodes {
			entry, _ := n.(map[string]any)
			within, _ := entry["within_ms"].(float64)
			longest = max(longest, within)
		}
		if len(nodes) == 0 {
			h.t.Errorf("pending, and no node is named: %v", a.Body)
		}
		until = received + int64(longest*float64(time.Millisecond))
		h.count("pending")
	case a.open(), h.forget:
		h.count("revocation open")
	default:
		h.t.Errorf("a key is not revoked: %v", a)
	}
	for n := range h.nodes {
		h.add(id, n, 0, attempt{revoke: true}, call, outcome{}, until)
	}
}

// A key on a node is live, and then revoked. A verification may be decided at any
// moment between its request and its answer, one that is accepted at the moment of
// its request at the earliest; a revocation at any moment between its request and
// the time for which its answer vouches.
var keyOnNode = porcupine.Model{
	Init: func() any { return false },
	Step: func(state, input, output any) (bool, any) {
		revoked, _ := state.(bool)
		in, _ := input.(attempt)
		out, _ := output.(outcome)
		if in.revoke {
			return true, true
		}
		return out.accepted == !revoked, revoked
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v: %+v", input, output) },
}

func (h *nodeHistory) judge(fault string) {
	for name, ops := range h.ops {
		if !porcupine.CheckOperations(keyOnNode, ops) {
			h.t.Errorf("%s: what happened to key %s is impossible: %v", fault, name, h.wrong(ops))
		}
	}
	if len(h.ops) == 0 {
		h.t.Error("nothing happened to any key")
	}
}

// wrong names an acceptance after the end of the revocation, if that is what is
// wrong.
func (h *nodeHistory) wrong(ops []porcupine.Operation) string {
	for _, r := range ops {
		in, _ := r.Input.(attempt)
		if !in.revoke {
			continue
		}
		for _, v := range ops {
			out, _ := v.Output.(outcome)
			if out.accepted && v.Call > r.Return {
				return fmt.Sprintf("accepted at %v, %v after it was refused everywhere", time.Duration(v.Call), time.Duration(v.Call-r.Return))
			}
		}
	}
	return "a node refused the key before anybody revoked it, or accepted it after it had refused it"
}
