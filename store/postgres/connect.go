package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// oldest is the least server version, as server_version_num has it. The suite
// runs with it.
const oldest = 150000

// Times that no healthy server needs. They end what would wait forever: a server
// that went away without a word, a node that stands still with the lock in hand.
const (
	connectTimeout = 5 * time.Second
	writeTimeout   = 30 * time.Second
	lockPatience   = "20s"
	idlePatience   = "10s" // the server ends a transaction whose node does not go on
)

// target is where the store is: how a database URL was understood.
type target struct {
	pool *pgxpool.Config
}

// parse reads a database URL, or a string of keywords and values as libpq's.
func parse(url string) (*target, error) {
	pool, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, &OpenError{
			What:  "The database URL cannot be read.",
			Do:    "Write postgres://USER@HOST:5432/DATABASE, with the password in PGPASSWORD or a .pgpass file if it must not be seen.",
			Cause: err,
		}
	}
	c := pool.ConnConfig
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	// Pages are pieces of an index, and few rows of a table that was just made
	// must not teach the server otherwise. Planning and compiling a statement take
	// longer than running one of ours: plans are made once for each connection,
	// but for lists (see planned).
	settings := map[string]string{
		"application_name": "latchkey", "timezone": "UTC", "enable_seqscan": "off", "jit": "off", "plan_cache_mode": "force_generic_plan",
		"enable_hashjoin": "off", "enable_mergejoin": "off", "max_parallel_workers_per_gather": "0",
	}
	for name, value := range settings {
		if _, chosen := c.RuntimeParams[name]; !chosen {
			c.RuntimeParams[name] = value
		}
	}
	// Who reads after a change was acknowledged must find it, so nobody reads
	// from a standby. A primary that was set read-only is read on.
	c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	return &target{pool: pool}, nil
}

// single is the configuration of a connection outside the pool that writes.
func (t *target) single() *pgx.ConnConfig {
	c := t.pool.ConnConfig.Copy()
	c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	c.RuntimeParams["lock_timeout"] = lockPatience
	c.RuntimeParams["idle_in_transaction_session_timeout"] = idlePatience
	return c
}

// connect opens a connection of its own.
func connect(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return pgx.ConnectConfig(ctx, config)
}

// check refuses a server that would lose what it acknowledged, and a database
// that cannot hold every text. It is asked at every connection that writes: a
// server can be started with other settings.
func check(ctx context.Context, conn *pgx.Conn) error {
	var version int
	settings := map[string]*string{"fsync": new(string), "full_page_writes": new(string), "synchronous_commit": new(string), "server_encoding": new(string)}
	err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('fsync'), current_setting('full_page_writes'),
		current_setting('synchronous_commit'), current_setting('server_encoding')`).
		Scan(&version, settings["fsync"], settings["full_page_writes"], settings["synchronous_commit"], settings["server_encoding"])
	if err != nil {
		return err
	}
	if version < oldest {
		return &OpenError{
			What: fmt.Sprintf("The server is PostgreSQL %d, and latchkey is tested with %d and newer.", version/10000, oldest/10000),
			Do:   "Upgrade the server.",
		}
	}
	for _, name := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		if *settings[name] == "off" {
			return &OpenError{
				What: fmt.Sprintf("The server runs with %s = off: after a crash it may not have changes that were acknowledged, a revocation among them.", name),
				Do:   remedy[name],
			}
		}
	}
	if *settings["server_encoding"] != "UTF8" {
		return &OpenError{
			What: fmt.Sprintf("The database's encoding is %s, which cannot hold every name.", *settings["server_encoding"]),
			Do:   "Make another: createdb --encoding=UTF8 --template=template0 latchkey",
		}
	}
	return nil
}

var remedy = map[string]string{
	"fsync":              "Run on the server: psql -c \"ALTER SYSTEM SET fsync = on\" -c \"SELECT pg_reload_conf()\"",
	"full_page_writes":   "Run on the server: psql -c \"ALTER SYSTEM SET full_page_writes = on\" -c \"SELECT pg_reload_conf()\"",
	"synchronous_commit": "Set it to on for latchkey's user: psql -c \"ALTER ROLE latchkey SET synchronous_commit = on\", with that user's name, and in postgresql.conf if it is off there.",
}

// inOneLine is an error about several attempts, each told once.
func inOneLine(err error) string {
	var told []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); !slices.Contains(told, line) {
			told = append(told, line)
		}
	}
	return strings.Join(told, " ")
}

// opening puts a failure to open the store into words. Errors of the way to the
// server name user, database and address, and no password.
func opening(err error) error {
	if err == nil {
		return nil
	}
	for _, known := range []func() bool{
		func() bool { _, ok := errors.AsType[*OpenError](err); return ok },
		func() bool { _, ok := errors.AsType[*NewerError](err); return ok },
		func() bool { return errors.Is(err, context.Canceled) },
	} {
		if known() {
			return err
		}
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return &OpenError{
			What:  "There is no way to the database: " + inOneLine(err) + ".",
			Do:    "See that the server runs and takes writes, and that --database-url names it, the database and a user that may connect.",
			Cause: err,
		}
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == notPermitted {
		return &OpenError{
			What:  fmt.Sprintf("The database's user may not make or write latchkey's tables: %v.", err),
			Do:    "Give latchkey a database of its own, whose owner is its user: createdb --owner=latchkey latchkey",
			Cause: err,
		}
	}
	return fault(err)
}
