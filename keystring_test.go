package latchkey_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"

	"latchkey.dev/latchkey"
	"pgregory.net/rapid"
)

const (
	liveKey = "acme_live_7Hk2mQ9xTz4LpW0e_Q1w2E3r4T5y6U7i8O9p0AaSsDdFfGgHhJjKkLlZzXxC4aEhIp"
	testKey = "acme_test_0000000000000000_000000000000000000000000000000000000000000036AIoq"
)

type keyVector struct {
	Description   string `json:"description"`
	Key           string `json:"key"`
	Valid         bool   `json:"valid"`
	Format        string `json:"format"`
	Prefix        string `json:"prefix"`
	Environment   string `json:"environment"`
	KID           string `json:"kid"`
	Secret        string `json:"secret"`
	Checksum      string `json:"checksum"`
	Public        string `json:"public"`
	Masked        string `json:"masked"`
	Reason        string `json:"reason"`
	ChecksumHolds bool   `json:"checksum_holds"`
}

// keyFormat reads keys as docs/key-format.md, section 1.4, says: by a length,
// two expressions and a checksum. It shares nothing with the parser.
type keyFormat struct{ native, short *regexp.Regexp }

func specifiedKeyFormat(t testing.TB) keyFormat {
	whole := func(mark string) *regexp.Regexp {
		return regexp.MustCompile(`\A(?:` + specified(t, mark) + `)\z`)
	}
	return keyFormat{native: whole("native"), short: whole("short")}
}

func (f keyFormat) shaped(s string) bool {
	return len(s) <= 128 && (f.native.MatchString(s) || f.short.MatchString(s))
}

func (f keyFormat) accepts(s string) bool { return f.shaped(s) && checksumHolds(s) }

func checksumHolds(s string) bool {
	return len(s) > 6 && s[len(s)-6:] == checksumOf(s[:len(s)-6])
}

// checksumOf is the checksum by way of math/big, which has the digits of both
// cases the other way round.
func checksumOf(body string) string {
	digits := big.NewInt(int64(crc32.ChecksumIEEE([]byte(body)))).Text(62)
	swapped := strings.Map(func(r rune) rune {
		if unicode.IsLower(r) {
			return unicode.ToUpper(r)
		}
		return unicode.ToLower(r)
	}, digits)
	return strings.Repeat("0", 6-len(swapped)) + swapped
}

