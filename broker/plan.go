package broker

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// follow is what an event asks for, at each broker that it concerns.
func (w *Worker) follow(ctx context.Context, brokers []latchkey.Gateway, e *latchkey.Event) ([]store.Errand, error) {
	now := w.Clock()
	asked, err := w.asks(ctx, e, now)
	if err != nil {
		return nil, err
	}
	var errands []store.Errand
	for i := range brokers {
		g := &brokers[i]
		if !g.All && g.Organization != e.Organization && e.Object.Kind != "" { // or it is the installation's
			continue
		}
		if e.Object.Kind == latchkey.KindGateway && e.Object.ID != g.ID {
			continue
		}
		for _, a := range asked {
			a.Gateway, a.Position = g.ID, e.Position
			errands = append(errands, a)
		}
	}
	return errands, nil
}

// asks is what an event asks for at any broker.
func (w *Worker) asks(ctx context.Context, e *latchkey.Event, now time.Time) ([]store.Errand, error) {
	errand := func(kind store.ErrandKind, due time.Time) store.Errand {
		return store.Errand{Kind: kind, Subject: e.Object, Due: due}
	}
	switch e.Type {
	case latchkey.KeyCreated, latchkey.KeyUpdated, latchkey.KeyRotated, latchkey.KeyRotationCompleted, latchkey.KeyRotationCancelled, latchkey.KeyRevoked,
		latchkey.TokenRevoked: // nobody can tell which connections were opened with it, so all of the key's are
		h, err := w.Store.Key(ctx, e.Object.ID)
		if errors.Is(err, store.ErrNotFound) || err == nil && h.Key.Partner == "" {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		asked := []store.Errand{errand(store.ErrandEnd, nextEnd(&h.Key, now))}
		switch {
		case e.Type == latchkey.KeyCreated:
			asked = append(asked, errand(store.ErrandMake, now))
		case e.Type == latchkey.KeyUpdated && !tells(e) || e.Type == latchkey.KeyRotated && !h.Key.Secrets[0].Ended(now):
		default:
			asked = append(asked, errand(store.ErrandClose, now))
		}
		return asked, nil
	case latchkey.KeysImported:
		return []store.Errand{{Kind: store.ErrandFill, Due: now}}, nil
	case latchkey.UserUpdated, latchkey.RoleUpdated, latchkey.OrganizationUpdated:
		if !tells(e) {
			return nil, nil
		}
		return []store.Errand{errand(store.ErrandClose, now)}, nil
	case latchkey.UserDeleted, latchkey.RoleDeleted, latchkey.ProjectDeleted, latchkey.OrganizationDeleted, latchkey.RingVersionRetired:
		return []store.Errand{errand(store.ErrandClose, now)}, nil
	case latchkey.GatewayCreated, latchkey.GatewayUpdated:
		return []store.Errand{{Kind: store.ErrandFill, Due: now}, {Kind: store.ErrandCheck, Due: now}}, nil
	default: // takes nothing away from a connection
		return nil, nil
	}
}

// tells reports whether a change is one of those that can take rights away. What
// it cannot read it takes for one.
func tells(e *latchkey.Event) bool {
	harmless := []string{"name", "email", "metadata", "limits.keys", "limits.changes_per_second"}
	var changes map[string]json.RawMessage
	if err := json.Unmarshal([]byte(e.Changes), &changes); err != nil {
		return true
	}
	for field := range changes {
		if !slices.Contains(harmless, field) {
			return true
		}
	}
	return false
}

// nextEnd is when the key, or a secret of it, ends by itself; zero for never.
func nextEnd(k *latchkey.Key, now time.Time) time.Time {
	var next time.Time
	if k.Revoked() {
		return next
	}
	ends := []time.Time{k.ExpiresAt}
	for _, s := range k.Secrets {
		ends = append(ends, s.ExpiresAt)
	}
	for _, t := range ends {
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	return next
}

// hangsOn reports whether a key has its rights from the subject.
func hangsOn(h *store.Holder, subject latchkey.Object) bool {
	switch subject.Kind {
	case latchkey.KindKey:
		return h.Key.ID == subject.ID
	case latchkey.KindUser:
		return h.Key.Owner == subject.ID
	case latchkey.KindProject:
		return h.Key.Project == subject.ID
	case latchkey.KindOrganization:
		return h.Key.Organization == subject.ID
	case latchkey.KindRole:
		return h.Key.Policy.Role == subject.ID || slices.ContainsFunc(h.Roles, func(r latchkey.Role) bool { return r.ID == subject.ID })
	default: // the installation
		return true
	}
}
