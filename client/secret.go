package client

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a key or a token in the clear. Wherever fmt, log/slog or an encoder
// meets one, it shows "[redacted]"; the one way out is [Secret.Expose]. What
// cannot see its methods sees a plain string: keep it out of unexported fields
// of structs that are printed, and out of the keys of maps.
type Secret string

// Expose gives the secret itself.
func (s Secret) Expose() string { return string(s) }

// String implements fmt.Stringer.
func (Secret) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return redacted }

// Format implements fmt.Formatter, so that no verb shows the secret.
func (Secret) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// MarshalText implements encoding.TextMarshaler.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON implements json.Marshaler.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// Raw is the text of an answer as the server sent it. It may hold secrets, so
// it shows itself no more than they do.
type Raw []byte

// Expose gives the text itself.
func (r Raw) Expose() []byte { return r }

// String implements fmt.Stringer.
func (Raw) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (Raw) GoString() string { return redacted }

// Format implements fmt.Formatter, so that no verb shows the text.
func (Raw) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// MarshalText implements encoding.TextMarshaler.
func (Raw) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON implements json.Marshaler.
func (Raw) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// LogValue implements slog.LogValuer.
func (Raw) LogValue() slog.Value { return slog.StringValue(redacted) }
