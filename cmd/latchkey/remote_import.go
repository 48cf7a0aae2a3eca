package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"latchkey.dev/latchkey/client"
)

func keysImportCommand(r *remote) *cobra.Command {
	m := &importing{r: r}
	var format string
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Take over keys that were made elsewhere, without their holders noticing",
		Long: `Import takes over keys of another system by the SHA-256 of each. The file is CSV
with a line of column names, or JSON lines; - is standard input.

  digest      SHA-256 of the whole key, 64 hexadecimal digits; or else
  key         the key itself: it is digested here and sent nowhere
  name        what the key is for (required)
  public      what may be shown of the key, such as its first characters
  project_id, reach, owner_id, partner, role
              as the flags of "latchkey keys create"
  scopes, addresses
              in CSV with spaces in between, in JSON a list
  resources   in CSV "plant=17 plant=18"; in JSON restrictions, as the API has them
  expires_at  2026-12-31T23:59:59Z; in CSV also 2026-12-31
  metadata    a JSON object

The whole file is checked first. Then it is sent in batches of up to 1,000 keys,
each of which is imported as a whole or not at all. If that is interrupted, run
the same command again: for 24 hours the server knows the batches that it has.
After that, --skip-existing leaves out the keys that are there.`,
		Example: `  latchkey keys import legacy-keys.csv

  # legacy-keys.csv
  digest,public,name,partner,scopes
  9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08,old_4f…,Acme,acme,orders:read orders:write`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if format != "" && format != formatCSV && format != formatJSONL {
				return usagef("--format is csv or jsonl")
			}
			text, err := r.readAll(args[0])
			if err != nil {
				return err
			}
			if format == "" {
				format = guessFormat(text)
			}
			if m.total, err = checkRows(readRows(text, format)); err != nil {
				return err
			}
			if m.api, err = r.connect(c.Context()); err != nil {
				return err
			}
			return m.run(c.Context(), readRows(text, format))
		},
	}
	f := c.Flags()
	f.StringVar(&m.scheme, "scheme", "sha256", "how the digests were made; there is one `scheme`: sha256")
	f.StringVar(&format, "format", "", "`format` of the file, csv or jsonl (default what it looks like)")
	f.BoolVar(&m.skipExisting, "skip-existing", false, "leave out the keys that are there already, instead of stopping at them")
	return c
}

// maxFile bounds an import file, in bytes: it is held in memory.
const maxFile = 1 << 30

func (r *remote) readAll(name string) ([]byte, error) {
	from := r.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, &failure{What: fmt.Sprintf("The file cannot be read: %v.", err), Do: "Name a readable file, or - for standard input.", Cause: err}
		}
		defer func() { _ = f.Close() }() // it was only read
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, maxFile+1))
	if err != nil {
		return nil, &failure{What: fmt.Sprintf("The file cannot be read: %v.", err), Do: "Name a readable file, or - for standard input.", Cause: err}
	}
	if len(text) > maxFile {
		return nil, &failure{What: fmt.Sprintf("The file is longer than %d bytes.", maxFile), Do: "Take it apart and import the parts one after the other."}
	}
	return text, nil
}

// mostTold is how many of the things that are wrong with a file are told at once.
const mostTold = 10

// checkRows counts the rows, and tells what is wrong with them before anything
// is sent.
func checkRows(rows iter.Seq2[row, error]) (n int, err error) {
	var wrong []string
	lines := map[string]int{} // on which a digest was
	for r, err := range rows {
		n++
		if err == nil {
			if before, twice := lines[r.key.Digest]; twice {
				err = fmt.Errorf("line %d: the same key as on line %d", r.line, before)
			}
			lines[r.key.Digest] = r.line
		}
		if err != nil {
			wrong = append(wrong, err.Error())
		}
		if len(wrong) == mostTold {
			wrong = append(wrong, "and perhaps more")
			break
		}
	}
	switch {
	case wrong != nil:
		return 0, &failure{What: "The file cannot be imported:\n" + strings.Join(wrong, "\n"), Do: "Nothing was sent. Mend it and run the command again; --help tells about the columns."}
	case n == 0:
		return 0, &failure{What: "There are no keys in the file.", Do: "--help tells what it should look like."}
	}
	return n, nil
}

// importing is an import on its way.
type importing struct {
	r            *remote
	api          *client.Client
	scheme       string
	skipExisting bool

	total, done int
	skipped     int // of done, since they are there already
	last        int // line up to which all are done
	document    document
	answer      client.IssuedKeys // the newest
}

func (m *importing) run(ctx context.Context, rows iter.Seq2[row, error]) error {
	m.document = document{to: m.r.Stdout, member: "results"}
	p := m.r.progress()
	defer p.end()
	for batch := range batches(rows) {
		if err := m.send(ctx, batch); err != nil {
			return m.stopped(err)
		}
		p.tell("%d of %d keys imported", m.done, m.total)
	}
	p.end()
	if m.r.JSON {
		others := map[string]any{}
		if m.answer.Usable != "" {
			others = map[string]any{"usable": m.answer.Usable, "position": m.answer.Position}
		}
		return m.document.end(others)
	}
	m.r.noteEffect(m.answer.Effect())
	what := fmt.Sprintf("Imported %d keys", m.done-m.skipped)
	if m.skipped > 0 {
		what += fmt.Sprintf("; %d were there already", m.skipped)
	}
	_, err := fmt.Fprintln(m.r.Stdout, what)
	return err
}

