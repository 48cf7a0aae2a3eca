// Package verify answers the one question that is asked all day: may this key
// do this, now?
//
// It promises a true answer or none: a verdict reflects every change that was
// acknowledged before the question came, and where that cannot be known the
// verdict is unavailable, which every caller treats as a refusal. Nothing is
// told about a key before its digest matched, and an unknown key costs as much
// work as a known one.
//
// It answers from memory once it was filled ([Verifier.Fill]): the index has
// every secret, so a key that is not in it is refused without asking the store.
// Where one process has the store, its writer brings each change into the index
// before the change is acknowledged; until it is filled, and whenever a commit's
// outcome is uncertain, each verification asks the store.
//
// Where several nodes share the store, each follows the feed and answers for as
// long as its lease runs, which says when it last knew that it was current; a
// change is effective everywhere when each node applied it or its lease has run
// out ([Nodes]). Without a lease every verdict is unavailable.
//
// It writes one thing before it answers: the nonce of a signed request, once
// nothing else can refuse it (signature.go). Uses are counted in memory, and
// digests that have to move to a newer pepper remembered, and written behind; a
// crash loses at most what was not written yet.
package verify

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/token"
)

// Request is a key that was presented, and what is asked of it.
type Request struct {
	Key         latchkey.Plaintext
	Within      Within
	Environment latchkey.Environment // required; "" for either
	Address     netip.Addr           // the client's; the zero value is undetermined
	Agent       string               // what the client program calls itself; nothing is decided by it
	Signature   *Message             // the request that it came with; nil: it is not signed
	Anywhere    bool                 // the address is asked about in another question
	Resource    latchkey.Resource
	Scopes      latchkey.Requirement
}

// Within is whose keys the asker may learn about. A key beyond it is unknown.
type Within struct {
	Organization latchkey.ID // zero: every organization's
	Project      latchkey.ID // zero: the whole organization's
}

// Includes reports whether the asker may learn about the holder.
func (w Within) Includes(k *Holder) bool {
	return (w.Organization.IsZero() || w.Organization == k.Organization && k.Reach != latchkey.ReachAll) &&
		(w.Project.IsZero() || w.Project == k.Project && k.Reach == latchkey.ReachProject)
}

// Verdict is the answer.
type Verdict struct {
	Code     latchkey.Code
	Signed   bool      // the request was signed, and the signature holds
	AsOf     time.Time // the answer reflects every change acknowledged before
	Node     string    // who answered
	Identity *Identity // nil unless the digest matched and the key is within the asker's reach
}

// Identity is whose key it is and what it may do. Grant is shared: do not change
// it.
type Identity struct {
	KeyID         latchkey.ID
	KID           latchkey.KID
	SecretExpires time.Time
	Key           Holder
	Role          string // identifier; "" for none
	Operator      bool   // the key's organization is the operator
	Grant         *latchkey.Grant
}

// Holder is what verification knows of a key, besides what it may do.
type Holder struct {
	Organization latchkey.ID
	Project      latchkey.ID
	Owner        latchkey.ID // zero: none
	Reach        latchkey.Reach
	Environment  latchkey.Environment
	Partner      string
	Metadata     latchkey.Document
	Enabled      bool
	Revoked      bool
	Signing      latchkey.SigningMode
	ExpiresAt    time.Time // zero: never
}

// ExpiresAt is when the presented secret ends at the latest; zero for never.
func (i *Identity) ExpiresAt() time.Time {
	if i.Key.ExpiresAt.IsZero() || !i.SecretExpires.IsZero() && i.SecretExpires.Before(i.Key.ExpiresAt) {
		return i.SecretExpires
	}
	return i.Key.ExpiresAt
}

// Source is the part of a store that verification needs.
type Source interface {
	store.Credentials
	store.Directory
	store.Feed
	store.TokenRefusals
	store.Uses
	store.TokenKeyReader
	store.GatewayReader
	store.Submitter
}

// Verifier answers. It is safe for concurrent use.
type Verifier struct {
	store Source
	ring  *keyring.Ring
	clock func() time.Time
	name  string
	log   *slog.Logger
	after *writeBehind
	kept  kept

	generations atomic.Uint64
	nodeState                 // of a node among others; nothing where the store is this process's alone
	checks      chan struct{} // holds one for each signature that is being checked
}

