package authority

import (
	"context"
	"fmt"
	"math"
	"slices"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// MaxWidePage bounds the pages of lists that are paged by number.
const MaxWidePage = 1000

// PageKeys is the keys of a list after the first offset of them, at most limit
// (1–1,000), and how many there are in all. A key that is made or revoked between
// two pages moves the others.
func (a *Authority) PageKeys(ctx context.Context, call *Call, f KeyFilter, offset, limit int) ([]Described, int64, error) {
	q, err := a.pageQuery(ctx, call, f, offset, limit)
	if err != nil {
		return nil, 0, err
	}
	total, err := a.Store.CountKeys(ctx, q)
	if err != nil || int64(offset) >= total {
		return nil, total, translate(err)
	}
	found, err := a.Store.ListKeys(ctx, q)
	if err != nil {
		return nil, 0, translate(err)
	}
	described, err := a.describeAll(ctx, call, found, q.Now)
	return described, total, err
}

func (a *Authority) pageQuery(ctx context.Context, call *Call, f KeyFilter, offset, limit int) (store.KeyQuery, error) {
	if err := call.Require(latchkey.KeyRead); err != nil {
		return store.KeyQuery{}, err
	}
	return a.keyQuery(ctx, call, f, func(broken *problems, q *store.KeyQuery) {
		q.Offset, q.Limit = offset, limit
		if offset < 0 {
			broken.add("query:offset", "range", "An offset is 0 or more.")
		}
		if limit < 1 || limit > MaxWidePage {
			broken.add("query:limit", "range", fmt.Sprintf("A limit is 1 to %d.", MaxWidePage))
		}
	})
}

// Beside is where a piece of a list is, newest first: it begins after a key, or
// ends before one, or begins with the newest. The key has to be one that the
// caller sees, in any state and whether or not the filter selects it, so that a
// walk goes on when the key at which it stands is revoked.
type Beside struct {
	After  latchkey.ID // older keys; zero: not given
	Before latchkey.ID // newer keys; wins over After
	Offset int         // leaves out that many keys, those next to the one that is named
	Limit  int         // 1–1,000
}

// Piece is a piece of a list.
type Piece struct {
	Keys  []Described // newest first
	Total int64       // in the whole list
	Newer bool        // the list goes on before the piece; false of an empty one
	Older bool        // and after it
}

// KeysBeside is a piece of a list that is in its only order, newest first; the
// filter's own is not looked at. Walking from piece to piece shows every key once
// that is in the list all the while, whatever comes and goes.
func (a *Authority) KeysBeside(ctx context.Context, call *Call, f KeyFilter, at Beside) (Piece, error) {
	f.Sort = ""
	q, err := a.pageQuery(ctx, call, f, at.Offset, at.Limit)
	if err != nil {
		return Piece{}, err
	}
	if q.After, err = a.placeOf(ctx, call, at); err != nil {
		return Piece{}, err
	}
	var piece Piece
	if piece.Total, err = a.Store.CountKeys(ctx, q); err != nil || int64(at.Offset) >= piece.Total {
		return piece, translate(err)
	}
	q.Descending = at.Before.IsZero()
	q.Limit++ // one more tells whether the list goes on
	found, err := a.Store.ListKeys(ctx, q)
	if err != nil || len(found) == 0 {
		return piece, translate(err)
	}
	ahead := len(found) > at.Limit
	found = found[:min(at.Limit, len(found))]
	behind, err := a.isAny(ctx, q, &found[0].Key)
	if err != nil {
		return piece, err
	}
	piece.Newer, piece.Older = behind, ahead
	if !q.Descending {
		piece.Newer, piece.Older = ahead, behind
		slices.Reverse(found)
	}
	piece.Keys, err = a.describeAll(ctx, call, found, q.Now)
	return piece, err
}

// placeOf finds the key that a piece is beside.
func (a *Authority) placeOf(ctx context.Context, call *Call, at Beside) (*store.KeyCursor, error) {
	id, pointer := at.Before, "query:before"
	if id.IsZero() {
		id, pointer = at.After, "query:after"
	}
	if id.IsZero() {
		return nil, nil
	}
	h, err := a.key(ctx, call, id)
	if latchkey.CodeOf(err) == latchkey.CodeNotFound {
		return nil, latchkey.Invalid(pointer, "unknown", "There is no such key in this list.")
	}
	if err != nil {
		return nil, err
	}
	return &store.KeyCursor{Ordinal: h.Key.Ordinal}, nil
}

// isAny reports whether the list has keys on the other side of one.
func (a *Authority) isAny(ctx context.Context, q store.KeyQuery, of *latchkey.Key) (bool, error) {
	q.Descending, q.After, q.Offset, q.Limit = !q.Descending, &store.KeyCursor{Ordinal: of.Ordinal}, 0, 1
	found, err := a.Store.ListKeys(ctx, q)
	return len(found) > 0, translate(err)
}

// eachBatch is how many keys EachKey holds at once.
const eachBatch = 200

// EachKey tells the keys of a list one by one, newest first; the filter's own
// order is not looked at. Every key is told once that is in the list all the
// while. It holds a few hundred at once, however many there are, and ends with
// the first error that tell returns.
func (a *Authority) EachKey(ctx context.Context, call *Call, f KeyFilter, tell func(*Described) error) error {
	f.Sort = ""
	q, err := a.pageQuery(ctx, call, f, 0, eachBatch)
	if err != nil {
		return err
	}
	for at := (store.KeyCursor{Ordinal: math.MaxInt64}); ; {
		q.After, q.Now = &at, a.Clock()
		found, err := a.Store.ListKeys(ctx, q)
		if err != nil {
			return translate(err)
		}
		described, err := a.describeAll(ctx, call, found, q.Now)
		if err != nil {
			return err
		}
		for i := range described {
			if err := tell(&described[i]); err != nil {
				return err
			}
		}
		if len(found) < eachBatch {
			return nil
		}
		at = store.KeyCursor{Ordinal: found[len(found)-1].Ordinal}
	}
}
