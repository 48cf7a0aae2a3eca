package company

import (
	"testing"

	"latchkey.dev/latchkey"
)

func TestEveryCodeIsTranslated(t *testing.T) {
	t.Parallel()
	for _, code := range latchkey.ErrorCodes() {
		if statuses[code] == 0 {
			t.Errorf("%s has no status", code)
		}
	}
	if len(statuses) != len(latchkey.ErrorCodes()) {
		t.Errorf("%d statuses for %d codes", len(statuses), len(latchkey.ErrorCodes()))
	}
}
