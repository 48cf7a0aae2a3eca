package voke_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// nullable are the members that may be null where the document's sample is not.
var nullable = []string{"creator", "expiresAt", "lastUsedAt"}

// sameForm wants the members of the sample, no more and no less, of its types. A
// sample without members, and a list, say nothing about how many there are.
func sameForm(got, sample any, at string) error {
	if got == nil && slices.Contains(nullable, at[strings.LastIndexByte(at, '.')+1:]) {
		return nil
	}
	if reflect.TypeOf(got) != reflect.TypeOf(sample) {
		return fmt.Errorf("%s is %T, not %T", at, got, sample)
	}
	switch want := sample.(type) {
	case object:
		for name, value := range got.(object) {
			if _, known := want[name]; !known {
				return fmt.Errorf("%s has the member %s", at, name)
			}
			if err := sameForm(value, want[name], at+"."+name); err != nil {
				return err
			}
		}
		if len(got.(object)) != len(want) {
			return fmt.Errorf("%s has %d members, not %d", at, len(got.(object)), len(want))
		}
	case []any:
		for i, item := range got.([]any) {
			if err := sameForm(item, want[0], fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// exchangeOf is a request with the sample of its answer: the document's, with
// statuses, dates and ids put right.
type exchangeOf struct {
	Caller, Method, Path string
	Body                 any
	Status               int
	Answer               object
}

// The samples of the document are replayed: successes have their form, refusals
// are what they say, to the letter but for details.
func TestDocumentedExchanges(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/exchanges/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no exchanges", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var e exchangeOf
			if err := json.Unmarshal(text, &e); err != nil {
				t.Fatal(err)
			}
			h := open(t)
			made := h.admin().create()
			callers := map[string]caller{"administrator": h.admin(), "partner": h.as(made.text("key")), "nobody": {h, http.Header{}}}
			got := callers[e.Caller].do(e.Method, strings.ReplaceAll(e.Path, "$ID", made.text("apiKey", "id")), e.Body).must(e.Status)
			if e.Status < 400 {
				if err := sameForm(got.Body, e.Answer, "answer"); err != nil {
					t.Errorf("%v: %s", err, got.Text)
				}
				return
			}
			if _, ok := got.Body["details"].(object); !ok {
				t.Errorf("details are no object: %s", got.Text)
			}
			got.Body["details"] = object{}
			if !reflect.DeepEqual(got.Body, e.Answer) {
				t.Errorf("%s, not %v", got.Text, e.Answer)
			}
		})
	}
}

// The document's curl lines, with line breaks, credential and id put right, are
// run by curl.
func TestCurlLines(t *testing.T) {
	t.Parallel()
	h := open(t)
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".curlrc"), []byte("silent\nshow-error\nwrite-out = \"\\n%{http_code}\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(script, id string) (status string, body object) {
		t.Helper()
		line, err := os.ReadFile(filepath.Join("testdata", "curl", script+".sh"))
		if err != nil {
			t.Fatal(err)
		}
		c := exec.CommandContext(t.Context(), "sh", "-c", string(line))
		c.Env = []string{"PATH=" + os.Getenv("PATH"), "CURL_HOME=" + home, "HOME=" + home, "NO_PROXY=127.0.0.1", "VOKE=" + h.URL, "TOKEN=" + h.AdminKey, "ID=" + id}
		var errs strings.Builder
		c.Stderr = &errs
		out, err := c.Output()
		if err != nil {
			t.Fatalf("%s: %v: %s", script, err, errs.String())
		}
		text, status, _ := strings.Cut(string(out), "\n")
		if err := json.Unmarshal([]byte(text), &body); err != nil {
			t.Fatalf("%s: %v: %s", script, err, out)
		}
		return status, body
	}
	status, made := run("create", "")
	id := at(t, made, "apiKey", "id").(string)
	if status != "201" || at(t, made, "apiKey", "partnerId") != "string" || h.verify(made["key"].(string), nil).at("valid") != true {
		t.Errorf("create: %s %v", status, made)
	}
	if status, listed := run("list", ""); status != "200" || at(t, listed, "data", 0, "id") != id || at(t, listed, "meta", "total") != 1.0 {
		t.Errorf("list: %s %v", status, listed)
	}
	if status, told := run("revoke", id); status != "200" || told["message"] == "" || h.verify(made["key"].(string), nil).at("code") != "revoked" {
		t.Errorf("revoke: %s %v", status, told)
	}
}
