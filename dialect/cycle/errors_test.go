package cycle

import (
	"testing"

	"latchkey.dev/latchkey"
)

func TestEveryCodeIsTranslated(t *testing.T) {
	t.Parallel()
	for _, code := range latchkey.ErrorCodes() {
		if titles[codes[code]] == "" {
			t.Errorf("%s is %q, which has no title", code, codes[code])
		}
	}
	if len(codes) != len(latchkey.ErrorCodes()) {
		t.Errorf("%d translations for %d codes", len(codes), len(latchkey.ErrorCodes()))
	}
}

func TestCapabilitiesAreTheDocuments(t *testing.T) {
	t.Parallel()
	if len(known) != 84 {
		t.Errorf("%d capabilities", len(known))
	}
}
