package lane

import (
	"bytes"
	"strings"
)

// verdict is what is to be done with what was read of a request.
type verdict int

const (
	foreign verdict = iota // not for the lane
	more                   // so far it may be; its header is not complete
	whole                  // it is, and its header is complete
)

// plain says whether b begins with a request for one of the doors in the one form
// about which no two parsers of HTTP/1.1 disagree (RFC 9112):
//
//   - a request line of the door's method, a target in origin form of visible
//     ASCII, and HTTP/1.1, with one space between them;
//   - lines of a token, a colon, and visible ASCII, spaces and tabs; every line ends
//     with CRLF, and CR and LF stand nowhere else;
//   - one Host; at most one Content-Length, in digits without a leading zero; at most
//     one Connection, keep-alive or close;
//   - no Transfer-Encoding, Expect, Upgrade or Trailer.
//
// size is the length of the header with the empty line, and body that of the body,
// for one that is whole.
func plain(b []byte, doors []Door) (size int, body int64, v verdict) {
	line, size, v := lineOf(b, 0)
	if v != whole {
		return 0, 0, v
	}
	most, ok := lineFor(line, doors)
	if !ok {
		return 0, 0, foreign
	}
	var seen fields
	for {
		line, size, v = lineOf(b, size)
		if v != whole {
			return 0, 0, v
		}
		if len(line) == 0 {
			return size, seen.length, verdictOf(seen.host && seen.length <= most)
		}
		if !seen.take(line) {
			return 0, 0, foreign
		}
	}
}

func verdictOf(ok bool) verdict {
	if ok {
		return whole
	}
	return foreign
}

// lineOf is the line at a place, without its end, and the place behind it.
func lineOf(b []byte, at int) (line []byte, next int, v verdict) {
	n := bytes.IndexByte(b[at:], '\n')
	if n < 0 {
		return nil, 0, more
	}
	if n == 0 || b[at+n-1] != '\r' {
		return nil, 0, foreign
	}
	return b[at : at+n-1], at + n + 1, whole
}

// lineFor finds the door for a request line, and its bound on bodies.
func lineFor(line []byte, doors []Door) (most int64, ok bool) {
	rest, ok := bytes.CutSuffix(line, []byte(" HTTP/1.1"))
	if !ok {
		return 0, false
	}
	for i := range doors {
		d := &doors[i]
		if len(rest) <= len(d.Method) || string(rest[:len(d.Method)]) != d.Method || rest[len(d.Method)] != ' ' {
			continue
		}
		target := rest[len(d.Method)+1:]
		if string(target) == d.Path || strings.HasSuffix(d.Path, "/") && bytes.HasPrefix(target, []byte(d.Path)) {
			return d.Body, visible(target)
		}
	}
	return 0, false
}

func visible(target []byte) bool {
	for _, c := range target {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// fields are those lines of a header on which it hangs where a request ends.
type fields struct {
	host, sized, connection bool
	length                  int64
}

// take reads a line of a header, and is false where it is not plain.
func (f *fields) take(line []byte) bool {
	colon := bytes.IndexByte(line, ':')
	if colon < 1 {
		return false
	}
	name, value := line[:colon], line[colon+1:]
	for _, c := range name {
		if !token(c) {
			return false
		}
	}
	for _, c := range value {
		if c < ' ' && c != '\t' || c >= 0x7f {
			return false
		}
	}
	switch len(name) {
	case len("Host"):
		return !is(name, "host") || f.takeHost(value)
	case len("Content-Length"):
		return !is(name, "content-length") || f.takeLength(value)
	case len("Connection"):
		return !is(name, "connection") || f.takeConnection(value)
	case len("Expect"):
		return !is(name, "expect")
	case len("Upgrade"):
		return !is(name, "upgrade") && !is(name, "trailer")
	case len("Transfer-Encoding"):
		return !is(name, "transfer-encoding")
	}
	return true
}

func (f *fields) takeHost(value []byte) bool {
	value = trimmed(value)
	if f.host || len(value) == 0 {
		return false
	}
	f.host = true
	for _, c := range value {
		if !hostly(c) {
			return false
		}
	}
	return true
}

// hostly are the characters of names, addresses and ports.
func hostly(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._:[]", c) >= 0
}

func (f *fields) takeLength(value []byte) bool {
	const digits = 9
	value = trimmed(value)
	if f.sized || len(value) == 0 || len(value) > digits || len(value) > 1 && value[0] == '0' {
		return false
	}
	f.sized = true
	for _, c := range value {
		if c < '0' || c > '9' {
			return false
		}
		f.length = f.length*10 + int64(c-'0')
	}
	return true
}

func (f *fields) takeConnection(value []byte) bool {
	value = trimmed(value)
	if f.connection {
		return false
	}
	f.connection = true
	return is(value, "keep-alive") || is(value, "close")
}

// trimmed is a value without the blanks around it.
func trimmed(value []byte) []byte { return bytes.Trim(value, " \t") }

// is compares with a word in lower case, whichever case the name has.
func is(name []byte, word string) bool {
	if len(name) != len(word) {
		return false
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// token reports whether a character may be in a field's name (RFC 9110, section
// 5.6.2).
func token(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || strings.IndexByte("!#$%&'*+.^_`|~", c) >= 0
}
