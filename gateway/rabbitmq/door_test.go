package rabbitmq_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"latchkey.dev/latchkey/latchkeytest"
)

// Strangers at this door are told to wait in the end; a broker never is, from the
// same address.
func TestStrangersWait(t *testing.T) {
	t.Parallel()
	a := latchkeytest.Start(t, latchkeytest.Options{})
	body, err := json.Marshal(map[string]any{"name": "rabbit", "profile": "rabbitmq"})
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ Token string }
	if status, text := send(t, a, "/v1/gateways", "application/json", body); status != http.StatusCreated || json.Unmarshal([]byte(text), &made) != nil {
		t.Fatalf("no broker: %d %s", status, text)
	}
	form := []byte(url.Values{"username": {"nobody"}, "password": {"wrong"}}.Encode())
	ask := func(token string) (int, string) {
		return send(t, a, "/integrations/rabbitmq/"+token+"/user", "application/x-www-form-urlencoded", form)
	}
	last := made.Token[len(made.Token)-1:]
	stranger := strings.TrimSuffix(made.Token, last) + map[bool]string{true: "1", false: "0"}[last == "0"]
	denied, waited := 0, 0
	for range 60 {
		switch status, text := ask(stranger); {
		case status == http.StatusOK && text == "deny":
			denied++
		case status == http.StatusTooManyRequests && !strings.Contains(text, "allow"):
			waited++
		default:
			t.Fatalf("a stranger: %d %s", status, text)
		}
		if status, text := ask(made.Token); status != http.StatusOK || text != "deny" {
			t.Fatalf("the broker, after %d strangers: %d %s", denied+waited, status, text)
		}
	}
	if denied == 0 || waited == 0 {
		t.Errorf("of 60 strangers %d were denied and %d told to wait", denied, waited)
	}
}

func send(t *testing.T, a *latchkeytest.Authority, path, kind string, body []byte) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.URL+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	if strings.HasPrefix(path, "/v1/") {
		r.Header.Set("Authorization", "Bearer "+a.AdminKey)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}
