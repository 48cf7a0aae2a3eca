package postgres

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/jackc/pgx/v5"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// writer is a connection of this node that writes, the only one behind its lock of
// the database. Whoever holds mu has it.
type writer struct {
	lock     int64 // of the database, that every transaction takes first
	mu       sync.Mutex
	config   *pgx.ConnConfig
	conn     *pgx.Conn // nil: not open
	closed   bool
	failing  bool              // the store could not be written, and has not been since
	interned map[[32]byte]bool // policies that are stored; rows are never deleted
	log      *slog.Logger

	committed func(head int64) // is told of the groups of this node; nil: nobody
	own       *own             // keeps them for its member; nil: it is not to
}

func newWriter(lock int64, config *pgx.ConnConfig, log *slog.Logger) *writer {
	return &writer{lock: lock, config: config, interned: map[[32]byte]bool{}, log: log}
}

// prepare opens the connection, so that a database that cannot be written is told
// when the store is opened.
func (w *writer) prepare(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open(ctx)
}

func (w *writer) open(ctx context.Context) error {
	if w.closed {
		return errClosed
	}
	if w.conn != nil && !w.conn.IsClosed() {
		return nil
	}
	conn, err := connect(ctx, w.config)
	if err != nil {
		return err
	}
	if err := check(ctx, conn); err != nil {
		return errors.Join(err, conn.Close(ctx))
	}
	if err := raiseIfMoved(ctx, conn); err != nil {
		return errors.Join(err, conn.Close(ctx))
	}
	w.conn = conn
	if w.own != nil {
		w.own.forget()
	}
	clear(w.interned) // another server may be behind the address now
	return nil
}

// send runs the statements in one message. No caller's context reaches it, since
// the group that it is for outlives any one caller.
func (w *writer) send(batch *pgx.Batch) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	return w.conn.SendBatch(ctx, batch).Close()
}

// lock is how every transaction that writes begins.
func (g *gathering) lock(lock int64) {
	g.Queue(`BEGIN ISOLATION LEVEL READ COMMITTED`)
	g.Queue(`SELECT pg_advisory_xact_lock($1)`, lock)
}

// rollback ends a transaction that failed, or was not wanted. A connection on
// which that does not work is given up, and the server ends its transaction.
func (w *writer) rollback() {
	if w.conn == nil || w.conn.IsClosed() || w.conn.PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	if _, err := w.conn.Exec(ctx, `ROLLBACK`); err != nil {
		_ = w.conn.Close(ctx) // it failed already
	}
}

// giveUp closes the connection, so that the next one is looked at anew.
func (w *writer) giveUp() {
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	_ = w.conn.Close(ctx) // it was only read on
}

// settled takes note of how a transaction ended: cause is why it could not write.
// What one change was refused for is no failure of the store.
func (w *writer) settled(cause error) {
	if errors.Is(cause, store.ErrUnavailable) && !w.failing {
		w.failing = true
		w.log.Error("the store cannot be written; reads go on", "error", cause)
	}
	if cause == nil && w.failing {
		w.failing = false
		w.log.Info("the store can be written again")
	}
}

// background runs writes that make no event, between two groups of changes. They
// take the lock as well: what a change has read must not be altered before the
// change is written, and whoever takes one lock first never waits in a circle.
func (w *writer) background(ctx context.Context, write func(*pgx.Batch)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.open(ctx); err != nil {
		return fault(err)
	}
	var g gathering
	g.lock(w.lock)
	write(&g.Batch)
	g.Queue(`COMMIT`)
	err := fault(w.send(&g.Batch))
	w.rollback()
	w.settled(err)
	return err
}

// close closes the connection.
func (w *writer) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.conn == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	_ = w.conn.Close(ctx) // whatever was acknowledged was committed
	return nil
}

// begin is how store.Writer gets its transactions. The first message is Load's.
func (w *writer) begin(ctx context.Context) (store.Tx, error) {
	w.mu.Lock()
	if err := w.open(ctx); err != nil {
		err = fault(err)
		w.settled(err)
		w.mu.Unlock()
		return nil, err
	}
	return &tx{writer: w}, nil
}

// tx is one group of changes. It has the writer until it is over.
type tx struct {
	writer *writer
	before store.Mark
	head   int64 // as it will be
	lost   error // the connection failed when the COMMIT was on its way
}

