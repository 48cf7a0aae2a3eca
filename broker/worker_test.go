package broker_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/broker"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/store/sqlite"
	"latchkey.dev/latchkey/token"
	"latchkey.dev/latchkey/verify"
)

// desk is a Latchkey whose clock is the test's, at work on one broker.
type desk struct {
	*testing.T
	*rabbit
	store     *sqlite.Store
	ring      *keyring.Ring
	verifier  *verify.Verifier
	authority *authority.Authority
	named     *verify.Named
	root      authority.Call
	gateway   latchkey.Gateway
	worker    *broker.Worker
	feed      *feed
	stop      func()
	clock     atomic.Pointer[time.Time] // which moves when the test says so
}

func (d *desk) now() time.Time { return *d.clock.Load() }

// advance moves the clock, and has what is due then looked at.
func (d *desk) advance(by time.Duration) {
	d.set(d.now().Add(by))
	d.worker.Wake()
}

func (d *desk) set(now time.Time) { d.clock.Store(&now) }

func newDesk(t *testing.T) *desk {
	d := &desk{T: t, rabbit: newRabbit(t)}
	d.set(time.Now().Truncate(time.Millisecond)) // as errands have it
	dir := t.TempDir()
	var err error
	if d.store, err = sqlite.Open(t.Context(), dir, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.store.Close() })
	d.feed = &feed{Store: d.store}
	if d.ring, err = keyring.Create(filepath.Join(dir, "keyring.json"), rand.Reader, d.now()); err != nil {
		t.Fatal(err)
	}
	d.verifier = verify.New(d.store, d.ring, d.now, "test", slog.New(slog.DiscardHandler))
	d.authority = authority.New(authority.Config{
		Store: d.store, Ring: d.ring, Verifier: d.verifier, Clock: d.now, Random: rand.Reader, Log: slog.New(slog.DiscardHandler),
	})
	installation, _, err := d.authority.Bootstrap(t.Context(), authority.DefaultEmail)
	if err == nil {
		err = d.verifier.Fill(t.Context(), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	first, err := d.authority.CreateFirstKey(t.Context(), installation)
	if err != nil {
		t.Fatal(err)
	}
	d.root = d.caller(first.Secret)
	d.named = verify.NewNamed(d.verifier, d.store, token.New(d.store, d.ring))
	d.start()
	t.Cleanup(func() { d.stop() })
	return d
}

func (d *desk) caller(with latchkey.Plaintext) authority.Call {
	d.Helper()
	who, _, err := d.authority.Authenticate(d.Context(), with, netip.MustParseAddr("127.0.0.1"), "")
	if err != nil {
		d.Fatal(err)
	}
	return authority.Call{Caller: who}
}

// start begins to do errands, as a process does that has just started; stop ends
// it wherever it is.
func (d *desk) start() {
	d.worker = broker.New(broker.Config{Store: d.feed, Ring: d.ring, Named: d.named, Clock: d.now, Log: slog.New(slog.DiscardHandler)})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); d.worker.Run(ctx) }()
	d.stop = func() { stop(); <-done }
}

// register makes the broker known.
func (d *desk) register(deleteVHosts bool) {
	d.Helper()
	var err error
	d.gateway, _, _, err = d.authority.CreateGateway(d.Context(), &d.root, authority.NewGateway{
		Name: "rabbit", Profile: latchkey.ProfileRabbitMQ, All: true,
		Management: &authority.NewManagement{URL: d.URL, Username: "latchkey", Password: latchkey.NewPlaintext(managementPassword), DeleteVHosts: deleteVHosts},
	})
	if err != nil {
		d.Fatal(err)
	}
}

// key makes a partner's key.
func (d *desk) key(change ...func(*authority.NewKey)) authority.Issued {
	d.Helper()
	in := authority.NewKey{Name: "plant", Partner: "ACME", Scopes: []string{"amqp:read:*", "amqp:write:*"}}
	for _, c := range change {
		c(&in)
	}
	k, _, err := d.authority.CreateKey(d.Context(), &d.root, in)
	if err != nil {
		d.Fatal(err)
	}
	return k
}

