//go:build linux

package campaign

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// times are how long things took.
type times struct {
	mu  sync.Mutex
	all []time.Duration
}

func (t *times) add(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, d)
}

// at is the time that the part p of all took at most.
func (t *times) at(p float64) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.all) == 0 {
		return 0
	}
	slices.Sort(t.all)
	return t.all[min(int(p*float64(len(t.all))), len(t.all)-1)].Round(10 * time.Microsecond)
}

func (t *times) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.all)
}

// openLoop begins do so many times a second until ctx ends, whether or not what
// was begun before has ended, and waits for all of it.
func openLoop(ctx context.Context, perSecond int, do func()) {
	var running sync.WaitGroup
	defer running.Wait()
	began, begun := time.Now(), 0
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for due := int(time.Since(began).Seconds() * float64(perSecond)); begun < due && ctx.Err() == nil; begun++ {
			running.Go(do)
		}
	}
}

// lift takes away the bounds on how much an organization may change, which these
// campaigns do not try.
func (f *fleet) lift() {
	f.nodes[0].must(f.nodes[0].call("PATCH", "/v1/organizations/"+f.nodes[0].organization, map[string]any{"limits": map[string]any{"keys": 10_000_000, "changes_per_second": 1_000_000}}))
	for _, s := range f.nodes {
		s.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 512}, Timeout: time.Minute}
	}
}

// issued is a key of a load.
type issued struct {
	id, secret string
	refused    atomic.Int64 // since then it is refused everywhere, in nanoseconds since the load began; 0: it is not
}

func (f *fleet) issue(n int) []*issued {
	var keys []*issued
	for len(keys) < n {
		items := make([]map[string]any, min(500, n-len(keys)))
		for i := range items {
			items[i] = map[string]any{"name": "load"}
		}
		a := f.nodes[0].must(f.nodes[0].call("POST", "/v1/keys/batch-create?wait=30s", map[string]any{"items": items}))
		list, _ := a.at("results").([]any)
		if len(list) != len(items) {
			f.t.Fatalf("%d keys of %d: %v", len(list), len(items), a)
		}
		for _, item := range list {
			one := answer{Body: item.(map[string]any)} //nolint:forcetypeassert // the API's own form
			keys = append(keys, &issued{id: one.text("key", "id"), secret: one.text("secret")})
		}
	}
	return keys
}

// TestSpread revokes keys through any node while all are asked about keys, in open
// loop, and measures how long it takes until a revocation is answered. After the
// answer `everywhere` no node may accept the key.
func TestSpread(t *testing.T) {
	f := newFleet(t, 3, false)
	f.lift()
	lasts, verifications, revocations := 3*time.Second, 150, 20
	if *longFlag {
		lasts, verifications, revocations = 60*time.Second, 1000, 50
	}
	const standing = 500
	keys := f.issue(standing + int(lasts.Seconds()+1)*revocations)
	began := time.Now()
	var revoked atomic.Int64 // of keys, how many were taken to be revoked
	var took, asked times
	var everywhere, pending, accepted, refusedEarly, failed, afterwards atomic.Int64
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	var load sync.WaitGroup
	strain := f.strain()
	var lines []*asker
	for _, s := range f.nodes {
		line := s.asker()
		lines = append(lines, line)
		load.Go(func() {
			openLoop(ctx, verifications, func() {
				k := keys[rand.IntN(standing)]
				if n := revoked.Load(); n > 0 && rand.IntN(2) == 0 {
					k = keys[standing+max(0, int(n)-1-rand.IntN(revocations))]
				}
				sent := time.Now()
				since := k.refused.Load()
				code, err := line.verify(k.secret)
				asked.add(time.Since(sent))
				switch {
				case err != nil || code == "unavailable":
					failed.Add(1)
				case since > 0:
					if afterwards.Add(1); code == "valid" {
						accepted.Add(1)
					}
				case code == "unknown":
					refusedEarly.Add(1)
				}
			})
		})
	}
	load.Go(func() {
		openLoop(ctx, revocations, func() {
			k := keys[standing+int(revoked.Add(1))-1]
			sent := time.Now()
			effective, err := lines[rand.IntN(len(lines))].revoke(k.id)
			received := time.Now()
			took.add(received.Sub(sent))
			switch effective {
			case "everywhere":
				everywhere.Add(1)
				k.refused.Store(int64(received.Sub(began)))
			case "pending":
				pending.Add(1)
			default:
				t.Errorf("a revocation: %q, %v", effective, err)
			}
		})
	})
	load.Wait()
	all := everywhere.Load() + pending.Load()
	fmt.Printf("%s: %d verifications (p50 %v, p99 %v), %d not answered; %d revocations: p50 %v, p99 %v, p99.9 %v; everywhere %.2f %%; %d verifications sent after that, accepted %d; %s\n",
		t.Name(), asked.count(), asked.at(.5), asked.at(.99), failed.Load(), all, took.at(.5), took.at(.99), took.at(.999),
		100*float64(everywhere.Load())/float64(max(all, 1)), afterwards.Load(), accepted.Load(), strain.since(f))
	if accepted.Load() > 0 || refusedEarly.Load() > 0 || all == 0 || afterwards.Load() == 0 {
		t.Errorf("accepted after everywhere %d, unknown %d, revocations %d, verifications after them %d", accepted.Load(), refusedEarly.Load(), all, afterwards.Load())
	}
	if !*longFlag {
		return
	}
	if took.at(.5) > 8*time.Millisecond || took.at(.99) > 40*time.Millisecond || everywhere.Load() < all*999/1000 || failed.Load() > 0 {
		t.Errorf("p50 ≤ 8 ms, p99 ≤ 40 ms and everywhere ≥ 99.9 %% were to be reached")
	}
}

// TestUsable makes and rotates keys through one node, and verifies each through
// the others as soon as its answer is there.
func TestUsable(t *testing.T) {
	f := newFleet(t, 3, false)
	f.lift()
	each := 10
	if *longFlag {
		each = 625
	}
	var made, refused, pending atomic.Int64
	var all sync.WaitGroup
	var took times
	for range 16 {
		all.Go(func() {
			var id string
			for n := range each {
				began := time.Now()
				var a answer
				if n%2 == 0 {
					a = f.nodes[0].call("POST", "/v1/keys", map[string]any{"name": "usable"})
					id = a.text("key", "id")
				} else {
					a = f.nodes[0].call("POST", "/v1/keys/"+id+"/rotate", map[string]any{})
				}
				took.add(time.Since(began))
				if !a.ok() {
					t.Errorf("a key is not made: %v", a)
					return
				}
				if made.Add(1); a.text("usable") != "everywhere" && a.text("effective") != "everywhere" {
					pending.Add(1)
					continue
				}
				for i, s := range f.nodes[1:] {
					if v := s.call("POST", "/v1/keys/verify", map[string]any{"key": a.text("secret")}); v.text("code") != "valid" {
						refused.Add(1)
						t.Errorf("node %d says %v %s of a key that is usable everywhere", i+1, v, v.text("code"))
					}
				}
			}
		})
	}
	all.Wait()
	fmt.Printf("%s: %d keys made or rotated through one node (p50 %v, p99 %v), %d pending; refused by another %d\n",
		t.Name(), made.Load(), took.at(.5), took.at(.99), pending.Load(), refused.Load())
	if made.Load() != int64(16*each) || pending.Load() > made.Load()/100 {
		t.Errorf("%d made, %d pending", made.Load(), pending.Load())
	}
}
