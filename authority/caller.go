package authority

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/token"
	"latchkey.dev/latchkey/verify"
)

// Caller is who asks: a key, or whoever can open the authority's socket. It is
// an argument everywhere, and nothing is ever decided by a caller that is not
// there: the zero Caller may do nothing.
type Caller struct {
	latchkey.Powers

	Key          latchkey.ID  // zero: the socket
	KID          latchkey.KID // of the secret that was presented
	From         netip.Addr   // where it was presented; the zero value cannot be told
	Owner        latchkey.ID  // the key's owner user; zero for none
	Home         latchkey.ID  // the organization it belongs to
	Organization latchkey.ID  // the organization in which it acts
	Project      latchkey.ID  // the one project it can touch; zero: all of them
	Reach        latchkey.Reach
	Operator     bool // may manage organizations and act in any of them
	Only         Only // the edge through which it comes shows no other keys
	RequestID    string

	Token *token.Verified // presented in the secret's place; nil: it was the secret itself

	// Identity is for whom another issuer vouches; nil: it is a key, or the socket.
	Identity *latchkey.Assertion
}

// Only narrows what a caller sees, in reads, lists and changes alike, to the keys
// that an edge can show: those that have what it asks for. The zero value
// narrows nothing.
type Only struct {
	Partner  bool
	Owner    bool // a user, whether or not it is still there
	Role     bool // of the key's own
	Builtin  bool // a role, and that is a built-in one
	Standing bool // it is not revoked
}

// shows reports whether the edge can show the key.
func (o Only) shows(k *latchkey.Key) bool {
	_, builtin := latchkey.BuiltinRoleByID(k.Policy.Role)
	return !(o.Partner && k.Partner == "" || o.Owner && k.Owner.IsZero() || o.Role && k.Policy.Role.IsZero() ||
		o.Builtin && !builtin || o.Standing && k.Revoked())
}

// managerRank is the least rank of the operator's people who manage
// organizations: owner and admin.
const managerRank = 7

// Socket is whoever can open the authority's socket on its own machine: the
// operator, with everything.
func Socket(operator latchkey.ID) Caller {
	return Caller{
		Powers: latchkey.Powers{Permissions: latchkey.Permissions{latchkey.Everything}, Rank: latchkey.MaxRank},
		Home:   operator, Organization: operator, Reach: latchkey.ReachOrganization, Operator: true,
	}
}

// Authenticate finds out whose key, or token of ours or of another issuer, it is,
// that came from an address and a program that calls itself agent. The verdict
// tells why not, for edges that tell these apart; the error is the refusal.
func (a *Authority) Authenticate(ctx context.Context, credential latchkey.Plaintext, from netip.Addr, agent string) (Caller, latchkey.Code, error) {
	presented, v := a.ours(ctx, credential, from, agent)
	switch {
	case presented != nil && !presented.ForUs(): // whoever it was sent to could present it
		v = verify.Verdict{Code: latchkey.CodeUnknown}
	case presented == nil && v.Code == latchkey.CodeUnknown:
		if token.Shaped(credential) {
			if c, code, err := a.vouched(ctx, credential, from); code != latchkey.CodeUnknown {
				return c, code, err
			}
		}
		v = a.Verifier.Verify(ctx, &verify.Request{Key: credential, Address: from, Agent: agent})
	}
	switch {
	case v.Code == latchkey.CodeValid:
		c := a.callerOf(v.Identity)
		c.From, c.Token = from, presented
		c.narrow()
		c.Operator = c.Operator && c.manages()
		return c, v.Code, nil
	case v.Code == latchkey.CodeIPNotAllowed:
		return Caller{}, v.Code, latchkey.Errorf(latchkey.CodeForbidden, "Your key may not be used from this address.")
	case v.Code == latchkey.CodeVerifyUnavailable:
		return Caller{}, v.Code, latchkey.Errorf(latchkey.CodeUnavailable, "Your key cannot be checked now; retry later.")
	}
	return Caller{}, v.Code, strange()
}

func strange() error {
	return latchkey.Errorf(latchkey.CodeUnauthenticated, "The credential is not valid. Send a key of yours as `Authorization: Bearer …`.")
}

// narrow keeps the caller to what its token lets it do.
func (c *Caller) narrow() {
	if c.Token != nil {
		c.Permissions = c.Token.Narrow(c.Permissions)
	}
}

