package postgres

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// build is what this program understands: it applies no event and no policy that
// needs more. It rises when something new must not be overlooked.
const build = 1

// member implements store.Member. What it reads, it reads on the connection on
// which it renews and acknowledges: nothing read from one server is told to
// another without that being seen. What this node committed itself it may have from
// its writer (own); whether the server knows it, acknowledging tells.
type member struct {
	config *pgx.ConnConfig
	node   store.Node
	news   *news
	own    *own
	said   func(payload string) // to those of this process who wait for nodes
	conn   *pgx.Conn
	opened int    // connections so far
	heard  uint64 // of the news
	head   int64  // as last read of the feed
}

// Member implements store.Shared.
func (s *Store) Member(node store.Node) store.Member {
	config := s.config.Copy()
	config.RuntimeParams["application_name"] = memberName
	config.RuntimeParams["lock_timeout"] = lockPatience
	s.own.serves(node.ID)
	return &member{config: config, node: node, news: &s.news, own: &s.own, said: s.heard.hear}
}

// memberName is what the server shows of such a connection.
const memberName = "latchkey node"

// patience is how long a call may take: no longer than the lease can use it.
func (m *member) patience() time.Duration {
	return min(max(m.node.ServeFor/2, 500*time.Millisecond), connectTimeout)
}

// send runs the statements in one message.
func (m *member) send(ctx context.Context, g *gathering) error {
	ctx, cancel := context.WithTimeout(ctx, m.patience())
	defer cancel()
	if err := m.open(ctx); err != nil {
		return fault(err)
	}
	err := fault(m.conn.SendBatch(ctx, &g.Batch).Close())
	if err != nil && !m.conn.IsClosed() && m.conn.PgConn().TxStatus() != 'I' {
		m.Close() // nothing must go on in a transaction that failed
	}
	return err
}

func (m *member) open(ctx context.Context) error {
	if m.conn != nil && !m.conn.IsClosed() {
		return nil
	}
	conn, err := pgx.ConnectConfig(ctx, m.config)
	if err != nil {
		return err
	}
	m.conn = conn
	m.opened++
	m.own.forget()
	return nil
}

// Close implements store.Member.
func (m *member) Close() {
	if m.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = m.conn.Close(ctx) // what was acknowledged was committed
}

// Join implements store.Member.
func (m *member) Join(ctx context.Context, dead []latchkey.ID) (at store.Mark, err error) {
	m.own.forget()
	var g gathering
	n := &m.node
	g.Queue(`BEGIN`)
	g.Queue(`DELETE FROM nodes WHERE id = ANY ($1::bytea[])`, idents(dead))
	g.Queue(`INSERT INTO nodes AS n (id, state, serve_for_ms, applied, renewal, keyring_versions, build) VALUES ($1, 'joining', $2, 0, 1, $3, $4)
		ON CONFLICT (id) DO UPDATE SET state = 'joining', applied = 0, renewal = n.renewal + 1`,
		n.ID[:], n.ServeFor.Milliseconds(), n.Versions, n.Build)
	g.Queue(noteTimeline)
	g.Queue(`SELECT pg_notify('` + nodesChannel + `', '')`)
	g.Queue(`COMMIT`)
	g.each(func(rows pgx.Rows) error { return rows.Scan(&at.Position, (*idColumn)(&at.Event)) }, selectLast)
	least := 0
	g.each(func(rows pgx.Rows) error { return rows.Scan(&least) }, `SELECT coalesce(max(least), 1) FROM events WHERE least > 1`)
	if err = m.send(ctx, &g); err == nil && least > build {
		err = store.ErrNewer
	}
	return at, err
}

const (
	selectLast = `SELECT position, id FROM events ORDER BY position DESC LIMIT 1`

	// there asks for the event of a mark, which is $1 and $2.
	there = `($1::bigint = 0 OR EXISTS (SELECT FROM events WHERE position = $1 AND id = $2))`
)

// Serve implements store.Member.
func (m *member) Serve(ctx context.Context, at store.Mark) error {
	listed := false
	var g gathering
	g.each(func(pgx.Rows) error { listed = true; return nil },
		`UPDATE nodes SET state = 'serving', applied = $1, renewal = renewal + 1 WHERE id = $3 AND `+there+` RETURNING id`, at.Position, at.Event[:], m.node.ID[:])
	if err := m.send(ctx, &g); err != nil {
		return err
	}
	if !listed {
		return store.ErrNotFound
	}
	return nil
}

