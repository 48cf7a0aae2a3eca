package latchkey_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every item of every document that a dialect speaks has a row in
// docs/dialects.md that says what is done and which test shows it.
func TestDialectsAreDocumented(t *testing.T) {
	t.Parallel()
	_, sections, _ := strings.Cut(readPage(t, "docs/dialects.md"), "\n## ")
	seen := 0
	for section := range strings.SplitSeq(sections, "\n## ") {
		name, table, _ := strings.Cut(section, "\n")
		rows := rowsOf(t, name, table)
		list, err := os.ReadFile(filepath.Join("dialect", name, "testdata", "documented.txt"))
		if err != nil {
			t.Fatal(err)
		}
		for item := range strings.SplitSeq(strings.TrimSpace(string(list)), "\n") {
			if item == "" || strings.HasPrefix(item, "#") {
				continue
			}
			seen++
			if _, ok := rows[item]; !ok {
				t.Errorf("%s: no row for %q", name, item)
			}
			delete(rows, item)
		}
		for item := range rows {
			t.Errorf("%s: the row %q is no item of the document", name, item)
		}
	}
	if seen < 100 {
		t.Errorf("the documents have %d items: this test reads nothing", seen)
	}
	t.Logf("%d documented items", seen)
}

var dialectRow = regexp.MustCompile("^\\| `([^`]+)` \\| ([^|]+) \\| ([^|]+) \\|$")

// rowsOf reads a dialect's table, and looks for the tests that it names.
func rowsOf(t *testing.T, dialect, table string) map[string]string {
	t.Helper()
	tests := testsIn(t, filepath.Join("dialect", dialect)) + testsIn(t, "dialect/dialecttest") + testsIn(t, "broker")
	rows := map[string]string{}
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		row := dialectRow.FindStringSubmatch(strings.TrimSpace(line))
		if row == nil {
			t.Errorf("%s: not | `item` | behaviour | test |: %s", dialect, line)
			continue
		}
		if rows[row[1]] != "" {
			t.Errorf("%s: two rows for %q", dialect, row[1])
		}
		rows[row[1]] = row[2]
		for test := range strings.SplitSeq(row[3], ", ") {
			name, _, _ := strings.Cut(strings.Trim(test, "`"), "/")
			if !strings.Contains(tests, "func "+name+"(t *testing.T)") {
				t.Errorf("%s: the row %q names the test %s, which does not exist", dialect, row[1], test)
			}
		}
	}
	return rows
}

// testsIn is the text of a package's tests.
func testsIn(t *testing.T, folder string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, path := range paths {
		text.WriteString(readPage(t, path))
	}
	return text.String()
}
