// Package sqlite keeps a store in one SQLite file of one folder. It is the
// driver that needs no other service.
//
// It promises what package store asks of every driver. A change that was
// acknowledged is in the write-ahead log and synced (synchronous=FULL), so it
// outlives a crash of the process and of the machine. Readers never wait for
// the writer, nor the writer for them. One process has a folder at a time, held
// by a lock that dies with it.
//
// It fails with store.ErrUnavailable when the file cannot be read or written:
// the disk is full, broken or read-only. Reads go on as long as they can, and
// writes go on by themselves once the cause is gone. Opening fails with one of
// this package's error types, each of which says what to do.
//
// It does not decide anything: which rows and events a change makes is the
// authority's business, and so is what they mean. It makes no backups.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"latchkey.dev/latchkey/store"
)

// FileName is the store's file within its folder. Two more lie beside it while
// it is open: the log of writes (-wal), which is part of the store, and that
// log's index (-shm), which is not.
const FileName = "latchkey.db"

// Store implements store.Store. It is safe for concurrent use. What it returns
// belongs to the caller, save for the lists within a key's policy, which keys
// share and nobody may change.
type Store struct {
	lock     *os.File
	readers  *readers
	writer   *writer
	queue    *store.Writer
	policies *policies
	closing  sync.Once
}

var _ store.Store = (*Store)(nil)

// Open takes possession of the folder, makes it and the store where they do not
// exist, and migrates the store to this program's schema. It fails with an
// *InUseError, *NewerError, *DamagedError or *FolderError. log is told what
// happens to the file itself; nil is nobody.
func Open(ctx context.Context, dir string, log *slog.Logger) (*Store, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	lock, err := possess(dir)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, FileName)
	s, err := open(ctx, path, log)
	if err != nil {
		_ = lock.Close() // the first failure is the one to tell
		return nil, opening(path, err)
	}
	s.lock = lock
	return s, nil
}

func open(ctx context.Context, path string, log *slog.Logger) (*Store, error) {
	if err := create(path); err != nil {
		return nil, err
	}
	if err := migrate(ctx, path, log); err != nil {
		return nil, err
	}
	s := &Store{policies: newPolicies()}
	s.writer = newWriter(path, s.policies, log)
	if err := s.writer.prepare(); err != nil {
		return nil, errors.Join(err, s.writer.close())
	}
	if err := s.writer.raiseIfMoved(path); err != nil {
		return nil, errors.Join(err, s.writer.close())
	}
	s.readers = newReaders(path)
	s.queue = store.NewWriter(s.writer.begin)
	return s, nil
}

// Close finishes the changes that were taken, brings the log of writes into the
// store's file, and lets go of the folder.
func (s *Store) Close() error {
	var err error
	s.closing.Do(func() {
		s.queue.Close()
		err = errors.Join(s.readers.close(), s.writer.close(), s.lock.Close())
	})
	return err
}

// Submit implements store.Submitter.
func (s *Store) Submit(ctx context.Context, change store.Change) (int64, error) {
	return s.queue.Submit(ctx, change)
}

// Changed implements store.Feed.
func (s *Store) Changed() <-chan struct{} { return s.queue.Changed() }

// Local implements store.Credentials: one process has the folder.
func (s *Store) Local() store.Local { return s }

// Shared implements store.Credentials: one process has the store.
func (s *Store) Shared() store.Shared { return nil }

// Follow implements store.Local.
func (s *Store) Follow(f store.Follower) { s.queue.Follow(f) }

// Generation implements store.Credentials.
func (s *Store) Generation() uint64 { return s.queue.Generation() }

// Ping implements store.Maintenance.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.Head(ctx)
	return err
}

// create makes the file where there is none, readable by its owner alone;
// SQLite gives the files beside it the same mode.
func create(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("creating the store: %w", err)
	}
	return errors.Join(file.Close(), syncFolder(filepath.Dir(path)))
}

// syncFolder makes a new name in the folder survive a power failure.
func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
