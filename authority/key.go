package authority

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/verify"
)

// Described is a key as it is shown.
type Described struct {
	latchkey.Key
	State latchkey.State // at At, its owner's and organization's suspension included
	Role  string         // identifier of its own role; "" for none
	At    time.Time
}

// Changed reports whether anything was changed about the key since it was made.
func (d *Described) Changed() bool { return d.Revision != d.Ordinal>>store.OrdinalShift }

// Issued is a key with a secret that is told this once.
type Issued struct {
	Described
	told
}

// told is what an answer tells this once.
type told struct {
	Secret     latchkey.Plaintext // "" for an imported key
	SigningKey latchkey.Plaintext // "" unless one was drawn beside the secret
}

// RoleRef names a role by its id or, where that is zero, by its identifier. The
// zero value names none.
type RoleRef struct {
	ID         latchkey.ID
	Identifier string
}

// NewKey is what a key is to be.
type NewKey struct {
	Name        string
	Project     latchkey.ID    // zero: the caller's, else the default one
	Reach       latchkey.Reach // "": the project
	Format      latchkey.Format
	Owner       latchkey.ID // zero: none
	Partner     string
	Role        RoleRef
	Scopes      []string
	Addresses   []string
	Resources   map[string][]string
	ExpiresAt   time.Time // zero: never
	Retrievable bool      // asked for; the value of a key in the short format is stored unless that is forbidden
	Signing     NewSigning
	Metadata    latchkey.Document

	// Digest is the SHA-256 of a key that was made elsewhere; its plaintext
	// is then never here. Public is what may be shown of it.
	Digest *[32]byte
	Public string
}

// NewSigning is what requests with a key are to be signed with: a signing key that
// is drawn, or a pair of which the holder tells the public half. The zero value is
// nothing.
type NewSigning struct {
	Mode   latchkey.SigningMode
	Format latchkey.SigningFormat // of the signing key that is drawn; "": none
	Public []byte                 // Ed25519; nil: none
}

func (s NewSigning) check(at string, imported bool, broken *problems) {
	switch {
	case s.Public != nil && s.Format != "":
		broken.add(at+"/public_key", "not_allowed", "A key signs with a pair or with a signing key that is made here, not with both.")
	case s.Public != nil:
		broken.at(at+"/public_key", latchkey.CheckPublicKey(s.Public))
	case s.Format != "" && imported:
		broken.add(at+"/alg", "not_allowed", "No signing key is made for an imported key; register the public half of a pair (ed25519).")
	case s.Format == "" && s.Mode != latchkey.SigningOff:
		broken.add(at+"/alg", "required", "This is hmac-sha256, or ed25519 with a public_key.")
	}
}

// like is the signing credential that the first secret gets one like.
func (s NewSigning) like() latchkey.Signing {
	if s.Public != nil {
		return latchkey.Signing{Algorithm: latchkey.Ed25519, Public: s.Public}
	}
	return latchkey.Signing{Format: s.Format}
}

// draft is a key that passed the rules which its input alone decides.
type draft struct {
	input   NewKey
	pointer string // of the item, "" for a single key
	key     latchkey.Key
	project latchkey.Project
	told    told
}

// CreateKey makes a key.
func (a *Authority) CreateKey(ctx context.Context, call *Call, in NewKey) (Issued, Effective, error) {
	issued, effective, err := a.createKeys(ctx, call, []NewKey{in}, func(int) string { return "" })
	if err != nil {
		return Issued{}, Effective{}, err
	}
	return issued[0], effective, nil
}

// CreateKeys makes keys, all or none, with an event each.
func (a *Authority) CreateKeys(ctx context.Context, call *Call, in []NewKey) ([]Issued, Effective, error) {
	return a.createKeys(ctx, call, in, func(i int) string { return index("/items", i) })
}

// ImportKeys takes over keys that were made elsewhere, all or none, by the
// SHA-256 of each, with one event for all.
func (a *Authority) ImportKeys(ctx context.Context, call *Call, in []NewKey) ([]Described, Effective, error) {
	issued, effective, err := a.createKeys(ctx, call, in, func(i int) string { return index("/items", i) })
	described := make([]Described, len(issued))
	for i := range issued {
		described[i] = issued[i].Described
	}
	return described, effective, err
}

