package door

import (
	"net/http"
	"strings"

	"latchkey.dev/latchkey"
)

// Bearer reads the credential of the Authorization header (RFC 6750, section
// 2.1). ok is false unless the header is there once and holds one.
func Bearer(h http.Header) (credential latchkey.Plaintext, ok bool) {
	return BearerOf(h.Values("Authorization"))
}

// BearerOf is Bearer of the header's lines.
func BearerOf(values []string) (credential latchkey.Plaintext, ok bool) {
	if len(values) != 1 {
		return latchkey.Plaintext{}, false
	}
	scheme, text, found := strings.Cut(values[0], " ")
	if !found || !strings.EqualFold(scheme, "Bearer") || text == "" {
		return latchkey.Plaintext{}, false
	}
	return latchkey.NewPlaintext(text), true
}

// Credentials reads the bearer credential and those in the named headers, each of
// which holds nothing but one. ok is false where there is none, and where any of
// these headers is there without a credential or more than once: a broken
// credential is refused beside a good one as well.
func Credentials(h http.Header, headers ...string) (shown []latchkey.Plaintext, ok bool) {
	if len(h.Values("Authorization")) > 0 {
		bearer, ok := Bearer(h)
		if !ok {
			return nil, false
		}
		shown = append(shown, bearer)
	}
	for _, name := range headers {
		values := h.Values(name)
		if len(values) == 0 {
			continue
		}
		if len(values) > 1 || values[0] == "" {
			return nil, false
		}
		shown = append(shown, latchkey.NewPlaintext(values[0]))
	}
	return shown, len(shown) > 0
}