// opens has the key open a connection.
func (d *desk) opens(k *authority.Issued, port string) {
	d.rabbit.connect(named(port), k.Key.ID.UUID(), latchkey.VHost(k.Key.ID))
}

func (d *desk) closes(why, port string) {
	d.Helper()
	eventually(d.T, why+", so the connection is closed", func() bool { return !d.isOpen(named(port)) })
}

func (d *desk) revoke(k *authority.Issued) {
	d.Helper()
	if _, _, err := d.authority.RevokeKey(d.Context(), &d.root, k.Key.ID, ""); err != nil {
		d.Fatal(err)
	}
}

func (d *desk) update(k *authority.Issued, patch authority.KeyPatch) {
	d.Helper()
	if _, _, err := d.authority.UpdateKey(d.Context(), &d.root, k.Key.ID, patch); err != nil {
		d.Fatal(err)
	}
}

// What is to be done is kept: by a process that dies between the event and the
// errand, and by one that dies while the broker is away.
func TestErrandsOutliveTheProcess(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.register(false)
	k, other := d.key(), d.key()
	eventually(t, "the virtual hosts are made", func() bool { return d.has(latchkey.VHost(k.Key.ID)) && d.has(latchkey.VHost(other.Key.ID)) })
	d.opens(&k, "1")
	d.opens(&other, "2")
	d.stop()
	d.revoke(&k)
	d.start()
	d.closes("its key was revoked while nobody did errands", "1")
	d.goes(true)
	before := d.calls()
	d.revoke(&other)
	eventually(t, "it is tried", func() bool { return d.calls() > before })
	d.stop()
	d.goes(false)
	d.start()
	d.advance(11 * time.Second) // the longest pause after failures
	d.closes("its key was revoked while the broker was away", "2")
}

// A broker that was away is told when it is back, after ten seconds at the latest.
func TestBrokerAwayAndBack(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.register(false)
	k := d.key()
	eventually(t, "the virtual host is made", func() bool { return d.has(latchkey.VHost(k.Key.ID)) })
	d.opens(&k, "1")
	d.goes(true)
	d.revoke(&k)
	for range 8 { // as long as it takes until it is tried every ten seconds
		before := d.calls()
		eventually(t, "it is tried again", func() bool { d.advance(time.Second); return d.calls() > before })
	}
	unmade := d.key()
	if !d.isOpen(named("1")) || d.has(latchkey.VHost(unmade.Key.ID)) {
		t.Fatal("this broker is not away")
	}
	d.goes(false)
	d.advance(10 * time.Second)
	d.closes("the broker is back", "1")
	eventually(t, "the virtual host is made", func() bool { return d.has(latchkey.VHost(unmade.Key.ID)) })
}

// Connections are closed at once, and again after 1, 5 and 30 seconds, each of them
// when it is time and not before; then no more.
func TestRounds(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.register(false)
	k := d.key()
	d.opens(&k, "0")
	narrower := []string{"amqp:read:*"}
	d.update(&k, authority.KeyPatch{Scopes: &narrower})
	d.closes("its key may do less", "0")
	d.rounds(&k)
	d.opens(&k, "later")
	before := d.calls()
	d.advance(2 * time.Minute) // the look at all connections comes each minute
	eventually(t, "all connections are looked at", func() bool { return d.calls() > before })
	d.settled()
	if !d.isOpen(named("later")) {
		t.Error("a connection that may be is closed after the last round")
	}
}

// rounds goes through the rounds that follow the first one.
func (d *desk) rounds(k *authority.Issued) {
	d.Helper()
	began := d.now()
	for port, at := range []time.Duration{time.Second, 5 * time.Second, 30 * time.Second} {
		name := at.String()
		d.settled()
		d.opens(k, name)
		d.advance(at - d.now().Sub(began) - time.Millisecond)
		other := d.key() // whose virtual host is made meanwhile
		eventually(d.T, "a virtual host is made", func() bool { return d.has(latchkey.VHost(other.Key.ID)) })
		if !d.isOpen(named(name)) {
			d.Errorf("round %d came before %v", port+1, at)
		}
		d.advance(time.Millisecond)
		d.closes("round "+name+" came", name)
	}
}

