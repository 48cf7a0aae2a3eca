package oauth

import (
	"net/http"

	"latchkey.dev/latchkey/internal/door"
	"latchkey.dev/latchkey/token"
)

// metadataAnswer is what there is and where (RFC 8414, section 2).
type metadataAnswer struct {
	Issuer         string   `json:"issuer"`
	Token          string   `json:"token_endpoint"`
	KeySet         string   `json:"jwks_uri"`
	Introspection  string   `json:"introspection_endpoint"`
	Revocation     string   `json:"revocation_endpoint"`
	ResponseTypes  []string `json:"response_types_supported"` // none: there is no authorization endpoint
	Grants         []string `json:"grant_types_supported"`
	Authentication []string `json:"token_endpoint_auth_methods_supported"`
	AskingBy       []string `json:"introspection_endpoint_auth_methods_supported"`
	RevokingBy     []string `json:"revocation_endpoint_auth_methods_supported"`
	Algorithms     []string `json:"access_token_signing_alg_values_supported"`
	Documentation  string   `json:"service_documentation"`
}

func (x *exchange) metadata() error {
	base := door.Issuer(x.r, x.api.PublicURL, x.api.OwnURL)
	methods := []string{"client_secret_basic", "client_secret_post"}
	out := metadataAnswer{
		Issuer: base, Token: base + TokenPath, KeySet: base + "/.well-known/jwks.json", Introspection: base + AskPath, Revocation: base + RevokePath,
		ResponseTypes: []string{}, Grants: []string{clientCredentials, tokenExchange}, Authentication: methods,
		AskingBy: append(methods, "Bearer"), RevokingBy: append(methods, "none"), Documentation: base + "/docs",
	}
	for _, a := range token.Algorithms() {
		out.Algorithms = append(out.Algorithms, string(a))
	}
	x.api.write(x.w, http.StatusOK, out)
	return nil
}
