package dialecttest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey/latchkeytest"
)

// Vertesia's own clients, as they are published, run every operation, and the
// vendor's own schemas hold for every answer.
func TestVertesiaClients(t *testing.T) {
	t.Parallel()
	running := serve(t)
	for client, least := range map[string]int{"@vertesia/client": 50, "@vertesia/client-1.2.0": 50} {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			out := node(t, "vertesia.mjs", "BASE="+running.url, "KEY="+firstKey(t, running.url, running.admin), "CLIENT="+client)
			var checks int
			if _, err := fmt.Sscanf(out, "%d checks", &checks); err != nil || checks < least {
				t.Errorf("%d checks of at least %d:\n%s", checks, least, out)
			}
			t.Logf("%s: %d checks", client, checks)
		})
	}
}

// firstKey makes a key of Vertesia's form for an owner, with a key of ours.
func firstKey(t *testing.T, base, admin string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/api/v1/apikeys", strings.NewReader(`{"name":"for the client","role":"owner"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Authorization": {"Bearer " + admin}, "Content-Type": {"application/json"}}
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = got.Body.Close() }()
	var made struct {
		Value string `json:"value"`
	}
	if err := json.NewDecoder(got.Body).Decode(&made); err != nil || made.Value == "" {
		t.Fatalf("no key was made: %s %v", got.Status, err)
	}
	return made.Value
}

// The document's own examples, run by a shell with curl. The address, the
// credential and the ids are put in, and nothing else is changed.
func TestVertesiaCurlLines(t *testing.T) {
	t.Parallel()
	h := latchkeytest.Start(t, latchkeytest.Options{})
	script, err := os.ReadFile(filepath.Join("..", "vertesia", "testdata", "curl.sh"))
	if err != nil {
		t.Fatal(err)
	}
	examples := strings.Split(strings.TrimSpace(string(script)), "\n\n")
	id, run := "", 0
	for _, example := range examples {
		title, command, _ := strings.Cut(example, "\n")
		if !strings.HasPrefix(command, "curl ") {
			continue
		}
		line := strings.NewReplacer("https://api.vertesia.io", h.URL, "<YOUR_API_KEY>", h.AdminKey, "<API_KEY_ID>", id).Replace(command)
		out, err := exec.CommandContext(t.Context(), "sh", "-c", line+" --silent --show-error --fail-with-body").CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", title, err, out)
		}
		run++
		if strings.HasPrefix(string(out), "[") {
			continue
		}
		var answer map[string]any
		if err := json.Unmarshal(out, &answer); err != nil {
			t.Fatalf("%s: %v\n%s", title, err, out)
		}
		if given, ok := answer["id"].(string); ok {
			id = given
		}
		if p, there := answer["project"]; there && p != h.Project.Hex() {
			t.Errorf("%s: the project is %v", title, p)
		}
	}
	if run != 6 {
		t.Errorf("%d examples were run", run)
	}
}

// goKey is a key as the generated Go client reads it: what it demands is not
// optional here, and it knows a project as an object alone.
type goKey struct {
	ID      *string `json:"id"`
	Name    *string `json:"name"`
	Type    *string `json:"type"`
	Role    *string `json:"role"`
	Account *string `json:"account"`
	Project *struct {
		ID      *string `json:"id"`
		Name    *string `json:"name"`
		Account *string `json:"account"`
	} `json:"project"`
	Enabled   *bool      `json:"enabled"`
	CreatedBy *string    `json:"created_by"`
	UpdatedBy *string    `json:"updated_by"`
	CreatedAt *time.Time `json:"created_at"`
	UpdatedAt *time.Time `json:"updated_at"`
	ExpiresAt *time.Time `json:"expires_at"`
	Value     *string    `json:"value"`
}

func (k *goKey) whole() bool {
	return k.ID != nil && k.Name != nil && k.Type != nil && k.Role != nil && k.Account != nil && k.Project != nil && k.Project.ID != nil && k.Project.Name != nil &&
		k.Project.Account != nil && k.Enabled != nil && k.CreatedBy != nil && k.UpdatedBy != nil && k.CreatedAt != nil && k.UpdatedAt != nil
}

// goRefusal is an error as that client reads it.
type goRefusal struct {
	Error   *string `json:"error"`
	Status  *int32  `json:"status"`
	Message *string `json:"message"`
	Details *string `json:"details"`
}

var jsonType = regexp.MustCompile(`(?i:(?:application|text)/(?:[^;]+\+)?json)`)

