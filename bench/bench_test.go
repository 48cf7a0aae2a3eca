package bench

import (
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite"
)

const (
	rounds    = 5
	clients   = 16
	perRound  = 4_000 // creations in a round
	imports   = 20    // import calls in a round, of a thousand keys each
	inGroup   = 16    // rows of the floor in one transaction
	inIndex   = 512   // names that enter their index together
	bareKeys  = 1_000 // rows of the import's floor in one transaction
	manyKeys  = 1_000_000
	pageSize  = 100
	pageTries = 300
	fillers   = 2 // clients that import what is then read
)

// A server that nothing is asked of.
func BenchmarkIdleMemory(b *testing.B) {
	s := start(b)
	s.call(http.MethodGet, "/v1/keys", nil)
	time.Sleep(3 * time.Second)
	rss := s.memory()
	report("resident memory of an idle server", fmt.Sprintf("%.1f MB", float64(rss)/1e6), "", "", "≤ 60 MB", rss <= 60e6)
}

// A decision on a loaded entry: the benchmark of the domain, which this one runs.
func BenchmarkDecide(b *testing.B) {
	out, err := exec.CommandContext(b.Context(), "go", "test", "-run", "^$", "-bench", "Decide", "-benchmem", "latchkey.dev/latchkey").CombinedOutput()
	if err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	lines := regexp.MustCompile(`(?m)^BenchmarkDecide\S*\s+\d+\s+([\d.]+) ns/op\s+(\d+) B/op\s+(\d+) allocs/op`).FindAllSubmatch(out, -1)
	if len(lines) == 0 {
		b.Fatalf("no decision was measured: %s", out)
	}
	for _, l := range lines {
		report("a decision on a loaded entry", string(l[1])+" ns", "", string(l[3])+" allocations", "0 allocs", string(l[3]) == "0")
	}
}

// Durable creations over HTTP by 16 clients, against the same rows written by
// one writer in groups of 16 with the same fsync.
func BenchmarkCreate(b *testing.B) {
	s := start(b)
	s.unlimited()
	round := s.creators()
	round(200) // warm
	compare(b, s, "create over HTTP, 16 clients", "≥ 0.5 ×", perRound, inGroup, func() { round(perRound) })
}

// creators are the clients that create so many keys together.
func (s *server) creators() (round func(keys int)) {
	var n atomic.Int64
	line := s.connect("/v1/keys", clients)
	create := func(c *connection) {
		c.text = append(strconv.AppendInt(append(c.text[:0], `{"name":"bench `...), n.Add(1), 10), `","scopes":["docs:read"]}`...)
		c.post(http.StatusCreated)
	}
	return func(keys int) {
		var group sync.WaitGroup
		var left atomic.Int64
		left.Store(int64(keys))
		for _, c := range line {
			group.Go(func() {
				for left.Add(-1) >= 0 {
					create(c)
				}
			})
		}
		group.Wait()
	}
}

// Import over HTTP, against a bare load of the same rows in groups.
func BenchmarkImport(b *testing.B) {
	s := start(b)
	s.unlimited()
	c := s.connect("/v1/keys/import", 1)[0]
	var n int
	compare(b, s, "import over HTTP, one client", "≥ 0.5 ×", imports*1_000, bareKeys, func() {
		for range imports {
			c.load(&n)
		}
	})
}

// load imports a thousand keys.
func (c *connection) load(n *int) {
	c.text = append(c.text[:0], `{"scheme":"sha256","items":[`...)
	for i := range 1_000 {
		*n++
		sum := sha256.Sum256([]byte("foreign key " + strconv.Itoa(*n)))
		if i > 0 {
			c.text = append(c.text, ',')
		}
		c.text = fmt.Appendf(c.text, `{"name":"imported %d","digest":"%x","scopes":["docs:read"]}`, *n, sum)
	}
	c.text = append(c.text, "]}"...)
	c.post(http.StatusCreated)
}

