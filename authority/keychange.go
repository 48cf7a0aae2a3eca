package authority

import (
	"context"
	"reflect"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/verify"
)

// KeyPatch is what is to be different about a key; nil leaves a field as it is.
type KeyPatch struct {
	Name      *string
	Role      *RoleRef // the zero value takes the role away
	Scopes    *[]string
	Addresses *[]string // nil or empty inside: unrestricted
	Resources *map[string][]string
	Enabled   *bool
	ExpiresAt *time.Time // the zero time: never
	Metadata  *latchkey.Document
	Signing   *SigningPatch

	// EditMetadata makes the metadata from what it is inside the transaction, for
	// an edge that keeps members of its own in it. It is pure: it may be called
	// more than once.
	EditMetadata func(latchkey.Document) (latchkey.Document, error)
}

// grants reports whether the patch can leave the key with more than it had, so
// that the ceiling applies. Metadata is told with every verdict, and gateways may
// act on it. Disabling takes away and needs it no more than
// revoking does.
func (p *KeyPatch) grants() bool {
	return p.Role != nil || p.Scopes != nil || p.Addresses != nil || p.Resources != nil || p.ExpiresAt != nil ||
		p.Metadata != nil || p.EditMetadata != nil || p.Signing != nil || p.Enabled != nil && *p.Enabled
}

// UpdateKey changes a key.
func (a *Authority) UpdateKey(ctx context.Context, call *Call, id latchkey.ID, patch KeyPatch) (Described, Effective, error) {
	if err := call.Require(latchkey.KeyUpdate); err != nil {
		return Described{}, Effective{}, err
	}
	next, role, err := a.checkPatch(ctx, call, &patch)
	if err != nil {
		return Described{}, Effective{}, err
	}
	return a.changeKey(ctx, call, id, keyChange{
		needs: latchkey.KeyUpdate, event: latchkey.KeyUpdated, ceiling: patch.grants(), roles: []latchkey.ID{role},
		before: func(t *txn) error {
			// What the input alone decides is told before anything about the key is.
			if !role.IsZero() && !t.hasRole(role) {
				return latchkey.Invalid("/role", "unknown", "There is no such role in the organization.")
			}
			return t.caller.Ceiling(latchkey.KeyPowers(&latchkey.Key{Policy: latchkey.Policy{Role: role, Scopes: next.Policy.Scopes}}, nil, t.roles()))
		},
		change: func(t *txn, k latchkey.Key) (latchkey.Key, changes, error) {
			if k.Revoked() {
				return k, nil, latchkey.Errorf(latchkey.CodeConflict, "The key is revoked; nothing about it changes any more.")
			}
			return patch.apply(t, k, next, role)
		},
	})
}

// checkPatch checks the input and reads it into the fields of a key.
func (a *Authority) checkPatch(ctx context.Context, call *Call, p *KeyPatch) (next latchkey.Key, role latchkey.ID, err error) {
	var broken problems
	if p.Name != nil {
		broken.text("/name", *p.Name, 1, latchkey.MaxNameLen)
		next.Name = *p.Name
	}
	if p.Scopes != nil {
		next.Policy.Scopes = broken.scopes("/scopes", *p.Scopes)
	}
	if p.Addresses != nil {
		next.Policy.Addresses = broken.addresses("/restrictions/addresses", *p.Addresses)
	}
	if p.Resources != nil {
		next.Policy.Resources = broken.resources("/restrictions/resources", *p.Resources)
	}
	if p.ExpiresAt != nil {
		next.ExpiresAt = broken.expiry("/expires_at", *p.ExpiresAt)
	}
	if p.Metadata != nil {
		broken.metadata("/metadata", *p.Metadata)
		next.Metadata = *p.Metadata
	}
	if p.Signing != nil && p.Signing.Public != nil {
		broken.at("/signing/public_key", latchkey.CheckPublicKey(p.Signing.Public))
	}
	if err := broken.err(); err != nil {
		return next, role, err
	}
	if p.Role != nil {
		if role, err = a.findRole(ctx, call, *p.Role); latchkey.CodeOf(err) == latchkey.CodeNotFound {
			err = latchkey.Invalid("/role", "unknown", "There is no such role in the organization.")
		}
	}
	return next, role, err
}

