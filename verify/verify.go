// Package verify answers the one question that is asked all day: may this key
// do this, now?
//
// It promises a true answer or none: a verdict reflects every change that was
// acknowledged before the question came, and where the store cannot be asked
// the verdict is unavailable, which every caller treats as a refusal. Nothing is
// told about a key before its digest matched, and an unknown key costs as much
// work as a known one.
//
// It writes nothing while it answers. Times of last use and digests that have
// to move to a newer pepper are remembered and written behind; a crash loses at
// most what was not written yet.
package verify

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
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
	Resource    latchkey.Resource
	Scopes      latchkey.Requirement
}

// Within is whose keys the asker may learn about. A key beyond it is unknown.
type Within struct {
	Organization latchkey.ID // zero: every organization's
	Project      latchkey.ID // zero: the whole organization's
}

func (w Within) includes(k *latchkey.Key) bool {
	return (w.Organization.IsZero() || w.Organization == k.Organization && k.Reach != latchkey.ReachAll) &&
		(w.Project.IsZero() || w.Project == k.Project && k.Reach == latchkey.ReachProject)
}

// Verdict is the answer.
type Verdict struct {
	Code     latchkey.Code
	AsOf     time.Time // the answer reflects every change acknowledged before
	Node     string    // who answered
	Identity *Identity // nil unless the digest matched and the key is within the asker's reach
}

// Identity is whose key it is and what it may do. It is shared: do not change it.
type Identity struct {
	KeyID         latchkey.ID
	KID           latchkey.KID
	SecretExpires time.Time
	Key           *latchkey.Key
	Role          string // identifier; "" for none
	Operator      bool   // the key's organization is the operator
	Grant         *latchkey.Grant
}

// ExpiresAt is when the presented secret ends at the latest; zero for never.
func (i *Identity) ExpiresAt() time.Time {
	if i.Key.ExpiresAt.IsZero() || !i.SecretExpires.IsZero() && i.SecretExpires.Before(i.Key.ExpiresAt) {
		return i.SecretExpires
	}
	return i.Key.ExpiresAt
}

// Verifier answers from the store.
type Verifier struct {
	store store.Credentials
	ring  *keyring.Ring
	clock func() time.Time
	node  string
	log   *slog.Logger
	after *writeBehind
	kept  kept
}

// New makes a verifier. node is the name under which it answers.
func New(credentials store.Credentials, ring *keyring.Ring, clock func() time.Time, node string, log *slog.Logger) *Verifier {
	return &Verifier{store: credentials, ring: ring, clock: clock, node: node, log: log, after: newWriteBehind(credentials, log)}
}

// Run writes times of last use and moved digests until ctx ends, then what is left.
func (v *Verifier) Run(ctx context.Context) { v.after.run(ctx) }

// Verify decides whether the presented key may do what is asked.
func (v *Verifier) Verify(ctx context.Context, r *Request) Verdict {
	now := v.clock()
	found, err := v.find(ctx, r)
	if err != nil {
		return v.unavailable(ctx, now, err)
	}
	code := latchkey.Decide(found.entry, &found.attempt, now)
	if code == latchkey.CodeValid {
		v.after.used(found.identity.KID, now)
	}
	return Verdict{Code: code, AsOf: now, Node: v.node, Identity: found.identity}
}

// Explain gives the verdict and how each check went. It counts as no use.
func (v *Verifier) Explain(ctx context.Context, r *Request) (Verdict, []latchkey.Explanation) {
	now := v.clock()
	found, err := v.find(ctx, r)
	if err != nil {
		return v.unavailable(ctx, now, err), nil
	}
	code := latchkey.Decide(found.entry, &found.attempt, now)
	return Verdict{Code: code, AsOf: now, Node: v.node, Identity: found.identity}, latchkey.Explain(found.entry, &found.attempt, now)
}

// Token decides whether a token that was read may be used from an address now.
// The secret that it names is looked up and judged as if it had been presented,
// save for the digest, in whose place the token's signature stands; so a token
// ends with its secret, its key, its owner and its organization. That takes a
// token which package token vouches for: a kid alone opens nothing.
func (v *Verifier) Token(ctx context.Context, t *token.Verified, address netip.Addr) Verdict {
	now := v.clock()
	c, err := v.byKID(ctx, t.KID())
	if errors.Is(err, store.ErrNotFound) {
		return Verdict{Code: latchkey.CodeUnknown, AsOf: now, Node: v.node}
	}
	if err != nil {
		return v.unavailable(ctx, now, err)
	}
	f := &found{attempt: latchkey.Attempt{WellFormed: true, Match: !v.retired(c.Secret.Pepper), Address: address}}
	f.learn(c)
	code := latchkey.Decide(f.entry, &f.attempt, now)
	if code == latchkey.CodeValid {
		v.after.used(f.identity.KID, now)
	}
	return Verdict{Code: code, AsOf: now, Node: v.node, Identity: f.identity}
}

