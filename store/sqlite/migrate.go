package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// applicationID marks our files in SQLite's header; the first migration sets it.
const applicationID = 1282696040

// Migrations is how a store's schema stands to the program's.
type Migrations struct {
	Current int64    // the store's version, 0 for none
	Known   int64    // the program's latest version
	Pending []string // names of those that Migrate would apply, in order
}

// MigrationStatus tells how the store in the folder stands, without changing or
// locking it; a folder or store that does not exist is at version 0.
func MigrationStatus(ctx context.Context, dir string) (Migrations, error) {
	path := filepath.Join(dir, FileName)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 && !hasLog(path) {
		return pending(0)
	}
	if err != nil {
		return Migrations{}, opening(path, err)
	}
	db := database(dsn(path, "mode=ro"))
	defer func() { _ = db.Close() }() // it was only read
	current, err := version(ctx, db)
	if err != nil {
		return Migrations{}, opening(path, err)
	}
	return pending(current)
}

// hasLog reports whether the store has writes that are not in its file yet.
func hasLog(path string) bool {
	info, err := os.Stat(path + "-wal")
	return err == nil && info.Size() > 0
}

// Migrate brings the store in the folder to the program's schema, making it if
// there is none, and returns the names of what it applied. It fails like Open.
func Migrate(ctx context.Context, dir string, log *slog.Logger) ([]string, error) {
	before, err := MigrationStatus(ctx, dir)
	if err != nil {
		return nil, err
	}
	s, err := Open(ctx, dir, log)
	if err != nil {
		return nil, err
	}
	return before.Pending, s.Close()
}

// migrate applies what is missing. It refuses a file that is not ours and one
// whose schema is newer than ours before it writes anything.
func migrate(ctx context.Context, path string, log *slog.Logger) (err error) {
	db := database(writerDSN(path))
	defer func() { err = errors.Join(err, db.Close()) }()
	current, err := version(ctx, db)
	if err != nil {
		return err
	}
	status, err := pending(current)
	if err != nil {
		return err
	}
	if current > status.Known {
		return &NewerError{Path: path, Found: current, Known: status.Known}
	}
	if len(status.Pending) == 0 {
		return nil
	}
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true), goose.WithSlog(log))
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrating the store: %w", err)
	}
	log.InfoContext(ctx, "store migrated", "file", path, "from", current, "to", status.Known)
	return nil
}

// version reads the schema's version, 0 for an empty file. It fails with
// errForeign for the file of another program.
func version(ctx context.Context, db *sql.DB) (int64, error) {
	var application, tables, version int64
	if err := db.QueryRowContext(ctx, `SELECT application_id, (SELECT count(*) FROM sqlite_schema) FROM pragma_application_id`).Scan(&application, &tables); err != nil {
		return 0, err
	}
	if application == 0 && tables == 0 {
		return 0, nil
	}
	var versioned bool
	if err := db.QueryRowContext(ctx, `SELECT count(*) > 0 FROM sqlite_schema WHERE name = ?`, goose.DefaultTablename).Scan(&versioned); err != nil {
		return 0, err
	}
	if !versioned {
		return 0, errForeign
	}
	if err := db.QueryRowContext(ctx, `SELECT ifnull(max(version_id), 0) FROM `+goose.DefaultTablename+` WHERE is_applied`).Scan(&version); err != nil {
		return 0, err
	}
	if application != applicationID && version > 0 {
		return 0, errForeign
	}
	return version, nil
}

// pending compares a version with the program's.
func pending(current int64) (Migrations, error) {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql") // sorted
	if err != nil {
		return Migrations{}, err
	}
	m := Migrations{Current: current}
	for _, name := range names {
		number, err := goose.NumericComponent(name)
		if err != nil {
			return Migrations{}, err
		}
		m.Known = max(m.Known, number)
		if number > current {
			m.Pending = append(m.Pending, filepath.Base(name))
		}
	}
	return m, nil
}
