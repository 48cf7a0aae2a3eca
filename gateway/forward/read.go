package forward

import (
	"net/http"
	"net/netip"
	"strings"

	"latchkey.dev/latchkey"
)

// inbound is the request that came to the gateway, as the gateway tells it.
type inbound struct {
	method, host, path string
	client             netip.Addr // the zero value cannot be told
}

// sources are the headers in which a profile tells of the request; each has one
// line, and no other header is looked at. What clients send under these names
// must be replaced by the gateway.
type sources struct {
	method, host, uri, client string
	list                      bool // client holds a list, of which the gateway wrote the last entry
}

// read tells which request it is about. It is false where a source is missing or
// is there more than once. An address that cannot be told is no reason to refuse:
// keys that have an address list then are.
func read(r *http.Request, profile latchkey.Profile, rest string) (asked inbound, ok bool) {
	switch profile {
	case latchkey.ProfileNginx, latchkey.ProfileHAProxy:
		return sources{method: "X-Original-Method", host: "X-Original-Host", uri: "X-Original-Uri", client: "X-Real-Ip"}.read(r.Header)
	case latchkey.ProfileTraefik, latchkey.ProfileCaddy:
		return sources{method: "X-Forwarded-Method", host: "X-Forwarded-Host", uri: "X-Forwarded-Uri", client: "X-Forwarded-For", list: true}.read(r.Header)
	case latchkey.ProfileEnvoy: // asks with the request's own method, host and path
		asked = inbound{method: r.Method, host: r.Host, path: pathOf(rest)}
		asked.client, ok = address(r.Header, "X-Forwarded-For", true)
		return asked, ok
	}
	return inbound{}, false
}

func (s sources) read(h http.Header) (asked inbound, ok bool) {
	var told [3]string
	for i, name := range [3]string{s.method, s.host, s.uri} {
		lines := h[name]
		if len(lines) != 1 || lines[0] == "" {
			return inbound{}, false
		}
		told[i] = lines[0]
	}
	asked = inbound{method: told[0], host: told[1], path: pathOf(told[2])}
	asked.client, ok = address(h, s.client, s.list)
	return asked, ok
}

// pathOf is a request's target without its query. A target that is a whole URL
// (RFC 9112, section 3.2.2) is no path, and no route is for it.
func pathOf(target string) string {
	path, _, _ := strings.Cut(target, "?")
	return path
}

// address is the client's. ok is false where the header is there more than once.
func address(h http.Header, name string, list bool) (_ netip.Addr, ok bool) {
	lines := h[name]
	if len(lines) == 0 {
		return netip.Addr{}, true
	}
	if len(lines) > 1 {
		return netip.Addr{}, false
	}
	entry := lines[0]
	if list {
		entry = strings.Trim(entry[strings.LastIndexByte(entry, ',')+1:], " \t")
	}
	return parseAddress(entry), true
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
