//go:build linux

package campaign

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestCrashEmbedded kills the server on its embedded store.
func TestCrashEmbedded(t *testing.T) {
	c := newCrash(t, install(t, folder(t)))
	rounds(t, 3, 100, func(n int) {
		c.load(n, func() { c.server.kill() })
		c.server.start()
		c.settle()
	})
	c.inspectAll()
}

// crash is a load of changes whose server or store is killed under it, and what
// is known of every key that it made.
type crash struct {
	t      *testing.T
	server *server
	random *rand.Rand // of the moments of killing

	mu   sync.Mutex
	keys map[string]*tracked // by id
	open []*tracked          // creations of which nobody knows yet

	position int64                     // up to which the record was read
	events   map[string]map[string]int // by object and type
	acked    int                       // changes
	unknown  int                       // that were open when the store went
	made     int                       // of these, how many had been made
}

// tracked is what is known of one key: what was acknowledged, and at most one
// change that was open when the lights went out.
type tracked struct {
	id, name string
	secrets  []string // that must be valid, unless it is revoked
	version  int      // in its metadata; also how often it was updated
	rotated  int
	revoked  bool

	pending string // "", create, update, rotate or revoke
	header  string // its Idempotency-Key
	touched bool   // in this round
}

func newCrash(t *testing.T, s *server) *crash {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	return &crash{t: t, server: s, random: rand.New(rand.NewPCG(seed, 1)), keys: map[string]*tracked{}, events: map[string]map[string]int{}}
}

const writers = 8

// load lets writers change keys of their own until the kill, which comes at a
// random moment.
func (c *crash) load(round int, kill func()) {
	stop := make(chan struct{})
	var work sync.WaitGroup
	for w := range writers {
		random := rand.New(rand.NewPCG(c.random.Uint64(), uint64(w)))
		work.Go(func() { c.write(fmt.Sprintf("r%d-w%d", round, w), random, stop) })
	}
	time.Sleep(50*time.Millisecond + time.Duration(c.random.Int64N(int64(700*time.Millisecond))))
	kill()
	close(stop)
	work.Wait()
}

// write makes changes one after the other, until one of them stays open.
func (c *crash) write(name string, random *rand.Rand, stop chan struct{}) {
	var mine []*tracked
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		var k *tracked
		var a answer
		if len(mine) == 0 || random.IntN(3) == 0 {
			k = &tracked{name: fmt.Sprintf("%s-%d", name, n), pending: "create"}
			a = c.send(k)
			if a.ok() {
				mine = append(mine, k)
			}
		} else {
			i := random.IntN(len(mine))
			k = mine[i]
			k.pending = []string{"update", "update", "rotate", "revoke"}[random.IntN(4)]
			if a = c.send(k); k.revoked {
				mine = slices.Delete(mine, i, i+1)
			}
		}
		if a.open() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.unknown++
			if k.id == "" {
				c.open = append(c.open, k)
			}
			return
		}
		if !a.ok() {
			c.t.Errorf("%s %s: %v", k.pending, k.name, a)
			return
		}
	}
}

