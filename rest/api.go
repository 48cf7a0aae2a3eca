package rest

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/verify"
)

// Config is what the API is made of.
type Config struct {
	Authority *authority.Authority
	Verifier  *verify.Verifier
	Clock     func() time.Time
	Log       *slog.Logger
	Operator  latchkey.ID         // the first organization: whose people the socket speaks for
	Proxies   latchkey.ProxyTrust // the zero value trusts none
	PublicURL string              // for the OpenAPI document; "" leaves it relative
	Version   string              // of the program, for the OpenAPI document

	// Ready reports why the node should get no traffic now; nil: it should.
	Ready func(ctx context.Context) error

	// Observe is told of every answer: the route's pattern, the status and the
	// time it took. nil tells nobody.
	Observe func(route string, status int, took time.Duration)

	// ObserveVerdict is told of every verdict. nil tells nobody.
	ObserveVerdict func(code latchkey.Code)

	// Stopping is closed when the server stops, so that streams end.
	Stopping <-chan struct{}
}

// API answers the native routes.
type API struct {
	Config

	document  []byte // /openapi.json
	page      []byte // /docs
	throttle  *throttle
	verifying bound
	managing  bound
	waiting   bound
}

// Bounds on work in flight, each apart, so that one kind of work cannot starve
// another. Beyond them the answer is a quick 503.
const (
	maxVerifying = 1024
	maxManaging  = 256
	maxWaiting   = 256
)

// New makes the API.
func New(config Config) (*API, error) {
	api := &API{
		Config:    config,
		throttle:  newThrottle(config.Clock),
		verifying: make(bound, maxVerifying),
		managing:  make(bound, maxManaging),
		waiting:   make(bound, maxWaiting),
	}
	if api.Observe == nil {
		api.Observe = func(string, int, time.Duration) {}
	}
	if api.ObserveVerdict == nil {
		api.ObserveVerdict = func(latchkey.Code) {}
	}
	if api.Ready == nil {
		api.Ready = func(context.Context) error { return nil }
	}
	return api, api.describe()
}

// Handler answers over the network: callers authenticate with a key.
func (api *API) Handler() http.Handler { return api.mux(api.byKey) }

// SocketHandler answers over the authority's own socket: whoever could open it
// is the operator, and no credential is looked at.
func (api *API) SocketHandler() http.Handler { return api.mux(api.bySocket) }

func (api *API) mux(authenticate authenticator) http.Handler {
	mux := http.NewServeMux()
	for _, op := range api.operations() {
		mux.Handle(op.method+" "+op.path, api.serve(op, authenticate))
	}
	api.fallbacks(mux)
	return api.outermost(mux)
}

// bound is a number of places for work in flight.
type bound chan struct{}

func (b bound) enter() bool {
	select {
	case b <- struct{}{}:
		return true
	default:
		return false
	}
}

func (b bound) leave() { <-b }
