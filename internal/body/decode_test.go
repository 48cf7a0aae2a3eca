package body_test

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/body"
)

// creation has one member of every sort that a wire type is made of.
type creation struct {
	Name         string              `json:"name"`
	Owner        *string             `json:"owner"`
	Scopes       []string            `json:"scopes"`
	Restrictions restrictions        `json:"restrictions"`
	Retrievable  bool                `json:"retrievable"`
	Count        int64               `json:"count"`
	Small        uint8               `json:"small"`
	Cost         float64             `json:"cost"`
	ExpiresAt    *body.Time          `json:"expires_at"`
	StartsAt     body.Time           `json:"starts_at"`
	Overlap      body.Duration       `json:"overlap"`
	PlainTime    time.Time           `json:"plain_time"`
	Required     required            `json:"required"`
	Digest       []byte              `json:"digest"`
	Ranks        map[int]string      `json:"ranks"`
	Metadata     map[string]any      `json:"metadata"`
	Raw          jsontext.Value      `json:"raw"`
	Clumsy       clumsy              `json:"clumsy"`
	Patch        body.Optional[text] `json:"patch"`
}

type restrictions struct {
	Addresses []string            `json:"addresses"`
	Resources map[string][]string `json:"resources"`
}

type text struct {
	Value string `json:"value"`
}

// required is a list of scopes, or {"any": […]}: a wire type that reads itself.
type required []string

func (r *required) UnmarshalJSONFrom(values *jsontext.Decoder) error {
	if values.PeekKind() != jsontext.KindBeginArray {
		if err := values.SkipValue(); err != nil {
			return err
		}
		return body.Rule{Code: "form", Detail: "This must be a list."}
	}
	return values.SkipValue()
}

// clumsy repeats the value in its error, as many types of the world do.
type clumsy string

func (c *clumsy) UnmarshalText(value []byte) error {
	return errors.New("no such thing: " + string(value))
}

const secret = "lk_live_7Hk2mQ9xTz4LpW0e_Q1w2E3r4T5y6U7i8O9p0AaSsDdFfGgHhJjKkLlZzXxC4aEhIp"

