package client

import (
	"context"
	"net/http"
	"time"
)

// Gateways is what can be done with gateways.
type Gateways struct {
	Directory[Gateway, NewGateway, GatewayPatch]
}

// Gateway is what stands before an API and asks about the key in each request.
type Gateway struct {
	ID                string            `json:"id"` // gw_…
	OrganizationID    string            `json:"organization_id"`
	Name              string            `json:"name"`
	Profile           string            `json:"profile"` // nginx, traefik, caddy, haproxy, envoy-http, envoy-grpc or rabbitmq
	AllOrganizations  bool              `json:"all_organizations"`
	Environment       string            `json:"environment"` // live or test; "": either
	Credential        string            `json:"credential"`  // path or header
	KeyHeaders        []string          `json:"key_headers"`
	Routes            []GatewayRoute    `json:"routes"`
	TrustedProxies    *TrustedProxies   `json:"trusted_proxies"`    // nil: none
	AssertionAudience string            `json:"assertion_audience"` // "": no assertion is told
	Management        *BrokerManagement `json:"management"`         // nil: none
	KID               string            `json:"kid"`                // the public part of its token
	CreatedAt         time.Time         `json:"created_at"`
	UpdatedAt         time.Time         `json:"updated_at"`
	CreatedBy         string            `json:"created_by"`
}

// TrustedProxies are those before a gateway whose word on the client's address
// is taken.
type TrustedProxies struct {
	Networks []string `json:"networks"`
	Header   string   `json:"header"` // X-Forwarded-For, Forwarded or X-Real-IP
}

// BrokerManagement is how a broker's management API is reached.
type BrokerManagement struct {
	URL          string `json:"url"`
	Username     string `json:"username"`
	Password     string `json:"password,omitempty"`      // given and never told
	DeleteVHosts bool   `json:"delete_vhosts,omitempty"` // a revoked key's virtual host goes, with everything in it
}

// GatewayRoute is what a gateway requires of some requests.
type GatewayRoute struct {
	Methods  []string         `json:"methods,omitempty"` // none: every method
	Host     string           `json:"host,omitempty"`    // "": every host
	Path     string           `json:"path"`              // {…} is any one segment, a last * any rest
	Scopes   *GatewayScopes   `json:"scopes,omitempty"`
	Resource *GatewayResource `json:"resource,omitempty"`
}

// GatewayScopes are the scopes that a key must hold.
type GatewayScopes struct {
	All []string `json:"all,omitempty"`
	Any []string `json:"any,omitempty"`
}

// GatewayResource is what a request touches. The id may be a {…} of the path.
type GatewayResource struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// NewGateway is what a gateway is to be.
type NewGateway struct {
	Name              string            `json:"name"`
	Profile           string            `json:"profile"`
	AllOrganizations  bool              `json:"all_organizations,omitempty"`
	Environment       string            `json:"environment,omitempty"`
	Credential        string            `json:"credential,omitempty"`
	KeyHeaders        []string          `json:"key_headers,omitempty"`
	TrustedProxies    *TrustedProxies   `json:"trusted_proxies,omitempty"`
	AssertionAudience string            `json:"assertion_audience,omitempty"`
	Routes            []GatewayRoute    `json:"routes,omitempty"` // at least one; none for a broker
	Management        *BrokerManagement `json:"management,omitempty"`
}

// GatewayPatch is what is to be different about a gateway.
type GatewayPatch struct {
	Name              Field[string]           `json:"name,omitzero"`
	Profile           Field[string]           `json:"profile,omitzero"`
	AllOrganizations  Field[bool]             `json:"all_organizations,omitzero"`
	Environment       Field[string]           `json:"environment,omitzero"` // Clear: either
	Credential        Field[string]           `json:"credential,omitzero"`
	KeyHeaders        Field[[]string]         `json:"key_headers,omitzero"`
	Routes            Field[[]GatewayRoute]   `json:"routes,omitzero"`             // replaces all of them
	TrustedProxies    Field[TrustedProxies]   `json:"trusted_proxies,omitzero"`    // Clear: none
	AssertionAudience Field[string]           `json:"assertion_audience,omitzero"` // Clear: no assertion
	Management        Field[BrokerManagement] `json:"management,omitzero"`         // replaces all of it; Clear: none
}

// IssuedGateway is a gateway with its token, which is told this once.
type IssuedGateway struct {
	Gateway Gateway `json:"gateway"`
	Token   Secret  `json:"token"`
	Reached
}

// Create makes a gateway, and is told its token.
func (g Gateways) Create(ctx context.Context, in NewGateway) (Answer[IssuedGateway], error) {
	return send[IssuedGateway](ctx, g.c, create(g.path, in).waiting())
}

// RotateToken gives the gateway a new token; the old one ends at once.
func (g Gateways) RotateToken(ctx context.Context, id string) (Answer[IssuedGateway], error) {
	return send[IssuedGateway](ctx, g.c, change(http.MethodPost, join(g.path, id, "rotate-token"), nil).waiting())
}

// Delete deletes a gateway.
func (g Gateways) Delete(ctx context.Context, id string) (Answer[Effect], error) {
	return g.Directory.Delete(ctx, id, false)
}
