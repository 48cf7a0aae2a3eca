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
	"latchkey.dev/latchkey/broker"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/openid"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/token"
	"latchkey.dev/latchkey/verify"
)

// core is an installation that was opened: everything behind the doors.
type core struct {
	store        store.Store
	ring         *keyring.Ring
	verifier     *verify.Verifier
	gateways     *verify.Gateways
	nodes        *verify.Nodes // nil: there is this one
	openid       *openid.Service
	named        *verify.Named
	broker       *broker.Worker
	authority    *authority.Authority
	installation *store.Installation
	node         latchkey.ID // this process, among those that serve the store
	made         bool        // just now, by us
	slot         *slot       // among the nodes of the data folder; nil where the store is in it
}

// close lets go of the installation. Nothing is answered any more.
func (c *core) close() error {
	if c.verifier != nil {
		c.verifier.Leave()
	}
	return errors.Join(c.store.Close(), c.slot.leave())
}

// open opens the installation, and makes it where the store is empty. refuse, if
// it is not nil, says why one that is there is not wanted.
func (s *settings) open(ctx context.Context, refuse func(*store.Installation) error) (_ *core, err error) {
	if err := makeFolder(s.Data); err != nil {
		return nil, err
	}
	c := &core{}
	if c.node, err = latchkey.NewID(time.Now(), rand.Reader); err != nil {
		return nil, err
	}
	var dead []latchkey.ID
	if s.Shared && refuse == nil { // who only makes an installation needs no place
		if c.slot, dead, err = takeSlot(s.Data, c.node); err != nil {
			return nil, err
		}
	}
	if c.store, err = s.OpenStore(ctx, s.Data); err != nil {
		return nil, errors.Join(err, c.slot.leave())
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	c.installation, err = c.store.Installation(ctx)
	empty := errors.Is(err, store.ErrNotFound)
	if err != nil && !empty {
		return nil, fmt.Errorf("reading the store: %w", err)
	}
	if !empty && refuse != nil {
		return nil, refuse(c.installation)
	}
	var drawn bool
	if c.ring, drawn, err = s.openRing(empty); err != nil {
		return nil, err
	}
	c.verifier = verify.New(c.store, c.ring, time.Now, nodeName(), s.Log)
	c.gateways = verify.NewGateways(c.verifier)
	c.openid = openid.New(openid.Config{Log: s.Log, Networks: s.issuers})
	c.named = verify.NewNamed(c.verifier, c.store, token.New(c.store, c.ring))
	c.broker = broker.New(broker.Config{Store: c.store, Ring: c.ring, Named: c.named, Clock: time.Now, Log: s.Log})
	c.authority = authority.New(authority.Config{
		Provider: c.openid,
		Store:    c.store, Ring: c.ring, Verifier: c.verifier, Clock: time.Now, Random: rand.Reader, Log: s.Log,
		Spread: s.spread(c), ForbidRetrievable: s.ForbidRetrievable,
	})
	if c.nodes != nil {
		c.verifier.Place(verify.Place{
			ID: c.node, ServeFor: s.Staleness, Build: s.Version, Dead: dead, Restore: c.authority.Restore,
		})
	}
	if empty {
		if c.installation, c.made, err = c.authority.Bootstrap(ctx, s.Email); err != nil {
			return nil, err
		}
		if c.made {
			s.Log.Info("installation made", "organization", c.installation.Operator.Native(latchkey.KindOrganization), "ring", c.ring.Fingerprint())
		} else if err := s.concede(c, drawn); err != nil {
			return nil, err
		}
	}
	if err := authority.CheckRing(c.installation, c.ring); err != nil {
		return c, err
	}
	if refuse == nil { // or somebody else will serve it
		if err := c.fill(ctx, available()); err != nil {
			return c, err
		}
	}
	if !s.KeyringText.Empty() {
		return c, nil // a ring without a file is not ours to change
	}
	return c, authority.FinishRetirements(c.installation, c.ring)
}

// spread is what knows how far a change has come.
func (s *settings) spread(c *core) authority.Spread {
	shared := c.store.Shared()
	if shared == nil {
		return &verify.Alone{Feed: c.store, Ring: c.ring, Node: c.node, Build: s.Version}
	}
	c.nodes = verify.NewNodes(shared, c.node)
	return c.nodes
}

// fill reads every key into memory, so that no verification waits for the store.
func (c *core) fill(ctx context.Context, available int64) error {
	err := c.verifier.Fill(ctx, available)
	if e, ok := errors.AsType[*verify.MemoryError](err); ok {
		return &Problem{
			What:  fmt.Sprintf("The %d keys of this store need about %d MB of memory, and this process has %d MB.", e.Keys, e.Need>>20, e.Available>>20),
			Do:    "Give the machine, the container or GOMEMLIMIT more memory, and start again.",
			Cause: err,
		}
	}
	return err
}

// openRing opens the key ring. It makes one for an empty store alone: in front
// of any other a new ring would pass for the one that is missing.
func (s *settings) openRing(empty bool) (ring *keyring.Ring, drawn bool, err error) {
	if !s.KeyringText.Empty() {
		ring, err = keyring.Parse([]byte(s.KeyringText.Expose()))
		return ring, false, err
	}
	ring, err = keyring.Open(s.KeyringFile)
	if !errors.Is(err, fs.ErrNotExist) {
		return ring, false, err
	}
	if empty {
		ring, err = keyring.Create(s.KeyringFile, rand.Reader, time.Now())
		if errors.Is(err, fs.ErrExist) { // another node of this folder was faster
			ring, err = keyring.Open(s.KeyringFile)
			return ring, false, err
		}
		return ring, err == nil, err
	}
	return nil, false, &Problem{
		What: "The key ring " + s.KeyringFile + " is missing, and without it no key of the store can be verified.",
		Do: "Put it back: from a backup, or with `latchkey keyring export --recipient …` on a machine that has it and `latchkey keyring import` here. " +
			"If it is elsewhere, name it with --keyring-file.",
		Cause: err,
	}
}

// concede is for the node that was not the one to make the installation. The key
// ring that it drew for it goes: nothing was made with it, and it would be taken
// for the one that is needed.
func (s *settings) concede(c *core, drawn bool) error {
	if c.installation.Ring == c.ring.Fingerprint() {
		return nil
	}
	var err error
	if drawn {
		err = os.Remove(s.KeyringFile)
	}
	return errors.Join(&Problem{
		What:  "Another node made the installation at the same moment, with key ring " + c.installation.Ring + ", which is not here.",
		Do:    "On that node's machine run `latchkey keyring export --recipient …`, then `latchkey keyring import` here, and start again.",
		Cause: authority.ErrRing,
	}, err)
}

// makeFolder makes the data folder for its owner alone, and refuses one in
// which anybody could put another socket or key ring in place of ours.
func makeFolder(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return unusable(path, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return unusable(path, err)
	}
	if info.Mode().Perm()&0o002 != 0 {
		return &Problem{
			What: fmt.Sprintf("Every user of this machine may write to the data folder %s.", path),
			Do:   fmt.Sprintf("If nobody has, run: chmod 700 %q", path),
		}
	}
	return nil
}

func unusable(data string, err error) error {
	return &Problem{
		What:  fmt.Sprintf("The data folder %s cannot be used: %v.", data, err),
		Do:    "Name a folder with --data that this user may make or write to.",
		Cause: err,
	}
}

// nodeName is the name under which verdicts are given.
func nodeName() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "latchkey"
	}
	return name
}
