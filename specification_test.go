package latchkey_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// specified gives the content of the fenced block of docs/key-format.md that is
// marked with that word, so that the page cannot say one thing and the program
// do another.
func specified(t testing.TB, mark string) string {
	t.Helper()
	page, err := os.ReadFile("docs/key-format.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(page), "\n```"+mark+"\n")
	block, _, closed := strings.Cut(after, "\n```\n")
	if !found || !closed {
		t.Fatalf("docs/key-format.md has no block %q", mark)
	}
	return block
}

// vectors reads the cases of a folder of test vectors, by file name.
func vectors[T any](t testing.TB, folder string) map[string]T {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "vectors", folder, "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no vectors in %s: %v", folder, err)
	}
	cases := make(map[string]T, len(paths))
	for _, path := range paths {
		cases[strings.TrimSuffix(filepath.Base(path), ".json")] = readJSON[T](t, path)
	}
	return cases
}

// readJSON reads a file that must hold one T and nothing that T does not know.
func readJSON[T any](t testing.TB, path string) T {
	t.Helper()
	var v T
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return v
}

// declared gives the values of the string constants of a type, in the order in
// which the package's source declares them.
func declared[T ~string](t testing.TB, typeName string) []T {
	t.Helper()
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var values []T
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if name, ok := spec.Type.(*ast.Ident); !ok || name.Name != typeName {
				return true
			}
			for _, value := range spec.Values {
				literal, ok := value.(*ast.BasicLit)
				if !ok {
					t.Fatalf("%s: a %s that is not a literal cannot be counted", path, typeName)
				}
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, T(text))
			}
			return true
		})
	}
	if len(values) == 0 {
		t.Fatalf("no constant of type %s is declared", typeName)
	}
	return values
}
