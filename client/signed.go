package client

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
)

// Signature is how a request was signed with which a key came.
type Signature struct {
	Input         string `json:"input"`                    // its field Signature-Input; several lines with commas between them
	Value         string `json:"value"`                    // its field Signature, likewise
	ContentDigest string `json:"content_digest,omitempty"` // its field Content-Digest; "": it has none
	BodySHA256    string `json:"body_sha256,omitempty"`    // of its body, in hexadecimal; "": nobody has looked at it
}

// Of takes over the request that the key came with, as its handler got it: its
// method, host, path and query, and how it was signed if it was. The body of a
// signed request is read, up to most bytes, and put back, so that it is the body
// that was signed; beyond that it is [ErrBodyTooLarge]. 0 is [MaxSignedBody].
func (v *Verification) Of(r *http.Request, most int64) error {
	target := r.RequestURI
	if target == "" {
		target = r.URL.RequestURI()
	}
	v.Method, v.Host = r.Method, r.Host
	v.Path, v.Query, _ = strings.Cut(target, "?")
	v.Signature = nil
	input := r.Header.Values("Signature-Input")
	if len(input) == 0 {
		return nil
	}
	orDefault(&most, MaxSignedBody)
	body, err := readBody(r, most)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	v.Signature = &Signature{
		Input: strings.Join(input, ", "), Value: strings.Join(r.Header.Values("Signature"), ", "),
		ContentDigest: strings.Join(r.Header.Values("Content-Digest"), ", "), BodySHA256: hex.EncodeToString(sum[:]),
	}
	return nil
}
