package rest

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	gojson "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/body"
	"latchkey.dev/latchkey/verify"
)

// usual are bodies as clients write them: those that quick must read by itself.
func usual() []string {
	return []string{
		`{"key":"lk_live_0"}`, `{}`, ` { "key" : "a" , "ip" : "192.0.2.1" } ` + "\r\n\t", `{"key":"schlüssel","user_agent":"curl/8"}`,
		`{"key":"a","scopes":[]}`, `{"key":"a","scopes":["docs:read","docs:*"]}`, `{"key":"a","scopes":{"all":["docs:read"],"any":["a:b","c:d"]}}`,
		`{"key":"a","scopes":{}}`, `{"key":"a","resource":{"type":"plant","id":"7"}}`, `{"key":"a","resource":{}}`,
		`{"ip":"","user_agent":"","method":"GET","host":"h","path":"/p","query":"q","environment":"live","scopes":["a:b"],"resource":{"id":"1","type":"t"},"key":""}`,
	}
}

// unusual are bodies that it leaves, or of which some are refused.
func unusual() []string {
	return []string{
		``, ` `, `null`, `[]`, `""`, `{`, `}`, `{"key"}`, `{"key":}`, `{"key":"a"`, `{"key":"a",}`, `{,}`, `{"key":"a"}{}`, `{"key":"a"} x`, `{"key":"a" "ip":"b"}`,
		`{"key":null}`, `{"key":1}`, `{"key":"a","key":"b"}`, `{"ip":"a","ip":"b"}`, `{"key":"a","\u006bey":"b"}`, `{"Key":"a"}`, `{"nothing":"a"}`,
		`{"key":"\u0061"}`, `{"key":"a\u0000"}`, "{\"key\":\"a\x00\"}", "{\"key\":\"\xff\"}", "{\"key\":\"\xed\xa0\x80\"}", `{"key":"\ud800"}`, "{\"key\":\"a\nb\"}", "\ufeff{}",
		`{"key":"a","ip":null}`, `{"key":"a","scopes":null}`, `{"key":"a","scopes":"a"}`, `{"key":"a","scopes":[null]}`, `{"key":"a","scopes":["a",]}`, `{"key":"a","scopes":[1]}`,
		`{"key":"a","scopes":["a"],"scopes":["b"]}`, `{"key":"a","scopes":{"all":["a"],"all":["b"]}}`, `{"key":"a","scopes":{"all":null,"any":["a"]}}`, `{"key":"a","scopes":{"none":[]}}`,
		`{"key":"a","resource":null}`, `{"key":"a","resource":[]}`, `{"key":"a","resource":{"type":"a","type":"b"}}`, `{"key":"a","resource":{"id":1}}`, `{"key":"a","resource":{"kind":"a"}}`,
		`{"key":"a","resource":{},"resource":{}}`, `{"key":"a","cost":1}`, `{"key":"a","signature":{"input":"a","value":"b"}}`, "{\"\xff\":\"a\"}", `{"":"a"}`,
		`{"items":null}`, `{"items":[]}`, `{"items":{}}`, `{"items":[{}`, `{"items":[{}],}`, `{"items":[{}],"items":[{}]}`, `{"items":[{},null]}`, `{"items":[{},]}`, `{"items":["a"]}`,
	}
}

func TestQuickReadsWhatIsUsual(t *testing.T) {
	t.Parallel()
	for _, text := range usual() {
		if quickVerify([]byte(text)) == nil {
			t.Errorf("%s is left", text)
		}
		if batch := `{"items":[` + text + `,` + text + `]}`; quickBatch([]byte(batch)) == nil {
			t.Errorf("%s is left", batch)
		}
	}
}

// FuzzQuick holds quick to package body: it takes nothing else, reads nothing else
// into it, and what the door answers is what body alone would have answered.
func FuzzQuick(f *testing.F) {
	for _, text := range append(usual(), unusual()...) {
		f.Add([]byte(text))
		f.Add([]byte(`{"items":[` + text + `]}`))
		f.Add([]byte(`{"items":[{"key":"a"},` + text + `]}`))
	}
	var ops []operation
	for _, op := range (&API{}).operations() {
		if op.quick != nil {
			ops = append(ops, op)
		}
	}
	if len(ops) != 2 {
		f.Fatalf("%d operations read quickly", len(ops))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, op := range ops {
			want := newOf(op.in)
			wanted := body.Decode(data, want, op.body)
			got, err := op.decode(data)
			if !reflect.DeepEqual(err, wanted) {
				t.Fatalf("error %v, want %v", err, wanted)
			}
			if err == nil && !reflect.DeepEqual(got, want) {
				t.Fatalf("read %s, want %s", spelled(got), spelled(want))
			}
		}
	})
}

