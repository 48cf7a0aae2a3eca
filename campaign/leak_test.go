//go:build linux

package campaign

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestLeakedAdministrator revokes an administrator's key while a batch that it
// makes is under way, with a delay at each step of the request. Nothing that the
// key asked for is committed after its revocation, and no 2xx is told for it.
func TestLeakedAdministrator(t *testing.T) {
	s := install(t, folder(t))
	s.leaks(s)
}

// TestLeakedAdministratorOnPostgres does so with a node that hears of the
// revocation, and another through which it is made.
func TestLeakedAdministratorOnPostgres(t *testing.T) {
	d := newDatabase(t)
	s := install(t, folder(t), "--database-url", d.url)
	s.leaks(d.node(s))
}

// leaks has keys revoked through another server, or this one, while they work.
func (s *server) leaks(other *server) {
	t := s.t
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
	before, refused := 0, 0
	rounds(t, 20, 500, func(n int) {
		made := s.must(s.call("POST", "/v1/keys", map[string]any{"name": fmt.Sprintf("admin %d", n), "role": "admin", "reach": "organization"}))
		id, key := made.text("key", "id"), made.text("secret")
		var both sync.WaitGroup
		var batch, revocation answer
		delay := time.Duration(random.Int64N(int64(30 * time.Millisecond)))
		step := n % len(steps)
		reached := make(chan struct{})
		both.Go(func() { batch = s.slowBatch(key, n, 50, step, delay, reached) })
		both.Go(func() {
			<-reached
			time.Sleep(time.Duration(random.Int64N(int64(delay + 1))))
			revocation = other.call("POST", "/v1/keys/"+id+"/revoke", map[string]any{"reason": "leaked"})
		})
		both.Wait()
		s.must(revocation)
		end, _ := revocation.at("position").(float64)
		switch {
		case batch.ok():
			before++
			if at, _ := batch.at("position").(float64); at >= end {
				t.Errorf("delayed %s: the batch is at %.0f, after the revocation at %.0f", steps[step], at, end)
			}
		case batch.Status == 401 || batch.Status == 429: // as so many from one address are, after a while
			refused++
		default:
			t.Errorf("delayed %s: %v\n%s", steps[step], batch, s.log)
		}
		for _, after := range s.eventsAfter(int64(end)) {
			if actor, _ := after["actor"].(map[string]any); actor["key_id"] == id {
				t.Errorf("delayed %s: after the revocation at %.0f the key made %v", steps[step], end, after)
			}
		}
	})
	t.Logf("%d batches came before the revocation, %d were refused", before, refused)
	if *longFlag && (before == 0 || refused == 0) {
		t.Error("every race went the same way: this shows nothing")
	}
}

// steps are where a request is held up.
var steps = []string{"nowhere", "before the header's end", "before the body", "within the body", "before the body's last byte"}

// slowBatch creates n keys, held up at a step. reached is closed there.
func (s *server) slowBatch(key string, round, n, step int, delay time.Duration, reached chan struct{}) answer {
	items := make([]map[string]any, n)
	for i := range items {
		items[i] = map[string]any{"name": fmt.Sprintf("loot %d-%d", round, i)}
	}
	body, err := json.Marshal(map[string]any{"items": items})
	if err != nil {
		return answer{Err: err}
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url(), "http://"))
	if err != nil {
		return answer{Err: err}
	}
	defer conn.Close()
	header := fmt.Sprintf("POST /v1/keys/batch-create HTTP/1.1\r\nHost: latchkey\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", key, len(body))
	parts := [][]byte{nil, []byte(header), []byte("\r\n"), body[:len(body)/2], body[len(body)/2 : len(body)-1], body[len(body)-1:]}
	// The pause comes before the part that the step is named after.
	pause := []int{0, 2, 3, 4, 5}[step]
	for i, part := range parts {
		if i == pause {
			close(reached)
			if i > 0 {
				time.Sleep(delay)
			}
		}
		if _, err := conn.Write(part); err != nil {
			break // refused before it was read: the answer says so
		}
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return answer{Err: err}
	}
	defer res.Body.Close()
	a := answer{Status: res.StatusCode}
	var text bytes.Buffer
	if _, err := text.ReadFrom(res.Body); err != nil {
		return answer{Err: err}
	}
	a.Err = json.Unmarshal(text.Bytes(), &a.Body)
	return a
}

// eventsAfter are all events after a position.
func (s *server) eventsAfter(position int64) (events []map[string]any) {
	for {
		a := s.must(s.call("GET", fmt.Sprintf("/v1/events?everywhere=true&limit=100&after=%d", position), nil))
		list, _ := a.Body["data"].([]any)
		if len(list) == 0 {
			return events
		}
		for _, item := range list {
			event, _ := item.(map[string]any)
			events = append(events, event)
			at, _ := event["position"].(float64)
			position = int64(at)
		}
	}
}