// New makes a verifier that asks the store until it is filled. node is the name
// under which it answers.
func New(source Source, ring *keyring.Ring, clock func() time.Time, node string, log *slog.Logger) *Verifier {
	v := &Verifier{store: source, ring: ring, clock: clock, name: node, log: log, after: newWriteBehind(source, clock, log)}
	v.after.written = v.kept.moved
	v.kept.refill = make(chan struct{}, 1)
	if source != nil && source.Shared() != nil {
		v.Place(Place{ServeFor: DefaultStaleness})
	}
	// Half the processors, as for tokens: signatures that do not hold leave the
	// other half for keys.
	v.checks = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))
	return v
}

// Run writes uses and moved digests until ctx ends, then what is left. It follows
// the feed and renews the lease, or fills the index again where it was given up.
func (v *Verifier) Run(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	if v.node != nil {
		work.Go(func() { v.node.run(ctx) })
	} else {
		work.Go(func() { v.refills(ctx) })
	}
	v.after.run(ctx)
}

// Flush writes the uses that were counted until now. Run does so by itself.
func (v *Verifier) Flush(ctx context.Context) error { return v.after.flushUses(ctx, false) }

// UsesLost is how many uses were not counted since the start: there were more of
// them at a time than memory is kept for.
func (v *Verifier) UsesLost() int64 { return v.after.uses.lost.Load() }

// UsesBehind is how old the oldest use may be that is not in the store yet.
func (v *Verifier) UsesBehind() time.Duration { return v.after.behind() }

// Verify decides whether the presented key may do what is asked.
func (v *Verifier) Verify(ctx context.Context, r *Request) Verdict {
	id := &Identity{}
	verdict, matched := v.VerifyInto(ctx, r, id)
	if matched {
		verdict.Identity = id
	}
	return verdict
}

// VerifyInto is Verify for those who cannot afford an allocation: who it is, if
// matched, is written to id, and the verdict does not point to it.
func (v *Verifier) VerifyInto(ctx context.Context, r *Request, id *Identity) (verdict Verdict, matched bool) {
	f := found{credential: credential{Identity: id}, counts: true}
	now, err := v.now()
	if err == nil {
		f.now = now
		err = v.find(ctx, r, &f)
	}
	if err != nil {
		return v.unavailable(ctx, now, err), false
	}
	spending, err := v.judge(ctx, r, &f)
	if err != nil {
		return v.unavailable(ctx, now, err), false
	}
	code := latchkey.Decide(f.known(), &f.attempt, now)
	if code == latchkey.CodeValid && spending != nil {
		if code, err = v.spend(ctx, spending); err != nil {
			return v.unavailable(ctx, now, err), false
		}
	}
	if f.attempt.Match {
		f.count(v.after.uses, code, r)
	}
	return Verdict{Code: code, Signed: spending != nil && code == latchkey.CodeValid, AsOf: now, Node: v.name}, f.attempt.Match
}

// Explain gives the verdict and how each check went. It counts as no use, and
// spends no nonce: the same request would still be accepted.
func (v *Verifier) Explain(ctx context.Context, r *Request) (Verdict, []latchkey.Explanation) {
	f := found{credential: credential{Identity: &Identity{}}}
	now, err := v.now()
	if err == nil {
		err = v.find(ctx, r, &f)
	}
	if err != nil {
		return v.unavailable(ctx, now, err), nil
	}
	if asked, err := v.judge(ctx, r, &f); err != nil {
		return v.unavailable(ctx, now, err), nil
	} else if asked != nil {
		if f.attempt.Fault, err = v.try(ctx, asked); err != nil {
			return v.unavailable(ctx, now, err), nil
		}
		if f.attempt.Fault != "" {
			f.attempt.Signature = latchkey.SignatureFails
		}
	}
	verdict := Verdict{Code: latchkey.Decide(f.known(), &f.attempt, now), AsOf: now, Node: v.name, Identity: f.told()}
	verdict.Signed = verdict.Code == latchkey.CodeValid && f.attempt.Signature == latchkey.SignatureHolds
	return verdict, latchkey.Explain(f.known(), &f.attempt, now)
}

