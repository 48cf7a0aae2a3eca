// Package protocol is a model of the protocol by which a revocation becomes true on every
// node, small enough to try every history of it: two nodes, one database with a
// standby, one client who revokes a key and then presents it.
//
// The steps are: commit, read, apply, acknowledge, renew a lease, join, fill,
// serve, leave, take over a slot, forget a row, wait, verify.
// Any step may be the next one, so every process may be paused before each of
// its steps, and cut off from the others, for as long as it likes. Nodes crash;
// the database fails over to a standby that lacks the last commits; a machine is
// suspended, its wall clock is set back; clocks go wrong within their bound.
//
// [Explore] looks for a history in which the promise is broken: a verification
// that is sent after its client was told `everywhere`, or after the time told
// with `pending`, and is accepted; or a node that accepts what it once knew to be
// revoked, after the database forgot it. Leave a [Rule] out and there is one.
//
// Time goes in ticks. A lease lasts two, a clock is wrong by one at most, and a
// time that matters no more is kept as its bound, so that the histories are of
// any length and yet finitely many. What the model does not show: more than two
// nodes (each is judged by itself), and the arithmetic of real durations.
package protocol

// The times, in ticks. A lease that a slow node counts may last one tick longer
// than it should, and a fast waiter may see it end one tick early.
const (
	lease  = 2
	margin = 2
	wait   = lease + margin
)

// Rule is a rule of the protocol that can be left out.
type Rule int

// The rules.
const (
	LeaseChecked       Rule = iota // a node answers only while its lease runs
	LeaseBeforeIndex               // a verification looks at the clock and the lease first, and then at the index
	MonotonicClock                 // a lease ends by the monotonic clock, though the wall clock be set back
	WallClock                      // a lease ends by the wall clock, though the machine be suspended
	StartBeforeSending             // a lease counts from before its renewal was sent
	HeadApplied                    // a renewal counts once every event up to the head that it saw is applied
	AppliedThenTold                // a node acknowledges what it has applied, and nothing before
	WaitForRows                    // a waiter asks for every serving row
	WaitFromCommit                 // a waiter counts the time from after the commit
	WaitMargin                     // a waiter allows for what the clocks may be wrong by
	RowsAfterCommit                // a waiter reads the rows after the commit
	ServingThenLease               // the first lease is from a renewal that began after the row was serving
	PositionThenRows               // a fill takes its position before it reads
	RowOrJoin                      // a node without a row drops its lease and joins again
	ForgetWhenRunOut               // a row is forgotten when no lease can be left of it
	AnswerThenLeave                // a node that stops removes its row after its last answer
	SlotOfTheDead                  // a slot is taken over when its owner is proven dead
	SameEvent                      // a read must find the event that was applied last
	OneConnection                  // what was read is applied before the next renewal is sent
	TimelineByTime                 // after a change of timeline, a wait is by time
	Resubmit                       // what a node knew to be revoked and the store does not is revoked again
	rules
)

// String says the rule.
func (r Rule) String() string {
	return [...]string{
		"a node answers only while its lease runs",
		"a verification looks at the lease before the index",
		"a lease ends by the monotonic clock",
		"a lease ends by the wall clock",
		"a lease counts from before its renewal was sent",
		"a renewal counts once everything up to its head is applied",
		"a node acknowledges only what it has applied",
		"a waiter asks for every serving row",
		"a waiter counts from after the commit",
		"a waiter allows for clocks that are wrong",
		"a waiter reads the rows after the commit",
		"the first lease is from a renewal after the row was serving",
		"a fill takes its position before it reads",
		"a node without a row joins again",
		"a row is forgotten when no lease can be left",
		"a node leaves after its last answer",
		"a slot is taken over from the dead alone",
		"a read must find the event that was applied last",
		"what was read is applied before the next renewal",
		"after a change of timeline a wait is by time",
		"what a node knew to be revoked is revoked again",
	}[r]
}

// Rules lists the rules.
func Rules() []Rule {
	all := make([]Rule, rules)
	for i := range all {
		all[i] = Rule(i)
	}
	return all
}

// Bounds is how many nodes there are, and how much may go wrong in a history.
type Bounds struct {
	Nodes     uint8 // one or two
	Crashes   uint8
	Failovers uint8
	Others    uint8 // changes beside the revocation
	Drift     uint8 // clocks that are wrong: each of the three by one tick at most, once
	Leaves    uint8 // nodes that stop or are forgotten
	Suspends  bool  // machines are suspended, or their wall clocks stand still
}