func (a *Authority) createKeys(ctx context.Context, call *Call, in []NewKey, pointer func(int) string) ([]Issued, Effective, error) {
	if err := call.Require(latchkey.KeyCreate); err != nil {
		return nil, Effective{}, err
	}
	if len(in) < 1 || len(in) > latchkey.MaxBatchCreate {
		return nil, Effective{}, latchkey.Invalid("/items", "length", fmt.Sprintf("A batch has 1 to %d items.", latchkey.MaxBatchCreate))
	}
	drafts := make([]*draft, len(in))
	var broken problems
	seen := map[[32]byte]bool{}
	for i, item := range in {
		drafts[i] = a.draft(item, pointer(i), &broken)
		if item.Digest == nil {
			continue
		}
		if seen[*item.Digest] {
			broken.add(pointer(i)+"/digest", "duplicate", "An item before this one has the same digest.")
		}
		seen[*item.Digest] = true
	}
	if err := broken.err(); err != nil {
		return nil, Effective{}, err
	}
	reads, err := a.resolve(ctx, call, drafts)
	if err != nil {
		return nil, Effective{}, err
	}
	var made []latchkey.ID
	var secrets []told
	for _, d := range drafts {
		if err := a.mint(ctx, d); err != nil {
			return nil, Effective{}, err
		}
		made = append(made, d.key.ID)
		secrets = append(secrets, d.told)
	}
	if !slices.ContainsFunc(secrets, func(t told) bool { return !t.Secret.Empty() }) {
		secrets = nil // nothing to tell again
	}
	record, err := a.remember(call, made, secrets)
	if err != nil {
		return nil, Effective{}, err
	}
	var taken error
	if a.ringIsMixed() { // the store tells digests apart that were made under two versions
		taken = a.refuseImported(ctx, drafts)
	}
	issued := make([]Issued, len(drafts))
	effective, replayed, err := a.submit(ctx, call, change{
		needs: latchkey.KeyCreate, weight: len(drafts), reads: reads, record: record,
		apply: func(t *txn) error {
			if taken != nil {
				return taken
			}
			return t.createKeys(drafts, issued)
		},
	})
	if latchkey.CodeOf(err) == latchkey.CodeConflict {
		err = cmp.Or(a.refuseImported(ctx, drafts), err) // which names the items
	}
	if err != nil {
		return nil, Effective{}, err
	}
	if replayed != nil {
		if issued, effective, err = a.reissue(ctx, call, replayed, secrets != nil); err != nil {
			return nil, Effective{}, err
		}
	}
	return issued, a.await(ctx, call, effective), nil
}

// refuseImported names the items whose keys were imported before.
func (a *Authority) refuseImported(ctx context.Context, drafts []*draft) error {
	var taken problems
	for _, d := range drafts {
		if d.input.Digest == nil {
			continue
		}
		known, err := a.Verifier.Imported(ctx, *d.input.Digest)
		if err != nil {
			return translate(err)
		}
		if known {
			taken.add(d.pointer+"/digest", "taken", "This key was imported before; leave it out.")
		}
	}
	if err := taken.err(); err != nil {
		e := latchkey.AsError(err)
		e.Code, e.Detail = latchkey.CodeConflict, "Some of these keys were imported before, and none is imported now; see errors."
		return e
	}
	return nil
}

// ringIsMixed reports whether digests may be stored under more than one version
// of the key ring.
func (a *Authority) ringIsMixed() bool {
	return slices.ContainsFunc(a.Ring.Versions(), func(v keyring.Version) bool { return v.State == keyring.Retiring })
}

// CheckNewKey is what is wrong with the input alone, for edges that have rules
// besides and tell all that are broken at once.
func (a *Authority) CheckNewKey(in NewKey) []latchkey.FieldError {
	var broken problems
	a.draft(in, "", &broken)
	return broken
}

