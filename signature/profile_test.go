package signature_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/signature"
)

// vector is that of security.md: the HMAC's key is the bytes 00 to 3f.
func vector() (m signature.Message, key []byte) {
	for i := range byte(64) {
		key = append(key, i)
	}
	body := sha256.Sum256([]byte(`{"hello": "world"}`))
	return signature.Message{
		Method: "POST", Authority: "api.example.com", Path: "/v1/plants", Query: "dry=1",
		Input: `sig1=("@method" "@authority" "@path" "@query" "content-digest");created=1700000000;nonce="b3k2pp5k7z-50gnwp.yemd";keyid="7Hk2mQ9xTz4LpW0e";tag="apikey-v1"`,
		Value: "sig1=:HnwsbMODUtqNI58D4Z1G2bINz4fBjxnhR2Ik+l9sY4Y=:", ContentDigest: "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:", Body: &body,
	}, key
}

func TestVector(t *testing.T) {
	m, key := vector()
	s, err := signature.Read(&m)
	if err != nil {
		t.Fatal(err)
	}
	if s.KeyID != "7Hk2mQ9xTz4LpW0e" || s.Created != 1700000000 || s.Nonce != "b3k2pp5k7z-50gnwp.yemd" || !s.Digest || !s.By(latchkey.HMACSHA256, key) {
		t.Errorf("the vector reads %+v", s)
	}
	if s.By(latchkey.HMACSHA256, key[1:]) || s.By(latchkey.HMACSHA256, nil) || s.By(latchkey.Ed25519, key[:32]) || s.By(latchkey.Ed25519, nil) || s.By("", key) {
		t.Error("it holds with another key")
	}
}

// signer makes requests that are valid.
type signer struct {
	random    *rand.Rand
	algorithm latchkey.SigningAlgorithm
	key       []byte // with which is checked
	sign      func(base string) []byte
}

func newSigner(random *rand.Rand, algorithm latchkey.SigningAlgorithm) *signer {
	seed := make([]byte, 64)
	for i := range seed {
		seed[i] = byte(random.Uint32())
	}
	s := &signer{random: random, algorithm: algorithm, key: seed}
	s.sign = func(base string) []byte {
		mac := hmac.New(sha256.New, seed)
		mac.Write([]byte(base))
		return mac.Sum(nil)
	}
	if algorithm == latchkey.Ed25519 {
		private := ed25519.NewKeyFromSeed(seed[:32])
		s.key = private[32:]
		s.sign = func(base string) []byte { return ed25519.Sign(private, []byte(base)) }
	}
	return s
}

func (s *signer) text(alphabet string, least, most int) string {
	out := make([]byte, least+s.random.IntN(most-least+1))
	for i := range out {
		out[i] = alphabet[s.random.IntN(len(alphabet))]
	}
	return string(out)
}

const word = "abcdefghijklmnopqrstuvwxyz0123456789-._~"

// request is a signed request, and the base that was signed, made here from its
// parts and by no code of the package.
func (s *signer) request() signature.Message {
	m := signature.Message{
		Method: []string{"GET", "POST", "PUT", "PATCH", "DELETE", "PURGE"}[s.random.IntN(6)], Authority: s.text(word[:36], 1, 20) + ".example.com",
		Path: "/" + s.text(word+"/%", 0, 40), Query: s.text(word+"&=%?/", 0, 40),
	}
	if s.random.IntN(3) == 0 {
		m.Authority += ":8443"
	}
	body := []byte(s.text(word, 0, 60))
	if m.Method == "GET" || m.Method == "DELETE" {
		body = nil
	}
	sum := sha256.Sum256(body)
	m.Body = &sum
	covered, lines := `"@method" "@authority" "@path" "@query"`,
		fmt.Sprintf("\"@method\": %s\n\"@authority\": %s\n\"@path\": %s\n\"@query\": ?%s\n", m.Method, m.Authority, m.Path, m.Query)
	if m.Method != "GET" && m.Method != "DELETE" {
		m.ContentDigest = "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
		covered += ` "content-digest"`
		lines += "\"content-digest\": " + m.ContentDigest + "\n"
	}
	of := fmt.Sprintf(`(%s);created=%d;nonce="%s";keyid="%s";tag="apikey-v1"`, covered, 1_700_000_000+s.random.IntN(1e6), s.text(word, 16, 128), s.text(word[:36], 16, 16))
	if s.random.IntN(4) == 0 {
		of += `;alg="` + string(s.algorithm) + `"`
	}
	m.Input = "sig1=" + of
	m.Value = "sig1=:" + base64.StdEncoding.EncodeToString(s.sign(lines+`"@signature-params": `+of)) + ":"
	if s.random.IntN(4) == 0 { // somebody else signed as well
		m.Input, m.Value = `proxy=("date");created=1, `+m.Input, m.Value+", proxy=:AAAA:"
	}
	return m
}

