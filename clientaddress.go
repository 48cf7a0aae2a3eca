package latchkey

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// ProxyHeader is the one request header from which the addresses that trusted
// proxies saw are read. The others are the client's own words and ignored.
type ProxyHeader string

// The headers. Their entries are spelled as follows; spaces and tabs around an
// entry do not count.
const (
	// NoProxyHeader goes with no trusted proxies.
	NoProxyHeader ProxyHeader = ""
	// HeaderForwardedFor holds addresses between commas, each bare or with a
	// port: 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1], [2001:db8::1]:80.
	HeaderForwardedFor ProxyHeader = "X-Forwarded-For"
	// HeaderForwarded holds the elements of RFC 7239, section 4, of which the
	// "for" parameter counts.
	HeaderForwarded ProxyHeader = "Forwarded"
	// HeaderRealIP holds one bare address, on one line.
	HeaderRealIP ProxyHeader = "X-Real-IP"
)

// Valid reports whether h is one of the headers, or none.
func (h ProxyHeader) Valid() bool {
	switch h {
	case NoProxyHeader, HeaderForwardedFor, HeaderForwarded, HeaderRealIP:
		return true
	}
	return false
}

// Bounds on the part of a header that is read, from its right end to the entry
// that decides. What stands to the left of that entry is never read.
const (
	MaxProxyHops  = 64      // entries
	MaxProxyBytes = 8 << 10 // bytes of these entries, commas between them not counted
)

// ProxyTrust says which proxies stand between clients and us, and where they
// write whom they forward for. The zero value trusts nobody.
type ProxyTrust struct {
	proxies networks
	header  ProxyHeader
	entries []string // as given to ParseProxyTrust
}

// NewProxyTrust makes the trust in the proxies of these networks, which all
// write this header. Trusted proxies without a header, a header without trusted
// proxies, an unknown header and a network that cannot be meant are
// [CodeInvalid].
//
// A trusted proxy must append the address of its own peer to the header, or,
// for X-Real-IP, replace the header by it, and must quote what it copies from
// the request into Forwarded. Networks should hold the proxies and nothing else:
// whoever else is in them can claim any address.
func NewProxyTrust(trusted []netip.Prefix, header ProxyHeader) (ProxyTrust, error) {
	if !header.Valid() {
		return ProxyTrust{}, Errorf(CodeInvalid, "The proxy header is X-Forwarded-For, Forwarded or X-Real-IP.")
	}
	if header == NoProxyHeader && len(trusted) > 0 {
		return ProxyTrust{}, Errorf(CodeInvalid, "Trusted proxies are named but not the header that they write; set it to X-Forwarded-For, Forwarded or X-Real-IP.")
	}
	if header != NoProxyHeader && len(trusted) == 0 {
		return ProxyTrust{}, Errorf(CodeInvalid, "A proxy header is set but no trusted proxies; name their networks, or leave the header unset.")
	}
	plain := make([]netip.Prefix, len(trusted))
	for i, p := range trusted {
		plain[i] = plainNetwork(p)
		if plain[i].Bits() < 1 { // invalid, or everyone
			return ProxyTrust{}, Errorf(CodeInvalid, "Trusted proxy %d is not a network, or is part IPv4 and part IPv6, or holds every address; name the networks of the proxies alone.", i+1)
		}
	}
	return ProxyTrust{proxies: newNetworks(plain), header: header}, nil
}

// MaxTrustedProxies is how many entries ParseProxyTrust takes.
const MaxTrustedProxies = 64

// ParseProxyTrust is NewProxyTrust from entries as [ParseAddressList] reads
// them. The pointers of its errors begin with /trusted_proxies or /proxy_header.
func ParseProxyTrust(entries []string, header ProxyHeader) (ProxyTrust, *FieldError) {
	if len(entries) > MaxTrustedProxies {
		return ProxyTrust{}, &FieldError{Pointer: "/trusted_proxies", Code: "too_many", Detail: "There are at most " + strconv.Itoa(MaxTrustedProxies) + " trusted proxies; write neighbouring addresses as one network."}
	}
	trusted := make([]netip.Prefix, len(entries))
	for i, entry := range entries {
		var broken *FieldError
		if trusted[i], broken = parseNetwork(entry); broken != nil {
			broken.Pointer = "/trusted_proxies/" + strconv.Itoa(i)
			return ProxyTrust{}, broken
		}
	}
	trust, err := NewProxyTrust(trusted, header)
	if err != nil {
		at := "/proxy_header"
		if header != NoProxyHeader && len(entries) == 0 || header.Valid() && header != NoProxyHeader {
			at = "/trusted_proxies"
		}
		return ProxyTrust{}, &FieldError{Pointer: at, Code: "not_allowed", Detail: AsError(err).Detail}
	}
	trust.entries = slices.Clone(entries)
	return trust, nil
}

// Entries gives back what ParseProxyTrust was given.
func (t ProxyTrust) Entries() []string { return slices.Clone(t.entries) }

// Nobody reports whether nobody is trusted.
func (t ProxyTrust) Nobody() bool { return len(t.proxies) == 0 }

// Header is the header whose lines [ProxyTrust.ClientAddress] wants.
func (t ProxyTrust) Header() ProxyHeader { return t.header }