// send makes the change that is pending, and takes in its answer.
func (c *crash) send(k *tracked) answer {
	k.touched = true
	if k.header == "" {
		k.header = fmt.Sprintf("campaign-%016x%016x", rand.Uint64(), rand.Uint64())
	}
	a := c.request(k)
	if !a.ok() {
		return a
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acked++
	switch k.pending {
	case "create":
		k.id = a.text("key", "id")
		k.secrets = []string{a.text("secret")}
		c.keys[k.id] = k
	case "update":
		k.version++
	case "rotate":
		k.rotated++
		k.secrets = append(k.secrets[len(k.secrets)-1:], a.text("secret"))
	case "revoke":
		k.revoked = true
	}
	k.pending, k.header = "", ""
	return a
}

func (c *crash) request(k *tracked) answer {
	s := c.server
	switch k.pending {
	case "create":
		return s.call("POST", "/v1/keys", map[string]any{"name": k.name, "metadata": map[string]any{"version": 0}}, "Idempotency-Key", k.header)
	case "update":
		return s.call("PATCH", "/v1/keys/"+k.id, map[string]any{"metadata": map[string]any{"version": k.version + 1}})
	case "rotate":
		a := s.call("POST", "/v1/keys/"+k.id+"/rotate", map[string]any{"overlap": "1h"}, "Idempotency-Key", k.header)
		if a.Status == 409 && a.text("code") == "rotation_in_progress" {
			if done := s.call("POST", "/v1/keys/"+k.id+"/rotation/complete", nil); !done.ok() && done.Status != 409 {
				return done
			}
			return s.call("POST", "/v1/keys/"+k.id+"/rotate", map[string]any{"overlap": "1h"}, "Idempotency-Key", k.header)
		}
		return a
	}
	return s.call("POST", "/v1/keys/"+k.id+"/revoke", map[string]any{"reason": "campaign"})
}

// settle finds out what became of the open changes, and inspects every key of
// the round and some others.
func (c *crash) settle() {
	c.readEvents()
	for _, k := range c.open {
		had := len(c.search(k.name))
		if had > 1 {
			c.t.Errorf("%s was made %d times", k.name, had)
		}
		c.made += had
		if a := c.send(k); !a.ok() {
			c.t.Fatalf("repeating the creation of %s: %v\n%s", k.name, a, c.server.log)
		}
		if now := c.search(k.name); len(now) != 1 || now[0] != k.id {
			c.t.Errorf("%s was repeated as %s, and there are %v", k.name, k.id, now)
		}
	}
	c.open = nil
	for _, k := range c.keys {
		if k.pending != "" {
			c.resolve(k)
		}
	}
	c.readEvents()
	some := 50
	for _, k := range c.keys {
		if k.touched || some > 0 {
			c.inspect(k)
			some--
		}
		k.touched = false
	}
}

// resolve finds out whether an open change of a key was made.
func (c *crash) resolve(k *tracked) {
	before := c.events[k.id]
	switch k.pending {
	case "update":
		if version := c.version(k); version == k.version+1 {
			k.version++
			c.made++
		} else if version != k.version {
			c.t.Errorf("%s: version %d after an open update from %d", k.name, version, k.version)
		}
	case "rotate":
		c.made += before["key.rotated"] - k.rotated
		if a := c.send(k); !a.ok() { // the repetition has the same secret, or makes the rotation
			c.t.Errorf("repeating the rotation of %s: %v", k.name, a)
		}
	case "revoke":
		c.made += before["key.revoked"]
		if a := c.send(k); !a.ok() {
			c.t.Errorf("repeating the revocation of %s: %v", k.name, a)
		}
	}
	k.pending, k.header = "", ""
}

func (c *crash) version(k *tracked) int {
	a := c.server.must(c.server.call("GET", "/v1/keys/"+k.id, nil))
	n, _ := a.at("metadata", "version").(float64)
	return int(n)
}

func (c *crash) search(name string) (ids []string) {
	a := c.server.must(c.server.call("GET", "/v1/keys?limit=100&search="+name, nil))
	list, _ := a.Body["data"].([]any)
	for _, item := range list {
		if key, _ := item.(map[string]any); key["name"] == name {
			id, _ := key["id"].(string)
			ids = append(ids, id)
		}
	}
	return ids
}

// inspect holds what the server tells of a key against what it acknowledged, and
// its events against both.
func (c *crash) inspect(k *tracked) {
	a := c.server.call("GET", "/v1/keys/"+k.id, nil)
	if !a.ok() {
		c.t.Errorf("%s, which was acknowledged, is lost: %v", k.name, a)
		return
	}
	if revoked := a.text("state") == "revoked"; revoked != k.revoked || a.text("name") != k.name || c.version(k) != k.version {
		c.t.Errorf("%s: want version %d, revoked %t; got %v", k.name, k.version, k.revoked, a.Body)
	}
	got := c.events[k.id]
	want := map[string]int{"key.created": 1, "key.updated": k.version, "key.rotated": k.rotated, "key.revoked": 0}
	if k.revoked {
		want["key.revoked"] = 1
	}
	for event, n := range want {
		if got[event] != n {
			c.t.Errorf("%s: %d times %s, want %d", k.name, got[event], event, n)
		}
	}
	wantCode := "valid"
	if k.revoked {
		wantCode = "revoked"
	}
	for i, secret := range k.secrets {
		v := c.server.must(c.server.call("POST", "/v1/keys/verify", map[string]any{"key": secret}))
		if code := v.text("code"); code != wantCode || v.text("key_id") != k.id {
			c.t.Errorf("%s: secret %d of %d is %s, want %s", k.name, i+1, len(k.secrets), code, wantCode)
		}
	}
}

// readEvents reads what is new in the record, and looks for gaps.
func (c *crash) readEvents() {
	for {
		a := c.server.must(c.server.call("GET", fmt.Sprintf("/v1/events?everywhere=true&limit=100&after=%d", c.position), nil))
		list, _ := a.Body["data"].([]any)
		if len(list) == 0 {
			return
		}
		for _, item := range list {
			event, _ := item.(map[string]any)
			position, _ := event["position"].(float64)
			if int64(position) != c.position+1 {
				c.t.Fatalf("after position %d comes %v", c.position, position)
			}
			c.position++
			object, _ := event["object"].(map[string]any)
			id, _ := object["id"].(string)
			kind, _ := event["type"].(string)
			if c.events[id] == nil {
				c.events[id] = map[string]int{}
			}
			c.events[id][kind]++
		}
	}
}

// inspectAll inspects every key that was ever made, and counts the store's.
func (c *crash) inspectAll() {
	if c.t.Failed() {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(c.keys)) {
		c.inspect(c.keys[id])
	}
	c.t.Logf("%d keys, %d changes acknowledged, %d open when the lights went out (%d of them made), %d events without a gap", len(c.keys), c.acked, c.unknown, c.made, c.position)
	if c.acked == 0 || len(c.keys) == 0 {
		c.t.Error("nothing was acknowledged: this campaign shows nothing")
	}
}
