package protocol

import "slices"

// machine is the protocol, without some of its rules.
type machine struct {
	without [rules]bool
	yield   func(step string, node int, next state)
	broken  bool // the step that was yielded last broke the promise
}

func (m *machine) has(r Rule) bool { return !m.without[r] }

// steps yields every state that can follow.
func (m *machine) steps(s state) {
	for i := range int(s.left.Nodes) {
		m.lives(s, i)
		m.joins(s, i)
		m.follows(s, i)
		m.renews(s, i)
		m.goes(s, i)
		m.verifies(s, i)
	}
	m.commits(s)
	m.waits(s)
	m.failsOver(s)
	m.ticks(s)
}

func (m *machine) next(step string, i int, s state) { m.yield(step, i, s) }

func (m *machine) lives(s state, i int) {
	n := &s.nodes[i]
	if !n.dead && s.left.Crashes > 0 {
		next := s
		next.left.Crashes--
		next.nodes[i].die()
		m.next("crashes", i, next)
	}
}

// joins brings a node from nothing to serving.
func (m *machine) joins(s state, i int) {
	n, r := &s.nodes[i], &s.now.rows[i]
	switch n.phase {
	case out:
		n.dead, n.phase = false, joined
		*r = row{state: joined}
		m.next("joins", i, s)
	case joined:
		n.phase = placed
		if m.has(PositionThenRows) {
			n.applied, n.event = s.now.head, s.now.at(s.now.head)
			m.next("takes its position", i, s)
		} else if m.fill(&s, i) {
			m.next("fills", i, s)
		}
	case placed:
		n.phase = filled
		if !m.has(PositionThenRows) {
			n.applied, n.event = s.now.head, s.now.at(s.now.head)
			m.next("takes its position", i, s)
		} else if m.fill(&s, i) {
			m.next("fills", i, s)
		}
	case filled:
		if r.state == nothing {
			n.drop()
			m.next("finds no row", i, s)
			return
		}
		n.phase, r.state, r.applied, r.age = serving, serving, n.applied, 0
		m.next("serves", i, s)
	}
}

// fill reads the key, or first revokes it again.
func (m *machine) fill(s *state, i int) bool {
	n := &s.nodes[i]
	if n.revoked && !s.now.revoked() && m.has(Resubmit) && !s.now.add(resubmission) {
		return false // the model's log is full
	}
	n.revoked = s.now.revoked()
	n.knew = n.knew || n.revoked
	return true
}

// follows reads what comes after what was applied last, applies and acknowledges it.
func (m *machine) follows(s state, i int) {
	n := &s.nodes[i]
	if n.phase != filled && n.phase != serving {
		return
	}
	if n.held != nothing {
		next := s
		a := &next.nodes[i]
		a.applied, a.event, a.held = n.applied+1, n.held, nothing
		if n.held == revocation || n.held == resubmission {
			a.revoked, a.knew = true, true
		}
		m.next("applies", i, next)
	} else {
		next := s
		if m.has(SameEvent) && s.now.at(n.applied) != n.event {
			next.nodes[i].drop()
			m.next("reads, and finds another event", i, next)
		} else if s.now.head > n.applied {
			next.nodes[i].held = s.now.at(n.applied + 1)
			m.next("reads", i, next)
		}
	}
	upTo := n.applied
	if !m.has(AppliedThenTold) && n.held != nothing {
		upTo++
	}
	if r := &s.now.rows[i]; n.phase == serving && r.state == serving && r.applied != upTo {
		r.applied, r.age = upTo, 0
		m.next("acknowledges", i, s)
	}
}

// renews asks for a lease.
func (m *machine) renews(s state, i int) {
	n := &s.nodes[i]
	if n.phase != serving && (m.has(ServingThenLease) || n.phase != filled) {
		return
	}
	if n.renewal != noRenewal {
		next := s
		next.nodes[i].forget()
		m.next("loses its renewal", i, next)
	}
	switch n.renewal {
	case noRenewal:
		if n.held == nothing || !m.has(OneConnection) {
			n.renewal, n.covers = sent, n.look == clockRead
			m.next("sends a renewal", i, s)
		}
	case sent:
		r := &s.now.rows[i]
		n.renewal, n.head, n.hasRow = executed, s.now.head, r.state != nothing
		n.same = s.now.at(n.applied) == n.event
		if n.hasRow {
			r.applied, r.age = n.applied, 0
		}
		m.next("has its renewal executed", i, s)
	case executed:
		if m.has(RowOrJoin) && !n.hasRow || m.has(SameEvent) && !n.same {
			n.drop()
			m.next("learns that it is out of step", i, s)
			return
		}
		n.renewal = answered
		if !m.has(StartBeforeSending) {
			n.monoSince, n.wallSide, n.covers = 0, 0, n.look == clockRead
		}
		m.next("gets its renewal's answer", i, s)
	case answered:
		if n.applied < n.head && m.has(HeadApplied) {
			return
		}
		n.monoLeft, n.wallLeft = max(n.monoLeft, lease-n.monoSince), max(n.wallLeft, lease-n.wallSide)
		n.lookOK = n.lookOK || n.covers
		n.forget()
		m.next("has a lease", i, s)
	}
}

