package broker_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// rabbit is a management API that remembers what it was asked for. It stands where
// the real one would take too long: what only that can show is in TestRabbitMQ.
type rabbit struct {
	*httptest.Server

	mu     sync.Mutex
	away   bool
	open   []opened
	vhosts []string
	closed int // connections
	called int
}

// opened is a connection.
type opened struct {
	Name  string `json:"name"`
	User  string `json:"user"`
	VHost string `json:"vhost"`
}

func newRabbit(t *testing.T) *rabbit {
	r := &rabbit{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/connections", func(w http.ResponseWriter, _ *http.Request) { page(w, r.open) })
	mux.HandleFunc("DELETE /api/connections/{name}", func(_ http.ResponseWriter, q *http.Request) {
		was := len(r.open)
		r.open = slices.DeleteFunc(r.open, func(c opened) bool { return c.Name == q.PathValue("name") })
		r.closed += was - len(r.open)
	})
	mux.HandleFunc("GET /api/vhosts", func(w http.ResponseWriter, _ *http.Request) {
		names := []map[string]string{}
		for _, name := range r.vhosts {
			names = append(names, map[string]string{"name": name})
		}
		page(w, names)
	})
	mux.HandleFunc("PUT /api/vhosts/{name}", func(_ http.ResponseWriter, q *http.Request) { r.vhosts = append(r.vhosts, q.PathValue("name")) })
	mux.HandleFunc("DELETE /api/vhosts/{name}", func(_ http.ResponseWriter, q *http.Request) {
		r.vhosts = slices.DeleteFunc(r.vhosts, func(name string) bool { return name == q.PathValue("name") })
	})
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.called++
		user, password, _ := q.BasicAuth()
		switch {
		case r.away:
			w.WriteHeader(http.StatusServiceUnavailable)
		case user != "latchkey" || password != managementPassword:
			w.WriteHeader(http.StatusUnauthorized)
		default:
			mux.ServeHTTP(w, q)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func page(w http.ResponseWriter, items any) {
	_ = json.NewEncoder(w).Encode(map[string]any{"items": items, "page_count": 1}) // who asked went away
}

// connect opens a connection, by a name as RabbitMQ gives them.
func (r *rabbit) connect(name, user, vhost string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = append(r.open, opened{name, user, vhost})
}

func (r *rabbit) isOpen(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.open, func(c opened) bool { return c.Name == name })
}

func (r *rabbit) has(vhost string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.vhosts, vhost)
}

// goes has the broker go away, or come back.
func (r *rabbit) goes(away bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = away
}

func (r *rabbit) calls() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.called
}

// eventually waits until that is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come about that %s", what)
		}
	}
}

// named is a connection's name from an address of this machine.
func named(port string) string { return "127.0.0.1:" + port + " -> 127.0.0.1:5672" }
