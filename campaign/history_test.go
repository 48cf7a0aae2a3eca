//go:build linux

package campaign

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestHistory lets writers on two nodes change keys, in transactions of every
// length, while a follower reads the record: it skips nothing and reads nothing
// twice, and the order of the record is the order in which the database
// committed. In every other round somebody holds an old snapshot open, which
// must not slow the writers down.
func TestHistory(t *testing.T) {
	d := newDatabase(t)
	s := install(t, folder(t), "--database-url", d.url)
	h := &history{t: t, nodes: []*server{s, d.node(s)}, each: 25}
	if *longFlag {
		h.each = 500
	}
	stop := h.follow()
	rates := map[bool][]float64{}
	rounds(t, 2, 20, func(n int) {
		held := n%2 == 1
		release := func() {}
		if held {
			release = d.hold()
		}
		rates[held] = append(rates[held], h.load(n))
		release()
	})
	stop()
	h.judge(d.connect())
	median := func(of []float64) float64 { slices.Sort(of); return of[len(of)/2] }
	free, held := median(rates[false]), median(rates[true])
	fmt.Printf("%s: %d changes, %d events; %.0f changes/s, with a snapshot held open %.0f\n", t.Name(), h.changes, h.position, free, held)
	if *longFlag && held < 0.8*free {
		t.Errorf("a snapshot that is held open slows writing down to %.0f %%", 100*held/free)
	}
}

// history is a load, and how far it was read.
type history struct {
	t        *testing.T
	nodes    []*server
	each     int // changes of one writer in a round
	changes  int
	position int64 // the follower's
}

// load runs a round and gives its changes a second.
func (h *history) load(round int) float64 {
	began := time.Now()
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() { h.write(h.nodes[w%len(h.nodes)], fmt.Sprintf("h%d-%d", round, w)) })
	}
	all.Wait()
	h.changes += writers * h.each
	return float64(writers*h.each) / time.Since(began).Seconds()
}

func (h *history) write(s *server, name string) {
	random := rand.New(rand.NewPCG(rand.Uint64(), 3))
	var id string
	for n := range h.each {
		var a answer
		switch length := random.IntN(20); {
		case length == 0: // a long one
			items := make([]map[string]any, 1+random.IntN(200))
			for i := range items {
				items[i] = map[string]any{"name": fmt.Sprintf("%s-%d-%d", name, n, i)}
			}
			a = s.call("POST", "/v1/keys/batch-create", map[string]any{"items": items})
		case length < 10 || id == "":
			a = s.call("POST", "/v1/keys", map[string]any{"name": fmt.Sprintf("%s-%d", name, n)})
			id = a.text("key", "id")
		default:
			a = s.call("PATCH", "/v1/keys/"+id, map[string]any{"metadata": map[string]any{"n": n}})
		}
		if !a.ok() {
			h.t.Errorf("%s: %v", name, a)
			return
		}
	}
}

// follow reads the record of the other node as it grows, until it is stopped;
// then to its end.
func (h *history) follow() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	s := h.nodes[len(h.nodes)-1]
	go func() {
		defer close(ended)
		for last := false; ; {
			select {
			case <-done:
				last = true
			default:
			}
			a := s.call("GET", fmt.Sprintf("/v1/events?everywhere=true&limit=100&after=%d", h.position), nil)
			list, _ := a.Body["data"].([]any)
			if !a.ok() {
				h.t.Errorf("following: %v", a)
				return
			}
			for _, item := range list {
				event, _ := item.(map[string]any)
				at, _ := event["position"].(float64)
				if int64(at) != h.position+1 {
					h.t.Errorf("after position %d the follower reads %.0f", h.position, at)
					return
				}
				h.position++
			}
			if last && len(list) == 0 {
				return
			}
		}
	}()
	return func() { close(done); <-ended }
}

// judge asks the database when it committed each event.
func (h *history) judge(conn *pgx.Conn) {
	ctx := context.Background()
	var events, gaps, backwards int64
	err := conn.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE position <> place), count(*) FILTER (WHERE committed < before) FROM (
		SELECT position, row_number() OVER (ORDER BY position) AS place, pg_xact_commit_timestamp(xmin) AS committed,
			lag(pg_xact_commit_timestamp(xmin)) OVER (ORDER BY position) AS before FROM events) e`).Scan(&events, &gaps, &backwards)
	switch {
	case err != nil:
		h.t.Error(err)
	case events != h.position || events == 0:
		h.t.Errorf("the follower read %d events, there are %d", h.position, events)
	case gaps+backwards > 0:
		h.t.Errorf("of %d events %d are not where the ones before them say, and %d were committed before their predecessor", events, gaps, backwards)
	}
}

// hold opens a snapshot and keeps it.
func (d *database) hold() (release func()) {
	ctx := context.Background()
	conn := d.connect()
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err == nil {
		_, err = tx.Exec(ctx, `SELECT count(*) FROM events`)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(ctx); err != nil {
			d.t.Error(err)
		}
		_ = conn.Close(ctx)
	}
}
