package verify

import (
	"context"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/store"
)

// lookup is a search for a kid in memory, which goes on while other work is done.
type lookup struct {
	kid    latchkey.KID
	packed packedKID
	hash   uint64
	ok     bool   // it can be a kid
	in     *index // nil: the store is asked
	likely bool   // number is what is most likely that of the entry
	number uint32
}

// begin asks for the memory where the kid's place in the index is.
func (v *Verifier) begin(kid latchkey.KID) (l lookup) {
	l.kid = kid
	if l.packed, l.ok = packKID(kid); !l.ok {
		return l
	}
	l.hash = l.packed.hash()
	if l.in = v.kept.index.Load(); l.in != nil {
		l.in.shards[shardOf(l.hash)].begin(l.hash)
	}
	return l
}

// expect asks for the memory of the secret, and gives the version of the ring under
// which it most likely has its digest. A kid that nobody has is expected under the
// active one, so that it takes the same work.
func (v *Verifier) expect(l *lookup) (version int) {
	if l.in != nil {
		var hint uint8
		if l.number, hint, l.likely = l.in.shards[shardOf(l.hash)].expect(l.hash); hint&hintForeign == 0 && hint != 0 {
			return int(hint)
		}
	}
	return v.ring.Active()
}

// found ends a lookup with the secret that has the kid. The error is
// store.ErrNotFound or a failure of the store.
func (v *Verifier) found(ctx context.Context, l *lookup, c *credential) error {
	if l.in == nil {
		return v.byKID(ctx, l.kid, c)
	}
	if !l.in.get(l, c) {
		return store.ErrNotFound
	}
	return nil
}

// byKID finds the secret with that kid, in memory if the index is filled; else
// it is read. The error is store.ErrNotFound or a failure of the store.
func (v *Verifier) byKID(ctx context.Context, kid latchkey.KID, c *credential) error {
	if l := v.begin(kid); l.in != nil {
		return v.found(ctx, &l, c)
	} else if !l.ok {
		return store.ErrNotFound
	}
	if v.node != nil {
		return ErrNotCurrent
	}
	read, err := v.store.ByKID(ctx, kid)
	if err != nil {
		return err
	}
	c.learn(read)
	return nil
}

// byForeign finds the imported secret with that SHA-256, whichever version of
// the ring its digest is under.
func (v *Verifier) byForeign(ctx context.Context, sum [32]byte, c *credential) error {
	ix := v.kept.index.Load()
	var digests [][32]byte
	for _, version := range v.ring.Versions() {
		if version.State != keyring.Active && version.State != keyring.Retiring {
			continue
		}
		digest, err := v.ring.DigestForeign(version.Number, sum)
		if err != nil {
			return err
		}
		if ix != nil && ix.byDigest(digest, c) {
			return nil
		}
		digests = append(digests, digest)
	}
	if ix != nil {
		return store.ErrNotFound
	}
	if v.node != nil {
		return ErrNotCurrent
	}
	read, err := v.store.ByForeignDigest(ctx, digests)
	if err != nil {
		return err
	}
	c.learn(read)
	return nil
}

// learn takes over what was read.
func (c *credential) learn(read *store.Credential) {
	c.Scheme, c.Pepper, c.Digest = read.Secret.Scheme, read.Secret.Pepper, read.Secret.Digest
	k := &read.Key
	*c.Identity = Identity{
		KeyID: k.ID, KID: read.Secret.KID, SecretExpires: read.Secret.ExpiresAt,
		Key: Holder{
			Organization: k.Organization, Project: k.Project, Owner: k.Owner, Reach: k.Reach, Environment: k.Environment,
			Partner: k.Partner, Metadata: k.Metadata, Enabled: k.Enabled, Revoked: k.Revoked(), ExpiresAt: k.ExpiresAt,
			Signing: k.SigningMode,
		},
		Operator: read.Organization.Operator, Grant: read.Grant(),
	}
	for _, role := range read.Roles {
		if role.ID == k.Policy.Role {
			c.Role = role.Identifier
		}
	}
}
