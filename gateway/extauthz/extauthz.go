package extauthz

import (
	"context"
	"net/netip"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/gateway/internal/gate"
)

// Config is what the face is made of.
type Config = gate.Config

// tokenKey is the initial metadata in which a gateway shows its token.
const tokenKey = "latchkey-gateway"

// api is the face.
type api struct {
	auth.UnimplementedAuthorizationServer
	*gate.Gate
	names [len(gate.Identity{})]spelling
}

// Check implements auth.AuthorizationServer. The error is nil: a refusal is an
// answer.
func (a *api) Check(ctx context.Context, asked *auth.CheckRequest) (*auth.CheckResponse, error) {
	answer, caller := a.answer(ctx, asked)
	note(ctx, answer, caller)
	return answer, nil
}

func (a *api) answer(ctx context.Context, asked *auth.CheckRequest) (_ *auth.CheckResponse, caller latchkey.ID) {
	if !a.Verifying.Enter() {
		return denied(gate.Busy()), caller
	}
	defer a.Verifying.Leave()
	g, no := a.gateway(ctx)
	if no != nil {
		return denied(no), caller
	}
	caller = g.ID
	in, sent, ok := read(asked, g)
	if !ok {
		return denied(gate.Unclear()), caller
	}
	who, no := a.Judge(ctx, g, &in)
	if no != nil {
		return denied(no), caller
	}
	return a.allowed(who, g.KeyHeaders, sent), caller
}

// gateway finds out who asks.
func (a *api) gateway(ctx context.Context) (*latchkey.Gateway, *gate.Refusal) {
	origin := func() (from, peer netip.Addr) {
		from = peerOf(ctx)
		return from, from
	}
	shown := metadata.ValueFromIncomingContext(ctx, tokenKey)
	if len(shown) != 1 {
		return nil, a.Unknown(origin)
	}
	g, no := a.Find(ctx, latchkey.NewPlaintext(shown[0]), latchkey.TokenInHeader, origin)
	if no == nil && g.Profile != latchkey.ProfileGRPC {
		return nil, gate.Stranger() // one that asks in another way
	}
	return g, no
}

// peerOf is the other end of the connection.
func peerOf(ctx context.Context) netip.Addr {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return netip.Addr{}
	}
	at, err := netip.ParseAddrPort(p.Addr.String())
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr()
}

// headers are those of the request that came to Envoy, by their names in lower
// case.
type headers map[string][]string

// maxHeaders is how many a request may have: more than Envoy takes by itself.
const maxHeaders = 200

// read tells which request it is about. It is false where that cannot be told.
// Which header is the method, the host or the path is Envoy's to say: what a
// client sends cannot say it.
func read(asked *auth.CheckRequest, g *latchkey.Gateway) (in gate.Inbound, sent headers, ok bool) {
	request := asked.GetAttributes().GetRequest().GetHttp()
	if request.GetMethod() == "" || request.GetHost() == "" || request.GetPath() == "" {
		return gate.Inbound{}, nil, false
	}
	if sent, ok = headersOf(request); !ok {
		return gate.Inbound{}, nil, false
	}
	in = gate.Inbound{
		Method: request.GetMethod(), Host: request.GetHost(), Path: gate.PathOf(request.GetPath()), Query: gate.QueryOf(request.GetPath()),
		Peer: addressOf(asked.GetAttributes().GetSource()), Header: sent, Lower: true,
	}
	if header := g.Trust.Header(); header != latchkey.NoProxyHeader {
		in.Proxied = sent[strings.ToLower(string(header))]
	}
	return in, sent, true
}

// headersOf reads the headers as Envoy sends them: joined by name, or with
// encode_raw_headers one by one. Both at once say two things.
func headersOf(request *auth.AttributeContext_HttpRequest) (headers, bool) {
	raw := request.GetHeaderMap().GetHeaders()
	if len(raw) > 0 && len(request.GetHeaders()) > 0 || len(raw)+len(request.GetHeaders()) > maxHeaders {
		return nil, false
	}
	sent := make(headers, len(raw)+len(request.GetHeaders()))
	for name, value := range request.GetHeaders() {
		name = strings.ToLower(name)
		sent[name] = append(sent[name], value)
	}
	for _, h := range raw {
		name, value := strings.ToLower(h.GetKey()), h.GetValue()
		if len(h.GetRawValue()) > 0 {
			if value != "" {
				return nil, false
			}
			value = string(h.GetRawValue())
		}
		sent[name] = append(sent[name], value)
	}
	return sent, true
}

// addressOf is the address from which Envoy's connection came; the zero value
// for anything but one over TCP.
func addressOf(source *auth.AttributeContext_Peer) netip.Addr {
	socket := source.GetAddress().GetSocketAddress()
	if socket == nil || socket.GetProtocol() != core.SocketAddress_TCP && socket.GetProtocol() != core.SocketAddress_UDP {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(socket.GetAddress())
	if err != nil || a.Zone() != "" {
		return netip.Addr{}
	}
	return a.Unmap()
}
