package store

import (
	"errors"
	"slices"
	"time"

	"latchkey.dev/latchkey"
)

// ErrUncertain says that the store failed while it committed: the change may or
// may not be there. A retry with the same Idempotency-Key finds out.
var ErrUncertain = errors.New("the store failed while committing; the change may have been made")

// Change is one mutation. What it needs to know is declared, so that a driver
// can read for a whole group at once; what it decides is a pure function of
// what was read, so that a driver can run it again.
type Change struct {
	Organization latchkey.ID // whose turn it takes
	Urgent       bool        // goes before others: it takes rights away
	Weight       int         // how many rows it is about; 0 is 1. Those who wait behind it wait for all of them
	Reads        Reads

	// Apply decides. It must not keep the view, and must make new objects each
	// time. An error refuses this change and no other of its group.
	Apply func(view *View) (Outcome, error)
}

func (c *Change) weight() int { return max(c.Weight, 1) }

// Reads names what a change must see in its own transaction.
type Reads struct {
	Installation  bool
	TokenKeys     bool // all of them
	Gateways      bool // all of them
	Keys          []latchkey.ID
	Organizations []latchkey.ID
	Projects      []latchkey.ID
	Users         []latchkey.ID
	Roles         []latchkey.ID // custom ones; built-in ones need no reading
	Holdings      []latchkey.ID // projects, users or roles of which it must know what hangs on them
	DataKeys      []latchkey.ID // by organization
	Records       []RecordKey   // the one call under each version of the key ring
	Nonces        []NonceKey    // of signed requests
	IssuersAt     []string      // URLs, of which it must know every issuer
	Tokens        []string      // families, of which it must know whether they are refused
}

// View is what was read, as it is in the transaction. What does not exist, or
// was deleted, is absent.
type View struct {
	Now           time.Time // the transaction's time, to the millisecond
	Installation  *Installation
	TokenKeys     []TokenKey         // oldest first
	Gateways      []latchkey.Gateway // the same
	Keys          map[latchkey.ID]*Holder
	Organizations map[latchkey.ID]*latchkey.Organization
	Projects      map[latchkey.ID]*latchkey.Project
	Users         map[latchkey.ID]*latchkey.User
	Roles         map[latchkey.ID]*latchkey.Role
	Holdings      map[latchkey.ID]Holding
	DataKeys      map[latchkey.ID]*DataKey
	Records       map[RecordKey]*Record
	Nonces        map[NonceKey]bool // those that are spent
	NonceFloor    time.Time         // no signature from then or before is accepted; read with any nonce
	Issuers       []latchkey.Issuer // oldest first
	Refused       map[string]bool   // families of tokens
}

// Holding is what hangs on a project, user, role or organization.
type Holding struct {
	Keys  int64 // keys that are not revoked
	Users int64 // memberships
}

// Role finds a role of the view or a built-in one.
func (v *View) Role(id latchkey.ID) (latchkey.Role, bool) {
	if r, ok := latchkey.BuiltinRoleByID(id); ok {
		return r, true
	}
	if r := v.Roles[id]; r != nil {
		return *r, true
	}
	return latchkey.Role{}, false
}

// Outcome is what a change decided to write.
type Outcome struct {
	Steps  []Step
	Record *Record // remembers the call, if it had an Idempotency-Key; replaces an older record of the same key
	Nonces []Nonce // of signed requests, spent by this; no event tells of them
}

// Step is one event and the rows that it describes: nothing can be written
// without its event. Rows are whole new states; a row whose Ordinal is 0 is
// new. The driver numbers the event and sets Ordinal and Revision of the rows.
//
// Where the event's object is a key, there are no organizations, users, roles,
// token keys and gateways: of such events nodes read keys alone.
type Step struct {
	Event         latchkey.Event
	Keys          []*latchkey.Key
	Organizations []*latchkey.Organization
	Projects      []*latchkey.Project
	Users         []*latchkey.User
	Roles         []*latchkey.Role
	DataKeys      []*DataKey
	TokenKeys     []*TokenKey
	Gateways      []*latchkey.Gateway
	Issuers       []*latchkey.Issuer
	TokenRefusals []TokenRefusal
	Installation  *Installation
}

// OrdinalShift leaves room for the place within a batch: an object's ordinal is
// the position of its creating event, shifted, plus its index in the step.
const OrdinalShift = 16

// Number gives the step's event its position and its rows their revision and,
// where they are new, their ordinal. Drivers call it when they write.
func (s *Step) Number(position int64) {
	s.Event.Position = position
	var i int64
	number := func(r *latchkey.Record) {
		if r.Ordinal == 0 {
			r.Ordinal = position<<OrdinalShift + i
		}
		r.Revision = position
		i++
	}
	for _, o := range s.Organizations {
		number(&o.Record)
	}
	for _, p := range s.Projects {
		number(&p.Record)
	}
	for _, u := range s.Users {
		number(&u.Record)
	}
	for _, r := range s.Roles {
		number(&r.Record)
	}
	for _, k := range s.Keys {
		number(&k.Record)
	}
	for _, k := range s.TokenKeys {
		number(&k.Record)
	}
	for _, g := range s.Gateways {
		number(&g.Record)
	}
	for _, i := range s.Issuers {
		number(&i.Record)
	}
}

// RecordKey identifies a call that was made with an Idempotency-Key.
type RecordKey struct {
	Caller       latchkey.ID // the calling key; zero for the socket
	Organization latchkey.ID
	Route        string   // method and route with the ids in it
	Tag          [32]byte // HMAC of the header, which itself is never stored
}

// Record remembers a call, so that its retry gets the same objects and not new ones.
type Record struct {
	RecordKey
	BodyHash  [32]byte
	Objects   []latchkey.ID
	Sealed    []byte // the secrets, sealed under the header; nil once it is too late to tell them again
	CreatedAt time.Time
}

// NonceKey is what a signed request may have once.
type NonceKey struct {
	KID  latchkey.KID
	Hash [32]byte // SHA-256 of the nonce
}

// Nonce is spent by the request that had it.
type Nonce struct {
	NonceKey
	Created time.Time // when the request was signed, to the second
}

// Bound is what a record's sealed part is bound to, so that records cannot be
// swapped: every field that identifies the call.
func (r *Record) Bound() []byte {
	out := append([]byte{}, r.Caller[:]...)
	out = append(out, r.Organization[:]...)
	out = append(out, r.Tag[:]...)
	out = append(out, r.BodyHash[:]...)
	return append(out, r.Route...)
}

// Disturbs reports whether what was read of the store before may be otherwise
// now: whether the outcome does anything but add keys. It asks the rows, which
// the driver has numbered, and not what their events declare: that is about
// verdicts alone (latchkey.Consequence), and more than verdicts is kept.
// Issuers and refusals of tokens never are.
func (o Outcome) Disturbs() bool {
	return slices.ContainsFunc(o.Steps, func(s Step) bool {
		return len(s.Organizations)+len(s.Projects)+len(s.Users)+len(s.Roles)+len(s.TokenKeys)+len(s.Gateways) > 0 || s.Installation != nil ||
			slices.ContainsFunc(s.Keys, func(k *latchkey.Key) bool { return k.Ordinal>>OrdinalShift != s.Event.Position })
	})
}
