package server

import (
	"context"
	"errors"
	"net"

	"google.golang.org/grpc"

	"latchkey.dev/latchkey/gateway/extauthz"
)

// checks is the listener of Envoy's external authorization and the server behind
// it.
type checks struct {
	listener net.Listener
	server   *grpc.Server
}

// maxEnvoys is how many connections it takes; each Envoy has one for each of its
// threads.
const maxEnvoys = 512

// newChecks listens where the setting says; nil is nowhere.
func (s *Server) newChecks(ctx context.Context, config extauthz.Config) (*checks, error) {
	if s.ExtAuthzListen == "" {
		return nil, nil
	}
	l, err := listen(ctx, "extauthz-listen", s.ExtAuthzListen)
	if err != nil {
		return nil, err
	}
	return &checks{listener: newBounded(l, min(maxEnvoys, connectionLimit())), server: extauthz.NewServer(config, s.certificate.config())}, nil
}

// serve answers until it is closed; only then the error is nil.
func (c *checks) serve() error {
	if err := c.server.Serve(c.listener); !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// close takes no more calls and finishes those that it took, until ctx ends.
func (c *checks) close(ctx context.Context) error {
	stopped := make(chan struct{})
	go func() {
		c.server.GracefulStop()
		close(stopped)
	}()
	select {
	case <-stopped:
		return c.listener.Close()
	case <-ctx.Done():
		c.server.Stop()
		<-stopped
		return ctx.Err()
	}
}

// ExtAuthzURL is where Envoy can ask over gRPC; "" for nowhere.
func (s *Server) ExtAuthzURL() string {
	if s.checks == nil {
		return ""
	}
	return s.urlOf(s.checks.listener)
}
