//go:build linux

package campaign

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// uses is a server whose uses of keys are looked after.
type uses struct {
	*fleet
	*server

	distinct int      // so many keys are used within ten seconds
	steady   load     // of keys that were used before
	keys     []string // secrets
	ids      []string // of their keys
}

// TestUses uses many keys within a short time, and looks whether verification is
// as fast as before, and whether what was counted is told soon; then it loses
// answers behind commits, and kills the server.
func TestUses(t *testing.T) {
	t.Run("postgres", func(t *testing.T) { tryUses(newFleet(t, 1, false)) })
	if *longFlag {
		t.Run("sqlite", func(t *testing.T) { tryUses(&fleet{t: t, nodes: []*server{install(t, folder(t))}}) })
	}
}

func tryUses(f *fleet) {
	f.lift()
	u := &uses{fleet: f, server: f.nodes[0], distinct: 500}
	if *longFlag {
		u.distinct = 50_000
	}
	for _, k := range f.issue(u.distinct) {
		u.keys, u.ids = append(u.keys, k.secret), append(u.ids, k.id)
	}
	u.steady = load{Key: u.key, Keys: u.keys[:200], PerSecond: 200, Connections: 32, Lasts: 200 * time.Millisecond}
	few := *u
	few.keys, few.ids = u.keys[:500], u.ids[:500]
	if f.base != nil {
		few.countOnce()
	}
	few.survive()
	if *longFlag {
		u.steady.Lasts = 10 * time.Second
		u.persist()
	}
}

// at is a load on the server as it runs now.
func (u *uses) at(l load) load {
	l.Address = u.url()
	return l
}

// window is what 200 verifications a second took while something went on.
type window struct{ median, p99 []time.Duration }

func (w *window) add(r *report) {
	w.median, w.p99 = append(w.median, r.at(.5)), append(w.p99, r.at(.99))
}

// middle is the median of all rounds.
func middle(of []time.Duration) time.Duration {
	of = slices.Sorted(slices.Values(of))
	return of[len(of)/2]
}

func (w *window) String() string {
	return fmt.Sprintf("%v (p50 %v)", middle(w.p99), middle(w.median))
}

// beyond reports whether the p99 is more than one and a half times another's.
func (w *window) beyond(other *window) bool { return 2*middle(w.p99) > 3*middle(other.p99) }

// persist uses each key once within ten seconds, in several rounds. What
// verification takes meanwhile is held against as many verifications of few keys,
// and what it takes while the uses are written against a quiet time: the medians
// of the rounds, since one p99 of a shared machine tells little.
func (u *uses) persist() {
	const rounds = 5
	t := u.server.t
	var quiet, known, fresh, after window
	steadily := func(w *window) { w.add(u.valid(u.at(u.steady).run(t))) }
	few := u.at(load{Key: u.key, Keys: u.keys[:200], PerSecond: u.distinct / 9, Connections: 32, Yields: true, Lasts: u.steady.Lasts})
	many := few
	many.Keys, many.InTurn = u.keys[200:], true
	before := u.settled()
	few.Address, many.Address = u.url(), u.url()
	u.valid(u.at(u.steady).run(t))
	for round := range rounds {
		steadily(&quiet)
		busy := few.begin(t)
		steadily(&known)
		u.valid(busy())
		first := time.Now()
		busy = many.begin(t)
		steadily(&fresh)
		took := u.valid(busy()).Elapsed
		last := time.Now()
		writing := u.at(u.steady).begin(t)
		u.told(slices.Max(u.ids), first) // ids are in the order of creation
		told := time.Now()
		after.add(u.valid(writing()))
		fmt.Printf("%s: round %d: %d distinct keys used in %v, all told %v after the first use and %v after the last; p99 of 200 others a second: %v meanwhile, %v with as many verifications of few keys, %v while it was written, %v in quiet\n",
			t.Name(), round+1, len(many.Keys), took.Round(time.Millisecond), told.Sub(first).Round(time.Millisecond), told.Sub(last).Round(time.Millisecond),
			fresh.p99[round], known.p99[round], after.p99[round], quiet.p99[round])
		if took > 10*time.Second || told.Sub(first) > time.Minute {
			t.Errorf("that was to be used within ten seconds, and told within a minute")
		}
	}
	for i, n := range u.settled()[200:] {
		if n-before[200+i] != rounds {
			t.Fatalf("a key that was used %d times is said to have been used %d times: %s", rounds, n-before[200+i], u.ids[200+i])
		}
	}
	fmt.Printf("%s: medians of %d rounds: p99 %v while distinct keys were used, %v with as many verifications of few keys, %v while it was written, %v in quiet\n",
		t.Name(), rounds, &fresh, &known, &after, &quiet)
	if fresh.beyond(&known) || after.beyond(&quiet) {
		t.Errorf("the p99 of verifications was not to grow beyond one and a half times")
	}
}

// valid wants that every verification found a valid key.
func (u *uses) valid(r *report) *report {
	r.only(u.server.t, "valid")
	return r
}

// told waits until the newest key is said to have been used since: keys are used,
// and uses written, in the order of creation. To ask about all of them would
// compete with what is measured meanwhile; settled does so afterwards.
func (u *uses) told(last string, since time.Time) {
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		at, _ := u.must(u.call("GET", "/v1/keys/"+last, nil)).at("last_used_at").(string)
		if used, err := time.Parse(time.RFC3339, at); err == nil && !used.Before(since.Truncate(time.Second)) {
			return
		}
		if time.Now().After(end) {
			u.server.t.Fatal("not every use is told")
		}
	}
}

