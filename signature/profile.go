package signature

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"

	"latchkey.dev/latchkey"
)

// The profile's names.
const (
	Label = "sig1"
	Tag   = "apikey-v1"
)

// A nonce has this many characters.
const (
	MinNonce = 16
	MaxNonce = 128
)

// Message is what a request has that a signature may cover. Each value is as it
// came: nothing is decoded, trimmed or folded on the way here.
type Message struct {
	Method        string
	Authority     string // host, and port unless it is the scheme's own: the field Host
	Path          string // "" is "/"
	Query         string // behind the question mark
	Input         string // the field Signature-Input; several lines have ", " between them
	Value         string // the field Signature, likewise
	ContentDigest string // the field of that name; "": there is none

	// Body is the SHA-256 of the body; nil: whoever asks has not seen it. Then a
	// request that could have one must be covered by Content-Digest, and whoever
	// takes the body must compare it.
	Body *[sha256.Size]byte
}

// Signed is a request whose signature has the profile's form. Nothing is known
// yet of who made it.
type Signed struct {
	KeyID   string
	Created int64 // Unix seconds
	Nonce   string
	Digest  bool // it covers the digest of a body

	algorithm latchkey.SigningAlgorithm // "": it names none
	base      string
	value     string
}

// Read reads a request's signature. The error says what is not as the profile has
// it, in words for whoever signs.
func Read(m *Message) (*Signed, error) {
	in, value, err := m.signature()
	if err != nil {
		return nil, err
	}
	s := &Signed{value: value}
	if s.Digest, err = covered(in.Components); err != nil {
		return nil, err
	}
	if err := s.parameters(in.params); err != nil {
		return nil, err
	}
	if err := m.checkDigest(s.Digest); err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	s.base, err = in.Base(m.component)
	return s, err
}

// signature finds the profile's signature among those that the request has.
func (m *Message) signature() (*Input, string, error) {
	inputs, err := ParseInput(m.Input)
	if err != nil {
		return nil, "", fmt.Errorf("Signature-Input cannot be read: %w", err)
	}
	values, err := parseDictionary(m.Value)
	if err != nil {
		return nil, "", fmt.Errorf("Signature cannot be read: %w", err) //nolint:staticcheck // the field's name
	}
	at := slices.IndexFunc(inputs, func(in Input) bool { return in.Label == Label })
	value, ok := find(values, Label)
	if at < 0 || !ok {
		return nil, "", errors.New("Signature-Input and Signature have no member sig1 each")
	}
	if value.list || value.items[0].value.kind != kindBytes || len(value.params) > 0 {
		return nil, "", errors.New("sig1 in Signature is not one byte sequence without parameters")
	}
	return &inputs[at], value.items[0].value.text, nil
}

// Components are what a signature covers, in this order; the last one only where
// the request has a body.
func Components() []string {
	return []string{"@method", "@authority", "@path", "@query", "content-digest"}
}

// covered reports whether the digest is among the components.
func covered(given []Component) (digest bool, err error) {
	want := Components()
	digest = len(given) == len(want)
	if !digest {
		want = want[:len(want)-1]
	}
	if !slices.EqualFunc(given, want, func(c Component, name string) bool { return c.Name == name && len(c.params) == 0 }) {
		return false, fmt.Errorf(`it covers other components than "%s", and "content-digest" behind them where there is a body`, strings.Join(want[:4], `" "`))
	}
	return digest, nil
}

