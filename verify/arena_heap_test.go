//go:build !linux || race

package verify

// onHeap tells that an arena's memory is the heap's, what is not handed out yet as well.
const onHeap = true
