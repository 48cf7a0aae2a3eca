package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Secret is a key or a token in the clear. Wherever fmt, log/slog or an encoder
// meets one, it shows "[redacted]"; the one way out is [Secret.Expose]. It is
// behind a pointer, so that what does not see its methods finds an address. Two
// of them compare equal only if one is a copy of the other. The zero value holds
// no secret.
type Secret struct{ hidden[string] }

// NewSecret takes a secret into custody.
func NewSecret(secret string) Secret { return Secret{hidden[string]{&secret}} }

// Expose gives the secret itself, "" if there is none.
func (s Secret) Expose() string { return s.expose() }

// UnmarshalJSON implements json.Unmarshaler. Its error does not show the text.
func (s *Secret) UnmarshalJSON(text []byte) error {
	var secret string
	if json.Unmarshal(text, &secret) != nil {
		return errors.New("a secret that is not a string")
	}
	*s = NewSecret(secret)
	return nil
}

// Raw is the text of an answer as the server sent it. It may hold secrets, so
// it shows itself no more than a [Secret] does.
type Raw struct{ hidden[[]byte] }

// NewRaw takes a text into custody.
func NewRaw(text []byte) Raw { return Raw{hidden[[]byte]{&text}} }

// Expose gives the text itself.
func (r Raw) Expose() []byte { return r.expose() }

// hidden is a value that no way of printing shows.
type hidden[T any] struct{ value *T }

func (h hidden[T]) expose() (value T) {
	if h.value != nil {
		value = *h.value
	}
	return value
}

const redacted = "[redacted]"

// String implements fmt.Stringer.
func (hidden[T]) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (hidden[T]) GoString() string { return redacted }

// Format implements fmt.Formatter: whatever verb it is asked for, it redacts.
func (hidden[T]) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// MarshalText implements encoding.TextMarshaler.
func (hidden[T]) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON implements json.Marshaler.
func (hidden[T]) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// LogValue implements slog.LogValuer.
func (hidden[T]) LogValue() slog.Value { return slog.StringValue(redacted) }
