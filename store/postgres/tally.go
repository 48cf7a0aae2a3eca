package postgres

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// Totals are exact and must not cost a look at each key, so keys are counted as
// they are written: triggers keep, for each sort of key, how many there are (the
// table tallies; docs/decisions/0013 says what a sort is). Time is cut into
// spans; keys are looked at only within the present one.
const spanBits = 26

// few is how many keys of the present span are looked at before it is asked
// whether fewer are on its other side.
const few = 1000

// CountKeys implements store.Keys.
func (s *Store) CountKeys(ctx context.Context, query store.KeyQuery) (int64, error) {
	if !storable(query.Partner + query.Search + query.Name) {
		return 0, nil
	}
	query.Sort, query.Then, query.After, query.Offset = "", nil, nil, 0
	text, args := total(&query)
	var n int64
	err := s.planned(ctx, func(rows pgx.Rows) error { return rows.Scan(&n) }, func() {}, text, args...)
	return n, err
}

// total spells the statement that counts.
func total(query *store.KeyQuery) (string, []any) {
	if !tallied(query) {
		l := newListing(query)
		return l.find(`count(*)`), l.args
	}
	// The keys of the present span, if they have to be looked at.
	present := *query
	present.States = []latchkey.State{latchkey.StateLive, latchkey.StateExpired}
	l := &listing{query: &present}
	organization := l.place(query.Organization[:])
	now := query.Now.UnixMilli()
	span := (now - 1) >> spanBits
	sum := func(condition string) string { return `coalesce(sum(y.n) FILTER (WHERE ` + condition + `), 0)::bigint` }
	spanned := strconv.FormatInt(span, 10)
	here := `NOT o.suspended AND y.condition = 2 AND y.span = ` + spanned
	whole, partly := talliedStates(query.States, spanned)
	text := `WITH sums AS (SELECT ` + sum(whole) + ` AS whole, ` + sum(here) + ` AS present
		FROM organizations o LEFT JOIN tallies y ON y.organization = o.id` + l.talliedFields(query) + ` WHERE o.id = ` + organization + ` AND o.deleted_at IS NULL)
		SELECT whole`
	if partly != "" {
		l.choose()
		expired := l.expired(span<<spanBits, now, (span+1)<<spanBits)
		if partly == latchkey.StateLive {
			expired = `present - ` + expired
		}
		text += ` + CASE present WHEN 0 THEN 0 ELSE ` + expired + ` END`
	}
	return text + ` FROM sums`, l.args
}

// tallied reports whether keys are counted by all that the query filters by.
func tallied(q *store.KeyQuery) bool {
	return q.Owner.IsZero() && q.Partner == "" && q.Creator.IsZero() && q.Name == "" && q.Search == "" && q.ExpiringBefore.IsZero() && q.UnusedSince.IsZero()
}

// talliedStates is a condition for the tallies all of whose keys are in one of
// the states; and the state that only some of the keys of the present span are
// in, "" for none.
func talliedStates(states []latchkey.State, span string) (whole string, partly latchkey.State) {
	if len(states) == 0 {
		return `true`, ""
	}
	var conditions []string
	add := func(state latchkey.State, condition string) bool {
		has := slices.Contains(states, state)
		if has {
			conditions = append(conditions, condition)
		}
		return has
	}
	const on = `NOT o.suspended AND y.condition = 2 AND y.span `
	add(latchkey.StateRevoked, `y.condition = 0`)
	add(latchkey.StateDisabled, `y.condition = 1 OR o.suspended AND y.condition > 0`)
	live := add(latchkey.StateLive, on+`> `+span)
	expired := add(latchkey.StateExpired, on+`< `+span)
	switch {
	case live && expired:
		conditions = append(conditions, on+`= `+span)
	case live:
		partly = latchkey.StateLive
	case expired:
		partly = latchkey.StateExpired
	}
	return strings.Join(conditions, ` OR `), partly
}

// talliedFields is the condition on what keys are counted by besides their state.
func (l *listing) talliedFields(q *store.KeyQuery) string {
	where := ""
	must := func(is bool, condition string) {
		if is {
			where += ` AND ` + condition
		}
	}
	if !q.Project.IsZero() {
		must(true, `y.project = `+l.place(q.Project[:]))
	}
	must(reaches(q.MaxReach) != "", `y.`+reaches(q.MaxReach))
	if !q.Role.IsZero() {
		must(true, `y.role = `+l.place(q.Role[:]))
	}
	if q.Builtin {
		must(true, `y.role = ANY (`+l.place(builtinRoles())+`::bytea[])`)
	}
	must(q.HasRole, `y.role <> ''`)
	must(q.HasOwner, `y.owned`)
	must(q.HasPartner, `y.partnered`)
	return where
}

// expired counts the keys of the list that have expired in the present span: it
// looks at those, or if they are many, at the rest of the span's.
func (l *listing) expired(from, now, to int64) string {
	between := func(a, b int64) string {
		return l.find(`1`) + ` AND t.expiry > ` + l.place(a) + ` AND t.expiry <= ` + l.place(b)
	}
	limit := strconv.Itoa(few)
	return `(SELECT CASE WHEN before.n <= ` + limit + ` THEN before.n ELSE present - (SELECT count(*) FROM (` + between(now, to) + `) later) END
		FROM (SELECT count(*) AS n FROM (` + between(from, now) + ` LIMIT ` + limit + ` + 1) earlier) before)`
}
