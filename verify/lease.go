package verify

import (
	"errors"
	"time"
)

// The times for which a node may answer after it last knew that it was current.
const (
	StrictStaleness  = 3 * time.Second
	DefaultStaleness = 60 * time.Second
	MinStaleness     = 500 * time.Millisecond
	MaxStaleness     = 10 * time.Minute // so that there is a time after which no node can answer, whichever there are
)

// MaxSkew is how far this machine's clock may be from the database's.
const MaxSkew = 5 * time.Second

// ErrNotCurrent says that this node does not know that it has every change. It is
// no verdict on anything.
var ErrNotCurrent = errors.New("this node does not know that it has every change")

// lease is until when a node answers from memory, and by how much the database's
// clock is ahead of its own. until has a monotonic reading and a wall reading, as
// the clock before the renewal had them.
type lease struct {
	until  time.Time
	offset time.Duration
}

// runs reports whether the lease runs by either reading: the monotonic one stands
// still while a machine is suspended, and the wall one can be set back.
func (l *lease) runs(now time.Time) bool {
	return l != nil && now.Before(l.until) && now.Round(0).Before(l.until.Round(0))
}

// now is how everything begins that answers from memory: it reads the clock, and
// then looks whether the lease runs. Only after that may the index be read. The
// time is the database's, by which keys expire. The error is ErrNotCurrent.
func (v *Verifier) now() (time.Time, error) {
	now := v.clock()
	if v.node == nil {
		return now, nil
	}
	l := v.lease.Load()
	if !l.runs(now) {
		return now, ErrNotCurrent
	}
	return now.Add(l.offset), nil
}

// bound is when no lease can be left by any clock: clocks differ by one per cent
// at most.
func bound(serveFor time.Duration) time.Duration {
	return serveFor + serveFor/100 + 50*time.Millisecond
}
