package dialecttest

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
)

// Replay sends the recorded requests of a file and holds each answer to the one
// that is recorded with it, and returns how many there were.
//
// An exchange is lines of a request, each after "> ", and lines of its answer,
// each after "< "; others are comments. A request is its method and path, headers,
// an empty line and the body. An answer is its status and its JSON, whose members
// must all be there and no others. In both, {name} stands for a value that names
// has or that an earlier answer gave: where an answer has the string "{name}" and
// the name has no value yet, it gets what is there. "{*}" is anything but null.
func (h *House) Replay(file string, names map[string]string) int {
	h.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		h.Fatal(err)
	}
	var asked, answered []string
	exchanges := 0
	play := func() {
		if len(answered) > 0 {
			exchanges++
			h.replay(strings.Join(asked, "\n"), strings.Join(answered, "\n"), names)
			asked, answered = nil, nil
		}
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, ">"):
			play()
			asked = append(asked, strings.TrimPrefix(line[1:], " "))
		case strings.HasPrefix(line, "<"):
			answered = append(answered, strings.TrimPrefix(line[1:], " "))
		}
	}
	play()
	return exchanges
}

func (h *House) replay(asked, answered string, names map[string]string) {
	h.Helper()
	for name, value := range names {
		asked = strings.ReplaceAll(asked, "{"+name+"}", value)
	}
	head, body, _ := strings.Cut(asked, "\n\n")
	lines := strings.Split(head, "\n")
	method, path, _ := strings.Cut(lines[0], " ")
	a := h.Send(Request{Method: method, Path: path, Header: lines[1:], Body: body})
	status, want, _ := strings.Cut(answered, "\n")
	if strconv.Itoa(a.Status) != status {
		h.Fatalf("%s: %d %s, want %s", a.Asked, a.Status, a.Text, status)
	}
	if want == "" {
		if a.Text != "" {
			h.Errorf("%s: a body that nobody recorded: %s", a.Asked, a.Text)
		}
		return
	}
	var template any
	if err := json.Unmarshal([]byte(want), &template); err != nil {
		h.Fatalf("the record of %s is no JSON: %v", a.Asked, err)
	}
	if off := differs(template, a.At(), names, ""); off != "" {
		h.Errorf("%s: %s\ngot  %s\nwant %s", a.Asked, off, a.Text, want)
	}
}

// differs says where an answer is not as recorded; "" is nowhere.
func differs(want, got any, names map[string]string, at string) string {
	switch want := want.(type) {
	case Object:
		object, ok := got.(Object)
		if !ok || len(object) != len(want) {
			return at + ": other members"
		}
		for name, value := range want {
			if off := differs(value, object[name], names, at+"/"+name); off != "" {
				return off
			}
		}
		return ""
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return at + ": other elements"
		}
		for i := range want {
			if off := differs(want[i], list[i], names, at+"/"+strconv.Itoa(i)); off != "" {
				return off
			}
		}
		return ""
	case string:
		return differsText(want, got, names, at)
	}
	if !reflect.DeepEqual(want, got) {
		return fmt.Sprintf("%s: %v, want %v", at, got, want)
	}
	return ""
}

func differsText(want string, got any, names map[string]string, at string) string {
	text, ok := got.(string)
	name, isName := strings.CutPrefix(strings.TrimSuffix(want, "}"), "{")
	switch {
	case want == "{*}" && got != nil:
		return ""
	case ok && isName && names[name] == "" && !strings.ContainsAny(name, "{}"):
		names[name] = text
		return ""
	}
	for name, value := range names {
		want = strings.ReplaceAll(want, "{"+name+"}", value)
	}
	if !ok || text != want {
		return fmt.Sprintf("%s: %v, want %s", at, got, want)
	}
	return ""
}
