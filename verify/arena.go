package verify

import (
	"runtime"
	"sync"
	"unsafe"
)

// arena is memory for what an index has of each key: frames of 8 KiB, which are
// handed out one by one or several in a row. There is no pointer in any of them. On
// Linux they are of the machine's large pages where it has such, so that a look at a
// random key takes one look at the page tables less, or two; and the garbage
// collector knows nothing of them. An arena that nobody refers to any more gives its
// memory back.
type arena struct {
	mu     sync.Mutex
	mapped *mapped
	rest   []byte       // of the last stretch
	free   []*frameData // that were handed out once, and are empty
}

// frame is the unit, in bytes.
const frame = 8192

type frameData [frame]byte

// Stretches are mapped ahead of use. What was never written takes no memory, save
// for the rest of a large page.
const (
	firstStretch = 2 << 20
	growths      = 5 // each to the double of the one before
)

// mapped is what the system was asked for.
type mapped struct{ stretches [][]byte }

func newArena() *arena {
	a := &arena{mapped: &mapped{}}
	runtime.AddCleanup(a, func(m *mapped) { m.release() }, a.mapped)
	return a
}

// take gives that many bytes in a row, all zero: a multiple of a frame.
func (a *arena) take(bytes int) unsafe.Pointer {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.free); bytes == frame && n > 0 {
		f := a.free[n-1]
		a.free = a.free[:n-1]
		return unsafe.Pointer(f) //nolint:gosec // a whole frame, which nobody else has
	}
	if len(a.rest) < bytes {
		a.giveLocked(a.rest)
		stretch := firstStretch << min(len(a.mapped.stretches), growths)
		for stretch < bytes {
			stretch *= 2
		}
		a.rest = a.mapped.stretch(stretch)
	}
	taken := a.rest[:bytes]
	a.rest = a.rest[bytes:]
	return unsafe.Pointer(unsafe.SliceData(taken)) //nolint:gosec // frames have no pointers, and begin where any type may
}

// give takes frames back, which nobody looks at any more and which are zero.
func (a *arena) give(memory []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.giveLocked(memory)
}

func (a *arena) giveLocked(memory []byte) {
	for ; len(memory) >= frame; memory = memory[frame:] {
		a.free = append(a.free, (*frameData)(memory))
	}
}

// slots makes a table's slots; small ones, and those of no arena, are on the heap.
func (a *arena) slots(count int) []uint64 {
	if a == nil || 8*count < frame {
		return make([]uint64, count)
	}
	return unsafe.Slice((*uint64)(a.take(8*count)), count) //nolint:gosec // as many bytes as were taken
}

// giveSlots takes back what slots made.
func (a *arena) giveSlots(slots []uint64) {
	if a == nil || 8*len(slots) < frame {
		return
	}
	clear(slots)
	a.give(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(slots))), 8*len(slots))) //nolint:gosec // the bytes that slots took
}
