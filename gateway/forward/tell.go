package forward

import (
	"net/http"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/verify"
)

// IdentityHeaders are told with every answer, empty where there is nothing to
// say, so that a gateway which copies them leaves none of the client's own. The
// assertion is reserved.
func IdentityHeaders() []string {
	return []string{
		"X-Latchkey-Subject", "X-Latchkey-Key-Id", "X-Latchkey-Organization", "X-Latchkey-Partner", "X-Latchkey-Scopes", "X-Latchkey-Role",
		"X-Latchkey-Assertion",
	}
}

// tellIdentity says who it is: the subject is the user who owns the key, or the
// key itself. Free text is percent-encoded (RFC 3986, section 2.1), scopes stand
// between spaces. nil is nobody.
func tellIdentity(h http.Header, who *verify.Identity) {
	told := make([]string, 7)
	if who != nil {
		key := who.KeyID.Native(latchkey.KindKey)
		told[0], told[1] = key, key
		if !who.Key.Owner.IsZero() {
			told[0] = who.Key.Owner.Native(latchkey.KindUser)
		}
		told[2] = who.Key.Organization.Native(latchkey.KindOrganization)
		told[3] = encode(who.Key.Partner)
		told[4] = spaced(who.Grant.Permissions)
		told[5] = who.Role
	}
	for i, name := range [7]string{
		"X-Latchkey-Subject", "X-Latchkey-Key-Id", "X-Latchkey-Organization", "X-Latchkey-Partner", "X-Latchkey-Scopes", "X-Latchkey-Role",
		"X-Latchkey-Assertion",
	} {
		h[name] = told[i : i+1 : i+1]
	}
	h["Cache-Control"] = []string{"no-store"}
	h["Content-Length"] = []string{"0"}
}

// tell answers with a refusal. A gateway that understands no other refusals than
// 401 and 403 is told 403 where it would be 429.
func (no *refusal) tell(w http.ResponseWriter, profile latchkey.Profile) {
	h := w.Header()
	tellIdentity(h, nil)
	h["X-Latchkey-Code"] = []string{no.code}
	status := no.status
	switch status {
	case http.StatusUnauthorized:
		h["Www-Authenticate"] = []string{"Bearer"}
	case http.StatusTooManyRequests:
		if h.Get("Retry-After") == "" {
			h["Retry-After"] = []string{"1"}
		}
		if profile == latchkey.ProfileNginx {
			status = http.StatusForbidden
		}
	}
	w.WriteHeader(status)
}

func spaced(permissions latchkey.Permissions) string {
	n := len(permissions)
	for _, p := range permissions {
		n += len(p)
	}
	var b strings.Builder
	b.Grow(n)
	for i, p := range permissions {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(string(p))
	}
	return b.String()
}

// encode writes everything but unreserved characters in percent encoding.
func encode(s string) string {
	const digits = "0123456789ABCDEF"
	plain := func(c byte) bool {
		return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '.' || c == '_' || c == '~'
	}
	i := 0
	for i < len(s) && plain(s[i]) {
		i++
	}
	if i == len(s) {
		return s
	}
	out := append(make([]byte, 0, 3*len(s)), s[:i]...)
	for ; i < len(s); i++ {
		if c := s[i]; plain(c) {
			out = append(out, c)
		} else {
			out = append(out, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(out)
}
