package authority_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
)

// motley is keys of all sorts in the operator's organization, oldest first.
func (h *house) motley() (all []authority.Described, second latchkey.ID) {
	h.Helper()
	p, _, err := h.CreateProject(ctx(), h.socket(), authority.NewProject{Name: "second", Prefix: "lk", Environment: latchkey.Live})
	h.ok(err)
	r, _, err := h.CreateRole(ctx(), h.socket(), authority.NewRole{Identifier: "custom", Name: "Custom", Permissions: []string{"a:b"}})
	h.ok(err)
	n := 0
	for _, project := range []latchkey.ID{{}, p.ID} {
		for _, reach := range []latchkey.Reach{latchkey.ReachProject, latchkey.ReachOrganization, latchkey.ReachAll} {
			for _, partner := range []string{"", "acme"} {
				for _, k := range []authority.NewKey{{}, {Owner: h.owner}, {Role: authority.RoleRef{Identifier: "reader"}}, {Role: authority.RoleRef{ID: r.ID}}} {
					if reach == latchkey.ReachAll && (!k.Owner.IsZero() || k.Role != authority.RoleRef{}) {
						continue
					}
					k.Name, k.Project, k.Reach, k.Partner = fmt.Sprintf("key %02d", n), project, reach, partner
					made := h.make(k)
					if n++; n%4 == 0 {
						h.revoke(made.ID)
					}
					all = append(all, made.Described)
				}
			}
		}
	}
	return all, p.ID
}

// callers see differently far.
func (h *house) callers(second latchkey.ID) map[string]*authority.Call {
	h.Helper()
	return map[string]*authority.Call{
		"the socket":           h.socket(),
		"the organization":     h.caller(latchkey.ReachOrganization, latchkey.ID{}, "manager"),
		"the operator's admin": h.caller(latchkey.ReachOrganization, latchkey.ID{}, "admin"),
		"the default project":  h.caller(latchkey.ReachProject, latchkey.ID{}, "admin"),
		"the second project":   h.caller(latchkey.ReachProject, second, "developer"),
	}
}

func edges() map[string]authority.Only {
	return map[string]authority.Only{
		"all": {}, "partners": {Partner: true}, "owned": {Owner: true}, "roles": {Role: true}, "built-in roles": {Builtin: true},
		"standing": {Standing: true}, "standing, with built-in roles": {Builtin: true, Standing: true}, "everything at once": {Partner: true, Owner: true, Role: true},
	}
}

// What a caller can get by its id, through whichever edge, is what it is listed
// in every way of listing, and what the totals count.
func TestAListHasWhatItsCallerSees(t *testing.T) {
	h := open(t)
	_, second := h.motley()
	callers := h.callers(second) // whose keys are listed as well
	every, _, err := h.PageKeys(ctx(), h.socket(), authority.KeyFilter{}, 0, 1000)
	h.ok(err)
	seen := 0
	for who, call := range callers {
		for edge, only := range edges() {
			t.Run(who+", "+edge, func(t *testing.T) {
				h := &house{t, h.Authority, h.operator, h.owner}
				call := *call
				call.Only = only
				var want []latchkey.ID
				for _, k := range every {
					_, err := h.GetKey(ctx(), &call, k.ID)
					if err == nil {
						want = append(want, k.ID)
					} else {
						h.refuses(latchkey.CodeNotFound, err)
					}
				}
				seen += len(want)
				h.lists(&call, authority.KeyFilter{}, want)
				h.walks(&call, authority.KeyFilter{}, want)
				h.lists(&call, authority.KeyFilter{States: []latchkey.State{latchkey.StateRevoked}}, slices.DeleteFunc(want, func(id latchkey.ID) bool {
					return slices.ContainsFunc(every, func(k authority.Described) bool { return k.ID == id && k.State != latchkey.StateRevoked })
				}))
			})
		}
	}
	if seen < 200 {
		t.Errorf("only %d keys were seen", seen)
	}
	nobody := h.caller(latchkey.ReachOrganization, latchkey.ID{}, "manager")
	nobody.Reach = latchkey.ReachAll
	h.lists(nobody, authority.KeyFilter{}, nil)
}

