package latchkey_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"latchkey.dev/latchkey"
	"pgregory.net/rapid"
)

var proxyHeaders = []latchkey.ProxyHeader{latchkey.HeaderForwardedFor, latchkey.HeaderForwarded, latchkey.HeaderRealIP}

// trustedText are the networks of the proxies in this file.
var trustedText = []string{"10.0.0.0/8", "2001:db8:aaaa::/48", "192.0.2.80/32"}

func trustIn(t interface{ Fatalf(string, ...any) }, header latchkey.ProxyHeader) latchkey.ProxyTrust {
	trusted := make([]netip.Prefix, len(trustedText))
	for i, text := range trustedText {
		trusted[i] = netip.MustParsePrefix(text)
	}
	trust, err := latchkey.NewProxyTrust(trusted, header)
	if err != nil {
		t.Fatalf("%s: %v", header, err)
	}
	return trust
}

// The oracle of this file reads every entry of the header with regular
// expressions, and only then looks from the right for the first that is not
// trusted. Addresses are the bit strings of the other file's oracle.
var (
	oraclePort    = `(?::([0-9]{1,5}|_[0-9A-Za-z._-]+))?`
	oracleNode    = regexp.MustCompile(`^(?:\[([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)\]|([0-9.]+))` + oraclePort + `$`)
	oraclePair    = `([!#$%&'*+.^_|~0-9A-Za-z\x60-]+)=([!#$%&'*+.^_|~0-9A-Za-z\x60-]+|"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[^\x00-\x08\x0a-\x1f\x7f])*")`
	oracleElement = regexp.MustCompile(`^(?:` + oraclePair + `)?(?:[ \t]*;[ \t]*(?:` + oraclePair + `)?)*$`)
	oracleAnyPair = regexp.MustCompile(oraclePair)
	oracleSpaces  = regexp.MustCompile(`^[ \t]*|[ \t]*$`)
	oracleQuotes  = regexp.MustCompile(`^"|"$`)
)

func oracleNodeBits(node string) string {
	parts := oracleNode.FindStringSubmatch(node)
	if parts == nil {
		return ""
	}
	if port, err := strconv.Atoi(parts[3]); err == nil && port > 65535 {
		return ""
	}
	return oracleBits(parts[1] + parts[2])
}

func oracleEntryBits(header latchkey.ProxyHeader, entry string) string {
	entry = oracleSpaces.ReplaceAllString(entry, "")
	switch header {
	case latchkey.HeaderRealIP:
		return oracleBits(entry)
	case latchkey.HeaderForwardedFor:
		if bits := oracleBits(entry); bits != "" {
			return bits
		}
		return oracleNodeBits(entry)
	}
	if !oracleElement.MatchString(entry) {
		return ""
	}
	var nodes []string
	for _, pair := range oracleAnyPair.FindAllStringSubmatch(entry, -1) {
		if strings.ToLower(pair[1]) == "for" {
			nodes = append(nodes, oracleQuotes.ReplaceAllString(pair[2], ""))
		}
	}
	if len(nodes) != 1 {
		return ""
	}
	return oracleNodeBits(nodes[0])
}

var oracleTrusted = sync.OnceValue(func() (begins []string) {
	for _, network := range trustedText {
		begin, _ := oracleNetwork(network)
		begins = append(begins, begin)
	}
	return begins
})

func oracleTrusts(bits string) bool {
	return slices.ContainsFunc(oracleTrusted(), func(begin string) bool { return oracleHolds(begin, bits) })
}

// oracleClient gives the client's bits, or "" for undetermined.
func oracleClient(header latchkey.ProxyHeader, peer string, values []string) string {
	chain := []string{oracleBits(peer)}
	if header == latchkey.HeaderRealIP {
		if len(values) == 1 {
			chain = append(chain, oracleEntryBits(header, values[0]))
		}
	} else if len(values) > 0 {
		entries := strings.Split(strings.Join(values, ","), ",")
		slices.Reverse(entries)
		for i, entry := range entries {
			if i == 64 || len(strings.Join(entries[:i+1], "")) > 8192 {
				chain = append(chain, "")
				break
			}
			chain = append(chain, oracleEntryBits(header, entry))
		}
	}
	for _, bits := range chain {
		if !oracleTrusts(bits) {
			return bits
		}
	}
	return ""
}

// bitsOf spells an answer as the oracle does.
func bitsOf(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}
	return oracleBits(addr.String())
}