// apply makes the changed key, and tells what is different.
func (p *KeyPatch) apply(t *txn, k, next latchkey.Key, role latchkey.ID) (latchkey.Key, changes, error) {
	c := changes{}
	if p.Name != nil {
		set(c, "name", &k.Name, next.Name)
	}
	if p.Role != nil && k.Policy.Role != role {
		c["role"] = fromTo{t.roleName(k.Policy.Role), t.roleName(role)}
		k.Policy.Role = role
	}
	if p.Scopes != nil {
		set(c, "scopes", &k.Policy.Scopes, next.Policy.Scopes)
	}
	if p.Addresses != nil && !reflect.DeepEqual(k.Policy.Addresses.Entries(), next.Policy.Addresses.Entries()) {
		c["addresses"] = fromTo{k.Policy.Addresses.Entries(), next.Policy.Addresses.Entries()}
		k.Policy.Addresses = next.Policy.Addresses
	}
	if p.Resources != nil {
		set(c, "resources", &k.Policy.Resources, next.Policy.Resources)
	}
	if p.Enabled != nil {
		set(c, "enabled", &k.Enabled, *p.Enabled)
	}
	if p.ExpiresAt != nil && !k.ExpiresAt.Equal(next.ExpiresAt) {
		c["expires_at"] = fromTo{stamp(k.ExpiresAt), stamp(next.ExpiresAt)}
		k.ExpiresAt = next.ExpiresAt
	}
	if p.Metadata != nil {
		set(c, "metadata", &k.Metadata, next.Metadata)
	}
	if p.Signing != nil {
		if err := p.Signing.apply(&k, c); err != nil {
			return k, nil, err
		}
	}
	if p.EditMetadata != nil {
		if err := p.editMetadata(&k, c); err != nil {
			return k, nil, err
		}
	}
	if k.Reach == latchkey.ReachAll && (!k.Policy.Role.IsZero() || !onlyForGateways(k.Policy.Scopes)) {
		return k, nil, latchkey.Invalid("/scopes", "not_allowed", "A key that reaches every organization has no role, and no scopes but api_key:verify and token:introspect.")
	}
	return k, c, nil
}

func (p *KeyPatch) editMetadata(k *latchkey.Key, c changes) error {
	edited, err := p.EditMetadata(k.Metadata)
	if err != nil {
		return err
	}
	var broken problems
	broken.metadata("/metadata", edited)
	set(c, "metadata", &k.Metadata, edited)
	return broken.err()
}

// set changes one field and notes it, if it is different.
func set[T any](c changes, field string, to *T, value T) {
	if !reflect.DeepEqual(*to, value) {
		c[field] = fromTo{*to, value}
		*to = value
	}
}

// keyChange is a change to one key.
type keyChange struct {
	needs   latchkey.Permission
	event   latchkey.EventType
	ceiling bool          // the resulting key must be within the caller's own
	tells   bool          // the caller comes to a secret of the key
	roles   []latchkey.ID // that it may come to hold
	record  *store.Record

	before func(t *txn) error // what is decided before the key is looked at; may be nil
	change func(t *txn, k latchkey.Key) (latchkey.Key, changes, error)
}

// changeKey runs it. No changes means that there is nothing to write: the key
// is as it was asked to be.
func (a *Authority) changeKey(ctx context.Context, call *Call, id latchkey.ID, c keyChange) (Described, Effective, error) {
	var described Described
	effective, replayed, err := a.submit(ctx, call, change{
		needs: c.needs, urgent: narrows(c.event), record: c.record,
		reads: store.Reads{Keys: []latchkey.ID{id}, Roles: c.roles},
		apply: func(t *txn) error {
			if c.before != nil {
				if err := c.before(t); err != nil {
					return err
				}
			}
			h := t.Keys[id]
			if h == nil || !t.caller.sees(&h.Key) {
				return notFound()
			}
			if err := call.matches(h.Key.Record); err != nil {
				return err
			}
			next, diff, err := c.change(t, h.Key)
			if err != nil {
				return err
			}
			roles := append(t.roles(), h.Roles...)
			if c.ceiling {
				if err := t.caller.ceiling(&next, h.Owner, roles); err != nil {
					return err
				}
			}
			if c.tells {
				if err := t.caller.speaksFor(h.Owner, &next, roles); err != nil {
					return err
				}
			}
			suspended := h.Grant().Suspended
			t.told = append(t.told, func() {
				described = Described{Key: next, State: next.State(suspended, t.Now), At: t.Now}
				described.Role = t.nameOf(next.Policy.Role, h.Roles)
			})
			if len(diff) == 0 {
				return nil
			}
			t.updated(&next.Record)
			step, err := t.step(c.event, latchkey.Object{Kind: latchkey.KindKey, ID: id}, diff.document())
			if err != nil {
				return err
			}
			step.Keys = []*latchkey.Key{&next}
			return nil
		},
	})
	if err != nil {
		return Described{}, Effective{}, err
	}
	if replayed != nil {
		h, err := a.made(ctx, call, id)
		if err != nil {
			return Described{}, Effective{}, err
		}
		return a.describe(h), a.await(ctx, call, Effective{Position: h.Key.Revision}), errReplayed{replayed}
	}
	if effective.Position > described.Revision {
		effective.Position = described.Revision // nothing was written: it has been so since then
	}
	return described, a.await(ctx, call, effective), nil
}

