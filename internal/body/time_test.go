package body_test

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"

	"latchkey.dev/latchkey/internal/body"
)

func TestParseTime(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]time.Time{
		"2026-01-02T03:04:05Z":                time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		"2026-01-02T03:04:05.6Z":              time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC),
		"2026-11-23T01:01:09.104854364Z":      time.Date(2026, 11, 23, 1, 1, 9, 104854364, time.UTC),
		"2022-03-31T18:57:13.997082+00:00":    time.Date(2022, 3, 31, 18, 57, 13, 997082000, time.UTC),
		"2026-01-02T03:04:05-00:00":           time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		"2026-01-02T03:04:05+23:59":           time.Date(2026, 1, 1, 3, 5, 5, 0, time.UTC),
		"2024-02-29T23:59:59.999999999-01:00": time.Date(2024, 3, 1, 0, 59, 59, 999999999, time.UTC),
		"0000-01-01T00:00:00Z":                time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		if got, err := body.ParseTime(in); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, error %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", "now", "1700000000", "2026-01-02", "2026-01-02T03:04:05", "2026-01-02 03:04:05Z", "2026-01-02t03:04:05z",
		"2026-01-02T3:04:05Z", "2026-01-02T03:04:05,6Z", "2026-01-02T03:04:05.Z", "2026-01-02T03:04:05.1234567890Z",
		"2026-01-02T03:04:05+24:00", "2026-01-02T03:04:05+00:60", "2026-01-02T03:04:05+0000", "2026-01-02T03:04:05+00",
		"2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-32T00:00:00Z", "2026-01-02T24:00:00Z", "2026-01-02T03:60:00Z",
		"2016-12-31T23:59:60Z", "12026-01-02T03:04:05Z", "-2026-01-02T03:04:05Z", " 2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z\n",
		"２026-01-02T03:04:05Z",
	} {
		got, err := body.ParseTime(in)
		if rule, ok := err.(body.Rule); !ok || rule.Code != body.RuleFormat || !got.IsZero() {
			t.Errorf("%q: %v, error %v", in, got, err)
		}
	}
}

func TestTimeOnTheWire(t *testing.T) {
	t.Parallel()
	east := time.FixedZone("", 2*60*60)
	for want, at := range map[string]time.Time{
		`"2026-01-02T03:04:05.678Z"`: time.Date(2026, 1, 2, 5, 4, 5, 678_999_999, east),
		`"2026-01-02T03:04:05.000Z"`: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		`"0000-01-01T00:00:00.000Z"`: time.Date(0, 1, 1, 2, 0, 0, 0, east),
		`null`:                       {},
	} {
		if got, err := json.Marshal(body.Time(at)); err != nil || string(got) != want {
			t.Errorf("%v: %s, error %v, want %s", at, got, err, want)
		}
	}
	for _, at := range []time.Time{
		time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("", -2*60*60)),
		time.Date(0, 1, 1, 0, 0, 0, 0, east),
	} {
		if got, err := json.Marshal(body.Time(at)); err == nil {
			t.Errorf("%v: %s, want an error", at, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMilli(rapid.Int64Range(0, 253402300799999).Draw(t, "milliseconds"))
		wire, err := json.Marshal(body.Time(at))
		if err != nil {
			t.Fatal(err)
		}
		back, err := body.ParseTime(string(wire[1 : len(wire)-1]))
		if err != nil || !back.Equal(at) {
			t.Errorf("%v is written %s and read %v, error %v", at, wire, back, err)
		}
	})
}

func TestDurationOnTheWire(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]time.Duration{
		"0s": 0, "2s": 2 * time.Second, "10s": 10 * time.Second, "10m": 10 * time.Minute, "1m30s": 90 * time.Second,
		"24h": 24 * time.Hour, "1h30m": 90 * time.Minute, "1h0m5s": time.Hour + 5*time.Second, "-20m": -20 * time.Minute, "250ms": 250 * time.Millisecond,
	} {
		got, err := json.Marshal(body.Duration(d))
		if err != nil || string(got) != `"`+want+`"` {
			t.Errorf("%v: %s, error %v, want %s", d, got, err, want)
		}
		if back, err := body.ParseDuration(want); err != nil || back != d {
			t.Errorf("%s: %v, error %v", want, back, err)
		}
	}
	for _, in := range []string{"", "1", "h", "24 h", "1d", "P1D", "24H", "1e3s", "9223372036854775808ns", "300000000h", "1h\n"} {
		if rule, ok := parseDurationError(in).(body.Rule); !ok || rule.Code != body.RuleFormat {
			t.Errorf("%q is taken", in)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64().Draw(t, "nanoseconds")).Truncate(time.Duration(rapid.SampledFrom([]int64{1, 1e6, 1e9, 60e9, 3600e9}).Draw(t, "unit")))
		wire, err := body.Duration(d).MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back body.Duration
		if err := back.UnmarshalText(wire); err != nil || time.Duration(back) != d {
			t.Errorf("%v is written %s and read %v, error %v", d, wire, time.Duration(back), err)
		}
	})
}

func parseDurationError(s string) error {
	_, err := body.ParseDuration(s)
	return err
}