// Load implements store.Tx. Nothing is written by its message, so that one which
// meets a dead connection is sent again on a new one.
func (t *tx) Load(reads store.Reads) (*store.View, error) {
	view, err := t.load(&reads)
	if errors.Is(err, errMoved) {
		t.writer.giveUp()
	}
	if err != nil && t.writer.conn.IsClosed() {
		if err = t.writer.open(context.Background()); err == nil {
			view, err = t.load(&reads)
		}
	}
	if err = fault(err); err != nil {
		t.writer.settled(err)
	}
	return view, err
}

func (t *tx) load(reads *store.Reads) (*store.View, error) {
	var g gathering
	found := newObjects()
	view := &store.View{
		DataKeys: map[latchkey.ID]*store.DataKey{}, Records: map[store.RecordKey]*store.Record{}, Holdings: map[latchkey.ID]store.Holding{},
		Refused: map[string]bool{},
	}
	g.lock(t.writer.lock)
	g.each(func(rows pgx.Rows) error {
		return rows.Scan(&t.before.Position, (*idColumn)(&t.before.Event), (*timeColumn)(&view.Now))
	}, `SELECT coalesce(e.position, 0), e.id, `+millisecondsNow+` FROM (SELECT) AS one LEFT JOIN (`+selectLast+`) e ON true`)
	g.reads(found, view, reads)
	if err := t.writer.send(&g.Batch); err != nil {
		return nil, err
	}
	t.head = t.before.Position
	view.Organizations, view.Projects, view.Users, view.Roles = found.organizations, found.projects, found.users, found.roles
	view.Keys = map[latchkey.ID]*store.Holder{}
	for id, k := range found.keys {
		if h := found.holder(k); h != nil {
			view.Keys[id] = h
		}
	}
	return view, nil
}

// reads gathers everything that a group of changes must see.
func (g *gathering) reads(to *objects, view *store.View, reads *store.Reads) {
	if reads.Installation {
		g.installation(&view.Installation)
	}
	if reads.TokenKeys {
		g.tokenKeys(&view.TokenKeys)
	}
	if reads.Gateways {
		g.gateways(&view.Gateways)
	}
	if len(reads.Keys) > 0 {
		g.holders(to, keysByID(reads.Keys...), reads)
	} else {
		g.directory(to, reads)
	}
	if len(reads.Projects) > 0 {
		g.each(func(rows pgx.Rows) error { return addProject(to, rows) }, selectProject+`t.id = ANY ($1::bytea[])`, idents(reads.Projects))
	}
	if len(reads.DataKeys) > 0 {
		g.dataKeys(view.DataKeys, reads.DataKeys)
	}
	if len(reads.Records) > 0 {
		g.records(view.Records, reads.Records)
	}
	if len(reads.Nonces) > 0 {
		g.nonces(view, reads.Nonces)
	}
	if len(reads.IssuersAt) > 0 {
		g.issuersAt(&view.Issuers, reads.IssuersAt)
	}
	if len(reads.Tokens) > 0 {
		g.refused(view.Refused, reads.Tokens)
	}
	if len(reads.Holdings) > 0 {
		g.holdings(view.Holdings, reads.Holdings)
	}
}

// directory is holders where there are no keys.
func (g *gathering) directory(to *objects, reads *store.Reads) {
	if len(reads.Organizations) > 0 {
		g.each(func(rows pgx.Rows) error { return addOrganization(to, rows) }, selectOrganization+`t.id = ANY ($1::bytea[])`, idents(reads.Organizations))
	}
	if len(reads.Users) > 0 {
		g.each(func(rows pgx.Rows) error { return addUser(to, rows) }, selectUser+`t.id = ANY ($1::bytea[])`, idents(reads.Users))
		g.each(func(rows pgx.Rows) error { return addMembership(to, rows) },
			selectMemberships+`m.member`+among(`SELECT ordinal FROM users WHERE id = ANY ($1::bytea[])`)+` ORDER BY m.member, m.place`, idents(reads.Users))
	}
	if len(reads.Roles) > 0 {
		g.each(func(rows pgx.Rows) error { return addRole(to, rows) }, selectRole+`t.id = ANY ($1::bytea[])`, idents(reads.Roles))
	}
}

// Commit implements store.Tx. The COMMIT was sent with what Write wrote; this
// tells how it ended.
func (t *tx) Commit() (int64, error) {
	defer t.writer.mu.Unlock()
	err := fault(t.lost)
	t.writer.own.end(err == nil)
	if err != nil {
		t.writer.rollback() // whatever is open still must not become part of the next group
	} else if t.writer.committed != nil {
		t.writer.committed(t.head)
	}
	t.writer.settled(err)
	return t.head, err
}

// Rollback implements store.Tx.
func (t *tx) Rollback() {
	defer t.writer.mu.Unlock()
	t.writer.own.end(false)
	t.writer.rollback()
}
