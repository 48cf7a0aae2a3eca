package postgres

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// mark is a place of one history; others have events of their own there.
func mark(position int64, history byte) store.Mark {
	if position == 0 {
		return store.Mark{}
	}
	return store.Mark{Position: position, Event: latchkey.ID{history, byte(position)}}
}

// changed is a change of a key, which tells its position by the key's name.
func changed(position int64, kind latchkey.Kind, key byte) []store.Outcome {
	at := mark(position, 1)
	return []store.Outcome{{Steps: []store.Step{{
		Event: latchkey.Event{Position: at.Position, ID: at.Event, Type: latchkey.KeyUpdated, Object: latchkey.Object{Kind: kind}},
		Keys:  []*latchkey.Key{{ID: latchkey.ID{key}, Name: string(rune('a' + position))}},
	}}}}
}

// A member is given what its own node committed if it follows what the member has,
// in one history and without a gap, and if it goes as far as anybody said.
func TestOwn(t *testing.T) {
	commit := func(o *own, position int64, key byte) {
		o.begin(mark(position-1, 1), changed(position, latchkey.KindKey, key))
		o.end(true)
	}
	for _, c := range []struct {
		name  string
		do    func(o *own)
		after store.Mark
		least int64
		want  []string // the keys' names; nil: it is to be read
	}{
		{"nothing", func(*own) {}, mark(4, 1), 0, nil},
		{"one change", func(o *own) { commit(o, 5, 1) }, mark(4, 1), 5, []string{"f"}},
		{"the first of all", func(o *own) { commit(o, 1, 1) }, mark(0, 1), 1, []string{"b"}},
		{"a key that changed twice", func(o *own) { commit(o, 5, 1); commit(o, 6, 1) }, mark(4, 1), 6, []string{"f", "g"}},
		{"two keys", func(o *own) { commit(o, 5, 1); commit(o, 6, 2) }, mark(4, 1), 6, []string{"f", "g"}},
		{"one of two that the member has", func(o *own) { commit(o, 5, 1); commit(o, 6, 2) }, mark(5, 1), 6, []string{"g"}},
		{"what the member has", func(o *own) { commit(o, 5, 1) }, mark(5, 1), 5, nil},
		{"more was said", func(o *own) { commit(o, 5, 1) }, mark(4, 1), 6, nil},
		{"another node in between", func(o *own) { commit(o, 5, 1); commit(o, 7, 1) }, mark(4, 1), 7, nil},
		{"another node before", func(o *own) { commit(o, 5, 1) }, mark(3, 1), 5, nil},
		{"another history", func(o *own) { commit(o, 5, 1) }, mark(4, 2), 5, nil},
		{"rolled back", func(o *own) { o.begin(mark(4, 1), changed(5, latchkey.KindKey, 1)); o.end(false) }, mark(4, 1), 5, nil},
		{"about somebody else", func(o *own) { o.begin(mark(4, 1), changed(5, latchkey.KindUser, 1)); o.end(true) }, mark(4, 1), 5, nil},
		{"nothing in between", func(o *own) { commit(o, 5, 1); o.begin(mark(5, 1), []store.Outcome{{}}); o.end(true); commit(o, 6, 2) }, mark(4, 1), 6, []string{"f", "g"}},
		{"forgotten", func(o *own) { commit(o, 5, 1); o.forget() }, mark(4, 1), 5, nil},
		{"forgotten on its way", func(o *own) {
			o.begin(mark(4, 1), changed(5, latchkey.KindKey, 1))
			o.forget()
			o.end(true)
		}, mark(4, 1), 5, nil},
		{"too many for a member that takes none", func(o *own) {
			for position := range int64(maxOwnRows) {
				commit(o, 5+position, 1)
			}
		}, mark(4, 1), 5, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var o own
			o.serves(latchkey.ID{9})
			c.do(&o)
			found := o.take(t.Context(), c.after, c.least)
			var names []string
			if found != nil {
				for _, k := range found.Step.Keys {
					names = append(names, k.Name)
				}
				if slices.Sort(names); !found.Same || found.Head.Position < c.least || found.Events != found.Head.Position-c.after.Position || !slices.Equal(found.Types, []latchkey.EventType{latchkey.KeyUpdated}) {
					t.Errorf("it is given as %+v", found)
				}
			}
			if !slices.Equal(names, c.want) {
				t.Errorf("the member is given %q, not %q", names, c.want)
			}
			if again := o.take(t.Context(), c.after, c.least); again != nil {
				t.Error("it is given twice")
			}
			list := &store.NodeList{Nodes: []store.Node{{ID: latchkey.ID{8}, State: store.NodeServing}, {ID: latchkey.ID{9}, State: store.NodeServing}}}
			if o.correct(list, o.now()); list.Nodes[1].Applied != 0 {
				t.Error("it counts as applied before it is")
			}
			if c.want == nil {
				return
			}
			if !o.apply(found.Head.Position) {
				t.Error("others are told of what they do not wait for")
			}
			if o.correct(list, o.now()); list.Nodes[0].Applied != 0 || list.Nodes[1].Applied != found.Head.Position {
				t.Errorf("the list says %+v", list.Nodes)
			}
			o.forget()
			list.Nodes[1].Applied = 1
			if o.correct(list, o.now()); list.Nodes[1].Applied != 1 || o.apply(found.Head.Position) {
				t.Error("it is known still when nothing is")
			}
		})
	}
}

