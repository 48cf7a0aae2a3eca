package bench

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"latchkey.dev/latchkey/store/postgres/postgrestest"
)

// BenchmarkCreateOnPostgres is BenchmarkCreate on a database, whose server is
// the same for both sides. The floor sends sixteen keys with one message.
func BenchmarkCreateOnPostgres(b *testing.B) {
	at := postgrestest.Database(b)
	s := start(b, "--database-url", at)
	s.unlimited()
	round := s.creators()
	round(200) // warm
	compareOn(b, at, "create on PostgreSQL, 16 clients", perRound, (*bare).insert, func() { round(perRound) })
}

// BenchmarkImportOnPostgres is BenchmarkImport on a database, against COPY.
func BenchmarkImportOnPostgres(b *testing.B) {
	at := postgrestest.Database(b)
	s := start(b, "--database-url", at)
	s.unlimited()
	c := s.connect("/v1/keys/import", 1)[0]
	var n int
	compareOn(b, at, "import on PostgreSQL, one client", imports*1_000, (*bare).copy, func() {
		for range imports {
			c.load(&n)
		}
	})
}

// BenchmarkPagesOnPostgres is BenchmarkPages on a database.
func BenchmarkPagesOnPostgres(b *testing.B) {
	pages(b, start(b, "--database-url", postgrestest.Database(b)), "page 10,000 of a million keys on PostgreSQL")
}

// bare is a database with the program's schema and the rows that the program
// wrote in the round before.
type bare struct {
	b             *testing.B
	ours, conn    *pgx.Conn
	keys, secrets tableRows
	events        tableRows
}

type tableRows struct {
	table   string
	columns []string
	rows    [][]any
}

// compareOn runs ours and the floor in turns.
func compareOn(b *testing.B, at, what string, keys int, floor func(*bare), ours func()) {
	b.Helper()
	f := &bare{b: b, ours: dial(b, at)}
	var mine, least []float64
	for range rounds {
		from := f.head()
		began := time.Now()
		ours()
		mine = append(mine, float64(keys)/time.Since(began).Seconds())
		f.fresh(from)
		began = time.Now()
		floor(f)
		least = append(least, float64(keys)/time.Since(began).Seconds())
	}
	ratio := median(mine) / median(least)
	report(what, fmt.Sprintf("%.0f keys/s", median(mine)), fmt.Sprintf("%.0f keys/s", median(least)), fmt.Sprintf("%.2f ×", ratio), "≥ 0.5 ×", ratio >= 0.5)
}

func dial(b *testing.B, at string) *pgx.Conn {
	b.Helper()
	conn, err := pgx.Connect(context.Background(), at)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func (f *bare) must(err error) {
	f.b.Helper()
	if err != nil {
		f.b.Fatal(err)
	}
}

func (f *bare) head() (head int64) {
	f.must(f.ours.QueryRow(context.Background(), `SELECT coalesce(max(position), 0) FROM events`).Scan(&head))
	return head
}

// fresh makes an empty store and reads what is to be written to it.
func (f *bare) fresh(from int64) {
	at := postgrestest.Database(f.b)
	if out, err := exec.Command(program, "migrate", "up", "--database-url", at).CombinedOutput(); err != nil {
		f.b.Fatalf("%v\n%s", err, out)
	}
	f.conn = dial(f.b, at)
	policies := f.read("policies", "true", 0)
	f.copyRows(policies, policies.rows)
	f.keys = f.read("keys", "ordinal >= ($1::bigint + 1) << 16 ORDER BY ordinal", from)
	f.secrets = f.read("secrets", "key >= ($1::bigint + 1) << 16 ORDER BY key, place", from)
	f.events = f.read("events", "position > $1 ORDER BY position", from)
	if len(f.keys.rows) == 0 || len(f.keys.rows) != len(f.secrets.rows) {
		f.b.Fatalf("%d keys with %d secrets", len(f.keys.rows), len(f.secrets.rows))
	}
}

func (f *bare) read(table, where string, from int64) tableRows {
	ctx := context.Background()
	t := tableRows{table: table}
	names, err := f.ours.Query(ctx, `SELECT column_name FROM information_schema.columns WHERE table_name = $1 AND is_generated = 'NEVER' ORDER BY ordinal_position`, table)
	f.must(err)
	t.columns, err = pgx.CollectRows(names, pgx.RowTo[string])
	f.must(err)
	args := []any{from}
	if where == "true" {
		args = nil
	}
	rows, err := f.ours.Query(ctx, `SELECT `+strings.Join(t.columns, ", ")+` FROM `+table+` WHERE `+where, args...)
	f.must(err)
	defer rows.Close()
	for rows.Next() {
		values, err := rows.Values()
		f.must(err)
		t.rows = append(t.rows, values)
	}
	f.must(rows.Err())
	return t
}

// insert writes the rows one by one, sixteen keys with one message and one COMMIT.
func (f *bare) insert() {
	ctx := context.Background()
	for i := 0; i < len(f.keys.rows); i += inGroup {
		var group pgx.Batch
		group.Queue(`BEGIN`)
		for _, t := range []tableRows{f.keys, f.secrets, f.events} {
			text := t.statement()
			for _, row := range t.rows[i:min(i+inGroup, len(t.rows))] {
				group.Queue(text, row...)
			}
		}
		group.Queue(`COMMIT`)
		f.must(f.conn.SendBatch(ctx, &group).Close())
	}
}

func (t tableRows) statement() string {
	places := make([]string, len(t.columns))
	for i := range places {
		places[i] = "$" + strconv.Itoa(i+1)
	}
	return `INSERT INTO ` + t.table + ` (` + strings.Join(t.columns, ", ") + `) VALUES (` + strings.Join(places, ", ") + `)`
}

// copy writes a thousand keys with each transaction, by COPY.
func (f *bare) copy() {
	ctx := context.Background()
	chunks := slices.Collect(slices.Chunk(f.keys.rows, bareKeys))
	for i, keys := range chunks {
		tx, err := f.conn.Begin(ctx)
		f.must(err)
		f.copyRows(f.keys, keys)
		f.copyRows(f.secrets, f.secrets.rows[i*bareKeys:min((i+1)*bareKeys, len(f.secrets.rows))])
		f.copyRows(f.events, f.events.rows[i*len(f.events.rows)/len(chunks):(i+1)*len(f.events.rows)/len(chunks)])
		f.must(tx.Commit(ctx))
	}
}

func (f *bare) copyRows(t tableRows, rows [][]any) {
	_, err := f.conn.CopyFrom(context.Background(), pgx.Identifier{t.table}, t.columns, pgx.CopyFromRows(rows))
	f.must(err)
}
