package main

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"latchkey.dev/latchkey/store/postgres/postgrestest"
)

// database NAME: makes an empty PostgreSQL database; $NAME is its URL.
// database NAME STATEMENT: runs a statement in it.
func scriptDatabase(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || len(args) > 2 {
		ts.Fatalf("usage: database NAME [STATEMENT]")
	}
	if len(args) == 2 {
		ts.Check(execute(ts.Getenv(args[0]), args[1]))
		return
	}
	server := os.Getenv(postgrestest.Variable)
	if server == "" {
		ts.Fatalf("%s", postgrestest.Missing)
	}
	at, err := url.Parse(server)
	ts.Check(err)
	name := "test_" + strings.ToLower(rand.Text())
	ts.Check(execute(server, "CREATE DATABASE "+name))
	ts.Defer(func() { ts.Check(execute(server, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")) })
	at.Path = "/" + name
	ts.Setenv(args[0], at.String())
}

func execute(at, statement string) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, at)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, statement)
	return err
}
