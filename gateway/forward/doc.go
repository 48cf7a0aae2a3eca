// Package forward answers gateways that ask over HTTP about each request that
// comes to them: nginx (auth_request), Traefik (ForwardAuth), Caddy
// (forward_auth), HAProxy (a Lua action) and Envoy (ext_authz). A gateway is a
// registered object, known by its token; what is required of a request is said
// there, and nothing of it comes from the request.
//
// The answer is a status and headers: 200 with who it is, or a refusal, whose
// code is in X-Latchkey-Code. Whatever cannot be told for sure is refused. What
// each gateway must be configured to do is in the folder examples.
package forward
