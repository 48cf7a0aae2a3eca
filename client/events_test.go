package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"latchkey.dev/latchkey/client"
)

// streams answers with an event stream and then ends the connection.
func streams(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("X-Request-Id", "req-3")
		_, _ = io.WriteString(w, text)
	}
}

func event(position int) string {
	return fmt.Sprintf("id: %[1]d\nevent: key.created\ndata: {\"id\":\"evt_%[1]d\",\"position\":%[1]d,\"type\":\"key.created\"}\n\n", position)
}

// follow reads until it has that many events, or an error.
func follow(ctx context.Context, c *client.Client, f client.EventFilter, enough int) (positions []int64, err error) {
	for e, err := range c.Events.Follow(ctx, f) {
		if err != nil {
			return positions, err
		}
		if want := fmt.Sprintf(`{"id":"evt_%[1]d","position":%[1]d,"type":"key.created"}`, e.Value.Position); string(e.Raw.Expose()) != want {
			return positions, fmt.Errorf("raw text %s", e.Raw.Expose())
		}
		if positions = append(positions, e.Value.Position); len(positions) == enough {
			return positions, nil
		}
	}
	return positions, errors.New("the sequence ended by itself")
}

// A follower takes up where it was, whatever happens to its connections.
func TestFollow(t *testing.T) {
	c, server, _ := against(t, client.Options{},
		streams(": welcome\n\n"+event(5)+event(6)),
		hangsUp,
		refuses(503, "unavailable"),
		streams(": \n\n: \n\n"),
		streams(event(9)+"data: {\"position\":"), // cut off within a message
		streams(event(10)+event(11)))
	got, err := follow(t.Context(), c, client.EventFilter{After: 4, Type: "key.created", Everywhere: true, Limit: 3}, 4)
	if err != nil || fmt.Sprint(got) != "[5 6 9 10]" {
		t.Fatalf("%v, %v", got, err)
	}
	var after []string
	for _, r := range server.requests() {
		after = append(after, strings.TrimSuffix(strings.TrimPrefix(r.uri, "/v1/events?after="), "&everywhere=true&type=key.created"))
		if r.header.Get("Accept") != "text/event-stream" || r.header.Get("Authorization") != "Bearer "+someToken.Expose() {
			t.Errorf("header %v", r.header)
		}
	}
	if fmt.Sprint(after) != "[4 6 6 6 6 9]" {
		t.Errorf("connected after %v", after)
	}
}

func TestFollowEnds(t *testing.T) {
	t.Run("at a refusal", func(t *testing.T) {
		c, server, _ := against(t, client.Options{}, streams(event(1)), refuses(401, "unauthenticated"))
		got, err := follow(t.Context(), c, client.EventFilter{}, 9)
		if client.CodeOf(err) != "unauthenticated" || fmt.Sprint(got) != "[1]" || len(server.requests()) != 2 {
			t.Errorf("%v, %v", got, err)
		}
	})
	t.Run("when nobody answers for long", func(t *testing.T) {
		c, server, waited := against(t, client.Options{Attempts: 3}, hangsUp)
		_, err := follow(t.Context(), c, client.EventFilter{}, 9)
		if _, ok := errors.AsType[*client.TransportError](err); !ok || len(server.requests()) != 3 || len(waited.list) != 2 {
			t.Errorf("%v after %d requests", err, len(server.requests()))
		}
	})
	t.Run("not as long as streams begin", func(t *testing.T) {
		var answers []http.HandlerFunc
		for range 20 {
			answers = append(answers, streams(""))
		}
		c, _, waited := against(t, client.Options{Attempts: 2}, append(answers, streams(event(1)))...)
		if _, err := follow(t.Context(), c, client.EventFilter{}, 1); err != nil || len(waited.list) != 20 {
			t.Errorf("%v after %d waits", err, len(waited.list))
		}
	})
	t.Run("with its context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c, _, _ := against(t, client.Options{}, func(w http.ResponseWriter, r *http.Request) {
			streams(event(1))(w, r)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		n := 0
		for _, err := range c.Events.Follow(ctx, client.EventFilter{}) {
			n++
			if n == 1 {
				cancel()
			} else if !errors.Is(err, context.Canceled) {
				t.Errorf("after the context's end: %v", err)
			}
		}
		if n != 2 {
			t.Errorf("%d steps", n)
		}
	})
	t.Run("at a redirect", func(t *testing.T) {
		c, server, _ := against(t, client.Options{}, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		})
		_, err := follow(t.Context(), c, client.EventFilter{}, 1)
		if refusal, ok := errors.AsType[*client.Error](err); !ok || refusal.Status != 302 || len(server.requests()) != 1 {
			t.Error(err)
		}
	})
	for name, answer := range map[string]http.HandlerFunc{
		"at what is no stream":         says(200, `{"data":[]}`),
		"at what is no event":          streams("data: hello\n\n"),
		"at an event that was before":  streams(event(2)),
		"at a line over the bound":     streams("data: " + strings.Repeat("x", client.MaxMessage) + "\n\n"),
		"at a message over the bound":  streams(strings.Repeat("data: "+strings.Repeat("x", 4000)+"\n", 300)),
		"at a refusal over the bound":  says(500, strings.Repeat("x", 2000)),
		"at a page instead of streams": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
	} {
		t.Run(name, func(t *testing.T) {
			c, server, _ := against(t, client.Options{MaxAnswer: 1000}, answer)
			if got, err := follow(t.Context(), c, client.EventFilter{After: 2}, 1); err == nil || len(server.requests()) != 1 {
				t.Errorf("%v, %v after %d requests", got, err, len(server.requests()))
			}
		})
	}
}

// The reader of streams agrees with one that is written down the long way (HTML
// Living Standard, section 9.2.6, without what our server never sends: a lone
// carriage return, a byte order mark, a data field without a colon).
func FuzzMessages(f *testing.F) {
	for _, seed := range []string{
		"", "data: a\n\n", "data:a\ndata: b\n\n", "data\n\n", ": c\n\ndata: a\r\n\r\n", "id: 1\nevent: e\ndata: {}\n\ndata: cut", "\n\n\n", "data:\n\n", "data: \n\n", "dataa: b\n\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		var got []string
		for message, err := range client.Messages(bytes.NewReader(stream)) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(message))
		}
		var want, data []string
		lines := strings.Split(string(stream), "\n")
		for _, line := range lines[:len(lines)-1] { // the last has no end
			line = strings.TrimSuffix(line, "\r")
			field, value, colon := strings.Cut(line, ":")
			switch {
			case line == "" && data != nil:
				want, data = append(want, strings.Join(data, "\n")), nil
			case field == "data" && colon:
				data = append(data, strings.TrimPrefix(value, " "))
			}
		}
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
			t.Fatalf("%q\nwas read as %q\nand is     %q", stream, got, want)
		}
	})
}
