package dialecttest_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"latchkey.dev/latchkey/dialect/dialecttest"
)

// walk is a walk over a list by its cursors: next is the path and query of the
// page after an answer, "" at the end.
type walk struct {
	name  string
	of    string
	first string // "": before the oldest key of the test
	next  func(a dialecttest.Answer) string
}

// link follows a URL of the answer.
func link(w *world, member string) func(dialecttest.Answer) string {
	return func(a dialecttest.Answer) string {
		url, _ := a.At(member).(string)
		return strings.TrimPrefix(url, w.URL)
	}
}

// While keys are made and revoked, a walk over the pages shows every key once
// that was there before it and is there after it, and none twice.
func TestWalksShowEachKeyOnce(t *testing.T) {
	t.Parallel()
	w := openWorld(t)
	cursor := func(a dialecttest.Answer) string {
		next, _ := a.At("next_cursor").(string)
		if next == "" {
			return ""
		}
		return "/v1/keys?limit=3&cursor=" + next
	}
	for _, walk := range []walk{
		{"the native API", "native", "/v1/keys?limit=3", cursor},
		{"company, older and older", "company", "/keys?limit=3", link(w, "nextUrl")},
		{"company, newer and newer", "company", "", link(w, "previousUrl")},
	} {
		s := speakerOf(walk.of)
		var ids []string
		for range 20 {
			_, id := w.make(s, nil)
			ids = append(ids, id)
		}
		slices.Reverse(ids) // newest first
		var gone []string
		seen := map[string]int{}
		at := walk.first
		if at == "" { // from the oldest of them
			slices.Reverse(ids)
			at = "/keys?limit=3&endingBefore=" + ids[0]
			seen[ids[0]]++
		}
		for n := 0; at != ""; n++ {
			a := w.ask(s, w.AdminKey, http.MethodGet, at, nil).Must(http.StatusOK)
			for _, id := range s.ids(a) {
				seen[id]++
			}
			at = walk.next(a)
			w.make(s, nil)
			if n < 6 { // one that was shown, maybe the last of the page, and one that was not
				for _, i := range []int{3*n + 2, 19 - n} {
					if !slices.Contains(gone, ids[i]) {
						w.revoke(s, ids[i])
						gone = append(gone, ids[i])
					}
				}
			}
			if n > 100 {
				t.Fatalf("%s has no end", walk.name)
			}
		}
		for i, id := range ids {
			if times := seen[id]; times > 1 || times == 0 && !slices.Contains(gone, id) {
				t.Errorf("%s shows key %d of %d %d times", walk.name, i, len(ids), times)
			}
		}
		if len(gone) < 8 {
			t.Fatalf("%s: only %d were revoked meanwhile", walk.name, len(gone))
		}
	}
}

func speakerOf(name string) speaker {
	all := speakers()
	return all[slices.IndexFunc(all, func(s speaker) bool { return s.name == name })]
}

// A list that comes in one answer shows every key once that was there all the
// while, whatever is made and revoked as it comes.
func TestStreamsShowEachKeyOnce(t *testing.T) {
	t.Parallel()
	w := openWorld(t)
	s := speakerOf("vertesia")
	var stay []string
	for range 30 {
		_, id := w.make(s, nil)
		stay = append(stay, id)
	}
	var all sync.WaitGroup
	stop := make(chan struct{})
	all.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_, id := w.make(s, nil)
				w.revoke(s, id)
			}
		}
	})
	defer all.Wait()
	defer close(stop)
	for range 20 {
		seen := map[string]int{}
		for _, id := range s.ids(w.list(s)) {
			seen[id]++
		}
		for _, id := range stay {
			if seen[id] != 1 {
				t.Fatalf("a key is shown %d times", seen[id])
			}
		}
	}
}
