package client

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Signer signs requests in the name of a key (RFC 9421, profile apikey-v1), so
// that whoever sees one can neither alter it nor send it again. It is safe for
// concurrent use.
type Signer struct {
	kid  string
	sign func(base []byte) []byte
	now  func() time.Time
}

// NewSigner signs with the signing key that was told when the key was made. kid is
// the public key id of the key's secret: see [KID].
func NewSigner(kid string, signingKey Secret) (*Signer, error) {
	if !isKID(kid) || signingKey.Expose() == "" {
		return nil, errors.New("latchkey: a signer needs the key's kid (16 letters and digits) and its signing key")
	}
	return &Signer{kid, func(base []byte) []byte {
		mac := hmac.New(sha256.New, []byte(signingKey.Expose()))
		mac.Write(base)
		return mac.Sum(nil)
	}, time.Now}, nil
}

// NewPairSigner signs with the private half of the pair whose public half is
// registered with the key.
func NewPairSigner(kid string, private ed25519.PrivateKey) (*Signer, error) {
	if !isKID(kid) || len(private) != ed25519.PrivateKeySize {
		return nil, errors.New("latchkey: a signer needs the key's kid (16 letters and digits) and an Ed25519 private key")
	}
	return &Signer{kid, func(base []byte) []byte { return ed25519.Sign(private, base) }, time.Now}, nil
}

const kidLen = 16

func isKID(kid string) bool {
	return len(kid) == kidLen && !strings.ContainsFunc(kid, func(r rune) bool { return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') })
}

// KID is the public key id in a key, whole or masked; "" if there is none, as in
// a key that was made elsewhere.
func KID(key Secret) string {
	s := key.Expose()
	if rest, ok := strings.CutPrefix(s, "sk-"); ok {
		s = rest
	} else if parts := strings.SplitN(s, "_", 4); len(parts) == 4 {
		s = parts[2]
	} else {
		return ""
	}
	if s = s[:min(len(s), kidLen)]; !isKID(s) {
		return ""
	}
	return s
}

// MaxSignedBody is the longest body that is read to be signed or checked, in
// bytes, unless another bound is given.
const MaxSignedBody = 32 << 20

// Sign signs the request as it is: nothing of its method, address and body may
// change afterwards. The body is read, and put back. A signature is good for one
// use within five minutes.
func (s *Signer) Sign(r *http.Request) error {
	authority, target, err := addressOf(r)
	if err != nil {
		return err
	}
	body, err := readBody(r, MaxSignedBody)
	if err != nil {
		return err
	}
	r.Host = authority // as it is signed
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	path, query, _ := strings.Cut(target, "?")
	covered := []string{"@method", method, "@authority", authority, "@path", path, "@query", "?" + query}
	r.Header.Del("Content-Digest")
	if len(body) > 0 || mayHaveBody(method) {
		sum := sha256.Sum256(body)
		r.Header.Set("Content-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
		covered = append(covered, "content-digest", r.Header.Get("Content-Digest"))
	}
	var names, lines strings.Builder
	for i := 0; i < len(covered); i += 2 {
		if strings.ContainsFunc(covered[i+1], func(r rune) bool { return r < ' ' || r > '~' }) {
			return errors.New("latchkey: the request's method or address is not printable ASCII")
		}
		fmt.Fprintf(&names, " %q", covered[i])
		fmt.Fprintf(&lines, "%q: %s\n", covered[i], covered[i+1])
	}
	params := fmt.Sprintf(`(%s);created=%d;nonce="%s";keyid="%s";tag="apikey-v1"`, names.String()[1:], s.now().Unix(), rand.Text(), s.kid)
	value := s.sign([]byte(lines.String() + `"@signature-params": ` + params))
	r.Header.Set("Signature-Input", "sig1="+params)
	r.Header.Set("Signature", "sig1=:"+base64.StdEncoding.EncodeToString(value)+":")
	return nil
}

// mayHaveBody reports whether a request with this method may have a body that
// means something (RFC 9110, section 9.3): its digest is signed though it is
// empty, so that nobody can give it one.
func mayHaveBody(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodOptions, http.MethodTrace:
		return false
	}
	return true
}

// addressOf is whom the request is for, as the field Host will say it, and the
// path and query as they will be sent.
func addressOf(r *http.Request) (authority, target string, err error) {
	if authority = r.Host; authority == "" {
		authority = r.URL.Host
	}
	authority = strings.ToLower(authority)
	switch r.URL.Scheme {
	case "https":
		authority = strings.TrimSuffix(authority, ":443")
	case "http":
		authority = strings.TrimSuffix(authority, ":80")
	}
	target = r.URL.RequestURI()
	if authority == "" || target == "" || target[0] != '/' {
		return "", "", errors.New("latchkey: only a request for a path at a host can be signed")
	}
	return authority, target, nil
}

// ErrBodyTooLarge says that a body is longer than may be read.
var ErrBodyTooLarge = errors.New("latchkey: the body is too long to be signed or checked")

// readBody reads the request's body, up to most bytes, and puts it back.
func readBody(r *http.Request, most int64) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if r.ContentLength > most {
		return nil, ErrBodyTooLarge
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, most+1))
	closed := r.Body.Close()
	switch {
	case err != nil:
		return nil, err
	case int64(len(body)) > most:
		return nil, ErrBodyTooLarge
	case closed != nil:
		return nil, closed
	}
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.Body, _ = r.GetBody() // which cannot fail
	r.ContentLength = int64(len(body))
	return body, nil
}

// Transport signs every request and sends it by base, which is
// [http.DefaultTransport] if it is nil. A request is signed each time that it is
// sent, also when a redirect is followed, for a signature is good for one use.
func (s *Signer) Transport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return &signing{s, base}
}

type signing struct {
	signer *Signer
	base   http.RoundTripper
}

// RoundTrip implements http.RoundTripper. It leaves the caller's request as it
// is, but for its body.
func (t *signing) RoundTrip(r *http.Request) (*http.Response, error) {
	signed := r.Clone(r.Context())
	if err := t.signer.Sign(signed); err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // the failure to sign is what is told
		}
		return nil, err
	}
	// Nobody may send it again by himself: its nonce is spent.
	signed.GetBody = nil
	return t.base.RoundTrip(signed)
}
