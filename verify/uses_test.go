package verify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// ledger is a store that keeps batches as a driver does: each once.
type ledger struct {
	mu      sync.Mutex
	number  int64
	batches []store.UseBatch
	fails   []error // of the next calls: nil works, errAfter fails having counted
}

var (
	errBefore = errors.New("the store cannot be reached")
	errAfter  = errors.New("the connection was lost behind the commit")
)

func (l *ledger) Redigest(context.Context, []store.Redigest) error { return nil }

func (l *ledger) RecordUses(_ context.Context, b store.UseBatch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	if len(l.fails) > 0 {
		err, l.fails = l.fails[0], l.fails[1:]
	}
	if errors.Is(err, errBefore) {
		return err
	}
	if b.Number > l.number {
		l.number = b.Number
		l.batches = append(l.batches, b)
	}
	return err
}

func (l *ledger) total() (count int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.batches {
		for _, u := range b.Uses {
			count += u.Count
		}
	}
	return count
}

func counting(l *ledger) *writeBehind {
	return newWriteBehind(l, time.Now, slog.New(slog.DiscardHandler))
}

// secretOf is the identity of the nth key's secret.
func secretOf(n int) *Identity {
	id := &Identity{KID: latchkey.KID(fmt.Sprintf("%016d", n))}
	copy(id.KeyID[:], fmt.Sprintf("%012d", n))
	return id
}

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// What was counted is written once, whatever happens on the way: a batch that
// failed is sent again as it was, whether or not it was counted.
func TestUsesCountOnce(t *testing.T) {
	l := &ledger{}
	b := counting(l)
	const keys = 2_500
	count := func() {
		for n := range keys {
			b.uses.count(secretOf(n), latchkey.CodeValid, netip.Addr{}, "", noon)
		}
	}
	count()
	l.fails = []error{nil, errAfter, errBefore, nil, nil, errAfter, nil}
	failed := 0
	for range 4 {
		if err := b.flushUses(t.Context(), false); err != nil {
			failed++
			count() // verification goes on meanwhile
		}
	}
	if failed != 3 || l.total() != 4*keys || len(l.fails) != 0 {
		t.Errorf("%d uses were written, after %d failures, and there were %d", l.total(), failed, 4*keys)
	}
	for i, batch := range l.batches {
		if batch.Number != int64(i+1) || batch.Boot != b.batch.Boot || len(batch.Uses) > batchSize {
			t.Errorf("batch %d has number %d and %d rows", i, batch.Number, len(batch.Uses))
		}
		if !slices.IsSortedFunc(batch.Uses, func(a, b store.Use) int { return strings.Compare(string(a.Key[:]), string(b.Key[:])) }) {
			t.Errorf("batch %d is not sorted by key", i)
		}
	}
}

