package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"latchkey.dev/latchkey/client"
)

func eventsCommand(r *remote) *cobra.Command {
	c := &cobra.Command{
		Use:   "events",
		Short: "Read the record of changes, or follow it",
		Example: `  latchkey events list --type key.revoked
  latchkey events tail --follow`,
	}
	c.AddCommand(eventsListCommand(r), eventsTailCommand(r))
	return c
}

func offerEventFilter(c *cobra.Command, filter *client.EventFilter) {
	f := c.Flags()
	f.StringVar(&filter.Type, "type", "", "only events of this `type`, such as key.revoked")
	f.StringVar(&filter.Object, "object", "", "only events about this object, by its `id`")
	f.BoolVar(&filter.Everywhere, "everywhere", false, "every organization's events and the installation's own; the operator's to ask")
}

func eventListing(r *remote) *listing[client.Event] {
	return &listing[client.Event]{
		r: r, noun: "events", header: []string{"POSITION", "AT", "TYPE", "OBJECT", "BY", "CHANGES"}, row: eventRow,
	}
}

func eventRow(e *client.Event) []string {
	by := e.Actor.ID
	if by == "" {
		by = e.Actor.Type
	}
	return []string{strconv.FormatInt(e.Position, 10), moment(e.At), e.Type, orNone(e.Object.ID), by, objectText(e.Changes)}
}

func eventsListCommand(r *remote) *cobra.Command {
	var filter client.EventFilter
	var all bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List events, oldest first",
		Long: `List shows one page of the record of changes, oldest first; --all shows all of
it. An event's position is its place among all changes of the installation.`,
		Example: `  # Everything that ever happened to a key
  latchkey events list --object key_0d5qh0w2e9x8v3k7m1ac --all

  # A copy of the whole record
  latchkey events list --everywhere --all --json > events.json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			api, err := r.connect(c.Context())
			if err != nil {
				return err
			}
			l := eventListing(r)
			if all {
				if filter.Limit == 0 {
					filter.Limit = mostPerPage
				}
				return l.all(api.Events.Pages(c.Context(), filter))
			}
			a, err := api.Events.List(c.Context(), filter)
			return tell(r, a, err, func(p client.Page[client.Event]) error {
				if err := columns(r.Stdout, l.header, l.rows(p.Data)); err != nil {
					return err
				}
				if p.NextCursor != "" {
					r.note("There are more events: --all lists all of them, --after %s the next page.", p.NextCursor)
				}
				return nil
			})
		},
	}
	offerEventFilter(c, &filter)
	f := c.Flags()
	f.Int64Var(&filter.After, "after", 0, "only events after this `position`")
	f.IntVar(&filter.Limit, "limit", 0, "most events on a page, 1 to 100 (default 25)")
	f.BoolVar(&all, "all", false, "all pages, one after the other")
	return c
}

func eventsTailCommand(r *remote) *cobra.Command {
	var filter client.EventFilter
	var follow bool
	var lines int
	c := &cobra.Command{
		Use:   "tail",
		Short: "Show the newest events, and with --follow those that come",
		Long: `Tail shows the last events, or those after a position. With --follow it goes on
with each new one as it comes, until it is interrupted; a connection that is lost
is made again where it broke off.

With --json every event is one line, as the server wrote it.`,
		Example: `  latchkey events tail --follow

  # Go on where a program left off
  latchkey events tail --after 1041 --follow --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, forget := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer forget()
			api, err := r.connect(ctx)
			if err != nil {
				return err
			}
			if !c.Flags().Changed("after") {
				if filter.After, err = beforeLast(ctx, api, filter, lines); err != nil {
					return r.refused(err)
				}
			}
			return r.tail(ctx, api, filter, follow)
		},
	}
	offerEventFilter(c, &filter)
	f := c.Flags()
	f.Int64Var(&filter.After, "after", 0, "begin after this `position` instead of with the last events; 0 is the beginning")
	f.IntVar(&lines, "lines", 10, "`how` many of the last events to begin with")
	f.BoolVarP(&follow, "follow", "f", false, "go on with new events as they come")
	c.MarkFlagsMutuallyExclusive("after", "lines")
	return c
}

// tail prints the events after a position up to the newest, or for as long as
// ctx lasts.
func (r *remote) tail(ctx context.Context, api *client.Client, filter client.EventFilter, follow bool) error {
	if follow {
		for e, err := range api.Events.Follow(ctx, filter) {
			if err == nil {
				err = r.printEvent(e.Raw, &e.Value)
			}
			if err != nil {
				return r.interrupted(ctx, err)
			}
		}
		return nil
	}
	filter.Limit = mostPerPage
	for page, err := range api.Events.Pages(ctx, filter) {
		if err != nil {
			return r.interrupted(ctx, err)
		}
		raws, err := parts(page.Raw, "data")
		if err != nil {
			return err
		}
		for i := range page.Value.Data {
			if err := r.printEvent(client.NewRaw(raws[i]), &page.Value.Data[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// interrupted says that an interruption is the end that was wanted.
func (r *remote) interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // whoever follows ends it so
	}
	return r.refused(err)
}

// printEvent prints one line at once, since the next may be hours away.
func (r *remote) printEvent(raw client.Raw, e *client.Event) error {
	if r.JSON {
		return r.print(raw)
	}
	widths := [...]int{8, 20, 26, 25, 24, 0} // line up what is printed one by one
	var line strings.Builder
	for i, cell := range eventRow(e) {
		fmt.Fprintf(&line, "%-*s  ", widths[i], printable(cell))
	}
	_, err := fmt.Fprintln(r.Stdout, strings.TrimRight(line.String(), " "))
	return err
}

// beforeLast is the position after which there are n events that match, or all
// there are. The record is read forwards only, so it is found by trying: the
// end first, then windows before it, each twice as long.
func beforeLast(ctx context.Context, api *client.Client, filter client.EventFilter, n int) (int64, error) {
	end, err := lastPosition(ctx, api, filter)
	if err != nil || n <= 0 {
		return end, err
	}
	filter.Limit = mostPerPage
	for window := int64(n); ; window *= 2 {
		filter.After = max(end-window, 0)
		var positions []int64
		for e, err := range api.Events.All(ctx, filter) {
			if err != nil {
				return 0, err
			}
			if positions = append(positions, e.Position); len(positions) > n {
				positions = positions[1:]
			}
		}
		if len(positions) == n {
			return positions[0] - 1, nil
		}
		if filter.After == 0 {
			return 0, nil
		}
	}
}

// lastPosition is the position of the last event that matches; 0 for none. It
// asks as often as a binary search does.
func lastPosition(ctx context.Context, api *client.Client, filter client.EventFilter) (int64, error) {
	filter.Limit = 1
	next := func(after int64) (int64, error) {
		filter.After = after
		a, err := api.Events.List(ctx, filter)
		if err != nil || len(a.Value.Data) == 0 {
			return 0, err
		}
		return a.Value.Data[0].Position, nil
	}
	last, err := next(0) // there is an event at last
	if err != nil || last == 0 {
		return 0, err
	}
	step := int64(1)
	for found := last; found != 0; step *= 2 {
		last = found
		if found, err = next(last + step); err != nil {
			return 0, err
		}
	}
	for end := last + step; last < end; { // and none after end
		middle := last + (end-last)/2
		found, err := next(middle)
		if err != nil {
			return 0, err
		}
		if found == 0 {
			end = middle
		} else {
			last = found
		}
	}
	return last, nil
}
