package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

func TestNumber(t *testing.T) {
	old := &latchkey.Key{Record: latchkey.Record{Ordinal: 3 << store.OrdinalShift, Revision: 4}}
	org, project, user, role, fresh := &latchkey.Organization{}, &latchkey.Project{}, &latchkey.User{}, &latchkey.Role{}, &latchkey.Key{}
	step := store.Step{
		Keys: []*latchkey.Key{old, fresh}, Roles: []*latchkey.Role{role}, Users: []*latchkey.User{user},
		Projects: []*latchkey.Project{project}, Organizations: []*latchkey.Organization{org},
	}
	step.Number(7)
	if step.Event.Position != 7 {
		t.Errorf("the event's position is %d", step.Event.Position)
	}
	for i, r := range []*latchkey.Record{&org.Record, &project.Record, &user.Record, &role.Record, nil, &fresh.Record} {
		if r == nil { // the place of the old key, which keeps its ordinal
			r, i = &old.Record, (3-7)<<store.OrdinalShift
		}
		if want := 7<<store.OrdinalShift + int64(i); r.Ordinal != want || r.Revision != 7 {
			t.Errorf("row %d: ordinal %d, want %d; revision %d, want 7", i, r.Ordinal, want, r.Revision)
		}
	}
	step.Number(8)
	if fresh.Ordinal>>store.OrdinalShift != 7 || fresh.Revision != 8 {
		t.Errorf("numbered again, the ordinal is of %d and the revision %d", fresh.Ordinal>>store.OrdinalShift, fresh.Revision)
	}
}

// TestOrdinalsHaveRoom holds the shift against the largest step there can be.
func TestOrdinalsHaveRoom(t *testing.T) {
	const room = 1 << store.OrdinalShift
	if most := max(latchkey.MaxBatchCreate, latchkey.MaxImport); most >= room {
		t.Errorf("%d rows in a step, and room for %d", most, room)
	}
}

func TestViewRole(t *testing.T) {
	custom := latchkey.Role{ID: id('r', 1), Identifier: "custom"}
	v := store.View{Roles: map[latchkey.ID]*latchkey.Role{custom.ID: &custom}}
	builtin := latchkey.BuiltinRoles()[0]
	for _, want := range []latchkey.Role{custom, builtin} {
		if got, ok := v.Role(want.ID); !ok || got.Identifier != want.Identifier {
			t.Errorf("role %s: found %v, as %q", want.Identifier, ok, got.Identifier)
		}
	}
	if _, ok := v.Role(id('r', 2)); ok {
		t.Error("found a role that is not there")
	}
}

func TestHolderGrant(t *testing.T) {
	role := latchkey.Role{ID: id('r', 1), Permissions: latchkey.Permissions{"a:a"}, Rank: 3}
	h := store.Holder{Key: latchkey.Key{Policy: latchkey.Policy{Role: role.ID, Scopes: latchkey.Permissions{"b:b"}}}, Roles: []latchkey.Role{role}}
	if g := h.Grant(); g.Suspended || !g.Permissions.Hold("a:a") || !g.Permissions.Hold("b:b") || g.Rank != 3 {
		t.Errorf("grant %+v", g)
	}
	h.Organization.Suspended = true
	if !h.Grant().Suspended {
		t.Error("the organization's suspension does not reach its key")
	}
	h.Organization.Suspended, h.Key.Owner = false, id('u', 1)
	if !h.Grant().Suspended {
		t.Error("the key of an owner who is gone is not suspended")
	}
}

func TestErrors(t *testing.T) {
	conflict := fmt.Errorf("writing: %w", &store.WriteError{Index: 3, Err: &store.ConflictError{Field: "email"}})
	if !errors.Is(conflict, store.ErrConflict) || errors.Is(conflict, store.ErrNotFound) || errors.Is(conflict, store.ErrUnavailable) {
		t.Error("a conflict is not, or not only, an ErrConflict")
	}
	if c, ok := errors.AsType[*store.ConflictError](conflict); !ok || c.Field != "email" {
		t.Errorf("the field is lost in %v", conflict)
	}
	if got, want := conflict.Error(), "writing: outcome 3: taken: email"; got != want {
		t.Errorf("the error reads %q, want %q", got, want)
	}
}

// TestBound changes each field that identifies a call, and moves bytes from one
// to the next.
func TestBound(t *testing.T) {
	base := store.Record{RecordKey: store.RecordKey{Caller: id('k', 1), Organization: orgA, Route: "POST /v1/keys", Tag: [32]byte{1}}, BodyHash: [32]byte{2}}
	changed := map[string]store.Record{}
	for name, change := range map[string]func(r *store.Record){
		"caller":       func(r *store.Record) { r.Caller = id('k', 2) },
		"organization": func(r *store.Record) { r.Organization = orgB },
		"route":        func(r *store.Record) { r.Route += "/" },
		"tag":          func(r *store.Record) { r.Tag[31] = 1 },
		"body":         func(r *store.Record) { r.BodyHash[31] = 1 },
		"swapped":      func(r *store.Record) { r.Tag, r.BodyHash = r.BodyHash, r.Tag },
	} {
		r := base
		change(&r)
		changed[name] = r
	}
	seen := map[string]string{string(base.Bound()): "base"}
	for name, r := range changed {
		bound := string(r.Bound())
		if other, taken := seen[bound]; taken {
			t.Errorf("%s is bound like %s", name, other)
		}
		seen[bound] = name
	}
	again := base
	again.Objects, again.Sealed, again.CreatedAt = []latchkey.ID{orgA}, []byte("sealed"), time.Now()
	if !bytes.Equal(again.Bound(), base.Bound()) {
		t.Error("it is bound to what does not identify the call")
	}
}

func TestTruncate(t *testing.T) {
	cet := time.FixedZone("CET", 3600)
	for _, c := range []struct{ given, want time.Time }{
		{time.Date(2026, 1, 2, 3, 4, 5, 678_999_999, cet), time.Date(2026, 1, 2, 2, 4, 5, 678_000_000, time.UTC)},
		{time.Date(1969, 12, 31, 23, 59, 59, 999_999_999, time.UTC), time.Date(1969, 12, 31, 23, 59, 59, 999_000_000, time.UTC)},
		{time.Time{}, time.Time{}},
	} {
		if got := store.Truncate(c.given); got != c.want {
			t.Errorf("%v became %v, want %v", c.given, got, c.want)
		}
	}
}
