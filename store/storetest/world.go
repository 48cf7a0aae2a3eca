package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// world is what a case works in: a store that began empty, or that earlier
// cases of its group left with other organizations.
type world struct {
	t      *testing.T
	s      store.Store
	place  Place
	random *rand.ChaCha8
	clock  time.Time // of what the builders make; the store's own clock is never compared with it
	names  int

	counting sync.Mutex // one after the other
	counted  store.UseBatch
}

// start is when the builders' clock begins.
var start = time.Date(2026, time.March, 4, 5, 6, 7, 8_000_000, time.UTC)

// newWorld opens the store of a place, for as long as t runs.
func newWorld(t *testing.T, place Place) *world {
	w := &world{t: t, place: place, random: rand.NewChaCha8([32]byte{}), clock: start}
	_, _ = w.random.Read(w.counted.Boot[:])
	w.s = place(t)
	t.Cleanup(func() {
		if err := w.s.Close(); err != nil && !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Close: %v", err)
		}
	})
	return w
}

func (w *world) ctx() context.Context { return w.t.Context() }

// tick is the builders' next millisecond.
func (w *world) tick() time.Time {
	w.clock = w.clock.Add(time.Millisecond)
	return w.clock
}

// reopen closes the store and opens it at the same place.
func (w *world) reopen() {
	w.t.Helper()
	w.ok("Close", w.s.Close())
	w.s = w.place(w.t)
}

// ok ends the case if err is not nil.
func (w *world) ok(what string, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
}

