package server

import (
	"strings"
	"testing"
)

func TestMemAvailable(t *testing.T) {
	const text = "MemTotal:       24625000 kB\nMemFree: 1 kB\nMemAvailable:   2048 kB\nBuffers: 3 kB\n"
	if got := memAvailable(strings.NewReader(text)); got != 2048<<10 {
		t.Errorf("%d bytes", got)
	}
	if got := memAvailable(strings.NewReader("nothing of the kind")); got != 0 {
		t.Errorf("%d bytes out of nothing", got)
	}
	if available() <= 0 {
		t.Error("this machine has memory, and it is not found")
	}
}

func TestSmaller(t *testing.T) {
	for _, test := range [][3]int64{{0, 5, 5}, {5, 3, 3}, {3, 5, 3}, {3, 0, 1}, {0, -4, 1}} {
		if got := smaller(test[0], test[1]); got != test[2] {
			t.Errorf("smaller(%d, %d) = %d, want %d", test[0], test[1], got, test[2])
		}
	}
}
