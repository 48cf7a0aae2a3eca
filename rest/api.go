package rest

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/internal/door"
	"latchkey.dev/latchkey/verify"
)

// Config is what the API is made of.
type Config struct {
	*door.Door

	Authority *authority.Authority
	Verifier  *verify.Verifier
	Operator  latchkey.ID // the first organization: whose people the socket speaks for
	PublicURL string      // for the OpenAPI document; "" leaves it relative
	Version   string      // of the program, for the OpenAPI document

	// Ready reports why the node should get no traffic now; nil: it should.
	Ready func(ctx context.Context) error

	// Warning says what the operator should know though the node is ready; nil
	// and "": nothing.
	Warning func(ctx context.Context) string

	// ObserveVerdict is told of every verdict. nil tells nobody.
	ObserveVerdict func(code latchkey.Code)

	// Stopping is closed when the server stops, so that streams end.
	Stopping <-chan struct{}
}

// API answers the native routes.
type API struct {
	Config

	document   []byte // /openapi.json
	page       []byte // /docs
	pagePolicy string // under which it is shown
	verifying  door.Bound
	opening    door.Bound
	waiting    door.Bound
}

// Bounds on work in flight, besides the door's on management. Beyond them the
// answer is a quick 503.
const (
	maxVerifying = 1024
	maxOpening   = 64 // work for nobody in particular: strangers are in each other's way alone
	maxWaiting   = 256
)

// New makes the API.
func New(config Config) (*API, error) {
	api := &API{
		Config:    config,
		verifying: make(door.Bound, maxVerifying),
		opening:   make(door.Bound, maxOpening),
		waiting:   make(door.Bound, maxWaiting),
	}
	if api.ObserveVerdict == nil {
		api.ObserveVerdict = func(latchkey.Code) {}
	}
	if api.Warning == nil {
		api.Warning = func(context.Context) string { return "" }
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
	paths := map[string]methods{}
	for _, op := range api.operations() {
		if paths[op.path] == nil {
			paths[op.path] = methods{}
		}
		paths[op.path][op.method] = api.serve(op, authenticate)
	}
	paths[keySetPathShort] = paths[keySetPath]
	paths["/openapi.json"] = methods{http.MethodGet: http.HandlerFunc(api.serveDocument)}
	paths["/docs"] = methods{http.MethodGet: http.HandlerFunc(api.servePage)}
	for at, handlers := range paths {
		mux.Handle(at, api.dispatch(at, handlers))
	}
	mux.HandleFunc("/", api.nothing)
	return api.Guard(mux, api.refused)
}

func (api *API) nothing(w http.ResponseWriter, _ *http.Request) {
	api.refuse(w, door.Nothing())
}

// methods are the handlers of one path.
type methods map[string]http.Handler

// dispatch chooses by method. A path that exists answers another method with
// what it does take (RFC 9110, section 15.5.6).
func (api *API) dispatch(path string, handlers methods) http.Handler {
	taken := slices.Collect(maps.Keys(handlers))
	if handlers[http.MethodGet] != nil {
		taken = append(taken, http.MethodHead)
	}
	slices.Sort(taken)
	allowed := strings.Join(taken, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		door.NoteRoute(w, path)
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet // net/http leaves the body out
		}
		if handler := handlers[method]; handler != nil {
			handler.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Allow", allowed)
		api.refuse(w, latchkey.Errorf(latchkey.CodeMethodNotAllowed, "This path does not take %s; it takes %s.", door.Printable(r.Method), allowed))
	})
}
