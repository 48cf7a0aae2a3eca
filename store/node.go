package store

import (
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
