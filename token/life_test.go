package token_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/token"
)

// states are the states of the keys of one algorithm, oldest first.
func (h *house) states(a token.Algorithm) (states []token.State) {
	for i := range h.shelf.keys {
		if k := &h.shelf.keys[i]; k.Algorithm == string(a) {
			states = append(states, token.StateOf(k))
		}
	}
	return states
}

// A whole life, with the clock alone: published a day before it signs, signing
// for a term, published until its last token has ended, gone.
func TestALife(t *testing.T) {
	t.Parallel()
	h := open(t)
	begin := h.now
	for _, step := range []struct {
		at     time.Duration
		events []latchkey.EventType // for each algorithm
		states []token.State
	}{
		{0, []latchkey.EventType{latchkey.TokenKeyAdded}, []token.State{token.Active}},
		{0, nil, []token.State{token.Active}},
		{token.Term - token.Lead - time.Second, nil, []token.State{token.Active}},
		{token.Term - token.Lead, []latchkey.EventType{latchkey.TokenKeyAdded}, []token.State{token.Active, token.Pending}},
		{token.Term - time.Second, nil, []token.State{token.Active, token.Pending}},
		{token.Term, []latchkey.EventType{latchkey.TokenKeyActivated, latchkey.TokenKeyRetired}, []token.State{token.Retiring, token.Active}},
		{token.Term + token.Linger - time.Second, nil, []token.State{token.Retiring, token.Active}},
		{token.Term + token.Linger, []latchkey.EventType{latchkey.TokenKeyRemoved}, []token.State{token.Active}},
		{10 * token.Term, []latchkey.EventType{latchkey.TokenKeyAdded}, []token.State{token.Active, token.Pending}}, // nobody was there for years
		{10*token.Term + token.Lead, []latchkey.EventType{latchkey.TokenKeyActivated, latchkey.TokenKeyRetired}, []token.State{token.Retiring, token.Active}},
	} {
		h.now = begin.Add(step.at)
		changes := h.move(token.Tend)
		for _, a := range token.Algorithms() {
			var events []latchkey.EventType
			for _, c := range changes {
				if c.Key.Algorithm == string(a) {
					events = append(events, c.Event)
				}
			}
			if !slices.Equal(events, step.events) || !slices.Equal(h.states(a), step.states) {
				t.Fatalf("%s after %s: %v, %v; want %v, %v", a, step.at, events, h.states(a), step.events, step.states)
			}
		}
	}
	for _, k := range h.shelf.keys {
		if (k.Sealed == nil) != (token.StateOf(&k) == token.Retiring) {
			t.Errorf("a key that is %s has a private half: %t", token.StateOf(&k), k.Sealed != nil)
		}
	}
}

func TestOrders(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.move(token.Rotate) // the first: there is nobody to wait for
	if got := h.states(token.ES256); !slices.Equal(got, []token.State{token.Active}) {
		t.Fatalf("first: %v", got)
	}
	h.move(token.Rotate)
	for range 2 { // the second time there is nothing to do
		if got := h.states(token.RS256); !slices.Equal(got, []token.State{token.Active, token.Pending}) {
			t.Fatalf("rotate: %v", got)
		}
		if changes := h.move(token.Rotate); len(changes) > 0 {
			t.Fatalf("rotate again: %v", changes)
		}
	}
	h.move(token.RotateNow) // the pending one, which some know by now
	if got := h.states(token.ES256); !slices.Equal(got, []token.State{token.Retiring, token.Active}) {
		t.Fatalf("rotate now: %v", got)
	}
	h.move(token.RotateNow)
	if got := h.states(token.ES256); !slices.Equal(got, []token.State{token.Retiring, token.Retiring, token.Active}) {
		t.Fatalf("rotate now, without a pending one: %v", got)
	}
	h.move(token.Rotate)
	h.now = h.now.Add(token.Lead)
	h.move(token.Tend)
	if got := h.states(token.ES256); !slices.Equal(got, []token.State{token.Retiring, token.Active}) {
		t.Fatalf("a day after rotate: %v", got)
	}
}

// Whatever is signed while keys change is good until its end: before, during and
// after, and for every key that signed it.
func TestNothingIsRefusedForARotation(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.move(token.Tend)
	var issued [][]string // by the hour
	for hour := range 45 {
		var signed []string
		for _, a := range token.Algorithms() {
			signed = append(signed, h.issue(a, h.claims()))
		}
		issued = append(issued, signed)
		switch hour {
		case 10:
			h.move(token.Rotate)
		case 20:
			h.move(token.RotateNow)
		}
		for range 4 { // to the last minute of the token's life
			for _, jwt := range signed {
				h.mustVerify("a token in its life", jwt)
			}
			h.move(token.Tend)
			h.now = h.now.Add(15*time.Minute - time.Millisecond)
		}
		h.now = h.now.Add(4 * time.Millisecond)
		for _, jwt := range signed {
			if _, err := h.verify(jwt); !errors.Is(err, token.ErrExpired) {
				t.Fatalf("after its end: %v", err)
			}
		}
	}
	if len(issued) != 45 || len(h.shelf.keys) > 6 {
		t.Errorf("%d keys are left", len(h.shelf.keys))
	}
	h.now = h.now.Add(-45*time.Hour + time.Minute) // keys that are gone make nothing good, whatever the clock says
	if _, err := h.verify(issued[0][0]); !errors.Is(err, token.ErrInvalid) {
		t.Errorf("signed by a key that is gone: %v", err)
	}
}

