package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// writer is the one connection that writes. Whoever holds mu has it.
type writer struct {
	mu       sync.Mutex
	session  *session
	closed   bool
	failing  bool  // the file could not be written, and has not been since
	state    state // as of the last commit, as long as the session is open
	kept     kept  // likewise
	interned *interned
	policies *policies
	log      *slog.Logger
}

func newWriter(path string, policies *policies, log *slog.Logger) *writer {
	return &writer{session: newSession(writerDSN(path)), interned: newInterned(), kept: newKept(), policies: policies, log: log}
}

// prepare opens the connection, so that a file that cannot be written is told
// when the store is opened.
func (w *writer) prepare() error {
	if err := w.start(); err != nil {
		return err
	}
	return w.finish(`ROLLBACK`)
}

// start begins a transaction that excludes every other writer. The caller must
// finish it.
func (w *writer) start() error {
	w.mu.Lock()
	err := w.startLocked()
	if err != nil {
		w.mu.Unlock()
	}
	return err
}

func (w *writer) startLocked() error {
	if w.closed {
		return errClosed
	}
	fresh := w.session.conn == nil
	if err := w.session.open(); err != nil {
		return fault(err)
	}
	_, err := w.session.exec(`BEGIN IMMEDIATE`)
	if err == nil && fresh {
		err = w.state.read(w.session)
	}
	if err != nil {
		w.abandon(err)
	}
	return fault(err)
}

// finish ends the transaction by COMMIT or ROLLBACK. If that fails, the
// connection is given up, and whatever was not committed with it.
func (w *writer) finish(how string) error {
	defer w.mu.Unlock()
	_, err := w.session.exec(how)
	w.interned.end(err == nil && how == `COMMIT`)
	if err != nil {
		w.abandon(err)
	} else if w.failing && how == `COMMIT` {
		w.failing = false
		w.log.Info("the store can be written again")
	}
	return fault(err)
}

// abandon closes the connection; the next transaction opens another. A full
// disk or a broken one may leave a connection in any state.
func (w *writer) abandon(cause error) {
	if !w.failing {
		w.log.Error("the store cannot be written; reads go on", "error", cause)
	}
	w.failing = true
	w.kept.forget()
	_ = w.session.drop() // cause is what there is to know
}

// background runs writes that make no event, between two groups of changes.
func (w *writer) background(ctx context.Context, write func(*session) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := w.start(); err != nil {
		return err
	}
	w.kept.forget()
	if err := write(w.session); err != nil {
		return errors.Join(fault(err), w.finish(`ROLLBACK`))
	}
	return w.finish(`COMMIT`)
}

// close brings the log of writes into the file and closes the connection.
func (w *writer) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	var errs []error
	if w.session.conn != nil {
		err := w.session.each(func(rows *sql.Rows) error { return nil }, `PRAGMA wal_checkpoint(TRUNCATE)`)
		errs = append(errs, err, w.session.drop())
	}
	return errors.Join(append(errs, w.session.db.Close())...)
}

// begin is how store.Writer gets its transactions.
func (w *writer) begin(context.Context) (store.Tx, error) {
	if err := w.start(); err != nil {
		return nil, err
	}
	return &tx{writer: w, session: w.session, state: w.state, tallies: newTallies(), created: map[latchkey.ID]int64{}}, nil
}

// state is what writing goes on from.
type state struct {
	head  int64 // position of the last event
	names naming
}

func (s *state) read(from *session) error {
	if err := from.get([]any{&s.head}, selectHead); err != nil {
		return err
	}
	return s.names.read(from)
}

// tx is one group of changes, which others may join.
type tx struct {
	writer   *writer
	session  *session
	state    // as it will be
	tallies  tallies
	gathered gathered
	created  map[latchkey.ID]int64 // new keys, by organization
	wrote    bool                  // what is read since may never be committed
}

// Commit implements store.Tx.
func (t *tx) Commit() (int64, error) {
	t.writer.state = t.state                 // if this fails, it is read anew
	return t.head, t.writer.finish(`COMMIT`) // which forgets what it kept if it fails
}

