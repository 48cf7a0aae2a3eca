package client

import (
	"context"
	"iter"
	"net/url"
	"time"
)

// UsageHour is an hour in which a key was used.
type UsageHour struct {
	Hour time.Time  `json:"hour"` // when it began
	Uses []UseTally `json:"uses"`
}

// UseTally counts the verdicts with one code on a key within an hour from one
// address. Those that came before the secret was found to be right are in none.
type UseTally struct {
	Code    string    `json:"code"`    // valid, or why not
	Address string    `json:"address"` // IPv4, or the /64 of an IPv6 one; "other" beyond the first eight; "" if it was not told
	Count   int64     `json:"count"`
	LastAt  time.Time `json:"last_at"`
}

// UsageFilter selects hours of a key's uses. Zero fields do not filter.
type UsageFilter struct {
	Since, Before time.Time // hours that began at or after the one, and before the other
	Limit         int       // hours of a page, 1–100; 0 leaves it to the server
	Cursor        string    // from an earlier page of the same filter
}

func (f *UsageFilter) query() url.Values {
	q := query{}
	q.time("since", f.Since)
	q.time("before", f.Before)
	q.number("limit", int64(f.Limit))
	q.text("cursor", f.Cursor)
	return url.Values(q)
}

// Usage is one page of the hours in which a key was used, the latest first. It is
// at most a minute behind, and goes back 90 days.
func (k Keys) Usage(ctx context.Context, id string, f UsageFilter) (Answer[Page[UsageHour]], error) {
	return send[Page[UsageHour]](ctx, k.c, get(join(keysPath, id, "usage"), f.query()))
}

// UsagePages are the pages of all hours that match. It ends after the first error.
func (k Keys) UsagePages(ctx context.Context, id string, f UsageFilter) iter.Seq2[Answer[Page[UsageHour]], error] {
	return pages(f.Cursor, func(cursor string) (Answer[Page[UsageHour]], error) {
		f.Cursor = cursor
		return k.Usage(ctx, id, f)
	})
}
