package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// Organizations and objects of the tests.
var (
	orgA, orgB, orgC = id('o', 1), id('o', 2), id('o', 3)
	keyX             = id('k', 1)
)

// desk is a writer whose transactions begin when the test lets them: all that
// was submitted before then forms one pile.
type desk struct {
	*memory
	writer   *store.Writer
	t        *testing.T
	released bool
}

// call is a Submit under way, or its result.
type call struct {
	done     bool
	position int64
	err      error
}

// atDesk runs a test in a bubble where waiting for every goroutine to come to
// rest is exact, so that nothing depends on time. The writer is busy with a
// change called "plug" when the test begins.
func atDesk(t *testing.T, test func(d *desk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := &desk{memory: newMemory(), t: t}
		d.gate = make(chan struct{})
		for _, org := range []latchkey.ID{orgA, orgB, orgC} {
			d.state.organizations[org] = latchkey.Organization{ID: org}
		}
		d.state.keys[keyX] = latchkey.Key{ID: keyX, Organization: orgA, Record: latchkey.Record{Ordinal: 1}}
		d.writer = store.NewWriter(d.begin)
		plug := d.submit(note("plug", orgA))
		test(d)
		d.release()
		d.writer.Close()
		if !plug.done || d.open != 0 {
			t.Errorf("the writer left: plug answered %v, %d transactions open", plug.done, d.open)
		}
	})
}

func (d *desk) submit(c store.Change) *call { return d.submitWith(d.t.Context(), c) }

func (d *desk) submitWith(ctx context.Context, c store.Change) *call {
	sent := &call{}
	go func() {
		sent.position, sent.err = d.writer.Submit(ctx, c)
		sent.done = true
	}()
	synctest.Wait()
	return sent
}

// step lets n transactions begin.
func (d *desk) step(n int) {
	for range n {
		d.gate <- struct{}{}
		synctest.Wait()
	}
}

// release lets all transactions begin from now on.
func (d *desk) release() {
	if !d.released {
		close(d.gate)
	}
	d.released = true
	synctest.Wait()
}

// wantGroups compares what was committed after the plug.
func (d *desk) wantGroups(want ...string) {
	d.t.Helper()
	var got []string
	for _, g := range d.groups[1:] {
		got = append(got, strings.Join(g, " "))
	}
	if !slices.Equal(got, want) {
		d.t.Errorf("committed groups\n got %q\nwant %q", got, want)
	}
}

func (c *call) want(t *testing.T, position int64, err error) {
	t.Helper()
	if !c.done || c.position != position || !errors.Is(c.err, err) {
		t.Errorf("Submit: done %v, position %d, error %v; want position %d, error %v", c.done, c.position, c.err, position, err)
	}
}

// note is a change that writes an event and no rows.
func note(name string, org latchkey.ID) store.Change {
	return store.Change{Organization: org, Apply: func(*store.View) (store.Outcome, error) {
		return store.Outcome{Steps: []store.Step{eventOf(name)}}, nil
	}}
}

func eventOf(name string) store.Step {
	return store.Step{Event: latchkey.Event{RequestID: name, Type: latchkey.KeyUpdated}}
}

// rename is a change that adds its name to that of a key.
func rename(name string, org, key latchkey.ID) store.Change {
	return store.Change{Organization: org, Reads: store.Reads{Keys: []latchkey.ID{key}}, Apply: func(v *store.View) (store.Outcome, error) {
		k := v.Keys[key].Key
		k.Name += name + " "
		step := eventOf(name)
		step.Keys = []*latchkey.Key{&k}
		return store.Outcome{Steps: []store.Step{step}}, nil
	}}
}

func urgent(c store.Change) store.Change {
	c.Urgent = true
	return c
}

func refusing(err error) store.Change {
	return store.Change{Organization: orgA, Apply: func(*store.View) (store.Outcome, error) { return store.Outcome{}, err }}
}

func TestOrganizationsTakeTurns(t *testing.T) {
	atDesk(t, func(d *desk) {
		for _, name := range []string{"a1", "a2", "a3", "b1", "b2", "c1"} {
			d.submit(note(name, map[byte]latchkey.ID{'a': orgA, 'b': orgB, 'c': orgC}[name[0]]))
		}
		d.release()
		d.wantGroups("a1 b1 c1 a2 b2 a3")
	})
}