// errReplayed carries a record out of changeKey to the one caller that
// remembers calls.
type errReplayed struct{ record *store.Record }

func (errReplayed) Error() string { return "made before" }

// nameOf finds a role's identifier among those of the transaction and those
// that the key came with.
func (t *txn) nameOf(id latchkey.ID, more []latchkey.Role) string {
	if name := t.roleName(id); name != "" {
		return name
	}
	for _, r := range more {
		if r.ID == id {
			return r.Identifier
		}
	}
	return ""
}

// RotateKey gives the key a new secret, and a new signing key beside it if the
// present one has one; the present ones live on for overlap.
func (a *Authority) RotateKey(ctx context.Context, call *Call, id latchkey.ID, overlap time.Duration) (Issued, Effective, error) {
	if err := call.Require(latchkey.KeyUpdate); err != nil {
		return Issued{}, Effective{}, err
	}
	if err := call.mayHaveSecret(); err != nil {
		return Issued{}, Effective{}, err
	}
	if overlap < 0 || overlap > latchkey.MaxOverlap {
		return Issued{}, Effective{}, latchkey.Invalid("/overlap", "range", "An overlap is 0 to 720h.")
	}
	k, prefix, err := a.keyForSecret(ctx, call, id)
	if err != nil {
		return Issued{}, Effective{}, err
	}
	now := store.Truncate(a.Clock())
	secret, out, err := a.newSecret(ctx, k, prefix, k.Newest(now).Signing, now)
	if err != nil {
		return Issued{}, Effective{}, err
	}
	record, err := a.remember(call, []latchkey.ID{id}, []told{out})
	if err != nil {
		return Issued{}, Effective{}, err
	}
	described, effective, err := a.changeKey(ctx, call, id, keyChange{
		needs: latchkey.KeyUpdate, event: latchkey.KeyRotated, ceiling: true, tells: true, record: record,
		change: func(t *txn, k latchkey.Key) (latchkey.Key, changes, error) {
			old := k.Newest(t.Now).KID
			s := secret
			s.CreatedAt = t.Now
			next, err := k.Rotate(s, overlap, t.Now)
			return next, changes{"old": old, "new": s.KID, "overlap": overlap.String()}, err
		},
	})
	if made, ok := err.(errReplayed); ok { //nolint:errorlint // made by changeKey itself, never wrapped
		secrets, err := a.recall(call, made.record, latchkey.KindKey)
		if err != nil {
			return Issued{}, Effective{}, err
		}
		return Issued{described, secrets[0]}, effective, nil
	}
	return Issued{described, out}, effective, err
}

// keyForSecret reads what a new secret of the key has to be like.
func (a *Authority) keyForSecret(ctx context.Context, call *Call, id latchkey.ID) (*latchkey.Key, string, error) {
	h, err := a.key(ctx, call, id)
	if err != nil {
		return nil, "", err
	}
	p, err := a.Store.Project(ctx, h.Key.Project)
	if err != nil {
		return nil, "", translate(err)
	}
	k := h.Key
	k.Retrievable = k.Retrievable && !a.ForbidRetrievable && p.Stores(k.Format)
	return &k, p.Prefix, nil
}

// CompleteRotation ends the old secret before its time.
func (a *Authority) CompleteRotation(ctx context.Context, call *Call, id latchkey.ID) (Described, Effective, error) {
	return a.endRotation(ctx, call, id, latchkey.KeyRotationCompleted, latchkey.Key.CompleteRotation)
}

