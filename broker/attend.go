package broker

import (
	"context"
	"errors"
	"net/url"
	"sync/atomic"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// attendant does the errands at one broker.
type attendant struct {
	*Worker
	broker atomic.Pointer[latchkey.Gateway] // as it was read last
	lanes  []*lane
	ctx    context.Context // ends when the broker is gone
	stop   context.CancelFunc
}

// lane is a part of the errands that does not wait for the others: to make ten
// thousand virtual hosts takes minutes, to close a connection must not.
type lane struct {
	*attendant
	kinds   []store.ErrandKind
	checks  bool // looks through the connections every minute
	checked time.Time
	woken   chan struct{} // capacity 1
	failing bool
}

func (w *Worker) newAttendant(ctx context.Context) *attendant {
	a := &attendant{Worker: w}
	a.ctx, a.stop = context.WithCancel(ctx)
	a.lanes = []*lane{
		{attendant: a, kinds: []store.ErrandKind{store.ErrandClose, store.ErrandEnd, store.ErrandCheck, store.ErrandLapse}, checks: true, woken: make(chan struct{}, 1)},
		{attendant: a, kinds: []store.ErrandKind{store.ErrandMake, store.ErrandFill}, woken: make(chan struct{}, 1)},
	}
	return a
}

const (
	checkInterval = time.Minute
	longestRest   = 2 * time.Second  // what a login asks for wakes nobody
	lease         = 30 * time.Second // who took errands does them by then
	batch         = 32
	mostBackoff   = 10 * time.Second
)

// closings is how long after one round of closing connections the next one comes.
// A virtual host is deleted, where it is, after the last.
func closings() []time.Duration {
	return []time.Duration{0, time.Second, 4 * time.Second, 25 * time.Second}
}

func (l *lane) run(ctx context.Context) {
	for ctx.Err() == nil {
		next, err := l.pass(ctx)
		if err != nil {
			if !l.failing && ctx.Err() == nil {
				l.Log.Warn("a broker is not told of changes for now", "gateway", l.native(), "error", err)
			}
			next = time.Second
		}
		l.failing = err != nil
		if next > 0 {
			wait(ctx, l.woken, next)
		}
	}
}

func (l *lane) native() string { return l.broker.Load().ID.Native(latchkey.KindGateway) }

// pass does what is due, and says how long there is nothing to do.
func (l *lane) pass(ctx context.Context) (time.Duration, error) {
	now, id := l.Clock(), l.broker.Load().ID
	var failed error
	if l.checks && now.Sub(l.checked) >= checkInterval {
		l.checked = now
		failed = l.with(ctx, func(m *management) error { return l.check(ctx, m) })
	}
	due, err := l.Store.NextErrand(ctx, id, l.kinds)
	if err != nil {
		return 0, err
	}
	if due.IsZero() || due.After(now) {
		next := longestRest
		if !due.IsZero() {
			next = min(next, due.Sub(now))
		}
		return max(next, time.Millisecond), failed
	}
	taken, err := l.Store.TakeErrands(ctx, id, l.kinds, now, now.Add(lease), batch)
	if err != nil {
		return 0, err
	}
	failed = l.with(ctx, func(m *management) error { return l.do(ctx, m, taken, now) })
	return 0, errors.Join(failed, l.Store.KeepErrands(ctx, taken))
}

// with reaches the broker's management API.
func (l *lane) with(ctx context.Context, do func(*management) error) error {
	m, err := l.reach(ctx, l.broker.Load())
	if err != nil {
		return err
	}
	defer m.leave()
	return do(m)
}

// do does errands that were taken at began, and says of each when it is due again:
// rounds are counted from when the one before began, however long it took. Once the
// broker cannot be reached the others are put off untried.
func (l *lane) do(ctx context.Context, m *management, taken []store.Errand, began time.Time) (failed error) {
	var open connections
	for i := range taken {
		e, err := &taken[i], failed
		if _, away := errors.AsType[*url.Error](failed); !away {
			err = l.one(ctx, m, e, &open)
		}
		if err != nil {
			e.Failures = min(e.Failures+1, 30)
			e.Due = l.Clock().Add(min(time.Second<<min(e.Failures-1, 10), mostBackoff))
			failed = err
			continue
		}
		e.Failures = 0
		e.Round++
		if e.Due, err = l.again(ctx, e, began); err != nil {
			return err
		}
	}
	return failed
}

// one does one errand. open is what is known of the connections, so that many
// errands read them once.
func (l *lane) one(ctx context.Context, m *management, e *store.Errand, open *connections) error {
	switch e.Kind {
	case store.ErrandMake:
		return l.make(ctx, m, e.Subject.ID)
	case store.ErrandFill:
		return l.fill(ctx, m)
	case store.ErrandCheck:
		return l.check(ctx, m)
	case store.ErrandClose, store.ErrandEnd:
		return l.close(ctx, m, e, open)
	case store.ErrandLapse:
		return l.lapse(ctx, e)
	}
	return nil
}

// again is when an errand that was done is due again; zero for never.
func (l *lane) again(ctx context.Context, e *store.Errand, now time.Time) (time.Time, error) {
	if e.Kind != store.ErrandClose && e.Kind != store.ErrandEnd {
		return time.Time{}, nil
	}
	if gaps := closings(); e.Round < len(gaps) {
		return now.Add(gaps[e.Round]), nil
	}
	if e.Kind != store.ErrandEnd {
		return time.Time{}, l.deleteVHost(ctx, e)
	}
	h, err := l.Store.Key(ctx, e.Subject.ID)
	if errors.Is(err, store.ErrNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	e.Round = 0
	return nextEnd(&h.Key, now), nil
}
