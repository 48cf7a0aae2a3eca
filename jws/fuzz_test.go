package jws_test

import (
	"strings"
	"testing"

	"latchkey.dev/latchkey/jws"
)

// FuzzParse looks for a token that has a second spelling, or asks for what is not
// understood and is taken apart all the same.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"eyJhbGciOiJFUzI1NiJ9.e30.AA", "eyJhbGciOiJub25lIn0.e30.", "..", "eyJhbGciOiJFUzI1NiJ9.e30.AB", "eyJhbGciOiJFUzI1NiJ9.e30=.AA",
		"eyJhbGciOiJFUzI1NiIsImNyaXQiOlsiYjY0Il19.e30.AA", "eyJhbGciOiJFUzI1NiIsImFsZyI6Im5vbmUifQ.e30.AA", "eyJhbGciOiJFUzI1NiJ9.e\n30.AA", "a.b.c.d",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		token, err := jws.Parse(s)
		if err != nil {
			return
		}
		if len(s) > jws.MaxLen || strings.Count(s, ".") != 2 || strings.ContainsAny(s, "=\r\n ") {
			t.Fatalf("%q is taken apart", s)
		}
		if !strings.HasPrefix(s, token.Signed+".") || len(token.Payload) == 0 || len(token.Signature) == 0 {
			t.Fatalf("%q has the parts %q, %q and %q", s, token.Signed, token.Payload, token.Signature)
		}
		if token.Header.Critical != nil || token.Header.Detached != nil {
			t.Fatalf("%q asks for an extension", s)
		}
	})
}
