package latchkey_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// The house rule: dialects know the core; the core knows nobody; drivers know
// the contract; gateways know only verify; the client knows only the wire; the
// command alone knows everyone.

// prohibition is one line of the house rule. Its fields but why are lists of
// patterns, separated by spaces: a pattern is an import path, where * stands
// for one element and /... for any tail. Our own packages are written from the
// top of the tree: "." is the domain, "./store" the package store. "@" is the
// importing package itself, and "third-party" is whatever is neither ours nor
// the standard library's.
//
// Tests are free: to try a door one needs a house behind it.
type prohibition struct {
	who   string // these packages,
	but   string // save these,
	never string // import none of these,
	save  string // save these,
	deep  bool   // nor through any chain of imports,
	why   string // because of this
}

const (
	commands = "./cmd/..."
	testKits = "./store/storetest/... ./store/postgres/postgrestest/... ./dialect/dialecttest/... ./latchkeytest/... ./client/latchkeytest/..."
	servers  = "./latchkeytest/... ./client/latchkeytest/..." // test kits that start a whole server
	edges    = "./rest/... ./dialect/... ./gateway/... ./oauth/... ./console/..."
)

var houseRule = []prohibition{
	// The domain
	{who: ".", never: "./...", why: "the core knows nobody"},
	{who: ".", never: "third-party", why: "whoever speaks of keys would inherit it; the standard library lasts"},
	{who: ".", never: "encoding/json encoding/xml encoding/gob encoding/asn1", why: "wire forms differ between edges, so no one of them may shape the domain"},
	{who: ".", never: "net net/http/... net/rpc/... net/smtp net/url", why: "the domain decides; asking and answering is for edges"},
	{who: ".", never: "database/sql/...", why: "how things are kept is a driver's affair"},
	{who: ".", never: "os/... io/fs io/ioutil syscall/... embed plugin", why: "a decision that reads the machine is not the same tomorrow"},
	{who: ".", never: "crypto/rand math/rand/...", why: "randomness is an argument, so that a test can choose it"},

	// The core
	{who: "./store", never: "./...", save: ".", why: "the contract speaks of the domain alone, so that a driver needs to know nothing else"},
	{who: "./store", never: "database/sql/... third-party", why: "a contract with an engine's types in it is that engine's"},
	{who: "./store/*/...", never: "./...", save: ". ./store @/...", why: "drivers know the contract: a rule inside one holds in that one only"},
	{who: "./store/*/...", never: "net/http/...", why: "a driver speaks to its engine"},
	{who: "./keyring/...", never: "./...", save: ". @/...", why: "it seals for whoever holds the ring; who may ask is decided elsewhere"},
	{who: "./verify/protocol/...", never: "./... third-party", why: "the model is held against the protocol, not against the code; what it proves hangs on nothing else"},
	{who: "./verify/...", never: "./...", save: ". ./store ./keyring ./signature ./token @/...", why: "the hot path answers a question; nothing that changes keys or faces a caller is behind it"},
	{who: "./jws/...", never: "./...", why: "it takes apart what strangers wrote; whose it is and what it is worth is decided elsewhere"},
	{who: "./token/...", never: "./...", save: ". ./store ./keyring ./jws @/...", why: "it signs what it is told to and reads it back; who may have a token, and whether what it stands for still holds, is decided elsewhere"},
	{who: "./signature/...", never: "./...", save: ". @/...", why: "a signature is checked from the message and the key; where either came from changes nothing"},
	{who: "./authority/...", never: "./...", save: ". ./store ./keyring ./verify ./token @/...", why: "the rules of change are the same for every edge and every driver, so they know none"},
	{who: "./authority/... ./verify/... ./token/...", never: "net/http/... database/sql/...", deep: true, why: "an edge or an engine has crept into the core"},

	{who: "./broker/...", never: "./...", save: ". ./store ./keyring ./verify @/...", why: "it does at brokers what events ask for; who may be there is decided elsewhere, and it changes no key"},

	// The edges
	{who: "./rest/...", never: "./...", save: ". ./authority ./verify ./token ./internal/... @/...", why: "a peer of the dialects, without a private door into the core: no store, no key ring"},
	{who: "./dialect/...", but: "./dialect/dialecttest/...", never: "./...", save: ". ./authority ./verify ./token ./internal/... ./dialect/internal/... @/...", why: "dialects know the core and never each other: what they share has a name under dialect/internal"},
	{who: "./dialect/dialecttest/...", never: "./...", save: ". ./client/... ./latchkeytest/... @/...", why: "laws across dialects are told over HTTP, or they hold where no client can see it"},
	{who: "./openid/...", never: "./...", save: ". ./jws @/...", why: "it asks strangers on the internet, so nothing of ours is within its reach"},
	{who: "./oauth/...", never: "./...", save: ". ./authority ./token ./internal/... @/...", why: "a wire form of its own for what the authority does with tokens; it holds no key and reads no store"},
	{who: "./gateway/...", never: "./...", save: ". ./verify ./internal/... ./gateway/internal/... @/...", why: "a gateway asks one question and can change nothing"},
	{who: "./console/...", never: "./...", save: ". @/...", why: "the console speaks the native API, like anyone else"},
	{who: "./...", but: edges + " " + commands + " ./internal/body/...", never: "./internal/body/...", why: "reading and writing bodies is an edge's work"},
	{who: "./internal/...", never: "./...", save: ". ./internal/...", why: "what is shared knows the domain alone, or it is a corridor around the rule"},

	{who: "./internal/lane/... ./internal/direct/...", never: "./... third-party", why: "they carry requests and know none of them, and read strangers' bytes with the standard library alone"},

	// The client
	{who: "./client/...", but: "./client/grpcauth/... " + servers, never: "./... third-party", save: "./client/...", deep: true, why: "the client knows only the wire, and its users inherit what it imports"},
	{who: "./client/grpcauth/...", never: "./...", save: "./client/...", why: "the client knows only the wire"},

	{who: "./campaign/...", never: "./...", save: "@/...", why: "what is lost is what a client misses, from the program that users run"},
	{who: "./bench/...", never: "./...", save: "@/...", why: "a figure is taken from outside, from the program that users run"},

	// The composition
	{who: "./server/...", never: "./store/*/...", deep: true, why: "the composition is given a store; the command chooses it"},
	{who: "./...", but: commands + " " + servers, never: "./store/*/...", save: "./store/storetest/... ./store/postgres/postgrestest/... @/...", why: "the command alone picks a driver"},
	{who: "./...", but: "./store/*/...", never: "database/sql/... modernc.org/sqlite/... github.com/jackc/...", why: "SQL is written in drivers and nowhere else"},
	{who: "./...", never: "./verify/protocol/...", why: "a model is for finding out, and no part of the program"},
	{who: "./...", never: commands, save: "@/...", why: "a command is an end: what two of them need is a package"},
	{who: "./...", but: testKits + " ./cmd/latchkey-bench/...", never: testKits + " testing/... net/http/httptest pgregory.net/rapid/... github.com/rogpeppe/go-internal/...", why: "test gear in production is a door left open"},
	{who: "./...", never: "C", why: "one static binary, which needs no C compiler to build and no C library to run"},
}

