package storetest

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// The law's values are few, so that keys tie and filters meet. What comes more
// than once is drawn more often.
var (
	lawNames    = []string{"a", "A", "b", "é", "É", "ß", "%", "_", `"`, "'", "*", "日", "😀", " ", "-", "ab", "Ω", "ж", "prod", "PROD", "prod"}
	lawPartners = []string{"", "acme", "ACME", "acme ", "acme", "acme"}
	lawTimes    = []time.Time{
		{}, time.Unix(0, 0).UTC(), start.Add(-time.Millisecond), start, start.Add(time.Millisecond), start.Add(time.Hour),
	}
	lawReaches = []latchkey.Reach{latchkey.ReachProject, latchkey.ReachProject, latchkey.ReachOrganization, latchkey.ReachAll}
)

// dice decides between n possibilities.
type dice func(n int, what string) int

func rapidDice(t *rapid.T) dice {
	return func(n int, what string) int { return rapid.IntRange(0, n-1).Draw(t, what) }
}

// once is true in one of n cases.
func (d dice) once(in int, what string) bool { return d(in, what) == in-1 }

func one[T any](d dice, of []T, what string) T { return of[d(len(of), what)] }

// lawWorld is one organization of the law, with its oracle.
type lawWorld struct {
	*world
	of       *tenant
	users    []*latchkey.User
	projects []latchkey.ID
	owners   []latchkey.ID
	roles    []latchkey.ID
	creators []latchkey.Principal
	oracle
}

// listLaw draws small organizations and asks each for many lists.
func (w *world) listLaw() {
	rapid.Check(w.t, func(t *rapid.T) {
		d := rapidDice(t)
		l := w.drawLaw(d, 1+d(14, "keys"))
		for range 5 {
			l.ask(t)
		}
	})
}

// bigListLaw asks one organization with many keys, where a driver may take other
// ways to them.
func (w *world) bigListLaw() {
	d := rand.New(w.random) //nolint:gosec // data for a test, the same each time
	l := w.drawLaw(func(n int, _ string) int { return d.IntN(n) }, 3000)
	rapid.Check(w.t, l.ask)
}

// historyLaw draws what happens to an organization, and asks for lists and
// totals while it does.
func (w *world) historyLaw() {
	rapid.Check(w.t, func(t *rapid.T) {
		d := rapidDice(t)
		l := w.drawLaw(d, 1+d(6, "keys"))
		for range 6 {
			l.happen(d)
			l.ask(t)
			l.ask(t)
		}
		l.reask(t)
	})
}

// happen writes a change of a few steps that create keys, change them, and
// suspend whom they hang on or let it be again.
func (l *lawWorld) happen(d dice) {
	var batches []*batch
	var fresh []*latchkey.Key
	touched := map[any]bool{}
	for range 1 + d(4, "steps") {
		var rows []any
		add := func(row any) {
			if !touched[row] {
				touched[row], rows = true, append(rows, row)
			}
		}
		for range 1 + d(3, "rows") {
			switch d(6, "what happens") {
			case 0:
				l.of.org.Suspended = d.once(3, "organization suspended")
				add(l.of.org)
			case 1, 2:
				u := one(d, l.users, "user")
				u.Suspended = !u.Suspended
				if d.once(8, "user deleted") {
					u.DeletedAt = l.tick()
				}
				add(u)
			case 3:
				k := one(d, l.keys, "key")
				if !touched[k] {
					l.drawState(d, k)
				}
				add(k)
			default:
				k := l.drawKey(d)
				fresh = append(fresh, k)
				add(k)
			}
		}
		if len(rows) > 0 {
			batches = append(batches, l.batch(rows...))
		}
	}
	_, err := l.submit(batches...)
	l.ok("Submit", err)
	l.keys = append(l.keys, fresh...)
}

