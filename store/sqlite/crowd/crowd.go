// Package crowd writes millions of keys into an embedded store that nobody has
// open, faster than they could be made one by one, so that it can be measured how
// the program fares with them. The store is good for that and for nothing else: it
// is written without syncs, without an event for each key, and lists would miss
// their indexes.
package crowd

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"strings"

	_ "modernc.org/sqlite" // the driver

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// Shown is a secret among the crowd that somebody knows.
type Shown struct {
	KID    latchkey.KID
	Digest [32]byte
}

// perEvent is how many keys stand beside one event, as those of an import do.
const perEvent = 1000

// Write copies one key of the store so many times, each with its own id and secret.
// Those that are shown are spread evenly among them; of the others nobody knows the
// secret.
func Write(ctx context.Context, path string, model latchkey.ID, keys int64, shown []Shown, progress func(done int64)) error {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?_pragma=journal_mode(OFF)&_pragma=synchronous(OFF)&_pragma=cache_size(-262144)&_pragma=temp_store(MEMORY)")
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // what was committed is there
	c, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // the same
	w := &writer{Conn: c, keys: keys, every: max(1, keys/max(1, int64(len(shown))))}
	if err := w.prepare(ctx, model, shown); err != nil {
		return err
	}
	const batch = 200_000
	for from := int64(0); from < keys; from += batch {
		if err := w.write(ctx, from, min(from+batch, keys)); err != nil {
			return err
		}
		progress(min(from+batch, keys))
	}
	return w.finish(ctx)
}

type writer struct {
	*sql.Conn

	keys, every   int64
	head          int64 // position of the last event before
	insertKeys    string
	insertSecrets string
}

func (w *writer) prepare(ctx context.Context, model latchkey.ID, shown []Shown) error {
	err := w.all(ctx, `CREATE TEMP TABLE shown (i INTEGER PRIMARY KEY, kid TEXT, digest BLOB)`,
		`CREATE TEMP TABLE model AS SELECT ordinal, id FROM keys WHERE id = `+fmt.Sprintf("x'%x'", model[:]))
	if err != nil {
		return err
	}
	for i, s := range shown {
		if _, err := w.ExecContext(ctx, `INSERT INTO temp.shown VALUES (?, ?, ?)`, int64(i)*w.every, string(s.KID), s.Digest[:]); err != nil {
			return err
		}
	}
	if err := w.QueryRowContext(ctx, `SELECT max(position) FROM events`).Scan(&w.head); err != nil {
		return err
	}
	if err := w.dropIndexes(ctx); err != nil {
		return err
	}
	ordinal := fmt.Sprintf("((%d + n.i / %d) << %d) + n.i %% %d", w.head+1, perEvent, store.OrdinalShift, perEvent)
	w.insertKeys, err = w.insert(ctx, "keys", "m", map[string]string{"ordinal": ordinal, "id": "unhex(printf('00000001%016x', n.i))"})
	if err != nil {
		return err
	}
	w.insertKeys += ` FROM n CROSS JOIN keys m WHERE m.id = (SELECT id FROM temp.model)`
	w.insertSecrets, err = w.insert(ctx, "secrets", "m", map[string]string{
		"key": ordinal, "kid": "ifnull(s.kid, hex(randomblob(8)))", "digest": "ifnull(s.digest, randomblob(32))",
	})
	w.insertSecrets += ` FROM n CROSS JOIN secrets m LEFT JOIN temp.shown s ON s.i = n.i WHERE m.key = (SELECT ordinal FROM temp.model)`
	return err
}

// insert is the statement that copies a row, for each i from ?1 to below ?2, but
// for some of its columns.
func (w *writer) insert(ctx context.Context, table, from string, other map[string]string) (string, error) {
	rows, err := w.QueryContext(ctx, `SELECT name FROM pragma_table_info(?)`, table)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var names, values []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return "", err
		}
		value := other[name]
		if value == "" {
			value = from + "." + name
		}
		names, values = append(names, name), append(values, value)
	}
	return `WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2) INSERT INTO ` + table +
		` (` + strings.Join(names, ", ") + `) SELECT ` + strings.Join(values, ", "), rows.Err()
}

// dropIndexes drops those of lists; a secret is still found by its kid.
func (w *writer) dropIndexes(ctx context.Context) error {
	rows, err := w.QueryContext(ctx, `SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ('keys', 'secrets')`)
	if err != nil {
		return err
	}
	defer rows.Close()
	var drops []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		drops = append(drops, `DROP INDEX "`+name+`"`)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return w.all(ctx, drops...)
}

func (w *writer) write(ctx context.Context, from, to int64) error {
	for _, statement := range []string{w.insertKeys, w.insertSecrets} {
		if _, err := w.ExecContext(ctx, statement, from, to); err != nil {
			return err
		}
	}
	return nil
}

// finish writes the events beside which the keys stand, and counts the keys.
func (w *writer) finish(ctx context.Context) error {
	events, err := w.insert(ctx, "events", "m", map[string]string{"position": "n.i", "id": "randomblob(12)"})
	if err != nil {
		return err
	}
	last := w.head + (w.keys+perEvent-1)/perEvent
	if _, err := w.ExecContext(ctx, events+fmt.Sprintf(` FROM n CROSS JOIN events m WHERE m.position = %d`, w.head), w.head+1, last+1); err != nil {
		return err
	}
	return w.all(ctx, `CREATE UNIQUE INDEX secrets_kid ON secrets (kid)`,
		`UPDATE key_names_end SET ordinal = (SELECT max(ordinal) FROM keys)`,
		fmt.Sprintf(`UPDATE organizations SET keys = keys + %d WHERE id = (SELECT organization FROM keys WHERE id = (SELECT id FROM temp.model))`, w.keys))
}

func (w *writer) all(ctx context.Context, statements ...string) error {
	for _, statement := range statements {
		if _, err := w.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
