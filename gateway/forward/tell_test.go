package forward

import (
	"net/http/httptest"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/gateway/internal/gate"
)

// TestStatuses holds every verdict against what each gateway understands.
func TestStatuses(t *testing.T) {
	want := map[latchkey.Code]int{
		latchkey.CodeMalformed: 401, latchkey.CodeUnknown: 401, latchkey.CodeRevoked: 401, latchkey.CodeDisabled: 401, latchkey.CodeExpired: 401,
		latchkey.CodeSignatureRequired: 401, latchkey.CodeSignatureInvalid: 401,
		latchkey.CodeWrongEnvironment: 403, latchkey.CodeIPNotAllowed: 403, latchkey.CodeResourceNotAllowed: 403, latchkey.CodeInsufficientScope: 403,
		latchkey.CodeRateLimited: 429, latchkey.CodeQuotaExceeded: 429, latchkey.CodeVerifyUnavailable: 503,
	}
	for _, code := range latchkey.Codes() {
		if code == latchkey.CodeValid {
			continue
		}
		for _, profile := range latchkey.Profiles() {
			w := httptest.NewRecorder()
			refuse(w, gate.Verdict(code), profile)
			status := want[code]
			if limited := status == 429; limited != (w.Header().Get("Retry-After") != "") {
				t.Errorf("%s to %s: Retry-After is %q", code, profile, w.Header().Get("Retry-After"))
			}
			if status == 429 && profile == latchkey.ProfileNginx {
				status = 403
			}
			if w.Code != status || w.Header().Get("X-Latchkey-Code") != string(code) {
				t.Errorf("%s to %s: %d %s, want %d", code, profile, w.Code, w.Header().Get("X-Latchkey-Code"), status)
			}
		}
	}
}
