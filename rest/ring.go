package rest

import (
	"net/http"
	"strconv"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
)

type ringAnswer struct {
	Fingerprint string              `json:"fingerprint" doc:"Names the ring."`
	Versions    []ringVersionAnswer `json:"versions" nullable:"false"`
}

type ringVersionAnswer struct {
	Version     int    `json:"version"`
	State       string `json:"state" enum:"pending,active,retiring,retired"`
	Fingerprint string `json:"fingerprint"`
	CreatedAt   moment `json:"created_at"`
	Secrets     int64  `json:"secrets" doc:"How many secrets of keys that are not revoked depend on it."`
}

func spellRingVersion(s *authority.RingStatus) ringVersionAnswer {
	return ringVersionAnswer{s.Number, string(s.State), s.Fingerprint, moment(s.CreatedAt), s.Secrets}
}

func (api *API) getRing(x *exchange) error {
	versions, err := api.Authority.RingStatus(x.r.Context(), &x.Call)
	if err != nil {
		return err
	}
	out := ringAnswer{Fingerprint: api.Authority.Ring.Fingerprint()}
	for i := range versions {
		out.Versions = append(out.Versions, spellRingVersion(&versions[i]))
	}
	return x.answer(out)
}

func (api *API) addRingVersion(x *exchange) error {
	v, _, err := api.Authority.AddRingVersion(x.r.Context(), &x.Call)
	if err != nil {
		return err
	}
	return x.answer(spellRingVersion(&authority.RingStatus{Version: v}))
}

func (api *API) activateRingVersion(x *exchange) error {
	return x.changeRing(func(n int) (authority.Effective, error) {
		return api.Authority.ActivateRingVersion(x.r.Context(), &x.Call, n)
	})
}

type retireInput struct {
	Force bool `json:"force" required:"false" doc:"Let the secrets die that depend on it."`
}

func (api *API) retireRingVersion(x *exchange) error {
	return x.changeRing(func(n int) (authority.Effective, error) {
		return api.Authority.RetireRingVersion(x.r.Context(), &x.Call, n, x.in.(*retireInput).Force)
	})
}

func (x *exchange) changeRing(change func(n int) (authority.Effective, error)) error {
	n, err := strconv.Atoi(x.r.PathValue("version"))
	if err != nil {
		n = 0 // versions begin with 1
	}
	e, err := change(n)
	if latchkey.CodeOf(err) == latchkey.CodeNotFound {
		return latchkey.Errorf(latchkey.CodeNotFound, "The key ring has no such version; GET /v1/keyring lists those that it has.")
	}
	if err != nil {
		return err
	}
	return x.answer(effectiveAnswer{spellEffective(e)})
}

type healthAnswer struct {
	Status string `json:"status" enum:"ok"`
}

type readinessAnswer struct {
	Status   string   `json:"status" enum:"ok"`
	Warnings []string `json:"warnings" description:"What the operator should know all the same; empty if there is nothing."`
}

func (api *API) health(x *exchange) error { return x.answer(healthAnswer{"ok"}) }

func (api *API) readiness(x *exchange) error {
	if err := api.Ready(x.r.Context()); err != nil {
		return &latchkey.Error{Code: latchkey.CodeUnavailable, Detail: "This node should get no traffic now; the log says why.", Cause: err}
	}
	answer := readinessAnswer{"ok", []string{}}
	if warning := api.Warning(x.r.Context()); warning != "" {
		answer.Warnings = append(answer.Warnings, warning)
	}
	return x.answer(answer)
}

func (api *API) serveDocument(w http.ResponseWriter, _ *http.Request) {
	send(w, "application/json", "no-cache", api.document)
}

func (api *API) servePage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Security-Policy", api.pagePolicy)
	w.Header().Set("Referrer-Policy", "no-referrer")
	send(w, "text/html; charset=utf-8", "no-cache", api.page)
}

func send(w http.ResponseWriter, contentType, caching string, data []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", caching)
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	_, _ = w.Write(data)
}
