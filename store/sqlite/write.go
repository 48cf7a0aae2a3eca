package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// Write implements store.Tx.
func (t *tx) Write(outcomes []store.Outcome) error {
	t.wrote = true
	created := maps.Clone(t.created)
	if err := t.outcomes(outcomes); err != nil {
		return err
	}
	if slices.ContainsFunc(outcomes, store.Outcome.Disturbs) {
		t.writer.kept.forget()
		return nil
	}
	more := maps.Clone(t.created)
	for id, n := range created {
		more[id] -= n
	}
	t.writer.kept.count(more)
	return nil
}

// outcomes writes them, and names the one that cannot be.
func (t *tx) outcomes(all []store.Outcome) error {
	for i := range all {
		t.gathered.outcome = i
		err := t.outcome(&all[i])
		if _, named := errors.AsType[*store.WriteError](err); named {
			return err
		}
		if err != nil {
			return &store.WriteError{Index: i, Err: fault(err)}
		}
	}
	return t.settle()
}

// Seal implements store.Joiner.
func (t *tx) Seal() error {
	if err := t.count(); err != nil {
		return fault(err)
	}
	if err := t.tallies.flush(t.session); err != nil {
		return fault(err)
	}
	return fault(t.names.advance(t.session))
}

func (t *tx) outcome(o *store.Outcome) error {
	for i := range o.Steps {
		if err := t.step(&o.Steps[i]); err != nil {
			return err
		}
	}
	for i := range o.Nonces {
		if err := t.session.spend(&o.Nonces[i]); err != nil {
			return err
		}
	}
	if o.Record != nil {
		return t.session.writeRecord(o.Record)
	}
	return nil
}

func (t *tx) step(step *store.Step) error {
	t.head++
	step.Number(t.head)
	if err := t.directory(step); err != nil {
		return err
	}
	if err := t.keys(step.Keys); err != nil {
		return err
	}
	t.gathered.events.add(t.gathered.outcome, eventValues(&step.Event))
	return nil
}

// directory writes all rows of the step but those of its keys.
func (t *tx) directory(step *store.Step) error {
	for _, o := range step.Organizations {
		if err := t.put(organizations, &o.Record, organizationValues(o), "name"); err != nil {
			return err
		}
	}
	for _, p := range step.Projects {
		if err := t.put(projects, &p.Record, projectValues(p), "name"); err != nil {
			return err
		}
	}
	for _, u := range step.Users {
		if err := t.user(u); err != nil {
			return err
		}
	}
	for _, r := range step.Roles {
		values, err := roleValues(r)
		if err != nil {
			return err
		}
		if err := t.put(roles, &r.Record, values, "identifier"); err != nil {
			return err
		}
	}
	for _, d := range step.DataKeys {
		if err := t.session.writeDataKey(d); err != nil {
			return err
		}
	}
	for _, k := range step.TokenKeys {
		if err := t.put(tokenKeys, &k.Record, tokenKeyValues(k), "id"); err != nil {
			return err
		}
	}
	for _, g := range step.Gateways {
		values, err := gatewayValues(g)
		if err != nil {
			return err
		}
		if err := t.put(gateways, &g.Record, values, "name"); err != nil {
			return err
		}
	}
	for _, i := range step.Issuers {
		values, err := issuerValues(i)
		if err != nil {
			return err
		}
		if err := t.put(issuers, &i.Record, values, "name"); err != nil {
			return err
		}
	}
	for _, r := range step.TokenRefusals {
		if _, err := t.session.exec(refuseTokens, r.Family, moment(r.Until)); err != nil {
			return err
		}
	}
	if step.Installation != nil {
		return t.session.writeInstallation(step.Installation)
	}
	return nil
}

