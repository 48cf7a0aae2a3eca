package latchkey_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
	"pgregory.net/rapid"
)

// The oracle of this file knows nothing of net/netip: an address is a string of
// 128 binary digits, IPv4 as ::ffff:0:0 maps it, and a network is how such a
// string begins.
var (
	oracleOctet  = `(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])`
	oracleIPv4   = regexp.MustCompile(`^` + oracleOctet + `\.` + oracleOctet + `\.` + oracleOctet + `\.` + oracleOctet + `$`)
	oracleHextet = regexp.MustCompile(`^[0-9A-Fa-f]{1,4}$`)
	oracleLength = regexp.MustCompile(`^(0|[1-9][0-9]{0,2})$`)
	oracleMapped = strings.Repeat("0", 80) + strings.Repeat("1", 16)
)

// oracleBits reads an address, or gives "".
func oracleBits(s string) string {
	if octets := oracleIPv4.FindStringSubmatch(s); octets != nil {
		bits := oracleMapped
		for _, octet := range octets[1:] {
			bits += binaryDigits(octet, 10, 8)
		}
		return bits
	}
	if colon := strings.LastIndex(s, ":"); colon >= 0 && strings.Contains(s[colon:], ".") {
		tail := oracleBits(s[colon+1:])
		if !strings.HasPrefix(tail, oracleMapped) {
			return ""
		}
		high, _ := strconv.ParseUint(tail[96:112], 2, 16)
		low, _ := strconv.ParseUint(tail[112:], 2, 16)
		s = fmt.Sprintf("%s%x:%x", s[:colon+1], high, low)
	}
	left, right, short := strings.Cut(s, "::")
	groups := func(part string) []string {
		if part == "" && short {
			return nil
		}
		return strings.Split(part, ":")
	}
	front, back := groups(left), []string(nil)
	if short {
		back = groups(right)
	}
	missing := 8 - len(front) - len(back)
	if short && missing < 1 || !short && missing != 0 {
		return ""
	}
	bits := ""
	for _, group := range slices.Concat(front, slices.Repeat([]string{"0"}, missing), back) {
		if !oracleHextet.MatchString(group) {
			return ""
		}
		bits += binaryDigits(group, 16, 16)
	}
	return bits
}

func binaryDigits(s string, base, width int) string {
	n, _ := strconv.ParseUint(s, base, width)
	return fmt.Sprintf("%0*b", width, n)
}

// oracleNetwork reads an entry: the bits with which the addresses of the network
// begin.
func oracleNetwork(entry string) (begin string, ok bool) {
	address, length, hasLength := strings.Cut(entry, "/")
	bits := oracleBits(address)
	if bits == "" || len(entry) > 64 || hasLength && !oracleLength.MatchString(length) {
		return "", false
	}
	n := 128
	if hasLength {
		n, _ = strconv.Atoi(length)
		if !strings.Contains(address, ":") {
			n += 96
		}
	}
	if n > 128 || n < 96 && strings.HasPrefix(bits, oracleMapped) {
		return "", false
	}
	return bits[:n], true
}

// oracleHolds says whether the address is in the network: IPv4 only in IPv4.
func oracleHolds(begin, bits string) bool {
	return bits != "" && strings.HasPrefix(bits, begin) && (strings.HasPrefix(bits, oracleMapped) == strings.HasPrefix(begin, oracleMapped))
}

// oracleAllows gives the verdict of a list, and the index of its first bad entry
// or -1.
func oracleAllows(entries []string, client string) (allowed bool, bad int) {
	bits := oracleBits(client)
	for i, entry := range entries {
		begin, ok := oracleNetwork(entry)
		if !ok {
			return false, i
		}
		allowed = allowed || oracleHolds(begin, bits)
	}
	return allowed || len(entries) == 0, -1
}

// addressOf is the zero Addr where s is no address at all.
func addressOf(s string) netip.Addr {
	addr, _ := netip.ParseAddr(s)
	return addr
}