// sums is how often each key is said to have been accepted.
func (u *uses) sums() []int {
	sums := make([]int, len(u.ids))
	var all sync.WaitGroup
	for side := range 8 {
		all.Go(func() {
			for i := side; i < len(u.ids); i += 8 {
				a := u.call("GET", "/v1/keys/"+u.ids[i]+"/usage?limit=100", nil)
				if !a.ok() || a.at("next_cursor") != nil {
					u.server.t.Errorf("the uses of a key: %v", a)
					return
				}
				sums[i] = accepted(a)
			}
		})
	}
	all.Wait()
	return sums
}

// accepted adds up what a page of uses says of accepted keys.
func accepted(page answer) (n int) {
	hours, _ := page.at("data").([]any)
	for _, hour := range hours {
		h, _ := hour.(map[string]any)
		tallies, _ := h["uses"].([]any)
		for _, tally := range tallies {
			if one, _ := tally.(map[string]any); one["code"] == "valid" {
				count, _ := one["count"].(float64)
				n += int(count)
			}
		}
	}
	return n
}

// countOnce loses what answers commits of uses: they are there, and nobody was
// told. When the server has gone in peace, each use is counted, and none twice.
func (u *uses) countOnce() {
	t := u.server.t
	lost := 1
	if *longFlag {
		lost = 4
	}
	before := u.settled()
	l := u.at(load{Key: u.key, Keys: u.keys, PerSecond: 500, Connections: 16, Lasts: time.Second})
	if *longFlag {
		l.Lasts = time.Duration(lost) * 10 * time.Second
	}
	using := l.begin(t)
	u.base.loseAnswers(lost)
	r := using()
	u.restart(syscall.SIGTERM)
	counted := 0
	for i, n := range u.sums() {
		if counted += n - before[i]; n-before[i] != r.Answered[i] {
			t.Errorf("%d uses of a key are told, and %d were made", n-before[i], r.Answered[i])
		}
	}
	fmt.Printf("%s: the answers to %d commits of uses were lost; %d verifications were answered, %d uses counted\n", t.Name(), lost, total(r.Answered), counted)
}

// settled is what is said of each key when all of it is written.
func (u *uses) settled() []int {
	u.restart(syscall.SIGTERM)
	return u.sums()
}

// restart ends the server, in peace by SIGTERM and otherwise by SIGKILL.
func (u *uses) restart(by syscall.Signal) {
	_ = u.process.Process.Signal(by)
	if err := u.process.Wait(); err != nil && by == syscall.SIGTERM {
		u.server.t.Errorf("the server did not end in peace: %v\n%s", err, u.log)
	}
	u.http.CloseIdleConnections()
	u.process = nil
	u.start()
	u.ready()
}

// loseAnswers lets so many commits of uses be done without that their connections
// hear of it: each waits for a standby that there is not, and its connection is
// ended while it waits.
func (d *database) loseAnswers(n int) {
	d.t.Helper()
	d.exec(`CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('synchronous_commit', 'on', true); RETURN new; END $$`,
		`CREATE TRIGGER waits BEFORE INSERT OR UPDATE ON use_batches FOR EACH ROW EXECUTE FUNCTION waits()`,
		`ALTER SYSTEM SET synchronous_commit = local`, `ALTER SYSTEM SET synchronous_standby_names = 'nobody'`, `SELECT pg_reload_conf()`)
	conn := d.connect()
	end := time.Now().Add(2 * time.Minute)
	for ended := 0; ended < n; time.Sleep(10 * time.Millisecond) {
		var now int
		if err := conn.QueryRow(context.Background(), `SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`).Scan(&now); err != nil {
			d.t.Fatal(err)
		}
		if ended += now; time.Now().After(end) {
			d.t.Fatalf("%d commits of uses in two minutes", ended)
		}
	}
	d.exec(`ALTER SYSTEM RESET synchronous_standby_names`, `ALTER SYSTEM RESET synchronous_commit`, `SELECT pg_reload_conf()`,
		`DROP TRIGGER waits ON use_batches`, `DROP FUNCTION waits`)
}

// survive kills the server while keys are used: what was told before is told
// after, and never more than was asked.
func (u *uses) survive() {
	t := u.server.t
	kept, lost, flushed := 0, 0, 0
	rounds(t, 1, 5, func(int) {
		before := u.settled()
		l := u.at(load{Key: u.key, Keys: u.keys, PerSecond: 500, Connections: 16, Lasts: time.Second})
		if *longFlag {
			l.Lasts = 30 * time.Second
		}
		using := l.begin(t)
		if *longFlag { // once something is written, at any moment until the next time and beyond
			u.written(total(before))
			time.Sleep(rand.N(12 * time.Second))
		} else {
			time.Sleep(l.Lasts * 9 / 10)
		}
		told := u.sums()
		flushed += total(told) - total(before)
		u.restart(syscall.SIGKILL)
		r := using()
		for i, n := range u.sums() {
			if n < told[i] || n > before[i]+r.Asked[i] {
				t.Errorf("after a kill %d uses of a key are told: %d were before, and %d were asked for since %d", n, told[i], r.Asked[i], before[i])
			}
			kept, lost = kept+n-before[i], lost+max(0, r.Answered[i]-(n-before[i]))
		}
	})
	fmt.Printf("%s: of what was answered around kills, %d uses are told, of which %d were before the kill, and %d are not\n", t.Name(), kept, flushed, lost)
}

// written waits until more uses are told than there were before.
func (u *uses) written(before int) {
	for end := time.Now().Add(20 * time.Second); total(u.sums()) <= before; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			u.server.t.Fatal("no uses are written")
		}
	}
}
