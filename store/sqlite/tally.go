package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"slices"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// Totals are exact and must not cost a look at each key, so keys are counted as
// they are written: tallies has, for each sort of key, how many there are.
//
// What a key is at a moment depends on three things that are not written with
// it. Its owner's suspension is: a user's row moves the counts of its keys. Its
// organization's is looked up with the total. Time is cut into spans of some 19
// hours: a total takes whole spans from the tallies, and looks at keys only
// within the present one, at those that have expired in it or those that have
// yet to, whichever are few.
const spanBits = 26

// spanOf is the span of time that ends at or after a moment.
func spanOf(millis int64) int64 { return (millis - 1) >> spanBits }

// The conditions of keys, in as far as time does not decide.
const (
	conditionRevoked = iota
	conditionOff     // disabled, by itself or its owner
	conditionOn
)

// tally is a sort of keys.
type tally struct {
	organization, project latchkey.ID
	reach                 latchkey.Reach
	role                  latchkey.ID
	owned, partnered      bool
	condition             int
	span                  int64 // in which they expire; 0 unless the condition is conditionOn
}

// tallyOf is the sort that a key is of. away says that its owner is suspended or gone.
func tallyOf(k *latchkey.Key, away bool) tally {
	t := tally{
		organization: k.Organization, project: k.Project, reach: k.Reach, role: k.Policy.Role,
		owned: !k.Owner.IsZero(), partnered: k.Partner != "", condition: conditionOn,
	}
	switch {
	case k.Revoked():
		t.condition = conditionRevoked
	case !k.Enabled || away:
		t.condition = conditionOff
	case k.ExpiresAt.IsZero():
		t.span = spanOf(math.MaxInt64)
	default:
		t.span = spanOf(k.ExpiresAt.UnixMilli())
	}
	return t
}

// tallies are the counts of a group of changes, on their way into the store.
type tallies struct {
	by   map[tally]int64
	away map[latchkey.ID]bool // owners, as far as they were asked for
}

func newTallies() tallies { return tallies{map[tally]int64{}, map[latchkey.ID]bool{}} }

// count takes in n keys like k.
func (t *tallies) count(s *session, k *latchkey.Key, n int64) error {
	away, err := t.isAway(s, k.Owner)
	t.by[tallyOf(k, away)] += n
	return err
}

// isAway reports whether an owner is suspended or gone; zero is nobody.
func (t *tallies) isAway(s *session, owner latchkey.ID) (bool, error) {
	away, known := t.away[owner]
	if known || owner.IsZero() {
		return away, nil
	}
	var one int
	err := s.get([]any{&one}, `SELECT 1 FROM users WHERE id = ? AND NOT suspended AND deleted_at IS NULL`, owner[:])
	if away = errors.Is(err, store.ErrNotFound); away {
		err = nil
	}
	t.away[owner] = away
	return away, err
}

// user moves the counts of a user's keys, if it goes away or comes back.
func (t *tallies) user(s *session, u *latchkey.User, before bool) error {
	away := u.Suspended || u.Deleted()
	t.away[u.ID] = away
	if away == before {
		return nil
	}
	return s.each(func(rows *sql.Rows) error {
		k := latchkey.Key{Organization: u.Organization, Owner: u.ID, Enabled: true}
		var n int64
		err := rows.Scan((*idColumn)(&k.Project), (*string)(&k.Reach), (*idColumn)(&k.Policy.Role), &k.Partner, (*timeColumn)(&k.ExpiresAt), &n)
		t.by[tallyOf(&k, before)] -= n
		t.by[tallyOf(&k, away)] += n
		return err
	}, `SELECT project, reach, role, partner, expires_at, count(*) FROM keys INDEXED BY keys_owner
		WHERE organization = ? AND owner = ? AND owner IS NOT NULL AND revoked_at IS NULL AND enabled
		GROUP BY project, reach, role, partner <> '', (expiry - 1) >> ?`, u.Organization[:], u.ID[:], spanBits)
}

// flush writes the counts.
func (t *tallies) flush(s *session) error {
	const (
		add = `INSERT INTO tallies (organization, project, reach, role, owned, partnered, condition, span, n) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET n = n + excluded.n`
		drop = `DELETE FROM tallies WHERE organization = ? AND project = ? AND reach = ? AND role = ? AND owned = ? AND partnered = ?
			AND condition = ? AND span = ? AND n = 0`
	)
	for of, n := range t.by {
		if n == 0 {
			continue
		}
		values := []any{of.organization[:], of.project[:], string(of.reach), of.role[:], of.owned, of.partnered, of.condition, of.span}
		if _, err := s.exec(add, append(values, n)...); err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		if _, err := s.exec(drop, values...); err != nil {
			return err
		}
	}
	clear(t.by)
	return nil
}