func TestAddressListEntries(t *testing.T) {
	valid := []string{
		"192.0.2.1", "0.0.0.0", "255.255.255.255", "0.0.0.0/0", "10.10.3.4/16", "192.0.2.1/32",
		"::", "::/0", "::1", "2001:DB8::1", "2001:db8::1/32", "1:2:3:4:5:6:7:8", "1::8/128", "::192.0.2.1",
		"::ffff:192.0.2.1", "::ffff:10.0.0.0/104", "::ffff:0:0/96", "::FFFF:A00:1/128", "::fffe:0:0/90", "64:ff9b::192.0.2.1",
		"0000:0000:0000:0000:0000:ffff:255.255.255.255/128",
	}
	for _, entry := range valid {
		list, broken := latchkey.ParseAddressList([]string{entry})
		if broken != nil {
			t.Errorf("%q is refused: %v", entry, broken)
		} else if got := list.Entries(); !slices.Equal(got, []string{entry}) {
			t.Errorf("%q is echoed as %q", entry, got)
		} else if list.Unrestricted() {
			t.Errorf("a list with %q restricts nothing", entry)
		}
	}
	invalid := map[string]string{ // entry → rule
		"": "format", " ": "format", " 192.0.2.1": "format", "192.0.2.1 ": "format", "192.0.2.1\n": "format",
		"192.0.2": "format", "192.0.2.1.5": "format", "192.0.2.256": "format", "192.0.2.01": "format", "0x7f.0.0.1": "format", "2130706433": "format",
		"192.0.2.0/33": "format", "192.0.2.0/": "format", "192.0.2.0/-1": "format", "192.0.2.0/+8": "format", "192.0.2.0/08": "format",
		"192.0.2.0/24/24": "format", "/24": "format", "192.0.2.0/255.255.255.0": "format", "192.0.2.*": "format", "192.0.2.1-192.0.2.9": "format",
		"192.0.2.1:80": "format", "[2001:db8::1]": "format", "[2001:db8::1]:80": "format", "192.0.2.1,192.0.2.2": "format",
		"fe80::1%eth0": "format", "fe80::%eth0/64": "format", "::ffff:192.0.2.1%eth0": "format", "192.0.2.1%eth0": "format",
		"1:2:3:4:5:6:7": "format", "1:2:3:4:5:6:7:8:9": "format", "1::2::3": "format", "12345::": "format", "::/129": "format", ":::": "format",
		"localhost": "format", "unknown": "format", "*": "format", "all": "format",
		"::ffff:10.0.0.0/95": "range", "::ffff:0:0/0": "range", "::ffff:192.0.2.1/32": "range",
		strings.Repeat("1", 65): "too_long", "192.0.2.1" + strings.Repeat(" ", 56): "too_long",
	}
	for entry, rule := range invalid {
		list, broken := latchkey.ParseAddressList([]string{"192.0.2.1", "::1", entry, "junk"})
		switch {
		case broken == nil:
			t.Errorf("%q is accepted", entry)
		case broken.Code != rule || broken.Pointer != "/2":
			t.Errorf("%q: rule %q at %q, want %q at /2", entry, broken.Code, broken.Pointer, rule)
		case len(entry) > 3 && strings.Contains(broken.Detail, entry):
			t.Errorf("the refusal echoes %q", entry)
		}
		if !list.Unrestricted() || list.Entries() != nil {
			t.Errorf("%q: a refusal comes with a list", entry)
		}
	}
}

func TestAddressListBounds(t *testing.T) {
	entries := make([]string, latchkey.MaxAddresses)
	for i := range entries {
		entries[i] = fmt.Sprintf("192.0.2.%d", i)
	}
	list, broken := latchkey.ParseAddressList(entries)
	if broken != nil {
		t.Fatalf("%d entries are refused: %v", len(entries), broken)
	}
	for _, entry := range entries {
		if !list.Allows(addressOf(entry)) {
			t.Errorf("%s is not in its own list", entry)
		}
	}
	_, broken = latchkey.ParseAddressList(append(entries, "::1"))
	if broken == nil || broken.Pointer != "" || broken.Code != "too_many" || !strings.Contains(broken.Detail, "256") {
		t.Errorf("one entry too many: %+v", broken)
	}
}

