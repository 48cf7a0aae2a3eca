package client_test

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey/client"
)

func create(ctx context.Context, c *client.Client) error {
	_, err := c.Keys.Create(ctx, client.NewKey{Name: "n"})
	return err
}

func update(ctx context.Context, c *client.Client) error {
	_, err := c.Keys.Update(ctx, "key_1", client.KeyPatch{Name: client.Set("n")})
	return err
}

func read(ctx context.Context, c *client.Client) error {
	_, err := c.Keys.Get(ctx, "key_1")
	return err
}

func verify(ctx context.Context, c *client.Client) error {
	_, err := c.Keys.Verify(ctx, client.Verification{Key: someKey})
	return err
}

func revoke(ctx context.Context, c *client.Client) error {
	_, err := c.Keys.Revoke(ctx, "key_1", "")
	return err
}

func remove(ctx context.Context, c *client.Client) error {
	_, err := c.Users.Delete(ctx, "usr_1", true)
	return err
}

// Which calls are made again, and after what.
func TestRepetition(t *testing.T) {
	good := says(200, `{}`)
	lost := http.HandlerFunc(hangsUp)
	for name, test := range map[string]struct {
		call     func(context.Context, *client.Client) error
		answers  []http.HandlerFunc
		requests int
		fails    bool
	}{
		"a lost read":               {read, []http.HandlerFunc{lost, good}, 2, false},
		"a lost verification":       {verify, []http.HandlerFunc{lost, good}, 2, false},
		"a lost creation":           {create, []http.HandlerFunc{lost, lost, lost, good}, 4, false},
		"a lost revocation":         {revoke, []http.HandlerFunc{lost, good}, 2, false},
		"a lost change":             {update, []http.HandlerFunc{lost, good}, 1, true},
		"a lost deletion":           {remove, []http.HandlerFunc{lost, good}, 1, true},
		"a creation lost for good":  {create, []http.HandlerFunc{lost}, 4, true},
		"a creation at a busy node": {create, []http.HandlerFunc{refuses(503, "busy"), good}, 2, false},
		"a change at a busy node":   {update, []http.HandlerFunc{refuses(503, "busy"), good}, 1, true},
		"a read too many":           {read, []http.HandlerFunc{refuses(429, "too_many_requests"), good}, 2, false},
		"a proxy without a server":  {read, []http.HandlerFunc{says(502, "<html>"), good}, 2, false},
		"a slow server":             {read, []http.HandlerFunc{says(504, "<html>"), good}, 2, false},
		"the server's fault":        {read, []http.HandlerFunc{refuses(500, "internal"), good}, 1, true},
		"a refusal":                 {create, []http.HandlerFunc{refuses(422, "invalid"), good}, 1, true},
		"a conflict":                {create, []http.HandlerFunc{refuses(409, "conflict"), good}, 1, true},
		"no credential":             {read, []http.HandlerFunc{refuses(401, "unauthenticated"), good}, 1, true},
		"an answer cut short": {read, []http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"id":`)
		}, good}, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			c, server, waited := against(t, client.Options{}, test.answers...)
			if err := test.call(t.Context(), c); (err != nil) != test.fails {
				t.Errorf("error %v, want one: %v", err, test.fails)
			}
			got := server.requests()
			if len(got) != test.requests || len(waited.list) != test.requests-1 {
				t.Errorf("%d requests and %d waits, want %d requests", len(got), len(waited.list), test.requests)
			}
			for _, r := range got {
				if r.body != got[0].body || r.header.Get("Idempotency-Key") != got[0].header.Get("Idempotency-Key") {
					t.Errorf("the repeated call is another one: %v, then %v", got[0], r)
				}
			}
		})
	}
}

func TestIdempotencyKeysDiffer(t *testing.T) {
	c, server, _ := against(t, client.Options{}, says(201, `{}`))
	seen := map[string]bool{}
	for range 20 {
		if err := create(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range server.requests() {
		seen[r.header.Get("Idempotency-Key")] = true
	}
	if len(seen) != 20 {
		t.Errorf("20 calls have %d names", len(seen))
	}
}

// A client waits as long as it is asked to, at most 30 seconds, and longer each
// time where it is not asked.
func TestWaits(t *testing.T) {
	for name, test := range map[string]struct {
		retryAfter  string
		least, most []time.Duration
	}{
		"not asked": {"", []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond},
			[]time.Duration{400 * time.Millisecond, 800 * time.Millisecond, 1600 * time.Millisecond}},
		"asked":          {"7", []time.Duration{7 * time.Second, 7 * time.Second, 7 * time.Second}, []time.Duration{14 * time.Second, 14 * time.Second, 14 * time.Second}},
		"asked too much": {"31", nil, nil},
		"asked oddly": {"Wed, 21 Oct 2026 07:28:00 GMT", []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond},
			[]time.Duration{400 * time.Millisecond, 800 * time.Millisecond, 1600 * time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			c, _, waited := against(t, client.Options{}, refuses(503, "busy", "Retry-After", test.retryAfter))
			if err := read(t.Context(), c); client.CodeOf(err) != "busy" {
				t.Fatal(err)
			}
			if len(waited.list) != len(test.least) {
				t.Fatalf("waited %v", waited.list)
			}
			for i, d := range waited.list {
				if d < test.least[i] || d >= test.most[i] {
					t.Errorf("wait %d was %v, want %v to %v", i+1, d, test.least[i], test.most[i])
				}
			}
		})
	}
}

func TestAttempts(t *testing.T) {
	for given, want := range map[int]int{0: 4, 1: 1, 2: 2, 40: 40} {
		c, server, _ := against(t, client.Options{Attempts: given}, refuses(503, "busy"))
		if err := read(t.Context(), c); err == nil {
			t.Fatal("a busy server answered")
		}
		if got := len(server.requests()); got != want {
			t.Errorf("Attempts %d made %d requests, want %d", given, got, want)
		}
	}
}

func TestContextEndsRepetition(t *testing.T) {
	c, server, _ := against(t, client.Options{}, refuses(503, "busy"))
	ctx, cancel := context.WithCancel(t.Context())
	c.OnPause(func(ctx context.Context, _ time.Duration) error {
		cancel()
		return ctx.Err()
	})
	if err := read(ctx, c); client.CodeOf(err) != "busy" {
		t.Errorf("the reason that there was is lost: %v", err)
	}
	if n := len(server.requests()); n != 1 {
		t.Errorf("%d requests after the context ended", n)
	}
}

// Whether a change may have been made is told as far as it can be known.
func TestUncertain(t *testing.T) {
	for name, test := range map[string]struct {
		call      func(context.Context, *client.Client) error
		answers   []http.HandlerFunc
		uncertain bool
	}{
		"a lost change":                     {update, []http.HandlerFunc{hangsUp}, true},
		"a lost creation":                   {create, []http.HandlerFunc{hangsUp}, true},
		"a lost read":                       {read, []http.HandlerFunc{hangsUp}, false},
		"a lost verification":               {verify, []http.HandlerFunc{hangsUp}, false},
		"a creation lost, then a busy node": {create, []http.HandlerFunc{hangsUp, refuses(503, "busy")}, true},
		"a creation lost, then refused":     {create, []http.HandlerFunc{hangsUp, refuses(422, "invalid")}, false},
		"a busy node":                       {create, []http.HandlerFunc{refuses(503, "busy")}, false},
		"an answer that is none":            {update, []http.HandlerFunc{says(200, "<html>")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			c, _, _ := against(t, client.Options{}, test.answers...)
			err := test.call(t.Context(), c)
			if err == nil {
				t.Fatal("it succeeded")
			}
			lost, ok := errors.AsType[*client.TransportError](err)
			if got := ok && lost.Uncertain; got != test.uncertain {
				t.Errorf("uncertain: %v, want %v: %v", got, test.uncertain, err)
			}
			if test.uncertain != strings.Contains(err.Error(), "may have been made") {
				t.Errorf("the error does not say so: %v", err)
			}
		})
	}
}

// The credential stays with the server it was meant for.
func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		thief := &script{answers: []http.HandlerFunc{says(200, `{"id":"key_evil"}`)}}
		elsewhere := httptest.NewServer(thief)
		t.Cleanup(elsewhere.Close)
		c, server, _ := against(t, client.Options{}, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/?token=abc", status)
		})
		for name, call := range map[string]func(context.Context, *client.Client) error{"read": read, "create": create, "verify": verify} {
			err := call(t.Context(), c)
			refusal, ok := errors.AsType[*client.Error](err)
			if !ok || refusal.Status != status || refusal.Code != "" || !strings.Contains(refusal.Detail, elsewhere.URL) || strings.Contains(refusal.Detail, "abc") {
				t.Errorf("%d, %s: %v", status, name, err)
			}
		}
		if len(server.requests()) != 3 || len(thief.requests()) != 0 {
			t.Errorf("%d: %d requests here, %d elsewhere", status, len(server.requests()), len(thief.requests()))
		}
	}
}

func TestAnswersAreBounded(t *testing.T) {
	long := `{"id":"` + strings.Repeat("x", 1000) + `"}`
	bomb := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, long)
		_ = z.Close()
	}
	endless := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, long); err != nil {
				return
			}
		}
	}
	for name, answer := range map[string]http.HandlerFunc{"long": says(200, long), "compressed": bomb, "endless": endless, "a long refusal": says(503, long)} {
		t.Run(name, func(t *testing.T) {
			c, server, _ := against(t, client.Options{MaxAnswer: int64(len(long)) - 1}, answer)
			if err := read(t.Context(), c); !errors.Is(err, client.ErrTooLarge) {
				t.Errorf("an answer over the bound: %v", err)
			}
			if n := len(server.requests()); n != 1 {
				t.Errorf("asked %d times for what is too long", n)
			}
		})
	}
	c, _, _ := against(t, client.Options{MaxAnswer: int64(len(long))}, says(200, long))
	if err := read(t.Context(), c); err != nil {
		t.Errorf("an answer at the bound: %v", err)
	}
}

func TestErrors(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"a problem": {refuses(422, "invalid", "Retry-After", "3"),
			"latchkey: 422 invalid: D. [/name: This is required.] (request req-2) | T key_1 3s"},
		"a page of a proxy": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(404)
			_, _ = io.WriteString(w, "<p>"+someToken.Expose())
		}, "latchkey: 404: The answer is 404 Not Found without a problem document, so it is not from Latchkey; look at what stands in between, or at the address. |   0s"},
		"JSON of something else": {says(400, `{"code":"x","detail":"y"}`),
			"latchkey: 400: The answer is 400 Bad Request without a problem document, so it is not from Latchkey; look at what stands in between, or at the address. (request req-1) |   0s"},
		"a broken problem": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(499)
			_, _ = io.WriteString(w, `{"code":`)
		}, "latchkey: 499: The answer is 499 without a problem document, so it is not from Latchkey; look at what stands in between, or at the address. |   0s"},
	} {
		t.Run(name, func(t *testing.T) {
			c, _, _ := against(t, client.Options{}, test.answer)
			err := create(t.Context(), c)
			refusal, ok := errors.AsType[*client.Error](err)
			if !ok {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%v | %s %s %v", err, refusal.Title, refusal.Object, refusal.RetryAfter); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if client.CodeOf(err) != refusal.Code {
				t.Errorf("CodeOf gives %q", client.CodeOf(err))
			}
		})
	}
	if client.CodeOf(nil) != "" || client.CodeOf(io.EOF) != "" {
		t.Error("a code out of nowhere")
	}
}

// What is not JSON is not repeated in the error: nobody knows what it is.
func TestUnreadableAnswer(t *testing.T) {
	for _, body := range []string{"", "<html>sesame</html>", `"sesame"`, `{"key":"sesame"`, `[]`} {
		c, server, _ := against(t, client.Options{}, says(200, body))
		err := create(t.Context(), c)
		if _, ok := errors.AsType[*client.TransportError](err); !ok || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%q: %v", body, err)
		}
		if n := len(server.requests()); n != 1 {
			t.Errorf("%q: asked %d times", body, n)
		}
	}
}

func TestTimeout(t *testing.T) {
	released := make(chan struct{})
	c, _, _ := against(t, client.Options{Timeout: time.Millisecond, Attempts: 2}, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-released:
		}
	})
	defer close(released)
	err := read(t.Context(), c)
	if err == nil || !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("a server that never answers: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	if err := read(ctx, c); !errors.Is(err, enough) {
		t.Errorf("a caller who does not wait: %v", err)
	}
}

// Nobody listens: nothing was sent, so nothing can have changed.
func TestNobodyThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + listener.Addr().String()
	listener.Close()
	c, err := client.New(address, someToken, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &waits{}
	c.OnPause(w.pause)
	err = create(t.Context(), c)
	lost, ok := errors.AsType[*client.TransportError](err)
	if !ok || lost.Uncertain || lost.Operation != "POST /v1/keys" || len(w.list) != 3 {
		t.Errorf("%v after %d waits", err, len(w.list))
	}
}

// A server that cannot show who it is gets no credential, and no second try.
func TestUntrustedCertificate(t *testing.T) {
	s := &script{answers: []http.HandlerFunc{says(200, `{}`)}}
	server := httptest.NewUnstartedServer(s)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	c, err := client.New(server.URL, someToken, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &waits{}
	c.OnPause(w.pause)
	err = create(t.Context(), c)
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok || len(w.list) != 0 || len(s.requests()) != 0 {
		t.Errorf("%v after %d waits and %d requests", err, len(w.list), len(s.requests()))
	}
}

func TestPages(t *testing.T) {
	c, server, _ := against(t, client.Options{},
		says(200, `{"data":[{"id":"key_1"},{"id":"key_2"}],"next_cursor":"a"}`),
		says(200, `{"data":[],"next_cursor":"b"}`),
		says(200, `{"data":[{"id":"key_3"}],"next_cursor":null}`))
	var ids []string
	for k, err := range c.Keys.All(t.Context(), client.KeyFilter{Limit: 2, State: "live"}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, k.ID)
	}
	var uris []string
	for _, r := range server.requests() {
		uris = append(uris, r.uri)
	}
	if fmt.Sprint(ids) != "[key_1 key_2 key_3]" ||
		fmt.Sprint(uris) != "[/v1/keys?limit=2&state=live /v1/keys?cursor=a&limit=2&state=live /v1/keys?cursor=b&limit=2&state=live]" {
		t.Errorf("%v from %v", ids, uris)
	}
}

func TestPagesEnd(t *testing.T) {
	again := says(200, `{"data":[{"id":"prj_1"}],"next_cursor":"7"}`)
	t.Run("with whoever reads", func(t *testing.T) {
		c, server, _ := against(t, client.Options{}, again)
		for _, err := range c.Projects.All(t.Context(), client.PageFilter{}) {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		if n := len(server.requests()); n != 1 {
			t.Errorf("%d requests for one project", n)
		}
	})
	t.Run("with an error", func(t *testing.T) {
		c, _, _ := against(t, client.Options{}, again, refuses(422, "invalid"))
		var got []string
		for p, err := range c.Projects.All(t.Context(), client.PageFilter{}) {
			got = append(got, p.ID+client.CodeOf(err))
		}
		if fmt.Sprint(got) != "[prj_1 invalid]" {
			t.Errorf("%v", got)
		}
	})
	t.Run("with a list that does not advance", func(t *testing.T) {
		c, server, _ := against(t, client.Options{}, again)
		failed := 0
		for _, err := range c.Events.All(t.Context(), client.EventFilter{}) {
			if err != nil {
				failed++
			}
		}
		if failed != 1 || len(server.requests()) != 2 {
			t.Errorf("%d errors after %d requests", failed, len(server.requests()))
		}
	})
	t.Run("with a cursor that is no position", func(t *testing.T) {
		c, _, _ := against(t, client.Options{}, says(200, `{"data":[],"next_cursor":"x"}`))
		failed := 0
		for _, err := range c.Events.All(t.Context(), client.EventFilter{}) {
			if err != nil {
				failed++
			}
		}
		if failed != 1 {
			t.Errorf("%d errors", failed)
		}
	})
}

// A call whose answer tells how far its change has come says how long that may
// wait, and is told of; the others do neither.
func TestWaiting(t *testing.T) {
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.String())
		_, _ = w.Write([]byte(`{"effective":"everywhere","position":9}`))
	}))
	defer s.Close()
	began, ended := 0, 0
	c, err := client.New(s.URL, client.Secret{}, client.Options{
		Wait:    client.Set(500 * time.Millisecond),
		Waiting: func() func() { began++; return func() { ended++ } },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	_, revoke := c.Keys.Revoke(ctx, "key_1", "")
	_, remove := c.Users.Delete(ctx, "usr_1", true)
	_, read := c.Keys.Get(ctx, "key_1")
	_, create := c.Users.Create(ctx, client.NewUser{})
	if err := errors.Join(revoke, remove, read, create); err != nil {
		t.Fatal(err)
	}
	want := []string{"POST /v1/keys/key_1/revoke?wait=500ms", "DELETE /v1/users/usr_1?revoke_keys=true&wait=500ms", "GET /v1/keys/key_1", "POST /v1/users"}
	if !slices.Equal(asked, want) || began != 2 || ended != 2 {
		t.Errorf("asked %q; told of %d beginnings and %d ends", asked, began, ended)
	}
}
