package vertesia_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// recorded is a sample of the document: a request, and the answer to it. Dates
// are put right; what stands in angle brackets is another each time. More are the
// members that the answer has besides, for the sake of the platform's clients.
type recorded struct {
	Method string   `json:"method"`
	Path   string   `json:"path"`
	Body   object   `json:"body"`
	Answer any      `json:"answer"`
	More   []string `json:"more"`
}

// The document's own samples are answered as it says, by a server that was asked
// as its examples do.
func TestDocumentedExchanges(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/exchanges/*.json")
	if err != nil || len(files) != 6 {
		t.Fatalf("%d exchanges, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var e recorded
			if err := json.Unmarshal(text, &e); err != nil {
				t.Fatal(err)
			}
			h := open(t)
			made := h.admin().create(object{"expires_at": future})
			var body any
			if e.Body != nil {
				body = e.Body
			}
			got := h.admin().plain().do(e.Method, strings.ReplaceAll(e.Path, "<API_KEY_ID>", made.text("id")), body).must(200).Body
			if list, ok := got.([]any); ok {
				got, e.Answer = list[0], e.Answer.([]any)[0]
			}
			for _, wrong := range e.differs(got.(object)) {
				t.Error(wrong)
			}
		})
	}
}

// differs tells in what an answer is not the sample.
func (e *recorded) differs(got object) (wrong []string) {
	want := e.Answer.(object)
	for name, value := range want {
		given, there := got[name]
		text, _ := value.(string)
		if !there || given != value && !strings.Contains(text, "<") {
			wrong = append(wrong, fmt.Sprintf("%s is %v, not %v", name, given, value))
		}
	}
	for name := range got {
		if _, documented := want[name]; documented == slices.Contains(e.More, name) {
			wrong = append(wrong, name+" is more than is said")
		}
	}
	return wrong
}
