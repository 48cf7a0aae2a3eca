package keyring

import (
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"latchkey.dev/latchkey"
)

// The first byte of everything that is encrypted here. A change of layout or of
// cipher takes a new one.
const (
	sealedV1  byte = 1
	wrappedV1 byte = 2
	underV1   byte = 3
)

// What stands first in the additional data, so that a ciphertext of one kind is
// none of another.
const (
	sealedLabel  = "latchkey/v1 sealed value"
	wrappedLabel = "latchkey/v1 data key"
	underLabel   = "latchkey/v1 idempotency record"
)

const minHeaderLen = 16 // bytes of an idempotency header; a shorter one could be guessed

// DataKeyID names a data key: 128 random bits.
type DataKeyID [16]byte

// String spells the id in hexadecimal.
func (id DataKeyID) String() string { return hex.EncodeToString(id[:]) }

// WrappedKey is an organization's data key as the store keeps it. Nothing in it
// is secret; without the ring it is worth nothing.
type WrappedKey struct {
	ID           DataKeyID
	Organization latchkey.ID
	Version      int    // of the ring, under which it is wrapped
	Wrapped      []byte // format byte, nonce (12), AES-256-GCM of the key (32), tag (16)
}

// Binding says what a sealed value is. It is authenticated with the value and
// not stored with it: whoever opens must know it from the row.
type Binding struct {
	Organization latchkey.ID
	Object       string // the object's id or kid, in the one spelling that its owner chose for this
	Field        string // which secret of the object
	Version      uint64 // of the value, where it has several in turn; the same row's older value is then refused
}

// OfManagement binds the sealed password of a broker's management API to the
// broker's row.
func OfManagement(g *latchkey.Gateway) Binding {
	return Binding{Organization: g.Organization, Object: g.ID.Native(latchkey.KindGateway), Field: "management"}
}

// additional encodes the additional data: each part after its length in four
// bytes, big-endian, so that no two lists of parts are the same bytes.
func additional(label string, parts ...[]byte) []byte {
	out := appendPart(nil, []byte(label))
	for _, part := range parts {
		out = appendPart(out, part)
	}
	return out
}

func appendPart(out, part []byte) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(len(part))) //nolint:gosec // parts are ids and names
	return append(out, part...)
}

func (b Binding) additional(key WrappedKey) ([]byte, error) {
	switch {
	case b.Organization.IsZero() || b.Object == "" || b.Field == "":
		return nil, ErrBinding
	case b.Organization != key.Organization:
		return nil, fmt.Errorf("%w: data key %s is another organization's", ErrBinding, key.ID)
	}
	version := binary.BigEndian.AppendUint64(nil, b.Version)
	return additional(sealedLabel, key.ID[:], b.Organization[:], []byte(b.Object), []byte(b.Field), version), nil
}

// NewDataKey draws a data key for an organization and wraps it under the active
// version. An organization may have several; each sealed value names its own.
// One is good for 2^32 sealings, more than an organization can have secrets.
func (r *Ring) NewDataKey(organization latchkey.ID, random io.Reader) (WrappedKey, error) {
	if organization.IsZero() {
		return WrappedKey{}, ErrBinding
	}
	key := WrappedKey{Organization: organization}
	secret := make([]byte, keyLen)
	for _, b := range [][]byte{key.ID[:], secret} {
		if _, err := io.ReadFull(random, b); err != nil {
			return WrappedKey{}, fmt.Errorf("drawing a data key: %w", err)
		}
	}
	return r.current.Load().wrap(key, secret)
}

// Rewrap wraps a data key under the active version; values sealed with it stay
// as they are. It is false, and the key unchanged, if that was done before.
func (r *Ring) Rewrap(key WrappedKey) (WrappedKey, bool, error) {
	s := r.current.Load()
	if key.Version == s.active {
		return key, false, nil
	}
	secret, err := s.unwrap(key)
	if err != nil {
		return WrappedKey{}, false, err
	}
	rewrapped, err := s.wrap(key, secret)
	return rewrapped, err == nil, err
}

func (key WrappedKey) additional() []byte {
	return additional(wrappedLabel, key.ID[:], key.Organization[:])
}

func (s *state) wrap(key WrappedKey, secret []byte) (WrappedKey, error) {
	k, err := s.keys(s.active)
	if err != nil {
		return WrappedKey{}, err
	}
	key.Version = s.active
	key.Wrapped = k.wrap.Seal([]byte{wrappedV1}, nil, secret, key.additional())
	return key, nil
}

func (s *state) unwrap(key WrappedKey) ([]byte, error) {
	k, err := s.keys(key.Version)
	if err != nil {
		return nil, err
	}
	secret, err := unseal(k.wrap, []byte{wrappedV1}, key.Wrapped, key.additional())
	if err != nil {
		return nil, fmt.Errorf("data key %s, wrapped under version %d: %w", key.ID, key.Version, err)
	}
	return secret, nil
}