// CancelRotation ends the new secret; the old one lives on as before.
func (a *Authority) CancelRotation(ctx context.Context, call *Call, id latchkey.ID) (Described, Effective, error) {
	return a.endRotation(ctx, call, id, latchkey.KeyRotationCancelled, latchkey.Key.CancelRotation)
}

func (a *Authority) endRotation(ctx context.Context, call *Call, id latchkey.ID, event latchkey.EventType, end func(latchkey.Key, time.Time) (latchkey.Key, error)) (Described, Effective, error) {
	if err := call.Require(latchkey.KeyUpdate); err != nil {
		return Described{}, Effective{}, err
	}
	return a.changeKey(ctx, call, id, keyChange{
		needs: latchkey.KeyUpdate, event: event, ceiling: true,
		change: func(t *txn, k latchkey.Key) (latchkey.Key, changes, error) {
			r, _ := k.Rotation(t.Now)
			next, err := end(k, t.Now)
			return next, changes{"old": r.Old, "new": r.New}, err
		},
	})
}

// DefaultRevocation is the reason of a revocation that gives none.
const DefaultRevocation = "revoked"

// RevokeKey ends a key for good. To revoke a revoked key changes nothing and
// succeeds.
func (a *Authority) RevokeKey(ctx context.Context, call *Call, id latchkey.ID, reason string) (Described, Effective, error) {
	if err := call.Require(latchkey.KeyDelete); err != nil {
		return Described{}, Effective{}, err
	}
	var broken problems
	broken.text("/reason", reason, 0, latchkey.MaxReasonLen)
	if err := broken.err(); err != nil {
		return Described{}, Effective{}, err
	}
	return a.changeKey(ctx, call, id, keyChange{
		needs: latchkey.KeyDelete, event: latchkey.KeyRevoked,
		change: func(t *txn, k latchkey.Key) (latchkey.Key, changes, error) { return revoke(k, reason, t.Now) },
	})
}

// revoke ends a key, and forgets what was stored of it sealed.
func revoke(k latchkey.Key, reason string, now time.Time) (latchkey.Key, changes, error) {
	if k.Revoked() {
		return k, nil, nil
	}
	if reason == "" {
		reason = DefaultRevocation
	}
	k.RevokedAt, k.RevokedReason = now, reason
	secrets := make([]latchkey.Secret, len(k.Secrets))
	for i, s := range k.Secrets {
		s.Sealed, s.Signing.Sealed = nil, nil
		secrets[i] = s
	}
	k.Secrets = secrets
	return k, changes{"reason": reason}, nil
}

// RevokeSelf ends the key that is presented: possession is the authority, from
// any address and in any state of the key. A string that is no key of ours is
// unauthenticated, and so is a secret that ended with a rotation: whoever still
// has that holds nothing, and must not end what replaced it. The call itself has no
// caller.
func (a *Authority) RevokeSelf(ctx context.Context, call *Call, key latchkey.Plaintext) (Described, Effective, error) {
	v, _ := a.Verifier.Explain(ctx, &verify.Request{Key: key}) // which is no use of it
	if v.Code == latchkey.CodeVerifyUnavailable {
		return Described{}, Effective{}, latchkey.Errorf(latchkey.CodeUnavailable, "The key cannot be checked now; retry later.")
	}
	stranger := latchkey.Errorf(latchkey.CodeUnauthenticated, "This is not a key of this authority.")
	if v.Identity == nil {
		return Described{}, Effective{}, stranger
	}
	id := v.Identity.KeyID
	var described Described
	var before bool // it was revoked
	position, err := a.Store.Submit(ctx, store.Change{
		Organization: v.Identity.Key.Organization, Urgent: true, Reads: store.Reads{Keys: []latchkey.ID{id}},
		Apply: func(view *store.View) (store.Outcome, error) {
			h := view.Keys[id]
			if h == nil || !holds(&h.Key, v.Identity.KID, view.Now) {
				return store.Outcome{}, stranger
			}
			next, diff, err := revoke(h.Key, "revoked by its holder", view.Now)
			described = Described{Key: next, State: latchkey.StateRevoked, At: view.Now}
			if before = diff == nil; err != nil || before {
				return store.Outcome{}, err
			}
			t := &txn{View: view, a: a, caller: Caller{
				Key: id, Owner: next.Owner, Home: next.Organization, Organization: next.Organization, RequestID: call.RequestID,
			}}
			t.updated(&next.Record)
			step, err := t.step(latchkey.KeyRevoked, latchkey.Object{Kind: latchkey.KindKey, ID: id}, diff.document())
			if err != nil {
				return store.Outcome{}, err
			}
			step.Keys = []*latchkey.Key{&next}
			return store.Outcome{Steps: t.written()}, nil
		},
	})
	if before {
		position = described.Revision
	}
	if err != nil {
		return Described{}, Effective{}, translate(err)
	}
	return described, a.await(ctx, call, Effective{Position: position}), nil
}

