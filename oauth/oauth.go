// Package oauth speaks OAuth 2.0 for keys: a key is exchanged for an access token
// (RFC 6749, section 4.4; RFC 8693), a resource server asks what a credential is
// worth (RFC 7662), and whoever holds one ends it (RFC 7009). What there is says
// the metadata (RFC 8414).
//
// It promises that a token never may what its key may not, and never more than
// was asked for; that a scope which cannot be had is refused and not dropped; and
// that of a credential which is worth nothing nobody learns why.
//
// Clients are keys: the client_id is the kid of a secret, the client_secret the
// key itself.
package oauth

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/internal/door"
)

// The paths.
const (
	prefix       = "/oauth/"
	TokenPath    = "/oauth/token"
	AskPath      = "/oauth/introspect"
	RevokePath   = "/oauth/revoke"
	MetadataPath = "/.well-known/oauth-authorization-server"
)

// Config is what the face is made of. Every field is required but Observe and
// PublicURL.
type Config struct {
	*door.Door

	Authority *authority.Authority
	PublicURL string // where clients reach us, without a slash at the end; "": where the request says that it went, if that is this machine
	OwnURL    string // where we listen, for requests that say otherwise

	// Observe is told of every outcome; nil tells nobody.
	Observe func(Outcome)
}

// Outcome is what came of a request, for the metrics.
type Outcome string

// The outcomes.
const (
	Issued   Outcome = "issued"
	Refused  Outcome = "refused"  // a token was
	Active   Outcome = "active"   // introspected
	Inactive Outcome = "inactive" // the same
	Revoked  Outcome = "revoked"  // or was worth nothing before
)

// Outcomes lists them.
func Outcomes() []Outcome { return []Outcome{Issued, Refused, Active, Inactive, Revoked} }

// API is the face. It is safe for concurrent use.
type API struct {
	Config
	asking door.Bound
}

// maxAsking is how many requests may be in flight; those with work of management
// take a place there too.
const maxAsking = 256

// New makes the face.
func New(config Config) *API {
	if config.Observe == nil {
		config.Observe = func(Outcome) {}
	}
	return &API{Config: config, asking: make(door.Bound, maxAsking)}
}

// Serves reports whether the path is one of ours, by the length of what says so.
func (api *API) Serves(path string) int {
	switch {
	case path == MetadataPath:
		return len(MetadataPath)
	case strings.HasPrefix(path, prefix):
		return len(prefix)
	}
	return 0
}

// exchange is one request and its answer.
type exchange struct {
	authority.Call

	api  *API
	w    http.ResponseWriter
	r    *http.Request
	form form
}

// Handler answers.
func (api *API) Handler() http.Handler {
	mux := http.NewServeMux()
	for path, methods := range map[string]map[string]func(*exchange) error{
		TokenPath:    {http.MethodPost: (*exchange).token},
		AskPath:      {http.MethodPost: (*exchange).introspect},
		RevokePath:   {http.MethodPost: (*exchange).revoke},
		MetadataPath: {http.MethodGet: (*exchange).metadata},
	} {
		mux.Handle(path, api.dispatch(path, methods))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { api.refuse(w, r, door.Nothing()) })
	return api.Guard(mux, api.refuse)
}

func (api *API) dispatch(path string, methods map[string]func(*exchange) error) http.Handler {
	allowed := strings.Join(slices.Sorted(maps.Keys(methods)), ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		door.NoteRoute(w, path)
		run := methods[r.Method]
		if run == nil {
			w.Header().Set("Allow", allowed)
			api.refuse(w, r, latchkey.Errorf(latchkey.CodeMethodNotAllowed, "This endpoint takes %s.", allowed))
			return
		}
		if !api.asking.Enter() {
			api.refuse(w, r, door.Busy())
			return
		}
		leave := sync.OnceFunc(api.asking.Leave)
		defer leave()
		x := &exchange{api: api, w: w, r: r}
		x.Linger = func() (func(), bool) {
			leave() // who waits for other nodes is in the way of nobody's work
			return api.Waiting.Enter(x.Organization)
		}
		x.RequestID = door.RequestID(w)
		if err := x.read(); err != nil {
			api.refuse(w, r, err)
		} else if err := run(x); err != nil {
			api.refuse(w, r, err)
		}
	})
}

// readPause is how long a body may take: strangers send it.
const readPause = 5 * time.Second

// read takes in the form, which is the whole of a POST.
func (x *exchange) read() (err error) {
	if x.r.Method != http.MethodPost {
		return nil
	}
	if err := http.NewResponseController(x.w).SetReadDeadline(time.Now().Add(readPause)); err != nil {
		return err
	}
	x.form, err = readForm(x.w, x.r)
	return err
}
