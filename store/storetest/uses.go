package storetest

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// useCases ask for what verification counted.
func useCases() []testCase {
	return append(lastUseCases(), []testCase{
		{"uses are counted by hour, code and source", func(w *world) {
			k, other := w.usedKey(), w.usedKey()
			five := start.Truncate(time.Hour)
			w.uses(
				tally(k, latchkey.CodeValid, "192.0.2.1", 3, five), tally(k, latchkey.CodeValid, "192.0.2.2", 1, five.Add(time.Minute)),
				tally(k, latchkey.CodeRevoked, "192.0.2.1", 2, five), tally(other, latchkey.CodeValid, "192.0.2.1", 5, five),
			)
			w.uses(
				tally(k, latchkey.CodeValid, "192.0.2.1", 4, five.Add(time.Hour-time.Millisecond)),
				tally(k, latchkey.CodeValid, "192.0.2.1", 1, five.Add(time.Hour)),
				tally(k, latchkey.CodeValid, "", 7, five.Add(time.Second)), tally(k, latchkey.CodeValid, latchkey.SourceOthers, 8, five),
			)
			w.usage("the key", k, store.UsageQuery{},
				"06:00 valid 192.0.2.1 1 06:00", "05:00 revoked 192.0.2.1 2 05:00", "05:00 valid  7 05:00", "05:00 valid 192.0.2.1 7 05:59",
				"05:00 valid 192.0.2.2 1 05:01", "05:00 valid other 8 05:00")
			w.usage("the other key", other, store.UsageQuery{}, "05:00 valid 192.0.2.1 5 05:00")
			w.usage("an unknown key", w.newKey(w.tenant()), store.UsageQuery{})
		}},
		{"the time of a tally never goes back", func(w *world) {
			k := w.usedKey()
			at := start.Truncate(time.Hour)
			for _, minute := range []int{5, 30, 10} {
				w.uses(tally(k, latchkey.CodeExpired, "192.0.2.1", 1, at.Add(time.Duration(minute)*time.Minute)))
			}
			w.usage("the key", k, store.UsageQuery{}, "05:00 expired 192.0.2.1 3 05:30")
		}},
		{"two secrets of a key are one in a tally", func(w *world) {
			k := w.usedKey()
			at := start.Truncate(time.Hour)
			one, two := tally(k, latchkey.CodeValid, "192.0.2.1", 1, at.Add(time.Minute)), tally(k, latchkey.CodeValid, "192.0.2.1", 2, at)
			two.KID = k.Secrets[1].KID
			w.uses(one, two)
			w.usage("the key", k, store.UsageQuery{}, "05:00 valid 192.0.2.1 3 05:01")
			k.Secrets[0].LastUse.At, k.Secrets[1].LastUse.At = at.Add(time.Minute), at
			w.sameKey("key", k)
		}},
		{"the sources are bounded", func(w *world) {
			k := w.usedKey()
			at := start.Truncate(time.Hour)
			source := func(n int) string { return fmt.Sprintf("192.0.2.%d", 100+n) }
			var all []store.Use
			for n := range latchkey.MaxSources + 3 {
				all = append(all, tally(k, latchkey.CodeValid, source(n), 1, at))
			}
			w.uses(all[3:6]...)
			w.uses(tally(k, latchkey.CodeRevoked, source(0), 1, at), tally(k, latchkey.CodeValid, source(0), 1, at.Add(time.Hour)))
			w.uses(all...)
			w.uses(all...)
			w.uses(tally(k, latchkey.CodeValid, source(50), 10, at), tally(k, latchkey.CodeValid, "", 1, at), tally(k, latchkey.CodeValid, latchkey.SourceOthers, 10, at))
			kept := []string{"06:00 valid 192.0.2.100 1 06:00", "05:00 revoked 192.0.2.100 1 05:00", "05:00 valid  1 05:00"}
			for n := range latchkey.MaxSources {
				count := 2
				if n >= 3 && n < 6 {
					count = 3
				}
				kept = append(kept, fmt.Sprintf("05:00 valid %s %d 05:00", source(n), count))
			}
			w.usage("the key", k, store.UsageQuery{}, append(kept, "05:00 valid other 26 05:00")...)
		}},
		{"a batch counts once", func(w *world) {
			k := w.usedKey()
			at := start.Truncate(time.Hour)
			batch := store.UseBatch{Number: 1, Uses: []store.Use{tally(k, latchkey.CodeValid, "192.0.2.1", 1, at)}}
			batch.Boot = w.newBoot()
			for range 3 {
				w.ok("RecordUses", w.s.RecordUses(w.ctx(), batch))
			}
			w.usage("after retries", k, store.UsageQuery{}, "05:00 valid 192.0.2.1 1 05:00")
			next := batch
			next.Number = 2
			w.ok("RecordUses", w.s.RecordUses(w.ctx(), next))
			w.ok("RecordUses", w.s.RecordUses(w.ctx(), batch))
			w.usage("after the next one", k, store.UsageQuery{}, "05:00 valid 192.0.2.1 2 05:00")
			other := batch
			other.Boot = w.newBoot()
			w.ok("RecordUses", w.s.RecordUses(w.ctx(), other))
			w.usage("after another boot's", k, store.UsageQuery{}, "05:00 valid 192.0.2.1 3 05:00")
		}},
		{"a batch of many", func(w *world) {
			keys := w.newKeys(w.tenant(), 500)
			w.writeKeys(keys)
			var all []store.Use
			for i, k := range keys {
				all = append(all, tally(k, latchkey.CodeValid, "192.0.2.1", int64(i+1), start), tally(k, latchkey.CodeDisabled, "192.0.2.1", 1, start))
			}
			w.uses(all...)
			w.uses(all...)
			for _, i := range []int{0, 250, 499} {
				w.usage("a key", keys[i], store.UsageQuery{}, "05:00 disabled 192.0.2.1 2 05:06", fmt.Sprintf("05:00 valid 192.0.2.1 %d 05:06", 2*(i+1)))
			}
		}},
		{"uses are read by the hour", func(w *world) {
			k := w.usedKey()
			first := start.Truncate(time.Hour)
			var told []string
			for n := range 5 {
				at := first.Add(time.Duration(n) * time.Hour)
				w.uses(tally(k, latchkey.CodeValid, "192.0.2.1", 1, at), tally(k, latchkey.CodeRevoked, "192.0.2.1", 1, at))
				told = append(told, at.Format("15:04")+" valid 192.0.2.1 1 "+at.Format("15:04"), at.Format("15:04")+" revoked 192.0.2.1 1 "+at.Format("15:04"))
			}
			slices.Reverse(told) // the hours; and codes are in their order then
			w.usage("all", k, store.UsageQuery{}, told...)
			w.usage("the last two hours", k, store.UsageQuery{Hours: 2}, told[:4]...)
			w.usage("before an hour", k, store.UsageQuery{Before: first.Add(2 * time.Hour), Hours: 1}, told[6:8]...)
			w.usage("since an hour", k, store.UsageQuery{Since: first.Add(3 * time.Hour)}, told[:4]...)
			w.usage("within an hour", k, store.UsageQuery{Since: first.Add(time.Millisecond), Before: first.Add(time.Hour + time.Millisecond)}, told[6:8]...)
			w.ok("Sweep", w.s.Sweep(w.ctx(), store.Old{Sealed: start, Calls: start}))
			w.usage("after a sweep of something else", k, store.UsageQuery{}, told...)
			w.ok("Sweep", w.s.Sweep(w.ctx(), store.Old{Uses: first.Add(3 * time.Hour)}))
			w.usage("after a sweep", k, store.UsageQuery{}, told[:4]...)
		}},
		{"uses from many sides", func(w *world) {
			k := w.usedKey()
			at := start.Truncate(time.Hour)
			var all sync.WaitGroup
			for side := range 6 {
				boot := w.newBoot()
				all.Go(func() {
					for n := range 10 {
						batch := store.UseBatch{Boot: boot, Number: int64(n + 1), Uses: []store.Use{
							tally(k, latchkey.CodeValid, fmt.Sprintf("192.0.2.%d", 100+(n+side)%12), 1, at.Add(time.Duration((n*7+side)%50)*time.Minute)),
						}}
						if err := w.s.RecordUses(w.ctx(), batch); err != nil {
							w.t.Errorf("RecordUses: %v", err)
						}
					}
				})
			}
			all.Wait()
			got, err := w.s.Usage(w.ctx(), store.UsageQuery{Key: k.ID, Hours: 10})
			w.ok("Usage", err)
			sum := int64(0)
			for _, t := range got {
				sum += t.Count
			}
			if sum != 60 || len(got) != latchkey.MaxSources+1 {
				w.t.Errorf("%d uses from %d sources; there were 60, and %d are told apart", sum, len(got), latchkey.MaxSources)
			}
		}},
	}...)
}

