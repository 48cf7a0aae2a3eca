package server

import (
	"context"
	"maps"
	"math"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/oauth"
	"latchkey.dev/latchkey/openid"
	"latchkey.dev/latchkey/store"
	"latchkey.dev/latchkey/verify"
)

// metrics counts what was answered. Labels take few values, all of them ours:
// route patterns, classes of status, codes of verdicts. No key, organization or
// address is in them.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
	verdicts map[latchkey.Code]prometheus.Counter
	tokens   map[oauth.Outcome]prometheus.Counter
	known    atomic.Pointer[map[counted]counters] // never written to
}

func newMetrics(feed store.Feed, verifier *verify.Verifier, issuers *openid.Service) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "latchkey_http_requests_total", Help: "Requests answered, by route and class of status.",
		}, []string{"route", "status"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "latchkey_http_request_duration_seconds", Help: "Time from a request's header to the end of its answer, by route.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"route"}),
		verdicts: map[latchkey.Code]prometheus.Counter{},
		tokens:   map[oauth.Outcome]prometheus.Counter{},
	}
	m.known.Store(&map[counted]counters{})
	verdicts := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "latchkey_verdicts_total", Help: "Verdicts on presented keys, by code.",
	}, []string{"code"})
	for _, code := range latchkey.Codes() {
		m.verdicts[code] = verdicts.WithLabelValues(string(code))
	}
	tokens := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "latchkey_tokens_total", Help: "Tokens issued and refused, and credentials introspected and revoked, at the OAuth endpoints.",
	}, []string{"outcome"})
	for _, o := range oauth.Outcomes() {
		m.tokens[o] = tokens.WithLabelValues(string(o))
	}
	position := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "latchkey_store_position", Help: "Position of the newest event; NaN while the store cannot be read.",
	}, func() float64 { return head(feed) })
	readings := func(failed bool) prometheus.Collector {
		outcome := "ok"
		if failed {
			outcome = "failed"
		}
		return prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "latchkey_issuer_readings_total", Help: "Readings of the keys of OpenID providers.", ConstLabels: prometheus.Labels{"outcome": outcome},
		}, func() float64 {
			all, bad := issuers.Readings()
			if failed {
				return float64(bad)
			}
			return float64(all - bad)
		})
	}
	m.registry.MustRegister(readings(false), readings(true))
	lost := prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "latchkey_uses_lost_total", Help: "Uses of keys that were not counted, since there were more at a time than memory is kept for.",
	}, func() float64 { return float64(verifier.UsesLost()) })
	behind := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "latchkey_uses_behind_seconds", Help: "Age of the oldest use of a key that may not be in the store yet.",
	}, func() float64 { return verifier.UsesBehind().Seconds() })
	m.registry.MustRegister(m.requests, m.took, verdicts, tokens, position, lost, behind,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewBuildInfoCollector())
	return m
}

// follow tells how this node stands among those of a shared store. One that has
// its store to itself is never behind.
func (m *metrics) follow(c *core) {
	gauge := func(name, help string, alone float64, of func(verify.Progress) float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			if p, ok := c.verifier.Progress(); ok {
				return of(p)
			}
			return alone
		}))
	}
	gauge("latchkey_node_position", "Position up to which this node has every change in memory; NaN where it is the only one.", math.NaN(),
		func(p verify.Progress) float64 { return float64(p.Applied) })
	gauge("latchkey_node_lag_events", "Events that this node has heard of and not applied.", 0,
		func(p verify.Progress) float64 { return float64(max(p.Head-p.Applied, 0)) })
	gauge("latchkey_node_lease_seconds", "How long this node goes on answering if it hears nothing more from the database.", math.Inf(1),
		func(p verify.Progress) float64 { return p.LeaseLeft.Seconds() })
	gauge("latchkey_node_clock_skew_seconds", "By how much the database's clock is ahead of this machine's.", 0,
		func(p verify.Progress) float64 { return p.Skew.Seconds() })
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "latchkey_effective_seconds", Help: "Time from the commit of a change to its answer, by whether it was effective on every node by then or pending.",
		Buckets: []float64{.001, .002, .004, .008, .015, .025, .04, .08, .15, .3, .6, 1, 2, 5, 15, 60},
	}, []string{"effective"})
	everywhere, pending := took.WithLabelValues("everywhere"), took.WithLabelValues("pending")
	m.registry.MustRegister(took)
	if c.nodes == nil {
		return
	}
	c.nodes.Observe = func(took time.Duration, isPending bool) {
		if isPending {
			pending.Observe(took.Seconds())
			return
		}
		everywhere.Observe(took.Seconds())
	}
}

func head(feed store.Feed) float64 {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	position, err := feed.Head(ctx)
	if err != nil {
		return math.NaN()
	}
	return float64(position)
}

// request counts an answer. Paths that no route knows share one name.
func (m *metrics) request(route string, status int, took time.Duration) {
	if route == "" {
		route = "none"
	}
	c := m.counters(counted{route, status / 100})
	c.requests.Inc()
	c.took.Observe(took.Seconds())
}

// counted is what requests are counted by: a route and a class of status.
type counted struct {
	route string
	class int
}

type counters struct {
	requests prometheus.Counter
	took     prometheus.Observer
}

// counters finds where to count without spelling labels each time. There are as
// many as routes have classes.
func (m *metrics) counters(by counted) counters {
	known := m.known.Load()
	if c, ok := (*known)[by]; ok {
		return c
	}
	c := counters{m.requests.WithLabelValues(by.route, strconv.Itoa(by.class)+"xx"), m.took.WithLabelValues(by.route)}
	next := maps.Clone(*known)
	next[by] = c
	m.known.CompareAndSwap(known, &next) // or another one is known first, and this at its next request
	return c
}

// verdict counts a verdict.
func (m *metrics) verdict(code latchkey.Code) { m.verdicts[code].Inc() }

// token counts what came of a request about tokens.
func (m *metrics) token(o oauth.Outcome) { m.tokens[o].Inc() }

// handler serves /metrics and nothing else.
func (m *metrics) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second}))
	return mux
}
