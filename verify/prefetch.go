//go:build amd64 || arm64

package verify

import "unsafe"

// prefetch asks the processor for the line of memory at p, and waits for nothing.
// Nothing is read by it: what is decided by is read later, and is then as new as it
// would be without.
//
//go:noescape
func prefetch(p unsafe.Pointer)
