package store

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"latchkey.dev/latchkey"
)

// readsOf is what the group must see, each id once and in order: a driver that
// locks what it reads then meets no other that locks it the other way round.
func readsOf(group []*ticket) Reads {
	var all Reads
	for _, t := range group {
		reads := &t.change.Reads
		all.Installation = all.Installation || reads.Installation
		all.TokenKeys = all.TokenKeys || reads.TokenKeys
		all.Gateways = all.Gateways || reads.Gateways
		all.Keys = append(all.Keys, reads.Keys...)
		all.Organizations = append(all.Organizations, reads.Organizations...)
		all.Projects = append(all.Projects, reads.Projects...)
		all.Users = append(all.Users, reads.Users...)
		all.Roles = append(all.Roles, reads.Roles...)
		all.Holdings = append(all.Holdings, reads.Holdings...)
		all.DataKeys = append(all.DataKeys, reads.DataKeys...)
		for _, k := range reads.Records {
			if !slices.Contains(all.Records, k) {
				all.Records = append(all.Records, k)
			}
		}
		for _, n := range reads.Nonces {
			if !slices.Contains(all.Nonces, n) {
				all.Nonces = append(all.Nonces, n)
			}
		}
		all.Tokens = append(all.Tokens, reads.Tokens...)
		all.IssuersAt = append(all.IssuersAt, reads.IssuersAt...)
	}
	for _, texts := range []*[]string{&all.Tokens, &all.IssuersAt} {
		slices.Sort(*texts)
		*texts = slices.Compact(*texts)
	}
	for _, ids := range []*[]latchkey.ID{&all.Keys, &all.Organizations, &all.Projects, &all.Users, &all.Roles, &all.Holdings, &all.DataKeys} {
		*ids = distinct(*ids)
	}
	return all
}

// distinct sorts ids and drops repetitions and the zero id.
func distinct(ids []latchkey.ID) []latchkey.ID {
	slices.SortFunc(ids, func(a, b latchkey.ID) int { return bytes.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)
	if len(ids) > 0 && ids[0].IsZero() {
		ids = ids[1:]
	}
	return ids
}

// group is what one transaction brings into the store.
type group struct {
	tickets  []*ticket // all that were taken into it
	weight   int       // of these
	urgent   bool      // one of them is
	accepted []*ticket
	outcomes []Outcome // of the accepted, in the same order
	refused  map[*ticket]error
	later    []*ticket
	parts    int           // in which it was decided
	waited   time.Duration // for others to join
	alone    bool          // none could
}

// run decides a part of the group, and writes what it decided. culprit is the
// change that could not be written; nil: nothing could be.
func (g *group) run(tx Tx, part []*ticket) (culprit *ticket, err error) {
	g.tickets = append(g.tickets, part...)
	g.parts++
	for _, t := range part {
		g.weight += t.change.weight()
		g.urgent = g.urgent || t.change.Urgent
	}
	view, err := tx.Load(readsOf(part))
	if err != nil {
		return nil, err
	}
	before := len(g.accepted)
	g.decide(part, view)
	outcomes := g.outcomes[before:]
	if len(outcomes) == 0 {
		return nil, nil
	}
	err = tx.Write(outcomes)
	if named, ok := errors.AsType[*WriteError](err); ok && !errors.Is(err, ErrUnavailable) && named.Index < len(outcomes) {
		return g.accepted[before+named.Index], named.Err
	}
	return nil, err
}

// failed answers for a transaction that was rolled back, and returns those who
// are to run again without the culprit.
func (g *group) failed(culprit *ticket, err error) (again []*ticket) {
	if culprit != nil {
		answer([]*ticket{culprit}, err)
		again, g.later = without(g.tickets, culprit), nil
		return again
	}
	for _, t := range g.tickets { // the refused as well: what they were refused for may not have happened
		if !slices.Contains(g.later, t) {
			answer([]*ticket{t}, unavailable(err))
		}
	}
	return nil
}

func (g *group) answerAccepted(head int64) {
	for i, t := range g.accepted {
		position := head
		if steps := g.outcomes[i].Steps; len(steps) > 0 {
			position = steps[len(steps)-1].Event.Position
		}
		t.result <- result{position: position}
	}
}

// answerRefused tells the refused. It is done after the group is through, since
// a group that runs again decides anew.
func (g *group) answerRefused() {
	for t, err := range g.refused {
		t.result <- result{err: err}
	}
}

// decide runs the changes against the view, in order. The view is as it was
// before them, so a change that reads what an earlier one touched waits.
func (g *group) decide(part []*ticket, view *View) {
	touched := footprint{objects: map[latchkey.ID]bool{}, holdings: map[latchkey.ID]bool{}, records: map[RecordKey]bool{}, nonces: map[NonceKey]bool{}, tokens: map[string]bool{}, issuers: map[string]bool{}}
	for _, t := range part {
		if touched.meets(&t.change.Reads, view) {
			g.later = append(g.later, t)
			continue
		}
		outcome, err := apply(t.change, view)
		if err != nil {
			g.refused[t] = err
			continue
		}
		g.accepted = append(g.accepted, t)
		g.outcomes = append(g.outcomes, outcome)
		touched.add(&outcome, view)
	}
}

// apply keeps a fault in one change from stopping the writer.
func apply(change Change, view *View) (outcome Outcome, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("a change panicked: %v\n%s", fault, debug.Stack())
		}
	}()
	if outcome, err = change.Apply(view); err == nil {
		err = outcome.check()
	}
	return outcome, err
}

