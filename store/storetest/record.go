package storetest

import (
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// remember writes a record with a change that makes no event.
func (w *world) remember(r *store.Record) {
	w.t.Helper()
	_, err := w.s.Submit(w.ctx(), store.Change{Organization: r.Organization, Reads: store.Reads{Records: []store.RecordKey{r.RecordKey}},
		Apply: func(*store.View) (store.Outcome, error) {
			written := *r
			return store.Outcome{Record: &written}, nil
		}})
	w.ok("Submit", err)
}

func (w *world) newRecord() *store.Record {
	return &store.Record{
		RecordKey: store.RecordKey{Caller: w.id(), Organization: w.id(), Route: "POST /v1/keys", Tag: w.digest()},
		BodyHash:  w.digest(), Objects: []latchkey.ID{w.id()}, Sealed: []byte{0, 1, 0xFF}, CreatedAt: w.tick(),
	}
}

// recorded wants the view to show these records, and nothing for the others asked.
func (w *world) recorded(what string, asked []store.RecordKey, want ...*store.Record) {
	w.t.Helper()
	w.see(store.Reads{Records: asked}, func(v *store.View) {
		if len(v.Records) != len(want) {
			w.t.Errorf("%s: the view has %d records, want %d", what, len(v.Records), len(want))
		}
		for _, r := range want {
			w.same(what, v.Records[r.RecordKey], r)
		}
	})
}

// recordCases ask for calls that are remembered.
func recordCases() []testCase {
	return []testCase{
		{"a call with every field", func(w *world) {
			r := w.newRecord()
			r.Route, r.Objects = "POST /v1/keys/é🔑", []latchkey.ID{w.id(), w.id(), w.id()}
			w.remember(r)
			w.recorded("record", []store.RecordKey{r.RecordKey}, r)
		}},
		{"a call from the socket, without secrets", func(w *world) {
			r := w.newRecord()
			r.Caller, r.Organization, r.Objects, r.Sealed = latchkey.ID{}, latchkey.ID{}, nil, nil
			w.remember(r)
			w.recorded("record", []store.RecordKey{r.RecordKey}, r)
		}},
		{"a call that made a thousand keys", func(w *world) {
			r := w.newRecord()
			r.Objects, r.Sealed = nil, make([]byte, 1<<17)
			for range latchkey.MaxBatchCreate {
				r.Objects = append(r.Objects, w.id())
			}
			w.remember(r)
			w.recorded("record", []store.RecordKey{r.RecordKey}, r)
		}},
		{"every part of the key counts", func(w *world) {
			r := w.newRecord()
			w.remember(r)
			caller, organization, route, upper, tag := r.RecordKey, r.RecordKey, r.RecordKey, r.RecordKey, r.RecordKey
			caller.Caller, organization.Organization, route.Route, upper.Route = w.id(), w.id(), r.Route+" ", "post /v1/keys"
			tag.Tag[31] ^= 1
			others := []store.RecordKey{caller, organization, route, upper, tag}
			w.recorded("others", others)
			w.recorded("record among others", append(others, r.RecordKey), r)
			for _, key := range others {
				other := w.newRecord()
				other.RecordKey = key
				w.remember(other)
				w.recorded("other record", []store.RecordKey{key, r.RecordKey}, other, r)
			}
		}},
		{"with the change or not at all", func(w *world) {
			of := w.tenant()
			taken := w.newProject(of.org.ID)
			taken.Name = of.project.Name
			r := w.newRecord()
			b := w.batch(taken)
			_, err := w.s.Submit(w.ctx(), store.Change{Apply: func(*store.View) (store.Outcome, error) {
				return store.Outcome{Steps: []store.Step{b.step()}, Record: r}, nil
			}})
			w.fails("Submit", err, store.ErrConflict)
			w.recorded("record of a refused call", []store.RecordKey{r.RecordKey})
		}},
		{"many retries make one object", func(w *world) {
			of := w.tenant()
			const many = 12
			keys := w.newKeys(of, many)
			record := w.newRecord()
			told := make([]latchkey.ID, many)
			var all sync.WaitGroup
			for i, k := range keys {
				b := w.batch(k)
				all.Go(func() {
					_, err := w.s.Submit(w.ctx(), store.Change{
						Organization: of.org.ID, Reads: store.Reads{Records: []store.RecordKey{record.RecordKey}},
						Apply: func(v *store.View) (store.Outcome, error) {
							if r := v.Records[record.RecordKey]; r != nil {
								told[i] = r.Objects[0]
								return store.Outcome{}, nil
							}
							told[i] = k.ID
							mine := *record
							mine.Objects = []latchkey.ID{k.ID}
							return store.Outcome{Steps: []store.Step{b.step()}, Record: &mine}, nil
						},
					})
					if err != nil {
						w.t.Errorf("Submit: %v", err)
					}
				})
			}
			all.Wait()
			listed := keyIDs(w.list(store.KeyQuery{Organization: of.org.ID}))
			if len(listed) != 1 {
				w.t.Fatalf("%d retries made %d keys", many, len(listed))
			}
			for i, id := range told {
				if id != listed[0] {
					w.t.Errorf("retry %d was told of another key", i)
				}
			}
		}},
		{"sweeping", func(w *world) {
			var records []*store.Record
			var asked []store.RecordKey
			begin := w.clock
			for i := range 6 {
				r := w.newRecord()
				r.CreatedAt = begin.Add(time.Duration(i) * time.Minute)
				w.remember(r)
				records, asked = append(records, r), append(asked, r.RecordKey)
			}
			w.recorded("records", asked, records...)
			w.ok("Sweep", w.s.Sweep(w.ctx(), store.Old{Sealed: begin, Calls: begin.Add(-time.Hour)}))
			w.recorded("records after a sweep of what is older", asked, records...)
			w.ok("Sweep", w.s.Sweep(w.ctx(), store.Old{Sealed: begin.Add(4 * time.Minute), Calls: begin.Add(2 * time.Minute)}))
			records[2].Sealed, records[3].Sealed = nil, nil
			w.recorded("records after a sweep", asked, records[2:]...)
			w.ok("Sweep", w.s.Sweep(w.ctx(), store.Old{Sealed: begin.Add(time.Hour), Calls: begin.Add(time.Hour)}))
			w.recorded("records after a sweep of all", asked)
			w.remember(records[0])
			w.recorded("a call made again after it was forgotten", asked, records[0])
		}},
		{"sweeping many", func(w *world) {
			const many = 1100
			records := make([]*store.Record, many)
			asked := make([]store.RecordKey, many)
			var all sync.WaitGroup
			slots := make(chan struct{}, 64)
			for i := range many {
				records[i] = w.newRecord()
				asked[i] = records[i].RecordKey
				all.Go(func() {
					slots <- struct{}{}
					defer func() { <-slots }()
					_, err := w.s.Submit(w.ctx(), store.Change{Apply: func(*store.View) (store.Outcome, error) {
						return store.Outcome{Record: records[i]}, nil
					}})
					if err != nil {
						w.t.Errorf("Submit: %v", err)
					}
				})
			}
			all.Wait()
			last := records[many-1]
			w.ok("Sweep", w.s.Sweep(w.ctx(), store.Old{Sealed: last.CreatedAt, Calls: start}))
			w.see(store.Reads{Records: asked}, func(v *store.View) {
				for i, key := range asked {
					if r := v.Records[key]; r == nil || (r.Sealed == nil) != (i < many-1) {
						w.t.Errorf("record %d is not as it should be after the sweep", i)
						return
					}
				}
			})
			w.ok("Sweep", w.s.Sweep(w.ctx(), store.Old{Sealed: last.CreatedAt, Calls: last.CreatedAt}))
			w.recorded("records after another sweep", asked, last)
		}},
		{"a call that is made again after its time", func(w *world) {
			r := w.newRecord()
			w.remember(r)
			again := w.newRecord()
			again.RecordKey, again.Sealed, again.Objects = r.RecordKey, nil, []latchkey.ID{w.id(), w.id()}
			w.remember(again)
			w.recorded("record", []store.RecordKey{r.RecordKey}, again)
		}},
		{"sweeping makes no event", func(w *world) {
			w.tenant()
			w.remember(w.newRecord())
			head := w.head()
			w.ok("Sweep", w.s.Sweep(w.ctx(), store.Old{Sealed: w.clock.Add(time.Hour), Calls: w.clock.Add(time.Hour)}))
			if w.head() != head {
				w.t.Error("sweeping made an event")
			}
		}},
	}
}
