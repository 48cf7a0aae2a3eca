package door

import (
	"cmp"
	"log/slog"
	"net/http"
	"time"

	"latchkey.dev/latchkey"
)

// recorder remembers what was answered, for the log and the metrics.
type recorder struct {
	http.ResponseWriter

	id       string    // of the request
	lines    [2]string // of headers
	route    string    // the pattern: never the path, which may hold what a client made up
	status   int
	caller   string // who asked, as the log is told
	callerID latchkey.ID
	kind     latchkey.Kind // of id, which is spelled for the log alone
	often    bool          // such requests come too often for a line each
}

// WriteHeader implements http.ResponseWriter.
func (rec *recorder) WriteHeader(status int) {
	if rec.status == 0 {
		rec.status = status
	}
	rec.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (rec *recorder) Write(b []byte) (int, error) {
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	return rec.ResponseWriter.Write(b)
}

// Unwrap gives http.ResponseController what is underneath.
func (rec *recorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }

// NoteRoute tells the log which pattern the request met.
func NoteRoute(w http.ResponseWriter, pattern string) {
	if rec, ok := w.(*recorder); ok {
		rec.route = pattern
	}
}

// NoteCaller tells the log who asked: the native id of the calling key.
func NoteCaller(w http.ResponseWriter, id string) {
	if rec, ok := w.(*recorder); ok {
		rec.caller = id
	}
}

// NoteID is NoteCaller of an id, which is spelled only where there is a line.
func NoteID(w http.ResponseWriter, id latchkey.ID, kind latchkey.Kind) {
	if rec, ok := w.(*recorder); ok {
		rec.callerID, rec.kind = id, kind
	}
}

// NoteOften tells the log that requests of this kind, from someone who is known,
// are all that a busy node does: their lines are for whoever looks for them.
func NoteOften(w http.ResponseWriter) {
	if rec, ok := w.(*recorder); ok {
		rec.often = true
	}
}

// attributes is the log line of a request. Query strings, bodies and header
// values are not in it: they may hold what must not be kept.
func (rec *recorder) attributes(r *http.Request, took time.Duration) []slog.Attr {
	attrs := []slog.Attr{
		slog.String("request_id", rec.id), slog.String("method", Printable(r.Method)), slog.String("route", rec.route),
		slog.Int("status", rec.status), slog.Duration("took", took), slog.String("peer", r.RemoteAddr),
	}
	if caller := cmp.Or(rec.caller, rec.callerID.Native(rec.kind)); caller != "" {
		attrs = append(attrs, slog.String("caller", caller))
	}
	return attrs
}

func (rec *recorder) level() slog.Level {
	switch {
	case rec.status >= http.StatusInternalServerError:
		return slog.LevelError
	case rec.often:
		return slog.LevelDebug
	}
	return slog.LevelInfo
}
