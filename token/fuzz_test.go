package token_test

import (
	"errors"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/token"
)

// No bytes are taken but those that were issued, none make a fault, and whatever
// else is wrong with them, the answer is one on the token.
func FuzzVerify(f *testing.F) {
	at := newForge(open(f))
	for _, jwt := range at.hostile() {
		if len(jwt) < 3000 {
			f.Add(jwt)
		}
	}
	issued := map[string]bool{}
	for _, jwt := range at.good {
		f.Add(jwt)
		issued[jwt[:strings.LastIndexByte(jwt, '.')]] = true
	}
	f.Fuzz(func(t *testing.T, jwt string) {
		v, err := at.Verify(t.Context(), latchkey.NewPlaintext(jwt), at.now)
		switch {
		case err == nil && issued[jwt[:strings.LastIndexByte(jwt, '.')]]:
			if v.Subject() == "" || v.KID() == "" {
				t.Errorf("%q says nothing", jwt)
			}
		case err == nil:
			t.Errorf("%q was taken", jwt)
		case !errors.Is(err, token.ErrInvalid) && !errors.Is(err, token.ErrExpired):
			t.Errorf("%q: %v", jwt, err)
		}
	})
}
