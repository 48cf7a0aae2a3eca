package rest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"latchkey.dev/latchkey"
)

// read makes the document and reads it as any other tool would.
func read(t *testing.T, config Config) (*openapi3.T, []byte) {
	t.Helper()
	api, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	api.serveDocument(rec, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))
	if rec.Code != 200 || rec.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v", rec.Code, rec.Header())
	}
	doc, err := openapi3.NewLoader().LoadFromData(rec.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return doc, rec.Body.Bytes()
}

// The document must be one that other tools can read.
func TestDocumentIsOpenAPI31(t *testing.T) {
	t.Parallel()
	doc, text := read(t, Config{Version: "1.2.3"})
	if err := doc.Validate(t.Context(), openapi3.EnableSchemaFormatValidation(), openapi3.EnableSchemaPatternValidation(),
		openapi3.EnableSchemaDefaultsValidation(), openapi3.EnableExamplesValidation(), openapi3.EnableMultiError()); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" || doc.Info.Version != "1.2.3" || doc.Paths.Len() < 20 || doc.Servers != nil {
		t.Errorf("openapi %s of version %s with %d paths at %v", doc.OpenAPI, doc.Info.Version, doc.Paths.Len(), doc.Servers)
	}
	if _, again := read(t, Config{Version: "1.2.3"}); !bytes.Equal(text, again) {
		t.Error("the same program makes two documents")
	}
	public, _ := read(t, Config{PublicURL: "https://keys.example.com"})
	if len(public.Servers) != 1 || public.Servers[0].URL != "https://keys.example.com" {
		t.Errorf("servers %v", public.Servers)
	}
	var raw map[string]any
	if err := json.Unmarshal(text, &raw); err != nil {
		t.Fatal(err)
	}
	walk(raw, func(name string, value any) {
		_, isBool := value.(bool)
		ref, _ := value.(string)
		switch {
		case name == "nullable", strings.HasPrefix(name, "exclusive") && isBool: // OpenAPI 3.0's
			t.Errorf("%s is no word of 3.1", name)
		case name == "$schema", name == "$ref" && !strings.HasPrefix(ref, "#/components/schemas/"):
			t.Errorf("%s leads to %v", name, value)
		}
	})
	used := regexp.MustCompile(`"#/components/schemas/(\w+)"`).FindAllSubmatch(text, -1)
	for name := range doc.Components.Schemas {
		if !slices.ContainsFunc(used, func(m [][]byte) bool { return string(m[1]) == name }) {
			t.Errorf("nothing refers to the schema %s", name)
		}
	}
}

// walk calls visit for every member of v.
func walk(v any, visit func(name string, value any)) {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			visit(name, value)
			walk(value, visit)
		}
	case []any:
		for _, value := range v {
			walk(value, visit)
		}
	}
}

func TestEveryOperationIsDescribed(t *testing.T) {
	t.Parallel()
	doc, _ := read(t, Config{})
	ids, summaries, told := map[string]bool{}, map[string]bool{}, map[string]bool{}
	isID := regexp.MustCompile(`^[a-z][A-Za-z]+$`)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			where := method + " " + path
			if !isID.MatchString(op.OperationID) || ids[op.OperationID] {
				t.Errorf("%s: the id %q is no name, or another's", where, op.OperationID)
			}
			if op.Summary == "" || summaries[op.Summary] {
				t.Errorf("%s: the summary %q is empty, or another's", where, op.Summary)
			}
			ids[op.OperationID], summaries[op.Summary] = true, true
			if len(op.Tags) != 1 || doc.Tags.Get(op.Tags[0]) == nil || doc.Tags.Get(op.Tags[0]).Description == "" {
				t.Errorf("%s: tags %v", where, op.Tags)
			}
			open := op.Security != nil && len(*op.Security) == 0
			if want := slices.Contains([]string{"health", "readiness", "revokeSelf", "getKeySet"}, op.OperationID); open != want {
				t.Errorf("%s: open to anyone: %v", where, open)
			}
			for _, p := range op.Parameters {
				if p.Value.In != "path" && p.Value.Description == "" {
					t.Errorf("%s: parameter %s is not described", where, p.Value.Name)
				}
			}
			for _, name := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1) {
				if op.Parameters.GetByInAndName("path", name[1]) == nil {
					t.Errorf("%s: parameter %s is not declared", where, name[1])
				}
			}
			successes := 0
			for status, response := range op.Responses.Map() {
				for code := range strings.SplitSeq(*response.Value.Description, ", ") {
					told[code] = true
				}
				kind := "application/problem+json"
				if status < "300" {
					successes++
					kind = "application/json"
				}
				if media := response.Value.Content[kind]; media == nil || media.Schema == nil || media.Schema.Ref == "" {
					t.Errorf("%s: %s has no schema of its own", where, status)
				}
			}
			if successes != 1 {
				t.Errorf("%s: %d ways to succeed", where, successes)
			}
		}
	}
	for _, code := range latchkey.ErrorCodes() {
		if !told[string(code)] && code != latchkey.CodeMethodNotAllowed { // which no operation answers
			t.Errorf("no operation says that it can answer %s", code)
		}
	}
}

// Every code has its meaning over HTTP, and what is no code is a fault of ours.
func TestEveryCodeHasAMeaning(t *testing.T) {
	t.Parallel()
	codes := latchkey.ErrorCodes()
	if len(meanings) != len(codes) {
		t.Errorf("%d meanings for %d codes", len(meanings), len(codes))
	}
	titles := map[string]bool{}
	for _, code := range codes {
		m, known := meanings[code]
		if !known || m.status < 400 || m.status > 599 || http.StatusText(m.status) == "" || m.title == "" || titles[m.title] {
			t.Errorf("%s means %+v", code, m)
		}
		titles[m.title] = true
	}
}
