//go:build linux

package campaign

import (
	"fmt"
	"sync"
	"testing"
)

// TestRepeatedCreation sends one creation many times at once: one key, one secret.
// Another caller's call with the same Idempotency-Key is a call of its own.
func TestRepeatedCreation(t *testing.T) {
	s := install(t, folder(t))
	other := s.must(s.call("POST", "/v1/keys", map[string]any{"name": "other", "role": "admin", "reach": "organization"})).text("secret")
	const header = "one-idempotency-key"
	copies := 200
	if *longFlag {
		copies = 1000
	}
	body := map[string]any{"name": "made once"}
	var mu sync.Mutex
	secrets, ids, running := map[string]int{}, map[string]int{}, 0
	var all sync.WaitGroup
	places := make(chan struct{}, 200)
	for range copies {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			a := s.call("POST", "/v1/keys", body, "Idempotency-Key", header)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case a.ok():
				ids[a.text("key", "id")]++
				secrets[a.text("secret")]++
			case a.Status == 409 || a.Status == 503:
				running++ // the first is under way still, or the node has enough to do
			default:
				t.Errorf("%v", a)
			}
		})
	}
	all.Wait()
	if len(ids) != 1 || len(secrets) != 1 {
		t.Fatalf("%d keys and %d secrets were told for one call", len(ids), len(secrets))
	}
	theirs := s.must(s.as(other, "POST", "/v1/keys", body, "Idempotency-Key", header))
	if ids[theirs.text("key", "id")] > 0 {
		t.Error("another caller got this caller's key")
	}
	found := s.must(s.call("GET", "/v1/keys?search=made+once&limit=100", nil))
	if list, _ := found.Body["data"].([]any); len(list) != 2 {
		t.Errorf("there are %d keys, want one for each caller", len(list))
	}
	fmt.Printf("%s: %d calls, %d told the one key, %d were told to come again\n", t.Name(), copies, copies-running, running)
}
