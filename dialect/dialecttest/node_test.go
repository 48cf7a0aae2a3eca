package dialecttest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// node runs a script of clients/ with these variables in its environment, each in
// the form NAME=value, and returns what it printed. The clients are those of
// clients/package-lock.json, which `npm ci` installs there; scripts/test does.
func node(t *testing.T, script string, environment ...string) string {
	t.Helper()
	if _, err := os.Stat(filepath.Join("clients", "node_modules")); err != nil {
		t.Fatalf("the clients are not installed; run scripts/test, or `npm ci` in %s", "dialect/dialecttest/clients")
	}
	c := exec.CommandContext(t.Context(), "node", script)
	c.Dir = "clients"
	c.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "NO_COLOR=1"}, environment...)
	var out, errs strings.Builder
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		t.Fatalf("node %s: %v\n%s%s", script, err, out.String(), errs.String())
	}
	return out.String()
}

// The clients are the versions that the tests are about.
func TestNodeRunsTheClients(t *testing.T) {
	t.Parallel()
	if out := node(t, "versions.mjs"); !strings.Contains(out, "@cycleplatform/cycle-api 1.10.5") {
		t.Errorf("other clients than those that were asked for:\n%s", out)
	}
}
