//go:build linux

package campaign

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

var (
	longFlag  = flag.Bool("long", false, "run as many rounds as are worth believing, and show progress")
	stateFlag = flag.String("state", "", "a file in which finished rounds are noted, so that an interrupted campaign goes on there")
	seedFlag  = flag.Uint64("seed", 0, "of the random moments; 0 draws one and prints it")
)

var program string // the built binary

func TestMain(m *testing.M) {
	if os.Getenv(loads) != "" {
		if err := serveLoad(); err != nil {
			panic(err)
		}
		return
	}
	flag.Parse()
	dir, err := os.MkdirTemp("", "latchkey-campaign-")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "latchkey")
	if out, err := exec.Command("go", "build", "-o", program, "latchkey.dev/latchkey/cmd/latchkey").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s\n", out)
		os.Exit(1)
	}
	status := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

// rounds runs a campaign round by round: few of them, or with -long many.
func rounds(t testing.TB, few, many int, round func(n int)) {
	t.Helper()
	all := few
	if *longFlag {
		all = many
	}
	began := time.Now()
	for n := finished(t); n < all; n++ {
		round(n)
		if t.Failed() {
			t.Fatalf("%s: round %d of %d failed", t.Name(), n+1, all)
		}
		note(t, n+1)
		if *longFlag {
			fmt.Printf("%s: %d of %d rounds, %s\n", t.Name(), n+1, all, time.Since(began).Round(time.Second))
		}
	}
}

// finished is how many rounds of the campaign earlier runs finished.
func finished(t testing.TB) int { return states(t)[t.Name()] }

func note(t testing.TB, n int) {
	if *stateFlag == "" {
		return
	}
	all := states(t)
	all[t.Name()] = n
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(*stateFlag, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func states(t testing.TB) map[string]int {
	all := map[string]int{}
	if *stateFlag == "" {
		return all
	}
	text, err := os.ReadFile(*stateFlag)
	if errors.Is(err, fs.ErrNotExist) {
		return all
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}
