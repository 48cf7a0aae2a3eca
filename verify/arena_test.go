package verify

import (
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"latchkey.dev/latchkey"
)

// Memory is handed out once, zero, and again when it was given back.
func TestArena(t *testing.T) {
	a := newArena()
	var taken [][]uint64
	given := map[*uint64]bool{}
	for n := 1; n <= 1<<9; n *= 2 { // more than the first stretch has
		for range 3 {
			slots := a.slots(n * frame / 8)
			if slices.ContainsFunc(slots, func(slot uint64) bool { return slot != 0 }) {
				t.Fatalf("%d frames are not zero", n)
			}
			for i := range slots {
				slots[i] = uint64(len(taken)) + 1
			}
			taken = append(taken, slots)
		}
	}
	for i, slots := range taken {
		if slices.ContainsFunc(slots, func(slot uint64) bool { return slot != uint64(i)+1 }) {
			t.Fatalf("stretch %d was handed out twice", i)
		}
		for at := 0; at < len(slots); at += frame / 8 {
			given[&slots[at]] = true
		}
		a.giveSlots(slots)
	}
	again := 0
	for range given {
		slots := unsafe.Slice((*uint64)(a.at(a.take(1))), frame/8)
		if slices.ContainsFunc(slots, func(slot uint64) bool { return slot != 0 }) {
			t.Fatal("what was given back is not zero")
		}
		if given[&slots[0]] {
			again++
		}
	}
	if again < len(given)/2 {
		t.Errorf("%d of %d frames were used again", again, len(given))
	}
}

// A table is the same as a map, whatever is added, suggested and removed.
func TestTable(t *testing.T) {
	random := mathrand.New(mathrand.NewPCG(1, 2))
	for _, from := range []*arena{nil, newArena()} {
		byHash, numbers := table{from: from}, map[uint64]uint32{}
		hashes := make([]uint64, 3_000)
		for i := range hashes {
			hashes[i] = random.Uint64() & 0xff00_0fff_ffff_ffff // many have one tag
			if i%7 == 0 && i > 0 {
				hashes[i] = hashes[i-1] ^ 1<<60 // and some nothing but a tag in common
			}
		}
		is := func(hash uint64) func(uint32) bool { return func(number uint32) bool { return hashes[number] == hash } }
		for range 30_000 {
			number := random.Uint32N(uint32(len(hashes)))
			hash := hashes[number]
			got, found := byHash.find(hash, is(hash))
			want, there := numbers[hash]
			switch {
			case found != there || found && got != want:
				t.Fatalf("%x: %d, %t; want %d, %t", hash, got, found, want, there)
			case !there:
				byHash.add(hash, number, uint8(number))
				numbers[hash] = number
			case random.IntN(3) == 0:
				byHash.remove(hash, want)
				delete(numbers, hash)
			default:
				byHash.suggest(hash, want, 7)
				if _, _, ok := byHash.guess(hash); !ok {
					t.Fatalf("%x: nothing to guess", hash)
				}
			}
			if byHash.taken != len(numbers) {
				t.Fatalf("%d are taken, and %d there", byHash.taken, len(numbers))
			}
		}
	}
}

// Kids pack into what tells them apart and gives them back; other strings do not.
func TestPackKID(t *testing.T) {
	random := mathrand.New(mathrand.NewPCG(3, 4))
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	for range 1_000 {
		var kid [latchkey.KIDLen]byte
		for i := range kid {
			kid[i] = digits[random.IntN(len(digits))]
		}
		packed, ok := packKID(latchkey.KID(kid[:]))
		if !ok || packed.KID() != latchkey.KID(kid[:]) {
			t.Fatalf("%s packs into %s", kid, packed.KID())
		}
		at, c := random.IntN(len(kid)), byte(random.Uint32())
		kid[at] = c
		if _, ok := packKID(latchkey.KID(kid[:])); ok != strings.Contains(digits, string([]byte{c})) {
			t.Fatalf("%q packs: %t", kid, ok)
		}
	}
	for at := range latchkey.KIDLen {
		for c := range 256 {
			kid := []byte(strings.Repeat("z", latchkey.KIDLen))
			kid[at] = byte(c)
			if want := strings.IndexByte(digits, byte(c)) >= 0; latchkey.KID(kid).Valid() != want {
				t.Errorf("%q at %d: valid %t", string([]byte{byte(c)}), at, !want)
			}
		}
	}
}
