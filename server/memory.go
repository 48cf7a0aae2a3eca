package server

import (
	"bufio"
	"io"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// available is how many bytes of memory this process may still take: what the
// machine can give, or less where a control group or GOMEMLIMIT allows less. 0
// is not known.
func available() int64 {
	least := machine("/proc/meminfo")
	for _, group := range []struct{ limit, used string }{
		{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
		{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"},
	} {
		if limit, ok := number(group.limit); ok {
			used, _ := number(group.used)
			least = smaller(least, limit-used)
		}
	}
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		least = smaller(least, limit)
	}
	return least
}

// smaller takes 0 for not known. Nothing left is 1 byte.
func smaller(a, b int64) int64 {
	b = max(b, 1)
	if a == 0 {
		return b
	}
	return min(a, b)
}

func number(path string) (int64, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // "max" is no number
	return n, err == nil
}

// machine reads MemAvailable of /proc/meminfo.
func machine(path string) int64 {
	file, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer file.Close() //nolint:errcheck // it was read
	return memAvailable(file)
}

func memAvailable(from io.Reader) int64 {
	for lines := bufio.NewScanner(from); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) == 3 && f[0] == "MemAvailable:" && f[2] == "kB" {
			kib, _ := strconv.ParseInt(f[1], 10, 64)
			return kib << 10
		}
	}
	return 0
}
