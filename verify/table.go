package verify

import (
	"math/bits"
	"unsafe"
)

// table finds numbered things by a hash: open addressing with linear probing over
// numbers alone, so that the garbage collector has nothing to look at. A slot is 0,
// or a tag of 24 bits of the hash, a hint of 8 and the number of the thing plus 1.
// The place of a slot is told by the first bits of its tag, so a table grows without
// a look at the things.
type table struct {
	slots []uint64 // their count is a power of two, and at most three quarters are taken
	taken int
	from  *arena // where large ones are; nil: the heap
}

const (
	tagShift  = 40
	tagMask   = 1<<64 - 1<<tagShift
	hintShift = 32
)

// tag is the part of a hash that slots keep. Shards come from the highest bits.
func tag(hash uint64) uint64 { return hash << 16 & tagMask }

// home is where a slot with that tag would be if no other was there.
func (t *table) home(tag uint64) int {
	return int(tag >> (64 - bits.Len(uint(len(t.slots)-1)))) //nolint:gosec // below the count of slots
}

func (t *table) after(at int) int { return (at + 1) & (len(t.slots) - 1) }

// find gives the number of the thing that is the one looked for.
func (t *table) find(hash uint64, is func(number uint32) bool) (number uint32, ok bool) {
	if len(t.slots) == 0 {
		return 0, false
	}
	for at := t.home(tag(hash)); t.slots[at] != 0; at = t.after(at) {
		if slot := t.slots[at]; slot&tagMask == tag(hash) {
			if number = numberIn(slot); is(number) {
				return number, true
			}
		}
	}
	return 0, false
}

// guess gives what is most likely the thing looked for, and its hint, without a
// look at it.
func (t *table) guess(hash uint64) (number uint32, hint uint8, ok bool) {
	if len(t.slots) == 0 {
		return 0, 0, false
	}
	for at := t.home(tag(hash)); t.slots[at] != 0; at = t.after(at) {
		if slot := t.slots[at]; slot&tagMask == tag(hash) {
			return numberIn(slot), uint8(slot >> hintShift), true //nolint:gosec // the lower byte
		}
	}
	return 0, 0, false
}

func numberIn(slot uint64) uint32 { return uint32(slot) - 1 } //nolint:gosec // as add wrote it

func slotOf(hash uint64, number uint32, hint uint8) uint64 {
	return tag(hash) | uint64(hint)<<hintShift | uint64(number+1)
}

// reserve makes room in an empty table for so many things, if they are many.
func (t *table) reserve(things int) {
	if count := 1 << bits.Len(uint(things+things/3)); 8*count >= frame {
		t.slots = t.from.slots(count)
	}
}

// expect asks for the memory where a search for that hash begins.
func (t *table) expect(hash uint64) {
	if len(t.slots) > 0 {
		comes(&t.slots[t.home(tag(hash))])
	}
}

// add takes up a thing that is not there.
func (t *table) add(hash uint64, number uint32, hint uint8) {
	if 4*(t.taken+1) > 3*len(t.slots) {
		old := t.slots
		t.slots = t.from.slots(max(8, 2*len(old)))
		for _, slot := range old {
			if slot != 0 {
				t.put(slot)
			}
		}
		t.from.giveSlots(old)
	}
	t.put(slotOf(hash, number, hint))
	t.taken++
}

func (t *table) put(slot uint64) {
	at := t.home(slot)
	for t.slots[at] != 0 {
		at = t.after(at)
	}
	t.slots[at] = slot
}

// place is where the slot of a thing that is there is.
func (t *table) place(hash uint64, number uint32) int {
	at := t.home(tag(hash))
	for t.slots[at]&^(0xff<<hintShift) != slotOf(hash, number, 0) {
		at = t.after(at)
	}
	return at
}

// suggest gives a thing that is there another hint.
func (t *table) suggest(hash uint64, number uint32, hint uint8) {
	t.slots[t.place(hash, number)] = slotOf(hash, number, hint)
}

// remove takes a thing out, and moves those behind it up to where a search finds
// them.
func (t *table) remove(hash uint64, number uint32) {
	mask := len(t.slots) - 1
	at := t.place(hash, number)
	for next := t.after(at); t.slots[next] != 0; next = t.after(next) {
		if (next-t.home(t.slots[next]))&mask >= (next-at)&mask {
			t.slots[at] = t.slots[next]
			at = next
		}
	}
	t.slots[at] = 0
	t.taken--
}

// reset takes everything out.
func (t *table) reset() {
	clear(t.slots)
	t.taken = 0
}

func (t *table) size() int { return int(unsafe.Sizeof(uint64(0))) * len(t.slots) }