// knowsEveryone are the packages that the table leaves free.
const knowsEveryone = commands + " " + servers

// shapelessNames say what a package is like and not what it is for; such a
// drawer never closes.
const shapelessNames = "util utils common helper helpers type types model models x misc shared lib base"

func TestHouseRule(t *testing.T) {
	house := listHouse(t)
	imports := 0
	for _, p := range house {
		imports += len(p.Imports)
		for _, rule := range houseRule {
			for _, broken := range rule.brokenBy(p) {
				t.Errorf("%s imports %s: %s", ours(p.ImportPath), broken, rule.why)
			}
		}
	}
	if imports == 0 {
		t.Fatal("the packages of the house import nothing: this test reads nothing")
	}
}

func TestEveryPackageHasItsPlace(t *testing.T) {
	for _, p := range listHouse(t) {
		name := ours(p.ImportPath)
		placed := matches(knowsEveryone, name, "")
		for _, rule := range houseRule {
			placed = placed || rule.who != "./..." && matches(rule.who, name, "") && !matches(rule.but, name, "")
		}
		if !placed {
			t.Errorf("%s: no row of houseRule says whom it may know; give it one", name)
		}
		if name == "./dialect" || name == "./gateway" {
			t.Errorf("%s is a corridor between rooms and holds no Go files", name)
		}
		for element := range strings.SplitSeq(name, "/") {
			if slices.Contains(strings.Fields(shapelessNames), element) {
				t.Errorf("%s: %q does not say what the package is for", name, element)
			}
		}
	}
}

