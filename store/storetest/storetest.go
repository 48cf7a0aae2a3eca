// Package storetest is the one suite that every driver of package store passes.
//
// It asks through the public interface alone, and mostly for what database
// engines disagree on: case, collation, time precision, order, empty against
// absent, concurrent update. A driver that passes may take the place of another
// without anyone above noticing.
//
// Where the contract's words leave it open, the suite decides:
//
//   - Taken within an organization are a project's name and a role's identifier,
//     byte for byte, and a user's e-mail address without regard to case; within
//     the installation a kid, and the digest of an imported secret, that of a
//     revoked key included. Deletion sets free.
//   - The keys of a deleted organization are not found. The key of a deleted
//     user is suspended; a deleted role gives nothing.
//   - An organization's number of keys is the store's: what a row says of it
//     does not count. So is a secret's time of last use, which a row that does
//     not know it leaves alone.
//   - A call that is remembered again replaces what was remembered of it.
//
// It does not measure speed, and it does not pull plugs: what survives a crash
// of the machine is the driver's own to show.
package storetest

import (
	"flag"
	"strings"
	"sync/atomic"
	"testing"

	"latchkey.dev/latchkey/store"
)

// Place opens the store of one place, the same one each time. The suite closes
// it before it opens it again.
type Place func(t *testing.T) store.Store

// Run runs the suite. fresh names a new place each time that it is called, where
// there is no store yet. It fails if a case was left out, unless part of the
// suite was asked for with -run.
func Run(t *testing.T, fresh func(t *testing.T) Place) {
	var ran atomic.Int64
	t.Cleanup(func() { // the groups run beside each other, and end before this
		t.Logf("store suite: %d cases", ran.Load())
		if n := ran.Load(); n == 0 || n < atLeast && !partAsked() {
			t.Errorf("store suite: %d cases ran to their end, and there are %d", n, atLeast)
		}
	})
	for _, g := range suite() {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			ran.Add(g.run(t, fresh))
		})
	}
}

// partAsked reports whether -run selects subtests.
func partAsked() bool { return strings.Contains(flag.Lookup("test.run").Value.String(), "/") }

// atLeast is how many cases the suite has. It is written down so that cases
// cannot get lost: raise it when you add some.
const atLeast = 389

// group is the cases about one subject.
type group struct {
	name   string
	shared bool // one store for all, since each looks at its own organizations alone
	cases  []testCase
}

// testCase asks one thing of a store.
type testCase struct {
	name string
	run  func(w *world)
}

// run runs the cases and counts those that came to their end.
func (g group) run(t *testing.T, fresh func(t *testing.T) Place) (ran int64) {
	var w *world
	if g.shared {
		w = newWorld(t, fresh(t))
	}
	for _, c := range g.cases {
		t.Run(c.name, func(t *testing.T) {
			if !g.shared {
				w = newWorld(t, fresh(t))
			}
			w.t = t
			c.run(w)
			ran++
		})
	}
	return ran
}

func suite() []group {
	const shared, alone = true, false
	return []group{
		{"bootstrap", alone, bootstrapCases()},
		{"rows", shared, rowCases()},
		{"conflicts", shared, conflictCases()},
		{"directory", alone, directoryCases()},
		{"numbering", alone, numberingCases()},
		{"feed", alone, feedCases()},
		{"lists", shared, keyListCases()},
		{"search", shared, searchCases()},
		{"holders", shared, holderCases()},
		{"token keys", alone, tokenKeyCases()},
		{"gateways", alone, gatewayCases()},
		{"refusals", shared, refusalCases()},
		{"issuers", shared, issuerCases()},
		{"errands", alone, errandCases()},
		{"secrets", shared, secretCases()},
		{"behind", alone, behindCases()},
		{"uses", shared, useCases()},
		{"scan", alone, scanCases()},
		{"local", alone, localCases()},
		{"nodes", alone, memberCases()},
		{"generations", shared, generationCases()},
		{"records", shared, recordCases()},
		{"nonces", alone, nonceCases()},
		{"holdings", shared, holdingCases()},
		{"concurrency", alone, concurrencyCases()},
		{"lifecycle", alone, lifecycleCases()},
	}
}
