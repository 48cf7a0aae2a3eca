package storetest

import (
	"fmt"
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// keyListCases ask for lists of keys: orders, cursors, each filter on its own,
// and then all of them against an oracle.
func keyListCases() []testCase {
	var cases []testCase
	for _, by := range keySorts() {
		for _, descending := range []bool{false, true} {
			order := fmt.Sprintf("by %s, descending %v", by, descending)
			cases = append(cases,
				testCase{order + ": each key once", func(w *world) { w.walkStill(by, descending) }},
				testCase{order + ": each key once while others come and go", func(w *world) { w.walkMoving(by, descending) }},
			)
		}
	}
	cases = append(cases,
		testCase{"all orders and filters against an oracle", func(w *world) { w.listLaw() }},
		testCase{"all orders and filters against an oracle, among many", func(w *world) { w.bigListLaw() }},
		testCase{"lists and totals against an oracle, whatever happens", func(w *world) { w.historyLaw() }},
		testCase{"totals of nothing", func(w *world) {
			of := w.tenant()
			w.counts("keys of a new organization", store.KeyQuery{Organization: of.org.ID}, 0)
			w.counts("keys of nobody", store.KeyQuery{Organization: w.id()}, 0)
			w.writeKeys(w.newKeys(of, 2))
			w.counts("keys", store.KeyQuery{Organization: of.org.ID}, 2)
			of.org.DeletedAt = w.tick()
			w.write(of.org)
			w.counts("keys of a deleted organization", store.KeyQuery{Organization: of.org.ID}, 0)
		}},
		testCase{"totals after the store was closed and opened", func(w *world) {
			of := w.tenant()
			keys := w.newKeys(of, 9)
			for i, k := range keys {
				k.Owner, k.ExpiresAt = of.user.ID, start.Add(time.Duration(i)*time.Minute)
			}
			w.writeKeys(keys)
			w.reopen()
			live := store.KeyQuery{Organization: of.org.ID, HasOwner: true, States: []latchkey.State{latchkey.StateLive}, Now: start.Add(3 * time.Minute)}
			w.counts("live keys", live, 5)
			of.user.Suspended = true
			w.write(of.user)
			w.counts("live keys of a user who is suspended", live, 0)
			w.reopen()
			of.user.Suspended = false
			w.write(of.user)
			w.counts("live keys of a user who is no longer", live, 5)
		}},
		testCase{"totals while many keys expire", func(w *world) {
			of := w.tenant()
			keys := w.newKeys(of, 2700)
			for i, k := range keys {
				k.ExpiresAt, k.Enabled = start.Add(time.Duration(i)*time.Millisecond), i%9 > 0
			}
			w.writeChunks(keys, 900)
			// A ninth of them is disabled, and expires to no effect.
			for _, gone := range []int{0, 9, 999, 1008, 1800, 2691, 2700} {
				now := start.Add(time.Duration(gone)*time.Millisecond - time.Millisecond)
				w.counts("live keys", store.KeyQuery{Organization: of.org.ID, States: latchkey.States()[:1], Now: now}, int64(2700-gone)*8/9)
				w.counts("expired keys", store.KeyQuery{Organization: of.org.ID, States: latchkey.States()[2:3], Now: now}, int64(gone)*8/9)
				w.counts("keys that are not live", store.KeyQuery{Organization: of.org.ID, States: latchkey.States()[1:], Now: now}, int64(gone)*8/9+300)
			}
		}},
		testCase{"what an offset leaves out", func(w *world) {
			of := w.tenant()
			keys := w.newKeys(of, 6)
			for i, k := range keys {
				k.Name = string("aabbcc"[i])
			}
			w.writeKeys(keys)
			after := cursorAt(store.ByName, keys[0])
			w.sameIDs("keys after the first, less two", keyIDs(w.list(store.KeyQuery{Organization: of.org.ID, Sort: store.ByName, After: &after, Offset: 2, Limit: 2})),
				[]latchkey.ID{keys[3].ID, keys[4].ID})
			after = cursorAt(store.ByCreation, keys[4])
			w.sameIDs("keys before the fifth, less one", keyIDs(w.list(store.KeyQuery{Organization: of.org.ID, Descending: true, After: &after, Offset: 1, Limit: 2})),
				[]latchkey.ID{keys[2].ID, keys[1].ID})
			w.sameIDs("keys beyond the last", keyIDs(w.list(store.KeyQuery{Organization: of.org.ID, Offset: 6})), nil)
		}},
		testCase{"an order of several terms", func(w *world) {
			of := w.tenant()
			keys := w.newKeys(of, 5)
			for i, k := range keys {
				k.Name = string("babab"[i])
			}
			keys[1].Policy.Role, keys[2].Enabled, keys[3].ExpiresAt, keys[4].RevokedAt = latchkey.BuiltinRoles()[0].ID, false, start, start
			w.writeKeys(keys)
			order := func(what string, q store.KeyQuery, want ...int) {
				w.t.Helper()
				var ids []latchkey.ID
				for _, i := range want {
					ids = append(ids, keys[i].ID)
				}
				q.Organization = of.org.ID
				w.sameIDs(what, keyIDs(w.list(q)), ids)
			}
			order("by state", store.KeyQuery{Sort: store.ByState}, 4, 2, 3, 0, 1)
			order("by state, descending", store.KeyQuery{Sort: store.ByState, Descending: true}, 1, 0, 3, 2, 4)
			order("by role", store.KeyQuery{Sort: store.ByRole}, 0, 2, 3, 4, 1)
			order("by name, then last first", store.KeyQuery{Sort: store.ByName, Then: []store.KeyOrder{{By: store.ByCreation, Descending: true}}}, 3, 1, 4, 2, 0)
			order("by name, then by state", store.KeyQuery{Sort: store.ByName, Then: []store.KeyOrder{{By: store.ByState}}}, 3, 1, 4, 2, 0)
		}},
		testCase{"no order is the order of making", func(w *world) {
			of := w.tenant()
			keys := w.newKeys(of, 5)
			for _, k := range slices.Backward(keys) {
				w.write(k)
			}
			w.sameIDs("keys", keyIDs(w.list(store.KeyQuery{Organization: of.org.ID})), []latchkey.ID{keys[4].ID, keys[3].ID, keys[2].ID, keys[1].ID, keys[0].ID})
		}},
		testCase{"names go by bytes", func(w *world) {
			of := w.tenant()
			names := []string{"", "!", "10", "9", "A", "Z", "_", "a", "a ", "aa", "b", "e\u0301", "z", "\u00c9", "\u00e9", "日", "\uffee", "😀"}
			if !slices.IsSorted(names) {
				w.t.Fatal("the case itself is not in order")
			}
			var want []latchkey.ID
			keys := w.newKeys(of, len(names))
			for i, k := range keys {
				k.Name = names[i]
				want = append(want, k.ID)
			}
			shuffled := slices.Clone(keys)
			slices.SortFunc(shuffled, func(a, b *latchkey.Key) int { return slices.Compare(a.ID[:], b.ID[:]) })
			w.writeKeys(shuffled)
			w.sameIDs("keys by name", keyIDs(w.list(store.KeyQuery{Organization: of.org.ID, Sort: store.ByName})), want)
			for i, k := range keys[:len(keys)-1] {
				after := cursorAt(store.ByName, k)
				w.sameIDs(fmt.Sprintf("keys after %+q", k.Name),
					keyIDs(w.list(store.KeyQuery{Organization: of.org.ID, Sort: store.ByName, After: &after})), want[i+1:])
			}
		}},
		testCase{"keys without expiry are last", func(w *world) {
			of := w.tenant()
			keys := w.newKeys(of, 4)
			keys[1].ExpiresAt, keys[2].ExpiresAt = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), time.Unix(0, 0).UTC()
			w.writeKeys(keys)
			want := []latchkey.ID{keys[2].ID, keys[1].ID, keys[0].ID, keys[3].ID}
			w.sameIDs("keys by expiry", keyIDs(w.list(store.KeyQuery{Organization: of.org.ID, Sort: store.ByExpiry})), want)
			slices.Reverse(want)
			w.sameIDs("keys by expiry, descending", keyIDs(w.list(store.KeyQuery{Organization: of.org.ID, Sort: store.ByExpiry, Descending: true})), want)
		}},
		testCase{"a cursor of a key that is no longer listed", func(w *world) {
			of := w.tenant()
			keys := w.newKeys(of, 5)
			for i, k := range keys {
				k.Name = string(rune('a' + i))
			}
			w.writeKeys(keys)
			for _, by := range keySorts() {
				after := cursorAt(by, keys[2])
				w.sameIDs("keys after the third", keyIDs(w.list(store.KeyQuery{Organization: of.org.ID, Sort: by, After: &after, Project: of.project.ID})),
					[]latchkey.ID{keys[3].ID, keys[4].ID})
			}
			gone := *keys[2]
			keys[2].RevokedAt, keys[2].Name, keys[2].ExpiresAt = w.tick(), "zzz", w.tick()
			w.write(keys[2])
			for _, by := range []store.KeySort{store.ByCreation, store.ByName, store.ByExpiry} {
				after := cursorAt(by, &gone)
				w.sameIDs(fmt.Sprintf("live keys after where the third was, by %s", by),
					keyIDs(w.list(store.KeyQuery{Organization: of.org.ID, Sort: by, After: &after, States: []latchkey.State{latchkey.StateLive}})),
					[]latchkey.ID{keys[3].ID, keys[4].ID})
			}
		}},
		testCase{"limits", func(w *world) {
			of := w.tenant()
			w.writeKeys(w.newKeys(of, 7))
			for _, limit := range []int{1, 6, 7, 8, 1000} {
				if got := len(w.list(store.KeyQuery{Organization: of.org.ID, Limit: limit})); got != min(limit, 7) {
					w.t.Errorf("%d of 7 keys within a limit of %d", got, limit)
				}
			}
		}},
	)
	return append(cases, filterCases()...)
}

