package rest

import (
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// The document must be one that other tools can read.
func TestDocumentIsOpenAPI31(t *testing.T) {
	api, err := New(Config{Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(api.document)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" || doc.Paths.Len() < 20 {
		t.Fatalf("openapi %s with %d paths", doc.OpenAPI, doc.Paths.Len())
	}
}
