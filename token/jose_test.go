package token_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"latchkey.dev/latchkey/token"
)

var long = flag.Bool("long", false, "check 50,000 tokens with jose rather than some hundreds")

// clients are the published programs that tests run; scripts/test installs them.
const clients = "../dialect/dialecttest/clients"

// verifier is another implementation, which checks tokens by our key set alone.
type verifier struct {
	testing.TB
	mu   sync.Mutex
	in   io.WriteCloser
	out  *bufio.Reader
	errs bytes.Buffer
	wait func() error
	sent int
}

func startJose(t *testing.T, h *house) *verifier {
	t.Helper()
	if _, err := os.Stat(filepath.Join(clients, "node_modules", "jose")); err != nil {
		t.Fatal("jose is not installed; run scripts/test, or `npm ci` in dialect/dialecttest/clients")
	}
	published := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		document, _, err := h.KeySet(r.Context())
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(document)
	}))
	t.Cleanup(published.Close)
	j := &verifier{TB: t}
	c := exec.CommandContext(t.Context(), "node", "verify.mjs")
	c.Dir, c.Env = clients, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "NO_COLOR=1", "KEYS=" + published.URL, "ISSUER=" + h.claims().Issuer}
	c.Stderr = &j.errs
	var err error
	j.in, err = c.StdinPipe()
	out, err2 := c.StdoutPipe()
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	j.out = bufio.NewReader(out)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	j.wait = c.Wait
	return j
}

func (j *verifier) say(line map[string]any) {
	text, err := json.Marshal(line)
	if err == nil {
		j.mu.Lock()
		defer j.mu.Unlock()
		_, err = j.in.Write(append(text, '\n'))
	}
	if err != nil {
		j.Errorf("jose does not listen: %v\n%s", err, j.errs.String())
	}
}

// reload returns when the key set was read again.
func (j *verifier) reload() {
	j.Helper()
	j.say(map[string]any{"reload": true})
	if line, err := j.out.ReadString('\n'); err != nil || line != "read\n" {
		j.Fatalf("jose does not read the set: %q, %v\n%s", line, err, j.errs.String())
	}
}

// check has a token checked at a moment.
func (j *verifier) check(jwt string, now time.Time) {
	j.say(map[string]any{"jwt": jwt, "now": now.Unix()})
	j.mu.Lock()
	defer j.mu.Unlock()
	j.sent++
}

// Tokens are issued under load while keys rotate, and jose refuses none of them: a
// verifier that reads the key set once between two of its changes always has the
// key, and what the old keys signed is good to its end.
func TestJoseThroughRotations(t *testing.T) {
	t.Parallel()
	const rotations, workers = 5, 4
	each := 100 // tokens of a worker between two steps
	if *long {
		each = 50_000/(rotations*workers) + 1
	}
	h := open(t)
	h.move(token.Tend)
	var clock sync.RWMutex // held while time passes and keys move
	j := startJose(t, h)
	j.reload()
	issue := func(n int) (string, time.Time) {
		clock.RLock()
		defer clock.RUnlock()
		c := h.claims()
		c.Type, c.ID = token.AccessToken, fmt.Sprint("token-", n)
		a := token.ES256
		if n%20 == 0 {
			a = token.RS256
		}
		signed, err := h.Issue(t.Context(), a, c)
		if err != nil {
			t.Errorf("issue: %v", err)
		}
		return signed.Expose(), h.now
	}
	pass := func(d time.Duration, order token.Order) {
		clock.Lock()
		defer clock.Unlock()
		h.now = h.now.Add(d)
		h.move(order)
	}
	for range rotations {
		var load sync.WaitGroup
		for worker := range workers {
			load.Go(func() {
				for n := range each {
					signed, now := issue(n*workers + worker)
					j.check(signed, now)
				}
			})
		}
		pass(0, token.Rotate) // published
		j.reload()            // whenever in the day
		pass(token.Lead, token.Tend)
		load.Wait()
		old, _ := issue(1)
		pass(time.Minute, token.RotateNow) // and once without a day's notice, seen before it is used
		j.reload()
		j.check(old, h.now.Add(token.MaxLife-2*time.Minute))
		pass(3*time.Hour, token.Tend)
		j.reload()
	}
	if err := j.in.Close(); err != nil {
		t.Fatal(err)
	}
	told, err := io.ReadAll(j.out)
	if err := errors.Join(err, j.wait()); err != nil {
		t.Fatalf("jose: %v\n%s", err, j.errs.String())
	}
	var counted struct {
		Good    int            `json:"good"`
		Refused map[string]int `json:"refused"`
	}
	if err := json.Unmarshal(told, &counted); err != nil {
		t.Fatalf("%v: %s", err, told)
	}
	if t.Logf("jose checked %d tokens through %d rotations", counted.Good, 2*rotations); counted.Good != j.sent || counted.Good < 500 || len(counted.Refused) > 0 {
		t.Errorf("of %d tokens %d were good; refused: %v", j.sent, counted.Good, counted.Refused)
	}
}
