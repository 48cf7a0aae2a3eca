// Package exchange is what the dialects share: a dialect is a table of routes,
// the headers in which its callers show a key, and one place where refusals get
// their form. Every request goes the same way, in the order in which it may be
// refused: the caller, the dialect's own idea of who is meant (an organization or
// hub header), the operation, the query, the body.
//
// It knows no wire form, and decides nothing that the authority decides.
package exchange

import (
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/internal/body"
	"latchkey.dev/latchkey/internal/door"
)

// Config is what every dialect is made of.
type Config struct {
	*door.Door

	Authority *authority.Authority
	PublicURL string // where clients reach us, without a slash at the end; "": where the request says that it went, if that is this machine
	OwnURL    string // where we listen, for requests that say otherwise
}

// Dialect is one foreign API.
type Dialect struct {
	Config

	// Name is how settings, logs and metrics call it.
	Name string
	// Mounts are the paths that are its own, in the form "/keys" for one path
	// and "/keys/" for all below: what no route answers there is refused in
	// this dialect's form.
	Mounts []string
	// KeyHeaders are those in which a caller may show its key, besides
	// Authorization.
	KeyHeaders []string
	Routes     []Route
	// Admit looks at what else says who is meant, once the caller is known; it
	// may be nil.
	Admit func(x *Exchange) error
	// Refuse tells a refusal. It is the one place where errors get a form.
	Refuse func(x *Exchange, err error)
}

// Permit says whether a caller may use an operation at all.
type Permit func(c *authority.Caller) error

// All permits whoever holds each of them.
func All(needed ...latchkey.Permission) Permit {
	return func(c *authority.Caller) error {
		for _, p := range needed {
			if err := c.Require(p); err != nil {
				return err
			}
		}
		return nil
	}
}

// Any permits whoever holds one of them.
func Any(needed ...latchkey.Permission) Permit {
	return func(c *authority.Caller) (err error) {
		for _, p := range needed {
			if err = c.Require(p); err == nil {
				return nil
			}
		}
		return err
	}
}

// Route is one operation.
type Route struct {
	Method string
	Path   string // a pattern of http.ServeMux, without method and host

	// Permit is asked before anything that the request says. nil is an
	// operation that finds out for itself who asks: nobody is authenticated.
	Permit Permit
	// Open says that strangers, or callers without any right, may send a body:
	// they wait among themselves, and not for long.
	Open bool
	// Once are the query parameters that may be given once.
	Once []string
	// Limit bounds the body, in bytes. 0: the operation takes none, and what is
	// sent is not read.
	Limit int64
	Body  body.Option
	Run   func(x *Exchange) error
}

// Exchange is one request on its way, and its answer.
type Exchange struct {
	authority.Call

	W       http.ResponseWriter
	R       *http.Request
	Dialect *Dialect
	Query   url.Values
	Body    []byte     // as it came; nil where the operation takes none
	From    netip.Addr // where the client is; the zero value cannot be told

	// Credential is what the caller showed, and Verdict what it was worth;
	// "" where none could be read.
	Credential latchkey.Plaintext
	Verdict    latchkey.Code

	leave func() // gives up the place among the work in flight, before the end
}

// Serves tells how well a path fits the dialect: the length of the longest mount
// that holds it, 0 for none.
func (d *Dialect) Serves(path string) (length int) {
	for _, mount := range d.Mounts {
		if path == mount || strings.HasSuffix(mount, "/") && strings.HasPrefix(path, mount) {
			length = max(length, len(mount))
		}
	}
	return length
}

// Handler answers everything below the dialect's mounts.
func (d *Dialect) Handler() http.Handler {
	paths := map[string]map[string]Route{}
	for _, route := range d.Routes {
		if paths[route.Path] == nil {
			paths[route.Path] = map[string]Route{}
		}
		paths[route.Path][route.Method] = route
	}
	mux := http.NewServeMux()
	for path, methods := range paths {
		mux.Handle(path, d.dispatch(path, methods))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { d.refuse(w, r, door.Nothing()) })
	return d.Guard(mux, d.refuse)
}

func (d *Dialect) refuse(w http.ResponseWriter, r *http.Request, err error) {
	d.Refuse(&Exchange{W: w, R: r, Dialect: d}, err)
}

// dispatch chooses by method.
func (d *Dialect) dispatch(path string, methods map[string]Route) http.Handler {
	taken := slices.Collect(maps.Keys(methods))
	if _, ok := methods[http.MethodGet]; ok {
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
		route, ok := methods[method]
		if !ok {
			w.Header().Set("Allow", allowed)
			d.refuse(w, r, latchkey.Errorf(latchkey.CodeMethodNotAllowed, "This path does not take %s; it takes %s.", door.Printable(r.Method), allowed))
			return
		}
		x := &Exchange{W: w, R: r, Dialect: d, From: d.ClientAddress(r)}
		x.RequestID = door.RequestID(w)
		if err := x.run(&route); err != nil {
			d.Refuse(x, err)
		}
	})
}

// openPause is how long whoever has no right yet may take for a body.
const openPause = 5 * time.Second

