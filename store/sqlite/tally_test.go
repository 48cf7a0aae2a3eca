package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/store/sqlite"
)

// A store that was made before there were tallies gets the ones that it would
// have if it had counted from the beginning.
func TestTalliesOfAnOlderStore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	of := newTenant(t, s)
	away := &latchkey.User{ID: newID(), Organization: of.organization, Kind: latchkey.Service, Name: "away"}
	must(t, s, store.Step{Users: []*latchkey.User{away}})
	var made []*latchkey.Key
	for n := range 64 {
		made = append(made, of.key(n, func(k *latchkey.Key) {
			k.Owner = []latchkey.ID{{}, of.owner, away.ID}[n%3]
			k.Partner = []string{"", "acme"}[n%2]
			k.Enabled = n%5 > 0
			k.ExpiresAt = []time.Time{{}, time.UnixMilli(0), time.UnixMilli(-1 << 30), time.UnixMilli(1 << 26), time.UnixMilli(1<<26 + 1)}[n%5]
			if n%4 == 0 {
				k.Policy.Role = latchkey.ID{}
			}
		}))
	}
	must(t, s, of.create(made...))
	away.Suspended = true
	for _, k := range made[:10] {
		k.RevokedAt = time.UnixMilli(1)
	}
	step := of.create(made[:10]...)
	step.Event.Type, step.Event.Object, step.Users = latchkey.UserUpdated, latchkey.Object{Kind: latchkey.KindUser, ID: away.ID}, []*latchkey.User{away}
	must(t, s, step)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	counted := tallies(t, dir)
	if n := count(t, dir, `SELECT sum(n) FROM tallies`); n != len(made) || len(counted) < 20 {
		t.Fatalf("%d keys in %d tallies", n, len(counted))
	}
	age(t, dir)
	s = open(t, dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if migrated := tallies(t, dir); !slices.Equal(migrated, counted) {
		t.Errorf("tallies after the migration:\n%s\nas they were counted:\n%s", strings.Join(migrated, "\n"), strings.Join(counted, "\n"))
	}
}

func tallies(t *testing.T, dir string) (all []string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, sqlite.FileName)+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(t.Context(), `SELECT concat_ws(' ', hex(organization), hex(project), reach, hex(role), owned, partnered, condition, span, n)
		FROM tallies ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		all = append(all, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// age takes back what the migration of lists made, and those after it.
func age(t *testing.T, dir string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, text := range []string{
		`DROP TABLE nonce_floor`, `DROP TABLE nonces`, `ALTER TABLE keys DROP COLUMN signing_mode`,
		`DROP TABLE uses`, `DROP TABLE last_uses`, `DROP TABLE use_batches`, `DROP TABLE gateways`, `DROP TABLE token_refusals`, `DROP TABLE issuers`, `DROP TABLE tallies`, `DROP INDEX users_away`,
		`DROP TABLE errands`, `DROP TABLE errands_through`,
		`DROP INDEX keys_with_partner`, `DROP INDEX keys_with_owner`, `DROP INDEX keys_with_role`,
		`DROP INDEX keys_with_partner_revoked`, `DROP INDEX keys_with_owner_revoked`, `DROP INDEX keys_with_role_revoked`,
		`ALTER TABLE projects DROP COLUMN forbid_retrievable`,
		`DELETE FROM goose_db_version WHERE version_id >= 4`,
	} {
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
}
