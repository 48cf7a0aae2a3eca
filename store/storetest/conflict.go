package storetest

import (
	"errors"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// conflict wants the change refused because that field's value is taken, and
// nothing of it written.
func (w *world) conflict(field string, objects ...any) {
	w.t.Helper()
	before := w.head()
	_, err := w.submit(w.batch(objects...))
	w.fails("Submit", err, store.ErrConflict)
	if c, ok := errors.AsType[*store.ConflictError](err); field != "" && (!ok || c.Field != field) {
		w.t.Errorf("the conflict is %v; want it to name %q", err, field)
	}
	if head := w.head(); head != before {
		w.t.Errorf("a refused change moved the head from %d to %d", before, head)
	}
}

// conflictCases ask which values are taken, for whom, how exactly they are
// compared, and until when.
func conflictCases() []testCase {
	cases := []testCase{
		{"names of organizations, users, roles and keys may repeat", func(w *world) {
			of := w.tenant()
			org, user, key := w.newOrganization(), w.newUser(of.org.ID), w.newKey(of)
			role, twin := w.newRole(of.org.ID), w.newRole(of.org.ID)
			org.Name, user.Name, twin.Name = of.org.Name, of.user.Name, role.Name
			other := w.newKey(of)
			other.Name = key.Name
			w.write(org, user, role, twin, key, other)
		}},
		{"kid", func(w *world) {
			of, elsewhere := w.tenant(), w.tenant()
			k, twin := w.newKey(of), w.newKey(elsewhere)
			w.write(k)
			twin.Secrets[0].KID = k.Secrets[0].KID
			w.conflict("", twin)
			_, err := w.s.Key(w.ctx(), twin.ID)
			w.fails("Key", err, store.ErrNotFound)
			w.sameKey("the first key", k)
		}},
		{"kids differ in case", func(w *world) {
			of := w.tenant()
			upper, lower := w.newKey(of), w.newKey(of)
			upper.Secrets[0].KID, lower.Secrets[0].KID = "ABCDEFGHIJKLMNOP", "abcdefghijklmnop"
			w.write(upper)
			w.write(lower)
			w.sameKey("upper", upper)
			w.sameKey("lower", lower)
		}},
		{"digest of an imported key", func(w *world) {
			of, elsewhere := w.tenant(), w.tenant()
			k, twin, native := w.newKey(of), w.newKey(elsewhere), w.newKey(of)
			k.Secrets, twin.Secrets = []latchkey.Secret{w.newForeign()}, []latchkey.Secret{w.newForeign()}
			twin.Secrets[0].Digest, native.Secrets[0].Digest = k.Secrets[0].Digest, k.Secrets[0].Digest
			w.write(k)
			w.conflict("digest", twin)
			w.write(native) // under another scheme it is another thing
			k.RevokedAt = w.tick()
			w.write(k)
			w.conflict("digest", twin) // a revoked key's secret must not come to life again
		}},
		{"twice in one step", func(w *world) {
			of := w.tenant()
			one, two := w.newProject(of.org.ID), w.newProject(of.org.ID)
			two.Name = one.Name
			w.conflict("name", one, two)
			_, err := w.s.Project(w.ctx(), one.ID)
			w.fails("Project", err, store.ErrNotFound)
		}},
		{"nothing of the change is written", func(w *world) {
			of := w.tenant()
			key, role, user, project := w.newKey(of), w.newRole(of.org.ID), w.newUser(of.org.ID), w.newProject(of.org.ID)
			project.Name = of.project.Name
			record := &store.Record{RecordKey: store.RecordKey{Caller: w.id(), Organization: of.org.ID}, CreatedAt: w.tick()}
			batches := []*batch{w.batch(key), w.batch(role), w.batch(user), w.batch(project)}
			head := w.head()
			_, err := w.s.Submit(w.ctx(), store.Change{Apply: func(*store.View) (store.Outcome, error) {
				o := store.Outcome{Record: record}
				for _, b := range batches {
					o.Steps = append(o.Steps, b.step())
				}
				return o, nil
			}})
			w.fails("Submit", err, store.ErrConflict)
			_, err = w.s.Key(w.ctx(), key.ID)
			w.fails("Key", err, store.ErrNotFound)
			_, err = w.s.ByKID(w.ctx(), key.Secrets[0].KID)
			w.fails("ByKID", err, store.ErrNotFound)
			_, err = w.s.Role(w.ctx(), role.ID)
			w.fails("Role", err, store.ErrNotFound)
			_, err = w.s.User(w.ctx(), user.ID)
			w.fails("User", err, store.ErrNotFound)
			w.see(store.Reads{Records: []store.RecordKey{record.RecordKey}}, func(v *store.View) {
				if len(v.Records) != 0 {
					w.t.Error("a refused call is remembered")
				}
			})
			w.sameOrganization("organization", of.org) // with no key counted
			if w.write(key, role, user) != head+1 {
				w.t.Error("a refused change left a gap")
			}
		}},
	}
	for _, u := range []uniqueValue{
		{"name", "project", func(w *world, org latchkey.ID, value string) *uniqueObject {
			p := w.newProject(org)
			p.Name = value
			return &uniqueObject{p, func(v string) { p.Name = v }, &p.Record}
		}},
		{"email", "user", func(w *world, org latchkey.ID, value string) *uniqueObject {
			u := w.newUser(org)
			u.Email = value
			return &uniqueObject{u, func(v string) { u.Email = v }, &u.Record}
		}},
		{"identifier", "role", func(w *world, org latchkey.ID, value string) *uniqueObject {
			r := w.newRole(org)
			r.Identifier = value
			return &uniqueObject{r, func(v string) { r.Identifier = v }, &r.Record}
		}},
	} {
		cases = append(cases, u.cases()...)
	}
	return cases
}

// uniqueValue is a field whose value one object of an organization may have.
type uniqueValue struct {
	field, noun string
	build       func(w *world, org latchkey.ID, value string) *uniqueObject
}

type uniqueObject struct {
	object any
	set    func(value string)
	record *latchkey.Record
}

func (u uniqueValue) cases() []testCase {
	const value, folded = "some.one@example.com", "Some.One@Example.COM"
	what := u.noun + "'s " + u.field
	return []testCase{
		{what + " is taken", func(w *world) {
			of := w.tenant()
			w.write(u.build(w, of.org.ID, value).object)
			w.conflict(u.field, u.build(w, of.org.ID, value).object)
		}},
		{what + " is free in another organization", func(w *world) {
			of, elsewhere := w.tenant(), w.tenant()
			w.write(u.build(w, of.org.ID, value).object)
			w.write(u.build(w, elsewhere.org.ID, value).object)
		}},
		{what + " in another case", func(w *world) {
			of := w.tenant()
			w.write(u.build(w, of.org.ID, value).object)
			if other := u.build(w, of.org.ID, folded); u.field == "email" {
				w.conflict(u.field, other.object)
			} else {
				w.write(other.object)
			}
		}},
		{what + " with a space more", func(w *world) {
			of := w.tenant()
			w.write(u.build(w, of.org.ID, value).object)
			w.write(u.build(w, of.org.ID, value+" ").object)
			w.write(u.build(w, of.org.ID, " "+value).object)
		}},
		{what + " composed and decomposed", func(w *world) {
			of := w.tenant()
			w.write(u.build(w, of.org.ID, "caf\u00e9").object)
			w.write(u.build(w, of.org.ID, "cafe\u0301").object)
			w.write(u.build(w, of.org.ID, "cafe").object)
		}},
		{what + " is kept by a change of something else", func(w *world) {
			of := w.tenant()
			o := u.build(w, of.org.ID, value)
			w.write(o.object)
			o.record.UpdatedAt = w.tick()
			w.write(o.object)
		}},
		{what + " changes to one that is taken", func(w *world) {
			of := w.tenant()
			o := u.build(w, of.org.ID, "another")
			w.write(u.build(w, of.org.ID, value).object, o.object)
			o.set(value)
			w.conflict(u.field, o.object)
			o.set("another")
			w.write(o.object)
		}},
		{what + " is free once its object has another", func(w *world) {
			of := w.tenant()
			o := u.build(w, of.org.ID, value)
			w.write(o.object)
			o.set("another")
			w.write(o.object)
			w.write(u.build(w, of.org.ID, value).object)
			w.conflict(u.field, u.build(w, of.org.ID, "another").object)
		}},
		{what + " is free once its object is deleted", func(w *world) {
			of := w.tenant()
			for range 3 {
				o := u.build(w, of.org.ID, value)
				w.write(o.object)
				o.record.DeletedAt = w.tick()
				w.write(o.object)
			}
		}},
	}
}