// lists wants the keys from pages by number, all at once, and one by one.
func (h *house) lists(call *authority.Call, f authority.KeyFilter, want []latchkey.ID) {
	h.Helper()
	for _, size := range []int{1000, 3} {
		var got []latchkey.ID
		for {
			page, total, err := h.PageKeys(ctx(), call, f, len(got), size)
			h.ok(err)
			if total != int64(len(want)) {
				h.Errorf("%d keys in all, want %d", total, len(want))
			}
			if got = append(got, ids(page)...); len(page) < size {
				break
			}
		}
		h.same("by number", got, want)
	}
	var each []latchkey.ID
	h.ok(h.EachKey(ctx(), call, f, func(d *authority.Described) error {
		each = append(each, d.ID)
		return nil
	}))
	h.same("one by one", each, want)
	listed, _, err := h.ListKeys(ctx(), call, authority.KeyFilter{States: f.States, Limit: 100})
	h.ok(err)
	h.same("by cursor", ids(listed), want)
}

// walks wants the keys from pieces, forth and back.
func (h *house) walks(call *authority.Call, f authority.KeyFilter, want []latchkey.ID) {
	h.Helper()
	var forth, back []latchkey.ID
	at := authority.Beside{Limit: 4}
	for more := true; more; {
		piece, err := h.KeysBeside(ctx(), call, f, at)
		h.ok(err)
		if piece.Total != int64(len(want)) || piece.Newer != (len(forth) > 0) {
			h.Errorf("%d keys in all, want %d; there are newer ones: %v", piece.Total, len(want), piece.Newer)
		}
		forth = append(forth, ids(piece.Keys)...)
		if more = piece.Older; more {
			at.After = forth[len(forth)-1]
		}
	}
	h.same("walked forth", forth, want)
	if len(want) == 0 {
		return
	}
	back = want[len(want)-1:]
	for more := true; more; {
		piece, err := h.KeysBeside(ctx(), call, f, authority.Beside{Before: back[0], After: back[0], Limit: 4})
		h.ok(err)
		back = append(ids(piece.Keys), back...)
		more = piece.Newer
		if len(piece.Keys) > 0 && !piece.Older {
			h.Error("the piece before a key has nothing after it")
		}
	}
	h.same("walked back", back, want)
}

// What an edge cannot show it cannot change either: the refusal is that of a key
// which is not there, and nothing happens.
func TestAnEdgeChangesOnlyWhatItShows(t *testing.T) {
	h := open(t)
	plain := h.make(authority.NewKey{Name: "plain", Role: authority.RoleRef{Identifier: "reader"}})
	for edge, only := range edges() {
		call := h.socket()
		call.Only = only
		name := "renamed by " + edge
		_, before := h.GetKey(ctx(), call, plain.ID)
		_, _, err := h.UpdateKey(ctx(), call, plain.ID, authority.KeyPatch{Name: &name})
		if latchkey.CodeOf(err) != latchkey.CodeOf(before) {
			t.Errorf("%s: reading says %v, changing %v", edge, before, err)
		}
		if only == (authority.Only{Partner: true}) {
			_, _, err := h.RevokeKey(ctx(), call, plain.ID, "")
			h.refuses(latchkey.CodeNotFound, err)
			_, _, err = h.RotateKey(ctx(), call, plain.ID, 0)
			h.refuses(latchkey.CodeNotFound, err)
			_, err = h.RevealKey(ctx(), call, plain.ID, "curious")
			h.refuses(latchkey.CodeNotFound, err)
		}
	}
	d, err := h.GetKey(ctx(), h.socket(), plain.ID)
	if err != nil || d.State != latchkey.StateLive || len(d.Secrets) != 1 {
		t.Fatalf("%v: %s, with %d secrets", err, d.State, len(d.Secrets))
	}
	standing := h.socket()
	standing.Only.Standing = true
	_, _, err = h.RevokeKey(ctx(), standing, plain.ID, "")
	h.ok(err)
	_, _, err = h.RevokeKey(ctx(), standing, plain.ID, "")
	h.refuses(latchkey.CodeNotFound, err)
}