func (a *Authority) callerOf(id *verify.Identity) Caller {
	c := Caller{
		Powers: id.Grant.Powers(), Key: id.KeyID, KID: id.KID, Owner: id.Key.Owner,
		Home: id.Key.Organization, Organization: id.Key.Organization, Reach: id.Key.Reach,
	}
	if c.Reach == latchkey.ReachProject {
		c.Project = id.Key.Project
	}
	c.Operator = id.Operator && c.manages()
	return c
}

// manages reports whether the powers and reach are those of the people who may
// manage organizations, if the organization is the operator's.
func (c *Caller) manages() bool {
	return c.Reach == latchkey.ReachOrganization && c.Rank >= managerRank && c.Permissions.Hold(latchkey.Everything)
}

// ActIn is the caller acting in another organization, which only the operator's
// owner and admin may.
func (a *Authority) ActIn(ctx context.Context, c Caller, organization latchkey.ID) (Caller, error) {
	if organization == c.Organization {
		return c, nil
	}
	if !c.Operator {
		return Caller{}, latchkey.Errorf(latchkey.CodeForbidden, "Only the operator's owner and admin may act in another organization (Latchkey-Organization).")
	}
	if _, err := a.Store.Organization(ctx, organization); err != nil {
		return Caller{}, translate(err)
	}
	c.Organization = organization
	return c, nil
}

// Actor is who a change is attributed to.
func (c *Caller) Actor() latchkey.Principal {
	switch {
	case c.Identity != nil:
		return latchkey.Principal{Kind: latchkey.PrincipalIdentity, ID: c.Identity.Identity()}
	case !c.Owner.IsZero():
		return latchkey.Principal{Kind: latchkey.PrincipalUser, ID: c.Owner}
	case !c.Key.IsZero():
		return latchkey.Principal{Kind: latchkey.PrincipalKey, ID: c.Key}
	}
	return latchkey.Principal{Kind: latchkey.PrincipalSystem}
}

// who tells one caller from another; zero for the socket.
func (c *Caller) who() latchkey.ID {
	if c.Identity != nil {
		return c.Identity.Identity()
	}
	return c.Key
}

// Is reports whether both are the same.
func (c *Caller) Is(other *Caller) bool { return c.who() == other.who() }

// Name is how logs call the caller: the native id of its key, or of whom another
// issuer vouches for; "" for the socket.
func (c *Caller) Name() string {
	if c.Identity != nil {
		return c.Actor().String()
	}
	return c.Key.Native(latchkey.KindKey)
}

// May reports whether the caller holds the permission.
func (c *Caller) May(p latchkey.Permission) bool { return c.Permissions.Hold(p) }

// Require refuses a caller that does not hold the permission.
func (c *Caller) Require(p latchkey.Permission) error {
	if c.May(p) {
		return nil
	}
	return latchkey.Errorf(latchkey.CodeForbidden, "This needs the permission %s.", string(p))
}

// RequireWide refuses a caller that does not hold the permission over the whole
// organization.
func (c *Caller) RequireWide(p latchkey.Permission) error {
	if err := c.Require(p); err != nil || c.Project.IsZero() {
		return err
	}
	return latchkey.Errorf(latchkey.CodeForbidden, "This concerns the whole organization, and your credential is bound to one project.")
}

// Within is whose keys the caller may learn about.
func (c *Caller) Within() verify.Within {
	if c.Reach == latchkey.ReachAll {
		return verify.Within{}
	}
	return verify.Within{Organization: c.Organization, Project: c.Project}
}

// sees reports whether a key is within the caller's reach. A key that reaches
// further than the caller is not: whoever rotates it would hold its reach.
func (c *Caller) sees(k *latchkey.Key) bool {
	if k.Organization != c.Organization || c.Reach == latchkey.ReachAll || !c.Only.shows(k) {
		return false
	}
	if k.Reach == latchkey.ReachAll {
		return c.Operator
	}
	return c.Reach.Includes(k.Reach) && (c.Project.IsZero() || c.Project == k.Project)
}

// bound is sees for lists: it narrows one to the keys that the caller sees.
func (c *Caller) bound(q *store.KeyQuery) {
	q.Organization, q.Project = c.Organization, c.Project
	q.HasPartner, q.HasOwner, q.HasRole, q.Builtin = c.Only.Partner, c.Only.Owner, c.Only.Role, c.Only.Builtin
	nobody := c.Reach == latchkey.ReachAll
	if c.Only.Standing {
		q.States = standing(q.States)
		nobody = nobody || len(q.States) == 0
	}
	switch {
	case nobody:
		q.Organization = latchkey.ID{} // which has no keys
	case !c.Operator:
		q.MaxReach = c.Reach
	}
}

