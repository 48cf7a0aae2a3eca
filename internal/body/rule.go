package body

import (
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"latchkey.dev/latchkey"
)

// Why a body cannot be read: the codes of the one field error that comes with
// malformed_body. A [Rule] of a wire type may add its own.
const (
	RuleIncomplete    = "incomplete"     // the transport ended before the body did
	RuleEmpty         = "empty"          // no body, or nothing but whitespace
	RuleSyntax        = "syntax"         // not JSON (RFC 8259)
	RuleUTF8          = "utf8"           // bytes that are not UTF-8, or an escape that is half a surrogate pair
	RuleNUL           = "nul"            // U+0000 in a string or a name
	RuleDuplicate     = "duplicate"      // the same member twice
	RuleDepth         = "depth"          // nested deeper than MaxDepth
	RuleTrailing      = "trailing"       // something after the JSON text
	RuleNotAnObject   = "not_an_object"  // the top level is not an object
	RuleNotAnArray    = "not_an_array"   // the same with TopLevelArray
	RuleUnknownMember = "unknown_member" // no such member, in this spelling
	RuleWrongType     = "wrong_type"     // not of the type of its member, or null
	RuleRange         = "range"          // a number that its member cannot hold
	RuleFormat        = "format"         // a string that a Time or a Duration cannot be read from
)

// Rule is the error by which a wire type's own unmarshalling says which rule a
// value breaks: a code in a word and a sentence that does not repeat the value.
// [Decode] adds the pointer. Of any other error it tells nothing.
type Rule struct {
	Code   string
	Detail string
}

// Error implements error.
func (r Rule) Error() string { return r.Code + ": " + r.Detail }

func malformed(pointer jsontext.Pointer, rule Rule) *latchkey.Error {
	return &latchkey.Error{
		Code:   latchkey.CodeMalformedBody,
		Detail: "The body cannot be read; see errors.",
		Fields: []latchkey.FieldError{{Pointer: tellable(pointer), Code: rule.Code, Detail: rule.Detail}},
	}
}

// Bounds on what a pointer repeats, in bytes. A name is shorter than any key,
// secret or token (43 characters and more), so that one pasted in the wrong
// place is not told to a log.
const (
	maxName    = 40
	maxPointer = 512
)

// tellable cuts a pointer before the first name that should not be repeated. It
// then names the value around it, so it is a true pointer still.
func tellable(p jsontext.Pointer) string {
	var told jsontext.Pointer
	for name := range p.Tokens() {
		unprintable := strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
		if len(name) > maxName || unprintable || len(told)+2*len(name) > maxPointer {
			break
		}
		told = told.AppendToken(name)
	}
	return string(told)
}

// syntaxError turns what the tokenizer says of data into a refusal.
func syntaxError(data []byte, err error) error {
	failure, ok := errors.AsType[*jsontext.SyntacticError](err)
	if !ok { // io.EOF: there was no token at all
		return malformed("", Rule{RuleEmpty, "There is no body; send a JSON text."})
	}
	rule := Rule{RuleSyntax, fmt.Sprintf("This is not JSON (RFC 8259); look at byte %d.", failure.ByteOffset)}
	at := data[min(int(failure.ByteOffset), len(data)):]
	switch {
	case errors.Is(failure.Err, jsontext.ErrDuplicateName):
		rule = duplicate()
	case errors.Is(failure.Err, io.ErrUnexpectedEOF):
		rule.Detail = "The JSON text ends too early."
	case startsInvalidUTF8(at):
		rule = Rule{RuleUTF8, fmt.Sprintf("The body must be UTF-8; look at byte %d.", failure.ByteOffset)}
	case startsWithSurrogate(at):
		rule = Rule{RuleUTF8, fmt.Sprintf("An escaped surrogate needs its other half; look at byte %d.", failure.ByteOffset)}
	}
	return malformed(failure.JSONPointer, rule)
}

func duplicate() Rule {
	return Rule{RuleDuplicate, "A member may stand only once in an object."}
}

func startsInvalidUTF8(b []byte) bool {
	r, size := utf8.DecodeRune(b)
	return r == utf8.RuneError && size == 1
}

func startsWithSurrogate(b []byte) bool {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return false
	}
	unit, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return err == nil && utf16.IsSurrogate(rune(unit))
}

// typeError turns what the decoder says of a well-formed text into a refusal.
func typeError(err error) error {
	if twice, ok := errors.AsType[*jsontext.SyntacticError](err); ok && errors.Is(twice.Err, jsontext.ErrDuplicateName) { // a map key in two spellings, 0 and -0
		return malformed(twice.JSONPointer, duplicate())
	}
	failure, ok := errors.AsType[*json.SemanticError](err)
	if !ok { // a wire type that reads past its value
		return latchkey.AsError(err)
	}
	rule, given := errors.AsType[Rule](failure.Err)
	switch {
	case given:
	case errors.Is(failure.Err, json.ErrUnknownName):
		rule = Rule{RuleUnknownMember, "There is no such member here; check its spelling, capitals included."}
	case errors.Is(failure.Err, strconv.ErrRange):
		rule = Rule{RuleRange, "This number is too large or too small to be held."}
	default:
		rule = Rule{RuleWrongType, "This must be " + wanted(failure.GoType) + "."}
	}
	return malformed(failure.JSONPointer, rule)
}

// wanted describes the JSON that a Go type is read from.
func wanted(t reflect.Type) string {
	if t == nil {
		return "of another type"
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return "a string"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "an integer, without fraction or exponent"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		if t.Elem() == reflect.TypeFor[byte]() {
			return "a string in base64"
		}
		return "an array"
	case reflect.Map, reflect.Struct:
		return "an object"
	default:
		return "of another type"
	}
}