// filterCases have one key that passes beside several that nearly do.
func filterCases() []testCase {
	var cases []testCase
	for _, f := range []struct {
		name  string
		setup func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery
	}{
		{"project", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			p := w.newProject(of.org.ID)
			w.write(p)
			pass.Project = p.ID
			return store.KeyQuery{Project: p.ID}
		}},
		{"reach", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			fail.Reach = latchkey.ReachOrganization
			return store.KeyQuery{MaxReach: latchkey.ReachProject}
		}},
		{"reach, no further than the organization", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			pass.Reach, fail.Reach = latchkey.ReachOrganization, latchkey.ReachAll
			return store.KeyQuery{MaxReach: latchkey.ReachOrganization}
		}},
		{"role", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			r := w.newRole(of.org.ID)
			w.write(r)
			// The owner's role is not the key's.
			of.user.Memberships = []latchkey.Membership{{Role: r.ID}}
			w.write(of.user)
			pass.Policy.Role, fail.Owner = r.ID, of.user.ID
			return store.KeyQuery{Role: r.ID}
		}},
		{"built-in role", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			pass.Policy.Role, fail.Policy.Role = latchkey.BuiltinRoles()[0].ID, latchkey.BuiltinRoles()[1].ID
			return store.KeyQuery{Role: pass.Policy.Role}
		}},
		{"owner", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			other := w.newUser(of.org.ID)
			w.write(other)
			pass.Owner, fail.Owner = of.user.ID, other.ID
			return store.KeyQuery{Owner: of.user.ID}
		}},
		{"partner", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			pass.Partner, fail.Partner = "Acme", "Acme "
			return store.KeyQuery{Partner: "Acme"}
		}},
		{"partner in another case", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			pass.Partner, fail.Partner = "Acme", "ACME"
			return store.KeyQuery{Partner: "Acme"}
		}},
		{"partner that looks like a pattern", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			pass.Partner, fail.Partner = "A%", "Acme"
			return store.KeyQuery{Partner: "A%"}
		}},
		{"having a role", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			pass.Policy.Role, fail.Owner, fail.Partner = w.id(), of.user.ID, "Acme"
			return store.KeyQuery{HasRole: true}
		}},
		{"having a built-in role", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			r := w.newRole(of.org.ID)
			w.write(r)
			pass.Policy.Role, fail.Policy.Role = latchkey.BuiltinRoles()[15].ID, r.ID
			return store.KeyQuery{Builtin: true}
		}},
		{"having an owner", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			pass.Owner, fail.Policy.Role, fail.Partner = of.user.ID, latchkey.BuiltinRoles()[0].ID, "Acme"
			return store.KeyQuery{HasOwner: true}
		}},
		{"having an owner who is gone", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			pass.Owner, of.user.DeletedAt = of.user.ID, w.tick()
			w.write(of.user)
			return store.KeyQuery{HasOwner: true}
		}},
		{"having a partner", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			pass.Partner, fail.Owner, fail.Policy.Role = " ", of.user.ID, latchkey.BuiltinRoles()[0].ID
			return store.KeyQuery{HasPartner: true}
		}},
		{"creator", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			pass.CreatedBy, fail.CreatedBy = latchkey.Principal{Kind: latchkey.PrincipalUser, ID: of.user.ID}, latchkey.Principal{Kind: latchkey.PrincipalUser, ID: w.id()}
			fail.UpdatedBy = pass.CreatedBy
			return store.KeyQuery{Creator: of.user.ID}
		}},
		{"creator that is a key", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			pass.CreatedBy = latchkey.Principal{Kind: latchkey.PrincipalKey, ID: w.id()}
			return store.KeyQuery{Creator: pass.CreatedBy.ID}
		}},
		{"name", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			pass.Name, fail.Name = "Billing", "billing"
			return store.KeyQuery{Name: "Billing"}
		}},
		{"id in a search", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			return store.KeyQuery{Search: pass.ID.Hex(), SearchIDs: true}
		}},
		{"name in a search for ids", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			pass.Name = "of " + string(fail.Secrets[0].KID[:4])
			return store.KeyQuery{Search: string(fail.Secrets[0].KID[:4]), SearchIDs: true}
		}},
		{"disabled, expired or revoked: the first", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			pass.Enabled = false
			return store.KeyQuery{States: latchkey.States()[1:]}
		}},
		{"disabled, expired or revoked: the last", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			pass.RevokedAt = start
			return store.KeyQuery{States: latchkey.States()[1:]}
		}},
		{"live or disabled", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			pass.Enabled, pass.ExpiresAt, fail.ExpiresAt = false, start, start
			return store.KeyQuery{States: latchkey.States()[:2]}
		}},
		{"live", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			fail.Enabled = false
			return store.KeyQuery{States: []latchkey.State{latchkey.StateLive}}
		}},
		{"live, for now", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			pass.ExpiresAt, fail.ExpiresAt = start.Add(time.Hour).Add(time.Millisecond), start.Add(time.Hour)
			return store.KeyQuery{States: []latchkey.State{latchkey.StateLive}, Now: start.Add(time.Hour)}
		}},
		{"disabled", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			pass.Enabled, pass.ExpiresAt, fail.ExpiresAt = false, start, start // disabled is told before expired
			return store.KeyQuery{States: []latchkey.State{latchkey.StateDisabled}}
		}},
		{"disabled by its owner's suspension", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			other := w.newUser(of.org.ID)
			of.user.Suspended = true
			w.write(of.user, other)
			pass.Owner, fail.Owner = of.user.ID, other.ID
			return store.KeyQuery{States: []latchkey.State{latchkey.StateDisabled}}
		}},
		{"disabled by its owner's deletion", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			pass.Owner = of.user.ID
			of.user.DeletedAt = w.tick()
			w.write(of.user)
			return store.KeyQuery{States: []latchkey.State{latchkey.StateDisabled}}
		}},
		{"disabled by its organization's suspension", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			of.org.Suspended, fail.RevokedAt = true, start // revoked is told before disabled
			w.write(of.org)
			return store.KeyQuery{States: []latchkey.State{latchkey.StateDisabled}}
		}},
		{"expired", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			pass.ExpiresAt, fail.ExpiresAt = start.Add(time.Hour), start.Add(time.Hour).Add(time.Millisecond)
			return store.KeyQuery{States: []latchkey.State{latchkey.StateExpired}, Now: start.Add(time.Hour)}
		}},
		{"expired long ago", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			pass.ExpiresAt = time.Unix(0, 0).UTC()
			return store.KeyQuery{States: []latchkey.State{latchkey.StateExpired}}
		}},
		{"revoked", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			pass.RevokedAt, pass.Enabled, fail.Enabled = start, false, false
			return store.KeyQuery{States: []latchkey.State{latchkey.StateRevoked}}
		}},
		{"expiring before", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			pass.ExpiresAt, fail.ExpiresAt = start.Add(time.Hour-time.Millisecond), start.Add(time.Hour)
			return store.KeyQuery{ExpiringBefore: start.Add(time.Hour)}
		}},
		{"expiring before, not revoked", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			pass.ExpiresAt, fail.ExpiresAt, fail.RevokedAt = start, start, start
			return store.KeyQuery{ExpiringBefore: start.Add(time.Hour)}
		}},
		{"unused since, made before", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			pass.CreatedAt, fail.CreatedAt = start.Add(time.Hour-time.Millisecond), start.Add(time.Hour)
			return store.KeyQuery{UnusedSince: start.Add(time.Hour)}
		}},
		{"unused since", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			pass.Secrets[0].LastUse.At, fail.Secrets[0].LastUse.At = start.Add(time.Hour-time.Millisecond), start.Add(time.Hour)
			return store.KeyQuery{UnusedSince: start.Add(time.Hour)}
		}},
		{"unused since, by any secret", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			fail.Secrets = append(fail.Secrets, w.newSecret())
			fail.Secrets[0].LastUse.At = start.Add(time.Hour)
			return store.KeyQuery{UnusedSince: start.Add(time.Hour)}
		}},
		{"unused since, not revoked", func(w *world, of *tenant, pass, fail *latchkey.Key) store.KeyQuery {
			fail.RevokedAt = start
			return store.KeyQuery{UnusedSince: start.Add(time.Hour)}
		}},
	} {
		cases = append(cases, testCase{"filter: " + f.name, func(w *world) {
			of, elsewhere := w.tenant(), w.tenant()
			pass, fail, foreign := w.newKey(of), w.newKey(of), w.newKey(elsewhere)
			q := f.setup(w, of, pass, fail)
			q.Organization = of.org.ID
			theirs := *pass
			theirs.ID, theirs.Organization, theirs.Secrets = foreign.ID, foreign.Organization, foreign.Secrets
			w.write(fail, pass, &theirs)
			for _, by := range keySorts() {
				q.Sort = by
				w.sameIDs(fmt.Sprintf("keys by %s", by), keyIDs(w.list(q)), []latchkey.ID{pass.ID})
			}
			w.counts("keys", q, 1)
		}})
	}
	return append(cases,
		testCase{"filter: a use makes a key used", func(w *world) {
			k := w.newKey(w.tenant())
			w.write(k)
			q := store.KeyQuery{Organization: k.Organization, UnusedSince: w.tick()}
			w.sameIDs("unused keys", keyIDs(w.list(q)), []latchkey.ID{k.ID})
			w.uses(w.use(k, 0, q.UnusedSince))
			w.sameIDs("unused keys", keyIDs(w.list(q)), nil)
		}},
		testCase{"filter: states follow the present", func(w *world) {
			of := w.tenant()
			k := w.newKey(of)
			k.Owner = of.user.ID
			w.write(k)
			is := func(want latchkey.State) {
				w.t.Helper()
				for _, state := range latchkey.States() {
					got := len(w.list(store.KeyQuery{Organization: of.org.ID, States: []latchkey.State{state}, Now: start}))
					if (got == 1) != (state == want) {
						w.t.Errorf("of keys that are %s there are %d; the key is %s", state, got, want)
					}
				}
			}
			is(latchkey.StateLive)
			of.user.Suspended = true
			w.write(of.user)
			is(latchkey.StateDisabled)
			of.user.Suspended, of.org.Suspended = false, true
			w.write(of.user, of.org)
			is(latchkey.StateDisabled)
			of.org.Suspended = false
			k.ExpiresAt = start
			w.write(of.org, k)
			is(latchkey.StateExpired)
			k.Enabled = false
			w.write(k)
			is(latchkey.StateDisabled)
			k.RevokedAt = start
			w.write(k)
			is(latchkey.StateRevoked)
		}},
	)
}

