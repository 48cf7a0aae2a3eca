package lane_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Who refuses a request has not to wait for its body: what bounds the work in
// flight would be held by strangers who send none.
func TestHandlerDoesNotWaitForABody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var took time.Duration
		b := newHouse(t, func(w http.ResponseWriter, _ *http.Request) {
			began := time.Now()
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "2")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, "{}")
			took = time.Since(began)
		})
		client := b.dial()
		go func() {
			_, _ = io.WriteString(client, "POST /hot HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
			time.Sleep(time.Second)
			_, _ = io.WriteString(client, "abc")
		}()
		if res := ask(t, client, ""); res.StatusCode != http.StatusUnauthorized || res.Close {
			t.Errorf("%s, close: %t", res.Status, res.Close)
		}
		if took != 0 {
			t.Errorf("the handler waited for %v", took)
		}
		if err := b.stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A body that a handler closed before it came ends the connection: the rest of it
// would be taken for a request.
func TestRestOfAClosedBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		b := newHouse(t, func(_ http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.RequestURI)
			_ = r.Body.Close()
		})
		client := b.dial()
		hidden := "GET /hot/hidden HTTP/1.1\r\nHost: a\r\n\r\n"
		var sent sync.WaitGroup
		sent.Go(func() {
			_, _ = io.WriteString(client, "POST /hot HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n")
			time.Sleep(61 * time.Second)
			_, _ = io.WriteString(client, hidden)
		})
		if took := lasts(client); took > 2*time.Minute {
			t.Errorf("it stayed for %v", took)
		}
		sent.Wait()
		if len(asked) != 1 {
			t.Errorf("asked: %q", asked)
		}
		if err := b.stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A large answer is not held for whoever does not read it: its handler is held up,
// whose number is bounded.
func TestLargeAnswersAreNotHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = "10000000"
		done := false
		b := newHouse(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Content-Length", size)
			_, _ = io.WriteString(w, strings.Repeat("a", 10_000_000))
			done = true
		})
		client := b.dial()
		_, _ = io.WriteString(client, request)
		time.Sleep(time.Minute)
		if done {
			t.Error("the handler is gone, and its answer is not")
		}
		if res := ask(t, client, ""); res.ContentLength != 10_000_000 || res.Close {
			t.Errorf("%d bytes, close: %t", res.ContentLength, res.Close)
		}
		if res := ask(t, client, request); res.StatusCode != http.StatusOK {
			t.Errorf("the next: %s", res.Status)
		}
		if err := b.stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// However many clients take nothing more, a shutdown takes no longer than it was
// given.
func TestShutdownIsNotHeldUp(t *testing.T) {
	t.Parallel()
	secure := newSecure(t)
	synctest.Test(t, func(t *testing.T) {
		b := newSealedHouse(t, tell, secure)
		for range 10 {
			ask(t, tls.Client(b.dial(), &tls.Config{InsecureSkipVerify: true}), request)
		}
		_ = b.dial() // and says nothing
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		if err := b.stop(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
