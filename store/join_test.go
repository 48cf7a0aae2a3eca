package store_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// joined opens a transaction that others may join: the plug is written in it, and
// the writer held up behind that.
func joined(t *testing.T, test func(d *desk)) {
	t.Helper()
	atDesk(t, func(d *desk) {
		d.pace = make(chan struct{})
		d.step(1)
		test(d)
	})
}

// wantAll compares everything that was committed, the plug included.
func (d *desk) wantAll(want ...string) {
	d.t.Helper()
	d.groups = append([][]string{nil}, d.groups...)
	d.wantGroups(want...)
}

// write lets a write end.
func (d *desk) write() {
	d.pace <- struct{}{}
	synctest.Wait()
}

// free lets everything end from now on.
func (d *desk) free() {
	close(d.pace)
	d.release()
}

func TestThoseWhoComeJoinTheOpenTransaction(t *testing.T) {
	joined(t, func(d *desk) {
		second := d.submit(rename("second", orgA, keyX))
		d.write()
		third := d.submit(rename("third", orgA, keyX)) // sees what the second wrote
		if second.done {
			t.Error("a change was answered before it was committed")
		}
		d.write()
		d.free()
		d.wantAll("plug second third")
		second.want(t, 2, nil)
		third.want(t, 3, nil)
		if got := d.state.keys[keyX].Name; got != "second third " {
			t.Errorf("the key saw %q", got)
		}
	})
}

func TestUrgentEndsTheJoining(t *testing.T) {
	joined(t, func(d *desk) {
		d.submit(urgent(note("urgent", orgA)))
		d.write() // the plug's; the urgent one is written, and held up
		late := d.submit(note("late", orgA))
		d.free()
		d.wantAll("plug urgent", "late")
		late.want(t, 3, nil)
	})
}

func TestWhoFailsAmongTheJoinedIsTakenOut(t *testing.T) {
	joined(t, func(d *desk) {
		d.refused["second"] = store.ErrConflict
		first := d.submit(rename("renamed", orgA, keyX))
		d.write()
		second := d.submit(note("second", orgA))
		d.write()
		d.free()
		d.wantAll("plug renamed")
		first.want(t, 2, nil)
		second.want(t, 0, store.ErrConflict)
		if got := d.state.keys[keyX].Name; got != "renamed " {
			t.Errorf("the key saw %q: a change that ran twice was written twice", got)
		}
	})
}

// Or whoever fails each time could keep the others from being committed.
func TestNobodyJoinsThoseWhoRunAgain(t *testing.T) {
	joined(t, func(d *desk) {
		d.refused["second"] = store.ErrConflict
		d.submit(rename("renamed", orgA, keyX))
		d.write()
		d.submit(note("second", orgB))
		d.write()
		d.write() // the second's, which failed; the others are written anew, and held up
		d.submit(note("late", orgB))
		d.free()
		d.wantAll("plug renamed", "late")
	})
}

// A refusal by what another change of the same transaction wrote is none if that
// is rolled back.
func TestNothingIsRefusedForWhatWasNot(t *testing.T) {
	for name, fail := range map[string]func(d *desk){
		"seal":   func(d *desk) { d.failSeal = store.ErrUnavailable },
		"commit": func(d *desk) { d.failCommit = errors.New("the disk is gone") },
	} {
		t.Run(name, func(t *testing.T) { refusedForWhatWasNot(t, fail) })
	}
}

func refusedForWhatWasNot(t *testing.T, fail func(d *desk)) {
	t.Helper()
	refusal := errors.New("the key is renamed")
	joined(t, func(d *desk) {
		fail(d)
		first := d.submit(rename("renamed", orgA, keyX))
		d.write()
		refused := d.submit(store.Change{Organization: orgB, Reads: store.Reads{Keys: []latchkey.ID{keyX}}, Apply: func(v *store.View) (store.Outcome, error) {
			if v.Keys[keyX].Key.Name != "" {
				return store.Outcome{}, refusal
			}
			return store.Outcome{}, nil
		}})
		d.free()
		d.wantAll()
		if first.err == nil {
			t.Error("nothing was committed, and it was acknowledged")
		}
		refused.want(t, 0, store.ErrUnavailable)
	})
}

// The law of interleavings, for changes that come while transactions are open.
func TestEveryJoiningIsSerial(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		scripts := rapid.SliceOfN(rapid.Custom(drawScript), 1, 40).Draw(rt, "changes")
		paces := rapid.SliceOfN(rapid.IntRange(0, 3), len(scripts), len(scripts)).Draw(rt, "paces")
		for i := range scripts {
			scripts[i].name = fmt.Sprintf("c%d", i)
			scripts[i].change.Apply = scripts[i].apply
		}
		var calls []*call
		var stored *memory
		atDesk(t, func(d *desk) {
			stored = d.memory
			d.pace = make(chan struct{})
			d.state = lawState()
			for i := range scripts {
				if scripts[i].conflicts {
					d.refused[scripts[i].name] = store.ErrConflict
				}
			}
			close(d.gate)
			d.released = true
			for i := range scripts {
				calls = append(calls, d.submit(scripts[i].change))
				for range paces[i] {
					select {
					case d.pace <- struct{}{}: // a write waited
					default:
					}
					synctest.Wait()
				}
			}
			close(d.pace)
			synctest.Wait()
		})
		checkAnswers(rt, scripts, calls, stored.state)
		checkSerial(rt, scripts, stored.state)
	})
}
