package main

import (
	"context"
	"fmt"
	"net/http"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"latchkey.dev/latchkey/bench/speed"
)

// check is the question that Envoy asks over gRPC about the request of get.
func (c *crowd) check(p *child) *speed.Exchange {
	e := &speed.Exchange{Address: p.checks, PIDs: p.pids(), Keys: c.Keys}
	e.Dial = func(ctx context.Context, of *speed.Exchange) (speed.Asker, error) {
		conn, err := grpc.NewClient(of.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return nil, err
		}
		return &envoy{of: of, ctx: metadata.AppendToOutgoingContext(ctx, "latchkey-gateway", c.Envoy), conn: conn, api: auth.NewAuthorizationClient(conn)}, nil
	}
	return e
}

// envoy asks as Envoy does, one question at a time over a connection of its own.
type envoy struct {
	of   *speed.Exchange
	ctx  context.Context //nolint:containedctx // of the whole measurement
	conn *grpc.ClientConn
	api  auth.AuthorizationClient
}

// Close implements speed.Asker.
func (e *envoy) Close() error { return e.conn.Close() }

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