func TestAddressListKeepsNilAndEmptyApart(t *testing.T) {
	var zero latchkey.AddressList
	null, _ := latchkey.ParseAddressList(nil)
	empty, _ := latchkey.ParseAddressList([]string{})
	for name, list := range map[string]latchkey.AddressList{"zero": zero, "null": null, "empty": empty} {
		if !list.Unrestricted() || len(list.Entries()) != 0 {
			t.Errorf("%s restricts", name)
		}
		for _, client := range []netip.Addr{{}, addressOf("192.0.2.1"), addressOf("fe80::1%eth0")} {
			if !list.Allows(client) {
				t.Errorf("%s refuses %v", name, client)
			}
		}
	}
	if zero.Entries() != nil || null.Entries() != nil || empty.Entries() == nil {
		t.Error("nil and empty do not come back as they were given")
	}
}

func TestAddressListIsImmutable(t *testing.T) {
	given := []string{"10.0.0.0/8", "192.0.2.1"}
	list, _ := latchkey.ParseAddressList(given)
	given[0], list.Entries()[1] = "0.0.0.0/0", "::/0"
	if got := list.Entries(); !slices.Equal(got, []string{"10.0.0.0/8", "192.0.2.1"}) {
		t.Errorf("the list became %q", got)
	}
	if list.Allows(addressOf("203.0.113.1")) {
		t.Error("a caller widened the list through a slice")
	}
}

