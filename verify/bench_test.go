package verify

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	mathrand "math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
)

// timed is how many decisions are timed together.
const timed = 8

// bars are what a decision in process may take.
var bars = []struct {
	keys    int
	nanos   int64
	perKey  int64
	collect time.Duration
}{
	{1_000_000, 600, 128, 10 * time.Millisecond},
	{10_000_000, 1_000, 128, 10 * time.Millisecond},
}

// A whole decision over random keys of a full index: parsed, found, digested,
// compared and decided.
func BenchmarkDecision(b *testing.B) {
	for _, bar := range bars {
		b.Run(fmt.Sprintf("%dM", bar.keys/1_000_000), func(b *testing.B) {
			ring, err := keyring.Create(b.TempDir()+"/ring.json", rand.Reader, time.Now())
			if err != nil {
				b.Fatal(err)
			}
			before := heap()
			v, presented := filled(b, ring, bar.keys, 1<<17)
			collect, held := collection(), heap()-before
			asked := make([]Request, len(presented))
			for i := range asked {
				asked[i] = Request{Key: presented[i], Scopes: latchkey.Requirement{All: latchkey.Permissions{"docs:read"}}}
			}
			_, size := v.kept.index.Load().size()
			times := make([]int64, 0, 1<<20)
			var id Identity
			for i := range asked { // from here on each key's uses have their row
				v.VerifyInto(context.Background(), &asked[i], &id)
			}
			b.ReportAllocs()
			b.ResetTimer()
			began := time.Now()
			for i := 0; b.Loop(); i++ {
				verdict, _ := v.VerifyInto(context.Background(), &asked[i%len(asked)], &id)
				if verdict.Code != latchkey.CodeValid {
					b.Fatalf("verdict %s", verdict.Code)
				}
				if i%timed == timed-1 { // to read the clock takes a tenth of what is measured
					now := time.Now()
					if len(times) < cap(times) {
						times = append(times, int64(now.Sub(began))/timed)
					}
					began = now
				}
			}
			b.StopTimer()
			slices.Sort(times)
			median := times[len(times)/2]
			told := fmt.Sprintf(", %d M keys", bar.keys/1_000_000)
			tell("a decision in process, median"+told, float64(median), float64(bar.nanos), "ns")
			tell("memory for a key"+told, float64(size)/float64(bar.keys), float64(bar.perKey), "bytes")
			tell("a forced full collection"+told, float64(collect.Microseconds()), float64(bar.collect.Microseconds()), "µs")
			b.ReportMetric(float64(held)/float64(bar.keys), "heap-B/key")
		})
	}
}

// tell prints a figure beside its bar.
func tell(what string, figure, bar float64, unit string) {
	word := "met"
	if figure > bar {
		word = "MISSED"
	}
	fmt.Printf("%-52s %8.0f %-6s bar: ≤ %.0f  %s\n", what, figure, unit, bar, word)
}

func heap() uint64 {
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// collection is the median time of a forced full collection.
func collection() time.Duration {
	var all []time.Duration
	for range 7 {
		began := time.Now()
		runtime.GC()
		all = append(all, time.Since(began))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// filled is a verifier with that many keys of a thousand policies, and some of
// them, evenly taken, as they are presented, in no order.
func filled(b testing.TB, ring *keyring.Ring, keys, shown int) (*Verifier, []latchkey.Plaintext) {
	b.Helper()
	v := New(nil, ring, time.Now, "bench", nil)
	ix := newIndex(standIn{}, int64(keys))
	organization := latchkey.ID{1}
	presented := make([]latchkey.Plaintext, 0, shown)
	every := max(1, keys/cap(presented))
	policies := make([]latchkey.Policy, 1000)
	digests := make([][32]byte, len(policies))
	for i := range policies {
		policies[i].Scopes = latchkey.Permissions{latchkey.Permission(fmt.Sprintf("plant:%d", i)), "docs:read"}
		digests[i] = digestOf(&policies[i])
	}
	const digits8 = 62 * 62 * 62 * 62 * 62 * 62 * 62 * 62
	random := mathrand.NewChaCha8([32]byte{})
	for i := range keys {
		var kid packedKID
		binary.BigEndian.PutUint64(kid[:8], random.Uint64()%digits8<<16) // the second half stays small
		k := latchkey.Key{
			Organization: organization, Project: organization, Reach: latchkey.ReachProject, Environment: latchkey.Live, Enabled: true,
			Policy: policies[i%len(policies)], Secrets: []latchkey.Secret{{KID: kid.KID(), Scheme: latchkey.SchemeKey, Pepper: 1}},
		}
		binary.BigEndian.PutUint64(k.ID[:], uint64(i))
		if i%every == 0 && len(presented) < cap(presented) {
			drawn, err := latchkey.NewKeyString(latchkey.FormatNative, "lk", latchkey.Live, random)
			if err != nil {
				b.Fatal(err)
			}
			presented, k.Secrets[0].KID = append(presented, drawn.Plaintext()), drawn.KID
			if k.Secrets[0].Digest, err = ring.Digest(1, drawn.Plaintext()); err != nil {
				b.Fatal(err)
			}
		}
		if _, _, err := ix.put(b.Context(), &k, digests[i%len(digests)]); err != nil {
			b.Fatal(err)
		}
	}
	mathrand.Shuffle(len(presented), func(i, j int) { presented[i], presented[j] = presented[j], presented[i] })
	v.kept.index.Store(ix)
	return v, inOrder(presented)
}

// inOrder puts the keys one behind the other in memory, as they are presented:
// a key that comes in over the wire is in the processor's cache already, and only
// the index is not.
func inOrder(presented []latchkey.Plaintext) []latchkey.Plaintext {
	var all strings.Builder
	for _, p := range presented {
		all.WriteString(p.Expose())
	}
	text, out := all.String(), make([]latchkey.Plaintext, len(presented))
	for i, p := range presented {
		n := len(p.Expose())
		out[i], text = latchkey.NewPlaintext(text[:n]), text[n:]
	}
	return out
}
