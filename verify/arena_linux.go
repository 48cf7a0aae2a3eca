//go:build linux && !race

package verify

import (
	"syscall"
	"unsafe"
)

// largePage is what processors of today translate at once, beside pages of 4 KiB.
const largePage = 2 << 20

// stretch maps memory that begins with a large page, or takes it from the heap if
// the system has none to map.
func (m *mapped) stretch(bytes int) []byte {
	all, err := syscall.Mmap(-1, 0, bytes+largePage, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return make([]byte, bytes)
	}
	m.stretches = append(m.stretches, all)
	ahead := -uintptr(unsafe.Pointer(unsafe.SliceData(all))) % largePage //nolint:gosec // the address is looked at, and not kept
	memory := all[ahead:][:bytes:bytes]
	_ = syscall.Madvise(memory, syscall.MADV_HUGEPAGE) // a kernel without large pages says so, and small ones do
	return memory
}

func (m *mapped) release() {
	for _, stretch := range m.stretches {
		_ = syscall.Munmap(stretch) // it is ours and mapped once
	}
}
