package verify

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// Place is what a node is among others.
type Place struct {
	ID       latchkey.ID   // of this process alone; zero: one is drawn
	ServeFor time.Duration // how long it answers after it last knew that it was current
	Build    string        // of the program
	Dead     []latchkey.ID // nodes of which it is known that they are dead

	// Restore ends again what had ended, and lives since the database forgot it.
	// Nil: nothing can be done.
	Restore func(ctx context.Context, lost []store.Lost) error
}

// nodeState is what a verifier has that is a node among others.
type nodeState struct {
	node  *node
	lease atomic.Pointer[lease]
}

// The rhythm of a node.
const (
	lookEvery   = 100 * time.Millisecond // a notification may be lost
	renewAtMost = 500 * time.Millisecond
	leaveWithin = 2 * time.Second
)

// Place makes the verifier a node of a shared store. It must come before Fill.
func (v *Verifier) Place(p Place) {
	if p.ID.IsZero() {
		p.ID, _ = latchkey.NewID(v.clock(), rand.Reader) // which does not fail (crypto/rand)
	}
	shared := v.store.Shared()
	v.name = p.ID.Native(latchkey.KindNode)
	v.node = &node{
		Verifier: v, Place: p, shared: shared, watched: map[latchkey.ID]watched{},
		member: shared.Member(store.Node{ID: p.ID, ServeFor: p.ServeFor, Versions: versions(v.ring), Build: p.Build}),
	}
}

// node follows the feed. One goroutine and one connection read, apply, renew and
// acknowledge in turn: what was read is applied before the next renewal is sent.
// The rules are those of package protocol, which tries every history of them.
type node struct {
	*Verifier
	Place

	shared store.Shared

	mu      sync.Mutex // held by whoever uses what follows
	member  store.Member
	at      store.Mark // everything up to here is in index
	index   *index
	joined  bool // it may be on the list
	serving bool
	renews  time.Time     // when the lease is to be renewed
	offset  time.Duration // the database's clock is so far ahead
	newer   bool          // the store has what this program does not understand; it never will

	connection int // of the last renewal
	watched    map[latchkey.ID]watched
	failing    bool

	applied, head atomic.Int64
}

// watched is another node's renewal, and since when it has been the same.
type watched struct {
	renewal int64
	since   time.Time
}

// errOutOfStep says that this node cannot go on from what it has.
var errOutOfStep = errors.New("this node is out of step with the database")

func (n *node) renewEvery() time.Duration { return min(n.ServeFor/6, renewAtMost) }

// join brings the node from nothing to serving. What it knew it keeps until then.
func (n *node) join(ctx context.Context, available int64) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.joins(ctx, available)
}

func (n *node) joins(ctx context.Context, available int64) error {
	n.lease.Store(nil)
	n.serving, n.joined = false, true
	at, err := n.member.Join(ctx, n.Dead)
	if err != nil {
		return err
	}
	n.Dead = nil
	known := n.kept.index.Load()
	var forgotten *lost
	if known != nil {
		forgotten = &lost{known: known, now: n.databaseNow()}
	}
	if n.index, err = n.fill(ctx, available, forgotten); err != nil {
		return err
	}
	n.at = at
	if err := n.restore(ctx, forgotten); err != nil {
		return err
	}
	// What was revoked again is in the index before anybody reads that.
	head, same, err := n.member.Look(ctx, n.at)
	switch {
	case err != nil:
		return err
	case !same:
		return errOutOfStep
	case head > n.at.Position:
		if err := n.read(ctx, math.MaxInt64); err != nil {
			return err
		}
	}
	n.kept.mu.Lock()
	n.kept.index.Store(n.index)
	n.kept.mu.Unlock()
	if err := n.member.Serve(ctx, n.at); err != nil {
		if errors.Is(err, store.ErrNotFound) {
			return errOutOfStep
		}
		return err
	}
	n.serving = true
	n.applied.Store(n.at.Position)
	return n.renew(ctx)
}

// fill reads everything, and shows meanwhile that the node lives.
func (n *node) fill(ctx context.Context, available int64, forgotten *lost) (ix *index, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		ix, err = n.Verifier.read(ctx, n.shared, available, forgotten)
	}()
	beat := time.NewTicker(n.renewEvery())
	defer beat.Stop()
	for {
		select {
		case <-done:
			return ix, err
		case <-beat.C:
			// Whether it is still on the list shows when it is to serve.
			_, _ = n.member.Renew(ctx, store.Mark{}, versions(n.ring))
		}
	}
}

