// Package authority is the rules of change: who may create, restrict, rotate
// and revoke what. Every edge (native API, dialects, command line) comes through
// it with a [Caller] and gets the same answer.
//
// It promises that an operation is refused unless the caller is known to be
// allowed, that the caller is looked at again inside the transaction of the
// change, that nobody brings about more than it could give, that no change is
// without its event, and that what it acknowledges is committed.
//
// It fails with *latchkey.Error. Input is checked here and nowhere else, so a
// pointer in an error is that of the native API; dialects translate.
//
// Refusals come in one order, so that a caller without a right never learns
// whether an object exists: the operation (forbidden), the input (invalid),
// unknown references (invalid), the ceiling as far as the input alone decides
// it, the target (not_found), the ceiling that needs the target.
package authority

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/token"
	"latchkey.dev/latchkey/verify"
)

// Config is what an Authority is made of. Every field is required but
// Provider, Spread and ForbidRetrievable.
type Config struct {
	Store    store.Store
	Ring     *keyring.Ring
	Verifier *verify.Verifier
	Clock    func() time.Time
	Random   io.Reader // crypto/rand.Reader outside tests
	Log      *slog.Logger

	// Provider checks the tokens of other issuers; nil: there are none.
	Provider Provider

	// Spread knows the other nodes. Nil is that there is none.
	Spread Spread

	// ForbidRetrievable keeps every key's value from being stored, whatever
	// its project allows.
	ForbidRetrievable bool
}

// Authority makes changes and describes what is there. It is safe for
// concurrent use.
type Authority struct {
	Config

	tokens *token.Service

	drawing sync.Mutex // held while signing keys are drawn, which takes a while

	mu      sync.Mutex
	budgets map[latchkey.ID]*rate.Limiter // changes per second, by organization

	defaults map[latchkey.ID]*latchkey.Project // as they once were (knownDefault)
}

// New makes an authority over a store that was bootstrapped.
func New(config Config) *Authority {
	if config.Spread == nil {
		config.Spread = &verify.Alone{Feed: config.Store, Ring: config.Ring}
	}
	return &Authority{Config: config, tokens: token.New(&verify.TokenStore{Store: config.Store, Verifier: config.Verifier}, config.Ring), budgets: map[latchkey.ID]*rate.Limiter{}, defaults: map[latchkey.ID]*latchkey.Project{}}
}

// Call is one operation by a caller, with what the edge was told about it.
type Call struct {
	Caller

	IfMatch     int64        // refuse unless the object has this revision; 0: whatever it has
	Idempotency *Idempotency // nil: the call is not to be remembered

	// Wait is how long the answer may wait until the change is effective
	// everywhere; nil: DefaultWait.
	Wait *time.Duration

	// Linger is called when the work is done and only waiting is left. The edge
	// gives up the call's place among the work in flight, and takes one among
	// those who wait; ok is false if there is none, and then nobody waits. nil:
	// there is no such bound.
	Linger func() (leave func(), ok bool)
}

// change is one mutation on its way into the store.
type change struct {
	needs  latchkey.Permission // held at the time of the call, and again inside
	urgent bool
	weight int // how many keys it is about; 0 is 1
	reads  store.Reads
	record *store.Record // prepared; nil unless the call is to be remembered
	apply  func(t *txn) error
}

// txn is a change inside its transaction.
type txn struct {
	*store.View
	caller Caller // as it is now
	a      *Authority
	steps  []*store.Step
	told   []func() // run after the commit: what the answer takes from the written rows
}

// revokes reports whether the change can do nothing but end keys.
func (c *change) revokes() bool { return c.urgent && c.needs == latchkey.KeyDelete }

// submit runs a change, and waits for no node. If the call was made before,
// replayed is its record and nothing was changed.
func (a *Authority) submit(ctx context.Context, call *Call, c change) (e Effective, replayed *store.Record, err error) {
	if !c.revokes() { // nobody may hold up a revocation by spending what there is
		cost := max(c.weight, 1)
		if c.urgent {
			cost = 1 // to take many rights away must not be harder than to take one
		}
		if err := a.spend(ctx, call.Organization, cost); err != nil {
			return Effective{}, nil, err
		}
	}
	call.Caller.reads(&c.reads)
	c.reads.Records = call.recordKeys(a.Ring)
	var t *txn
	e.Position, err = a.Store.Submit(ctx, store.Change{
		Organization: call.Organization,
		Urgent:       c.urgent,
		Weight:       c.weight,
		Reads:        c.reads,
		Apply: func(view *store.View) (store.Outcome, error) {
			t = &txn{View: view, a: a}
			var err error
			if t.caller, err = call.Caller.refresh(view); err != nil {
				return store.Outcome{}, err
			}
			if err := t.caller.Require(c.needs); err != nil {
				return store.Outcome{}, err
			}
			if replayed, err = replay(view, c.reads.Records, call.Idempotency); replayed != nil || err != nil {
				return store.Outcome{}, err
			}
			if err := c.apply(t); err != nil {
				return store.Outcome{}, err
			}
			if c.record != nil {
				c.record.CreatedAt = view.Now
			}
			return store.Outcome{Steps: t.written(), Record: c.record}, nil
		},
	})
	if err != nil {
		return Effective{}, nil, translate(err)
	}
	e.committed, e.inert = time.Now(), t.inert()
	for _, tell := range t.told {
		tell()
	}
	return e, replayed, nil
}

