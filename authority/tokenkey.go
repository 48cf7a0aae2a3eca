package authority

import (
	"context"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/token"
)

// TokenKeySet is the public keys of tokens, as a JSON Web Key Set. The first who
// asks for it, or for a token, makes the first keys: an installation that has no
// use for tokens has none.
func (a *Authority) TokenKeySet(ctx context.Context) ([]byte, error) {
	document, ready, err := a.tokens.KeySet(ctx)
	if err == nil && !ready {
		if err := a.firstTokenKeys(ctx); err != nil {
			return nil, err
		}
		document, _, err = a.tokens.KeySet(ctx)
	}
	return document, translate(err)
}

// TokenKey is a key that signs tokens, signed them or will, as it is shown.
type TokenKey struct {
	KID         string
	Algorithm   token.Algorithm
	State       token.State
	PublishedAt time.Time
	ActiveAt    time.Time // zero: it has not signed yet
	RetiredAt   time.Time // zero: it has not stopped yet
}

// TokenKeys lists them, oldest first.
func (a *Authority) TokenKeys(ctx context.Context, call *Call) ([]TokenKey, error) {
	if err := call.RequireOperator(latchkey.OrganizationUpdate); err != nil {
		return nil, err
	}
	rows, err := a.Store.TokenKeys(ctx)
	if err != nil {
		return nil, translate(err)
	}
	var keys []TokenKey
	for i := range rows {
		k := &rows[i]
		keys = append(keys, TokenKey{k.ID.Hex(), token.Algorithm(k.Algorithm), token.StateOf(k), k.CreatedAt, k.ActiveAt, k.RetiredAt})
	}
	return keys, nil
}

// RotateTokenKeys begins the change to new signing keys: they are published, and
// sign when they have been for token.Lead. At once is for keys that are feared
// for, since verifiers that keep the key set do not know the new ones yet. What
// the old ones signed stays valid either way.
func (a *Authority) RotateTokenKeys(ctx context.Context, call *Call, atOnce bool) (Effective, error) {
	if err := call.RequireOperator(latchkey.OrganizationUpdate); err != nil {
		return Effective{}, err
	}
	order := token.Rotate
	if atOnce {
		order = token.RotateNow
	}
	e, err := a.moveTokenKeys(ctx, call, order)
	if err != nil {
		return e, err
	}
	return a.await(ctx, call, e), nil
}

// TendTokenKeys does what the ages of the signing keys ask for, if there are any.
func (a *Authority) TendTokenKeys(ctx context.Context) error {
	keys, err := a.Store.TokenKeys(ctx)
	if err != nil || len(keys) == 0 {
		return translate(err)
	}
	if changes, wants := token.Plan(keys, nil, token.Tend, a.Clock()); len(changes)+len(wants) == 0 {
		return nil
	}
	return a.tend(ctx)
}

// firstTokenKeys makes the keys without which nothing can be signed.
func (a *Authority) firstTokenKeys(ctx context.Context) error {
	a.drawing.Lock() // the others wait for the one that makes them
	defer a.drawing.Unlock()
	if _, ready, err := a.tokens.KeySet(ctx); err != nil || ready {
		return translate(err)
	}
	return a.tend(ctx)
}

// tend moves the keys in the name of the system.
func (a *Authority) tend(ctx context.Context) error {
	in, err := a.Store.Installation(ctx)
	if err != nil {
		return translate(err)
	}
	_, err = a.moveTokenKeys(ctx, &Call{Caller: Socket(in.Operator)}, token.Tend)
	return err
}

// moveTokenKeys writes what is due. Keys are drawn before the transaction, for
// the algorithms that seem to need one, and dropped if another was quicker.
func (a *Authority) moveTokenKeys(ctx context.Context, call *Call, order token.Order) (Effective, error) {
	keys, err := a.Store.TokenKeys(ctx)
	if err != nil {
		return Effective{}, translate(err)
	}
	fresh := map[token.Algorithm]*store.TokenKey{}
	_, wants := token.Plan(keys, nil, order, a.Clock())
	for _, algorithm := range wants {
		if fresh[algorithm], err = a.tokens.Draw(ctx, algorithm, a.Random, a.Clock()); err != nil {
			return Effective{}, translate(err)
		}
	}
	e, _, err := a.submit(ctx, call, change{
		needs: latchkey.OrganizationUpdate, reads: store.Reads{TokenKeys: true},
		apply: func(t *txn) error {
			if err := t.caller.RequireOperator(latchkey.OrganizationUpdate); err != nil {
				return err
			}
			plan, _ := token.Plan(t.TokenKeys, fresh, order, t.Now)
			for i := range plan {
				if err := t.moveTokenKey(&plan[i]); err != nil {
					return err
				}
			}
			return nil
		},
	})
	return e, err
}

func (t *txn) moveTokenKey(c *token.Change) error {
	k := c.Key
	if k.Ordinal == 0 {
		k.Record = t.created()
	} else {
		t.updated(&k.Record)
	}
	step, err := t.step(c.Event, latchkey.Object{},
		changes{"kid": k.ID.Hex(), "algorithm": k.Algorithm, "state": token.StateOf(&k)}.document())
	if err != nil {
		return err
	}
	step.Event.Organization = latchkey.ID{}
	step.TokenKeys = []*store.TokenKey{&k}
	return nil
}
