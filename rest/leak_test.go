package rest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/rest"
)

// session is a house whose every answer is kept, with the secrets that went
// through it.
type session struct {
	*house
	answers []string          // with their headers
	told    map[string][]int  // secret → the answers that may have it
	names   map[string]string // secret → what it is
	kin     map[string]string // secret → one that it has a part in common with
	asked   map[string]bool   // operations
	metrics strings.Builder   // all that an observer is told
	ops     map[string]rest.Operation
}

func openSession(t *testing.T) *session {
	t.Helper()
	s := &session{told: map[string][]int{}, names: map[string]string{}, asked: map[string]bool{}, ops: map[string]rest.Operation{}}
	s.house = open(t, func(c *rest.Config) {
		c.Observe = func(route string, status int, _ time.Duration) { fmt.Fprintln(&s.metrics, route, status) }
		c.ObserveVerdict = func(code latchkey.Code) { fmt.Fprintln(&s.metrics, code) }
	})
	for _, op := range s.api.Operations() {
		s.ops[op.ID] = op
	}
	s.secret("the first key", s.root)
	return s
}

// secret is something that must not be found where it was not told.
func (s *session) secret(name, secret string) string {
	s.Helper()
	if len(secret) < 16 {
		s.Fatalf("%s is %q", name, secret)
	}
	s.names[secret] = name
	return secret
}

// ask makes a request and keeps the answer.
func (s *session) ask(id string, c caller, target string, body any) answer {
	s.Helper()
	op, known := s.ops[id]
	if !known {
		s.Fatalf("there is no operation %s", id)
	}
	s.asked[id] = true
	return s.keep(c.do(op.Method, pathTo(op, target), body))
}

func (s *session) keep(a answer) answer {
	var b strings.Builder
	_ = a.Header.Write(&b)
	s.answers = append(s.answers, b.String()+a.Text)
	return a
}

// tells takes the secrets at these places out of the last answer, which is one
// that tells them.
func (s *session) tells(name string, a answer, places ...[]any) (secrets []string) {
	s.Helper()
	for _, place := range places {
		secret := s.secret(name, a.text(place...))
		s.told[secret] = append(s.told[secret], len(s.answers)-1)
		secrets = append(secrets, secret)
	}
	return secrets
}

