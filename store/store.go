// Package store is the contract between the authority and the place where keys
// are kept: a few small interfaces, the change that is written through them,
// and the one writer that groups changes. Drivers (store/sqlite) implement it;
// package storetest is the suite that each of them passes.
//
// What every driver promises:
//
//   - A change whose Submit returned nil is committed and has been synced to
//     stable storage. A change that returned an error is not, save for
//     ErrUncertain, which says so.
//   - Each step of a change is one event with the rows that it describes, in
//     one transaction. Positions have no gap and are in commit order.
//   - Times are kept to the millisecond, in UTC; text byte for byte; an empty
//     list stays apart from an absent one where the domain tells them apart.
//   - Tombstones (Record.DeletedAt) are never returned.
//
// What it does not do: decide. Who may do what, what a change means and which
// events it makes are the authority's.
package store

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"latchkey.dev/latchkey"
)

// The three failures that a caller tells apart. Anything else is a fault of the
// driver.
var (
	ErrNotFound    = errors.New("not found")
	ErrConflict    = errors.New("conflicts with what is stored") // see ConflictError
	ErrUnavailable = errors.New("the store is unavailable")      // unreachable, full, read-only, closing
)

// ConflictError is an ErrConflict that names the field whose value is taken.
type ConflictError struct {
	Field string // name, email, identifier, digest …
}

// Error implements error.
func (e *ConflictError) Error() string { return "taken: " + e.Field }

// Is makes it an ErrConflict.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// Store is everything that a driver offers.
type Store interface {
	Keys
	Directory
	Feed
	Credentials
	Uses
	TokenKeyReader
	GatewayReader
	TokenRefusals
	IssuerReader
	Errands
	Submitter
	Nonces
	Maintenance

	// Close stops taking changes, finishes those that it took, and lets go of
	// the store. Later calls fail with ErrUnavailable.
	Close() error
}

// Holder is a key with everything that decides what it may do.
type Holder struct {
	Key          latchkey.Key
	Organization latchkey.Organization
	Owner        *latchkey.User  // nil: the key has none, or it is gone
	Roles        []latchkey.Role // the key's own role and those of its owner; built-in ones included
}

// Grant resolves what the key may do now.
func (h *Holder) Grant() *latchkey.Grant {
	return latchkey.ResolveGrant(&h.Key, h.Organization.Suspended, h.Owner, h.Roles)
}

// Keys reads keys.
type Keys interface {
	// Key returns the key with that id, in any state, or ErrNotFound.
	Key(ctx context.Context, id latchkey.ID) (*Holder, error)

	// ListKeys returns the keys that match, in the order asked for, at most
	// query.Limit of them. A page in an order that has cursors is found from
	// indexes, however many keys there are; Creator, and the orders without
	// cursors, may cost a look at every key of the organization.
	ListKeys(ctx context.Context, query KeyQuery) ([]ListedKey, error)

	// CountKeys returns how many keys match, exactly: After, Offset, Limit and
	// the order do not count. It costs no look at each key where nothing but
	// the fields above KeyQuery.Owner filters; a driver keeps tallies for that.
	CountKeys(ctx context.Context, query KeyQuery) (int64, error)
}

// ListedKey is a key as lists show it.
type ListedKey struct {
	latchkey.Key
	Suspended bool // its owner or its organization
}

// KeySort is what a list of keys is ordered by.
type KeySort string

// The orders. Those that have cursors come first.
const (
	ByCreation KeySort = "created"    // by Ordinal
	ByUpdate   KeySort = "updated"    // by Revision
	ByName     KeySort = "name"       // by bytes
	ByExpiry   KeySort = "expires_at" // keys without expiry are last in ascending order

	ByID    KeySort = "id"    // by bytes
	ByRole  KeySort = "role"  // by the bytes of the role's id; keys without one are first in ascending order
	ByState KeySort = "state" // as of Now: revoked, then disabled and expired as one, then live
)

// KeyOrder is one term of an order.
type KeyOrder struct {
	By         KeySort
	Descending bool
}

