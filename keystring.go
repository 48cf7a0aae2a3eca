package latchkey

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"unsafe"
)

// The shape of a key string; docs/key-format.md is the specification and
// testdata/vectors its test.
const (
	KIDLen      = 16  // base62 characters of the public key id
	SecretLen   = 43  // base62 characters of the secret: 256 bits and a little
	CheckLen    = 6   // base62 characters of the checksum
	MaxKeyLen   = 128 // bytes of a presented key of ours; longer is malformed
	MaxForeign  = 512 // bytes of a presented key that an import brought
	base62      = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	shortPrefix = "sk-"
)

// Environment says whether a key is for real traffic or for trying things out.
type Environment string

// The environments.
const (
	Live Environment = "live"
	Test Environment = "test"
)

// Valid reports whether e is one of the environments.
func (e Environment) Valid() bool { return e == Live || e == Test }

// Format is how a key string is laid out.
type Format string

// The formats.
const (
	FormatNative  Format = "native"  // <prefix>_<env>_<kid><secret><check>
	FormatShort   Format = "short"   // sk-<kid><secret><check>, for clients that insist on "sk-"
	FormatForeign Format = "foreign" // not made here: only its digest was imported
)

// KID is the public key id inside a key string: the handle by which a secret is
// looked up. It is random, unique, and no secret.
type KID string

// ErrKeyString says that a string is not a key of ours. It never contains the string.
var ErrKeyString = errors.New("not a well-formed key")

// KeyString is a key string taken apart. It prints as its masked form.
type KeyString struct {
	Format      Format
	Prefix      string      // FormatNative only
	Environment Environment // FormatNative only
	KID         KID
	secret      string
}

// NewKeyString draws a fresh kid and a fresh secret. prefix and env are for
// FormatNative and ignored otherwise.
func NewKeyString(format Format, prefix string, env Environment, random io.Reader) (KeyString, error) {
	drawn, err := drawBase62(KIDLen+SecretLen, random)
	if err != nil {
		return KeyString{}, err
	}
	k := KeyString{Format: format, KID: KID(drawn[:KIDLen]), secret: drawn[KIDLen:]}
	if format == FormatNative {
		k.Prefix, k.Environment = prefix, env
	}
	return k, nil
}

// NewKID draws a kid alone, for a secret whose plaintext was never here.
func NewKID(random io.Reader) (KID, error) {
	drawn, err := drawBase62(KIDLen, random)
	return KID(drawn), err
}

// PublicPart is every character before the secret. It recognises a key and
// helps nobody guess one.
func (k KeyString) PublicPart() string { return PublicPart(k.Format, k.Prefix, k.Environment, k.KID) }

// PublicPart spells the public part from its pieces.
func PublicPart(format Format, prefix string, env Environment, kid KID) string {
	switch format {
	case FormatNative:
		return prefix + "_" + string(env) + "_" + string(kid) + "_"
	case FormatShort:
		return shortPrefix + string(kid)
	case FormatForeign:
		return ""
	}
	return ""
}

// String implements fmt.Stringer with the masked form.
func (k KeyString) String() string { return k.PublicPart() + "..." }

// GoString implements fmt.GoStringer with the masked form.
func (k KeyString) GoString() string { return k.String() }

// Plaintext spells the whole key, checksum included.
func (k KeyString) Plaintext() Plaintext {
	body := k.PublicPart() + k.secret
	return NewPlaintext(body + Checksum(body))
}

// Checksum is CRC-32/IEEE of body in six base62 digits, most significant
// first, padded with zeros. It catches typing errors and noise before any
// lookup; it protects nothing.
func Checksum(body string) string {
	sum := checksum(body)
	var digits [CheckLen]byte
	for i := CheckLen - 1; i >= 0; i-- {
		digits[i] = base62[sum%62]
		sum /= 62
	}
	return string(digits[:])
}

// LikelyKID is the kid of s if s is a well-formed key, of which nothing is looked
// at: it is for those who begin to look for the kid while s is being parsed. It is ""
// where there is no room for one.
func LikelyKID(s string) KID {
	end := len(s) - CheckLen - SecretLen
	if end > KIDLen && s[end-1] == '_' {
		end--
	}
	if end < KIDLen || len(s) > MaxKeyLen {
		return ""
	}
	return KID(s[end-KIDLen : end])
}

