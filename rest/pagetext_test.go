package rest

import (
	"strings"
	"testing"
)

// Whatever a description says, it is text.
func TestPageEscapes(t *testing.T) {
	api, err := New(Config{Version: "<b>"})
	if err != nil {
		t.Fatal(err)
	}
	doc, operations := api.openAPI(), api.operations()
	hostile := "<script>alert(1)</script>\n\nand `</code><img src=x>` \" onload=x"
	for _, tag := range doc.Tags {
		tag.Description = hostile
	}
	for i := range operations {
		op := *slot(doc.Paths[operations[i].path], operations[i].method)
		op.Summary, op.Description = hostile, hostile
	}
	page, _, err := renderPage(doc, operations)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(page); strings.Contains(text, "<script") || strings.Contains(text, "<img") || strings.Contains(text, "<b>") ||
		!strings.Contains(text, "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p><p>and <code>&lt;/code&gt;&lt;img src=x&gt;</code>") {
		t.Error("a description became markup")
	}
}

// No text of the page is about something that does not exist any more.
func TestPageTextsHaveTheirSubjects(t *testing.T) {
	api, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, op := range api.operations() {
		known[op.id] = true
	}
	for id := range examples {
		if !known[id] {
			t.Errorf("there is an example of %s, which is no operation", id)
		}
	}
	for code := range advices {
		if _, ok := meanings[code]; !ok {
			t.Errorf("%s is explained and is no code", code)
		}
	}
	for _, name := range chapterObjects {
		if api.openAPI().Components.Schemas.Map()[name] == nil {
			t.Errorf("%s is no object of the document", name)
		}
	}
}