// TestSecretsAreToldOnceAndKeptNowhere makes every operation, with secrets of
// every sort, and looks for them in every place that is not the answer to whoever
// asked for them.
func TestSecretsAreToldOnceAndKeptNowhere(t *testing.T) {
	t.Parallel()
	s := openSession(t)
	n := s.tenant("Tenant")
	root := s.operatorSocket().in(n.native)
	project := n.one.ID.Native(latchkey.KindProject)

	// Keys of every sort.
	made := s.ask("createKey", root, "", object{"name": "canary plain", "scopes": []string{"api_key:verify"}, "reach": "organization"}).must(201)
	plain := s.tells("a key", made, []any{"secret"})[0]
	made = s.ask("createKey", root, "", object{"name": "canary stored", "project_id": project, "retrievable": true}).must(201)
	stored, storedKey := made.text("key", "id"), s.tells("a stored key", made, []any{"secret"})[0]
	batch := s.ask("batchCreateKeys", root, "", object{"items": []object{{"name": "one"}, {"name": "two", "retrievable": true, "project_id": project}}}).must(201)
	pair := s.tells("a key of a batch", batch, []any{"results", 0, "secret"}, []any{"results", 1, "secret"})
	foreign := s.secret("an imported key", "sk_foreign_"+s.word()+s.word())
	sum := sha256.Sum256([]byte(foreign))
	s.ask("importKeys", root, "", object{"scheme": "sha256", "items": []object{{"name": "foreign", "digest": hex.EncodeToString(sum[:]), "public": "sk_foreign_"}}}).must(201)

	// Told again to whoever repeats the call, and to nobody else.
	header := s.secret("an Idempotency-Key", "repeat-"+s.word()+s.word())
	repeated := root.with("Idempotency-Key", header)
	for range 3 {
		s.tells("a key that is told again", s.ask("createKey", repeated, "", object{"name": "repeated"}).must(201), []any{"secret"})
		s.tells("keys that are told again", s.ask("batchCreateKeys", repeated, "", object{"items": []object{{"name": "x"}, {"name": "y"}}}).must(201), []any{"results", 0, "secret"}, []any{"results", 1, "secret"})
	}
	for range 2 {
		s.tells("a rotated key that is told again", s.ask("rotateKey", repeated, stored, object{"overlap": "1h"}).must(200), []any{"secret"})
	}
	s.tells("a revealed key", s.ask("revealKey", root, stored, object{"reason": "a canary"}).must(200), []any{"secret"})
	s.ask("cancelRotation", root, stored, nil).must(200)
	signs := n.key(authority.NewKey{Name: "canary signs", Signing: authority.NewSigning{Format: latchkey.SigningHex}})
	s.secret("a key that signs", signs.Secret.Expose())
	s.secret("a signing key", signs.SigningKey.Expose())
	for range 2 {
		s.tells("what signs after a rotation", s.ask("rotateKey", repeated, keyID(signs), nil).must(200), []any{"secret"}, []any{"signing_key"})
	}
	s.tells("a rotated key", s.ask("rotateKey", root, stored, nil).must(200), []any{"secret"})
	s.ask("completeRotation", root, stored, nil).must(200)

	// Presented, right and wrong.
	unknown, wrong := s.secret("a key of nobody's", s.noKey()), s.secret("a guess", swapped(plain))
	typo := s.secret("a key with a typing error", mistyped(plain))
	s.kin = map[string]string{wrong: plain, typo: plain}
	gateway := s.as(plain)
	var items []object
	for _, key := range slices.Sorted(maps.Keys(s.names)) {
		s.ask("verifyKey", gateway, "", object{"key": key})
		s.ask("explainKey", gateway, "", object{"key": key})
		items = append(items, object{"key": key})
		if key != s.root && key != plain {
			s.ask("listKeys", s.as(key), "", nil)
			s.advance(2 * time.Second)
		}
	}
	s.ask("batchVerifyKeys", gateway, "", object{"items": items}).must(200)
	for _, key := range []string{unknown, wrong, typo} {
		s.ask("revokeSelf", s.as(""), "", object{"key": key}).refused(401, latchkey.CodeUnauthenticated)
		s.advance(2 * time.Second)
	}

	s.misplace(root, storedKey)
	s.rest(root, n, stored)
	s.ask("getKeyUsage", root, stored, nil).must(200)

	s.ask("revokeSelf", s.as(""), "", object{"key": pair[1]}).must(200)
	s.ask("revokeSelf", s.as(""), "", object{"key": foreign}).must(200)
	s.ask("revokeKey", root, stored, object{"reason": "the end"}).must(200)
	s.ask("deleteKey", root, batch.text("results", 0, "key", "id"), nil).must(200)
	for _, path := range []string{"?limit=100", "?everywhere=true&limit=100"} {
		s.keep(s.operatorSocket().do("GET", "/v1/events"+path, nil).must(200))
	}
	s.keep(root.do("GET", "/v1/events?limit=100", nil).must(200))
	s.keep(root.do("GET", "/v1/keys?limit=100", nil).must(200))
	for id := range s.ops {
		if !s.asked[id] {
			t.Errorf("the session lacks %s: ask for it", id)
		}
	}
	s.flush()
	s.search()
}

// mistyped is the key with another last character: its checksum does not fit.
func mistyped(key string) string {
	last := "0"
	if strings.HasSuffix(key, last) {
		last = "1"
	}
	return key[:len(key)-1] + last
}

