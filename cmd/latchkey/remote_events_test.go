package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"latchkey.dev/latchkey/client"
)

// record is a server that has events at these positions, in ascending order.
type record []int64

func (e record) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	number := func(name string, otherwise int64) int64 {
		n, err := strconv.ParseInt(r.URL.Query().Get(name), 10, 64)
		if err != nil {
			return otherwise
		}
		return n
	}
	after, limit := number("after", 0), int(number("limit", 25))
	page := client.Page[map[string]any]{Data: []map[string]any{}}
	for _, position := range e {
		if position > after && len(page.Data) < limit {
			page.Data = append(page.Data, map[string]any{"id": fmt.Sprint("evt_", position), "position": position, "type": "t"})
			page.NextCursor = fmt.Sprint(position)
		}
	}
	if len(page.Data) < limit {
		page.NextCursor = ""
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(page)
}

// However the events lie among those of other organizations, the last ones are
// found.
func TestLastEventsAreFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var events record
		position := int64(0)
		for _, gap := range rapid.SliceOfN(rapid.Int64Range(1, 50), 0, 30).Draw(t, "gaps") {
			position += gap * rapid.SampledFrom([]int64{1, 1, 1, 1000}).Draw(t, "scale")
			events = append(events, position)
		}
		n := rapid.IntRange(0, 40).Draw(t, "lines")
		server := httptest.NewServer(events)
		defer server.Close()
		api, err := client.New(server.URL, client.Secret{}, client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		last, err := lastPosition(t.Context(), api, client.EventFilter{})
		if err != nil || last != position {
			t.Fatalf("the last of %v was found at %d, %v", events, last, err)
		}
		after, err := beforeLast(t.Context(), api, client.EventFilter{}, n)
		if err != nil {
			t.Fatal(err)
		}
		found := slices.DeleteFunc(slices.Clone(events), func(p int64) bool { return p <= after })
		if want := events[max(0, len(events)-n):]; !slices.Equal(found, want) {
			t.Fatalf("after %d there are %v, the last %d of %v are %v", after, found, n, events, want)
		}
	})
}

// To find the end takes tens of questions, not one for each page.
func TestLastEventIsFoundSoon(t *testing.T) {
	s := newFakeServer(t, func(_ int, q asked) (int, string) {
		r := httptest.NewRecorder()
		events := record{999_999_999_999}
		for n := range int64(3) {
			events = slices.Insert(events, 0, 999_999_999_998-n)
		}
		events.ServeHTTP(r, httptest.NewRequest(q.method, q.uri, http.NoBody))
		return 200, r.Body.String()
	})
	o := s.asks(t, "", "events", "tail", "--lines", "2", "--json")
	if o.status != exitOK || strings.Count(o.out, "\n") != 2 || !strings.Contains(o.out, `"position":999999999999`) {
		t.Errorf("status %d\n%s%s", o.status, o.out, o.err)
	}
	if n := len(s.questions()); n > 100 {
		t.Errorf("%d questions", n)
	}
}

// Each event is a line of JSON as the server wrote it, streamed or not.
func TestTail(t *testing.T) {
	const first, second = `{"id":"evt_5","position":5,"x":1.0}`, `{"id":"evt_6","position":6}`
	listed := newFakeServer(t, always(200, `{"data":[`+first+`,`+second+`],"next_cursor":null}`))
	if o := listed.asks(t, "", "events", "tail", "--after", "4", "--json"); o.out != first+"\n"+second+"\n" {
		t.Errorf("listed\n%s%s", o.out, o.err)
	}
	streamed := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if streamed++; streamed > 1 {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, fakeProblem("forbidden", "No more."))
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "data: %s\n\ndata: %s\n\n", first, second)
	}))
	t.Cleanup(server.Close)
	o := runCommand(t, map[string]string{urlVariable: server.URL}, "", "events", "tail", "--after", "4", "--follow", "--json")
	if o.status != exitFailure || o.out != first+"\n"+second+"\n" || o.err != "latchkey: No more.\n" {
		t.Errorf("streamed with status %d\n%s%s", o.status, o.out, o.err)
	}
}
