package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store/postgres/postgrestest"
)

// What a node reads for every change is looked up in indexes, whatever the server
// believes of the tables when it plans, which it does once. This looks at the
// plans, as time is no test and no result shows it.
func TestPlans(t *testing.T) {
	at := postgrestest.Database(t)
	s, err := Open(t.Context(), at, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for _, stage := range []struct{ name, prepare string }{
		{"empty", ``},
		{"large, and not known to be", manyKeys},
		{"known to be large", `ANALYZE`},
		{"used", `INSERT INTO last_uses SELECT s.kid, 1, '', '' FROM secrets s; ANALYZE`},
		{"changed throughout", `UPDATE keys SET revision = 50000 + (ordinal * 7919) % 20011; ANALYZE`},
	} {
		if stage.prepare != "" {
			postgrestest.Exec(t, at, stage.prepare)
		}
		t.Run(stage.name, func(t *testing.T) {
			plan := genericPlan(t, s, selectChanged)
			for _, wanted := range []string{"keys_feed", "(ordinal = ANY", "(hash = t.policy)", "(key = t.ordinal)", "(kid = s.kid)", `("position" >= $1)`} {
				if !strings.Contains(plan, wanted) {
					t.Errorf("%s is not looked up:\n%s", wanted, plan)
				}
			}
			for _, unwanted := range []string{"Filter: (revision", "Filter: (t.revision", "Filter: (l.kid", "Join Filter", "Seq Scan on", "Gather"} {
				if strings.Contains(plan, unwanted) {
					t.Errorf("there is a %s:\n%s", unwanted, plan)
				}
			}
		})
	}
}

// genericPlan is how the server would run the statement on a member's connection.
func genericPlan(t *testing.T, s *Store, text string) string {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), s.config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), `PREPARE planned (bigint, bytea) AS `+text); err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(t.Context(), `EXPLAIN EXECUTE planned (1, '\x00')`, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

var manyKeys = fmt.Sprintf(`
	INSERT INTO policies (hash, scopes, addresses, resources) VALUES ('\x00', '[]', '[]', '[]');
	INSERT INTO keys (ordinal, id, organization, project, reach, format, name, name_folded, environment, partner, policy, enabled, retrievable,
			revoked_reason, metadata, created_by, updated_by, revision)
		SELECT n, int8send(n), '\x01', '\x01', '%s', '', '', '', '', '', '\x00', true, false, '', '{}', '\x01', '\x01', n FROM generate_series(1, 20000) n;
	INSERT INTO secrets (key, kid, place, public, format, scheme, pepper, digest, signing, signing_format) SELECT n, 'k' || n, 0, '', '', '', 1, int8send(n), '', '' FROM generate_series(1, 20000) n;
	INSERT INTO events (position, id, organization, type, at, actor, via, object_kind, object, changes, request_id)
		SELECT n, int8send(n), '\x01', 'key.created', 1, '\x01', '\x01', 'key', int8send(n), '', '' FROM generate_series(1, 20000) n`, latchkey.ReachProject)
