package rest

import (
	"bytes"
	_ "embed"
	"html/template"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed page.html
var pageText string

// renderPage makes the reference page of the document. It is one HTML page
// without scripts and without anything from elsewhere, so that it works where
// the authority does.
func renderPage(doc *huma.OpenAPI) ([]byte, error) {
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, doc)
	return out.Bytes(), err
}