// rest makes the operations that have no secret.
func (s *session) rest(root caller, n *tenancy, key string) {
	s.Helper()
	operator := s.operatorSocket()
	s.ask("getKey", root, key, nil).must(200)
	s.ask("updateKey", root, key, object{"metadata": object{"a": 1}}).must(200)
	p := s.ask("createProject", root, "", object{"name": "made"}).must(201).text("id")
	for id, target := range map[string]string{
		"listKeys": "", "listProjects": "", "listUsers": "", "listRoles": "", "listEvents": "", "listOrganizations": "", "health": "", "readiness": "",
		"getProject": p, "getOrganization": n.native, "getUser": n.user().ID.Native(latchkey.KindUser), "getRole": "owner",
	} {
		s.ask(id, root, target, nil).must(200)
	}
	s.ask("updateProject", root, p, object{"name": "changed"}).must(200)
	s.ask("deleteProject", root, p, nil).must(200)
	u := s.ask("createUser", root, "", object{"name": "made", "email": "made@example.com", "roles": []object{{"role": "reader"}}}).must(201).text("id")
	s.tells("an owned key", s.ask("createKey", root, "", object{"name": "owned", "owner_id": u}).must(201), []any{"secret"})
	s.ask("updateUser", root, u, object{"name": "changed"}).must(200)
	s.keep(root.do("DELETE", "/v1/users/"+u+"?revoke_keys=true", nil).must(200))
	s.ask("deleteUser", root, n.user().ID.Native(latchkey.KindUser), nil).must(200)
	r := s.ask("createRole", root, "", object{"identifier": "made", "name": "made", "permissions": []string{"docs:read"}}).must(201).text("id")
	s.ask("updateRole", root, r, object{"name": "changed"}).must(200)
	s.ask("deleteRole", root, r, nil).must(200)
	gateway := s.ask("createGateway", root, "", gatewayBody("made")).must(201)
	s.tells("a gateway's token", gateway, []any{"token"})
	g := gateway.text("gateway", "id")
	s.tells("its next token", s.ask("rotateGatewayToken", root, g, nil).must(200), []any{"token"})
	s.ask("updateGateway", root, g, object{"name": "changed"}).must(200)
	s.ask("getGateway", root, g, nil).must(200)
	s.ask("listGateways", root, "", nil).must(200)
	s.ask("deleteGateway", root, g, nil).must(200)
	i := s.ask("createIssuer", root, "", issuerBody("made")).must(201).text("id")
	s.ask("updateIssuer", root, i, object{"name": "changed"}).must(200)
	s.ask("getIssuer", root, i, nil).must(200)
	s.ask("listIssuers", root, "", nil).must(200)
	s.ask("deleteIssuer", root, i, nil).must(200)
	o := s.ask("createOrganization", operator, "", object{"name": "passing"}).must(201).text("id")
	s.ask("updateOrganization", operator, o, object{"name": "changed"}).must(200)
	s.ask("deleteOrganization", operator, o, nil).must(200)
	s.ask("listNodes", operator, "", nil).must(200)
	s.ask("forgetNode", operator, s.unknown(latchkey.KindNode), nil).must(404)
	s.ask("getKeyUsage", root, key, nil).must(200)
	s.ask("addKeyRingVersion", operator, "", nil).must(201)
	s.ask("activateKeyRingVersion", operator, "2", nil).must(200)
	s.ask("retireKeyRingVersion", operator, "1", nil)
	s.ask("getKeyRing", operator, "", nil).must(200)
	s.ask("rotateTokenKeys", operator, "", object{"now": true}).must(200)
	s.ask("listTokenKeys", operator, "", nil).must(200)
	s.ask("getKeySet", s.as(""), "", nil).must(200)
}

