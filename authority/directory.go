package authority

import (
	"context"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// PageFilter selects a page of organizations, projects, users or roles, newest first.
type PageFilter struct {
	Limit  int    // 1–100; 0 is 25
	Cursor string // from an earlier page
}

// directoryPage reads one page of a directory list: find reads rows, record
// shows a row's place.
func directoryPage[T any](ctx context.Context, a *Authority, call *Call, name string, f PageFilter,
	find func(context.Context, store.Page) ([]T, error), record func(*T) latchkey.Record,
) ([]T, string, error) {
	var broken problems
	limit := broken.limit(f.Limit)
	if err := broken.err(); err != nil {
		return nil, "", err
	}
	l := cursorOf(call, name, nil)
	page := store.Page{Organization: call.Organization, Limit: limit + 1}
	if f.Cursor != "" {
		if err := a.openCursor(l, f.Cursor, &page.Before); err != nil {
			return nil, "", err
		}
	}
	rows, err := find(ctx, page)
	if err != nil {
		return nil, "", translate(err)
	}
	next := ""
	if len(rows) > limit {
		rows = rows[:limit]
		next, err = a.sealCursor(l, record(&rows[limit-1]).Ordinal)
	}
	return rows, next, err
}

// directoryChange is a change of one organization, project, user or role.
type directoryChange[T any] struct {
	needs   latchkey.Permission
	event   latchkey.EventType
	kind    latchkey.Kind
	id      latchkey.ID
	reads   store.Reads
	current func(t *txn) *T // nil: not there, or out of reach
	change  func(t *txn, row *T) (changes, error)
	write   func(s *store.Step, row *T)
	record  func(row *T) *latchkey.Record
}

// apply runs it within a submit and returns the row as written.
func (d directoryChange[T]) submit(ctx context.Context, a *Authority, call *Call) (T, Effective, error) {
	var out T
	effective, _, err := a.submit(ctx, call, change{needs: d.needs, urgent: narrows(d.event), reads: d.reads, apply: func(t *txn) error {
		found := d.current(t)
		if found == nil {
			return notFound()
		}
		row := new(T)
		*row = *found
		if err := call.matches(*d.record(row)); err != nil {
			return err
		}
		diff, err := d.change(t, row)
		if err != nil {
			return err
		}
		t.told = append(t.told, func() { out = *row })
		if len(diff) == 0 {
			return nil
		}
		t.updated(d.record(row))
		step, err := t.step(d.event, latchkey.Object{Kind: d.kind, ID: d.id}, diff.document())
		if err != nil {
			return err
		}
		d.write(step, row)
		return nil
	}})
	if err != nil {
		return out, Effective{}, err
	}
	effective.Position = min(effective.Position, d.record(&out).Revision) // nothing was written: it has been so since then
	return out, a.await(ctx, call, effective), nil
}

// creation is a new organization, project, user or role.
type creation[T any] struct {
	needs  latchkey.Permission
	event  latchkey.EventType
	kind   latchkey.Kind
	reads  store.Reads
	make   func(t *txn, id latchkey.ID) (*T, *store.Step, error) // the step has its rows, not its event
	tell   func(row *T) changes
	told   *told                                                 // the secret that is told with it, and again to a call that is repeated; nil for none
	again  func(ctx context.Context, id latchkey.ID) (*T, error) // reads it for a call made before
	record func(row *T) *latchkey.Record
}

func (c creation[T]) submit(ctx context.Context, a *Authority, call *Call) (T, Effective, error) {
	var out T
	id, err := latchkey.NewID(a.Clock(), a.Random)
	if err != nil {
		return out, Effective{}, err
	}
	var secrets []told
	if c.told != nil {
		secrets = append(secrets, *c.told)
	}
	record, err := a.remember(call, []latchkey.ID{id}, secrets)
	if err != nil {
		return out, Effective{}, err
	}
	effective, replayed, err := a.submit(ctx, call, change{needs: c.needs, reads: c.reads, record: record, apply: func(t *txn) error {
		row, rows, err := c.make(t, id)
		if err != nil {
			return err
		}
		step, err := t.step(c.event, latchkey.Object{Kind: c.kind, ID: id}, c.tell(row).document())
		if err != nil {
			return err
		}
		rows.Event = step.Event
		*step = *rows
		t.told = append(t.told, func() { out = *row })
		return nil
	}})
	if err != nil {
		return out, Effective{}, err
	}
	if replayed == nil {
		return out, a.await(ctx, call, effective), nil
	}
	made, err := c.again(ctx, replayed.Objects[0])
	if err != nil {
		return out, Effective{}, translate(err)
	}
	if c.told != nil {
		secrets, err := a.recall(call, replayed, c.kind)
		if err != nil {
			return out, Effective{}, err
		}
		*c.told = secrets[0]
	}
	effective.Position = c.record(made).Revision
	return *made, a.await(ctx, call, effective), nil
}

// deletion takes away a project, user or role, and what hangs on it if asked.
type deletion struct {
	revokeKeys bool           // revoke the keys that hang on it first
	keys       store.KeyQuery // which those are
	holding    latchkey.ID    // whose holding decides
	noun       string         // project, user, role, organization
	run        func(gone func(t *txn) error) (Effective, error)
}

// delete revokes what hangs on the object page by page, then deletes it in a
// transaction that sees that nothing does.
func (a *Authority) delete(ctx context.Context, call *Call, d deletion) (Effective, error) {
	if d.revokeKeys {
		if err := call.Require(latchkey.KeyDelete); err != nil {
			return Effective{}, err
		}
		if err := a.revokeAll(ctx, call, d); err != nil {
			return Effective{}, err
		}
	}
	return d.run(func(t *txn) error {
		h := t.Holdings[d.holding]
		if h.Keys > 0 {
			return latchkey.Errorf(latchkey.CodeConflict, "%d keys that are not revoked hang on this %s; revoke them, or delete it with revoke_keys=true.", h.Keys, d.noun)
		}
		if h.Users > 0 {
			return latchkey.Errorf(latchkey.CodeConflict, "%d users are members by this %s; give them another role first.", h.Users, d.noun)
		}
		return nil
	})
}

// revokeAll revokes every key that the query finds, in batches of one
// transaction each.
func (a *Authority) revokeAll(ctx context.Context, call *Call, d deletion) error {
	const batch = 500
	q := d.keys
	q.Organization, q.Sort, q.Limit = call.Organization, store.ByCreation, batch
	for {
		q.Now = a.Clock()
		found, err := a.Store.ListKeys(ctx, q)
		if err != nil {
			return translate(err)
		}
		var live []latchkey.ID
		for _, k := range found {
			if !k.Revoked() {
				live = append(live, k.ID)
			}
		}
		if len(live) > 0 {
			if err := a.revokeBatch(ctx, call, live, "its "+d.noun+" was deleted"); err != nil {
				return err
			}
		}
		if len(found) < batch {
			return nil
		}
		last := place(q.Sort, &found[len(found)-1].Key)
		q.After = &last
	}
}

func (a *Authority) revokeBatch(ctx context.Context, call *Call, ids []latchkey.ID, reason string) error {
	_, _, err := a.submit(ctx, call, change{
		needs: latchkey.KeyDelete, urgent: true, weight: len(ids), reads: store.Reads{Keys: ids},
		apply: func(t *txn) error {
			for _, id := range ids {
				h := t.Keys[id]
				if h == nil || !t.caller.sees(&h.Key) {
					continue
				}
				next, diff, err := revoke(h.Key, reason, t.Now)
				if err != nil || diff == nil {
					continue
				}
				t.updated(&next.Record)
				step, err := t.step(latchkey.KeyRevoked, latchkey.Object{Kind: latchkey.KindKey, ID: id}, diff.document())
				if err != nil {
					return err
				}
				step.Keys = []*latchkey.Key{&next}
			}
			return nil
		},
	})
	return err
}
