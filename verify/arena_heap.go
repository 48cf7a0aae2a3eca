//go:build !linux || race

package verify

// stretch takes memory from the heap: for other systems, and for the race detector,
// which sees nothing else.
func (m *mapped) stretch(bytes int) []byte {
	memory := make([]byte, bytes)
	m.stretches = append(m.stretches, memory)
	return memory
}

func (m *mapped) release() {}
