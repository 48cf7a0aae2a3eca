package latchkey_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What imports cannot show, the source does: init functions, package variables
// that change, clocks and struct tags in the domain.

// forbiddenCall is a function of the standard library that some packages do
// not call. The patterns are those of a prohibition.
type forbiddenCall struct {
	who, but string
	calls    string // import path, dot, name
	why      string
}

var forbiddenCalls = []forbiddenCall{
	{who: ".", calls: "time.Now time.Since time.Until time.After time.AfterFunc time.Tick time.NewTicker time.NewTimer time.Sleep", why: "the domain has no clock: the time is an argument, or a decision cannot be repeated"},
	{who: "./authority/... ./verify/... ./store/...", calls: "context.WithValue", why: "the caller is an argument: what hides in a context is checked by nobody"},
	{who: "./...", but: knowsEveryone, calls: "os.Exit log.Fatal log.Fatalf log.Fatalln", why: "a package returns its error; the command decides to end"},
	{who: "./...", but: knowsEveryone + " ./store/postgres/postgrestest/...", calls: "os.Getenv os.LookupEnv os.Environ", why: "configuration is one struct, resolved once, by the command"},
}

// domainVariables are the package variables of the domain, with the reason why
// each is one. Sentinels made by errors.New need none.
var domainVariables = map[string]string{
	"consequences":  "a table: what each event type does to keys",
	"builtinRoles":  "a function that gives a fresh copy of a table",
	"smallOrder":    "a table: points under which no signature means anything",
	"takenPrefixes": "a table of other issuers' prefixes",
}

func TestSourceOfTheHouse(t *testing.T) {
	for _, p := range listHouse(t) {
		s := readSource(t, p)
		for _, finding := range slices.Concat(s.inits(), s.state(), s.calls()) {
			t.Error(finding)
		}
	}
}

func TestSourceOfTheDomain(t *testing.T) {
	s := readSource(t, goList(t, ".")[0])
	for _, finding := range s.tags() {
		t.Error(finding)
	}
	variables := s.variables()
	for name, finding := range variables {
		if domainVariables[name] == "" {
			t.Errorf("%s: give domainVariables the reason, or make it a constant or a function", finding)
		}
	}
	for name := range domainVariables {
		if variables[name] == "" {
			t.Errorf("domainVariables: the domain has no variable %s any more; remove it", name)
		}
	}
}

// Each check finds what it looks for in a made-up file, and nothing in a file
// without it.
func TestSourceChecksCanFail(t *testing.T) {
	const header = "package made\nimport (\"errors\"; clock \"time\"; \"context\"; \"os\"; \"sync\")\n"
	all := func(s source) []string {
		found := slices.Concat(s.inits(), s.state(), s.calls(), s.tags())
		for _, finding := range s.variables() {
			found = append(found, finding)
		}
		return found
	}
	for _, test := range []struct {
		who, text string
		findings  int
	}{
		{".", `var ErrX = errors.New("x"); var _ error = ErrX; const c = 1; func f(v int) { v = c; init := 2; init++ }`, 0},
		{".", `func f(time struct{ Now func() }) { time.Now() }`, 0},
		{".", `func init() {}`, 1},
		{".", `var table = map[string]int{}`, 1},
		{".", `type row struct { Name string ` + "`json:\"name\"`" + ` }`, 1},
		{".", `func f() any { return clock.Now() }`, 1},
		{".", `func f() any { return clock.Now }`, 1},
		{"./rest", `func f() any { return clock.Now() }`, 0},
		{"./authority", `func f(c context.Context) any { return context.WithValue(c, 1, 2) }`, 1},
		{"./rest", `func f() { os.Exit(1) }`, 1},
		{"./rest", `func f() { _ = os.Getenv("X") }`, 1},
		{"./cmd/latchkey", `func f() { _ = os.Getenv("X"); os.Exit(1) }`, 0},
		{"./rest", `var n int; func f() { n = 1 }`, 2},
		{"./rest", `var n int; func f() { n++ }`, 2},
		{"./rest", `var n struct{ a []int }; func f() { n.a[0] = 1 }`, 2},
		{"./rest", `var n int; func f() { for n = range 3 { } }`, 2},
		{"./rest", `var n int; func f() *int { return &n }`, 2},
		{"./rest", `var n map[int]int; func f() { delete(n, 1) }`, 2},
		{"./rest", `var n map[int]int; func f() { clear(n) }`, 2},
		{"./rest", `var n sync.Mutex`, 2},
		{"./rest", `var n = new(sync.Map)`, 2},
		{"./rest", `var n chan int`, 2},
		{"./rest", `var n = 1; func f() int { n := n; n++; return n }`, 1},
	} {
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, "made.go", header+test.text, 0)
		if err != nil {
			t.Fatal(err)
		}
		s := newSource(test.who, set, []*ast.File{file})
		if found := all(s); len(found) != test.findings {
			t.Errorf("%s: %s: %d findings, want %d: %q", test.who, test.text, len(found), test.findings, found)
		}
	}
	for _, rule := range forbiddenCalls {
		if rule.why == "" {
			t.Errorf("%s never calls %s: without a reason", rule.who, rule.calls)
		}
	}
}