// settled waits until every event is an errand, none is being done and none is due.
func (d *desk) settled() {
	d.Helper()
	kinds := []store.ErrandKind{store.ErrandMake, store.ErrandFill, store.ErrandClose, store.ErrandEnd, store.ErrandCheck, store.ErrandLapse}
	eventually(d.T, "nothing is due", func() bool {
		d.feed.hands.Lock()
		defer d.feed.hands.Unlock()
		head, err := d.store.Head(d.Context())
		if err != nil || d.feed.planned.Load() < head {
			return false
		}
		due, err := d.store.NextErrand(d.Context(), d.gateway.ID, kinds)
		return err == nil && (due.IsZero() || due.After(d.now()))
	})
}

// A key that ends, a secret that ends, and a token with which somebody logged in:
// their connections end by themselves.
func TestConnectionsEndByThemselves(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.register(false)
	ends := d.key(func(k *authority.NewKey) { k.ExpiresAt = d.now().Add(time.Hour) })
	rotates := d.key()
	if _, _, err := d.authority.RotateKey(t.Context(), &d.root, rotates.Key.ID, 2*time.Hour); err != nil {
		t.Fatal(err)
	}
	d.opens(&ends, "1")
	d.opens(&rotates, "2")
	d.settled()
	d.advance(58 * time.Minute)
	d.still("1", "2")
	d.advance(time.Minute)
	d.closes("the key has ended", "1")
	d.still("2")
	d.advance(time.Hour) // the overlap began a moment later, by the clock of the store
	d.closes("the overlap has ended", "2")
}

// still wants connections to be open when a minute has passed, and with it the look
// at all of them.
func (d *desk) still(ports ...string) {
	d.Helper()
	before := d.calls()
	d.advance(time.Minute)
	eventually(d.T, "all connections are looked at", func() bool { return d.calls() > before })
	d.settled()
	for _, port := range ports {
		if !d.isOpen(named(port)) {
			d.Errorf("connection %s is closed", port)
		}
	}
}

// token gives one for the secret.
func (d *desk) token(k *authority.Issued, life time.Duration) latchkey.Plaintext {
	d.Helper()
	call := d.caller(k.Secret)
	made, err := d.authority.ExchangeToken(d.Context(), &call, authority.NewToken{Issuer: "https://latchkey.example.com", Spell: spell, Life: life})
	if err != nil {
		d.Fatal(err)
	}
	return made.Value
}

func (d *desk) login(k *authority.Issued, password latchkey.Plaintext) latchkey.Code {
	d.Helper()
	return d.named.Login(d.Context(), &d.gateway, k.Key.ID.UUID(), password)
}

// A connection lasts no longer than the token with which it was opened, though the
// process died meanwhile; the earliest end counts, and each login is noted.
func TestTokensLapse(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.register(false)
	k, other := d.key(), d.key()
	for _, life := range []time.Duration{20 * time.Minute, 10 * time.Minute, 30 * time.Minute} {
		if code := d.login(&k, d.token(&k, life)); code != latchkey.CodeValid {
			t.Fatalf("a token opens nothing: %s", code)
		}
	}
	d.opens(&k, "1")
	d.opens(&other, "2")
	d.stop()
	d.start()
	d.advance(8 * time.Minute)
	d.still("1", "2")
	d.advance(time.Minute)
	d.closes("the first token has ended", "1")
	d.rounds(&k)
	again := d.token(&k, 10*time.Minute)
	if code := d.login(&k, again); code != latchkey.CodeValid {
		t.Fatalf("a token opens nothing: %s", code)
	}
	d.opens(&k, "3")
	d.still("2", "3")
	call := d.caller(other.Secret)
	if _, err := d.authority.RevokePresented(t.Context(), &call, again, nil); err != nil {
		t.Fatal(err)
	}
	d.closes("its token was revoked", "3")
	if code := d.login(&k, again); code != latchkey.CodeRevoked {
		t.Errorf("a token that was revoked: %s", code)
	}
	d.still("2")
}

