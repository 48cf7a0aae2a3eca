package rest

import (
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/verify"
)

// Verdicts are written by hand, without reflection: to the byte what the JSON of
// spellVerdict is, to which a test holds this.

// verdictRoom is more than most verdicts take.
const verdictRoom = 1 << 10

// appendVerdict appends the JSON of a VerdictAnswer.
func appendVerdict(b []byte, v *verify.Verdict) []byte {
	b = strconv.AppendBool(append(b, `{"valid":`...), v.Code == latchkey.CodeValid)
	b = appendText(append(b, `,"code":`...), string(v.Code))
	b = appendMoment(append(b, `,"as_of":`...), v.AsOf)
	b = appendText(append(b, `,"node":`...), v.Node)
	if v.Identity != nil {
		b = appendIdentity(b, v.Identity, v.Signed)
	}
	return append(b, '}')
}

func appendIdentity(b []byte, id *verify.Identity, signed bool) []byte {
	b = appendID(append(b, `,"key_id":`...), id.KeyID, latchkey.KindKey)
	b = appendText(append(b, `,"kid":`...), string(id.KID))
	b = appendID(append(b, `,"organization_id":`...), id.Key.Organization, latchkey.KindOrganization)
	b = appendID(append(b, `,"project_id":`...), id.Key.Project, latchkey.KindProject)
	b = appendText(append(b, `,"environment":`...), string(id.Key.Environment))
	b = appendOptional(append(b, `,"owner_id":`...), id.Key.Owner.Native(latchkey.KindUser))
	b = appendOptional(append(b, `,"partner":`...), id.Key.Partner)
	b = appendOptional(append(b, `,"role":`...), id.Role)
	b = appendTexts(append(b, `,"permissions":`...), id.Grant.Permissions)
	if id.Grant.Resources != nil {
		b = appendResources(append(b, `,"resources":`...), id.Grant.Resources)
	}
	b = appendMetadata(append(b, `,"metadata":`...), id.Key.Metadata)
	b = strconv.AppendBool(append(b, `,"signed":`...), signed)
	return appendMoment(append(b, `,"expires_at":`...), id.ExpiresAt())
}

func appendID(b []byte, id latchkey.ID, kind latchkey.Kind) []byte {
	return append(id.AppendNative(append(b, '"'), kind), '"')
}

// appendText appends a string. HTML is not escaped, as in package body.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf || c == 0x7f {
			b, _ = jsontext.AppendQuote(b, s) // what is not UTF-8 becomes U+FFFD, and is no reason to fail
			return b
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

func appendOptional(b []byte, s string) []byte {
	if s == "" {
		return append(b, "null"...)
	}
	return appendText(b, s)
}

func appendTexts[S ~string](b []byte, texts []S) []byte {
	b = append(b, '[')
	for i, s := range texts {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, string(s))
	}
	return append(b, ']')
}

func appendResources(b []byte, r latchkey.Resources) []byte {
	b = append(b, '{')
	for i, kind := range slices.Sorted(maps.Keys(r)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTexts(append(appendText(b, kind), ':'), r[kind])
	}
	return append(b, '}')
}

// appendMetadata appends a document, which is compact and in order already.
func appendMetadata(b []byte, d latchkey.Document) []byte {
	if d == "" {
		return append(b, "{}"...)
	}
	return append(b, d...)
}

// appendMoment appends a time to the millisecond, as package body spells it.
func appendMoment(b []byte, t time.Time) []byte {
	if t = t.UTC(); t.IsZero() {
		return append(b, "null"...)
	}
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(b, `"2006-01-02T15:04:05.000Z"`)
	}
	hour, minute, second := t.Clock()
	millis := t.Nanosecond() / int(time.Millisecond)
	b = appendPair(appendPair(append(b, '"'), year/100), year%100)
	b = appendPair(append(b, '-'), int(month))
	b = appendPair(append(b, '-'), day)
	b = appendPair(append(b, 'T'), hour)
	b = appendPair(append(b, ':'), minute)
	b = appendPair(append(b, ':'), second)
	b = append(appendPair(append(b, '.'), millis/10), byte('0'+millis%10))
	return append(b, 'Z', '"')
}

// appendPair appends two digits.
func appendPair(b []byte, n int) []byte {
	return append(b, byte('0'+n/10), byte('0'+n%10)) //nolint:gosec // n is 0 to 99: both are digits
}