// A row tells what happened, and from where it was last.
func TestUseRows(t *testing.T) {
	l := &ledger{}
	b := counting(l)
	v6 := netip.MustParseAddr("2001:db8:1:2:3::4")
	b.uses.count(secretOf(1), latchkey.CodeValid, v6, "first", noon.Add(time.Minute))
	b.uses.count(secretOf(1), latchkey.CodeValid, netip.MustParseAddr("2001:db8:1:2::5"), "second\x00\n\xff…", noon)
	b.uses.count(secretOf(1), latchkey.CodeValid, v6, "another hour", noon.Add(-time.Millisecond))
	b.uses.count(secretOf(1), latchkey.CodeRevoked, netip.MustParseAddr("::ffff:192.0.2.1"), strings.Repeat("ä", 100), noon)
	b.uses.count(secretOf(1), latchkey.CodeExpired, netip.Addr{}, "", noon)
	if err := b.flushUses(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range l.batches[0].Uses {
		got = append(got, fmt.Sprintf("%s %s %d %s %s %s", u.Code, u.Source, u.Count, u.Last.UTC().Format("15:04"), latchkey.Use{Address: u.Address}.From(), u.Agent))
	}
	slices.Sort(got)
	want := []string{
		"expired  1 12:00  ", "revoked 192.0.2.1 1 12:00 192.0.2.1 " + strings.Repeat("ä", 48),
		"valid 2001:db8:1:2::/64 1 11:59 2001:db8:1:2:3::4 another hour", "valid 2001:db8:1:2::/64 2 12:01 2001:db8:1:2:3::4 first",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	if u := l.batches[0].Uses[0]; u.Key != secretOf(1).KeyID || u.KID != secretOf(1).KID {
		t.Errorf("of %v", u)
	}
}

// One key, however it is used, takes few rows; and many keys no more than there
// is memory for.
func TestUsesAreBounded(t *testing.T) {
	l := &ledger{}
	b := counting(l)
	for n := range 5_000 {
		address := netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})
		b.uses.count(secretOf(1), latchkey.CodeValid, address, "", noon)
		b.uses.count(secretOf(1), latchkey.CodeRevoked, address, "", noon)
	}
	if err := b.flushUses(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if rows := l.batches[0].Uses; len(rows) != 2*(latchkey.MaxSources+1) || l.total() != 10_000 {
		t.Errorf("one key has %d rows, in which %d uses are counted", len(rows), l.total())
	}
	for n := range shardRows * len(b.uses.shards) * 5 / 4 {
		b.uses.count(secretOf(n), latchkey.CodeValid, netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), "", noon)
	}
	select {
	case <-b.uses.full:
	default:
		t.Error("nobody is told that there are many")
	}
	lost := b.uses.lost.Load()
	before := l.total()
	if err := b.flushUses(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if written := l.total() - before; lost == 0 || written+lost != int64(shardRows*len(b.uses.shards)*5/4) || written > int64(shardRows*len(b.uses.shards)) {
		t.Errorf("%d were written and %d lost", written, lost)
	}
}

// To count allocates nothing once a row is there.
func TestCountingAllocatesNothing(t *testing.T) {
	b := counting(&ledger{})
	id, address := secretOf(1), netip.MustParseAddr("2001:db8::1")
	if n := testing.AllocsPerRun(100, func() { b.uses.count(id, latchkey.CodeValid, address, "curl/8.5.0", noon) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Nothing is lost between those who count and the one who writes.
func TestCountingAndWriting(t *testing.T) {
	l := &ledger{}
	b := counting(l)
	const sides, each = 4, 20_000
	var counters sync.WaitGroup
	for side := range sides {
		counters.Go(func() {
			for n := range each {
				b.uses.count(secretOf(n%300), latchkey.CodeValid, netip.AddrFrom4([4]byte{10, 0, 0, byte(side)}), "", noon)
			}
		})
	}
	done := make(chan struct{})
	go func() { counters.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		if err := b.flushUses(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
	if l.total() != sides*each {
		t.Errorf("%d uses were written, and there were %d", l.total(), sides*each)
	}
}

// The rhythm: within ten seconds, at once if there are many, and at the end.
func TestUsesAreWrittenInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		b := counting(l)
		b.written = func([]store.Redigest) {}
		ctx, stop := context.WithCancel(t.Context())
		var writer sync.WaitGroup
		writer.Go(func() { b.run(ctx) })
		written := func(when string, want int64) {
			t.Helper()
			synctest.Wait()
			if l.total() != want {
				t.Errorf("%s: %d uses were written, want %d", when, l.total(), want)
			}
		}
		b.uses.count(secretOf(1), latchkey.CodeValid, netip.Addr{}, "", noon)
		time.Sleep(7 * time.Second)
		written("after 7 s", 0)
		if behind := b.behind(); behind != 7*time.Second {
			t.Errorf("it is %v behind", behind)
		}
		time.Sleep(3 * time.Second)
		written("after 10 s", 1)
		many := int64(shardRows * len(b.uses.shards) * 3 / 4)
		for n := range many {
			b.uses.count(secretOf(int(n)), latchkey.CodeValid, netip.Addr{}, "", noon)
		}
		synctest.Wait() // those that came while it was writing wait for the next time
		if got := l.total(); got < 1+many/2 {
			t.Errorf("when there are many: %d uses were written of %d", got, 1+many)
		}
		b.uses.count(secretOf(1), latchkey.CodeValid, netip.Addr{}, "", noon)
		stop()
		writer.Wait()
		written("at the end", 2+many)
	})
}
