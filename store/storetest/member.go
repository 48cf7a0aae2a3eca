package storetest

import (
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// memberCases ask for a place among the nodes of a store, where it has several.
func memberCases() []testCase {
	cases := []struct {
		name string
		run  func(w *world, s store.Shared)
	}{
		{"a node joins, serves, is listed and leaves", (*world).nodeLaw},
		{"what changed is read with its rows, deleted ones included", (*world).changesLaw},
		{"a mark whose event is not there is seen", (*world).markLaw},
		{"a node that was struck off learns of it", (*world).struckLaw},
		{"who waits hears of a change", (*world).hearingLaw},
		{"the dead are struck off by who joins", func(w *world, s store.Shared) {
			dead := w.joined(s)
			m := s.Member(w.node())
			defer m.Close()
			_, err := m.Join(w.ctx(), []latchkey.ID{dead.ID, w.id()})
			w.ok("Join", err)
			if n := w.listed(s); len(n) != 1 {
				w.t.Errorf("%d nodes are listed", len(n))
			}
		}},
	}
	out := make([]testCase, len(cases))
	for i, c := range cases {
		out[i] = testCase{c.name, func(w *world) {
			if s := w.s.Shared(); s != nil {
				c.run(w, s)
			}
		}}
	}
	return out
}

func (w *world) node() store.Node {
	return store.Node{ID: w.id(), ServeFor: 1500 * time.Millisecond, Versions: []int{1, 2}, Build: "v1"}
}

// joined is a node that joined and whose process is gone.
func (w *world) joined(s store.Shared) store.Node {
	n := w.node()
	m := s.Member(n)
	_, err := m.Join(w.ctx(), nil)
	w.ok("Join", err)
	m.Close()
	return n
}

func (w *world) listed(s store.Shared) []store.Node {
	list, err := s.Nodes(w.ctx())
	w.ok("Nodes", err)
	if list.Timeline == "" || list.Age <= 0 {
		w.t.Errorf("the timeline is %q, and %v old", list.Timeline, list.Age)
	}
	return list.Nodes
}

func (w *world) nodeLaw(s store.Shared) {
	w.tenant()
	n := w.node()
	m := s.Member(n)
	defer m.Close()
	at, err := m.Join(w.ctx(), nil)
	w.ok("Join", err)
	if at.Position != w.head() || at.Event.IsZero() {
		w.t.Errorf("it joined at %+v, and the head is %d", at, w.head())
	}
	want := n
	want.State, want.Renewal = store.NodeJoining, 1
	w.same("the list", w.listed(s), []store.Node{want})
	w.ok("Serve", m.Serve(w.ctx(), at))
	r, err := m.Renew(w.ctx(), at, []int{2, 3})
	w.ok("Renew", err)
	if !r.Listed || !r.Same || r.Head != at.Position || r.Timeline == "" || r.Now.IsZero() || len(r.Nodes) != 1 {
		w.t.Errorf("the renewal found %+v", r)
	}
	want.State, want.Renewal, want.Applied, want.Versions = store.NodeServing, 3, at.Position, []int{2, 3}
	w.same("the list", w.listed(s), []store.Node{want})
	w.ok("Reap another renewal", m.Reap(w.ctx(), n.ID, 2))
	w.same("the list", w.listed(s), []store.Node{want})

	w.tenant()
	c, err := m.Read(w.ctx(), at)
	w.ok("Read", err)
	acknowledge := func(at store.Mark) {
		w.t.Helper()
		same, err := m.Acknowledge(w.ctx(), at)
		if w.ok("Acknowledge", err); !same {
			w.t.Errorf("the event of %+v is not found", at)
		}
	}
	acknowledge(c.Head)
	want.Applied = c.Head.Position
	w.same("the list", w.listed(s), []store.Node{want})
	acknowledge(at) // which is less
	w.same("the list", w.listed(s), []store.Node{want})

	_, heard := s.Heard()
	w.ok("Leave", m.Leave(w.ctx()))
	w.same("the list", w.listed(s), []store.Node(nil))
	select {
	case <-heard:
	case <-time.After(10 * time.Second):
		w.t.Error("nobody hears that a node left")
	}
}

func (w *world) changesLaw(s store.Shared) {
	of := w.tenant()
	role, gone, stays := w.newRole(of.org.ID, "a:a"), w.fullKey(of), w.newKey(of)
	w.write(role, gone, stays)
	m := s.Member(w.node())
	defer m.Close()
	at, err := m.Join(w.ctx(), nil)
	w.ok("Join", err)
	c, err := m.Read(w.ctx(), at)
	w.ok("Read", err)
	if !c.Same || c.Head != at || c.Events != 0 || len(c.Step.Keys)+len(c.Step.Organizations) > 0 {
		w.t.Errorf("nothing changed, and it reads %+v", c)
	}

	made, k := w.newKey(of), w.newTokenKey()
	made.Secrets = append(made.Secrets, w.newSecret())
	gone.RevokedAt, of.user.DeletedAt, of.org.Suspended, role.DeletedAt = w.tick(), w.tick(), true, w.tick()
	w.write(made)
	w.write(gone)
	w.write(of.user)
	w.write(of.org, role, k)
	c, err = m.Read(w.ctx(), at)
	w.ok("Read", err)
	if c.Head.Position != w.head() || c.Events != c.Head.Position-at.Position || len(c.Types) == 0 {
		w.t.Errorf("it reads %+v", c)
	}
	for _, want := range []*latchkey.Key{made, gone} {
		i := slices.IndexFunc(c.Step.Keys, func(k *latchkey.Key) bool { return k.ID == want.ID })
		if i < 0 {
			w.t.Fatalf("a key is missing among %d", len(c.Step.Keys))
		}
		w.same("a changed key", asked(*c.Step.Keys[i]), asked(*want))
	}
	switch step := c.Step; {
	case len(step.Keys) != 2 || len(step.Users) != 1 || len(step.Organizations) != 1 || len(step.Roles) != 1 || len(step.TokenKeys) != 1:
		w.t.Errorf("it reads %d keys, %d users, %d organizations, %d roles, %d token keys",
			len(step.Keys), len(step.Users), len(step.Organizations), len(step.Roles), len(step.TokenKeys))
	case !step.Users[0].Deleted() || !step.Roles[0].Deleted() || !step.Organizations[0].Suspended || step.TokenKeys[0].ID != k.ID:
		w.t.Errorf("it reads %+v", step)
	}
}

func (w *world) markLaw(s store.Shared) {
	w.tenant()
	m := s.Member(w.node())
	defer m.Close()
	at, err := m.Join(w.ctx(), nil)
	w.ok("Join", err)
	w.ok("Serve", m.Serve(w.ctx(), store.Mark{}))
	for _, other := range []store.Mark{{Position: at.Position, Event: w.id()}, {Position: at.Position + 1, Event: at.Event}} {
		r, err := m.Renew(w.ctx(), other, []int{1})
		w.ok("Renew", err)
		_, same, err := m.Look(w.ctx(), other)
		w.ok("Look", err)
		c, err := m.Read(w.ctx(), other)
		w.ok("Read", err)
		if r.Same || same || c.Same {
			w.t.Errorf("the event of %+v is found: %t, %t, %t", other, r.Same, same, c.Same)
		}
		same, err = m.Acknowledge(w.ctx(), other)
		w.ok("Acknowledge", err)
		w.fails("Serve", m.Serve(w.ctx(), other), store.ErrNotFound)
		if n := w.listed(s); same || n[0].Applied != 0 {
			w.t.Errorf("a position of another history was stored: %d", n[0].Applied)
		}
	}
	head, same, err := m.Look(w.ctx(), at)
	w.ok("Look", err)
	if head != at.Position || !same {
		w.t.Errorf("the head is %d, %t", head, same)
	}
}

func (w *world) struckLaw(s store.Shared) {
	w.tenant()
	n := w.node()
	m := s.Member(n)
	defer m.Close()
	at, err := m.Join(w.ctx(), nil)
	w.ok("Join", err)
	w.ok("Forget", s.Forget(w.ctx(), n.ID))
	w.fails("Forget again", s.Forget(w.ctx(), n.ID), store.ErrNotFound)
	w.fails("Serve", m.Serve(w.ctx(), at), store.ErrNotFound)
	r, err := m.Renew(w.ctx(), at, []int{1})
	w.ok("Renew", err)
	if r.Listed || len(r.Nodes) != 0 {
		w.t.Errorf("the renewal found %+v", r)
	}
	_, err = m.Join(w.ctx(), nil)
	w.ok("Join again", err)
	w.ok("Reap", m.Reap(w.ctx(), n.ID, 1))
	if n := w.listed(s); len(n) != 0 {
		w.t.Errorf("%d nodes are listed", len(n))
	}
}

func (w *world) hearingLaw(s store.Shared) {
	w.tenant()
	m := s.Member(w.node())
	defer m.Close()
	at, err := m.Join(w.ctx(), nil)
	w.ok("Join", err)
	head, err := m.Wait(w.ctx(), at.Position, time.Millisecond)
	w.ok("Wait", err)
	if head != 0 {
		w.t.Errorf("it hears of %d", head)
	}
	w.tenant()
	head, err = m.Wait(w.ctx(), at.Position, 10*time.Second)
	w.ok("Wait", err)
	if head <= at.Position || head > w.head() {
		w.t.Errorf("it hears of %d, and the head is %d", head, w.head())
	}
}
