package store_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// The objects of the law: small enough for changes to meet all the time.
var (
	lawOrganizations = []latchkey.ID{orgA, orgB}
	lawProjects      = []latchkey.ID{id('p', 1), id('p', 2)}
	lawUsers         = []latchkey.ID{id('u', 1), id('u', 2)}
	lawRoles         = []latchkey.ID{id('r', 1), id('r', 2)}
	lawKeys          = []latchkey.ID{id('k', 1), id('k', 2), id('k', 3)}
	lawRecords       = []store.RecordKey{{Route: "one"}, {Route: "two"}}
)

// script is one change of the law: what it reads, and which of that it writes
// anew from all that it saw. It refuses when what it saw says so.
type script struct {
	name      string
	change    store.Change
	writes    store.Reads // the objects that it writes, all of them read
	creates   int
	faithless bool // refuses in a quarter of the cases, by what it saw
	conflicts bool // the store cannot write it
}

// TestEveryInterleavingIsSerial submits random changes all at once, and then
// runs those that were committed once more, one by one and in commit order. They
// must see what they saw and leave what they left.
func TestEveryInterleavingIsSerial(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		scripts := rapid.SliceOfN(rapid.Custom(drawScript), 1, 40).Draw(rt, "changes")
		for i := range scripts {
			scripts[i].name = fmt.Sprintf("c%d", i)
			scripts[i].change.Apply = scripts[i].apply
		}
		var calls []*call
		var stored *memory
		atDesk(t, func(d *desk) {
			stored = d.memory
			d.state = lawState()
			for i := range scripts {
				if scripts[i].conflicts {
					d.refused[scripts[i].name] = store.ErrConflict
				}
				calls = append(calls, d.submit(scripts[i].change))
			}
			d.release()
		})
		checkAnswers(rt, scripts, calls, stored.state)
		checkSerial(rt, scripts, stored.state)
	})
}

// checkAnswers holds what each caller was told against what is stored.
func checkAnswers(rt *rapid.T, scripts []script, calls []*call, stored *state) {
	last := map[string]int64{}
	for _, e := range stored.events {
		last[e.RequestID] = e.Position
	}
	for i, c := range calls {
		position, committed := last[scripts[i].name]
		switch {
		case !c.done:
			rt.Fatalf("%s was never answered", scripts[i].name)
		case c.err != nil && committed:
			rt.Fatalf("%s failed with %v and is stored", scripts[i].name, c.err)
		case c.err == nil && committed && c.position != position:
			rt.Fatalf("%s was told position %d, its last event is %d", scripts[i].name, c.position, position)
		case c.err != nil && !errors.Is(c.err, store.ErrConflict) && !errors.Is(c.err, errSaw):
			rt.Fatalf("%s failed with %v", scripts[i].name, c.err)
		case c.err == nil && !committed && len(scripts[i].change.Reads.Records) == 0:
			rt.Fatalf("%s was acknowledged and is not stored", scripts[i].name)
		}
	}
}

// checkSerial runs the committed changes again, one by one.
func checkSerial(rt *rapid.T, scripts []script, stored *state) {
	serial := lawState()
	byName := map[string]*script{}
	for i := range scripts {
		byName[scripts[i].name] = &scripts[i]
	}
	serial.write(&store.Outcome{Steps: []store.Step{eventOf("plug")}})
	for len(serial.events) < len(stored.events) {
		event := stored.events[len(serial.events)]
		s := byName[event.RequestID]
		outcome, err := s.apply(serial.view(s.change.Reads))
		if err != nil || len(outcome.Steps) == 0 {
			rt.Fatalf("alone, %s would not have been made: %v", s.name, err)
		}
		if outcome.Steps[0].Event.Changes != event.Changes {
			rt.Fatalf("at position %d, %s saw something else than it would alone", event.Position, s.name)
		}
		serial.write(&outcome)
	}
	if !reflect.DeepEqual(serial, stored) {
		rt.Fatalf("the same changes one by one leave\n%+v\nnot\n%+v", serial, stored)
	}
}