func TestAddressListAllows(t *testing.T) {
	tests := []struct {
		entries         string
		allowed, denied string
	}{
		{"10.10.3.4/16", "10.10.0.0 10.10.255.255 ::ffff:10.10.7.7", "10.9.255.255 10.11.0.0 ::10.10.7.7"},
		{"192.0.2.1", "192.0.2.1 ::ffff:c000:201", "192.0.2.0 192.0.2.2 ::192.0.2.1 64:ff9b::192.0.2.1"},
		{"::ffff:10.0.0.0/104", "10.0.0.0 10.255.255.255 ::ffff:10.1.1.1", "11.0.0.0 9.255.255.255 ::10.0.0.1"},
		{"::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"},
		{"::ffff:0:0/96", "0.0.0.0 255.255.255.255", "::1 2001:db8::1"},
		{"0.0.0.0/0", "0.0.0.0 255.255.255.255 ::ffff:192.0.2.1", ":: ::1 2001:db8::1"},
		{"::/0", ":: ::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "0.0.0.0 192.0.2.1 ::ffff:192.0.2.1"},
		{"::fffe:0:0/90", "::fffe:0:0 ::ffee:1:1", "192.0.2.1 ::ffff:192.0.2.1"},
		{"2001:db8::/32", "2001:db8:: 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db7:ffff:: 2001:db9::"},
		{"fe80::/10", "fe80::1", "fe80::1%eth0 ::1"},
		{"fe80::1", "fe80::1", "fe80::1%eth0"},
		{"192.0.2.1 ::1", "192.0.2.1 ::1", "::ffff:192.0.2.1%eth0 ::1%lo 192.0.2.2 ::2"},
		// Nested networks, whose neighbours must not hide the wider one.
		{"10.1.0.0/16 10.0.0.0/8 10.2.0.0/16 10.1.2.3", "10.0.0.0 10.1.2.3 10.1.9.9 10.3.0.1 10.255.255.255", "11.0.0.0 9.255.255.255"},
		{"0.0.0.0/1 10.0.0.0/8 0.0.0.0/1 2001:db8::/33 2001:db8:8000::/33", "127.255.255.255 10.1.1.1 2001:db8:ffff::1", "128.0.0.0 2001:db9::"},
	}
	for _, test := range tests {
		list, broken := latchkey.ParseAddressList(strings.Fields(test.entries))
		if broken != nil {
			t.Fatalf("%s: %v", test.entries, broken)
		}
		for client := range strings.FieldsSeq(test.allowed) {
			if !list.Allows(netip.MustParseAddr(client)) {
				t.Errorf("%s refuses %s", test.entries, client)
			}
		}
		for client := range strings.FieldsSeq(test.denied) {
			if list.Allows(netip.MustParseAddr(client)) {
				t.Errorf("%s allows %s", test.entries, client)
			}
		}
		if list.Allows(netip.Addr{}) {
			t.Errorf("%s allows an undetermined client", test.entries)
		}
	}
}

// randomAddress spells addresses that meet: few bits vary, so that lists and
// clients often match and often just miss. A few do not parse.
func randomAddress(r *rand.Rand) string {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	ipv4 := pick("10", "10", "192", "127", "0", "255") + "." + pick("0", "1", "10", "128") + "." + pick("0", "2", "255") + "." + pick("0", "1", "2", "127", "128", "255")
	switch r.IntN(10) {
	case 0:
		return "::ffff:" + ipv4
	case 1:
		return "::" + ipv4
	case 2, 3, 4:
		return pick("2001:db8", "2001:DB8:0", "2001:db9", "fe80", "::ffff:a00") + pick("::", "::", ":0::", ":8000::", ":1:") + pick("", "1", "ff", "0:1")
	case 5:
		return pick("::", "::1", "::ffff:a00:1", "::fffe:a00:1", "1:2:3:4:5:6:7:8", "64:ff9b::10.0.0.1", "fe80::1%eth0", "::ffff:10.0.0.1%eth0")
	}
	return ipv4
}

func randomEntry(r *rand.Rand) string {
	entry := randomAddress(r)
	if r.IntN(3) > 0 {
		lengths := []int{0, 1, 7, 8, 8, 9, 15, 16, 24, 31, 32}
		if strings.Contains(entry, ":") || r.IntN(20) == 0 {
			lengths = []int{0, 16, 32, 33, 64, 95, 96, 104, 104, 112, 128, 129}
		}
		entry += "/" + strconv.Itoa(lengths[r.IntN(len(lengths))])
	}
	if r.IntN(20) == 0 { // a typing error
		typed := []string{"", " ", "0", ":", ".", "/", "%", "g", ",", "::"}
		at := r.IntN(len(entry) + 1)
		entry = entry[:at] + typed[r.IntN(len(typed))] + entry[min(at+r.IntN(2), len(entry)):]
	}
	return entry
}

// compareWithOracle holds a list against the oracle and says what came out.
func compareWithOracle(t *testing.T, entries []string, client string) string {
	t.Helper()
	allowed, bad := oracleAllows(entries, client)
	list, broken := latchkey.ParseAddressList(entries)
	if (broken != nil) != (bad >= 0) || broken != nil && broken.Pointer != "/"+strconv.Itoa(bad) {
		t.Fatalf("%q: refused with %+v, the oracle refuses entry %d", entries, broken, bad)
	}
	if broken != nil {
		return "refused"
	}
	if got := list.Allows(addressOf(client)); got != allowed {
		t.Fatalf("%q: Allows(%s) = %t, the oracle says %t", entries, client, got, allowed)
	}
	if !slices.Equal(list.Entries(), entries) {
		t.Fatalf("%q is echoed as %q", entries, list.Entries())
	}
	return strconv.FormatBool(allowed)
}

func TestAddressListEqualsOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	outcomes := map[string]int{}
	for range 5_000 {
		entries := make([]string, 1+r.IntN(4))
		for i := range entries {
			entries[i] = randomEntry(r)
		}
		outcomes[compareWithOracle(t, entries, randomAddress(r))]++
	}
	for _, outcome := range []string{"true", "false", "refused"} {
		if outcomes[outcome] < 300 {
			t.Errorf("the cases are lopsided: %v", outcomes)
		}
	}
}

// drawNetworks draws entries that parse.
func drawNetworks(t *rapid.T, label string) []string {
	entry := rapid.Custom(func(t *rapid.T) string {
		addr := drawAddr(t, "address")
		return netip.PrefixFrom(addr, rapid.IntRange(0, addr.BitLen()).Draw(t, "length")).String()
	})
	return rapid.SliceOfN(entry, 1, 8).Draw(t, label)
}

// drawAddr draws an unmapped IPv4 or IPv6 address from narrow ranges.
func drawAddr(t *rapid.T, label string) netip.Addr {
	b := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 0x7f, 0x80, 0xff}), 4, 4).Draw(t, label)
	if rapid.Bool().Draw(t, "IPv4") {
		return netip.AddrFrom4([4]byte(b))
	}
	return netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: b[0], 3: b[1], 14: b[2], 15: b[3]})
}

func mustParseList(t interface{ Fatalf(string, ...any) }, entries []string) latchkey.AddressList {
	list, broken := latchkey.ParseAddressList(entries)
	if broken != nil {
		t.Fatalf("%q: %+v", entries, broken)
	}
	return list
}

