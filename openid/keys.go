package openid

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
)

// key finds a key of an issuer. One that is known is used at once; one that is not
// is looked for at the issuer, where that was not done within the minute.
func (s *Service) key(ctx context.Context, url, kid string, now time.Time) (*webKey, error) {
	p := s.provider(url)
	k, reading, err := s.known(p, url, kid, now)
	if reading == nil {
		return k, err
	}
	select {
	case s.waiting <- struct{}{}:
		defer func() { <-s.waiting }()
	default:
		return nil, unavailable()
	}
	select {
	case <-reading:
	case <-ctx.Done():
		return nil, unavailable()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.find(kid, now)
}

// known is the key, or else the reading that may bring it; nil: nothing will.
func (s *Service) known(p *provider, url, kid string, now time.Time) (*webKey, <-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k, err := p.find(kid, now)
	due := now.Sub(p.tried) >= Between || now.Before(p.tried)
	switch {
	case k != nil:
		if p.reading == nil && due && now.Sub(p.read) >= fresh {
			s.begin(p, url, now) // beside: what is known is good enough
		}
		return k, nil, nil
	case p.reading == nil && !due:
		return nil, nil, err
	case p.reading == nil:
		s.begin(p, url, now)
	}
	return nil, p.reading, nil
}

// find looks among what was read. The error says whether the key is unknown, or
// the keys are.
func (p *provider) find(kid string, now time.Time) (*webKey, error) {
	if p.keys == nil || now.Sub(p.read) >= lasting {
		return nil, unavailable()
	}
	if k := p.keys[kid]; k != nil {
		return k, nil
	}
	return nil, refused()
}

// begin reads the issuer's keys beside. Whoever calls it has p locked.
func (s *Service) begin(p *provider, url string, now time.Time) {
	done := make(chan struct{})
	p.reading, p.tried = done, now
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), atMost)
		defer cancel()
		keys, err := s.read(ctx, url)
		if s.done.Add(1); err != nil {
			s.failed.Add(1)
			s.Log.Warn("the keys of an issuer cannot be read; those that are known go on", "issuer", url, "error", err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.reading = nil; err == nil {
			p.keys, p.read = keys, now
		}
		close(done)
	}()
}

// webKey is a public key with what it is for.
type webKey struct {
	algorithm string // "": any that such a key can do
	public    crypto.PublicKey
}

// maxKeys bounds a key set.
const maxKeys = 100

// The bounds of RSA moduli, in bits: below, a key is none (RFC 7518, section 3.3);
// above, checking a signature takes too long.
const (
	minModulus = 2048
	maxModulus = 8192
)

// parseKeys reads a JSON Web Key Set (RFC 7517, section 5). Keys that are not for
// signatures, or of a kind that is not known here, are left out.
func parseKeys(text []byte) (map[string]*webKey, error) {
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("the key set cannot be read: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("the set has more than %d keys", maxKeys)
	}
	keys := map[string]*webKey{}
	for _, text := range set.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(text) != nil || k.KeyID == "" || k.Use != "" && k.Use != "sig" || !k.IsPublic() || !usable(k.Key) {
			continue
		}
		if keys[k.KeyID] != nil {
			return nil, errors.New("two keys of the set have one kid")
		}
		keys[k.KeyID] = &webKey{k.Algorithm, k.Key}
	}
	if len(keys) == 0 {
		return nil, errors.New("the set has no key that can be used")
	}
	return keys, nil
}

func usable(key crypto.PublicKey) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= minModulus && k.N.BitLen() <= maxModulus
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}

// method is how the key checks a signature of that algorithm; nil if it is for
// another.
func (k *webKey) method(algorithm string) jwt.SigningMethod {
	if k.algorithm != "" && k.algorithm != algorithm {
		return nil
	}
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		switch algorithm {
		case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
			return jwt.GetSigningMethod(algorithm)
		}
	case *ecdsa.PublicKey:
		curves := map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}
		if curves[algorithm] == public.Curve {
			return jwt.GetSigningMethod(algorithm)
		}
	case ed25519.PublicKey:
		if algorithm == "EdDSA" {
			return jwt.SigningMethodEdDSA
		}
	}
	return nil
}