// A batch counts by its keys: whoever comes behind it waits for one, not for as
// many as a group has places.
func TestBatchesDoNotShareAGroup(t *testing.T) {
	batch := func(name string, org latchkey.ID) store.Change {
		c := note(name, org)
		c.Weight = 1_000
		return c
	}
	atDesk(t, func(d *desk) {
		d.submit(note("a1", orgA))
		for _, name := range []string{"b1", "b2", "b3"} {
			d.submit(batch(name, orgB))
		}
		d.step(1) // the plug commits; the first group, the light one and one batch, is taken
		d.submit(urgent(batch("c1", orgC)))
		d.submit(urgent(note("c2", orgC)))
		d.release()
		d.wantGroups("a1 b1", "c1 b2", "c2 b3")
	})
}

func TestBusyOrganizationDelaysOnlyItself(t *testing.T) {
	for _, kind := range []struct {
		name string
		busy func(n int) store.Change
	}{
		{"notes", func(n int) store.Change { return note("a", orgA) }},
		{"one key", func(n int) store.Change { return rename("a", orgA, keyX) }},
		{"urgent notes", func(n int) store.Change { return urgent(note("a", orgA)) }},
		{"one key, urgently", func(n int) store.Change { return urgent(rename("a", orgA, keyX)) }},
	} {
		t.Run(kind.name, func(t *testing.T) {
			atDesk(t, func(d *desk) {
				for n := range 3 * store.GroupSize {
					d.submit(kind.busy(n))
				}
				d.step(2) // the plug, and a group that only the busy one could fill
				var others []*call
				for n := range store.GroupSize / 2 {
					others = append(others, d.submit(note("b"+strconv.Itoa(n), orgB)))
				}
				d.step(2) // the group that was taken already, and theirs
				for n, c := range others {
					if !c.done {
						t.Errorf("change %d of the other organization waits behind the busy one", n)
					}
				}
			})
		})
	}
}

func TestUrgentFirst(t *testing.T) {
	atDesk(t, func(d *desk) {
		d.submit(note("a1", orgA))
		d.submit(note("b1", orgB))
		d.submit(urgent(note("A1", orgA)))
		d.submit(urgent(note("A2", orgA)))
		d.submit(urgent(note("B1", orgB)))
		d.release()
		d.wantGroups("A1 B1 A2 a1 b1")
	})
}

func TestUrgentPassesThoseThatWaitForOneKey(t *testing.T) {
	atDesk(t, func(d *desk) {
		for n := range 5 {
			d.submit(rename("a"+strconv.Itoa(n), orgA, keyX))
		}
		d.step(2)
		d.submit(urgent(rename("revoke", orgA, keyX)))
		d.release()
		d.wantGroups("a0", "a1", "revoke", "a2", "a3", "a4")
	})
}

func TestGroupsAreBounded(t *testing.T) {
	atDesk(t, func(d *desk) {
		for n := range 2*store.GroupSize + 1 {
			c := note("a", orgA)
			c.Urgent = n%2 == 0
			d.submit(c)
		}
		d.release()
		var sizes []int
		for _, g := range d.groups[1:] {
			sizes = append(sizes, len(g))
		}
		if !slices.Equal(sizes, []int{store.GroupSize, store.GroupSize, 1}) {
			t.Errorf("groups of %v", sizes)
		}
	})
}

func TestFailuresAreTakenOut(t *testing.T) {
	taken := &store.ConflictError{Field: "name"}
	limit := latchkey.Errorf(latchkey.CodeConflict, "Too many keys.")
	atDesk(t, func(d *desk) {
		d.refused["a2"], d.refused["a4"] = taken, taken
		calls := map[string]*call{}
		for _, name := range []string{"a1", "a2", "a3", "a4", "a5"} {
			calls[name] = d.submit(note(name, orgA))
		}
		refused := d.submit(refusing(limit))
		d.release()
		d.wantGroups("a1 a3 a5")
		calls["a1"].want(t, 2, nil)
		calls["a2"].want(t, 0, store.ErrConflict)
		calls["a3"].want(t, 3, nil)
		calls["a4"].want(t, 0, store.ErrConflict)
		calls["a5"].want(t, 4, nil)
		if conflict, ok := errors.AsType[*store.ConflictError](calls["a2"].err); !ok || conflict.Field != "name" {
			t.Errorf("the conflict lost its field: %v", calls["a2"].err)
		}
		if refused.err != error(limit) {
			t.Errorf("Apply's error came back as %v", refused.err)
		}
	})
}