// A mutation changes a request to one that nobody signed; "" says that it does not
// apply.
func mutations(s *signer) map[string]func(*signature.Message) bool {
	replace := func(of *string, old, with string) bool {
		before := *of
		*of = strings.Replace(before, old, with, 1)
		return *of != before
	}
	flip := func(of *string, from int) bool { // in what is sig1's
		b := []byte(*of)
		to := len(b)
		if other := strings.Index(*of, ", proxy"); other >= 0 {
			to = other
		}
		at := from + s.random.IntN(to-from)
		b[at] ^= 1 << s.random.IntN(7)
		*of = string(b)
		return true
	}
	return map[string]func(*signature.Message) bool{
		"another method":        func(m *signature.Message) bool { m.Method = "PROPFIND"; return true },
		"a method in lower":     func(m *signature.Message) bool { m.Method = strings.ToLower(m.Method); return true },
		"another authority":     func(m *signature.Message) bool { m.Authority = "evil.example.com"; return true },
		"another port":          func(m *signature.Message) bool { m.Authority += ":444"; return true },
		"a longer path":         func(m *signature.Message) bool { m.Path += "/"; return true },
		"a path encoded":        func(m *signature.Message) bool { m.Path = strings.Replace(m.Path+"a", "a", "%61", 1); return true },
		"a query more":          func(m *signature.Message) bool { m.Query += "&admin=1"; return true },
		"a query less":          func(m *signature.Message) bool { was := m.Query; m.Query = ""; return was != "" },
		"the query in the path": func(m *signature.Message) bool { m.Path, m.Query = m.Path+"?"+m.Query, ""; return true },
		"a line more":           func(m *signature.Message) bool { m.Path += "\n\"@query\": ?"; return true },
		"a bit of the input":    func(m *signature.Message) bool { return flip(&m.Input, strings.Index(m.Input, "sig1")) },
		"a bit of the value":    func(m *signature.Message) bool { return flip(&m.Value, 6) },
		"another time": func(m *signature.Message) bool {
			return replace(&m.Input, "created=17", "created=18")
		},
		"another nonce": func(m *signature.Message) bool { return replace(&m.Input, `nonce="`, `nonce="x`) },
		"another key":   func(m *signature.Message) bool { return replace(&m.Input, `keyid="`, `keyid="x`) },
		"another tag":   func(m *signature.Message) bool { return replace(&m.Input, "apikey-v1", "apikey-v2") },
		"less covered":  func(m *signature.Message) bool { return replace(&m.Input, ` "@query"`, "") },
		"another order": func(m *signature.Message) bool {
			return replace(&m.Input, `"@method" "@authority"`, `"@authority" "@method"`)
		},
		"a component twice": func(m *signature.Message) bool { return replace(&m.Input, `"@method" `, `"@method" "@method" `) },
		"another body": func(m *signature.Message) bool {
			sum := sha256.Sum256([]byte("evil" + s.text(word, 1, 9)))
			m.Body = &sum
			return true
		},
		"another body and its digest": func(m *signature.Message) bool {
			sum := sha256.Sum256([]byte("evil" + s.text(word, 1, 9)))
			m.Body, m.ContentDigest = &sum, "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":"
			return true
		},
		"the digest not covered":  func(m *signature.Message) bool { return replace(&m.Input, ` "content-digest"`, "") },
		"the signature twice":     func(m *signature.Message) bool { m.Value += ", " + m.Value; return true },
		"the input twice":         func(m *signature.Message) bool { m.Input += ", " + m.Input; return true },
		"another algorithm":       func(m *signature.Message) bool { m.Input += `;alg="none"`; return true },
		"a parameter more":        func(m *signature.Message) bool { m.Input += `;expires=1`; return true },
		"another label":           func(m *signature.Message) bool { return replace(&m.Input, "sig1=", "sig2=") },
		"a value with parameters": func(m *signature.Message) bool { return replace(&m.Value, "=:", "=:AA==:;x=:") },
		"no value":                func(m *signature.Message) bool { m.Value = ""; return true },
		"a shorter value":         func(m *signature.Message) bool { m.Value = "sig1=:AAAA:"; return true },
	}
}

