package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"latchkey.dev/latchkey/store/postgres/postgrestest"
)

// serveForTest runs the server on a free port and returns its address.
func serveForTest(t *testing.T, data string, settings ...string) string {
	t.Helper()
	server := exec.Command("latchkey", append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0"}, settings...)...)
	server.Env = append(os.Environ(), hastily)
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		if err := server.Wait(); err != nil {
			t.Errorf("the server: %v", err)
		}
	})
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if url := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(lines.Text()); url != "" {
			go func() { _, _ = io.Copy(io.Discard, stdout) }()
			return url
		}
	}
	t.Fatal("the server does not say where it listens")
	return ""
}

// The README's lines do what they say, as they are written: what a newcomer
// types first is the most run program that we have. On either store.
func TestReadme(t *testing.T) {
	for name, settings := range map[string]func() []string{
		"embedded":   func() []string { return nil },
		"PostgreSQL": func() []string { return []string{"--database-url", postgrestest.Database(t)} },
	} {
		t.Run(name, func(t *testing.T) { readme(t, settings()) })
	}
}

func readme(t *testing.T, settings []string) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	script.WriteString("set -u\n")
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		script.WriteString(block[1])
	}
	data := filepath.Join(t.TempDir(), "data")
	url := serveForTest(t, data, settings...)
	// The one thing that is not as written: a port that is free here.
	lines := strings.ReplaceAll(script.String(), "http://127.0.0.1:8080", url)

	shell := exec.Command("bash", "-c", lines)
	shell.Dir = "../.."
	shell.Env = append(os.Environ(), "LATCHKEY_DATA="+data)
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var verdicts []string
	for _, found := range regexp.MustCompile(`(?m)^(?:Verdict|Code) +(\w+)|"code":"(\w+)"`).FindAllStringSubmatch(string(out), -1) {
		verdicts = append(verdicts, found[1]+found[2])
	}
	want := []string{"valid", "insufficient_scope", "valid", "valid", "valid", "revoked"}
	if !slices.Equal(verdicts, want) {
		t.Fatalf("verdicts %v, want %v, in\n%s", verdicts, want, out)
	}
	ids := regexp.MustCompile(`key_[0-9a-z]{20}`).FindAllString(string(out), -1)
	slices.Sort(ids)
	if ids = slices.Compact(ids); len(ids) != 1 {
		t.Fatalf("the verdicts name %v, want one key, in\n%s", ids, out)
	}
}
