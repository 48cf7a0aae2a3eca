package postgres

import (
	"context"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// Write implements store.Tx. It sends the writes of the whole group and the
// COMMIT behind them: if one of them is refused, the server skips the rest, and
// the group goes back to where it began. Which change was to blame is then found
// by writing them one by one, within the same transaction and so behind the same
// lock, and without a COMMIT.
func (t *tx) Write(outcomes []store.Outcome) error {
	writes := newWriting(t.writer.interned)
	for i := range outcomes {
		if err := writes.outcome(&outcomes[i], &t.head); err != nil {
			return &store.WriteError{Index: i, Err: err}
		}
	}
	t.writer.own.begin(t.before, outcomes)
	err := t.commit(writes)
	switch {
	case err == nil:
		t.writer.remember(writes.fresh)
		return nil
	case !certain(err):
		t.lost = err
		return nil // Commit tells
	case !t.writer.conn.IsClosed():
		err = t.blame(outcomes, err)
	}
	err = fault(err)
	t.writer.settled(err)
	return err
}

// commit sends the writes, the notification and the COMMIT.
func (t *tx) commit(writes *writing) error {
	var g gathering
	g.Queue(`SAVEPOINT group_of_changes`)
	g.QueuedQueries = append(g.QueuedQueries, writes.statements.QueuedQueries...)
	if writes.many() {
		if err := t.writer.send(&g.Batch); err != nil {
			return err
		}
		if err := t.writer.copy(writes); err != nil {
			return err
		}
		g = gathering{}
	} else {
		writes.insert(&g.Batch)
	}
	writes.rest(&g.Batch)
	if writes.events.rows > 0 {
		g.Queue(`SELECT pg_notify('`+channel+`', $1)`, strconv.FormatInt(t.head, 10))
	}
	g.Queue(`COMMIT`)
	return t.writer.send(&g.Batch)
}

// blame finds the change that cannot be written. cause is how the group failed.
func (t *tx) blame(outcomes []store.Outcome, cause error) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	if _, err := t.writer.conn.Exec(ctx, `ROLLBACK TO SAVEPOINT group_of_changes`); err != nil {
		return fault(err)
	}
	known := map[[32]byte]bool{}
	for i := range outcomes {
		writes := newWriting(known)
		writes.again(&outcomes[i])
		var b pgx.Batch
		b.QueuedQueries = writes.statements.QueuedQueries
		writes.insert(&b)
		writes.rest(&b)
		if err := t.writer.send(&b); err != nil {
			return &store.WriteError{Index: i, Err: refusal(err)}
		}
	}
	return fault(cause) // none of them alone: nothing was written
}

// remember takes over the policies that were committed.
func (w *writer) remember(policies [][32]byte) {
	if len(w.interned)+len(policies) > maxInterned {
		clear(w.interned)
	}
	for _, hash := range policies {
		w.interned[hash] = true
	}
}

// writing is what a group writes. Rows that are looked at one by one are
// statements in the order of the steps; new keys and events, of which there are
// most, are gathered, and written together behind those.
type writing struct {
	statements pgx.Batch
	interned   map[[32]byte]bool // policies that are stored already
	fresh      [][32]byte        // policies that are new, perhaps
	written    map[[32]byte]bool // the same

	policies, keys, secrets, nonces, events columns
	created                                 map[latchkey.ID]int64 // keys by organization
}

func newWriting(interned map[[32]byte]bool) *writing {
	return &writing{interned: interned, written: map[[32]byte]bool{}, created: map[latchkey.ID]int64{}}
}

// outcome numbers a change's steps behind head and takes in their rows.
func (w *writing) outcome(o *store.Outcome, head *int64) error {
	for i := range o.Steps {
		*head++
		o.Steps[i].Number(*head)
		if err := w.step(&o.Steps[i]); err != nil {
			return err
		}
	}
	w.besides(o)
	return nil
}

