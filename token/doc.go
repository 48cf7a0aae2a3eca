// Package token signs JSON Web Tokens (RFC 7519) for keys and reads them back.
//
// It promises that a token which [Service.Verify] returns was signed by a key of
// this installation with the algorithm of that key, whatever the token says of
// algorithms and keys, and that it has not ended. It does not promise that the
// credential behind it still holds: that is looked up at each use, by the kid
// that the token names (package verify).
//
// Signing keys live in the store, their private halves sealed, and are shared by
// all nodes. A key is published before it signs, signs for a term, and stays
// published until nothing that it signed can be valid any more. [Plan] says what
// is due; package authority writes it, with its events.
//
// It fails with [ErrInvalid] or [ErrExpired] for a token, and with the store's
// own errors where the keys cannot be read: a token is then neither good nor bad.
package token

import (
	"errors"
	"time"

	"latchkey.dev/latchkey/jws"
)

// The failures that a caller tells apart.
var (
	ErrInvalid  = errors.New("not a token of this authority")
	ErrExpired  = errors.New("the token has expired")
	ErrNoKey    = errors.New("there is no key to sign with")            // yet: one has to be made
	ErrTooLarge = errors.New("the token would be too large to be read") // more than MaxLen
)

// The bounds of tokens.
const (
	MaxLen  = jws.MaxLen // bytes; longer ones are not looked at
	MaxLife = time.Hour  // from iat to exp

	// ClockSkew is how far the clocks of two nodes may be apart, at most.
	ClockSkew = 10 * time.Minute
)

// The times in the life of a signing key.
const (
	Lead   = 24 * time.Hour      // published before it signs, so that those who keep the key set have it
	Term   = 90 * 24 * time.Hour // signs
	Linger = MaxLife + ClockSkew // published after it signed its last
)
