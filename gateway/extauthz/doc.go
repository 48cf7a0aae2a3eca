// Package extauthz answers Envoy's external authorization over gRPC:
// envoy.service.auth.v3.Authorization/Check, as its published protocol buffers
// describe it. A gateway shows its token in the initial metadata
// latchkey-gateway; what is required of a request is said by the gateway.
//
// Every answer is a CheckResponse, refusals among them: a status other than OK
// with the HTTP response for the client. Envoy lets nothing through then, even
// where its failure_mode_allow says that it should when nobody answers. Only
// what breaks a bound of the transport is an error of gRPC.
package extauthz
