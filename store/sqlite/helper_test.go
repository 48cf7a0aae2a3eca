package sqlite_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/store/sqlite"
)

func open(tb testing.TB, dir string) *sqlite.Store {
	tb.Helper()
	s, err := sqlite.Open(context.Background(), dir, nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// submit makes a change of one step with those rows.
func submit(s store.Submitter, step store.Step) (int64, error) {
	step.Event.ID = newID()
	step.Event.At = time.Now()
	if step.Event.Type == "" {
		step.Event.Type = latchkey.KeyCreated
	}
	return s.Submit(context.Background(), store.Change{
		Organization: step.Event.Organization,
		Apply:        func(*store.View) (store.Outcome, error) { return store.Outcome{Steps: []store.Step{step}}, nil },
	})
}

func must(tb testing.TB, s store.Submitter, step store.Step) int64 {
	tb.Helper()
	position, err := submit(s, step)
	if err != nil {
		tb.Fatal(err)
	}
	return position
}

func newID() latchkey.ID {
	id, err := latchkey.NewID(time.Now(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return id
}

// tenant is an organization with a project and a user.
type tenant struct {
	organization, project, owner latchkey.ID
}

func newTenant(tb testing.TB, s store.Submitter) tenant {
	tb.Helper()
	t, err := addTenant(s)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func addTenant(s store.Submitter) (tenant, error) {
	t := tenant{newID(), newID(), newID()}
	_, err := submit(s, store.Step{
		Event:         latchkey.Event{Organization: t.organization, Type: latchkey.OrganizationCreated},
		Organizations: []*latchkey.Organization{{ID: t.organization, Name: "Acme", Limits: latchkey.DefaultLimits()}},
		Projects:      []*latchkey.Project{{ID: t.project, Organization: t.organization, Name: "Default", Prefix: "acme", Environment: latchkey.Live, Default: true}},
		Users: []*latchkey.User{{ID: t.owner, Organization: t.organization, Kind: latchkey.Person, Name: "Ada", Email: "ada@example.com",
			Memberships: []latchkey.Membership{{Role: role("developer")}}}},
	})
	return t, err
}

func role(identifier string) latchkey.ID {
	r, _ := latchkey.BuiltinRole(identifier)
	return r.ID
}

// key is a new key of the tenant; change adjusts it.
func (t tenant) key(n int, change func(*latchkey.Key)) *latchkey.Key {
	kid, err := latchkey.NewKID(rand.Reader)
	if err != nil {
		panic(err)
	}
	now := store.Truncate(time.Now())
	by := latchkey.Principal{Kind: latchkey.PrincipalUser, ID: t.owner}
	k := &latchkey.Key{
		ID: newID(), Organization: t.organization, Project: t.project, Reach: latchkey.ReachProject, Format: latchkey.FormatNative,
		Name: name(n), Environment: latchkey.Live, Policy: latchkey.Policy{Role: role("developer"), Scopes: latchkey.Permissions{"docs:read"}},
		Enabled: true, Metadata: `{"team":"edge"}`,
		Secrets: []latchkey.Secret{{
			KID: kid, Public: latchkey.PublicPart(latchkey.FormatNative, "acme", latchkey.Live, kid), Format: latchkey.FormatNative,
			Scheme: latchkey.SchemeKey, Pepper: 1, Digest: sha256.Sum256([]byte(kid)), CreatedAt: now,
		}},
		Record: latchkey.Record{CreatedAt: now, UpdatedAt: now, CreatedBy: by, UpdatedBy: by},
	}
	if change != nil {
		change(k)
	}
	return k
}

// name is as different from others as names are.
func name(n int) string {
	words := []string{"production", "staging", "billing", "export", "import", "nightly", "partner", "gateway", "mobile", "backend", "reader", "writer", "Europe", "America", "asia", "queue"}
	var seed [8]byte
	binary.BigEndian.PutUint64(seed[:], uint64(n))
	sum := sha256.Sum256(seed[:])
	return fmt.Sprintf("%s %s %d", words[sum[0]%16], words[sum[1]%16], n)
}

func (t tenant) create(keys ...*latchkey.Key) store.Step {
	step := store.Step{Event: latchkey.Event{
		Organization: t.organization, Type: latchkey.KeyCreated, Actor: latchkey.Principal{Kind: latchkey.PrincipalUser, ID: t.owner},
		Object: latchkey.Object{Kind: latchkey.KindKey, ID: keys[0].ID}, Changes: latchkey.Document(`{"name":"` + keys[0].Name + `"}`), RequestID: "req-0123456789abcdef",
	}, Keys: keys}
	if len(keys) > 1 {
		step.Event.Type = latchkey.KeysImported
	}
	return step
}

// useOf is a batch with one use of the key's first secret, of a boot of its own.
func useOf(k *latchkey.Key, at time.Time) store.UseBatch {
	b := store.UseBatch{Number: 1, Uses: []store.Use{{Key: k.ID, KID: k.Secrets[0].KID, Tally: latchkey.Tally{Code: latchkey.CodeValid, Count: 1, Last: at}}}}
	_, _ = rand.Read(b.Boot[:]) // never fails (crypto/rand)
	return b
}
