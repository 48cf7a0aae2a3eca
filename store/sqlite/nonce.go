package sqlite

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// placeOf names where the store's file is: the file itself, by its device and
// inode, and the run of the machine. A file that was put back from a backup is
// another one. So, perhaps, is one on a machine that was: its disk may have been
// put back as a whole.
func placeOf(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		boot = nil // not Linux, or nothing that tells
	}
	at := strings.TrimSpace(string(boot))
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		at += fmt.Sprintf("/%d/%d", stat.Dev, stat.Ino)
	}
	return at, nil
}

// raiseIfMoved raises the floor where the file is not at the place that it was at, so
// that nonces which were lost on the way are not missed.
func (w *writer) raiseIfMoved(path string) error {
	at, err := placeOf(path)
	if err != nil {
		return err
	}
	return w.background(background(), func(on *session) error {
		_, err := on.exec(`UPDATE nonce_floor SET at = CASE WHEN place = '' THEN at ELSE max(at, ?1) END, place = ?2 WHERE place <> ?2`,
			time.Now().Add(latchkey.SignatureAhead).Unix(), at)
		return err
	})
}

// nonces reads which of them are spent, and the floor.
func (s *session) nonces(view *store.View, keys []store.NonceKey) error {
	var floor int64
	if err := s.get([]any{&floor}, `SELECT at FROM nonce_floor`); err != nil {
		return err
	}
	view.NonceFloor, view.Nonces = time.Unix(floor, 0).UTC(), map[store.NonceKey]bool{}
	for i := range keys {
		var spent bool
		if err := s.get([]any{&spent}, `SELECT EXISTS (SELECT 1 FROM nonces WHERE kid = ? AND hash = ?)`, string(keys[i].KID), keys[i].Hash[:]); err != nil {
			return err
		}
		if spent {
			view.Nonces[keys[i]] = true
		}
	}
	return nil
}

func (s *session) spend(n *store.Nonce) error {
	_, err := s.exec(`INSERT INTO nonces (kid, hash, created) VALUES (?, ?, ?)`, string(n.KID), n.Hash[:], n.Created.Unix())
	if unique(err) {
		return &store.ConflictError{Field: "nonce"}
	}
	return err
}

// PruneNonces implements store.Nonces. The floor is committed before any nonce
// that lies below it goes.
func (s *Store) PruneNonces(ctx context.Context) error {
	if err := s.raise(ctx, time.Now().Add(-latchkey.SignaturePast-time.Second)); err != nil {
		return err
	}
	for pruned := int64(sweepSize); pruned == sweepSize; {
		err := s.writer.background(ctx, func(on *session) (err error) {
			pruned, err = on.exec(`DELETE FROM nonces WHERE (kid, hash) IN (SELECT kid, hash FROM nonces WHERE created <= (SELECT at FROM nonce_floor) LIMIT ?)`, sweepSize)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// RaiseNonceFloor implements store.Nonces.
func (s *Store) RaiseNonceFloor(ctx context.Context) error {
	return s.raise(ctx, time.Now().Add(latchkey.SignatureAhead))
}

func (s *Store) raise(ctx context.Context, to time.Time) error {
	return s.writer.background(ctx, func(on *session) error {
		_, err := on.exec(`UPDATE nonce_floor SET at = max(at, ?)`, to.Unix())
		return err
	})
}
