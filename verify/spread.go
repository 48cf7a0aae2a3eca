package verify

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// Nodes knows how far a change has come among the nodes of a shared store: it
// reads their list, and counts the time after which no lease can be left.
type Nodes struct {
	store store.Shared
	self  latchkey.ID

	// Observe, if it is not nil, is told how long a change took until it was
	// effective everywhere, or that it was pending.
	Observe func(took time.Duration, pending bool)

	come chan struct{} // capacity 1: somebody waits who did not

	mu        sync.Mutex
	waiting   map[*waiter]bool
	reading   bool
	serving   []store.Node                  // on the list, as last read; none: who they are is not known
	heard     <-chan struct{}               // as it was before the last reading
	elsewhere int64                         // Hearsay.Else, the same
	serveFor  map[latchkey.ID]time.Duration // of the nodes that were on the list last
	timeline  string                        // of the database, as last seen
	changed   time.Time                     // when this process saw another one; zero: never
}

// waiter is one who waits for a position.
type waiter struct {
	position  int64
	committed time.Time
	until     time.Time
	pending   []store.Node // as last read, for whomever that was
	asked     bool         // the list was read for this one, or was to be
	read      bool         // it was
	answered  chan []store.Pending
}

// lookAgain is how often the list is read while somebody waits, besides whenever
// it is worth while by what was heard.
const lookAgain = 25 * time.Millisecond

// readWithin is how long a reading of the list may take, though nobody waits so long.
const readWithin = 250 * time.Millisecond

// NewNodes makes it. self is this process.
func NewNodes(shared store.Shared, self latchkey.ID) *Nodes {
	return &Nodes{store: shared, self: self, come: make(chan struct{}, 1), waiting: map[*waiter]bool{}, serveFor: map[latchkey.ID]time.Duration{self: MaxStaleness}}
}

// Await returns when no node answers any more by what was before position, or
// after wait at the latest, or when ctx ends.
func (n *Nodes) Await(ctx context.Context, position int64, committed time.Time, wait time.Duration) []store.Pending {
	if committed.IsZero() {
		committed = time.Now() // or no lease would seem to be left
	}
	w := &waiter{position: position, committed: committed, until: committed.Add(wait), answered: make(chan []store.Pending, 1)}
	n.mu.Lock()
	w.pending = n.serving
	n.waiting[w] = true
	if !n.reading {
		n.reading = true
		go n.readOn() //nolint:gosec // it reads for all who wait, whoever came first
	}
	n.mu.Unlock()
	select {
	case n.come <- struct{}{}:
	default:
	}
	var pending []store.Pending
	select {
	case pending = <-w.answered:
	case <-ctx.Done():
		n.mu.Lock()
		pending = n.pending(w)
		delete(n.waiting, w)
		n.mu.Unlock()
	}
	if n.Observe != nil {
		n.Observe(time.Since(committed), len(pending) > 0)
	}
	return pending
}

// readOn reads the list for as long as anybody waits, each time when that is worth
// while. One reading serves all who waited when it began: their commits came
// before it.
func (n *Nodes) readOn() {
	for {
		n.pause()
		said, more := n.store.Heard()
		n.mu.Lock()
		if len(n.waiting) == 0 {
			n.reading = false
			n.mu.Unlock()
			return
		}
		n.elsewhere, n.heard = said.Else, more
		asked := slices.Collect(maps.Keys(n.waiting))
		for _, w := range asked {
			w.asked = true
		}
		until := n.first()
		n.mu.Unlock()
		ctx, cancel := context.WithDeadline(context.Background(), latest(until, time.Now().Add(readWithin)))
		list, err := n.store.Nodes(ctx)
		cancel()
		n.judge(asked, list, err)
	}
}

// first is when the first of those who wait is to be answered.
func (n *Nodes) first() time.Time {
	first := time.Now().Add(time.Hour)
	for w := range n.waiting {
		if w.until.Before(first) {
			first = w.until
		}
	}
	return first
}

// pause returns when it is worth while to read the list, or some time has passed.
func (n *Nodes) pause() {
	again := time.Now().Add(lookAgain)
	for {
		said, more := n.store.Heard()
		worth, until := n.worth(&said, more)
		if worth {
			return
		}
		timer := time.NewTimer(min(time.Until(again), time.Until(until)))
		select {
		case <-more:
			timer.Stop()
		case <-n.come:
			timer.Stop()
		case <-timer.C:
			return
		}
	}
}

