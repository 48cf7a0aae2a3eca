package body_test

import (
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/body"
)

type answer struct {
	Name    string              `json:"name"`
	Scopes  []string            `json:"scopes"`
	Where   map[string][]string `json:"where"`
	Owner   *string             `json:"owner"`
	At      body.Time           `json:"at"`
	Never   body.Time           `json:"never"`
	Overlap body.Duration       `json:"overlap"`
	Secret  latchkey.Plaintext  `json:"secret"`
	Count   int64               `json:"count"`
}

func TestWrite(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		switch r.URL.Path {
		case "/answer":
			err = body.Write(w, http.StatusCreated, answer{
				Name: "<b>&\u2028\xff", Secret: latchkey.NewPlaintext("lk_live_…"), Count: math.MaxInt64, Overlap: body.Duration(24 * time.Hour),
				At: body.Time(time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.FixedZone("", 3600))),
			})
		case "/problem":
			w.Header().Set("Content-Type", "application/problem+json")
			err = body.Write(w, http.StatusNotFound, map[string]int{"b": 1, "c": 2, "a": 3})
		case "/long":
			err = body.Write(w, http.StatusOK, make([]int, 1<<16))
		case "/fails":
			w.Header().Set("Content-Type", "application/problem+json")
			if body.Write(w, http.StatusOK, []any{strings.Repeat("x", 1<<16), math.NaN()}) == nil {
				t.Error("NaN was written")
			}
		}
		if err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	for path, want := range map[string]struct {
		status      int
		contentType string
		text        string
	}{
		"/answer": {201, "application/json", `{"name":"<b>&` + "\u2028\ufffd" + `","scopes":[],"where":{},"owner":null,"at":"2026-01-02T02:04:05.678Z","never":null,` +
			`"overlap":"24h","secret":"[redacted]","count":9223372036854775807}`},
		"/problem": {404, "application/problem+json", `{"a":3,"b":1,"c":2}`},
		"/long":    {200, "application/json", "[" + strings.Repeat("0,", 1<<16-1) + "0]"},
		"/fails":   {500, "", ""},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(got.Body)
		_ = got.Body.Close()
		if err != nil || got.StatusCode != want.status || got.Header.Get("Content-Type") != want.contentType || string(text) != want.text {
			t.Errorf("%s: %d %q %.300s, error %v", path, got.StatusCode, got.Header.Get("Content-Type"), text, err)
		}
		if got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("X-Content-Type-Options") != "nosniff" || got.ContentLength != int64(len(want.text)) {
			t.Errorf("%s: header %v, %d bytes announced", path, got.Header, got.ContentLength)
		}
	}
}

func TestWriteFailureIsInternal(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	err := body.Write(w, http.StatusOK, map[string]any{"at": body.Time(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC))})
	if latchkey.CodeOf(err) != latchkey.CodeInternal || latchkey.AsError(err).Cause == nil {
		t.Errorf("error %v", err)
	}
	if w.Code != http.StatusInternalServerError || w.Body.Len() != 0 || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d, %d bytes, header %v", w.Code, w.Body.Len(), w.Header())
	}
}
