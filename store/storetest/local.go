package storetest

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// scanner is what an index is filled from.
func scanner(s store.Store) store.Scanner {
	if l := s.Local(); l != nil {
		return l
	}
	return s.Shared()
}

// scanCases ask for what an index in memory is filled from.
func scanCases() []testCase {
	cases := []struct {
		name string
		run  func(w *world, l store.Scanner)
	}{
		{"a scan has what verification asks about", (*world).scanLaw},
		{"a scan has keys of any length", (*world).longScanLaw},
		{"a scan has the keys of its range alone", func(w *world, l store.Scanner) {
			of := w.tenant()
			first, second, third := w.newKey(of), w.newKey(of), w.newKey(of)
			w.write(first)
			w.write(second)
			w.write(third)
			second.Name = "Changed"
			w.write(second)
			at := func(k *latchkey.Key) int64 { return k.Ordinal >> store.OrdinalShift }
			w.sameIDs("between", w.scanned(l, at(first), at(second)), []latchkey.ID{second.ID})
			w.sameIDs("up to the second", w.scanned(l, 0, at(second)), []latchkey.ID{first.ID, second.ID})
			w.sameIDs("none", w.scanned(l, at(third), at(third)), nil)
			w.sameIDs("all", w.scanned(l, 0, w.head()), []latchkey.ID{first.ID, second.ID, third.ID})
		}},
		{"an error of the row ends a scan", func(w *world, l store.Scanner) {
			w.writeKeys(w.newKeys(w.tenant(), 3))
			enough, n := errors.New("enough"), 0
			err := l.ScanKeys(w.ctx(), 0, w.head(), func(*latchkey.Key, int64) error {
				n++
				return enough
			})
			if n != 1 || !errors.Is(err, enough) {
				w.t.Errorf("%d rows, then %v", n, err)
			}
		}},
		{"keys are counted, whatever their state", func(w *world, l store.Scanner) {
			of, elsewhere := w.tenant(), w.tenant()
			keys := append(w.newKeys(of, 4), w.newKey(elsewhere))
			keys[1].RevokedAt, keys[2].Enabled = w.tick(), false
			w.writeKeys(keys)
			n, err := l.CountAllKeys(w.ctx())
			w.ok("CountAllKeys", err)
			if n != 5 {
				w.t.Errorf("%d keys, want 5", n)
			}
		}},
	}
	out := make([]testCase, len(cases))
	for i, c := range cases {
		out[i] = testCase{c.name, func(w *world) { c.run(w, scanner(w.s)) }}
	}
	return out
}

// localCases ask for what an index in memory is kept current by. A driver whose
// store others may write to has nothing to be asked.
func localCases() []testCase {
	cases := []struct {
		name string
		run  func(w *world, l store.Local)
	}{
		{"who follows is told of every change, in order, before it is acknowledged", (*world).followersLaw},
		{"who follows is told of the end", func(w *world, l store.Local) {
			f := &listener{}
			l.Follow(f)
			w.ok("Close", w.s.Close())
			if !f.ended {
				w.t.Error("nobody was told")
			}
		}},
	}
	out := make([]testCase, len(cases))
	for i, c := range cases {
		out[i] = testCase{c.name, func(w *world) {
			if l := w.s.Local(); l != nil {
				c.run(w, l)
			}
		}}
	}
	return out
}

func (w *world) scanned(l store.Scanner, after, through int64) (ids []latchkey.ID) {
	w.t.Helper()
	w.ok("ScanKeys", l.ScanKeys(w.ctx(), after, through, func(k *latchkey.Key, _ int64) error {
		ids = append(ids, k.ID)
		return nil
	}))
	return ids
}

// scanLaw compares a scan with what was written, field by field.
func (w *world) scanLaw(l store.Scanner) {
	of := w.tenant()
	plain, full, imported, dead := w.newKey(of), w.fullKey(of), w.newKey(of), w.newKey(of)
	imported.Secrets = []latchkey.Secret{w.newForeign()}
	full.Secrets = append(full.Secrets, w.newSecret())
	full.Secrets[0].ExpiresAt, full.ExpiresAt = w.tick(), w.tick()
	dead.RevokedAt, dead.Enabled, dead.Environment, dead.Reach = w.tick(), false, latchkey.Test, latchkey.ReachOrganization
	everywhere := w.newKey(of)
	imported.SigningMode, dead.SigningMode = latchkey.SigningOptional, latchkey.SigningRequired
	everywhere.Reach, everywhere.Policy = latchkey.ReachAll, plain.Policy
	want := []*latchkey.Key{plain, full, imported, dead, everywhere}
	w.writeKeys(want)
	policies := map[int64]latchkey.Policy{}
	got := map[latchkey.ID]latchkey.Key{}
	w.ok("ScanKeys", l.ScanKeys(w.ctx(), 0, w.head(), func(k *latchkey.Key, policy int64) error {
		if before, ok := policies[policy]; ok {
			w.same("policy of one number", k.Policy, before)
		}
		policies[policy] = k.Policy
		kept := *k
		kept.Secrets = slices.Clone(k.Secrets)
		got[k.ID] = kept
		return nil
	}))
	for _, k := range want {
		w.same("scanned key", asked(got[k.ID]), asked(*k))
	}
	if len(got) != len(want) {
		w.t.Errorf("%d keys, want %d", len(got), len(want))
	}
}