func TestAddressListLaws(t *testing.T) {
	t.Run("a list allows what one of its halves allows, in any order", rapid.MakeCheck(func(t *rapid.T) {
		one, other := drawNetworks(t, "one"), drawNetworks(t, "other")
		addr := drawAddr(t, "client")
		want := mustParseList(t, one).Allows(addr) || mustParseList(t, other).Allows(addr)
		both := rapid.Permutation(slices.Concat(one, other, one)).Draw(t, "both")
		if mustParseList(t, both).Allows(addr) != want {
			t.Fatalf("%q disagrees about %v with its parts", both, addr)
		}
	}))
	t.Run("an address is in each network written with it", rapid.MakeCheck(func(t *rapid.T) {
		addr := drawAddr(t, "client")
		network := netip.PrefixFrom(addr, rapid.IntRange(0, addr.BitLen()).Draw(t, "length"))
		if !mustParseList(t, []string{network.String()}).Allows(addr) {
			t.Fatalf("%v is not in %v", addr, network)
		}
	}))
	t.Run("mapped and unmapped are one", rapid.MakeCheck(func(t *rapid.T) {
		entries, addr := drawNetworks(t, "entries"), drawAddr(t, "client")
		mapped := slices.Clone(entries)
		for i, entry := range entries {
			if p := netip.MustParsePrefix(entry); p.Addr().Is4() {
				mapped[i] = fmt.Sprintf("::ffff:%v/%d", p.Addr(), p.Bits()+96)
			}
		}
		want := mustParseList(t, entries).Allows(addr)
		for _, list := range [][]string{entries, mapped} {
			if got := mustParseList(t, list).Allows(netip.AddrFrom16(addr.As16())); got != want {
				t.Fatalf("%q about %v: %t mapped, %t unmapped", list, addr, got, want)
			}
		}
	}))
}

func FuzzAddressList(f *testing.F) {
	f.Add("10.10.3.4/16\n2001:db8::/32", "10.10.255.255")
	f.Add("::ffff:10.0.0.0/104", "::ffff:10.1.2.3")
	f.Add("10.1.0.0/16\n10.0.0.0/8\n10.2.0.0/16", "10.3.0.1")
	f.Add("::/0\n::ffff:0:0/95", "192.0.2.1")
	f.Add("fe80::/10", "fe80::1%eth0")
	f.Add("1::2::3\n192.0.2.01/+8", "::1.2.3.4")
	f.Fuzz(func(t *testing.T, text, client string) {
		if entries := strings.Split(text, "\n"); len(entries) <= latchkey.MaxAddresses {
			compareWithOracle(t, entries, client)
		}
	})
}

// fullList has as many entries as a list may have, none of which joins another.
func fullList(t testing.TB) latchkey.AddressList {
	entries := make([]string, latchkey.MaxAddresses)
	for i := range entries {
		entries[i] = fmt.Sprintf("10.%d.0.0/16", i)
		if i%2 == 1 {
			entries[i] = fmt.Sprintf("2001:db8:%x::/48", i)
		}
	}
	return mustParseList(t, entries)
}

func TestAddressListAllowsWithoutAllocating(t *testing.T) {
	list := fullList(t)
	for _, client := range []string{"10.254.3.4", "11.0.0.1", "::ffff:10.0.0.1", "2001:db8:ff::1", "fe80::1%eth0", "junk"} {
		addr := addressOf(client)
		if n := testing.AllocsPerRun(100, func() { list.Allows(addr) }); n != 0 {
			t.Errorf("Allows(%s) allocates %v times", client, n)
		}
	}
}

func BenchmarkAddressListAllows(b *testing.B) {
	one := mustParseList(b, []string{"10.10.3.4/16"})
	for name, list := range map[string]latchkey.AddressList{"1": one, "256": fullList(b)} {
		for _, client := range []string{"10.10.3.4", "203.0.113.1", "::ffff:10.10.3.4", "2001:db8:ff::1"} {
			addr := netip.MustParseAddr(client)
			b.Run(name+"/"+client, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					list.Allows(addr)
				}
			})
		}
	}
}
