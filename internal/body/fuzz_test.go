package body_test

import (
	"bytes"
	stdjson "encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/body"
)

// plain is a wire type that encoding/json reads by the same names.
type plain struct {
	Name         string         `json:"name"`
	Owner        *string        `json:"owner"`
	Scopes       []string       `json:"scopes"`
	Restrictions restrictions   `json:"restrictions"`
	Count        int64          `json:"count"`
	Small        uint8          `json:"small"`
	Cost         float64        `json:"cost"`
	ExpiresAt    *body.Time     `json:"expires_at"`
	Overlap      body.Duration  `json:"overlap"`
	Metadata     map[string]any `json:"metadata"`
}

// FuzzDecode holds Decode against encoding/json and against a reader of its own
// that knows nothing but brackets and names: what is accepted has the value that
// the oracle reads and none of the forbidden traits; what is refused for its
// form has the trait that it is refused for.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `[]`, `null`, `{"name":"a","name":"b"}`, `{"name":"a","\u006eame":"b"}`, "{\"name\":\"\xff\"}", `{"name":"\ud800"}`, `{"name":"\ud83d\ude00"}`,
		`{"name":"a\u0000"}`, `{"name":"\\u0000"}`, `{"count":9223372036854775808}`, `{"cost":1e400}`, `{"count":-0,"cost":-0.0}`, `{} {}`, "\ufeff{}",
		`{"metadata":` + nested(31, "1") + `}`, `{"metadata":` + nested(32, "1") + `}`, `{"metadata":{"a":[{"b":null}],"c":1.5e-7}}`, `{"Name":"a"}`,
		`{"name":"n","owner":null,"scopes":["a","b:*"],"restrictions":{"addresses":["10.0.0.0/8"],"resources":{"plant":[]}},"count":1,"small":255}`,
		`{"expires_at":"2026-01-02T03:04:05.678+01:00","overlap":"24h"}`, `{"scopes":[null]}`, `{"a":{"b":{"a":1},"a":2},"c":[{"a":1},{"a":1}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var loose map[string]any
		err := body.Decode(data, &loose)
		traits := traitsOf(data)
		if err == nil {
			if !utf8.Valid(data) || !stdjson.Valid(data) || traits.depth > body.MaxDepth || traits.duplicate {
				t.Fatalf("accepted, valid %v, UTF-8 %v, %+v", stdjson.Valid(data), utf8.Valid(data), traits)
			}
			var oracle map[string]any
			if err := stdjson.Unmarshal(data, &oracle); err != nil || !reflect.DeepEqual(loose, oracle) {
				t.Fatalf("read %v, want %v, error %v", loose, oracle, err)
			}
		} else if field := refusal(t, err, latchkey.CodeMalformedBody).Fields[0]; !deserved(field.Code, data, traits) {
			t.Fatalf("refused for %s, undeserved", field.Code)
		}

		var strict plain
		strictErr := body.Decode(data, &strict)
		if strictErr != nil {
			refusal(t, strictErr, latchkey.CodeMalformedBody)
			return
		}
		if err != nil {
			t.Fatalf("a struct takes what a map refuses: %v", err)
		}
		var oracle plain
		if err := stdjson.Unmarshal(data, &oracle); err != nil || !reflect.DeepEqual(strict, oracle) {
			t.Fatalf("read %+v, want %+v, error %v", strict, oracle, err)
		}
	})
}

// deserved says whether data has the trait that it was refused for.
func deserved(code string, data []byte, found traits) bool {
	switch code {
	case body.RuleEmpty:
		return len(bytes.Trim(data, " \t\r\n")) == 0
	case body.RuleSyntax, body.RuleTrailing:
		return !stdjson.Valid(data)
	case body.RuleUTF8:
		return !utf8.Valid(data) || halfPair.Match(data)
	case body.RuleNUL:
		return bytes.Contains(data, []byte(`\u0000`))
	case body.RuleDuplicate:
		return found.duplicate
	case body.RuleDepth:
		return found.depth > body.MaxDepth
	case body.RuleNotAnObject:
		return !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{"))
	case body.RuleRange:
		return stdjson.Unmarshal(data, new(any)) != nil
	default:
		return false
	}
}

var halfPair = regexp.MustCompile(`\\u[dD][89a-fA-F]`)

type traits struct {
	depth     int  // the deepest nesting, as far as the text can be read
	duplicate bool // some object has a name twice, after unescaping
}

// traitsOf reads tokens with encoding/json, which minds neither depth nor
// duplicates, until it cannot.
func traitsOf(data []byte) (found traits) {
	type level struct {
		names map[string]bool // nil for an array
		value bool            // a value comes next, not a name
	}
	var open []level
	tokens := stdjson.NewDecoder(strings.NewReader(string(data)))
	tokens.UseNumber() // 1e400 is a token too
	for {
		token, err := tokens.Token()
		if err != nil {
			return found
		}
		if delim, ok := token.(stdjson.Delim); ok && (delim == '}' || delim == ']') {
			open = open[:len(open)-1]
			continue
		}
		if len(open) > 0 {
			if in := &open[len(open)-1]; in.names != nil {
				if name, ok := token.(string); ok && !in.value {
					found.duplicate = found.duplicate || in.names[name]
					in.names[name] = true
				}
				in.value = !in.value
			}
		}
		switch token {
		case stdjson.Delim('{'):
			open = append(open, level{names: map[string]bool{}})
		case stdjson.Delim('['):
			open = append(open, level{})
		}
		found.depth = max(found.depth, len(open))
	}
}
