package rest_test

import (
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/getkin/kin-openapi/openapi3filter"
)

// held counts the answers of the whole run that were held against the document.
var held atomic.Int64

// TestMain fails a run that held no answer against the document: then the
// check was not made, however green the rest is.
func TestMain(m *testing.M) {
	flag.Parse()
	openapi3filter.RegisterBodyDecoder("application/x-ndjson", openapi3filter.PlainBodyDecoder) // it knows JSON as one text alone
	code := m.Run()
	if partial := flag.Lookup("test.run").Value.String() != "" || flag.Lookup("test.list").Value.String() != ""; !partial && code == 0 {
		fmt.Printf("%d answers were held against the OpenAPI document\n", held.Load())
		if held.Load() == 0 {
			fmt.Println("FAIL: no answer was held against the OpenAPI document")
			code = 1
		}
	}
	os.Exit(code)
}