// besides takes in what of a change no step tells.
func (w *writing) besides(o *store.Outcome) {
	if o.Record != nil {
		w.statements.Queue(upsertRecord, recordRow(o.Record)...)
	}
	for i := range o.Nonces {
		w.nonces.add(nonceRow(&o.Nonces[i]))
	}
}

// again takes in the rows of a change that is numbered. What could be refused
// without the server was refused before.
func (w *writing) again(o *store.Outcome) {
	for i := range o.Steps {
		_ = w.step(&o.Steps[i]) // it encoded once
	}
	w.besides(o)
}

func (w *writing) step(step *store.Step) error {
	if err := w.directory(step); err != nil {
		return err
	}
	for _, k := range step.Keys {
		if err := w.key(k, step.Event.Position); err != nil {
			return err
		}
	}
	w.events.add(eventValues(&step.Event))
	return nil
}

// directory takes in all rows of the step but those of its keys.
func (w *writing) directory(step *store.Step) error {
	position := step.Event.Position
	for _, o := range step.Organizations {
		w.put(organizations, &o.Record, organizationValues(o), position)
	}
	for _, p := range step.Projects {
		w.put(projects, &p.Record, projectValues(p), position)
	}
	for _, u := range step.Users {
		w.user(u, position)
	}
	for _, r := range step.Roles {
		values, err := roleValues(r)
		if err != nil {
			return err
		}
		w.put(roles, &r.Record, values, position)
	}
	for _, d := range step.DataKeys {
		w.statements.Queue(upsertDataKey, d.Organization[:], d.ID[:], d.Version, d.Wrapped)
	}
	for _, k := range step.TokenKeys {
		w.put(tokenKeys, &k.Record, tokenKeyValues(k), position)
	}
	for _, g := range step.Gateways {
		values, err := gatewayValues(g)
		if err != nil {
			return err
		}
		w.put(gateways, &g.Record, values, position)
	}
	for _, i := range step.Issuers {
		values, err := issuerValues(i)
		if err != nil {
			return err
		}
		w.put(issuers, &i.Record, values, position)
	}
	for _, r := range step.TokenRefusals {
		w.statements.Queue(refuseTokens, r.Family, moment(r.Until))
	}
	if step.Installation != nil {
		w.installation(step.Installation)
	}
	return nil
}

// put writes a row: it is new if this step numbered it.
func (w *writing) put(to *table, record *latchkey.Record, values []any, position int64) {
	if record.Ordinal>>store.OrdinalShift == position {
		w.statements.Queue(to.insert, values...)
	} else {
		w.statements.Queue(to.update, values...)
	}
}

func (w *writing) user(u *latchkey.User, position int64) {
	w.put(users, &u.Record, userValues(u), position)
	if u.Ordinal>>store.OrdinalShift != position {
		w.statements.Queue(`DELETE FROM memberships WHERE member = $1`, u.Ordinal)
	}
	if u.Deleted() {
		return
	}
	for place, m := range u.Memberships {
		w.statements.Queue(`INSERT INTO memberships (member, place, project, role) VALUES ($1, $2, $3, $4)`, u.Ordinal, place, ident(m.Project), m.Role[:])
	}
}

func (w *writing) installation(i *store.Installation) {
	w.statements.Queue(`INSERT INTO installation (one, id, operator, owner, ring) VALUES (1, $1, $2, $3, $4)
		ON CONFLICT (one) DO UPDATE SET id = excluded.id, operator = excluded.operator, owner = excluded.owner, ring = excluded.ring`,
		i.ID[:], i.Operator[:], i.Owner[:], i.Ring)
	w.statements.Queue(`DELETE FROM ring_versions`)
	for _, v := range i.Versions {
		w.statements.Queue(`INSERT INTO ring_versions (number, fingerprint, active, retired) VALUES ($1, $2, $3, $4)`,
			v.Number, v.Fingerprint, v.Active, v.Retired)
	}
}

