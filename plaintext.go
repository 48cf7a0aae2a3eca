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
// What cannot see its methods sees a plain string: fmt does in an unexported
// field of a struct and under %p and %w, encoding/json in the key of a map,
// encoding/gob everywhere. So a struct that keeps one in an unexported field
// says itself how it prints, and a Plaintext is never the key of a map.
type Plaintext string

// Expose gives the secret itself. Call it only where the secret is hashed,
// sealed or handed to the one who asked for it.
func (p Plaintext) Expose() string { return string(p) }

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
