package forward

import (
	"net/http"
	"net/netip"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/gateway/internal/gate"
)

// sources are the headers in which a profile tells of the request; each has one
// line, and no other header is looked at. What clients send under these names
// must be replaced by the gateway.
type sources struct {
	method, host, uri, client string
	list                      bool // client holds a list, of which the gateway wrote the last entry
}

// sourcesOf are the sources of a profile. Envoy asks with the request's own
// method, host and path.
func sourcesOf(profile latchkey.Profile) (s sources, ok bool) {
	switch profile {
	case latchkey.ProfileNginx, latchkey.ProfileHAProxy:
		return sources{method: "X-Original-Method", host: "X-Original-Host", uri: "X-Original-Uri", client: "X-Real-Ip"}, true
	case latchkey.ProfileTraefik, latchkey.ProfileCaddy:
		return sources{method: "X-Forwarded-Method", host: "X-Forwarded-Host", uri: "X-Forwarded-Uri", client: forwardedFor, list: true}, true
	case latchkey.ProfileEnvoy:
		return sources{client: forwardedFor, list: true}, true
	case latchkey.ProfileGRPC, latchkey.ProfileRabbitMQ: // they ask at doors of their own
	}
	return sources{}, false
}

const forwardedFor = "X-Forwarded-For"

// read tells which request it is about. It is false where a source is missing or
// is there more than once. An address that cannot be told is no reason to refuse:
// keys that have an address list then are.
func read(r *http.Request, g *latchkey.Gateway, rest string) (in gate.Inbound, ok bool) {
	s, ok := sourcesOf(g.Profile)
	if !ok {
		return gate.Inbound{}, false
	}
	in = gate.Inbound{Method: r.Method, Host: r.Host, Path: gate.PathOf(rest), Query: gate.QueryOf(rest), Header: r.Header}
	if s.uri != "" {
		told, ok := s.request(r.Header)
		if !ok {
			return gate.Inbound{}, false
		}
		in.Method, in.Host, in.Path, in.Query = told[0], told[1], gate.PathOf(told[2]), gate.QueryOf(told[2])
	}
	return in, s.address(r.Header, g.Trust.Header(), &in)
}

// request reads method, host and target.
func (s *sources) request(h http.Header) (told [3]string, ok bool) {
	for i, name := range [3]string{s.method, s.host, s.uri} {
		lines := h[name]
		if len(lines) != 1 || lines[0] == "" {
			return told, false
		}
		told[i] = lines[0]
	}
	return told, true
}

// address reads who connected to the gateway, and what its trusted proxies wrote
// into their header. It is false where the gateway's own header is there more
// than once, unless it is theirs as well.
func (s *sources) address(h http.Header, proxies latchkey.ProxyHeader, in *gate.Inbound) (ok bool) {
	lines := h[s.client]
	if shared := s.list && proxies == latchkey.HeaderForwardedFor; len(lines) > 1 && !shared {
		return false
	}
	if proxies != latchkey.NoProxyHeader {
		in.Proxied = h.Values(string(proxies))
	}
	if len(lines) == 0 {
		return true
	}
	entry := lines[len(lines)-1]
	if s.list {
		comma := strings.LastIndexByte(entry, ',')
		if proxies == latchkey.HeaderForwardedFor {
			in.Proxied = before(lines, comma)
		}
		entry = strings.Trim(entry[comma+1:], " \t")
	}
	in.Peer = parseAddress(entry)
	return true
}

// before are the lines without the last entry; comma is what stands before it in
// the last line, or -1.
func before(lines []string, comma int) []string {
	last := len(lines) - 1
	if comma < 0 {
		return lines[:last]
	}
	return append(lines[:last:last], lines[last][:comma])
}

// parseAddress reads an address, bare or with a port; the zero value for anything
// else, zones among them.
func parseAddress(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil {
		with, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}
		}
		a = with.Addr()
	}
	if a.Zone() != "" {
		return netip.Addr{}
	}
	return a.Unmap()
}