func (w *writing) key(k *latchkey.Key, position int64) error {
	policy, err := newStoredPolicy(k.Organization, &k.Policy)
	if err != nil {
		return err
	}
	isNew := k.Ordinal>>store.OrdinalShift == position
	w.policy(&policy, isNew)
	values := keyValues(k, policy.hash[:])
	if !isNew {
		w.changedKey(k, values)
		return nil
	}
	w.created[k.Organization]++
	w.keys.add(values)
	for place := range k.Secrets {
		w.secrets.add(secretValues(k.Ordinal, place, &k.Secrets[place]))
	}
	return nil
}

// policy sees that the policy is stored before the key is: keys that are changed
// are written ahead of those that are gathered.
func (w *writing) policy(p *storedPolicy, gathered bool) {
	if w.interned[p.hash] || w.written[p.hash] {
		return
	}
	w.fresh = append(w.fresh, p.hash)
	if gathered {
		w.policies.add(p.row())
		return
	}
	w.written[p.hash] = true
	w.statements.Queue(insertPolicy, p.row()...)
}

// changedKey brings the key's secrets to what they are in k.
func (w *writing) changedKey(k *latchkey.Key, values []any) {
	w.statements.Queue(keys.update, values...)
	kids := make([]string, len(k.Secrets))
	for i := range k.Secrets {
		kids[i] = string(k.Secrets[i].KID)
	}
	w.statements.Queue(`DELETE FROM secrets WHERE key = $1 AND kid <> ALL ($2::text[])`, k.Ordinal, kids)
	for place := range k.Secrets {
		w.statements.Queue(upsertSecret, secretValues(k.Ordinal, place, &k.Secrets[place])...)
	}
}

const (
	upsertRecord = `INSERT INTO calls (caller, organization, route, tag, body_hash, objects, sealed, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (caller, organization, route, tag) DO UPDATE
		SET body_hash = excluded.body_hash, objects = excluded.objects, sealed = excluded.sealed, created_at = excluded.created_at`
	upsertDataKey = `INSERT INTO data_keys (organization, id, version, wrapped) VALUES ($1, $2, $3, $4)
		ON CONFLICT (organization) DO UPDATE SET id = excluded.id, version = excluded.version, wrapped = excluded.wrapped`
	upsertSecret = `INSERT INTO secrets (key, kid, place, public, format, scheme, pepper, digest, sealed, signing, signing_format, signing_sealed,
			signing_public, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
		ON CONFLICT (key, kid) DO UPDATE SET place = excluded.place, public = excluded.public, format = excluded.format, scheme = excluded.scheme,
			pepper = excluded.pepper, digest = excluded.digest, sealed = excluded.sealed, signing = excluded.signing,
			signing_format = excluded.signing_format, signing_sealed = excluded.signing_sealed, signing_public = excluded.signing_public,
			created_at = excluded.created_at, expires_at = excluded.expires_at`
	insertPolicy = `INSERT INTO policies (hash, role, scopes, addresses, resources) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (hash) DO NOTHING`
)

// columns are rows of one table, column by column, as an array each.
type columns struct {
	rows int
	of   []pgtype.FlatArray[any]
}

func (c *columns) add(values []any) {
	if c.of == nil {
		c.of = make([]pgtype.FlatArray[any], len(values))
	}
	for i, v := range values {
		c.of[i] = append(c.of[i], v)
	}
	c.rows++
}

func (c *columns) args() []any {
	args := make([]any, len(c.of))
	for i := range c.of {
		args[i] = c.of[i]
	}
	return args
}