// ClientAddress finds who is calling. peer is the other end of the connection,
// values the lines of the one configured header in the order of the request.
//
// The client is the first address that is not a trusted proxy, going from the
// peer through the header from right to left: each entry was written by the
// trusted proxy whose address stands to its right. What stands to the left of
// the client is its own invention and is not even read.
//
// The answer is the zero Addr, undetermined, where this walk meets anything but
// an address: an empty or obfuscated entry, "unknown", a zone, a header or
// element that does not parse, more than [MaxProxyHops] or [MaxProxyBytes]. It
// is undetermined as well where the walk ends without a client, because the
// header is missing or names trusted proxies alone: then some proxy did not say
// whom it forwards for (a request can bring that about by naming the header in
// Connection), and its own address must not pass for the client's.
//
// So an address that is given has no zone, is not IPv4-mapped, and is never a
// trusted proxy's.
func (t ProxyTrust) ClientAddress(peer netip.Addr, values []string) netip.Addr {
	if peer = plainAddr(peer); !t.proxies.contains(peer) {
		return peer
	}
	if t.header == HeaderRealIP && len(values) != 1 {
		return netip.Addr{}
	}
	hops, size := 0, 0
	for _, line := range slices.Backward(values) {
		for more := true; more; {
			var entry string
			line, entry, more = t.header.cutLast(line)
			hops, size = hops+1, size+len(entry)
			if hops > MaxProxyHops || size > MaxProxyBytes {
				return netip.Addr{}
			}
			if addr := t.header.address(entry); !t.proxies.contains(addr) {
				return addr
			}
		}
	}
	return netip.Addr{}
}

// cutLast cuts the rightmost entry off a line. A comma ends an entry even
// between quotes, where RFC 7239 would let it stand: no address needs one there,
// and a quote that could hide commas would let one that the client left open
// swallow what a proxy appended. The tail of a quoted string never parses as an
// element, so such an entry is junk and nothing else.
func (h ProxyHeader) cutLast(line string) (left, entry string, more bool) {
	comma := strings.LastIndexByte(line, ',')
	if comma < 0 || h == HeaderRealIP {
		return "", line, false
	}
	return line[:comma], line[comma+1:], true
}

// address reads one entry. It gives the zero Addr, which no proxy has, for
// anything but an address.
func (h ProxyHeader) address(entry string) netip.Addr {
	entry = strings.Trim(entry, " \t")
	switch {
	case h == HeaderForwarded:
		return nodeAddress(forwardedFor(entry))
	case h == HeaderRealIP, strings.Count(entry, ":") > 1 && entry[0] != '[': // the latter is bare IPv6
		return parseAddr(entry)
	default:
		return nodeAddress(entry)
	}
}

// nodeAddress reads a node (RFC 7239, section 6): an IPv4 address or an IPv6
// address in brackets, either with a port or without.
func nodeAddress(node string) netip.Addr {
	host := node
	if colon := strings.LastIndexByte(node, ':'); colon > strings.LastIndexByte(node, ']') {
		if !isNodePort(node[colon+1:]) {
			return netip.Addr{}
		}
		host = node[:colon]
	}
	inner, opened := strings.CutPrefix(host, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if isIPv6 := strings.Contains(inner, ":"); opened != isIPv6 || closed != isIPv6 {
		return netip.Addr{}
	}
	return parseAddr(inner)
}

// isNodePort accepts a port and, like section 6.3, an obfuscated one: that hides
// nothing of the address.
func isNodePort(s string) bool {
	if name, ok := strings.CutPrefix(s, "_"); ok {
		return name != "" && strings.Trim(name, base62+"._-") == ""
	}
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil && len(s) <= len("65535")
}

// forwardedFor gives the value of the one "for" parameter of an element of
// Forwarded (RFC 7239, section 4), or "" where the element does not parse. It
// allows what many proxies write and the grammar does not: spaces beside the
// semicolons. Escapes in quoted strings stay; no address needs one.
func forwardedFor(element string) string {
	node := ""
	for rest := element; ; rest = rest[1:] {
		rest = strings.TrimLeft(rest, " \t")
		if rest != "" && rest[0] != ';' {
			var name, value string
			if name, value, rest = cutParameter(rest); name == "" {
				return ""
			}
			if strings.EqualFold(name, "for") {
				if node != "" || value == "" { // section 4 allows each parameter once
					return ""
				}
				node = value
			}
			rest = strings.TrimLeft(rest, " \t")
		}
		if rest == "" {
			return node
		}
		if rest[0] != ';' {
			return ""
		}
	}
}

// cutParameter cuts one name=value off the front of s and takes the quotes off
// the value. The name is "" if s does not begin with a parameter.
func cutParameter(s string) (name, value, rest string) {
	name, rest = cutToken(s)
	rest, found := strings.CutPrefix(rest, "=")
	if !found {
		return "", "", ""
	}
	if !strings.HasPrefix(rest, `"`) {
		value, rest = cutToken(rest)
		if value == "" {
			return "", "", ""
		}
		return name, value, rest
	}
	end := closingQuote(rest)
	if end < 0 {
		return "", "", ""
	}
	return name, rest[1:end], rest[end+1:]
}

// cutToken cuts a token (RFC 9110, section 5.6.2) off the front of s.
func cutToken(s string) (token, rest string) {
	end := 0
	for end < len(s) && s[end] > ' ' && s[end] < 0x7f && strings.IndexByte(`"(),/:;<=>?@[\]{}`, s[end]) < 0 {
		end++
	}
	return s[:end], s[end:]
}

// closingQuote finds the end of the quoted string (RFC 9110, section 5.6.4) that
// begins s, or gives -1.
func closingQuote(s string) int {
	escaped := false
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ' && c != '\t', c == 0x7f:
			return -1
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case c == '"':
			return i
		}
	}
	return -1
}