// Rollback implements store.Tx.
func (t *tx) Rollback() {
	t.writer.kept.forget()
	_ = t.writer.finish(`ROLLBACK`) // where it fails, the connection is gone and the transaction with it
}

// Load implements store.Tx.
func (t *tx) Load(reads store.Reads) (*store.View, error) {
	view := &store.View{Now: store.Truncate(time.Now())}
	var errs [12]error
	if reads.Installation {
		view.Installation, errs[0] = present(t.session.installation())
	}
	if reads.TokenKeys {
		view.TokenKeys, errs[8] = t.session.tokenKeys()
	}
	if reads.Gateways {
		view.Gateways, errs[9] = t.session.gateways()
	}
	kept, policies := &t.writer.kept, t.writer.policies
	if t.wrote {
		policies = newPolicies() // the number of a row that is rolled back goes to another
	}
	view.Keys, errs[1] = load(reads.Keys, kept.keys.or(func(id latchkey.ID) (*store.Holder, error) {
		h, err := policies.holder(t.session, keyByID, id[:])
		if err == nil {
			h.Organization.Keys += t.created[h.Organization.ID]
		}
		return h, err
	}, copyHolder))
	view.Organizations, errs[2] = load(reads.Organizations, kept.organizations.or(func(id latchkey.ID) (*latchkey.Organization, error) {
		o, err := t.session.organization(id)
		if err == nil {
			o.Keys += t.created[id] // which Seal writes
		}
		return o, err
	}, copyOf))
	view.Projects, errs[3] = load(reads.Projects, kept.projects.or(t.session.project, copyOf))
	view.Users, errs[4] = load(reads.Users, kept.users.or(t.session.user, copyUser))
	view.Roles, errs[5] = load(reads.Roles, kept.roles.or(t.session.role, copyOf))
	view.DataKeys, errs[6] = load(reads.DataKeys, t.session.dataKey)
	view.Records, errs[7] = load(reads.Records, t.session.record)
	if len(reads.Nonces) > 0 {
		if err := t.session.nonces(view, reads.Nonces); err != nil {
			return nil, fault(err)
		}
	}
	view.Issuers, errs[11] = t.session.issuersAt(reads.IssuersAt)
	view.Refused, errs[10] = t.session.refused(reads.Tokens)
	view.Holdings = map[latchkey.ID]store.Holding{}
	for _, id := range reads.Holdings {
		holding, err := t.session.holding(id)
		if err != nil {
			return nil, fault(err)
		}
		view.Holdings[id] = holding
	}
	return view, fault(errors.Join(errs[:]...))
}

// load reads what is named; what does not exist is absent.
func load[K comparable, V any](names []K, read func(K) (*V, error)) (map[K]*V, error) {
	found := make(map[K]*V, len(names))
	for _, name := range names {
		v, err := present(read(name))
		if err != nil {
			return nil, err
		}
		if v != nil {
			found[name] = v
		}
	}
	return found, nil
}

// present makes what does not exist nil.
func present[V any](v *V, err error) (*V, error) {
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return v, err
}

// holding counts what hangs on an object, whichever kind it is of.
func (s *session) holding(id latchkey.ID) (store.Holding, error) {
	var h store.Holding
	err := s.get([]any{&h.Keys, &h.Users}, `SELECT
		(SELECT count(*) FROM keys WHERE organization = ?1 AND revoked_at IS NULL)
		+ (SELECT count(*) FROM keys WHERE project = ?1 AND revoked_at IS NULL)
		+ (SELECT count(*) FROM keys WHERE role = ?1 AND revoked_at IS NULL)
		+ (SELECT count(*) FROM users u JOIN keys k ON k.organization = u.organization AND k.owner = u.id WHERE u.id = ?1 AND k.revoked_at IS NULL),
		(SELECT count(*) FROM memberships WHERE project = ?1)
		+ (SELECT count(*) FROM memberships WHERE role = ?1)
		+ (SELECT count(*) FROM users u JOIN memberships m ON m.user = u.ordinal WHERE u.organization = ?1 AND u.deleted_at IS NULL)`, id[:])
	return h, err
}