// Every row can fail: for each pair of its patterns a package and an import are
// made up that break it.
func TestHouseRuleCanFail(t *testing.T) {
	madeUp := strings.NewReplacer("...", "elsewhere", "*", "elsewhere", "third-party", "example.com/elsewhere")
	for _, rule := range houseRule {
		if rule.why == "" {
			t.Errorf("%s never imports %s: without a reason", rule.who, rule.never)
		}
		for who := range strings.FieldsSeq(rule.who) {
			for never := range strings.FieldsSeq(rule.never) {
				p := listedPackage{ImportPath: full(madeUp.Replace(who)), Imports: []string{"fmt"}}
				if broken := rule.brokenBy(p); broken != nil {
					t.Errorf("%s: %v is reported, and nothing is wrong with it", who, broken)
				}
				bad := full(madeUp.Replace(never))
				p.Imports = append(p.Imports, bad)
				p.Deps = p.Imports
				if broken := rule.brokenBy(p); !slices.Equal(broken, []string{ours(bad)}) {
					t.Errorf("%s importing %s: reported %q", ours(p.ImportPath), bad, broken)
				}
				p.Imports = nil
				if rule.deep != (rule.brokenBy(p) != nil) {
					t.Errorf("%s reaching %s through others: reported %t, want %t", ours(p.ImportPath), bad, !rule.deep, rule.deep)
				}
			}
		}
	}
}

// The rows together say what the rule says.
func TestHouseRuleSaysWhatItMeans(t *testing.T) {
	for _, test := range []struct {
		who, imports string
		allowed      bool
	}{
		{".", "encoding/json", false}, {".", "net/http", false}, {".", "database/sql", false}, {".", "./store", false},
		{".", "golang.org/x/sync/errgroup", false}, {".", "os", false}, {".", "net/netip", true}, {".", "log/slog", true},
		{"./store", ".", true}, {"./store", "./keyring", false}, {"./store", "./store/sqlite", false},
		{"./store/sqlite", "./store", true}, {"./store/sqlite", "./authority", false}, {"./store/sqlite", "./store/postgres", false},
		{"./store/sqlite", "./store/sqlite/schema", true}, {"./store/sqlite", "modernc.org/sqlite", true}, {"./store/postgres", "github.com/jackc/pgx/v5", true},
		{"./store/storetest", "./store", true}, {"./store/storetest", "testing", true}, {"./store/storetest", "./store/sqlite", false},
		{"./keyring", ".", true}, {"./keyring", "./store", false}, {"./keyring", "filippo.io/age", true},
		{"./authority", "./store", true}, {"./authority", "./verify", true}, {"./authority", "./store/sqlite", false},
		{"./authority", "./rest", false}, {"./authority", "net/http", false}, {"./authority", "./internal/body", false},
		{"./verify", "./token", true}, {"./authority", "./token", true}, {"./rest", "./token", true}, {"./token", "./keyring", true},
		{"./token", "./verify", false}, {"./token", "./authority", false}, {"./token", "net/http", false},
		{"./verify", "./authority", false}, {"./verify", "./keyring", true}, {"./verify", "net/http", false},
		{"./rest", "./authority", true}, {"./rest", "./store", false}, {"./rest", "./store/sqlite", false}, {"./rest", "./keyring", false},
		{"./rest", "./dialect/voke", false}, {"./rest", "./internal/body", true}, {"./rest", "net/http", true},
		{"./dialect/voke", "./authority", true}, {"./dialect/voke", "./verify", true}, {"./dialect/voke", "./dialect/cycle", false},
		{"./dialect/voke", "./rest", false}, {"./dialect/voke", "./store", false}, {"./dialect/voke", "./dialect/internal/page", true},
		{"./dialect/voke", "./internal/body", true}, {"./dialect/internal/page", "./dialect/voke", false}, {"./dialect/voke", "./dialect/dialecttest", false},
		{"./dialect/dialecttest", "./latchkeytest", true}, {"./dialect/dialecttest", "./authority", false},
		{"./gateway/forward", "./verify", true}, {"./gateway/forward", "./authority", false}, {"./gateway/forward", "./gateway/rabbitmq", false},
		{"./gateway/extauthz", "google.golang.org/grpc", true}, {"./console", "./authority", false}, {"./console", "embed", true},
		{"./client", "net/http", true}, {"./client", ".", false}, {"./client", "google.golang.org/grpc", false},
		{"./client/grpcauth", "./client", true}, {"./client/grpcauth", "google.golang.org/grpc", true}, {"./client/grpcauth", "./verify", false},
		{"./server", "./rest", true}, {"./server", "./store", true}, {"./server", "./store/sqlite", false}, {"./server", "./cmd/latchkey", false},
		{"./cmd/latchkey", "./store/sqlite", true}, {"./cmd/latchkey", "./server", true}, {"./cmd/latchkey", "testing", false},
		{"./latchkeytest", "./store/sqlite", true}, {"./latchkeytest", "testing", true}, {"./server", "./latchkeytest", false},
		{"./internal/body", ".", true}, {"./internal/body", "./authority", false}, {"./token", "./rest", false}, {"./signature", "./store", false},
	} {
		p := listedPackage{ImportPath: full(test.who), Imports: []string{full(test.imports)}, Deps: []string{full(test.imports)}}
		var broken []string
		for _, rule := range houseRule {
			broken = append(broken, rule.brokenBy(p)...)
		}
		if test.allowed != (broken == nil) {
			t.Errorf("%s imports %s: allowed %t, want %t", test.who, test.imports, !test.allowed, test.allowed)
		}
	}
}