// reask asks for totals that a driver counts as it writes, each of them.
func (l *lawWorld) reask(t *rapid.T) {
	for _, states := range [][]latchkey.State{nil, latchkey.States()[:1], latchkey.States()[1:]} {
		for _, q := range []store.KeyQuery{{}, {HasPartner: true}, {HasOwner: true}, {HasRole: true}, {Builtin: true}} {
			q.Organization, q.Now, q.States = l.of.org.ID, start, states
			l.askTotal(t, q)
		}
	}
}

// askTotal holds a total against the oracle.
func (l *lawWorld) askTotal(t *rapid.T, q store.KeyQuery) {
	got, err := l.s.CountKeys(l.ctx(), q)
	if want := l.total(q); err != nil || got != want {
		t.Fatalf("%+v\n\t%d keys (%v), want %d", q, got, err, want)
	}
}

// ask draws a query and holds the answers against the oracle.
func (l *lawWorld) ask(t *rapid.T) {
	q := l.drawQuery(rapidDice(t))
	listed := l.list(q)
	got, want := keyIDs(listed), l.answer(q)
	if !slices.Equal(got, want) {
		t.Fatalf("%+v\n\tgot  %s\n\twant %s", q, spellIDs(got), spellIDs(want))
	}
	for _, k := range listed {
		at := slices.IndexFunc(l.keys, func(o *latchkey.Key) bool { return o.ID == k.ID })
		if k.Suspended != l.suspended(l.keys[at]) {
			t.Fatalf("suspended is %v of key %s", k.Suspended, k.ID.Hex())
		}
	}
	l.askTotal(t, q)
}

// drawLaw writes one organization with n keys.
func (w *world) drawLaw(d dice, n int) *lawWorld {
	l := &lawWorld{world: w, of: w.newTenant()}
	org := l.of.org
	org.Suspended = n < 100 && d.once(6, "organization suspended")
	second, away, gone := w.newProject(org.ID), w.newUser(org.ID), w.newUser(org.ID)
	role := w.newRole(org.ID)
	away.Suspended, gone.DeletedAt = true, w.tick()
	w.write(org, l.of.project, second, l.of.user, away, gone, role)
	l.users = []*latchkey.User{l.of.user, away, gone}
	l.creators = []latchkey.Principal{
		{Kind: latchkey.PrincipalSystem}, {Kind: latchkey.PrincipalUser, ID: l.of.user.ID}, {Kind: latchkey.PrincipalKey, ID: w.id()},
	}
	l.projects = []latchkey.ID{l.of.project.ID, second.ID}
	l.owners = []latchkey.ID{{}, l.of.user.ID, away.ID, gone.ID}
	l.roles = []latchkey.ID{{}, role.ID, latchkey.BuiltinRoles()[3].ID}
	l.oracle.suspended = func(k *latchkey.Key) bool {
		return org.Suspended || slices.ContainsFunc(l.users, func(u *latchkey.User) bool { return u.ID == k.Owner && (u.Suspended || u.Deleted()) })
	}
	var changed []*latchkey.Key
	for range n {
		k := l.drawKey(d)
		l.keys = append(l.keys, k)
	}
	each := max(5, n/4)
	w.writeChunks(l.keys, each)
	for _, k := range l.keys {
		if n < 100 && d.once(4, "changed") || n >= 100 && d.once(20, "changed") {
			l.drawState(d, k)
			changed = append(changed, k)
		}
	}
	w.writeChunks(changed, 2)
	return l
}

func (l *lawWorld) drawKey(d dice) *latchkey.Key {
	k := l.newKey(l.of)
	k.Project = one(d, l.projects, "project")
	k.Reach = one(d, lawReaches, "reach")
	k.CreatedAt = one(d, lawTimes[1:], "made")
	k.CreatedBy = one(d, l.creators, "creator")
	if d.once(4, "second secret") {
		k.Secrets = append(k.Secrets, l.newSecret())
	}
	for i := range k.Secrets {
		k.Secrets[i].LastUse.At = one(d, lawTimes, "used")
	}
	l.drawState(d, k)
	return k
}

