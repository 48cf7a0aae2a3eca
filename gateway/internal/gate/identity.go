package gate

import (
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
	var room [256]byte // of which one text is made, and cut
	b := who.KeyID.AppendNative(room[:0], latchkey.KindKey)
	atOrganization := len(b)
	b = who.Key.Organization.AppendNative(b, latchkey.KindOrganization)
	atOwner := len(b)
	b = who.Key.Owner.AppendNative(b, latchkey.KindUser)
	atScopes := len(b)
	for i, p := range who.Grant.Permissions {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, p...)
	}
	text := string(b)
	told := Identity{
		subject: text[atOwner:atScopes], keyID: text[:atOrganization], organization: text[atOrganization:atOwner],
		partner: encode(who.Key.Partner), scopes: text[atScopes:], role: who.Role,
	}
	if who.Key.Owner.IsZero() {
		told[subject] = told[keyID]
	}
	return told
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