// parameters reads what the signature says of itself. They may come in any order,
// each once; which is signed as it was sent.
func (s *Signed) parameters(given params) error {
	var tag string
	for _, p := range given {
		want := kindString
		switch p.name {
		case "created":
			s.Created, want = p.value.number, kindInteger
		case "nonce":
			s.Nonce = p.value.text
		case "keyid":
			s.KeyID = p.value.text
		case "tag":
			tag = p.value.text
		case "alg":
			s.algorithm = latchkey.SigningAlgorithm(p.value.text)
		default:
			return fmt.Errorf("it has a parameter %q, which the profile does not know", p.name)
		}
		if p.value.kind != want || p.name == "alg" && p.value.text == "" {
			return fmt.Errorf("its parameter %s has the wrong type", p.name)
		}
	}
	switch n := len(s.Nonce); {
	case tag != Tag:
		return errors.New(`its tag is not "apikey-v1"`)
	case s.Created <= 0:
		return errors.New("it does not say when it was created")
	case n < MinNonce || n > MaxNonce:
		return fmt.Errorf("a nonce has %d to %d characters", MinNonce, MaxNonce)
	case s.KeyID == "":
		return errors.New("it does not say by which key (keyid)")
	}
	return nil
}

// bodyless are the methods whose requests have no body that means anything (RFC
// 9110, section 9.3).
var bodyless = [...]string{"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"}

// checkDigest compares the digest with the body, as far as both are known.
func (m *Message) checkDigest(isCovered bool) error {
	if !isCovered {
		switch {
		case m.Body == nil && !slices.Contains(bodyless[:], m.Method):
			return errors.New("it does not cover content-digest, and a request with this method may have a body")
		case m.Body != nil && *m.Body != sha256.Sum256(nil):
			return errors.New("the request has a body, and the signature does not cover content-digest")
		}
		return nil
	}
	digests, err := parseDictionary(m.ContentDigest)
	if err != nil {
		return fmt.Errorf("Content-Digest cannot be read: %w", err)
	}
	digest, ok := find(digests, "sha-256")
	if !ok || digest.list || digest.items[0].value.kind != kindBytes || len(digest.items[0].value.text) != sha256.Size {
		return errors.New("Content-Digest has no sha-256")
	}
	if m.Body != nil && subtle.ConstantTimeCompare(m.Body[:], []byte(digest.items[0].value.text)) != 1 {
		return errors.New("Content-Digest is not that of the body")
	}
	return nil
}

// check refuses parts of a request that no request has, so that one part cannot
// pass for another.
func (m *Message) check() error {
	switch {
	case m.Method == "" || strings.ContainsFunc(m.Method, func(r rune) bool { return r > '~' || !tchar(byte(r)) }): //nolint:gosec // within ASCII
		return errors.New("the request's method is none")
	case m.Authority == "" || !visible(m.Authority) || strings.ContainsAny(m.Authority, "/?#@\\,"):
		return errors.New("the request's authority is none")
	case m.Path != "" && m.Path[0] != '/' || !visible(m.Path) || strings.ContainsAny(m.Path, "?#"):
		return errors.New("the request's path is none")
	case !visible(m.Query) || strings.Contains(m.Query, "#"):
		return errors.New("the request's query is none")
	}
	return nil
}

func visible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// component is RFC 9421, section 2.2, for the profile's components.
func (m *Message) component(c Component) (string, error) {
	switch c.Name {
	case "@method":
		return m.Method, nil
	case "@authority":
		return strings.ToLower(m.Authority), nil
	case "@path":
		if m.Path == "" {
			return "/", nil
		}
		return m.Path, nil
	case "@query":
		return "?" + m.Query, nil
	case "content-digest":
		return strings.Trim(m.ContentDigest, " \t"), nil
	}
	return "", fmt.Errorf("the profile has no component %s", c)
}

// By reports whether the request was signed with that key: the HMAC's, or the
// public half of a pair. A signature that names another algorithm was not.
func (s *Signed) By(algorithm latchkey.SigningAlgorithm, key []byte) bool {
	if s.algorithm != "" && s.algorithm != algorithm {
		return false
	}
	switch algorithm {
	case latchkey.HMACSHA256:
		if len(key) == 0 {
			return false
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(s.base))
		return hmac.Equal(mac.Sum(nil), []byte(s.value))
	case latchkey.Ed25519:
		return len(key) == ed25519.PublicKeySize && len(s.value) == ed25519.SignatureSize && ed25519.Verify(key, []byte(s.base), []byte(s.value))
	}
	return false
}
