package authority

import (
	"encoding/base64"
	"slices"

	"latchkey.dev/latchkey"
)

// SigningPatch is what is to be different about how a key's requests are signed;
// nil leaves a field as it is.
type SigningPatch struct {
	Mode   *latchkey.SigningMode
	Public []byte // of the pair with which all its secrets sign from now on

	// Clear takes the key's signing credentials away, and looks at no signature any
	// more.
	Clear bool
}

// apply makes the changed key, and tells what is different. A public key is told
// in base64.
func (p *SigningPatch) apply(k *latchkey.Key, c changes) error {
	before := k.Secrets[len(k.Secrets)-1].Signing
	after, mode := before, k.SigningMode
	if p.Mode != nil {
		mode = *p.Mode
	}
	switch {
	case p.Clear:
		after, mode = latchkey.Signing{}, latchkey.SigningOff
	case p.Public != nil:
		after = latchkey.Signing{Algorithm: latchkey.Ed25519, Public: p.Public}
	}
	if after.Algorithm == "" && mode != latchkey.SigningOff {
		return latchkey.Invalid("/signing/mode", "not_allowed", "The key has nothing to sign with. Register the public half of a pair (alg ed25519, public_key), or create a key with a signing key.")
	}
	if p.Clear || p.Public != nil {
		k.Secrets = slices.Clone(k.Secrets)
		for i := range k.Secrets {
			k.Secrets[i].Signing = after
		}
	}
	set(c, "signing", &before.Algorithm, after.Algorithm)
	public, next := spellPublic(before.Public), spellPublic(after.Public)
	set(c, "signing_public_key", &public, next)
	set(c, "signing_mode", &k.SigningMode, mode)
	return nil
}

func spellPublic(key []byte) string { return base64.StdEncoding.EncodeToString(key) }
