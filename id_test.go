package latchkey_test

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"latchkey.dev/latchkey"
	"pgregory.net/rapid"
)

type idVector struct {
	Description string            `json:"description"`
	Valid       bool              `json:"valid"`
	Seconds     int64             `json:"seconds"`
	Hex         string            `json:"hex"`
	Native      map[string]string `json:"native"`
	UUID        string            `json:"uuid"`
	Spelling    string            `json:"spelling"`
	Kind        string            `json:"kind"`
	Text        string            `json:"text"`
	Reason      string            `json:"reason"`
}

// idReading is what a spelling was read as: an id, a UUID that is not ours, or
// neither.
type idReading struct {
	id      latchkey.ID
	foreign bool
	err     error
}

func readID(spelling, kind, s string) (r idReading) {
	switch spelling {
	case "native":
		r.id, r.err = latchkey.ParseNative(latchkey.Kind(kind), s)
	case "hex":
		r.id, r.err = latchkey.ParseHex(s)
	case "uuid":
		var ours bool
		r.id, ours, r.err = latchkey.ParseUUID(s)
		r.foreign = !ours && r.err == nil
	}
	return r
}

func TestIDVectors(t *testing.T) {
	for name, v := range vectors[idVector](t, "id") {
		t.Run(name, func(t *testing.T) {
			if !v.Valid {
				got := readID(v.Spelling, v.Kind, v.Text)
				if foreign := v.Reason == "foreign"; got.foreign != foreign || errors.Is(got.err, latchkey.ErrID) == foreign || !got.id.IsZero() {
					t.Errorf("%s\n%q is read as %+v", v.Description, v.Text, got)
				}
				return
			}
			id, err := latchkey.ParseHex(v.Hex)
			if err != nil || id.Hex() != v.Hex {
				t.Fatalf("%s\n%q is read as %q, %v", v.Description, v.Hex, id.Hex(), err)
			}
			if seconds := new(big.Int).SetBytes(id[:4]).Int64(); seconds != v.Seconds {
				t.Errorf("%d seconds, want %d", seconds, v.Seconds)
			}
			if len(v.Native) != len(kinds(t)) {
				t.Errorf("%d native spellings, want one for each of %v", len(v.Native), kinds(t))
			}
			for kind, native := range v.Native {
				if got := id.Native(latchkey.Kind(kind)); got != native {
					t.Errorf("%s spells %q, want %q", kind, got, native)
				}
				if got := readID("native", kind, native); got != (idReading{id: id}) {
					t.Errorf("%q is read as %+v", native, got)
				}
			}
			if got := id.UUID(); got != v.UUID {
				t.Errorf("the UUID is %q, want %q", got, v.UUID)
			}
			for _, uuid := range []string{v.UUID, strings.ToUpper(v.UUID)} {
				if got := readID("uuid", "", uuid); got != (idReading{id: id}) {
					t.Errorf("%q is read as %+v", uuid, got)
				}
			}
		})
	}
}

func kinds(t testing.TB) []latchkey.Kind { return declared[latchkey.Kind](t, "Kind") }

// drawID draws an id with long runs of equal bits as often as an even one.
func drawID(t *rapid.T, label string) (id latchkey.ID) {
	copy(id[:], rapid.SliceOfN(rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte{0, 1, 0x0f, 0x80, 0xf0, 0xff})), len(id), len(id)).
		Filter(func(b []byte) bool { return !bytes.Equal(b, make([]byte, len(b))) }).Draw(t, label))
	return id
}

func TestIDSpellingsParseBack(t *testing.T) {
	kinds := kinds(t)
	rapid.Check(t, func(t *rapid.T) {
		id := drawID(t, "id")
		for _, kind := range kinds {
			if got := readID("native", string(kind), id.Native(kind)); got != (idReading{id: id}) {
				t.Fatalf("%q is read as %+v", id.Native(kind), got)
			}
			for _, other := range kinds {
				if _, err := latchkey.ParseNative(other, id.Native(kind)); (err == nil) != (kind == other) {
					t.Fatalf("%q, read as a %s: %v", id.Native(kind), other, err)
				}
			}
		}
		if got := readID("hex", "", id.Hex()); got != (idReading{id: id}) {
			t.Fatalf("%q is read as %+v", id.Hex(), got)
		}
		if got := readID("uuid", "", id.UUID()); got != (idReading{id: id}) {
			t.Fatalf("%q is read as %+v", id.UUID(), got)
		}
	})
}

// Every spelling sorts as the number does. (Nobody may take that for the order
// of creation.)
func TestIDSpellingsKeepTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawID(t, "a"), drawID(t, "b")
		want := bytes.Compare(a[:], b[:])
		for spelling, got := range map[string]int{
			"native": cmp.Compare(a.Native(latchkey.KindKey), b.Native(latchkey.KindKey)),
			"hex":    cmp.Compare(a.Hex(), b.Hex()),
			"UUID":   cmp.Compare(a.UUID(), b.UUID()),
		} {
			if got != want {
				t.Fatalf("%s: %x and %x compare as %d, want %d", spelling, a, b, got, want)
			}
		}
	})
}