// Every valid request is accepted, and no mutation of it.
func TestMutations(t *testing.T) {
	random := rand.New(rand.NewPCG(20, 26))
	tried := 0
	for i := range 1000 {
		s := newSigner(random, []latchkey.SigningAlgorithm{latchkey.HMACSHA256, latchkey.Ed25519}[i%2])
		m := s.request()
		accepted := func(m signature.Message) bool {
			read, err := signature.Read(&m)
			return err == nil && read.By(s.algorithm, s.key)
		}
		if !accepted(m) {
			t.Fatalf("a valid request is refused: %+v", m)
		}
		applied := 0
		for name, mutate := range mutations(s) {
			mutated := m
			if !mutate(&mutated) {
				continue
			}
			applied++
			if accepted(mutated) {
				t.Errorf("%s: accepted: %+v", name, mutated)
			}
		}
		if tried += applied; applied < 20 {
			t.Fatalf("only %d mutations applied to %+v", applied, m)
		}
	}
	t.Logf("1000 requests were accepted, %d mutations refused", tried)
}

// What the profile leaves to signers, and what it does not.
func TestForms(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	s := newSigner(random, latchkey.HMACSHA256)
	read := func(change func(of *string, m *signature.Message)) error {
		m := signature.Message{Method: "GET", Authority: "api.example.com", Path: "/x"}
		of := `("@method" "@authority" "@path" "@query");created=1700000000;nonce="0123456789abcdef";keyid="k";tag="apikey-v1"`
		change(&of, &m)
		m.Input = "sig1=" + of
		base := fmt.Sprintf("\"@method\": %s\n\"@authority\": %s\n\"@path\": %s\n\"@query\": ?%s\n\"@signature-params\": %s", m.Method, strings.ToLower(m.Authority), m.Path, m.Query, of)
		m.Value = "sig1=:" + base64.StdEncoding.EncodeToString(s.sign(base)) + ":"
		got, err := signature.Read(&m)
		if err == nil && !got.By(latchkey.HMACSHA256, s.key) {
			return fmt.Errorf("the base is another")
		}
		return err
	}
	params := func(p string) func(*string, *signature.Message) {
		return func(of *string, _ *signature.Message) { *of = `("@method" "@authority" "@path" "@query")` + p }
	}
	for name, c := range map[string]struct {
		change func(*string, *signature.Message)
		fails  string // "": accepted
	}{
		"as it is":              {func(*string, *signature.Message) {}, ""},
		"another order":         {params(`;tag="apikey-v1";keyid="k";nonce="0123456789abcdef";created=1700000000`), ""},
		"an algorithm":          {params(`;created=1700000000;nonce="0123456789abcdef";keyid="k";alg="hmac-sha256";tag="apikey-v1"`), ""},
		"the authority folded":  {func(_ *string, m *signature.Message) { m.Authority = "API.example.com" }, ""},
		"no time":               {params(`;nonce="0123456789abcdef";keyid="k";tag="apikey-v1"`), "created"},
		"a time in words":       {params(`;created="1700000000";nonce="0123456789abcdef";keyid="k";tag="apikey-v1"`), "wrong type"},
		"a time with a part":    {params(`;created=1700000000.5;nonce="0123456789abcdef";keyid="k";tag="apikey-v1"`), "wrong type"},
		"a time before time":    {params(`;created=-5;nonce="0123456789abcdef";keyid="k";tag="apikey-v1"`), "created"},
		"no nonce":              {params(`;created=1700000000;keyid="k";tag="apikey-v1"`), "nonce"},
		"a short nonce":         {params(`;created=1700000000;nonce="0123456789abcde";keyid="k";tag="apikey-v1"`), "nonce"},
		"a long nonce":          {params(`;created=1700000000;nonce="` + strings.Repeat("n", 129) + `";keyid="k";tag="apikey-v1"`), "nonce"},
		"a nonce as a token":    {params(`;created=1700000000;nonce=abcdefabcdefabcdef;keyid="k";tag="apikey-v1"`), "wrong type"},
		"no key":                {params(`;created=1700000000;nonce="0123456789abcdef";tag="apikey-v1"`), "keyid"},
		"no tag":                {params(`;created=1700000000;nonce="0123456789abcdef";keyid="k"`), "tag"},
		"a parameter twice":     {params(`;created=1700000000;created=1700000001;nonce="0123456789abcdef";keyid="k";tag="apikey-v1"`), "twice"},
		"another parameter":     {params(`;created=1700000000;nonce="0123456789abcdef";keyid="k";tag="apikey-v1";expires=1`), "does not know"},
		"an algorithm of none":  {params(`;created=1700000000;nonce="0123456789abcdef";keyid="k";tag="apikey-v1";alg=""`), "wrong type"},
		"a method of its own":   {func(_ *string, m *signature.Message) { m.Method = "POST" }, "may have a body"},
		"get is not GET":        {func(_ *string, m *signature.Message) { m.Method = "get" }, "may have a body"},
		"a method that is none": {func(_ *string, m *signature.Message) { m.Method, m.Body = "G T", emptyBody() }, "method"},
		"an authority's path":   {func(_ *string, m *signature.Message) { m.Authority = "a/b" }, "authority"},
		"no authority":          {func(_ *string, m *signature.Message) { m.Authority = "" }, "authority"},
		"a whole URL":           {func(_ *string, m *signature.Message) { m.Path = "http://a/b" }, "path"},
		"a path's query":        {func(_ *string, m *signature.Message) { m.Path = "/x?y" }, "path"},
		"a path with a space":   {func(_ *string, m *signature.Message) { m.Path = "/x y" }, "path"},
		"a query's fragment":    {func(_ *string, m *signature.Message) { m.Query = "x#y" }, "query"},
		"a query with a break":  {func(_ *string, m *signature.Message) { m.Query = "x\r\n" }, "query"},
	} {
		if err := read(c.change); (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s: %v, want %q", name, err, c.fails)
		}
	}
}

