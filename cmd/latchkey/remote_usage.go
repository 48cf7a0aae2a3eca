package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"latchkey.dev/latchkey/client"
)

func keysUsageCommand(r *remote) *cobra.Command {
	var filter client.UsageFilter
	var all bool
	since, before := momentValue{sign: -1}, momentValue{sign: -1}
	c := &cobra.Command{
		Use:   "usage KEY_ID",
		Short: "Tell how often a key was used, from where, and with which outcome",
		Long: `Usage lists the hours in which somebody presented the key, the latest first: how
often with which verdict, from which address. It is at most a minute behind, and
goes back 90 days. Of an hour and verdict the first eight addresses are told
apart, an IPv6 one as its /64; the others are counted together.

Guesses are not in it: only what was presented with the right secret counts.`,
		Example: `  latchkey keys usage key_0d5qh0w2e9x8v3k7m1ac --since 7d

  # Who still tries a key that was revoked?
  latchkey keys usage key_0d5qh0w2e9x8v3k7m1ac --json | jq '.data[].uses[] | select(.code == "revoked")'`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := r.connect(c.Context())
			if err != nil {
				return err
			}
			filter.Since, filter.Before = since.Time, before.Time
			l := usageListing(r)
			if all {
				if filter.Limit == 0 {
					filter.Limit = mostPerPage
				}
				return l.all(api.Keys.UsagePages(c.Context(), args[0], filter))
			}
			a, err := api.Keys.Usage(c.Context(), args[0], filter)
			return l.page(a, err)
		},
	}
	f := c.Flags()
	f.Var(&since, "since", "only hours that began at this time or later, or within this span: 7d")
	f.Var(&before, "before", "only hours that began before this time, or so long ago: 1d")
	f.IntVar(&filter.Limit, "limit", 0, "most hours on a page, 1 to 100 (default 25)")
	f.StringVar(&filter.Cursor, "cursor", "", "the page after the one that gave this `cursor`")
	f.BoolVar(&all, "all", false, "all pages, one after the other")
	return c
}

func usageListing(r *remote) *listing[client.UsageHour] {
	return &listing[client.UsageHour]{
		r: r, noun: "hours",
		header: []string{"HOUR", "VERDICT", "COUNT", "LAST", "ADDRESS"},
		lines: func(h *client.UsageHour) (lines [][]string) {
			for _, t := range h.Uses {
				lines = append(lines, []string{moment(h.Hour), t.Code, strconv.FormatInt(t.Count, 10), moment(t.LastAt), orNone(t.Address)})
			}
			return lines
		},
	}
}
