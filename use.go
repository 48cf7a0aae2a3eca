package latchkey

import (
	"net/netip"
	"time"
)

// Use is when, from where and by which program a secret was last used.
type Use struct {
	At      time.Time  // zero: never, or not yet written
	Address netip.Addr // the zero value could not be told
	Agent   string     // what the client program calls itself; "" if it does not
}

// Bounds on what is kept of uses.
const (
	MaxAgentLen = 96 // bytes of a client program's name
	MaxSources  = 8  // for each key, hour and code; the others are counted as one
)

// SourceOthers is where uses came from beyond MaxSources.
const SourceOthers = "other"

// SourceOf is the part of an address by which uses are counted: an IPv4 address,
// or the /64 of an IPv6 one, which is what one customer of a provider has (RFC
// 6177); "" for one that could not be told.
func SourceOf(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if !a.Is6() {
		return Use{Address: a}.From()
	}
	p, err := a.Prefix(64)
	if err != nil {
		return ""
	}
	return p.String()
}

// From is the address as text; "" for one that could not be told.
func (u Use) From() string {
	if !u.Address.IsValid() {
		return ""
	}
	return u.Address.String()
}

// Tally counts the verdicts with one code on one key, within an hour and from
// one source. Those that came before the digest matched are in none.
type Tally struct {
	Hour   time.Time // in UTC, when it began
	Code   Code
	Source string // see SourceOf; or SourceOthers
	Count  int64
	Last   time.Time
}
