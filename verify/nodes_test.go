package verify_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
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
		c.join(staleness, time.Now)
	}
	return c
}

func (c *cluster) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// join starts another node, with a clock of its own.
func (c *cluster) join(staleness time.Duration, clock func() time.Time) *member {
	c.Helper()
	m := &member{cluster: c, cable: postgrestest.NewCable(c.TB, c.database), log: &record{}}
	var err error
	m.id, err = latchkey.NewID(time.Now(), rand.Reader)
	c.must(err)
	log := slog.New(slog.NewTextHandler(m.log, nil))
	m.store, err = postgres.Open(c.Context(), m.cable.URL, log)
	c.must(err)
	m.verifier, m.spread = verify.New(m.store, c.ring, clock, "", log), verify.NewNodes(m.store, m.id)
	m.authority = authority.New(authority.Config{
		Store: m.store, Ring: c.ring, Verifier: m.verifier, Clock: time.Now, Random: rand.Reader, Log: log, Spread: m.spread,
	})
	if c.operator.IsZero() {
		installation, _, err := m.authority.Bootstrap(c.Context(), authority.DefaultEmail)
		c.must(err)
		c.operator = installation.Operator
	}
	m.call = &authority.Call{Caller: authority.Socket(c.operator)}
	m.verifier.Place(verify.Place{ID: m.id, ServeFor: staleness, Build: "test", Restore: m.authority.Restore})
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
// pending for it until then.
func TestCutOff(t *testing.T) {
	const staleness = 30 * time.Second
	c := newCluster(t, 2, staleness)
	var ahead atomic.Int64
	b := c.join(staleness, func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })
	a := c.nodes[0]
	id, key := a.create()
	b.cable.Cut()
	e := a.revoke(id)
	pending := a.spread.Await(t.Context(), e.Position, time.Now(), 50*time.Millisecond)
	if len(pending) != 1 || pending[0].Node != b.id || pending[0].Within <= 0 || pending[0].Within > staleness+350*time.Millisecond {
		t.Fatalf("pending: %v\n%s", pending, c.logs())
	}
	if got := b.verdict(key); got != latchkey.CodeValid {
		t.Errorf("while its lease runs the node that is cut off says %s", got)
	}
	ahead.Store(int64(staleness))
	for range 50 {
		if got := b.verdict(key); got != latchkey.CodeVerifyUnavailable {
			t.Fatalf("after its lease the node that is cut off says %s", got)
		}
		if got := c.nodes[1].verdict(key); got != latchkey.CodeRevoked {
			t.Fatalf("a node that is not cut off says %s", got)
		}
	}
	if err := b.verifier.Ready(); !errors.Is(err, verify.ErrNotCurrent) {
		t.Errorf("the node that is cut off is ready: %v", err)
	}
	ahead.Store(0)
	b.cable.Mend()
	a.everywhere(e)
	c.eventually("the node that was cut off answers again", func() bool { return b.verdict(key) == latchkey.CodeRevoked })
	c.must(b.verifier.Ready())
}

// A node that stands still with its connections open is waited for until it cannot
// answer any more, and what it missed it has when it goes on.
func TestStandsStill(t *testing.T) {
	c := newCluster(t, 2, time.Second)
	a, b := c.nodes[0], c.nodes[1]
	id, key := a.create()
	b.cable.Hold()
	a.everywhere(a.revoke(id)) // by time
	if got := b.verdict(key); got == latchkey.CodeValid {
		t.Error("it still accepts the key")
	}
	b.cable.Flow()
	c.eventually("it goes on", func() bool { return b.verdict(key) == latchkey.CodeRevoked })
}

// A node that reads two rotations at once, of which the first leaves nothing of
// what it knew, forgets the secrets that went as others do.
func TestRotatedTwice(t *testing.T) {
	c := newCluster(t, 2, 30*time.Second)
	a, b := c.nodes[0], c.nodes[1]
	id, first := a.create()
	b.cable.Hold()
	second, _, err := a.authority.RotateKey(t.Context(), a.call, id, 0)
	c.must(err)
	third, e, err := a.authority.RotateKey(t.Context(), a.call, id, 0)
	c.must(err)
	b.cable.Flow()
	a.everywhere(e)
	for i, n := range c.nodes {
		for old, key := range []latchkey.Plaintext{first, second.Secret} {
			if got := n.verdict(key); got == latchkey.CodeValid {
				t.Errorf("node %d accepts secret %d of a key that has the third", i, old+1)
			}
		}
		if got := n.verdict(third.Secret); got != latchkey.CodeValid {
			t.Errorf("node %d says %s of the present secret", i, got)
		}
	}
	a.everywhere(a.revoke(id))
	for i, n := range c.nodes {
		for number, key := range []latchkey.Plaintext{first, second.Secret, third.Secret} {
			if got := n.verdict(key); got == latchkey.CodeValid {
				t.Errorf("node %d accepts secret %d of a revoked key", i, number+1)
			}
		}
	}
}

