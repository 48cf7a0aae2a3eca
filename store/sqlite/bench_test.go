package sqlite_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/store/sqlite"
)

// bare writes the rows of keys and nothing else: what the driver is measured
// against. It is one connection with the settings and the tables of the driver.
type bare struct {
	tb                 testing.TB
	conn               *sql.Conn
	begin, commit      *sql.Stmt
	key, secret, event *sql.Stmt
	tenant             tenant
	position           int64
}

func newBare(tb testing.TB) *bare {
	dir := tb.TempDir()
	s, err := sqlite.Open(context.Background(), dir, nil)
	if err != nil {
		tb.Fatal(err)
	}
	b := &bare{tb: tb, tenant: newTenant(tb, s)}
	b.position = must(tb, s, b.tenant.create(b.tenant.key(0, nil)))
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, sqlite.FileName)+"?_journal_mode=WAL&_synchronous=FULL&_foreign_keys=1&_pragma=mmap_size(67108864)&_pragma=wal_autocheckpoint(4000)&_pragma=cache_size(-8192)")
	if err != nil {
		tb.Fatal(err)
	}
	if b.conn, err = db.Conn(context.Background()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = b.conn.Close(); _ = db.Close() })
	prepare := func(text string) *sql.Stmt {
		st, err := b.conn.PrepareContext(context.Background(), text)
		if err != nil {
			tb.Fatal(err)
		}
		return st
	}
	b.begin, b.commit = prepare(`BEGIN IMMEDIATE`), prepare(`COMMIT`)
	b.key = prepare(`INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	b.secret = prepare(`INSERT INTO secrets VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	b.event = prepare(`INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	return b
}

func (b *bare) exec(statement *sql.Stmt, args ...any) {
	if _, err := statement.Exec(args...); err != nil {
		b.tb.Fatal(err)
	}
}

// write writes groups of steps, each group in one transaction.
func (b *bare) write(groups [][]store.Step) {
	for _, group := range groups {
		b.exec(b.begin)
		for i := range group {
			b.step(&group[i])
		}
		b.exec(b.commit)
	}
}

func (b *bare) step(step *store.Step) {
	b.position++
	step.Number(b.position)
	for _, k := range step.Keys {
		role, by := k.Policy.Role, k.CreatedBy.ID
		b.exec(b.key, k.Ordinal, k.ID[:], k.Organization[:], k.Project[:], string(k.Reach), string(k.Format), k.Name, k.Name, string(k.Environment),
			nil, k.Partner, 1, role[:], 1, 0, nil, nil, "", string(k.Metadata), k.CreatedAt.UnixMilli(), k.UpdatedAt.UnixMilli(), by[:], by[:], k.Revision, nil)
		s := &k.Secrets[0]
		b.exec(b.secret, k.Ordinal, string(s.KID), 0, s.Public, string(s.Format), string(s.Scheme), s.Pepper, s.Digest[:], nil, s.CreatedAt.UnixMilli(), nil, nil)
	}
	e := &step.Event
	b.exec(b.event, e.Position, e.ID[:], e.Organization[:], string(e.Type), e.At.UnixMilli(), e.Actor.ID[:], nil, "key", e.Object.ID[:], string(e.Changes), e.RequestID)
}

// rounds compares two ways of writing, taken in turns, by the median of each.
func rounds(b *testing.B, keys int, floor, ours func()) {
	var times, cpus [2][]float64
	measure := func(i int, run func()) {
		began, cpu := time.Now(), processor()
		run()
		times[i] = append(times[i], float64(time.Since(began).Microseconds())/float64(keys))
		cpus[i] = append(cpus[i], float64((processor()-cpu).Microseconds())/float64(keys))
	}
	for b.Loop() {
		measure(0, floor)
		measure(1, ours)
	}
	median := func(of []float64) float64 { slices.Sort(of); return of[len(of)/2] }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(times[0]), "floor-µs/key")
	b.ReportMetric(median(times[1]), "µs/key")
	b.ReportMetric(median(times[0])/median(times[1]), "of-floor")
	b.ReportMetric(median(cpus[0]), "floor-cpu-µs/key")
	b.ReportMetric(median(cpus[1]), "cpu-µs/key")
}

func processor() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCreate makes keys from 16 sides at once, against bare inserts of the
// same rows and events in groups of 16.
func BenchmarkCreate(b *testing.B) {
	const sides, each = 16, 64
	floor, s := newBare(b), open(b, b.TempDir())
	ours := newTenant(b, s)
	n := 0
	build := func(of tenant) (steps []store.Step) {
		for range sides * each {
			n++
			step := of.create(of.key(n, nil))
			step.Event.ID, step.Event.At = newID(), time.Now()
			steps = append(steps, step)
		}
		return steps
	}
	rounds(b, sides*each, func() {
		floor.write(slices.Collect(slices.Chunk(build(floor.tenant), sides)))
	}, func() {
		var all sync.WaitGroup
		for steps := range slices.Chunk(build(ours), each) {
			all.Go(func() {
				for _, step := range steps {
					_, err := s.Submit(context.Background(), store.Change{
						Organization: ours.organization,
						Reads:        store.Reads{Organizations: []latchkey.ID{ours.organization}, Projects: []latchkey.ID{ours.project}, Users: []latchkey.ID{ours.owner}},
						Apply:        func(*store.View) (store.Outcome, error) { return store.Outcome{Steps: []store.Step{step}}, nil },
					})
					if err != nil {
						b.Error(err)
					}
				}
			})
		}
		all.Wait()
	})
}

// BenchmarkImport writes 1,000 keys in a step, against bare inserts of the same
// rows in one transaction.
func BenchmarkImport(b *testing.B) {
	const size = 1000
	floor, s := newBare(b), open(b, b.TempDir())
	ours := newTenant(b, s)
	n := 0
	build := func(of tenant) store.Step {
		keys := make([]*latchkey.Key, size)
		for i := range keys {
			n++
			keys[i] = of.key(n, nil)
		}
		return of.create(keys...)
	}
	rounds(b, size, func() {
		floor.write([][]store.Step{{build(floor.tenant)}})
	}, func() { must(b, s, build(ours)) })
}
