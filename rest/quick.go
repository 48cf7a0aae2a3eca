package rest

import (
	"unicode/utf8"
	"unsafe"

	"latchkey.dev/latchkey"
)

// quick reads the bodies of verifications as nearly all are written, in one pass
// and without reflection: members that are known, once each, strings without
// escapes. Whatever it is not sure of, be it right or wrong, it leaves to package
// body, which alone says why a body is refused. So it can take less than body does,
// and nothing else: a fuzz test holds it to that.
type quick struct {
	text string
	at   int

	// Room for what is pointed to, which is made for a few at a time.
	kept   []string
	listed []latchkey.Permission
	scoped []scopesInput
}

// quickVerify reads the body of a verification; nil for one that it leaves.
func quickVerify(data []byte) any {
	q := quick{text: textOf(data)}
	in := &verifyInput{}
	if q.opens('{') && q.verification(in) && q.ends() {
		return in
	}
	return nil
}

// quickBatch reads the body of a batch likewise.
func quickBatch(data []byte) any {
	q := quick{text: textOf(data)}
	if !q.opens('{') {
		return nil
	}
	if name, ok := q.name(); !ok || name != "items" || !q.opens('[') || q.opens(']') {
		return nil
	}
	in := &batchVerifyInput{Items: make([]verifyInput, 0, min(latchkey.MaxBatchVerify, len(data)/leastItem))}
	for more := true; more; {
		in.Items = append(in.Items, verifyInput{})
		if !q.opens('{') || !q.verification(&in.Items[len(in.Items)-1]) {
			return nil
		}
		var ok bool
		if more, ok = q.more(']'); !ok {
			return nil
		}
	}
	if q.opens('}') && q.ends() {
		return in
	}
	return nil
}

// leastItem is less than an item takes that may be valid: its key alone is longer.
const leastItem = 64

// textOf is the data as text, which nobody writes to any more.
func textOf(data []byte) string { return unsafe.String(unsafe.SliceData(data), len(data)) } //nolint:gosec // its whole length

// verification reads an object whose brace was read.
func (q *quick) verification(in *verifyInput) bool {
	key := false
	return q.members(func(name string) bool {
		var to **string
		switch name {
		case "key":
			if key {
				return false
			}
			var ok bool
			in.Key, ok = q.string()
			key = ok
			return ok
		case "scopes":
			if in.Scopes != nil {
				return false
			}
			in.Scopes = room(&q.scoped)
			return q.scopes(in.Scopes)
		case "resource":
			if in.Resource != nil {
				return false
			}
			in.Resource = &resourceInput{}
			return q.resource(in.Resource)
		case "ip":
			to = &in.IP
		case "user_agent":
			to = &in.UserAgent
		case "method":
			to = &in.Method
		case "host":
			to = &in.Host
		case "path":
			to = &in.Path
		case "query":
			to = &in.Query
		case "environment":
			to = &in.Environment
		}
		if to == nil || *to != nil {
			return false
		}
		s, ok := q.string()
		*to = q.keep(s)
		return ok
	})
}

func (q *quick) scopes(s *scopesInput) bool {
	if s.list = q.opens('['); s.list {
		return q.strings(&s.All)
	}
	return q.opens('{') && q.members(func(name string) bool {
		to := &s.All
		switch name {
		case "all":
		case "any":
			to = &s.Any
		default:
			return false
		}
		return *to == nil && q.opens('[') && q.strings(to)
	})
}

func (q *quick) resource(r *resourceInput) bool {
	kind, id := false, false
	return q.opens('{') && q.members(func(name string) (ok bool) {
		switch {
		case name == "type" && !kind:
			kind = true
			r.Type, ok = q.string()
		case name == "id" && !id:
			id = true
			r.ID, ok = q.string()
		}
		return ok
	})
}

// members reads the members of an object whose brace was read.
func (q *quick) members(member func(name string) bool) bool {
	if q.opens('}') {
		return true
	}
	for {
		name, ok := q.name()
		if !ok || !member(name) {
			return false
		}
		if more, ok := q.more('}'); !more {
			return ok
		}
	}
}

// strings reads the strings of an array whose bracket was read. An empty one is
// not nil.
func (q *quick) strings(to *latchkey.Permissions) bool {
	*to = latchkey.Permissions{}
	if q.opens(']') {
		return true
	}
	from := len(q.listed)
	for {
		s, ok := q.string()
		if !ok {
			return false
		}
		q.listed = append(q.listed, latchkey.Permission(s))
		if more, ok := q.more(']'); !more {
			*to = q.listed[from:len(q.listed):len(q.listed)]
			return ok
		}
	}
}

// more reads what stands behind a member or an element: a comma, or the end.
func (q *quick) more(end byte) (more, ok bool) {
	if q.opens(',') {
		return true, true
	}
	return false, q.opens(end)
}

// name reads a member's name and its colon.
func (q *quick) name() (string, bool) {
	name, ok := q.string()
	return name, ok && q.opens(':')
}

// opens reads a character, if it is the next one.
func (q *quick) opens(c byte) bool {
	q.space()
	if q.at < len(q.text) && q.text[q.at] == c {
		q.at++
		return true
	}
	return false
}

func (q *quick) ends() bool {
	q.space()
	return q.at == len(q.text)
}

// space skips whitespace (RFC 8259, section 2).
func (q *quick) space() {
	for q.at < len(q.text) {
		switch q.text[q.at] {
		case ' ', '\t', '\r', '\n':
			q.at++
		default:
			return
		}
	}
}

// string reads a string without escapes.
func (q *quick) string() (string, bool) {
	if !q.opens('"') {
		return "", false
	}
	rest := q.text[q.at:]
	ascii := true
	for i := range len(rest) {
		switch c := rest[i]; {
		case c == '"':
			q.at += i + 1
			return rest[:i], ascii || utf8.ValidString(rest[:i])
		case c == '\\', c < ' ':
			return "", false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return "", false
}

// keep gives a place to point to.
func (q *quick) keep(s string) *string {
	p := room(&q.kept)
	*p = s
	return p
}

// room is a place in a list, of which those that were given stay where they are.
func room[T any](list *[]T) *T {
	if len(*list) == cap(*list) {
		*list = make([]T, 0, max(1, min(2*cap(*list), 64)))
	}
	*list = (*list)[:len(*list)+1]
	return &(*list)[len(*list)-1]
}
