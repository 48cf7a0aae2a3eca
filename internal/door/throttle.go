package door

import (
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"latchkey.dev/latchkey"
)

// How many credentials may fail from one source: a burst, then one a second.
const (
	failureBurst = 20
	failureRate  = rate.Limit(1)
	maxSources   = 1 << 16 // of one generation
)

// throttle counts failed credentials by source: an IPv4 address, or the /64 of
// an IPv6 one, which is what one customer of a provider has (RFC 6177). It
// forgets the older of two generations when one is full, so that its memory is
// bounded whoever comes.
type throttle struct {
	mu       sync.Mutex
	new, old map[netip.Prefix]*rate.Limiter
}

func newThrottle() *throttle {
	return &throttle{new: map[netip.Prefix]*rate.Limiter{}, old: map[netip.Prefix]*rate.Limiter{}}
}

// Throttled counts a refusal of credentials against the source of the request,
// and becomes 429 with Retry-After once it had too many. Any other refusal stays
// as it is: a good credential is never throttled.
func (d *Door) Throttled(w http.ResponseWriter, r *http.Request, err error) error {
	if latchkey.CodeOf(err) != latchkey.CodeUnauthenticated {
		return err
	}
	wait, ok := d.Failed(d.ClientAddress(r), Peer(r))
	if ok {
		return err
	}
	w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)))
	return latchkey.Errorf(latchkey.CodeTooManyRequests, "Too many failed credentials came from your address; wait as long as Retry-After says.")
}

// Failed counts a failure against from, or the peer where that cannot be told. ok
// is false once there were too many, and wait says for how many whole seconds.
func (d *Door) Failed(from, peer netip.Addr) (wait time.Duration, ok bool) {
	wait, ok = d.throttle.failed(d.Clock(), from, peer)
	return wait.Truncate(time.Second) + time.Second, ok
}

// failed counts a failure. ok is false when the source has had too many, and
// wait says for how long. Where the client cannot be told, its peer counts.
func (t *throttle) failed(now time.Time, from, peer netip.Addr) (wait time.Duration, ok bool) {
	if !from.IsValid() {
		from = peer
	}
	r := t.limiter(source(from)).ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		return wait, false
	}
	return 0, true
}

func (t *throttle) limiter(p netip.Prefix) *rate.Limiter {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.new[p]; l != nil {
		return l
	}
	l := t.old[p]
	if l == nil {
		l = rate.NewLimiter(failureRate, failureBurst)
	}
	if len(t.new) >= maxSources {
		t.old, t.new = t.new, map[netip.Prefix]*rate.Limiter{}
	}
	t.new[p] = l
	return l
}

func source(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