// source is a package's files and what their names stand for. Imports are not
// loaded, so types that come from elsewhere are unknown; names are not.
type source struct {
	name  string // from the top of the tree
	set   *token.FileSet
	files []*ast.File
	scope *types.Scope
	info  types.Info
}

func readSource(t *testing.T, p listedPackage) source {
	t.Helper()
	set := token.NewFileSet()
	var files []*ast.File
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(set, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return newSource(ours(p.ImportPath), set, files)
}

func newSource(name string, set *token.FileSet, files []*ast.File) source {
	s := source{name: name, set: set, files: files, info: types.Info{Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}}
	config := types.Config{Importer: emptyImporter{}, Error: func(error) {}, FakeImportC: true}
	pkg, _ := config.Check(name, set, files, &s.info) // what is unknown is an error of no interest
	s.scope = pkg.Scope()
	return s
}

// emptyImporter answers with packages that have a name and nothing in them.
type emptyImporter struct{}

func (emptyImporter) Import(path string) (*types.Package, error) {
	elements := strings.Split(path, "/")
	name := elements[len(elements)-1]
	if len(elements) > 1 && len(name) > 1 && name[0] == 'v' && strings.Trim(name[1:], "0123456789") == "" {
		name = elements[len(elements)-2]
	}
	pkg := types.NewPackage(path, name)
	pkg.MarkComplete()
	return pkg, nil
}

func (s source) at(node ast.Node, format string, args ...any) string {
	return fmt.Sprintf("%s: %s: %s", s.name, s.set.Position(node.Pos()), fmt.Sprintf(format, args...))
}

// each calls visit for every node of the package.
func (s source) each(visit func(ast.Node)) {
	for _, file := range s.files {
		ast.Inspect(file, func(n ast.Node) bool {
			if n != nil {
				visit(n)
			}
			return true
		})
	}
}

// inits finds init functions: what runs without being called cannot be read
// from the place that needs it.
func (s source) inits() (found []string) {
	s.each(func(n ast.Node) {
		if f, ok := n.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			found = append(found, s.at(f, "an init function: let the command call it by name"))
		}
	})
	return found
}

// tags finds struct tags, which are wire forms.
func (s source) tags() (found []string) {
	s.each(func(n ast.Node) {
		if f, ok := n.(*ast.Field); ok && f.Tag != nil {
			found = append(found, s.at(f, "a struct tag: the edges have types of their own"))
		}
	})
	return found
}