// KeyQuery selects keys of one organization. Zero fields do not filter.
//
// The order is Sort, then the terms of Then, then Ordinal in Sort's direction.
type KeyQuery struct {
	Organization latchkey.ID
	Project      latchkey.ID
	MaxReach     latchkey.Reach   // reaches no further than this
	States       []latchkey.State // one of these, as of Now; empty: whichever
	Role         latchkey.ID      // of its own, as all that follows about roles
	HasRole      bool
	Builtin      bool // its role is a built-in one
	HasOwner     bool // whether or not the owner is still there
	HasPartner   bool

	Owner          latchkey.ID
	Partner        string
	Creator        latchkey.ID // the user or the key that made it
	Name           string      // exactly this name
	Search         string      // substring of the name without regard to case, or prefix of a kid
	SearchIDs      bool        // Search is not a prefix of a kid but perhaps the whole id in hexadecimal
	ExpiringBefore time.Time   // expires before then, and has not been revoked
	UnusedSince    time.Time   // not used since then, made before then, and not revoked

	Sort       KeySort // "" is ByCreation
	Descending bool
	Then       []KeyOrder
	After      *KeyCursor // only what follows it in that order; for the orders that have cursors, without Then
	Offset     int        // leaves out that many of those
	Limit      int
	Now        time.Time
}

// KeyCursor is the place of one key in an order: of any key, also one that the
// query does not select, or that is no longer what it was.
type KeyCursor struct {
	Ordinal int64
	Number  int64  // ByUpdate: Revision. ByExpiry: Unix milliseconds, MaxInt64 for never
	Text    string // ByName
}

// Page selects a part of a directory list, newest first.
type Page struct {
	Organization latchkey.ID // of projects, users and roles; ignored for organizations
	Before       int64       // only ordinals below; 0 for the newest
	Limit        int
}

// Directory reads what keys hang on. Get methods return ErrNotFound for what
// does not exist or was deleted.
type Directory interface {
	// Installation returns what the bootstrap wrote, or ErrNotFound before it.
	Installation(ctx context.Context) (*Installation, error)

	Organization(ctx context.Context, id latchkey.ID) (*latchkey.Organization, error)
	Project(ctx context.Context, id latchkey.ID) (*latchkey.Project, error)
	User(ctx context.Context, id latchkey.ID) (*latchkey.User, error)

	// Role and RoleByIdentifier know custom roles only; built-in ones are in
	// the domain.
	Role(ctx context.Context, id latchkey.ID) (*latchkey.Role, error)
	RoleByIdentifier(ctx context.Context, organization latchkey.ID, identifier string) (*latchkey.Role, error)

	// DefaultProject returns the organization's default project.
	DefaultProject(ctx context.Context, organization latchkey.ID) (*latchkey.Project, error)

	ListOrganizations(ctx context.Context, page Page) ([]latchkey.Organization, error)
	ListProjects(ctx context.Context, page Page) ([]latchkey.Project, error)
	ListUsers(ctx context.Context, page Page) ([]latchkey.User, error)
	ListRoles(ctx context.Context, page Page) ([]latchkey.Role, error)

	// DataKey returns the organization's wrapped data key.
	DataKey(ctx context.Context, organization latchkey.ID) (*DataKey, error)
}

// Installation is what is true of the store as a whole.
type Installation struct {
	ID       latchkey.ID
	Operator latchkey.ID // the first organization
	Owner    latchkey.ID // its first user
	Ring     string      // fingerprint of the key ring
	Versions []RingVersion
}

// RingVersion is a version of the key ring that rows may depend on.
type RingVersion struct {
	Number      int
	Fingerprint string
	Active      bool
	Retired     bool
}

// DataKey is an organization's data key, wrapped by a version of the key ring.
type DataKey struct {
	ID           [16]byte
	Organization latchkey.ID
	Version      int // of the ring
	Wrapped      []byte
}

// EventQuery selects events in ascending order of position.
type EventQuery struct {
	Organization latchkey.ID // zero: every organization's
	After        int64
	Type         latchkey.EventType // "" for any
	Object       latchkey.ID        // zero for any
	Limit        int
}

// Feed reads the record of changes.
type Feed interface {
	// Events returns the events after query.After, oldest first.
	Events(ctx context.Context, query EventQuery) ([]latchkey.Event, error)

	// Head returns the position of the newest event, 0 if there is none.
	Head(ctx context.Context) (int64, error)

	// Changed returns a channel that is closed when a change commits after the
	// call. It may be closed for nothing; a follower reads the feed either way.
	Changed() <-chan struct{}
}

