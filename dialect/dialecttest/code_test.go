package dialecttest_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/dialect/company"
	"latchkey.dev/latchkey/dialect/cycle"
	"latchkey.dev/latchkey/dialect/internal/exchange"
	"latchkey.dev/latchkey/dialect/vertesia"
	"latchkey.dev/latchkey/dialect/voke"
	"latchkey.dev/latchkey/internal/door"
)

// Every code of the closed set has a form in each dialect; one that is not in the
// set is internal, and no form tells a cause.
func TestEveryCodeIsTranslated(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	config := exchange.Config{Door: door.New(door.Config{Clock: time.Now, Log: slog.New(slog.NewTextHandler(&log, nil))})}
	certain := map[latchkey.ErrorCode]int{
		latchkey.CodeUnauthenticated: http.StatusUnauthorized, latchkey.CodeTooManyRequests: http.StatusTooManyRequests, latchkey.CodeBusy: http.StatusServiceUnavailable,
		latchkey.CodeForbidden: http.StatusForbidden, latchkey.CodeCeiling: http.StatusForbidden, latchkey.CodeNotFound: http.StatusNotFound,
		latchkey.CodeUnavailable: http.StatusServiceUnavailable, latchkey.CodeInternal: http.StatusInternalServerError, "unheard_of": http.StatusInternalServerError,
	}
	for _, d := range []*exchange.Dialect{voke.New(config), vertesia.New(config), company.New(config), cycle.New(config)} {
		for _, code := range append(latchkey.ErrorCodes(), "unheard_of") {
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSuffix(d.Mounts[0], "/")+"/x", nil)
			d.Refuse(&exchange.Exchange{W: w, R: r, Dialect: d}, &latchkey.Error{Code: code, Detail: "A sentence.", Cause: errors.New("a canary")})
			var body any
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
				t.Errorf("%s %s: no JSON: %q", d.Name, code, w.Body)
			}
			want, is := certain[code]
			if is && w.Code != want || !is && (w.Code < 400 || w.Code >= 500) {
				t.Errorf("%s %s: %d", d.Name, code, w.Code)
			}
			if strings.Contains(w.Body.String(), "canary") || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s: %v %s", d.Name, code, w.Header(), w.Body)
			}
			if waits := w.Code == http.StatusServiceUnavailable || w.Code == http.StatusTooManyRequests; waits != (w.Header().Get("Retry-After") != "") {
				t.Errorf("%s %s: Retry-After %q", d.Name, code, w.Header().Get("Retry-After"))
			}
		}
	}
	if strings.Count(log.String(), "canary") < 4*len(latchkey.ErrorCodes()) {
		t.Error("causes are not logged")
	}
}