// standing are the states, less that of revoked keys; none means all.
func standing(states []latchkey.State) []latchkey.State {
	if len(states) == 0 {
		states = latchkey.States()
	}
	return slices.DeleteFunc(slices.Clone(states), func(s latchkey.State) bool { return s == latchkey.StateRevoked })
}

// ceiling refuses a key that would be more than the caller could give.
func (c *Caller) ceiling(k *latchkey.Key, owner *latchkey.User, roles []latchkey.Role) error {
	if k.Reach == latchkey.ReachAll && (!c.Operator || c.Organization != c.Home) {
		return latchkey.Errorf(latchkey.CodeCeiling, "Only the operator's owner and admin may give a key reach over every organization, and only in the operator's own.")
	}
	if k.Reach != latchkey.ReachAll && !c.Reach.Includes(k.Reach) {
		return latchkey.Errorf(latchkey.CodeCeiling, "Your credential is bound to one project; it cannot give a key reach over the organization.")
	}
	return c.Ceiling(latchkey.KeyPowers(k, owner, roles))
}

// speaksFor refuses a caller who would come to a secret of a key that is owned
// by somebody above it: what the key does is told as its owner's doing, whatever
// its own role. owner is nil where there is none.
func (c *Caller) speaksFor(owner *latchkey.User, k *latchkey.Key, roles []latchkey.Role) error {
	if owner == nil {
		return nil
	}
	return c.Ceiling(owner.PowersAt(k.Reach, k.Project, roles))
}

// refresh is the caller as it is in the transaction: with today's powers, or
// refused because its key no longer holds.
func (c Caller) refresh(view *store.View) (Caller, error) {
	if o := view.Organizations[c.Organization]; o == nil {
		return Caller{}, notFound()
	}
	if c.Key.IsZero() && c.Identity == nil {
		return c, nil
	}
	dead := latchkey.Errorf(latchkey.CodeUnauthenticated, "The credential stopped being valid before the change was made.")
	if c.Identity != nil {
		still, ok := c.vouchedStill(view)
		if !ok {
			return Caller{}, dead
		}
		return still, nil
	}
	h := view.Keys[c.Key]
	if h == nil {
		return Caller{}, dead
	}
	grant := h.Grant()
	if h.Key.State(grant.Suspended, view.Now) != latchkey.StateLive || !grant.Addresses.Allows(c.From) {
		return Caller{}, dead
	}
	if !holds(&h.Key, c.KID, view.Now) || c.Token != nil && !c.tokenHolds(view) {
		return Caller{}, dead
	}
	c.Powers = grant.Powers()
	c.narrow()
	c.Operator = h.Organization.Operator && c.manages()
	if c.Organization != c.Home && !c.Operator {
		return Caller{}, dead
	}
	return c, nil
}

// tokenHolds reports whether the caller's token has not ended, was not revoked,
// and was not minted by one who would be refused by now.
func (c *Caller) tokenHolds(view *store.View) bool {
	if !view.Now.Before(c.Token.ExpiresAt()) || slices.ContainsFunc(c.Token.Families(), func(f string) bool { return view.Refused[f] }) {
		return false
	}
	minter := c.Token.Minter()
	if minter.KID == "" {
		return true
	}
	h := view.Keys[minter.Key]
	return h != nil && h.Key.State(h.Grant().Suspended, view.Now) == latchkey.StateLive && holds(&h.Key, minter.KID, view.Now)
}

// reads adds what refresh looks at.
func (c *Caller) reads(r *store.Reads) {
	r.Organizations = append(r.Organizations, c.Organization)
	if !c.Key.IsZero() {
		r.Keys = append(r.Keys, c.Key)
	}
	if c.Identity != nil {
		r.Organizations = append(r.Organizations, c.Home)
		r.IssuersAt = append(r.IssuersAt, c.Identity.Issuer.URL)
		for _, m := range c.Identity.Issuer.Roles {
			r.Roles = append(r.Roles, m.Role)
		}
	}
	if c.Token != nil {
		r.Tokens = append(r.Tokens, c.Token.Families()...)
		if minter := c.Token.Minter(); !minter.Key.IsZero() {
			r.Keys = append(r.Keys, minter.Key)
		}
	}
}

// holds reports whether the key has that secret and it has not ended.
func holds(k *latchkey.Key, kid latchkey.KID, now time.Time) bool {
	return slices.ContainsFunc(k.LiveSecrets(now), func(s latchkey.Secret) bool { return s.KID == kid })
}