func TestDependentsOfWhatFailedGoOn(t *testing.T) {
	atDesk(t, func(d *desk) {
		d.refused["a1"] = store.ErrConflict
		first := d.submit(rename("a1", orgA, keyX))
		second := d.submit(rename("a2", orgA, keyX))
		d.release()
		d.wantGroups("a2")
		first.want(t, 0, store.ErrConflict)
		second.want(t, 2, nil)
	})
}

func TestDependentsRunInOrder(t *testing.T) {
	atDesk(t, func(d *desk) {
		for n := range 4 {
			d.submit(rename("a"+strconv.Itoa(n), orgA, keyX))
			d.submit(note("b"+strconv.Itoa(n), orgB))
		}
		d.release()
		d.wantGroups("a0 b0 b1 b2 b3", "a1", "a2", "a3")
		if got := d.state.keys[keyX].Name; got != "a0 a1 a2 a3 " {
			t.Errorf("the key saw %q", got)
		}
	})
}

// Whoever had to wait has the next turn: the busy organization's other changes of
// the same key do not come before it again.
func TestThosePutBackAreNext(t *testing.T) {
	atDesk(t, func(d *desk) {
		for _, name := range []string{"a0", "a1", "a2"} {
			d.submit(rename(name, orgA, keyX))
		}
		d.submit(rename("b0", orgB, keyX))
		d.release()
		d.wantGroups("a0", "b0", "a1", "a2")
	})
}