func mustParseKey(t testing.TB, s string) latchkey.KeyString {
	t.Helper()
	k, err := latchkey.ParseKeyString(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return k
}

func TestKeyStringVectors(t *testing.T) {
	format := specifiedKeyFormat(t)
	seen := map[string]int{}
	for name, v := range vectors[keyVector](t, "key-format") {
		t.Run(name, func(t *testing.T) {
			seen[v.Reason]++
			got, err := latchkey.ParseKeyString(v.Key)
			if !v.Valid {
				if !errors.Is(err, latchkey.ErrKeyString) || got != (latchkey.KeyString{}) {
					t.Errorf("%s\ngot %v, %v", v.Description, got, err)
				}
				if checksumHolds(v.Key) != v.ChecksumHolds {
					t.Error("the vector is wrong about its checksum")
				}
				if format.shaped(v.Key) != (v.Reason == "checksum") {
					t.Errorf("the vector is wrong about its reason, %q", v.Reason)
				}
				return
			}
			if err != nil {
				t.Fatalf("%s\n%v", v.Description, err)
			}
			parts := []string{string(got.Format), got.Prefix, string(got.Environment), string(got.KID), got.PublicPart(), got.String(), got.Plaintext().Expose()}
			want := []string{v.Format, v.Prefix, v.Environment, v.KID, v.Public, v.Masked, v.Key}
			if !slices.Equal(parts, want) {
				t.Errorf("%s\ngot  %q\nwant %q", v.Description, parts, want)
			}
			if v.Public+v.Secret+v.Checksum != v.Key || !format.accepts(v.Key) {
				t.Error("the vector contradicts itself or the specification")
			}
		})
	}
	for _, reason := range []string{"", "length", "shape", "prefix", "environment", "alphabet", "checksum"} {
		if seen[reason] < 2 {
			t.Errorf("%d vectors for the reason %q", seen[reason], reason)
		}
	}
}

func TestChecksum(t *testing.T) {
	for body, want := range map[string]string{
		"":                       "000000",
		"123456789":              "3jZRME", // 0xCBF43926
		"\xff\xff\xff\xff":       "4gfFC3", // 0xFFFFFFFF
		liveKey[:len(liveKey)-6]: "4aEhIp",
		testKey[:len(testKey)-6]: "36AIoq",
	} {
		if got := latchkey.Checksum(body); got != want {
			t.Errorf("%q: %s, want %s", body, got, want)
		}
		if got := checksumOf(body); got != want {
			t.Errorf("the oracle says %s of %q, want %s", got, body, want)
		}
	}
}

// Every byte of a key, exchanged for any other byte, makes it malformed. Where
// the result still has the shape of a key, the checksum alone does that.
func TestEverySubstitutionIsRefused(t *testing.T) {
	format := specifiedKeyFormat(t)
	for _, key := range []string{liveKey, testKey} {
		byChecksum := 0
		for i := range len(key) {
			for c := range 256 {
				b := []byte(key)
				if b[i] = byte(c); string(b) == key {
					continue
				}
				if _, err := latchkey.ParseKeyString(string(b)); err == nil {
					t.Errorf("%q is accepted", b)
				}
				if checksumHolds(string(b)) {
					t.Errorf("the checksum of %q holds", b)
				}
				if format.shaped(string(b)) {
					byChecksum++
				}
			}
		}
		if base62Only := (16 + 43 + 6) * 61; byChecksum < base62Only {
			t.Errorf("only %d of the exchanged keys have the shape of one, want at least %d", byChecksum, base62Only)
		}
	}
}

func TestEveryTranspositionAndCutIsRefused(t *testing.T) {
	for _, key := range []string{liveKey, testKey} {
		for i := range len(key) - 1 {
			b := []byte(key)
			b[i], b[i+1] = b[i+1], b[i]
			if _, err := latchkey.ParseKeyString(string(b)); err == nil && string(b) != key {
				t.Errorf("%q is accepted", b)
			}
		}
		for i := range len(key) {
			for _, cut := range []string{key[:i], key[i+1:], key[:i] + key[i+1:]} {
				if _, err := latchkey.ParseKeyString(cut); err == nil {
					t.Errorf("%q is accepted", cut)
				}
			}
		}
	}
}

// Damage within four neighbouring bytes never keeps the CRC: the promise of
// section 3 of the specification.
func TestChecksumDetectsEveryBurst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.SliceOfN(rapid.Byte(), 4, 122).Draw(t, "body")
		at := rapid.IntRange(0, len(body)-4).Draw(t, "at")
		burst := rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "burst")
		damaged := slices.Concat(body[:at], burst, body[at+4:])
		if same := bytes.Equal(body, damaged); same != (latchkey.Checksum(string(body)) == latchkey.Checksum(string(damaged))) {
			t.Fatalf("%q and %q: %s, %s", body, damaged, latchkey.Checksum(string(body)), latchkey.Checksum(string(damaged)))
		}
	})
}

// drawKey draws a fresh key of any shape that can be made.
func drawKey(t *rapid.T) latchkey.KeyString {
	format := rapid.SampledFrom([]latchkey.Format{latchkey.FormatNative, latchkey.FormatShort}).Draw(t, "format")
	prefix := rapid.StringMatching(`[a-z][a-z0-9]{1,15}`).Draw(t, "prefix")
	environment := rapid.SampledFrom([]latchkey.Environment{latchkey.Live, latchkey.Test}).Draw(t, "environment")
	k, err := latchkey.NewKeyString(format, prefix, environment, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestNewKeyStringParsesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := drawKey(t)
		got, err := latchkey.ParseKeyString(k.Plaintext().Expose())
		if err != nil || got != k {
			t.Fatalf("%v comes back as %v, %v", k, got, err)
		}
		if !strings.HasPrefix(k.Plaintext().Expose(), k.PublicPart()) {
			t.Fatalf("the key does not begin with its public part %q", k.PublicPart())
		}
		if _, err := latchkey.ParseKeyString(k.String()); err == nil {
			t.Fatalf("the masked form %q is accepted", k)
		}
	})
}

// Keys with a few edits, their checksum mended as often as not, are accepted if
// and only if the specification says so.
func TestParseKeyStringEqualsSpecification(t *testing.T) {
	format := specifiedKeyFormat(t)
	rapid.Check(t, func(t *rapid.T) {
		s := drawKey(t).Plaintext().Expose()
		for range rapid.IntRange(0, 3).Draw(t, "edits") {
			at := rapid.IntRange(0, len(s)).Draw(t, "at")
			until := rapid.IntRange(at, min(at+2, len(s))).Draw(t, "until")
			insert := rapid.SampledFrom([]string{"", "a", "A", "0", "_", "-", "live", "test", "sk-", " ", "\n", "é", "\xff"}).Draw(t, "insert")
			s = s[:at] + insert + s[until:]
		}
		if rapid.Bool().Draw(t, "mend") && len(s) > 6 {
			s = s[:len(s)-6] + checksumOf(s[:len(s)-6])
		}
		checkKeyString(t, format, s)
	})
}

