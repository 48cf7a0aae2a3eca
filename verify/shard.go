package verify

import (
	"encoding/binary"
	"slices"
	"sync"
	"unsafe"

	"latchkey.dev/latchkey"
)

// entry is one secret: 88 bytes, and no pointer.
type entry struct {
	keyExpires    int64 // Unix milliseconds; 0: never
	secretExpires int64
	group         uint32 // what its key has in common with others; 0: this entry is free
	text          uint32 // where the partner and the metadata are; 0: there are none
	sibling       uint32 // the next secret of the same key, in a ring
	pepper        uint16
	flags         uint8
	siblingShard  uint8
	kid           packedKID
	key           latchkey.ID
	digest        [32]byte
}

// The flags of an entry.
const (
	flagEnabled = 1 << iota
	flagRevoked
	flagForeign // an imported digest
	flagMaySign
	flagMustSign
)

// hint is what a slot of the table says of the secret: under which version of the
// ring its digest is, and whether it was imported. It lets a verification calculate
// while the entry comes from memory; what is compared is the entry.
func (e *entry) hint() uint8 {
	hint := uint8(e.pepper) & hintVersion //nolint:gosec // rings have at most a hundred versions
	if e.flags&flagForeign != 0 {
		hint |= hintForeign
	}
	return hint
}

const (
	hintForeign = 0x80
	hintVersion = 0x7f
)

// begin asks for the memory where a search for that hash begins.
func (s *shard) begin(hash uint64) {
	s.RLock()
	defer s.RUnlock()
	s.byKID.expect(hash)
}

// expect asks for the memory of what is most likely the entry with that hash, and
// gives its number and hint.
func (s *shard) expect(hash uint64) (number uint32, hint uint8, ok bool) {
	s.RLock()
	defer s.RUnlock()
	if number, hint, ok = s.byKID.guess(hash); !ok {
		return 0, 0, false
	}
	e := s.at(number)
	comes(e)
	comes(&e.key)
	comes(&e.digest[len(e.digest)-1])
	return number, hint, true
}

// is reports whether that is the number of the entry with that kid. It was the
// number of an entry of the shard once, which may be free now.
func (s *shard) is(number uint32, kid packedKID) bool {
	e := s.at(number)
	return e.kid == kid && e.group != 0
}

// place is where an entry is.
type place struct {
	shard  uint8
	number uint32
}

// Entries and texts are kept in pieces of about a page or two, so that growing
// copies nothing and wastes little.
const (
	frameEntries = 93
	blockText    = 4096
	textShift    = 12 // of the block's number in a place of text
)

// shard is a part of the index with a lock of its own.
type shard struct {
	sync.RWMutex

	byKID  table
	frames []uint32 // where entries are
	count  uint32   // entries that were ever there, free ones included
	free   []uint32 // entries to use again
	texts  [][]byte
	text   int // bytes of text
	waste  int // of them no longer used
	_      [24]byte
}

// at is the entry with a number: that of its frame, and then its place in it.
func (s *shard) at(number uint32) *entry {
	return &(*[frameEntries]entry)(s.byKID.from.at(number / frameEntries))[number%frameEntries]
}

// number is that of the shard's nth entry.
func (s *shard) number(n uint32) uint32 {
	return s.frames[n/frameEntries]*frameEntries + n%frameEntries
}

func (s *shard) find(kid packedKID, hash uint64) (uint32, bool) {
	return s.byKID.find(hash, func(number uint32) bool { return s.at(number).kid == kid })
}

// put writes an entry, in place of the one with its kid if there is one, and
// returns its number and what was there before. Until it is linked to others it is
// its own sibling. text is what keepText keeps.
func (s *shard) put(e *entry, text []byte) (number uint32, before entry) {
	s.Lock()
	defer s.Unlock()
	return s.putLocked(e, text)
}

func (s *shard) putLocked(e *entry, text []byte) (number uint32, before entry) {
	hash := e.kid.hash()
	number, found := s.find(e.kid, hash)
	if found {
		before = *s.at(number)
		s.dropText(before.text)
	} else {
		number = s.room()
	}
	e.text, e.sibling = s.keepText(text), number
	*s.at(number) = *e
	if found {
		s.byKID.suggest(hash, number, e.hint())
	} else {
		s.byKID.add(hash, number, e.hint())
	}
	return number, before
}