// CountKeys implements store.Keys.
func (s *Store) CountKeys(ctx context.Context, query store.KeyQuery) (int64, error) {
	query.Sort, query.Then, query.After, query.Offset = "", nil, nil, 0
	var n int64
	err := s.readers.use(ctx, func(on *session) error {
		return on.snapshot(func() (err error) {
			n, err = on.total(ctx, &query)
			return err
		})
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

func (s *session) total(ctx context.Context, query *store.KeyQuery) (int64, error) {
	organization, err := s.organization(query.Organization)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	list := newListing(query, organization.Suspended)
	switch {
	case len(list.halves) == 0:
		return 0, nil
	case list.tallied():
		return list.tally(ctx, s)
	}
	ways, err := list.ways(ctx, s)
	if err != nil {
		return 0, err
	}
	text, args := list.find(`1`, ways, part{})
	return s.count(ctx, text, args)
}

// tallied reports whether keys are counted by all that the list filters by.
func (l *listing) tallied() bool {
	q := l.query
	return q.Owner.IsZero() && q.Partner == "" && q.Creator.IsZero() && q.Name == "" && q.Search == "" && q.ExpiringBefore.IsZero() && q.UnusedSince.IsZero()
}

// tally is the total by the tallies.
func (l *listing) tally(ctx context.Context, s *session) (int64, error) {
	span := spanOf(l.query.Now.UnixMilli())
	whole, partly := l.talliedStates()
	where, args := l.talliedFields()
	var total, present int64
	err := s.search(ctx, func(rows *sql.Rows) error { return rows.Scan(&total, &present) },
		`SELECT ifnull(sum(n) FILTER (WHERE `+whole+`), 0), ifnull(sum(n) FILTER (WHERE condition = 2 AND span = ?1), 0) FROM tallies WHERE `+where,
		append([]any{span}, args...)...)
	if err != nil || partly == "" || present == 0 {
		return total, err
	}
	expired, err := l.expiredIn(ctx, s, span, present)
	if partly == latchkey.StateLive {
		return total + present - expired, err
	}
	return total + expired, err
}

// talliedStates is a condition for the tallies all of whose keys are in one of
// the states, where ?1 is the present span; and the state that only some of the
// keys of the present span are in, "" for none.
func (l *listing) talliedStates() (whole string, partly latchkey.State) {
	if len(l.query.States) == 0 {
		return `1`, ""
	}
	var conditions []string
	add := func(state latchkey.State, condition string) bool {
		has := slices.Contains(l.states, state)
		if has {
			conditions = append(conditions, condition)
		}
		return has
	}
	add(latchkey.StateRevoked, `condition = 0`)
	if l.suspended {
		add(latchkey.StateDisabled, `condition > 0`)
		return strings.Join(conditions, ` OR `), ""
	}
	add(latchkey.StateDisabled, `condition = 1`)
	live := add(latchkey.StateLive, `condition = 2 AND span > ?1`)
	expired := add(latchkey.StateExpired, `condition = 2 AND span < ?1`)
	switch {
	case live && expired:
		conditions = append(conditions, `condition = 2 AND span = ?1`)
	case live:
		partly = latchkey.StateLive
	case expired:
		partly = latchkey.StateExpired
	}
	return strings.Join(conditions, ` OR `), partly
}

// talliedFields is the condition on what keys are counted by besides their state.
func (l *listing) talliedFields() (string, []any) {
	q := l.query
	where, args := []string{`organization = ?`}, []any{q.Organization[:]}
	must := func(is bool, condition string, values ...any) {
		if is {
			where, args = append(where, condition), append(args, values...)
		}
	}
	must(!q.Project.IsZero(), `project = ?`, q.Project[:])
	must(reaches(q.MaxReach) != "", reaches(q.MaxReach))
	must(!q.Role.IsZero(), `role = ?`, q.Role[:])
	must(q.HasRole, `role <> zeroblob(12)`)
	must(q.Builtin, `role IN (`+builtinRoles()+`)`)
	must(q.HasOwner, `owned`)
	must(q.HasPartner, `partnered`)
	return strings.Join(where, ` AND `), args
}

// expiredIn counts the keys that have expired in the present span, of all those
// that expire in it. Where they are many, it counts those that have not.
func (l *listing) expiredIn(ctx context.Context, s *session, span, all int64) (int64, error) {
	now := l.query.Now.UnixMilli()
	before, err := l.expiring(ctx, s, span<<spanBits, now, few+1)
	if err != nil || before <= few {
		return before, err
	}
	after, err := l.expiring(ctx, s, now, (span+1)<<spanBits, all)
	return all - after, err
}

// expiring counts the keys of the list that are not disabled and expire after a
// moment and no later than another, up to a limit.
func (l *listing) expiring(ctx context.Context, s *session, from, to, limit int64) (int64, error) {
	query := *l.query
	query.States = []latchkey.State{latchkey.StateLive, latchkey.StateExpired}
	on := newListing(&query, false)
	on.must(`t.expiry > ? AND t.expiry <= ?`, from, to)
	text, args := on.find(`1`, []way{{from: `keys t INDEXED BY keys_expiry`}}, part{})
	return s.count(ctx, text+` LIMIT ?`, append(args, limit))
}
