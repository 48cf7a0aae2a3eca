package rest

import (
	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
)

// usageAnswer is an hour in which a key was used.
type usageAnswer struct {
	Hour moment     `json:"hour" doc:"When it began."`
	Uses []useTally `json:"uses" nullable:"false" doc:"By code and address."`
}

type useTally struct {
	Code    string  `json:"code" doc:"The verdict; only those given once the secret was found to be right are counted."`
	Address *string `json:"address" doc:"An IPv4 address or the /64 of an IPv6 one; beyond the first eight of an hour and code, \"other\"; null for one that was not told."`
	Count   int64   `json:"count"`
	LastAt  moment  `json:"last_at"`
}

func (api *API) keyUsage(x *exchange) error {
	q := x.queries()
	f := authority.UsageFilter{Since: q.time("since"), Before: q.time("before"), Limit: q.limit(), Cursor: q.text("cursor")}
	if err := q.err(); err != nil {
		return err
	}
	hours, next, err := api.Authority.KeyUsage(x.r.Context(), &x.Call, x.pathID(latchkey.KindKey), f)
	if err != nil {
		return err
	}
	return x.answer(pageOf(hours, next, spellUsage))
}

func spellUsage(h *authority.UsageHour) usageAnswer {
	out := usageAnswer{Hour: moment(h.Hour), Uses: make([]useTally, len(h.Tallies))}
	for i, t := range h.Tallies {
		out.Uses[i] = useTally{string(t.Code), optional(t.Source), t.Count, moment(t.Last)}
	}
	return out
}
