package main

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// Every setting has a row with its three names and its default, and every row
// is about a setting.
func TestEverySettingIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{} // by the flag's name
	for line := range strings.Lines(string(page)) {
		if name, rest, found := strings.Cut(strings.TrimPrefix(line, "| `--"), "` | "); found && strings.HasPrefix(line, "| `--") {
			rows[name] = rest
		}
	}
	root, _ := rootCommand(&environment{})
	newSettings(&environment{}, root.PersistentFlags().Lookup("data")).flags.VisitAll(func(f *pflag.Flag) {
		row, found := rows[f.Name]
		delete(rows, f.Name)
		if found == f.Hidden {
			t.Errorf("--%s: there is a row %t, and the setting is hidden %t", f.Name, found, f.Hidden)
		}
		if f.Hidden {
			return
		}
		line := "`" + f.Name + "`"
		if f.Name == "config" {
			line = "–"
		}
		names := "`" + variable(f.Name) + "` | " + line + " | "
		rest, named := strings.CutPrefix(row, names)
		if !named {
			t.Errorf("--%s: its row begins %q, not %q", f.Name, row, names)
		}
		if standard, _, _ := strings.Cut(rest, " | "); f.DefValue != "" && f.DefValue != "[]" && standard != "`"+f.DefValue+"`" {
			t.Errorf("--%s: its row has the default %s, which is %s", f.Name, standard, f.DefValue)
		}
	})
	for name := range rows {
		t.Errorf("--%s has a row and is no setting", name)
	}
}
