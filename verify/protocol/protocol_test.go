package protocol

import (
	"flag"
	"slices"
	"testing"
	"time"
)

var large = flag.Bool("large", false, "explore the large bounds: minutes, and gigabytes of memory")

// The bounds within which every history is tried.
var (
	smallBounds = []Bounds{
		{Nodes: 2},
		{Nodes: 2, Crashes: 1},
		{Nodes: 1, Crashes: 1, Drift: 1, Leaves: 1},
		{Nodes: 1, Suspends: true, Leaves: 1},
		{Nodes: 1, Failovers: 1, Leaves: 1},
		{Nodes: 1, Failovers: 1, Others: 1},
	}
	largeBounds = []Bounds{
		{Nodes: 2, Drift: 1},
		{Nodes: 2, Suspends: true},
		{Nodes: 2, Crashes: 1, Leaves: 1},
		{Nodes: 2, Failovers: 1},
		{Nodes: 1, Crashes: 1, Failovers: 1, Others: 1, Drift: 1, Leaves: 1},
		{Nodes: 1, Crashes: 1, Failovers: 2, Others: 1},
		{Nodes: 1, Failovers: 1, Others: 1, Suspends: true},
	}
)

// No history breaks the promise, and every step that the model has is in one.
func TestPromise(t *testing.T) {
	bounds := smallBounds
	if *large {
		bounds = slices.Concat(bounds, largeBounds)
	}
	taken := map[string]int{}
	for _, b := range bounds {
		began := time.Now()
		found := Explore(b, nil, func(states, left int) {
			t.Logf("%v: %d states, %d to go on from", time.Since(began).Round(time.Second), states, left)
		})
		for step, n := range found.Steps {
			taken[step] += n
		}
		if found.History != nil {
			t.Errorf("%+v: a history breaks the promise:\n%s", b, found)
		}
		t.Logf("%+v: %d states, no history breaks the promise (%v)", b, found.States, time.Since(began).Round(time.Millisecond))
	}
	for _, step := range []string{
		"crashes", "joins", "takes its position", "fills", "serves", "finds no row", "reads", "reads, and finds another event", "applies",
		"acknowledges", "sends a renewal", "loses its renewal", "has its renewal executed", "gets its renewal's answer", "has a lease",
		"learns that it is out of step", "takes no more verifications", "removes its row and ends", "loses its row to who took its slot",
		"is forgotten", "reads the clock for a verification", "checks its lease for a verification", "answers by its index",
		"another change commits", "the revocation commits", "the client is told: everywhere", "the client is told: everywhere, by time",
		"the waiter sees a new timeline", "the standby catches up", "the database fails over", "a tick, slow on a clock",
		"a tick, with a suspended machine", "a tick, with a wall clock that stands", "a tick, two for the waiter",
	} {
		if taken[step] == 0 {
			t.Errorf("the step %q was never taken", step)
		}
	}
}

// Without any one of its rules the protocol has a history that breaks the promise.
func TestEveryRuleIsNeeded(t *testing.T) {
	needs := map[Rule]Bounds{
		MonotonicClock:   {Suspends: true},
		WallClock:        {Suspends: true},
		WaitMargin:       {Drift: 1},
		RowsAfterCommit:  {Crashes: 1},
		ServingThenLease: {Crashes: 1},
		PositionThenRows: {Crashes: 1},
		RowOrJoin:        {Leaves: 1},
		ForgetWhenRunOut: {Leaves: 1},
		AnswerThenLeave:  {Leaves: 1},
		SlotOfTheDead:    {Leaves: 1},
		SameEvent:        {Failovers: 1, Others: 1},
		OneConnection:    {Failovers: 1, Others: 1},
		TimelineByTime:   {Failovers: 1, Others: 1},
		Resubmit:         {Failovers: 1},
	}
	if len(Rules()) < 21 {
		t.Fatalf("%d rules: some are gone", len(Rules()))
	}
	for _, r := range Rules() {
		t.Run(r.String(), func(t *testing.T) {
			b := needs[r]
			b.Nodes = 1
			found := Explore(b, []Rule{r}, nil)
			if found.History == nil {
				t.Fatalf("nothing breaks the promise without it: %d states", found.States)
			}
			t.Logf("broken without it, after %d states:\n%s", found.States, found)
		})
	}
}
