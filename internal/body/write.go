package body

import (
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"latchkey.dev/latchkey"
)

// Write answers with status and v as JSON, and forbids to store the answer or to
// guess at its type. Content-Type is application/json unless the header has one
// already (application/problem+json). Nil slices and maps are [] and {}, members
// of maps are sorted, HTML is not escaped (nothing shows these answers as HTML),
// and bytes that are not UTF-8 become U+FFFD: one bad string in the store must
// not make a whole list unreadable.
//
// v is encoded before anything is sent. If that fails, the answer is 500 without
// a body, and the error, internal, is for the log. That the client is gone is no
// error: nobody is left to tell.
func Write(w http.ResponseWriter, status int, v any) error {
	data, err := json.Marshal(v, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		header := w.Header()
		header.Set("Cache-Control", "no-store")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Del("Content-Type")
		w.WriteHeader(http.StatusInternalServerError)
		return &latchkey.Error{Code: latchkey.CodeInternal, Detail: "The answer could not be encoded.", Cause: err}
	}
	WriteText(w, status, data)
	return nil
}

// WriteText is Write for what is JSON already.
func WriteText(w http.ResponseWriter, status int, data []byte) {
	header := w.Header()
	lines := [...]string{"no-store", "nosniff", strconv.Itoa(len(data)), "application/json"} // one array for all of them
	header["Cache-Control"], header["X-Content-Type-Options"], header["Content-Length"] = lines[0:1:1], lines[1:2:2], lines[2:3:3]
	if len(header["Content-Type"]) == 0 {
		header["Content-Type"] = lines[3:4:4]
	}
	w.WriteHeader(status)
	_, _ = w.Write(data)
}
