package rest_test

import (
	"net/http"
	"strings"
)

// keepsTheProtocol holds an answer against what is promised of all of them.
func (a answer) keepsTheProtocol(r *http.Request) {
	a.h.Helper()
	wrong := func(format string, args ...any) {
		a.h.Helper()
		a.h.Errorf(r.Method+" "+r.URL.Path+": "+format+"\n%d %v %s", append(args, a.Status, a.Header, a.Text)...)
	}
	if a.Status >= 500 && a.Status != http.StatusServiceUnavailable && !a.h.faulty {
		wrong("a fault of ours")
	}
	if a.Header.Get("X-Request-Id") == "" {
		wrong("no request id")
	}
	if a.Header.Get("X-Content-Type-Options") != "nosniff" {
		wrong("the type may be guessed at")
	}
	if r.URL.Path != "/openapi.json" && r.URL.Path != "/docs" && a.Header.Get("Cache-Control") != "no-store" {
		wrong("the answer may be stored")
	}
	for name := range a.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			wrong("a header of CORS: %s", name)
		}
	}
	if a.Status == http.StatusUnauthorized && !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Bearer ") {
		wrong("401 without a challenge")
	}
	if (a.Status == http.StatusTooManyRequests || a.Status == http.StatusServiceUnavailable) && a.Header.Get("Retry-After") == "" {
		wrong("no word of when to try again")
	}
	if a.Status < 400 {
		return
	}
	if a.Header.Get("Content-Type") != "application/problem+json" {
		wrong("a refusal that is no problem")
	}
	if r.Method == http.MethodHead {
		return
	}
	if a.JSON["status"] != float64(a.Status) || a.text("request_id") != a.Header.Get("X-Request-Id") ||
		a.text("type") != "/docs#"+a.text("code") || a.text("title") == "" || a.text("detail") == "" {
		wrong("a problem that does not say what it must")
	}
}
