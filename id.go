package latchkey

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"time"
)

// ID names an object: 32 bits of Unix seconds, then 64 random bits. It has
// three spellings and needs no table between them:
//
//	native  a prefix for the kind and 20 characters of lower-case Crockford
//	        base32, the id as one big-endian number: key_0d5q…
//	hex     24 lower-case hexadecimal digits
//	UUID    version 8 (RFC 9562, section 5.8): the 96 bits fill the free bits
//	        from the left, the 26 free bits that remain are zero
//
// Every spelling is strict: one string for one id, nothing trimmed or folded,
// save that a UUID may be written in either case (RFC 9562, section 4). The zero
// id names nothing and has no spelling: it prints as "" and is never read. Ids
// say nothing about order: lists go by the creating event.
type ID [12]byte

// Kind is the prefix of a native spelling, without its underscore.
type Kind string

// The kinds of objects that have native ids.
const (
	KindKey          Kind = "key"
	KindOrganization Kind = "org"
	KindProject      Kind = "prj"
	KindUser         Kind = "usr"
	KindRole         Kind = "role"
	KindEvent        Kind = "evt"
	KindGateway      Kind = "gw"
	KindIssuer       Kind = "iss"
	KindIdentity     Kind = "idn" // whom an issuer vouches for
	KindNode         Kind = "node"
)

// ErrID says that a string is not the spelling of an id. It never contains the string.
var ErrID = errors.New("not a well-formed id")

// NewID makes an id for an object made at now, with random bits from random
// (crypto/rand.Reader outside tests).
func NewID(now time.Time, random io.Reader) (ID, error) {
	var id ID
	binary.BigEndian.PutUint32(id[:4], uint32(now.Unix())) //nolint:gosec // 32 bits of seconds by definition; they wrap in 2106
	_, err := io.ReadFull(random, id[4:])
	return id, err
}

// IsZero reports whether the id names nothing.
func (id ID) IsZero() bool { return id == ID{} }

const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

// nativeLen is ⌈96/5⌉: the number's four leading pad bits are zero.
const nativeLen = 20

// Native spells the id with the prefix of its kind: "key_…".
func (id ID) Native(kind Kind) string {
	if id.IsZero() {
		return ""
	}
	return string(id.AppendNative(make([]byte, 0, 32), kind))
}

// AppendNative appends the native spelling, nothing for the zero id.
func (id ID) AppendNative(b []byte, kind Kind) []byte {
	if id.IsZero() {
		return b
	}
	b = append(b, kind...)
	b = append(b, '_')
	hi := uint64(binary.BigEndian.Uint32(id[:4]))
	lo := binary.BigEndian.Uint64(id[4:])
	var digits [nativeLen]byte
	for i := nativeLen - 1; i >= 0; i-- {
		digits[i] = crockford[lo&31]
		lo, hi = lo>>5|hi<<59, hi>>5
	}
	return append(b, digits[:]...)
}

// ParseNative reads the native spelling of an id of that kind.
func ParseNative(kind Kind, s string) (ID, error) {
	if len(s) != len(kind)+1+nativeLen || s[:len(kind)] != string(kind) || s[len(kind)] != '_' {
		return ID{}, ErrID
	}
	var hi, lo uint64
	for i := len(kind) + 1; i < len(s); i++ {
		digit := crockfordDigit(s[i])
		if digit < 0 {
			return ID{}, ErrID
		}
		hi = hi<<5 | lo>>59
		lo = lo<<5 | uint64(digit)
	}
	if hi>>32 != 0 || hi|lo == 0 { // a pad bit is set, or the zero id
		return ID{}, ErrID
	}
	var id ID
	binary.BigEndian.PutUint32(id[:4], uint32(hi))
	binary.BigEndian.PutUint64(id[4:], lo)
	return id, nil
}

func crockfordDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c < 'a' || c > 'z' || c == 'i' || c == 'l' || c == 'o' || c == 'u':
		return -1
	}
	n := int(c-'a') + 10
	for _, skipped := range []byte("ilou") {
		if c > skipped {
			n--
		}
	}
	return n
}

// Hex spells the id as 24 lower-case hexadecimal digits.
func (id ID) Hex() string {
	if id.IsZero() {
		return ""
	}
	return hex.EncodeToString(id[:])
}

// ParseHex reads the hexadecimal spelling.
func ParseHex(s string) (ID, error) {
	var id ID
	if len(s) != 2*len(id) || hasUpper(s) {
		return ID{}, ErrID
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil || id.IsZero() {
		return ID{}, ErrID
	}
	return id, nil
}

// UUID spells the id as a version 8 UUID in lower case.
func (id ID) UUID() string {
	if id.IsZero() {
		return ""
	}
	var u [16]byte
	copy(u[:6], id[:6])
	u[6] = 0x80 | id[6]>>4
	u[7] = id[6]<<4 | id[7]>>4
	rest := uint64(id[7]&15)<<32 | uint64(binary.BigEndian.Uint32(id[8:]))
	binary.BigEndian.PutUint64(u[8:], 1<<63|rest<<26)
	s := hex.EncodeToString(u[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// ParseUUID reads the 8-4-4-4-12 form. A string that is not a UUID gives
// ErrID. One that is a UUID but not a spelling of ours names nothing: ours is
// false and the error nil, so that an edge can tell malformed from unknown.
func ParseUUID(s string) (id ID, ours bool, err error) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return ID{}, false, ErrID
	}
	var u [16]byte
	digits := s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	if _, err := hex.Decode(u[:], []byte(digits)); err != nil {
		return ID{}, false, ErrID
	}
	tail := binary.BigEndian.Uint64(u[8:])
	if u[6]>>4 != 8 || tail>>62 != 2 || tail&(1<<26-1) != 0 {
		return ID{}, false, nil
	}
	rest := tail << 2 >> 28
	copy(id[:6], u[:6])
	id[6] = u[6]<<4 | u[7]>>4
	id[7] = u[7]<<4 | byte(rest>>32)
	binary.BigEndian.PutUint32(id[8:], uint32(rest)) // the low 32 of 36 bits
	return id, !id.IsZero(), nil
}

func hasUpper(s string) bool {
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'Z' {
			return true
		}
	}
	return false
}
