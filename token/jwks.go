package token

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"math/big"

	"github.com/go-json-experiment/json"
)

// webKey is a public key as RFC 7517, section 4, and RFC 7518, section 6, spell it.
type webKey struct {
	Type      string `json:"kty"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	ID        string `json:"kid"`

	Curve string `json:"crv,omitempty"`
	X     string `json:"x,omitempty"`
	Y     string `json:"y,omitempty"`

	Modulus  string `json:"n,omitempty"`
	Exponent string `json:"e,omitempty"`
}

// document writes a JSON Web Key Set.
func document(keys []*signingKey) ([]byte, error) {
	set := struct {
		Keys []webKey `json:"keys"`
	}{Keys: []webKey{}}
	for _, k := range keys {
		w := webKey{Use: "sig", Algorithm: k.Algorithm, ID: k.kid}
		switch public := k.public.(type) {
		case *ecdsa.PublicKey:
			point, err := public.Bytes() // 4, then both coordinates in full length (SEC 1, section 2.3.3)
			if err != nil {
				return nil, err
			}
			half := (len(point) - 1) / 2
			w.Type, w.Curve, w.X, w.Y = "EC", "P-256", encode(point[1:1+half]), encode(point[1+half:])
		case *rsa.PublicKey:
			w.Type, w.Modulus, w.Exponent = "RSA", encode(public.N.Bytes()), encode(big.NewInt(int64(public.E)).Bytes())
		}
		set.Keys = append(set.Keys, w)
	}
	return json.Marshal(set)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
