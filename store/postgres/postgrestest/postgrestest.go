// Package postgrestest gives tests databases of their own on the server that
// LATCHKEY_TEST_POSTGRES names. `make test` starts one and sets it.
package postgrestest

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Variable names the environment variable with the URL of a server, as a user
// that may make databases there.
const Variable = "LATCHKEY_TEST_POSTGRES"

// Missing says what to do where there is no server.
const Missing = "This test needs PostgreSQL. Run it as `scripts/with-postgres go test …`, which starts a server of its own, " +
	"or set " + Variable + " to the URL of one on which databases may be made."

// Server is the URL of the server; the test fails if there is none.
func Server(tb testing.TB) string {
	tb.Helper()
	server := os.Getenv(Variable)
	if server == "" {
		tb.Fatal(Missing)
	}
	return server
}

// Database makes an empty database and gives its URL. It is dropped when the
// test has ended.
func Database(tb testing.TB) string {
	tb.Helper()
	server := Server(tb)
	name := "test_" + strings.ToLower(rand.Text())
	Exec(tb, server, "CREATE DATABASE "+name)
	tb.Cleanup(func() { Exec(tb, server, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	at, err := url.Parse(server)
	if err != nil {
		tb.Fatal(err)
	}
	at.Path = "/" + name
	return at.String()
}

// Exec runs a statement in the database of the URL.
func Exec(tb testing.TB, at, statement string, args ...any) {
	tb.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, at)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement, args...); err != nil {
		tb.Fatal(err)
	}
}