// Token decides whether a token that was read may be used now, from an address and
// by a program that calls itself agent. The secret that it names is looked up and
// judged as if it had been presented, save for the digest, in whose place the
// token's signature stands; so a token ends with its secret, its key, its owner and
// its organization. One that was minted ends with the secret of its minter as well,
// and one that was revoked is refused. That takes a token which package token
// vouches for: a kid alone opens nothing.
func (v *Verifier) Token(ctx context.Context, t *token.Verified, address netip.Addr, agent string) Verdict {
	return v.token(ctx, t, latchkey.Attempt{Address: address}, agent)
}

// token judges by whatever is asked of the bearer.
func (v *Verifier) token(ctx context.Context, t *token.Verified, asked latchkey.Attempt, agent string) Verdict {
	now, err := v.now()
	if err != nil {
		return v.unavailable(ctx, now, err)
	}
	refused, err := v.store.TokenRefused(ctx, t.Families()...)
	if err != nil {
		return v.unavailable(ctx, now, err)
	}
	if refused {
		return Verdict{Code: latchkey.CodeRevoked, AsOf: now, Node: v.name}
	}
	if minter := t.Minter(); minter.KID != "" {
		anywhere := latchkey.Attempt{Anywhere: true} // the bearer is not where the minter was
		if _, code, err := v.standing(ctx, minter.KID, anywhere, now); err != nil {
			return v.unavailable(ctx, now, err)
		} else if code != latchkey.CodeValid {
			return Verdict{Code: code, AsOf: now, Node: v.name}
		}
	}
	f, code, err := v.standing(ctx, t.KID(), asked, now)
	if err != nil {
		return v.unavailable(ctx, now, err)
	}
	if f.attempt.Match {
		v.after.uses.count(f.Identity, code, asked.Address, agent, now)
	}
	return Verdict{Code: code, AsOf: now, Node: v.name, Identity: f.told()}
}

// standing judges a secret that was not presented: all but its digest.
func (v *Verifier) standing(ctx context.Context, kid latchkey.KID, asked latchkey.Attempt, now time.Time) (*found, latchkey.Code, error) {
	f := &found{credential: credential{Identity: &Identity{}}}
	err := v.byKID(ctx, kid, &f.credential)
	if errors.Is(err, store.ErrNotFound) {
		return f, latchkey.CodeUnknown, nil
	}
	if err != nil {
		return f, "", err
	}
	f.attempt = asked
	f.attempt.WellFormed, f.attempt.Match = true, !v.retired(f.Pepper)
	f.learn()
	return f, latchkey.Decide(f.known(), &f.attempt, now), nil
}

func (v *Verifier) unavailable(ctx context.Context, now time.Time, err error) Verdict {
	if ctx.Err() == nil && !errors.Is(err, ErrNotCurrent) { // or the asker hung up, which is no fault of the store
		v.log.Error("verification without the store", "error", err)
	}
	return Verdict{Code: latchkey.CodeVerifyUnavailable, AsOf: now, Node: v.name}
}

// credential is a secret with its holder and what that may do.
type credential struct {
	*Identity

	Scheme latchkey.Scheme
	Pepper int
	Digest [32]byte
}

// found is a presented key with what is known of it.
type found struct {
	credential

	attempt latchkey.Attempt
	entry   latchkey.Entry
	within  bool // a secret has that kid, and is within reach
	counts  bool // the outcome is to be counted
	now     time.Time
	use     use // of the presented kid; nothing where there is none

	presented latchkey.KID
}

// count counts the outcome. A foreign key's secret has another kid than any that
// was presented with it.
func (f *found) count(u *uses, code latchkey.Code, r *Request) {
	if f.presented != f.KID {
		u.count(f.Identity, code, r.Address, r.Agent, f.now)
		return
	}
	u.end(&f.use, f.KeyID, code, r.Agent)
}

// known is the entry that is decided by; nil where there is none.
func (f *found) known() *latchkey.Entry {
	if !f.within {
		return nil
	}
	return &f.entry
}

// told is whose key it is, for whoever presented it.
func (f *found) told() *Identity {
	if !f.attempt.Match {
		return nil
	}
	return f.Identity
}

