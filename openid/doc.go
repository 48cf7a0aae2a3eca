// Package openid checks the tokens of other issuers: OpenID providers, whose keys
// it finds by OpenID Connect Discovery 1.0 and keeps.
//
// It promises that a token for which [Service.Verify] vouches was signed by a key
// that its issuer published, with an algorithm that is allowed and that the key is
// for; that it is for whom the issuer was set up, and has not ended. What the
// token itself says of keys changes nothing but which of the published ones is
// tried.
//
// Providers fail and are lied about. Known keys are used whether or not their
// issuer can be reached, for a day; an unknown one makes one reading a minute; and
// no request goes to an address that is not public, whatever a name resolves to,
// save to networks that the operator names.
package openid

import (
	"log/slog"
	"net/http"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"latchkey.dev/latchkey"
)

// The rhythm of reading keys.
const (
	Between    = time.Minute      // two attempts, at least
	fresh      = 15 * time.Minute // then they are read again beside, while they are used
	lasting    = 24 * time.Hour   // without a reading, and they are known no more
	atMost     = 5 * time.Second  // for a reading
	maxWaiting = 64               // callers who wait for readings
	maxKept    = 1 << 10          // issuers whose keys are kept
)

// Config is what a service is made of. Log is required.
type Config struct {
	Log      *slog.Logger
	Networks []netip.Prefix // of providers that are not public; plain HTTP goes there alone
}

// Service checks tokens. It is safe for concurrent use.
type Service struct {
	Config
	secure, plain *http.Client
	checks        chan struct{} // places for signatures that are being checked
	waiting       chan struct{} // places for those who wait for a reading
	done, failed  atomic.Int64  // readings

	mu        sync.Mutex
	providers map[string]*provider // by URL
}

// New makes a service.
func New(config Config) *Service {
	return &Service{
		Config: config, providers: map[string]*provider{},
		secure: newClient(func(a netip.Addr) bool { return public(a) || within(config.Networks, a) }),
		plain:  newClient(func(a netip.Addr) bool { return within(config.Networks, a) }),
		// As for our own tokens: a flood leaves half the processors.
		checks:  make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		waiting: make(chan struct{}, maxWaiting),
	}
}

// Readings counts the readings of issuers' keys, and those that failed.
func (s *Service) Readings() (done, failed int64) { return s.done.Load(), s.failed.Load() }

// provider is what is kept of an issuer.
type provider struct {
	mu      sync.Mutex
	keys    map[string]*webKey // by kid; nil: never read
	read    time.Time          // when these were
	tried   time.Time          // when that was tried last
	reading chan struct{}      // closed when the reading under way ends; nil: none is
}

func (s *Service) provider(url string) *provider {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.providers[url]
	if p == nil {
		if len(s.providers) >= maxKept {
			clear(s.providers)
		}
		p = &provider{}
		s.providers[url] = p
	}
	return p
}

func refused() error {
	return latchkey.Errorf(latchkey.CodeUnauthenticated, "The token is not good.")
}

func unavailable() error {
	return latchkey.Errorf(latchkey.CodeUnavailable, "The keys of your token's issuer cannot be read now; retry later.")
}