// misplace puts a key where none belongs.
func (s *session) misplace(root caller, key string) {
	s.Helper()
	n := s.tenant("Mistaken")
	developer := n.with("developer", management...)
	escaped := url.QueryEscape(key)
	for _, c := range []caller{root, developer} {
		for _, path := range []string{
			"/v1/keys/" + key, "/v1/keys/" + key + "/rotate", "/" + key, "/v1/roles/" + key, "/v1/organizations/" + key, "/v1/keyring/versions/" + key + "/activate",
			"/v1/keys?search=" + escaped, "/v1/keys?cursor=" + escaped, "/v1/keys?" + escaped + "=1", "/v1/keys?state=" + escaped, "/v1/keys?sort=" + escaped,
			"/v1/keys?role=" + escaped, "/v1/keys?project_id=" + escaped, "/v1/keys?expiring_before=" + escaped, "/v1/events?object=" + escaped, "/v1/events?type=" + escaped, "/v1/events?after=" + escaped,
			"/v1/keys?limit=" + escaped, "/v1/keys?a=%zz" + escaped,
		} {
			s.keep(c.do("GET", path, nil))
			s.keep(c.do("POST", path, object{}))
		}
		for _, name := range []string{"If-Match", "Latchkey-Organization", "Last-Event-ID", "User-Agent", "X-Forwarded-For", "X-Request-Id", "Accept", "Cookie", "X-API-Key", "Traceparent", key} {
			s.keep(c.with(name, key).do("GET", "/v1/keys", nil))
			s.keep(c.with(name, key).do("PATCH", "/v1/keys/key_00000000000000000001", object{"name": "x"}))
		}
		s.keep(c.with("Content-Type", key).do("POST", "/v1/keys", object{"name": "x"}))
		s.keep(c.do(key, "/v1/keys", nil))
		for _, body := range []any{
			object{key: 1}, object{"name": object{key: 1}}, object{"name": "x", "expires_at": key}, object{"name": "x", "project_id": key}, object{"name": "x", "owner_id": key},
			object{"name": "x", "role": key}, object{"name": "x", "reach": key}, object{"name": "x", "retrievable": key}, object{"name": "x", "metadata": key},
			object{"name": "x", "signing": key}, object{"name": "x", "restrictions": object{"addresses": []string{key}}},
			object{"name": "x", "restrictions": object{"resources": object{key: []string{"a b"}}}}, object{"name": "x", "restrictions": object{"resources": object{"plant": []string{key + " "}}}},
			object{"name": "x", "restrictions": object{key: 1}}, `{"name":"` + key, `{"name":"x","name":"` + key + `"}`, key, `"` + key + `"`, `{"` + key + `":1,"` + key + `":2}`, `[` + key + `]`,
		} {
			s.keep(c.do("POST", "/v1/keys", body))
			s.keep(c.do("PATCH", "/v1/keys/key_00000000000000000001", body))
			s.keep(c.do("POST", "/v1/keys/verify", body))
		}
		for path, body := range map[string]object{
			"/v1/projects":          {"name": "x", "prefix": key},
			"/v1/users":             {"name": "x", "email": key},
			"/v1/roles":             {"identifier": key, "name": "x", "permissions": []string{}},
			"/v1/keys/import":       {"scheme": key, "items": []object{{"name": "x", "digest": key}}},
			"/v1/keys/verify":       {"key": "x", "ip": key, "environment": key},
			"/v1/keys/explain":      {"key": "x", "scopes": []string{key + " "}},
			"/v1/keys/batch-create": {"items": []object{{key: 1}}},
			"/v1/keys/revoke-self":  {"key": "x", key: 1},
			"/v1/keys/batch-verify": {"items": []object{{"key": "x", "resource": object{"type": key, "id": ""}}}},
			"/v1/organizations":     {"name": "x", key: key},
			"/v1/keys/" + s.unknown(latchkey.KindKey) + "/rotate": {"overlap": key},
		} {
			s.keep(c.do("POST", path, body))
		}
	}
	// A key where a scope belongs is more than the developer may give.
	s.keep(developer.do("POST", "/v1/keys", object{"name": "x", "scopes": []string{key}}))
	s.keep(developer.do("POST", "/v1/roles", object{"identifier": "x1", "name": "x", "permissions": []string{key}}))
	for _, value := range []string{"Basic " + key, "bearer  " + key, key, "Bearer " + key + " x", "Bearer"} {
		r, err := http.NewRequestWithContext(s.Context(), "GET", s.server.URL+"/v1/keys", nil)
		if err != nil {
			s.Fatal(err)
		}
		r.Header.Set("Authorization", value)
		s.keep(s.send(r))
		s.advance(2 * time.Second)
	}
}

// forms are the spellings in which a secret is looked for: itself, any part of
// it that is long enough to matter, and what it would be in common encodings.
func forms(secret string) map[string]string {
	sum := sha256.Sum256([]byte(secret))
	hidden := secret
	if k, err := latchkey.ParseKeyString(secret); err == nil {
		hidden = secret[len(k.PublicPart()):] // what may be shown is shown everywhere
	}
	return map[string]string{
		"as it is":          secret,
		"its secret part":   hidden,
		"its first half":    hidden[:len(hidden)/2],
		"its second half":   hidden[len(hidden)/2:],
		"in hexadecimal":    hex.EncodeToString([]byte(secret)),
		"in base64":         base64.RawStdEncoding.EncodeToString([]byte(secret))[:len(secret)],
		"its plain SHA-256": string(sum[:]),
		"its SHA-256":       hex.EncodeToString(sum[:]),
	}
}