// Tokens open nothing where their end could not be held against a connection.
func TestTokensThatOpenNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.register(false)
	k := d.key()
	minted, err := d.authority.MintToken(t.Context(), &d.root, k.Key.ID, authority.NewToken{Issuer: "https://latchkey.example.com", Spell: spell})
	if err != nil {
		t.Fatal(err)
	}
	if code := d.login(&k, minted.Value); code != latchkey.CodeUnknown {
		t.Errorf("a token that another minted: %s", code)
	}
	theirs := d.token(&k, time.Minute)
	d.gateway.Management = latchkey.Management{}
	if code := d.login(&k, theirs); code != latchkey.CodeUnknown {
		t.Errorf("a token where no connection can be closed: %s", code)
	}
	if code := d.login(&k, k.Secret); code != latchkey.CodeValid {
		t.Errorf("a secret there: %s", code)
	}
	d.stop()
	_ = d.store.Close()
	d.gateway.Management.URL = d.URL
	if code := d.login(&k, theirs); code != latchkey.CodeVerifyUnavailable {
		t.Errorf("a token whose login cannot be noted: %s", code)
	}
	d.start()
}

// The virtual host of a revoked key goes where that was asked for, after the last
// round, and no other's does.
func TestVirtualHostsAreDeleted(t *testing.T) {
	t.Parallel()
	for _, asked := range []bool{true, false} {
		d := newDesk(t)
		d.register(asked)
		k, narrowed := d.key(), d.key()
		gone, stays := latchkey.VHost(k.Key.ID), latchkey.VHost(narrowed.Key.ID)
		eventually(t, "the virtual hosts are made", func() bool { return d.has(gone) && d.has(stays) })
		d.opens(&k, "1")
		d.revoke(&k)
		off := false
		d.update(&narrowed, authority.KeyPatch{Enabled: &off})
		d.closes("its key was revoked", "1")
		if !d.has(gone) {
			t.Error("a virtual host is deleted before the last round")
		}
		d.rounds(&k)
		if asked {
			eventually(t, "the virtual host is deleted", func() bool { return !d.has(gone) })
		}
		d.settled()
		if d.has(gone) == asked || !d.has(stays) {
			t.Errorf("asked: %v; the revoked key's virtual host is there: %v; the other's: %v", asked, d.has(gone), d.has(stays))
		}
	}
}

