package protocol

// The phases of a node, in order.
const (
	out     = iota // it takes no part
	joined         // its row says that it is joining
	placed         // it has taken the position from which it will follow
	filled         // it has read what there is
	serving        // its row says that it is serving
	closing        // it takes no more verifications
)

// The stages of a renewal.
const (
	noRenewal = iota
	sent
	executed
	answered // counts once the head that it saw is applied
)

// The stages of the one verification.
const (
	noLook     = iota
	clockRead  // the clock was read
	leaseRead  // and the lease still ran
	indexFirst // the index was read, and the lease was not: against the rule
)

// The events.
const (
	nothing = iota
	revocation
	other
	resubmission
)

// node is a process and what it remembers. Times are ages or what is left, in
// ticks of its own clocks, up to their bound.
type node struct {
	phase               uint8
	dead                bool // its process is not there
	monoLeft, wallLeft  uint8
	revoked             bool // what its index says of the key
	knew                bool // its index said so once, while this process lived
	applied, event      uint8
	held                uint8 // the event that was read and is not applied
	renewal             uint8
	monoSince, wallSide uint8 // since the renewal began
	head                uint8
	hasRow, same        bool // what the renewal found
	covers              bool // its lease would have run when the clock was read for the verification
	look                uint8
	lookOK              bool // the lease runs for what the clock said
	drift               uint8
	counted             bool // the waiter saw its row, before the commit: against the rule
}

// row is what the database knows of a node.
type row struct {
	state   uint8 // 0: none; joined; serving
	applied uint8
	age     uint8 // since it changed, by the waiter's clock
}

// database is a log of events, and a row for each node.
type database struct {
	log  [4]uint8
	head uint8
	rows [2]row
}

func (d *database) at(position uint8) uint8 {
	switch {
	case position == 0:
		return nothing
	case position > d.head:
		return 255
	}
	return d.log[position-1]
}

func (d *database) add(event uint8) bool {
	if int(d.head) == len(d.log) {
		return false
	}
	d.log[d.head] = event
	d.head++
	return true
}

func (d *database) revoked() bool {
	for _, e := range d.log[:d.head] {
		if e == revocation || e == resubmission {
			return true
		}
	}
	return false
}

// waiter is who commits the revocation and tells the client.
type waiter struct {
	stage    uint8 // before, committed, waiting, told
	position uint8
	since    uint8 // the moment from which it counts
	timeline bool  // it has seen the present one
	seen     uint8 // since then
	lost     bool  // the database did not keep what it had committed
	drift    uint8
}

// The stages of a waiter.
const (
	before = iota
	early  // it counts already, and reads rows: against the rule
	committed
	waiting
	told
)

// state is one moment.
type state struct {
	nodes    [2]node
	now      database
	standby  database
	waiter   waiter
	left     Bounds
	suspends bool // machines were suspended: wall clocks are not set back
	stands   bool // wall clocks stood still: no machine is suspended
}

func start(b Bounds) state {
	s := state{left: b, waiter: waiter{timeline: true, seen: wait, drift: min(b.Drift, 1)}}
	for i := range s.nodes {
		if i >= int(b.Nodes) {
			s.nodes[i] = node{dead: true}
			continue
		}
		s.nodes[i] = node{phase: serving, monoLeft: lease, wallLeft: lease, drift: min(b.Drift, 1)}
		s.now.rows[i] = row{state: serving}
	}
	if b.Failovers > 0 {
		s.standby = s.now
	}
	return s
}

// drop is what a node does that finds itself out of step: it goes on from
// nothing but what it remembers.
func (n *node) drop() {
	n.phase, n.monoLeft, n.wallLeft, n.held, n.lookOK = out, 0, 0, nothing, false
	n.forget()
}

// forget is for a renewal that is over.
func (n *node) forget() {
	n.renewal, n.monoSince, n.wallSide, n.head, n.hasRow, n.same, n.covers = noRenewal, 0, 0, 0, false, false, false
}

// die ends the process, and with it what it remembers.
func (n *node) die() { *n = node{dead: true, drift: n.drift} }