// ParseKeyString takes a presented key apart: exact shape, then checksum.
// Nothing is trimmed, folded or normalised; ErrKeyString is the only error.
func ParseKeyString(s string) (KeyString, error) {
	if len(s) > MaxKeyLen || len(s) <= KIDLen+SecretLen+CheckLen {
		return KeyString{}, ErrKeyString
	}
	body, check := s[:len(s)-CheckLen], s[len(s)-CheckLen:]
	public, secret := body[:len(body)-SecretLen], body[len(body)-SecretLen:]
	if !isBase62(secret) || !isBase62(check) {
		return KeyString{}, ErrKeyString
	}
	k := KeyString{secret: secret}
	if kid, ok := strings.CutPrefix(public, shortPrefix); ok {
		if len(kid) != KIDLen {
			return KeyString{}, ErrKeyString
		}
		k.Format, k.KID = FormatShort, KID(kid)
	} else {
		head, ok := strings.CutSuffix(public, "_")
		if !ok || len(head) < KIDLen+1 {
			return KeyString{}, ErrKeyString
		}
		k.KID, head = KID(head[len(head)-KIDLen:]), head[:len(head)-KIDLen]
		prefix, env, ok := strings.Cut(head, "_")
		env, closed := strings.CutSuffix(env, "_")
		k.Format, k.Prefix, k.Environment = FormatNative, prefix, Environment(env)
		if !ok || !closed || !k.Environment.Valid() || !validPrefix(prefix) {
			return KeyString{}, ErrKeyString
		}
	}
	if !k.KID.Valid() || !checksumHolds(body, check) {
		return KeyString{}, ErrKeyString
	}
	return k, nil
}

// checksum reads the string where it is. A copy would be one allocation in every
// verification, since what the hash is given escapes.
func checksum(body string) uint32 {
	return crc32.ChecksumIEEE(unsafe.Slice(unsafe.StringData(body), len(body))) //nolint:gosec // read, within its length, and not kept
}

func checksumHolds(body, check string) bool {
	sum := checksum(body)
	for i := CheckLen - 1; i >= 0; i-- {
		if check[i] != base62[sum%62] {
			return false
		}
		sum /= 62
	}
	return true
}

// isBase62 looks at eight characters at once, and so takes no branch that a
// processor would have to guess from random ones.
func isBase62(s string) bool {
	text := unsafe.Slice(unsafe.StringData(s), len(s)) //nolint:gosec // read, within its length, and not kept
	var wrong uint64
	for ; len(text) >= 8; text = text[8:] {
		wrong |= notBase62(binary.LittleEndian.Uint64(text))
	}
	last := [8]byte{'0', '0', '0', '0', '0', '0', '0', '0'}
	copy(last[:], text)
	return wrong|notBase62(binary.LittleEndian.Uint64(last[:])) == 0
}

// notBase62 is 0 if all eight bytes are digits of base62. Bytes with the bit 0x40 have
// to be letters, which are 1 to 26 in their lower five bits; the others have to be
// 0x30 and up to 9. What is too large is carried into a byte's highest bit, and into
// no other byte's.
func notBase62(w uint64) uint64 {
	const each = 0x0101010101010101
	letters := w >> 6 & each * 0xff
	digit := (w ^ 0x30*each) &^ letters
	letter := w & (0x1f * each) & letters
	none := ^((letter | each&^letters) + 0x7f*each)
	return (w | (digit + (0x7f-9)*each) | (letter + (0x7f-26)*each) | none) & (0x80 * each)
}

// Valid reports whether k is what a public key id can be.
func (k KID) Valid() bool { return len(k) == KIDLen && isBase62(string(k)) }

func validPrefix(p string) bool {
	if len(p) < 2 || len(p) > 16 || p[0] < 'a' || p[0] > 'z' {
		return false
	}
	for i := 1; i < len(p); i++ {
		if (p[i] < '0' || p[i] > '9') && (p[i] < 'a' || p[i] > 'z') {
			return false
		}
	}
	return true
}

// takenPrefixes begin credentials of other issuers: a key of ours with such a
// prefix would set off, or hide from, their secret scanners. "xox" and "eyj"
// stand for whole families.
var takenPrefixes = map[string]bool{
	"sk": true, "rk": true, "pk": true, "ghp": true, "gho": true, "ghu": true, "ghs": true, "ghr": true,
	"github": true, "glpat": true, "npm": true, "pypi": true, "hf": true, "dckr": true, "shpat": true,
	"whsec": true, "akia": true, "aiza": true, "dop": true, "sg": true, "shpss": true, "shpca": true, "shppa": true,
}

// CheckPrefix says whether a project may begin its keys with p; the detail of
// the refusal names the rule.
func CheckPrefix(p string) *FieldError {
	switch {
	case !validPrefix(p):
		return &FieldError{Code: "format", Detail: "A key prefix is 2 to 16 characters: a lower-case letter, then lower-case letters and digits."}
	case takenPrefixes[p], strings.HasPrefix(p, "xox"), strings.HasPrefix(p, "eyj"):
		return &FieldError{Code: "not_allowed", Detail: "This prefix marks the credentials of another issuer; choose one of your own."}
	}
	return nil
}

// drawBase62 draws n characters by rejection sampling, so that each of the 62
// digits is equally likely.
func drawBase62(n int, random io.Reader) (string, error) {
	out := make([]byte, 0, n)
	var buf [96]byte
	for len(out) < n {
		if _, err := io.ReadFull(random, buf[:]); err != nil {
			return "", err
		}
		for _, b := range buf {
			if b < 248 && len(out) < n { // 248 = 4 × 62
				out = append(out, base62[b%62])
			}
		}
	}
	return string(out), nil
}