// search looks for every secret in every place.
func (s *session) search() {
	s.Helper()
	places := s.files()
	places["the log"], places["the metrics"] = s.log.String(), s.metrics.String()
	// What is there is found, or the search would prove nothing.
	for place, hint := range map[string]string{"the log": "/v1/keys/{id}", "the metrics": "/v1/keys/verify"} {
		if !strings.Contains(places[place], hint) {
			s.Fatalf("%s does not even have %q", place, hint)
		}
	}
	stored := strings.Join(slices.Collect(maps.Values(s.files())), "")
	for _, hint := range []string{"canary plain", "canary stored", "canary signs", "a canary", `"checksum"`} {
		if !strings.Contains(stored, hint) {
			s.Fatalf("the folder's files do not even have %q", hint)
		}
	}
	for secret, name := range s.names {
		for form, text := range forms(secret) {
			for place, content := range places {
				if strings.Contains(content, text) {
					s.Errorf("%s is in %s, %s", name, place, form)
				}
			}
			for i, a := range s.answers {
				if strings.Contains(a, text) && !slices.Contains(s.told[secret], i) && !slices.Contains(s.told[s.kin[secret]], i) {
					s.Errorf("%s is in an answer that is not to tell it, %s:\n%s", name, form, a)
				}
			}
		}
		for _, i := range s.told[secret] {
			if !strings.Contains(s.answers[i], secret) {
				s.Errorf("%s is not in the answer that tells it", name)
			}
		}
	}
	for i, root := range s.roots() {
		for _, form := range []string{root, string(unhex(s.TB, root)), base64.StdEncoding.EncodeToString(unhex(s.TB, root))} {
			for place, content := range places {
				if !strings.HasSuffix(place, "keyring.json") && strings.Contains(content, form) {
					s.Errorf("root %d is in %s", i, place)
				}
			}
			if strings.Contains(strings.Join(s.answers, ""), form) {
				s.Errorf("root %d is in an answer", i)
			}
		}
	}
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// files are the contents of every file of the house's folder.
func (s *session) files() map[string]string {
	s.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		found[path] = string(content)
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	return found
}

// roots are the root keys of the ring's file, in hexadecimal.
func (s *session) roots() []string {
	s.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "keyring.json"))
	if err != nil {
		s.Fatal(err)
	}
	var file struct {
		Versions []struct{ Root string }
	}
	if err := json.Unmarshal(text, &file); err != nil {
		s.Fatal(err)
	}
	var roots []string
	for _, v := range file.Versions {
		if v.Root != "" {
			roots = append(roots, v.Root)
		}
	}
	if len(roots) == 0 {
		s.Fatal("the ring's file has no root")
	}
	return roots
}

// TestOnlyStoredValuesAreSealed: a value is in the store only where that was
// asked for, only sealed, bound to its own row, and no longer than its key lives.
func TestOnlyStoredValuesAreSealed(t *testing.T) {
	t.Parallel()
	h := open(t)
	n := h.tenant("Tenant")
	sealed := func(k authority.Issued) []byte {
		holder, err := h.store.Key(t.Context(), k.ID)
		if err != nil {
			t.Fatal(err)
		}
		return holder.Key.Newest(h.now()).Sealed
	}
	plain, one, other := n.key(authority.NewKey{}), n.key(authority.NewKey{Retrievable: true}), n.key(authority.NewKey{Retrievable: true})
	if sealed(plain) != nil {
		t.Error("a value is stored that nobody asked to store")
	}
	a, b := sealed(one), sealed(other)
	if a == nil || b == nil || strings.Contains(string(a), one.Secret.Expose()) || string(a) == string(b) {
		t.Error("a value is not stored, or not sealed")
	}
	c := n.with("owner")
	c.do("POST", "/v1/keys/"+keyID(plain)+"/reveal", object{"reason": "x"}).refused(409, latchkey.CodeConflict)
	head := h.head()
	if got := c.do("POST", "/v1/keys/"+keyID(one)+"/reveal", object{"reason": "a good one"}).must(200).text("secret"); got != one.Secret.Expose() {
		t.Error("another value was revealed")
	}
	event := c.do("GET", fmt.Sprintf("/v1/events?after=%d", head), nil).must(200)
	if event.text("data", 0, "type") != "key.revealed" || event.text("data", 0, "changes", "reason") != "a good one" {
		t.Errorf("the value left without its event: %s", event.Text)
	}
	n.revoke(one)
	if sealed(one) != nil {
		t.Error("the value outlives its key")
	}
	c.do("POST", "/v1/keys/"+keyID(one)+"/reveal", object{"reason": "x"}).refused(409, latchkey.CodeConflict)
}

