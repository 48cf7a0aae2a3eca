package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"latchkey.dev/latchkey"
)

var issuers = newTable("issuers", "ordinal id organization",
	"project name url audiences algorithms claim roles enabled")

// storedRole is a mapping as it is kept.
type storedRole struct {
	Value string
	Role  string // in hexadecimal
}

func issuerValues(i *latchkey.Issuer) ([]any, error) {
	audiences, err := list(i.Audiences)
	if err != nil {
		return nil, err
	}
	algorithms, err := list(i.Algorithms)
	if err != nil {
		return nil, err
	}
	stored := make([]storedRole, len(i.Roles))
	for n, m := range i.Roles {
		stored[n] = storedRole{m.Value, m.Role.Hex()}
	}
	roles, err := list(stored)
	return append([]any{
		i.Ordinal, ident(i.ID), ident(i.Organization), ident(i.Project), i.Name, i.URL, audiences, algorithms, i.Claim, roles, i.Enabled,
	}, recordValues(&i.Record)...), err
}

// scanIssuer reads a row.
func scanIssuer(scan func(...any) error) (i latchkey.Issuer, err error) {
	var stored []storedRole
	err = scan(append([]any{
		&i.Ordinal, (*idColumn)(&i.ID), (*idColumn)(&i.Organization), (*idColumn)(&i.Project), &i.Name, &i.URL, &listColumn{&i.Audiences},
		&listColumn{&i.Algorithms}, &i.Claim, &listColumn{&stored}, &i.Enabled,
	}, recordTargets(&i.Record)...)...)
	for _, m := range stored {
		role, wrong := latchkey.ParseHex(m.Role)
		if err == nil {
			err = wrong
		}
		i.Roles = append(i.Roles, latchkey.RoleMapping{Value: m.Value, Role: role})
	}
	return i, err
}

func (g *gathering) issuers(to *[]latchkey.Issuer, where string, by any) {
	g.each(func(rows pgx.Rows) error {
		i, err := scanIssuer(rows.Scan)
		*to = append(*to, i)
		return err
	}, `SELECT `+issuers.columns+` FROM issuers t WHERE t.deleted_at IS NULL AND `+where+` ORDER BY t.ordinal`, by)
}

func (g *gathering) issuersAt(to *[]latchkey.Issuer, urls []string) {
	g.issuers(to, `t.url = ANY ($1::text[])`, urls)
}

// IssuersAt implements store.IssuerReader.
func (s *Store) IssuersAt(ctx context.Context, url string) ([]latchkey.Issuer, error) {
	var all []latchkey.Issuer
	if !storable(url) {
		return nil, nil
	}
	err := s.gather(ctx, func(g *gathering) {
		all = nil
		g.issuersAt(&all, []string{url})
	})
	return all, err
}

// Issuers implements store.IssuerReader.
func (s *Store) Issuers(ctx context.Context, organization latchkey.ID) ([]latchkey.Issuer, error) {
	var all []latchkey.Issuer
	err := s.gather(ctx, func(g *gathering) {
		all = nil
		g.issuers(&all, `t.organization = $1`, organization[:])
	})
	return all, err
}
