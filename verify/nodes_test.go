package verify_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/store/postgres"
	"latchkey.dev/latchkey/store/postgres/postgrestest"
	"latchkey.dev/latchkey/verify"
)

// cluster is several nodes in one process, on one database.
type cluster struct {
	testing.TB

	ring     *keyring.Ring
	database string
	operator latchkey.ID
	nodes    []*member
}

// member is a node of a cluster.
type member struct {
	*cluster

	id        latchkey.ID
	cable     *postgrestest.Cable // its way to the database
	store     *postgres.Store
	verifier  *verify.Verifier
	spread    *verify.Nodes
	authority *authority.Authority
	call      *authority.Call
	log       *record
	stop      func() // ends Run
	end       func() // the same, leaves, and lets go of the store
}

// record is what a node logged.
type record struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text = append(r.text, p...)
	return len(p), nil
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return string(r.text)
}

func newCluster(t testing.TB, nodes int, staleness time.Duration) *cluster {
	t.Helper()
	c := &cluster{TB: t, database: postgrestest.Database(t)}
	var err error
	c.ring, err = keyring.Create(t.TempDir()+"/ring.json", rand.Reader, time.Now())
	c.must(err)
	for range nodes {
		c.join(staleness)
	}
	return c
}

func (c *cluster) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// join starts another node.
func (c *cluster) join(staleness time.Duration) *member {
	c.Helper()
	m := &member{cluster: c, cable: postgrestest.NewCable(c.TB, c.database), log: &record{}}
	var err error
	m.id, err = latchkey.NewID(time.Now(), rand.Reader)
	c.must(err)
	log := slog.New(slog.NewTextHandler(m.log, nil))
	m.store, err = postgres.Open(c.Context(), m.cable.URL, log)
	c.must(err)
	m.verifier, m.spread = verify.New(m.store, c.ring, time.Now, "", log), verify.NewNodes(m.store, m.id)
	m.authority = authority.New(authority.Config{
		Store: m.store, Ring: c.ring, Verifier: m.verifier, Clock: time.Now, Random: rand.Reader, Log: log, Spread: m.spread,
	})
	if c.operator.IsZero() {
		installation, _, err := m.authority.Bootstrap(c.Context(), authority.DefaultEmail)
		c.must(err)
		c.operator = installation.Operator
	}
	m.call = &authority.Call{Caller: authority.Socket(c.operator)}
	m.verifier.Place(verify.Place{ID: m.id, ServeFor: staleness, Build: "test", Restore: m.authority.RestoreRevocations})
	c.must(m.verifier.Fill(c.Context(), 0))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { m.verifier.Run(ctx) })
	m.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	m.end = sync.OnceFunc(func() {
		m.stop()
		m.verifier.Leave()
		_ = m.store.Close()
	})
	c.Cleanup(m.end)
	c.nodes = append(c.nodes, m)
	return m
}

// create makes a key and gives it when every node knows it.
func (m *member) create() (latchkey.ID, latchkey.Plaintext) {
	m.Helper()
	made, e, err := m.authority.CreateKey(m.Context(), m.call, authority.NewKey{Name: "a key", Scopes: []string{"docs:read"}})
	m.must(err)
	m.everywhere(e)
	return made.ID, made.Secret
}

// everywhere waits, and fails the test where the change does not come through.
func (m *member) everywhere(e authority.Effective) {
	m.Helper()
	if pending := m.spread.Await(m.Context(), e.Position, time.Now(), 20*time.Second); pending != nil {
		m.Fatalf("pending: %v\n%s", pending, m.logs())
	}
}

func (m *member) revoke(id latchkey.ID) authority.Effective {
	m.Helper()
	_, e, err := m.authority.RevokeKey(m.Context(), m.call, id, "")
	m.must(err)
	return e
}

func (m *member) verdict(key latchkey.Plaintext) latchkey.Code {
	return m.verifier.Verify(context.Background(), &verify.Request{Key: key}).Code
}

func (c *cluster) logs() (all string) {
	for i, n := range c.nodes {
		all += fmt.Sprintf("node %d:\n%s", i, n.log)
	}
	return all
}

// eventually waits for what others bring about.
func (c *cluster) eventually(what string, is func() bool) {
	c.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			c.Fatalf("it does not come about: %s\n%s", what, c.logs())
		}
	}
}

// What is answered everywhere holds on every node for the verification that is
// sent next, whichever node made the change.
func TestEverywhere(t *testing.T) {
	c := newCluster(t, 3, 60*time.Second)
	for round := range 12 {
		by := c.nodes[round%len(c.nodes)]
		id, key := by.create()
		for i, n := range c.nodes {
			if got := n.verdict(key); got != latchkey.CodeValid {
				t.Fatalf("round %d: created everywhere, and node %d says %s\n%s", round, i, got, c.logs())
			}
		}
		by = c.nodes[(round+1)%len(c.nodes)]
		by.everywhere(by.revoke(id))
		for i, n := range c.nodes {
			if got := n.verdict(key); got != latchkey.CodeRevoked {
				t.Fatalf("round %d: revoked everywhere, and node %d says %s\n%s", round, i, got, c.logs())
			}
		}
	}
	list, err := c.nodes[1].spread.List(t.Context())
	c.must(err)
	head, err := c.nodes[0].store.Head(t.Context())
	c.must(err)
	selves := 0
	for _, n := range list {
		if n.State != store.NodeServing || n.Applied != head || n.Renewal == 0 || n.ServeFor != 60*time.Second || n.Build != "test" || len(n.Versions) != 1 {
			t.Errorf("a node of the list is %+v, and the head %d", n, head)
		}
		if n.Self {
			selves++
		}
	}
	if len(list) != 3 || selves != 1 {
		t.Errorf("%d nodes, of which %d are the one that was asked", len(list), selves)
	}
}

// A node that is cut off answers until its lease ends and not longer; a change is
// pending for it until then, and effective everywhere after that.
func TestCutOff(t *testing.T) {
	c := newCluster(t, 3, time.Second)
	a, b := c.nodes[0], c.nodes[1]
	id, key := a.create()
	b.cable.Cut()
	e := a.revoke(id)
	committed := time.Now()
	pending := a.spread.Await(t.Context(), e.Position, committed, 50*time.Millisecond)
	if len(pending) != 1 || pending[0].Node != b.id || pending[0].Within <= 0 || pending[0].Within > 1060*time.Millisecond {
		t.Fatalf("pending: %v\n%s", pending, c.logs())
	}
	within := time.Now().Add(pending[0].Within)
	accepted := 0
	for time.Now().Before(within) {
		if got := b.verdict(key); got == latchkey.CodeValid {
			accepted++
		} else if got != latchkey.CodeVerifyUnavailable {
			t.Fatalf("the node that is cut off says %s", got)
		}
		time.Sleep(time.Millisecond)
	}
	for range 50 {
		if got := b.verdict(key); got != latchkey.CodeVerifyUnavailable {
			t.Fatalf("after its lease the node that is cut off says %s", got)
		}
		if got := c.nodes[2].verdict(key); got != latchkey.CodeRevoked {
			t.Fatalf("a node that is not cut off says %s", got)
		}
	}
	if accepted == 0 {
		t.Error("the node that was cut off accepted nothing while its lease ran")
	}
	if err := b.verifier.Ready(); !errors.Is(err, verify.ErrNotCurrent) {
		t.Errorf("the node that is cut off is ready: %v", err)
	}
	a.everywhere(e)
	b.cable.Mend()
	c.eventually("the node that was cut off answers again", func() bool { return b.verdict(key) == latchkey.CodeRevoked })
	c.must(b.verifier.Ready())
}
