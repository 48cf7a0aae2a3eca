package postgres

import (
	"slices"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// The tables of objects, written once here. A key's role is its policy's, so
// that keys can be found by it.
var (
	organizations = newTable("organizations", "ordinal id", "name operator suspended key_limit change_limit")
	projects      = newTable("projects", "ordinal id organization", "name prefix environment is_default retrievable forbid_retrievable")
	users         = newTable("users", "ordinal id organization", "kind name email email_folded suspended")
	roles         = newTable("roles", "ordinal id organization", "identifier name rank permissions")
	keys          = newTable("keys", "ordinal id organization", "project reach format name name_folded environment owner partner policy role "+
		"enabled retrievable expires_at revoked_at revoked_reason metadata signing_mode")
	tokenKeys = newTable("token_keys", "ordinal id", "algorithm public sealed active_at retired_at")
)

func organizationValues(o *latchkey.Organization) []any {
	return append([]any{o.Ordinal, ident(o.ID), o.Name, o.Operator, o.Suspended, o.Limits.Keys, o.Limits.ChangesPerSecond},
		recordValues(&o.Record)...)
}

// organizationTargets has the number of keys at the end, behind the table's columns.
func organizationTargets(o *latchkey.Organization) []any {
	return slices.Concat([]any{&o.Ordinal, (*idColumn)(&o.ID), &o.Name, &o.Operator, &o.Suspended, &o.Limits.Keys, &o.Limits.ChangesPerSecond},
		recordTargets(&o.Record), []any{&o.Keys})
}

func projectValues(p *latchkey.Project) []any {
	return append([]any{p.Ordinal, ident(p.ID), ident(p.Organization), p.Name, p.Prefix, string(p.Environment), p.Default, p.Retrievable, p.ForbidRetrievable},
		recordValues(&p.Record)...)
}

func projectTargets(p *latchkey.Project) []any {
	return append([]any{&p.Ordinal, (*idColumn)(&p.ID), (*idColumn)(&p.Organization), &p.Name, &p.Prefix, (*string)(&p.Environment), &p.Default, &p.Retrievable, &p.ForbidRetrievable},
		recordTargets(&p.Record)...)
}

// userValues leaves no trace of who a deleted user was.
func userValues(u *latchkey.User) []any {
	name, email := u.Name, u.Email
	if u.Deleted() {
		name, email = "", ""
	}
	return append([]any{u.Ordinal, ident(u.ID), ident(u.Organization), string(u.Kind), name, email, strings.ToLower(email), u.Suspended},
		recordValues(&u.Record)...)
}

func userTargets(u *latchkey.User) []any {
	return append([]any{&u.Ordinal, (*idColumn)(&u.ID), (*idColumn)(&u.Organization), (*string)(&u.Kind), &u.Name, &u.Email, &u.Suspended},
		recordTargets(&u.Record)...)
}

func roleValues(r *latchkey.Role) ([]any, error) {
	permissions, err := list(r.Permissions)
	return append([]any{r.Ordinal, ident(r.ID), ident(r.Organization), r.Identifier, r.Name, r.Rank, permissions},
		recordValues(&r.Record)...), err
}

func roleTargets(r *latchkey.Role) []any {
	return append([]any{&r.Ordinal, (*idColumn)(&r.ID), (*idColumn)(&r.Organization), &r.Identifier, &r.Name, &r.Rank, &listColumn{&r.Permissions}},
		recordTargets(&r.Record)...)
}

func keyValues(k *latchkey.Key, policy []byte) []any {
	return append([]any{
		k.Ordinal, ident(k.ID), ident(k.Organization), ident(k.Project), string(k.Reach), string(k.Format), k.Name, fold(k.Name),
		string(k.Environment), ident(k.Owner), k.Partner, policy, ident(k.Policy.Role), k.Enabled, k.Retrievable,
		moment(k.ExpiresAt), moment(k.RevokedAt), k.RevokedReason, string(k.Metadata), string(k.SigningMode),
	}, recordValues(&k.Record)...)
}

// keyColumns are a key's, with its policy's behind the alias p.
var keyColumns = keys.columns + `, p.scopes, p.addresses, p.resources`

func keyTargets(k *latchkey.Key) []any {
	return slices.Concat([]any{
		&k.Ordinal, (*idColumn)(&k.ID), (*idColumn)(&k.Organization), (*idColumn)(&k.Project), (*string)(&k.Reach), (*string)(&k.Format), &k.Name,
		(*string)(&k.Environment), (*idColumn)(&k.Owner), &k.Partner, new([]byte), (*idColumn)(&k.Policy.Role), &k.Enabled, &k.Retrievable,
		(*timeColumn)(&k.ExpiresAt), (*timeColumn)(&k.RevokedAt), &k.RevokedReason, (*string)(&k.Metadata), (*string)(&k.SigningMode),
	}, recordTargets(&k.Record), []any{
		&listColumn{&k.Policy.Scopes}, (*addressColumn)(&k.Policy.Addresses), &listColumn{&k.Policy.Resources},
	})
}

const secretColumns = "s.kid, s.public, s.format, s.scheme, s.pepper, s.digest, s.sealed, s.signing, s.signing_format, s.signing_sealed, s.signing_public, " +
	"s.created_at, s.expires_at, l.at, coalesce(l.address, ''), coalesce(l.agent, '')"

func secretTargets(s *latchkey.Secret) []any {
	return []any{
		(*string)(&s.KID), &s.Public, (*string)(&s.Format), (*string)(&s.Scheme), &s.Pepper, (*hashColumn)(&s.Digest), &s.Sealed,
		(*string)(&s.Signing.Algorithm), (*string)(&s.Signing.Format), &s.Signing.Sealed, &s.Signing.Public,
		(*timeColumn)(&s.CreatedAt), (*timeColumn)(&s.ExpiresAt), (*timeColumn)(&s.LastUse.At),
		(*fromColumn)(&s.LastUse.Address), &s.LastUse.Agent,
	}
}

func secretValues(key int64, place int, s *latchkey.Secret) []any {
	return []any{
		key, string(s.KID), place, s.Public, string(s.Format), string(s.Scheme), s.Pepper, s.Digest[:], s.Sealed,
		string(s.Signing.Algorithm), string(s.Signing.Format), s.Signing.Sealed, s.Signing.Public,
		moment(s.CreatedAt), moment(s.ExpiresAt),
	}
}

// tokenKeyValues leaves nothing of a deleted private key.
func tokenKeyValues(k *store.TokenKey) []any {
	sealed := k.Sealed
	if k.Deleted() {
		sealed = nil
	}
	return append([]any{k.Ordinal, ident(k.ID), k.Algorithm, k.Public, sealed, moment(k.ActiveAt), moment(k.RetiredAt)},
		recordValues(&k.Record)...)
}

func tokenKeyTargets(k *store.TokenKey) []any {
	return append([]any{&k.Ordinal, (*idColumn)(&k.ID), &k.Algorithm, &k.Public, &k.Sealed, (*timeColumn)(&k.ActiveAt), (*timeColumn)(&k.RetiredAt)},
		recordTargets(&k.Record)...)
}

const eventColumns = "position, id, organization, type, at, actor, via, object_kind, object, changes, request_id"

func eventValues(e *latchkey.Event) []any {
	return []any{
		e.Position, e.ID[:], ident(e.Organization), string(e.Type), moment(e.At), principal(e.Actor), ident(e.Via),
		string(e.Object.Kind), ident(e.Object.ID), string(e.Changes), e.RequestID,
	}
}

func eventTargets(e *latchkey.Event) []any {
	return []any{
		&e.Position, (*idColumn)(&e.ID), (*idColumn)(&e.Organization), (*string)(&e.Type), (*timeColumn)(&e.At), (*principalColumn)(&e.Actor),
		(*idColumn)(&e.Via), (*string)(&e.Object.Kind), (*idColumn)(&e.Object.ID), (*string)(&e.Changes), &e.RequestID,
	}
}

func recordRow(r *store.Record) []any {
	var objects []byte
	for _, id := range r.Objects {
		objects = append(objects, id[:]...)
	}
	return []any{r.Caller[:], r.Organization[:], r.Route, r.Tag[:], r.BodyHash[:], objects, r.Sealed, moment(r.CreatedAt)}
}

// fold is how text is written that is found without regard to case.
func fold(text string) string { return strings.ToLower(text) }

// storable reports whether a text can be in a text column at all.
func storable(text string) bool { return !strings.Contains(text, "\x00") }