// draft checks what the input alone decides.
func (a *Authority) draft(in NewKey, at string, broken *problems) *draft {
	if in.Reach == "" {
		in.Reach = latchkey.ReachProject
	}
	if in.Format == "" {
		in.Format = latchkey.FormatNative
	}
	if in.Digest != nil {
		in.Format = latchkey.FormatForeign
		broken.text(at+"/public", in.Public, 0, latchkey.MaxResourceLen)
	}
	broken.text(at+"/name", in.Name, 1, latchkey.MaxNameLen)
	broken.text(at+"/partner", in.Partner, 0, latchkey.MaxPartnerLen)
	broken.metadata(at+"/metadata", in.Metadata)
	in.Signing.check(at+"/signing", in.Digest != nil, broken)
	if !in.Reach.Valid() {
		broken.add(at+"/reach", "not_allowed", "A reach is project, organization or all.")
	}
	d := &draft{input: in, pointer: at, key: latchkey.Key{
		Reach: in.Reach, Format: in.Format, Name: in.Name, Partner: in.Partner, Enabled: true, Retrievable: in.Retrievable,
		SigningMode: in.Signing.Mode, Metadata: in.Metadata, Owner: in.Owner, ExpiresAt: broken.expiry(at+"/expires_at", in.ExpiresAt),
		Policy: latchkey.Policy{
			Scopes:    broken.scopes(at+"/scopes", in.Scopes),
			Addresses: broken.addresses(at+"/restrictions/addresses", in.Addresses),
			Resources: broken.resources(at+"/restrictions/resources", in.Resources),
		},
	}}
	if in.Reach == latchkey.ReachAll && (in.Role != RoleRef{} || !in.Owner.IsZero() || !onlyForGateways(d.key.Policy.Scopes)) {
		broken.add(at+"/reach", "not_allowed", "A key that reaches every organization has no role and no owner, and no scopes but api_key:verify and token:introspect.")
	}
	return d
}

func onlyForGateways(scopes latchkey.Permissions) bool {
	for _, s := range scopes {
		if s != latchkey.KeyVerify && s != latchkey.TokenIntrospect {
			return false
		}
	}
	return true
}

// resolve looks up what the drafts refer to, and names it for the transaction.
func (a *Authority) resolve(ctx context.Context, call *Call, drafts []*draft) (store.Reads, error) {
	var reads store.Reads
	var broken problems
	projectOf := once(func(of placing) (*latchkey.Project, error) { return a.projectFor(ctx, call, of) })
	roleOf := once(func(ref RoleRef) (latchkey.ID, error) { return a.findRole(ctx, call, ref) })
	ownerOf := once(func(id latchkey.ID) (*latchkey.User, error) { return a.user(ctx, call, id) })
	for _, d := range drafts {
		project, err := projectOf(placing{named: d.input.Project, current: d.key.Retrievable || d.key.Format == latchkey.FormatShort})
		if latchkey.CodeOf(err) == latchkey.CodeNotFound {
			broken.add(d.pointer+"/project_id", "unknown", "There is no such project within your reach.")
			continue
		}
		if err != nil {
			return reads, err
		}
		d.project = *project
		d.key.Organization, d.key.Project, d.key.Environment = call.Organization, project.ID, project.Environment
		stores := !a.ForbidRetrievable && project.Stores(d.key.Format)
		if d.key.Format == latchkey.FormatShort {
			d.key.Retrievable = stores
		}
		if d.key.Retrievable && !stores {
			broken.add(d.pointer+"/retrievable", "not_allowed", "The project (retrievable) or the installation does not allow values to be stored.")
		}
		role, err := roleOf(d.input.Role)
		if latchkey.CodeOf(err) == latchkey.CodeNotFound {
			broken.add(d.pointer+"/role", "unknown", "There is no such role in the organization.")
		} else if err != nil {
			return reads, err
		}
		d.key.Policy.Role = role
		reads.Projects = append(reads.Projects, project.ID)
		reads.Roles = append(reads.Roles, role)
		if d.key.Owner.IsZero() {
			continue
		}
		owner, err := ownerOf(d.key.Owner)
		if latchkey.CodeOf(err) == latchkey.CodeNotFound {
			broken.add(d.pointer+"/owner_id", "unknown", "There is no such user in the organization.")
			continue
		}
		if err != nil {
			return reads, err
		}
		reads.Users = append(reads.Users, owner.ID)
		for _, m := range owner.Memberships {
			reads.Roles = append(reads.Roles, m.Role)
		}
	}
	return reads, broken.err()
}

// once looks each thing up once: the items of a batch mostly name the same ones.
func once[K comparable, V any](look func(K) (V, error)) func(K) (V, error) {
	type answer struct {
		value V
		err   error
	}
	known := map[K]answer{}
	return func(key K) (V, error) {
		found, ok := known[key]
		if !ok {
			found.value, found.err = look(key)
			known[key] = found
		}
		return found.value, found.err
	}
}

// placing is what decides in which project a new key goes.
type placing struct {
	named   latchkey.ID // zero: the caller's, else the default one
	current bool        // it matters whether the project stores values
}

