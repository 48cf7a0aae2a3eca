package broker

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// partner is the key if it has a virtual host, else nil.
func (l *lane) partner(ctx context.Context, id latchkey.ID) (*store.Holder, error) {
	h, err := l.Store.Key(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && h.Key.Partner == "" {
		return nil, nil //nolint:nilnil // there is none, which is no failure
	}
	return h, err
}

// make makes the key's virtual host.
func (l *lane) make(ctx context.Context, m *management, key latchkey.ID) error {
	h, err := l.partner(ctx, key)
	if err != nil || h == nil || h.Key.Revoked() {
		return err
	}
	return m.makeVHost(ctx, key)
}

// fill makes the virtual hosts that the broker lacks.
func (l *lane) fill(ctx context.Context, m *management) error {
	there, err := m.vhosts(ctx)
	if err != nil {
		return err
	}
	g := l.broker.Load()
	if !g.All {
		return l.fillFor(ctx, m, g.Organization, there)
	}
	page := store.Page{Limit: pageSize}
	for {
		all, err := l.Store.ListOrganizations(ctx, page)
		if err != nil {
			return err
		}
		for i := range all {
			if err := l.fillFor(ctx, m, all[i].ID, there); err != nil {
				return err
			}
		}
		if len(all) < pageSize {
			return nil
		}
		page.Before = all[len(all)-1].Ordinal
	}
}

func (l *lane) fillFor(ctx context.Context, m *management, organization latchkey.ID, there map[string]bool) error {
	q := store.KeyQuery{
		Organization: organization, HasPartner: true, Limit: pageSize, Now: l.Clock(),
		States: []latchkey.State{latchkey.StateLive, latchkey.StateDisabled, latchkey.StateExpired},
	}
	for {
		keys, err := l.Store.ListKeys(ctx, q)
		if err != nil {
			return err
		}
		for i := range keys {
			if there[latchkey.VHost(keys[i].ID)] {
				continue
			}
			if err := m.makeVHost(ctx, keys[i].ID); err != nil {
				return err
			}
		}
		if len(keys) < pageSize {
			return nil
		}
		q.After = &store.KeyCursor{Ordinal: keys[len(keys)-1].Ordinal}
	}
}

// connections are all that a broker has, as they were once a batch was taken.
type connections struct {
	read bool
	all  []connection
}

// of reads them once.
func (c *connections) of(ctx context.Context, m *management) ([]connection, error) {
	if c.read {
		return c.all, nil
	}
	all, err := m.connections(ctx)
	c.all, c.read = all, err == nil
	return all, err
}

// key is whose a connection is. ok is false for those that are none of ours: of
// users whom the broker knows itself.
func (c *connection) key() (id latchkey.ID, ok bool) {
	id, err := latchkey.ParseVHost(c.VHost)
	if err != nil {
		return id, false
	}
	name, err := latchkey.ParseKeyName(c.User)
	return id, err == nil && (name.KID != "" || name.ID == id)
}

// from is the client's address, which begins the connection's name; the zero value
// where the broker names it otherwise.
func (c *connection) from() netip.Addr {
	client, _, _ := strings.Cut(c.Name, " -> ")
	at, err := netip.ParseAddrPort(client)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().WithZone("").Unmap()
}

// close closes the connections of all keys that hang on the subject.
func (l *lane) close(ctx context.Context, m *management, e *store.Errand, read *connections) error {
	open, err := read.of(ctx, m)
	if err != nil {
		return err
	}
	hangs := map[latchkey.ID]bool{}
	for i := range open {
		id, ours := open[i].key()
		if !ours {
			continue
		}
		if _, known := hangs[id]; !known {
			h, err := l.partner(ctx, id)
			if err != nil {
				return err
			}
			hangs[id] = h == nil || hangsOn(h, e.Subject)
		}
		if hangs[id] {
			if err := m.close(ctx, &open[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// lapse has the key's connections closed as after an event, in the transaction that
// forgets the tokens' ends: a login that is noted from then on is on its own.
func (l *lane) lapse(ctx context.Context, e *store.Errand) error {
	for {
		through, err := l.Store.ErrandsThrough(ctx)
		if err != nil {
			return err
		}
		closing, lapsed := *e, *e
		closing.Kind, closing.Position, closing.Due = store.ErrandClose, through, l.Clock()
		closing.Round, closing.Failures, lapsed.Due = 0, 0, time.Time{}
		if err = l.Store.AskErrands(ctx, through, through, []store.Errand{closing, lapsed}); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// check closes the connections that would not be let in now.
func (l *lane) check(ctx context.Context, m *management) error {
	open, err := m.connections(ctx)
	if err != nil {
		return err
	}
	g := l.broker.Load()
	for i := range open {
		c := &open[i]
		if _, ours := c.key(); !ours {
			continue
		}
		switch l.Named.Stay(ctx, g, c.User, c.VHost, c.from()) {
		case latchkey.CodeValid:
		case latchkey.CodeVerifyUnavailable:
			return store.ErrUnavailable
		default:
			if err := m.close(ctx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// deleteVHost deletes the virtual host of a key that was revoked, where the
// broker is to be rid of it.
func (l *lane) deleteVHost(ctx context.Context, e *store.Errand) error {
	if e.Subject.Kind != latchkey.KindKey || !l.broker.Load().Management.DeleteVHosts {
		return nil
	}
	h, err := l.partner(ctx, e.Subject.ID)
	if err != nil || h == nil || !h.Key.Revoked() {
		return err
	}
	return l.with(ctx, func(m *management) error { return m.deleteVHost(ctx, e.Subject.ID) })
}