func spelled(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// What is written by hand is what package body would write of the same answer.
func TestVerdictsAreWrittenAsTheirAnswers(t *testing.T) {
	t.Parallel()
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "<a&b>", "\u2028\u2029", "\x7f", "\xff\xfe", `"\`, "\b\f\n\r\t\x01", "ü😀"}))
	id := rapid.Custom(func(t *rapid.T) (id latchkey.ID) {
		copy(id[:], rapid.SliceOfN(rapid.Byte(), 0, len(id)).Draw(t, "id"))
		return id
	})
	at := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "never") {
			return time.Time{}
		}
		return time.UnixMilli(rapid.Int64Range(0, 253402300799999).Draw(t, "ms")).In(time.FixedZone("", 3600))
	})
	rapid.Check(t, func(t *rapid.T) {
		members := metadata{}
		for name, value := range rapid.MapOf(text, text).Draw(t, "metadata") {
			quoted, _ := jsontext.AppendQuote(nil, value)
			if name, err := jsontext.AppendQuote(nil, name); err == nil {
				members[spelledName(name)] = quoted
			}
		}
		document, err := members.document()
		if err != nil {
			t.Fatal(err)
		}
		v := verify.Verdict{Code: rapid.SampledFrom(latchkey.Codes()).Draw(t, "code"), AsOf: at.Draw(t, "as of"), Node: text.Draw(t, "node"), Signed: rapid.Bool().Draw(t, "signed")}
		if rapid.Bool().Draw(t, "matched") {
			v.Identity = &verify.Identity{
				KeyID: id.Draw(t, "key"), KID: latchkey.KID(text.Draw(t, "kid")), SecretExpires: at.Draw(t, "secret"), Role: text.Draw(t, "role"),
				Key: verify.Holder{
					Organization: id.Draw(t, "organization"), Project: id.Draw(t, "project"), Owner: id.Draw(t, "owner"), Environment: latchkey.Live,
					Partner: text.Draw(t, "partner"), Metadata: document, ExpiresAt: at.Draw(t, "expires"),
				},
				Grant: &latchkey.Grant{
					Permissions: rapid.SliceOf(rapid.Map(text, func(s string) latchkey.Permission { return latchkey.Permission(s) })).Draw(t, "permissions"),
					Resources:   rapid.OneOf(rapid.Just[map[string][]string](nil), rapid.MapOf(rapid.StringMatching(`[a-z"ü]*`), rapid.SliceOf(text))).Draw(t, "resources"),
				},
			}
		}
		want, err := gojson.Marshal(spellVerdict(&v), gojson.Deterministic(true), jsontext.AllowInvalidUTF8(true))
		if err != nil {
			t.Fatal(err)
		}
		if got := appendVerdict(nil, &v); string(got) != string(want) {
			t.Fatalf("\n%s, want\n%s", got, want)
		}
	})
}

func spelledName(quoted []byte) string {
	name, _ := jsontext.AppendUnquote(nil, quoted)
	return string(name)
}

func BenchmarkVerdict(b *testing.B) {
	data := []byte(`{"key":"lk_live_` + strings.Repeat("a", 66) + `","ip":"192.0.2.1","scopes":["docs:read"]}`)
	v := verify.Verdict{Code: latchkey.CodeValid, AsOf: time.Now(), Node: "node", Identity: &verify.Identity{
		KeyID: latchkey.ID{1}, KID: "0123456789abcdef", Key: verify.Holder{Organization: latchkey.ID{2}, Project: latchkey.ID{3}, Environment: latchkey.Live, Metadata: `{"plan":"basic"}`},
		Grant: &latchkey.Grant{Permissions: latchkey.Permissions{"docs:read", "docs:write"}},
	}}
	x := exchange{}
	b.Run("quick", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := x.verification(single, quickVerify(data).(*verifyInput), &verify.Request{}); err != nil {
				b.Fatal(err)
			}
			appendVerdict(make([]byte, 0, verdictRoom), &v)
		}
	})
	b.Run("reflected", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			in := &verifyInput{}
			if err := body.Decode(data, in, body.NUL); err != nil {
				b.Fatal(err)
			}
			if err := x.verification(single, in, &verify.Request{}); err != nil {
				b.Fatal(err)
			}
			if _, err := gojson.Marshal(spellVerdict(&v), gojson.Deterministic(true)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
