package exchange

import (
	"bytes"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/door"
)

const (
	streamPiece = 32 << 10         // bytes that are held and sent at once
	streamPause = 10 * time.Second // how long a client may take for a piece
)

// Stream answers with an array whose elements each adds, one after the other; it
// is never held whole. Until a first piece is sent, an error is a refusal like any
// other. After that the connection is cut, for half an answer must not look like
// a whole one.
func (x *Exchange) Stream(each func(add func(v any) error) error) error {
	leave, ok := x.Dialect.Sending.Enter(x.Organization)
	if !ok {
		return door.Busy()
	}
	defer leave()
	x.leave() // who reads slowly is in the way of other long lists alone
	s := &stream{x: x, out: http.NewResponseController(x.W)}
	s.held.WriteByte('[')
	err := each(s.add)
	s.held.WriteByte(']')
	if err == nil {
		err = s.send()
	}
	if err != nil && s.begun {
		x.Logged(latchkey.AsError(err))
		panic(http.ErrAbortHandler)
	}
	return err
}

// stream is an array on its way.
type stream struct {
	x     *Exchange
	out   *http.ResponseController
	held  bytes.Buffer
	any   bool // an element was added
	begun bool // a piece was sent
}

func (s *stream) add(v any) error {
	if s.any {
		s.held.WriteByte(',')
	}
	s.any = true
	if err := json.MarshalWrite(&s.held, v, json.Deterministic(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		return err
	}
	if s.held.Len() < streamPiece {
		return nil
	}
	return s.send()
}

// send gives what is held to the client.
func (s *stream) send() error {
	if !s.begun {
		header := s.x.W.Header()
		header.Set("Cache-Control", "no-store")
		header.Set("Content-Type", "application/json")
		s.begun = true
	}
	// A place among the long lists is held as long as this lasts, so a client that
	// does not read is cut off.
	if err := s.out.SetWriteDeadline(time.Now().Add(streamPause)); err != nil {
		return err
	}
	_, err := s.held.WriteTo(s.x.W)
	return err
}
