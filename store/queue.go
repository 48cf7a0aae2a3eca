package store

import (
	"slices"

	"latchkey.dev/latchkey"
)

// queue holds the changes that wait, in two lanes. Urgent ones run before the
// others of their group; neither lane keeps the other out of it. It is not safe
// for concurrent use.
type queue struct{ urgent, ordinary lane }

func (q *queue) lane(t *ticket) *lane {
	if t.change.Urgent {
		return &q.urgent
	}
	return &q.ordinary
}

func (q *queue) push(t *ticket) { q.lane(t).push(t) }

func (q *queue) size() int { return q.urgent.size + q.ordinary.size }

// ready reports whether there is something urgent, or enough of anything.
func (q *queue) ready(enough int) bool { return q.urgent.size > 0 || q.ordinary.size >= enough }

// putBack returns what was taken and has to wait for the next group. It keeps
// its order, and its organizations are the next to have a turn: whoever depends
// on others is not overtaken by them again and again.
func (q *queue) putBack(tickets []*ticket) {
	for _, t := range slices.Backward(tickets) {
		t.taken = false
		q.lane(t).pushFront(t)
	}
}

// take removes changes in the order in which they are to run, until they weigh
// n. Half of the group is for urgent ones, and what the others leave free.
func (q *queue) take(n int) []*ticket {
	share := min(q.ordinary.size, n/2)
	group, left := q.urgent.take(nil, n-share)
	group, _ = q.ordinary.take(group, share+max(left, 0))
	for _, t := range group {
		t.taken = true
	}
	return group
}

// remove takes back a change that still waits.
func (q *queue) remove(t *ticket) { q.lane(t).remove(t) }

// lane lets the organizations take turns, so that a busy tenant delays only
// itself. The zero value is empty.
type lane struct {
	size    int
	waiting map[latchkey.ID][]*ticket // by organization, never empty
	turns   []latchkey.ID             // the organizations of waiting, next one first
}

func (l *lane) push(t *ticket) {
	org := t.change.Organization
	waiting := l.waiting[org]
	if len(waiting) == 0 {
		l.turns = append(l.turns, org)
	}
	l.set(org, append(waiting, t), 1)
}

func (l *lane) pushFront(t *ticket) {
	org := t.change.Organization
	l.loseTurn(org)
	l.turns = slices.Insert(l.turns, 0, org)
	l.set(org, slices.Insert(l.waiting[org], 0, t), 1)
}

// take appends changes to group until they weigh n, and tells what is left of n:
// less than nothing if the last one was heavier than that.
func (l *lane) take(group []*ticket, n int) (_ []*ticket, left int) {
	for l.size > 0 && n > 0 {
		org := l.turns[0]
		l.turns = l.turns[1:]
		waiting := l.waiting[org]
		group = append(group, waiting[0])
		n -= waiting[0].change.weight()
		l.set(org, waiting[1:], -1)
		if len(waiting) > 1 {
			l.turns = append(l.turns, org)
		}
	}
	return group, n
}

func (l *lane) remove(t *ticket) {
	org := t.change.Organization
	left := slices.DeleteFunc(l.waiting[org], func(u *ticket) bool { return u == t })
	l.set(org, left, -1)
	if len(left) == 0 {
		l.loseTurn(org)
	}
}

func (l *lane) set(org latchkey.ID, waiting []*ticket, more int) {
	l.size += more
	if len(waiting) == 0 {
		delete(l.waiting, org)
		return
	}
	if l.waiting == nil {
		l.waiting = map[latchkey.ID][]*ticket{}
	}
	l.waiting[org] = waiting
}

func (l *lane) loseTurn(org latchkey.ID) {
	l.turns = slices.DeleteFunc(l.turns, func(id latchkey.ID) bool { return id == org })
}