// fails wants an error of that kind.
func (w *world) fails(what string, err, want error) {
	w.t.Helper()
	if !errors.Is(err, want) {
		w.t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

// row is an object that is to be written in a step. The store gets a copy each
// time that the change is applied; the given object becomes what was written.
type row interface {
	put(s *store.Step)
	settle()
	about() (organization latchkey.ID, object latchkey.Object)
}

type rowOf[T any] struct {
	given, written *T
	add            func(*store.Step, *T)
	subject        func(*T) (latchkey.ID, latchkey.Object)
}

func (r *rowOf[T]) put(s *store.Step) {
	written := *r.given
	r.written = &written
	r.add(s, r.written)
}

func (r *rowOf[T]) settle() { *r.given = *r.written }

func (r *rowOf[T]) about() (latchkey.ID, latchkey.Object) { return r.subject(r.given) }

func (w *world) row(object any) row {
	switch o := object.(type) {
	case *latchkey.Key:
		return &rowOf[latchkey.Key]{given: o, add: func(s *store.Step, k *latchkey.Key) { s.Keys = append(s.Keys, k) },
			subject: func(k *latchkey.Key) (latchkey.ID, latchkey.Object) {
				return k.Organization, latchkey.Object{Kind: latchkey.KindKey, ID: k.ID}
			}}
	case *latchkey.Organization:
		return &rowOf[latchkey.Organization]{given: o, add: func(s *store.Step, o *latchkey.Organization) { s.Organizations = append(s.Organizations, o) },
			subject: func(o *latchkey.Organization) (latchkey.ID, latchkey.Object) {
				return o.ID, latchkey.Object{Kind: latchkey.KindOrganization, ID: o.ID}
			}}
	case *latchkey.Project:
		return &rowOf[latchkey.Project]{given: o, add: func(s *store.Step, p *latchkey.Project) { s.Projects = append(s.Projects, p) },
			subject: func(p *latchkey.Project) (latchkey.ID, latchkey.Object) {
				return p.Organization, latchkey.Object{Kind: latchkey.KindProject, ID: p.ID}
			}}
	case *latchkey.User:
		return &rowOf[latchkey.User]{given: o, add: func(s *store.Step, u *latchkey.User) { s.Users = append(s.Users, u) },
			subject: func(u *latchkey.User) (latchkey.ID, latchkey.Object) {
				return u.Organization, latchkey.Object{Kind: latchkey.KindUser, ID: u.ID}
			}}
	case *latchkey.Role:
		return &rowOf[latchkey.Role]{given: o, add: func(s *store.Step, r *latchkey.Role) { s.Roles = append(s.Roles, r) },
			subject: func(r *latchkey.Role) (latchkey.ID, latchkey.Object) {
				return r.Organization, latchkey.Object{Kind: latchkey.KindRole, ID: r.ID}
			}}
	case *store.DataKey:
		return &rowOf[store.DataKey]{given: o, add: func(s *store.Step, d *store.DataKey) { s.DataKeys = append(s.DataKeys, d) },
			subject: func(d *store.DataKey) (latchkey.ID, latchkey.Object) {
				return d.Organization, latchkey.Object{Kind: latchkey.KindOrganization, ID: d.Organization}
			}}
	case *store.TokenKey:
		return &rowOf[store.TokenKey]{given: o, add: func(s *store.Step, k *store.TokenKey) { s.TokenKeys = append(s.TokenKeys, k) },
			subject: func(*store.TokenKey) (latchkey.ID, latchkey.Object) { return latchkey.ID{}, latchkey.Object{} }}
	case *latchkey.Gateway:
		return &rowOf[latchkey.Gateway]{given: o, add: func(s *store.Step, g *latchkey.Gateway) { s.Gateways = append(s.Gateways, g) },
			subject: func(g *latchkey.Gateway) (latchkey.ID, latchkey.Object) {
				return g.Organization, latchkey.Object{Kind: latchkey.KindGateway, ID: g.ID}
			}}
	case *latchkey.Issuer:
		return &rowOf[latchkey.Issuer]{given: o, add: func(s *store.Step, i *latchkey.Issuer) { s.Issuers = append(s.Issuers, i) },
			subject: func(i *latchkey.Issuer) (latchkey.ID, latchkey.Object) {
				return i.Organization, latchkey.Object{Kind: latchkey.KindIssuer, ID: i.ID}
			}}
	case *store.Installation:
		return &rowOf[store.Installation]{given: o, add: func(s *store.Step, in *store.Installation) { s.Installation = in },
			subject: func(*store.Installation) (latchkey.ID, latchkey.Object) { return latchkey.ID{}, latchkey.Object{} }}
	}
	w.t.Fatalf("%T is not something that a step writes", object)
	return nil
}

// batch is one step to be written, in a change of its own.
type batch struct {
	rows  []row
	event latchkey.Event
}

// batch takes up objects: keys, organizations, projects, users, roles, data keys,
// token keys or the installation.
func (w *world) batch(objects ...any) *batch {
	b := &batch{}
	for _, o := range objects {
		b.rows = append(b.rows, w.row(o))
	}
	org, object := b.rows[0].about()
	for _, r := range b.rows { // an event about a key is about keys alone
		if of, other := r.about(); object.Kind == latchkey.KindKey && other.Kind != latchkey.KindKey {
			org, object = of, other
		}
	}
	b.event = w.newEvent(org, typeOf(object.Kind), object)
	return b
}

func typeOf(kind latchkey.Kind) latchkey.EventType {
	switch kind {
	case latchkey.KindKey:
		return latchkey.KeyUpdated
	case latchkey.KindOrganization:
		return latchkey.OrganizationUpdated
	case latchkey.KindProject:
		return latchkey.ProjectUpdated
	case latchkey.KindUser:
		return latchkey.UserUpdated
	case latchkey.KindRole:
		return latchkey.RoleUpdated
	case latchkey.KindEvent:
	}
	return latchkey.InstallationCreated
}

func (b *batch) step() store.Step {
	step := store.Step{Event: b.event}
	for _, r := range b.rows {
		r.put(&step)
	}
	return step
}

func (b *batch) settle() {
	for _, r := range b.rows {
		r.settle()
	}
}

// submit writes the batches as the steps of one change.
func (w *world) submit(batches ...*batch) (int64, error) {
	position, err := w.s.Submit(w.ctx(), store.Change{
		Organization: batches[0].event.Organization,
		Apply: func(*store.View) (store.Outcome, error) {
			var o store.Outcome
			for _, b := range batches {
				o.Steps = append(o.Steps, b.step())
			}
			return o, nil
		},
	})
	if err != nil {
		return position, err
	}
	var used []store.Use
	for _, b := range batches {
		b.settle()
		used = append(used, w.usesOf(b)...)
	}
	if len(used) == 0 {
		return position, nil
	}
	return position, w.countUses(used...)
}

// usesOf is what the keys of a batch say of their last uses, which no change
// writes.
func (w *world) usesOf(b *batch) (used []store.Use) {
	for _, r := range b.rows {
		if k, ok := r.(*rowOf[latchkey.Key]); ok {
			for i, s := range k.given.Secrets {
				if !s.LastUse.At.IsZero() {
					used = append(used, w.use(k.given, i, s.LastUse.At))
				}
			}
		}
	}
	return used
}

// use is a valid use of a key's secret. What is to be known of it besides stands
// in the secret.
func (w *world) use(k *latchkey.Key, secret int, at time.Time) store.Use {
	s := &k.Secrets[secret]
	return store.Use{
		Key: k.ID, KID: s.KID, Address: s.LastUse.Address, Agent: s.LastUse.Agent,
		Tally: latchkey.Tally{Code: latchkey.CodeValid, Source: latchkey.SourceOf(s.LastUse.Address), Count: 1, Last: at},
	}
}

// countUses counts a batch of uses, the next one of this world.
func (w *world) countUses(used ...store.Use) error {
	w.counting.Lock()
	defer w.counting.Unlock()
	w.counted.Number++
	w.counted.Uses = used
	return w.s.RecordUses(w.ctx(), w.counted)
}

// uses is countUses that must work.
func (w *world) uses(used ...store.Use) {
	w.t.Helper()
	w.ok("RecordUses", w.countUses(used...))
}

// write writes the objects in one step and gives its position.
func (w *world) write(objects ...any) int64 {
	w.t.Helper()
	position, err := w.submit(w.batch(objects...))
	w.ok("Submit", err)
	return position
}

// writeKeys is write for a list of keys.
func (w *world) writeKeys(keys []*latchkey.Key) int64 {
	w.t.Helper()
	return w.writeChunks(keys, len(keys))
}

// writeChunks writes the keys in one change, some in each step.
func (w *world) writeChunks(keys []*latchkey.Key, each int) int64 {
	w.t.Helper()
	var batches []*batch
	for chunk := range slices.Chunk(keys, each) {
		objects := make([]any, len(chunk))
		for i, k := range chunk {
			objects[i] = k
		}
		batches = append(batches, w.batch(objects...))
	}
	if len(batches) == 0 {
		return w.head()
	}
	position, err := w.submit(batches...)
	w.ok("Submit", err)
	return position
}

// see shows the view that a change with these reads gets. The look runs within
// the change, so it may report errors and must not end the test.
func (w *world) see(reads store.Reads, look func(v *store.View)) {
	w.t.Helper()
	_, err := w.s.Submit(w.ctx(), store.Change{Reads: reads, Apply: func(v *store.View) (store.Outcome, error) {
		look(v)
		return store.Outcome{}, nil
	}})
	w.ok("Submit", err)
}

// key reads a key that must be there.
func (w *world) key(id latchkey.ID) *store.Holder {
	w.t.Helper()
	h, err := w.s.Key(w.ctx(), id)
	w.ok("Key", err)
	return h
}

// list reads keys; its limit is high enough for all, and its Now after all that
// the builders made, unless the query says otherwise.
func (w *world) list(q store.KeyQuery) []store.ListedKey {
	w.t.Helper()
	if q.Limit == 0 {
		q.Limit = 10_000
	}
	if q.Now.IsZero() {
		q.Now = w.clock
	}
	keys, err := w.s.ListKeys(w.ctx(), q)
	w.ok("ListKeys", err)
	return keys
}

// counts wants that many keys; Now is as in list.
func (w *world) counts(what string, q store.KeyQuery, want int64) {
	w.t.Helper()
	if q.Now.IsZero() {
		q.Now = w.clock
	}
	got, err := w.s.CountKeys(w.ctx(), q)
	w.ok("CountKeys", err)
	if got != want {
		w.t.Errorf("%s: %d, want %d", what, got, want)
	}
}

func keyIDs(keys []store.ListedKey) []latchkey.ID {
	return idsOf(keys, func(k *store.ListedKey) latchkey.ID { return k.ID })
}

// events reads every event that the query selects.
func (w *world) events(q store.EventQuery) []latchkey.Event {
	w.t.Helper()
	if q.Limit == 0 {
		q.Limit = 100_000
	}
	events, err := w.s.Events(w.ctx(), q)
	w.ok("Events", err)
	return events
}

func (w *world) head() int64 {
	w.t.Helper()
	head, err := w.s.Head(w.ctx())
	w.ok("Head", err)
	return head
}

// tenant is an organization with its default project and a user.
type tenant struct {
	org     *latchkey.Organization
	project *latchkey.Project
	user    *latchkey.User
}

func (w *world) newTenant() *tenant {
	org := w.newOrganization()
	of := &tenant{org: org, project: w.newProject(org.ID), user: w.newUser(org.ID)}
	of.project.Default = true
	return of
}

// tenant writes a new tenant.
func (w *world) tenant() *tenant {
	w.t.Helper()
	of := w.newTenant()
	w.write(of.org, of.project, of.user)
	return of
}
