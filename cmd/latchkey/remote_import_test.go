package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"latchkey.dev/latchkey/client"
)

func digestOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// What a file says is what is sent.
func TestImportedRows(t *testing.T) {
	d := digestOf("legacy")
	for name, test := range map[string]struct{ file, items string }{
		"CSV": {
			"digest,name,public,project_id,reach,owner_id,partner,role,scopes,addresses,resources,expires_at,metadata\n" +
				strings.ToUpper(d) + `,"Acme, Inc",old_,prj_1,organization,usr_1,acme,reader,a:b  c,10.0.0.0/8 ::1,plant=1 plant=2 none=,2026-12-31,"{""k"":1.0}"`,
			`[{"name":"Acme, Inc","project_id":"prj_1","reach":"organization","owner_id":"usr_1","partner":"acme","role":"reader","scopes":["a:b","c"],"restrictions":{"addresses":["10.0.0.0/8","::1"],"resources":{"none":[],"plant":["1","2"]}},"expires_at":"2026-12-31T00:00:00Z","metadata":{"k":1.0},"digest":"` + d + `","public":"old_"}]`,
		},
		"CSV with empty cells, a byte order mark and the line ends of Windows": {
			"\ufeffname,digest,role\r\nn," + d + ",\r\n", `[{"name":"n","digest":"` + d + `"}]`,
		},
		"CSV with the key itself":  {"name,key\nn,legacy\n", `[{"name":"n","digest":"` + d + `"}]`},
		"JSON with the key itself": {`{"name":"n","key":"legacy"}`, `[{"name":"n","digest":"` + d + `"}]`},
		"JSON lines": {
			"\n" + `{"digest":"` + d + `","name":"n","scopes":["a"],"restrictions":{"resources":{"plant":[]}},"expires_at":"2026-12-31T00:00:00Z","metadata":{"k":[1]}}` + "\n\n" + `  {"key":"other","name":"m"}  ` + "\n",
			`[{"name":"n","scopes":["a"],"restrictions":{"resources":{"plant":[]}},"expires_at":"2026-12-31T00:00:00Z","metadata":{"k":[1]},"digest":"` + d + `"},{"name":"m","digest":"` + digestOf("other") + `"}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFakeServer(t, always(201, `{"results":[{"key":{"id":"key_1"}}],"usable":"everywhere","position":9}`))
			o := s.asks(t, test.file, "keys", "import", "-")
			if o.status != exitOK {
				t.Fatalf("status %d: %s", o.status, o.err)
			}
			q := s.questions()
			if want := `{"scheme":"sha256","items":` + test.items + `}`; len(q) != 1 || q[0].uri != "/v1/keys/import" || q[0].body != want {
				t.Fatalf("sent %s\nwant %s", q[0].body, want)
			}
			if strings.Contains(q[0].body+o.out+o.err, "legacy") {
				t.Error("a key was sent or shown")
			}
		})
	}
}

// A file that cannot be meant is told by its lines, and nothing of it is sent or
// shown.
func TestRefusedRows(t *testing.T) {
	d := digestOf("legacy")
	for name, test := range map[string]struct{ file, want string }{
		"nothing":                 {"", "no keys in the file"},
		"a header alone":          {"digest,name\n", "no keys in the file"},
		"an unknown column":       {"digest,secret_name\n", "line 1: the first line names the columns, and there is no such column as its 2nd"},
		"a column twice":          {"digest,name,name\n", "line 1: the column name is there twice"},
		"a row too short":         {"digest,name\n" + d + "\n" + d + ",n\n", "line 2: wrong number of fields"},
		"a quote that never ends": {"digest,name\n\"" + d, "line 2: extraneous"},
		"no name":                 {"digest\n" + d + "\n", "line 2: name is missing"},
		"neither digest nor key":  {"name\nn\n", "line 2: a row has either"},
		"both":                    {"name,digest,key\nn," + d + ",legacy\n", "line 2: a row has either"},
		"a short digest":          {"name,digest\nn," + d[:62] + "\n", "line 2: digest is not 64"},
		"a digest of other signs": {"name,digest\nn," + d[:62] + "xy\n", "line 2: digest is not 64"},
		"the same key twice":      {"name,digest\nn," + d + "\nm," + strings.ToUpper(d) + "\n", "line 3: the same key as on line 2"},
		"the same as a key":       {"name,digest,key\nn," + d + ",\nm,,legacy\n", "line 3: the same key as on line 2"},
		"a time that is none":     {"name,digest,expires_at\nn," + d + ",soon\n", "line 2: expires_at: this is a time"},
		"metadata that is none":   {"name,digest,metadata\nn," + d + ",[]\n", "line 2: metadata: this is not a JSON object"},
		"resources without types": {"name,digest,resources\nn," + d + ",17\n", "line 2: resources: this is type=id"},
		"a line break in a cell":  {"name,digest\n\"a\nb\"," + d + "\nn,legacy\n", "line 4: digest is not 64"},
		"an unknown member":       {`{"name":"n","digests":"legacy"}`, `line 1: there is no member "digests"`},
		"a member of other type":  {`{"name":"n","digest":17}`, "line 1: digest is not of its type"},
		"a part of other type":    {`{"name":"n","restrictions":{"addresses":17}}`, "line 1: restrictions.addresses is not of its type"},
		"half an object":          {`{"name":"legacy`, "line 1: this is not one JSON object"},
		"two on a line":           {`{"name":"n","digest":"` + d + `"} {}`, "line 1: something follows"},
		"JSON in the middle":      {"\n\n" + `{"name":"n","digest":"` + d + `"}` + "\n[]\n", "line 4: "},
		"a line without end":      {`{"name":"` + strings.Repeat("x", maxRow), "line 1: the line is too long"},
		"more than are told":      {"name,digest\n" + strings.Repeat("n,\n", 50), "line 11: a row has either digest or"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFakeServer(t, always(201, `{}`))
			o := s.asks(t, test.file, "keys", "import", "-")
			want := strings.Replace(test.want, "digest or", "a digest or", 1)
			if o.status != exitFailure || len(s.questions()) != 0 || !strings.Contains(o.err, want) {
				t.Errorf("status %d, %d questions: %s", o.status, len(s.questions()), o.err)
			}
			if strings.Contains(o.err, "legacy") || strings.Contains(o.err, d) || strings.Count(o.err, "\n") > 14 {
				t.Errorf("this shows too much: %s", o.err)
			}
		})
	}
	if o := runCommand(t, nil, "", "keys", "import", filepath.Join(t.TempDir(), "absent")); o.status != exitFailure || !strings.Contains(o.err, "cannot be read") {
		t.Errorf("status %d: %s", o.status, o.err)
	}
}

// importServer takes keys as the real one does: all or none, each digest once,
// and the same call once.
type importServer struct {
	*fakeServer

	keys    map[string]bool   // by digest
	calls   map[string]string // body by Idempotency-Key
	failing int               // this call fails; 0: none
	refuse  string            // names that are refused
}

func newImportServer(t *testing.T) *importServer {
	s := &importServer{keys: map[string]bool{}, calls: map[string]string{}}
	s.fakeServer = newFakeServer(t, s.take)
	return s
}

func (s *importServer) take(n int, q asked) (int, string) {
	if n == s.failing {
		return 500, fakeProblem("internal", "Ours.")
	}
	var in struct {
		Items []client.ImportedKey `json:"items"`
	}
	if err := json.Unmarshal([]byte(q.body), &in); err != nil || len(in.Items) == 0 || len(in.Items) > 1000 || len(q.body) > 1<<20 {
		return 400, fakeProblem("malformed_body", "Not a batch.")
	}
	name := q.header.Get("Idempotency-Key")
	if len(name) < 16 || len(name) > 255 {
		return 422, fakeProblem("invalid", "Not a name.")
	}
	if before, again := s.calls[name]; again {
		if before != q.body {
			return 422, fakeProblem("idempotency_mismatch", "Another body.")
		}
		return 201, s.results(in.Items)
	}
	var taken []client.FieldError
	for i, item := range in.Items {
		if item.Name == s.refuse {
			return 422, fakeProblem("invalid", "D.", client.FieldError{Pointer: fmt.Sprintf("/items/%d/scopes/0", i), Detail: "Not a scope."})
		}
		if s.keys[item.Digest] {
			taken = append(taken, client.FieldError{Pointer: fmt.Sprintf("/items/%d/digest", i), Code: "taken", Detail: "Taken."})
		}
	}
	if taken != nil {
		return 409, fakeProblem("conflict", "Some are taken.", taken[:min(len(taken), 100)]...)
	}
	s.calls[name] = q.body
	for _, item := range in.Items {
		s.keys[item.Digest] = true
	}
	return 201, s.results(in.Items)
}

func (s *importServer) results(items []client.ImportedKey) string {
	var parts []string
	for _, item := range items {
		parts = append(parts, fmt.Sprintf(`{"key":{"name":%q}}`, item.Name))
	}
	return `{"results":[` + strings.Join(parts, ",") + `],"usable":"everywhere","position":9}`
}

// rowsOf is a file of n keys. The lines of the keys begin at 2.
func rowsOf(n int, name string) string {
	var b strings.Builder
	b.WriteString("name,key\n")
	for i := range n {
		fmt.Fprintf(&b, "%s,key %d\n", name, i)
	}
	return b.String()
}

func TestImportInBatches(t *testing.T) {
	s := newImportServer(t)
	o := s.asks(t, rowsOf(2500, "n"), "keys", "import", "-")
	if o.status != exitOK || o.out != "Imported 2500 keys\n" || len(s.keys) != 2500 || len(s.questions()) != 3 {
		t.Errorf("status %d, %d keys in %d calls: %s%s", o.status, len(s.keys), len(s.questions()), o.out, o.err)
	}
	s = newImportServer(t)
	o = s.asks(t, rowsOf(900, strings.Repeat("ü", 1200)), "keys", "import", "-")
	if o.status != exitOK || len(s.keys) != 900 || len(s.questions()) < 3 {
		t.Errorf("status %d, %d long keys in %d calls: %s", o.status, len(s.keys), len(s.questions()), o.err)
	}
	s = newImportServer(t)
	o = s.asks(t, rowsOf(1001, "n"), "keys", "import", "-", "--json")
	var document struct {
		Results  []struct{ Key client.Key }
		Usable   string
		Position int64
	}
	if err := json.Unmarshal([]byte(o.out), &document); err != nil || len(document.Results) != 1001 || document.Usable != "everywhere" || document.Position != 9 {
		t.Errorf("%v: %d results, %s", err, len(document.Results), document.Usable)
	}
}

// An import that was interrupted goes on where it was, whether or not a part of
// what was not imported yet has been mended meanwhile.
func TestImportAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.csv")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good := rowsOf(2500, "n")
	s := newImportServer(t)
	s.refuse = "bad"
	write(strings.Replace(good, "n,key 2100\n", "bad,key 2100\n", 1))
	o := s.asks(t, "", "keys", "import", file)
	if o.status != exitFailure || len(s.keys) != 2000 || o.out != "" || !strings.Contains(o.err, "line 2102: scopes/0: Not a scope.") ||
		!strings.Contains(o.err, "2000 of 2500 keys are imported, up to line 2001. Run the command again") {
		t.Fatalf("status %d, %d keys: %s", o.status, len(s.keys), o.err)
	}
	write(good)
	if o = s.asks(t, "", "keys", "import", file); o.status != exitOK || len(s.keys) != 2500 || o.out != "Imported 2500 keys\n" {
		t.Fatalf("status %d, %d keys: %s%s", o.status, len(s.keys), o.out, o.err)
	}
}