func TestPieces(t *testing.T) {
	h := open(t)
	var keys []latchkey.ID // newest first
	for range 9 {
		keys = slices.Insert(keys, 0, h.make(authority.NewKey{Name: "owned", Owner: h.owner}).ID)
	}
	stray := h.make(authority.NewKey{Name: "without an owner"}).ID
	call := h.socket()
	call.Only.Owner = true
	live := authority.KeyFilter{States: []latchkey.State{latchkey.StateLive}}
	piece := func(what string, at authority.Beside, newer, older bool, want ...latchkey.ID) {
		t.Helper()
		got, err := h.KeysBeside(ctx(), call, live, at)
		h.ok(err)
		h.same(what, ids(got.Keys), want)
		if got.Newer != newer || got.Older != older {
			t.Errorf("%s: newer %v, older %v", what, got.Newer, got.Older)
		}
	}
	piece("the newest", authority.Beside{Limit: 3}, false, true, keys[:3]...)
	piece("exactly all", authority.Beside{Limit: 9}, false, false, keys...)
	piece("after one", authority.Beside{After: keys[2], Limit: 3}, true, true, keys[3:6]...)
	piece("the last", authority.Beside{After: keys[5], Limit: 3}, true, false, keys[6:]...)
	piece("after the last", authority.Beside{After: keys[8], Limit: 3}, false, false)
	piece("before one", authority.Beside{Before: keys[6], Limit: 3}, true, true, keys[3:6]...)
	piece("the first again", authority.Beside{Before: keys[3], Limit: 3}, false, true, keys[:3]...)
	piece("before the first", authority.Beside{Before: keys[0], Limit: 3}, false, false)
	piece("before wins", authority.Beside{Before: keys[3], After: keys[6], Limit: 3}, false, true, keys[:3]...)
	piece("an offset", authority.Beside{Offset: 2, Limit: 3}, true, true, keys[2:5]...)
	piece("an offset after one", authority.Beside{After: keys[1], Offset: 2, Limit: 3}, true, true, keys[4:7]...)
	piece("an offset before one", authority.Beside{Before: keys[7], Offset: 2, Limit: 3}, true, true, keys[2:5]...)
	piece("an offset beyond the end", authority.Beside{Offset: 1 << 40, Limit: 3}, false, false)
	h.revoke(keys[2])
	h.revoke(keys[4])
	piece("after one that was revoked", authority.Beside{After: keys[2], Limit: 3}, true, true, keys[3], keys[5], keys[6])
	piece("before one that was revoked", authority.Beside{Before: keys[4], Limit: 9}, false, true, keys[0], keys[1], keys[3])

	for what, at := range map[string]authority.Beside{
		"unknown": {After: latchkey.ID{1}, Limit: 1}, "unknown, before": {Before: latchkey.ID{1}, Limit: 1},
		"not of this edge": {After: stray, Limit: 1}, "no limit": {}, "too many": {Limit: 1001}, "offset": {Limit: 1, Offset: -1},
	} {
		if _, err := h.KeysBeside(ctx(), call, live, at); latchkey.CodeOf(err) != latchkey.CodeInvalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	other, _, err := h.CreateOrganization(ctx(), h.socket(), authority.NewOrganization{Name: "another"})
	h.ok(err)
	theirs, err := h.ActIn(ctx(), h.socket().Caller, other.ID)
	h.ok(err)
	if _, err := h.KeysBeside(ctx(), &authority.Call{Caller: theirs}, live, authority.Beside{After: keys[0], Limit: 1}); latchkey.CodeOf(err) != latchkey.CodeInvalid {
		t.Errorf("another organization's key: %v", err)
	}
}

func TestPagesBySeveralTerms(t *testing.T) {
	h := open(t)
	var keys []latchkey.ID
	for _, name := range []string{"b", "a", "b", "a"} {
		keys = append(keys, h.make(authority.NewKey{Name: name}).ID)
	}
	h.revoke(keys[0])
	order := func(sort string, want ...int) {
		t.Helper()
		page, _, err := h.PageKeys(ctx(), h.socket(), authority.KeyFilter{Sort: sort}, 0, 10)
		h.ok(err)
		var expected []latchkey.ID
		for _, i := range want {
			expected = append(expected, keys[i])
		}
		h.same(sort, ids(page), expected)
	}
	order("", 3, 2, 1, 0)
	order("name,-created", 3, 1, 2, 0)
	order("-name,state", 0, 2, 3, 1)
	order("state,created", 0, 1, 2, 3)
	for _, sort := range []string{"secret", "name,", ",", "--name", "name,name,name,name,name,name,name,name"} {
		_, _, err := h.PageKeys(ctx(), h.socket(), authority.KeyFilter{Sort: sort}, 0, 10)
		h.refuses(latchkey.CodeInvalid, err)
	}
	for _, sort := range []string{"id", "role", "state", "name,id"} {
		_, _, err := h.ListKeys(ctx(), h.socket(), authority.KeyFilter{Sort: sort})
		h.refuses(latchkey.CodeInvalid, err)
	}
	poor := h.caller(latchkey.ReachOrganization, latchkey.ID{}, "reader")
	_, _, err := h.PageKeys(ctx(), poor, authority.KeyFilter{}, 0, 10)
	h.refuses(latchkey.CodeForbidden, err)
	_, err = h.KeysBeside(ctx(), poor, authority.KeyFilter{}, authority.Beside{Limit: 1})
	h.refuses(latchkey.CodeForbidden, err)
	h.refuses(latchkey.CodeForbidden, h.EachKey(ctx(), poor, authority.KeyFilter{}, func(*authority.Described) error { return nil }))
}

// Keys that are there all the while are walked over once each, whatever comes
// and goes between.
func TestAWalkOverKeysThatComeAndGo(t *testing.T) {
	h := open(t)
	var keys []latchkey.ID
	for range 60 {
		keys = append(keys, h.make(authority.NewKey{Name: "k", Owner: h.owner}).ID)
	}
	live := authority.KeyFilter{States: []latchkey.State{latchkey.StateLive}}
	times, gone := map[latchkey.ID]int{}, map[latchkey.ID]bool{}
	disturb := func(turn int, last latchkey.ID) {
		h.make(authority.NewKey{Name: "new", Owner: h.owner})
		for _, id := range []latchkey.ID{last, keys[(turn*17)%len(keys)]} {
			h.revoke(id)
			gone[id] = true
		}
	}
	at := authority.Beside{Limit: 5}
	for turn := 0; ; turn++ {
		piece, err := h.KeysBeside(ctx(), h.socket(), live, at)
		h.ok(err)
		for _, k := range piece.Keys {
			times[k.ID]++
		}
		if !piece.Older {
			break
		}
		at.After = piece.Keys[len(piece.Keys)-1].ID
		disturb(turn, at.After)
	}
	n := 0
	h.ok(h.EachKey(ctx(), h.socket(), live, func(d *authority.Described) error {
		n++
		return nil
	}))
	for i, id := range keys {
		if times[id] > 1 || times[id] == 0 && !gone[id] {
			t.Errorf("key %d came %d times", i, times[id])
		}
	}
	if n == 0 || len(gone) < 10 {
		t.Fatalf("%d keys are left, %d were revoked", n, len(gone))
	}
}

func TestWhatKeysReferTo(t *testing.T) {
	h := open(t)
	admin := authority.RoleRef{Identifier: "admin"}
	user := func(name string, role authority.RoleRef) latchkey.ID {
		u, _, err := h.CreateUser(ctx(), h.socket(), authority.NewUser{Kind: latchkey.Service, Name: name, Roles: []authority.MemberRole{{Role: role}}})
		h.ok(err)
		return u.ID
	}
	boss, gone := user("boss", admin), user("gone", admin)
	by := func(owner latchkey.ID) *authority.Call {
		made := h.make(authority.NewKey{Name: "of a user", Owner: owner, Reach: latchkey.ReachOrganization})
		c, _, err := h.Authenticate(ctx(), made.Secret, netip.Addr{}, "")
		h.ok(err)
		return &authority.Call{Caller: c}
	}
	for _, call := range []*authority.Call{by(boss), by(gone), h.caller(latchkey.ReachOrganization, latchkey.ID{}, "admin")} {
		_, _, err := h.CreateKey(ctx(), call, authority.NewKey{Name: "made", Partner: "acme", Role: authority.RoleRef{Identifier: "reader"}})
		h.ok(err)
	}
	_, err := h.DeleteUser(ctx(), h.socket(), gone, true)
	h.ok(err)
	call := h.caller(latchkey.ReachProject, latchkey.ID{}, "auditor") // who may read keys and nothing of users
	call.Only.Partner = true
	shown, _, err := h.PageKeys(ctx(), call, authority.KeyFilter{}, 0, 10)
	h.ok(err)
	if len(shown) != 3 {
		t.Fatalf("%d keys are shown", len(shown))
	}
	creators, err := h.Creators(ctx(), call, shown)
	h.ok(err)
	if len(creators) != 1 || creators[boss].Name != "boss" || creators[boss].Rank != 7 {
		t.Errorf("creators: %+v", creators)
	}
	projects, err := h.ProjectsOf(ctx(), call, shown)
	h.ok(err)
	own, err := h.OwnProject(ctx(), call)
	if err != nil || len(projects) != 1 || projects[own.ID].Name != "default" {
		t.Errorf("projects: %+v, own: %+v %v", projects, own, err)
	}
	roles, err := h.RolesOf(ctx(), call, shown)
	if err != nil || len(roles) != 1 || roles[shown[0].Policy.Role].Identifier != "reader" {
		t.Errorf("roles: %+v %v", roles, err)
	}
	other, _, err := h.CreateOrganization(ctx(), h.socket(), authority.NewOrganization{Name: "another"})
	h.ok(err)
	theirs, err := h.ActIn(ctx(), h.socket().Caller, other.ID)
	h.ok(err)
	if creators, err = h.Creators(ctx(), &authority.Call{Caller: theirs}, shown); err != nil || len(creators) > 0 {
		t.Errorf("another organization is told of %+v (%v)", creators, err)
	}
}
