package verify

import (
	"encoding/binary"
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

const useShift = 64 - 6 // the first bits of a hash tell the shard

// useTable is rows, and where they are. Rows are made in blocks, so that growing
// copies nothing.
type useTable struct {
	find    table
	blocks  []*[useBlock]useRow
	count   int              // rows
	sources map[useKey]uint8 // by a key without a source: how many sources it has
}

const useBlock = 32

func (t *useTable) at(number uint32) *useRow { return &t.blocks[number/useBlock][number%useBlock] }

// useKey is what tells rows apart.
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
)

// useRow counts the verdicts of one key. What changes with each of them comes
// first.
type useRow struct {
	useKey

	count   uint32
	last    int64    // Unix milliseconds
	address [16]byte // of the last of them
	told    uint8    // its kind
	agent   uint8    // bytes of it
	text    [latchkey.MaxAgentLen]byte
	key     latchkey.ID
}

func newUses() *uses {
	u := &uses{codes: latchkey.Codes(), full: make(chan struct{}, 1)}
	for i := range u.shards {
		u.shards[i].useTable = newUseTable()
	}
	return u
}

func newUseTable() *useTable { return &useTable{sources: map[useKey]uint8{}} }

const hourMillis = int64(time.Hour / time.Millisecond)

// use is what is to be counted of a question, but for its outcome.
type use struct {
	useKey

	hash    uint64 // of the kid
	at      int64  // Unix milliseconds
	address [16]byte
	told    uint8 // the address's kind
}

// asked begins to count a question about a secret; false for what is none.
func asked(kid latchkey.KID, from netip.Addr, now time.Time) (a use, ok bool) {
	packed, ok := packKID(kid)
	if !ok {
		return a, false
	}
	return askedOf(packed, packed.hash(), from, now), true
}

func askedOf(kid packedKID, hash uint64, from netip.Addr, now time.Time) (a use) {
	a.kid, a.hash, a.at = kid, hash, now.UnixMilli()
	a.hour = uint32(a.at / hourMillis) //nolint:gosec // hours fit until the year 490,000
	a.address, a.told = packAddress(from)
	a.setSource(a.address, a.told)
	return a
}

// begin asks for the memory where the search for a row begins.
func (u *uses) begin(a *use) {
	s := &u.shards[a.hash>>useShift]
	s.Lock()
	defer s.Unlock()
	s.find.expect(a.useKey.hash(a.hash))
}

// expect asks for the memory of the row in which the use will most likely be counted.
func (u *uses) expect(a *use) {
	s := &u.shards[a.hash>>useShift]
	s.Lock()
	defer s.Unlock()
	if number, _, ok := s.find.guess(a.useKey.hash(a.hash)); ok {
		row := s.at(number)
		comes(row)
		comes(&row.agent)
	}
}

// count counts a verdict on a key whose digest matched.
func (u *uses) count(id *Identity, code latchkey.Code, from netip.Addr, agent string, now time.Time) {
	if a, ok := asked(id.KID, from, now); ok {
		u.end(&a, id.KeyID, code, agent)
	}
}

// end counts how a question ended.
func (u *uses) end(a *use, key latchkey.ID, code latchkey.Code, agent string) {
	a.code = uint16(slices.Index(u.codes, code)) //nolint:gosec // codes are a closed set
	s := &u.shards[a.hash>>useShift]
	s.Lock()
	defer s.Unlock()
	row := s.row(a)
	if row == nil {
		u.lost.Add(1)
		return
	}
	if row.count++; row.count == 1 {
		row.key = key
	}
	if a.at >= row.last {
		row.last, row.address, row.told = a.at, a.address, a.told
		row.agent = uint8(copy(row.text[:], agent)) //nolint:gosec // MaxAgentLen is below 256
	}
	if s.useTable.count > shardRows/2 {
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

// hash spreads rows: those of one secret, with the hash of its kid, by their hour,
// code and source.
func (k *useKey) hash(kid uint64) uint64 {
	h := binary.LittleEndian.Uint64(k.source[:8])*0x9e3779b97f4a7c15 ^ binary.LittleEndian.Uint64(k.source[8:])*0xc2b2ae3d27d4eb4f
	h ^= (uint64(k.hour)<<32 | uint64(k.code)<<16 | uint64(k.kind)) * 0xd6e8feb86659fd93
	return kid ^ h ^ h>>32
}

// row finds a row or makes it; nil where there is no room. Beyond
// latchkey.MaxSources, sources have one row together.
func (t *useTable) row(a *use) *useRow {
	if row := t.known(a); row != nil {
		return row
	}
	counted := a.kind == source4 || a.kind == source6
	head := a.useKey
	head.source, head.kind = [16]byte{}, 0
	if counted && t.sources[head] >= latchkey.MaxSources {
		a.useKey, counted = head, false
		a.kind = sourceOthers
		if row := t.known(a); row != nil {
			return row
		}
	}
	if t.count == shardRows {
		return nil
	}
	if counted {
		t.sources[head]++
	}
	return t.make(a)
}

// known finds a row that is there; else nil.
func (t *useTable) known(a *use) *useRow {
	number, ok := t.find.find(a.useKey.hash(a.hash), func(number uint32) bool { return t.at(number).useKey == a.useKey })
	if !ok {
		return nil
	}
	return t.at(number)
}

func (t *useTable) make(a *use) *useRow {
	if t.count == useBlock*len(t.blocks) {
		t.blocks = append(t.blocks, new([useBlock]useRow))
	}
	number := uint32(t.count) //nolint:gosec // below shardRows
	t.count++
	t.find.add(a.useKey.hash(a.hash), number, 0)
	row := t.at(number)
	*row = useRow{useKey: a.useKey}
	return row
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
	if len(t.blocks) > 1 && useBlock*len(t.blocks) > 4*t.count {
		*t = *newUseTable()
		return
	}
	clear(t.sources)
	t.find.reset()
	t.count = 0
}

// spell spells a row for the store.
func (u *uses) spell(r *useRow) store.Use {
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
