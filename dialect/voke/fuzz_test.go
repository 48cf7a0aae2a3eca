package voke

import (
	"net/http/httptest"
	"net/url"
	"testing"
	"time"
	"unicode/utf8"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/dialect/internal/exchange"
	"latchkey.dev/latchkey/internal/door"
)

// FuzzCreation: of any body, either what is wrong with it is told, or the key is
// within the document's bounds.
func FuzzCreation(f *testing.F) {
	for _, seed := range []string{
		`{"name":"n","partnerId":"p","scopes":["plants:read"]}`, `{"name":1,"partnerId":null,"scopes":{},"allowedIps":["x"],"allowedPlantIds":[null],"expiresAt":"2019-08-24T14:15:22Z"}`,
		`{"name":"n","partnerId":"p","scopes":["a","a"],"allowedIps":["192.0.2.1"],"allowedPlantIds":["f47ac10b-58cc-4372-a567-0e02b2c3d479"],"expiresAt":"2099-08-24T14:15:22Z"}`,
		`{"name":"\u0000","partnerId":"\ud800","scopes":[]}`, `null`, ``,
	} {
		f.Add([]byte(seed))
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	config := Config{Door: door.New(door.Config{Clock: func() time.Time { return now }}), Authority: authority.New(authority.Config{})}
	f.Fuzz(func(t *testing.T, body []byte) {
		x := &exchange.Exchange{W: httptest.NewRecorder(), R: httptest.NewRequest("POST", keysPath, nil), Dialect: New(config), Body: body}
		key, err := readKey(x)
		if err != nil {
			told, details := form(x, err)
			if told.code != "BAD_REQUEST" && (told.code != "VALIDATION_ERROR" || len(details) == 0) {
				t.Fatalf("refused as %v, %v", told, details)
			}
			return
		}
		for _, s := range []string{key.Name, key.Partner} {
			if n := utf8.RuneCountInString(s); n < 1 || n > maxText || !utf8.ValidString(s) {
				t.Fatalf("a text of %d characters: %q", n, s)
			}
		}
		if len(key.Scopes) == 0 || !key.ExpiresAt.IsZero() && !key.ExpiresAt.After(now) {
			t.Fatalf("scopes %q, end %v", key.Scopes, key.ExpiresAt)
		}
		for _, plant := range key.Resources[plantType] {
			if _, _, err := latchkey.ParseUUID(plant); err != nil {
				t.Fatalf("a plant %q", plant)
			}
		}
	})
}

// FuzzPage: of any query, either what is wrong with it is told, or page and limit
// are within their bounds and their product within an integer's.
func FuzzPage(f *testing.F) {
	for _, seed := range []string{"", "page=1&limit=100", "page=0", "limit=101", "page=1&page=2", "page=9007199254740991", "page=+1", "limit=%31"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		query, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		page, limit, err := pageOf(query)
		if err == nil && (page < 1 || page > maxPage || limit < 1 || limit > maxLimit || (page-1)*limit < 0) {
			t.Fatalf("page %d, limit %d", page, limit)
		}
	})
}