// The columns of the tables whose rows are written together, with their types.
const (
	policyTypes = "hash bytea, role bytea, scopes text, addresses text, resources text"
	keyTypes    = "ordinal bigint, id bytea, organization bytea, project bytea, reach text, format text, name text, name_folded text, " +
		"environment text, owner bytea, partner text, policy bytea, role bytea, enabled boolean, retrievable boolean, expires_at bigint, " +
		"revoked_at bigint, revoked_reason text, metadata text, signing_mode text, created_at bigint, updated_at bigint, created_by bytea, updated_by bytea, " +
		"revision bigint, deleted_at bigint"
	secretTypes = "key bigint, kid text, place integer, public text, format text, scheme text, pepper integer, digest bytea, sealed bytea, " +
		"signing text, signing_format text, signing_sealed bytea, signing_public bytea, created_at bigint, expires_at bigint"
	nonceTypes = "kid text, hash bytea, created bigint"
	eventTypes = "position bigint, id bytea, organization bytea, type text, at bigint, actor bytea, via bytea, object_kind text, object bytea, " +
		"changes text, request_id text"
)

// insertMany spells the statement that writes rows given as columns.
func insertMany(table, types string) string {
	var names, places []string
	for i, column := range strings.Split(types, ", ") {
		name, kind, _ := strings.Cut(column, " ")
		names = append(names, name)
		places = append(places, "$"+strconv.Itoa(i+1)+"::"+kind+"[]")
	}
	return "INSERT INTO " + table + " (" + strings.Join(names, ", ") + ") SELECT * FROM unnest(" + strings.Join(places, ", ") + ")"
}

var (
	insertPolicies = insertMany("policies", policyTypes) + " ON CONFLICT (hash) DO NOTHING"
	insertKeys     = insertMany("keys", keyTypes)
	insertSecrets  = insertMany("secrets", secretTypes)
	insertNonces   = insertMany("nonces", nonceTypes)
	insertEvents   = insertMany("events", eventTypes)
)

// copyFrom is how many new keys there must be for COPY, which takes messages of
// its own and less of the server for each row.
const copyFrom = 500

func (w *writing) many() bool { return w.keys.rows >= copyFrom }

// insert adds the statements that write the new keys.
func (w *writing) insert(to *pgx.Batch) {
	for _, c := range []struct {
		rows *columns
		text string
	}{{&w.policies, insertPolicies}, {&w.keys, insertKeys}, {&w.secrets, insertSecrets}} {
		if c.rows.rows > 0 {
			to.Queue(c.text, c.rows.args()...)
		}
	}
}

// rest adds what is written last: how many keys there are now, nonces, and events.
func (w *writing) rest(to *pgx.Batch) {
	var ids [][]byte
	var counts []int64
	for id, n := range w.created {
		ids, counts = append(ids, id[:]), append(counts, n)
	}
	if len(ids) > 0 {
		to.Queue(countKeys, ids, counts, len(ids))
	}
	if w.nonces.rows > 0 {
		to.Queue(insertNonces, w.nonces.args()...)
	}
	if w.events.rows > 0 {
		to.Queue(insertEvents, w.events.args()...)
	}
}

var countKeys = exactly("$3", `UPDATE organizations o SET keys = o.keys + c.n FROM unnest($1::bytea[], $2::bigint[]) AS c (id, n) WHERE o.id = c.id`)

// copy writes the new keys by COPY.
func (w *writer) copy(rows *writing) error {
	var b pgx.Batch
	if rows.policies.rows > 0 {
		b.Queue(insertPolicies, rows.policies.args()...)
		if err := w.send(&b); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	for _, c := range []struct {
		rows         *columns
		table, types string
	}{{&rows.keys, "keys", keyTypes}, {&rows.secrets, "secrets", secretTypes}} {
		if _, err := w.conn.CopyFrom(ctx, pgx.Identifier{c.table}, names(c.types), c.rows.source()); err != nil {
			return err
		}
	}
	return nil
}

// names are the columns' names alone.
func names(types string) []string {
	var list []string
	for column := range strings.SplitSeq(types, ", ") {
		name, _, _ := strings.Cut(column, " ")
		list = append(list, name)
	}
	return list
}

// source gives the rows one by one.
func (c *columns) source() pgx.CopyFromSource {
	row := make([]any, len(c.of))
	return pgx.CopyFromSlice(c.rows, func(n int) ([]any, error) {
		for i := range c.of {
			row[i] = c.of[i][n]
		}
		return row, nil
	})
}
