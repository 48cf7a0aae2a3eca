package server_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Every metric of ours is in the page for whoever runs the server, and every
// metric there exists.
func TestEveryMetricIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	c := config(t)
	c.MetricsListen = "127.0.0.1:0"
	s := start(t, c)
	get(t, s.URL()+"/healthz") // the counters of requests begin with the first one
	_, text := get(t, s.MetricsURL())
	served := map[string]bool{}
	for _, found := range regexp.MustCompile(`(?m)^# TYPE (\w+) `).FindAllStringSubmatch(text, -1) {
		switch name := found[1]; {
		case strings.HasPrefix(name, "go_"), strings.HasPrefix(name, "process_"):
		case !strings.Contains(string(page), "| `"+name+"` |"):
			t.Errorf("%s has no row", name)
		default:
			served[name] = true
		}
	}
	if len(served) == 0 {
		t.Error("no metric is served")
	}
	for _, found := range regexp.MustCompile("(?m)^\\| `(latchkey_\\w+)` \\|").FindAllStringSubmatch(string(page), -1) {
		if !served[found[1]] {
			t.Errorf("%s has a row and is not served", found[1])
		}
	}
}
