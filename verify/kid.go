package verify

import (
	"encoding/binary"

	"latchkey.dev/latchkey"
)

// packedKID is a public key id as the index keeps it: its sixteen base62 digits
// as two numbers of 48 bits.
type packedKID [12]byte

// packKID packs a kid; false for what is none.
func packKID(kid latchkey.KID) (p packedKID, ok bool) {
	if len(kid) != latchkey.KIDLen {
		return p, false
	}
	const half = latchkey.KIDLen / 2
	first, ok := packDigits(kid[:half])
	second, okay := packDigits(kid[half:])
	binary.BigEndian.PutUint64(p[:8], first<<16|second>>32)
	binary.BigEndian.PutUint32(p[8:], uint32(second)) //nolint:gosec // the lower half
	return p, ok && okay
}

// packDigits takes no branch at a character: a processor cannot guess what random
// ones are.
func packDigits(digits latchkey.KID) (n uint64, ok bool) {
	wrong := 0
	for i := range len(digits) {
		c := digits[i]
		wrong |= (9 - int(c-'0')) & (25 - int(c|' '-'a')) // both are negative where it is none
		letter, small := c>>6, c>>6&(c>>5)                // 1 for letters and for small ones
		n = n*62 + uint64(c-'0'-7*letter-6*small)
	}
	return n, wrong >= 0
}

// KID unpacks it.
func (p packedKID) KID() latchkey.KID {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	head, tail := binary.BigEndian.Uint64(p[:8]), binary.BigEndian.Uint32(p[8:])
	numbers := [2]uint64{head >> 16, head&0xffff<<32 | uint64(tail)}
	var out [latchkey.KIDLen]byte
	for i := len(out) - 1; i >= 0; i-- {
		n := &numbers[i/(latchkey.KIDLen/2)]
		out[i] = digits[*n%62]
		*n /= 62
	}
	return latchkey.KID(out[:])
}

// hash spreads kids over shards and slots. Kids are drawn at random by us, so
// nobody can choose ones that meet.
func (p packedKID) hash() uint64 {
	h := binary.BigEndian.Uint64(p[:8])*0x9e3779b97f4a7c15 ^ uint64(binary.BigEndian.Uint32(p[8:]))*0xc2b2ae3d27d4eb4f
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>29
}
