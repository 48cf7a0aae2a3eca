package broker

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/verify"
)

// Store is the part of a store that is needed.
type Store interface {
	store.Keys
	store.Directory
	store.Feed
	store.GatewayReader
	store.Errands
}

// Config is what a Worker is made of. Every field is required.
type Config struct {
	Store Store
	Ring  *keyring.Ring
	Named *verify.Named
	Clock func() time.Time
	Log   *slog.Logger
}

// Worker does errands. Every node has one.
type Worker struct {
	Config
	planned store.Mark // what was read of the record of changes without an errand in it

	mu       sync.Mutex
	attended map[latchkey.ID]*attendant
}

// New makes a worker.
func New(config Config) *Worker {
	return &Worker{Config: config, attended: map[latchkey.ID]*attendant{}}
}

// How often the record of changes is looked at: at once when something changed,
// but not more often than pause, and now and then where nothing told of a change.
const (
	pause    = 20 * time.Millisecond
	idle     = time.Second // where there is no broker
	patience = 10 * time.Second
)

// Run works until ctx ends.
func (w *Worker) Run(ctx context.Context) {
	var lanes sync.WaitGroup
	defer lanes.Wait()
	for complaint := ""; ctx.Err() == nil; {
		changed := w.Store.Changed()
		brokers, err := w.brokers(ctx)
		if err == nil {
			w.attend(ctx, &lanes, brokers)
			err = w.plan(ctx, brokers)
		}
		rest := pause
		if len(brokers) == 0 || err != nil {
			rest = idle
		}
		if err != nil && err.Error() != complaint && ctx.Err() == nil {
			w.Log.Warn("brokers are not told of changes for now", "error", err)
		}
		if complaint = ""; err != nil {
			complaint = err.Error()
		}
		wait(ctx, nil, rest)
		wait(ctx, changed, patience)
	}
}

// wait is until ctx ends, something is told, or a time has passed.
func wait(ctx context.Context, told <-chan struct{}, most time.Duration) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-told:
	case <-timer.C:
	}
}

// brokers are the gateways at which there is anything to do.
func (w *Worker) brokers(ctx context.Context) ([]latchkey.Gateway, error) {
	all, err := w.Store.Gateways(ctx)
	return slices.DeleteFunc(all, func(g latchkey.Gateway) bool { return !g.Management.Set() }), err
}

// attend sees to it that each broker has its attendant, and no other.
func (w *Worker) attend(ctx context.Context, lanes *sync.WaitGroup, brokers []latchkey.Gateway) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, a := range w.attended {
		if !slices.ContainsFunc(brokers, func(g latchkey.Gateway) bool { return g.ID == id }) {
			a.stop()
			delete(w.attended, id)
			if err := w.Store.DropErrands(ctx, id); err != nil && ctx.Err() == nil {
				w.Log.Warn("what was to be done at a broker that is gone stays for now", "error", err)
			}
		}
	}
	for i := range brokers {
		g := &brokers[i]
		a := w.attended[g.ID]
		if a == nil {
			a = w.newAttendant(ctx)
			w.attended[g.ID] = a
			a.broker.Store(g)
			for _, l := range a.lanes {
				lanes.Go(func() { l.run(a.ctx) })
			}
		}
		a.broker.Store(g)
	}
}

// wake tells every attendant that there may be errands.
func (w *Worker) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.attended {
		for _, l := range a.lanes {
			select {
			case l.woken <- struct{}{}:
			default:
			}
		}
	}
}

// atOnce is how many events are turned into errands in one go, and unwritten
// after how many without any that is written down.
const (
	atOnce    = 500
	unwritten = 10_000
)

// plan turns events into errands.
func (w *Worker) plan(ctx context.Context, brokers []latchkey.Gateway) error {
	if len(brokers) == 0 {
		return nil // the event that makes the first one asks for all that was missed
	}
	for {
		through, err := w.Store.ErrandsThrough(ctx)
		if err != nil {
			return err
		}
		after := max(through, before(brokers))
		events, err := w.events(ctx, after)
		if err != nil || len(events) == 0 {
			return err
		}
		var errands []store.Errand
		for i := range events {
			asked, err := w.follow(ctx, brokers, &events[i])
			if err != nil {
				return err
			}
			errands = append(errands, asked...)
		}
		last := &events[len(events)-1]
		if len(errands) > 0 || last.Position-through > unwritten {
			err := w.Store.AskErrands(ctx, through, last.Position, errands)
			if errors.Is(err, store.ErrConflict) {
				w.planned = store.Mark{} // another node was faster
				w.wake()
				continue
			}
			if err != nil {
				return err
			}
		}
		w.planned = store.Mark{Position: last.Position, Event: last.ID}
		if len(errands) > 0 {
			w.wake()
		}
	}
}

// events are those to be turned into errands: after that position, and after what
// was read already. A database that lost events numbers others like them, so the
// event that was read last is asked for again, and must be the same.
func (w *Worker) events(ctx context.Context, after int64) ([]latchkey.Event, error) {
	if w.planned.Position > after {
		events, err := w.Store.Events(ctx, store.EventQuery{After: w.planned.Position - 1, Limit: atOnce + 1})
		if err != nil {
			return nil, err
		}
		if len(events) > 0 && events[0].Position == w.planned.Position && events[0].ID == w.planned.Event {
			return events[1:], nil
		}
		w.planned = store.Mark{}
	}
	return w.Store.Events(ctx, store.EventQuery{After: after, Limit: atOnce})
}

// before is the position before the first broker was made.
func before(brokers []latchkey.Gateway) int64 {
	return brokers[0].Ordinal>>store.OrdinalShift - 1 // they come oldest first
}
