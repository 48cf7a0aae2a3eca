package dialecttest

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

// Dice draw what a generated request is made of.
type Dice struct{ *rand.Rand }

// Pick draws one of these.
func Pick[T any](d Dice, of ...T) T { return of[d.IntN(len(of))] }

// Once is true once in n times.
func (d Dice) Once(n int) bool { return d.IntN(n) == 0 }

// Text draws a text: short, long, empty, of other scripts, or what programs
// stumble over.
func (d Dice) Text() string {
	return Pick(d, "", "a", "0", "-1", "null", "name", "ünïcödé", "💡", "a b", "a,b", "\t", "'\"\\", "%00", "../..", "a[b]", "{}", strings.Repeat("x", 255),
		strings.Repeat("x", 256), strings.Repeat("é", 300), "10.0.0.1", "10.0.0.0/8", "::1", "1e9", "true", strconv.Itoa(d.Int()))
}

// Value draws a JSON value.
func (d Dice) Value(depth int) any {
	switch d.IntN(8) {
	case 0:
		return nil
	case 1:
		return d.Once(2)
	case 2:
		return Pick[any](d, 0, -1, 1.5, 1e300, d.Int())
	case 3:
		if depth > 0 {
			return []any{d.Value(depth - 1), d.Value(depth - 1)}
		}
	case 4:
		if depth > 0 {
			return Object{d.Text(): d.Value(depth - 1), "name": d.Value(depth - 1)}
		}
	}
	return d.Text()
}

// Body draws what a client could send in place of a body that was meant: mostly
// that, sometimes cut off, doubled, oversized, or something else.
func (d Dice) Body(meant string) string {
	switch d.IntN(24) {
	case 0:
		return meant[:d.IntN(len(meant)+1)]
	case 1:
		return meant + meant
	case 2:
		return ""
	case 3:
		return `{"x":"` + strings.Repeat("x", 64<<10) + `"}`
	case 4:
		return strings.Repeat("[", 100)
	case 5:
		return Pick(d, "null", "[]", "0", `"x"`, "{\"a\":\"\xff\"}", `{"a":"\ud800"}`, `{"a":1,"a":2}`, "\x00", "<xml/>")
	}
	return meant
}

// Storm sends so many generated requests, and holds each answer against check. It
// wants answers of every one of these statuses, or the storm was none.
func (h *House) Storm(size int, draw func(Dice) Request, check func(Request, Answer), statuses ...int) {
	h.Helper()
	seed := rand.Uint64() //nolint:gosec // tests are drawn so that they can be drawn again
	h.Logf("seed %d", seed)
	d := Dice{rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // the same
	seen := map[int]int{}
	for range size {
		q := draw(d)
		a := h.Send(q)
		seen[a.Status]++
		if a.Status >= 500 {
			h.Errorf("%s %q %q: %d %s", a.Asked, q.Header, q.Body, a.Status, a.Text)
		}
		check(q, a)
		if h.Failed() {
			h.Fatalf("the request was %+v", q)
		}
	}
	h.Logf("answers by status: %v", seen)
	for _, status := range statuses {
		if seen[status] == 0 {
			h.Errorf("no answer was %d", status)
		}
	}
}
