package verify

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/signature"
	"latchkey.dev/latchkey/store"
)

// Message is what a request has that a signature may cover.
type Message = signature.Message

// BindSigningKey binds a sealed signing key to its row.
func BindSigningKey(organization latchkey.ID, kid latchkey.KID) keyring.Binding {
	return keyring.Binding{Organization: organization, Object: string(kid), Field: "signing"}
}

// spending is a signature that holds, and whose nonce is still to be spent.
type spending struct {
	organization latchkey.ID
	nonce        store.Nonce
}

// judge judges the request's signature, where it is to be looked at: a matched key
// that signs, and a request that is signed. What is left of one that holds is its
// time and its nonce; nil is nothing.
func (v *Verifier) judge(ctx context.Context, r *Request, f *found) (*spending, error) {
	if r.Signature == nil || !f.attempt.Match || f.Key.Signing == latchkey.SigningOff {
		return nil, nil
	}
	asked, fault, err := v.checkSignature(ctx, r.Signature, f.KID)
	f.attempt.Signature, f.attempt.Fault = latchkey.SignatureHolds, fault
	if asked == nil {
		f.attempt.Signature = latchkey.SignatureFails
	}
	return asked, err
}

// checkSignature reads the request's signature and checks it with the signing key
// beside the secret that was presented; the signature must name that secret. fault
// is why it does not hold.
func (v *Verifier) checkSignature(ctx context.Context, m *Message, kid latchkey.KID) (_ *spending, fault string, _ error) {
	signed, err := signature.Read(m)
	if err != nil {
		return nil, err.Error(), nil
	}
	if signed.KeyID != string(kid) {
		return nil, "its keyid is not the public key id of the secret that came with it", nil
	}
	key, err := v.signingKey(ctx, kid)
	switch {
	case err != nil:
		return nil, "", err
	case key == nil:
		return nil, "the secret has no signing key", nil
	}
	select {
	case v.checks <- struct{}{}:
		defer func() { <-v.checks }()
	case <-ctx.Done():
		return nil, "", ctx.Err()
	}
	if !signed.By(key.algorithm, key.key) {
		return nil, "it was made with another key, or over another request", nil
	}
	once := store.NonceKey{KID: kid, Hash: sha256.Sum256([]byte(signed.Nonce))}
	return &spending{key.organization, store.Nonce{NonceKey: once, Created: time.Unix(signed.Created, 0)}}, "", nil
}

// signingKey is what a secret's signatures are checked with.
type signingKey struct {
	organization latchkey.ID
	algorithm    latchkey.SigningAlgorithm
	key          []byte
}

// signingKey reads and opens the signing key beside a secret; nil if it has none.
// It asks the store each time: few requests are signed, each of which waits for a
// write in the end, and what is not kept is never out of date.
func (v *Verifier) signingKey(ctx context.Context, kid latchkey.KID) (*signingKey, error) {
	c, err := v.store.ByKID(ctx, kid)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	k := &signingKey{organization: c.Key.Organization, algorithm: c.Secret.Signing.Algorithm, key: c.Secret.Signing.Public}
	if c.Secret.Signing.Sealed != nil {
		d, err := v.store.DataKey(ctx, k.organization)
		if err != nil {
			return nil, err
		}
		wrapped := keyring.WrappedKey{ID: d.ID, Organization: d.Organization, Version: d.Version, Wrapped: d.Wrapped}
		plain, err := v.ring.Open(wrapped, BindSigningKey(k.organization, kid), c.Secret.Signing.Sealed)
		if err != nil {
			return nil, err
		}
		k.key = []byte(plain.Expose())
	}
	if len(k.key) == 0 {
		return nil, nil
	}
	return k, nil
}

// Why a nonce cannot be spent.
var (
	errReplayed = errors.New("its nonce was used before")
	errStale    = errors.New("it was made too long ago, or too far ahead, by the clock of the store; or a store that was put back may have forgotten its nonce")
)

// spend commits that the signature's nonce is used, or says that it cannot be.
func (v *Verifier) spend(ctx context.Context, s *spending) (latchkey.Code, error) {
	fault, err := v.submit(ctx, s, store.Outcome{Nonces: []store.Nonce{s.nonce}})
	if fault != "" {
		return latchkey.CodeSignatureInvalid, err
	}
	return latchkey.CodeValid, err
}

// try asks whether it could be used, and leaves it be. fault is why not.
func (v *Verifier) try(ctx context.Context, s *spending) (fault string, _ error) {
	return v.submit(ctx, s, store.Outcome{})
}

// submit has the signature's time and nonce judged in the transaction that writes
// the outcome, by the store's clock.
func (v *Verifier) submit(ctx context.Context, s *spending, outcome store.Outcome) (fault string, _ error) {
	_, err := v.store.Submit(ctx, store.Change{
		Organization: s.organization, Reads: store.Reads{Nonces: []store.NonceKey{s.nonce.NonceKey}},
		Apply: func(view *store.View) (store.Outcome, error) {
			switch {
			case !latchkey.SignatureFresh(s.nonce.Created, view.NonceFloor, view.Now):
				return store.Outcome{}, errStale
			case view.Nonces[s.nonce.NonceKey]:
				return store.Outcome{}, errReplayed
			}
			return outcome, nil
		},
	})
	switch {
	case errors.Is(err, errStale), errors.Is(err, errReplayed):
		return err.Error(), nil
	case errors.Is(err, store.ErrConflict):
		return errReplayed.Error(), nil
	}
	return "", err
}