// compare runs ours and the floor in turns. The floor writes the very rows that
// ours wrote in the round before, into an empty store with the same schema.
func compare(b *testing.B, s *server, what, bar string, keys, group int, ours func()) {
	b.Helper()
	var mine, bare []float64
	for range rounds {
		from := head(b, s.dir)
		began := time.Now()
		ours()
		mine = append(mine, float64(keys)/time.Since(began).Seconds())
		rows := written(b, s.dir, from)
		bare = append(bare, float64(keys)/floor(b, rows, group).Seconds())
	}
	ratio := median(mine) / median(bare)
	report(what, fmt.Sprintf("%.0f keys/s", median(mine)), fmt.Sprintf("%.0f keys/s", median(bare)), fmt.Sprintf("%.2f ×", ratio), bar, ratio >= 0.5)
}

// keyRows are the tables that a new key writes to, in an order that foreign
// keys allow, with the column that tells what is new.
var keyRows = []struct{ table, where string }{
	{"policies", "id > 1 ORDER BY id"},
	{"keys", "ordinal > (? << 16) ORDER BY ordinal"},
	{"secrets", "key > (? << 16) ORDER BY key"},
	{"events", "position > ? ORDER BY position"},
}

type rowsOf struct {
	table   string
	columns string // those that are written; others are computed
	rows    [][]any
}

func database(b *testing.B, dir string) *sql.DB {
	b.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.db"))
	if err != nil || len(files) != 1 {
		b.Fatalf("store in %s: %v %v", dir, files, err)
	}
	db, err := sql.Open("sqlite", "file:"+files[0]+"?"+url.Values{"_pragma": {
		"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "mmap_size(67108864)", "busy_timeout(10000)",
		"wal_autocheckpoint(4000)", "cache_size(-8192)", // as the program has it
	}}.Encode())
	if err != nil {
		b.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	return db
}

func head(b *testing.B, dir string) int64 {
	db := database(b, dir)
	defer db.Close()
	var position int64
	if err := db.QueryRow(`SELECT max(position) FROM events`).Scan(&position); err != nil {
		b.Fatal(err)
	}
	return position
}

// written reads what was written after a position.
func written(b *testing.B, dir string, from int64) []rowsOf {
	db := database(b, dir)
	defer db.Close()
	var all []rowsOf
	for _, t := range keyRows {
		all = append(all, read(b, db, t.table, t.where, from))
	}
	return append(all, searched(b, db, from))
}

// read reads the rows of one table.
func read(b *testing.B, db *sql.DB, table, where string, from int64) rowsOf {
	var args []any
	if strings.Contains(where, "?") {
		args = append(args, from)
	}
	var names string
	var count int
	err := db.QueryRow(`SELECT group_concat(name, ', '), count(*) FROM pragma_table_info('`+table+`')`).Scan(&names, &count)
	if err != nil {
		b.Fatal(err)
	}
	rows, err := db.Query(`SELECT `+names+` FROM `+table+` WHERE `+where, args...)
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	one := rowsOf{table: table, columns: names}
	for rows.Next() {
		values, into := make([]any, count), make([]any, count)
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			b.Fatal(err)
		}
		one.rows = append(one.rows, values)
	}
	if err := rows.Err(); err != nil {
		b.Fatal(err)
	}
	return one
}

// searched reads the rows of the index of names, which keeps terms and not
// texts: each row anew from its terms.
func searched(b *testing.B, db *sql.DB, from int64) rowsOf {
	if _, err := db.Exec(`CREATE VIRTUAL TABLE temp.terms USING fts5vocab (main, key_names, instance)`); err != nil {
		b.Fatal(err)
	}
	rows, err := db.Query(`SELECT doc, group_concat(term, ' ') FROM temp.terms WHERE doc > (? << 16) GROUP BY doc ORDER BY doc`, from)
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	names := rowsOf{table: "key_names", columns: "rowid, grams"}
	for rows.Next() {
		var key int64
		var grams string
		if err := rows.Scan(&key, &grams); err != nil {
			b.Fatal(err)
		}
		names.rows = append(names.rows, []any{key, grams})
	}
	if err := rows.Err(); err != nil {
		b.Fatal(err)
	}
	return names
}

