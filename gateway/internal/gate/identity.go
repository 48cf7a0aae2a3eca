package gate

import (
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/verify"
)

// Identity is what an API is told of who it is, in the order of
// [IdentityHeaders]; the zero value is nobody.
type Identity [7]string

const (
	subject = iota
	keyID
	organization
	partner
	scopes
	role
	signedAssertion
)

// IdentityHeaders are the names under which an API is told who it is, in the
// spelling of HTTP/1.1.
func IdentityHeaders() [7]string {
	return [7]string{
		"X-Latchkey-Subject", "X-Latchkey-Key-Id", "X-Latchkey-Organization", "X-Latchkey-Partner", "X-Latchkey-Scopes", "X-Latchkey-Role",
		"X-Latchkey-Assertion",
	}
}

// spell says who it is: the subject is the user who owns the key, or the key
// itself. Free text is percent-encoded (RFC 3986, section 2.1), scopes stand
// between spaces.
func spell(who *verify.Identity) Identity {
	key := who.KeyID.Native(latchkey.KindKey)
	told := Identity{
		subject: key, keyID: key, organization: who.Key.Organization.Native(latchkey.KindOrganization),
		partner: encode(who.Key.Partner), scopes: spaced(who.Grant.Permissions), role: who.Role,
	}
	if !who.Key.Owner.IsZero() {
		told[subject] = who.Key.Owner.Native(latchkey.KindUser)
	}
	return told
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