// checkKeyString holds the parser against the specification and demands that
// what it accepts prints back, part by part and as a whole.
func checkKeyString(t interface{ Fatalf(string, ...any) }, format keyFormat, s string) {
	k, err := latchkey.ParseKeyString(s)
	if accepted := err == nil; accepted != format.accepts(s) {
		t.Fatalf("%q: accepted: %t, by the specification: %t", s, accepted, !accepted)
	}
	if err != nil {
		if !errors.Is(err, latchkey.ErrKeyString) || k != (latchkey.KeyString{}) {
			t.Fatalf("%q: refused with %v, %v", s, k, err)
		}
		return
	}
	if got := k.Plaintext().Expose(); got != s {
		t.Fatalf("%q prints back as %q", s, got)
	}
	if public := latchkey.PublicPart(k.Format, k.Prefix, k.Environment, k.KID); public != s[:len(s)-latchkey.SecretLen-latchkey.CheckLen] {
		t.Fatalf("%q has the public part %q", s, public)
	}
	if likely := latchkey.LikelyKID(s); likely != k.KID {
		t.Fatalf("%q has the kid %s, and %s was likely", s, k.KID, likely)
	}
}

func FuzzParseKeyString(f *testing.F) {
	format := specifiedKeyFormat(f)
	for _, v := range vectors[keyVector](f, "key-format") {
		f.Add(v.Key)
	}
	f.Fuzz(func(t *testing.T, s string) {
		checkKeyString(t, format, s)
		if len(s) > 6 { // most mutations break the checksum: mend it, so that the rest of the parser is reached
			checkKeyString(t, format, s[:len(s)-6]+checksumOf(s[:len(s)-6]))
		}
	})
}

// A scanner that follows section 1.5 finds keys wherever they stand.
func TestScannerFindsKeys(t *testing.T) {
	candidate := regexp.MustCompile(`\A(?:` + specified(t, "native") + `|` + specified(t, "short") + `)`)
	short := "sk-" + liveKey[10:26] + liveKey[27:70]
	short += checksumOf(short)
	text := "KEY=" + liveKey + "\nx" + testKey + "y" + short + short + "; " + liveKey[:len(liveKey)-1] + "Q acme_live_..."
	var found []string
	for i := range len(text) {
		if s := candidate.FindString(text[i:]); checksumHolds(s) {
			found = append(found, s)
		}
	}
	if want := []string{liveKey, testKey, short, short}; !slices.Equal(found, want) {
		t.Errorf("found %q\nwant  %q", found, want)
	}
}

// countingReader gives the bytes 0, 1, 2 … 255, 0 … and so exactly what a test
// can follow with a finger.
type countingReader struct{ next byte }

func (r *countingReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r.next
		r.next++
	}
	return len(p), nil
}

func TestNewKeyStringDraws(t *testing.T) {
	digits := specified(t, "base62")
	k, err := latchkey.NewKeyString(latchkey.FormatNative, "acme", latchkey.Live, &countingReader{})
	if err != nil {
		t.Fatal(err)
	}
	body := "acme_live_" + digits[:16] + "_" + digits[16:59]
	if want := body + checksumOf(body); k.Plaintext().Expose() != want {
		t.Errorf("got  %s\nwant %s", k.Plaintext().Expose(), want)
	}
	// From 200 on: 48 usable bytes, eight that must be passed over, then 0.
	k, err = latchkey.NewKeyString(latchkey.FormatShort, "ignored", latchkey.Live, &countingReader{next: 200})
	if err != nil {
		t.Fatal(err)
	}
	drawn := digits[200%62:] + digits[:11]
	body = "sk-" + drawn[:59]
	if want := body + checksumOf(body); k.Plaintext().Expose() != want {
		t.Errorf("got  %s\nwant %s", k.Plaintext().Expose(), want)
	}
	if k.Prefix != "" || k.Environment != "" {
		t.Errorf("a short key has the prefix %q and the environment %q", k.Prefix, k.Environment)
	}
}

