package oauth

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"latchkey.dev/latchkey"
)

// maxForm bounds a body, in bytes: two credentials and a list of scopes.
const maxForm = 64 << 10

// form is the parameters of a request. Those that are sent without a value are
// left out (RFC 6749, section 3.2), and no name is there twice but those of which
// a request may have several.
type form map[string][]string

// manifold are the parameters that may be there more than once (RFC 8693, section
// 2.1; RFC 8707, section 2).
func manifold(name string) bool { return name == "audience" || name == "resource" }

// get is the one value of a parameter; "" where it is not there.
func (f form) get(name string) string {
	if len(f[name]) == 0 {
		return ""
	}
	return f[name][0]
}

// secret is a parameter that holds a credential.
func (f form) secret(name string) latchkey.Plaintext { return latchkey.NewPlaintext(f.get(name)) }

// readForm reads the body of a request (RFC 6749, appendix B). Parameters in the
// query are refused: they stay behind in logs.
func readForm(w http.ResponseWriter, r *http.Request) (form, error) {
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		return nil, refused(invalidRequest, "Send the parameters in the body; the query of an address stays behind in logs.")
	}
	media, parameters, err := mime.ParseMediaType(strings.Join(r.Header.Values("Content-Type"), ","))
	charset, given := parameters["charset"]
	if err != nil || media != "application/x-www-form-urlencoded" || given && !strings.EqualFold(charset, "utf-8") {
		return nil, refused(invalidRequest, "Send the parameters as application/x-www-form-urlencoded.")
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, latchkey.Errorf(latchkey.CodeTooLarge, "The body may have at most %d bytes.", maxForm)
	}
	if err != nil {
		return nil, refused(invalidRequest, "The body ended early or came too slowly; send it again.")
	}
	return parseForm(string(text))
}

func parseForm(text string) (form, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, refused(invalidRequest, "The body is not a form; encode each name and value.")
	}
	f := form{}
	for name, given := range values {
		if !readable(name) || slices.ContainsFunc(given, func(v string) bool { return !readable(v) }) {
			return nil, refused(invalidRequest, "Parameters are UTF-8 text without control characters.")
		}
		given = slices.DeleteFunc(given, func(v string) bool { return v == "" })
		if len(given) > 1 && !manifold(name) {
			return nil, refused(invalidRequest, "A parameter is there more than once.")
		}
		if len(given) > 0 {
			f[name] = given
		}
	}
	return f, nil
}

func readable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}
