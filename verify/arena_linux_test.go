//go:build linux && !race

package verify

const onHeap = false
