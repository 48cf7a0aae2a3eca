package latchkey

// ResolveGrant works out what a key may do at this moment: the permissions of
// its role and its scopes together; without a role, those of its owner at the
// key's reach, read live. suspended is the organization's; owner is nil where
// the key has none or it is gone; roles holds at least those that key and owner
// refer to, and one that is missing gives nothing.
func ResolveGrant(key *Key, suspended bool, owner *User, roles []Role) *Grant {
	g := &Grant{
		Suspended: suspended || !key.Owner.IsZero() && (owner == nil || owner.Suspended),
		Addresses: key.Policy.Addresses,
		Resources: key.Policy.Resources,
	}
	powers := KeyPowers(key, owner, roles)
	g.Permissions, g.Rank = powers.Permissions, powers.Rank
	return g
}

// KeyPowers is the permissions and rank that a key has, or would have.
func KeyPowers(key *Key, owner *User, roles []Role) Powers {
	var powers Powers
	switch {
	case !key.Policy.Role.IsZero():
		powers = rolePowers(key.Policy.Role, roles)
	case owner != nil:
		powers = owner.PowersAt(key.Reach, key.Project, roles)
	}
	powers.Permissions = powers.Permissions.Union(key.Policy.Scopes)
	return powers
}

// PowersAt is what the user may do at a reach: its role over the organization,
// and within one project its role there as well.
func (u User) PowersAt(reach Reach, project ID, roles []Role) Powers {
	var powers Powers
	if role, ok := u.Membership(ID{}); ok {
		powers = rolePowers(role, roles)
	}
	if role, ok := u.Membership(project); ok && reach == ReachProject {
		powers = powers.Union(rolePowers(role, roles))
	}
	return powers
}

func rolePowers(id ID, roles []Role) Powers {
	for _, r := range roles {
		if r.ID == id {
			return r.Powers()
		}
	}
	return Powers{}
}