func TestImportOfWhatIsThere(t *testing.T) {
	s := newImportServer(t)
	for i := range 250 { // more than the server names at once, and in both batches
		s.keys[digestOf(fmt.Sprint("key ", 5*i))] = true
	}
	o := s.asks(t, rowsOf(2000, "n"), "keys", "import", "-")
	if o.status != exitFailure || len(s.keys) != 250 || !strings.Contains(o.err, "line 7: digest: Taken.\n") || !strings.Contains(o.err, "and: 90 more.\nLeave out") {
		t.Fatalf("status %d, %d keys: %s", o.status, len(s.keys), o.err)
	}
	o = s.asks(t, rowsOf(2000, "n"), "keys", "import", "-", "--skip-existing")
	if o.status != exitOK || len(s.keys) != 2000 || o.out != "Imported 1750 keys; 250 were there already\n" {
		t.Fatalf("status %d, %d keys: %s%s", o.status, len(s.keys), o.out, o.err)
	}
	clear(s.calls) // a day later
	o = s.asks(t, rowsOf(2000, "n"), "keys", "import", "-", "--skip-existing", "--json")
	if o.status != exitOK || len(s.keys) != 2000 || o.out != `{"results":[]}`+"\n" {
		t.Fatalf("status %d, %d keys: %s%s", o.status, len(s.keys), o.out, o.err)
	}
}

