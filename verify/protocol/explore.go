package protocol

import (
	"hash/maphash"
	"slices"
	"strings"
)

// Found is what an exploration came to.
type Found struct {
	States  int
	Steps   map[string]int // how often each was taken
	History []string       // the shortest that breaks the promise; nil if there is none
}

// String tells the history, a step in each line.
func (f Found) String() string { return strings.Join(f.History, "\n") }

// Explore tries every history within the bounds, under the protocol without
// some of its rules, until one breaks the promise. progress, if it is not nil,
// is told now and then how many states were seen and how many of them are left
// to go on from.
func Explore(bounds Bounds, without []Rule, progress func(states, left int)) Found {
	e := explorer{seed: maphash.MakeSeed(), table: make([]uint32, 1<<12), found: Found{Steps: map[string]int{}}}
	for _, r := range without {
		e.machine.without[r] = true
	}
	e.machine.yield = e.visit
	e.add(start(bounds))
	for e.at = 0; e.at < len(e.states) && e.found.History == nil; e.at++ {
		if progress != nil && e.at%(1<<20) == 1<<20-1 {
			progress(len(e.states), len(e.states)-e.at)
		}
		e.machine.steps(e.states[e.at])
	}
	e.found.States = len(e.states)
	return e.found
}

// explorer is a breadth-first search. States are kept whole, so none is taken
// for another.
type explorer struct {
	machine machine
	seed    maphash.Seed
	states  []state
	from    []origin
	table   []uint32 // open addressing; an index into states, plus one
	at      int
	found   Found
}

type origin struct {
	state   int32
	node    int8
	swapped bool // the nodes are in the other order since
	step    string
}

func (e *explorer) visit(step string, node int, next state) {
	if e.found.History != nil {
		return
	}
	e.found.Steps[step]++
	if e.machine.broken {
		e.found.History = e.history(origin{int32(e.at), int8(node), false, step}) //nolint:gosec // fewer than memory holds
		return
	}
	ordered, swapped := e.ordered(next)
	if e.add(ordered) {
		e.from[len(e.from)-1] = origin{int32(e.at), int8(node), swapped, step} //nolint:gosec // fewer than memory holds
	}
}

// ordered puts the nodes in one order: which of them is which does not matter.
func (e *explorer) ordered(s state) (ordered state, swapped bool) {
	if s.left.Nodes < 2 {
		return s, false
	}
	other := s
	other.nodes[0], other.nodes[1] = s.nodes[1], s.nodes[0]
	other.now.rows[0], other.now.rows[1] = s.now.rows[1], s.now.rows[0]
	other.standby.rows[0], other.standby.rows[1] = s.standby.rows[1], s.standby.rows[0]
	if maphash.Comparable(e.seed, other) < maphash.Comparable(e.seed, s) {
		return other, true
	}
	return s, false
}

func (e *explorer) add(s state) bool {
	slot := e.slot(s)
	if e.table[slot] != 0 {
		return false
	}
	e.states = append(e.states, s)
	e.from = append(e.from, origin{})
	e.table[slot] = uint32(len(e.states)) //nolint:gosec // fewer than memory holds
	if len(e.states) > len(e.table)/2 {
		e.grow()
	}
	return true
}

// slot is where s is, or where it goes.
func (e *explorer) slot(s state) uint64 {
	mask := uint64(len(e.table) - 1) //nolint:gosec // a table has slots
	slot := maphash.Comparable(e.seed, s) & mask
	for e.table[slot] != 0 && e.states[e.table[slot]-1] != s {
		slot = (slot + 1) & mask
	}
	return slot
}

func (e *explorer) grow() {
	e.table = make([]uint32, 2*len(e.table))
	for i, s := range e.states {
		e.table[e.slot(s)] = uint32(i + 1)
	}
}

// history is how the last step came about.
func (e *explorer) history(last origin) (told []string) {
	steps := []origin{last}
	for at := last.state; at != 0; at = steps[0].state {
		steps = slices.Insert(steps, 0, e.from[at])
	}
	swapped := false
	for _, s := range steps {
		told = append(told, s.say(swapped))
		swapped = swapped != s.swapped
	}
	return told
}

func (o origin) say(swapped bool) string {
	if o.node < 0 {
		return o.step
	}
	if (o.node == 0) != swapped {
		return "node a " + o.step
	}
	return "node b " + o.step
}