func emptyBody() *[32]byte {
	sum := sha256.Sum256(nil)
	return &sum
}

// The digest is held against the body, where whoever asks has seen it, and must be
// covered where nobody has.
func TestDigest(t *testing.T) {
	m, key := vector()
	read := func(change func(*signature.Message)) error {
		changed := m
		change(&changed)
		s, err := signature.Read(&changed)
		if err == nil && !s.By(latchkey.HMACSHA256, key) {
			return fmt.Errorf("the base is another")
		}
		return err
	}
	other := sha256.Sum256([]byte("other"))
	for name, c := range map[string]struct {
		change func(*signature.Message)
		fails  string
	}{
		"seen by nobody":       {func(m *signature.Message) { m.Body = nil }, ""},
		"blanks around it":     {func(m *signature.Message) { m.ContentDigest = " " + m.ContentDigest + " " }, ""},
		"another body":         {func(m *signature.Message) { m.Body = &other }, "not that of the body"},
		"no body":              {func(m *signature.Message) { m.Body = emptyBody() }, "not that of the body"},
		"no digest":            {func(m *signature.Message) { m.ContentDigest = "" }, "no sha-256"},
		"another kind":         {func(m *signature.Message) { m.ContentDigest = "sha-512" + m.ContentDigest[7:] }, "no sha-256"},
		"a digest cut off":     {func(m *signature.Message) { m.ContentDigest = "sha-256=:AAAA:" }, "no sha-256"},
		"two digests":          {func(m *signature.Message) { m.ContentDigest += ", " + m.ContentDigest }, "twice"},
		"not a digest":         {func(m *signature.Message) { m.ContentDigest = "SHA-256=x" }, "cannot be read"},
		"another kind besides": {func(m *signature.Message) { m.ContentDigest += ", md5=:AAAA:" }, "another"},
	} {
		if err := read(c.change); (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s: %v, want %q", name, err, c.fails)
		}
	}
}