func (x *Exchange) run(route *Route) error {
	bound := x.Dialect.Managing
	if route.Open {
		bound = x.Dialect.Opening
		if err := http.NewResponseController(x.W).SetReadDeadline(time.Now().Add(openPause)); err != nil {
			return err
		}
	}
	if !bound.Enter() {
		return door.Busy()
	}
	x.leave = sync.OnceFunc(bound.Leave)
	defer x.leave()
	x.Linger = func() (func(), bool) {
		x.leave() // who waits for other nodes is in the way of nobody's work
		return x.Dialect.Waiting.Enter(x.Organization)
	}
	if route.Permit != nil {
		if err := x.admit(route.Permit); err != nil {
			return err
		}
	}
	if err := x.readQuery(route.Once); err != nil {
		return err
	}
	if route.Limit > 0 {
		var err error
		if x.Body, err = body.Read(x.W, x.R, route.Limit, route.Body); err != nil {
			return err
		}
	}
	return route.Run(x)
}

func (x *Exchange) admit(permit Permit) error {
	if err := x.authenticate(); err != nil {
		return err
	}
	if x.Dialect.Admit != nil {
		if err := x.Dialect.Admit(x); err != nil {
			return err
		}
	}
	return permit(&x.Caller)
}

func (x *Exchange) authenticate() error {
	shown, _ := door.Credentials(x.R.Header, x.Dialect.KeyHeaders...)
	return x.Identify(shown...)
}

// Identify finds out who asks by the credentials that were shown: a route that
// needs no permission calls it with those that it found. Whoever shows several
// must be the same with each. Failures are counted against their source.
func (x *Exchange) Identify(shown ...latchkey.Plaintext) error {
	if err := x.identify(shown); err != nil {
		return x.Dialect.Throttled(x.W, x.R, err)
	}
	door.NoteCaller(x.W, x.Name())
	return nil
}

func (x *Exchange) identify(shown []latchkey.Plaintext) error {
	if len(shown) == 0 {
		return latchkey.Errorf(latchkey.CodeUnauthenticated, "Send one key of yours as `Authorization: Bearer …`.")
	}
	for i, credential := range shown {
		caller, verdict, err := x.Dialect.Authority.Authenticate(x.R.Context(), credential, x.From, x.R.UserAgent())
		x.Verdict = verdict
		if err != nil {
			return err
		}
		if i > 0 && !caller.Is(&x.Caller) {
			x.Verdict = ""
			return latchkey.Errorf(latchkey.CodeUnauthenticated, "The request shows two identities; send one.")
		}
		caller.RequestID = x.RequestID
		x.Caller, x.Credential = caller, credential
	}
	return nil
}

func (x *Exchange) readQuery(once []string) error {
	var err error
	if x.Query, err = url.ParseQuery(x.R.URL.RawQuery); err != nil {
		return latchkey.Invalid("query:", "format", "The query string cannot be read.")
	}
	var broken []latchkey.FieldError
	for _, name := range once {
		if len(x.Query[name]) > 1 {
			broken = append(broken, latchkey.FieldError{Pointer: "query:" + name, Code: "duplicate", Detail: "This is given once."})
		}
	}
	if len(broken) > 0 {
		return &latchkey.Error{Code: latchkey.CodeInvalid, Detail: "The query breaks a rule.", Fields: broken}
	}
	return nil
}

// Decode reads the body into dst. Members that the dialect does not know are
// refused, unless the options say otherwise.
func (x *Exchange) Decode(dst any, options ...body.Option) error {
	return body.Decode(x.Body, dst, options...)
}

// Answer sends a success.
func (x *Exchange) Answer(status int, v any) error { return body.Write(x.W, status, v) }

// AnswerNothing sends a success without a body.
func (x *Exchange) AnswerNothing() error {
	x.W.Header().Set("Cache-Control", "no-store")
	x.W.WriteHeader(http.StatusNoContent)
	return nil
}

// Challenge adds to a refusal what HTTP asks for beside it: how to authenticate
// (RFC 9110, section 11.6.1), and when to come again (section 10.2.3).
func (x *Exchange) Challenge(code latchkey.ErrorCode) {
	h := x.W.Header()
	switch code {
	case latchkey.CodeUnauthenticated:
		h.Set("WWW-Authenticate", `Bearer realm="latchkey"`)
	case latchkey.CodeUnavailable, latchkey.CodeBusy, latchkey.CodeTooManyRequests:
		if h.Get("Retry-After") == "" {
			h.Set("Retry-After", "1")
		}
	default:
	}
}

// effectiveHeader tells how far a change has come, beside the documented success.
const effectiveHeader = "X-Latchkey-Effective"

// Changed notes how far the change has come that is about to be answered.
func (x *Exchange) Changed(e authority.Effective) { x.W.Header().Set(effectiveHeader, e.String()) }

// Base is the URL under which the client reaches us, without a slash at the end.
func (x *Exchange) Base() string { return door.Base(x.R, x.Dialect.PublicURL) }

// Issuer is Base for what others read.
func (x *Exchange) Issuer() string {
	return door.Issuer(x.R, x.Dialect.PublicURL, x.Dialect.OwnURL)
}

// Logged notes a refusal that is our fault: its cause never leaves.
func (x *Exchange) Logged(e *latchkey.Error) {
	if e.Cause != nil && x.R.Context().Err() == nil {
		x.Dialect.Log.Error("refused for a fault", "request_id", door.RequestID(x.W), "dialect", x.Dialect.Name, "code", string(e.Code), "error", e)
	}
}
