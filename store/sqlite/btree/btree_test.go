package btree_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // the driver

	"latchkey.dev/latchkey/store/sqlite/btree"
)

// made is a file in memory with two tables of the same rows: one with rowids, the
// other without.
type made struct {
	pages   [][]byte
	with    uint32 // roots
	without uint32
	rows    []row // in order
}

type row struct {
	number int64
	text   string
	blob   []byte
	none   bool
	n      int64
}

func write(tb testing.TB, rows, pageSize, longest int) *made {
	tb.Helper()
	ctx := context.Background()
	db, err := sql.Open("sqlite", fmt.Sprintf("file:%s/test.db?_pragma=page_size(%d)", tb.TempDir(), pageSize))
	must(tb, err)
	defer db.Close()
	conn, err := db.Conn(ctx)
	must(tb, err)
	defer conn.Close()
	exec := func(text string, args ...any) {
		tb.Helper()
		_, err := conn.ExecContext(ctx, text, args...)
		must(tb, err)
	}
	exec(`CREATE TABLE yes (number INTEGER PRIMARY KEY, label TEXT, body BLOB, half INTEGER AS (n / 2), n INTEGER) STRICT`)
	exec(`CREATE TABLE no (label TEXT, number INTEGER, body BLOB, n INTEGER, PRIMARY KEY (number, label)) STRICT, WITHOUT ROWID`)
	exec(`BEGIN`)
	random := rand.New(rand.NewPCG(1, uint64(pageSize)))
	m := &made{}
	for i := range rows {
		r := row{number: int64(i)*7 - 50, text: strings.Repeat("ä", random.IntN(9)), none: random.IntN(5) == 0, n: random.Int64() >> random.IntN(64)}
		if random.IntN(3) == 0 {
			r.n = -r.n
		}
		r.blob = make([]byte, random.IntN(longest))
		for j := range r.blob {
			r.blob[j] = byte(random.Uint32())
		}
		m.rows = append(m.rows, r)
	}
	for _, i := range random.Perm(rows) {
		r := m.rows[i]
		var blob any = r.blob
		if r.none {
			blob = nil
		}
		exec(`INSERT INTO yes VALUES (?, ?, ?, ?)`, r.number, r.text, blob, r.n)
		exec(`INSERT INTO no VALUES (?, ?, ?, ?)`, r.text, r.number, blob, r.n)
	}
	exec(`COMMIT`)
	exec(`ALTER TABLE yes ADD COLUMN later TEXT NOT NULL DEFAULT ''`)
	must(tb, conn.QueryRowContext(ctx, `SELECT (SELECT rootpage FROM sqlite_schema WHERE name = 'yes'), (SELECT rootpage FROM sqlite_schema WHERE name = 'no')`).Scan(&m.with, &m.without))
	all, err := conn.QueryContext(ctx, `SELECT data FROM sqlite_dbpage ORDER BY pgno`)
	must(tb, err)
	defer all.Close()
	for all.Next() {
		var page []byte
		must(tb, all.Scan(&page))
		m.pages = append(m.pages, page)
	}
	must(tb, all.Err())
	return m
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func (m *made) read(numbers []uint32) (pages [][]byte, err error) {
	for _, n := range numbers {
		if n < 1 || int(n) > len(m.pages) {
			return pages, nil
		}
		pages = append(pages, m.pages[n-1])
	}
	return pages, nil
}

// All rows come, and those of any range, whether they are in one page or many.
func TestRows(t *testing.T) {
	for _, form := range []struct{ rows, pageSize, longest int }{{0, 4096, 1}, {1, 4096, 1}, {3000, 512, 100}, {500, 1024, 9000}, {4000, 4096, 700}, {300, 65536, 70000}} {
		t.Run(fmt.Sprint(form), func(t *testing.T) {
			m := write(t, form.rows, form.pageSize, form.longest)
			random := rand.New(rand.NewPCG(2, 2))
			edges := func() int64 { return random.Int64N(int64(form.rows)*7+200) - 100 }
			for i := range 40 {
				from, below := edges(), edges()
				if i == 0 {
					from, below = -1<<62, 1<<62
				}
				m.compare(t, m.with, [5]int{1, 2, 3, 4, 5}, from, below)
				m.compare(t, m.without, [5]int{1, 2, 3, 4, 5}, from, below)
			}
		})
	}
}

// compare reads a range and holds it against what was written. Places are those of
// the text, the blob, the number n, and two columns that are not there.
func (m *made) compare(t *testing.T, root uint32, places [5]int, from, below int64) {
	t.Helper()
	file, err := btree.Open(m.read)
	must(t, err)
	c := file.Rows(root, from, below, 10)
	i, _ := slices.BinarySearchFunc(m.rows, from, func(r row, n int64) int { return int(r.number - n) })
	for ; c.Next(); i++ {
		want := m.rows[i]
		if c.Number != want.number || c.Text(places[0]) != want.text || c.Int(places[2]) != want.n || c.Null(places[1]) != want.none ||
			!want.none && !bytes.Equal(c.Bytes(places[1]), want.blob) || c.Bytes(places[3]) != nil || c.Int(places[4]) != 0 || c.Damaged() {
			t.Fatalf("row %d of the range from %d to %d is not as it was written", c.Number, from, below)
		}
	}
	must(t, c.Err())
	if i < len(m.rows) && m.rows[i].number < below && from < below {
		t.Fatalf("the rows from %d to %d end before %d", from, below, m.rows[i].number)
	}
}

// What is asked for as something else than it is, is told.
func TestWrongKind(t *testing.T) {
	m := write(t, 1, 4096, 1)
	file, err := btree.Open(m.read)
	must(t, err)
	c := file.Rows(m.with, -1<<62, 1<<62, 10)
	if !c.Next() || c.Damaged() {
		t.Fatal("no row")
	}
	if c.Int(1); !c.Damaged() {
		t.Error("a text was read as a number")
	}
}

// FuzzRows changes some bytes of a file. Whatever it is then, it is read to an end.
func FuzzRows(f *testing.F) {
	m := write(f, 60, 512, 900)
	for n := range uint16(12) {
		f.Add([]byte{byte(n), 0, byte(n), 0xff, 3, byte(n + 1), 1, 7, 0, 9})
	}
	f.Fuzz(func(t *testing.T, changes []byte) {
		changed := &made{pages: slices.Clone(m.pages)}
		for ; len(changes) >= 5; changes = changes[5:] { // a page, a place in it, and two bytes for there
			n := int(changes[0]) % len(changed.pages)
			page := slices.Clone(changed.pages[n])
			at := int(binary.BigEndian.Uint16(changes[1:])) % (len(page) - 1)
			copy(page[at:], changes[3:5])
			changed.pages[n] = page
		}
		for _, root := range []uint32{m.with, m.without} {
			file, err := btree.Open(changed.read)
			if err == nil {
				c := file.Rows(root, 100, 300, 10)
				for c.Next() {
					c.Bytes(2)
					c.Int(3)
					c.Text(1)
				}
				err = c.Err()
			}
			if err != nil && !errors.Is(err, btree.ErrDamaged) {
				t.Fatal(err)
			}
		}
	})
}
