package verify

import (
	"context"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/store"
)

// byKID finds the secret with that kid, in memory if the index is filled; else
// it is read. The error is store.ErrNotFound or a failure of the store.
func (v *Verifier) byKID(ctx context.Context, kid latchkey.KID, c *credential) error {
	if ix := v.kept.index.Load(); ix != nil {
		packed, ok := packKID(kid)
		if !ok || !ix.get(kid, packed, c) {
			return store.ErrNotFound
		}
		return nil
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

// expect gives the version of the ring under which the secret with that kid most
// likely has its digest, and asks for the memory where it is. A kid that nobody has
// is expected under the active one, so that it takes the same work.
func (v *Verifier) expect(kid latchkey.KID) (version int) {
	if ix := v.kept.index.Load(); ix != nil {
		if packed, ok := packKID(kid); ok {
			hash := packed.hash()
			if hint := ix.shards[shardOf(hash)].expect(hash); hint&hintForeign == 0 && hint != 0 {
				return int(hint)
			}
		}
	}
	return v.ring.Active()
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
