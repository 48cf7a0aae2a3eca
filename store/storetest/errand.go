package storetest

import (
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

var allErrands = []store.ErrandKind{store.ErrandMake, store.ErrandFill, store.ErrandClose, store.ErrandEnd, store.ErrandCheck, store.ErrandLapse}

// errand is one that is due in so many seconds.
func (w *world) errand(gateway latchkey.ID, kind store.ErrandKind, position int64, seconds int) store.Errand {
	return store.Errand{
		Gateway: gateway, Kind: kind, Subject: latchkey.Object{Kind: latchkey.KindKey, ID: w.id()}, Position: position,
		Due: start.Add(time.Duration(seconds) * time.Second),
	}
}

func (w *world) ask(after, through int64, errands ...store.Errand) {
	w.t.Helper()
	w.ok("AskErrands", w.s.AskErrands(w.ctx(), after, through, errands))
}

// takes wants to be handed exactly these, in this order, at so many seconds.
func (w *world) takes(what string, gateway latchkey.ID, seconds int, want ...store.Errand) []store.Errand {
	w.t.Helper()
	now := start.Add(time.Duration(seconds) * time.Second)
	got, err := w.s.TakeErrands(w.ctx(), gateway, allErrands, now, now.Add(time.Hour), 10)
	w.ok("TakeErrands", err)
	w.same(what, got, want)
	return got
}

// errandCases ask for errands and do them. None of it makes an event.
func errandCases() []testCase {
	return []testCase{
		{"asked for, taken, done", func(w *world) {
			head, from := w.head(), w.through()
			a, b := w.id(), w.id()
			first, second := w.errand(a, store.ErrandClose, 7, 0), w.errand(a, store.ErrandMake, 8, 1)
			installation := w.errand(a, store.ErrandClose, 9, 2)
			installation.Subject = latchkey.Object{}
			elsewhere := w.errand(b, store.ErrandFill, 9, 0)
			w.ask(from, from+9, second, elsewhere, first, installation)
			w.reopen()
			if got := w.through(); got != from+9 {
				w.t.Errorf("through %d, want %d", got, from+9)
			}
			w.next("the first", a, first.Due, allErrands)
			w.next("of a kind", a, second.Due, []store.ErrandKind{store.ErrandMake, store.ErrandFill})
			w.next("of nobody", w.id(), time.Time{}, allErrands)
			w.takes("before it is due", a, -1)
			taken := w.takes("when it is due", a, 1, first, second)
			w.takes("taken already", a, 1)
			w.takes("nobody did it", a, 3601, installation, late(taken[0]), late(taken[1]))
			taken[0].Due, taken[1].Due, taken[1].Round, taken[1].Failures = time.Time{}, start, 2, 3
			w.ok("KeepErrands", w.s.KeepErrands(w.ctx(), taken))
			w.takes("what is left", a, 1, taken[1])
			w.ok("DropErrands", w.s.DropErrands(w.ctx(), a))
			w.takes("of a broker that is gone", a, 100_000)
			w.takes("of another", b, 0, elsewhere)
			if w.head() != head {
				w.t.Error("errands made an event")
			}
		}},
		{"asked for again", func(w *world) {
			from, gateway := w.through(), w.id()
			e := w.errand(gateway, store.ErrandClose, 5, 0)
			w.ask(from, from, e)
			taken := w.takes("first", gateway, 0, e)
			again := e
			again.Position, again.Due = 6, start.Add(time.Second)
			w.ask(from, from+1, again)
			taken[0].Due = time.Time{}
			w.ok("KeepErrands", w.s.KeepErrands(w.ctx(), taken))
			taken = w.takes("it is not done", gateway, 1, again)
			taken[0].Due, taken[0].Round = start, 1
			w.ok("KeepErrands", w.s.KeepErrands(w.ctx(), taken))
			w.takes("its next round", gateway, 0, taken[0])
			again.Due = time.Time{}
			w.ask(from+1, from+2, again)
			w.takes("taken back", gateway, 100_000)
		}},
		{"hastened, and never put off", func(w *world) {
			head, from, gateway := w.head(), w.through(), w.id()
			e := w.errand(gateway, store.ErrandLapse, 100, 100)
			sooner, later := e, e
			sooner.Position, sooner.Due = 50, start.Add(50*time.Second)
			later.Position, later.Due = 200, start.Add(200*time.Second)
			for _, e := range []store.Errand{e, sooner, later} {
				w.ok("HastenErrand", w.s.HastenErrand(w.ctx(), e))
			}
			w.reopen()
			w.next("the soonest", gateway, sooner.Due, allErrands)
			taken := w.takes("the soonest", gateway, 50, sooner)
			w.ok("HastenErrand", w.s.HastenErrand(w.ctx(), later))
			taken[0].Due = time.Time{}
			w.ok("KeepErrands", w.s.KeepErrands(w.ctx(), taken))
			w.takes("hastened while it was done", gateway, 200, later)
			w.ask(from, from, store.Errand{Gateway: gateway, Kind: e.Kind, Subject: e.Subject})
			w.takes("taken back", gateway, 100_000)
			if w.head() != head {
				w.t.Error("errands made an event")
			}
		}},
		{"somebody else asked already", func(w *world) {
			from, gateway := w.through(), w.id()
			w.ask(from, from+3)
			err := w.s.AskErrands(w.ctx(), from, from+4, []store.Errand{w.errand(gateway, store.ErrandMake, 1, 0)})
			w.fails("AskErrands", err, store.ErrConflict)
			w.takes("nothing", gateway, 100_000)
			if got := w.through(); got != from+3 {
				w.t.Errorf("through %d, want %d", got, from+3)
			}
		}},
		{"no more than the limit, the longest due first", func(w *world) {
			from, gateway := w.through(), w.id()
			var all []store.Errand
			for i := range 15 {
				all = append(all, w.errand(gateway, store.ErrandClose, 1, i))
			}
			mixed := slices.Clone(all)
			slices.Reverse(mixed)
			w.ask(from, from, mixed...)
			w.takes("ten", gateway, 100, all[:10]...)
			w.takes("the rest", gateway, 100, all[10:]...)
		}},
	}
}

// through is the position through which events have become errands.
func (w *world) through() int64 {
	w.t.Helper()
	position, err := w.s.ErrandsThrough(w.ctx())
	w.ok("ErrandsThrough", err)
	return position
}

func (w *world) next(what string, gateway latchkey.ID, want time.Time, kinds []store.ErrandKind) {
	w.t.Helper()
	got, err := w.s.NextErrand(w.ctx(), gateway, kinds)
	w.ok("NextErrand", err)
	w.same(what, got, want)
}

// late is an errand that was taken at the first second, and put off for an hour.
func late(e store.Errand) store.Errand {
	e.Due = start.Add(time.Second + time.Hour)
	return e
}
