// Package postgres keeps a store in a PostgreSQL database that several nodes
// share. It is the driver for when one machine is not enough.
//
// It promises what package store asks of every driver. Every write of a store,
// on whichever node, runs behind one advisory lock of the database, which its
// transaction takes first and holds until it has committed; what a change must
// see is read after that, each statement in a snapshot of its own. So changes
// are in one order over all nodes, positions are in that order and have no gap,
// and nothing is decided by what another node has just made untrue. A group of
// changes takes two messages to the server: one that takes the lock and reads,
// one that writes, notifies and commits. How it compares with other ways to that
// order is in docs/decisions.
//
// It fails with store.ErrUnavailable while the server cannot be reached or
// written, and with store.ErrUncertain if the connection is lost while a COMMIT
// is on its way. It finds the server again by itself.
//
// It does not know by itself when another node changes what was read here, so
// Generation is 0; who keeps things takes a place among the nodes (Member), and
// reads there what changed. It makes no backups.
package postgres

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// Store implements store.Store. It is safe for concurrent use.
//
// Its readers take connections from a pool. Writing, counting and listening have
// one of their own each, so that none waits because many read.
type Store struct {
	pool     *pgxpool.Pool
	writer   *writer
	uses     *writer // of what is counted behind verification
	listener *listener
	queue    *store.Writer
	config   *pgx.ConnConfig // of a connection that reads
	log      *slog.Logger
	heard    hearsay // of nodes
	news     news    // of changes
	own      own
	policies policies
	closed   chan struct{}
	closing  sync.Once

	byKID    *shared[latchkey.KID, *store.Credential]
	defaults *shared[latchkey.ID, *latchkey.Project] // by organization
}

var _ store.Store = (*Store)(nil)

// Open connects to the database of the URL (postgres://…, or keywords and values
// as libpq takes them), makes the store where there is none, and migrates it to
// this program's schema. Of several nodes that start together one does so. It
// fails with an *OpenError or *NewerError. log is told what happens to the
// connections; nil is nobody.
func Open(ctx context.Context, url string, log *slog.Logger) (*Store, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	t, err := parse(url)
	if err != nil {
		return nil, err
	}
	s, err := t.open(ctx, log)
	if err != nil {
		return nil, opening(err)
	}
	return s, nil
}

func (t *target) open(ctx context.Context, log *slog.Logger) (_ *Store, err error) {
	if _, err := t.migrate(ctx, log); err != nil {
		return nil, err
	}
	s := &Store{closed: make(chan struct{}), writer: newWriter(writeLock, t.single(), log), uses: newWriter(useLock, t.single(), slog.New(slog.DiscardHandler))}
	s.byKID, s.defaults = newShared(s.readKID), newShared(s.readDefault)
	s.writer.own = &s.own
	if err := s.writer.prepare(ctx); err != nil {
		return nil, err
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, t.pool); err != nil {
		return nil, errors.Join(err, s.writer.close())
	}
	s.heard.more, s.news.more = make(chan struct{}), make(chan struct{})
	s.writer.committed = s.news.hear
	s.queue = store.NewWriter(s.writer.begin)
	s.config, s.log = t.pool.ConnConfig.Copy(), log
	s.policies.known = map[[32]byte]*scannedPolicy{}
	s.listener = listen(t.pool.ConnConfig, s.changed, s.heard.hear, log)
	return s, nil
}

// Close finishes the changes that were taken and lets go of the connections.
func (s *Store) Close() error {
	var err error
	s.closing.Do(func() {
		s.queue.Close()
		close(s.closed)
		s.listener.close()
		err = errors.Join(s.writer.close(), s.uses.close())
		s.pool.Close()
	})
	return err
}

// Submit implements store.Submitter.
func (s *Store) Submit(ctx context.Context, change store.Change) (int64, error) {
	return s.queue.Submit(ctx, change)
}

// changed is told of changes of any node.
func (s *Store) changed(head int64) {
	s.news.hear(head)
	s.queue.Announce()
}

// Changed implements store.Feed: the channel is closed by the changes of every node.
func (s *Store) Changed() <-chan struct{} { return s.queue.Changed() }

// Generation implements store.Credentials. Other nodes write, and this one
// hears of it after they acknowledged, so it cannot know.
func (s *Store) Generation() uint64 { return 0 }

// Local implements store.Credentials: other nodes write too.
func (s *Store) Local() store.Local { return nil }

// Shared implements store.Credentials.
func (s *Store) Shared() store.Shared { return s }

// Ping implements store.Maintenance.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.Head(ctx)
	return err
}