// TestDependencies asks for each kind of read whether it notices the write
// before it in its group, and only then.
func TestDependencies(t *testing.T) {
	user, role, project := id('u', 1), id('r', 1), id('p', 1)
	record := store.RecordKey{Caller: keyX, Route: "POST /v1/keys"}
	key := latchkey.Key{ID: keyX, Organization: orgA, Project: project, Owner: user, Policy: latchkey.Policy{Role: role}, Record: latchkey.Record{Ordinal: 1}}
	moved := key
	moved.Owner, moved.Project, moved.Policy.Role = latchkey.ID{}, id('p', 2), id('r', 2)
	member := latchkey.User{ID: user, Organization: orgA, Memberships: []latchkey.Membership{{Project: project, Role: role}}}
	left := member
	left.Memberships = nil

	rows := func(fill func(*store.Step)) store.Outcome {
		step := eventOf("a1")
		fill(&step)
		return store.Outcome{Steps: []store.Step{step}}
	}
	writes := map[string]store.Outcome{
		"nothing":      rows(func(*store.Step) {}),
		"installation": rows(func(s *store.Step) { s.Installation = &store.Installation{} }),
		"key":          rows(func(s *store.Step) { s.Keys = []*latchkey.Key{&key} }),
		"moved key":    rows(func(s *store.Step) { s.Keys = []*latchkey.Key{&moved} }),
		"organization": rows(func(s *store.Step) { s.Organizations = []*latchkey.Organization{{ID: orgA}} }),
		"project":      rows(func(s *store.Step) { s.Projects = []*latchkey.Project{{ID: project}} }),
		"user":         rows(func(s *store.Step) { s.Users = []*latchkey.User{&member} }),
		"left user":    rows(func(s *store.Step) { s.Users = []*latchkey.User{&left} }),
		"role":         rows(func(s *store.Step) { s.Roles = []*latchkey.Role{{ID: role, Organization: orgA}} }),
		"data key":     rows(func(s *store.Step) { s.DataKeys = []*store.DataKey{{Organization: orgA}} }),
		"token key":    rows(func(s *store.Step) { s.TokenKeys = []*store.TokenKey{{ID: id('s', 1)}} }),
		"gateway":      rows(func(s *store.Step) { s.Gateways = []*latchkey.Gateway{{ID: id('g', 1)}} }),
		"refusal":      rows(func(s *store.Step) { s.TokenRefusals = []store.TokenRefusal{{Family: "f"}} }),
		"issuer":       rows(func(s *store.Step) { s.Issuers = []*latchkey.Issuer{{URL: "u"}} }),
		"record":       {Steps: []store.Step{eventOf("a1")}, Record: &store.Record{RecordKey: record}},
	}
	ids := func(ids ...latchkey.ID) []latchkey.ID { return ids }
	for _, c := range []struct {
		name  string
		reads store.Reads
		waits []string // for these writes, and for no others
	}{
		{"nothing", store.Reads{}, nil},
		{"installation", store.Reads{Installation: true}, []string{"installation"}},
		{"token keys", store.Reads{TokenKeys: true}, []string{"token key"}},
		{"gateways", store.Reads{Gateways: true}, []string{"gateway"}},
		{"refusal", store.Reads{Tokens: []string{"e", "f"}}, []string{"refusal"}},
		{"another refusal", store.Reads{Tokens: []string{"g"}}, nil},
		{"issuer", store.Reads{IssuersAt: []string{"u"}}, []string{"issuer"}},
		{"another issuer", store.Reads{IssuersAt: []string{"v"}}, nil},
		{"key", store.Reads{Keys: ids(keyX)}, []string{"key", "moved key", "organization", "user", "left user", "role", "data key"}},
		{"another key", store.Reads{Keys: ids(id('k', 2))}, nil},
		{"organization", store.Reads{Organizations: ids(orgA)}, []string{"organization", "data key"}},
		{"project", store.Reads{Projects: ids(project)}, []string{"project"}},
		{"user", store.Reads{Users: ids(user)}, []string{"user", "left user"}},
		{"role", store.Reads{Roles: ids(role)}, []string{"role"}},
		{"data key", store.Reads{DataKeys: ids(orgA)}, []string{"organization", "data key"}},
		{"holding of organization", store.Reads{Holdings: ids(orgA)}, []string{"key", "moved key", "user", "left user"}},
		{"holding of project", store.Reads{Holdings: ids(project)}, []string{"key", "moved key", "user", "left user"}},
		{"holding of role", store.Reads{Holdings: ids(role)}, []string{"key", "moved key", "user", "left user"}},
		{"holding of user", store.Reads{Holdings: ids(user)}, []string{"key", "moved key"}},
		{"record", store.Reads{Records: []store.RecordKey{{Caller: keyX}, record}}, []string{"record"}},
		{"another record", store.Reads{Records: []store.RecordKey{{Caller: keyX}}}, nil},
	} {
		for written, outcome := range writes {
			t.Run(written+" before "+c.name, func(t *testing.T) {
				atDesk(t, func(d *desk) {
					d.state.keys[keyX], d.state.users[user] = key, member
					d.state.roles[role] = latchkey.Role{ID: role, Organization: orgA}
					// Whole new states are made from what was read.
					d.submit(store.Change{Organization: orgA, Reads: store.Reads{Keys: ids(keyX), Users: ids(user)},
						Apply: func(*store.View) (store.Outcome, error) { return fresh(outcome), nil }})
					second := note("a2", orgA)
					second.Reads = c.reads
					d.submit(second)
					d.release()
					if slices.Contains(c.waits, written) {
						d.wantGroups("a1", "a2")
					} else {
						d.wantGroups("a1 a2")
					}
				})
			})
		}
	}
}

// fresh gives an outcome with steps of its own, since the driver numbers them.
func fresh(o store.Outcome) store.Outcome {
	o.Steps = slices.Clone(o.Steps)
	return o
}

func TestCreatingKeysNeedsNoWaiting(t *testing.T) {
	const limit = 5
	atDesk(t, func(d *desk) {
		var calls []*call
		for n := range limit + 2 {
			calls = append(calls, d.submit(store.Change{
				Organization: orgA, Reads: store.Reads{Organizations: []latchkey.ID{orgA}, Keys: []latchkey.ID{keyX}},
				Apply: func(v *store.View) (store.Outcome, error) {
					count := v.Organizations[orgA].Keys
					if count != v.Keys[keyX].Organization.Keys {
						return store.Outcome{}, errors.New("two counts of one organization's keys")
					}
					if count >= limit {
						return store.Outcome{}, store.ErrConflict
					}
					step := eventOf(fmt.Sprintf("a%d", count))
					step.Keys = []*latchkey.Key{{ID: id('n', n), Organization: orgA}}
					return store.Outcome{Steps: []store.Step{step}}, nil
				},
			}))
		}
		d.release()
		d.wantGroups("a0 a1 a2 a3 a4")
		for n, c := range calls {
			if n < limit {
				c.want(t, int64(2+n), nil)
			} else {
				c.want(t, 0, store.ErrConflict)
			}
		}
	})
}

