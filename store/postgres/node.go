package postgres

import (
	"context"
	"encoding/hex"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// timeline is how SQL spells the database's timeline; another one begins with
// each failover. It is the first part of the name of the log's current file.
const timeline = `substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)`

// millisecondsNow is the database's clock.
const millisecondsNow = `(extract(epoch FROM clock_timestamp()) * 1000)::bigint`

// noteTimeline writes down a timeline that nobody has seen yet.
const noteTimeline = `INSERT INTO timelines (timeline, since) SELECT ` + timeline + `, ` + millisecondsNow + `
	WHERE NOT EXISTS (SELECT FROM timelines WHERE timeline = ` + timeline + `) ON CONFLICT DO NOTHING`

// Nodes implements store.Shared.
func (s *Store) Nodes(ctx context.Context) (*store.NodeList, error) {
	list, noted, err := s.nodes(ctx)
	if err == nil && !noted {
		err = s.gather(ctx, func(g *gathering) { g.Queue(noteTimeline) })
	}
	return list, err
}

func (s *Store) nodes(ctx context.Context) (list *store.NodeList, noted bool, err error) {
	epoch := s.own.now()
	err = s.gather(ctx, func(g *gathering) {
		list = &store.NodeList{}
		g.each(func(rows pgx.Rows) error {
			var age *int64
			node, err := nodeOf(rows, &list.Timeline, &age)
			if noted = age != nil; noted {
				list.Age = time.Duration(*age) * time.Millisecond
			}
			if !node.ID.IsZero() {
				list.Nodes = append(list.Nodes, node)
			}
			return err
		}, selectList)
	})
	if err == nil {
		s.own.correct(list, epoch)
	}
	return list, noted, err
}

// selectList has a row for each node, or one where there is none.
const selectList = `SELECT now.timeline, ` + millisecondsNow + ` - t.since, ` + nodeColumns + ` FROM (SELECT ` + timeline + ` AS timeline) now
	LEFT JOIN timelines t ON t.timeline = now.timeline LEFT JOIN nodes n ON true ORDER BY n.id`

const nodeColumns = `n.id, coalesce(n.state, ''), coalesce(n.serve_for_ms, 0), coalesce(n.applied, 0), coalesce(n.renewal, 0), n.keyring_versions, coalesce(n.build, '')`

// nodeOf reads nodeColumns, behind others.
func nodeOf(rows pgx.Rows, before ...any) (n store.Node, err error) {
	var serveFor int64
	err = rows.Scan(append(before, (*idColumn)(&n.ID), (*string)(&n.State), &serveFor, &n.Applied, &n.Renewal, &n.Versions, &n.Build)...)
	n.ServeFor = time.Duration(serveFor) * time.Millisecond
	return n, err
}

// Heard implements store.Shared.
func (s *Store) Heard() (store.Hearsay, <-chan struct{}) { return s.heard.listen() }

// hearsay keeps what was heard of nodes.
type hearsay struct {
	mu   sync.Mutex
	said store.Hearsay
	more chan struct{}
}

// maxHearsay is of how many nodes it is kept what they are said to have applied:
// everybody who may connect to the database can say something.
const maxHearsay = 1000

// hear takes in a notification: a node's id in hexadecimal digits and the position
// that it has applied, or anything else.
func (h *hearsay) hear(payload string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := store.Hearsay{Applied: map[latchkey.ID]int64{}, Else: h.said.Else}
	if len(h.said.Applied) < maxHearsay {
		maps.Copy(next.Applied, h.said.Applied)
	}
	id, text, _ := strings.Cut(payload, " ")
	node, err := hex.DecodeString(id)
	position, fault := strconv.ParseInt(text, 10, 64)
	if err == nil && fault == nil && len(node) == len(latchkey.ID{}) {
		next.Applied[latchkey.ID(node)] = position
	} else {
		next.Else++
	}
	h.said = next
	close(h.more)
	h.more = make(chan struct{})
}

// applied spells what a node says when it has applied a position.
func applied(node latchkey.ID, position int64) string {
	return hex.EncodeToString(node[:]) + " " + strconv.FormatInt(position, 10)
}

func (h *hearsay) listen() (store.Hearsay, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.said, h.more
}

// Forget implements store.Shared.
func (s *Store) Forget(ctx context.Context, node latchkey.ID) error {
	var gone int
	err := s.gather(ctx, func(g *gathering) {
		gone = 0
		g.each(func(pgx.Rows) error { gone++; return nil }, `DELETE FROM nodes WHERE id = $1 RETURNING pg_notify('`+nodesChannel+`', '')`, node[:])
	})
	if err == nil && gone == 0 {
		return store.ErrNotFound
	}
	return err
}

// Exposed implements store.Shared. A standby that the primary does not wait for
// may lack what was acknowledged when it takes over.
func (s *Store) Exposed(ctx context.Context) (string, error) {
	var exposed bool
	err := s.gather(ctx, func(g *gathering) {
		g.each(func(rows pgx.Rows) error { return rows.Scan(&exposed) },
			`SELECT EXISTS (SELECT FROM pg_stat_replication) AND (current_setting('synchronous_standby_names') = '' OR current_setting('synchronous_commit') = 'local')`)
	})
	if err != nil || !exposed {
		return "", err
	}
	return "The database has a standby that it does not wait for (synchronous_standby_names is empty): if that takes over, a change that was acknowledged can be lost.", nil
}
