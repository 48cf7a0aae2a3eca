//go:build !linux

package direct

import "net"

// Conn returns c: only Linux keeps its system calls' numbers.
func Conn(c net.Conn) net.Conn { return c }
