package bench

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"latchkey.dev/latchkey"
)

const (
	fewKeys     = 1_000
	listedKeys  = 100_000
	listTries   = 200
	streamLimit = 64 << 20 // bytes that a stream of all keys may add to the server's memory
)

// foreignLists are the first pages of the dialects, totals included where they
// have one.
var foreignLists = []struct{ name, path string }{
	{"Voke", "/api/v1/partner/api-keys"},
	{"company", "/keys"},
	{"Cycle", "/v1/hubs/current/api-keys"},
}

// The first page of each dialect, of a hundred thousand keys against a thousand.
func BenchmarkDialectLists(b *testing.B) {
	few, many := listed(b, fewKeys), listed(b, listedKeys)
	for _, list := range foreignLists {
		var near, far []float64
		for range listTries {
			near, far = append(near, few.timed(list.path)), append(far, many.timed(list.path))
		}
		ratio := median(far) / median(near)
		report("first page of 100,000 keys, "+list.name, fmt.Sprintf("%.0f µs", median(far)), fmt.Sprintf("of 1,000: %.0f µs", median(near)), fmt.Sprintf("%.2f ×", ratio), "≤ 5 ×", ratio <= 5)
	}
	own, mapped := many.streams("/api/v1/apikeys?level=account", listedKeys)
	report("memory for a stream of 100,000, Vertesia", fmt.Sprintf("%.1f MB of its own", float64(own)/1e6), fmt.Sprintf("and %.1f MB of files", float64(mapped)/1e6), "", "≤ 67 MB", own <= streamLimit)
}

// listed is a server with n keys that every dialect shows.
func listed(b *testing.B, n int) *server {
	b.Helper()
	s := start(b)
	s.unlimited()
	var users struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := json.Unmarshal(s.call(http.MethodGet, "/v1/users", nil), &users); err != nil || len(users.Data) == 0 {
		b.Fatalf("the first user is not there: %v", err)
	}
	c := s.connect("/v1/keys/import", 1)[0]
	for made := 0; made < n; {
		c.text = append(c.text[:0], `{"scheme":"sha256","items":[`...)
		for i := range min(1_000, n-made) {
			made++
			if i > 0 {
				c.text = append(c.text, ',')
			}
			c.text = fmt.Appendf(c.text, `{"name":"listed %d","digest":"%x","partner":"partner %d","role":"developer","owner_id":%q}`,
				made, sha256.Sum256([]byte("listed key "+strconv.Itoa(made))), made%100, users.Data[0].ID)
		}
		c.text = append(c.text, "]}"...)
		c.post(http.StatusCreated)
	}
	return s
}

// hub is the header by which a client of Cycle says which hub it means.
func (s *server) hub() string {
	id, err := latchkey.ParseNative(latchkey.KindOrganization, s.org)
	if err != nil {
		s.tb.Fatal(err)
	}
	return id.Hex()
}

func (s *server) get(path string) *http.Response {
	s.tb.Helper()
	r, err := http.NewRequest(http.MethodGet, s.url+path, nil)
	if err != nil {
		s.tb.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.key)
	r.Header.Set("X-Hub-Id", s.hub())
	res, err := s.http.Do(r)
	if err != nil {
		s.tb.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		s.tb.Fatalf("%s: %s", path, res.Status)
	}
	return res
}

// timed is how long a page takes, in microseconds.
func (s *server) timed(path string) float64 {
	began := time.Now()
	res := s.get(path)
	defer res.Body.Close()
	if n, err := io.Copy(io.Discard, res.Body); err != nil || n < 1_000 {
		s.tb.Fatalf("%s: %d bytes, %v", path, n, err)
	}
	return float64(time.Since(began).Microseconds())
}

// streams reads a whole list, and tells how much more memory the server held at
// most when it was looked at, every thousand keys: of its own, and pages of files
// that are mapped. The bar is about the first.
func (s *server) streams(path string, want int) (own, mapped int64) {
	before, files := s.anonymous(), s.status("RssFile:")
	res := s.get(path)
	defer res.Body.Close()
	decoder := json.NewDecoder(res.Body)
	if _, err := decoder.Token(); err != nil {
		s.tb.Fatal(err)
	}
	n := 0
	for ; decoder.More(); n++ {
		if n%1_000 == 0 {
			own, mapped = max(own, s.anonymous()-before), max(mapped, s.status("RssFile:")-files)
		}
		var key struct {
			ID string `json:"id"`
		}
		if err := decoder.Decode(&key); err != nil || key.ID == "" {
			s.tb.Fatalf("key %d: %v", n, err)
		}
	}
	if n != want+1 { // the first user's own
		s.tb.Fatalf("%d keys came, want %d", n, want+1)
	}
	return own, mapped
}
