package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// versionTable is where goose writes down what was applied. Its name is ours, so
// that the versions of another program in the same database are not taken for it.
const versionTable = "latchkey_migrations"

// Migrations is how a store's schema stands to the program's.
type Migrations struct {
	Current int64    // the store's version, 0 for none
	Known   int64    // the program's latest version
	Pending []string // names of those that Migrate would apply, in order
}

// MigrationStatus tells how the store in the database stands, changing nothing.
func MigrationStatus(ctx context.Context, url string) (Migrations, error) {
	t, err := parse(url)
	if err != nil {
		return Migrations{}, err
	}
	conn, err := connect(ctx, t.pool.ConnConfig)
	if err != nil {
		return Migrations{}, opening(err)
	}
	defer func() { _ = conn.Close(ctx) }() // it was only read
	current, err := version(ctx, conn)
	if err != nil {
		return Migrations{}, opening(err)
	}
	return pending(current)
}

// Migrate brings the store in the database to the program's schema, making it if
// there is none, and returns the names of what it applied. It fails like Open.
func Migrate(ctx context.Context, url string, log *slog.Logger) ([]string, error) {
	t, err := parse(url)
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	applied, err := t.migrate(ctx, log)
	return applied, opening(err)
}

// The locks of a database: advisory ones, by number. Whoever holds writeLock is
// the one that writes; whoever holds migrateLock is the one that migrates; whoever
// holds useLock counts uses.
const (
	writeLock   int64 = 0x4c746368_00000001 // "Ltch"
	migrateLock int64 = 0x4c746368_00000002
	useLock     int64 = 0x4c746368_00000003
)

// migrate applies what is missing. Nodes that start together do it one after the
// other, and those that come later find nothing to do.
func (t *target) migrate(ctx context.Context, log *slog.Logger) (applied []string, err error) {
	config := t.single()
	delete(config.RuntimeParams, "lock_timeout") // the others wait as long as it takes
	delete(config.RuntimeParams, "idle_in_transaction_session_timeout")
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }() // which lets go of the lock
	if err := check(ctx, conn); err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, migrateLock); err != nil {
		return nil, err
	}
	current, err := version(ctx, conn)
	if err != nil {
		return nil, err
	}
	status, err := pending(current)
	switch {
	case err != nil:
		return nil, err
	case current > status.Known:
		return nil, &NewerError{Found: current, Known: status.Known}
	case len(status.Pending) == 0:
		return nil, nil
	}
	if err := needTrigrams(ctx, conn); err != nil {
		return nil, err
	}
	if err := up(ctx, config, log); err != nil {
		return nil, err
	}
	log.InfoContext(ctx, "store migrated", "database", config.Database, "from", current, "to", status.Known)
	return status.Pending, nil
}

func up(ctx context.Context, config *pgx.ConnConfig, log *slog.Logger) (err error) {
	db := stdlib.OpenDB(*config)
	defer func() { err = errors.Join(err, db.Close()) }()
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return err
	}
	provider, err := newProvider(db, files, log)
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == duplicateTable {
		return &OpenError{
			What:  fmt.Sprintf("The database %s holds tables of another program: %v.", config.Database, e),
			Do:    "Give latchkey a database of its own: createdb latchkey",
			Cause: err,
		}
	}
	if err != nil {
		return fmt.Errorf("migrating the store: %w", err)
	}
	return nil
}

func newProvider(db *sql.DB, files fs.FS, log *slog.Logger) (*goose.Provider, error) {
	return goose.NewProvider(goose.DialectPostgres, db, files, goose.WithDisableGlobalRegistry(true), goose.WithSlog(log),
		goose.WithTableName(versionTable))
}

// needTrigrams sees that the index of names can be made. Since version 13 the
// owner of a database may make this extension.
func needTrigrams(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `CREATE EXTENSION IF NOT EXISTS pg_trgm`)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && !fatal(e) {
		return &OpenError{
			What:  fmt.Sprintf("The database needs the extension pg_trgm, which finds keys by a part of their name, and it cannot be made: %v.", e),
			Do:    fmt.Sprintf("Have an administrator run: psql -d %s -c \"CREATE EXTENSION pg_trgm\" (it is in PostgreSQL's contrib package).", conn.Config().Database),
			Cause: err,
		}
	}
	return err
}

// version reads the schema's version, 0 for a database without a store.
func version(ctx context.Context, conn *pgx.Conn) (version int64, err error) {
	var there bool
	if err := conn.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, versionTable).Scan(&there); err != nil || !there {
		return 0, err
	}
	err = conn.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM `+versionTable+` WHERE is_applied`).Scan(&version)
	return version, err
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