func (s *shard) room() uint32 {
	if n := len(s.free); n > 0 {
		number := s.free[n-1]
		s.free = s.free[:n-1]
		return number
	}
	if s.count%frameEntries == 0 {
		s.frames = append(s.frames, s.byKID.from.take(1))
	}
	s.count++
	return s.number(s.count - 1)
}

// remove frees an entry and returns it.
func (s *shard) remove(number uint32) entry {
	s.Lock()
	defer s.Unlock()
	e := *s.at(number)
	s.byKID.remove(e.kid.hash(), number)
	s.dropText(e.text)
	*s.at(number) = entry{}
	s.free = append(s.free, number)
	return e
}

// besides are the secrets of the keys that have none of the kids.
func (s *shard) besides(keys map[latchkey.ID][]packedKID) (numbers []uint32) {
	s.RLock()
	defer s.RUnlock()
	for n := range s.count {
		number := s.number(n)
		e := s.at(number)
		if kids, of := keys[e.key]; of && e.group != 0 && !slices.Contains(kids, e.kid) {
			numbers = append(numbers, number)
		}
	}
	return numbers
}

// appendText writes the two texts one after the other, each behind its length; two
// empty ones are nothing.
func appendText(to []byte, partner string, metadata latchkey.Document) []byte {
	if partner == "" && metadata == "" {
		return to
	}
	to = binary.AppendUvarint(to, uint64(len(partner)))
	to = binary.AppendUvarint(to, uint64(len(metadata)))
	return append(append(to, partner...), metadata...)
}

// keepText keeps what appendText wrote.
func (s *shard) keepText(text []byte) uint32 {
	if len(text) == 0 {
		return 0
	}
	last := len(s.texts) - 1
	if last < 0 || len(s.texts[last])+len(text) > cap(s.texts[last]) {
		// The first block is small: most shards of a small installation need no more.
		room := min(blockText, 256<<min(len(s.texts), 4))
		s.texts = append(s.texts, make([]byte, 0, max(room, len(text))))
		last++
	}
	at := uint32(last)<<textShift | uint32(len(s.texts[last])) //nolint:gosec // a shard has less than 2^20 blocks
	s.texts[last] = append(s.texts[last], text...)
	s.text += len(text)
	return at + 1
}

// readText gives the texts without copying them: what was written stays as it
// is for as long as anyone looks at it.
func (s *shard) readText(at uint32) (partner string, metadata latchkey.Document, size int) {
	if at == 0 {
		return "", "", 0
	}
	at--
	block := s.texts[at>>textShift][at&(1<<textShift-1):]
	first, n := binary.Uvarint(block)
	second, m := binary.Uvarint(block[n:])
	size = n + m + int(first+second)                                                  //nolint:gosec // lengths that keepText wrote
	text := unsafe.String(unsafe.SliceData(block), size)                              //nolint:gosec // within the block, by the lengths that keepText wrote
	return text[n+m : n+m+int(first)], latchkey.Document(text[n+m+int(first):]), size //nolint:gosec // the same
}

func (s *shard) dropText(at uint32) {
	_, _, size := s.readText(at)
	if s.waste += size; s.waste > 1<<16 && s.waste > s.text/2 {
		s.compact(at)
	}
}

// compact writes anew the texts that are used, all but the one that is dropped.
func (s *shard) compact(dropped uint32) {
	old := shard{texts: s.texts}
	s.texts, s.text, s.waste = nil, 0, 0
	for n := range s.count {
		if e := s.at(s.number(n)); e.text != 0 && e.text != dropped {
			_, _, size := old.readText(e.text)
			at := e.text - 1
			e.text = s.keepText(old.texts[at>>textShift][at&(1<<textShift-1):][:size])
		} else {
			e.text = 0
		}
	}
}

// size is how many bytes the shard takes.
func (s *shard) size() (bytes int) {
	s.RLock()
	defer s.RUnlock()
	bytes = int(unsafe.Sizeof(*s)) + s.byKID.size() + 4*cap(s.frames) + frame*len(s.frames) + 4*cap(s.free)
	for _, t := range s.texts {
		bytes += 24 + cap(t)
	}
	return bytes
}
