package store

import (
	"slices"

	"latchkey.dev/latchkey"
)

// queue holds the changes that wait. Urgent ones leave first; the others leave
// one organization after the other, so that a busy tenant delays only itself.
// It is not safe for concurrent use.
type queue struct {
	first []*ticket // urgent, and those put back
	byOrg map[latchkey.ID][]*ticket
	turns []latchkey.ID // organizations that wait, next one first
}

func newQueue() *queue { return &queue{byOrg: map[latchkey.ID][]*ticket{}} }

func (q *queue) push(t *ticket) {
	if t.change.Urgent {
		q.first = append(q.first, t)
		return
	}
	org := t.change.Organization
	if len(q.byOrg[org]) == 0 {
		q.turns = append(q.turns, org)
	}
	q.byOrg[org] = append(q.byOrg[org], t)
}

// pushFront puts back what was taken and has to wait for another group.
func (q *queue) pushFront(tickets []*ticket) {
	q.first = append(slices.Clone(tickets), q.first...)
}

// take removes up to n changes in the order in which they are to run.
func (q *queue) take(n int) []*ticket {
	taken := min(n, len(q.first))
	group := slices.Clone(q.first[:taken])
	q.first = q.first[taken:]
	for len(group) < n && len(q.turns) > 0 {
		org := q.turns[0]
		q.turns = q.turns[1:]
		waiting := q.byOrg[org]
		group = append(group, waiting[0])
		if len(waiting) == 1 {
			delete(q.byOrg, org)
			continue
		}
		q.byOrg[org] = waiting[1:]
		q.turns = append(q.turns, org)
	}
	for _, t := range group {
		t.taken = true
	}
	return group
}

// remove takes back a change that still waits.
func (q *queue) remove(t *ticket) {
	same := func(u *ticket) bool { return u == t }
	q.first = slices.DeleteFunc(q.first, same)
	org := t.change.Organization
	left := slices.DeleteFunc(q.byOrg[org], same)
	if len(left) > 0 {
		q.byOrg[org] = left
		return
	}
	delete(q.byOrg, org)
	q.turns = slices.DeleteFunc(q.turns, func(id latchkey.ID) bool { return id == org })
}
