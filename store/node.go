package store

import (
	"context"
	"errors"
	"time"

	"latchkey.dev/latchkey"
)

// NodeState is how far a node has come.
type NodeState string

// The states of a node.
const (
	NodeJoining NodeState = "joining" // it fills its memory, and answers nothing yet
	NodeServing NodeState = "serving" // it answers from memory while its lease runs
)

// Node is a process that answers verifications from memory.
type Node struct {
	ID       latchkey.ID
	State    NodeState
	Applied  int64         // the position up to which its memory is known to have every change
	ServeFor time.Duration // how long it may answer after it last knew that it was current; 0: it is the only one, and always is
	Renewal  int64         // rises with each renewal of its lease
	Versions []int         // of the key ring that it has, in ascending order
	Build    string        // of the program
	Self     bool          // it is the one that was asked
}

// Pending is a node that may still answer by what was before a change.
type Pending struct {
	Node   latchkey.ID
	Within time.Duration // from now on; after that it cannot
}

// ErrNewer says that the store holds what only a newer program understands.
var ErrNewer = errors.New("the store holds what only a newer program understands")

// Mark is a place in the feed: a position, and the event that is there. The zero
// Mark is before all events.
type Mark struct {
	Position int64
	Event    latchkey.ID
}

// Shared is a store that several nodes serve from memory. Each of them has a row
// there, which it alone writes (docs/decisions/0024).
type Shared interface {
	Scanner

	// Member is this node's place. It is not in the list before it joins. Of node
	// it keeps ID, ServeFor, Versions and Build.
	Member(node Node) Member

	// Nodes reads the list, as of a moment after the call began.
	Nodes(ctx context.Context) (*NodeList, error)

	// Heard returns what was heard of the nodes, and a channel that is closed when
	// more is heard after the call. It may be closed for nothing, and it may be
	// missed.
	Heard() (Hearsay, <-chan struct{})

	// Forget strikes a node off the list, or fails with ErrNotFound.
	Forget(ctx context.Context, node latchkey.ID) error

	// Exposed says how an acknowledged change can be lost that the database
	// should keep, in one sentence; "" if no way is known.
	Exposed(ctx context.Context) (string, error)
}

// Hearsay is what was said of the nodes, by whoever may talk to the store. It says
// when it is worth while to read the list; nothing may be concluded from it.
type Hearsay struct {
	Applied map[latchkey.ID]int64 // positions that nodes are said to have applied; it does not change
	Else    int64                 // rises with all else that is said, such as that a node leaves
}

// NodeList is the nodes as they were at one moment.
type NodeList struct {
	Nodes    []Node        // in order of their ids
	Timeline string        // of the database: another one after a failover
	Age      time.Duration // of the timeline, since a node first saw it; the first one has been there forever
}

// Lost is an end that a node knew of, and the database does not know any more.
type Lost struct {
	Key   latchkey.ID
	Ended []latchkey.KID // secrets that had ended; empty: the key was revoked
}

// Member is a node among those of a Shared store. It has one connection of its
// own and is not safe for concurrent use. A connection that was lost is opened
// again by the next call; what a call did that failed is not known.
type Member interface {
	// Join puts the node on the list as one that is joining, whatever it was
	// before, and strikes off those of which it is known that they are dead.
	// When it was on the list, the feed was at the mark. The error may be ErrNewer.
	Join(ctx context.Context, dead []latchkey.ID) (Mark, error)

	// Serve says that the node serves from now on, or fails with ErrNotFound if
	// it is not on the list any more, or the mark's event is not there.
	Serve(ctx context.Context, at Mark) error

	// Renew raises the node's renewal and stores its versions of the key ring and
	// the mark, if its event is there.
	Renew(ctx context.Context, at Mark, versions []int) (*Renewal, error)

	// Look tells where the feed is, and whether the mark's event is there.
	Look(ctx context.Context, at Mark) (head int64, same bool, err error)

	// Read returns what changed after the mark. The error may be ErrNewer.
	Read(ctx context.Context, after Mark) (*Changes, error)

	// Acknowledge stores the mark, if its event is there, and wakes those who
	// wait for it; those of other processes only if not all that is new was
	// changed by this one. It reports whether the event is there. A crash of the
	// database may lose it.
	Acknowledge(ctx context.Context, at Mark) (same bool, err error)

	// Wait returns when the feed is said to be beyond the position, after d, or when
	// ctx ends. It says everything once: what was said wrongly is not said again.
	Wait(ctx context.Context, beyond int64, d time.Duration) (head int64, err error)

	// Reap strikes off a node whose renewal still is that one.
	Reap(ctx context.Context, node latchkey.ID, renewal int64) error

	// Leave strikes the node off the list.
	Leave(ctx context.Context) error

	// Close lets go of the connection.
	Close()
}

// Renewal is what a renewal found.
type Renewal struct {
	Listed     bool      // the node still is on the list
	Same       bool      // the event of the mark is at its position
	Head       int64     // the position of the newest event
	Timeline   string    // of the database
	Now        time.Time // by the database's clock
	Connection int       // rises when another connection is opened
	Nodes      []Node    // ID, Renewal and ServeFor of every node on the list
}

// Changes is what happened after a mark, as one snapshot: the objects that
// changed as they are at the end. A key may come more than once, as it was in
// between, and the last time as it is.
type Changes struct {
	Same   bool                 // the event of the mark was at its position; if not, there is nothing else
	Head   Mark                 // of the snapshot
	Types  []latchkey.EventType // that there were in between, each once
	Step   Step                 // rows alone, deleted ones included; without projects, data keys and the installation
	Events int64                // how many there were
}
