package vertesia

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-json-experiment/json"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/dialect/internal/exchange"
)

// Every reason for which the authority refuses has one status here, and the
// platform's generated clients read no other range.
func TestEveryCodeHasAStatus(t *testing.T) {
	t.Parallel()
	for _, code := range latchkey.ErrorCodes() {
		if status := statuses[code]; status < 400 || status > 599 || http.StatusText(status) == "" {
			t.Errorf("%s: %d", code, status)
		}
	}
	if len(statuses) != len(latchkey.ErrorCodes()) {
		t.Errorf("%d statuses for %d codes", len(statuses), len(latchkey.ErrorCodes()))
	}
}

// Every refusal has the members that its readers demand, and no others: those of
// the API, and those of the token service.
func TestEveryRefusalHasItsForm(t *testing.T) {
	t.Parallel()
	for _, code := range latchkey.ErrorCodes() {
		for _, path := range []string{keysPath, rolesPath, issuePath, "/token/refresh", "/auth/token"} {
			answered := httptest.NewRecorder()
			x := &exchange.Exchange{W: answered, R: httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, nil), Dialect: New(Config{})}
			refuse(x, &latchkey.Error{Code: code, Detail: "why"})
			var got map[string]any
			if err := json.Unmarshal(answered.Body.Bytes(), &got); err != nil {
				t.Fatalf("%s: %v", code, err)
			}
			status := statuses[code]
			want := map[string]any{"error": http.StatusText(status), "status": float64(status), "message": "why"}
			if path != keysPath && path != rolesPath {
				switch status {
				case http.StatusForbidden:
					want = map[string]any{"error": "Forbidden", "message": "why", "errorCode": "token_issuance_forbidden"}
				case http.StatusServiceUnavailable:
					want = map[string]any{"error": "Service Unavailable", "message": "why"}
				}
			}
			if len(got) != len(want) || answered.Code != status {
				t.Errorf("%s at %s: %d %v", code, path, answered.Code, got)
			}
			for name := range want {
				if got[name] != want[name] {
					t.Errorf("%s at %s: %s is %v", code, path, name, got[name])
				}
			}
			header := answered.Header()
			if (header.Get("Retry-After") != "") != (status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests) || (header.Get("WWW-Authenticate") != "") != (status == http.StatusUnauthorized) {
				t.Errorf("%s: %v", code, header)
			}
		}
	}
}
