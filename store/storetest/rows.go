package storetest

import (
	"encoding/json"
	"math"
	"net/netip"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// rowCases write one object of each kind and want it back as it was given.
func rowCases() []testCase {
	cases := []testCase{
		{"installation", func(w *world) {
			in := &store.Installation{
				ID: w.id(), Operator: w.id(), Owner: w.id(), Ring: "fingerprint of the ring",
				Versions: []store.RingVersion{{Number: 1, Fingerprint: "first", Retired: true}, {Number: 2, Fingerprint: "second", Active: true}, {Number: 3, Fingerprint: "third"}},
			}
			w.write(in)
			w.sameInstallation("installation", in)
			in.Versions = []store.RingVersion{{Number: 1, Fingerprint: "first", Retired: true}, {Number: 4, Fingerprint: "fourth", Active: true}}
			w.write(in)
			w.sameInstallation("installation with other versions", in)
		}},
		{"organization", func(w *world) {
			o := w.newOrganization()
			o.Operator, o.Suspended = true, true
			o.Limits = latchkey.Limits{Keys: 1<<53 + 1, ChangesPerSecond: math.MaxInt64}
			w.write(o)
			w.sameOrganization("organization", o)
			o.Name, o.Operator, o.Suspended, o.Limits, o.UpdatedAt = "Renamed", false, false, latchkey.Limits{}, w.tick()
			w.write(o)
			w.sameOrganization("changed organization", o)
		}},
		{"project", func(w *world) {
			of := w.tenant()
			p := w.newProject(of.org.ID)
			p.Prefix, p.Environment, p.Retrievable, p.ForbidRetrievable = "acme", latchkey.Test, true, false
			w.write(p)
			w.sameProject("project", p)
			p.Name, p.Retrievable, p.ForbidRetrievable, p.UpdatedAt = "Renamed", false, true, w.tick()
			w.write(p)
			w.sameProject("changed project", p)
		}},
		{"user", func(w *world) {
			of := w.tenant()
			second := w.newProject(of.org.ID)
			roles := []*latchkey.Role{w.newRole(of.org.ID), w.newRole(of.org.ID)}
			w.write(second, roles[0], roles[1])
			u := w.newUser(of.org.ID, latchkey.Membership{Project: second.ID, Role: roles[1].ID},
				latchkey.Membership{Role: latchkey.BuiltinRoles()[3].ID}, latchkey.Membership{Project: of.project.ID, Role: roles[0].ID})
			u.Suspended = true
			w.write(u)
			w.sameUser("user", u)
			u.Name, u.Email, u.Suspended, u.UpdatedAt = "Renamed", "Other@Example.com", false, w.tick()
			u.Memberships = []latchkey.Membership{{Role: roles[0].ID}, {Project: second.ID, Role: roles[1].ID}}
			w.write(u)
			w.sameUser("changed user", u)
			u.Memberships = nil
			w.write(u)
			w.sameUser("user without roles", u)
		}},
		{"service accounts without e-mail addresses", func(w *world) {
			of := w.tenant()
			for range 3 {
				u := w.newUser(of.org.ID)
				u.Kind, u.Email = latchkey.Service, ""
				w.write(u)
				w.sameUser("service account", u)
			}
		}},
		{"role", func(w *world) {
			of := w.tenant()
			r := w.newRole(of.org.ID, "z:last", "*", "a:first", "grant:docs:*", "plants:read")
			r.Rank = 10
			w.write(r)
			w.sameRole("role", r)
			r.Name, r.Rank, r.Permissions, r.UpdatedAt = "Renamed", 0, latchkey.Permissions{"b:b", "a:a"}, w.tick()
			w.write(r)
			w.sameRole("changed role", r)
			r.Permissions = nil
			w.write(r)
			w.sameRole("role without permissions", r)
		}},
		{"data key", func(w *world) {
			of := w.tenant()
			d := &store.DataKey{ID: [16]byte{0, 1, 2, 0xFF}, Organization: of.org.ID, Version: 7, Wrapped: []byte{0, 1, 0xFF, 0}}
			w.write(d)
			w.sameDataKey("data key", d)
			d.ID, d.Version, d.Wrapped = [16]byte{0xFF}, 8, []byte("wrapped anew")
			w.write(d)
			w.sameDataKey("data key, wrapped anew", d)
		}},
		{"key with every field", func(w *world) {
			of := w.tenant()
			k := w.fullKey(of)
			w.write(k)
			w.sameKey("key", k)
		}},
		{"key with nothing but what it must have", func(w *world) {
			k := w.newKey(w.tenant())
			w.write(k)
			w.sameKey("key", k)
		}},
		{"every field of a key changed", func(w *world) {
			of := w.tenant()
			k := w.newKey(of)
			w.write(k)
			become := func(next *latchkey.Key) {
				next.ID, next.CreatedAt, next.CreatedBy, next.Ordinal = k.ID, k.CreatedAt, k.CreatedBy, k.Ordinal
			}
			full := w.fullKey(of)
			become(full)
			w.write(full)
			w.sameKey("filled key", full)
			plain := w.newKey(of)
			become(plain)
			plain.Enabled = false
			w.write(plain)
			w.sameKey("emptied key", plain)
		}},
		{"who made and changed it", func(w *world) {
			of := w.tenant()
			for _, p := range []latchkey.Principal{
				{Kind: latchkey.PrincipalSystem}, {Kind: latchkey.PrincipalUser, ID: w.id()}, {Kind: latchkey.PrincipalKey, ID: w.id()},
			} {
				k, o, u := w.newKey(of), w.newOrganization(), w.newUser(of.org.ID)
				for _, r := range []*latchkey.Record{&k.Record, &o.Record, &u.Record} {
					r.CreatedBy, r.UpdatedBy = p, p
				}
				w.write(o, u, k)
				w.sameKey("key by "+p.String(), k)
				w.sameOrganization("organization by "+p.String(), o)
				w.sameUser("user by "+p.String(), u)
			}
		}},
		{"reaches, environments and formats", func(w *world) {
			of := w.tenant()
			for _, reach := range []latchkey.Reach{latchkey.ReachProject, latchkey.ReachOrganization, latchkey.ReachAll} {
				for _, format := range []latchkey.Format{latchkey.FormatNative, latchkey.FormatShort, latchkey.FormatForeign} {
					k := w.newKey(of)
					k.Reach, k.Format, k.Environment = reach, format, latchkey.Test
					if format == latchkey.FormatForeign {
						k.Secrets = []latchkey.Secret{w.newForeign()}
					}
					w.write(k)
					w.sameKey(string(reach)+" "+string(format), k)
				}
			}
		}},
	}
	cases = append(cases, textCases()...)
	cases = append(cases, listCases()...)
	return append(cases, timeCases()...)
}

// fullKey is a key with nothing left empty, two secrets included.
func (w *world) fullKey(of *tenant) *latchkey.Key {
	role := w.newRole(of.org.ID)
	w.write(role)
	k := w.newKey(of)
	k.Reach, k.Format, k.Environment = latchkey.ReachOrganization, latchkey.FormatShort, latchkey.Test
	k.Owner, k.Partner, k.Retrievable = of.user.ID, "Partner", true
	k.Policy = latchkey.Policy{
		Role: role.ID, Scopes: latchkey.Permissions{"z:z", "a:a", "api_key:read"}, Addresses: w.addresses([]string{"10.1.2.3/8", "2001:DB8::1"}),
		Resources: latchkey.NewResources(map[string][]string{"plant": {"B", "a"}, "site": {}}),
	}
	k.ExpiresAt, k.RevokedAt, k.RevokedReason = w.tick(), w.tick(), "leaked"
	k.Metadata = `{"team":"billing"}`
	old, next := &k.Secrets[0], w.newForeign()
	old.Sealed, old.ExpiresAt, old.LastUse.At, old.Pepper, old.Format = []byte{0, 1, 2, 0xFF, 0}, w.tick(), w.tick(), 3, latchkey.FormatShort
	next.Sealed, next.ExpiresAt, next.LastUse.At, next.Pepper, next.Public = []byte("sealed"), w.tick(), w.tick(), 900, "abc"
	k.SigningMode = latchkey.SigningRequired
	old.Signing = latchkey.Signing{Algorithm: latchkey.HMACSHA256, Format: latchkey.SigningHex, Sealed: []byte{0, 1, 0xFF, 0}}
	next.LastUse.Address, next.LastUse.Agent = netip.MustParseAddr("2001:db8::1"), "curl/8"
	next.Signing = latchkey.Signing{Algorithm: latchkey.Ed25519, Public: []byte{0xFF, 0, 1}}
	k.Secrets = append(k.Secrets, next)
	return k
}

// document is a JSON object that holds the text.
func document(w *world, text string) latchkey.Document {
	quoted, err := json.Marshal(text)
	w.ok("Marshal", err)
	return latchkey.Document(`{"text":` + string(quoted) + `}`)
}

// textCases are strings that an engine might fold, trim, cut, convert or take
// for something else.
func textCases() []testCase {
	texts := []struct{ name, text string }{
		{"plain", "Production"},
		{"spaces around", "  two before, one after "},
		{"only a space", " "},
		{"quotes and SQL", `'; DROP TABLE keys; -- " \ ` + "`"},
		{"wildcards", `100%_*?[a-z]`},
		{"a number", "42"},
		{"a number with zeros", "007.10"},
		{"an exponent", "1e5"},
		{"hexadecimal", "0x10"},
		{"infinity", "-Infinity"},
		{"null", "NULL"},
		{"a boolean", "true"},
		{"a time", "2026-01-02T03:04:05Z"},
		{"a blob", "x'00ff'"},
		{"control characters", "\x01\x02\b\t\n\v\f\r\x1b\x1f\x7f"},
		{"composed", "caf\u00e9 \u00c5"},
		{"decomposed", "cafe\u0301 A\u030a"},
		{"four bytes a rune", "🔑🏴\u200d☠️ 𝔎𝔢𝔶"},
		{"right to left", "\u202emفتاح\u202c מפתח"},
		{"folding traps", "ß ẞ İ ı ſ ς Σ ǅ \u212a"},
		{"byte order mark", "\ufeffkey\ufeff"},
		{"invisible", "a\u00ad\u200b\u2060b"},
		{"noncharacters", "\ufffd\uffff\U0010ffff"},
		{"long", strings.Repeat("🔑", latchkey.MaxNameLen)},
	}
	var cases []testCase
	for _, c := range texts {
		cases = append(cases, testCase{"text: " + c.name, func(w *world) {
			of := w.newTenant()
			of.org.Name, of.project.Name, of.user.Name = c.text, c.text, c.text
			role := w.newRole(of.org.ID)
			role.Name = c.text
			w.write(of.org, of.project, of.user, role)
			k := w.newKey(of)
			k.Name, k.Partner, k.RevokedReason, k.RevokedAt = c.text, c.text, c.text, w.tick()
			k.Metadata = document(w, c.text)
			k.Secrets[0].Public = c.text
			k.Policy.Resources = latchkey.NewResources(map[string][]string{c.text: {c.text, "other"}})
			w.write(k)
			of.org.Keys = 1
			w.sameOrganization("organization", of.org)
			w.sameProject("project", of.project)
			w.sameUser("user", of.user)
			w.sameRole("role", role)
			w.sameKey("key", k)
			if got := w.list(store.KeyQuery{Organization: of.org.ID, Partner: c.text}); len(got) != 1 {
				w.t.Errorf("the partner finds %d keys, not its one", len(got))
			}
		}})
	}
	return append(cases,
		testCase{"text: documents byte for byte", func(w *world) {
			of := w.tenant()
			for _, doc := range []latchkey.Document{
				"", "{}", `{"b":1,"a":2}`, `{"a":1.0,"b":1e400,"a":2}`, `{ "spaced" : [ 1 ,2 ] }`, `{"u":"\u00e9é"}`,
				latchkey.Document(`{"x":"` + strings.Repeat("y", latchkey.MaxMetadataLen-8) + `"}`),
			} {
				k := w.newKey(of)
				k.Metadata = doc
				b := w.batch(k)
				b.event.Changes = doc
				position, err := w.submit(b)
				w.ok("Submit", err)
				if got := w.key(k.ID).Key.Metadata; got != doc {
					w.t.Errorf("metadata came back as %.60q, not %.60q", got, doc)
				}
				if got := w.events(store.EventQuery{After: position - 1}); len(got) != 1 || got[0].Changes != doc {
					w.t.Errorf("changes did not come back as %.60q", doc)
				}
			}
		}},
		testCase{"text: every byte of a digest and a sealed value", func(w *world) {
			of := w.tenant()
			k := w.newKey(of)
			k.Retrievable = true
			for i := range k.Secrets[0].Digest {
				k.Secrets[0].Digest[i] = byte(8 * i)
			}
			for b := range 256 {
				k.Secrets[0].Sealed = append(k.Secrets[0].Sealed, byte(b))
			}
			w.write(k)
			w.sameKey("key", k)
		}},
	)
}

// listCases ask for lists that are absent, empty and full.
func listCases() []testCase {
	var cases []testCase
	for _, c := range []struct {
		name    string
		entries []string
	}{
		{"absent", nil},
		{"empty", []string{}},
		{"one", []string{"192.0.2.1"}},
		{"as given", []string{"10.1.2.3/8", "::ffff:10.0.0.1", "2001:DB8:0:0::1/32", "0.0.0.0/0", "10.1.2.3/8"}},
	} {
		cases = append(cases, testCase{"addresses: " + c.name, func(w *world) {
			k := w.newKey(w.tenant())
			k.Policy.Addresses = w.addresses(c.entries)
			w.write(k)
			w.sameKey("key", k)
		}})
	}
	for _, c := range []struct {
		name  string
		types map[string][]string
	}{
		{"absent", nil},
		{"a type without ids", map[string][]string{"plant": {}}},
		{"several types", map[string][]string{"plant": {"b", "a"}, "Plant": {"B"}, "site": {}, "a.b": {"c,d", `"e"`}}},
	} {
		cases = append(cases, testCase{"resources: " + c.name, func(w *world) {
			k := w.newKey(w.tenant())
			k.Policy.Resources = latchkey.NewResources(c.types)
			w.write(k)
			w.sameKey("key", k)
		}})
	}
	return append(cases,
		testCase{"scopes: in their order", func(w *world) {
			k := w.newKey(w.tenant())
			for i := range latchkey.MaxScopes {
				k.Policy.Scopes = append(k.Policy.Scopes, latchkey.Permission("scope:"+strings.Repeat("x", (i*7)%90)+string(rune('!'+i%94))))
			}
			w.write(k)
			w.sameKey("key", k)
		}},
		testCase{"policies: alike but for one thing", func(w *world) {
			of := w.tenant()
			role := w.newRole(of.org.ID)
			w.write(role)
			var keys []*latchkey.Key
			for _, p := range []latchkey.Policy{
				{}, {Role: role.ID}, {Scopes: latchkey.Permissions{"a:a"}}, {Scopes: latchkey.Permissions{"a:a", "b:b"}},
				{Scopes: latchkey.Permissions{"b:b", "a:a"}}, {Scopes: latchkey.Permissions{"a:aa"}}, {Scopes: latchkey.Permissions{"A:a"}},
				{Addresses: w.addresses([]string{})}, {Addresses: w.addresses([]string{"10.0.0.0/8"})}, {Addresses: w.addresses([]string{"10.0.0.1/8"})},
				{Resources: latchkey.NewResources(map[string][]string{"a": {}})}, {Resources: latchkey.NewResources(map[string][]string{"a": {"a"}})},
				{Resources: latchkey.NewResources(map[string][]string{"a": {"a:a"}})},
			} {
				for range 2 {
					k := w.newKey(of)
					k.Policy = p
					keys = append(keys, k)
				}
			}
			w.writeKeys(keys)
			for _, k := range keys {
				w.same("key", w.key(k.ID).Key, *k)
			}
		}},
		testCase{"policies: one key's change is not another's", func(w *world) {
			of := w.tenant()
			one, other := w.newKey(of), w.newKey(of)
			one.Policy.Scopes, other.Policy.Scopes = latchkey.Permissions{"a:a"}, latchkey.Permissions{"a:a"}
			w.write(one, other)
			one.Policy.Scopes = latchkey.Permissions{"b:b"}
			w.write(one)
			w.sameKey("changed key", one)
			w.sameKey("other key", other)
		}},
	)
}

// timeCases ask for precision, zone and the ends of the range.
func timeCases() []testCase {
	cet := time.FixedZone("CET", 3600)
	var cases []testCase
	for _, c := range []struct {
		name        string
		given, want time.Time
	}{
		{"none", time.Time{}, time.Time{}},
		{"milliseconds", start, start},
		{"cut, not rounded", start.Add(999_999), start},
		{"another zone", start.In(cet), start},
		{"the epoch is a time", time.Unix(0, 0).UTC(), time.Unix(0, 0).UTC()},
		{"before the epoch", time.Date(1969, 12, 31, 23, 59, 59, 999_900_000, time.UTC), time.Date(1969, 12, 31, 23, 59, 59, 999_000_000, time.UTC)},
		{"the first year", time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC)},
		{"beyond 64 bits of nanoseconds", time.Date(2300, 1, 1, 0, 0, 0, 1_000_000, time.UTC), time.Date(2300, 1, 1, 0, 0, 0, 1_000_000, time.UTC)},
		{"the last year", time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, cet), time.Date(9999, 12, 31, 22, 59, 59, 999_000_000, time.UTC)},
	} {
		cases = append(cases, testCase{"time: " + c.name, func(w *world) {
			of := w.tenant()
			k := w.newKey(of)
			k.Secrets = append(k.Secrets, w.newSecret())
			times := []*time.Time{
				&k.ExpiresAt, &k.RevokedAt, &k.CreatedAt, &k.UpdatedAt, &k.Secrets[0].CreatedAt, &k.Secrets[0].ExpiresAt, &k.Secrets[0].LastUse.At,
			}
			if c.given.IsZero() { // nothing is without the moment of its making
				times = []*time.Time{&k.ExpiresAt, &k.RevokedAt, &k.Secrets[0].ExpiresAt, &k.Secrets[0].LastUse.At}
			}
			for _, t := range times {
				*t = c.given
			}
			b := w.batch(k)
			if !c.given.IsZero() {
				b.event.At = c.given
			}
			position, err := w.submit(b)
			w.ok("Submit", err)
			for _, t := range times {
				*t = c.want
			}
			w.sameKey("key", k)
			if got := w.events(store.EventQuery{After: position - 1})[0].At; !c.want.IsZero() && spellTime(got) != spellTime(c.want) {
				w.t.Errorf("the event is of %s, not of %s", spellTime(got), spellTime(c.want))
			}
		}})
	}
	return append(cases, testCase{"time: the transaction's own", func(w *world) {
		w.see(store.Reads{}, func(v *store.View) {
			if spellTime(v.Now) != spellTime(store.Truncate(v.Now)) || v.Now.IsZero() {
				w.t.Errorf("the view's time is %s", spellTime(v.Now))
			}
		})
	}})
}