// step adds an event of that type to the change, and returns the step for its rows.
func (t *txn) step(event latchkey.EventType, object latchkey.Object, changes latchkey.Document) (*store.Step, error) {
	id, err := latchkey.NewID(t.Now, t.a.Random)
	if err != nil {
		return nil, err
	}
	if t.caller.Identity != nil {
		changes = vouchedFor(changes, t.caller.Identity)
	}
	organization := t.caller.Organization
	if object.Kind == latchkey.KindOrganization {
		organization = object.ID // what happens to it is in its own record, wherever the operator acted
	}
	t.steps = append(t.steps, &store.Step{Event: latchkey.Event{
		ID: id, Organization: organization, Type: event, At: t.Now, Actor: t.caller.Actor(), Via: t.caller.Key,
		Object: object, Changes: changes, RequestID: t.caller.RequestID,
	}})
	return t.steps[len(t.steps)-1], nil
}

// written is what the change decided to write.
func (t *txn) written() []store.Step {
	steps := make([]store.Step, len(t.steps))
	for i, s := range t.steps {
		steps[i] = *s
	}
	return steps
}

// created fills in a new object's record.
func (t *txn) created() latchkey.Record {
	who := t.caller.Actor()
	return latchkey.Record{CreatedAt: t.Now, UpdatedAt: t.Now, CreatedBy: who, UpdatedBy: who}
}

// updated marks a record as changed.
func (t *txn) updated(r *latchkey.Record) {
	r.UpdatedAt, r.UpdatedBy = t.Now, t.caller.Actor()
}

// matches refuses a change to another revision than the caller has seen.
func (c *Call) matches(r latchkey.Record) error {
	if c.IfMatch != 0 && c.IfMatch != r.Revision {
		return latchkey.Errorf(latchkey.CodePreconditionFailed, "The object was changed since you read it (If-Match names another revision); read it again.")
	}
	return nil
}

// narrows reports whether changes of that type take rights away, and so go
// before others.
func narrows(event latchkey.EventType) bool {
	c, _ := event.Consequence()
	return c.Narrows
}

// spend takes a change from the organization's budget. A batch counts as many as
// it has keys, but never more than a burst, or it could not be made at all.
func (a *Authority) spend(ctx context.Context, organization latchkey.ID, weight int) error {
	a.mu.Lock()
	b := a.budgets[organization]
	a.mu.Unlock()
	if b == nil {
		o, err := a.Store.Organization(ctx, organization)
		if err != nil {
			return translate(err)
		}
		b = a.setBudget(organization, o.Limits.ChangesPerSecond)
	}
	if !b.AllowN(a.Clock(), min(weight, b.Burst())) {
		return latchkey.Errorf(latchkey.CodeTooManyRequests, "The organization makes more than %.0f changes per second; slow down or ask the operator to raise limits.changes_per_second.", b.Limit())
	}
	return nil
}

// setBudget applies an organization's limit from now on. Bursts go up to twice
// what a second allows.
func (a *Authority) setBudget(organization latchkey.ID, perSecond int64) *rate.Limiter {
	b := rate.NewLimiter(rate.Limit(perSecond), int(2*perSecond))
	a.mu.Lock()
	defer a.mu.Unlock()
	a.budgets[organization] = b
	return b
}

// translate turns a store's failure into a refusal.
func translate(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*latchkey.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*store.ConflictError](err); ok {
		return &latchkey.Error{
			Code: latchkey.CodeConflict, Detail: "Another object has this " + e.Field + " already.",
			Fields: []latchkey.FieldError{{Pointer: "/" + e.Field, Code: "taken", Detail: "Another object has this value already; choose another."}},
		}
	}
	refusal := &latchkey.Error{Cause: err}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return notFound()
	case errors.Is(err, store.ErrUncertain):
		refusal.Code = latchkey.CodeUnavailable
		refusal.Detail = "The store failed while it committed: the change may have been made. Retry with the same Idempotency-Key, or read before you retry."
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		refusal.Code = latchkey.CodeUnavailable
		refusal.Detail = "The store cannot be used now and nothing was changed; retry later. The log says why."
	default:
		return latchkey.AsError(err)
	}
	return refusal
}

func notFound() error {
	return latchkey.Errorf(latchkey.CodeNotFound, "There is no such object within your reach.")
}