func nested(depth int, inner string) string {
	return strings.Repeat(`[`, depth) + inner + strings.Repeat(`]`, depth)
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 1<<20)
	for name, c := range map[string]struct{ in, code, pointer string }{
		"nothing":               {``, body.RuleEmpty, ""},
		"whitespace":            {" \t\r\n", body.RuleEmpty, ""},
		"null":                  {`null`, body.RuleNotAnObject, ""},
		"a string":              {`"name"`, body.RuleNotAnObject, ""},
		"a number":              {`1`, body.RuleNotAnObject, ""},
		"an array":              {`[]`, body.RuleNotAnObject, ""},
		"an array of objects":   {`[{"name":"a"}]`, body.RuleNotAnObject, ""},
		"half a literal":        {`tru`, body.RuleSyntax, ""},
		"form encoding":         {`name=a&scopes=b`, body.RuleSyntax, ""},
		"byte order mark":       {"\ufeff{}", body.RuleSyntax, ""},
		"UTF-16":                {"\xff\xfe{\x00}\x00", body.RuleUTF8, ""},
		"NUL before":            {"\x00{}", body.RuleSyntax, ""},
		"NUL after":             {"{}\x00", body.RuleTrailing, ""},
		"no-break space":        {"{\u00a0}", body.RuleSyntax, ""},
		"form feed":             {"{\f}", body.RuleSyntax, ""},
		"open object":           {`{"name":"a"`, body.RuleSyntax, ""},
		"open name":             {`{"na`, body.RuleSyntax, ""},
		"open string":           {`{"name":"a`, body.RuleSyntax, "/name"},
		"no value":              {`{"name":}`, body.RuleSyntax, "/name"},
		"no colon":              {`{"name" "a"}`, body.RuleSyntax, "/name"},
		"no comma":              {`{"scopes":["a" "b"]}`, body.RuleSyntax, "/scopes"},
		"trailing comma":        {`{"name":"a",}`, body.RuleSyntax, ""},
		"trailing comma, array": {`{"scopes":["a",]}`, body.RuleSyntax, "/scopes"},
		"comment":               {`{/* a */}`, body.RuleSyntax, ""},
		"single quotes":         {`{'name':'a'}`, body.RuleSyntax, ""},
		"bare name":             {`{name:"a"}`, body.RuleSyntax, ""},
		"number as a name":      {`{1:"a"}`, body.RuleSyntax, ""},
		"closed by the other":   {`{"scopes":["a"}}`, body.RuleSyntax, "/scopes"},
		"NaN":                   {`{"cost":NaN}`, body.RuleSyntax, "/cost"},
		"plus":                  {`{"count":+1}`, body.RuleSyntax, "/count"},
		"leading zero":          {`{"count":01}`, body.RuleSyntax, ""},
		"hexadecimal":           {`{"count":0x1}`, body.RuleSyntax, ""},
		"half a number":         {`{"count":1.}`, body.RuleSyntax, "/count"},
		"raw newline":           {"{\"name\":\"a\nb\"}", body.RuleSyntax, "/name"},
		"raw NUL":               {"{\"name\":\"a\x00b\"}", body.RuleSyntax, "/name"},
		"unknown escape":        {`{"name":"\x41"}`, body.RuleSyntax, "/name"},
		"short escape":          {`{"name":"\u12"}`, body.RuleSyntax, "/name"},

		"invalid UTF-8 in a value":   {"{\"name\":\"a\xff\"}", body.RuleUTF8, "/name"},
		"invalid UTF-8 in a name":    {"{\"n\xffme\":1}", body.RuleUTF8, ""},
		"invalid UTF-8, unknown":     {"{\"metadata\":{\"a\":[\"\xc0\xaf\"]}}", body.RuleUTF8, "/metadata/a/0"},
		"overlong":                   {"{\"name\":\"\xc1\x81\"}", body.RuleUTF8, "/name"},
		"surrogate in UTF-8":         {"{\"name\":\"\xed\xa0\x80\"}", body.RuleUTF8, "/name"},
		"beyond Unicode":             {"{\"name\":\"\xf4\x90\x80\x80\"}", body.RuleUTF8, "/name"},
		"high surrogate alone":       {`{"name":"\ud800"}`, body.RuleUTF8, "/name"},
		"high surrogate, then text":  {`{"name":"\uD800 and more"}`, body.RuleUTF8, "/name"},
		"low surrogate alone":        {`{"name":"\udc00 and more"}`, body.RuleUTF8, "/name"},
		"surrogates turned round":    {`{"name":"\udc00\ud800"}`, body.RuleUTF8, "/name"},
		"surrogate in a name":        {`{"\ud800":1}`, body.RuleUTF8, ""},
		"U+0000":                     {`{"name":"a\u0000b"}`, body.RuleNUL, "/name"},
		"U+0000 in a name":           {`{"metadata":{"a\u0000":"b"}}`, body.RuleNUL, "/metadata"},
		"U+0000 after a backslash":   {`{"name":"\\\u0000"}`, body.RuleNUL, "/name"},
		"U+0000 where nothing reads": {`{"metadata":{"a":[1,{"b":"\u0000"}]}}`, body.RuleNUL, "/metadata/a/1/b"},

		"duplicate":               {`{"name":"a","name":"a"}`, body.RuleDuplicate, "/name"},
		"duplicate by an escape":  {`{"name":"a","\u006eame":"b"}`, body.RuleDuplicate, "/name"},
		"duplicate far inside":    {`{"metadata":{"a":[{"b":1,"c":2,"b":3}]}}`, body.RuleDuplicate, "/metadata/a/0/b"},
		"duplicate unknown":       {`{"nobody":1,"nobody":2}`, body.RuleDuplicate, "/nobody"},
		"duplicate empty name":    {`{"metadata":{"":1,"":2}}`, body.RuleDuplicate, "/metadata/"},
		"duplicate map key":       {`{"ranks":{"0":"a","-0":"b"}}`, body.RuleDuplicate, "/ranks/-0"},
		"duplicate in raw":        {`{"raw":{"a":1,"a":2}}`, body.RuleDuplicate, "/raw/a"},
		"duplicate before a type": {`{"name":1,"name":"a"}`, body.RuleDuplicate, "/name"},

		"too deep":             {`{"metadata":` + nested(body.MaxDepth, "") + `}`, body.RuleDepth, "/metadata" + strings.Repeat("/0", body.MaxDepth-1)},
		"too deep, objects":    {strings.Repeat(`{"metadata":`, body.MaxDepth+1) + `1` + strings.Repeat(`}`, body.MaxDepth+1), body.RuleDepth, strings.Repeat("/metadata", body.MaxDepth)},
		"too deep and unknown": {`{"nobody":` + nested(1<<16, "") + `}`, body.RuleDepth, "/nobody" + strings.Repeat("/0", body.MaxDepth-1)},
		"a million brackets":   {`{"metadata":` + strings.Repeat("[", 1<<20), body.RuleDepth, "/metadata" + strings.Repeat("/0", body.MaxDepth-1)},
		"a million braces":     {strings.Repeat(`{"":`, 1<<18), body.RuleDepth, strings.Repeat("/", body.MaxDepth)},

		"two texts":        {`{}{}`, body.RuleTrailing, ""},
		"two lines":        {"{}\n{}", body.RuleTrailing, ""},
		"a bracket more":   {`{}}`, body.RuleTrailing, ""},
		"a comma more":     {`{},`, body.RuleTrailing, ""},
		"half a text more": {`{} tr`, body.RuleTrailing, ""},
		"form feed after":  {"{}\f", body.RuleTrailing, ""},
		"bad UTF-8 after":  {"{}\xff", body.RuleTrailing, ""},

		"unknown":              {`{"nobody":1}`, body.RuleUnknownMember, "/nobody"},
		"unknown inside":       {`{"restrictions":{"address":[]}}`, body.RuleUnknownMember, "/restrictions/address"},
		"another case":         {`{"Name":"a"}`, body.RuleUnknownMember, "/Name"},
		"a field's Go name":    {`{"ExpiresAt":null}`, body.RuleUnknownMember, "/ExpiresAt"},
		"empty name":           {`{"":1}`, body.RuleUnknownMember, "/"},
		"pointer escapes":      {`{"a/b~c":1}`, body.RuleUnknownMember, "/a~1b~0c"},
		"in a patch":           {`{"patch":{"values":"a"}}`, body.RuleUnknownMember, "/patch/values"},
		"prototype":            {`{"__proto__":{}}`, body.RuleUnknownMember, "/__proto__"},
		"newline in the name":  {`{"a\nb":1}`, body.RuleUnknownMember, ""},
		"bidi in the name":     {`{"restrictions":{"a\u202eb":1}}`, body.RuleUnknownMember, "/restrictions"},
		"escape in the name":   {`{"\u001b[31m":1}`, body.RuleUnknownMember, ""},
		"long name":            {`{"` + long + `":1}`, body.RuleUnknownMember, ""},
		"key as a name":        {`{"` + secret + `":1}`, body.RuleUnknownMember, ""},
		"key as a name inside": {`{"restrictions":{"resources":{"` + secret + `":1}}}`, body.RuleWrongType, "/restrictions/resources"},

		"number for a string":      {`{"name":1}`, body.RuleWrongType, "/name"},
		"object for a string":      {`{"name":{"a":1}}`, body.RuleWrongType, "/name"},
		"array for a string":       {`{"name":["a"]}`, body.RuleWrongType, "/name"},
		"string for a boolean":     {`{"retrievable":"true"}`, body.RuleWrongType, "/retrievable"},
		"number for a boolean":     {`{"retrievable":0}`, body.RuleWrongType, "/retrievable"},
		"string for an integer":    {`{"count":"1"}`, body.RuleWrongType, "/count"},
		"fraction":                 {`{"count":1.5}`, body.RuleWrongType, "/count"},
		"fraction of nothing":      {`{"count":1.0}`, body.RuleWrongType, "/count"},
		"exponent":                 {`{"count":1e3}`, body.RuleWrongType, "/count"},
		"negative for unsigned":    {`{"small":-1}`, body.RuleWrongType, "/small"},
		"minus zero for unsigned":  {`{"small":-0}`, body.RuleWrongType, "/small"},
		"string for a list":        {`{"scopes":"a"}`, body.RuleWrongType, "/scopes"},
		"object for a list":        {`{"scopes":{"0":"a"}}`, body.RuleWrongType, "/scopes"},
		"number in a list":         {`{"scopes":["a",2]}`, body.RuleWrongType, "/scopes/1"},
		"array for an object":      {`{"restrictions":[]}`, body.RuleWrongType, "/restrictions"},
		"deep in a map":            {`{"restrictions":{"resources":{"plant":["a",true]}}}`, body.RuleWrongType, "/restrictions/resources/plant/1"},
		"word for a number key":    {`{"ranks":{"one":"a"}}`, body.RuleWrongType, "/ranks/one"},
		"in a patch, wrong":        {`{"patch":{"value":1}}`, body.RuleWrongType, "/patch/value"},
		"patch itself":             {`{"patch":7}`, body.RuleWrongType, "/patch"},
		"not base64":               {`{"digest":"***"}`, body.RuleWrongType, "/digest"},
		"number for a time":        {`{"expires_at":1700000000}`, body.RuleWrongType, "/expires_at"},
		"number for a duration":    {`{"overlap":3600}`, body.RuleWrongType, "/overlap"},
		"own type, own rule":       {`{"required":{"any":"` + secret + `"}}`, "form", "/required"},
		"own type, own words":      {`{"clumsy":"` + secret + `"}`, body.RuleWrongType, "/clumsy"},
		"secret as a number":       {`{"count":"` + secret + `"}`, body.RuleWrongType, "/count"},
		"null for a string":        {`{"name":null}`, body.RuleWrongType, "/name"},
		"null for a boolean":       {`{"retrievable":null}`, body.RuleWrongType, "/retrievable"},
		"null for an integer":      {`{"count":null}`, body.RuleWrongType, "/count"},
		"null for a float":         {`{"cost":null}`, body.RuleWrongType, "/cost"},
		"null for an object":       {`{"restrictions":null}`, body.RuleWrongType, "/restrictions"},
		"null in a list":           {`{"scopes":["a",null]}`, body.RuleWrongType, "/scopes/1"},
		"null for a time":          {`{"starts_at":null}`, body.RuleWrongType, "/starts_at"},
		"null for time.Time":       {`{"plain_time":null}`, body.RuleWrongType, "/plain_time"},
		"null for a duration":      {`{"overlap":null}`, body.RuleWrongType, "/overlap"},
		"null in a patch":          {`{"patch":{"value":null}}`, body.RuleWrongType, "/patch/value"},
		"bad time":                 {`{"expires_at":"tomorrow"}`, body.RuleFormat, "/expires_at"},
		"empty time":               {`{"starts_at":""}`, body.RuleFormat, "/starts_at"},
		"bad duration":             {`{"overlap":"a day"}`, body.RuleFormat, "/overlap"},
		"beyond int64":             {`{"count":9223372036854775808}`, body.RuleRange, "/count"},
		"below int64":              {`{"count":-9223372036854775809}`, body.RuleRange, "/count"},
		"beyond uint8":             {`{"small":256}`, body.RuleRange, "/small"},
		"beyond uint64":            {`{"count":99999999999999999999999999}`, body.RuleRange, "/count"},
		"beyond float64":           {`{"cost":1e400}`, body.RuleRange, "/cost"},
		"beyond float64, any":      {`{"metadata":{"a":-1e400}}`, body.RuleRange, "/metadata/a"},
		"a megabyte of digits":     {`{"count":` + strings.Repeat("9", 1<<20) + `}`, body.RuleRange, "/count"},
		"form told before type":    {`{"count":"a","name":"b"`, body.RuleSyntax, ""},
		"form told before unknown": {`{"nobody":1} x`, body.RuleTrailing, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var into creation
			err := body.Decode([]byte(c.in), &into)
			refused := refusal(t, err, latchkey.CodeMalformedBody)
			field := refused.Fields[0]
			if field.Code != c.code || field.Pointer != c.pointer {
				t.Errorf("%s at %q, want %s at %q (%s)", field.Code, field.Pointer, c.code, c.pointer, field.Detail)
			}
		})
	}
}

