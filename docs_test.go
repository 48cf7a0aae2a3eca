package latchkey_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
)

// pages are the texts that people read, by path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "testdata/*/*.md"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			found[path] = readPage(t, path)
		}
	}
	if len(found) < 5 {
		t.Fatalf("only %d pages found: this test reads nothing", len(found))
	}
	return found
}

func readPage(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// prose is a page without its blocks of code, where brackets mean other things.
func prose(page string) string {
	return regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(page, "")
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// Every link of every page leads to a file of the tree, and to a heading of it.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	for path, page := range pages(t) {
		for _, found := range link.FindAllStringSubmatch(prose(page), -1) {
			if fault := lost(path, found[1]); fault != "" {
				t.Errorf("%s: %s %s", path, found[1], fault)
			}
		}
	}
}

func TestLinksCanBeLost(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]bool{
		"../docs": false, "#running-it": false, "key-format.md": false, "https://example.com/": false,
		"nowhere.md": true, "#nowhere": true, "key-format.md#nowhere": true, "../nowhere/": true,
	} {
		if got := lost(operationsPage, target); (got != "") != want {
			t.Errorf("%s: %q", target, got)
		}
	}
}

// lost says why a link of the page at path leads nowhere; "" if it does not.
func lost(path, target string) string {
	if strings.Contains(target, "://") {
		return ""
	}
	file, place, _ := strings.Cut(target, "#")
	if file != "" {
		path = filepath.Join(filepath.Dir(path), file)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "is not there"
	}
	if place == "" || info.IsDir() {
		return ""
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(prose(string(text))) {
		if heading := strings.TrimLeft(line, "#"); heading != line && place == headingAnchor(heading) {
			return ""
		}
	}
	return "is no heading there"
}

// headingAnchor spells a heading as code hosts do in links.
func headingAnchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(heading))
}

// tableRows gives the rows of the tables between two headings, cell by cell.
func tableRows(page, from, to string) (rows [][]string) {
	_, section, _ := strings.Cut(page, "\n## "+from+"\n")
	section, _, _ = strings.Cut(section, "\n## "+to+"\n")
	for line := range strings.Lines(section) {
		if inner, ok := strings.CutPrefix(strings.TrimSuffix(strings.TrimSpace(line), "|"), "|"); ok && !strings.HasPrefix(inner, "---") {
			var cells []string
			for cell := range strings.SplitSeq(inner, "|") {
				cells = append(cells, strings.TrimSpace(cell))
			}
			rows = append(rows, cells)
		}
	}
	return rows
}

const operationsPage = "docs/operations.md"

// houseFiles parses every Go file of the tree for which keep is true.
func houseFiles(t *testing.T, keep func(path string) bool) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || !keep(path) {
			return err
		}
		files[path], err = parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func isTest(path string) bool { return strings.HasSuffix(path, "_test.go") }

// boundFiles declare bounds and nothing else, so that each of their constants
// has a row.
var boundFiles = []string{"bounds.go", "address.go", "clientaddress.go", "internal/body/read.go", "rest/api.go", "rest/throttle.go", "server/listen.go"}

// Every bound has a row with its value, and every row is about a bound.
func TestEveryBoundIsDocumented(t *testing.T) {
	t.Parallel()
	declared := map[string][]string{} // name → values, wherever it is declared
	owed := map[string]bool{}
	for path, file := range houseFiles(t, func(path string) bool { return !isTest(path) }) {
		for name, value := range constants(file) {
			declared[name] = append(declared[name], value)
			if slices.Contains(boundFiles, filepath.ToSlash(path)) {
				owed[name] = true
			}
		}
	}
	if len(owed) < 30 {
		t.Fatalf("only %d bounds found", len(owed))
	}
	for _, row := range tableRows(readPage(t, operationsPage), "Bounds", "When it does not start")[1:] {
		name, value := strings.Trim(row[3], "`"), strings.Fields(row[1])[0]
		if !slices.Contains(declared[name], value) {
			t.Errorf("%s is %v, and the page says %s", name, declared[name], value)
		}
		delete(owed, name)
	}
	for name := range owed {
		t.Errorf("%s has no row in %s", name, operationsPage)
	}
}

// constants gives the numbers and durations that a file declares, as the page
// writes them.
func constants(file *ast.File) map[string]string {
	found := map[string]string{}
	for _, d := range file.Decls {
		block, ok := d.(*ast.GenDecl)
		if !ok || block.Tok != token.CONST {
			continue
		}
		for _, spec := range block.Specs {
			spec := spec.(*ast.ValueSpec)
			for i, value := range spec.Values {
				n, timed, ok := evaluate(value)
				switch {
				case ok && timed:
					found[spec.Names[i].Name] = inFull(time.Duration(n))
				case ok:
					found[spec.Names[i].Name] = withCommas(n)
				}
			}
		}
	}
	return found
}

// inFull spells a duration without the zeros at its end: 24h, not 24h0m0s.
func inFull(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func withCommas(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10)
	}
	return withCommas(n/1000) + fmt.Sprintf(",%03d", n%1000)
}

