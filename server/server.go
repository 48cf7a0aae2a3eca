package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/gateway/forward"
	"latchkey.dev/latchkey/gateway/rabbitmq"
	"latchkey.dev/latchkey/internal/door"
	"latchkey.dev/latchkey/internal/lane"
	"latchkey.dev/latchkey/rest"
)

// Server is an installation that is being served.
type Server struct {
	*settings
	core        *core
	certificate *certificate // nil: plain HTTP
	api         *port
	ports       []*port // the API's, the socket's and that of the metrics
	checks      *checks // nil: Envoy is not answered over gRPC

	stopping   chan struct{} // closed when no more requests are taken
	failed     chan error    // a port that does not serve any more
	background sync.WaitGroup
	cancel     context.CancelFunc // ends the background

	reloading sync.Mutex
	complaint string // what was wrong with the key ring file the last time
	behind    string // what it lacked the last time; watch alone asks
}

// Start opens the installation, makes it where there is none, and serves it:
// when Start returns, requests are answered. ctx bounds the start alone. The
// caller must call Wait.
func Start(ctx context.Context, config Config) (_ *Server, err error) {
	settings, err := config.resolve()
	if err != nil {
		return nil, err
	}
	s := &Server{settings: settings, stopping: make(chan struct{}), failed: make(chan error, 4), cancel: func() {}}
	if s.certificate, err = s.loadCertificate(); err != nil {
		return nil, err
	}
	if s.core, err = s.open(ctx, nil); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	metrics := newMetrics(s.core.store, s.core.verifier, s.core.openid)
	metrics.follow(s.core)
	front := door.New(door.Config{Clock: time.Now, Log: s.Log, Proxies: s.proxies, Observe: metrics.request})
	api, err := rest.New(rest.Config{
		Door: front, Authority: s.core.authority, Verifier: s.core.verifier,
		Operator: s.core.installation.Operator, PublicURL: s.PublicURL, Version: s.Version,
		Ready: s.ready, Warning: s.exposed, Stopping: s.stopping, ObserveVerdict: metrics.verdict,
	})
	if err != nil {
		return nil, err
	}
	network, err := listen(ctx, "listen", s.Listen)
	if err != nil {
		return nil, err
	}
	own := s.urlOf(network)
	gateways := s.gateways(front, own, metrics)
	brokers := rabbitmq.New(rabbitmq.Config{Door: front, Gateways: s.core.gateways, Named: s.core.named, Observe: metrics.verdict})
	faces := append(s.dialects(front, own), forward.New(gateways), brokers, s.oauth(front, own, metrics))
	s.api = s.add(newPort(network, beside(api.Handler(), faces), s.Log))
	s.api.server.TLSConfig = s.certificate.config()
	s.api.hasten(
		lane.Door{Method: http.MethodGet, Path: "/gateway/"},
		lane.Door{Method: http.MethodPost, Path: "/v1/keys/verify", Body: 16 << 10},
		lane.Door{Method: http.MethodPost, Path: "/v1/keys/batch-verify", Body: 64 << 10},
	)
	if s.checks, err = s.newChecks(ctx, gateways); err != nil {
		return nil, err
	}
	if s.core.slot.first() {
		local, err := listenSocket(ctx, s.socket())
		if err != nil {
			return nil, err
		}
		s.add(newPort(local, api.SocketHandler(), s.Log))
	} else {
		s.Log.Info("another node of this data folder has the socket; this one serves without", "socket", s.socket(), "slot", s.core.slot.number)
	}
	if s.MetricsListen != "" {
		scraped, err := listen(ctx, "metrics-listen", s.MetricsListen)
		if err != nil {
			return nil, err
		}
		s.add(newPort(scraped, metrics.handler(), s.Log))
	}
	s.run()
	return s, nil
}

func (s *Server) add(p *port) *port {
	s.ports = append(s.ports, p)
	return p
}

// listener is what takes requests.
type listener interface {
	serve() error // nil only once it was closed
	close(ctx context.Context) error
}

func (s *Server) listeners() (all []listener) {
	for _, p := range s.ports {
		all = append(all, p)
	}
	if s.checks != nil {
		all = append(all, s.checks)
	}
	return all
}