// What is known now says nothing of a list that was read when something else was.
func TestOwnEpoch(t *testing.T) {
	var o own
	o.serves(latchkey.ID{9})
	before := o.now()
	o.forget()
	o.begin(mark(4, 1), changed(5, latchkey.KindKey, 1))
	o.end(true)
	if o.take(t.Context(), mark(4, 1), 5) == nil || !o.apply(5) {
		t.Fatal("the member has nothing to apply")
	}
	list := &store.NodeList{Nodes: []store.Node{{ID: latchkey.ID{9}, State: store.NodeServing}}}
	if o.correct(list, before); list.Nodes[0].Applied != 0 {
		t.Errorf("a list of another epoch is corrected to %d", list.Nodes[0].Applied)
	}
	if o.correct(list, o.now()); list.Nodes[0].Applied != 5 {
		t.Errorf("a list of this epoch says %d", list.Nodes[0].Applied)
	}
}

// What another node changed is not forgotten for what this one did before it, and
// is told of later.
func TestNewsKeepsTheHighest(t *testing.T) {
	n := news{more: make(chan struct{})}
	n.hear(7) // from the database
	n.hear(6) // from this node's writer, which was late
	if high := n.highest(); high != 7 {
		t.Errorf("the feed was said to be at 7, and is taken to be at %d", high)
	}
	if high := n.highest(); high != 6 {
		t.Errorf("what was said before the last reading counts still: %d", high)
	}
}

// A member that hears of its own node's COMMIT waits for the answer, and not for long.
func TestOwnOnItsWay(t *testing.T) {
	for _, c := range []struct {
		answer time.Duration
		waits  time.Duration
		given  bool
	}{{settleWithin / 2, settleWithin / 2, true}, {2 * settleWithin, settleWithin, false}} {
		synctest.Test(t, func(t *testing.T) {
			var o own
			o.serves(latchkey.ID{9})
			o.begin(mark(4, 1), changed(5, latchkey.KindKey, 1))
			time.AfterFunc(c.answer, func() { o.end(true) })
			began := time.Now()
			given := o.take(t.Context(), mark(4, 1), 5) != nil
			if waited := time.Since(began); waited != c.waits || given != c.given {
				t.Errorf("answered after %v, it waits %v and is given it: %t", c.answer, waited, given)
			}
			time.Sleep(c.answer)
		})
	}
}
