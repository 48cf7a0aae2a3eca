package rest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/verify"
)

// signing is what a key's requests are signed with.
type signing struct {
	Mode      string  `json:"mode" enum:"off,optional,required" doc:"off: signatures are not looked at; optional: a request may be signed, and then the signature must hold."`
	Algorithm string  `json:"alg" enum:"hmac-sha256,ed25519" doc:"hmac-sha256: with a signing key that was told when it was made."`
	PublicKey *string `json:"public_key" doc:"Of the pair, in PEM (SubjectPublicKeyInfo); null for hmac-sha256."`
}

func spellSigning(d *authority.Described) *signing {
	s := d.Newest(d.At).Signing
	if s.Algorithm == "" {
		return nil
	}
	out := &signing{Mode: d.SigningMode.String(), Algorithm: string(s.Algorithm)}
	if s.Public != nil {
		der, err := x509.MarshalPKIXPublicKey(ed25519.PublicKey(s.Public))
		if err == nil { // it fails for other kinds of keys alone
			out.PublicKey = optional(string(pem.EncodeToMemory(&pem.Block{Type: publicKeyBlock, Bytes: der})))
		}
	}
	return out
}

// signingInput is what the requests of a key to be are signed with.
type signingInput struct {
	Mode      string  `json:"mode" enum:"off,optional,required" doc:"required: requests that are not signed are refused."`
	Algorithm *string `json:"alg" required:"false" enum:"hmac-sha256,ed25519" doc:"hmac-sha256 by default: a signing key is made, and told this once. ed25519: with the pair whose public_key is given."`
	PublicKey *string `json:"public_key" required:"false" maxLength:"1024" doc:"In PEM (SubjectPublicKeyInfo), as openssl pkey -pubout writes it; with ed25519 alone."`
}

func (in *signingInput) read(at string, broken *[]latchkey.FieldError) authority.NewSigning {
	out := authority.NewSigning{Mode: readMode(at, in.Mode, broken)}
	switch algorithm(at, in.Algorithm, broken) {
	case latchkey.Ed25519:
		out.Public = readPublicKey(at+"/public_key", in.PublicKey, broken)
	case latchkey.HMACSHA256:
		out.Format = latchkey.SigningNative
		if in.PublicKey != nil {
			*broken = append(*broken, latchkey.FieldError{Pointer: at + "/public_key", Code: "not_allowed", Detail: "With hmac-sha256 there is none; leave it out, or sign with ed25519."})
		}
	}
	return out
}

// signingPatch is what is to be different about how a key's requests are signed.
type signingPatch struct {
	Mode      *string `json:"mode" required:"false" enum:"off,optional,required"`
	Algorithm *string `json:"alg" required:"false" enum:"ed25519" doc:"With a public_key. A signing key is made with its key or with its next secret alone, so that it can be told."`
	PublicKey *string `json:"public_key" required:"false" maxLength:"1024" doc:"In PEM; takes the place of what the key signed with, at once and for all its secrets."`
}

func (in *signingPatch) read(isNull bool, broken *[]latchkey.FieldError) *authority.SigningPatch {
	if isNull {
		return &authority.SigningPatch{Clear: true}
	}
	p := &authority.SigningPatch{}
	if in.Mode != nil {
		mode := readMode("/signing", *in.Mode, broken)
		p.Mode = &mode
	}
	switch {
	case in.PublicKey == nil && in.Algorithm == nil:
	case algorithm("/signing", in.Algorithm, broken) != latchkey.Ed25519:
		*broken = append(*broken, latchkey.FieldError{Pointer: "/signing/alg", Code: "not_allowed", Detail: "This is ed25519, with a public_key; a signing key for hmac-sha256 is made with a key alone."})
	default:
		p.Public = readPublicKey("/signing/public_key", in.PublicKey, broken)
	}
	return p
}

