package latchkey_test

import (
	"slices"
	"testing"

	"latchkey.dev/latchkey"
)

// The small world of the grant tests: two projects, three roles.
var (
	here, elsewhere = latchkey.ID{0: 1}, latchkey.ID{0: 2}
	weak, strong    = latchkey.ID{1: 1}, latchkey.ID{1: 2}
	wide            = latchkey.ID{1: 3}
	grantRoles      = []latchkey.Role{
		{ID: weak, Rank: 1, Permissions: latchkey.Permissions{"docs:read"}},
		{ID: strong, Rank: 6, Permissions: latchkey.Permissions{"docs:read", "docs:write"}},
		{ID: wide, Rank: 4, Permissions: latchkey.Permissions{"plants:*"}},
	}
)

func member(memberships ...latchkey.Membership) *latchkey.User {
	return &latchkey.User{ID: latchkey.ID{2: 1}, Memberships: memberships}
}

func TestKeyPowers(t *testing.T) {
	scopes := latchkey.Permissions{"extra", "docs:read"}
	inBoth := member(latchkey.Membership{Role: wide}, latchkey.Membership{Project: here, Role: strong}, latchkey.Membership{Project: elsewhere, Role: weak})
	for name, c := range map[string]struct {
		role   latchkey.ID
		scopes latchkey.Permissions
		reach  latchkey.Reach
		owner  *latchkey.User
		want   latchkey.Permissions
		rank   int
	}{
		"nothing":                             {reach: latchkey.ReachProject},
		"scopes alone have rank 0":            {scopes: scopes, reach: latchkey.ReachProject, want: scopes},
		"role":                                {role: strong, reach: latchkey.ReachProject, want: latchkey.Permissions{"docs:read", "docs:write"}, rank: 6},
		"role and scopes":                     {role: strong, scopes: scopes, reach: latchkey.ReachProject, want: latchkey.Permissions{"docs:read", "docs:write", "extra"}, rank: 6},
		"a role that is missing":              {role: latchkey.ID{9: 9}, scopes: scopes, reach: latchkey.ReachProject, want: scopes},
		"a role hides the owner's":            {role: weak, reach: latchkey.ReachProject, owner: inBoth, want: latchkey.Permissions{"docs:read"}, rank: 1},
		"a missing role hides the owner's":    {role: latchkey.ID{9: 9}, reach: latchkey.ReachProject, owner: inBoth},
		"owner in the project":                {reach: latchkey.ReachProject, owner: inBoth, want: latchkey.Permissions{"plants:*", "docs:read", "docs:write"}, rank: 6},
		"owner over the organization":         {reach: latchkey.ReachOrganization, owner: inBoth, want: latchkey.Permissions{"plants:*"}, rank: 4},
		"owner over everything":               {reach: latchkey.ReachAll, owner: inBoth, want: latchkey.Permissions{"plants:*"}, rank: 4},
		"owner and scopes":                    {scopes: scopes, reach: latchkey.ReachOrganization, owner: inBoth, want: latchkey.Permissions{"plants:*", "extra", "docs:read"}, rank: 4},
		"owner elsewhere alone":               {reach: latchkey.ReachProject, owner: member(latchkey.Membership{Project: elsewhere, Role: strong})},
		"owner here, key of the organization": {reach: latchkey.ReachOrganization, owner: member(latchkey.Membership{Project: here, Role: strong})},
		"owner without a role":                {scopes: scopes, reach: latchkey.ReachProject, owner: member(), want: scopes},
		"owner with a role that is missing":   {reach: latchkey.ReachProject, owner: member(latchkey.Membership{Role: latchkey.ID{9: 9}})},
	} {
		t.Run(name, func(t *testing.T) {
			key := latchkey.Key{Project: here, Reach: c.reach, Policy: latchkey.Policy{Role: c.role, Scopes: c.scopes}}
			if c.owner != nil {
				key.Owner = c.owner.ID
			}
			powers := latchkey.KeyPowers(&key, c.owner, grantRoles)
			if !slices.Equal(sorted(powers.Permissions), sorted(c.want)) || powers.Rank != c.rank {
				t.Errorf("got %+v, want %q and rank %d", powers, c.want, c.rank)
			}
			grant := latchkey.ResolveGrant(&key, false, c.owner, grantRoles)
			if !slices.Equal(grant.Permissions, powers.Permissions) || grant.Rank != powers.Rank || grant.Suspended {
				t.Errorf("the grant is %+v, the powers are %+v", grant, powers)
			}
			if got := grant.Powers(); !slices.Equal(got.Permissions, powers.Permissions) || got.Rank != powers.Rank {
				t.Errorf("the grant's powers are %+v, want %+v", got, powers)
			}
		})
	}
}

func TestResolveGrantSuspends(t *testing.T) {
	active, suspended := member(), member()
	suspended.Suspended = true
	for name, c := range map[string]struct {
		owned        bool
		organization bool
		owner        *latchkey.User
		want         bool
	}{
		"no owner":                             {},
		"no owner, suspended organization":     {organization: true, want: true},
		"active owner":                         {owned: true, owner: active},
		"active owner, suspended organization": {owned: true, organization: true, owner: active, want: true},
		"suspended owner":                      {owned: true, owner: suspended, want: true},
		"owner gone":                           {owned: true, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			key := latchkey.Key{Enabled: true, Policy: latchkey.Policy{Role: strong}}
			if c.owned {
				key.Owner = active.ID
			}
			if got := latchkey.ResolveGrant(&key, c.organization, c.owner, grantRoles); got.Suspended != c.want {
				t.Errorf("suspended: %t, want %t", got.Suspended, c.want)
			}
		})
	}
}

// The owner's powers are read live: a change of role or membership changes the
// key's next grant and nothing of the key.
func TestOwnerIsReadLive(t *testing.T) {
	owner := member(latchkey.Membership{Role: strong})
	key := latchkey.Key{Owner: owner.ID, Reach: latchkey.ReachOrganization}
	hold := func(p latchkey.Permission, roles []latchkey.Role) bool {
		return latchkey.ResolveGrant(&key, false, owner, roles).Permissions.Hold(p)
	}
	if !hold("docs:write", grantRoles) {
		t.Fatal("the owner's role gives nothing")
	}
	if changed := []latchkey.Role{{ID: strong, Permissions: latchkey.Permissions{"docs:read"}}}; hold("docs:write", changed) {
		t.Error("a change of the role does not reach the key")
	}
	owner.Memberships[0].Role = weak
	if hold("docs:write", grantRoles) {
		t.Error("a change of the membership does not reach the key")
	}
}

func TestGrantCarriesRestrictions(t *testing.T) {
	key := latchkey.Key{Policy: latchkey.Policy{
		Addresses: mustParseList(t, []string{"10.0.0.0/8"}),
		Resources: latchkey.NewResources(map[string][]string{"site": {"a"}}),
	}}
	grant := latchkey.ResolveGrant(&key, false, nil, nil)
	if !slices.Equal(grant.Addresses.Entries(), []string{"10.0.0.0/8"}) || grant.Resources.Allow(latchkey.Resource{Type: "site", ID: "b"}) {
		t.Errorf("the restrictions are lost: %+v", grant)
	}
}

func TestMembership(t *testing.T) {
	user := member(latchkey.Membership{Project: here, Role: strong}, latchkey.Membership{Role: weak})
	for project, want := range map[latchkey.ID]latchkey.ID{here: strong, {}: weak, elsewhere: {}} {
		if got, ok := user.Membership(project); got != want || ok == want.IsZero() {
			t.Errorf("in %x: %x, %t", project, got, ok)
		}
	}
}
