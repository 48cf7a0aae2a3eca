package keyring

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding"

	"latchkey.dev/latchkey"
)

// What stands before the message in a digest, so that digests of two kinds
// under one pepper never coincide.
const (
	digestLabel  = "apikey-hash/v1\x00"
	foreignLabel = "apikey-foreign/v1\x00"
)

// mac is HMAC-SHA-256 (RFC 2104) under one key, kept as the two hash states
// that follow its padded key. To resume from them saves two of the five blocks
// that a key's digest takes; the hash itself then lives on the stack, which
// needs neither a pool nor a lock. A test holds the absence of allocations.
type mac struct{ inner, outer []byte }

func newMAC(key []byte) (mac, error) {
	var inner, outer [sha256.BlockSize]byte // key is 32 bytes, never longer than a block
	copy(inner[:], key)
	copy(outer[:], key)
	for i := range inner {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	before, err := stateAfter(inner[:])
	if err != nil {
		return mac{}, err
	}
	after, err := stateAfter(outer[:])
	return mac{before, after}, err
}

func stateAfter(block []byte) ([]byte, error) {
	h := sha256.New()
	h.Write(block)
	return h.(encoding.BinaryMarshaler).MarshalBinary()
}

func (m *mac) sum(message []byte) (out [sha256.Size]byte) {
	h := sha256.New()
	if h.(encoding.BinaryUnmarshaler).UnmarshalBinary(m.inner) != nil {
		panic("keyring: a kept hash state is not one") // newMAC made it; to go on would drop the key
	}
	h.Write(message)
	var digest [sha256.Size]byte
	h.Sum(digest[:0])
	if h.(encoding.BinaryUnmarshaler).UnmarshalBinary(m.outer) != nil {
		panic("keyring: a kept hash state is not one")
	}
	h.Write(digest[:])
	h.Sum(out[:0])
	return out
}

// digest is the pepper's HMAC of a whole key string.
func (m *mac) digest(key latchkey.Plaintext) [sha256.Size]byte {
	var buf [len(digestLabel) + latchkey.MaxForeign]byte // longer ones work, and allocate
	return m.sum(append(append(buf[:0], digestLabel...), key.Expose()...))
}

func (m *mac) digestForeign(sha [sha256.Size]byte) [sha256.Size]byte {
	var buf [len(foreignLabel) + sha256.Size]byte
	return m.sum(append(append(buf[:0], foreignLabel...), sha[:]...))
}

// Digest is what the store keeps of a key: HMAC-SHA-256 under the version's
// pepper over "apikey-hash/v1", a zero byte and the whole key string. It does
// not allocate. The error wraps [ErrVersion].
func (r *Ring) Digest(version int, key latchkey.Plaintext) ([32]byte, error) {
	k, err := r.current.Load().keys(version)
	if err != nil {
		return [32]byte{}, err
	}
	return k.pepper.digest(key), nil
}

// DigestForeign is what the store keeps of a key that was imported by its plain
// SHA-256: HMAC-SHA-256 under the version's pepper over "apikey-foreign/v1", a
// zero byte and that hash. The error wraps [ErrVersion].
func (r *Ring) DigestForeign(version int, sha [32]byte) ([32]byte, error) {
	k, err := r.current.Load().keys(version)
	if err != nil {
		return [32]byte{}, err
	}
	return k.pepper.digestForeign(sha), nil
}

// Equal compares two digests or tags in a time that does not depend on them.
func Equal(a, b [32]byte) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }

// IdempotencyTag is the lookup value of an idempotency record: HMAC-SHA-256 of
// the header's bytes under a key of that version. A record made before a
// rotation is found under the version that was active then.
func (r *Ring) IdempotencyTag(version int, header []byte) ([32]byte, error) {
	k, err := r.current.Load().keys(version)
	if err != nil {
		return [32]byte{}, err
	}
	return k.lookup.sum(header), nil
}

// CursorTag authenticates an opaque list cursor: the first 16 bytes of
// HMAC-SHA-256 of data under a key of that version.
func (r *Ring) CursorTag(version int, data []byte) ([16]byte, error) {
	k, err := r.current.Load().keys(version)
	if err != nil {
		return [16]byte{}, err
	}
	tag := k.cursor.sum(data)
	return [16]byte(tag[:16]), nil
}

// CursorHolds says, in constant time, whether tag is that version's tag of
// data. A version without a key holds nothing.
func (r *Ring) CursorHolds(version int, data, tag []byte) bool {
	want, err := r.CursorTag(version, data)
	return err == nil && subtle.ConstantTimeCompare(want[:], tag) == 1
}
