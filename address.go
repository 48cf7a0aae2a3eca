package latchkey

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Bounds of an address list.
const (
	MaxAddresses  = 256 // entries of a key's address list
	MaxAddressLen = 64  // bytes of one entry; the longest that means something has 49
)

// AddressList says from which client addresses a key may be used. The zero
// value, like any list without entries, restricts nothing. A list is immutable
// and safe for concurrent use.
type AddressList struct {
	entries []string // as given
	allowed networks
}

// ParseAddressList reads the entries of a list: IPv4 addresses, IPv6 addresses
// (RFC 4291, section 2.2) and networks in CIDR form (RFC 4632, section 3.1; RFC
// 4291, section 2.3). The bits of a network beyond its prefix do not count. An
// entry inside ::ffff:0:0/96 means the IPv4 addresses that it maps; ::/0 is
// every IPv6 client and no IPv4 one. Ports, zones, spaces and leading zeros are
// refused.
//
// The error is the first broken rule. Its pointer is "/" and the index of the
// entry, or "" for the list as a whole; the caller puts the list's own pointer
// in front.
func ParseAddressList(entries []string) (AddressList, *FieldError) {
	if len(entries) > MaxAddresses {
		return AddressList{}, &FieldError{Code: "too_many", Detail: "An address list has at most " + strconv.Itoa(MaxAddresses) + " entries; write neighbouring addresses as one network, such as 10.10.0.0/16."}
	}
	allowed := make([]netip.Prefix, len(entries))
	for i, entry := range entries {
		var broken *FieldError
		if allowed[i], broken = parseNetwork(entry); broken != nil {
			broken.Pointer = "/" + strconv.Itoa(i)
			return AddressList{}, broken
		}
	}
	return AddressList{entries: slices.Clone(entries), allowed: newNetworks(allowed)}, nil
}

// Entries gives the list back as it was given: nil for nil, empty for empty.
func (l AddressList) Entries() []string { return slices.Clone(l.entries) }

// Unrestricted reports whether the list restricts nothing.
func (l AddressList) Unrestricted() bool { return len(l.allowed) == 0 }

// Allows reports whether a client at addr may use the key. An unrestricted list
// allows everyone. Any other refuses the zero Addr, which stands for a client
// whose address is undetermined, and every address with a zone. It allocates
// nothing.
func (l AddressList) Allows(addr netip.Addr) bool {
	return l.Unrestricted() || l.allowed.contains(plainAddr(addr))
}

// parseNetwork reads one entry; a bare address is a network of one.
func parseNetwork(entry string) (netip.Prefix, *FieldError) {
	if len(entry) > MaxAddressLen {
		return netip.Prefix{}, &FieldError{Code: "too_long", Detail: "An entry has at most " + strconv.Itoa(MaxAddressLen) + " bytes and holds one address or one network."}
	}
	var network netip.Prefix
	if strings.Contains(entry, "/") {
		network, _ = netip.ParsePrefix(entry)
	} else if addr := parseAddr(entry); addr.IsValid() {
		network = netip.PrefixFrom(addr, addr.BitLen())
	}
	if !network.IsValid() {
		return netip.Prefix{}, &FieldError{Code: "format", Detail: "An entry is an IPv4 or IPv6 address, or a network such as 10.10.0.0/16 or 2001:db8::/32; no port, zone, space or leading zero."}
	}
	if network = plainNetwork(network); !network.IsValid() {
		return netip.Prefix{}, &FieldError{Code: "range", Detail: "A network of IPv4-mapped addresses (::ffff:0:0) has a prefix of at least 96 bits; write the IPv4 network instead, such as 10.0.0.0/8."}
	}
	return network, nil
}

// parseAddr reads a bare address: no zone, IPv4-mapped ones unmapped. Anything
// else is the zero Addr.
func parseAddr(s string) netip.Addr {
	if strings.Contains(s, "%") { // before netip would intern a stranger's zone
		return netip.Addr{}
	}
	addr, _ := netip.ParseAddr(s)
	return addr.Unmap()
}

// plainAddr unmaps addr. An address with a zone names a host on one link of one
// machine, and Unmap alone would drop the zone: it becomes the zero Addr.
func plainAddr(addr netip.Addr) netip.Addr {
	if addr.Zone() != "" {
		return netip.Addr{}
	}
	return addr.Unmap()
}

// plainNetwork masks p and unmaps an IPv4-mapped one. The zero Prefix comes
// back for an invalid p and for a mapped one wider than ::ffff:0:0/96, which
// would be part IPv4, part IPv6.
func plainNetwork(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96) // invalid below 96
	}
	return p.Masked()
}

// networks is a set of addresses: plain networks in ascending order, none
// inside another, so that one binary search finds the only candidate.
type networks []netip.Prefix

func newNetworks(plain []netip.Prefix) networks {
	sorted := slices.SortedFunc(slices.Values(plain), netip.Prefix.Compare)
	disjoint := sorted[:0]
	for _, p := range sorted { // the wider of two that overlap comes first
		if n := len(disjoint); n == 0 || !disjoint[n-1].Overlaps(p) {
			disjoint = append(disjoint, p)
		}
	}
	return slices.Clip(disjoint)
}

// contains reports whether the plain address addr is in the set; the zero Addr
// never is.
func (n networks) contains(addr netip.Addr) bool {
	after, exact := slices.BinarySearchFunc(n, addr, func(p netip.Prefix, addr netip.Addr) int {
		return p.Addr().Compare(addr)
	})
	return exact || after > 0 && n[after-1].Contains(addr)
}
