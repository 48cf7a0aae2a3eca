package sqlite

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"latchkey.dev/latchkey"
)

// table spells the statements for a table from its columns, so that arguments
// and results have one order everywhere. Its first columns are the ordinal, the
// id and the organization, where it has one; those never change.
type table struct {
	name           string
	insert, update string
	columns        string // for SELECT, each behind the alias t
}

// folded marks columns that are only written: they hold another column in lower case.
const folded = "_folded"

// recordColumns are those of latchkey.Record, save for the ordinal, which comes first.
const recordColumns = "created_at updated_at created_by updated_by revision deleted_at"

func newTable(name, fixed, changing string) *table {
	all := strings.Fields(fixed + " " + changing + " " + recordColumns)
	var read, set, places []string
	for i, column := range all {
		places = append(places, "?") // without its number it has no name, which the library would look up
		if !strings.HasSuffix(column, folded) {
			read = append(read, "t."+column)
		}
		if i >= len(strings.Fields(fixed)) {
			set = append(set, column+" = ?"+strconv.Itoa(i+1))
		}
	}
	return &table{
		name:    name,
		insert:  "INSERT INTO " + name + " (" + strings.Join(all, ", ") + ") VALUES (" + strings.Join(places, ", ") + ")",
		update:  "UPDATE " + name + " SET " + strings.Join(set, ", ") + " WHERE ordinal = ?1 AND id = ?2",
		columns: strings.Join(read, ", "),
	}
}

// recordValues are the values of recordColumns.
func recordValues(r *latchkey.Record) []any {
	return []any{
		moment(r.CreatedAt), moment(r.UpdatedAt), principal(r.CreatedBy), principal(r.UpdatedBy), r.Revision, moment(r.DeletedAt),
	}
}

// recordTargets are where the values of recordColumns go.
func recordTargets(r *latchkey.Record) []any {
	return []any{
		(*timeColumn)(&r.CreatedAt), (*timeColumn)(&r.UpdatedAt), (*principalColumn)(&r.CreatedBy), (*principalColumn)(&r.UpdatedBy),
		&r.Revision, (*timeColumn)(&r.DeletedAt),
	}
}

// ident is an id as it is stored: NULL for none.
func ident(id latchkey.ID) any {
	if id.IsZero() {
		return nil
	}
	return id[:]
}

// principal is a principal as it is stored: the kind, then the id.
func principal(p latchkey.Principal) []byte { return append([]byte(p.Kind), p.ID[:]...) }

// moment is a time as it is stored: NULL for none.
func moment(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// ceiling is the first stored time that is not before t.
func ceiling(t time.Time) int64 {
	return t.Add(time.Millisecond - 1).UnixMilli()
}

// list is a list or a map as it is stored; nil and empty stay apart. Only
// strings and containers of strings are given, which always encode.
func list(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), err
}

var errColumn = errors.New("a column holds what was never written there")

// idColumn reads an id.
type idColumn latchkey.ID

// Scan implements sql.Scanner.
func (c *idColumn) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*c = idColumn{}
		return nil
	case []byte:
		if len(v) == len(c) {
			copy(c[:], v)
			return nil
		}
	}
	return fmt.Errorf("%w: an id", errColumn)
}

// principalColumn reads a principal.
type principalColumn latchkey.Principal

// Scan implements sql.Scanner.
func (c *principalColumn) Scan(src any) error {
	v, ok := src.([]byte)
	kind := len(v) - len(c.ID)
	if !ok || kind < 0 {
		return fmt.Errorf("%w: a principal", errColumn)
	}
	c.Kind = latchkey.PrincipalKind(v[:kind])
	copy(c.ID[:], v[kind:])
	return nil
}

// hashColumn reads 32 bytes.
type hashColumn [32]byte

// Scan implements sql.Scanner.
func (c *hashColumn) Scan(src any) error {
	if v, ok := src.([]byte); ok && len(v) == len(c) {
		copy(c[:], v)
		return nil
	}
	return fmt.Errorf("%w: a hash", errColumn)
}

// timeColumn reads a time.
type timeColumn time.Time

// Scan implements sql.Scanner.
func (c *timeColumn) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*c = timeColumn{}
		return nil
	case int64:
		*c = timeColumn(time.UnixMilli(v).UTC())
		return nil
	}
	return fmt.Errorf("%w: a time", errColumn)
}

// listColumn reads a list or a map into what it points to.
type listColumn struct{ to any }

// Scan implements sql.Scanner.
func (c listColumn) Scan(src any) error {
	if v, ok := src.(string); ok {
		return json.Unmarshal([]byte(v), c.to)
	}
	return fmt.Errorf("%w: a list", errColumn)
}

// fromColumn reads an address; "" is one that could not be told.
type fromColumn netip.Addr

// Scan implements sql.Scanner.
func (c *fromColumn) Scan(src any) error {
	v, ok := src.(string)
	if ok && v == "" {
		*c = fromColumn{}
		return nil
	}
	a, err := netip.ParseAddr(v)
	if !ok || err != nil {
		return fmt.Errorf("%w: an address", errColumn)
	}
	*c = fromColumn(a)
	return nil
}