func TestPanicIsThatChangesError(t *testing.T) {
	atDesk(t, func(d *desk) {
		faulty := d.submit(store.Change{Organization: orgA, Apply: func(*store.View) (store.Outcome, error) { panic("broken") }})
		nothing := d.submit(store.Change{Organization: orgA})
		sound := d.submit(note("a1", orgA))
		d.release()
		sound.want(t, 2, nil)
		if !faulty.done || faulty.err == nil || !strings.Contains(faulty.err.Error(), "broken") {
			t.Errorf("the panic came back as %v", faulty.err)
		}
		if !nothing.done || nothing.err == nil {
			t.Errorf("a change without Apply came back as %v", nothing.err)
		}
	})
}

// quiet is a context that is over but does not wake anyone, so that only asking
// it finds out.
type quiet struct{ context.Context }

func (quiet) Done() <-chan struct{} { return nil }

func TestCancelBeforeSubmitting(t *testing.T) {
	atDesk(t, func(d *desk) {
		ctx, cancel := context.WithCancel(d.t.Context())
		cancel()
		d.submitWith(ctx, note("a1", orgA)).want(d.t, 0, context.Canceled)
		d.submitWith(quiet{ctx}, note("a2", orgA)).want(d.t, 0, context.Canceled)
		d.release()
		d.wantGroups()
	})
}

func TestCancelWhileWaiting(t *testing.T) {
	for _, lane := range []string{"ordinary", "urgent"} {
		t.Run(lane, func(t *testing.T) {
			atDesk(t, func(d *desk) {
				ctx, cancel := context.WithCancel(d.t.Context())
				calls := []*call{}
				for i, name := range []string{"a1", "a2", "a3", "b1", "c1", "c2"} {
					change := note(name, map[byte]latchkey.ID{'a': orgA, 'b': orgB, 'c': orgC}[name[0]])
					change.Urgent = lane == "urgent"
					if i == 1 || i == 3 || i == 4 { // in the middle, alone, and first of two
						calls = append(calls, d.submitWith(ctx, change))
					} else {
						d.submit(change)
					}
				}
				cancel()
				synctest.Wait()
				for _, c := range calls {
					c.want(t, 0, context.Canceled)
				}
				d.release()
				d.wantGroups("a1 c2 a3")
			})
		})
	}
}

func TestCancelWhileTaken(t *testing.T) {
	atDesk(t, func(d *desk) {
		ctx, cancel := context.WithCancel(d.t.Context())
		c := d.submitWith(ctx, note("a1", orgA))
		mate := d.submit(note("b1", orgB))
		d.step(1) // the plug commits, the group is taken and waits for its transaction
		cancel()
		synctest.Wait()
		if c.done {
			t.Error("Submit returned while its change was being committed")
		}
		d.release()
		d.wantGroups("a1 b1")
		c.want(t, 2, nil)
		mate.want(t, 3, nil)
	})
}

func TestCancelWhilePutBack(t *testing.T) {
	atDesk(t, func(d *desk) {
		ctx, cancel := context.WithCancel(d.t.Context())
		for n := range store.GroupSize - 1 {
			d.submit(rename("a"+strconv.Itoa(n), orgA, keyX))
		}
		last := d.submitWith(ctx, rename("last", orgA, keyX))
		d.step(1)
		for range store.GroupSize {
			d.submit(urgent(note("b", orgB)))
		}
		d.step(1) // all but the first were put back, and half of the next group is urgent
		cancel()
		synctest.Wait()
		last.want(d.t, 0, context.Canceled)
		d.release()
		if got := d.state.keys[keyX].Name; strings.Contains(got, "last") || len(strings.Fields(got)) != store.GroupSize-1 {
			t.Errorf("the key saw %q", got)
		}
	})
}

