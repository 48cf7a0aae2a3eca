package sqlite

import (
	"context"
	"database/sql"

	"latchkey.dev/latchkey"
)

var (
	issuers = newTable("issuers", "ordinal id organization",
		"project name url audiences algorithms claim roles enabled")
	selectIssuers = `SELECT ` + issuers.columns + ` FROM issuers t WHERE t.deleted_at IS NULL AND `
	issuersAt     = selectIssuers + `t.url IN (SELECT value FROM json_each(?)) ORDER BY t.ordinal`
	issuersOf     = selectIssuers + `t.organization = ? ORDER BY t.ordinal`
)

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
		&i.Ordinal, (*idColumn)(&i.ID), (*idColumn)(&i.Organization), (*idColumn)(&i.Project), &i.Name, &i.URL, listColumn{&i.Audiences},
		listColumn{&i.Algorithms}, &i.Claim, listColumn{&stored}, &i.Enabled,
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

func (s *session) issuers(text string, args ...any) ([]latchkey.Issuer, error) {
	var all []latchkey.Issuer
	err := s.each(func(rows *sql.Rows) error {
		i, err := scanIssuer(rows.Scan)
		all = append(all, i)
		return err
	}, text, args...)
	return all, err
}

func (s *session) issuersAt(urls []string) ([]latchkey.Issuer, error) {
	if len(urls) == 0 {
		return nil, nil
	}
	listed, err := list(urls)
	if err != nil {
		return nil, err
	}
	return s.issuers(issuersAt, listed)
}

// IssuersAt implements store.IssuerReader.
func (s *Store) IssuersAt(ctx context.Context, url string) (all []latchkey.Issuer, err error) {
	err = s.readers.use(ctx, func(on *session) (err error) {
		all, err = on.issuersAt([]string{url})
		return err
	})
	return all, err
}

// Issuers implements store.IssuerReader.
func (s *Store) Issuers(ctx context.Context, organization latchkey.ID) (all []latchkey.Issuer, err error) {
	err = s.readers.use(ctx, func(on *session) (err error) {
		all, err = on.issuers(issuersOf, organization[:])
		return err
	})
	return all, err
}