func TestNewProxyTrustRefusesHalfSettings(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	mixed := func(text string) []netip.Prefix { return append(slices.Clone(proxies), netip.MustParsePrefix(text)) }
	refused := map[string]struct {
		trusted []netip.Prefix
		header  latchkey.ProxyHeader
	}{
		"proxies without a header":     {proxies, latchkey.NoProxyHeader},
		"a header without proxies":     {nil, latchkey.HeaderForwardedFor},
		"a header with an empty list":  {[]netip.Prefix{}, latchkey.HeaderRealIP},
		"another header":               {proxies, "X-Client-IP"},
		"another header alone":         {nil, "True-Client-IP"},
		"another spelling":             {proxies, "x-forwarded-for"},
		"a zero network":               {[]netip.Prefix{{}}, latchkey.HeaderForwarded},
		"an address with bad length":   {[]netip.Prefix{netip.PrefixFrom(addressOf("10.0.0.1"), 33)}, latchkey.HeaderForwarded},
		"every IPv4 address":           {mixed("0.0.0.0/0"), latchkey.HeaderForwardedFor},
		"every IPv6 address":           {mixed("::/0"), latchkey.HeaderForwardedFor},
		"every IPv4 address, mapped":   {mixed("::ffff:0:0/96"), latchkey.HeaderForwardedFor},
		"mapped and more than that":    {mixed("::ffff:10.0.0.0/90"), latchkey.HeaderForwardedFor},
		"mapped and as much as can be": {mixed("::ffff:10.0.0.0/0"), latchkey.HeaderForwardedFor},
	}
	for name, test := range refused {
		trust, err := latchkey.NewProxyTrust(test.trusted, test.header)
		if latchkey.CodeOf(err) != latchkey.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
		if trust.Header() != latchkey.NoProxyHeader {
			t.Errorf("%s: a refusal comes with trust", name)
		}
	}
	for _, header := range proxyHeaders {
		if trust, err := latchkey.NewProxyTrust(proxies, header); err != nil || trust.Header() != header {
			t.Errorf("%s: %v", header, err)
		}
	}
}

func TestClientAddressWithoutProxiesIsThePeer(t *testing.T) {
	var zero latchkey.ProxyTrust
	none, err := latchkey.NewProxyTrust(nil, latchkey.NoProxyHeader)
	if err != nil {
		t.Fatal(err)
	}
	peers := map[string]string{ // as accepted → as told
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8::1": "2001:db8::1", "10.0.0.1": "10.0.0.1", "127.0.0.1": "127.0.0.1",
		"fe80::1": "fe80::1", "fe80::1%eth0": "", "::ffff:192.0.2.1%eth0": "", "": "",
	}
	for peer, want := range peers {
		for _, trust := range []latchkey.ProxyTrust{zero, none} {
			if got := trust.ClientAddress(addressOf(peer), []string{"203.0.113.7"}); got != addressOf(want) {
				t.Errorf("peer %s: %v, want %q", peer, got, want)
			}
		}
	}
}