func TestImportThatFails(t *testing.T) {
	s := newImportServer(t)
	s.failing = 2
	o := s.asks(t, rowsOf(1500, "n"), "keys", "import", "-", "--json")
	if o.status != exitFailure || json.Valid([]byte(o.out)) || !strings.Contains(o.err, "lines 1002 to 1501: Ours.") || !strings.Contains(o.err, "req-1") {
		t.Errorf("status %d: %.80s%s", o.status, o.out, o.err)
	}
}

// Whatever a file holds, each of its rows is either fit to be sent or refused
// with its line, and no refusal repeats a row.
func FuzzRows(f *testing.F) {
	d := digestOf("legacy")
	for _, seed := range []string{
		"name,digest\nn," + d + "\n", `{"name":"n","digest":"` + d + `"}`, "name,key,metadata\nn,k,{}\n", "\"", "name\n\"x\ny\"\n", "{}\n{}", "\ufeffname\n",
	} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, isCSV bool) {
		format := formatJSONL
		if isCSV {
			format = formatCSV
		}
		last := 0
		for r, err := range readRows(text, format) {
			if r.line < last {
				t.Fatalf("line %d after line %d", r.line, last)
			}
			last = r.line
			if err != nil {
				if !strings.HasPrefix(err.Error(), fmt.Sprintf("line %d: ", r.line)) {
					t.Fatal(err)
				}
				continue
			}
			if sum, err := hex.DecodeString(r.key.Digest); err != nil || len(sum) != 32 || r.key.Name == "" {
				t.Fatalf("accepted: %+v", r.key)
			}
			if sent := encode(r.key); !json.Valid(sent) || !utf8.Valid(sent) {
				t.Fatalf("would send %q", sent)
			}
		}
	})
}