// pages walks a whole list, and lets something happen after each page.
func (w *world) pages(q store.KeyQuery, between func(page []store.ListedKey)) []store.ListedKey {
	w.t.Helper()
	var all []store.ListedKey
	for {
		page := w.list(q)
		if len(page) > q.Limit {
			w.t.Fatalf("%d keys on a page of %d", len(page), q.Limit)
		}
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
		if len(all) > 10_000 {
			w.t.Fatal("the list has no end")
		}
		after := cursorAt(q.Sort, &page[len(page)-1].Key)
		q.After = &after
		between(page)
	}
}

// motley is n keys that tie in every order, in steps of several.
func (w *world) motley(of *tenant, n int) []*latchkey.Key {
	keys := w.newKeys(of, n)
	for i, k := range keys {
		k.Name = string(rune('a' + i*7%5))
		if i%3 > 0 {
			k.ExpiresAt = start.Add(time.Duration(i*11%4) * time.Hour)
		}
	}
	w.writeChunks(keys, 4)
	return keys
}

func (w *world) walkStill(by store.KeySort, descending bool) {
	of, elsewhere := w.tenant(), w.tenant()
	keys := w.motley(of, 29)
	w.motley(elsewhere, 5)
	truth := oracle{keys: keys, suspended: func(*latchkey.Key) bool { return false }}
	want := truth.answer(store.KeyQuery{Organization: of.org.ID, Sort: by, Descending: descending, Limit: len(keys)})
	for _, limit := range []int{1, 2, 5, 29, 100} {
		got := w.pages(store.KeyQuery{Organization: of.org.ID, Sort: by, Descending: descending, Limit: limit}, func([]store.ListedKey) {})
		w.sameIDs(fmt.Sprintf("pages of %d", limit), keyIDs(got), want)
	}
}