// brokenBy lists the imports of p that the rule forbids.
func (r prohibition) brokenBy(p listedPackage) (broken []string) {
	who := ours(p.ImportPath)
	if !matches(r.who, who, "") || matches(r.but, who, "") {
		return nil
	}
	imports := p.Imports
	if r.deep {
		imports = p.Deps
	}
	for _, imported := range imports {
		if name := ours(imported); matches(r.never, name, who) && !matches(r.save, name, who) {
			broken = append(broken, name)
		}
	}
	return broken
}

// matches reports whether one of the patterns is for name; importer is what "@"
// stands for.
func matches(patterns, name, importer string) bool {
	for pattern := range strings.FieldsSeq(patterns) {
		if pattern == "third-party" {
			first, _, _ := strings.Cut(name, "/")
			if first != "." && strings.Contains(first, ".") {
				return true
			}
			continue
		}
		pattern = strings.Replace(pattern, "@", importer, 1)
		compared := name
		if head, ok := strings.CutSuffix(pattern, "/..."); ok {
			pattern = head
			elements, n := strings.Split(name, "/"), strings.Count(head, "/")+1
			compared = strings.Join(elements[:min(n, len(elements))], "/")
		}
		if ok, err := path.Match(pattern, compared); ok && err == nil {
			return true
		}
	}
	return false
}

const ourModule = "latchkey.dev/latchkey"

// ours writes the import path of a package of ours from the top of the tree;
// full is the way back. Other paths stay as they are.
func ours(importPath string) string {
	if rest, ok := strings.CutPrefix(importPath, ourModule); ok && (rest == "" || rest[0] == '/') {
		return "." + rest
	}
	return importPath
}

func full(name string) string {
	if name == "." || strings.HasPrefix(name, "./") {
		return ourModule + name[1:]
	}
	return name
}

// listedPackage is what go list says about a package.
type listedPackage struct {
	Dir, ImportPath                    string
	GoFiles                            []string
	Imports, TestImports, XTestImports []string
	Deps                               []string
	Module                             *struct{ Path string }
}

// listHouse lists every package of this module.
func listHouse(t *testing.T) []listedPackage {
	house := goList(t, "./...")
	if !slices.ContainsFunc(house, func(p listedPackage) bool { return ours(p.ImportPath) == "./store" }) {
		t.Fatalf("go list found %d packages, and the store is not among them", len(house))
	}
	return house
}

func goList(t *testing.T, args ...string) []listedPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=Dir,ImportPath,GoFiles,Imports,TestImports,XTestImports,Deps,Module"}, args...)...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &complaint)
	}
	var packages []listedPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listedPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