// Renew implements store.Member.
func (m *member) Renew(ctx context.Context, at store.Mark, versions []int) (*store.Renewal, error) {
	var r store.Renewal
	var g gathering
	g.each(func(rows pgx.Rows) error {
		var now int64
		var noted bool
		err := rows.Scan(&r.Listed, &r.Same, &r.Head, &r.Timeline, &now, &noted)
		r.Now = time.UnixMilli(now)
		return err
	}, `WITH renewed AS (
			UPDATE nodes SET renewal = renewal + 1, keyring_versions = $4, applied = CASE WHEN `+there+` THEN greatest(applied, $1) ELSE applied END
			WHERE id = $3 RETURNING 1)
		SELECT EXISTS (SELECT FROM renewed), `+there+`, coalesce((SELECT max(position) FROM events), 0), `+timeline+`, `+millisecondsNow+`,
			EXISTS (SELECT FROM timelines WHERE timeline = `+timeline+`)`,
		at.Position, at.Event[:], m.node.ID[:], versions)
	g.each(func(rows pgx.Rows) error {
		n, err := nodeOf(rows)
		r.Nodes = append(r.Nodes, n)
		return err
	}, `SELECT `+nodeColumns+` FROM nodes n`)
	g.Queue(noteTimeline)
	err := m.send(ctx, &g)
	r.Connection = m.opened
	m.head = r.Head
	return &r, err
}

// Look implements store.Member.
func (m *member) Look(ctx context.Context, at store.Mark) (head int64, same bool, err error) {
	var g gathering
	g.each(func(rows pgx.Rows) error { return rows.Scan(&head, &same) },
		`SELECT coalesce((SELECT max(position) FROM events), 0), `+there, at.Position, at.Event[:])
	err = m.send(ctx, &g)
	m.head = head
	return head, same, err
}

// Acknowledge implements store.Member. One statement does all of it, since every
// node does so for every change. Of what this node changed alone nobody else waits
// to hear.
func (m *member) Acknowledge(ctx context.Context, at store.Mark) (same bool, err error) {
	quiet := m.own.apply(at.Position)
	if quiet {
		m.said(applied(m.node.ID, at.Position))
	}
	var g gathering
	g.each(func(rows pgx.Rows) error { return rows.Scan(&same, nil) },
		`WITH lax AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true) AS set), stored AS (
			UPDATE nodes SET applied = $1 FROM lax WHERE lax.set = 'off' AND id = $3 AND applied < $1 AND `+there+` RETURNING 1)
		SELECT `+there+`, CASE WHEN EXISTS (SELECT FROM stored) AND NOT $5 THEN pg_notify('`+nodesChannel+`', $4) END`,
		at.Position, at.Event[:], m.node.ID[:], applied(m.node.ID, at.Position), quiet)
	err = m.send(ctx, &g)
	return same, err
}

