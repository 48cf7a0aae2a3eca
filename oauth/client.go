package oauth

import (
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/internal/door"
)

// shown is how a client authenticates (RFC 6749, section 2.3.1).
type shown struct {
	id     string
	secret latchkey.Plaintext
	bearer bool // a key or a token of ours in the place of both (RFC 6750, section 2.1)
}

// client reads what the client shows of itself; nil for nothing. It shows one
// thing: two ways at once are refused, whatever they hold.
func (x *exchange) client() (*shown, error) {
	headers := x.r.Header.Values("Authorization")
	id, secret := x.form.get("client_id"), x.form.secret("client_secret")
	switch {
	case len(headers) > 1, len(headers) == 1 && !secret.Empty():
		return nil, refused(invalidRequest, "Authenticate in one way, once.")
	case len(headers) == 1:
		s, err := readHeader(x.r.Header)
		if err != nil {
			return nil, err
		}
		if !s.bearer && id != "" && id != s.id {
			return nil, refused(invalidRequest, "client_id names another client than the Authorization header.")
		}
		return s, nil
	case !secret.Empty() && id == "":
		return nil, refused(invalidRequest, "client_secret goes with client_id.")
	case !secret.Empty():
		return &shown{id: id, secret: secret}, nil
	}
	return nil, nil
}

func readHeader(h http.Header) (*shown, error) {
	if bearer, ok := door.Bearer(h); ok {
		return &shown{secret: bearer, bearer: true}, nil
	}
	unreadable := refused(invalidClient, "Authenticate as Basic with the kid of your key and the key, each form-encoded.")
	scheme, text, _ := strings.Cut(h.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Basic") {
		return nil, unreadable
	}
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, unreadable
	}
	user, password, found := strings.Cut(string(decoded), ":")
	id, err := url.QueryUnescape(user)
	secret, err2 := url.QueryUnescape(password)
	if err != nil || err2 != nil || !found || id == "" || secret == "" {
		return nil, unreadable
	}
	return &shown{id: id, secret: latchkey.NewPlaintext(secret)}, nil
}

// authenticate finds out which key the client is. A failure counts against the
// source of the request.
func (x *exchange) authenticate(s *shown) error {
	caller, err := x.identify(s)
	if err != nil {
		told := translate(x.api.Throttled(x.w, x.r, err))
		if told.bearer = s.bearer; s.bearer && told.code == invalidClient {
			told.code = invalidToken
		}
		return told
	}
	door.NoteCaller(x.w, caller.Name())
	caller.RequestID = x.RequestID
	x.Caller = caller
	return nil
}

func (x *exchange) identify(s *shown) (authority.Caller, error) {
	caller, _, err := x.api.Authority.Authenticate(x.r.Context(), s.secret, x.api.ClientAddress(x.r), x.r.UserAgent())
	switch {
	case err != nil || s.bearer:
		return caller, err
	case caller.Token != nil || subtle.ConstantTimeCompare([]byte(caller.KID), []byte(s.id)) == 0:
		return authority.Caller{}, latchkey.Errorf(latchkey.CodeUnauthenticated, "The client_id is the kid of your key, the client_secret the key itself.")
	}
	return caller, nil
}
