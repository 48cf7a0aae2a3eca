package storetest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// patience bounds a wait for something that must come. It decides nothing: what
// comes in time comes at once.
const patience = 20 * time.Second

// feedCases read the record of changes.
func feedCases() []testCase {
	return []testCase{
		{"an event with every field", func(w *world) {
			of := w.tenant()
			for _, kind := range []latchkey.Kind{latchkey.KindKey, latchkey.KindOrganization, latchkey.KindProject, latchkey.KindUser, latchkey.KindRole} {
				e := w.newEvent(of.org.ID, latchkey.KeyRotated, latchkey.Object{Kind: kind, ID: w.id()})
				e.RequestID, e.Changes = "req 🔑 \x01", `{"name":{"from":"é","to":null}}`
				w.sameEvent("event", e)
			}
		}},
		{"an event with nothing but what it must have", func(w *world) {
			w.sameEvent("event", latchkey.Event{
				ID: w.id(), Type: latchkey.InstallationCreated, At: w.tick(), Actor: latchkey.Principal{Kind: latchkey.PrincipalSystem},
			})
		}},
		{"every type of event", func(w *world) {
			of := w.tenant()
			for _, kind := range latchkey.EventTypes() {
				w.sameEvent(string(kind), w.newEvent(of.org.ID, kind, latchkey.Object{Kind: latchkey.KindKey, ID: w.id()}))
			}
		}},
		{"every kind of actor", func(w *world) {
			of := w.tenant()
			for _, kind := range []latchkey.PrincipalKind{latchkey.PrincipalUser, latchkey.PrincipalKey} {
				e := w.newEvent(of.org.ID, latchkey.KeyUpdated, latchkey.Object{})
				e.Actor = latchkey.Principal{Kind: kind, ID: w.id()}
				w.sameEvent(string(kind), e)
			}
		}},
		{"all filters against an oracle", func(w *world) { w.eventOracle() }},
		{"following page by page", func(w *world) {
			for range 25 {
				w.write(w.newOrganization())
			}
			var seen []int64
			for after := int64(0); ; {
				page := w.events(store.EventQuery{After: after, Limit: 4})
				for _, e := range page {
					seen = append(seen, e.Position)
				}
				if len(page) == 0 || len(seen) > 25 {
					break
				}
				after = page[len(page)-1].Position
			}
			if len(seen) != 25 || !slices.IsSorted(seen) {
				w.t.Errorf("the pages held positions %v", seen)
			}
		}},
		{"beyond the head", func(w *world) {
			w.tenant()
			for _, after := range []int64{1, 2, 1 << 40} {
				if got := w.events(store.EventQuery{After: after}); len(got) != 0 {
					w.t.Errorf("%d events after %d, where the head is 1", len(got), after)
				}
			}
		}},
		{"a change wakes those that wait", func(w *world) {
			for range 20 {
				woken := w.s.Changed()
				position := w.write(w.newOrganization())
				select {
				case <-woken:
				case <-time.After(patience):
					w.t.Fatalf("nobody was woken by the change at %d", position)
				}
			}
		}},
		{"a follower misses nothing", func(w *world) {
			const writers, each = 8, 15
			var all sync.WaitGroup
			for range writers {
				batches := make([]*batch, each)
				for n := range batches {
					batches[n] = w.batch(w.newOrganization())
				}
				all.Go(func() {
					for _, b := range batches {
						if _, err := w.submit(b); err != nil {
							w.t.Errorf("Submit: %v", err)
						}
					}
				})
			}
			last := int64(0)
			for last < writers*each {
				woken := w.s.Changed()
				events := w.events(store.EventQuery{After: last, Limit: 7})
				for _, e := range events {
					if last++; e.Position != last {
						w.t.Fatalf("after position %d came %d", last-1, e.Position)
					}
				}
				if len(events) > 0 {
					continue
				}
				select {
				case <-woken:
				case <-time.After(patience):
					w.t.Fatalf("nobody was woken after position %d", last)
				}
			}
			all.Wait()
		}},
		{"what was acknowledged can be read", func(w *world) {
			for range 20 {
				o := w.newOrganization()
				position := w.write(o)
				if head := w.head(); head < position {
					w.t.Fatalf("the head is %d after a change at %d", head, position)
				}
				_, err := w.s.Organization(w.ctx(), o.ID)
				w.ok("Organization", err)
			}
		}},
	}
}

// sameEvent writes an event and wants it back.
func (w *world) sameEvent(what string, e latchkey.Event) {
	w.t.Helper()
	position, err := w.submit(&batch{event: e})
	w.ok("Submit", err)
	e.Position = position
	got := w.events(store.EventQuery{After: position - 1})
	if len(got) != 1 {
		w.t.Fatalf("%s: %d events at position %d", what, len(got), position)
	}
	w.same(what, got[0], e)
}

// eventOracle asks for every combination of filters.
func (w *world) eventOracle() {
	organizations := []latchkey.ID{{}, w.id(), w.id()}
	types := []latchkey.EventType{latchkey.KeyCreated, latchkey.KeyRevoked, latchkey.RoleUpdated}
	objects := []latchkey.ID{w.id(), w.id()}
	var stored []latchkey.Event
	for i := range 60 {
		e := w.newEvent(organizations[i%3], types[i/3%3], latchkey.Object{Kind: latchkey.KindKey, ID: objects[i*7%5%2]})
		position, err := w.submit(&batch{event: e})
		w.ok("Submit", err)
		e.Position = position
		stored = append(stored, e)
	}
	for _, organization := range append(organizations, w.id()) {
		for _, kind := range append(types, "", latchkey.UserDeleted) {
			for _, object := range append(objects, latchkey.ID{}, w.id()) {
				for _, after := range []int64{0, 17, 59} {
					for _, limit := range []int{1, 5, 100} {
						q := store.EventQuery{Organization: organization, After: after, Type: kind, Object: object, Limit: limit}
						w.sameEvents(q, w.events(q), stored)
					}
				}
			}
		}
	}
}

func (w *world) sameEvents(q store.EventQuery, got, stored []latchkey.Event) {
	w.t.Helper()
	var want []latchkey.Event
	for _, e := range stored {
		if (q.Organization.IsZero() || e.Organization == q.Organization) && (q.Type == "" || e.Type == q.Type) &&
			(q.Object.IsZero() || e.Object.ID == q.Object) && e.Position > q.After && len(want) < q.Limit {
			want = append(want, e)
		}
	}
	w.same(fmt.Sprintf("events of %+v", q), got, want)
}
