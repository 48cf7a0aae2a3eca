package storetest

import (
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// The law's values are few, so that keys tie and filters meet.
var (
	lawNames    = []string{"a", "A", "b", "é", "É", "ß", "%", "_", `"`, "'", "*", "日", "😀", " ", "-", "ab", "Ω", "ж"}
	lawPartners = []string{"", "acme", "ACME", "acme "}
	lawTimes    = []time.Time{
		{}, time.Unix(0, 0).UTC(), start.Add(-time.Millisecond), start, start.Add(time.Millisecond), start.Add(time.Hour),
	}
	lawReaches = []latchkey.Reach{latchkey.ReachProject, latchkey.ReachProject, latchkey.ReachOrganization, latchkey.ReachAll}
)

// lawWorld is one organization of the law, with its oracle.
type lawWorld struct {
	*world
	t        *rapid.T
	of       *tenant
	projects []latchkey.ID
	owners   []latchkey.ID
	roles    []latchkey.ID
	oracle
}

// listLaw draws organizations full of keys and asks each for many lists.
func (w *world) listLaw() {
	rapid.Check(w.t, func(t *rapid.T) {
		l := w.drawLaw(t)
		for range 12 {
			q := l.drawQuery()
			listed := w.list(q)
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
		}
	})
}

// drawLaw writes one organization, in one change of several steps.
func (w *world) drawLaw(t *rapid.T) *lawWorld {
	l := &lawWorld{world: w, t: t, of: w.newTenant()}
	org := l.of.org
	org.Suspended = rapid.IntRange(0, 5).Draw(t, "organization") == 0
	second, away, gone := w.newProject(org.ID), w.newUser(org.ID), w.newUser(org.ID)
	role := w.newRole(org.ID)
	away.Suspended, gone.DeletedAt = true, w.tick()
	l.projects = []latchkey.ID{l.of.project.ID, second.ID}
	l.owners = []latchkey.ID{{}, l.of.user.ID, away.ID, gone.ID}
	l.roles = []latchkey.ID{{}, role.ID, latchkey.BuiltinRoles()[3].ID}
	l.oracle.suspended = func(k *latchkey.Key) bool { return org.Suspended || k.Owner == away.ID || k.Owner == gone.ID }
	l.keys = rapid.SliceOfN(rapid.Custom(l.drawKey), 1, 14).Draw(t, "keys")
	w.write(org, l.of.project, second, l.of.user, away, gone, role)
	w.writeChunks(l.keys, 5)
	var changed []*latchkey.Key
	for _, k := range l.keys {
		if rapid.IntRange(0, 3).Draw(t, "changed") == 0 {
			l.drawState(t, k)
			changed = append(changed, k)
		}
	}
	w.writeChunks(changed, 2)
	return l
}

func (l *lawWorld) drawKey(t *rapid.T) *latchkey.Key {
	k := l.newKey(l.of)
	k.Project = rapid.SampledFrom(l.projects).Draw(t, "project")
	k.Reach = rapid.SampledFrom(lawReaches).Draw(t, "reach")
	k.CreatedAt = rapid.SampledFrom(lawTimes[1:]).Draw(t, "made")
	if rapid.IntRange(0, 3).Draw(t, "second secret") == 0 {
		k.Secrets = append(k.Secrets, l.newSecret())
	}
	for i := range k.Secrets {
		k.Secrets[i].LastUsed = rapid.SampledFrom(lawTimes).Draw(t, "used")
	}
	l.drawState(t, k)
	return k
}

// drawState draws what a key's life changes.
func (l *lawWorld) drawState(t *rapid.T, k *latchkey.Key) {
	k.Name = strings.Join(rapid.SliceOfN(rapid.SampledFrom(lawNames), 0, 6).Draw(t, "name"), "")
	k.Partner = rapid.SampledFrom(lawPartners).Draw(t, "partner")
	k.Owner = rapid.SampledFrom(l.owners).Draw(t, "owner")
	k.Policy.Role = rapid.SampledFrom(l.roles).Draw(t, "role")
	k.Enabled = rapid.IntRange(0, 3).Draw(t, "enabled") > 0
	k.ExpiresAt = rapid.SampledFrom(lawTimes).Draw(t, "expires")
	if rapid.IntRange(0, 3).Draw(t, "revoked") == 0 {
		k.RevokedAt = start
	}
}

// drawQuery draws a few filters together, and often a place in the order.
func (l *lawWorld) drawQuery() store.KeyQuery {
	t := l.t
	set := func(name string) bool { return rapid.IntRange(0, 4).Draw(t, name) == 0 }
	q := store.KeyQuery{
		Organization: l.of.org.ID, Now: rapid.SampledFrom(lawTimes[2:]).Draw(t, "now"),
		Sort: rapid.SampledFrom(keySorts()).Draw(t, "sort"), Descending: rapid.Bool().Draw(t, "descending"),
		Limit: rapid.SampledFrom([]int{1, 3, 100}).Draw(t, "limit"),
	}
	if set("by project") {
		q.Project = rapid.SampledFrom(l.projects).Draw(t, "project")
	}
	if set("by reach") {
		q.OnlyReach = rapid.SampledFrom(lawReaches).Draw(t, "reach")
	}
	if rapid.IntRange(0, 2).Draw(t, "by state") == 0 {
		q.State = rapid.SampledFrom(latchkey.States()).Draw(t, "state")
	}
	if set("by role") {
		q.Role = rapid.SampledFrom(l.roles[1:]).Draw(t, "role")
	}
	if set("by owner") {
		q.Owner = rapid.SampledFrom(l.owners[1:]).Draw(t, "owner")
	}
	if set("by partner") {
		q.Partner = rapid.SampledFrom(lawPartners[1:]).Draw(t, "partner")
	}
	if set("by expiry") {
		q.ExpiringBefore = rapid.SampledFrom(lawTimes[1:]).Draw(t, "expiring")
	}
	if set("by use") {
		q.UnusedSince = rapid.SampledFrom(lawTimes[1:]).Draw(t, "unused")
	}
	if rapid.IntRange(0, 2).Draw(t, "by search") == 0 {
		q.Search = l.drawSearch()
	}
	if rapid.Bool().Draw(t, "further") {
		after := cursorAt(q.Sort, rapid.SampledFrom(l.keys).Draw(t, "after"))
		q.After = &after
	}
	return q
}

// drawSearch draws a part of some name, a few characters, or the beginning of a kid.
func (l *lawWorld) drawSearch() string {
	k := rapid.SampledFrom(l.keys).Draw(l.t, "like")
	switch rapid.IntRange(0, 2).Draw(l.t, "search") {
	case 0:
		kid := string(k.Secrets[0].KID)
		return kid[:rapid.IntRange(1, len(kid)).Draw(l.t, "kid")]
	case 1:
		if name := []rune(k.Name); len(name) > 0 {
			from := rapid.IntRange(0, len(name)-1).Draw(l.t, "from")
			return string(name[from:rapid.IntRange(from+1, len(name)).Draw(l.t, "to")])
		}
	}
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(lawNames), 1, 3).Draw(l.t, "characters"), "")
}
