package store

import (
	"context"
	"time"

	"latchkey.dev/latchkey"
)

// Errand is something to be done at a broker because of an event. It is there
// until it was done: a process that dies leaves it to the next one.
type Errand struct {
	Gateway  latchkey.ID // the broker
	Kind     ErrandKind
	Subject  latchkey.Object
	Position int64     // of the event that asked for it last; of a lapse, when in Unix seconds
	Due      time.Time // to the millisecond; zero: not any more
	Round    int       // how often it was done
	Failures int       // how often it could not be, since it was done last
}

// ErrandKind is what is to be done.
type ErrandKind string

// The kinds. Of each there is one errand for a broker and a subject.
const (
	ErrandMake  ErrandKind = "make"  // the key's virtual host
	ErrandFill  ErrandKind = "fill"  // every virtual host that the broker lacks
	ErrandClose ErrandKind = "close" // the connections of the keys that hang on the subject
	ErrandEnd   ErrandKind = "end"   // the same, when a secret or the key ends
	ErrandCheck ErrandKind = "check" // every connection, whether it would be let in now
	ErrandLapse ErrandKind = "lapse" // the key's connections, when the token ends with which one was opened
)

// Errands keeps what is to be done at brokers. None of it makes an event: events
// are what it is made from.
type Errands interface {
	// ErrandsThrough is the position through which events have become errands; the head
	// of the feed as it was when the store began to keep them.
	ErrandsThrough(ctx context.Context) (int64, error)

	// AskErrands adds what the events after one position and through another ask
	// for, in place of errands of the same kind, broker and subject. It fails with
	// ErrConflict and does nothing if somebody else did so already.
	AskErrands(ctx context.Context, after, through int64, errands []Errand) error

	// HastenErrand adds an errand that no event asks for, or has the one that is
	// there of that kind, broker and subject fall due by then as well.
	HastenErrand(ctx context.Context, e Errand) error

	// TakeErrands hands over at most limit errands of a broker, of these kinds,
	// that are due at now, the longest due first, and puts them off until then:
	// whoever took them does them by then, or somebody does.
	TakeErrands(ctx context.Context, gateway latchkey.ID, kinds []ErrandKind, now, until time.Time, limit int) ([]Errand, error)

	// NextErrand is when a broker's next errand of these kinds is due; the zero
	// time if there is none.
	NextErrand(ctx context.Context, gateway latchkey.ID, kinds []ErrandKind) (time.Time, error)

	// KeepErrands gives each errand its new Due, Round and Failures, or drops it
	// where Due is zero, unless an event asked for it again meanwhile.
	KeepErrands(ctx context.Context, errands []Errand) error

	// DropErrands forgets what was to be done at a broker that is gone.
	DropErrands(ctx context.Context, gateway latchkey.ID) error
}
