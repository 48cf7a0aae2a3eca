package verify

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// uses counts verdicts on keys whose digest matched, until they are written. To
// count takes one lock of 64 and allocates nothing, but where a table grows; there
// is no pointer in it, so the garbage collector has nothing to look at. It is
// bounded: beyond its bounds a verdict is not counted but as lost.
type uses struct {
	codes  []latchkey.Code // by number
	shards [64]useShard
	lost   atomic.Int64
	full   chan struct{} // capacity 1: a shard has half of what it may have
}

// shardRows bounds the rows of a shard.
const shardRows = 2048

// useShard has the rows of some secrets.
type useShard struct {
	sync.Mutex

	*useTable
	_ [48]byte
}

// useTable is rows, and where they are.
type useTable struct {
	at   map[useKey]uint32 // the row's place; of a head, how many sources it has
	rows []useRow
}

// useKey is what tells rows apart. There is no gap in it, so that it is hashed as
// a whole.
type useKey struct {
	kid    packedKID
	source [16]byte
	hour   uint32 // since the epoch
	code   uint16
	kind   uint16 // of the source
}

// The kinds of sources.
const (
	sourceUnknown = iota
	source4
	source6
	sourceOthers
	sourceHead // no source: the count of them
)

// useRow counts the verdicts of one key.
type useRow struct {
	useKey

	key     latchkey.ID
	count   uint32
	last    int64    // Unix milliseconds
	address [16]byte // of the last of them
	told    uint8    // its kind
	agent   uint8    // bytes of it
	text    [latchkey.MaxAgentLen]byte
}

func newUses() *uses {
	u := &uses{codes: latchkey.Codes(), full: make(chan struct{}, 1)}
	for i := range u.shards {
		u.shards[i].useTable = newUseTable()
	}
	return u
}

func newUseTable() *useTable { return &useTable{at: map[useKey]uint32{}} }

const hourMillis = int64(time.Hour / time.Millisecond)

// count counts a verdict on a key whose digest matched.
func (u *uses) count(id *Identity, code latchkey.Code, from netip.Addr, agent string, now time.Time) {
	kid, ok := packKID(id.KID)
	if !ok {
		return
	}
	at := now.UnixMilli()
	k := useKey{kid: kid, hour: uint32(at / hourMillis), code: uint16(slices.Index(u.codes, code))} //nolint:gosec // codes are a closed set, and hours fit until the year 490,000
	address, kind := packAddress(from)
	k.setSource(address, kind)
	s := &u.shards[kid.hash()%uint64(len(u.shards))]
	s.Lock()
	defer s.Unlock()
	row := s.row(k)
	if row == nil {
		u.lost.Add(1)
		return
	}
	row.key = id.KeyID
	row.count++
	if at >= row.last {
		row.last, row.address, row.told = at, address, kind
		row.agent = uint8(copy(row.text[:], agent)) //nolint:gosec // MaxAgentLen is below 256
	}
	if len(s.rows) > shardRows/2 {
		select {
		case u.full <- struct{}{}:
		default:
		}
	}
}

func packAddress(a netip.Addr) (packed [16]byte, kind uint8) {
	switch a = a.Unmap(); {
	case a.Is4():
		return a.As16(), source4
	case a.Is6():
		return a.As16(), source6
	}
	return packed, sourceUnknown
}

func unpackAddress(packed [16]byte, kind uint8) netip.Addr {
	switch kind {
	case source4:
		return netip.AddrFrom16(packed).Unmap()
	case source6:
		return netip.AddrFrom16(packed)
	}
	return netip.Addr{}
}

// setSource keeps of an address what is counted by: see latchkey.SourceOf.
func (k *useKey) setSource(address [16]byte, kind uint8) {
	k.source, k.kind = address, uint16(kind)
	if kind == source6 {
		clear(k.source[8:])
	}
}

// row finds a row or makes it; nil where there is no room. Beyond
// latchkey.MaxSources, sources have one row together.
func (t *useTable) row(k useKey) *useRow {
	if at, ok := t.at[k]; ok {
		return &t.rows[at]
	}
	head := k
	head.source, head.kind = [16]byte{}, sourceHead
	counted := k.kind == source4 || k.kind == source6
	if counted && t.at[head] >= latchkey.MaxSources {
		k.source, k.kind, counted = [16]byte{}, sourceOthers, false
		if at, ok := t.at[k]; ok {
			return &t.rows[at]
		}
	}
	if len(t.rows) == shardRows {
		return nil
	}
	if counted {
		t.at[head]++
	}
	t.at[k] = uint32(len(t.rows)) //nolint:gosec // below shardRows
	t.rows = append(t.rows, useRow{useKey: k})
	return &t.rows[len(t.rows)-1]
}

// swap takes a shard's rows and leaves it empty ones.
func (s *useShard) swap(empty *useTable) *useTable {
	s.Lock()
	defer s.Unlock()
	taken := s.useTable
	s.useTable = empty
	return taken
}

// empty makes a table ready for others. One that was large once gives its memory
// back when it is not so any more.
func (t *useTable) empty() {
	if cap(t.rows) > 64 && cap(t.rows) > 4*len(t.rows) {
		*t = *newUseTable()
		return
	}
	clear(t.at)
	t.rows = t.rows[:0]
}

// use spells a row for the store.
func (u *uses) use(r *useRow) store.Use {
	return store.Use{
		Key: r.key, KID: r.kid.KID(), Address: unpackAddress(r.address, r.told), Agent: spellAgent(string(r.text[:r.agent])),
		Tally: latchkey.Tally{Code: u.codes[r.code], Source: r.spellSource(), Count: int64(r.count), Last: time.UnixMilli(r.last)},
	}
}

func (k *useKey) spellSource() string {
	if k.kind == sourceOthers {
		return latchkey.SourceOthers
	}
	return latchkey.SourceOf(unpackAddress(k.source, uint8(k.kind))) //nolint:gosec // one of the kinds
}

// spellAgent makes a text of what a client called itself: whole characters, and
// none that control anything.
func spellAgent(text string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
}
