package extauthz

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/gateway/internal/gate"
	"latchkey.dev/latchkey/internal/door"
)

// The bounds of the listener. An Envoy has a connection for each of its threads.
const (
	maxMessage    = 128 << 10        // of a request, with its body where Envoy is told to send it
	maxMetadata   = 16 << 10         // of a call
	maxStreams    = 256              // calls at once on a connection
	maxCalls      = 4096             // calls at once on all of them, whether their message has come or not
	connWindow    = 1 << 20          // of a connection that was sent and not read
	handshakeTime = 10 * time.Second // for TLS and the preface of HTTP/2
	callTime      = 10 * time.Second // from a call's header to its answer: slow senders are cut off
	idleTime      = 10 * time.Minute // without a call
	pingTime      = time.Minute      // without a frame, after which the other end is asked
	pingTimeout   = 20 * time.Second // for its answer
	minPing       = 10 * time.Second // between the pings of a client
)

// route is what the log and the metrics call a check.
const route = "/envoy.service.auth.v3.Authorization/Check"

// NewServer makes the server, which the caller has to serve and to stop. secure
// is nil for plaintext.
func NewServer(config Config, secure *tls.Config) *grpc.Server {
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxHeaderListSize(maxMetadata), grpc.MaxConcurrentStreams(maxStreams),
		grpc.InitialConnWindowSize(connWindow), grpc.ConnectionTimeout(handshakeTime),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleTime, Time: pingTime, Timeout: pingTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minPing, PermitWithoutStream: true}),
		// Calls are short and many, so that their goroutines outlive them: see
		// docs/performance.md.
		grpc.NumStreamWorkers(uint32(runtime.GOMAXPROCS(0))), //nolint:gosec // at least 1, and as many as a machine has processors: far below 2^32
		grpc.InTapHandle(bounded(make(door.Bound, maxCalls))), grpc.UnaryInterceptor(guard(config.Door)),
	}
	if secure != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(secure)))
	}
	server := grpc.NewServer(options...)
	auth.RegisterAuthorizationServer(server, &api{Gate: gate.New(config), names: spellings()})
	return server
}

// bounded gives each call a place and an end before its message is read. The
// place comes free with the call, however that ends.
func bounded(places door.Bound) tap.ServerInHandle {
	return func(ctx context.Context, _ *tap.Info) (context.Context, error) {
		if !places.Enter() {
			return nil, status.Error(codes.ResourceExhausted, "as many calls are in flight as this node takes")
		}
		timed, cancel := context.WithTimeout(ctx, callTime)
		context.AfterFunc(ctx, func() {
			cancel()
			places.Leave()
		})
		return timed, nil
	}
}

// guard logs and observes each answer, and answers for a panic.
func guard(d *door.Door) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, in any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (out any, err error) {
		began := time.Now() // a duration, not a moment
		seen := &outcome{status: http.StatusInternalServerError}
		defer func() {
			if fault := recover(); fault != nil {
				d.Log.Error("panic", "fault", fmt.Sprint(fault), "stack", string(debug.Stack()))
				out, err = nil, status.Error(codes.Internal, "a fault of the server's; its log has it")
			}
			seen.log(ctx, d, time.Since(began))
		}()
		return next(context.WithValue(ctx, outcomeKey{}, seen), in)
	}
}

// outcome is what was answered to whom, in the words of HTTP.
type outcome struct {
	status int
	caller latchkey.ID // of the gateway; it is known, and asks too often for a line each
}

type outcomeKey struct{}

// note tells the log what is answered.
func note(ctx context.Context, answer *auth.CheckResponse, caller latchkey.ID) {
	seen, ok := ctx.Value(outcomeKey{}).(*outcome)
	if !ok {
		return
	}
	seen.caller, seen.status = caller, http.StatusOK
	if no := answer.GetDeniedResponse(); no != nil {
		seen.status = int(no.GetStatus().GetCode())
	}
}

func (o *outcome) log(ctx context.Context, d *door.Door, took time.Duration) {
	d.Observe(route, o.status, took)
	level := slog.LevelInfo
	switch {
	case o.status >= http.StatusInternalServerError:
		level = slog.LevelError
	case !o.caller.IsZero():
		level = slog.LevelDebug
	}
	if !d.Log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.String("route", route), slog.Int("status", o.status), slog.Duration("took", took), slog.String("peer", peerOf(ctx).String())}
	if !o.caller.IsZero() {
		attrs = append(attrs, slog.String("caller", o.caller.Native(latchkey.KindGateway)))
	}
	d.Log.LogAttrs(ctx, level, "check", attrs...)
}
