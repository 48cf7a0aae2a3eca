package authority

import (
	"context"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// UsageLife is how long tallies of uses are kept.
const UsageLife = 90 * 24 * time.Hour

// UsageFilter selects hours of a key's uses. Zero fields do not filter.
type UsageFilter struct {
	Since, Before time.Time // hours that began at or after the one, and before the other
	Limit         int       // 1–100 hours; 0 is 25
	Cursor        string    // from an earlier page of the same filter
}

// UsageHour is an hour in which a key was used.
type UsageHour struct {
	Hour    time.Time
	Tallies []latchkey.Tally // by code and source
}

// KeyUsage is a page of the hours in which a key within the caller's reach was
// used, the latest first, and the cursor of the next page, "" at the end. Hours
// without a use are left out, and what the nodes have not written yet.
func (a *Authority) KeyUsage(ctx context.Context, call *Call, id latchkey.ID, f UsageFilter) ([]UsageHour, string, error) {
	if err := call.Require(latchkey.KeyRead); err != nil {
		return nil, "", err
	}
	var broken problems
	limit := broken.limit(f.Limit)
	if err := broken.err(); err != nil {
		return nil, "", err
	}
	q := store.UsageQuery{Key: id, Since: f.Since, Before: f.Before, Hours: limit + 1} // one more tells whether there is a next page
	scope := f
	scope.Cursor, scope.Limit = "", 0
	list := cursorOf(call, "usage", []any{id, scope})
	if f.Cursor != "" {
		if err := a.openCursor(list, f.Cursor, &q.Before); err != nil {
			return nil, "", err
		}
	}
	if _, err := a.key(ctx, call, id); err != nil {
		return nil, "", err
	}
	tallies, err := a.Store.Usage(ctx, q)
	if err != nil {
		return nil, "", translate(err)
	}
	hours := byHour(tallies)
	if len(hours) <= limit {
		return hours, "", nil
	}
	hours = hours[:limit]
	next, err := a.sealCursor(list, hours[limit-1].Hour)
	return hours, next, err
}

func byHour(tallies []latchkey.Tally) (hours []UsageHour) {
	for _, t := range tallies {
		if n := len(hours); n == 0 || !hours[n-1].Hour.Equal(t.Hour) {
			hours = append(hours, UsageHour{Hour: t.Hour})
		}
		last := &hours[len(hours)-1]
		last.Tallies = append(last.Tallies, t)
	}
	return hours
}