// Whatever a key hangs on, its connections end with it.
func TestSuspended(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.register(false)
	owner, _, err := d.authority.CreateUser(t.Context(), &d.root, authority.NewUser{Kind: latchkey.Person, Name: "Ada", Email: "ada@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	organization, _, err := d.authority.CreateOrganization(t.Context(), &d.root, authority.NewOrganization{Name: "ACME"})
	if err != nil {
		t.Fatal(err)
	}
	owned, free := d.key(func(k *authority.NewKey) { k.Owner = owner.ID }), d.key()
	home := d.root.Organization
	d.root.Organization = organization.ID
	tenant := d.key()
	d.root.Organization = home
	d.opens(&owned, "1")
	d.opens(&tenant, "2")
	d.opens(&free, "3")
	d.settled()
	yes := true
	if _, _, err := d.authority.UpdateUser(t.Context(), &d.root, owner.ID, authority.UserPatch{Suspended: &yes}); err != nil {
		t.Fatal(err)
	}
	d.closes("the owner is suspended", "1")
	d.still("2", "3")
	if _, _, err := d.authority.UpdateOrganization(t.Context(), &d.root, organization.ID, authority.OrganizationPatch{Suspended: &yes}); err != nil {
		t.Fatal(err)
	}
	d.closes("the organization is suspended", "2")
	d.still("3")
}

// A broker that is registered is given the virtual hosts of all keys that were there
// before it, once; and those that it has already are left alone.
func TestNewBrokerIsFilled(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	k, there, revoked, other := d.key(), d.key(), d.key(), d.key(func(k *authority.NewKey) { k.Partner = "" })
	d.revoke(&revoked)
	d.rabbit.vhosts = []string{"/", latchkey.VHost(there.Key.ID)}
	d.rabbit.connect(named("1"), revoked.Key.ID.UUID(), latchkey.VHost(revoked.Key.ID))
	d.rabbit.connect(named("2"), "latchkey", "/")
	d.register(false)
	eventually(t, "the virtual host is made", func() bool { return d.has(latchkey.VHost(k.Key.ID)) })
	d.closes("nobody would let it in", "1")
	d.settled()
	d.still("2")
	d.rabbit.mu.Lock()
	defer d.rabbit.mu.Unlock()
	if len(d.rabbit.vhosts) != 3 {
		t.Errorf("the broker has %q, not those of %s and %s alone beside its own; there are %s and %s", d.rabbit.vhosts, k.Key.ID.UUID(), there.Key.ID.UUID(), revoked.Key.ID.UUID(), other.Key.ID.UUID())
	}
}

func spell(id latchkey.ID) string { return id.Native(latchkey.KindKey) }

// feed is a store that tells of events which it will have lost, and that knows what
// the worker does.
type feed struct {
	broker.Store
	lost    atomic.Int64 // how many it tells of, after its last one
	after   atomic.Int64 // after which position it was asked last
	told    atomic.Int64 // through which position it told of events
	planned atomic.Int64 // through which position they are errands
	hands   sync.RWMutex // held for reading while errands are being done
}

// TakeErrands is followed by KeepErrands unless it fails.
func (f *feed) TakeErrands(ctx context.Context, gateway latchkey.ID, kinds []store.ErrandKind, now, until time.Time, limit int) ([]store.Errand, error) {
	f.hands.RLock()
	taken, err := f.Store.TakeErrands(ctx, gateway, kinds, now, until, limit)
	if err != nil {
		f.hands.RUnlock()
	}
	return taken, err
}

func (f *feed) KeepErrands(ctx context.Context, errands []store.Errand) error {
	defer f.hands.RUnlock()
	return f.Store.KeepErrands(ctx, errands)
}

// Events is called again when what it told of before has been made errands.
func (f *feed) Events(ctx context.Context, q store.EventQuery) ([]latchkey.Event, error) {
	f.planned.Store(f.told.Load())
	events, err := f.Store.Events(ctx, q)
	last := q.After
	if len(events) > 0 {
		last = events[len(events)-1].Position
	}
	f.told.Store(last)
	for range f.lost.Load() {
		last++
		events = append(events, latchkey.Event{Position: last, ID: latchkey.ID{byte(last)}, Type: latchkey.ProjectCreated})
	}
	if f.lost.Load() > 0 {
		f.lost.Store(0)
		f.after.Store(last)
	}
	return events, err
}

// Where the database lost events, others have their positions: none of those is
// taken for one that was read already.
func TestEventsAreLost(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.register(false)
	k := d.key()
	eventually(t, "the virtual host is made", func() bool { return d.has(latchkey.VHost(k.Key.ID)) })
	d.settled()
	d.opens(&k, "1")
	d.feed.lost.Store(3)
	if _, _, err := d.authority.CreateOrganization(t.Context(), &d.root, authority.NewOrganization{Name: "ACME"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "events are read that will be lost", func() bool { return d.feed.after.Load() > 0 })
	d.revoke(&k)
	if head, err := d.store.Head(t.Context()); err != nil || head > d.feed.after.Load() {
		t.Fatalf("the revocation is at %d, beyond the %d that were read: %v", head, d.feed.after.Load(), err)
	}
	d.closes("its key was revoked where another event was", "1")
}