// Where the connection that hears of changes is ended by the server, changes come
// by reading, and it is made anew.
func TestHearsNothing(t *testing.T) {
	c := newCluster(t, 2, 5*time.Second)
	a, b := c.nodes[0], c.nodes[1]
	for range 3 {
		id, key := a.create()
		postgrestest.Exec(t, c.database, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND (query LIKE 'LISTEN%' OR application_name = 'latchkey node')`)
		a.everywhere(a.revoke(id))
		if got := b.verdict(key); got != latchkey.CodeRevoked {
			t.Fatalf("verdict %s\n%s", got, c.logs())
		}
	}
}

// Keys expire by the database's clock, and a node whose own is far from it should
// not be asked.
func TestClocks(t *testing.T) {
	c := newCluster(t, 1, 5*time.Second)
	ahead := c.join(5*time.Second, func() time.Time { return time.Now().Add(time.Hour) })
	behind := c.join(5*time.Second, func() time.Time { return time.Now().Add(-time.Hour) })
	made, e, err := c.nodes[0].authority.CreateKey(t.Context(), c.nodes[0].call, authority.NewKey{Name: "short", ExpiresAt: time.Now().Add(1500 * time.Millisecond)})
	c.must(err)
	c.nodes[0].everywhere(e)
	for i, n := range c.nodes {
		if got := n.verdict(made.Secret); got != latchkey.CodeValid {
			t.Errorf("node %d says %s before the key expires\n%s", i, got, c.logs())
		}
	}
	time.Sleep(time.Until(made.ExpiresAt) + 20*time.Millisecond)
	for i, n := range c.nodes {
		if got := n.verdict(made.Secret); got != latchkey.CodeExpired {
			t.Errorf("node %d says %s after the key expired\n%s", i, got, c.logs())
		}
	}
	if ahead.verifier.Ready() == nil || behind.verifier.Ready() == nil {
		t.Error("a node whose clock is an hour wrong is ready")
	}
	c.must(c.nodes[0].verifier.Ready())
}

// A node that leaves is waited for no longer; one that died is struck off when it
// has run out; one that was forgotten and lives joins again.
func TestGone(t *testing.T) {
	c := newCluster(t, 4, time.Second)
	a, leaves, dies, lives := c.nodes[0], c.nodes[1], c.nodes[2], c.nodes[3]
	id, key := a.create()
	leaves.end()
	if got := leaves.verdict(key); got != latchkey.CodeVerifyUnavailable {
		t.Errorf("a node that left says %s", got)
	}
	list, err := a.spread.List(t.Context())
	c.must(err)
	if slices.ContainsFunc(list, func(n store.Node) bool { return n.ID == leaves.id }) {
		t.Error("a node that left is on the list")
	}
	a.everywhere(a.revoke(id))
	dies.cable.Cut()
	dies.stop()
	c.eventually("a dead node is struck off", func() bool {
		list, err := a.spread.List(t.Context())
		c.must(err)
		return len(list) == 2
	})
	c.must(a.spread.Forget(t.Context(), lives.id))
	c.eventually("a node that was forgotten joins again", func() bool {
		list, err := a.spread.List(t.Context())
		c.must(err)
		return len(list) == 2 && list[0].State == store.NodeServing && list[1].State == store.NodeServing
	})
	id, key = lives.create()
	a.everywhere(a.revoke(id))
	if got := lives.verdict(key); got != latchkey.CodeRevoked {
		t.Errorf("verdict %s\n%s", got, c.logs())
	}
	if err := a.spread.Forget(t.Context(), dies.id); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a node that is not there is forgotten: %v", err)
	}
}

// A node that meets what only a newer program understands answers nothing more.
func TestNewer(t *testing.T) {
	for name, statement := range map[string]string{
		"a type of events": `INSERT INTO events (position, id, type, at, actor, object_kind, changes, request_id)
			SELECT max(position) + 1, '\x000000000000000000000001', 'key.frozen', 0, '', '', '{}', '' FROM events`,
		"an event": `INSERT INTO events (position, id, type, at, actor, object_kind, changes, request_id, least)
			SELECT max(position) + 1, '\x000000000000000000000001', 'key.updated', 0, '', '', '{}', '', 2 FROM events`,
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 2, 2*time.Second)
			_, key := c.nodes[0].create()
			postgrestest.Exec(t, c.database, statement)
			for _, n := range c.nodes {
				c.eventually("it answers nothing", func() bool { return n.verdict(key) == latchkey.CodeVerifyUnavailable && n.verifier.Ready() != nil })
			}
			c.eventually("nobody waits for it", func() bool {
				list, err := c.nodes[0].spread.List(t.Context())
				c.must(err)
				return len(list) == 0
			})
		})
	}
}

// After a failover to a database that lacks the last commits, what nodes knew to
// be revoked is revoked again and never accepted; what was lost otherwise is as
// the database says.
func TestFailover(t *testing.T) {
	c := newCluster(t, 2, 5*time.Second)
	a, b := c.nodes[0], c.nodes[1]
	id, key := a.create()
	turned, other := b.create()
	made, e, err := b.authority.RotateKey(t.Context(), b.call, turned, time.Hour)
	c.must(err)
	b.everywhere(e)
	old := other // which the rotation leaves behind
	other = made.Secret

	// The standby is a copy from now, under the same name later.
	c.disconnect()
	base, name := postgrestest.Server(t), c.name()
	postgrestest.Exec(t, base, `CREATE DATABASE `+name+`_standby TEMPLATE `+name)
	t.Cleanup(func() { postgrestest.Exec(t, base, `DROP DATABASE IF EXISTS `+name+`_primary WITH (FORCE)`) })
	c.connect()
	c.eventually("the nodes are back", func() bool {
		back := true
		for range 10 { // some connections of the pool are dead
			back = back && a.store.Ping(t.Context()) == nil && b.store.Ping(t.Context()) == nil
		}
		return back && a.verifier.Ready() == nil && b.verifier.Ready() == nil
	})

	a.everywhere(a.revoke(id))
	_, e, err = a.authority.CompleteRotation(t.Context(), a.call, turned)
	c.must(err)
	a.everywhere(e)
	_, lost := b.create()
	c.disconnect()
	postgrestest.Exec(t, base, `ALTER DATABASE `+name+` RENAME TO `+name+`_primary`)
	postgrestest.Exec(t, base, `ALTER DATABASE `+name+`_standby RENAME TO `+name)
	c.connect()

	accepted := make(chan int, 1)
	ctx, done := context.WithCancel(t.Context())
	go func() {
		n := 0
		for ctx.Err() == nil {
			for _, node := range c.nodes {
				if node.verdict(key) == latchkey.CodeValid || node.verdict(old) == latchkey.CodeValid {
					n++
				}
			}
			time.Sleep(time.Millisecond)
		}
		accepted <- n
	}()
	c.eventually("both nodes follow the other database", func() bool {
		return a.verdict(lost) == latchkey.CodeUnknown && b.verdict(lost) == latchkey.CodeUnknown &&
			a.verdict(key) == latchkey.CodeRevoked && b.verdict(key) == latchkey.CodeRevoked &&
			a.verdict(other) == latchkey.CodeValid && b.verdict(other) == latchkey.CodeValid &&
			a.verdict(old) == latchkey.CodeExpired && b.verdict(old) == latchkey.CodeExpired
	})
	c.eventually("the store is back", func() bool {
		back := true
		for range 10 {
			back = back && a.store.Ping(t.Context()) == nil && b.store.Ping(t.Context()) == nil
		}
		return back
	})
	_, again := b.create()
	if got := a.verdict(again); got != latchkey.CodeValid {
		t.Errorf("a key of the other database: %s", got)
	}
	done()
	if n := <-accepted; n > 0 {
		t.Errorf("%d times a key was accepted that the node knew to be revoked", n)
	}
	h, err := a.store.Key(t.Context(), id)
	c.must(err)
	if h.Key.RevokedReason != authority.RestoredRevocation {
		t.Errorf("the reason is %q", h.Key.RevokedReason)
	}
}

// name is that of the database.
func (c *cluster) name() string {
	at, err := url.Parse(c.database)
	c.must(err)
	return at.Path[1:]
}

// disconnect cuts every node off, and waits until the server knows it.
func (c *cluster) disconnect() {
	for _, n := range c.nodes {
		n.cable.Cut()
	}
	postgrestest.Exec(c.TB, postgrestest.Server(c.TB), `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1`, c.name())
}

func (c *cluster) connect() {
	for _, n := range c.nodes {
		n.cable.Mend()
	}
}
