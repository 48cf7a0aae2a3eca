package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

var errNoLength = errors.New("an answer without a length")

// connection is one client's kept connection. The client shares the machine with
// the server, so it does the least that a client can do: it writes a request that
// it has at hand, and reads the status and the whole answer.
type connection struct {
	conn    net.Conn
	answers *bufio.Reader
	head    []byte // of every request, up to the length of the body
	request []byte
	text    []byte // the body of the next request
}

// connect opens connections that post to a path.
func (s *server) connect(path string, count int) []*connection {
	s.tb.Helper()
	address := strings.TrimPrefix(s.url, "http://")
	head := "POST " + path + " HTTP/1.1\r\nHost: " + address + "\r\nAuthorization: Bearer " + s.key +
		"\r\nContent-Type: application/json\r\nContent-Length: "
	var all []*connection
	for range count {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			s.tb.Fatal(err)
		}
		s.tb.Cleanup(func() { _ = conn.Close() })
		all = append(all, &connection{conn: conn, answers: bufio.NewReader(conn), head: []byte(head)})
	}
	return all
}

// post sends the text. Any answer but one of that status ends the whole run: a
// figure with refusals in it is none.
func (c *connection) post(status int) {
	c.request = strconv.AppendInt(append(c.request[:0], c.head...), int64(len(c.text)), 10)
	c.request = append(append(c.request, "\r\n\r\n"...), c.text...)
	_, err := c.conn.Write(c.request)
	got := 0
	if err == nil {
		got, err = c.answer()
	}
	if err != nil || got != status {
		panic(fmt.Sprintf("status %d, error %v; want %d", got, err, status))
	}
}

// answer reads one answer (RFC 9112) and tells its status.
func (c *connection) answer() (status int, err error) {
	length := -1
	for first := true; ; first = false {
		line, err := c.answers.ReadSlice('\n')
		if err != nil {
			return status, err
		}
		line = bytes.TrimSuffix(line, []byte("\r\n"))
		switch name, value, _ := bytes.Cut(line, []byte(": ")); {
		case first:
			if len(line) < len("HTTP/1.1 200") {
				return 0, http.ErrNotSupported
			}
			status, err = strconv.Atoi(string(line[len("HTTP/1.1 "):][:3]))
		case bytes.EqualFold(name, []byte("Content-Length")):
			length, err = strconv.Atoi(string(value))
		case len(line) == 0:
			if length < 0 {
				return status, errNoLength
			}
			_, err = io.CopyN(io.Discard, c.answers, int64(length))
			return status, err
		}
		if err != nil {
			return status, err
		}
	}
}