// TestSigningKeysAreSealed: a signing key is in the store only sealed, bound to
// its own row; each secret has one of its own, and none outlives its key.
func TestSigningKeysAreSealed(t *testing.T) {
	t.Parallel()
	h := open(t)
	n := h.tenant("Tenant")
	signing := func(k authority.Issued) (all []latchkey.Signing) {
		holder, err := h.store.Key(t.Context(), k.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range holder.Key.Secrets {
			all = append(all, s.Signing)
		}
		return all
	}
	plain, one, other := n.key(authority.NewKey{}), n.key(authority.NewKey{Signing: authority.NewSigning{Format: latchkey.SigningHex}}), n.key(authority.NewKey{Signing: authority.NewSigning{Format: latchkey.SigningHex}})
	if got := signing(plain)[0]; !plain.SigningKey.Empty() || !reflect.DeepEqual(got, latchkey.Signing{}) {
		t.Errorf("a signing key that nobody asked for: %+v", got)
	}
	a, b := signing(one)[0], signing(other)[0]
	if a.Algorithm != latchkey.HMACSHA256 || a.Format != latchkey.SigningHex || len(a.Sealed) == 0 || string(a.Sealed) == string(b.Sealed) {
		t.Errorf("a signing key is not stored: %+v", a)
	}
	if told := one.SigningKey.Expose(); len(unhex(t, told)) != 32 || told == other.SigningKey.Expose() {
		t.Error("not 32 bytes of its own")
	}
	rotated := n.with("owner").do("POST", "/v1/keys/"+keyID(one)+"/rotate", object{"overlap": "1h"}).must(200)
	both := signing(one)
	if len(both) != 2 || string(both[0].Sealed) != string(a.Sealed) || string(both[1].Sealed) == string(a.Sealed) || rotated.text("signing_key") == one.SigningKey.Expose() {
		t.Errorf("a rotation leaves %+v", both)
	}
	if strings.Contains(n.with("owner").do("POST", "/v1/keys/"+keyID(plain)+"/rotate", nil).must(200).Text, "signing_key") {
		t.Error("a rotation tells a signing key where there is none")
	}
	n.revoke(one)
	for _, s := range signing(one) {
		if s.Sealed != nil {
			t.Error("a signing key outlives its key")
		}
	}
}

// TestVerifySaysNothingOfWhatItDidNotMatch: unknown, out of reach and a wrong
// secret are one answer; a typing error differs from it by its code alone, and
// by nothing if the checksum fits.
func TestVerifySaysNothingOfWhatItDidNotMatch(t *testing.T) {
	t.Parallel()
	h := open(t)
	n, far := h.tenant("Tenant"), h.tenant("Other")
	gateway := n.with("member", "api_key:verify")
	mine := n.key(authority.NewKey{Scopes: []string{"docs:read"}, Addresses: []string{"192.0.2.1"}, Resources: map[string][]string{"plant": {"p"}}, Partner: "partner"})
	dead := n.key(authority.NewKey{})
	n.revoke(dead)
	strict := object{"scopes": []string{"nothing:has"}, "environment": "test", "resource": object{"type": "plant", "id": "q"}, "ip": "198.51.100.7"}
	for _, path := range []string{"/v1/keys/verify", "/v1/keys/batch-verify", "/v1/keys/explain"} {
		ask := func(key string) string {
			body := object{"key": key}
			maps.Copy(body, strict)
			if path == "/v1/keys/batch-verify" {
				body = object{"items": []object{body}}
			}
			return gateway.do("POST", path, body).must(200).bare()
		}
		want := ask(h.noKey())
		if !strings.Contains(want, `"code":"unknown"`) {
			t.Fatalf("%s: %s", path, want)
		}
		same := map[string]string{"another organization's": far.key(authority.NewKey{}).Secret.Expose()}
		if path != "/v1/keys/explain" { // which tells the key's own issuer that the public part is known
			same["a wrong secret"], same["a wrong secret of a dead key"] = swapped(mine.Secret.Expose()), swapped(dead.Secret.Expose())
		}
		for name, key := range same {
			if got := ask(key); got != want {
				t.Errorf("%s tells %s from an unknown key:\n%s\nand\n%s", path, name, got, want)
			}
		}
		if a, b := ask(swapped(far.key(authority.NewKey{}).Secret.Expose())), want; a != b {
			t.Errorf("%s tells a wrong secret of another organization's: %s", path, a)
		}
		if path == "/v1/keys/explain" {
			continue
		}
		for name, key := range map[string]string{"nonsense": "nonsense", "nothing": "", "very long": strings.Repeat("x", 5000), "a typing error": mistyped(mine.Secret.Expose()), "cut off": mine.Secret.Expose()[1:], "with a space": mine.Secret.Expose() + " ", "with a NUL": mine.Secret.Expose() + "\x00"} {
			if got := strings.ReplaceAll(ask(key), `"code":"malformed"`, `"code":"unknown"`); withoutLength(got) != withoutLength(want) {
				t.Errorf("%s tells more of %s:\n%s\nthan\n%s", path, name, got, want)
			}
		}
	}
}

func withoutLength(bare string) string {
	var kept []string
	for line := range strings.SplitSeq(bare, "\n") {
		if !strings.HasPrefix(line, "Content-Length:") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}
