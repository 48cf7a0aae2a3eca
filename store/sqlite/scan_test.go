package sqlite_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store/sqlite"
)

// What a row may not say is never guessed: a signing mode that nobody knows is not
// off, and half an id is nobody's.
func TestScanGuessesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	of := newTenant(t, s)
	must(t, s, of.create(of.key(1, nil)))
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	scan := func() error {
		head, err := s.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s.ScanKeys(context.Background(), 0, head, func(*latchkey.Key, int64) error { return nil })
	}
	if err := scan(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ table, column, value string }{
		{"keys", "signing_mode", "'later'"},
		{"keys", "reach", "'everything'"},
		{"keys", "environment", "'prod'"},
		{"keys", "organization", "x'00'"},
		{"keys", "project", "zeroblob(13)"},
		{"keys", "owner", "x'01'"},
		{"secrets", "scheme", "'md5'"},
		{"secrets", "digest", "zeroblob(31)"},
	} {
		var was any
		if err := db.QueryRowContext(t.Context(), "SELECT "+c.column+" FROM "+c.table).Scan(&was); err != nil {
			t.Fatal(err)
		}
		for _, damaged := range []bool{true, false} {
			value := c.value
			args := []any{}
			if !damaged {
				value, args = "?", []any{was}
			}
			if _, err := db.ExecContext(t.Context(), "UPDATE "+c.table+" SET "+c.column+" = "+value, args...); err != nil {
				t.Fatal(err)
			}
			if err := scan(); (err != nil) != damaged {
				t.Errorf("%s.%s, damaged: %v: the scan says %v", c.table, c.column, damaged, err)
			}
		}
	}
}
