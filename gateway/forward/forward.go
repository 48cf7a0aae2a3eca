package forward

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/door"
	"latchkey.dev/latchkey/verify"
)

// TokenHeader is where a gateway shows its token, if not in the path.
const TokenHeader = "Latchkey-Gateway"

// prefix begins every path; behind it is the token, or inHeader, and then
// whatever the gateway adds.
const (
	prefix   = "/gateway/"
	inHeader = "-"
	pattern  = "/gateway/{token}/" // what the log is told: a token is never written there
)

// maxVerifying is how many requests may be in flight.
const maxVerifying = 1024

// Config is what the face is made of. Every field is required but Observe.
type Config struct {
	Door     *door.Door
	Verifier *verify.Verifier
	Gateways *verify.Gateways
	Observe  func(latchkey.Code) // is told of every verdict; nil tells nobody
}

// API is the face. It is safe for concurrent use.
type API struct {
	Config
	verifying door.Bound
}

// New makes the face.
func New(config Config) *API {
	if config.Observe == nil {
		config.Observe = func(latchkey.Code) {}
	}
	return &API{Config: config, verifying: make(door.Bound, maxVerifying)}
}

// Serves reports whether the path is one of ours, by the length of what says so.
func (api *API) Serves(path string) int {
	if strings.HasPrefix(path, prefix) {
		return len(prefix)
	}
	return 0
}

// Handler answers gateways.
func (api *API) Handler() http.Handler {
	return api.Door.Guard(http.HandlerFunc(api.serve), func(w http.ResponseWriter, _ *http.Request, err error) {
		refused := refusal{codeRefused, http.StatusForbidden}
		if code := latchkey.CodeOf(err); code != latchkey.CodeNotFound {
			refused = refusal{string(latchkey.CodeVerifyUnavailable), http.StatusServiceUnavailable}
		}
		refused.tell(w, "")
	})
}

// Codes of refusals that are no verdict on a key.
const (
	codeGateway = "gateway_unknown" // whoever asks is no gateway of ours, or does not show its token where it should
	codeRefused = "request_refused" // which request it is about cannot be told for sure
	codeNoRoute = "no_route"        // no route of the gateway is for it
)

// refusal is why nothing is let through.
type refusal struct {
	code   string
	status int
}

func refused(code string) *refusal { return &refusal{code, http.StatusForbidden} }

// verdict is the refusal that a verdict is.
func verdict(code latchkey.Code) *refusal { return &refusal{string(code), code.HTTPStatus()} }

func (api *API) serve(w http.ResponseWriter, r *http.Request) {
	door.NoteRoute(w, pattern)
	if !api.verifying.Enter() {
		w.Header().Set("Retry-After", "1")
		verdict(latchkey.CodeVerifyUnavailable).tell(w, "")
		return
	}
	defer api.verifying.Leave()
	g, rest, no := api.gateway(r)
	if no != nil {
		no.tell(w, "")
		return
	}
	door.NoteCaller(w, g.ID.Native(latchkey.KindGateway))
	who, no := api.judge(r, g, rest)
	if no != nil {
		no.tell(w, g.Profile)
		return
	}
	tellIdentity(w.Header(), who)
	w.Header()["X-Latchkey-Code"] = []string{string(latchkey.CodeValid)}
	w.WriteHeader(http.StatusOK)
}

// gateway finds out who asks. rest is what stands in the path behind the token.
func (api *API) gateway(r *http.Request) (_ *latchkey.Gateway, rest string, _ *refusal) {
	path, ok := strings.CutPrefix(r.RequestURI, prefix)
	if !ok {
		return nil, "", refused(codeGateway)
	}
	shown := path
	if end := strings.IndexAny(path, "/?"); end >= 0 {
		shown, rest = path[:end], path[end:]
	}
	headers, place := r.Header[TokenHeader], latchkey.TokenInPath
	if shown == inHeader && len(headers) == 1 {
		shown, place = headers[0], latchkey.TokenInHeader
	} else if len(headers) > 0 {
		return nil, "", refused(codeGateway) // two credentials
	}
	g, err := api.Gateways.Find(r.Context(), latchkey.NewPlaintext(shown))
	switch {
	case errors.Is(err, verify.ErrNoGateway), err == nil && g.Place != place:
		return nil, "", refused(codeGateway)
	case err != nil:
		api.fault(r.Context(), err)
		return nil, "", verdict(latchkey.CodeVerifyUnavailable)
	}
	return g, rest, nil
}

// fault logs that gateways cannot be read.
func (api *API) fault(ctx context.Context, err error) {
	if ctx.Err() == nil { // or the gateway hung up
		api.Door.Log.LogAttrs(ctx, slog.LevelError, "gateways without the store", slog.Any("error", err))
	}
}

// judge decides about the request that came to the gateway. A key that is not
// valid is told as such whatever it asked for.
func (api *API) judge(r *http.Request, g *latchkey.Gateway, rest string) (*verify.Identity, *refusal) {
	asked, ok := read(r, g.Profile, rest)
	if !ok {
		return nil, refused(codeRefused)
	}
	key, ok := keyOf(r.Header, g.KeyHeaders)
	if !ok {
		api.Observe(latchkey.CodeMalformed)
		return nil, verdict(latchkey.CodeMalformed)
	}
	route, about, routed := g.Route(asked.method, asked.host, asked.path)
	question := verify.Request{Key: key, Environment: g.Environment, Address: asked.client, Agent: r.UserAgent()}
	if !g.All {
		question.Within.Organization = g.Organization
	}
	if routed {
		question.Scopes, question.Resource = route.Scopes, about
	}
	v := api.Verifier.Verify(r.Context(), &question)
	api.Observe(v.Code)
	switch {
	case v.Code != latchkey.CodeValid || v.Identity == nil:
		return nil, verdict(v.Code)
	case !routed:
		return nil, refused(codeNoRoute)
	}
	return v.Identity, nil
}

// keyOf reads the client's key. ok is false where there is none, where a header
// that may hold one is there twice or holds something else, and where two hold
// different ones.
func keyOf(h http.Header, names []string) (key latchkey.Plaintext, ok bool) {
	for _, name := range names {
		values := h.Values(name)
		if len(values) == 0 {
			continue
		}
		text := values[0]
		if name == "authorization" {
			bearer, good := door.Bearer(h)
			if !good {
				return latchkey.Plaintext{}, false
			}
			text = bearer.Expose()
		}
		if len(values) > 1 || text == "" || ok && text != key.Expose() {
			return latchkey.Plaintext{}, false
		}
		key, ok = latchkey.NewPlaintext(text), true
	}
	return key, ok
}
