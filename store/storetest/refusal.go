package storetest

import (
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// refusalCases refuse tokens, and forget that they did.
func refusalCases() []testCase {
	return []testCase{
		{"a family is refused from its commit until it is swept", func(w *world) {
			of := w.tenant()
			one, two := w.id().Hex(), w.id().Hex()
			w.sameRefusals("before", map[string]bool{one: false, two: false})
			until := w.tick()
			w.refuse(of.org.ID, one, until)
			w.sameRefusals("one refused", map[string]bool{one: true, two: false})
			w.reopen()
			w.sameRefusals("after reopening", map[string]bool{one: true, two: false})
			w.ok("SweepTokens", w.s.SweepTokens(w.ctx(), until))
			w.sameRefusals("swept at its end", map[string]bool{one: true, two: false})
			w.ok("SweepTokens", w.s.SweepTokens(w.ctx(), until.Add(time.Millisecond)))
			w.sameRefusals("swept after its end", map[string]bool{one: false, two: false})
		}},
		{"to refuse it again makes it no shorter", func(w *world) {
			of, family, until := w.tenant(), w.id().Hex(), w.tick()
			w.refuse(of.org.ID, family, until)
			w.refuse(of.org.ID, family, until.Add(-time.Hour))
			w.ok("SweepTokens", w.s.SweepTokens(w.ctx(), until))
			w.sameRefusals("refused twice", map[string]bool{family: true})
		}},
		{"a text is compared byte for byte", func(w *world) {
			of := w.tenant()
			family := w.id().Hex() + "aé'\"_-%"
			w.refuse(of.org.ID, family, w.tick())
			w.sameRefusals("spellings", map[string]bool{family: true, family + " ": false, "%": false, "": false})
		}},
	}
}

func (w *world) refuse(of latchkey.ID, family string, until time.Time) {
	w.t.Helper()
	_, err := w.s.Submit(w.ctx(), store.Change{Organization: of, Apply: func(*store.View) (store.Outcome, error) {
		return store.Outcome{Steps: []store.Step{{
			Event:         w.newEvent(of, latchkey.TokenRevoked, latchkey.Object{Kind: latchkey.KindKey, ID: w.id()}),
			TokenRefusals: []store.TokenRefusal{{Family: family, Until: until}},
		}}}, nil
	}})
	w.ok("refusing "+family, err)
}

// sameRefusals wants exactly these refused, through both doors.
func (w *world) sameRefusals(what string, want map[string]bool) {
	w.t.Helper()
	var families []string
	for family, refused := range want {
		families = append(families, family)
		if got, err := w.s.TokenRefused(w.ctx(), "nothing", family); got != refused || err != nil {
			w.t.Errorf("%s: %q is refused: %t, %v", what, family, got, err)
		}
	}
	w.see(store.Reads{Tokens: families}, func(v *store.View) {
		for family, refused := range want {
			if v.Refused[family] != refused {
				w.t.Errorf("%s: in the view, %q is refused: %t", what, family, !refused)
			}
		}
	})
}