// refusal checks what every refusal of this package owes its readers.
func refusal(t *testing.T, err error, code latchkey.ErrorCode) *latchkey.Error {
	t.Helper()
	refused, ok := err.(*latchkey.Error)
	if !ok || refused.Code != code || refused.Detail == "" {
		t.Fatalf("error %v (%T), want %s", err, err, code)
	}
	if code == latchkey.CodeMalformedBody {
		if len(refused.Fields) != 1 {
			t.Fatalf("%d field errors, want one", len(refused.Fields))
		}
		field := refused.Fields[0]
		if field.Code == "" || !strings.HasSuffix(field.Detail, ".") || len(field.Detail) > 120 {
			t.Errorf("field error %q: %q is not a short sentence", field.Code, field.Detail)
		}
		if !jsontext.Pointer(field.Pointer).IsValid() || len(field.Pointer) > 512 {
			t.Errorf("pointer of %d bytes, %.80q", len(field.Pointer), field.Pointer)
		}
	}
	if told := refused.Error(); strings.Contains(told, secret) || strings.ContainsAny(told, "\x00\n\x1b\u202e") {
		t.Errorf("the error tells what it was given: %q", told)
	}
	return refused
}

func TestDetailNamesTheType(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"name":1}`:             "This must be a string.",
		`{"owner":1}`:            "This must be a string.",
		`{"expires_at":1}`:       "This must be a string.",
		`{"retrievable":1}`:      "This must be true or false.",
		`{"count":1.5}`:          "This must be an integer, without fraction or exponent.",
		`{"small":"1"}`:          "This must be an integer, without fraction or exponent.",
		`{"cost":"1"}`:           "This must be a number.",
		`{"scopes":1}`:           "This must be an array.",
		`{"restrictions":1}`:     "This must be an object.",
		`{"metadata":1}`:         "This must be an object.",
		`{"digest":1}`:           "This must be a string in base64.",
		`{"name":null}`:          "This cannot be null; it must be a string.",
		`{"plain_time":null}`:    "This cannot be null; it must be a string.",
		`{"scopes":[1]}`:         "This must be a string.",
		`{"patch":[1]}`:          "This must be an object.",
		`{"required":{}}`:        "This must be a list.",
		`{"name":"a",}`:          "This is not JSON (RFC 8259); look at byte 11.",
		`{"name":"\ud800"}`:      "An escaped surrogate needs its other half; look at byte 9.",
		"{\"name\":\"\xff\"}":    "The body must be UTF-8; look at byte 9.",
		strings.Repeat("[", 100): "The body must be a JSON object.",
	} {
		if got := refusal(t, body.Decode([]byte(in), new(creation)), latchkey.CodeMalformedBody).Fields[0].Detail; got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
	rule := body.Rule{Code: "form", Detail: "This must be a list."}
	if rule.Error() != "form: This must be a list." {
		t.Errorf("a rule prints as %q", rule.Error())
	}
}

// greedy reads more than its value, which is a mistake of ours.
type greedy struct{}

func (greedy) UnmarshalJSONFrom(values *jsontext.Decoder) error {
	for {
		if err := values.SkipValue(); err != nil {
			return err
		}
	}
}

func TestDecodeOwnMistake(t *testing.T) {
	t.Parallel()
	var into struct {
		A greedy `json:"a"`
	}
	refusal(t, body.Decode([]byte(`{"a":1}`), &into), latchkey.CodeInternal)
}

func TestPointerIsBounded(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("~", 40)
	in := strings.Repeat(`{"`+name+`":`, 20) + `01` + strings.Repeat(`}`, 20)
	field := refusal(t, body.Decode([]byte(in), new(any)), latchkey.CodeMalformedBody).Fields[0]
	if part := "/" + strings.Repeat("~0", 40); !strings.HasPrefix(field.Pointer, part) || len(field.Pointer)%len(part) != 0 {
		t.Errorf("pointer %q is not made of whole names", field.Pointer)
	}
}

func TestDecodeTakes(t *testing.T) {
	t.Parallel()
	owner := "u"
	at := time.Date(2026, 1, 2, 3, 4, 5, 678912345, time.UTC)
	moment := body.Time(at)
	for name, c := range map[string]struct {
		in   string
		want creation
	}{
		"an empty object":       {`{}`, creation{}},
		"whitespace around":     {" \t\r\n{ \"name\" :\n\"a\" }\r\n", creation{Name: "a"}},
		"unicode":               {`{"name":"\u00e9é\ud83d\uDE00😀\ufeff\\u0000\"\/"}`, creation{Name: "éé😀😀\ufeff\\u0000\"/"}},
		"the largest integer":   {`{"count":9223372036854775807}`, creation{Count: math.MaxInt64}},
		"the smallest integer":  {`{"count":-9223372036854775808}`, creation{Count: math.MinInt64}},
		"minus zero":            {`{"count":-0}`, creation{}},
		"minus zero, float":     {`{"cost":-0}`, creation{Cost: math.Copysign(0, -1)}},
		"underflow":             {`{"cost":1e-400}`, creation{}},
		"null where it is nil":  {`{"owner":null,"scopes":null,"expires_at":null,"metadata":null,"restrictions":{"addresses":null,"resources":{"plant":null}}}`, creation{Restrictions: restrictions{Resources: map[string][]string{"plant": nil}}}},
		"null in an any":        {`{"metadata":{"a":null,"b":[null]}}`, creation{Metadata: map[string]any{"a": nil, "b": []any{nil}}}},
		"empty where it is not": {`{"scopes":[],"metadata":{},"restrictions":{"resources":{"plant":[]}}}`, creation{Scopes: []string{}, Metadata: map[string]any{}, Restrictions: restrictions{Resources: map[string][]string{"plant": {}}}}},
		"pointers":              {`{"owner":"u","expires_at":"2026-01-02T03:04:05.678912345Z"}`, creation{Owner: &owner, ExpiresAt: &moment}},
		"durations":             {`{"overlap":"1h30m"}`, creation{Overlap: body.Duration(90 * time.Minute)}},
		"raw":                   {`{"raw": null}`, creation{Raw: jsontext.Value("null")}},
		"absent patch":          {`{"name":"a"}`, creation{Name: "a"}},
		"null patch":            {`{"patch":null}`, creation{Patch: body.Optional[text]{Set: true, Null: true}}},
		"empty patch":           {`{"patch":{}}`, creation{Patch: body.Optional[text]{Set: true}}},
		"patch":                 {`{"patch":{"value":"v"}}`, creation{Patch: body.Optional[text]{Set: true, Value: text{"v"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got creation
			if err := body.Decode([]byte(c.in), &got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, c.want) || math.Signbit(got.Cost) != math.Signbit(c.want.Cost) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// What an Optional held before does not show through.
func TestOptionalIsReplaced(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]body.Optional[text]{
		`{"patch":null}`:          {Set: true, Null: true},
		`{"patch":{}}`:            {Set: true},
		`{"patch":{"value":"b"}}`: {Set: true, Value: text{"b"}},
		`{}`:                      {Set: true, Null: true, Value: text{"a"}},
	} {
		got := creation{Patch: body.Optional[text]{Set: true, Null: true, Value: text{"a"}}}
		if err := body.Decode([]byte(in), &got); err != nil || got.Patch != want {
			t.Errorf("%s: %+v, error %v, want %+v", in, got.Patch, err, want)
		}
	}
}

func TestDepthBound(t *testing.T) {
	t.Parallel()
	var got map[string]any
	if err := body.Decode([]byte(`{"a":`+nested(body.MaxDepth-1, "1")+`,"b":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["}`), &got); err != nil {
		t.Fatal(err)
	}
	depth, at := 1, got["a"]
	for list, ok := at.([]any); ok; list, ok = at.([]any) {
		depth, at = depth+1, list[0]
	}
	if depth != body.MaxDepth || at != 1.0 {
		t.Errorf("read %d deep, then %v", depth, at)
	}
}

