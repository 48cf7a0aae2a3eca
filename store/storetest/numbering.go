package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// numberingCases ask for positions, ordinals and revisions.
func numberingCases() []testCase {
	return []testCase{
		{"positions begin at one and have no gap", func(w *world) {
			for want := int64(1); want <= 5; want++ {
				if got := w.write(w.newOrganization()); got != want || w.head() != want {
					w.t.Fatalf("change %d has position %d, the head is %d", want, got, w.head())
				}
			}
			w.gapless(5)
		}},
		{"a change of many steps", func(w *world) {
			of := w.tenant()
			k := w.newKey(of)
			batches := []*batch{w.batch(k), w.batch(w.newUser(of.org.ID)), w.batch(w.newRole(of.org.ID))}
			position, err := w.submit(batches...)
			w.ok("Submit", err)
			if position != 4 || k.Revision != 2 {
				w.t.Errorf("position %d and the key's revision %d, not those of the last step (4) and of the key's own (2)", position, k.Revision)
			}
			w.gapless(4)
			events := w.events(store.EventQuery{After: 1})
			for i, b := range batches {
				b.event.Position = int64(2 + i)
				w.same(fmt.Sprintf("event %d", i), events[i], b.event)
			}
		}},
		{"one object changed by two steps of a change", func(w *world) {
			k := w.newKey(w.tenant())
			w.write(k)
			first, second := w.batch(k), w.batch(k)
			second.event.Type = latchkey.KeyRevealed
			position, err := w.submit(first, second)
			w.ok("Submit", err)
			if k.Revision != position {
				w.t.Errorf("revision %d, last changed at %d", k.Revision, position)
			}
			w.sameKey("key", k)
		}},
		{"the rows of one step are numbered as the contract says", func(w *world) {
			of := w.newTenant()
			role, keys := w.newRole(of.org.ID), w.newKeys(of, 3)
			b := w.batch(of.org, of.project, of.user, role, keys[0], keys[1], keys[2])
			want := b.step()
			want.Number(1)
			_, err := w.submit(b)
			w.ok("Submit", err)
			want.Organizations[0].Keys = 3
			w.sameOrganization("organization", want.Organizations[0])
			w.sameProject("project", want.Projects[0])
			w.sameUser("user", want.Users[0])
			w.sameRole("role", want.Roles[0])
			for i := range keys {
				w.sameKey(fmt.Sprintf("key %d", i), want.Keys[i])
				w.same("the key that was submitted", *keys[i], *want.Keys[i])
			}
		}},
		{"new and old rows in one step", func(w *world) {
			of := w.tenant()
			old := w.newKey(of)
			w.write(old)
			ordinal := old.Ordinal
			fresh := w.newKey(of)
			position := w.write(old, fresh)
			if old.Ordinal != ordinal || old.Revision != position {
				w.t.Errorf("the old key's ordinal became %d (from %d), its revision %d at position %d", old.Ordinal, ordinal, old.Revision, position)
			}
			if want := position<<store.OrdinalShift + 1; fresh.Ordinal != want || fresh.Revision != position {
				w.t.Errorf("the new key's ordinal is %d and its revision %d, not %d and %d", fresh.Ordinal, fresh.Revision, want, position)
			}
			w.sameKey("old key", old)
			w.sameKey("new key", fresh)
		}},
		{"a thousand keys in one step", func(w *world) {
			of := w.tenant()
			keys := w.newKeys(of, latchkey.MaxBatchCreate)
			position := w.writeKeys(keys)
			if position != 2 || w.head() != 2 {
				w.t.Errorf("one step moved the head from 1 to %d", w.head())
			}
			listed := w.list(store.KeyQuery{Organization: of.org.ID})
			var want []latchkey.ID
			for i, k := range keys {
				want = append(want, k.ID)
				if k.Ordinal != position<<store.OrdinalShift+int64(i) || k.Revision != position {
					w.t.Fatalf("key %d has ordinal %d and revision %d", i, k.Ordinal, k.Revision)
				}
			}
			w.sameIDs("keys in the order of their making", keyIDs(listed), want)
			for i, k := range listed {
				w.same(fmt.Sprintf("key %d", i), k.Key, *keys[i])
			}
		}},
		{"refused changes leave no gap", func(w *world) {
			of := w.tenant()
			refusal := errors.New("no")
			_, err := w.s.Submit(w.ctx(), store.Change{Apply: func(*store.View) (store.Outcome, error) {
				return store.Outcome{Steps: []store.Step{{Event: w.newEvent(of.org.ID, latchkey.KeyCreated, latchkey.Object{})}}}, refusal
			}})
			w.fails("Submit", err, refusal)
			twin := w.newKey(of)
			twin.Secrets = append(twin.Secrets, twin.Secrets[0])
			if _, err := w.submit(w.batch(twin)); err == nil {
				w.t.Error("one kid was written twice")
			}
			w.write(w.newKey(of))
			w.gapless(2)
		}},
		{"a change without steps has the head as its position", func(w *world) {
			for range 3 {
				w.tenant()
			}
			position, err := w.s.Submit(w.ctx(), store.Change{Apply: func(*store.View) (store.Outcome, error) { return store.Outcome{}, nil }})
			w.ok("Submit", err)
			if position != 3 || w.head() != 3 {
				w.t.Errorf("position %d, head %d, want 3", position, w.head())
			}
		}},
		{"an event without rows", func(w *world) {
			of := w.tenant()
			position, err := w.submit(&batch{event: w.newEvent(of.org.ID, latchkey.KeyRevealed, latchkey.Object{Kind: latchkey.KindKey, ID: w.id()})})
			w.ok("Submit", err)
			if position != 2 || w.head() != 2 {
				w.t.Errorf("position %d, head %d, want 2", position, w.head())
			}
		}},
		{"no gap under sixteen writers", func(w *world) {
			of := w.tenant()
			const writers, each = 16, 12
			positions := make([][]int64, writers)
			var all sync.WaitGroup
			for i := range writers {
				batches := make([]*batch, each)
				for n := range each {
					batches[n] = w.batch(w.newKey(of), w.newKey(of))
				}
				all.Go(func() {
					for _, b := range batches {
						position, err := w.submit(b)
						if err != nil {
							w.t.Errorf("Submit: %v", err)
						}
						positions[i] = append(positions[i], position)
					}
				})
			}
			all.Wait()
			for _, mine := range positions {
				if !slices.IsSorted(mine) {
					w.t.Errorf("one writer's changes, made one after the other, have positions %v", mine)
				}
			}
			got := slices.Sorted(slices.Values(slices.Concat(positions...)))
			for i, p := range got {
				if p != int64(i)+2 {
					w.t.Fatalf("positions have a gap or meet at %d: %v", i+2, got)
				}
			}
			w.gapless(1 + writers*each)
		}},
	}
}

// gapless wants exactly the positions from one to last.
func (w *world) gapless(last int64) {
	w.t.Helper()
	if head := w.head(); head != last {
		w.t.Errorf("the head is %d, want %d", head, last)
	}
	for i, e := range w.events(store.EventQuery{}) {
		if e.Position != int64(i)+1 {
			w.t.Fatalf("event %d has position %d", i+1, e.Position)
		}
	}
}