// What the vendor's Go client puts on the wire, and what it demands of answers:
// a body of the four letters null where it means none, every member that its
// models require, and errors that it can read.
func TestVertesiaGoClient(t *testing.T) {
	t.Parallel()
	for name, facade := range map[string]bool{"facade": true, "generated alone": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := latchkeytest.Start(t, latchkeytest.Options{})
			key := firstKey(t, h.URL, h.AdminKey)
			send := func(method, path, credential string, body any, into any) int {
				t.Helper()
				var content strings.Builder
				if body != nil {
					if err := json.NewEncoder(&content).Encode(body); err != nil { // which ends with a line break
						t.Fatal(err)
					}
				}
				r, err := http.NewRequestWithContext(t.Context(), method, h.URL+path, strings.NewReader(content.String()))
				if err != nil {
					t.Fatal(err)
				}
				r.Header = http.Header{"User-Agent": {"OpenAPI-Generator/1.5.0/go"}, "Accept": {"application/json"}, "Authorization": {"Bearer " + credential}}
				if body != nil {
					r.Header.Set("Content-Type", "application/json")
				}
				if facade {
					r.Header.Set("x-api-version", "20260803")
				}
				got, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = got.Body.Close() }()
				if !jsonType.MatchString(got.Header.Get("Content-Type")) {
					t.Fatalf("%s %s: undefined response type %q", method, path, got.Header.Get("Content-Type"))
				}
				if err := json.NewDecoder(got.Body).Decode(into); err != nil {
					t.Fatalf("%s %s: %v", method, path, err)
				}
				return got.StatusCode
			}
			var issued struct {
				Token     *string `json:"token"`
				Type      *string `json:"token_type"`
				ExpiresIn *int64  `json:"expires_in"`
			}
			var noRequest *struct{} // encoded as null
			if send("POST", "/token/issue", key, noRequest, &issued) != 200 || issued.Token == nil || issued.Type == nil || *issued.Type != "Bearer" || *issued.ExpiresIn != 3600 {
				t.Fatalf("the exchange: %+v", issued)
			}
			bearer := *issued.Token
			at := time.Now().Add(time.Hour)
			var made, read, changed goKey
			if send("POST", "/api/v1/apikeys", bearer, map[string]any{"name": "go", "role": "developer", "expires_at": at.Format(time.RFC3339Nano)}, &made) != 200 ||
				!made.whole() || made.Value == nil || !made.ExpiresAt.Equal(at.Truncate(time.Millisecond)) {
				t.Fatalf("made %+v", made)
			}
			path := "/api/v1/apikeys/" + *made.ID
			if send("GET", path+"?withValue=false", bearer, nil, &read) != 200 || !read.whole() || read.Value != nil {
				t.Errorf("read %+v", read)
			}
			if send("GET", path+"?withValue=true", bearer, nil, &read) != 200 || read.Value == nil || *read.Value != *made.Value {
				t.Errorf("read %+v", read)
			}
			if send("PUT", path, bearer, map[string]any{"enabled": false}, &changed) != 200 || !changed.whole() || *changed.Enabled {
				t.Errorf("changed %+v", changed)
			}
			var list []goKey
			if send("GET", "/api/v1/apikeys", bearer, nil, &list) != 200 || len(list) < 2 {
				t.Errorf("%d keys", len(list))
			}
			for _, k := range list {
				if !k.whole() {
					t.Errorf("listed %+v", k)
				}
			}
			for _, c := range []struct {
				method, path, credential string
				status                   int
			}{
				{"GET", path + "/token", bearer, 400}, {"GET", "/api/v1/apikeys/x", bearer, 404}, {"GET", "/api/v1/apikeys", "sk-x", 401}, {"POST", "/token/issue", "sk-x", 401},
			} {
				var refused goRefusal
				if got := send(c.method, c.path, c.credential, nil, &refused); got != c.status || refused.Error == nil || refused.Status == nil || int(*refused.Status) != got {
					t.Errorf("%s %s: %d %+v", c.method, c.path, got, refused)
				}
			}
			var deletion struct {
				Acknowledged *bool    `json:"acknowledged"`
				DeletedCount *float64 `json:"deletedCount"`
			}
			if send("DELETE", path, bearer, nil, &deletion) != 200 || deletion.Acknowledged == nil || deletion.DeletedCount == nil || *deletion.DeletedCount != 1 {
				t.Errorf("%+v", deletion)
			}
		})
	}
}
