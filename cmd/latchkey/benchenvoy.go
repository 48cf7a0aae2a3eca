package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"latchkey.dev/latchkey/bench/speed"
)

// check is the question that Envoy asks over gRPC about the request of get. Where
// most is not 0, all who ask share so many connections.
func (c *crowd) check(p *child, most int) *speed.Exchange {
	e := &speed.Exchange{Address: p.checks, PIDs: p.pids(), Keys: c.Keys}
	shared := &lines{most: most}
	e.Dial = func(ctx context.Context, of *speed.Exchange) (speed.Asker, error) {
		conn, err := shared.dial(of.Address)
		if err != nil {
			return nil, err
		}
		ctx = metadata.AppendToOutgoingContext(ctx, "latchkey-gateway", c.Envoy)
		return &envoy{of: of, ctx: ctx, lines: shared, api: auth.NewAuthorizationClient(conn)}, nil
	}
	return e
}

// lines are the connections of those who ask at the same time.
type lines struct {
	most int // 0: everybody has one

	mu    sync.Mutex
	open  []*grpc.ClientConn
	using int
}

func (l *lines) dial(address string) (*grpc.ClientConn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.using++
	if l.most > 0 && len(l.open) == l.most {
		return l.open[l.using%l.most], nil
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err == nil {
		l.open = append(l.open, conn)
	}
	return conn, err
}

// leave closes all when the last one leaves.
func (l *lines) leave() (err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.using--; l.using > 0 {
		return nil
	}
	for _, conn := range l.open {
		err = errors.Join(err, conn.Close())
	}
	l.open = nil
	return err
}

// envoy asks as Envoy does, one question at a time.
type envoy struct {
	of    *speed.Exchange
	ctx   context.Context //nolint:containedctx // an Asker is handed none with a question; it is made for one measurement, whose context this is
	lines *lines
	api   auth.AuthorizationClient
}

// Close implements speed.Asker.
func (e *envoy) Close() error { return e.lines.leave() }

// Ask implements speed.Asker.
func (e *envoy) Ask() error {
	const path, host = "/v1/documents/17", "api.example.com"
	out, err := e.api.Check(e.ctx, &auth.CheckRequest{Attributes: &auth.AttributeContext{
		Source: &auth.AttributeContext_Peer{Address: &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
			Address: "192.0.2.17", PortSpecifier: &core.SocketAddress_PortValue{PortValue: 40000},
		}}}},
		Request: &auth.AttributeContext_Request{Http: &auth.AttributeContext_HttpRequest{
			Id: "17", Method: http.MethodGet, Path: path, Host: host, Scheme: "https", Protocol: "HTTP/1.1",
			Headers: map[string]string{
				":method": http.MethodGet, ":path": path, ":authority": host, ":scheme": "https", "authorization": "Bearer " + e.of.Draw(),
				"x-request-id": "7e9fa0c2-6f4b-4d8e-9a52-5f5a8b1f2c3d", "x-forwarded-proto": "https",
			},
		}},
	}})
	if err == nil && out.GetOkResponse() == nil {
		err = fmt.Errorf("%w: %v", speed.ErrAnswer, out.GetStatus())
	}
	return err
}