// restore ends again what this node knew to have ended.
func (n *node) restore(ctx context.Context, forgotten *lost) error {
	if forgotten == nil || len(forgotten.all) == 0 {
		return nil
	}
	n.log.Error("the database forgot revocations that this node had applied; they are made again", "keys", len(forgotten.all))
	if n.Restore == nil {
		return fmt.Errorf("%d keys are not revoked any more, and nobody can revoke them", len(forgotten.all))
	}
	return n.Restore(ctx, forgotten.all)
}

// databaseNow is the database's clock as far as this node ever knew it.
func (n *node) databaseNow() time.Time { return n.clock().Add(n.offset) }

// run follows until ctx ends.
func (n *node) run(ctx context.Context) {
	for ctx.Err() == nil {
		pause := lookEvery
		switch err := n.turn(ctx); {
		case ctx.Err() != nil:
		case err == nil:
			pause = 0
			n.well()
		case errors.Is(err, store.ErrNewer):
			pause = renewAtMost
			n.outdated(ctx, err)
		case errors.Is(err, errOutOfStep):
			n.dropped()
		default:
			n.unwell(err)
		}
		if pause > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}
}

// turn does what is next.
func (n *node) turn(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.newer:
		return store.ErrNewer
	case !n.serving:
		return n.joins(ctx, 0)
	case !n.clock().Before(n.renews):
		return n.renew(ctx)
	}
	head, err := n.member.Wait(ctx, n.at.Position, min(lookEvery, n.renews.Sub(n.clock())))
	if err != nil {
		return err
	}
	if head == 0 {
		var same bool
		if head, same, err = n.member.Look(ctx, n.at); err != nil {
			return err
		}
		if !same {
			return errOutOfStep
		}
	}
	if head <= n.at.Position {
		return nil
	}
	if err := n.read(ctx, n.at.Position); err != nil {
		return err
	}
	return n.acknowledge(ctx)
}

// renew asks for a lease, which counts from before the question was sent, and
// from when everything up to the head that the answer names is applied.
func (n *node) renew(ctx context.Context) error {
	sent := n.clock()
	n.renews = sent.Add(n.renewEvery())
	r, err := n.member.Renew(ctx, n.at, versions(n.ring))
	if err != nil {
		return err
	}
	if !r.Listed || !r.Same {
		return errOutOfStep
	}
	answered := n.clock()
	if r.Head > n.at.Position {
		if err := n.read(ctx, n.at.Position); err != nil {
			return err
		}
		if r.Head > n.at.Position {
			return errOutOfStep // the database went back meanwhile
		}
		if err := n.acknowledge(ctx); err != nil {
			return err
		}
	}
	between := sent.Add(answered.Sub(sent) / 2)
	n.offset = r.Now.Sub(between.Round(0))
	n.lease.Store(&lease{until: sent.Add(n.ServeFor), offset: n.offset})
	return n.reap(ctx, r, sent, answered)
}

// acknowledge says what is applied.
func (n *node) acknowledge(ctx context.Context) error {
	same, err := n.member.Acknowledge(ctx, n.at)
	if err == nil && !same {
		err = errOutOfStep
	}
	return err
}

// read applies what changed since the mark. Of keys that were made up to made the
// index may know something: the fill sees more than the mark it begins with.
func (n *node) read(ctx context.Context, made int64) error {
	c, err := n.member.Read(ctx, n.at)
	if err != nil {
		return err
	}
	if !c.Same {
		return errOutOfStep
	}
	for _, t := range c.Types {
		if _, known := t.Consequence(); !known {
			return fmt.Errorf("%w: an event of the type %q", store.ErrNewer, t)
		}
	}
	n.kept.mu.Lock()
	err = n.index.apply(ctx, &c.Step, made)
	n.kept.mu.Unlock()
	if err != nil {
		return err
	}
	n.at = c.Head
	n.applied.Store(n.at.Position)
	n.head.Store(max(n.head.Load(), n.at.Position))
	if slices.Contains(c.Types, latchkey.RingVersionRetired) {
		go n.redigestAll(context.WithoutCancel(ctx), n.index)
	}
	return nil
}

// redigestAll takes over digests that moved to a newer version of the key ring by
// what other nodes saw: a move is no event.
func (n *node) redigestAll(ctx context.Context, ix *index) {
	head, err := n.store.Head(ctx)
	if err == nil {
		err = n.shared.ScanKeys(ctx, 0, head, func(k *latchkey.Key, _ int64) error {
			for i := range k.Secrets {
				n.kept.mu.Lock()
				ix.catchUp(&k.Secrets[i])
				n.kept.mu.Unlock()
			}
			return nil
		})
	}
	if err != nil {
		n.log.Error("digests that other nodes moved to a newer version of the key ring are not known here", "error", err)
	}
}