// lastUseCases ask for the last use of secrets.
func lastUseCases() []testCase {
	return []testCase{
		{"last uses", func(w *world) {
			of := w.tenant()
			k, unused := w.newKey(of), w.newKey(of)
			k.Secrets = append(k.Secrets, w.newSecret())
			w.write(k, unused)
			head := w.head()
			k.Secrets[0].LastUse = latchkey.Use{At: w.tick(), Address: netip.MustParseAddr("192.0.2.7"), Agent: "Mozilla/5.0 (…)"}
			k.Secrets[1].LastUse = latchkey.Use{At: w.tick(), Address: netip.MustParseAddr("2001:db8::7")}
			stranger := w.newKey(of)
			w.uses(
				w.use(k, 1, k.Secrets[1].LastUse.At), w.use(stranger, 0, w.clock),
				w.use(k, 0, k.Secrets[0].LastUse.At.Add(999_999).In(time.FixedZone("", 3600))),
			)
			w.sameKey("used key", k)
			w.sameKey("unused key", unused)
			if w.head() != head {
				w.t.Error("uses made an event")
			}
			w.uses()
		}},
		{"what was refused is no last use", func(w *world) {
			k := w.usedKey()
			for _, code := range latchkey.Codes()[1:] {
				w.uses(tally(k, code, "192.0.2.1", 1, w.tick()))
			}
			w.sameKey("key", k)
		}},
		{"last uses never go back", func(w *world) {
			k := w.newKey(w.tenant())
			w.write(k)
			early, late := w.tick(), w.tick()
			s := &k.Secrets[0]
			for i, at := range []time.Time{late, early, late} {
				s.LastUse.Agent = fmt.Sprintf("agent %d", i)
				w.uses(w.use(k, 0, at))
			}
			s.LastUse = latchkey.Use{At: late, Agent: "agent 0"}
			w.sameKey("key", k)
			// Both in one batch, the later one first.
			later := w.tick().Add(time.Hour)
			s.LastUse.Agent = "the last"
			first := w.use(k, 0, later)
			s.LastUse.Agent = "another"
			w.uses(first, w.use(k, 0, early))
			s.LastUse = latchkey.Use{At: later, Agent: "the last"}
			w.sameKey("key", k)
		}},
		{"last uses survive a change of the key that did not know of them", func(w *world) {
			k := w.newKey(w.tenant())
			w.write(k)
			used := w.tick()
			w.uses(w.use(k, 0, used))
			k.Name = "Renamed"
			w.write(k)
			k.Secrets[0].LastUse.At = used
			w.sameKey("key", k)
		}},
		{"last uses of one secret from many sides", func(w *world) {
			k := w.newKey(w.tenant())
			w.write(k)
			begin := w.tick()
			var all sync.WaitGroup
			for i := range 8 {
				boot := w.newBoot()
				all.Go(func() {
					for n := range 10 {
						at := begin.Add(time.Duration((n*7+i)%80) * time.Second)
						if err := w.s.RecordUses(w.ctx(), store.UseBatch{Boot: boot, Number: int64(n + 1), Uses: []store.Use{w.use(k, 0, at)}}); err != nil {
							w.t.Errorf("RecordUses: %v", err)
						}
					}
				})
			}
			all.Wait()
			k.Secrets[0].LastUse.At = begin.Add(70 * time.Second) // 9 × 7 + 7
			w.sameKey("key", k)
		}},
	}
}

