package verify

// table finds entries by their kids: open addressing with linear probing over
// numbers alone, so that the garbage collector has nothing to look at. A slot is
// 0, or a tag of the hash and the entry's number.
type table struct {
	slots []uint64 // their count is a power of two, and at most three quarters are taken
	taken int
}

const (
	tagShift = 40
	tagMask  = 1<<64 - 1<<tagShift
)

// tag is the part of a hash that slots keep; places come from the lower bits and
// shards from the highest ones.
func tag(hash uint64) uint64 { return hash << 16 & tagMask }

// find gives the number of the entry that is the one looked for.
func (t *table) find(hash uint64, is func(number uint32) bool) (number uint32, ok bool) {
	if len(t.slots) == 0 {
		return 0, false
	}
	mask := uint64(len(t.slots) - 1) //nolint:gosec // a table that is searched has slots
	for at := hash & mask; t.slots[at] != 0; at = (at + 1) & mask {
		if slot := t.slots[at]; slot&tagMask == tag(hash) {
			if number = numberIn(slot); is(number) {
				return number, true
			}
		}
	}
	return 0, false
}

func numberIn(slot uint64) uint32 { return uint32(slot&^tagMask) - 1 } //nolint:gosec // as add wrote it

// add takes up an entry that is not there. hashOf gives the hash of any entry.
func (t *table) add(hash uint64, number uint32, hashOf func(number uint32) uint64) {
	if 4*(t.taken+1) > 3*len(t.slots) {
		old := t.slots
		t.slots = make([]uint64, max(8, 2*len(old)))
		for _, slot := range old {
			if slot != 0 {
				t.put(hashOf(numberIn(slot)), slot)
			}
		}
	}
	t.put(hash, tag(hash)|(uint64(number)+1))
	t.taken++
}

func (t *table) put(hash, slot uint64) {
	mask := uint64(len(t.slots) - 1) //nolint:gosec // a table that is searched has slots
	at := hash & mask
	for t.slots[at] != 0 {
		at = (at + 1) & mask
	}
	t.slots[at] = slot
}

// remove takes an entry out, and moves those behind it up to where a search
// finds them.
func (t *table) remove(hash uint64, number uint32, hashOf func(number uint32) uint64) {
	mask := uint64(len(t.slots) - 1) //nolint:gosec // a table that is searched has slots
	at := hash & mask
	for t.slots[at] != tag(hash)|(uint64(number)+1) {
		at = (at + 1) & mask
	}
	for next := (at + 1) & mask; t.slots[next] != 0; next = (next + 1) & mask {
		home := hashOf(numberIn(t.slots[next])) & mask
		if (next-home)&mask >= (next-at)&mask {
			t.slots[at] = t.slots[next]
			at = next
		}
	}
	t.slots[at] = 0
	t.taken--
}