func TestCloseDrains(t *testing.T) {
	atDesk(t, func(d *desk) {
		var calls []*call
		for range 2 * store.GroupSize {
			calls = append(calls, d.submit(rename("a", orgA, keyX)))
		}
		var closed atomic.Int64
		for range 2 {
			go func() {
				d.writer.Close()
				closed.Add(1)
			}()
			synctest.Wait()
		}
		late := d.submit(note("late", orgB))
		late.want(t, 0, store.ErrUnavailable)
		if closed.Load() != 0 {
			t.Error("Close returned before what it took was committed")
		}
		d.release()
		if closed.Load() != 2 {
			t.Errorf("%d of 2 calls of Close returned", closed.Load())
		}
		for i, c := range calls {
			c.want(t, int64(i)+2, nil)
		}
	})
}

func TestFailingCommitIsUncertain(t *testing.T) {
	broken := errors.New("cable cut")
	atDesk(t, func(d *desk) {
		first := d.submit(rename("a1", orgA, keyX))
		dependent := d.submit(rename("a2", orgA, keyX))
		refused := d.submit(refusing(latchkey.Errorf(latchkey.CodeNotFound, "No such key.")))
		d.step(1)
		d.failCommit = broken
		changed := d.writer.Changed()
		d.step(1)
		select {
		case <-changed:
		default:
			t.Error("nobody was told to look whether the change is there")
		}
		d.failCommit = nil
		d.release()
		first.want(t, 0, store.ErrUncertain)
		first.want(t, 0, broken)
		dependent.want(t, 2, nil)
		if latchkey.CodeOf(refused.err) != latchkey.CodeNotFound {
			t.Errorf("the refused one got %v", refused.err)
		}
	})
}

func TestUnavailable(t *testing.T) {
	broken := errors.New("disk gone")
	for _, c := range []struct {
		name  string
		fail  func(m *memory, err error)
		spare bool // changes that had to wait for the next group are not concerned
	}{
		{"begin", func(m *memory, err error) { m.failBegin = err }, false},
		{"load", func(m *memory, err error) { m.failLoad = err }, false},
		{"write", func(m *memory, err error) { m.failWrite = err }, true},
		{"full", func(m *memory, err error) {
			delete(m.refused, "a1")
			if err != nil {
				m.refused["a1"] = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
			}
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			atDesk(t, func(d *desk) {
				first, mate := d.submit(rename("a1", orgA, keyX)), d.submit(note("b1", orgB))
				dependent := d.submit(rename("a2", orgA, keyX))
				d.step(1)
				c.fail(d.memory, broken)
				d.step(1)
				c.fail(d.memory, nil)
				later := d.submit(note("b2", orgB))
				d.release()
				for _, failed := range []*call{first, mate} {
					failed.want(t, 0, store.ErrUnavailable)
					failed.want(t, 0, broken)
				}
				if c.spare {
					d.wantGroups("a2", "b2")
				} else {
					dependent.want(t, 0, store.ErrUnavailable)
					d.wantGroups("b2")
				}
				if later.err != nil {
					t.Errorf("after the store was mended: %v", later.err)
				}
			})
		})
	}
}

func TestReplayWithinOneGroup(t *testing.T) {
	tags := []store.RecordKey{{Caller: keyX, Tag: [32]byte{1}}, {Caller: keyX, Tag: [32]byte{2}}}
	made := map[string]int{}
	create := func(name string) store.Change {
		return store.Change{Organization: orgA, Reads: store.Reads{Records: tags}, Apply: func(v *store.View) (store.Outcome, error) {
			if r := v.Records[tags[1]]; r != nil {
				made[name] = len(r.Objects)
				return store.Outcome{}, nil
			}
			step := eventOf(name)
			step.Keys = []*latchkey.Key{{ID: id('n', 1), Organization: orgA}}
			return store.Outcome{Steps: []store.Step{step}, Record: &store.Record{RecordKey: tags[1], Objects: []latchkey.ID{id('n', 1)}}}, nil
		}}
	}
	atDesk(t, func(d *desk) {
		first, second := d.submit(create("a1")), d.submit(create("a2"))
		third := d.submit(note("b1", orgB))
		d.release()
		d.wantGroups("a1 b1", "")
		first.want(t, 2, nil)
		third.want(t, 3, nil)
		second.want(t, 3, nil) // the head, since it made no event
		if made["a2"] != 1 || len(d.state.keys) != 2 {
			t.Errorf("the replay saw %d objects; %d keys are stored", made["a2"], len(d.state.keys))
		}
	})
}

