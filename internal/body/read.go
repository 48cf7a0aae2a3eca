package body

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"latchkey.dev/latchkey"
)

// The bounds on a body, in bytes.
const (
	MaxManagement = 64 << 10 // one object
	MaxVerify     = 16 << 10 // one verification
	MaxBatch      = 1 << 20  // many of either
)

// Option lets through what the native API refuses. Options may be joined by |;
// the same set can be given to [Read] and to [Decode], each heeds its own.
type Option uint

// The options.
const (
	// MissingContentType takes a body that does not say what it is. One that
	// says something else is still refused. (Read)
	MissingContentType Option = 1 << iota
	// EmptyBody takes no bytes at all (Read: whatever their Content-Type), and
	// whitespace or null alone (Decode), as an object without members.
	EmptyBody
	// UnknownMembers are skipped. They are still held to the grammar. (Decode)
	UnknownMembers
	// TopLevelArray asks for an array in place of an object. (Decode)
	TopLevelArray
	// NUL takes U+0000 in strings, for operations that only compare what they
	// are given. What is stored must not have it: PostgreSQL has no such text,
	// and C programs end a string there. (Decode)
	NUL
)

func join(opts []Option) (all Option) {
	for _, o := range opts {
		all |= o
	}
	return all
}

// Read takes the whole body of r, at most limit bytes.
//
// Without options there must be exactly one Content-Type, application/json with
// no parameter but charset=utf-8, and no Content-Encoding but identity; else
// the error is unsupported_media_type. A longer body is too_large, refused by
// its Content-Length before anything is read where it has one. A body that ends
// early or does not come in time is malformed_body with [RuleIncomplete]; it
// wraps the transport's error and, if the request was cancelled, its context's.
func Read(w http.ResponseWriter, r *http.Request, limit int64, opts ...Option) ([]byte, error) {
	allowed := join(opts)
	refusal := checkHeader(r.Header, allowed)
	if refusal != nil && allowed&EmptyBody == 0 {
		return nil, refusal
	}
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	data, err := readAll(w, r, limit)
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge(limit)
	}
	if err != nil {
		refused := malformed("", Rule{RuleIncomplete, "The body ended early or came too slowly; send it again."})
		refused.Cause = err
		if cancelled := r.Context().Err(); cancelled != nil {
			refused.Cause = fmt.Errorf("%w: %w", cancelled, err)
		}
		return nil, refused
	}
	if len(data) == 0 && allowed&EmptyBody != 0 {
		return nil, nil
	}
	return data, refusal
}

// readAll reads the body at once where its length is known and small. What is
// large takes memory as it comes, not as it is announced.
func readAll(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength < 0 || r.ContentLength > MaxVerify {
		return io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	}
	data := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, data); err != nil {
		return nil, err
	}
	return data, nil
}

// checkHeader says whether the header announces plain JSON.
func checkHeader(h http.Header, allowed Option) error {
	types := h["Content-Type"]
	missing := len(types) == 0 && allowed&MissingContentType != 0
	if !missing && (len(types) != 1 || !isJSON(types[0])) {
		return latchkey.Errorf(latchkey.CodeUnsupportedMediaType, "Send the body as JSON, with one header Content-Type: application/json.")
	}
	codings := h["Content-Encoding"]
	if len(codings) > 1 || len(codings) == 1 && !strings.EqualFold(codings[0], "identity") {
		return latchkey.Errorf(latchkey.CodeUnsupportedMediaType, "Send the body uncompressed, without Content-Encoding.")
	}
	return nil
}

func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || media != "application/json" {
		return false
	}
	charset, given := params["charset"]
	return len(params) == 0 || len(params) == 1 && given && strings.EqualFold(charset, "utf-8")
}

func tooLarge(limit int64) error {
	return latchkey.Errorf(latchkey.CodeTooLarge, "The body may have at most %d bytes; send less at a time.", limit)
}
