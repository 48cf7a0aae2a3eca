package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	"latchkey.dev/latchkey/store/sqlite"
)

// childFolder names the environment variable that makes the test binary a
// process with a store open in that folder.
const childFolder = "STORE_TEST_CHILD_FOLDER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		runChild(dir)
		return
	}
	os.Exit(m.Run())
}

// runChild opens the store, says so, and makes keys from many sides without
// end. It tells the id of each one that was acknowledged.
func runChild(dir string) {
	s, err := sqlite.Open(context.Background(), dir, nil)
	if err != nil {
		fmt.Println("failed:", err)
		return
	}
	organization, err := addTenant(s)
	if err != nil {
		fmt.Println("failed:", err)
		return
	}
	fmt.Println("open", organization.organization.Hex())
	var all sync.WaitGroup
	for side := range 8 {
		all.Go(func() {
			for n := 0; ; n++ {
				k := organization.key(side<<20+n, nil)
				if _, err := submit(s, organization.create(k)); err != nil {
					fmt.Println("failed:", err)
					return
				}
				fmt.Println("made", k.ID.Hex())
			}
		})
	}
	all.Wait()
}

// child is such a process.
type child struct {
	*exec.Cmd
	lines *bufio.Scanner
}

func startChild(t *testing.T, dir string) *child {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{Cmd: exec.Command(program)}
	c.Env = append(os.Environ(), childFolder+"="+dir)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.lines = bufio.NewScanner(out)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.kill)
	return c
}

// say reads the next line and gives the id in it.
func (c *child) say(t *testing.T) (id string) {
	t.Helper()
	if !c.lines.Scan() {
		t.Fatalf("the child said nothing more: %v", c.lines.Err())
	}
	var word string
	if n, _ := fmt.Sscan(c.lines.Text(), &word, &id); n != 2 || word == "failed:" {
		t.Fatalf("the child: %s", c.lines.Text())
	}
	return id
}

// kill ends the process without letting it do anything more. It may be gone already.
func (c *child) kill() { _ = c.Process.Kill() }
