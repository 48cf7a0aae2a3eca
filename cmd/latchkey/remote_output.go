package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
	"unicode"

	"latchkey.dev/latchkey/client"
)

// tell prints an answer: as it came with --json, else as people is told to.
func tell[T any](r *remote, a client.Answer[T], err error, people func(T) error) error {
	if err != nil {
		return r.refused(err)
	}
	if r.JSON {
		return r.print(a.Raw)
	}
	return people(a.Value)
}

// print writes the server's own words to standard output.
func (r *remote) print(raw client.Raw) error {
	_, err := r.Stdout.Write(append(slices.Clone(raw.Expose()), '\n'))
	return err
}

// note tells something beside the answer.
func (r *remote) note(format string, args ...any) { fmt.Fprintf(r.Stderr, format+"\n", args...) }

// noteSecret goes with every secret that was printed.
func (r *remote) noteSecret() {
	r.note("Keep the secret now: it is not shown again.")
}

// noteEffect says so where nodes do not know of a change yet, and what to do.
func (r *remote) noteEffect(e client.Effect) {
	if e.Effective != "pending" {
		return
	}
	r.note("The change is made, but not every node knows of it yet.")
	for _, n := range e.Nodes {
		r.note("  %s does within %v, or answers nothing", printable(n.ID), time.Duration(n.WithinMS)*time.Millisecond)
	}
	r.note("There is nothing to do but to wait: longer with --wait, or see `latchkey nodes list`. If a node is dead: latchkey nodes forget NODE_ID")
}

// tellEffect prints what was done, and how far it has come.
func tellEffect(r *remote, a client.Answer[client.Effect], err error, format string, args ...any) error {
	err = tell(r, a, err, func(client.Effect) error {
		_, err := fmt.Fprintf(r.Stdout, format+"\n", args...)
		return err
	})
	if err == nil {
		r.noteEffect(a.Value)
	}
	return err
}

// watch shows that a change waits for the nodes, until it is told to end.
func (r *remote) watch() (end func()) {
	p, began := r.progress(), time.Now()
	stop := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		defer p.end()
		tick := time.NewTicker(onTerminal)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				if waited := time.Since(began); waited >= time.Second {
					p.tell("Waiting until every node knows, for %v", waited.Truncate(time.Second))
				}
			}
		}
	})
	return func() {
		close(stop)
		watcher.Wait()
	}
}

// lostSecret is told where a secret was made and could not be printed.
func lostSecret(id string, err error) error {
	return &failure{
		What: fmt.Sprintf("The secret was made, but could not be written: %v.", err), Do: "Get another: latchkey keys rotate " + id + " --overlap 0s", Cause: err,
	}
}

// columns prints rows below a header, aligned.
func columns(w io.Writer, header []string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if header != nil {
		fmt.Fprintln(t, strings.Join(header, "\t"))
	}
	for _, row := range rows {
		for i, cell := range row {
			row[i] = printable(cell)
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// fact is one line of a description.
type fact struct{ name, value string }

// facts prints a description, without what there is nothing to say about.
func facts(w io.Writer, list []fact) error {
	var rows [][]string
	for _, f := range list {
		if f.value != "" {
			rows = append(rows, []string{f.name, f.value})
		}
	}
	return columns(w, nil, rows)
}

// printable shows what others wrote without letting it move the cursor, change
// direction or pass for other columns.
func printable(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	quoted := strconv.QuoteToGraphic(s)
	return quoted[1 : len(quoted)-1]
}

// moment is a time for people; "" for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// orNone fills the cell of a table.
func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// resourcesText is a restriction in words, in one order.
func resourcesText(restricted map[string][]string) string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(restricted)) {
		ids := strings.Join(restricted[kind], ", ")
		if ids == "" {
			ids = "none"
		}
		parts = append(parts, kind+": "+ids)
	}
	return strings.Join(parts, "; ")
}

// objectText is a JSON object on one line; "" for an empty one.
func objectText(object json.RawMessage) string {
	if text := string(object); text != "{}" && text != "null" {
		return text
	}
	return ""
}

// progress shows how long work gets on, to a person at once and elsewhere now
// and then.
type progress struct {
	to    io.Writer
	clock func() time.Time

	terminal bool
	told     time.Time
	shown    bool
}

// How often progress is shown.
const (
	onTerminal = 100 * time.Millisecond
	elsewhere  = 10 * time.Second
)

func (r *remote) progress() *progress {
	return &progress{to: r.Stderr, clock: time.Now, terminal: isTerminal(r.Stderr), told: time.Now()}
}

func (p *progress) tell(format string, args ...any) {
	now, every := p.clock(), elsewhere
	if p.terminal {
		every = onTerminal
	}
	if now.Sub(p.told) < every {
		return
	}
	p.told = now
	if p.terminal {
		p.shown = true
		fmt.Fprintf(p.to, "\r\x1b[K"+format, args...) // back to the left, and clear
		return
	}
	fmt.Fprintf(p.to, format+"\n", args...)
}

// end clears what was shown on a terminal.
func (p *progress) end() {
	if p.shown {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}

// created says when something was made, and by whom.
func created(at time.Time, by string) fact { return fact{"Created", moment(at) + " by " + by} }
