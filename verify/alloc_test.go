package verify

import (
	"context"
	"crypto/rand"
	"runtime"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
)

// A verification of a known key allocates nothing, and a key takes no more
// memory than was promised: as the index counts it, and as the heap does.
func TestWhatAKeyCosts(t *testing.T) {
	ring, err := keyring.Create(t.TempDir()+"/ring.json", rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	const keys = 250_000
	before := heap()
	v, presented := filled(t, ring, keys, 1)
	bytes, ix := int64(heap())-int64(before), v.kept.index.Load()
	if onHeap { // asked for ahead and not written yet, which takes no memory
		memory := ix.shards[0].byKID.from
		bytes -= frame * int64(memory.end-memory.rest)
	}
	taken := float64(bytes) / keys
	t.Logf("%.1f bytes of the heap", taken)
	_, size := ix.size()
	if counted := float64(size) / keys; counted > perKey || taken > perKey {
		t.Errorf("a key takes %.0f bytes as they are counted, %.0f of the heap; promised are %d", counted, taken, perKey)
	}
	r := Request{Key: presented[0], Scopes: latchkey.Requirement{All: latchkey.Permissions{"docs:read"}}}
	var id Identity
	allocated := testing.AllocsPerRun(100, func() {
		if verdict, matched := v.VerifyInto(context.Background(), &r, &id); !matched || verdict.Code != latchkey.CodeValid {
			t.Fatalf("verdict %s", verdict.Code)
		}
	})
	if allocated != 0 {
		t.Errorf("%v allocations", allocated)
	}
	runtime.KeepAlive(presented)
}
