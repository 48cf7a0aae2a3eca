package speed

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// Row is what is measured, against what, and how far above it it may be.
type Row struct {
	What        string
	Ours        *Exchange
	Floor       *Exchange // nil: Most counts alone
	FloorName   string
	Connections int
	Of          int           // what one request asks about; a figure is for one of them
	Ratio       float64       // the most; 0: none is promised
	Most        time.Duration // the most for one; 0: none is promised
}

// Figure is what a row came to.
type Figure struct {
	What      string  `json:"what"`
	Nanos     int64   `json:"cpu_ns"`             // of the server's processors, the median of all rounds
	Floor     string  `json:"floor,omitempty"`    // what it is compared with
	FloorNano int64   `json:"floor_ns,omitempty"` // its median
	Ratio     float64 `json:"ratio,omitempty"`
	Bar       string  `json:"bar,omitempty"`
	Met       *bool   `json:"met,omitempty"` // nil: nothing is promised
	PerSecond int64   `json:"per_second"`    // as asked by this machine's other processor, for information
}

// Rounds measures every row and its floor in turn, so many times, and tells
// medians. Rows that share an exchange at the same number of connections share its
// samples.
func Rounds(ctx context.Context, rows []Row, rounds int, span time.Duration, progress io.Writer) ([]Figure, error) {
	type series struct {
		of          *Exchange
		connections int
	}
	var order []series
	samples := map[series][]Sample{}
	note := func(s series) {
		if s.of != nil && !slices.Contains(order, s) {
			order = append(order, s)
		}
	}
	for i := range rows {
		note(series{rows[i].Floor, rows[i].Connections})
		note(series{rows[i].Ours, rows[i].Connections})
	}
	for round := range rounds {
		for _, s := range order {
			sample, err := s.of.Measure(ctx, s.connections, span)
			if err != nil {
				return nil, err
			}
			samples[s] = append(samples[s], sample)
		}
		fmt.Fprintf(progress, "round %d of %d is measured\n", round+1, rounds)
	}
	figures := make([]Figure, len(rows))
	for i := range rows {
		r := &rows[i]
		figures[i] = r.figure(samples[series{r.Ours, r.Connections}], samples[series{r.Floor, r.Connections}])
	}
	return figures, nil
}

func (r *Row) figure(ours, floor []Sample) Figure {
	of := time.Duration(max(r.Of, 1))
	f := Figure{What: r.What, Nanos: int64(median(ours, Sample.PerRequest) / of), PerSecond: int64(median(ours, Sample.rate)) * int64(of)}
	met := true
	if len(floor) > 0 {
		f.Floor, f.FloorNano = r.FloorName, int64(median(floor, Sample.PerRequest)/of)
		f.Ratio = float64(f.Nanos) / float64(f.FloorNano)
	}
	if r.Ratio > 0 {
		f.Bar, met = fmt.Sprintf("≤ %.2f ×", r.Ratio), f.Ratio <= r.Ratio
	}
	if r.Most > 0 {
		f.Bar, met = fmt.Sprintf("≤ %v", r.Most), time.Duration(f.Nanos) <= r.Most
	}
	if f.Bar != "" {
		f.Met = &met
	}
	return f
}

func (s Sample) rate() float64 { return float64(s.Requests) / s.Took.Seconds() }

func median[T int64 | float64 | time.Duration](samples []Sample, of func(Sample) T) T {
	all := make([]T, len(samples))
	for i, s := range samples {
		all[i] = of(s)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// Print writes figures as a table for people.
func Print(to io.Writer, figures []Figure) error {
	_, err := fmt.Fprintf(to, "%-52s %12s %10s  %-34s %8s %-10s\n", "WHAT", "CPU", "A SECOND", "FLOOR", "RATIO", "BAR")
	for _, f := range figures {
		floor, ratio, word := "", "", ""
		if f.Floor != "" {
			floor, ratio = fmt.Sprintf("%s: %s", f.Floor, micros(f.FloorNano)), fmt.Sprintf("%.2f ×", f.Ratio)
		}
		if f.Met != nil {
			word = map[bool]string{true: "met", false: "MISSED"}[*f.Met]
		}
		if err == nil {
			_, err = fmt.Fprintf(to, "%-52s %12s %10d  %-34s %8s %-10s %s\n", f.What, micros(f.Nanos), f.PerSecond, floor, ratio, f.Bar, word)
		}
	}
	return err
}

func micros(nanos int64) string { return fmt.Sprintf("%.2f µs", float64(nanos)/1000) }