// floor writes rows into an empty store: one connection, prepared statements,
// transactions of group keys, the same fsync.
func floor(b *testing.B, all []rowsOf, group int) time.Duration {
	dir := filepath.Join(b.TempDir(), "floor")
	run(b, "init", "--data", dir, "--json")
	db := database(b, dir)
	defer db.Close()
	var insert []*sql.Stmt
	keys := 0
	for _, t := range all {
		if len(t.rows) == 0 {
			insert = append(insert, nil)
			continue
		}
		st, err := db.Prepare(`INSERT OR IGNORE INTO ` + t.table + ` (` + t.columns + `) VALUES (` + strings.TrimSuffix(strings.Repeat("?,", len(t.rows[0])), ",") + `)`)
		if err != nil {
			b.Fatal(err)
		}
		defer st.Close()
		insert = append(insert, st)
		if t.table == "keys" {
			keys = len(t.rows)
		}
	}
	var count []*sql.Stmt
	for _, text := range []string{`UPDATE organizations SET keys = keys + ?`, `UPDATE tallies SET n = n + ?`} {
		st, err := db.Prepare(text)
		if err != nil {
			b.Fatal(err)
		}
		defer st.Close()
		count = append(count, st)
	}
	began := time.Now()
	indexed := 0
	for at := 0; at < keys; at += group {
		tx, err := db.Begin()
		if err != nil {
			b.Fatal(err)
		}
		for i, t := range all {
			// Each transaction takes its share of every table.
			lo, hi := at*len(t.rows)/keys, min(at+group, keys)*len(t.rows)/keys
			switch t.table {
			case "policies":
				if lo, hi = 0, 0; at == 0 {
					hi = len(t.rows)
				}
			case "key_names": // enters the index in batches, as the driver does it
				if lo = indexed; hi-lo < inIndex {
					hi = lo
				}
				indexed = hi
			}
			for _, values := range t.rows[lo:hi] {
				if _, err := tx.Stmt(insert[i]).Exec(values...); err != nil { //nolint:sqlclosecheck // the transaction closes it
					b.Fatal(t.table, err)
				}
			}
		}
		for _, counts := range count { // rows that were there before
			if _, err := tx.Stmt(counts).Exec(min(at+group, keys) - at); err != nil { //nolint:sqlclosecheck // the transaction closes it
				b.Fatal(err)
			}
		}
		if err := tx.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(began)
}

// The last page of a million keys against the first.
func BenchmarkPages(b *testing.B) { pages(b, start(b), "page 10,000 of a million keys") }

// pages fills a server with keys and goes through all of them.
func pages(b *testing.B, s *server, what string) {
	b.Helper()
	s.unlimited()
	s.fill(manyKeys)
	first := "/v1/keys?limit=" + strconv.Itoa(pageSize)
	last := s.through(first, manyKeys/pageSize)
	var near, far []float64
	timed := func(path string) float64 {
		began := time.Now()
		s.call(http.MethodGet, path, nil)
		return float64(time.Since(began).Microseconds())
	}
	for range pageTries {
		near, far = append(near, timed(first)), append(far, timed(last))
	}
	ratio := median(far) / median(near)
	report(what, fmt.Sprintf("%.0f µs", median(far)), fmt.Sprintf("page 1: %.0f µs", median(near)), fmt.Sprintf("%.2f ×", ratio), "≤ 1.5 ×", ratio <= 1.5)
}

// fill imports keys, by two clients, so that the store writes while the next are read.
func (s *server) fill(keys int) {
	var group sync.WaitGroup
	began := time.Now()
	var done atomic.Int64
	for i, c := range s.connect("/v1/keys/import", fillers) {
		group.Go(func() {
			n := i * keys / fillers
			for until := (i + 1) * keys / fillers; n < until; {
				c.load(&n)
				if all := done.Add(1_000); all%100_000 == 0 {
					fmt.Fprintf(os.Stderr, "%d keys after %v\n", all, time.Since(began).Round(time.Second))
				}
			}
		})
	}
	group.Wait()
}

// through follows a list from its first page to that one, and returns its path.
func (s *server) through(first string, page int) string {
	path := first
	for range page - 1 {
		var p struct {
			NextCursor string `json:"next_cursor"`
		}
		if err := json.Unmarshal(s.call(http.MethodGet, path, nil), &p); err != nil || p.NextCursor == "" {
			s.tb.Fatalf("%s: no page behind it: %v", path, err)
		}
		path = first + "&cursor=" + url.QueryEscape(p.NextCursor)
	}
	return path
}
