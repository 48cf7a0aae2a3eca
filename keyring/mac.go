package keyring

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding"
	"unsafe"

	"latchkey.dev/latchkey"
)

// What stands before the message in a digest, so that digests of two kinds
// under one pepper never coincide.
const (
	digestLabel  = "apikey-hash/v1\x00"
	foreignLabel = "apikey-foreign/v1\x00"
)

// mac is HMAC-SHA-256 (RFC 2104) under one key of messages that begin with one
// label, kept as the two hash states that follow its padded key, the inner one
// with the label. To resume from them saves two of the five blocks that a key's
// digest takes, and a copy of the message; the hash itself then lives on the
// stack, which needs neither a pool nor a lock. A test holds the absence of
// allocations.
type mac struct{ inner, outer []byte }

func newMAC(key []byte, label string) (mac, error) {
	var inner, outer [sha256.BlockSize]byte // key is 32 bytes, never longer than a block
	copy(inner[:], key)
	copy(outer[:], key)
	for i := range inner {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	before, err := stateAfter(append(inner[:], label...))
	if err != nil {
		return mac{}, err
	}
	after, err := stateAfter(outer[:])
	return mac{before, after}, err
}

func stateAfter(text []byte) ([]byte, error) {
	h := sha256.New()
	h.Write(text)
	return h.(encoding.BinaryMarshaler).MarshalBinary()
}

// sum is the HMAC of the label and the message behind it.
func (m *mac) sum(message []byte) (out [sha256.Size]byte) {
	h := sha256.New()
	if h.(encoding.BinaryUnmarshaler).UnmarshalBinary(m.inner) != nil {
		panic("keyring: a kept hash state is not one") // newMAC made it; to go on would drop the key
	}
	h.Write(message)
	h.Sum(out[:0])
	if h.(encoding.BinaryUnmarshaler).UnmarshalBinary(m.outer) != nil {
		panic("keyring: a kept hash state is not one")
	}
	h.Write(out[:])
	h.Sum(out[:0])
	return out
}

// digest is the HMAC of a whole key string, which it reads where it is.
func (m *mac) digest(key latchkey.Plaintext) [sha256.Size]byte {
	text := key.Expose()
	return m.sum(unsafe.Slice(unsafe.StringData(text), len(text))) //nolint:gosec // read, within its length, and not kept
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
	return k.foreign.sum(sha[:]), nil
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