// Credential is a secret with its holder.
type Credential struct {
	Holder
	Secret latchkey.Secret
}

// Redigest replaces a secret's digest by one under another version of the ring.
type Redigest struct {
	KID      latchkey.KID
	Old, New [32]byte
	Version  int
}

// Credentials finds secrets for verification.
type Credentials interface {
	// ByKID returns the secret with that public key id, or ErrNotFound.
	ByKID(ctx context.Context, kid latchkey.KID) (*Credential, error)

	// ByForeignDigest returns the imported secret with one of these digests,
	// or ErrNotFound.
	ByForeignDigest(ctx context.Context, digests [][32]byte) (*Credential, error)

	// Generation is another number once what ByKID, ByForeignDigest,
	// TokenKeyReader.TokenKeys or GatewayReader.Gateways returned may be different, and it is so before
	// the change is acknowledged. Keys that are added do not alter it, nor do
	// times of last use. 0 says that the driver cannot know, as after Close:
	// then nothing may be kept.
	Generation() uint64

	// Local is what an index in memory is filled from and kept current by. It
	// is nil where other processes write to the store too.
	Local() Local

	// Shared is the same where several processes do so, each with a memory of
	// its own. It is nil where one has the store to itself.
	Shared() Shared

	// Redigest replaces digests that still are Old. It writes no event.
	Redigest(ctx context.Context, changes []Redigest) error

	// PepperVersions counts the secrets of keys that are not revoked by the
	// ring version of their digest.
	PepperVersions(ctx context.Context) (map[int]int64, error)
}

// Use is what became of a secret within an hour, from one source and with one
// code. Of the tally the hour is not looked at: it is that of Last.
type Use struct {
	Key latchkey.ID
	KID latchkey.KID
	latchkey.Tally

	Address netip.Addr // of the last of them
	Agent   string
}

// UseBatch is uses that are written together. The batches of one boot of a
// process are numbered from 1, and come in that order.
type UseBatch struct {
	Boot   [16]byte
	Number int64
	Uses   []Use
}

// UsageQuery selects what is kept of a key's uses.
type UsageQuery struct {
	Key    latchkey.ID
	Since  time.Time // hours that began at or after then; zero: from the first
	Before time.Time // hours that began before then; zero: to the last
	Hours  int       // at most so many of them, the latest
}

// Uses keeps what verification counted. They are no changes: they have no event,
// and no change waits for them longer than for another change.
type Uses interface {
	// RecordUses adds the batch to what is counted, and raises the last use of
	// secrets whose code was valid, which never goes back. A batch whose number
	// is not above that of the boot's last one was counted before, and is not
	// counted again; so one that failed is sent again as it was. Of the sources
	// of a key, hour and code only the first latchkey.MaxSources are told apart.
	RecordUses(ctx context.Context, batch UseBatch) error

	// Usage returns what is kept of a key's uses, the latest hour first, then by
	// code and source.
	Usage(ctx context.Context, query UsageQuery) ([]latchkey.Tally, error)
}

// Scanner reads every key, for an index in memory.
type Scanner interface {
	// CountAllKeys returns how many keys there are, of every organization and
	// in every state. It costs no look at each of them.
	CountAllKeys(ctx context.Context) (int64, error)

	// ScanKeys hands over the keys whose creating event is after one position
	// and not after the other, as one snapshot, whatever their state and their
	// organization's. A key has what verification asks about: ID, Organization,
	// Project, Reach, Environment, Owner, Partner, Policy, Enabled, ExpiresAt,
	// RevokedAt (when does not matter), SigningMode, Metadata, and of its Secrets KID,
	// Scheme, Pepper, Digest and ExpiresAt. Keys with the same policy number
	// have equal policies. The key is row's for the time of the call alone. An
	// error of row ends the scan and is returned.
	ScanKeys(ctx context.Context, after, through int64, row func(k *latchkey.Key, policy int64) error) error
}

// Local is a store of which every change goes through this process.
type Local interface {
	Scanner

	// Follow tells f of everything that commits from now on.
	Follow(f Follower)
}