// reap strikes off nodes that have not renewed for as long as any lease of theirs
// can last, all the while on one connection.
func (n *node) reap(ctx context.Context, r *store.Renewal, sent, answered time.Time) error {
	n.head.Store(r.Head)
	if r.Connection != n.connection {
		clear(n.watched)
		n.connection = r.Connection
	}
	listed := map[latchkey.ID]watched{}
	for _, other := range r.Nodes {
		w, seen := n.watched[other.ID]
		if !seen || w.renewal != other.Renewal {
			w = watched{other.Renewal, answered}
		}
		listed[other.ID] = w
		if other.ID == n.ID || sent.Sub(w.since) < bound(other.ServeFor) {
			continue
		}
		n.log.Warn("a node has not been heard of for longer than it may answer; it is struck off", "node", other.ID.Native(latchkey.KindNode))
		if err := n.member.Reap(ctx, other.ID, other.Renewal); err != nil {
			return err
		}
	}
	n.watched = listed
	return nil
}

// dropped is for a node that cannot go on from what it has.
func (n *node) dropped() {
	n.lease.Store(nil)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.serving = false // what it knew stays where nobody reads it without a lease
	n.log.Warn("this node is out of step with the database: it was struck off, or the database lost changes; it answers again when it has read everything")
}

// outdated is for a node that met what it does not understand.
func (n *node) outdated(ctx context.Context, err error) {
	n.lease.Store(nil)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.newer {
		return
	}
	n.newer = true
	n.log.Error("the store has what only a newer program understands; this one answers nothing any more: upgrade it", "error", err)
	_ = n.member.Leave(ctx) // or those who wait do so until it has run out
	n.member.Close()
}

func (n *node) well() {
	if n.failing {
		n.failing = false
		n.log.Info("this node follows the database again")
	}
}

func (n *node) unwell(err error) {
	if !n.failing {
		n.failing = true
		n.log.Error("this node cannot follow the database; it answers until its lease ends", "lease_left", n.leaseLeft().Round(time.Millisecond).String(), "error", err)
	}
}

func (n *node) leaseLeft() time.Duration {
	now, l := n.clock(), n.lease.Load()
	if !l.runs(now) {
		return 0
	}
	return min(l.until.Sub(now), l.until.Round(0).Sub(now.Round(0)))
}

// Leave ends this node's part: it answers nothing from now on, and is struck off.
// What it was asked before must have been answered. It comes after Run.
func (v *Verifier) Leave() {
	if v.node == nil {
		return
	}
	v.lease.Store(nil)
	n := v.node
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.joined {
		return
	}
	n.joined = false
	ctx, cancel := context.WithTimeout(context.Background(), leaveWithin)
	defer cancel()
	if err := n.member.Leave(ctx); err != nil {
		n.log.Warn("this node could not be struck off the list; the others do it when it has run out", "error", err)
	}
	n.member.Close()
}

// Progress is how far a node has come.
type Progress struct {
	Applied   int64         // everything up to this position is in memory
	Head      int64         // the newest position that it has heard of
	LeaseLeft time.Duration // how long it may answer if it hears nothing more; 0: it does not
	Skew      time.Duration // by how much the database's clock is ahead
}

// Progress tells how far this node has come; false where it is no node among others.
func (v *Verifier) Progress() (Progress, bool) {
	n := v.node
	if n == nil {
		return Progress{}, false
	}
	p := Progress{Applied: n.applied.Load(), Head: n.head.Load(), LeaseLeft: n.leaseLeft()}
	if l := v.lease.Load(); l != nil {
		p.Skew = l.offset
	}
	return p, true
}

// Ready reports why this node should not be asked now.
func (v *Verifier) Ready() error {
	p, ok := v.Progress()
	switch {
	case !ok:
		return nil
	case p.LeaseLeft <= 0:
		return ErrNotCurrent
	case p.Skew.Abs() > MaxSkew:
		return fmt.Errorf("the database's clock is %v ahead of this machine's; set one of them right", p.Skew.Round(time.Millisecond))
	}
	return nil
}

// lost is what an index knew to have ended, and that lives.
type lost struct {
	known *index
	now   time.Time // by the database's clock

	mu  sync.Mutex
	all []store.Lost
}

// look holds a key of the store against what was known of it.
func (l *lost) look(k *latchkey.Key) {
	if k.Revoked() {
		return
	}
	found := store.Lost{Key: k.ID}
	revoked := false
	for i := range k.Secrets {
		s := &k.Secrets[i]
		dead, ended := l.known.knew(s.KID, l.now)
		revoked = revoked || dead
		if ended && !s.Ended(l.now) {
			found.Ended = append(found.Ended, s.KID)
		}
	}
	if revoked {
		found.Ended = nil
	} else if found.Ended == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, found)
}