// usedKey writes a key with two secrets.
func (w *world) usedKey() *latchkey.Key {
	w.t.Helper()
	k := w.newKey(w.tenant())
	k.Secrets = append(k.Secrets, w.newSecret())
	w.write(k)
	return k
}

func (w *world) newBoot() (boot [16]byte) {
	_, _ = w.random.Read(boot[:]) // never fails
	return boot
}

// tally is some uses of a key's first secret.
func tally(k *latchkey.Key, code latchkey.Code, source string, count int64, last time.Time) store.Use {
	return store.Use{Key: k.ID, KID: k.Secrets[0].KID, Tally: latchkey.Tally{Code: code, Source: source, Count: count, Last: last}}
}

// usage wants these tallies of a key: hour, code, source, count, last.
func (w *world) usage(what string, k *latchkey.Key, q store.UsageQuery, want ...string) {
	w.t.Helper()
	q.Key = k.ID
	if q.Hours == 0 {
		q.Hours = 1000
	}
	tallies, err := w.s.Usage(w.ctx(), q)
	w.ok("Usage", err)
	var got []string
	for _, t := range tallies {
		got = append(got, fmt.Sprintf("%s %s %s %d %s", t.Hour.Format("15:04"), t.Code, t.Source, t.Count, t.Last.Format("15:04")))
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("%s: %q, want %q", what, got, want)
	}
}
