package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/verify"
)

// core is an installation that was opened: everything behind the doors.
type core struct {
	store        store.Store
	ring         *keyring.Ring
	verifier     *verify.Verifier
	authority    *authority.Authority
	installation *store.Installation
	made         bool // just now, by us
}

// open opens the installation in the data folder, and makes it where the store
// is empty.
func (s *settings) open(ctx context.Context) (_ *core, err error) {
	if err := makeFolder(s.Data); err != nil {
		return nil, err
	}
	c := &core{}
	if c.store, err = s.OpenStore(ctx, s.Data); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.store.Close())
		}
	}()
	c.installation, err = c.store.Installation(ctx)
	empty := errors.Is(err, store.ErrNotFound)
	if err != nil && !empty {
		return nil, fmt.Errorf("reading the store: %w", err)
	}
	if c.ring, err = s.openRing(empty); err != nil {
		return nil, err
	}
	c.verifier = verify.New(c.store, c.ring, time.Now, nodeName(), s.Log)
	c.authority = authority.New(authority.Config{
		Store: c.store, Ring: c.ring, Verifier: c.verifier, Clock: time.Now, Random: rand.Reader, Log: s.Log,
		ForbidRetrievable: s.ForbidRetrievable,
	})
	if empty {
		if c.installation, c.made, err = c.authority.Bootstrap(ctx, s.Email); err != nil {
			return nil, err
		}
		s.Log.Info("installation made", "organization", c.installation.Operator.Native(latchkey.KindOrganization), "ring", c.ring.Fingerprint())
	}
	if err := authority.CheckRing(c.installation, c.ring); err != nil {
		return c, err
	}
	if !s.KeyringText.Empty() {
		return c, nil // a ring without a file is not ours to change
	}
	return c, authority.FinishRetirements(c.installation, c.ring)
}

// openRing opens the key ring. It makes one for an empty store alone: in front
// of any other a new ring would pass for the one that is missing.
func (s *settings) openRing(empty bool) (*keyring.Ring, error) {
	if !s.KeyringText.Empty() {
		return keyring.Parse([]byte(s.KeyringText.Expose()))
	}
	ring, err := keyring.Open(s.KeyringFile)
	if !errors.Is(err, fs.ErrNotExist) {
		return ring, err
	}
	if empty {
		return keyring.Create(s.KeyringFile, rand.Reader, time.Now())
	}
	return nil, &Problem{
		What: "The key ring " + s.KeyringFile + " is missing, and without it no key of the store can be verified.",
		Do: "Put it back: from a backup, or with `latchkey keyring export --recipient …` on a machine that has it and `latchkey keyring import` here. " +
			"If it is elsewhere, name it with --keyring-file.",
		Cause: err,
	}
}

// makeFolder makes the data folder for its owner alone, and refuses one in
// which anybody could put another socket or key ring in place of ours.
func makeFolder(path string) error {
	unusable := func(err error) error {
		return &Problem{
			What:  fmt.Sprintf("The data folder %s cannot be used: %v.", path, err),
			Do:    "Name a folder with --data that this user may make or write to.",
			Cause: err,
		}
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return unusable(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return unusable(err)
	}
	if info.Mode().Perm()&0o002 != 0 {
		return &Problem{
			What: fmt.Sprintf("Every user of this machine may write to the data folder %s.", path),
			Do:   fmt.Sprintf("If nobody has, run: chmod 700 %q", path),
		}
	}
	return nil
}

// nodeName is the name under which verdicts are given.
func nodeName() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "latchkey"
	}
	return name
}
