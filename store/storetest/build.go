package storetest

import (
	"fmt"

	"latchkey.dev/latchkey"
)

// The builders make valid objects that nobody else has: nothing is written
// until the world writes it. Their times are in milliseconds, and no two objects
// have the same ones.

func (w *world) id() latchkey.ID {
	id, err := latchkey.NewID(w.clock, w.random)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) record() latchkey.Record {
	made := w.tick()
	return latchkey.Record{
		CreatedAt: made, UpdatedAt: w.tick(),
		CreatedBy: latchkey.Principal{Kind: latchkey.PrincipalSystem}, UpdatedBy: latchkey.Principal{Kind: latchkey.PrincipalUser, ID: w.id()},
	}
}

// name is different each time.
func (w *world) name(noun string) string {
	w.names++
	return fmt.Sprintf("%s %d", noun, w.names)
}

func (w *world) newOrganization() *latchkey.Organization {
	return &latchkey.Organization{ID: w.id(), Name: w.name("Organization"), Limits: latchkey.DefaultLimits(), Record: w.record()}
}

func (w *world) newProject(org latchkey.ID) *latchkey.Project {
	return &latchkey.Project{
		ID: w.id(), Organization: org, Name: w.name("Project"), Prefix: "lk", Environment: latchkey.Live, Record: w.record(),
	}
}

func (w *world) newUser(org latchkey.ID, memberships ...latchkey.Membership) *latchkey.User {
	w.names++
	return &latchkey.User{
		ID: w.id(), Organization: org, Kind: latchkey.Person, Name: w.name("User"),
		Email: fmt.Sprintf("user%d@example.com", w.names), Memberships: memberships, Record: w.record(),
	}
}

func (w *world) newRole(org latchkey.ID, permissions ...latchkey.Permission) *latchkey.Role {
	w.names++
	return &latchkey.Role{
		ID: w.id(), Organization: org, Identifier: fmt.Sprintf("role-%d", w.names), Name: w.name("Role"), Rank: 3,
		Permissions: permissions, Record: w.record(),
	}
}

func (w *world) newSecret() latchkey.Secret {
	drawn, err := latchkey.NewKeyString(latchkey.FormatNative, "lk", latchkey.Live, w.random)
	if err != nil {
		w.t.Fatal(err)
	}
	return latchkey.Secret{
		KID: drawn.KID, Public: drawn.PublicPart(), Format: latchkey.FormatNative, Scheme: latchkey.SchemeKey, Pepper: 1,
		Digest: w.digest(), CreatedAt: w.tick(),
	}
}

// newForeign is the secret of an imported key.
func (w *world) newForeign() latchkey.Secret {
	s := w.newSecret()
	s.Public, s.Format, s.Scheme = "", latchkey.FormatForeign, latchkey.SchemeSHA256
	return s
}

func (w *world) digest() (d [32]byte) {
	if _, err := w.random.Read(d[:]); err != nil {
		w.t.Fatal(err)
	}
	return d
}

// newKey is a plain live key of the tenant, in its default project.
func (w *world) newKey(of *tenant) *latchkey.Key {
	return &latchkey.Key{
		ID: w.id(), Organization: of.org.ID, Project: of.project.ID, Reach: latchkey.ReachProject, Format: latchkey.FormatNative,
		Name: w.name("Key"), Environment: latchkey.Live, Enabled: true, Secrets: []latchkey.Secret{w.newSecret()}, Record: w.record(),
	}
}

// newKeys is n of them.
func (w *world) newKeys(of *tenant, n int) []*latchkey.Key {
	keys := make([]*latchkey.Key, n)
	for i := range keys {
		keys[i] = w.newKey(of)
	}
	return keys
}

// addresses parses a list that is known to be good.
func (w *world) addresses(entries []string) latchkey.AddressList {
	list, broken := latchkey.ParseAddressList(entries)
	if broken != nil {
		w.t.Fatalf("address list %q: %s", entries, broken.Detail)
	}
	return list
}

// newEvent is an event of the given organization about an object.
func (w *world) newEvent(org latchkey.ID, kind latchkey.EventType, object latchkey.Object) latchkey.Event {
	return latchkey.Event{
		ID: w.id(), Organization: org, Type: kind, At: w.tick(), Actor: latchkey.Principal{Kind: latchkey.PrincipalKey, ID: w.id()},
		Via: w.id(), Object: object, Changes: `{"name":"something"}`, RequestID: w.name("req"),
	}
}
