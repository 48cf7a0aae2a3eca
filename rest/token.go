package rest

import (
	"latchkey.dev/latchkey/authority"
)

type tokenKeysAnswer struct {
	Keys []tokenKeyAnswer `json:"keys" nullable:"false" doc:"Oldest first; none where nobody has asked for a token yet."`
}

type tokenKeyAnswer struct {
	KID         string `json:"kid" doc:"What the header of its tokens names."`
	Algorithm   string `json:"algorithm" enum:"ES256,RS256"`
	State       string `json:"state" enum:"pending,active,retiring" doc:"pending: published, and signs when verifiers have had time to see it. retiring: published until its last token has ended."`
	PublishedAt moment `json:"published_at"`
	ActiveAt    moment `json:"active_at" nullable:"true" doc:"Signs since then."`
	RetiredAt   moment `json:"retired_at" nullable:"true" doc:"Signs no more since then."`
}

func spellTokenKey(k *authority.TokenKey) tokenKeyAnswer {
	return tokenKeyAnswer{k.KID, string(k.Algorithm), string(k.State), moment(k.PublishedAt), moment(k.ActiveAt), moment(k.RetiredAt)}
}

func (api *API) listTokenKeys(x *exchange) error {
	keys, err := api.Authority.TokenKeys(x.r.Context(), &x.Call)
	if err != nil {
		return err
	}
	out := tokenKeysAnswer{Keys: make([]tokenKeyAnswer, len(keys))}
	for i := range keys {
		out.Keys[i] = spellTokenKey(&keys[i])
	}
	return x.answer(out)
}

type rotateTokenKeysInput struct {
	Now bool `json:"now" required:"false" doc:"Sign with the new keys at once, though verifiers that keep the key set do not know them yet."`
}

func (api *API) rotateTokenKeys(x *exchange) error {
	e, err := api.Authority.RotateTokenKeys(x.r.Context(), &x.Call, x.in.(*rotateTokenKeysInput).Now)
	if err != nil {
		return err
	}
	return x.answer(effectiveAnswer{spellEffective(e)})
}

// keySetAnswer describes what the token service writes (RFC 7517, section 5; RFC
// 7518, section 6).
type keySetAnswer struct {
	Keys []webKey `json:"keys" nullable:"false"`
}

type webKey struct {
	Type      string `json:"kty" enum:"EC,RSA"`
	Use       string `json:"use" enum:"sig"`
	Algorithm string `json:"alg" enum:"ES256,RS256"`
	KID       string `json:"kid"`
	Curve     string `json:"crv" required:"false" enum:"P-256"`
	X         string `json:"x" required:"false"`
	Y         string `json:"y" required:"false"`
	Modulus   string `json:"n" required:"false"`
	Exponent  string `json:"e" required:"false"`
}

// The places of the key set: where OAuth's metadata points, and where clients
// look that make it up from the issuer.
const (
	keySetPath      = "/.well-known/jwks.json"
	keySetPathShort = "/.well-known/jwks"
)

func (api *API) getKeySet(x *exchange) error {
	document, err := api.Authority.TokenKeySet(x.r.Context())
	if err != nil {
		return err
	}
	// New keys are in it for a day before they sign.
	send(x.w, "application/json", "public, max-age=300", document)
	return nil
}