// drawState draws what a key's life changes.
func (l *lawWorld) drawState(d dice, k *latchkey.Key) {
	k.Name = drawName(d, 0)
	k.Partner = one(d, lawPartners, "partner")
	k.Owner = one(d, l.owners, "owner")
	k.Policy.Role = one(d, l.roles, "role")
	k.Enabled = !d.once(4, "disabled")
	k.ExpiresAt = one(d, lawTimes, "expires")
	if d.once(4, "revoked") {
		k.RevokedAt = start
	}
}

func drawName(d dice, least int) string {
	parts := make([]string, least+d(6, "parts"))
	for i := range parts {
		parts[i] = one(d, lawNames, "part")
	}
	return strings.Join(parts, "")
}

// drawQuery draws a few filters together, and often a place in the order.
func (l *lawWorld) drawQuery(d dice) store.KeyQuery {
	q := store.KeyQuery{
		Organization: l.of.org.ID, Now: one(d, lawTimes[2:], "now"), Sort: one(d, keySorts(), "sort"), Descending: d.once(2, "descending"),
		Limit: one(d, []int{100, 3, 1}, "limit"), Offset: one(d, []int{0, 0, 1, 4}, "offset"),
		HasRole: d.once(5, "with a role"), Builtin: d.once(8, "with a built-in role"),
		HasOwner: d.once(5, "with an owner"), HasPartner: d.once(5, "with a partner"),
	}
	if d.once(5, "by project") {
		q.Project = one(d, l.projects, "project")
	}
	if d.once(5, "by reach") {
		q.MaxReach = one(d, lawReaches, "reach")
	}
	if d.once(3, "by state") {
		q.States = drawStates(d)
	}
	if d.once(5, "by role") {
		q.Role = one(d, l.roles[1:], "role")
	}
	if d.once(5, "by owner") {
		q.Owner = one(d, l.owners[1:], "owner")
	}
	if d.once(5, "by partner") {
		q.Partner = one(d, lawPartners[1:], "partner")
	}
	if d.once(8, "by creator") {
		q.Creator = one(d, l.creators[1:], "creator").ID
	}
	if d.once(8, "by name") {
		q.Name = one(d, l.keys, "named").Name
	}
	if d.once(5, "by expiry") {
		q.ExpiringBefore = one(d, lawTimes[1:], "expiring")
	}
	if d.once(5, "by use") {
		q.UnusedSince = one(d, lawTimes[1:], "unused")
	}
	if d.once(3, "by search") {
		q.Search, q.SearchIDs = l.drawSearch(d), d.once(3, "ids")
		if q.SearchIDs && d.once(2, "an id") {
			q.Search = one(d, l.keys, "of").ID.Hex()
		}
	}
	switch {
	case d.once(3, "by more"):
		q.Sort = one(d, allSorts(), "sort")
		for range d(3, "terms") {
			q.Then = append(q.Then, store.KeyOrder{By: one(d, allSorts(), "then"), Descending: d.once(2, "descending then")})
		}
	case d.once(2, "further"):
		after := cursorAt(q.Sort, one(d, l.keys, "after"))
		q.After = &after
	}
	return q
}

// drawStates draws some of the states, or one.
func drawStates(d dice) []latchkey.State {
	if d.once(2, "one state") {
		return []latchkey.State{one(d, latchkey.States(), "state")}
	}
	all := latchkey.States()
	from := d(len(all), "from")
	return all[from:]
}

// drawSearch draws a part of some name, a few characters, or the beginning of a kid.
func (l *lawWorld) drawSearch(d dice) string {
	k := one(d, l.keys, "like")
	switch d(3, "search") {
	case 0:
		kid := string(k.Secrets[0].KID)
		return kid[:1+d(len(kid), "kid")]
	case 1:
		if name := []rune(k.Name); len(name) > 0 {
			from := d(len(name), "from")
			return string(name[from : from+1+d(len(name)-from, "to")])
		}
	}
	return drawName(d, 1)
}
