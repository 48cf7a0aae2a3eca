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
	if !kid.Valid() {
		return p, false
	}
	const half = latchkey.KIDLen / 2
	first, second := packDigits(kid[:half]), packDigits(kid[half:])
	binary.BigEndian.PutUint64(p[:8], first<<16|second>>32)
	binary.BigEndian.PutUint32(p[8:], uint32(second)) //nolint:gosec // the lower half
	return p, true
}

// packDigits reads eight digits at once: their values in each byte, then pairs of
// them, then fours. The first digit is the highest, and in the lowest byte.
func packDigits(digits latchkey.KID) uint64 {
	w := binary.LittleEndian.Uint64([]byte(digits[:8]))
	const each = 0x0101010101010101
	letter := w >> 6 & each            // 1 for letters
	small := w >> 5 & letter           // 1 for small ones
	w -= '0'*each + 7*letter + 6*small // what lies between the digits and the letters, and between these
	w = w&0x00ff00ff00ff00ff*62 + w>>8&0x00ff00ff00ff00ff
	w = w&0x0000ffff0000ffff*(62*62) + w>>16&0x0000ffff0000ffff
	return w&0xffffffff*(62*62*62*62) + w>>32
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
