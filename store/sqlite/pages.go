package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"latchkey.dev/latchkey/store/sqlite/btree"
)

// layout is where the rows of a table begin, and in which order a row has its
// columns.
type layout struct {
	root    uint32
	columns []string
}

// at is a column's place. The schema is the program's own, so it is there.
func (l *layout) at(column string) int { return slices.Index(l.columns, column) }

// layout reads that of a table. A row begins with the columns of the table's key,
// and has none of those that are calculated.
func (s *session) layout(table string) (*layout, error) {
	l := &layout{}
	err := s.each(func(rows *sql.Rows) error {
		var column string
		err := rows.Scan(&l.root, &column)
		l.columns = append(l.columns, column)
		return err
	}, `SELECT t.rootpage, c.name FROM sqlite_schema t JOIN pragma_table_xinfo(t.name) c
		WHERE t.type = 'table' AND t.name = ? AND c.hidden <> 2 ORDER BY iif(c.pk > 0, c.pk, 1000), c.cid`, table)
	if err == nil && l.root == 0 {
		err = fmt.Errorf("%w: there is no table %s", errColumn, table)
	}
	return l, err
}

// selectPages gives so many pages in the order of its parameters. Nothing is page 0.
var selectPages = `SELECT p.data FROM (VALUES ` + strings.TrimSuffix(strings.Repeat(`(?), `, btree.Batch), `, `) + `) n
	CROSS JOIN sqlite_dbpage p ON p.pgno = n.column1`

// pages reads pages of the file, as they are in the session's snapshot.
func (s *session) pages(ctx context.Context) btree.Pages {
	args := make([]driver.NamedValue, btree.Batch)
	return func(numbers []uint32) (pages [][]byte, err error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for i := range args {
			args[i] = driver.NamedValue{Ordinal: i + 1, Value: int64(0)}
			if i < len(numbers) {
				args[i].Value = int64(numbers[i])
			}
		}
		err = s.conn.Raw(func(conn any) error {
			order, err := s.order(conn, selectPages)
			if err != nil {
				return err
			}
			rows, err := order.QueryContext(background(), args)
			if err != nil {
				return err
			}
			pages, err = blobs(rows)
			return errors.Join(err, rows.Close())
		})
		return pages, err
	}
}

// blobs are the values of a query's one column, each in memory of its own.
func blobs(rows driver.Rows) (all [][]byte, err error) {
	values := make([]driver.Value, 1)
	for err == nil {
		if err = rows.Next(values); err == nil {
			blob, _ := values[0].([]byte) // of no other kind is a page
			all = append(all, blob)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return all, err
}