// lawState is what the law starts from.
func lawState() *state {
	s := newState()
	s.installation = &store.Installation{Ring: "first"}
	s.tokenKeys = []store.TokenKey{{ID: id('s', 1), Record: latchkey.Record{Ordinal: 1}}}
	s.gateways = []latchkey.Gateway{{ID: id('g', 1), Record: latchkey.Record{Ordinal: 1}}}
	for _, org := range lawOrganizations {
		s.organizations[org] = latchkey.Organization{ID: org, Keys: int64(len(lawKeys))}
		s.dataKeys[org] = store.DataKey{Organization: org, Version: 1}
	}
	for i, project := range lawProjects {
		s.projects[project] = latchkey.Project{ID: project}
		s.roles[lawRoles[i]] = latchkey.Role{ID: lawRoles[i], Organization: orgA}
		s.users[lawUsers[i]] = latchkey.User{ID: lawUsers[i], Organization: orgA,
			Memberships: []latchkey.Membership{{Project: project, Role: lawRoles[i]}}}
	}
	for i, key := range lawKeys {
		s.keys[key] = latchkey.Key{ID: key, Organization: lawOrganizations[i%2], Project: lawProjects[i%2], Owner: lawUsers[i%2],
			Record: latchkey.Record{Ordinal: int64(i) + 1}}
	}
	return s
}

func drawScript(t *rapid.T) script {
	some := func(ids []latchkey.ID, label string) []latchkey.ID {
		return slices.DeleteFunc(slices.Clone(ids), func(latchkey.ID) bool { return rapid.IntRange(0, 5).Draw(t, label) > 0 })
	}
	s := script{
		change: store.Change{
			Organization: rapid.SampledFrom(lawOrganizations).Draw(t, "turn"),
			Urgent:       rapid.IntRange(0, 3).Draw(t, "urgent") == 0,
			Reads: store.Reads{
				Installation: rapid.IntRange(0, 9).Draw(t, "installation") == 0,
				TokenKeys:    rapid.IntRange(0, 9).Draw(t, "token keys") == 0,
				Gateways:     rapid.IntRange(0, 9).Draw(t, "gateways") == 0,
				Keys:         some(lawKeys, "key"), Organizations: some(lawOrganizations, "organization"),
				Projects: some(lawProjects, "project"), Users: some(lawUsers, "user"), Roles: some(lawRoles, "role"),
				Holdings: some(slices.Concat(lawProjects, lawUsers, lawRoles, lawOrganizations), "holding"),
				DataKeys: some(lawOrganizations, "data key"),
			},
		},
		creates:   max(0, rapid.IntRange(-3, 2).Draw(t, "creates")),
		faithless: rapid.IntRange(0, 3).Draw(t, "faithless") == 0,
		conflicts: rapid.IntRange(0, 7).Draw(t, "conflicts") == 0,
	}
	if rapid.IntRange(0, 5).Draw(t, "record") == 0 {
		s.change.Reads.Records = []store.RecordKey{rapid.SampledFrom(lawRecords).Draw(t, "call")}
	}
	if rapid.Bool().Draw(t, "writes") {
		s.writes = s.change.Reads
	}
	return s
}

var errSaw = errors.New("what it saw says no")

// apply is a pure function of what the script reads, and of all of it.
func (s *script) apply(v *store.View) (store.Outcome, error) {
	saw := see(v, s.change.Reads)
	if s.faithless && saw[0] < '4' {
		return store.Outcome{}, errSaw
	}
	var outcome store.Outcome
	for _, k := range s.change.Reads.Records {
		if v.Records[k] != nil {
			return store.Outcome{}, nil
		}
		outcome.Record = &store.Record{RecordKey: k, Sealed: []byte(saw)}
	}
	outcome.Steps = []store.Step{s.rewrite(v, saw), eventOf(s.name)}
	outcome.Steps[0].Event.Changes = latchkey.Document(saw)
	return outcome, nil
}