// idFormat reads ids as docs/key-format.md, section 2, says: by expressions and
// math/big. It shares nothing with the parsers.
type idFormat struct {
	digits            string
	native, hex, uuid *regexp.Regexp
}

func specifiedIDFormat(t testing.TB) idFormat {
	digits := specified(t, "crockford")
	return idFormat{
		digits: digits,
		native: regexp.MustCompile(`\Akey_([01][` + digits + `]{19})\z`),
		hex:    regexp.MustCompile(`\A[0-9a-f]{24}\z`),
		uuid:   regexp.MustCompile(`\A(?i:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\z`),
	}
}

func (f idFormat) read(spelling, s string) idReading {
	malformed := idReading{err: latchkey.ErrID}
	number := new(big.Int)
	switch spelling {
	case "native":
		parts := f.native.FindStringSubmatch(s)
		if parts == nil {
			return malformed
		}
		for _, digit := range parts[1] {
			number.Lsh(number, 5).Add(number, big.NewInt(int64(strings.IndexRune(f.digits, digit))))
		}
	case "hex":
		if !f.hex.MatchString(s) {
			return malformed
		}
		number.SetString(s, 16)
	case "uuid":
		if !f.uuid.MatchString(s) {
			return malformed
		}
		whole, _ := new(big.Int).SetString(strings.ReplaceAll(s, "-", ""), 16)
		bits := strings.Repeat("0", 128-len(whole.Text(2))) + whole.Text(2)
		number.SetString(bits[:48]+bits[52:64]+bits[66:102], 2)
		if bits[48:52] != "1000" || bits[64:66] != "10" || strings.Contains(bits[102:], "1") || number.Sign() == 0 {
			return idReading{foreign: true}
		}
	}
	if number.Sign() == 0 {
		return malformed
	}
	var id latchkey.ID
	number.FillBytes(id[:])
	return idReading{id: id}
}

// check holds a parser against the specification, and demands that what it
// accepts prints back: one string for one id.
func (f idFormat) check(t interface{ Fatalf(string, ...any) }, spelling, s string) {
	got, want := readID(spelling, "key", s), f.read(spelling, s)
	if got != want {
		t.Fatalf("%q as %s is read as %+v, by the specification: %+v", s, spelling, got, want)
	}
	if got.err != nil || got.foreign {
		return
	}
	printed := map[string]string{"native": got.id.Native(latchkey.KindKey), "hex": got.id.Hex(), "uuid": got.id.UUID()}[spelling]
	if spelling == "uuid" {
		s = strings.ToLower(s)
	}
	if printed != s {
		t.Fatalf("%q as %s prints back as %q", s, spelling, printed)
	}
}

// Every byte of every spelling, exchanged for any other byte.
func TestIDParsersEqualSpecification(t *testing.T) {
	format := specifiedIDFormat(t)
	for name, v := range vectors[idVector](t, "id") {
		if !v.Valid {
			continue
		}
		for spelling, s := range map[string]string{"native": v.Native["key"], "hex": v.Hex, "uuid": v.UUID} {
			if format.read(spelling, s).err != nil {
				t.Errorf("%s: the specification refuses %q", name, s)
			}
			for i := range len(s) {
				for c := range 256 {
					b := []byte(s)
					b[i] = byte(c)
					format.check(t, spelling, string(b))
				}
				format.check(t, spelling, s[:i])
				format.check(t, spelling, s[:i]+s[i+1:])
				format.check(t, spelling, s[:i]+"0"+s[i:])
			}
		}
	}
}

func FuzzParseID(f *testing.F) {
	format := specifiedIDFormat(f)
	for _, v := range vectors[idVector](f, "id") {
		for _, s := range []string{v.Native["key"], v.Hex, v.UUID, strings.ToUpper(v.UUID), v.Text} {
			f.Add(s)
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, spelling := range []string{"native", "hex", "uuid"} {
			format.check(t, spelling, s)
		}
	})
}

func TestZeroIDHasNoSpelling(t *testing.T) {
	var zero latchkey.ID
	if !zero.IsZero() || (latchkey.ID{11: 1}).IsZero() {
		t.Error("IsZero is wrong")
	}
	for _, s := range []string{zero.Native(latchkey.KindKey), zero.Hex(), zero.UUID()} {
		if s != "" {
			t.Errorf("the zero id is spelled %q", s)
		}
	}
}

func TestNewID(t *testing.T) {
	for _, now := range []int64{0, 1, 1701036672, 1<<32 - 1, 1 << 32, 1<<32 + 5} {
		id, err := latchkey.NewID(time.Unix(now, 999), strings.NewReader("8 bytes!and more"))
		if err != nil {
			t.Fatal(err)
		}
		want := append(big.NewInt(now%(1<<32)).FillBytes(make([]byte, 4)), "8 bytes!"...)
		if !bytes.Equal(id[:], want) {
			t.Errorf("at %d: %x, want %x", now, id, want)
		}
	}
	broken := errors.New("no entropy")
	for want, source := range map[error]io.Reader{broken: iotest.ErrReader(broken), io.ErrUnexpectedEOF: strings.NewReader("7 bytes")} {
		if _, err := latchkey.NewID(time.Unix(1, 0), source); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
}
