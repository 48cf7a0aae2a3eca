package forward

import (
	"net/http"
	"net/netip"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/gateway/internal/gate"
	"latchkey.dev/latchkey/internal/door"
)

// prefix begins every path; behind it is the token, or inHeader, and then
// whatever the gateway adds.
const (
	prefix   = "/gateway/"
	inHeader = "-"
	pattern  = "/gateway/{token}/" // what the log is told: a token is never written there
)

// Config is what the face is made of.
type Config = gate.Config

// API is the face. It is safe for concurrent use.
type API struct{ *gate.Gate }

// New makes the face.
func New(config Config) *API { return &API{gate.New(config)} }

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
		no := gate.Unclear()
		if latchkey.CodeOf(err) != latchkey.CodeNotFound {
			no = gate.Verdict(latchkey.CodeVerifyUnavailable)
		}
		refuse(w, no, "")
	})
}

func (api *API) serve(w http.ResponseWriter, r *http.Request) {
	door.NoteRoute(w, pattern)
	if !api.Verifying.Enter() {
		refuse(w, gate.Busy(), "")
		return
	}
	defer api.Verifying.Leave()
	g, rest, no := api.gateway(r)
	if no != nil {
		refuse(w, no, "")
		return
	}
	door.NoteID(w, g.ID, latchkey.KindGateway)
	door.NoteOften(w)
	in, ok := read(r, g, rest)
	if !ok {
		refuse(w, gate.Unclear(), g.Profile)
		return
	}
	who, no := api.Judge(r.Context(), g, &in)
	if no != nil {
		refuse(w, no, g.Profile)
		return
	}
	tellIdentity(w.Header(), who, string(latchkey.CodeValid))
	w.WriteHeader(http.StatusOK)
}

// gateway finds out who asks. rest is what stands in the path behind the token.
func (api *API) gateway(r *http.Request) (_ *latchkey.Gateway, rest string, _ *gate.Refusal) {
	shown := strings.TrimPrefix(r.RequestURI, prefix)
	if end := strings.IndexAny(shown, "/?"); end >= 0 {
		shown, rest = shown[:end], shown[end:]
	}
	origin := func() (from, peer netip.Addr) {
		peer = door.Peer(r)
		return api.Door.ClientAddressBehind(peer, r), peer
	}
	headers, place := r.Header[gate.TokenHeader], latchkey.TokenInPath
	if shown == inHeader && len(headers) == 1 {
		shown, place = headers[0], latchkey.TokenInHeader
	} else if len(headers) > 0 {
		return nil, "", api.Unknown(origin) // two credentials
	}
	g, no := api.Find(r.Context(), latchkey.NewPlaintext(shown), place, origin)
	return g, rest, no
}