// Of the 256 bytes, four stand for each digit and the eight from 248 up for
// none: each digit is exactly as likely as any other.
func TestDrawingIsUniform(t *testing.T) {
	counts := map[string]int{}
	for b := range 256 {
		source := bytes.NewReader(bytes.Repeat([]byte{byte(b)}, 4<<10))
		kid, err := latchkey.NewKID(source)
		if err != nil {
			if b < 248 || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("byte %d: %v", b, err)
			}
			counts["rejected"]++
			continue
		}
		if string(kid) != strings.Repeat(string(kid[:1]), latchkey.KIDLen) {
			t.Errorf("byte %d draws %q", b, kid)
		}
		counts[string(kid[:1])]++
	}
	if counts["rejected"] != 8 || len(counts) != 63 {
		t.Fatalf("%d bytes rejected, %d digits drawn", counts["rejected"], len(counts)-1)
	}
	for _, digit := range specified(t, "base62") {
		if counts[string(digit)] != 4 {
			t.Errorf("%d bytes stand for %q", counts[string(digit)], digit)
		}
	}
}

func TestKeysNeedRandomness(t *testing.T) {
	broken := errors.New("no entropy")
	for name, source := range map[string]io.Reader{"broken": iotest.ErrReader(broken), "cut off": io.MultiReader(bytes.NewReader(make([]byte, 50)), iotest.ErrReader(broken))} {
		if k, err := latchkey.NewKeyString(latchkey.FormatNative, "acme", latchkey.Live, source); !errors.Is(err, broken) || k != (latchkey.KeyString{}) {
			t.Errorf("%s: %v, %v", name, k, err)
		}
		if kid, err := latchkey.NewKID(source); err == nil || kid != "" {
			t.Errorf("%s: %q, %v", name, kid, err)
		}
	}
}

func TestKeyStringShowsNoSecret(t *testing.T) {
	k := mustParseKey(t, liveKey)
	secret := liveKey[27 : 27+latchkey.SecretLen]
	var text, structured bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("m", "key", k, "pointer", &k)
	slog.New(slog.NewJSONHandler(&structured, nil)).Info("m", "key", k, "pointer", &k)
	encoded, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{
		fmt.Sprint(k), fmt.Sprintf("%v %+v %#v %s %q", k, &k, k, []any{k}, struct{ K latchkey.KeyString }{k}),
		text.String(), structured.String(), string(encoded),
	} {
		if strings.Contains(shown, secret[:8]) {
			t.Errorf("shows the secret: %s", shown)
		}
	}
	if got, want := fmt.Sprintf("%v", k), "acme_live_7Hk2mQ9xTz4LpW0e_..."; got != want {
		t.Errorf("prints as %q, want %q", got, want)
	}
}

func TestPublicPart(t *testing.T) {
	for want, got := range map[string]string{
		"lk_test_7Hk2mQ9xTz4LpW0e_": latchkey.PublicPart(latchkey.FormatNative, "lk", latchkey.Test, "7Hk2mQ9xTz4LpW0e"),
		"sk-7Hk2mQ9xTz4LpW0e":       latchkey.PublicPart(latchkey.FormatShort, "", "", "7Hk2mQ9xTz4LpW0e"),
		"":                          latchkey.PublicPart(latchkey.FormatForeign, "lk", latchkey.Live, "7Hk2mQ9xTz4LpW0e"),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestCheckPrefix(t *testing.T) {
	refused := map[string][]string{
		"format":      {"", "a", "a234567890bcdefzz", "4cme", "_acme", "Acme", "acMe", "ac-me", "ac_me", "acme ", "ácme", "ac\x00me", "sk-"},
		"not_allowed": {"xox", "xoxb", "xoxp", "eyj", "eyjhbgci"},
	}
	for taken := range strings.FieldsSeq(specified(t, "prefixes")) {
		refused["not_allowed"] = append(refused["not_allowed"], strings.TrimSuffix(taken, "*"))
	}
	for rule, prefixes := range refused {
		for _, p := range prefixes {
			if broken := latchkey.CheckPrefix(p); broken == nil || broken.Code != rule {
				t.Errorf("%q: %v, want %s", p, broken, rule)
			} else if len(p) > 3 && strings.Contains(broken.Detail, p) {
				t.Errorf("%q is echoed: %s", p, broken.Detail)
			}
		}
	}
	for _, p := range []string{"lk", "acme", "a234567890bcdefz", "skx", "ghpx", "xo", "ey", "myxox", "live", "test"} {
		if broken := latchkey.CheckPrefix(p); broken != nil {
			t.Errorf("%q is refused: %s", p, broken.Detail)
		}
	}
}

func TestEnvironments(t *testing.T) {
	for _, e := range declared[latchkey.Environment](t, "Environment") {
		if !e.Valid() {
			t.Errorf("%q is not valid", e)
		}
	}
	for _, e := range []latchkey.Environment{"", "LIVE", "prod", "live "} {
		if e.Valid() {
			t.Errorf("%q is valid", e)
		}
	}
}
