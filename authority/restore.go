package authority

import (
	"context"
	"slices"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// RestoredRevocation is the reason of a revocation that the database forgot and
// that is made again.
const RestoredRevocation = "restored_after_failover"

// RestoreRevocations revokes again keys of which a node knew that they were
// revoked before the database lost what it had committed. Those that are revoked,
// or that it lost altogether, need nothing.
func (a *Authority) RestoreRevocations(ctx context.Context, keys []latchkey.ID) error {
	const batch = 100
	for ids := range slices.Chunk(keys, batch) {
		if _, err := a.Store.Submit(ctx, store.Change{
			Urgent: true, Weight: len(ids), Reads: store.Reads{Keys: ids},
			Apply: func(view *store.View) (store.Outcome, error) { return a.restored(view, ids) },
		}); err != nil {
			return translate(err)
		}
	}
	return nil
}

func (a *Authority) restored(view *store.View, ids []latchkey.ID) (store.Outcome, error) {
	t := &txn{View: view, a: a}
	for _, id := range ids {
		h := view.Keys[id]
		if h == nil {
			continue
		}
		next, diff, err := revoke(h.Key, RestoredRevocation, view.Now)
		if err != nil || diff == nil {
			continue
		}
		t.caller = Socket(next.Organization)
		t.updated(&next.Record)
		step, err := t.step(latchkey.KeyRevoked, latchkey.Object{Kind: latchkey.KindKey, ID: id}, diff.document())
		if err != nil {
			return store.Outcome{}, err
		}
		step.Keys = []*latchkey.Key{&next}
	}
	return store.Outcome{Steps: t.written()}, nil
}
