package forward

import (
	"net/http"
	"strconv"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/gateway/internal/gate"
)

// tellIdentity says who it is. Every header is told, empty where there is nothing
// to say, so that a gateway which copies them leaves none of the client's own.
func tellIdentity(h http.Header, who gate.Identity, code string) {
	told := make([]string, len(who)+3) // one array for all of them
	for i, name := range gate.IdentityHeaders() {
		told[i] = who[i]
		h[name] = told[i : i+1 : i+1]
	}
	for i, line := range [3][2]string{{"Cache-Control", "no-store"}, {"Content-Length", "0"}, {"X-Latchkey-Code", code}} {
		at := len(who) + i
		told[at] = line[1]
		h[line[0]] = told[at : at+1 : at+1]
	}
}

// refuse answers with a refusal. A gateway that understands no other refusals
// than 401 and 403 is told 403 where it would be 429.
func refuse(w http.ResponseWriter, no *gate.Refusal, profile latchkey.Profile) {
	h := w.Header()
	tellIdentity(h, gate.Identity{}, no.Code)
	if no.RetryAfter > 0 {
		h["Retry-After"] = []string{strconv.Itoa(int(no.RetryAfter / time.Second))}
	}
	status := no.Status
	switch {
	case status == http.StatusUnauthorized:
		h["Www-Authenticate"] = []string{"Bearer"}
	case status == http.StatusTooManyRequests && profile == latchkey.ProfileNginx:
		status = http.StatusForbidden
	}
	w.WriteHeader(status)
}
