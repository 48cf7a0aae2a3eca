package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/store"
)

// Algorithm is how a token is signed (RFC 7518, section 3.1).
type Algorithm string

// The algorithms. There is one active key of each.
const (
	ES256 Algorithm = "ES256" // ECDSA over P-256, the default
	RS256 Algorithm = "RS256" // RSA PKCS #1 v1.5, for verifiers that know no other
)

// Algorithms lists them, the default first.
func Algorithms() []Algorithm { return []Algorithm{ES256, RS256} }

// rsaBits is the modulus: enough for a key that signs for 90 days (NIST SP
// 800-57 part 1, table 2), and what every verifier of RS256 takes.
const rsaBits = 2048

func (a Algorithm) method() jwt.SigningMethod {
	switch a {
	case ES256:
		return jwt.SigningMethodES256
	case RS256:
		return jwt.SigningMethodRS256
	}
	return nil
}

func (a Algorithm) generate(random io.Reader) (crypto.Signer, error) {
	switch a {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), random)
	case RS256:
		return rsa.GenerateKey(random, rsaBits)
	}
	return nil, fmt.Errorf("no algorithm of ours: %q", string(a))
}

// signingKey is a row with its public half read. It is shared: do not change it.
type signingKey struct {
	store.TokenKey

	kid    string
	method jwt.SigningMethod
	public crypto.PublicKey
}

func readKey(row *store.TokenKey) (*signingKey, error) {
	public, err := x509.ParsePKIXPublicKey(row.Public)
	if err != nil {
		return nil, fmt.Errorf("token key %s: %w", row.ID.Hex(), err)
	}
	k := &signingKey{TokenKey: *row, kid: row.ID.Hex(), method: Algorithm(row.Algorithm).method(), public: public}
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		if k.method == jwt.SigningMethodES256 && key.Curve == elliptic.P256() {
			return k, nil
		}
	case *rsa.PublicKey:
		if k.method == jwt.SigningMethodRS256 && key.Size()*8 >= rsaBits {
			return k, nil
		}
	}
	return nil, fmt.Errorf("token key %s is none for %q", row.ID.Hex(), row.Algorithm)
}

// Draw makes a signing key, to be written by whoever called. Its private half is
// sealed for the operator's organization, whose data key moves with the ring.
func (s *Service) Draw(ctx context.Context, a Algorithm, random io.Reader, now time.Time) (*store.TokenKey, error) {
	private, err := a.generate(random)
	if err != nil {
		return nil, err
	}
	id, err := latchkey.NewID(now, random)
	if err != nil {
		return nil, err
	}
	k := &store.TokenKey{ID: id, Algorithm: string(a)}
	if k.Public, err = x509.MarshalPKIXPublicKey(private.Public()); err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	dataKey, err := s.dataKey(ctx)
	if err != nil {
		return nil, err
	}
	k.Sealed, err = s.ring.Seal(dataKey, binding(dataKey.Organization, k), latchkey.NewPlaintext(string(der)))
	return k, err
}

// binding is what a sealed private key is bound to: its own row.
func binding(operator latchkey.ID, k *store.TokenKey) keyring.Binding {
	return keyring.Binding{Organization: operator, Object: "token key " + k.ID.Hex(), Field: k.Algorithm + " private key"}
}

func (s *Service) dataKey(ctx context.Context) (keyring.WrappedKey, error) {
	in, err := s.store.Installation(ctx)
	if err != nil {
		return keyring.WrappedKey{}, err
	}
	d, err := s.store.DataKey(ctx, in.Operator)
	if err != nil {
		return keyring.WrappedKey{}, err
	}
	return keyring.WrappedKey{ID: d.ID, Organization: d.Organization, Version: d.Version, Wrapped: d.Wrapped}, nil
}

// unseal opens the private half, and refuses one that is not this key's.
func (s *Service) unseal(ctx context.Context, k *signingKey) (crypto.Signer, error) {
	dataKey, err := s.dataKey(ctx)
	if err != nil {
		return nil, err
	}
	der, err := s.ring.Open(dataKey, binding(dataKey.Organization, &k.TokenKey), k.Sealed)
	if err != nil {
		return nil, fmt.Errorf("token key %s: %w", k.ID.Hex(), err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey([]byte(der.Expose()))
	if err != nil {
		return nil, fmt.Errorf("token key %s: its private half cannot be read", k.ID.Hex())
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok || !k.public.(interface{ Equal(crypto.PublicKey) bool }).Equal(signer.Public()) {
		return nil, errors.New("token key " + k.ID.Hex() + ": its private half is another key's")
	}
	return signer, nil
}
