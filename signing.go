package latchkey

import (
	"encoding/hex"
	"io"
	"slices"
	"time"
)

// SigningMode is whether requests with a key have to be signed.
type SigningMode string

// The modes.
const (
	SigningOff      SigningMode = ""         // signatures are not looked at
	SigningOptional SigningMode = "optional" // a request may be signed; then the signature must hold
	SigningRequired SigningMode = "required" // a request must be signed
)

// ParseSigningMode reads a mode as it is told: off, optional or required.
func ParseSigningMode(s string) (SigningMode, bool) {
	switch s {
	case "off":
		return SigningOff, true
	case string(SigningOptional), string(SigningRequired):
		return SigningMode(s), true
	}
	return "", false
}

// String is how the mode is told.
func (m SigningMode) String() string {
	if m == SigningOff {
		return "off"
	}
	return string(m)
}

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

// The formats.
const (
	SigningHex    SigningFormat = "hex"    // 32 random bytes in 64 lower-case hexadecimal digits
	SigningNative SigningFormat = "native" // lk_sgn_<kid>_<64 base62 digits><checksum>
)

// signingPrefix begins a signing key of ours, so that scanners find it.
const signingPrefix = "lk_sgn_"

// signingDigits is how many random digits there are in one.
const signingDigits = 64

// Signing is the credential beside a secret with which requests are signed. It
// comes and goes with its secret, so a rotation's overlap is its own as well.
// The zero value is none.
type Signing struct {
	Algorithm SigningAlgorithm // "": none
	Format    SigningFormat    // of a key that was drawn here; "" for a key pair
	Sealed    []byte           // the HMAC's key; nil for a key pair, and once the key is revoked
	Public    []byte           // of a key pair, which its holder made; nil for an HMAC
}

// smallOrder are the encodings of the points of Ed25519 that have a small order,
// without their sign: under such a key, signatures hold over any message.
var smallOrder = [...]string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}

// CheckPublicKey says whether the public half of a pair may be registered (RFC
// 8032, section 5.1.5).
func CheckPublicKey(public []byte) *FieldError {
	if len(public) != 32 {
		return &FieldError{Code: "format", Detail: "This is an Ed25519 public key."}
	}
	unsigned := append([]byte{}, public...)
	unsigned[31] &= 0x7f
	if spelled := hex.EncodeToString(unsigned); slices.Contains(smallOrder[:], spelled) {
		return &FieldError{Code: "not_allowed", Detail: "Under this public key, signatures of anybody would hold; make another pair."}
	}
	return nil
}

// NewSigningKey draws the signing key of the secret with that kid.
func NewSigningKey(format SigningFormat, kid KID, random io.Reader) (Plaintext, error) {
	if format == SigningNative {
		digits, err := drawBase62(signingDigits, random)
		if err != nil {
			return Plaintext{}, err
		}
		body := signingPrefix + string(kid) + "_" + digits
		return NewPlaintext(body + Checksum(body)), nil
	}
	var drawn [32]byte
	if _, err := io.ReadFull(random, drawn[:]); err != nil {
		return Plaintext{}, err
	}
	return NewPlaintext(hex.EncodeToString(drawn[:])), nil
}

// How far from now a signature may have been made.
const (
	SignaturePast  = 300 * time.Second
	SignatureAhead = 60 * time.Second
)

// SignatureFresh reports whether a signature that was made at created may be
// accepted now. floor is the time up to which nonces are forgotten: whatever any
// clock says, no signature from then or before is accepted again.
func SignatureFresh(created, floor, now time.Time) bool {
	return created.After(floor) && !created.Before(now.Add(-SignaturePast)) && !created.After(now.Add(SignatureAhead))
}
