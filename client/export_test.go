package client

import (
	"context"
	"io"
	"iter"
	"time"
)

// OnPause replaces the waits between attempts, so that no test waits.
func (c *Client) OnPause(f func(context.Context, time.Duration) error) { c.pause = f }

// Messages reads an event stream.
func Messages(stream io.Reader) iter.Seq2[[]byte, error] { return messages(stream) }

// MaxMessage is the bound on one message.
const MaxMessage = maxMessage
