package latchkey

import (
	"fmt"
	"io"
	"log/slog"
)

// Redacted is what a Plaintext shows of itself, whoever asks.
const Redacted = "[redacted]"

// Plaintext is a secret in the clear: a key, a signing key, a token. Wherever
// fmt, log/slog, a panic or an encoder of text meets one, it shows [Redacted];
// the one way out is Expose, so that the places where secrets leave can be
// listed by a search.
//
// The secret is behind a pointer, so that what does not see these methods (fmt
// in an unexported field, a verb for pointers, an encoder of its own) finds an
// address and not the secret. Two of them compare equal only if one is a copy
// of the other. The zero value holds no secret.
type Plaintext struct{ secret *string }

// NewPlaintext takes a secret into custody.
func NewPlaintext(secret string) Plaintext { return Plaintext{&secret} }

// Expose gives the secret itself, "" if there is none. Call it only where the
// secret is hashed, sealed or handed to the one who asked for it.
func (p Plaintext) Expose() string {
	if p.secret == nil {
		return ""
	}
	return *p.secret
}

// Empty reports whether there is no secret.
func (p Plaintext) Empty() bool { return p.Expose() == "" }

// String implements fmt.Stringer.
func (Plaintext) String() string { return Redacted }

// GoString implements fmt.GoStringer.
func (Plaintext) GoString() string { return Redacted }

// Format implements fmt.Formatter: whatever verb it is asked for, it writes [Redacted].
func (Plaintext) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, Redacted) }

// MarshalText implements encoding.TextMarshaler, which XML and YAML encoders go
// through.
func (Plaintext) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// MarshalJSON implements json.Marshaler.
func (Plaintext) MarshalJSON() ([]byte, error) { return []byte(`"` + Redacted + `"`), nil }

// LogValue implements slog.LogValuer.
func (Plaintext) LogValue() slog.Value { return slog.StringValue(Redacted) }
