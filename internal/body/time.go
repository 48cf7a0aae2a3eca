package body

import (
	"errors"
	"regexp"
	"strings"
	"time"
)

// Time is a moment on the wire. It is read from an RFC 3339 string in any
// offset, with up to nanoseconds, and written in UTC with milliseconds, the
// rest cut off: 2026-01-02T03:04:05.678Z. The zero Time is no moment, and
// written as null.
type Time time.Time

// rfc3339 is the date-time of RFC 3339, section 5.6, with capital letters and at
// most nanoseconds. time.Parse alone also takes one-digit hours, commas and
// offsets of a hundred hours.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// ParseTime reads a moment as a body would; the error is a [Rule]. The first
// moment of the year 1 is refused: it is how some programs spell that they have
// no moment to give, and must not be taken for "never" where they meant nothing.
func ParseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || !rfc3339.MatchString(s) || t.IsZero() {
		return time.Time{}, Rule{RuleFormat, "This must be a date and time as in RFC 3339: 2026-01-02T03:04:05Z."}
	}
	return t, nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *Time) UnmarshalText(text []byte) error {
	parsed, err := ParseTime(string(text))
	*t = Time(parsed)
	return err
}

// MarshalJSON implements json.Marshaler. It fails for years of more than four digits.
func (t Time) MarshalJSON() ([]byte, error) {
	utc := time.Time(t).UTC()
	if utc.IsZero() {
		return []byte("null"), nil
	}
	if year := utc.Year(); year < 0 || year > 9999 {
		return nil, errors.New("a year outside 0–9999 has no RFC 3339 form")
	}
	return utc.AppendFormat(nil, `"2006-01-02T15:04:05.000Z"`), nil
}

// Duration is a span of time on the wire, a string in Go's spelling: "24h",
// "1h30m", "2.5s". Its bounds, and whether it may be negative, are rules of the
// operation.
type Duration time.Duration

// ParseDuration reads a span as a body would; the error is a [Rule].
func ParseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, Rule{RuleFormat, `This must be a duration in hours, minutes and seconds: "24h", "1h30m", "2.5s".`}
	}
	return d, nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// MarshalText implements encoding.TextMarshaler, without the zeros that
// time.Duration prints at the end: 24h, not 24h0m0s.
func (d Duration) MarshalText() ([]byte, error) {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return []byte(s), nil
}