func TestClientAddress(t *testing.T) {
	const (
		list    = latchkey.HeaderForwardedFor
		element = latchkey.HeaderForwarded
		single  = latchkey.HeaderRealIP
	)
	many := func(n int, entry string) string { return strings.Repeat(entry+",", n-1) + entry }
	tests := []struct {
		name   string
		header latchkey.ProxyHeader
		peer   string
		lines  []string
		want   string // "" is undetermined
	}{
		{"the peer is no proxy", list, "203.0.113.9", []string{"198.51.100.1"}, "203.0.113.9"},
		{"the peer is a proxy", list, "10.0.0.1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"the peer is a proxy, mapped", list, "::ffff:10.0.0.1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"the peer is a proxy but for a zone", list, "2001:db8:aaaa::1%eth0", []string{"198.51.100.1"}, ""},
		{"the peer is no address", list, "", []string{"198.51.100.1"}, ""},
		{"the peer is next to a trusted address", list, "192.0.2.81", []string{"198.51.100.1"}, "192.0.2.81"},

		{"the proxy sent no header", list, "10.0.0.1", nil, ""},
		{"the proxy sent an empty header", list, "10.0.0.1", []string{""}, ""},
		{"only proxies are named", list, "10.0.0.1", []string{"10.0.0.3, 10.0.0.2"}, ""},
		{"an insider claims an address, as insiders can", list, "10.0.0.1", []string{"198.51.100.1, 10.0.0.2"}, "198.51.100.1"},

		{"the rightmost of two", list, "10.0.0.1", []string{"1.1.1.1, 198.51.100.1"}, "198.51.100.1"},
		{"the rightmost that is not trusted", list, "10.0.0.1", []string{"1.1.1.1, 198.51.100.1, 2001:db8:aaaa::7, 10.0.0.2"}, "198.51.100.1"},
		{"the last of several lines", list, "10.0.0.1", []string{"1.1.1.1", "2.2.2.2, 3.3.3.3", "198.51.100.1,10.0.0.2", "192.0.2.80"}, "198.51.100.1"},
		{"a proxy through a proxy of others", list, "10.0.0.1", []string{"198.51.100.1, 203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
		{"spaces and tabs", list, "10.0.0.1", []string{"1.1.1.1 ,\t198.51.100.1 \t,  10.0.0.2\t"}, "198.51.100.1"},
		{"without spaces", list, "10.0.0.1", []string{"1.1.1.1,198.51.100.1,10.0.0.2"}, "198.51.100.1"},

		{"a port", list, "10.0.0.1", []string{"198.51.100.1:4711, 10.0.0.2:80"}, "198.51.100.1"},
		{"IPv6 bare", list, "10.0.0.1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"IPv6 in brackets", list, "10.0.0.1", []string{"[2001:DB8::1]"}, "2001:db8::1"},
		{"IPv6 in brackets with a port", list, "10.0.0.1", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		{"mapped", list, "10.0.0.1", []string{"::ffff:198.51.100.1, ::ffff:10.0.0.2"}, "198.51.100.1"},
		{"mapped in brackets with a port", list, "10.0.0.1", []string{"[::ffff:198.51.100.1]:1, [::ffff:a00:2]"}, "198.51.100.1"},

		{"junk on the left", list, "10.0.0.1", []string{"'; DROP, \x00, unknown, , 198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"a zone on the left", list, "10.0.0.1", []string{"fe80::1%eth0", "198.51.100.1"}, "198.51.100.1"},
		{"junk decides", list, "10.0.0.1", []string{"1.1.1.1, junk"}, ""},
		{"junk to the right of a client", list, "10.0.0.1", []string{"198.51.100.1, junk, 10.0.0.2"}, ""},
		{"an empty entry", list, "10.0.0.1", []string{"198.51.100.1, , 10.0.0.2"}, ""},
		{"a comma at the end", list, "10.0.0.1", []string{"198.51.100.1,"}, ""},
		{"an empty last line", list, "10.0.0.1", []string{"198.51.100.1", ""}, ""},
		{"unknown", list, "10.0.0.1", []string{"198.51.100.1, unknown"}, ""},
		{"a zone", list, "10.0.0.1", []string{"198.51.100.1, fe80::1%eth0"}, ""},
		{"a zone in brackets", list, "10.0.0.1", []string{"198.51.100.1, [fe80::1%25eth0]:80"}, ""},
		{"a mapped proxy with a zone", list, "10.0.0.1", []string{"198.51.100.1, ::ffff:10.0.0.2%eth0"}, ""},
		{"IPv4 in brackets", list, "10.0.0.1", []string{"[198.51.100.1]"}, ""},
		{"brackets that do not close", list, "10.0.0.1", []string{"[2001:db8::1"}, ""},
		{"brackets that do not open", list, "10.0.0.1", []string{"2001:db8::1]"}, ""},
		{"brackets that do not close before a port", list, "10.0.0.1", []string{"[2001:db8::1:80"}, ""},
		{"a closing bracket alone", list, "10.0.0.1", []string{"198.51.100.1]"}, ""},
		{"a closing bracket alone before a port", list, "10.0.0.1", []string{"198.51.100.1]:80"}, ""},
		{"brackets twice", list, "10.0.0.1", []string{"[[2001:db8::1]]:80"}, ""},
		{"no port after the colon", list, "10.0.0.1", []string{"198.51.100.1:"}, ""},
		{"a port beyond 65535", list, "10.0.0.1", []string{"198.51.100.1:65536"}, ""},
		{"a port of six digits", list, "10.0.0.1", []string{"198.51.100.1:000080"}, ""},
		{"a port with a sign", list, "10.0.0.1", []string{"198.51.100.1:+80"}, ""},
		{"a leading zero", list, "10.0.0.1", []string{"198.51.100.01"}, ""},
		{"a network", list, "10.0.0.1", []string{"198.51.100.0/24"}, ""},
		{"quotes", list, "10.0.0.1", []string{`"198.51.100.1"`}, ""},
		{"spaces of other kinds", list, "10.0.0.1", []string{"198.51.100.1, \u00a010.0.0.2"}, ""},
		{"the end of a line", list, "10.0.0.1", []string{"198.51.100.1, 10.0.0.2\r\n"}, ""},
		{"the syntax of another header", list, "10.0.0.1", []string{"for=198.51.100.1"}, ""},

		{"as many hops as are read", list, "10.0.0.1", []string{"198.51.100.1, " + many(latchkey.MaxProxyHops-1, "10.0.0.2")}, "198.51.100.1"},
		{"one hop more", list, "10.0.0.1", []string{"198.51.100.1, " + many(latchkey.MaxProxyHops, "10.0.0.2")}, ""},
		{"10,000 hops of proxies", list, "10.0.0.1", []string{"198.51.100.1, " + many(10_000, "10.0.0.2")}, ""},
		{"10,000 hops on 10,000 lines", list, "10.0.0.1", slices.Repeat([]string{"10.0.0.2"}, 10_000), ""},
		{"10,000 hops of the client's making", list, "10.0.0.1", []string{many(10_000, "10.0.0.2") + ", 198.51.100.1"}, "198.51.100.1"},
		{"10,000 lines of the client's making", list, "10.0.0.1", append(slices.Repeat([]string{"10.0.0.2"}, 10_000), "198.51.100.1"), "198.51.100.1"},
		{"as many bytes as are read", list, "10.0.0.1", []string{"1.1.1.1," + strings.Repeat(" ", latchkey.MaxProxyBytes-len("198.51.100.1")) + "198.51.100.1"}, "198.51.100.1"},
		{"one byte more", list, "10.0.0.1", []string{"1.1.1.1," + strings.Repeat(" ", latchkey.MaxProxyBytes-len("198.51.100.1")) + " 198.51.100.1"}, ""},
		{"one byte more in two entries", list, "10.0.0.1", []string{strings.Repeat(" ", latchkey.MaxProxyBytes-len("198.51.100.1,10.0.0.2")) + "  198.51.100.1,10.0.0.2"}, ""},
		{"a megabyte on the left", list, "10.0.0.1", []string{strings.Repeat("x", 1<<20) + ",198.51.100.1"}, "198.51.100.1"},

		{"an element", element, "10.0.0.1", []string{"for=198.51.100.1"}, "198.51.100.1"},
		{"all parameters, any case", element, "10.0.0.1", []string{`By=203.0.113.43;FOR="198.51.100.1:4711";proto=http;host="a.example"`}, "198.51.100.1"},
		{"spaces beside semicolons", element, "10.0.0.1", []string{" proto=https ; for=198.51.100.1 ;\thost=a.example "}, "198.51.100.1"},
		{"empty parameters", element, "10.0.0.1", []string{";for=198.51.100.1;;"}, "198.51.100.1"},
		{"quoted IPv6", element, "10.0.0.1", []string{`for="[2001:db8::1]"`}, "2001:db8::1"},
		{"quoted IPv6 with a port", element, "10.0.0.1", []string{`for="[2001:db8::1]:4711"`}, "2001:db8::1"},
		{"an obfuscated port hides no address", element, "10.0.0.1", []string{`for="198.51.100.1:_a.b-c"`}, "198.51.100.1"},
		{"the rightmost element that is not trusted", element, "10.0.0.1", []string{`for=1.1.1.1, for="198.51.100.1:80", for=10.0.0.3`, `proto=https;for="[2001:db8:aaaa::2]:443"`}, "198.51.100.1"},
		{"a mapped proxy", element, "10.0.0.1", []string{`for=198.51.100.1, for="[::ffff:10.0.0.2]"`}, "198.51.100.1"},
		{"an open quote on the left", element, "10.0.0.1", []string{`for="1.1.1.1, for=198.51.100.1;host="a"`}, "198.51.100.1"},
		{"an open quote on the line before", element, "10.0.0.1", []string{`for=1.1.1.1;x="`, `for=198.51.100.1;y="z"`}, "198.51.100.1"},
		{"lines are not glued together", element, "10.0.0.1", []string{`x="`, `";for=1.1.1.1`}, ""},
		{"an open quote meets a stray one of a proxy", element, "10.0.0.1", []string{`for=1.1.1.1;x=", for=198.51.100.1;host=a"`}, ""},
		{"a host that plays an element, well quoted", element, "10.0.0.1", []string{`for=198.51.100.1;host="a, for=1.1.1.1"`}, ""},
		{"a host that plays an element with quotes, well quoted", element, "10.0.0.1", []string{`for=198.51.100.1;host="a, for=1.1.1.1;x=\""`}, ""},
		{"a host that plays a parameter, well quoted", element, "10.0.0.1", []string{`for=198.51.100.1;host="a;for=1.1.1.1;x=\""`}, "198.51.100.1"},
		{"a host that plays a parameter, not quoted", element, "10.0.0.1", []string{`for=198.51.100.1;host=a;for=1.1.1.1`}, ""},
		{"twice the same", element, "10.0.0.1", []string{`for=198.51.100.1;For=198.51.100.1`}, ""},
		{"an empty one first", element, "10.0.0.1", []string{`for="";for=198.51.100.1`}, ""},
		{"no for", element, "10.0.0.1", []string{"for=198.51.100.1, proto=https"}, ""},
		{"obfuscated", element, "10.0.0.1", []string{"for=198.51.100.1, for=_hidden"}, ""},
		{"obfuscated with a port", element, "10.0.0.1", []string{`for=198.51.100.1, for="_hidden:80"`}, ""},
		{"unknown element", element, "10.0.0.1", []string{"for=198.51.100.1, for=unknown"}, ""},
		{"a bare address", element, "10.0.0.1", []string{"198.51.100.1"}, ""},
		{"IPv6 without brackets", element, "10.0.0.1", []string{`for="2001:db8::1"`}, ""},
		{"IPv6 without quotes", element, "10.0.0.1", []string{`for=[2001:db8::1]`}, ""},
		{"a port without quotes", element, "10.0.0.1", []string{`for=198.51.100.1:80`}, ""},
		{"an obfuscated port without a name", element, "10.0.0.1", []string{`for="198.51.100.1:_"`}, ""},
		{"an obfuscated port with a space", element, "10.0.0.1", []string{`for="198.51.100.1:_a b"`}, ""},
		{"a zone in an element", element, "10.0.0.1", []string{`for="[fe80::1%eth0]"`}, ""},
		{"an escape in the address", element, "10.0.0.1", []string{`for="198\.51.100.1"`}, ""},
		{"a space before the equals sign", element, "10.0.0.1", []string{`for =198.51.100.1`}, ""},
		{"a space after the equals sign", element, "10.0.0.1", []string{`for= 198.51.100.1`}, ""},
		{"no value", element, "10.0.0.1", []string{`for=198.51.100.1;host=`}, ""},
		{"no name", element, "10.0.0.1", []string{`for=198.51.100.1;=a`}, ""},
		{"an open quote", element, "10.0.0.1", []string{`for=198.51.100.1;host="a`}, ""},
		{"an open quote by an escape", element, "10.0.0.1", []string{`for=198.51.100.1;host="a\"`}, ""},
		{"text after the quote", element, "10.0.0.1", []string{`for="198.51.100.1"x`}, ""},
		{"a control character between quotes", element, "10.0.0.1", []string{"for=198.51.100.1;host=\"a\x00\""}, ""},
		{"a deletion between quotes", element, "10.0.0.1", []string{"for=198.51.100.1;host=\"a\x7f\""}, ""},

		{"one address", single, "10.0.0.1", []string{" 198.51.100.1\t"}, "198.51.100.1"},
		{"one IPv6 address", single, "10.0.0.1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"one mapped address", single, "10.0.0.1", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"from no proxy", single, "203.0.113.9", []string{"198.51.100.1"}, "203.0.113.9"},
		{"two lines", single, "10.0.0.1", []string{"198.51.100.1", "198.51.100.1"}, ""},
		{"two addresses", single, "10.0.0.1", []string{"198.51.100.1, 198.51.100.2"}, ""},
		{"a port on it", single, "10.0.0.1", []string{"198.51.100.1:80"}, ""},
		{"brackets on it", single, "10.0.0.1", []string{"[2001:db8::1]"}, ""},
		{"a zone on it", single, "10.0.0.1", []string{"fe80::1%eth0"}, ""},
		{"nothing in it", single, "10.0.0.1", []string{""}, ""},
		{"no line", single, "10.0.0.1", nil, ""},
		{"the proxy before, not the client", single, "10.0.0.1", []string{"10.0.0.2"}, ""},
	}
	for _, test := range tests {
		t.Run(string(test.header)+"/"+test.name, func(t *testing.T) {
			got := trustIn(t, test.header).ClientAddress(addressOf(test.peer), test.lines)
			if got != addressOf(test.want) {
				t.Errorf("%v, want %q", got, test.want)
			}
			if oracle := oracleClient(test.header, test.peer, test.lines); oracle != oracleBits(test.want) {
				t.Errorf("the oracle itself is wrong: %q", oracle)
			}
		})
	}
}

// hop is one machine on a request's way, and how it tells of the one before it.
type hop struct {
	address string
	trusted bool
	write   func(before string) string // its entry
	honest  bool                       // the entry tells the address
	newLine bool
}

func randomHop(r *rand.Rand, header latchkey.ProxyHeader, number int) hop {
	h := hop{trusted: r.IntN(8) > 0, honest: r.IntN(8) > 0, newLine: r.IntN(3) == 0}
	of := []string{"198.18.0.%d", "2001:db8:bbbb::%d", "::ffff:198.18.1.%d"}
	if h.trusted {
		of = []string{"10.0.0.%d", "2001:db8:aaaa::%d", "::ffff:10.0.7.%d"}
	}
	h.address = fmt.Sprintf(of[r.IntN(len(of))], number)
	bracketed := func(before string) string {
		if strings.Contains(before, ":") {
			return "[" + before + "]"
		}
		return before
	}
	styles := []func(string) string{
		func(before string) string { return before },
		bracketed,
		func(before string) string { return bracketed(before) + ":4711" },
	}
	lies := []string{"unknown", "_hidden", "fe80::1%eth0", "", "localhost", "198.51.100.1 198.51.100.2", "1.1.1.1:x"}
	if header == latchkey.HeaderForwarded {
		styles = []func(string) string{
			func(before string) string { return `for="` + bracketed(before) + `"` },
			func(before string) string { return `proto=https;For="` + bracketed(before) + `:4711"` },
			func(before string) string { return `by=_me; for="` + bracketed(before) + `"; host="\";for=1.1.1.1;\""` },
		}
		lies = []string{"for=unknown", `for="_hidden"`, `for="[fe80::1%eth0]"`, "", "proto=https", "for=1.1.1.1;for=2.2.2.2", `for=1.1.1.1;host="a, for=1.1.1.1"`}
	}
	if header == latchkey.HeaderRealIP {
		styles = styles[:1]
		lies = append(lies, "1.1.1.1, 2.2.2.2")
	}
	h.write = styles[r.IntN(len(styles))]
	if !h.honest {
		lie := lies[r.IntN(len(lies))]
		h.write = func(string) string { return lie }
	}
	return h
}

// sendThrough is what arrives: the client's own lines, and what each hop adds.
func sendThrough(r *rand.Rand, header latchkey.ProxyHeader, client string, forged []string, hops []hop) (peer string, lines []string) {
	peer, lines = client, slices.Clone(forged)
	for _, h := range hops {
		entry := h.write(peer)
		switch {
		case header == latchkey.HeaderRealIP:
			lines = []string{entry}
		case h.newLine || len(lines) == 0:
			lines = append(lines, entry)
		default:
			lines[len(lines)-1] += []string{",", ", ", " ,\t"}[r.IntN(3)] + entry
		}
		peer = h.address
	}
	return peer, lines
}

// truth is who called, as far as honest proxies that are trusted have seen:
// known from how the request was made, without reading any header.
func truth(header latchkey.ProxyHeader, client string, hops []hop) string {
	for i := range slices.Backward(hops) {
		if !hops[i].trusted {
			return hops[i].address
		}
		beforeIsProxy := i > 0 && hops[i-1].trusted
		if !hops[i].honest || header == latchkey.HeaderRealIP && beforeIsProxy {
			return ""
		}
	}
	return client
}

// TestClientAddressTellsTheTruth sends requests through up to three proxies,
// with headers that the client has forged.
func TestClientAddressTellsTheTruth(t *testing.T) {
	clients := []string{"198.51.100.1", "2001:db8::1", "::ffff:203.0.113.5", "9.255.255.255", "2001:db8:aaab::"}
	forgeries := [][]string{
		nil, {""}, {"1.1.1.1"}, {"for=1.1.1.1"}, {"10.0.0.9"}, {"1.1.1.1, 10.0.0.9"}, {"for=1.1.1.1, for=10.0.0.9"}, {"1.1.1.1", "10.0.0.9", "2001:db8:aaaa::9"},
		{`for=1.1.1.1;x="`}, {`for="`}, {`"`, `\`}, {"junk, %, [, ]:"}, {"fe80::1%eth0"}, {",,,"}, {strings.Repeat("10.0.0.9,", 10_000)}, slices.Repeat([]string{"for=10.0.0.9"}, 10_000),
	}
	r := rand.New(rand.NewPCG(3, 4))
	cases, known := 0, 0
	for _, header := range proxyHeaders {
		trust := trustIn(t, header)
		for proxies := range 4 {
			for range 100 {
				client, forged := clients[r.IntN(len(clients))], forgeries[r.IntN(len(forgeries))]
				var hops []hop
				for i := range proxies {
					hops = append(hops, randomHop(r, header, i+1))
				}
				peer, lines := sendThrough(r, header, client, forged, hops)
				want := oracleBits(truth(header, client, hops))
				if got := bitsOf(trust.ClientAddress(addressOf(peer), lines)); got != want {
					t.Fatalf("%s from %s: %.300q gives %q, but %q called", header, peer, lines, got, truth(header, client, hops))
				}
				if oracle := oracleClient(header, peer, lines); oracle != want {
					t.Fatalf("%s from %s: %.300q: the oracle itself is wrong", header, peer, lines)
				}
				cases++
				if want != "" {
					known++
				}
			}
		}
	}
	if cases < 600 || known < cases/3 || cases-known < cases/6 {
		t.Errorf("the cases are lopsided: %d, of which %d have an answer", cases, known)
	}
}

var proxyFragments = map[latchkey.ProxyHeader][]string{
	latchkey.HeaderForwardedFor: {"10.0.0.2", "10.0.0.2", "::ffff:10.1.1.1", "192.0.2.80:443", "[2001:db8:aaaa::1]:80", "2001:db8:aaaa::2", "198.51.100.1", "[2001:db8::1]", "2001:db8::1:80", ",", ",", ", ", " ", "\t", "", "[", "]", ":80", ":", "%eth0", "unknown", "_hidden", "\"", "0"},
	latchkey.HeaderForwarded:    {"for=10.0.0.2", "for=10.0.0.2", `for="10.0.0.3:80"`, `for="[2001:db8:aaaa::1]"`, `For="[::ffff:10.0.0.4]:_x"`, "for=198.51.100.1", `for="[2001:db8::1]:80"`, ",", ", ", ",", ";", "; ", ";", "proto=https", `host="a"`, `x="\"`, `"`, `\`, "=", "for", "for=", "for=unknown", " ", `x=",`, `";y="`, "10.0.0.2"},
	latchkey.HeaderRealIP:       {"198.51.100.1", "2001:db8::1", "::ffff:198.51.100.1", "10.0.0.2", " ", "\t", ",", "[", ":80", "%eth0", ""},
}

func TestClientAddressEqualsOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, header := range proxyHeaders {
		trust, fragments, known := trustIn(t, header), proxyFragments[header], map[string]int{}
		for range 2_000 {
			peer := []string{"10.0.0.1", "::ffff:10.0.0.1", "2001:db8:aaaa::9", "192.0.2.80", "203.0.113.9"}[r.IntN(5)]
			lines := make([]string, r.IntN(3)+r.IntN(2))
			for i := range lines {
				for range r.IntN(5) + r.IntN(4) {
					lines[i] += fragments[r.IntN(len(fragments))]
				}
			}
			got, want := bitsOf(trust.ClientAddress(addressOf(peer), lines)), oracleClient(header, peer, lines)
			if got != want {
				t.Fatalf("%s from %s: %q gives %q, the oracle says %q", header, peer, lines, got, want)
			}
			if want != oracleBits(peer) {
				known[want]++
			}
		}
		if known[""] < 200 || len(known) < 3 {
			t.Errorf("%s: the cases are lopsided: %v", header, known)
		}
	}
}

// drawLines draws the lines of a header from pieces that make and break entries.
func drawLines(t *rapid.T, header latchkey.ProxyHeader, label string) []string {
	piece := rapid.OneOf(rapid.SampledFrom(proxyFragments[header]), rapid.String())
	line := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(piece, 0, 8).Draw(t, "pieces"), "")
	})
	return rapid.SliceOfN(line, 0, 4).Draw(t, label)
}

// prependJunk puts junk to the left of lines, on lines of its own or on the first.
func prependJunk(t *rapid.T, header latchkey.ProxyHeader, lines []string) []string {
	junk := drawLines(t, header, "junk")
	if len(junk) > 0 && len(lines) > 0 && rapid.Bool().Draw(t, "same line") {
		last := len(junk) - 1
		return slices.Concat(junk[:last], []string{junk[last] + "," + lines[0]}, lines[1:])
	}
	return slices.Concat(junk, lines)
}

func TestClientAddressLaws(t *testing.T) {
	lists := proxyHeaders[:2]
	clients := map[latchkey.ProxyHeader]string{latchkey.HeaderForwardedFor: "203.0.113.77", latchkey.HeaderForwarded: "for=203.0.113.77"}
	peer := addressOf("10.0.0.1")

	t.Run("what a client writes to the left of its address changes nothing", rapid.MakeCheck(func(t *rapid.T) {
		header := rapid.SampledFrom(lists).Draw(t, "header")
		trust, lines := trustIn(t, header), drawLines(t, header, "lines")
		lines = append([]string{clients[header]}, lines...) // what the first proxy wrote
		want, junky := trust.ClientAddress(peer, lines), prependJunk(t, header, lines)
		if got := trust.ClientAddress(peer, junky); got != want {
			t.Fatalf("%q gives %v, %q gives %v", lines, want, junky, got)
		}
	}))
	t.Run("an address once found stays", rapid.MakeCheck(func(t *rapid.T) {
		header := rapid.SampledFrom(lists).Draw(t, "header")
		trust, lines := trustIn(t, header), drawLines(t, header, "lines")
		want, junky := trust.ClientAddress(peer, lines), prependJunk(t, header, lines)
		if got := trust.ClientAddress(peer, junky); want.IsValid() && got != want {
			t.Fatalf("%q gives %v, %q gives %v", lines, want, junky, got)
		}
	}))
	t.Run("an answer is plain and no proxy's", rapid.MakeCheck(func(t *rapid.T) {
		header := rapid.SampledFrom(proxyHeaders).Draw(t, "header")
		got := trustIn(t, header).ClientAddress(peer, drawLines(t, header, "lines"))
		if got.Zone() != "" || got.Is4In6() || oracleTrusts(bitsOf(got)) {
			t.Fatalf("%v", got)
		}
	}))
	t.Run("mapped and unmapped are one", rapid.MakeCheck(func(t *rapid.T) {
		var plain, mapped []string
		for _, addr := range rapid.SliceOf(rapid.SampledFrom([]string{"10.0.0.2", "192.0.2.80", "198.51.100.1"})).Draw(t, "entries") {
			plain, mapped = append(plain, addr), append(mapped, "::ffff:"+addr)
		}
		trust, err := latchkey.NewProxyTrust([]netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104"), netip.MustParsePrefix("::ffff:192.0.2.80/128")}, latchkey.HeaderForwardedFor)
		if err != nil {
			t.Fatal(err)
		}
		want := trustIn(t, latchkey.HeaderForwardedFor).ClientAddress(peer, plain)
		for _, lines := range [][]string{plain, mapped} {
			if got := trust.ClientAddress(netip.AddrFrom16(peer.As16()), lines); got != want {
				t.Fatalf("%q gives %v, want %v", lines, got, want)
			}
		}
	}))
	t.Run("a request cannot break out of a quoted string", rapid.MakeCheck(func(t *rapid.T) {
		// A proxy copies two parts of the request, quoted, around the address that it saw.
		quoted := rapid.Custom(func(t *rapid.T) string {
			text := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{`"`, `\`, ",", ";", "=", "x", "for=1.1.1.1", `for="1.1.1.1"`, " "}), 0, 8).Draw(t, "text"), "")
			return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(text) + `"`
		})
		line := "host=" + quoted.Draw(t, "host") + ";for=203.0.113.77;path=" + quoted.Draw(t, "path") + ";ext=" + quoted.Draw(t, "ext")
		got := trustIn(t, latchkey.HeaderForwarded).ClientAddress(peer, prependJunk(t, latchkey.HeaderForwarded, []string{line}))
		if got.IsValid() && got != addressOf("203.0.113.77") {
			t.Fatalf("%s gives %v", line, got)
		}
	}))
}

func FuzzClientAddress(f *testing.F) {
	f.Add(uint8(0), "10.0.0.1", "1.1.1.1\n198.51.100.1:80, [::ffff:10.0.0.2]:443")
	f.Add(uint8(0), "203.0.113.9", "198.51.100.1, junk")
	f.Add(uint8(1), "::ffff:10.0.0.1", "for=\"1.1.1.1, for=\"198.51.100.1:_x\";host=\"a\\\"b\"; By=_me")
	f.Add(uint8(1), "2001:db8:aaaa::1", "for=\"[2001:db8::1]\"\nproto=https;For=10.0.0.2")
	f.Add(uint8(2), "192.0.2.80", " 2001:db8::1\t")
	f.Add(uint8(2), "10.0.0.1%eth0", "198.51.100.1, 198.51.100.2")
	f.Fuzz(func(t *testing.T, which uint8, peer, text string) {
		header, lines := proxyHeaders[which%3], strings.Split(text, "\n")
		got, want := bitsOf(trustIn(t, header).ClientAddress(addressOf(peer), lines)), oracleClient(header, peer, lines)
		if got != want {
			t.Fatalf("%s from %q: %q gives %q, the oracle says %q", header, peer, lines, got, want)
		}
	})
}

func BenchmarkClientAddress(b *testing.B) {
	headers := map[latchkey.ProxyHeader][]string{
		latchkey.NoProxyHeader:      nil,
		latchkey.HeaderForwardedFor: {"1.1.1.1, 198.51.100.1:80", "10.0.0.2"},
		latchkey.HeaderForwarded:    {`for=1.1.1.1, for="198.51.100.1:80";proto=https`, "for=10.0.0.2"},
		latchkey.HeaderRealIP:       {"198.51.100.1"},
	}
	peer := addressOf("10.0.0.1")
	for header, lines := range headers {
		var trust latchkey.ProxyTrust
		if header != latchkey.NoProxyHeader {
			trust = trustIn(b, header)
		}
		b.Run("header="+string(header), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				trust.ClientAddress(peer, lines)
			}
		})
	}
}