// errHidden says that who follows would not look for what a step changes.
var errHidden = errors.New("a step about a key has rows of others who decide what keys may do")

func (o *Outcome) check() error {
	for i := range o.Steps {
		if s := &o.Steps[i]; s.Event.Object.Kind == latchkey.KindKey && len(s.Organizations)+len(s.Users)+len(s.Roles)+len(s.TokenKeys)+len(s.Gateways) > 0 {
			return errHidden
		}
	}
	return nil
}

// footprint is what the accepted changes of a group touched: all in which their
// view is out of date for the rest of the group.
type footprint struct {
	installation bool
	tokenKeys    bool
	gateways     bool
	objects      map[latchkey.ID]bool // written; an organization also when its data key was
	holdings     map[latchkey.ID]bool // something was hung on them or taken off
	records      map[RecordKey]bool
	nonces       map[NonceKey]bool
	tokens       map[string]bool // families that are refused now
	issuers      map[string]bool // URLs
}

// meets reports whether a change that reads this reads something touched. A key
// is read with its organization, owner and roles.
func (f *footprint) meets(reads *Reads, view *View) bool {
	if reads.Installation && f.installation || reads.TokenKeys && f.tokenKeys || reads.Gateways && f.gateways {
		return true
	}
	was := func(id latchkey.ID) bool { return f.objects[id] }
	for _, ids := range [][]latchkey.ID{reads.Keys, reads.Organizations, reads.Projects, reads.Users, reads.Roles, reads.DataKeys} {
		if slices.ContainsFunc(ids, was) {
			return true
		}
	}
	for _, id := range reads.Keys {
		if h := view.Keys[id]; h != nil && (was(h.Key.Owner) || was(h.Organization.ID) ||
			slices.ContainsFunc(h.Roles, func(r latchkey.Role) bool { return was(r.ID) })) {
			return true
		}
	}
	return slices.ContainsFunc(reads.Holdings, func(id latchkey.ID) bool { return f.holdings[id] }) ||
		slices.ContainsFunc(reads.Records, func(k RecordKey) bool { return f.records[k] }) ||
		slices.ContainsFunc(reads.Nonces, func(n NonceKey) bool { return f.nonces[n] }) ||
		slices.ContainsFunc(reads.Tokens, func(family string) bool { return f.tokens[family] }) ||
		slices.ContainsFunc(reads.IssuersAt, func(url string) bool { return f.issuers[url] })
}

// add takes in what an accepted change writes.
func (f *footprint) add(outcome *Outcome, view *View) {
	if outcome.Record != nil {
		f.records[outcome.Record.RecordKey] = true
	}
	for _, n := range outcome.Nonces {
		f.nonces[n.NonceKey] = true
	}
	for i := range outcome.Steps {
		step := &outcome.Steps[i]
		f.addObjects(step)
		f.addHoldings(step, view)
		countKeys(step, view)
	}
}

func (f *footprint) addObjects(step *Step) {
	f.installation = f.installation || step.Installation != nil
	f.tokenKeys = f.tokenKeys || len(step.TokenKeys) > 0
	f.gateways = f.gateways || len(step.Gateways) > 0
	for _, k := range step.Keys {
		f.objects[k.ID] = true
	}
	for _, o := range step.Organizations {
		f.objects[o.ID] = true
	}
	for _, p := range step.Projects {
		f.objects[p.ID] = true
	}
	for _, u := range step.Users {
		f.objects[u.ID] = true
	}
	for _, r := range step.Roles {
		f.objects[r.ID] = true
	}
	for _, d := range step.DataKeys {
		f.objects[d.Organization] = true
	}
	for _, i := range step.Issuers {
		f.issuers[i.URL] = true
	}
	for _, r := range step.TokenRefusals {
		f.tokens[r.Family] = true
	}
}

// addHoldings marks what the step's keys and users hang on now, and what they
// hung on before.
func (f *footprint) addHoldings(step *Step, view *View) {
	key := func(k *latchkey.Key) {
		for _, id := range []latchkey.ID{k.Organization, k.Project, k.Owner, k.Policy.Role} {
			f.holdings[id] = true
		}
	}
	user := func(u *latchkey.User) {
		f.holdings[u.Organization] = true
		for _, m := range u.Memberships {
			f.holdings[m.Project], f.holdings[m.Role] = true, true
		}
	}
	for _, k := range step.Keys {
		key(k)
		if h := view.Keys[k.ID]; h != nil {
			key(&h.Key)
		}
	}
	for _, u := range step.Users {
		user(u)
		if before := view.Users[u.ID]; before != nil {
			user(before)
		}
	}
}

// countKeys keeps the number of an organization's keys right in the view, so
// that changes which only create need not wait for one another.
func countKeys(step *Step, view *View) {
	created := map[latchkey.ID]int64{}
	for _, k := range step.Keys {
		if k.Ordinal == 0 {
			created[k.Organization]++
		}
	}
	if len(created) == 0 {
		return
	}
	for id, o := range view.Organizations {
		o.Keys += created[id]
	}
	for _, h := range view.Keys {
		h.Organization.Keys += created[h.Organization.ID]
	}
}