// run opens the ports and begins what goes on beside them.
func (s *Server) run() {
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	for _, work := range []func(context.Context){s.core.verifier.Run, s.core.broker.Run, s.sweep, s.tend, s.watch} {
		s.background.Go(func() { work(ctx) })
	}
	for _, p := range s.listeners() {
		s.background.Go(func() {
			if err := p.serve(); err != nil {
				s.failed <- err
			}
		})
	}
	s.Log.Info("serving", "url", s.URL(), "socket", s.Socket(), "organization", s.core.installation.Operator.Native(latchkey.KindOrganization), "ring", s.core.ring.String())
	if how := s.exposed(ctx); how != "" {
		s.Log.Warn("what was acknowledged can be lost", "how", how)
	}
	if s.certificate == nil && (!loopback(s.api.listener.Addr()) || s.checks != nil && !loopback(s.checks.listener.Addr())) {
		s.Log.Warn("keys travel in the clear: anyone on the way can read them, unless a proxy on this network adds TLS (or set tls-cert and tls-key)")
	}
}

// ready reports why no traffic should come here now.
func (s *Server) ready(ctx context.Context) error {
	select {
	case <-s.stopping:
		return errors.New("the server is stopping")
	default:
		return errors.Join(s.core.verifier.Ready(), s.core.store.Ping(ctx))
	}
}

// exposed says how the store may lose what was acknowledged; "" if no way is known.
func (s *Server) exposed(ctx context.Context) string {
	shared := s.core.store.Shared()
	if shared == nil {
		return ""
	}
	how, err := shared.Exposed(ctx)
	if err != nil {
		return "" // that the store cannot be read is told by others
	}
	return how
}

// Wait serves until ctx ends or a listener fails. Then it takes no more
// requests, answers those that it took, as long as StopTimeout allows, and
// closes the installation. It is called once.
func (s *Server) Wait(ctx context.Context) error {
	var err error
	select {
	case <-ctx.Done():
		s.Log.Info("stopping", "within", s.StopTimeout.String())
	case err = <-s.failed:
		s.Log.Error("stopping", "error", err)
	}
	return errors.Join(err, s.stop())
}

func (s *Server) stop() error {
	close(s.stopping)
	ctx, cancel := context.WithTimeout(context.Background(), s.StopTimeout)
	defer cancel()
	listeners := s.listeners()
	closed := make(chan error, len(listeners))
	for _, p := range listeners {
		go func() { closed <- p.close(ctx) }()
	}
	var err error
	for range listeners {
		err = errors.Join(err, <-closed)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = &Problem{
			What: fmt.Sprintf("Not every request that was accepted ended within %v; what was left was cut off.", s.StopTimeout),
			Do:   "If that happens again, allow more with --stop-timeout.", Cause: err,
		}
	}
	s.cancel()
	s.background.Wait() // verification writes what it has left to write
	return errors.Join(err, s.core.close())
}

// URL is where the API listens.
func (s *Server) URL() string { return s.urlOf(s.api.listener) }

func (s *Server) urlOf(l net.Listener) string {
	scheme := "http"
	if s.certificate != nil {
		scheme = "https"
	}
	return scheme + "://" + reachable(l.Addr())
}

// MetricsURL is where the metrics are; "" for nowhere.
func (s *Server) MetricsURL() string {
	if s.MetricsListen == "" {
		return ""
	}
	return "http://" + reachable(s.ports[len(s.ports)-1].listener.Addr()) + "/metrics"
}

// Socket is the path of the operator's socket; "" where another node of the data
// folder has it.
func (s *Server) Socket() string {
	if !s.core.slot.first() {
		return ""
	}
	return s.socket()
}

// Made reports whether this start made the installation.
func (s *Server) Made() bool { return s.core.made }

// Operator is the operator organization.
func (s *Server) Operator() latchkey.ID { return s.core.installation.Operator }

// reachable is the listener's address as this machine can call it: a listener on
// every address is reached at localhost.
func reachable(a net.Addr) string {
	at, err := netip.ParseAddrPort(a.String())
	if err == nil && at.Addr().IsUnspecified() {
		_, port, _ := net.SplitHostPort(a.String()) // it has just been parsed
		return net.JoinHostPort("localhost", port)
	}
	return a.String()
}

func loopback(a net.Addr) bool {
	at, err := netip.ParseAddrPort(a.String())
	return err == nil && at.Addr().IsLoopback()
}