// goes takes rows away: the node's own when it stops, one of the dead, one that
// has run out.
func (m *machine) goes(s state, i int) {
	n, r := &s.nodes[i], &s.now.rows[i]
	remove := func(step string) {
		next := s
		next.left.Leaves--
		next.now.rows[i] = row{}
		m.next(step, i, next)
	}
	if n.phase == closing && n.look == noLook {
		next := s
		next.now.rows[i] = row{}
		next.nodes[i].die()
		m.next("removes its row and ends", i, next)
	}
	if s.left.Leaves == 0 || r.state == nothing {
		return
	}
	if n.phase == serving {
		if m.has(AnswerThenLeave) {
			next := s
			next.left.Leaves--
			next.nodes[i].phase = closing
			m.next("takes no more verifications", i, next)
		} else {
			remove("removes its row and answers what it has")
		}
	}
	if n.dead || !m.has(SlotOfTheDead) {
		remove("loses its row to who took its slot")
	}
	if r.age == wait || !m.has(ForgetWhenRunOut) {
		remove("is forgotten")
	}
}

// verifies takes the key that the client presents.
func (m *machine) verifies(s state, i int) {
	n := &s.nodes[i]
	runs := (n.monoLeft > 0 || !m.has(MonotonicClock)) && (n.wallLeft > 0 || !m.has(WallClock)) && n.monoLeft+n.wallLeft > 0 ||
		!m.has(LeaseChecked) && n.phase == serving
	switch n.look {
	case noLook:
		idle := s.nodes[0].look == noLook && s.nodes[1].look == noLook
		if n.dead || n.phase == closing || !idle || !s.owes(i) {
			return
		}
		if !m.has(LeaseBeforeIndex) && !n.revoked {
			next := s
			next.nodes[i].look = indexFirst
			m.next("reads its index for a verification", i, next)
		}
		n.look, n.lookOK = clockRead, runs
		n.covers = n.renewal != noRenewal && n.monoSince < lease && n.wallSide < lease
		m.next("reads the clock for a verification", i, s)
	case clockRead:
		n.look, n.covers = noLook, false
		if n.lookOK {
			n.look, n.lookOK = leaseRead, false
		}
		m.next("checks its lease for a verification", i, s)
	case leaseRead:
		m.broken = !n.revoked && s.owes(i)
		n.look = noLook
		m.next("answers by its index", i, s)
		m.broken = false
	case indexFirst:
		m.broken = runs && s.owes(i)
		n.look = noLook
		m.next("checks its lease and answers", i, s)
		m.broken = false
	}
}

// owes reports whether a verification by the node may not be accepted any more:
// the client was told so and the database kept the revocation, or the node knew
// of the one that was lost.
func (s *state) owes(i int) bool {
	return s.waiter.stage == told && !s.waiter.lost || s.waiter.lost && s.nodes[i].knew
}

// commits writes the revocation, and another event.
func (m *machine) commits(s state) {
	if s.left.Others > 0 {
		next := s
		next.left.Others--
		if next.now.add(other) {
			m.next("another change commits", -1, next)
		}
	}
	w := &s.waiter
	switch {
	case w.stage == before && !(m.has(WaitFromCommit) && m.has(RowsAfterCommit)):
		w.stage = early
		for i := range s.nodes {
			s.nodes[i].counted = s.now.rows[i].state == serving
		}
		m.next("the waiter counts and reads before it commits", -1, s)
	case w.stage == before, w.stage == early:
		if s.now.add(revocation) {
			w.stage, w.position = committed, s.now.head
			m.next("the revocation commits", -1, s)
		}
	}
}