// The bounds of a batch: the server's, less what surrounds the items.
const (
	maxBatchKeys  = 1_000
	maxBatchBytes = 1<<20 - 1<<10
)

// batches takes rows together, the same ones each time.
func batches(rows iter.Seq2[row, error]) iter.Seq[[]row] {
	return func(yield func([]row) bool) {
		var batch []row
		size := 0
		for r, err := range rows {
			if err != nil {
				panic(err) // checkRows read the same text
			}
			n := len(encode(r.key)) + 1
			if len(batch) > 0 && (len(batch) == maxBatchKeys || size+n > maxBatchBytes) {
				if !yield(batch) {
					return
				}
				batch, size = nil, 0
			}
			batch, size = append(batch, r), size+n
		}
		if len(batch) > 0 {
			yield(batch)
		}
	}
}

func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // texts, lists of them and what was JSON before
	}
	return text
}

// send imports a batch.
func (m *importing) send(ctx context.Context, batch []row) error {
	var keys []client.ImportedKey
	for _, r := range batch {
		keys = append(keys, r.key)
	}
	a, err := m.api.Keys.Import(ctx, m.scheme, keys, batchName(keys))
	if there := existing(batch, err); m.skipExisting && len(there) > 0 {
		return m.sendRest(ctx, batch, there)
	}
	if err != nil {
		return m.located(batch, err)
	}
	if m.r.JSON {
		if err := m.document.add(a.Raw); err != nil {
			return err
		}
	}
	m.answer = a.Value
	m.done += len(batch)
	m.last = max(m.last, batch[len(batch)-1].line)
	return nil
}

// sendRest imports a batch without the keys that are there already. The server
// names a hundred of them at a time, so there may be more in the rest.
func (m *importing) sendRest(ctx context.Context, batch []row, there map[int]bool) error {
	var rest []row
	for _, r := range batch {
		if !there[r.line] {
			rest = append(rest, r)
		}
	}
	m.done += len(there)
	m.skipped += len(there)
	m.last = max(m.last, batch[len(batch)-1].line)
	if len(rest) == 0 {
		return nil
	}
	return m.send(ctx, rest)
}

// batchName is the Idempotency-Key of a batch. It depends on nothing else of the
// file, so that a mistake further down can be mended between two runs. No two
// batches of a file are the same, for no key is in it twice.
func batchName(keys []client.ImportedKey) string {
	sum := sha256.Sum256(encode(keys))
	return "latchkey-import-" + hex.EncodeToString(sum[:])
}

// existing are the lines of keys that are there already, if that is why a batch
// was refused.
func existing(batch []row, err error) map[int]bool {
	e, ok := errors.AsType[*client.Error](err)
	if !ok || e.Code != client.CodeConflict {
		return nil
	}
	lines := map[int]bool{}
	for _, field := range e.Fields {
		if r, member, ok := itemOf(batch, field.Pointer); ok && member == "digest" {
			lines[r.line] = true
		}
	}
	return lines
}

// itemOf finds the row of a pointer into a batch.
func itemOf(batch []row, pointer string) (r row, member string, ok bool) {
	rest, ok := strings.CutPrefix(pointer, "/items/")
	index, member, _ := strings.Cut(rest, "/")
	i, err := strconv.Atoi(index)
	if !ok || err != nil || i < 0 || i >= len(batch) {
		return row{}, "", false
	}
	return batch[i], member, true
}

// located tells a refusal by the lines of the file.
func (m *importing) located(batch []row, err error) error {
	e, ok := errors.AsType[*client.Error](err)
	if !ok {
		return m.r.refused(err)
	}
	told := *e
	told.Detail = fmt.Sprintf("lines %d to %d: %s", batch[0].line, batch[len(batch)-1].line, e.Detail)
	told.Fields = nil
	for _, field := range e.Fields {
		if r, member, ok := itemOf(batch, field.Pointer); ok {
			field.Pointer = fmt.Sprintf("line %d: %s", r.line, member)
		}
		told.Fields = append(told.Fields, field)
	}
	if more := len(told.Fields) - mostTold; more > 0 {
		told.Fields = append(told.Fields[:mostTold], client.FieldError{Pointer: "and", Detail: strconv.Itoa(more) + " more."})
	}
	refusal := m.r.refusal(&told)
	if len(existing(batch, err)) > 0 {
		refusal.Do = "Leave out the keys that are there already with --skip-existing."
	}
	return refusal
}

// stopped says how far an import came.
func (m *importing) stopped(err error) error {
	if m.done == 0 {
		return err
	}
	m.r.note("%d of %d keys are imported, up to line %d. Run the command again to go on: those are not imported twice.", m.done, m.total, m.last)
	return err
}
