package postgres_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/store/postgres/postgrestest"
)

// What a row may not say is never guessed: a signing mode that nobody knows is not
// off, and half an id is nobody's.
func TestScanGuessesNothing(t *testing.T) {
	t.Parallel()
	at := postgrestest.Database(t)
	s := open(t, at)
	createKey(t, s)
	conn, err := pgx.Connect(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	exec := func(text string) {
		if _, err := conn.Exec(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	exec(`CREATE TABLE keys_before AS SELECT * FROM keys; CREATE TABLE secrets_before AS SELECT * FROM secrets`)
	keys := 0
	scan := func() error {
		head, err := s.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s.ScanKeys(t.Context(), 0, head, func(*latchkey.Key, int64) error { keys++; return nil })
	}
	if err := scan(); err != nil || keys != 1 {
		t.Fatalf("%d keys: %v", keys, err)
	}
	for _, c := range []struct{ table, column, value string }{
		{"keys", "signing_mode", "'later'"},
		{"keys", "reach", "'everything'"},
		{"keys", "environment", "'prod'"},
		{"keys", "owner", `'\x01'`},
		{"secrets", "scheme", "'md5'"},
		{"secrets", "digest", `'\x01'`},
	} {
		exec("UPDATE " + c.table + " SET " + c.column + " = " + c.value)
		if err := scan(); err == nil {
			t.Errorf("the scan takes %s for %s.%s", c.value, c.table, c.column)
		}
		exec("UPDATE " + c.table + " SET " + c.column + " = (SELECT " + c.column + " FROM " + c.table + "_before)")
		if err := scan(); err != nil {
			t.Errorf("%s.%s as it was: %v", c.table, c.column, err)
		}
	}
}

// createKey makes an organization's only key.
func createKey(t *testing.T, s store.Submitter) {
	t.Helper()
	organization, _, err := organize(s)
	if err != nil {
		t.Fatal(err)
	}
	kid, err := latchkey.NewKID(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := store.Truncate(time.Now())
	project := latchkey.Project{ID: newID(), Organization: organization, Name: "Default", Prefix: "acme", Environment: latchkey.Live, Default: true}
	k := latchkey.Key{
		ID: newID(), Organization: organization, Project: project.ID, Reach: latchkey.ReachProject, Format: latchkey.FormatNative, Name: "one",
		Environment: latchkey.Live, Enabled: true, Record: latchkey.Record{CreatedAt: now, UpdatedAt: now},
		Secrets: []latchkey.Secret{{
			KID: kid, Public: latchkey.PublicPart(latchkey.FormatNative, "acme", latchkey.Live, kid), Format: latchkey.FormatNative,
			Scheme: latchkey.SchemeKey, Pepper: 1, Digest: sha256.Sum256([]byte(kid)), CreatedAt: now,
		}},
	}
	for _, step := range []store.Step{
		{Event: latchkey.Event{Type: latchkey.ProjectCreated, Object: latchkey.Object{Kind: latchkey.KindProject, ID: project.ID}}, Projects: []*latchkey.Project{&project}},
		{Event: latchkey.Event{Type: latchkey.KeyCreated, Object: latchkey.Object{Kind: latchkey.KindKey, ID: k.ID}}, Keys: []*latchkey.Key{&k}},
	} {
		step.Event.ID, step.Event.Organization, step.Event.At = newID(), organization, now
		_, err := s.Submit(t.Context(), store.Change{Organization: organization, Apply: func(*store.View) (store.Outcome, error) {
			return store.Outcome{Steps: []store.Step{step}}, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
}