// RevealKey tells the stored value of a retrievable key. The event is committed
// before the value leaves.
func (a *Authority) RevealKey(ctx context.Context, call *Call, id latchkey.ID, reason string) (latchkey.Plaintext, error) {
	if err := call.Require(latchkey.KeySecretRead); err != nil {
		return latchkey.Plaintext{}, err
	}
	var broken problems
	broken.text("/reason", reason, 1, latchkey.MaxReasonLen)
	if err := broken.err(); err != nil {
		return latchkey.Plaintext{}, err
	}
	if err := call.mayHaveSecret(); err != nil {
		return latchkey.Plaintext{}, err
	}
	return a.reveal(ctx, call, id, latchkey.KeySecretRead, reason)
}

// GetKeyWithValue describes a key and tells its stored value. The value is "" if
// it is not stored, or is not for the caller to have: that is no reason to refuse
// the rest. It takes the right to read keys and the ceiling, as minting a token
// does, for an API whose readers are promised the value; what is told is an event
// that is committed before the value leaves.
func (a *Authority) GetKeyWithValue(ctx context.Context, call *Call, id latchkey.ID, reason string) (Described, latchkey.Plaintext, error) {
	described, err := a.GetKey(ctx, call, id)
	if err != nil || described.Newest(described.At).Sealed == nil || call.mayHaveSecret() != nil {
		return described, latchkey.Plaintext{}, err
	}
	value, err := a.reveal(ctx, call, id, latchkey.KeyRead, reason)
	if code := latchkey.CodeOf(err); code == latchkey.CodeCeiling || code == latchkey.CodeConflict {
		err = nil
	}
	return described, value, err
}

// reveal opens the newest live secret of the key.
func (a *Authority) reveal(ctx context.Context, call *Call, id latchkey.ID, needs latchkey.Permission, reason string) (latchkey.Plaintext, error) {
	h, err := a.key(ctx, call, id)
	if err != nil {
		return latchkey.Plaintext{}, err
	}
	project := h.Key.Project // it stays
	var secret latchkey.Secret
	_, _, err = a.submit(ctx, call, change{
		needs: needs, reads: store.Reads{Keys: []latchkey.ID{id}, Projects: []latchkey.ID{project}},
		apply: func(t *txn) error {
			h := t.Keys[id]
			if h == nil || !t.caller.sees(&h.Key) {
				return notFound()
			}
			if err := call.matches(h.Key.Record); err != nil {
				return err
			}
			if err := t.mayTell(h); err != nil {
				return err
			}
			secret = h.Key.Newest(t.Now)
			if p := t.Projects[project]; p == nil || !a.Tells(p, &h.Key, t.Now) {
				return latchkey.Errorf(latchkey.CodeConflict, "The value of this key is not stored, or may not be told any more; rotate the key to get a new one.")
			}
			_, err := t.step(latchkey.KeyRevealed, latchkey.Object{Kind: latchkey.KindKey, ID: id}, changes{"reason": reason, "kid": secret.KID}.document())
			return err
		},
	})
	if err != nil {
		return latchkey.Plaintext{}, err
	}
	dataKey, err := a.dataKey(ctx, call.Organization)
	if err != nil {
		return latchkey.Plaintext{}, err
	}
	return a.Ring.Open(dataKey, sealedValue(call.Organization, secret.KID), secret.Sealed)
}

// Tells reports whether a key's value is stored and may be told, for all that the
// key and its project decide.
func (a *Authority) Tells(p *latchkey.Project, k *latchkey.Key, now time.Time) bool {
	return !a.ForbidRetrievable && !p.ForbidRetrievable && !k.Revoked() && k.Newest(now).Sealed != nil
}

// mayTell refuses a caller who may not come to a secret of the key.
func (t *txn) mayTell(h *store.Holder) error {
	roles := append(t.roles(), h.Roles...)
	if err := t.caller.ceiling(&h.Key, h.Owner, roles); err != nil {
		return err
	}
	return t.caller.speaksFor(h.Owner, &h.Key, roles)
}
