package store_test

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// id makes an id that is easy to tell from others.
func id(kind byte, n int) latchkey.ID { return latchkey.ID{0: kind, 10: byte(n >> 8), 11: byte(n)} }

// state is what a store holds. Objects in it are never changed, only replaced.
type state struct {
	installation  *store.Installation
	keys          map[latchkey.ID]latchkey.Key
	organizations map[latchkey.ID]latchkey.Organization
	projects      map[latchkey.ID]latchkey.Project
	users         map[latchkey.ID]latchkey.User
	roles         map[latchkey.ID]latchkey.Role
	dataKeys      map[latchkey.ID]store.DataKey
	records       map[store.RecordKey]store.Record
	nonces        map[store.NonceKey]bool
	tokenKeys     []store.TokenKey   // by ordinal
	gateways      []latchkey.Gateway // the same
	refusals      map[string]bool
	issuers       []latchkey.Issuer // by ordinal
	events        []latchkey.Event
}

func newState() *state {
	return &state{
		keys: map[latchkey.ID]latchkey.Key{}, organizations: map[latchkey.ID]latchkey.Organization{},
		projects: map[latchkey.ID]latchkey.Project{}, users: map[latchkey.ID]latchkey.User{},
		roles: map[latchkey.ID]latchkey.Role{}, dataKeys: map[latchkey.ID]store.DataKey{},
		records: map[store.RecordKey]store.Record{}, nonces: map[store.NonceKey]bool{}, refusals: map[string]bool{},
	}
}

func (s *state) clone() *state {
	return &state{
		s.installation, maps.Clone(s.keys), maps.Clone(s.organizations), maps.Clone(s.projects), maps.Clone(s.users),
		maps.Clone(s.roles), maps.Clone(s.dataKeys), maps.Clone(s.records), maps.Clone(s.nonces), slices.Clone(s.tokenKeys), slices.Clone(s.gateways), maps.Clone(s.refusals), slices.Clone(s.issuers), slices.Clone(s.events),
	}
}

func (s *state) view(reads store.Reads) *store.View {
	v := &store.View{
		Now:           time.UnixMilli(1_700_000_000_000).UTC(),
		Keys:          map[latchkey.ID]*store.Holder{},
		Organizations: pick(s.organizations, reads.Organizations),
		Projects:      pick(s.projects, reads.Projects),
		Users:         pick(s.users, reads.Users),
		Roles:         pick(s.roles, reads.Roles),
		Holdings:      map[latchkey.ID]store.Holding{},
		DataKeys:      pick(s.dataKeys, reads.DataKeys),
		Records:       pick(s.records, reads.Records),
		Nonces:        map[store.NonceKey]bool{},
	}
	for _, n := range reads.Nonces {
		if s.nonces[n] {
			v.Nonces[n] = true
		}
	}
	if reads.Installation {
		v.Installation = s.installation
	}
	if reads.TokenKeys {
		v.TokenKeys = slices.Clone(s.tokenKeys)
	}
	if reads.Gateways {
		v.Gateways = slices.Clone(s.gateways)
	}
	for _, i := range s.issuers {
		if slices.Contains(reads.IssuersAt, i.URL) {
			v.Issuers = append(v.Issuers, i)
		}
	}
	v.Refused = map[string]bool{}
	for _, family := range reads.Tokens {
		if s.refusals[family] {
			v.Refused[family] = true
		}
	}
	for _, id := range reads.Keys {
		if k, ok := s.keys[id]; ok {
			v.Keys[id] = s.holder(k)
		}
	}
	for _, id := range reads.Holdings {
		v.Holdings[id] = s.holding(id)
	}
	return v
}

func pick[K comparable, V any](from map[K]V, names []K) map[K]*V {
	to := map[K]*V{}
	for _, name := range names {
		if v, ok := from[name]; ok {
			to[name] = &v
		}
	}
	return to
}

func (s *state) holder(k latchkey.Key) *store.Holder {
	h := &store.Holder{Key: k, Organization: s.organizations[k.Organization]}
	wanted := []latchkey.ID{k.Policy.Role}
	if owner, ok := s.users[k.Owner]; ok {
		h.Owner = &owner
		for _, m := range owner.Memberships {
			wanted = append(wanted, m.Role)
		}
	}
	for _, id := range wanted {
		if role, ok := s.roles[id]; ok {
			h.Roles = append(h.Roles, role)
		}
	}
	return h
}

func (s *state) holding(id latchkey.ID) store.Holding {
	var held store.Holding
	for _, k := range s.keys {
		if !k.Revoked() && slices.Contains([]latchkey.ID{k.Organization, k.Project, k.Owner, k.Policy.Role}, id) {
			held.Keys++
		}
	}
	for _, u := range s.users {
		for _, m := range u.Memberships {
			if slices.Contains([]latchkey.ID{u.Organization, m.Project, m.Role}, id) {
				held.Users++
			}
		}
	}
	return held
}

