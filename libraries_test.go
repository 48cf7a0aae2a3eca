package latchkey_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const librariesPage = "docs/decisions/0001-libraries.md"

// Every module that the house requires or imports directly has a row in the
// page of libraries, whose cells are all filled, and every row has its module.
func TestEveryLibraryHasAReason(t *testing.T) {
	page, err := os.ReadFile(librariesPage)
	if err != nil {
		t.Fatal(err)
	}
	rows := libraryRows(string(page))
	required, direct := requirements(t)
	direct = append(direct, importedModules(t)...)
	if len(direct) == 0 {
		t.Fatal("no direct dependency found: this test reads nothing")
	}
	for _, finding := range compareLibraries(rows, required, direct) {
		t.Error(finding)
	}
}

func TestEveryLibraryHasAReasonCanFail(t *testing.T) {
	rows := libraryRows("| module | what for |\n|---|---|\n| `a.org/kept` | x | y | z |\n| `a.org/gone` | x | y | z |\n| `a.org/bare` | x | | z |\n")
	found := compareLibraries(rows, []string{"a.org/kept", "a.org/bare", "a.org/new"}, []string{"a.org/kept", "a.org/bare", "a.org/new", "a.org/new"})
	if len(found) != 3 || !strings.Contains(found[0], "a.org/bare") || !strings.Contains(found[1], "a.org/gone") || !strings.Contains(found[2], "a.org/new") {
		t.Errorf("found %q, want one line each about a.org/bare, a.org/gone and a.org/new", found)
	}
}

// compareLibraries lists, in order of the modules' names, what is wrong between
// the page's rows and the modules.
func compareLibraries(rows map[string][]string, required, direct []string) (found []string) {
	for module, cells := range rows {
		if len(cells) != 3 || slices.Contains(cells, "") {
			found = append(found, module+": its row needs what it is for, why this one, and what was passed over")
		}
		if !slices.Contains(required, module) {
			found = append(found, module+": go.mod does not require it; take its row away")
		}
	}
	for _, module := range direct {
		if rows[module] == nil {
			found = append(found, module+": give it a row in "+librariesPage+", with its reason")
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// libraryRows reads the table rows that begin with a module in backquotes; the
// other cells are trimmed.
func libraryRows(page string) map[string][]string {
	rows := map[string][]string{}
	for line := range strings.Lines(page) {
		inner, ok := strings.CutPrefix(strings.TrimSuffix(strings.TrimSpace(line), "|"), "| `")
		module, rest, found := strings.Cut(inner, "` |")
		if !ok || !found || !strings.Contains(module, ".") {
			continue
		}
		rows[module] = []string{}
		for cell := range strings.SplitSeq(rest, "|") {
			rows[module] = append(rows[module], strings.TrimSpace(cell))
		}
	}
	return rows
}

// requirements reads go.mod: all modules, and those that it calls direct.
func requirements(t *testing.T) (required, direct []string) {
	out, err := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(out, &file); err != nil {
		t.Fatal(err)
	}
	for _, r := range file.Require {
		required = append(required, r.Path)
		if !r.Indirect {
			direct = append(direct, r.Path)
		}
	}
	return required, direct
}

// importedModules lists the modules that our packages and their tests import.
func importedModules(t *testing.T) (modules []string) {
	moduleOf := map[string]string{}
	for _, p := range goList(t, "-deps", "-test", "./...") {
		if p.Module != nil {
			moduleOf[p.ImportPath] = p.Module.Path
		}
	}
	for _, p := range listHouse(t) {
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if module := moduleOf[imported]; module != "" && module != ourModule {
				modules = append(modules, module)
			}
		}
	}
	return modules
}