// unseal decrypts what stands after an exact head.
func unseal(aead cipher.AEAD, head, sealed, additional []byte) ([]byte, error) {
	if len(sealed) < len(head)+aead.Overhead() {
		return nil, fmt.Errorf("%w: it is cut short", ErrSealed)
	}
	if string(sealed[:len(head)]) != string(head) {
		return nil, fmt.Errorf("%w: it is of another format or under another key", ErrSealed)
	}
	plain, err := aead.Open(nil, nil, sealed[len(head):], additional)
	if err != nil {
		return nil, fmt.Errorf("%w: it was altered, or belongs elsewhere", ErrSealed)
	}
	return plain, nil
}

func (s *state) dataAEAD(key WrappedKey) (cipher.AEAD, error) {
	secret, err := s.unwrap(key)
	if err != nil {
		return nil, err
	}
	return newAEAD(secret)
}

func (key WrappedKey) head() []byte { return append([]byte{sealedV1}, key.ID[:]...) }

// Seal encrypts a secret of an organization's with one of its data keys
// (AES-256-GCM, random nonce), bound to b. The result is a format byte, the data
// key's id (16 bytes), the nonce (12), the ciphertext and the tag (16). An
// incomplete binding, or another organization's, is [ErrBinding].
func (r *Ring) Seal(key WrappedKey, b Binding, secret latchkey.Plaintext) ([]byte, error) {
	bound, err := b.additional(key)
	if err != nil {
		return nil, err
	}
	aead, err := r.current.Load().dataAEAD(key)
	if err != nil {
		return nil, err
	}
	return aead.Seal(key.head(), nil, []byte(secret.Expose()), bound), nil
}

// Open decrypts what Seal made with exactly this data key and this binding;
// anything else is [ErrSealed]. A data key under a version that the ring does
// not have is [ErrVersion].
func (r *Ring) Open(key WrappedKey, b Binding, sealed []byte) (latchkey.Plaintext, error) {
	bound, err := b.additional(key)
	if err != nil {
		return latchkey.Plaintext{}, fmt.Errorf("%w: %w", ErrSealed, err)
	}
	aead, err := r.current.Load().dataAEAD(key)
	if err != nil {
		return latchkey.Plaintext{}, err
	}
	plain, err := unseal(aead, key.head(), sealed, bound)
	return latchkey.NewPlaintext(string(plain)), err
}

// DataKeyOf reads which data key opens a sealed value, so that the caller can
// fetch that one. It authenticates nothing; Open does.
func DataKeyOf(sealed []byte) (DataKeyID, error) {
	if len(sealed) < 1+len(DataKeyID{}) || sealed[0] != sealedV1 {
		return DataKeyID{}, fmt.Errorf("%w: it names no data key", ErrSealed)
	}
	return DataKeyID(sealed[1 : 1+len(DataKeyID{})]), nil
}

// SealUnder encrypts a secret so that it takes the ring and header to open it:
// AES-256-GCM with the key HKDF-SHA-256(root, salt = header). It is for
// idempotency records, whose header is stored nowhere and has at least 16
// bytes. bound says what the record is and must be given again to OpenUnder.
func (r *Ring) SealUnder(version int, header, bound []byte, secret latchkey.Plaintext) ([]byte, error) {
	aead, err := r.current.Load().headerAEAD(version, header)
	if err != nil {
		return nil, err
	}
	return aead.Seal([]byte{underV1}, nil, []byte(secret.Expose()), additional(underLabel, bound)), nil
}

// OpenUnder decrypts what SealUnder made with the same version, header and
// bound; anything else is [ErrSealed]. A version that the ring does not have is
// [ErrVersion].
func (r *Ring) OpenUnder(version int, header, bound, sealed []byte) (latchkey.Plaintext, error) {
	aead, err := r.current.Load().headerAEAD(version, header)
	if errors.Is(err, ErrBinding) {
		return latchkey.Plaintext{}, fmt.Errorf("%w: %w", ErrSealed, err)
	}
	if err != nil {
		return latchkey.Plaintext{}, err
	}
	plain, err := unseal(aead, []byte{underV1}, sealed, additional(underLabel, bound))
	return latchkey.NewPlaintext(string(plain)), err
}

func (s *state) headerAEAD(version int, header []byte) (cipher.AEAD, error) {
	if len(header) < minHeaderLen {
		return nil, fmt.Errorf("%w: an idempotency header has at least %d bytes", ErrBinding, minHeaderLen)
	}
	k, err := s.keys(version)
	if err != nil {
		return nil, err
	}
	key, err := derive(k.root, header, infoIdempotencySeal, keyLen)
	if err != nil {
		return nil, err
	}
	return newAEAD(key)
}
