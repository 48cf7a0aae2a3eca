package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"latchkey.dev/latchkey/store"
)

// dsn names the file with the settings of every connection. Small stores are read
// through a memory map; it and the cache are per connection, and count as memory
// of the process when they are used, so they are bounded.
func dsn(path string, settings ...string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	settings = append([]string{
		"_pragma=busy_timeout(5000)", // only strangers, such as the sqlite3 program, make us wait
		"_pragma=mmap_size(67108864)",
		"_pragma=trusted_schema(0)",
		"_dqs=0",
	}, settings...)
	return (&url.URL{Scheme: "file", Path: path}).String() + "?" + strings.Join(settings, "&")
}

// writerDSN is for the one connection that writes. The log is brought into the
// file after 4,000 pages rather than 1,000, so that pages which many changes
// touch are written to the file less often.
func writerDSN(path string) string {
	return dsn(path, "_defensive=1", "_journal_mode=WAL", "_synchronous=FULL", "_foreign_keys=1",
		"_pragma=wal_autocheckpoint(4000)", "_pragma=journal_size_limit(67108864)", "_pragma=cache_size(-8192)",
		"_pragma=secure_delete(FAST)", "_pragma=temp_store(2)") // what undoes a statement stays in memory
}

func readerDSN(path string) string {
	return dsn(path, "_query_only=1", "_pragma=cache_size(-2048)")
}

// session is one connection with its prepared statements. It opens when it is
// used and, after a failure of the file, opens anew. One goroutine uses it at a
// time.
//
// Queries go through database/sql, which converts what they find. What only
// writes goes to the driver itself: database/sql would add a third to the cost of
// a row. So does what reads pages.
type session struct {
	db      *sql.DB
	conn    *sql.Conn // nil: not open
	queries map[string]*sql.Stmt
	orders  map[string]order // what changes rows, begins and ends transactions, or reads pages
	args    []driver.NamedValue
}

// order is the driver's statement.
type order interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// background runs what takes microseconds: to watch a context would cost as
// much as the work, and nobody waits for it to be canceled.
func background() context.Context { return context.Background() }

func newSession(dsn string) *session {
	db := database(dsn)
	db.SetMaxIdleConns(-1) // a connection that the session lets go of is closed
	return &session{db: db}
}

// database does not open anything yet.
func database(dsn string) *sql.DB {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		panic(err) // the driver is part of the program, and nothing else can fail
	}
	return db
}

func (s *session) open() error {
	if s.conn != nil {
		return nil
	}
	conn, err := s.db.Conn(background())
	if err != nil {
		return err
	}
	s.conn, s.queries, s.orders = conn, map[string]*sql.Stmt{}, map[string]order{}
	return nil
}

// drop closes the connection, whatever it was in.
func (s *session) drop() error {
	if s.conn == nil {
		return nil
	}
	var errs []error
	for _, query := range s.queries {
		errs = append(errs, query.Close())
	}
	errs = append(errs, s.conn.Raw(func(any) error {
		var errs []error
		for _, order := range s.orders {
			errs = append(errs, order.Close())
		}
		return errors.Join(errs...)
	}), s.conn.Close())
	s.conn, s.queries, s.orders = nil, nil, nil
	return errors.Join(errs...)
}

// exec runs a statement and returns how many rows it changed.
func (s *session) exec(text string, args ...any) (changed int64, err error) {
	s.args = s.args[:0]
	for i, arg := range args {
		value, err := driver.DefaultParameterConverter.ConvertValue(arg)
		if err != nil {
			return 0, err
		}
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: value})
	}
	err = s.conn.Raw(func(conn any) error {
		order, err := s.order(conn, text)
		if err != nil {
			return err
		}
		result, err := order.ExecContext(background(), s.args)
		if err != nil {
			return err
		}
		changed, err = result.RowsAffected()
		return err
	})
	return changed, err
}

// order prepares a statement, unless it is prepared.
func (s *session) order(conn any, text string) (order, error) {
	if kept := s.orders[text]; kept != nil {
		return kept, nil
	}
	made, err := conn.(driver.ConnPrepareContext).PrepareContext(background(), text)
	if err != nil {
		return nil, err
	}
	s.orders[text] = made.(order)
	return made.(order), nil
}

func (s *session) query(text string) (*sql.Stmt, error) {
	if kept := s.queries[text]; kept != nil {
		return kept, nil
	}
	made, err := s.conn.PrepareContext(background(), text)
	if err != nil {
		return nil, err
	}
	s.queries[text] = made
	return made, nil
}

// each runs a query and hands its rows over one by one.
func (s *session) each(row func(*sql.Rows) error, text string, args ...any) error {
	query, err := s.query(text) //nolint:sqlclosecheck // it is kept; drop closes it
	if err != nil {
		return err
	}
	rows, err := query.QueryContext(background(), args...)
	if err != nil {
		return err
	}
	return drain(rows, row)
}

// search is each for statements whose text depends on the question and that may
// take long: the statement is not kept, and ctx stops it.
func (s *session) search(ctx context.Context, row func(*sql.Rows) error, text string, args ...any) error {
	rows, err := s.conn.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	return drain(rows, row)
}

func drain(rows *sql.Rows, row func(*sql.Rows) error) error {
	for rows.Next() {
		if err := row(rows); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

// get scans the one row of a query, or fails with store.ErrNotFound.
func (s *session) get(to []any, text string, args ...any) error {
	found := false
	err := s.each(func(rows *sql.Rows) error {
		found = true
		return rows.Scan(to...)
	}, text, args...)
	if err == nil && !found {
		return store.ErrNotFound
	}
	return err
}

// snapshot runs reads that must see one state of the store.
func (s *session) snapshot(read func() error) (err error) {
	if _, err := s.exec(`BEGIN`); err != nil {
		return err
	}
	defer func() {
		_, end := s.exec(`COMMIT`)
		err = errors.Join(err, end)
	}()
	return read()
}

// readers are the sessions that only read.
type readers struct {
	idle   chan *session
	closed chan struct{}
}

// readerCount is how many reads run at once. Reads take the processor more than
// they wait for the disk, and each connection has caches of its own.
const readerCount = 4

func newReaders(path string) *readers {
	r := &readers{idle: make(chan *session, readerCount), closed: make(chan struct{})}
	for range readerCount {
		r.idle <- newSession(readerDSN(path))
	}
	return r
}

// use runs a read on a session of its own.
func (r *readers) use(ctx context.Context, read func(*session) error) error {
	select {
	case <-r.closed: // wins over an idle session
		return errClosed
	default:
	}
	var s *session
	select {
	case s = <-r.idle:
	case <-r.closed:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { r.idle <- s }()
	err := ctx.Err()
	if err == nil {
		err = s.open()
	}
	if err == nil {
		err = read(s)
	}
	return s.settle(err)
}

// settle gives an error its meaning, and drops a connection that failed.
func (s *session) settle(err error) error {
	err = fault(err)
	if errors.Is(err, store.ErrUnavailable) || errors.Is(err, driver.ErrBadConn) {
		_ = s.drop() // it failed already
	}
	return err
}

// close waits for the reads that run and closes their sessions.
func (r *readers) close() error {
	close(r.closed)
	var errs []error
	for range readerCount {
		s := <-r.idle
		errs = append(errs, s.drop(), s.db.Close())
	}
	return errors.Join(errs...)
}

var errClosed = fmt.Errorf("%w: it is closed", store.ErrUnavailable)
