package main

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseSpan(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0s": 0, "0d": 0, "90d": 90 * 24 * time.Hour, "36h": 36 * time.Hour, "1h30m": 90 * time.Minute, "1d12h": 36 * time.Hour, "2.5s": 2500 * time.Millisecond,
		"36500d": maxDays * 24 * time.Hour,
	} {
		if got, err := parseSpan(text); err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "90", "-1h", "1d-1h", "-1d", "36501d", "1.5d", "1d1d", "1w", "h", " 1h", "99999999999999999999d", "+1d", "1h1d", "2562047h47m17s"} {
		if got, err := parseSpan(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

// A span never runs backwards, and what Go prints of it is read again as the same.
func TestSpansAreRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		span := time.Duration(rapid.Int64Range(0, int64(maxDays*24*time.Hour)).Draw(t, "span"))
		if got, err := parseSpan(span.String()); err != nil || got != span {
			t.Fatalf("%v was read as %v, %v", span, got, err)
		}
		if got, err := parseSpan(rapid.String().Draw(t, "text")); err == nil && got < 0 {
			t.Fatalf("below nothing: %v", got)
		}
	})
}