func (v *Verifier) find(ctx context.Context, r *Request, f *found) error {
	f.attempt = latchkey.Attempt{Environment: r.Environment, Address: r.Address, Anywhere: r.Anywhere, Resource: r.Resource, Scopes: r.Scopes}
	l := v.begin(latchkey.LikelyKID(r.Key.Expose()))
	f.presented = l.kid
	if f.counts && l.ok {
		f.use = askedOf(l.packed, l.hash, r.Address, f.now)
		v.after.uses.begin(&f.use)
	}
	if _, err := latchkey.ParseKeyString(r.Key.Expose()); err == nil { // and the kid is the likely one
		f.attempt.WellFormed = true
		// Calculated before anything is known, a digest takes the same time for a
		// kid that nobody has, and the index comes from memory meanwhile.
		made := digested{version: v.expect(&l)}
		if f.counts {
			v.after.uses.expect(&f.use)
		}
		made.digest, made.err = v.ring.Digest(made.version, r.Key)
		err := v.found(ctx, &l, &f.credential)
		switch {
		case err == nil:
			if err := v.match(f, r, &made); err != nil || f.attempt.Match {
				return err
			}
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
	}
	return v.findForeign(ctx, f, r)
}

// digested is the presented key's digest under one version of the ring.
type digested struct {
	version int
	digest  [32]byte
	err     error
}

// findForeign looks for a key that was made elsewhere and of which only the
// SHA-256 was imported.
func (v *Verifier) findForeign(ctx context.Context, f *found, r *Request) error {
	if r.Key.Empty() || len(r.Key.Expose()) > latchkey.MaxForeign {
		return nil
	}
	within := f.within // what was found by the kid, and is another key
	entry := f.entry
	err := v.byForeign(ctx, sha256.Sum256([]byte(r.Key.Expose())), &f.credential)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err == nil {
		err = v.match(f, r, nil)
	}
	// Out of reach it must look like any other string that is no key.
	f.attempt.WellFormed = f.attempt.WellFormed || f.within
	if !f.within {
		f.within, f.entry = within, entry
	}
	return err
}

// Imported reports whether a key with that SHA-256 was imported, by whichever
// organization and under whichever version of the key ring.
func (v *Verifier) Imported(ctx context.Context, sum [32]byte) (bool, error) {
	_, err := v.now()
	if err == nil {
		err = v.byForeign(ctx, sum, &credential{Identity: &Identity{}})
	}
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// match compares the digest and fills in what the decision needs. made is a digest
// that may be the one; nil is none.
func (v *Verifier) match(f *found, r *Request, made *digested) error {
	f.within = false
	if made == nil || f.Scheme != latchkey.SchemeKey || f.Pepper != made.version {
		made = &digested{}
		made.digest, made.err = v.digest(f.Scheme, f.Pepper, r.Key)
	}
	err := made.err
	died := err != nil && v.retired(f.Pepper)
	if err != nil && !died {
		return err
	}
	if !r.Within.Includes(&f.Key) {
		return nil
	}
	f.attempt.Match = !died && subtle.ConstantTimeCompare(made.digest[:], f.Digest[:]) == 1
	f.learn()
	if !f.attempt.Match {
		return nil
	}
	return v.redigest(&f.credential, r.Key)
}

// learn fills in what the decision needs.
func (f *found) learn() {
	f.within = true
	f.entry = latchkey.Entry{
		Grant: f.Grant, Environment: f.Key.Environment, Enabled: f.Key.Enabled, Revoked: f.Key.Revoked,
		KeyExpires: f.Key.ExpiresAt, SecretExpires: f.SecretExpires, Signing: f.Key.Signing,
	}
}

// retired reports whether a version of the ring was given up, and with it the
// secrets that depended on it: nothing is their digest any more. A version that
// the ring merely lacks is a fault.
func (v *Verifier) retired(version int) bool {
	return slices.ContainsFunc(v.ring.Versions(), func(known keyring.Version) bool {
		return known.Number == version && known.State == keyring.Retired
	})
}

// redigest notes that a digest is to move to the active pepper. Only the
// digests are kept, never the key.
func (v *Verifier) redigest(s *credential, key latchkey.Plaintext) error {
	active := v.ring.Active()
	if s.Pepper >= active { // or this node is behind another
		return nil
	}
	digest, err := v.digest(s.Scheme, active, key)
	if err != nil {
		return err
	}
	v.after.moved(store.Redigest{KID: s.KID, Old: s.Digest, New: digest, Version: active})
	return nil
}

func (v *Verifier) digest(scheme latchkey.Scheme, version int, key latchkey.Plaintext) ([32]byte, error) {
	if scheme == latchkey.SchemeSHA256 {
		return v.ring.DigestForeign(version, sha256.Sum256([]byte(key.Expose())))
	}
	return v.ring.Digest(version, key)
}
