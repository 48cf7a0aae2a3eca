package keyring

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"time"

	"latchkey.dev/latchkey"
)

const (
	keyLen         = 32  // bytes of a root and of every key derived from one
	fingerprintLen = 16  // bytes of a fingerprint, twice as many hexadecimal digits
	maxVersions    = 100 // retired ones counted
)

// The info labels of HKDF. A label never changes its meaning; a new use takes a
// new label. docs/key-ring.md lists them for the reader.
const (
	infoFingerprint       = "latchkey/v1 fingerprint"
	infoPepper            = "latchkey/v1 pepper"
	infoCursor            = "latchkey/v1 cursor"
	infoIdempotencyLookup = "latchkey/v1 idempotency lookup"
	infoIdempotencySeal   = "latchkey/v1 idempotency seal"
	infoDataKeyWrap       = "latchkey/v1 data key wrap"
)

// state is one immutable snapshot of a ring.
type state struct {
	active   int       // its number
	versions []version // at least one; number n at index n-1, without gaps
}

type version struct {
	created     time.Time // UTC, whole seconds
	fingerprint string
	keys        *keys // nil once retired
}

// keys are what one root yields.
type keys struct {
	root    []byte
	pepper  mac
	foreign mac // the same key, with the other label
	cursor  mac
	lookup  mac
	wrap    cipher.AEAD
}

func derive(root, salt []byte, info string, n int) ([]byte, error) {
	return hkdf.Key(sha256.New, root, salt, info, n)
}

// newAEAD makes AES-256-GCM that draws a nonce for each message and puts it in
// front. Such a key is good for 2^32 messages (NIST SP 800-38D, section 8.3).
func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func newVersion(root []byte, created time.Time) (version, error) {
	public, err := derive(root, nil, infoFingerprint, fingerprintLen)
	if err != nil {
		return version{}, err
	}
	k := &keys{root: root}
	for _, m := range []struct {
		info, label string
		mac         *mac
	}{
		{infoPepper, digestLabel, &k.pepper}, {infoPepper, foreignLabel, &k.foreign},
		{infoCursor, "", &k.cursor}, {infoIdempotencyLookup, "", &k.lookup},
	} {
		key, err := derive(root, nil, m.info, keyLen)
		if err != nil {
			return version{}, err
		}
		if *m.mac, err = newMAC(key, m.label); err != nil {
			return version{}, err
		}
	}
	wrap, err := derive(root, nil, infoDataKeyWrap, keyLen)
	if err != nil {
		return version{}, err
	}
	if k.wrap, err = newAEAD(wrap); err != nil {
		return version{}, err
	}
	return version{created.UTC().Truncate(time.Second), hex.EncodeToString(public), k}, nil
}

func drawVersion(random io.Reader, now time.Time) (version, error) {
	root := make([]byte, keyLen)
	if _, err := io.ReadFull(random, root); err != nil {
		return version{}, fmt.Errorf("drawing a root key: %w", err)
	}
	return newVersion(root, now)
}

// fingerprint is the first version's: a marker keeps it when that one is retired.
func (s *state) fingerprint() string { return s.versions[0].fingerprint }

// keys finds what version n derives.
func (s *state) keys(n int) (*keys, error) {
	if n < 1 || n > len(s.versions) {
		return nil, fmt.Errorf("%w: version %d is not in ring %s", ErrVersion, n, s.fingerprint())
	}
	if k := s.versions[n-1].keys; k != nil {
		return k, nil
	}
	return nil, fmt.Errorf("%w: version %d of ring %s is retired", ErrVersion, n, s.fingerprint())
}

func (s *state) stateOf(n int) State {
	switch {
	case s.versions[n-1].keys == nil:
		return Retired
	case n < s.active:
		return Retiring
	case n == s.active:
		return Active
	}
	return Pending
}

func (s *state) version(n int) Version {
	v := s.versions[n-1]
	return Version{Number: n, State: s.stateOf(n), CreatedAt: v.created, Fingerprint: v.fingerprint}
}

func (s *state) clone() *state {
	return &state{s.active, slices.Clone(s.versions)}
}

func (s *state) add(v version) (*state, error) {
	if len(s.versions) == maxVersions {
		return nil, latchkey.Errorf(latchkey.CodeConflict, "A key ring has at most %d versions, retired ones counted.", maxVersions)
	}
	next := s.clone()
	next.versions = append(next.versions, v)
	return next, nil
}

func (s *state) activate(n int) (*state, error) {
	if err := s.has(n); err != nil {
		return nil, err
	}
	if n < s.active {
		return nil, latchkey.Errorf(latchkey.CodeConflict,
			"Version %d was followed by version %d, and versions only move forward; add a new one and activate that.", n, s.active)
	}
	next := s.clone()
	next.active = n
	return next, nil
}

func (s *state) retire(n int) (*state, error) {
	if err := s.has(n); err != nil {
		return nil, err
	}
	if n >= s.active {
		return nil, latchkey.Errorf(latchkey.CodeConflict,
			"Version %d is %s; only versions before the active one can be retired, so activate a later one first.", n, s.stateOf(n))
	}
	next := s.clone()
	next.versions[n-1].keys = nil
	return next, nil
}

func (s *state) has(n int) error {
	if n >= 1 && n <= len(s.versions) {
		return nil
	}
	e := latchkey.Errorf(latchkey.CodeNotFound, "The key ring has no version %d; its last one is %d. Add or import it first.", n, len(s.versions))
	e.Cause = ErrVersion
	return e
}

// join merges two copies of one ring: every version of either, the later active
// number, and retired wherever either says so. It is a least upper bound, so
// order and repetition of merges do not matter. That holds because activation
// never goes back and only what lies before the active version is retired.
func join(a, b *state) (*state, error) {
	if a.fingerprint() != b.fingerprint() {
		return nil, fmt.Errorf("%w: ring %s, not %s", ErrOther, b.fingerprint(), a.fingerprint())
	}
	if len(a.versions) < len(b.versions) {
		a, b = b, a
	}
	merged := a.clone()
	merged.active = max(a.active, b.active)
	for i, v := range b.versions {
		if v.fingerprint != a.versions[i].fingerprint {
			return nil, fmt.Errorf("%w: version %d was added to both copies of ring %s, with different roots; "+
				"keep the copy whose version %d the installation lists and import it where the other one is put away",
				ErrOther, i+1, a.fingerprint(), i+1)
		}
		if v.keys == nil {
			merged.versions[i].keys = nil
		}
	}
	return merged, nil
}

// covers says whether s is old or a later form of it.
func (s *state) covers(old *state) error {
	merged, err := join(s, old)
	if err != nil {
		return err
	}
	if !bytes.Equal(merged.encode(), s.encode()) {
		return fmt.Errorf("%w: it seems that an old copy was put over it; merge with latchkey keyring import instead", ErrStale)
	}
	return nil
}
