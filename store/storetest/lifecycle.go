package storetest

import (
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// lifecycleCases close stores, and open them again.
func lifecycleCases() []testCase {
	return []testCase{
		{"everything is there after reopening", func(w *world) {
			of := w.tenant()
			in := &store.Installation{ID: w.id(), Operator: of.org.ID, Owner: of.user.ID, Ring: "ring", Versions: []store.RingVersion{{Number: 1, Active: true}}}
			role, k, data := w.newRole(of.org.ID, "a:a"), w.fullKey(of), &store.DataKey{Organization: of.org.ID, Version: 1, Wrapped: []byte{1}}
			record := w.newRecord()
			w.write(in)
			w.write(role, k, data)
			w.remember(record)
			used := w.tick().Add(time.Hour)
			w.uses(w.use(k, 0, used))
			move := store.Redigest{KID: k.Secrets[1].KID, Old: k.Secrets[1].Digest, New: w.digest(), Version: 5}
			w.ok("Redigest", w.s.Redigest(w.ctx(), []store.Redigest{move}))
			k.Secrets[0].LastUse.At, k.Secrets[1].Digest, k.Secrets[1].Pepper = used, move.New, move.Version
			of.org.Keys = 1
			events := w.events(store.EventQuery{})
			for range 2 {
				w.reopen()
				w.sameInstallation("installation", in)
				w.sameOrganization("organization", of.org)
				w.sameProject("project", of.project)
				w.sameUser("user", of.user)
				w.sameRole("role", role)
				w.sameKey("key", k)
				w.sameDataKey("data key", data)
				w.recorded("record", []store.RecordKey{record.RecordKey}, record)
				w.same("events", w.events(store.EventQuery{}), events)
			}
		}},
		{"positions and ordinals go on after reopening", func(w *world) {
			of := w.tenant()
			before := w.newKey(of)
			w.write(before)
			w.reopen()
			after := w.newKey(of)
			if position := w.write(after); position != 3 || after.Ordinal <= before.Ordinal {
				w.t.Errorf("after reopening: position %d, ordinals %d and %d", position, before.Ordinal, after.Ordinal)
			}
			w.gapless(3)
		}},
		{"values stay taken and counts stay right after reopening", func(w *world) {
			of := w.tenant()
			k := w.newKey(of)
			w.write(k)
			w.reopen()
			taken := w.newProject(of.org.ID)
			taken.Name = of.project.Name
			w.conflict("name", taken)
			w.write(w.newKey(of))
			of.org.Keys = 2
			w.sameOrganization("organization", of.org)
			w.pepperVersions(map[int]int64{1: 2})
			if found := w.list(store.KeyQuery{Organization: of.org.ID, Search: k.Name}); len(found) != 1 {
				w.t.Errorf("a search finds %d keys of one name", len(found))
			}
		}},
		{"what was acknowledged by many is there after reopening", func(w *world) {
			of := w.tenant()
			const many = 40
			keys := w.newKeys(of, many)
			var all sync.WaitGroup
			for _, k := range keys {
				b := w.batch(k)
				all.Go(func() {
					if _, err := w.submit(b); err != nil {
						w.t.Errorf("Submit: %v", err)
					}
				})
			}
			all.Wait()
			w.reopen()
			for _, k := range keys {
				w.same("key", w.key(k.ID).Key, *k)
			}
			w.gapless(1 + many)
		}},
		{"closing finishes what was taken", func(w *world) {
			of := w.tenant()
			const many = 50
			keys := w.newKeys(of, many)
			answers := make([]error, many)
			var all sync.WaitGroup
			for i, k := range keys {
				b := w.batch(k)
				all.Go(func() { _, answers[i] = w.submit(b) })
			}
			w.ok("Close", w.s.Close())
			all.Wait()
			w.s = w.place(w.t)
			made := int64(0)
			for i, k := range keys {
				_, err := w.s.Key(w.ctx(), k.ID)
				if answers[i] == nil {
					made++
					w.ok("Key of an acknowledged change", err)
					continue
				}
				w.fails("Submit", answers[i], store.ErrUnavailable)
				w.fails("Key of a refused change", err, store.ErrNotFound)
			}
			w.gapless(1 + made)
		}},
		{"a closed store is unavailable", func(w *world) {
			of := w.tenant()
			k := w.newKey(of)
			w.write(k)
			w.ok("Close", w.s.Close())
			for name, err := range w.getEverything(of.org.ID) {
				w.fails(name, err, store.ErrUnavailable)
			}
			for name, call := range w.everythingElse(k) {
				w.fails(name, call(), store.ErrUnavailable)
			}
			w.s.Changed() // must not panic; there is nothing to wait for
		}},
	}
}

// everythingElse is every call of a store but those of getEverything.
func (w *world) everythingElse(k *latchkey.Key) map[string]func() error {
	ctx, page, s := w.ctx(), store.Page{Organization: k.Organization, Limit: 1}, w.s
	secret := k.Secrets[0]
	return map[string]func() error{
		"Installation": func() error { _, err := s.Installation(ctx); return err },
		"ListKeys": func() error {
			_, err := s.ListKeys(ctx, store.KeyQuery{Organization: k.Organization, Limit: 1})
			return err
		},
		"ListOrganizations": func() error { _, err := s.ListOrganizations(ctx, page); return err },
		"ListProjects":      func() error { _, err := s.ListProjects(ctx, page); return err },
		"ListUsers":         func() error { _, err := s.ListUsers(ctx, page); return err },
		"ListRoles":         func() error { _, err := s.ListRoles(ctx, page); return err },
		"Events":            func() error { _, err := s.Events(ctx, store.EventQuery{Limit: 1}); return err },
		"Head":              func() error { _, err := s.Head(ctx); return err },
		"ByKID":             func() error { _, err := s.ByKID(ctx, secret.KID); return err },
		"ByForeignDigest":   func() error { _, err := s.ByForeignDigest(ctx, [][32]byte{secret.Digest}); return err },
		"Redigest": func() error {
			return s.Redigest(ctx, []store.Redigest{{KID: secret.KID, Old: secret.Digest, New: secret.Digest, Version: 1}})
		},
		"RecordUses":     func() error { return s.RecordUses(ctx, store.UseBatch{Number: 1}) },
		"Usage":          func() error { _, err := s.Usage(ctx, store.UsageQuery{Key: k.ID, Hours: 1}); return err },
		"PepperVersions": func() error { _, err := s.PepperVersions(ctx); return err },
		"Submit": func() error {
			_, err := s.Submit(ctx, store.Change{Apply: func(*store.View) (store.Outcome, error) { return store.Outcome{}, nil }})
			return err
		},
		"TokenRefused": func() error { _, err := s.TokenRefused(ctx, "family"); return err },
		"IssuersAt":    func() error { _, err := s.IssuersAt(ctx, "https://id.example"); return err },
		"Issuers":      func() error { _, err := s.Issuers(ctx, latchkey.ID{1}); return err },
		"SweepTokens":  func() error { return s.SweepTokens(ctx, start) },
		"Sweep":        func() error { return s.Sweep(ctx, store.Old{Uses: start}) },
		"Ping":         func() error { return s.Ping(ctx) },
	}
}
