// Package jws takes signed tokens apart: the compact serialization of RFC 7515,
// section 3.1, in its one spelling.
//
// It promises that what [Parse] returns has three segments of canonical
// base64url, and a header of JSON without duplicate members that asks for no
// extension. It believes nothing that the header says: which key and which
// algorithm count is the caller's to know. Keys that a token brings along (jku,
// jwk, x5u, x5c) are not even read.
package jws

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxLen is how long a token may be, in bytes; longer ones are not looked at.
const MaxLen = 8 << 10

// ErrMalformed says that a text is no token.
var ErrMalformed = errors.New("not a signed token")

// Token is a token that was taken apart and not believed.
type Token struct {
	Header    Header
	Payload   []byte // JSON, perhaps
	Signed    string // the first two segments as they came: what the signature is of
	Signature []byte
}

// Header is what is read of a token's header (RFC 7515, section 4.1).
type Header struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"`

	Critical jsontext.Value `json:"crit"` // an extension that must be understood: none is
	Detached jsontext.Value `json:"b64"`  // RFC 7797
}

// Parse takes a token apart.
func Parse(s string) (*Token, error) {
	if len(s) > MaxLen {
		return nil, malformed("too long")
	}
	segments := strings.Split(s, ".")
	if len(segments) != 3 {
		return nil, malformed("not three segments")
	}
	t := &Token{Signed: s[:len(segments[0])+1+len(segments[1])]}
	var header []byte
	for i, to := range []*[]byte{&header, &t.Payload, &t.Signature} {
		var err error
		if *to, err = decode(segments[i]); err != nil {
			return nil, err
		}
	}
	if err := json.Unmarshal(header, &t.Header); err != nil {
		return nil, malformed("a header that cannot be read")
	}
	if t.Header.Critical != nil || t.Header.Detached != nil {
		return nil, malformed("an extension that changes how it is read")
	}
	return t, nil
}

// decode reads base64url in its one spelling: without padding, line breaks or
// bits that nothing stands for (RFC 7515, section 2; RFC 4648, section 3.5).
func decode(segment string) ([]byte, error) {
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(segment)
	if err != nil || len(decoded) == 0 || strings.ContainsAny(segment, "\r\n") {
		return nil, malformed("a segment that is not base64url")
	}
	return decoded, nil
}

func malformed(why string) error { return fmt.Errorf("%w: %s", ErrMalformed, why) }

// Audience is a string or a list of them (RFC 7519, section 4.1.3).
type Audience []string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (a *Audience) UnmarshalJSONFrom(from *jsontext.Decoder) error {
	if from.PeekKind() == '[' {
		return json.UnmarshalDecode(from, (*[]string)(a))
	}
	*a = Audience{""}
	return json.UnmarshalDecode(from, &(*a)[0])
}
