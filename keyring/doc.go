// Package keyring keeps the installation's root keys and does everything that
// needs one: digests of keys, tags of cursors and idempotency headers, sealing.
//
// A ring is a short list of versions in one file. Version n is a random 256-bit
// root; every key in use is derived from it by HKDF-SHA-256 (RFC 5869) with an
// info label of its own, listed in docs/key-ring.md beside the file's format.
// One version is active: new things are made under it. Later ones are pending,
// earlier ones still open what they made until they are retired, which erases
// their root and leaves a marker, so that no number is ever used twice.
//
// It promises:
//   - A [Ring] is safe for concurrent use, and every operation but those that
//     change the ring reads one immutable snapshot, without a lock.
//   - A change is atomic and durable when it returns, and two processes that
//     change one file at once take turns. A crash leaves the old file or the new.
//   - Versions only move forward: pending, active, retiring, retired. So two
//     copies of a ring always have one merged form, whichever is merged first.
//   - A ring in use never goes back. A file that lacks a version in use, or is
//     another ring's, is refused and the snapshot stays as it was.
//   - A sealed value opens only with the data key it names and for exactly the
//     organization, object, field and version for which it was sealed.
//
// It fails closed, with an error that wraps one of the Err values below or, where
// an administrator asked for a change that the ring's state does not allow, with
// a [latchkey.Error] of code not_found or conflict. No error holds key material,
// a plaintext or an idempotency header.
//
// It does not know which rows still depend on a version: ask the store before
// Retire. It does not read a clock, and draws randomness only from the reader
// it is given, save for the nonces of AES-GCM, which the standard library draws.
// It does not wipe memory: whoever can read this process's memory has the ring.
// It needs a Unix file system (modes, flock, hard links).
package keyring

import "errors"

// Why a ring, a version or a sealed value was refused.
var (
	// ErrCorrupt says that a ring's text is not what was written: cut short,
	// damaged or edited.
	ErrCorrupt = errors.New("the key ring is damaged")
	// ErrFormat says that a ring's text is of a format that this build does not
	// know, most likely a later one.
	ErrFormat = errors.New("the key ring has an unknown format")
	// ErrExposed says that others than its owner may touch the ring's file.
	ErrExposed = errors.New("the key ring file is open to others")
	// ErrOther says that two rings, or two versions of one number, have
	// different roots.
	ErrOther = errors.New("this is another key ring")
	// ErrStale says that a file lacks something that the ring in use has.
	ErrStale = errors.New("the key ring file is older than the ring in use")
	// ErrVersion says that the ring has no root for a version: it never had
	// one, or the version is retired.
	ErrVersion = errors.New("the key ring has no key for this version")
	// ErrBinding says that what a value is to be sealed for is incomplete: a
	// [Binding] without organization, object or field, or with another
	// organization than the data key's; an idempotency header that is too short.
	ErrBinding = errors.New("this is not enough to bind a sealed value to")
	// ErrSealed says that a sealed value or a wrapped key does not open: it was
	// altered, or is not the one that belongs there.
	ErrSealed = errors.New("the sealed value does not open")
)
