// Package grpcauth has gRPC servers let in the calls that show a key which may. It
// is package client's Guard for gRPC, apart from it so that whoever does not use
// gRPC does not compile it.
package grpcauth

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"latchkey.dev/latchkey/client"
)

// Options adjust the interceptors.
type Options struct {
	// Need is what is required of the key in a call of a method, such as
	// /plants.v1.Plants/List; nil requires a valid key.
	Need func(method string) client.Need

	// KeyMetadata are where a key is looked for; nil is authorization, which is
	// Bearer, and x-api-key.
	KeyMetadata []string

	// Address is where a call came from; nil is the other end of its connection.
	// "" cannot be told: keys that are bound to addresses are refused then.
	Address func(context.Context) string
}

// guard asks about calls.
type guard struct {
	keys client.Keys
	Options
}

func newGuard(c *client.Client, options Options) *guard {
	if options.Need == nil {
		options.Need = func(string) client.Need { return client.Need{} }
	}
	if options.KeyMetadata == nil {
		options.KeyMetadata = []string{"authorization", "x-api-key"}
	}
	if options.Address == nil {
		options.Address = connectedFrom
	}
	return &guard{c.Keys, options}
}

// Unary lets in unary calls. The handler finds who it is by [client.Identity]. A
// refusal is the status Unauthenticated, PermissionDenied, ResourceExhausted or
// Unavailable, with the verdict's code as its message.
func Unary(c *client.Client, options Options) grpc.UnaryServerInterceptor {
	g := newGuard(c, options)
	return func(ctx context.Context, in any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		ctx, err := g.admit(ctx, info.FullMethod)
		if err != nil {
			return nil, err
		}
		return next(ctx, in)
	}
}

// Stream lets in streams, as Unary does calls: once, at their beginning. A stream
// that is open when its key ends goes on.
func Stream(c *client.Client, options Options) grpc.StreamServerInterceptor {
	g := newGuard(c, options)
	return func(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		ctx, err := g.admit(stream.Context(), info.FullMethod)
		if err != nil {
			return err
		}
		return next(server, &identified{stream, ctx})
	}
}

// identified is a stream whose context says who it is.
type identified struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // a stream's context is had from it alone
}

// Context implements grpc.ServerStream.
func (s *identified) Context() context.Context { return s.ctx }

func (g *guard) admit(ctx context.Context, method string) (context.Context, error) {
	key, ok := g.keyOf(ctx)
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "malformed")
	}
	who, err := g.keys.Admit(ctx, key, g.Address(ctx), g.Need(method))
	if no, ok := errors.AsType[*client.Refused](err); ok {
		return nil, status.Error(codeOf(no.Status), no.Code)
	}
	return client.WithIdentity(ctx, who), nil
}

// keyOf reads the key of a call, as strictly as package client does.
func (g *guard) keyOf(ctx context.Context) (key client.Secret, ok bool) {
	for _, name := range g.KeyMetadata {
		values := metadata.ValueFromIncomingContext(ctx, name)
		if len(values) == 0 {
			continue
		}
		text := values[0]
		if strings.EqualFold(name, "authorization") {
			text = client.Bearer(text)
		}
		if len(values) > 1 || text == "" || ok && text != key.Expose() {
			return client.Secret{}, false
		}
		key, ok = client.NewSecret(text), true
	}
	return key, ok
}

func connectedFrom(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(p.Addr.String())
	if err != nil {
		return ""
	}
	return host
}

func codeOf(httpStatus int) codes.Code {
	switch httpStatus {
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusForbidden:
		return codes.PermissionDenied
	case http.StatusTooManyRequests:
		return codes.ResourceExhausted
	}
	return codes.Unavailable
}
