package verify

import (
	"math/bits"
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
	mu        sync.Mutex
	mapped    *mapped
	count     int      // of stretches
	rest      uint32   // the first frame of the last stretch that was never handed out
	end       uint32   // the frame behind the last stretch
	free      []uint32 // frames that were handed out once, and are empty
	stretches [maxStretches]unsafe.Pointer
}

// frame is the unit, in bytes. Frames have numbers, from which their place is
// calculated: a list of places would be one more thing that has to come from memory
// before an entry does.
const frame = 8192

// Stretches are mapped ahead of use. What was never written takes no memory, save
// for the rest of a large page.
const (
	firstFrames  = 2 << 20 / frame
	growths      = 5                              // each to the double of the one before
	grownFrames  = firstFrames << growths         // of every stretch from then on
	beforeGrown  = firstFrames * (1<<growths - 1) // frames in the stretches before
	maxStretches = 4096                           // of 64 MB
)

// stretchFrames is how many frames a stretch has.
func stretchFrames(n int) uint32 { return firstFrames << min(n, growths) }

// mapped is what the system was asked for.
type mapped struct{ stretches [][]byte }

func newArena() *arena {
	a := &arena{mapped: &mapped{}}
	runtime.AddCleanup(a, func(m *mapped) { m.release() }, a.mapped)
	return a
}

// at is where a frame begins. It takes no lock: whoever knows a frame's number knows
// of its stretch.
func (a *arena) at(number uint32) unsafe.Pointer {
	var n int
	var first uint32
	if number < beforeGrown {
		n = bits.Len32(number/firstFrames+1) - 1
		first = firstFrames * (1<<n - 1)
	} else {
		n = int((number-beforeGrown)/grownFrames) + growths
		first = number - (number-beforeGrown)%grownFrames
	}
	return unsafe.Add(a.stretches[n], int(number-first)*frame)
}

// take gives so many frames in a row, all zero, and the number of the first.
func (a *arena) take(frames uint32) (first uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.free); frames == 1 && n > 0 {
		first, a.free = a.free[n-1], a.free[:n-1]
		return first
	}
	for a.end-a.rest < frames {
		for ; a.rest < a.end; a.rest++ {
			a.free = append(a.free, a.rest)
		}
		more := stretchFrames(a.count)
		a.stretches[a.count] = unsafe.Pointer(unsafe.SliceData(a.mapped.stretch(int(more) * frame))) //nolint:gosec // frames have no pointers, and begin where any type may
		a.count++
		a.end += more
	}
	first = a.rest
	a.rest += frames
	return first
}

// numberOf is the number of the frame that begins there.
func (a *arena) numberOf(p unsafe.Pointer) (number uint32) {
	for n := range a.count {
		if ahead := uintptr(p) - uintptr(a.stretches[n]); ahead < uintptr(stretchFrames(n))*frame {
			return number + uint32(ahead/frame) //nolint:gosec // below the frames of the stretch
		}
		number += stretchFrames(n)
	}
	panic("verify: memory is given back that was not taken")
}

// slots makes a table's slots; small ones, those of no arena and those that no
// stretch has room for are on the heap.
func (a *arena) slots(count int) []uint64 {
	if !a.holds(count) {
		return make([]uint64, count)
	}
	return unsafe.Slice((*uint64)(a.at(a.take(uint32(8*count/frame)))), count) //nolint:gosec // as many bytes as were taken
}

func (a *arena) holds(slots int) bool {
	return a != nil && 8*slots >= frame && 8*slots <= grownFrames*frame
}

// giveSlots takes back what slots made, which nobody looks at any more.
func (a *arena) giveSlots(slots []uint64) {
	if !a.holds(len(slots)) {
		return
	}
	clear(slots)
	a.mu.Lock()
	defer a.mu.Unlock()
	first := a.numberOf(unsafe.Pointer(unsafe.SliceData(slots))) //nolint:gosec // the place is looked at
	for n := range uint32(8 * len(slots) / frame) {              //nolint:gosec // as slots took
		a.free = append(a.free, first+n)
	}
}
