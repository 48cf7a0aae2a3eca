package sqlite

import (
	"errors"
	"math/bits"
	"strings"

	"latchkey.dev/latchkey/store"
)

// insertion is the statement that adds 1, 2, 4, 8 or 16 rows to a table. Each run
// of it opens every index that the table has, which costs about as much as a row.
type insertion [5]string

func newInsertion(one string) (texts insertion) {
	row := one[strings.LastIndex(one, "("):]
	for i := range texts {
		texts[i] = one + strings.Repeat(", "+row, 1<<i-1)
	}
	return texts
}

var (
	insertKeys    = newInsertion(keys.insert)
	insertSecrets = newInsertion(insertSecret)
	insertEvents  = newInsertion(insertEvent)
)

// batch is rows for one table that wait to be written together.
type batch struct {
	values []any // of all rows, one after the other
	of     []int // which outcome each row is of
}

func (b *batch) add(outcome int, values []any) {
	b.of, b.values = append(b.of, outcome), append(b.values, values...)
}

// write writes the rows and forgets them. It fails with a *store.WriteError that
// names the outcome of the row that was refused; refusal says what for.
func (b *batch) write(s *session, texts insertion, refusal func(row []any, err error) error) error {
	largest := len(texts) - 1
	for at := 0; at < len(b.of); {
		size := min(largest, bits.Len(uint(len(b.of)-at))-1)
		width, count := len(b.values)/len(b.of), 1<<size
		rows := b.values[at*width : (at+count)*width]
		switch _, err := s.exec(texts[size], rows...); {
		case err == nil:
			at += count
		case count > 1 && !errors.Is(fault(err), store.ErrUnavailable):
			largest = 0 // one by one, until the one to blame comes
		default:
			return &store.WriteError{Index: b.of[at], Err: fault(refusal(rows, err))}
		}
	}
	clear(b.values)
	b.of, b.values = b.of[:0], b.values[:0]
	return nil
}

// gathered are the rows of new keys and of events that the outcomes brought so far.
type gathered struct {
	outcome               int // that is being looked at
	keys, secrets, events batch
}

// settle writes what was gathered, which has to be there before anything looks at
// keys.
func (t *tx) settle() error {
	g := &t.gathered
	if err := g.keys.write(t.session, insertKeys, t.session.keyRefusal); err != nil {
		return err
	}
	if err := g.secrets.write(t.session, insertSecrets, t.session.secretRefusal); err != nil {
		return err
	}
	return g.events.write(t.session, insertEvents, func(_ []any, err error) error { return err })
}

func (s *session) keyRefusal(row []any, err error) error {
	if unique(err) {
		return s.conflict(keys, row[1], true, "id")
	}
	return err
}

// secretRefusal tells which value of a secret is taken.
func (s *session) secretRefusal(row []any, err error) error {
	if !unique(err) {
		return err
	}
	var one int
	switch found := s.get([]any{&one}, `SELECT 1 FROM secrets WHERE kid = ?`, row[1]); {
	case found == nil:
		return &store.ConflictError{Field: "kid"}
	case errors.Is(found, store.ErrNotFound):
		return &store.ConflictError{Field: "digest"}
	default:
		return found
	}
}