// Follower is told of changes by the one who writes them, which waits for it.
type Follower interface {
	// Committed is called for each change, in the order of positions, before
	// the change is acknowledged. The steps are not the follower's to alter.
	Committed(steps []Step)

	// Uncertain says that some change may have been made or not. It is called
	// before whoever submitted it is told so.
	Uncertain()

	// Ended says that the store was closed: others may write to it from now on.
	Ended()
}

// TokenKey is a key with which tokens are signed. It goes from published to
// active to retired, and its row is deleted when nothing that it signed can be
// valid any more.
type TokenKey struct {
	ID        latchkey.ID
	Algorithm string    // of JSON Web Signatures: ES256, RS256
	Public    []byte    // SubjectPublicKeyInfo (RFC 5280, section 4.1), DER
	Sealed    []byte    // the private key; nil once it signs no more
	ActiveAt  time.Time // signs since then; zero: not yet
	RetiredAt time.Time // signs no more since then; zero: it does, or will
	latchkey.Record
}

// TokenKeyReader reads what tokens are signed and checked with.
type TokenKeyReader interface {
	// TokenKeys returns the keys that are not deleted, oldest first.
	TokenKeys(ctx context.Context) ([]TokenKey, error)
}

// GatewayReader reads gateways. There are few, and they are kept in memory for
// verification, so they are read all at once.
type GatewayReader interface {
	// Gateways returns every organization's gateways that are not deleted,
	// oldest first.
	Gateways(ctx context.Context) ([]latchkey.Gateway, error)
}

// TokenRefusal says that tokens are refused which nothing else refuses: those of
// one family.
type TokenRefusal struct {
	Family string    // what the tokens have in common
	Until  time.Time // none of them can be valid then any more; it is forgotten
}

// TokenRefusals reads which tokens are refused. That is asked for each token and
// never kept, so it holds everywhere as soon as it is committed.
type TokenRefusals interface {
	// TokenRefused reports whether one of the families is refused.
	TokenRefused(ctx context.Context, families ...string) (bool, error)
}

// IssuerReader reads issuers. That is asked for each of their tokens and never
// kept, so a change holds everywhere as soon as it is committed.
type IssuerReader interface {
	// IssuersAt returns the issuers with that URL that are not deleted, of every
	// organization, oldest first.
	IssuersAt(ctx context.Context, url string) ([]latchkey.Issuer, error)

	// Issuers returns the organization's that are not deleted, oldest first.
	Issuers(ctx context.Context, organization latchkey.ID) ([]latchkey.Issuer, error)
}

// Submitter writes.
type Submitter interface {
	// Submit commits the change, in a group with others that wait, and returns
	// the position of its last event (the store's head if it made none). The
	// error is the one that Apply returned, ErrConflict, ErrUnavailable or
	// ErrUncertain. Canceling ctx takes the change back only while it waits.
	Submit(ctx context.Context, change Change) (position int64, err error)
}

// Nonces forgets the nonces of signed requests. They are spent by changes.
//
// Some are lost with what a failover or a restore loses. A driver that finds
// itself on another store than before, or on an older state of it, raises the
// floor to the last moment from which a signature could have been accepted:
// its clock's now, and latchkey.SignatureAhead.
type Nonces interface {
	// PruneNonces forgets the nonces that no signature can have any more. It
	// raises the floor first, and commits that. A floor never falls.
	PruneNonces(ctx context.Context) error

	// RaiseNonceFloor refuses every signature that could have been made before
	// now, as after a restore of which the driver does not know.
	RaiseNonceFloor(ctx context.Context) error
}

// Old says what need not be kept any longer; a zero time keeps all.
type Old struct {
	Sealed time.Time // the sealed part of idempotency records made before then
	Calls  time.Time // idempotency records made before then
	Uses   time.Time // tallies of hours that began before then
}

// Maintenance is what keeps a store fit.
type Maintenance interface {
	// Sweep drops what need not be kept any longer.
	Sweep(ctx context.Context, old Old) error

	// SweepTokens forgets the refusals of tokens that ended before then.
	SweepTokens(ctx context.Context, endedBefore time.Time) error

	// Ping reports whether the store can be read now.
	Ping(ctx context.Context) error
}