func (s *state) write(o *store.Outcome) {
	for i := range o.Steps {
		step := &o.Steps[i]
		for _, k := range step.Keys {
			if k.Ordinal == 0 {
				org := s.organizations[k.Organization]
				org.Keys++
				s.organizations[k.Organization] = org
			}
		}
		step.Number(int64(len(s.events)) + 1)
		s.events = append(s.events, step.Event)
		put(s.keys, step.Keys, func(k *latchkey.Key) latchkey.ID { return k.ID })
		for _, org := range step.Organizations {
			kept := *org
			kept.Keys = s.organizations[org.ID].Keys
			s.organizations[org.ID] = kept
		}
		put(s.projects, step.Projects, func(p *latchkey.Project) latchkey.ID { return p.ID })
		put(s.users, step.Users, func(u *latchkey.User) latchkey.ID { return u.ID })
		put(s.roles, step.Roles, func(r *latchkey.Role) latchkey.ID { return r.ID })
		put(s.dataKeys, step.DataKeys, func(d *store.DataKey) latchkey.ID { return d.Organization })
		for _, k := range step.TokenKeys {
			s.tokenKeys = append(slices.DeleteFunc(s.tokenKeys, func(old store.TokenKey) bool { return old.ID == k.ID }), *k)
			slices.SortFunc(s.tokenKeys, func(a, b store.TokenKey) int { return cmp.Compare(a.Ordinal, b.Ordinal) })
		}
		for _, g := range step.Gateways {
			s.gateways = append(slices.DeleteFunc(s.gateways, func(old latchkey.Gateway) bool { return old.ID == g.ID }), *g)
			slices.SortFunc(s.gateways, func(a, b latchkey.Gateway) int { return cmp.Compare(a.Ordinal, b.Ordinal) })
		}
		for _, i := range step.Issuers {
			s.issuers = append(slices.DeleteFunc(s.issuers, func(old latchkey.Issuer) bool { return old.ID == i.ID }), *i)
		}
		for _, r := range step.TokenRefusals {
			s.refusals[r.Family] = true
		}
		if step.Installation != nil {
			s.installation = step.Installation
		}
	}
	for _, n := range o.Nonces {
		s.nonces[n.NonceKey] = true
	}
	if o.Record != nil {
		s.records[o.Record.RecordKey] = *o.Record
	}
}

func put[V any](to map[latchkey.ID]V, rows []*V, name func(*V) latchkey.ID) {
	for _, row := range rows {
		to[name(row)] = *row
	}
}

// memory is a store of a few maps that follows a script. One goroutine uses it
// at a time: the writer, or a test while the writer waits.
type memory struct {
	state  *state
	gate   chan struct{} // one transaction begins for each value; nil lets them all begin
	groups [][]string    // what each transaction committed, by the request ids of the events
	loads  []store.Reads // what each transaction read
	open   int           // transactions that are not over

	pace chan struct{} // not nil: others may join a transaction; each of its writes waits for a value

	failBegin, failLoad, failWrite, failSeal, failCommit error
	refused                                              map[string]error // outcomes that cannot be written, by the request id of their event
}

func newMemory() *memory { return &memory{state: newState(), refused: map[string]error{}} }

func (m *memory) begin(context.Context) (store.Tx, error) {
	if m.gate != nil {
		<-m.gate
	}
	if m.failBegin != nil {
		return nil, m.failBegin
	}
	m.open++
	tx := &memoryTx{memory: m, state: m.state.clone()}
	if m.pace != nil {
		return &joinedTx{memoryTx: tx}, nil
	}
	return tx, nil
}

// joinedTx is a transaction that others may join.
type joinedTx struct {
	*memoryTx
	sealed bool
}

func (tx *joinedTx) Write(outcomes []store.Outcome) error {
	if tx.sealed {
		panic("written after it was sealed")
	}
	err := tx.memoryTx.Write(outcomes)
	<-tx.memory.pace
	return err
}

func (tx *joinedTx) Seal() error {
	tx.sealed = true
	return tx.memory.failSeal
}

func (tx *joinedTx) Commit() (int64, error) {
	if !tx.sealed {
		panic("committed before it was sealed")
	}
	return tx.memoryTx.Commit()
}

type memoryTx struct {
	memory *memory
	state  *state
	group  []string
}

func (tx *memoryTx) Load(reads store.Reads) (*store.View, error) {
	tx.memory.loads = append(tx.memory.loads, reads)
	return tx.state.view(reads), tx.memory.failLoad
}

func (tx *memoryTx) Write(outcomes []store.Outcome) error {
	for i := range outcomes {
		for _, step := range outcomes[i].Steps {
			if err := tx.memory.refused[step.Event.RequestID]; err != nil {
				return &store.WriteError{Index: i, Err: err}
			}
			tx.group = append(tx.group, step.Event.RequestID)
		}
		tx.state.write(&outcomes[i])
	}
	return tx.memory.failWrite
}

func (tx *memoryTx) Commit() (int64, error) {
	tx.memory.open--
	if err := tx.memory.failCommit; err != nil {
		return 0, err
	}
	tx.memory.state = tx.state
	tx.memory.groups = append(tx.memory.groups, tx.group)
	return int64(len(tx.state.events)), nil
}

func (tx *memoryTx) Rollback() { tx.memory.open-- }
