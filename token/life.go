package token

import (
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// State is where a signing key stands. It only ever moves forward.
type State string

// The states, in order. What was removed is nowhere.
const (
	Pending  State = "pending"  // published, so that verifiers have it before it signs
	Active   State = "active"   // signs
	Retiring State = "retiring" // published until nothing that it signed can be valid
)

// StateOf tells a key's state.
func StateOf(k *store.TokenKey) State {
	switch {
	case !k.RetiredAt.IsZero():
		return Retiring
	case !k.ActiveAt.IsZero():
		return Active
	}
	return Pending
}

// Order is what is wanted of the signing keys beside what their ages ask for.
type Order int

// The orders.
const (
	Tend      Order = iota // nothing
	Rotate                 // a successor is published, and signs once it was long enough
	RotateNow              // a successor signs at once, though nobody has seen it yet
)

// Change is a step in the life of one signing key.
type Change struct {
	Event latchkey.EventType
	Key   store.TokenKey // as it is then
}

// Plan says what is to be written now. fresh are new keys to take where one is
// needed; wants are the algorithms that need one and found none there. It is a
// pure function, so two nodes that do the same thing at once do it once.
func Plan(keys []store.TokenKey, fresh map[Algorithm]*store.TokenKey, order Order, now time.Time) (changes []Change, wants []Algorithm) {
	for _, a := range Algorithms() {
		line := newLine(keys, a)
		changes = append(changes, line.remove(now)...)
		successor := line.pending
		if successor == nil && line.due(order, now) {
			if fresh[a] == nil {
				wants = append(wants, a)
				continue
			}
			made := *fresh[a]
			made.CreatedAt, successor = now, &made
		}
		changes = append(changes, line.succeed(successor, order, now)...)
	}
	return changes, wants
}

// line is the keys of one algorithm.
type line struct {
	active, pending *store.TokenKey // nil: none
	retiring        []store.TokenKey
}

func newLine(keys []store.TokenKey, a Algorithm) line {
	var l line
	for i := range keys {
		if keys[i].Algorithm != string(a) {
			continue
		}
		k := keys[i]
		switch StateOf(&k) {
		case Pending:
			l.pending = &k
		case Active:
			l.active = &k
		case Retiring:
			l.retiring = append(l.retiring, k)
		}
	}
	return l
}

// remove ends the keys of which nothing can be valid any more.
func (l *line) remove(now time.Time) (changes []Change) {
	for _, k := range l.retiring {
		if now.Before(k.RetiredAt.Add(Linger)) {
			continue
		}
		k.DeletedAt = now
		changes = append(changes, Change{latchkey.TokenKeyRemoved, k})
	}
	return changes
}

// due reports whether a successor has to be published.
func (l *line) due(order Order, now time.Time) bool {
	return l.active == nil || order != Tend || !now.Before(l.active.ActiveAt.Add(Term-Lead))
}

// succeed publishes the successor if it is new, and lets it sign when it may:
// after its lead, on order, or where there is no other.
func (l *line) succeed(successor *store.TokenKey, order Order, now time.Time) (changes []Change) {
	if successor == nil {
		return nil
	}
	signs := l.active == nil || order == RotateNow || !now.Before(successor.CreatedAt.Add(Lead))
	if signs {
		successor.ActiveAt = now
	}
	switch {
	case successor.Ordinal == 0:
		changes = append(changes, Change{latchkey.TokenKeyAdded, *successor})
	case signs:
		changes = append(changes, Change{latchkey.TokenKeyActivated, *successor})
	}
	if signs && l.active != nil {
		old := *l.active
		old.RetiredAt, old.Sealed = now, nil
		changes = append(changes, Change{latchkey.TokenKeyRetired, old})
	}
	return changes
}
