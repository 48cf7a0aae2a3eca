package authority

import (
	"context"
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// RestoredRevocation is the reason of a revocation that the database forgot and
// that is made again.
const RestoredRevocation = "restored_after_failover"

// Restore ends again what a node knew to have ended before the database lost what
// it had committed: keys that were revoked, and secrets that a rotation had left
// behind. A key that has no other secret is revoked. What has ended anyhow, or was
// lost altogether, needs nothing.
func (a *Authority) Restore(ctx context.Context, lost []store.Lost) error {
	const batch = 100
	for some := range slices.Chunk(lost, batch) {
		ids := make([]latchkey.ID, len(some))
		for i := range some {
			ids[i] = some[i].Key
		}
		if _, err := a.Store.Submit(ctx, store.Change{
			Urgent: true, Weight: len(ids), Reads: store.Reads{Keys: ids},
			Apply: func(view *store.View) (store.Outcome, error) { return a.restored(view, some) },
		}); err != nil {
			return translate(err)
		}
	}
	return nil
}

func (a *Authority) restored(view *store.View, lost []store.Lost) (store.Outcome, error) {
	t := &txn{View: view, a: a}
	for _, l := range lost {
		h := view.Keys[l.Key]
		if h == nil || h.Key.Revoked() {
			continue
		}
		event := latchkey.KeyRotationCompleted
		next, diff, done := endSecrets(h.Key, l.Ended, view.Now)
		if !done {
			event = latchkey.KeyRevoked
			var err error
			if next, diff, err = revoke(h.Key, RestoredRevocation, view.Now); err != nil {
				return store.Outcome{}, err
			}
		}
		t.caller = Socket(next.Organization)
		t.updated(&next.Record)
		step, err := t.step(event, latchkey.Object{Kind: latchkey.KindKey, ID: l.Key}, diff.document())
		if err != nil {
			return store.Outcome{}, err
		}
		step.Keys = []*latchkey.Key{&next}
	}
	return store.Outcome{Steps: t.written()}, nil
}

// endSecrets ends these secrets of a key now, if there are some and another one
// goes on.
func endSecrets(k latchkey.Key, kids []latchkey.KID, now time.Time) (latchkey.Key, changes, bool) {
	k.Secrets = slices.Clone(k.Secrets)
	for i := range k.Secrets {
		if s := &k.Secrets[i]; slices.Contains(kids, s.KID) && !s.Ended(now) {
			s.ExpiresAt = now
		}
	}
	return k, changes{"reason": RestoredRevocation, "ended": kids}, len(kids) > 0 && len(k.LiveSecrets(now)) > 0
}