// longScanLaw scans keys that take from a part of a page to several, in ranges that
// begin and end anywhere.
func (w *world) longScanLaw(l store.Scanner) {
	of := w.tenant()
	var want []*latchkey.Key
	for i := range 120 {
		k := w.newKey(of)
		k.Metadata = latchkey.Document(`{"text":"` + strings.Repeat("ü", i*i%5000) + `"}`)
		for range i % 3 {
			k.Secrets = append(k.Secrets, w.newSecret())
		}
		want = append(want, k)
		w.write(k)
	}
	first := want[0].Ordinal >> store.OrdinalShift
	for _, of := range [][2]int{{0, 120}, {0, 1}, {119, 120}, {17, 96}, {64, 65}, {50, 50}} {
		var got []latchkey.Key
		w.ok("ScanKeys", l.ScanKeys(w.ctx(), first-1+int64(of[0]), first-1+int64(of[1]), func(k *latchkey.Key, _ int64) error {
			kept := *k
			kept.Metadata, kept.Partner = latchkey.Document(strings.Clone(string(k.Metadata))), strings.Clone(k.Partner)
			kept.Secrets = slices.Clone(k.Secrets)
			got = append(got, kept)
			return nil
		}))
		slices.SortFunc(got, func(a, b latchkey.Key) int { return cmp.Compare(a.Ordinal, b.Ordinal) })
		if len(got) != of[1]-of[0] {
			w.t.Fatalf("%d keys from %d to %d", len(got), of[0], of[1])
		}
		for i := range got {
			w.same("scanned key", asked(got[i]), asked(*want[of[0]+i]))
		}
	}
}

// asked is the part of a key that verification asks about.
func asked(k latchkey.Key) latchkey.Key {
	out := latchkey.Key{
		ID: k.ID, Organization: k.Organization, Project: k.Project, Reach: k.Reach, Environment: k.Environment, Owner: k.Owner,
		Partner: k.Partner, Policy: k.Policy, Enabled: k.Enabled, ExpiresAt: k.ExpiresAt, Metadata: k.Metadata, SigningMode: k.SigningMode,
	}
	if k.Revoked() {
		out.RevokedAt = time.UnixMilli(1)
	}
	for _, s := range k.Secrets {
		out.Secrets = append(out.Secrets, latchkey.Secret{KID: s.KID, Scheme: s.Scheme, Pepper: s.Pepper, Digest: s.Digest, ExpiresAt: s.ExpiresAt})
	}
	slices.SortFunc(out.Secrets, func(a, b latchkey.Secret) int {
		if a.KID < b.KID {
			return -1
		}
		return 1
	})
	return out
}

// listener remembers what it is told.
type listener struct {
	sync.Mutex

	positions []int64
	ended     bool
}

func (l *listener) Committed(steps []store.Step) {
	l.Lock()
	defer l.Unlock()
	for _, s := range steps {
		l.positions = append(l.positions, s.Event.Position)
	}
}

func (l *listener) Uncertain() {}

func (l *listener) Ended() { l.ended = true }

func (l *listener) last() int64 {
	l.Lock()
	defer l.Unlock()
	if len(l.positions) == 0 {
		return 0
	}
	return l.positions[len(l.positions)-1]
}

func (w *world) followersLaw(l store.Local) {
	before := w.head()
	f := &listener{}
	l.Follow(f)
	of := w.tenant()
	var writers sync.WaitGroup
	for range 4 {
		var batches []*batch
		for _, k := range w.newKeys(of, 10) {
			batches = append(batches, w.batch(k))
		}
		writers.Go(func() {
			for _, b := range batches {
				position, err := w.submit(b)
				if err != nil || f.last() < position {
					w.t.Errorf("position %d was acknowledged, and who follows had heard of %d (%v)", position, f.last(), err)
				}
			}
		})
	}
	writers.Wait()
	for i, position := range f.positions {
		if position != before+int64(i)+1 {
			w.t.Fatalf("told of position %d after %d others since %d", position, i, before)
		}
	}
	if f.last() != w.head() {
		w.t.Errorf("told up to %d of %d", f.last(), w.head())
	}
}
