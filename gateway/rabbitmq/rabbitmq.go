package rabbitmq

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

// Every path is prefix, the broker's token, a slash and the question.
const (
	prefix  = "/integrations/rabbitmq/"
	pattern = "/integrations/rabbitmq/{token}/" // what the log is told: a token is never written there
)

// maxAsking is how many questions may be in flight.
const maxAsking = 512

// Config is what the face is made of. Every field is required but Observe.
type Config struct {
	Door     *door.Door
	Gateways *verify.Gateways
	Named    *verify.Named
	Observe  func(latchkey.Code) // is told of every verdict; nil tells nobody
}

// API is the face. It is safe for concurrent use.
type API struct {
	Config
	asking    door.Bound
	questions map[string]question
}

// question is one of those that a broker asks.
type question func(ctx context.Context, g *latchkey.Gateway, f form) latchkey.Code

// New makes the face.
func New(config Config) *API {
	if config.Observe == nil {
		config.Observe = func(latchkey.Code) {}
	}
	api := &API{Config: config, asking: make(door.Bound, maxAsking)}
	api.questions = map[string]question{"user": api.user, "vhost": api.vhost, "resource": api.resource, "topic": api.topic}
	return api
}

// Serves reports whether the path is one of ours, by the length of what says so.
func (api *API) Serves(path string) int {
	if strings.HasPrefix(path, prefix) {
		return len(prefix)
	}
	return 0
}

// Handler answers brokers.
func (api *API) Handler() http.Handler {
	return api.Door.Guard(http.HandlerFunc(api.serve), func(w http.ResponseWriter, _ *http.Request, err error) {
		if latchkey.CodeOf(err) == latchkey.CodeNotFound {
			answer(w, latchkey.CodeMalformed)
			return
		}
		answer(w, latchkey.CodeVerifyUnavailable)
	})
}

func (api *API) serve(w http.ResponseWriter, r *http.Request) {
	door.NoteRoute(w, pattern)
	if !api.asking.Enter() {
		answer(w, latchkey.CodeVerifyUnavailable)
		return
	}
	defer api.asking.Leave()
	shown, asked, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), prefix), "/")
	g, err := api.Gateways.Find(r.Context(), latchkey.NewPlaintext(shown))
	if err == nil && g.Profile != latchkey.ProfileRabbitMQ {
		err = verify.ErrNoGateway
	}
	if err != nil {
		api.stranger(w, r, err)
		return
	}
	door.NoteCaller(w, g.ID.Native(latchkey.KindGateway))
	door.NoteRoute(w, pattern+known(api.questions, asked))
	ask, f := api.questions[asked], form(nil)
	if ask != nil {
		f = read(w, r)
	}
	if f == nil {
		answer(w, latchkey.CodeMalformed)
		return
	}
	code := ask(r.Context(), g, f)
	api.Observe(code)
	answer(w, code)
}

// known is the question, or nothing: what a client made up is not logged.
func known(questions map[string]question, asked string) string {
	if questions[asked] == nil {
		return ""
	}
	return asked
}

// stranger answers whoever is no broker of ours, or cannot be told from one now.
func (api *API) stranger(w http.ResponseWriter, r *http.Request, err error) {
	if !errors.Is(err, verify.ErrNoGateway) {
		if r.Context().Err() == nil { // or the broker hung up
			api.Door.Log.LogAttrs(r.Context(), slog.LevelError, "brokers without the store", slog.Any("error", err))
		}
		answer(w, latchkey.CodeVerifyUnavailable)
		return
	}
	err = api.Door.Throttled(w, r, &latchkey.Error{Code: latchkey.CodeUnauthenticated})
	if latchkey.CodeOf(err) == latchkey.CodeTooManyRequests {
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	answer(w, latchkey.CodeUnknown)
}

// answer is how a broker is told: whatever is not known to be allowed is not.
func answer(w http.ResponseWriter, code latchkey.Code) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/plain")
	status, word := http.StatusOK, "deny"
	switch code {
	case latchkey.CodeValid:
		word = "allow"
	case latchkey.CodeVerifyUnavailable:
		status, word = http.StatusServiceUnavailable, "unavailable"
	default: // every other verdict is a refusal
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(word)) // the broker hung up
}
