package dialecttest_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"latchkey.dev/latchkey/store/postgres/postgrestest"
)

// program is the program that users run, as a process of its own.
type program struct{ url, admin, hub string }

var listening = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// serve builds the program, makes an installation with it, and serves that until
// the test ends. The store is that of the other tests: LATCHKEY_TEST_STORE says.
func serve(t *testing.T) program {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "latchkey")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "latchkey.dev/latchkey/cmd/latchkey").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	flags := []string{"--data", filepath.Join(dir, "data")}
	if os.Getenv("LATCHKEY_TEST_STORE") == "postgres" {
		flags = append(flags, "--database-url", postgrestest.Database(t))
	}
	out, err := exec.CommandContext(t.Context(), binary, append([]string{"init", "--json"}, flags...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var made struct {
		AdminKey string `json:"admin_key"`
		HubID    string `json:"hub_id"`
	}
	if err := json.Unmarshal(out, &made); err != nil {
		t.Fatal(err)
	}
	server := exec.Command(binary, append([]string{"serve", "--listen", "127.0.0.1:0"}, flags...)...) // outlives the test's context, to be stopped in order
	var log bytes.Buffer
	server.Stderr = &log
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		<-read
		if err := server.Wait(); err != nil {
			t.Errorf("the program did not stop well: %v\n%s", err, log.String())
		}
	})
	url, lines := "", bufio.NewScanner(stdout)
	for url == "" && lines.Scan() {
		url = listening.FindString(lines.Text())
	}
	go func() {
		defer close(read)
		_, _ = io.Copy(io.Discard, stdout)
	}()
	if url == "" {
		t.Fatal("the program does not say where it listens")
	}
	return program{url, made.AdminKey, made.HubID}
}
