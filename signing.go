package latchkey

import (
	"encoding/hex"
	"io"
)

// SigningAlgorithm is how requests are signed in a secret's name, by its name in
// the registry of HTTP Message Signatures (RFC 9421, section 6.2).
type SigningAlgorithm string

// The algorithms.
const (
	HMACSHA256 SigningAlgorithm = "hmac-sha256"
	Ed25519    SigningAlgorithm = "ed25519"
)

// SigningFormat is how a signing key that was drawn here is spelled. The HMAC's
// key is the bytes of that spelling.
type SigningFormat string

// SigningHex is 32 random bytes in 64 lower-case hexadecimal digits.
const SigningHex SigningFormat = "hex"

// Signing is the credential beside a secret with which requests are signed. It
// comes and goes with its secret, so a rotation's overlap is its own as well.
// The zero value is none.
type Signing struct {
	Algorithm SigningAlgorithm // "": none
	Format    SigningFormat    // of a key that was drawn here; "" for a key pair
	Sealed    []byte           // the HMAC's key; nil for a key pair, and once the key is revoked
	Public    []byte           // of a key pair, which its holder made; nil for an HMAC
}

// NewSigningKey draws a signing key.
func NewSigningKey(random io.Reader) (Plaintext, error) {
	var drawn [32]byte
	if _, err := io.ReadFull(random, drawn[:]); err != nil {
		return Plaintext{}, err
	}
	return NewPlaintext(hex.EncodeToString(drawn[:])), nil
}