func TestManyMembers(t *testing.T) {
	t.Parallel()
	var in strings.Builder
	in.WriteString(`{"metadata":{`)
	for n := range 100_000 {
		in.WriteString(`"` + strings.Repeat("k", 1+n%3) + time.Duration(n).String() + `":` + `1,`)
	}
	in.WriteString(`"k0s":2}}`)
	field := refusal(t, body.Decode([]byte(in.String()), new(creation)), latchkey.CodeMalformedBody).Fields[0]
	if field.Code != body.RuleDuplicate || field.Pointer != "/metadata/k0s" {
		t.Errorf("%s at %q", field.Code, field.Pointer)
	}
}

func TestDecodeOptions(t *testing.T) {
	t.Parallel()
	t.Run("unknown members", func(t *testing.T) {
		t.Parallel()
		var got creation
		if err := body.Decode([]byte(`{"nobody":{"a":[1,null]},"name":"a","Name":"b"}`), &got, body.UnknownMembers); err != nil || got.Name != "a" {
			t.Errorf("name %q, error %v", got.Name, err)
		}
		for in, code := range map[string]string{
			`{"nobody":{"a":1,"a":2}}`:                     body.RuleDuplicate,
			"{\"nobody\":\"\xff\"}":                        body.RuleUTF8,
			`{"nobody":` + nested(body.MaxDepth, "") + `}`: body.RuleDepth,
			`{"nobody":"\u0000"}`:                          body.RuleNUL,
			`{"name":null}`:                                body.RuleWrongType,
		} {
			if field := refusal(t, body.Decode([]byte(in), &got, body.UnknownMembers), latchkey.CodeMalformedBody).Fields[0]; field.Code != code {
				t.Errorf("%s: %s, want %s", in, field.Code, code)
			}
		}
	})
	t.Run("empty body", func(t *testing.T) {
		t.Parallel()
		for _, in := range []string{"", " \r\n\t", "null", "null\n", "{}"} {
			got := creation{Name: "default"}
			if err := body.Decode([]byte(in), &got, body.EmptyBody); err != nil || got.Name != "default" {
				t.Errorf("%q: name %q, error %v", in, got.Name, err)
			}
		}
		for _, in := range []string{"nul", "null null", "false", "[]", "\ufeff", "\u00a0"} {
			refusal(t, body.Decode([]byte(in), new(creation), body.EmptyBody), latchkey.CodeMalformedBody)
		}
	})
	t.Run("top-level array", func(t *testing.T) {
		t.Parallel()
		var got []text
		if err := body.Decode([]byte(`[{"value":"a"},{"value":"b"}]`), &got, body.TopLevelArray); err != nil || len(got) != 2 || got[1].Value != "b" {
			t.Errorf("%v, error %v", got, err)
		}
		for in, want := range map[string][2]string{
			`{}`:                                  {body.RuleNotAnArray, ""},
			`null`:                                {body.RuleNotAnArray, ""},
			`[{"value":"a"},null]`:                {body.RuleWrongType, "/1"},
			`[{"value":"a"},{"value":"b","v":1}]`: {body.RuleUnknownMember, "/1/v"},
			`[] []`:                               {body.RuleTrailing, ""},
			nested(body.MaxDepth+1, ""):           {body.RuleDepth, strings.Repeat("/0", body.MaxDepth)},
		} {
			field := refusal(t, body.Decode([]byte(in), &got, body.TopLevelArray), latchkey.CodeMalformedBody).Fields[0]
			if field.Code != want[0] || field.Pointer != want[1] {
				t.Errorf("%s: %s at %q, want %v", in, field.Code, field.Pointer, want)
			}
		}
	})
	t.Run("NUL", func(t *testing.T) {
		t.Parallel()
		var got creation
		if err := body.Decode([]byte(`{"name":"a\u0000b"}`), &got, body.NUL|body.UnknownMembers); err != nil || got.Name != "a\x00b" {
			t.Errorf("name %q, error %v", got.Name, err)
		}
	})
}

// A handler may hash the body after decoding it (Idempotency-Key), and may
// reuse its memory.
func TestDecodeLeavesDataAlone(t *testing.T) {
	t.Parallel()
	in := []byte(`{"name":"\u0061\ud83d\ude00","scopes":["a","b"],"patch":{"value":"v"},"raw":{"a":"\n"}}`)
	before := string(in)
	var got creation
	if err := body.Decode(in, &got); err != nil {
		t.Fatal(err)
	}
	if string(in) != before {
		t.Error("the body was written to")
	}
	clear(in)
	if got.Name != "a😀" || got.Scopes[1] != "b" || got.Patch.Value.Value != "v" || string(got.Raw) != `{"a":"\n"}` {
		t.Errorf("what was decoded shares memory with the body: %+v", got)
	}
}