func TestPositionIsTheLastStep(t *testing.T) {
	atDesk(t, func(d *desk) {
		many := d.submit(store.Change{Organization: orgA, Apply: func(*store.View) (store.Outcome, error) {
			return store.Outcome{Steps: []store.Step{eventOf("a1"), eventOf("a2"), eventOf("a3")}}, nil
		}})
		one := d.submit(note("b1", orgB))
		changed := d.writer.Changed()
		d.release()
		many.want(t, 4, nil)
		one.want(t, 5, nil)
		select {
		case <-changed:
		default:
			t.Error("Changed told nobody of a commit")
		}
	})
}

func TestReadsOfAGroupAreDistinctAndInOrder(t *testing.T) {
	atDesk(t, func(d *desk) {
		for _, keys := range [][]latchkey.ID{{id('k', 9), id('k', 2)}, {id('k', 2), {}}, {id('k', 5)}} {
			c := note("a", orgA)
			c.Reads = store.Reads{Keys: keys, Organizations: []latchkey.ID{orgB, orgA}, Records: []store.RecordKey{{Caller: keyX}}}
			d.submit(c)
		}
		d.release()
		reads := d.loads[len(d.loads)-1]
		if want := []latchkey.ID{id('k', 2), id('k', 5), id('k', 9)}; !slices.Equal(reads.Keys, want) {
			t.Errorf("keys %x, want %x", reads.Keys, want)
		}
		if !slices.IsSortedFunc(reads.Organizations, func(a, b latchkey.ID) int { return bytes.Compare(a[:], b[:]) }) || len(reads.Organizations) != 2 {
			t.Errorf("organizations %x", reads.Organizations)
		}
		if len(reads.Records) != 1 {
			t.Errorf("%d records for one", len(reads.Records))
		}
	})
}

// told writes down what a follower hears.
type told struct{ lines []string }

func (f *told) Committed(steps []store.Step) {
	for _, s := range steps {
		f.lines = append(f.lines, fmt.Sprint(s.Event.Position))
	}
}

func (f *told) Uncertain() { f.lines = append(f.lines, "uncertain") }

func (f *told) Ended() { f.lines = append(f.lines, "ended") }

// Who follows hears of what was committed, and that something may have been, and
// of nothing that was refused.
func TestFollowers(t *testing.T) {
	var f told
	atDesk(t, func(d *desk) {
		d.writer.Follow(&f)
		d.step(1)
		d.submit(note("a", orgA))
		d.step(1)
		d.submit(refusing(errors.New("no")))
		d.step(1)
		d.failCommit = errors.New("cable cut")
		d.submit(note("b", orgA))
		d.step(1)
		d.failCommit = nil
		d.submit(note("c", orgA))
		d.step(1)
	})
	if got := strings.Join(f.lines, " "); !regexp.MustCompile(`^1 2 uncertain [34] ended$`).MatchString(got) {
		t.Errorf("told: %s", got)
	}
}

// The generation is another one before the change is acknowledged, and where it
// is uncertain whether it is there.
func TestGeneration(t *testing.T) {
	create := func(name string, n int) store.Change {
		c := note(name, orgA)
		c.Apply = func(*store.View) (store.Outcome, error) {
			step := eventOf(name)
			step.Keys = []*latchkey.Key{{ID: id('n', n), Organization: orgA}}
			return store.Outcome{Steps: []store.Step{step}}, nil
		}
		return c
	}
	broken := errors.New("cable cut")
	for _, c := range []struct {
		name   string
		change store.Change
		commit error
		alters bool
	}{
		{"an event alone", note("a", orgA), nil, false},
		{"a new key", create("a", 1), nil, false},
		{"a new key, perhaps", create("a", 1), broken, false},
		{"a key that was there", rename("a", orgA, keyX), nil, true},
		{"a key that was there, perhaps", rename("a", orgA, keyX), broken, true},
		{"a refusal", refusing(broken), nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			atDesk(t, func(d *desk) {
				d.step(1)
				before := d.writer.Generation()
				if before == 0 {
					t.Error("the writer does not know its generation")
				}
				d.failCommit = c.commit
				d.submit(c.change)
				d.step(1)
				d.failCommit = nil
				if altered := d.writer.Generation() != before; altered != c.alters {
					t.Errorf("altered: %v", altered)
				}
			})
		})
	}
}
