package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// Every page of a list is a range of an index: nothing is sorted but few keys,
// and nothing is read from its beginning. This looks at the plans, as time is no
// test and no result shows it.
func TestPlans(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	on := newSession(readerDSN(filepath.Join(dir, FileName)))
	if err := on.open(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = on.drop() }()
	some := latchkey.ID{1}
	for name, filter := range map[string]store.KeyQuery{
		"all": {}, "project": {Project: some}, "owner": {Owner: some}, "partner": {Partner: "p"}, "role": {Role: some}, "reach": {MaxReach: latchkey.ReachOrganization}, "project and reach": {Project: some, MaxReach: latchkey.ReachProject},
		"live": {States: []latchkey.State{latchkey.StateLive}}, "expired": {States: []latchkey.State{latchkey.StateExpired}}, "disabled": {States: []latchkey.State{latchkey.StateDisabled}}, "revoked": {States: []latchkey.State{latchkey.StateRevoked}},
		"not live": {States: latchkey.States()[1:]}, "live or disabled": {States: latchkey.States()[:2]},
		"with role": {HasRole: true}, "with built-in role": {Builtin: true}, "with owner": {HasOwner: true}, "with partner": {HasPartner: true},
		"not live, with owner": {HasOwner: true, States: latchkey.States()[1:]}, "name": {Name: "n"}, "creator": {Creator: some},
		"search ids": {Search: some.Hex(), SearchIDs: true},
		"expiring":   {ExpiringBefore: time.Now()}, "unused": {UnusedSince: time.Now()}, "search": {Search: "abc"},
		"everything": {Project: some, Owner: some, Partner: "p", Role: some, States: []latchkey.State{latchkey.StateLive}, ExpiringBefore: time.Now(), Search: "abc"},
	} {
		for _, sort := range []store.KeySort{store.ByCreation, store.ByUpdate, store.ByName, store.ByExpiry} {
			for _, descending := range []bool{false, true} {
				for _, after := range []*store.KeyCursor{nil, {Ordinal: 5, Number: 5, Text: "n"}} {
					query := filter
					query.Organization, query.Sort, query.Descending, query.After, query.Now = some, sort, descending, after, time.Now()
					t.Run(fmt.Sprintf("%s by %s %v after %v", name, sort, descending, after != nil), func(t *testing.T) {
						list := newListing(&query, false)
						for _, part := range list.parts() {
							checkPlan(t, on, list, list.inOrder(list.halves), part)
						}
						for _, f := range list.filters {
							checkFilter(t, on, f, list.halves)
						}
					})
				}
			}
		}
	}
}

func plan(t *testing.T, on *session, text string, args []any) (steps []string) {
	t.Helper()
	err := on.search(context.Background(), func(rows *sql.Rows) error {
		var id, parent, unused int
		var detail string
		err := rows.Scan(&id, &parent, &unused, &detail)
		steps = append(steps, detail)
		return err
	}, `EXPLAIN QUERY PLAN `+text, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return steps
}

func checkPlan(t *testing.T, on *session, list *listing, ways []way, part part) {
	t.Helper()
	text, args := list.statement(ways, part)
	steps := plan(t, on, text, args)
	for _, step := range steps {
		if strings.Contains(step, "TEMP B-TREE") || strings.HasPrefix(step, "SCAN") {
			t.Errorf("%s\n\tof %s", strings.Join(steps, "\n\t"), text)
			return
		}
	}
	if list.query.After == nil {
		return
	}
	if list.query.Name != "" && list.query.Sort == store.ByName {
		return // all have that name
	}
	cursor := "rowid" // or, in the second part of other orders than that of creation:
	if !list.byCreation() && !strings.Contains(part.where, "ordinal") {
		cursor = list.by()
	}
	if follows := map[bool]string{false: ">?", true: "<?"}[list.query.Descending]; !strings.Contains(strings.Join(steps, " "), " AND "+cursor+follows) {
		t.Errorf("the cursor is no range of the index:\n\t%s", strings.Join(steps, "\n\t"))
	}
}

func checkFilter(t *testing.T, on *session, f filter, halves []half) {
	t.Helper()
	text, args := f.keys(halves)
	if text == "" {
		return
	}
	for _, step := range plan(t, on, text, args) {
		if strings.HasPrefix(step, "SCAN keys") || strings.HasPrefix(step, "SCAN secrets") || strings.HasPrefix(step, "SCAN o") {
			t.Errorf("%s\n\tof %s", step, text)
		}
	}
}

// What a crash of the machine leaves is decided by settings that no test of ours
// can see the work of.
func TestSettings(t *testing.T) {
	s, err := Open(t.Context(), t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	check := func(on *session, setting, want string) {
		t.Helper()
		var got string
		if err := on.get([]any{&got}, `PRAGMA `+setting); err != nil || got != want {
			t.Errorf("%s is %q, not %q (%v)", setting, got, want, err)
		}
	}
	if err := s.writer.start(); err != nil {
		t.Fatal(err)
	}
	check(s.writer.session, `journal_mode`, `wal`)
	check(s.writer.session, `synchronous`, `2`) // FULL: the log is synced at each commit
	check(s.writer.session, `foreign_keys`, `1`)
	if err := s.writer.finish(`ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	err = s.readers.use(t.Context(), func(on *session) error {
		check(on, `query_only`, `1`)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