func readMode(at, given string, broken *[]latchkey.FieldError) latchkey.SigningMode {
	mode, ok := latchkey.ParseSigningMode(given)
	if !ok {
		*broken = append(*broken, latchkey.FieldError{Pointer: at + "/mode", Code: "not_allowed", Detail: "A mode is off, optional or required."})
	}
	return mode
}

func algorithm(at string, given *string, broken *[]latchkey.FieldError) latchkey.SigningAlgorithm {
	if given == nil {
		return latchkey.HMACSHA256
	}
	a := latchkey.SigningAlgorithm(*given)
	if a != latchkey.HMACSHA256 && a != latchkey.Ed25519 {
		*broken = append(*broken, latchkey.FieldError{Pointer: at + "/alg", Code: "not_allowed", Detail: "This is hmac-sha256 or ed25519."})
	}
	return a
}

// publicKeyBlock is the label of a public key in PEM (RFC 7468, section 13).
const publicKeyBlock = "PUBLIC KEY"

// maxPublicKey is the longest text that a public key is read from, in bytes. One
// of ours takes 113.
const maxPublicKey = 1024

// readPublicKey reads one Ed25519 public key in PEM, and nothing beside it.
func readPublicKey(pointer string, given *string, broken *[]latchkey.FieldError) []byte {
	if given == nil {
		*broken = append(*broken, latchkey.FieldError{Pointer: pointer, Code: "required", Detail: "With ed25519 this is the public half of the pair, in PEM."})
		return nil
	}
	if len(*given) <= maxPublicKey {
		block, rest := pem.Decode([]byte(*given))
		if block != nil && block.Type == publicKeyBlock && len(block.Headers) == 0 && len(bytes.TrimSpace(rest)) == 0 {
			if parsed, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
				if public, ok := parsed.(ed25519.PublicKey); ok {
					return public
				}
			}
		}
	}
	*broken = append(*broken, latchkey.FieldError{Pointer: pointer, Code: "format", Detail: "This is one Ed25519 public key in PEM, as openssl pkey -pubout writes it."})
	return nil
}

// signatureInput is how the request was signed with which a key came.
type signatureInput struct {
	Input         string  `json:"input" doc:"Its field Signature-Input; several lines have commas between them."`
	Value         string  `json:"value" doc:"Its field Signature, likewise."`
	ContentDigest *string `json:"content_digest" required:"false" doc:"Its field Content-Digest, if it has one."`
	BodySHA256    *string `json:"body_sha256" required:"false" doc:"SHA-256 of its body as it was received, in hexadecimal; that of nothing if it has none. Without it the body is not looked at: whoever takes it must compare it with Content-Digest, and requests with a method other than GET, HEAD, DELETE, OPTIONS and TRACE have to be signed with their Content-Digest."`
}

// message is the request as its signature may cover it.
func (in *verifyInput) message(wrong func(member, rule, detail string)) *verify.Message {
	for member, part := range map[string]*string{"/method": in.Method, "/host": in.Host, "/path": in.Path} {
		if part == nil {
			wrong(member, "required", "A signature covers this.")
		}
	}
	s := in.Signature
	m := &verify.Message{
		Method: value(in.Method), Authority: value(in.Host), Path: value(in.Path), Query: value(in.Query),
		Input: s.Input, Value: s.Value, ContentDigest: value(s.ContentDigest),
	}
	for member, part := range map[string]string{"/signature/input": s.Input, "/signature/value": s.Value, "/signature/content_digest": m.ContentDigest} {
		if len(part) > maxPart {
			wrong(member, "length", "This is at most 8192 bytes.")
		}
	}
	if s.BodySHA256 != nil {
		m.Body = new([sha256.Size]byte)
		if raw, err := hex.DecodeString(*s.BodySHA256); err != nil || len(raw) != sha256.Size {
			wrong("/signature/body_sha256", "format", "This is a SHA-256: 64 hexadecimal digits.")
		} else {
			copy(m.Body[:], raw)
		}
	}
	return m
}