// waits tells the client once every row has applied the revocation or no lease
// can be left. What is told with `pending` is the same moment.
func (m *machine) waits(s state) {
	w := &s.waiter
	switch w.stage {
	case committed:
		w.stage = waiting
		if m.has(WaitFromCommit) {
			w.since = 0
		}
		m.next("the waiter begins to count", -1, s)
	case waiting:
		long := uint8(wait)
		if !m.has(WaitMargin) {
			long -= margin / 2
		}
		if w.since >= long {
			next := s
			next.waiter.stage, next.waiter.since = told, 0
			m.next("the client is told: everywhere, by time", -1, next)
		}
		known := w.timeline && w.seen == wait || !m.has(TimelineByTime)
		if !w.timeline {
			w.timeline, w.seen = true, 0
		}
		if known && m.everyRow(&s) {
			w.stage, w.since = told, 0
			m.next("the client is told: everywhere", -1, s)
		} else if s.waiter.seen == 0 {
			m.next("the waiter sees a new timeline", -1, s)
		}
	}
}

func (m *machine) everyRow(s *state) bool {
	for i, r := range s.now.rows {
		asked := r.state == serving && m.has(WaitForRows)
		if !m.has(RowsAfterCommit) {
			asked = asked && s.nodes[i].counted
		}
		if asked && r.applied < s.waiter.position {
			return false
		}
	}
	return true
}

// failsOver goes on from the standby, which may lack what was committed last.
func (m *machine) failsOver(s state) {
	if s.left.Failovers == 0 {
		return
	}
	if next := s; next.standby != next.now {
		next.standby = next.now
		m.next("the standby catches up", -1, next)
	}
	s.left.Failovers--
	s.now = s.standby
	for i := range s.now.rows {
		s.now.rows[i].age = 0 // who watched them has to begin again
	}
	w := &s.waiter
	w.timeline, w.seen = false, 0
	w.lost = w.lost || w.stage >= committed && !slices.Contains(s.now.log[:s.now.head], revocation)
	if s.left.Failovers == 0 {
		s.standby = database{}
	}
	m.next("the database fails over", -1, s)
}

// The ways in which the clocks of a node go on.
const (
	right     = iota
	slow      // both stand for once
	suspended // the monotonic clock stands
	setBack   // the wall clock stands
	ways
)

// ticks lets time go on, on each clock in its way.
func (m *machine) ticks(s state) {
	for a := range uint8(ways) {
		for b := range uint8(ways) {
			if next := s; next.tick(0, a) && next.tick(1, b) {
				m.wait(next, a, b)
			}
		}
	}
}

// wait is the tick on the waiter's clock, which may be fast.
func (m *machine) wait(s state, a, b uint8) {
	step := [ways]string{"a tick", "a tick, slow on a clock", "a tick, with a suspended machine", "a tick, with a wall clock that stands"}[max(a, b)]
	if s.waiter.drift > 0 {
		next := s
		next.waiter.drift--
		next.passes(2)
		m.next("a tick, two for the waiter", -1, next)
	}
	s.passes(1)
	m.next(step, -1, s)
}

// passes is time by the waiter's clock.
func (s *state) passes(ticks uint8) {
	older := func(age *uint8) { *age = min(*age+ticks, wait) }
	if s.waiter.stage == early || s.waiter.stage == committed || s.waiter.stage == waiting {
		older(&s.waiter.since)
	}
	if s.waiter.timeline && s.waiter.stage != told {
		older(&s.waiter.seen)
	}
	for _, d := range []*database{&s.now, &s.standby} {
		for i := range d.rows {
			if d.rows[i].state != nothing && s.left.Leaves > 0 {
				older(&d.rows[i].age)
			}
		}
	}
}

// tick is time by a node's clocks, or false where it cannot go on that way.
func (s *state) tick(i int, way uint8) bool {
	n := &s.nodes[i]
	if n.dead {
		return way == right
	}
	mono, wall := uint8(1), uint8(1)
	switch way {
	case slow:
		if n.drift == 0 {
			return false
		}
		n.drift--
		return true
	case suspended:
		if !s.left.Suspends || s.stands {
			return false
		}
		s.suspends, mono = true, 0
	case setBack:
		if !s.left.Suspends || s.suspends {
			return false
		}
		s.stands, wall = true, 0
	}
	n.monoLeft -= min(n.monoLeft, mono)
	n.wallLeft -= min(n.wallLeft, wall)
	if n.renewal != noRenewal {
		n.monoSince, n.wallSide = min(n.monoSince+mono, lease), min(n.wallSide+wall, lease)
	}
	return true
}