// worth reports whether the list should be read now: a node is said to have left,
// or the nodes that one of those who wait waits for, as far as the list is known,
// are all said to have applied the position. What was said before a reading that
// did not confirm it counts for nothing. If nobody waits, that is to be seen as well.
// until is when the first of them is to be answered in any case.
func (n *Nodes) worth(said *store.Hearsay, more <-chan struct{}) (worth bool, until time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	until = n.first()
	worth = len(n.waiting) == 0 || said.Else != n.elsewhere || !time.Now().Before(until)
	for w := range n.waiting {
		behind := func(of store.Node) bool { return max(of.Applied, said.Applied[of.ID]) < w.position }
		worth = worth || (!w.asked || more != n.heard) && !slices.ContainsFunc(w.pending, behind)
	}
	return worth, until
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// judge answers those who need not wait any longer.
func (n *Nodes) judge(asked []*waiter, list *store.NodeList, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	byRows := false
	if err == nil {
		byRows = n.see(list)
	}
	for _, w := range asked {
		if err == nil {
			w.read, w.pending = true, n.behind(w, list, byRows)
		}
		pending := n.pending(w)
		if len(pending) > 0 && time.Now().Before(w.until) {
			continue
		}
		if n.waiting[w] {
			delete(n.waiting, w)
			w.answered <- pending
		}
	}
}

// see takes note of the list, and reports whether what rows say counts: after a
// change of timeline they may speak of another one, or be missing, for as long as
// the longest lease. Both clocks must say that it is over: this process's since it
// saw the change, and the database's since any node did.
func (n *Nodes) see(list *store.NodeList) (byRows bool) {
	now := time.Now()
	if list.Timeline != n.timeline {
		if n.timeline != "" {
			n.changed = now
		}
		n.timeline = list.Timeline
	}
	longest := n.longest(list)
	byRows = (n.changed.IsZero() || now.Sub(n.changed) >= longest) && list.Age >= longest
	n.serving = nil
	for _, node := range list.Nodes {
		if byRows && node.State == store.NodeServing {
			n.serving = append(n.serving, node)
		}
	}
	if byRows || len(list.Nodes) > 0 {
		if byRows {
			clear(n.serveFor)
		}
		for _, node := range list.Nodes {
			n.serveFor[node.ID] = node.ServeFor
		}
	}
	return byRows
}

// longest is when no lease of any node can be left that is on the list, or was.
func (n *Nodes) longest(list *store.NodeList) time.Duration {
	longest := bound(DefaultStaleness)
	if len(list.Nodes) > 0 {
		longest = 0
	}
	for _, node := range list.Nodes {
		longest = max(longest, bound(node.ServeFor))
	}
	for id, serveFor := range n.serveFor {
		if id != n.self || serveFor != MaxStaleness { // that is before anything was read
			longest = max(longest, bound(serveFor))
		}
	}
	return longest
}

// behind are the nodes that may still answer by what was before.
func (n *Nodes) behind(w *waiter, list *store.NodeList, byRows bool) (behind []store.Node) {
	if byRows {
		for _, node := range list.Nodes {
			if node.State == store.NodeServing && node.Applied < w.position {
				behind = append(behind, node)
			}
		}
		return behind
	}
	longest := n.longest(list)
	for id := range n.serveFor { // those that are on the list, and those that were
		behind = append(behind, store.Node{ID: id, ServeFor: longest})
	}
	return behind
}

// pending are those of the nodes that are behind whose leases may still run.
func (n *Nodes) pending(w *waiter) (pending []store.Pending) {
	elapsed := time.Since(w.committed)
	if !w.read { // nobody knows which nodes there are
		if left := bound(MaxStaleness) - elapsed; left > 0 {
			for id := range n.serveFor {
				pending = append(pending, store.Pending{Node: id, Within: left})
			}
		}
		return pending
	}
	for _, node := range w.pending {
		until := bound(node.ServeFor)
		if node.State == "" {
			until = node.ServeFor // which is a bound already
		}
		if left := until - elapsed; left > 0 {
			pending = append(pending, store.Pending{Node: node.ID, Within: left})
		}
	}
	return pending
}

// List returns the nodes on the list, in order of their ids.
func (n *Nodes) List(ctx context.Context) ([]store.Node, error) {
	list, err := n.store.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	for i := range list.Nodes {
		list.Nodes[i].Self = list.Nodes[i].ID == n.self
	}
	return list.Nodes, nil
}

// Forget strikes a node off the list.
func (n *Nodes) Forget(ctx context.Context, node latchkey.ID) error {
	return n.store.Forget(ctx, node)
}