// walkMoving creates, revokes and changes keys between pages. Keys that stay as
// they are must come exactly once; a key that is changed is another one where
// the order goes by changes.
func (w *world) walkMoving(by store.KeySort, descending bool) {
	of := w.tenant()
	keys := w.motley(of, 30)
	touched := map[latchkey.ID]bool{}
	turn := 0
	got := w.pages(store.KeyQuery{Organization: of.org.ID, Sort: by, Descending: descending, Limit: 4}, func(page []store.ListedKey) {
		if turn++; turn > 6 { // by changes, ascending, it would never end
			return
		}
		behind, ahead := page[0].Key, keys[(turn*5)%len(keys)]
		behind.RevokedAt, ahead.RevokedAt = start, start
		touched[behind.ID], touched[ahead.ID] = true, true
		fresh := w.newKey(of)
		fresh.Name, fresh.ExpiresAt = string(rune('a'+turn%5)), start.Add(time.Duration(turn%4)*time.Hour)
		w.write(fresh)
		if behind.ID == ahead.ID {
			w.write(ahead)
		} else {
			w.write(&behind, ahead)
		}
	})
	times := map[latchkey.ID]int{}
	for _, k := range got {
		times[k.ID]++
	}
	for i, k := range keys {
		if moved := by == store.ByUpdate && touched[k.ID]; !moved && times[k.ID] != 1 {
			w.t.Errorf("key %d came %d times", i, times[k.ID])
		}
	}
	for id, n := range times {
		if n > 1 && (by != store.ByUpdate || !touched[id]) {
			w.t.Errorf("a key came %d times", n)
		}
	}
}
