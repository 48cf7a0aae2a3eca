package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"latchkey.dev/latchkey"
)

var gateways = newTable("gateways", "ordinal id organization",
	"name profile every_organization environment place key_headers routes kid pepper digest proxies proxy_header audience management")

// gatewayValues leaves nothing of a deleted gateway's credentials.
func gatewayValues(g *latchkey.Gateway) ([]any, error) {
	digest, managed := g.Token.Digest[:], g.Management
	if g.Deleted() {
		digest, managed.Sealed = make([]byte, len(digest)), nil
	}
	headers, err := list(g.KeyHeaders)
	if err != nil {
		return nil, err
	}
	proxies, err := list(g.Trust.Entries())
	if err != nil {
		return nil, err
	}
	routes, err := list(g.Routes)
	if err != nil {
		return nil, err
	}
	management, err := list(managed)
	return append([]any{
		g.Ordinal, ident(g.ID), ident(g.Organization), g.Name, string(g.Profile), g.All, string(g.Environment), string(g.Place), headers, routes,
		string(g.Token.KID), g.Token.Pepper, digest, proxies, string(g.Trust.Header()), g.Audience, management,
	}, recordValues(&g.Record)...), err
}

// gatewayTargets has the parts of what a gateway trusts in places of their own.
func gatewayTargets(g *latchkey.Gateway, proxies *[]string, header *latchkey.ProxyHeader) []any {
	return append([]any{
		&g.Ordinal, (*idColumn)(&g.ID), (*idColumn)(&g.Organization), &g.Name, (*string)(&g.Profile), &g.All, (*string)(&g.Environment),
		(*string)(&g.Place), &listColumn{&g.KeyHeaders}, &listColumn{&g.Routes}, (*string)(&g.Token.KID), &g.Token.Pepper, (*hashColumn)(&g.Token.Digest),
		&listColumn{proxies}, (*string)(header), &g.Audience, &listColumn{&g.Management},
	}, recordTargets(&g.Record)...)
}

// readGateway reads one row.
func readGateway(scan func(...any) error) (g latchkey.Gateway, err error) {
	var proxies []string
	var header latchkey.ProxyHeader
	if err := scan(gatewayTargets(&g, &proxies, &header)...); err != nil {
		return g, err
	}
	trust, broken := latchkey.ParseProxyTrust(proxies, header)
	if broken != nil {
		return g, fmt.Errorf("%w: proxies of the gateway %s", errColumn, g.ID.Hex())
	}
	g.Trust = trust
	return g, nil
}

func (g *gathering) gateways(to *[]latchkey.Gateway) {
	g.each(func(rows pgx.Rows) error {
		found, err := readGateway(rows.Scan)
		*to = append(*to, found)
		return err
	}, `SELECT `+gateways.columns+` FROM gateways t WHERE t.deleted_at IS NULL ORDER BY t.ordinal`)
}

// Gateways implements store.GatewayReader.
func (s *Store) Gateways(ctx context.Context) ([]latchkey.Gateway, error) {
	var all []latchkey.Gateway
	err := s.gather(ctx, func(g *gathering) {
		all = nil
		g.gateways(&all)
	})
	return all, err
}
