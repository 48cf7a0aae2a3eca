package lane

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
)

// answer is what a handler writes to. It is held back until the handler has
// returned, unless it is large, and is what net/http would have sent, to the byte but for two
// things: it has a length where net/http would send chunks, and there are no
// informational answers before it.
type answer struct {
	header http.Header
	to     io.Writer     // the connection
	rest   content       // of the request: what the handler has not read
	now    string        // as the header Date has it
	out    *bytes.Buffer // the status line and the handler's header, then the whole header, and at the end all of it
	body   []byte        // where its length is not known before its end
	status int
	length int64 // that the handler said; -1: none
	wrote  int64 // the handler, more than its length included
	last   bool  // of the connection

	closing *atomic.Bool // every answer is the last of its connection

	// The handler said when, of which type its body is or how it is encoded, and that
	// the connection ends.
	dated, typed, closes bool

	complete bool // the header is
	sent     bool
}

// Header implements http.ResponseWriter.
func (w *answer) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter. Informational answers (RFC 9110,
// section 15.2) are not sent.
func (w *answer) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic("a handler answers with the status " + strconv.Itoa(status)) // as in net/http
	}
	if w.status != 0 || status < http.StatusOK {
		return
	}
	w.status = status
	if said, ok := w.header["Content-Length"]; ok {
		n, err := strconv.ParseInt(strings.Join(said, ","), 10, 64)
		if err == nil && n >= 0 {
			w.length = n
		} else {
			w.header.Del("Content-Length")
		}
	}
	_, w.dated = w.header["Date"]
	_, w.typed = w.header["Content-Type"]
	w.typed = w.typed || w.header.Get("Content-Encoding") != ""
	w.closes = w.header.Get("Connection") == "close"
	w.writeStatus()
	_ = w.header.WriteSubset(w.out, w.unsaid()) // a buffer takes everything
}

func (w *answer) writeStatus() {
	text := http.StatusText(w.status)
	if text == "" {
		text = "status code " + strconv.Itoa(w.status)
	}
	w.out.WriteString("HTTP/1.1 ")
	w.out.Write(strconv.AppendInt(w.out.AvailableBuffer(), int64(w.status), 10))
	w.out.WriteByte(' ')
	w.out.WriteString(text)
	w.out.WriteString("\r\n")
}

// unsaid are headers of the handler that are not sent: those of a connection, which
// is not the handler's, and those of a body where there can be none.
func (w *answer) unsaid() map[string]bool {
	var not map[string]bool
	leave := func(name string) {
		if _, ok := w.header[name]; ok {
			if not == nil {
				not = map[string]bool{}
			}
			not[name] = true
		}
	}
	leave("Trailer")
	leave("Transfer-Encoding")
	if !w.closes {
		leave("Connection")
	}
	if !w.bodied() {
		leave("Content-Length")
	}
	if w.status == http.StatusNotModified {
		leave("Content-Type")
	}
	return not
}

// bodied reports whether an answer of this status has a body (RFC 9110, section
// 6.4.1).
func (w *answer) bodied() bool {
	return w.status != http.StatusNoContent && w.status != http.StatusNotModified
}

// Write implements http.ResponseWriter.
func (w *answer) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	switch {
	case w.sent:
		return 0, net.ErrClosed
	case len(b) == 0:
		return 0, nil
	case !w.bodied():
		return 0, http.ErrBodyNotAllowed
	}
	w.wrote += int64(len(b))
	if w.length >= 0 && w.wrote > w.length {
		return 0, http.ErrContentLength
	}
	if w.length < 0 || !w.typed || w.rest.left > 0 || len(w.body) > 0 {
		w.body = append(w.body, b...)
		return len(b), nil
	}
	w.seal()
	if w.out.Len()+len(b) > heldAnswer {
		return w.pass(b)
	}
	return w.out.Write(b)
}

// pass sends what there is of a large answer, and b. Held until its handler has
// returned it would stay in memory as long as its client likes, and nobody counts
// how many do: handlers in flight are counted.
func (w *answer) pass(b []byte) (n int, err error) {
	if _, err = w.out.WriteTo(w.to); err == nil {
		n, err = w.to.Write(b)
	}
	w.last = w.last || err != nil
	return n, err
}

// finish completes the answer. One of another length than the handler said is the
// connection's last: what would follow could be taken for a part of it. Nothing is
// written any more after it.
func (w *answer) finish() {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.seal()
	w.out.Write(w.body)
	w.last = w.last || w.closes || w.rest.left != 0 || w.bodied() && w.length >= 0 && w.length != w.wrote
	w.out, w.body, w.sent = nil, nil, true
}

// seal completes the header. Before it the rest of the request is read, as in
// net/http, for if that fails no other can follow; where there is a rest, only when
// the handler has returned, which else held its place among those in flight for a
// client that sends nothing.
func (w *answer) seal() {
	if w.complete {
		return
	}
	w.complete = true
	w.last = !w.rest.drained() || w.last || w.closing.Load()
	if !w.dated {
		w.line("Date", w.now)
	}
	if w.bodied() && w.length < 0 {
		w.line("Content-Length", strconv.Itoa(len(w.body)))
	}
	if len(w.body) > 0 && !w.typed {
		w.line("Content-Type", http.DetectContentType(w.body))
	}
	if w.last && !w.closes {
		w.line("Connection", "close")
	}
	w.out.WriteString("\r\n")
}

// content is a request's body, of which it is counted what is still to come.
type content struct {
	io.ReadCloser

	left int64
}

// Read implements io.Reader.
func (c *content) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.left -= int64(n)
	return n, err
}

// Close reads the rest, as net/http's does.
func (c *content) Close() error {
	c.drained()
	return c.ReadCloser.Close()
}

// drained reads the rest, and is false where net/http would say that the connection
// ends. It also ends, unsaid, where something is left after that: what comes then
// need not be another request.
func (c *content) drained() bool {
	if c.left == 0 {
		return true
	}
	_, err := io.Copy(io.Discard, c)
	return err == nil || errors.Is(err, http.ErrBodyReadAfterClose)
}

func (w *answer) line(name, value string) {
	w.out.WriteString(name)
	w.out.WriteString(": ")
	w.out.WriteString(value)
	w.out.WriteString("\r\n")
}
