//go:build linux

package campaign

import (
	"context"
	crand "crypto/rand"
	"fmt"
	"testing"
	"time"

	"latchkey.dev/latchkey"
)

// keyTables are those that have to do with keys and what they may do.
const keyTables = `'keys', 'secrets', 'policies', 'organizations', 'users', 'memberships', 'roles', 'projects', 'tallies'`

// TestNoise asks about keys that are none, at half of what a node can answer of
// such: the database is not asked about any, and good keys are answered as before.
// Windows with the flood and without it take turns, so that whatever else the
// machine does meets both.
func TestNoise(t *testing.T) {
	f := newFleet(t, 1, false)
	f.lift()
	lasts, turns := time.Second, 1
	if *longFlag {
		lasts, turns = 8*time.Second, 4
	}
	s := f.nodes[0]
	good := load{Address: s.url(), Key: s.key, PerSecond: 200, Connections: 32, Lasts: lasts}
	for _, k := range f.issue(200) {
		good.Keys = append(good.Keys, k.secret)
	}
	flood := load{Address: s.url(), Key: s.key, Connections: 64, Lasts: lasts, Yields: true, Keys: strangers(t, 5_000)}
	most := flood.run(t)
	most.only(t, "unknown")
	flood.PerSecond = int(float64(total(most.Asked)) / most.Elapsed.Seconds() / 2)
	flood.Lasts += time.Second // it surrounds the good ones
	var quiet, loud, refused times
	var cost scans
	var asked int
	var flooded, watched time.Duration
	for range turns {
		calm := good.run(t)
		calm.only(t, "valid")
		quiet.all = append(quiet.all, calm.Took...)
		before, since := f.scans(), time.Now()
		flooding := flood.begin(t)
		time.Sleep(500 * time.Millisecond)
		beset := good.run(t)
		beset.only(t, "valid")
		loud.all = append(loud.all, beset.Took...)
		r := flooding()
		r.only(t, "unknown")
		refused.all = append(refused.all, r.Took...)
		asked, flooded = asked+total(r.Asked), flooded+r.Elapsed
		after := f.scans()
		watched += time.Since(since)
		cost.keys, cost.gateways = cost.keys+after.keys-before.keys, cost.gateways+after.gateways-before.gateways
	}
	fmt.Printf("%s: a node refuses %d unknown keys/s; with %.0f/s, %d in all, good keys' p99 %v (quiet %v, p50 %v and %v), the refusals' %v; scans of key tables: %d, of gateways %d\n",
		t.Name(), 2*flood.PerSecond, float64(asked)/flooded.Seconds(), asked, loud.at(.99), quiet.at(.99), loud.at(.5), quiet.at(.5), refused.at(.99), cost.keys, cost.gateways)
	if cost.keys != 0 {
		t.Errorf("%d unknown keys cost %d scans of key tables", asked, cost.keys)
	}
	if polls := int64(watched/gatewaysEvery) + int64(turns); cost.gateways > polls {
		t.Errorf("%d unknown keys cost %d scans of gateways, of which whoever tells brokers of changes makes %d at most", asked, cost.gateways, polls)
	}
	if *longFlag && loud.at(.99) > 2*quiet.at(.99) {
		t.Errorf("the p99 of good keys is %v under the flood, and %v without it", loud.at(.99), quiet.at(.99))
	}
	if *longFlag && float64(asked)/flooded.Seconds() < .9*float64(flood.PerSecond) {
		t.Errorf("the flood did not reach half of what a node can refuse")
	}
}

// strangers are keys of which no server knows.
func strangers(t *testing.T, n int) []string {
	t.Helper()
	keys := make([]string, n)
	for i := range keys {
		k, err := latchkey.NewKeyString(latchkey.FormatNative, "lk", latchkey.Live, crand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = k.Plaintext().Expose()
	}
	return keys
}

// gatewaysEvery is how often a node looks at its gateways, without anything that
// was asked: the constant poll of broker.Worker, which rests for ten seconds.
const gatewaysEvery = 10 * time.Second

// scans is how often tables were looked into.
type scans struct{ keys, gateways int64 }

// scans tells by the database's own count. Each of its processes writes down what
// it did when it ends, so they are ended first.
func (f *fleet) scans() (n scans) {
	f.t.Helper()
	f.base.exec(`SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	for _, s := range f.nodes {
		s.ready()
	}
	const looks = `coalesce(sum(coalesce(seq_scan, 0) + coalesce(idx_scan, 0))`
	err := f.base.connect().QueryRow(context.Background(), `SELECT
		`+looks+` FILTER (WHERE relname IN (`+keyTables+`)), 0)::bigint, `+looks+` FILTER (WHERE relname = 'gateways'), 0)::bigint
		FROM pg_stat_user_tables`).Scan(&n.keys, &n.gateways)
	if err != nil || n.keys == 0 {
		f.t.Fatalf("the count of looks into the tables of keys: %+v, %v", n, err)
	}
	return n
}
