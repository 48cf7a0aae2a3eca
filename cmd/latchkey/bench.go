package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"latchkey.dev/latchkey/bench/speed"
)

// benchmark is what `latchkey bench` was asked for.
type benchmark struct {
	*environment

	long   bool
	folder string // "" for a temporary one
	rounds int
	span   time.Duration
}

func benchCommand(env *environment) *cobra.Command {
	b := &benchmark{environment: env}
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure what a verification costs on this machine",
		Long: `Bench measures what verifications cost the server's processors on this machine,
beside the least that could answer the same: a net/http handler that gives an
answer of the same headers and size, and nginx where it is installed. All of
them are asked in turn by a process of their own, in rounds; figures are medians
and are read from /proc, so that it takes a Linux.

It needs no other service: it serves folders of its own, in which it writes a
million keys, or ten with --long, which takes minutes and some 6 GB.`,
		Example: `  latchkey bench
  latchkey bench --long --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if b.rounds < 1 || b.span <= 0 {
				return usagef("bench measures at least one round of some time")
			}
			return b.run(c.Context())
		},
	}
	c.Flags().BoolVar(&b.long, "long", false, "measure with ten million keys in place of one")
	c.Flags().IntVar(&b.rounds, "rounds", 5, "how many `times` everything is measured")
	c.Flags().DurationVar(&b.span, "span", time.Second, "for how `long` each is measured in a round")
	c.Flags().StringVar(&b.folder, "folder", "", "a `folder` to keep the million keys in for the next time; without it they are removed")
	c.AddCommand(&cobra.Command{
		Use: "floor", Short: "Give the same answers, which come on standard input", Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			defer runtime.KeepAlive(slack()) // the collector runs no more often than in a server
			return speed.ServeFloor(env.Stdin, env.Stdout)
		},
	})
	return c
}

func (b *benchmark) keys() int64 {
	if b.long {
		return 10_000_000
	}
	return 1_000_000
}

// million is the number of keys in words.
func (b *benchmark) million() string { return fmt.Sprintf("%d M keys", b.keys()/1_000_000) }

func (b *benchmark) note(format string, args ...any) { fmt.Fprintf(b.Stderr, format+"\n", args...) }

// report is what was found, for programs.
type report struct {
	Processors int            `json:"processors"`
	Keys       int64          `json:"keys"`
	ReadyMS    int64          `json:"ready_ms"` // from the start of the process to the first answer
	Memory     int64          `json:"resident_bytes"`
	Figures    []speed.Figure `json:"figures"`
}

func (b *benchmark) run(ctx context.Context) error {
	if b.folder == "" {
		made, err := os.MkdirTemp("", "latchkey-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(made) //nolint:errcheck // a temporary folder
		b.folder = made
	}
	crowd, err := b.crowd(ctx, filepath.Join(b.folder, fmt.Sprint(b.keys())))
	if err != nil {
		return err
	}
	var kept children
	defer kept.stop()
	b.note("starting the server with %s", b.million())
	ours, ready, err := kept.serve(ctx, crowd.data)
	if err != nil {
		return err
	}
	b.note("it is ready after %v", ready.Round(time.Millisecond))
	if err := crowd.register(ctx, ours); err != nil {
		return err
	}
	rows, err := b.rows(ctx, &kept, ours, crowd)
	if err != nil {
		return err
	}
	out := report{Processors: runtime.GOMAXPROCS(0), Keys: b.keys(), ReadyMS: ready.Milliseconds()}
	if out.Figures, err = speed.Rounds(ctx, rows, b.rounds, b.span, b.Stderr); err != nil {
		return err
	}
	if out.Memory, err = speed.Resident(ours.pid()); err != nil {
		return err
	}
	if b.JSON {
		return json.NewEncoder(b.Stdout).Encode(out)
	}
	if err := speed.Print(b.Stdout, out.Figures); err != nil {
		return err
	}
	most := time.Duration(b.keys()) * 2 * time.Microsecond
	_, err = fmt.Fprintf(b.Stdout, "\n%s: ready after %.2f s (≤ %v: %s), %.0f MB resident. CPU is the server's, for one request or, in a batch, one key.\n",
		b.million(), ready.Seconds(), most, map[bool]string{true: "met", false: "MISSED"}[ready <= most], float64(out.Memory)/1e6)
	return err
}

// rows are what is measured: each beside the floor that gives the same answer.
func (b *benchmark) rows(ctx context.Context, kept *children, ours *child, c *crowd) ([]speed.Row, error) {
	get, post, batch := c.asks(ours)
	answers := map[string]speed.Answer{}
	for pattern, e := range map[string]*speed.Exchange{"/gateway/": get, "/v1/keys/verify": post} {
		a, err := e.Learn()
		if err != nil {
			return nil, err
		}
		answers[pattern] = a
	}
	floor, err := kept.floor(ctx, answers)
	if err != nil {
		return nil, err
	}
	few := func(e *speed.Exchange) *speed.Exchange { other := *e; other.Keys = e.Keys[:64]; return &other }
	check, shared := few(c.check(ours, 0)), few(c.check(ours, envoyThreads))
	nullGet, nullPost, warmGet, warmPost := few(floor.instead(get)), few(floor.instead(post)), few(get), few(post)
	const null, drain = "null net/http", "null net/http that drains"
	var rows []speed.Row
	nginx, err := kept.nginx(ctx, b.folder, answers["/gateway/"].Header)
	if err != nil {
		b.note("nginx is not measured: %v", err)
	}
	for _, n := range []int{8, 64} {
		at := fmt.Sprintf(", %d connections", n)
		if nginx != nil {
			rows = append(rows, speed.Row{What: "null net/http GET" + at, Ours: nullGet, Floor: few(nginx.instead(get)), FloorName: "nginx return 200", Connections: n})
		}
		rows = append(rows,
			speed.Row{What: "GET, a gateway asks, warm" + at, Ours: warmGet, Floor: nullGet, FloorName: null, Connections: n, Ratio: 1.10},
			speed.Row{What: "POST /v1/keys/verify, warm" + at, Ours: warmPost, Floor: nullPost, FloorName: drain, Connections: n, Ratio: 1.20},
			speed.Row{What: "gRPC ext_authz, warm" + at, Ours: check, Floor: nullGet, FloorName: null, Connections: n, Ratio: 1.40},
			speed.Row{What: fmt.Sprintf("gRPC ext_authz, warm, %d calls on %d connections", n, envoyThreads), Ours: shared, Floor: nullGet, FloorName: null, Connections: n, Ratio: 1.40})
	}
	return append(rows,
		speed.Row{What: "GET, random among " + b.million() + ", 8 connections", Ours: get, Floor: nullGet, FloorName: null, Connections: 8, Ratio: 1.15},
		speed.Row{What: "batch-verify of 100, warm, 8 connections, a key", Ours: few(batch), Connections: 8, Of: 100, Most: 3 * time.Microsecond},
	), nil
}

// envoyThreads is how many connections an Envoy has that has two processors: one for
// each of its threads, which carries all calls of that thread.
const envoyThreads = 2

// ask is a request in HTTP/1.1, with the place in it where each key is written.
func ask(p *child, method, path, key string, header http.Header, text string) *speed.Exchange {
	return speed.NewExchange(p.address, p.pids(), method, path, header, text, key)
}