func (v *Verifier) unavailable(ctx context.Context, now time.Time, err error) Verdict {
	if ctx.Err() == nil { // or the asker hung up, which is no fault of the store
		v.log.Error("verification without the store", "error", err)
	}
	return Verdict{Code: latchkey.CodeVerifyUnavailable, AsOf: now, Node: v.node}
}

// found is a presented key with what the store knows of it.
type found struct {
	attempt  latchkey.Attempt
	entry    *latchkey.Entry // nil: no secret with that kid, or out of reach
	identity *Identity       // nil unless the digest matched
}

func (v *Verifier) find(ctx context.Context, r *Request) (*found, error) {
	f := &found{attempt: latchkey.Attempt{Environment: r.Environment, Address: r.Address, Resource: r.Resource, Scopes: r.Scopes}}
	k, err := latchkey.ParseKeyString(r.Key.Expose())
	if err == nil {
		f.attempt.WellFormed = true
		credential, err := v.byKID(ctx, k.KID)
		switch {
		case err == nil:
			if err := v.match(f, credential, r); err != nil || f.attempt.Match {
				return f, err
			}
		case !errors.Is(err, store.ErrNotFound):
			return nil, err
		default: // the same work as for a known kid, so that the time says nothing
			if _, err := v.ring.Digest(v.ring.Active(), r.Key); err != nil {
				return nil, err
			}
		}
	}
	return f, v.findForeign(ctx, f, r)
}

// findForeign looks for a key that was made elsewhere and of which only the
// SHA-256 was imported.
func (v *Verifier) findForeign(ctx context.Context, f *found, r *Request) error {
	if r.Key.Empty() || len(r.Key.Expose()) > latchkey.MaxForeign {
		return nil
	}
	c, err := v.byForeign(ctx, sha256.Sum256([]byte(r.Key.Expose())))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	err = v.match(f, resolve(c), r)
	// Out of reach it must look like any other string that is no key.
	f.attempt.WellFormed = f.attempt.WellFormed || f.entry != nil
	return err
}

// byForeign finds the imported secret with that SHA-256, whichever version of
// the ring its digest is under.
func (v *Verifier) byForeign(ctx context.Context, sum [32]byte) (*store.Credential, error) {
	var digests [][32]byte
	for _, version := range v.ring.Versions() {
		if version.State != keyring.Active && version.State != keyring.Retiring {
			continue
		}
		digest, err := v.ring.DigestForeign(version.Number, sum)
		if err != nil {
			return nil, err
		}
		digests = append(digests, digest)
	}
	return v.store.ByForeignDigest(ctx, digests)
}

// Imported reports whether a key with that SHA-256 was imported, by whichever
// organization and under whichever version of the key ring.
func (v *Verifier) Imported(ctx context.Context, sum [32]byte) (bool, error) {
	_, err := v.byForeign(ctx, sum)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// match compares the digest and fills in what the decision needs.
func (v *Verifier) match(f *found, c *credential, r *Request) error {
	digest, err := v.digest(c.Secret.Scheme, c.Secret.Pepper, r.Key)
	died := err != nil && v.retired(c.Secret.Pepper)
	if err != nil && !died {
		return err
	}
	if !r.Within.includes(&c.Key) {
		return nil
	}
	f.attempt.Match = !died && subtle.ConstantTimeCompare(digest[:], c.Secret.Digest[:]) == 1
	f.learn(c)
	if !f.attempt.Match {
		return nil
	}
	return v.redigest(&c.Secret, r.Key)
}

// learn fills in what the store knows: for the decision, and, if it is the key's
// holder who presented it, for whoever asked.
func (f *found) learn(c *credential) {
	f.entry = &latchkey.Entry{
		Grant: c.grant, Environment: c.Key.Environment, Enabled: c.Key.Enabled, Revoked: c.Key.Revoked(),
		KeyExpires: c.Key.ExpiresAt, SecretExpires: c.Secret.ExpiresAt,
	}
	if !f.attempt.Match {
		return
	}
	f.identity = &Identity{KeyID: c.Key.ID, KID: c.Secret.KID, SecretExpires: c.Secret.ExpiresAt, Key: &c.Key, Grant: c.grant,
		Operator: c.Organization.Operator}
	for _, role := range c.Roles {
		if role.ID == c.Key.Policy.Role {
			f.identity.Role = role.Identifier
		}
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
func (v *Verifier) redigest(s *latchkey.Secret, key latchkey.Plaintext) error {
	active := v.ring.Active()
	if s.Pepper == active {
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