// calls finds mentions of forbidden functions, called or passed on.
func (s source) calls() (found []string) {
	s.each(func(n ast.Node) {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return
		}
		from, ok := selector.X.(*ast.Ident)
		if !ok {
			return
		}
		imported, ok := s.info.Uses[from].(*types.PkgName)
		if !ok {
			return
		}
		function := imported.Imported().Path() + "." + selector.Sel.Name
		for _, rule := range forbiddenCalls {
			if matches(rule.who, s.name, "") && !matches(rule.but, s.name, "") && slices.Contains(strings.Fields(rule.calls), function) {
				found = append(found, s.at(n, "%s: %s", function, rule.why))
			}
		}
	})
	return found
}

// variables gives the package variables, by name, that are not sentinel errors.
func (s source) variables() map[string]string {
	found := map[string]string{}
	for _, spec := range s.valueSpecs() {
		for i, name := range spec.Names {
			if name.Name == "_" || i < len(spec.Values) && isSentinel(spec.Values[i]) {
				continue
			}
			found[name.Name] = s.at(name, "the package variable %s", name.Name)
		}
	}
	return found
}

func (s source) valueSpecs() (specs []*ast.ValueSpec) {
	for _, file := range s.files {
		for _, declaration := range file.Decls {
			if d, ok := declaration.(*ast.GenDecl); ok && d.Tok == token.VAR {
				for _, spec := range d.Specs {
					specs = append(specs, spec.(*ast.ValueSpec))
				}
			}
		}
	}
	return specs
}

func isSentinel(value ast.Expr) bool {
	call, ok := value.(*ast.CallExpr)
	return ok && types.ExprString(call.Fun) == "errors.New"
}

// state finds package variables that change: that are made to change, by their
// type, or that a function writes, or whose address it takes. Two tests, two
// requests and two servers in one process share such a thing.
func (s source) state() (found []string) {
	for _, spec := range s.valueSpecs() {
		if isMutableByDesign(spec) {
			found = append(found, s.at(spec, "a package variable made to change: give it to the one who uses it"))
		}
	}
	s.each(func(n ast.Node) {
		for _, written := range writtenBy(n) {
			if name := rootOf(written); name != nil {
				if v, ok := s.info.Uses[name].(*types.Var); ok && v.Parent() == s.scope {
					found = append(found, s.at(n, "writes the package variable %s, or takes its address", name.Name))
				}
			}
		}
	})
	return found
}

func isMutableByDesign(spec *ast.ValueSpec) (mutable bool) {
	look := func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit, *ast.FuncType:
			return false
		case *ast.ChanType:
			mutable = true
		case *ast.SelectorExpr:
			from, name := types.ExprString(n.X), n.Sel.Name
			mutable = mutable || from == "atomic" || from == "sync" && !strings.HasPrefix(name, "OnceValue")
		}
		return true
	}
	if spec.Type != nil {
		ast.Inspect(spec.Type, look)
	}
	for _, value := range spec.Values {
		ast.Inspect(value, look)
	}
	return mutable
}

// writtenBy gives the expressions that n writes or exposes to writing.
func writtenBy(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			return n.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{n.X}
	case *ast.RangeStmt:
		if n.Tok == token.ASSIGN {
			return []ast.Expr{n.Key, n.Value}
		}
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			return []ast.Expr{n.X}
		}
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.Ident); ok && len(n.Args) > 0 && slices.Contains([]string{"delete", "clear", "copy"}, f.Name) {
			return n.Args[:1]
		}
	}
	return nil
}

// rootOf is the variable at the bottom of x.y[z], or nil.
func rootOf(x ast.Expr) *ast.Ident {
	for {
		switch inner := x.(type) {
		case *ast.Ident:
			return inner
		case *ast.SelectorExpr:
			x = inner.X
		case *ast.IndexExpr:
			x = inner.X
		case *ast.StarExpr:
			x = inner.X
		case *ast.ParenExpr:
			x = inner.X
		case *ast.SliceExpr:
			x = inner.X
		default:
			return nil
		}
	}
}
