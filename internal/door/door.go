// Package door is what every edge does with a request before its own wire form
// begins: a request id, a log line and an observation for each answer, where the
// client is, which credentials it shows, how many of them may fail, and how much
// work may be in flight. One door serves all edges of a process, so that nobody
// has one allowance for each of them.
//
// It knows no caller and decides nothing: who a credential is, and how a refusal
// is told, are the edge's.
package door

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"path"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"latchkey.dev/latchkey"
)

// Config is what a door is made of. Clock and Log are required.
type Config struct {
	Clock   func() time.Time
	Log     *slog.Logger
	Proxies latchkey.ProxyTrust // the zero value trusts none

	// Observe is told of every answer: the route's pattern, the status and the
	// time it took. nil tells nobody.
	Observe func(route string, status int, took time.Duration)
}

// Door is safe for concurrent use.
type Door struct {
	Config

	Managing Bound   // work of management in flight, over all edges
	Opening  Bound   // work for whoever has no right yet, over the dialects: strangers are in each other's way alone
	Sending  *Shares // long lists on their way
	Waiting  *Shares // changes that are made, and wait for other nodes before they are answered
	throttle *throttle
}

// How much work of each kind may be in flight.
const (
	maxManaging  = 256
	maxStrangers = 256
	maxSending   = 32
	maxShare     = 4 // of them for one organization
	maxLingering = 1024
	maxLinger    = 128 // of them for one organization
)

// New makes a door.
func New(config Config) *Door {
	if config.Observe == nil {
		config.Observe = func(string, int, time.Duration) {}
	}
	return &Door{Config: config, Managing: make(Bound, maxManaging), Opening: make(Bound, maxStrangers), Sending: newShares(maxSending, maxShare),
		Waiting: newShares(maxLingering, maxLinger), throttle: newThrottle()}
}

// Bound is a number of places for work in flight. Each kind of work has its own,
// so that none can starve another; beyond it the answer is a quick refusal.
type Bound chan struct{}

// Enter takes a place, if there is one; whoever got it must Leave.
func (b Bound) Enter() bool {
	select {
	case b <- struct{}{}:
		return true
	default:
		return false
	}
}

// Leave gives a place back.
func (b Bound) Leave() { <-b }

// Shares is a Bound of which one organization has only so many places.
type Shares struct {
	mu         sync.Mutex
	left, most int
	held       map[latchkey.ID]int
}

func newShares(places, most int) *Shares {
	return &Shares{left: places, most: most, held: map[latchkey.ID]int{}}
}

// Enter takes a place for an organization, if there is one; whoever got it must
// leave.
func (s *Shares) Enter(organization latchkey.ID) (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 || s.held[organization] == s.most {
		return nil, false
	}
	s.left--
	s.held[organization]++
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.left++
		if s.held[organization]--; s.held[organization] == 0 {
			delete(s.held, organization)
		}
	}), true
}

// Refuse tells a refusal in an edge's wire form.
type Refuse func(w http.ResponseWriter, r *http.Request, err error)

// Guard stands around everything that an edge answers: it gives the request an
// id, logs and observes the answer, and answers by refuse even where the code is
// wrong. A path that is not clean is refused as one where nothing is: the
// standard library's mux would send the client elsewhere, its credential with it,
// and takes an escaped slash for the one at the end of a path.
// A single slash at the end is the edge's own affair.
func (d *Door) Guard(next http.Handler, refuse Refuse) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now() // a duration, not a moment: the clock of decisions has no part in it
		rec := &recorder{ResponseWriter: w, id: newRequestID()}
		rec.lines = [2]string{rec.id, "nosniff"}
		h := rec.Header()
		h["X-Request-Id"], h["X-Content-Type-Options"] = rec.lines[0:1:1], rec.lines[1:2:2]
		defer func() {
			abort := d.recovered(recover(), rec, r, refuse)
			took := time.Since(began)
			d.Observe(rec.route, rec.status, took)
			if level := rec.level(); d.Log.Enabled(r.Context(), level) {
				d.Log.LogAttrs(r.Context(), level, "request", rec.attributes(r, took)...)
			}
			if abort {
				panic(http.ErrAbortHandler)
			}
		}()
		if !plain(r.RequestURI) && !clean(r.URL.EscapedPath()) {
			refuse(rec, r, Nothing())
			return
		}
		next.ServeHTTP(rec, r)
	})
}

// plain reports whether a target is a path of which there is one spelling, as
// nearly all are; those that are not have to be looked at.
func plain(target string) bool {
	if len(target) < 2 || target[0] != '/' {
		return false
	}
	before := byte('/')
	for i := 1; i < len(target); i++ {
		c := target[i]
		switch {
		case c == '?':
			return true
		case before == '/' && (c == '/' || c == '.'), c == '%', c <= ' ', c >= 0x7f:
			return false
		}
		before = c
	}
	return true
}

func clean(given string) bool {
	cleaned := path.Clean("/" + given)
	return (given == cleaned || given == cleaned+"/") && !strings.HasSuffix(strings.ToUpper(given), "%2F")
}

// Nothing is the refusal of a path where nothing is.
func Nothing() error {
	return latchkey.Errorf(latchkey.CodeNotFound, "There is nothing at this path; /docs lists what there is.")
}

// Busy is the refusal of work beyond a bound.
func Busy() error {
	return latchkey.Errorf(latchkey.CodeBusy, "This node has as much work in flight as it takes; retry in a moment.")
}

// recovered answers for a panic. abort says that the connection must be cut: half
// an answer must not look like a whole one.
func (d *Door) recovered(fault any, rec *recorder, r *http.Request, refuse Refuse) (abort bool) {
	if err, ok := fault.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return true
	}
	if fault == nil {
		return false
	}
	d.Log.Error("panic", "request_id", rec.id, "fault", fmt.Sprint(fault), "stack", string(debug.Stack()))
	if rec.status != 0 {
		return true
	}
	refuse(rec, r, errors.New("panic"))
	return false
}

// newRequestID is 96 random bits: enough to find one request in a log.
func newRequestID() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], rand.Uint64())  //nolint:gosec // nothing is decided by it
	binary.BigEndian.PutUint64(b[8:], rand.Uint64()) //nolint:gosec // the same
	return base64.RawURLEncoding.EncodeToString(b[:12])
}

// RequestID is the id that Guard gave the request.
func RequestID(w http.ResponseWriter) string { return w.Header().Get("X-Request-Id") }

// ClientAddress is where the request came from; the zero value if it cannot be
// told.
func (d *Door) ClientAddress(r *http.Request) netip.Addr {
	return d.ClientAddressBehind(Peer(r), r)
}

// ClientAddressBehind is ClientAddress for whoever knows the peer already.
func (d *Door) ClientAddressBehind(peer netip.Addr, r *http.Request) netip.Addr {
	return d.Proxies.ClientAddress(peer, r.Header.Values(string(d.Proxies.Header())))
}

// Peer is the other end of the connection; the zero value on a Unix socket.
func Peer(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr()
}

// Printable keeps what a client sent as a name fit for an answer and a log.
func Printable(s string) string {
	const most = 40
	if len(s) > most || strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' }) {
		return "?"
	}
	return s
}