// rewrite makes new states of the objects from what was seen. Where keys and
// users hang changes with it.
func (s *script) rewrite(v *store.View, saw string) store.Step {
	step := eventOf(s.name)
	side := int(saw[0]) % 2
	for _, id := range s.writes.Keys {
		k := v.Keys[id].Key
		k.Name, k.Owner, k.Project, k.Policy.Role = saw, lawUsers[side], lawProjects[side], lawRoles[side]
		step.Keys = append(step.Keys, &k)
	}
	for n := range s.creates {
		fresh := sha256.Sum256(fmt.Appendf(nil, "%s %d", s.name, n))
		k := latchkey.Key{ID: latchkey.ID(fresh[:12]), Organization: s.change.Organization, Name: saw, Project: lawProjects[side]}
		step.Keys = append(step.Keys, &k)
	}
	for _, id := range s.writes.Organizations {
		o := *v.Organizations[id]
		o.Name = saw
		step.Organizations = append(step.Organizations, &o)
	}
	for _, id := range s.writes.Projects {
		step.Projects = append(step.Projects, &latchkey.Project{ID: id, Name: saw, Record: v.Projects[id].Record})
	}
	for _, id := range s.writes.Users {
		u := *v.Users[id]
		u.Name, u.Memberships = saw, []latchkey.Membership{{Project: lawProjects[side], Role: lawRoles[1-side]}}
		step.Users = append(step.Users, &u)
	}
	for _, id := range s.writes.Roles {
		step.Roles = append(step.Roles, &latchkey.Role{ID: id, Name: saw, Record: v.Roles[id].Record})
	}
	for _, id := range s.writes.DataKeys {
		step.DataKeys = append(step.DataKeys, &store.DataKey{Organization: id, Wrapped: []byte(saw)})
	}
	if s.writes.TokenKeys {
		k := v.TokenKeys[0]
		k.Algorithm = saw
		step.TokenKeys = []*store.TokenKey{&k}
	}
	if s.writes.Gateways {
		g := v.Gateways[0]
		g.Name = saw
		step.Gateways = []*latchkey.Gateway{&g}
	}
	if s.writes.Installation {
		step.Installation = &store.Installation{Ring: saw}
	}
	return step
}

// see digests exactly what the reads name; a view may hold more, for others.
func see(v *store.View, reads store.Reads) string {
	var b strings.Builder
	if reads.Installation {
		fmt.Fprintf(&b, "%+v\n", *v.Installation)
	}
	if reads.TokenKeys {
		fmt.Fprintf(&b, "%+v\n", v.TokenKeys)
	}
	if reads.Gateways {
		fmt.Fprintf(&b, "%+v\n", v.Gateways)
	}
	for _, id := range reads.Keys {
		h := *v.Keys[id]
		owner := latchkey.User{}
		if h.Owner != nil {
			owner = *h.Owner
		}
		fmt.Fprintf(&b, "%+v %+v %+v %+v\n", h.Key, h.Organization, owner, h.Roles)
	}
	write(&b, v.Organizations, reads.Organizations)
	write(&b, v.Projects, reads.Projects)
	write(&b, v.Users, reads.Users)
	write(&b, v.Roles, reads.Roles)
	write(&b, v.DataKeys, reads.DataKeys)
	for _, id := range reads.Holdings {
		fmt.Fprintf(&b, "%+v\n", v.Holdings[id])
	}
	for _, k := range slices.Collect(maps.Keys(v.Records)) {
		if slices.Contains(reads.Records, k) {
			fmt.Fprintf(&b, "%+v\n", *v.Records[k])
		}
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:8])
}

func write[V any](b *strings.Builder, from map[latchkey.ID]*V, ids []latchkey.ID) {
	for _, id := range ids {
		fmt.Fprintf(b, "%+v\n", *from[id])
	}
}