// evaluate computes an expression of whole numbers; timed says that units of
// time are in it.
func evaluate(x ast.Expr) (n int64, timed, ok bool) {
	switch x := x.(type) {
	case *ast.BasicLit:
		n, err := strconv.ParseInt(x.Value, 0, 64)
		return n, false, err == nil
	case *ast.ParenExpr:
		return evaluate(x.X)
	case *ast.CallExpr: // a conversion
		if len(x.Args) == 1 {
			return evaluate(x.Args[0])
		}
	case *ast.SelectorExpr:
		unit, known := map[string]time.Duration{"Millisecond": time.Millisecond, "Second": time.Second, "Minute": time.Minute, "Hour": time.Hour}[x.Sel.Name]
		return int64(unit), true, known
	case *ast.BinaryExpr:
		a, timedA, okA := evaluate(x.X)
		b, timedB, okB := evaluate(x.Y)
		switch x.Op {
		case token.MUL:
			n = a * b
		case token.SHL:
			n = a << b
		default:
			okA = false
		}
		return n, timedA || timedB, okA && okB
	}
	return 0, false, false
}

// What the page says of messages is about messages that the program has: each
// one quoted stands in its source, where … stands for what varies.
func TestQuotedMessagesExist(t *testing.T) {
	t.Parallel()
	var literals []string
	for _, file := range houseFiles(t, func(path string) bool { return !isTest(path) }) {
		ast.Inspect(file, func(n ast.Node) bool {
			if x, ok := n.(*ast.BinaryExpr); ok {
				literals = append(literals, joined(x))
			}
			if x, ok := n.(*ast.BasicLit); ok {
				literals = append(literals, joined(x))
			}
			return true
		})
	}
	page := readPage(t, operationsPage)
	rows := append(tableRows(page, "When it does not start", "When something fails while it runs")[1:],
		tableRows(page, "When something fails while it runs", "Stopping")[1:]...)
	if len(rows) < 30 {
		t.Fatalf("only %d rows found", len(rows))
	}
	for _, row := range rows {
		for _, quoted := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[0], -1) {
			var parts []string
			for part := range strings.SplitSeq(quoted[1], "…") {
				parts = append(parts, regexp.QuoteMeta(part))
			}
			message := regexp.MustCompile(strings.Join(parts, ".*"))
			if !slices.ContainsFunc(literals, message.MatchString) {
				t.Errorf("nothing in the program says %q", quoted[1])
			}
		}
	}
}

// joined is the text of a literal, or of literals that are added up; what stands
// between them is "…".
func joined(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(x.Value); err == nil {
			return text
		}
	case *ast.BinaryExpr:
		return joined(x.X) + joined(x.Y)
	}
	return "…"
}

// Where a page says that something is in a file, the file has it.
func TestNamesAreWhereThePagesSay(t *testing.T) {
	t.Parallel()
	claim := regexp.MustCompile("`([\\w.]+)`(?: in)? \\(?\\[[^\\]]*\\]\\(([^)#]+\\.go)\\)")
	claims := 0
	for path, page := range pages(t) {
		for _, found := range claim.FindAllStringSubmatch(prose(page), -1) {
			claims++
			name := found[1][strings.LastIndexByte(found[1], '.')+1:]
			file := filepath.Join(filepath.Dir(path), found[2])
			if !regexp.MustCompile(`\b` + name + `\b`).MatchString(readPage(t, file)) {
				t.Errorf("%s: there is no %s in %s", path, name, file)
			}
		}
	}
	if claims < 10 {
		t.Errorf("only %d claims found: this test reads nothing", claims)
	}
}

// Every row of the threat model names what shows it, and whatever it names
// exists: a test or fuzzer of that package, or a journey of the program.
func TestThreatsHaveTheirTests(t *testing.T) {
	t.Parallel()
	declared := map[string]bool{}
	for path, file := range houseFiles(t, isTest) {
		folder := filepath.ToSlash(filepath.Dir(path))
		if folder == "." {
			folder = "latchkey"
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				declared[folder+"."+f.Name.Name] = true
			}
		}
	}
	evidence := regexp.MustCompile("`([\\w/]+\\.(?:Test|Fuzz)\\w+|[\\w-]+\\.txtar)`")
	page := readPage(t, "docs/threat-model.md")
	for _, found := range evidence.FindAllStringSubmatch(page, -1) {
		name := found[1]
		_, err := os.Stat(filepath.Join("cmd/latchkey/testdata/script", name))
		if strings.HasSuffix(name, ".txtar") && err != nil && name != "x.txtar" || !strings.HasSuffix(name, ".txtar") && !declared[name] && !strings.HasSuffix(name, ".TestX") {
			t.Errorf("there is no %s", name)
		}
	}
	threats := 0
	for _, row := range tableRows(page, "Guessing and forging keys", "Outside") {
		if len(row) != 3 {
			t.Errorf("a threat stands beside what meets it and what shows it: %q", row)
			continue
		}
		if row[0] == "threat" {
			continue
		}
		threats++
		if !evidence.MatchString(row[2]) {
			t.Errorf("nothing shows what is said of %q", row[0])
		}
	}
	if threats < 40 {
		t.Errorf("only %d threats found", threats)
	}
}

// Every decision is in the index.
func TestDecisionsAreListed(t *testing.T) {
	t.Parallel()
	index := readPage(t, "docs/decisions/README.md")
	decisions, err := filepath.Glob("docs/decisions/[0-9]*.md")
	if err != nil || len(decisions) == 0 {
		t.Fatalf("no decisions found: %v", err)
	}
	for _, path := range decisions {
		number, _, _ := strings.Cut(filepath.Base(path), "-")
		if !strings.Contains(index, "| ["+number+"]("+filepath.Base(path)+") | ") {
			t.Errorf("%s is not in the index", path)
		}
	}
}