// The same under load: tokens are issued and checked without a pause while keys
// are rotated.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.move(token.Tend)
	var load sync.WaitGroup
	done := make(chan struct{})
	counts := make([]int, 4)
	for worker := range counts {
		load.Go(func() {
			a := token.ES256
			if worker == 0 {
				a = token.RS256
			}
			for {
				select {
				case <-done:
					return
				default:
				}
				c := h.claims()
				signed, err := h.Issue(t.Context(), a, c)
				if err != nil {
					t.Errorf("issue: %v", err)
					return
				}
				if _, err := h.Verify(t.Context(), signed, h.now); err != nil {
					t.Errorf("refused: %v", err)
					return
				}
				counts[worker]++
			}
		})
	}
	for range 6 {
		h.move(token.RotateNow)
	}
	close(done)
	load.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	if total == 0 {
		t.Error("nothing was checked")
	}
	t.Logf("%d tokens issued and checked through 6 rotations", total)
}

// What was read is kept for as long as the store's generation lasts, and no longer.
func TestKeysAreKeptByGeneration(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.move(token.Tend)
	jwt := h.issue(token.ES256, h.claims())
	reads := h.shelf.reads
	for range 10 {
		h.mustVerify("kept", jwt)
	}
	if h.shelf.reads != reads {
		t.Errorf("%d reads of a store that did not change", h.shelf.reads-reads)
	}
	h.shelf.keys = nil
	h.shelf.generation++
	if _, err := h.verify(jwt); !errors.Is(err, token.ErrInvalid) {
		t.Errorf("after its key was removed: %v", err)
	}
	h.shelf.generation = 0 // cannot be known: nothing is kept
	before := h.shelf.reads
	for range 3 {
		_, _ = h.verify(jwt)
	}
	if h.shelf.reads != before+3 {
		t.Errorf("%d reads for 3 tokens, where nothing may be kept", h.shelf.reads-before)
	}
	h.shelf.broken = store.ErrUnavailable
	if _, err := h.verify(jwt); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, token.ErrInvalid) {
		t.Errorf("without a store: %v", err)
	}
}

// Rows cannot be swapped, mended or moved to another installation.
func TestPrivateHalvesAreBoundToTheirRows(t *testing.T) {
	t.Parallel()
	whole, other := open(t), open(t)
	for _, at := range []*house{whole, other} {
		at.move(token.Tend)
		at.move(token.Rotate)
	}
	for name, spoil := range map[string]func(h, other *house){
		"another row's":          func(h, _ *house) { h.shelf.keys[0].Sealed = h.shelf.keys[2].Sealed },
		"another algorithm's":    func(h, _ *house) { h.shelf.keys[0].Sealed = h.shelf.keys[1].Sealed },
		"another public half":    func(h, _ *house) { h.shelf.keys[0].Public = h.shelf.keys[2].Public },
		"another installation's": func(h, other *house) { h.shelf.keys[0].Sealed = other.shelf.keys[0].Sealed },
		"altered":                func(h, _ *house) { h.shelf.keys[0].Sealed[40] ^= 1 },
		"cut":                    func(h, _ *house) { h.shelf.keys[0].Sealed = h.shelf.keys[0].Sealed[:20] },
		"none":                   func(h, _ *house) { h.shelf.keys[0].Sealed = nil },
		"labelled RS256":         func(h, _ *house) { h.shelf.keys[0].Algorithm = "RS256" },
		"labelled HS256":         func(h, _ *house) { h.shelf.keys[0].Algorithm = "HS256" },
		"labelled none":          func(h, _ *house) { h.shelf.keys[0].Algorithm = "none" },
	} {
		t.Run(name, func(t *testing.T) {
			shelf := &shelf{generation: 1, operator: whole.shelf.operator, dataKey: whole.shelf.dataKey, keys: slices.Clone(whole.shelf.keys)}
			shelf.keys[0].Sealed = slices.Clone(shelf.keys[0].Sealed)
			h := &house{TB: t, Service: token.New(shelf, whole.ring), shelf: shelf, now: whole.now}
			h.mustVerify("as it was", h.issue(token.ES256, h.claims()))
			spoil(h, other)
			h.Service = token.New(shelf, whole.ring)
			if signed, err := h.Issue(t.Context(), token.ES256, h.claims()); err == nil {
				t.Errorf("signed %s", signed.Expose())
			}
		})
	}
}

func TestKeySet(t *testing.T) {
	t.Parallel()
	h := open(t)
	if document, ready, err := h.KeySet(t.Context()); err != nil || ready || string(document) != `{"keys":[]}` {
		t.Fatalf("of nothing: %s, ready %t: %v", document, ready, err)
	}
	h.move(token.Tend)
	h.move(token.RotateNow)
	h.move(token.Rotate)
	document, ready, err := h.KeySet(t.Context())
	if err != nil || !ready {
		t.Fatalf("ready %t: %v", ready, err)
	}
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		t.Fatal(err)
	}
	kids := map[string]bool{}
	for _, k := range set.Keys {
		kids[k["kid"]] = true
		members := map[string][]string{"EC": {"alg", "crv", "kid", "kty", "use", "x", "y"}, "RSA": {"alg", "e", "kid", "kty", "n", "use"}}[k["kty"]]
		if len(k) != len(members) || slices.ContainsFunc(members, func(m string) bool { return k[m] == "" }) {
			t.Errorf("a key with the members %v", k) // and with no private one
		}
	}
	if len(kids) != 6 { // pending, active and retiring, of each algorithm
		t.Errorf("%d keys are published", len(kids))
	}
	again, _, err := h.KeySet(t.Context())
	if err != nil || !bytes.Equal(document, again) {
		t.Error("the document differs between two calls")
	}
}