// Whatever comes is refused in little time and never panics; what is read again
// as it is written is the same.
func FuzzRead(f *testing.F) {
	m, key := vector()
	f.Add(m.Method, m.Authority, m.Path, m.Query, m.Input, m.Value, m.ContentDigest)
	s := newSigner(rand.New(rand.NewPCG(3, 4)), latchkey.Ed25519)
	for range 8 {
		m := s.request()
		f.Add(m.Method, m.Authority, m.Path, m.Query, m.Input, m.Value, m.ContentDigest)
	}
	f.Fuzz(func(t *testing.T, method, authority, path, query, input, value, digest string) {
		read, err := signature.Read(&signature.Message{
			Method: method, Authority: authority, Path: path, Query: query, Input: input, Value: value, ContentDigest: digest,
		})
		if err == nil && read.By(latchkey.HMACSHA256, key) && (method != m.Method || path != m.Path || query != m.Query) {
			t.Errorf("accepted: %s %s?%s", method, path, query)
		}
		all, err := signature.ParseInput(input)
		if err != nil {
			return
		}
		for i := range all {
			again, err := signature.ParseInput(all[i].Label + "=" + all[i].String())
			if err != nil || len(again) != 1 || again[0].String() != all[i].String() {
				t.Errorf("%q is written %q, which reads %v, %v", input, all[i].String(), again, err)
			}
		}
	})
}

// Long fields are refused before anything is made of them.
func TestHugeFields(t *testing.T) {
	m, _ := vector()
	for name, change := range map[string]func(*signature.Message){
		"input":      func(m *signature.Message) { m.Input += strings.Repeat(" ", 9<<10) },
		"components": func(m *signature.Message) { m.Input = "sig1=(" + strings.Repeat(`"a" `, 40) + ")" },
		"parameters": func(m *signature.Message) { m.Input += many(";p%d") },
		"members":    func(m *signature.Message) { m.Input += many(", x%d=()") },
		"value":      func(m *signature.Message) { m.Value = "sig1=:" + strings.Repeat("AAAA", 3<<10) + ":" },
		"digest":     func(m *signature.Message) { m.ContentDigest += many(", d%d=:AAAA:") },
	} {
		huge := m
		change(&huge)
		if _, err := signature.Read(&huge); err == nil || !strings.Contains(err.Error(), "too much") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func many(form string) string {
	var out bytes.Buffer
	for i := range 40 {
		fmt.Fprintf(&out, form, i)
	}
	return out.String()
}