// projectFor finds the project of a new key. The transaction looks again whether
// it is there, and whether it stores values.
func (a *Authority) projectFor(ctx context.Context, call *Call, of placing) (*latchkey.Project, error) {
	switch {
	case !of.named.IsZero():
		return a.project(ctx, call, of.named)
	case !call.Project.IsZero():
		return a.project(ctx, call, call.Project)
	case of.current:
		return a.defaultProject(ctx, call.Organization)
	}
	return a.knownDefault(ctx, call.Organization)
}

// knownDefault is an organization's default project as it once was. It is made
// with the organization, and none takes its place; neither do its id, its prefix
// or its environment change. What else there is to a project is not to be asked of it.
func (a *Authority) knownDefault(ctx context.Context, organization latchkey.ID) (*latchkey.Project, error) {
	a.mu.Lock()
	p := a.defaults[organization]
	a.mu.Unlock()
	if p != nil {
		return p, nil
	}
	return a.defaultProject(ctx, organization)
}

// defaultProject reads an organization's default project.
func (a *Authority) defaultProject(ctx context.Context, organization latchkey.ID) (*latchkey.Project, error) {
	p, err := a.Store.DefaultProject(ctx, organization)
	if err != nil {
		return nil, translate(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.defaults[organization] = p
	return p, nil
}

// findRole turns a reference into the id of a role that exists.
func (a *Authority) findRole(ctx context.Context, call *Call, ref RoleRef) (latchkey.ID, error) {
	if ref == (RoleRef{}) {
		return latchkey.ID{}, nil
	}
	r, err := a.roleByRef(ctx, call, ref)
	if err != nil {
		return latchkey.ID{}, err
	}
	return r.ID, nil
}

// mint draws the key's id and its first secret.
func (a *Authority) mint(ctx context.Context, d *draft) error {
	now := store.Truncate(a.Clock())
	var err error
	if d.key.ID, err = latchkey.NewID(now, a.Random); err != nil {
		return err
	}
	var secret latchkey.Secret
	if d.input.Digest != nil {
		secret, err = a.importedSecret(*d.input.Digest, d.input.Public, now)
		secret.Signing = d.input.Signing.like()
	} else {
		secret, d.told, err = a.newSecret(ctx, &d.key, d.project.Prefix, d.input.Signing.like(), now)
	}
	d.key.Secrets = []latchkey.Secret{secret}
	return err
}

// newSecret draws a secret for the key, digests it and, if the key is
// retrievable, seals it. The signing credential beside it is like the given one:
// a key pair stays, and any other signing key is drawn anew in its format.
func (a *Authority) newSecret(ctx context.Context, k *latchkey.Key, prefix string, like latchkey.Signing, now time.Time) (latchkey.Secret, told, error) {
	format := k.Format
	if format == latchkey.FormatForeign {
		format = latchkey.FormatNative // we cannot make another's
	}
	drawn, err := latchkey.NewKeyString(format, prefix, k.Environment, a.Random)
	if err != nil {
		return latchkey.Secret{}, told{}, err
	}
	pepper, out := a.Ring.Active(), told{Secret: drawn.Plaintext()}
	s := latchkey.Secret{
		KID: drawn.KID, Public: drawn.PublicPart(), Format: format, Scheme: latchkey.SchemeKey, Pepper: pepper, CreatedAt: now,
	}
	if s.Digest, err = a.Ring.Digest(pepper, out.Secret); err != nil {
		return latchkey.Secret{}, told{}, err
	}
	if k.Retrievable {
		if s.Sealed, err = a.seal(ctx, sealedValue(k.Organization, s.KID), out.Secret); err != nil {
			return latchkey.Secret{}, told{}, err
		}
	}
	s.Signing, out.SigningKey, err = a.newSigning(ctx, k.Organization, s.KID, like)
	return s, out, err
}

// newSigning makes the signing credential beside a secret.
func (a *Authority) newSigning(ctx context.Context, organization latchkey.ID, kid latchkey.KID, like latchkey.Signing) (latchkey.Signing, latchkey.Plaintext, error) {
	if like.Format == "" {
		return latchkey.Signing{Algorithm: like.Algorithm, Public: like.Public}, latchkey.Plaintext{}, nil
	}
	drawn, err := latchkey.NewSigningKey(like.Format, kid, a.Random)
	if err != nil {
		return latchkey.Signing{}, latchkey.Plaintext{}, err
	}
	sealed, err := a.seal(ctx, verify.BindSigningKey(organization, kid), drawn)
	return latchkey.Signing{Algorithm: latchkey.HMACSHA256, Format: like.Format, Sealed: sealed}, drawn, err
}

func (a *Authority) importedSecret(sum [32]byte, public string, now time.Time) (latchkey.Secret, error) {
	kid, err := latchkey.NewKID(a.Random)
	if err != nil {
		return latchkey.Secret{}, err
	}
	pepper := a.Ring.Active()
	digest, err := a.Ring.DigestForeign(pepper, sum)
	return latchkey.Secret{
		KID: kid, Public: public, Format: latchkey.FormatForeign, Scheme: latchkey.SchemeSHA256, Pepper: pepper,
		Digest: digest, CreatedAt: now,
	}, err
}

// sealedValue binds a sealed key value to its row.
func sealedValue(organization latchkey.ID, kid latchkey.KID) keyring.Binding {
	return keyring.Binding{Organization: organization, Object: string(kid), Field: "secret"}
}

// seal encrypts a secret under its organization's data key.
func (a *Authority) seal(ctx context.Context, to keyring.Binding, secret latchkey.Plaintext) ([]byte, error) {
	dataKey, err := a.dataKey(ctx, to.Organization)
	if err != nil {
		return nil, err
	}
	return a.Ring.Seal(dataKey, to, secret)
}

func (a *Authority) dataKey(ctx context.Context, organization latchkey.ID) (keyring.WrappedKey, error) {
	d, err := a.Store.DataKey(ctx, organization)
	if err != nil {
		return keyring.WrappedKey{}, translate(err)
	}
	return keyring.WrappedKey{ID: d.ID, Organization: d.Organization, Version: d.Version, Wrapped: d.Wrapped}, nil
}

// createKeys is the part of a creation inside its transaction.
func (t *txn) createKeys(drafts []*draft, issued []Issued) error {
	org := t.Organizations[t.caller.Organization]
	if org.Keys+int64(len(drafts)) > org.Limits.Keys {
		return latchkey.Errorf(latchkey.CodeConflict, "The organization may have %d keys, revoked ones counted; ask the operator to raise limits.keys.", org.Limits.Keys)
	}
	roles := t.roles()
	keys := make([]*latchkey.Key, len(drafts))
	for i, d := range drafts {
		k := d.key
		owner := t.Users[k.Owner]
		switch {
		case t.Projects[k.Project] == nil:
			return latchkey.Invalid(d.pointer+"/project_id", "unknown", "There is no such project within your reach.")
		case !k.Owner.IsZero() && owner == nil:
			return latchkey.Invalid(d.pointer+"/owner_id", "unknown", "There is no such user in the organization.")
		case !k.Policy.Role.IsZero() && !t.hasRole(k.Policy.Role):
			return latchkey.Invalid(d.pointer+"/role", "unknown", "There is no such role in the organization.")
		case k.Retrievable && k.Format != latchkey.FormatShort && !t.Projects[k.Project].Stores(k.Format):
			return latchkey.Invalid(d.pointer+"/retrievable", "not_allowed", "The project (retrievable) does not allow values to be stored.")
		}
		if owner != nil {
			if err := t.knowsRoles(owner); err != nil {
				return err
			}
			if err := t.caller.speaksFor(owner, &k, roles); err != nil {
				return err
			}
		}
		if err := t.caller.ceiling(&k, owner, roles); err != nil {
			return err
		}
		k.Record = t.created()
		k.Secrets = slices.Clone(k.Secrets)
		k.Secrets[0].CreatedAt = t.Now
		if !t.Projects[k.Project].Stores(k.Format) { // forbidden a moment ago
			k.Retrievable, k.Secrets[0].Sealed = false, nil
		}
		keys[i] = &k
		role, _ := t.Role(k.Policy.Role)
		issued[i] = Issued{told: d.told}
		issued[i].Role, issued[i].At = role.Identifier, t.Now
		issued[i].State = k.State(org.Suspended || owner != nil && owner.Suspended, t.Now)
	}
	if err := t.keyEvents(drafts, keys); err != nil {
		return err
	}
	// The store numbers the rows when it writes them; what is told is read from
	// the same objects afterwards.
	for i := range issued {
		t.told = append(t.told, func() { issued[i].Key = *keys[i] })
	}
	return nil
}

// keyEvents writes an event for each key that was made here, and one for all
// that were imported.
func (t *txn) keyEvents(drafts []*draft, keys []*latchkey.Key) error {
	var imported []*latchkey.Key
	for i, k := range keys {
		if drafts[i].input.Digest != nil {
			imported = append(imported, k)
			continue
		}
		step, err := t.step(latchkey.KeyCreated, latchkey.Object{Kind: latchkey.KindKey, ID: k.ID}, describeKey(k, t))
		if err != nil {
			return err
		}
		step.Keys = []*latchkey.Key{k}
	}
	if len(imported) == 0 {
		return nil
	}
	org := latchkey.Object{Kind: latchkey.KindOrganization, ID: t.caller.Organization}
	step, err := t.step(latchkey.KeysImported, org, changes{"keys": len(imported), "scheme": "sha256", "first": imported[0].ID.Native(latchkey.KindKey)}.document())
	if err != nil {
		return err
	}
	step.Keys = imported
	return nil
}

// reissue answers a creation that was made before, with the same secrets if it
// had any.
func (a *Authority) reissue(ctx context.Context, call *Call, r *store.Record, withSecrets bool) ([]Issued, Effective, error) {
	issued := make([]Issued, len(r.Objects))
	var effective Effective
	for i, id := range r.Objects {
		h, err := a.made(ctx, call, id)
		if err != nil {
			return nil, Effective{}, err
		}
		issued[i] = Issued{Described: a.describe(h)}
		effective.Position = max(effective.Position, h.Key.Revision)
	}
	if !withSecrets {
		return issued, effective, nil
	}
	secrets, err := a.recall(call, r, latchkey.KindKey)
	if err != nil {
		return nil, Effective{}, err
	}
	for i := range issued {
		issued[i].told = secrets[i]
	}
	return issued, effective, nil
}

// made reads a key that an earlier call made, for a caller who could make it
// now: whoever lost that since is not told its secret again.
func (a *Authority) made(ctx context.Context, call *Call, id latchkey.ID) (*store.Holder, error) {
	h, err := a.key(ctx, call, id)
	if err != nil {
		return nil, err
	}
	return h, call.ceiling(&h.Key, h.Owner, h.Roles)
}

// describe shows a key as it is now.
func (a *Authority) describe(h *store.Holder) Described {
	now := a.Clock()
	d := Described{Key: h.Key, State: h.Key.State(h.Grant().Suspended, now), At: now}
	for _, r := range h.Roles {
		if r.ID == h.Key.Policy.Role {
			d.Role = r.Identifier
		}
	}
	return d
}

// roles are all roles that the transaction knows.
func (t *txn) roles() []latchkey.Role {
	roles := latchkey.BuiltinRoles()
	for _, r := range t.Roles {
		roles = append(roles, *r)
	}
	return roles
}

// hasRole reports whether the role is built in or the organization's own.
func (t *txn) hasRole(id latchkey.ID) bool {
	r, ok := t.Role(id)
	return ok && (r.Builtin() || r.Organization == t.caller.Organization)
}

// newKeyTold is what an event tells of a new key: changes, without the map.
type newKeyTold struct {
	Addresses []string             `json:"addresses,omitempty"`
	ExpiresAt any                  `json:"expires_at,omitempty"`
	KID       latchkey.KID         `json:"kid"`
	Name      string               `json:"name"`
	Owner     string               `json:"owner_id,omitempty"`
	Partner   string               `json:"partner,omitempty"`
	Project   string               `json:"project_id"`
	Reach     latchkey.Reach       `json:"reach"`
	Resources latchkey.Resources   `json:"resources,omitempty"`
	Role      string               `json:"role,omitempty"`
	Scopes    latchkey.Permissions `json:"scopes,omitempty"`
	Signing   string               `json:"signing,omitempty"`
	Mode      latchkey.SigningMode `json:"signing_mode,omitempty"`
}

func describeKey(k *latchkey.Key, t *txn) latchkey.Document {
	return document(newKeyTold{
		Addresses: k.Policy.Addresses.Entries(), ExpiresAt: stamp(k.ExpiresAt), KID: k.Secrets[len(k.Secrets)-1].KID, Name: k.Name,
		Owner: k.Owner.Native(latchkey.KindUser), Partner: k.Partner, Project: k.Project.Native(latchkey.KindProject), Reach: k.Reach,
		Resources: k.Policy.Resources, Role: t.roleName(k.Policy.Role), Scopes: k.Policy.Scopes, Signing: string(k.Secrets[len(k.Secrets)-1].Signing.Algorithm), Mode: k.SigningMode,
	})
}

func (t *txn) roleName(id latchkey.ID) string {
	r, _ := t.Role(id)
	return r.Identifier
}
