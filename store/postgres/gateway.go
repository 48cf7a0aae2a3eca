package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"latchkey.dev/latchkey"
)

var gateways = newTable("gateways", "ordinal id organization",
	"name profile every_organization environment place key_headers routes kid pepper digest")

// gatewayValues leaves nothing of a deleted gateway's token.
func gatewayValues(g *latchkey.Gateway) ([]any, error) {
	digest := g.Token.Digest[:]
	if g.Deleted() {
		digest = make([]byte, len(digest))
	}
	headers, err := list(g.KeyHeaders)
	if err != nil {
		return nil, err
	}
	routes, err := list(g.Routes)
	return append([]any{
		g.Ordinal, ident(g.ID), ident(g.Organization), g.Name, string(g.Profile), g.All, string(g.Environment), string(g.Place), headers, routes,
		string(g.Token.KID), g.Token.Pepper, digest,
	}, recordValues(&g.Record)...), err
}

func gatewayTargets(g *latchkey.Gateway) []any {
	return append([]any{
		&g.Ordinal, (*idColumn)(&g.ID), (*idColumn)(&g.Organization), &g.Name, (*string)(&g.Profile), &g.All, (*string)(&g.Environment),
		(*string)(&g.Place), &listColumn{&g.KeyHeaders}, &listColumn{&g.Routes}, (*string)(&g.Token.KID), &g.Token.Pepper, (*hashColumn)(&g.Token.Digest),
	}, recordTargets(&g.Record)...)
}

func (g *gathering) gateways(to *[]latchkey.Gateway) {
	g.each(func(rows pgx.Rows) error {
		var found latchkey.Gateway
		err := rows.Scan(gatewayTargets(&found)...)
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