// put writes a row: it is new if this step numbered it. taken names the field,
// besides the id, that no two rows may have the same of.
func (t *tx) put(to *table, record *latchkey.Record, values []any, taken string) error {
	text, isNew := to.update, record.Ordinal>>store.OrdinalShift == t.head
	if isNew {
		text = to.insert
	}
	written, err := t.session.exec(text, values...)
	switch {
	case unique(err):
		return t.session.conflict(to, values[1], isNew, taken)
	case err != nil:
		return err
	case written != 1:
		return errors.New("a row to be changed is not there")
	}
	return nil
}

// conflict tells which of a row's values is taken.
func (s *session) conflict(to *table, id any, isNew bool, taken string) error {
	if isNew {
		var one int
		err := s.get([]any{&one}, `SELECT 1 FROM `+to.name+` WHERE id = ?`, id)
		if err == nil {
			return &store.ConflictError{Field: "id"}
		}
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return &store.ConflictError{Field: taken}
}

func (t *tx) user(u *latchkey.User) error {
	if err := t.settle(); err != nil {
		return err
	}
	away, err := t.tallies.isAway(t.session, u.ID)
	if err != nil {
		return err
	}
	if err := t.put(users, &u.Record, userValues(u), "email"); err != nil {
		return err
	}
	if err := t.tallies.user(t.session, u, away); err != nil {
		return err
	}
	if u.Ordinal>>store.OrdinalShift != t.head {
		if _, err := t.session.exec(`DELETE FROM memberships WHERE user = ?`, u.Ordinal); err != nil {
			return err
		}
	}
	if u.Deleted() {
		return nil
	}
	for place, m := range u.Memberships {
		if _, err := t.session.exec(`INSERT INTO memberships (user, place, project, role) VALUES (?, ?, ?, ?)`,
			u.Ordinal, place, ident(m.Project), m.Role[:]); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) writeDataKey(d *store.DataKey) error {
	_, err := s.exec(`INSERT INTO data_keys (organization, id, version, wrapped) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET id = excluded.id, version = excluded.version, wrapped = excluded.wrapped`,
		d.Organization[:], d.ID[:], d.Version, d.Wrapped)
	return err
}

func (s *session) writeInstallation(i *store.Installation) error {
	if _, err := s.exec(`INSERT INTO installation (one, id, operator, owner, ring) VALUES (1, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET id = excluded.id, operator = excluded.operator, owner = excluded.owner, ring = excluded.ring`,
		i.ID[:], i.Operator[:], i.Owner[:], i.Ring); err != nil {
		return err
	}
	if _, err := s.exec(`DELETE FROM ring_versions`); err != nil {
		return err
	}
	for _, v := range i.Versions {
		if _, err := s.exec(`INSERT INTO ring_versions (number, fingerprint, active, retired) VALUES (?, ?, ?, ?)`,
			v.Number, v.Fingerprint, v.Active, v.Retired); err != nil {
			return err
		}
	}
	return nil
}

// keys writes the step's keys, or gathers those that are new and notes them for count.
func (t *tx) keys(rows []*latchkey.Key) error {
	for _, k := range rows {
		policy, err := t.writer.interned.row(t.session, k.Organization, &k.Policy)
		if err != nil {
			return err
		}
		if k.Ordinal>>store.OrdinalShift == t.head {
			t.created[k.Organization]++
			err = t.newKey(k, policy)
		} else {
			err = t.changedKey(k, policy)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// count brings the organizations' numbers of keys up to date: once a group,
// however many keys each gets in it.
func (t *tx) count() error {
	for id, n := range t.created {
		written, err := t.session.exec(`UPDATE organizations SET keys = keys + ? WHERE id = ?`, n, id[:])
		if err != nil {
			return err
		}
		if written != 1 {
			return errors.New("a new key's organization is not there")
		}
	}
	return nil
}

func (t *tx) newKey(k *latchkey.Key, policy int64) error {
	if err := t.tallies.count(t.session, k, 1); err != nil {
		return err
	}
	t.names.waiting++
	g := &t.gathered
	g.keys.add(g.outcome, keyValues(k, policy))
	for place := range k.Secrets {
		g.secrets.add(g.outcome, secretValues(k.Ordinal, place, &k.Secrets[place]))
	}
	return nil
}

func (t *tx) changedKey(k *latchkey.Key, policy int64) error {
	if err := t.settle(); err != nil {
		return err
	}
	name, err := t.recount(k)
	if err != nil {
		return fmt.Errorf("a key to be changed: %w", err)
	}
	if err := t.put(keys, &k.Record, keyValues(k, policy), "id"); err != nil {
		return err
	}
	if err := t.names.rename(t.session, k.Organization, k.Ordinal, name, fold(k.Name)); err != nil {
		return err
	}
	return t.session.secrets(k)
}

// recount counts a key that is about to be changed as what it will be, and no
// longer as what it is. It returns the folded name that it has.
func (t *tx) recount(k *latchkey.Key) (name string, err error) {
	is := latchkey.Key{Organization: k.Organization}
	err = t.session.get([]any{
		&name, (*idColumn)(&is.Project), (*string)(&is.Reach), (*idColumn)(&is.Owner), &is.Partner, (*idColumn)(&is.Policy.Role), &is.Enabled,
		(*timeColumn)(&is.ExpiresAt), (*timeColumn)(&is.RevokedAt),
	}, `SELECT name_folded, project, reach, owner, partner, role, enabled, expires_at, revoked_at FROM keys WHERE ordinal = ?`, k.Ordinal)
	if err == nil {
		err = t.tallies.count(t.session, &is, -1)
	}
	if err == nil {
		err = t.tallies.count(t.session, k, 1)
	}
	return name, err
}

// secrets brings the key's secrets to what they are in k. A time of last use
// that was written behind k's back stays.
func (s *session) secrets(k *latchkey.Key) error {
	var gone []string
	err := s.each(func(rows *sql.Rows) error {
		var kid string
		err := rows.Scan(&kid)
		if !hasKID(k, latchkey.KID(kid)) {
			gone = append(gone, kid)
		}
		return err
	}, `SELECT kid FROM secrets WHERE key = ?`, k.Ordinal)
	if err != nil {
		return err
	}
	for _, kid := range gone {
		if _, err := s.exec(`DELETE FROM secrets WHERE key = ? AND kid = ?`, k.Ordinal, kid); err != nil {
			return err
		}
	}
	for place := range k.Secrets {
		secret := &k.Secrets[place]
		written, err := s.exec(updateSecret, secretValues(k.Ordinal, place, secret)...)
		if unique(err) {
			return &store.ConflictError{Field: "digest"}
		}
		if err == nil && written == 0 {
			err = s.newSecret(k.Ordinal, place, secret)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func hasKID(k *latchkey.Key, kid latchkey.KID) bool {
	for i := range k.Secrets {
		if k.Secrets[i].KID == kid {
			return true
		}
	}
	return false
}

const (
	insertSecret = `INSERT INTO secrets (key, kid, place, public, format, scheme, pepper, digest, sealed, signing, signing_format, signing_sealed,
		signing_public, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	updateSecret = `UPDATE secrets SET place = ?3, public = ?4, format = ?5, scheme = ?6, pepper = ?7, digest = ?8, sealed = ?9, signing = ?10,
		signing_format = ?11, signing_sealed = ?12, signing_public = ?13, created_at = ?14, expires_at = ?15 WHERE key = ?1 AND kid = ?2`
)

func secretValues(key int64, place int, s *latchkey.Secret) []any {
	return []any{
		key, string(s.KID), place, s.Public, string(s.Format), string(s.Scheme), s.Pepper, s.Digest[:], s.Sealed,
		string(s.Signing.Algorithm), string(s.Signing.Format), s.Signing.Sealed, s.Signing.Public,
		moment(s.CreatedAt), moment(s.ExpiresAt),
	}
}

func (s *session) newSecret(key int64, place int, secret *latchkey.Secret) error {
	values := secretValues(key, place, secret)
	_, err := s.exec(insertSecret, values...)
	return s.secretRefusal(values, err)
}
