package body

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is how deep objects and arrays may be nested; the outermost counts.
const MaxDepth = 32

const whitespace = " \t\r\n" // RFC 8259, section 2

// Decode reads one JSON object from data into dst, a non-nil pointer. Names are
// matched by their exact bytes. Members that are absent leave dst as it was, so
// it can bring defaults; after an error its content means nothing.
//
// The whole of data is held to the grammar before the first member is read, so
// an error of form is told before one of type. Integers are exact; a number
// read into an any is a float64.
func Decode(data []byte, dst any, opts ...Option) error {
	allowed := join(opts)
	if allowed&EmptyBody != 0 {
		if text := bytes.Trim(data, whitespace); len(text) == 0 || string(text) == "null" {
			return nil
		}
	}
	if err := scan(data, allowed); err != nil {
		return err
	}
	options := []json.Options{json.RejectUnknownMembers(allowed&UnknownMembers == 0)}
	if bytes.Contains(data, []byte("null")) { // asking before every value doubles the cost; most bodies have no null
		options = append(options, nullsByType)
	}
	if err := json.Unmarshal(data, dst, options...); err != nil {
		return typeError(err)
	}
	return nil
}

// scan holds data to everything that does not depend on the destination.
func scan(data []byte, allowed Option) error {
	top, notTop := jsontext.KindBeginObject, Rule{RuleNotAnObject, "The body must be a JSON object."}
	if allowed&TopLevelArray != 0 {
		top, notTop = jsontext.KindBeginArray, Rule{RuleNotAnArray, "The body must be a JSON array."}
	}
	lookForNUL := allowed&NUL == 0 && bytes.Contains(data, []byte(`\u0000`)) // the only spelling that the grammar has
	tokens := jsontext.NewDecoder(bytes.NewBuffer(data))
	for first := true; first || tokens.StackDepth() > 0; first = false {
		token, err := tokens.ReadToken()
		switch {
		case err != nil:
			return syntaxError(data, err)
		case first && token.Kind() != top:
			return malformed("", notTop)
		case tokens.StackDepth() > MaxDepth:
			return malformed(tokens.StackPointer(), Rule{RuleDepth, fmt.Sprintf("Objects and arrays may be nested %d deep.", MaxDepth)})
		case lookForNUL && token.Kind() == jsontext.KindString && strings.Contains(token.String(), "\x00"):
			return malformed(tokens.StackPointer(), Rule{RuleNUL, "A string may not contain U+0000."})
		}
	}
	if rest := data[tokens.InputOffset():]; len(bytes.TrimLeft(rest, whitespace)) > 0 {
		return malformed("", Rule{RuleTrailing, "The body must end with its JSON text; something follows it."})
	}
	return nil
}

// nullsByType is never written to after this.
var nullsByType = json.WithUnmarshalers(json.UnmarshalFromFunc(refuseNull))

// refuseNull is asked before every value, with a pointer to what it is for.
// ErrUnsupported hands the value on to the decoder.
func refuseNull(values *jsontext.Decoder, dst any) error {
	if values.PeekKind() != jsontext.KindNull {
		return errors.ErrUnsupported
	}
	switch dst.(type) {
	case *time.Time: // its UnmarshalJSON takes null for "no change"
	case json.UnmarshalerFrom, json.Unmarshaler:
		return errors.ErrUnsupported
	}
	t := reflect.TypeOf(dst).Elem()
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return errors.ErrUnsupported
	default:
		return Rule{RuleWrongType, "This cannot be null; it must be " + wanted(t) + "."}
	}
}
