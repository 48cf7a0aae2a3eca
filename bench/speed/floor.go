package speed

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"time"
)

// Answer is what a floor answers: what the measured server did, byte for byte but
// for the date.
type Answer struct {
	Header http.Header
	Body   []byte
}

// Learn asks once and gives the answer.
func (e *Exchange) Learn() (Answer, error) {
	conn, err := net.DialTimeout("tcp", e.Address, 10*time.Second) //nolint:noctx // bounded by its time
	if err != nil {
		return Answer{}, err
	}
	defer conn.Close() //nolint:errcheck // it was read
	text := bytes.Clone(e.Text)
	for i, at := range e.Spots {
		copy(text[at:], e.Keys[i%len(e.Keys)])
	}
	if _, err := conn.Write(text); err != nil {
		return Answer{}, err
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%w: %s %s", ErrAnswer, res.Status, body)
	}
	res.Header.Del("Date")
	return Answer{Header: res.Header, Body: body}, err
}

// Floor is the least that net/http can do: for each pattern (of http.ServeMux) it
// drains the body, if the request has one, and gives the same answer each time.
func Floor(answers map[string]Answer) http.Handler {
	mux := http.NewServeMux()
	for pattern, a := range answers {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength != 0 {
				_, _ = io.Copy(io.Discard, r.Body)
			}
			h := w.Header()
			maps.Copy(h, a.Header)
			w.WriteHeader(http.StatusOK)
			_, _ = w.Write(a.Body)
		})
	}
	return mux
}

// ServeFloor reads the answers as JSON, serves them, and writes its address as a
// line, until the answers' source ends.
func ServeFloor(from io.Reader, to io.Writer) error {
	source := json.NewDecoder(from)
	var answers map[string]Answer
	if err := source.Decode(&answers); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a listener is not waited for
	if err != nil {
		return err
	}
	s := &http.Server{Handler: Floor(answers), ReadHeaderTimeout: 0}
	go func() {
		_, _ = io.Copy(io.Discard, from)
		_ = s.Close()
	}()
	if _, err := fmt.Fprintln(to, l.Addr()); err != nil {
		return err
	}
	if err := s.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}