// Wait implements store.Member. The store's one connection that listens hears for
// the member as well: the server wakes every process that listens, whatever for.
func (m *member) Wait(ctx context.Context, beyond int64, d time.Duration) (int64, error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		head, number, more := m.news.latest()
		if number != m.heard {
			m.heard = number
			if head > beyond {
				return head, nil
			}
		}
		select {
		case <-more:
		case <-timer.C:
			return 0, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// news is what was heard last of how far the feed is. It may be wrong, and less
// than what was heard before: after a failover it should be.
type news struct {
	mu     sync.Mutex
	head   int64
	high   int64  // the highest head that was heard since that was asked last
	number uint64 // of the times that something was heard
	more   chan struct{}
}

func (n *news) hear(head int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.head, n.high = head, max(n.high, head)
	n.number++
	close(n.more)
	n.more = make(chan struct{})
}

// highest is how far the feed was said to be since this was asked last: what of it
// others changed may have been heard before what this node did.
func (n *news) highest() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	high := n.high
	n.high = n.head
	return high
}

func (n *news) latest() (head int64, number uint64, more <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.head, n.number, n.more
}

// Reap implements store.Member.
func (m *member) Reap(ctx context.Context, node latchkey.ID, renewal int64) error {
	var g gathering
	g.Queue(`DELETE FROM nodes WHERE id = $1 AND renewal = $2`, node[:], renewal)
	g.Queue(`SELECT pg_notify('` + nodesChannel + `', '')`)
	return m.send(ctx, &g)
}

// Leave implements store.Member.
func (m *member) Leave(ctx context.Context) error {
	var g gathering
	g.Queue(`DELETE FROM nodes WHERE id = $1`, m.node.ID[:])
	g.Queue(`SELECT pg_notify('` + nodesChannel + `', '')`)
	return m.send(ctx, &g)
}

// Read implements store.Member. Most of what changes are keys, and one statement
// reads those; the rest is read only if an event is about anything else.
func (m *member) Read(ctx context.Context, after store.Mark) (*store.Changes, error) {
	if c := m.own.take(ctx, after, max(m.news.highest(), m.head)); c != nil {
		return c, nil
	}
	m.own.read()
	c, more, err := m.read(ctx, after, false)
	if err == nil && more {
		c, _, err = m.read(ctx, after, true)
	}
	return c, err
}

// read reads what changed, keys alone unless all is asked for, and whether there
// is more than keys.
func (m *member) read(ctx context.Context, after store.Mark, all bool) (_ *store.Changes, more bool, err error) {
	c := &store.Changes{}
	found := newObjects()
	var g gathering
	if all { // in one snapshot
		g.Queue(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`)
	}
	least, beside := g.changed(c, found, after)
	if all {
		g.restSince(found, &c.Step, after.Position)
		g.Queue(`COMMIT`)
	}
	if err := m.send(ctx, &g); err != nil {
		return nil, false, err
	}
	if *least > build {
		return nil, false, fmt.Errorf("%w: after position %d", store.ErrNewer, after.Position)
	}
	if !c.Same {
		return &store.Changes{}, false, nil
	}
	c.Events = c.Head.Position - after.Position
	found.into(&c.Step)
	return c, *beside, nil
}

// changed gathers what events there are after a mark and the keys that changed
// since, deleted ones included; the least build that understands them, and whether
// an event is about anything but a key. One statement has one snapshot.
func (g *gathering) changed(c *store.Changes, found *objects, after store.Mark) (least *int, beside *bool) {
	least, beside = new(int), new(bool)
	var types []string
	events := []any{&c.Same, &c.Head.Position, (*idColumn)(&c.Head.Event), &types, least, beside}
	g.Queue(selectChanged, after.Position, after.Event[:]).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			if err := found.changed(rows, events, least); err != nil {
				return err
			}
			clear(events) // every row says the same of them, and nothing is read into nil
		}
		for _, t := range types {
			c.Types = append(c.Types, latchkey.EventType(t))
		}
		return rows.Err()
	})
	return least, beside
}

// changed takes in a row of a key and a secret, either of which may not be there.
func (o *objects) changed(rows pgx.Rows, events []any, least *int) error {
	var k latchkey.Key
	var s latchkey.Secret
	var needs int
	key, secret := append(keyTargets(&k), &needs), secretTargets(&s)
	none, bare := rows.RawValues()[len(events)] == nil, rows.RawValues()[len(events)+len(key)] == nil
	if none {
		clear(key)
	}
	if bare {
		clear(secret)
	}
	if err := rows.Scan(slices.Concat(events, key, secret)...); err != nil || none {
		return err
	}
	*least = max(*least, needs)
	of := o.byOrdinal[k.Ordinal]
	if of == nil {
		of = &k
		o.keys[k.ID], o.byOrdinal[k.Ordinal] = of, of
	}
	if !bare {
		of.Secrets = append(of.Secrets, s)
	}
	return nil
}

// selectChanged has a row for every secret of every key that changed; one where
// there is none.
var selectChanged = `SELECT e.*, ` + keyColumns + `, p.least, ` + secretColumns + ` FROM (
		SELECT $1::bigint = 0 OR coalesce(bool_or(position = $1 AND id = $2), false), coalesce(max(position), 0), coalesce((array_agg(id ORDER BY position DESC))[1], $2),
			coalesce(array_agg(DISTINCT type) FILTER (WHERE position > $1), '{}'), coalesce(max(least) FILTER (WHERE position > $1), 0),
			coalesce(bool_or(object_kind <> '` + string(latchkey.KindKey) + `') FILTER (WHERE position > $1), false)
		FROM events WHERE position >= $1) e
	LEFT JOIN (keys t JOIN policies p ON p.hash = t.policy LEFT JOIN secrets s ON s.key = t.ordinal ` + lastUse + `)
		ON t.ordinal` + among(`SELECT ordinal FROM keys WHERE `+since) + `
	ORDER BY t.ordinal, s.place`

// since is the condition that a row changed after position $1. Few of all rows
// did, which the server does not know when it plans: a range that is bounded on
// both sides it takes for a small one.
const since = `revision > $1 AND revision <= 9223372036854775807`

// restSince gathers all else that changed after a position.
func (g *gathering) restSince(to *objects, step *store.Step, after int64) {
	g.each(func(rows pgx.Rows) error { return addOrganization(to, rows) },
		`SELECT `+organizations.columns+`, t.keys FROM organizations t WHERE `+since, after)
	g.each(func(rows pgx.Rows) error { return addUser(to, rows) }, `SELECT `+users.columns+` FROM users t WHERE `+since, after)
	g.each(func(rows pgx.Rows) error { return addMembership(to, rows) },
		selectMemberships+`m.member`+among(`SELECT ordinal FROM users WHERE `+since)+` ORDER BY m.member, m.place`, after)
	g.each(func(rows pgx.Rows) error { return addRole(to, rows) }, `SELECT `+roles.columns+` FROM roles t WHERE `+since, after)
	g.each(func(rows pgx.Rows) error {
		var k store.TokenKey
		err := rows.Scan(tokenKeyTargets(&k)...)
		step.TokenKeys = append(step.TokenKeys, &k)
		return err
	}, `SELECT `+tokenKeys.columns+` FROM token_keys t WHERE `+since+` ORDER BY t.ordinal`, after)
	g.each(func(rows pgx.Rows) error {
		found, err := readGateway(rows.Scan)
		step.Gateways = append(step.Gateways, &found)
		return err
	}, `SELECT `+gateways.columns+` FROM gateways t WHERE `+since+` ORDER BY t.ordinal`, after)
}

// into puts what was found into a step.
func (o *objects) into(step *store.Step) {
	for _, k := range o.keys {
		step.Keys = append(step.Keys, k)
	}
	for _, organization := range o.organizations {
		step.Organizations = append(step.Organizations, organization)
	}
	for _, u := range o.users {
		step.Users = append(step.Users, u)
	}
	for _, r := range o.roles {
		step.Roles = append(step.Roles, r)
	}
}
