package rest_test

import (
	"bytes"
	"crypto/rand"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/store"
)

// fresh is an Idempotency-Key of its own.
func fresh() string { return rand.Text() }

// again makes calls that are all the same to the authority.
func (c caller) again(header string) caller { return c.with("Idempotency-Key", header) }

func TestIdempotencyKeyForms(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	routes := h.takes("Idempotency-Key")
	if len(routes) != 10 {
		t.Fatalf("%d operations take an Idempotency-Key", len(routes))
	}
	for _, r := range routes {
		path, body := r.to("key_0d5qh0w2e9x8v3k7m1ac"), h.bodyOf(r)
		for form, rule := range map[string]string{
			"": "length", "x": "length", strings.Repeat("x", 15): "length", strings.Repeat("x", 256): "length", strings.Repeat("x", 5000): "length",
			strings.Repeat("é", 16): "format", strings.Repeat("x", 16) + "\x80": "format", "0123456789\t01234567": "format",
		} {
			root.again(form).do(r.method, path, body).breaks(422, latchkey.CodeInvalid, "header:Idempotency-Key", rule)
		}
		root.again(fresh()).again(fresh()).do(r.method, path, body).breaks(422, latchkey.CodeInvalid, "header:Idempotency-Key", "duplicate")
	}
	for _, good := range []string{strings.Repeat("x", 16), strings.Repeat("y", 255), "with spaces, and ~ punctuation!"} {
		root.again(good).do("POST", "/v1/keys", object{"name": "a"}).must(201)
	}
}

// A call that is repeated gets what it got, and nothing is made twice.
func TestRepeatedCallGetsTheSameAnswer(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	existing := root.do("POST", "/v1/keys", object{"name": "Rotated"}).must(201).text("key", "id")
	for _, r := range h.takes("Idempotency-Key") {
		h.run(r.OperationID, func() {
			as, path, body := root.again(fresh()), r.to(existing), h.bodyOf(r)
			first := as.do(r.method, path, body)
			if first.Status >= 300 {
				h.Fatalf("%d %s", first.Status, first.Text)
			}
			head := h.head()
			for range 3 {
				repeated := as.do(r.method, path, body).must(first.Status)
				if !reflect.DeepEqual(first.JSON, repeated.JSON) {
					h.Errorf("first\n%s\nthen\n%s", first.Text, repeated.Text)
				}
				for _, name := range []string{"ETag", "Location"} {
					if first.Header.Get(name) != repeated.Header.Get(name) {
						h.Errorf("%s %q, then %q", name, first.Header.Get(name), repeated.Header.Get(name))
					}
				}
			}
			if now := h.head(); now != head {
				h.Errorf("a repeated call made %d events", now-head)
			}
			if secret := first.text("secret"); secret != "" && root.verify(secret, nil) != "valid" {
				h.Errorf("the secret that was told is %s", root.verify(secret, nil))
			}
			other := object{"name": "Another", "overlap": "2h"}
			switch r.OperationID {
			case "rotateKey":
				delete(other, "name")
			case "batchCreateKeys":
				other = object{"items": []object{{"name": "Another"}}}
			case "importKeys":
				other = object{"scheme": "sha256", "items": []object{{"name": "Another", "digest": strings.Repeat("cd", 32)}}}
			case "createRole":
				other = object{"name": "Another", "identifier": "another"}
			case "createIssuer":
				other = issuerBody("Another")
			case "createGateway":
				other = gatewayBody("Another")
			case "createUser":
				other = object{"name": "Another", "kind": "service"}
			default:
				delete(other, "overlap")
			}
			as.do(r.method, path, other).refused(422, latchkey.CodeIdempotencyMismatch)
			if now := h.head(); now != head {
				h.Errorf("another body made %d events", now-head)
			}
		})
	}
}

// The header is one caller's, for one operation on one object in one organization.
func TestIdempotencyKeyIsOfOneCallAlone(t *testing.T) {
	t.Parallel()
	h := open(t)
	root, header, body := h.as(h.root), fresh(), object{"name": "Same"}
	other := h.as(root.do("POST", "/v1/keys", object{"name": "Another caller", "role": "owner", "reach": "organization"}).must(201).text("secret"))
	organization := root.do("POST", "/v1/organizations", object{"name": "Another"}).must(201).text("id")
	made := map[string]bool{}
	secrets := map[string]bool{}
	for range 2 {
		for _, as := range []caller{root, other, h.operatorSocket(), root.in(organization), other.in(organization), h.operatorSocket().in(organization)} {
			a := as.again(header).do("POST", "/v1/keys", body).must(201)
			made[a.text("key", "id")], secrets[a.text("secret")] = true, true
		}
	}
	if len(made) != 6 || len(secrets) != 6 {
		t.Fatalf("six calls made %d keys with %d secrets", len(made), len(secrets))
	}
	for id := range made {
		for range 2 { // the same header again, on each key: its own operation
			as := root
			if root.do("GET", "/v1/keys/"+id, nil).Status == 404 {
				as = root.in(organization)
			}
			a := as.again(header).do("POST", "/v1/keys/"+id+"/rotate", nil).must(200)
			secrets[a.text("secret")] = true
		}
	}
	root.again(header).do("POST", "/v1/projects", body).must(201)
	if len(secrets) != 12 {
		t.Fatalf("%d secrets", len(secrets))
	}
}

// The secret can be told again for a quarter of an hour, the object for a day.
func TestRepetitionEnds(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	existing := root.do("POST", "/v1/keys", object{"name": "Rotated"}).must(201).text("key", "id")
	type call struct {
		as        caller
		operation string
		path      string
		first     answer
		object    string // that the refusal names; "" where there is no secret
	}
	var calls []call
	for _, r := range h.takes("Idempotency-Key") {
		c := call{as: root.again(fresh()), operation: r.OperationID, path: r.to(existing)}
		c.first = c.as.do(r.method, c.path, h.bodyOf(r))
		switch r.OperationID {
		case "createKey", "rotateKey":
			c.object = c.first.text("key", "id")
		case "createGateway":
			c.object = c.first.text("gateway", "id")
		case "batchCreateKeys":
			c.object = c.first.text("results", 0, "key", "id")
		}
		calls = append(calls, c)
	}
	repeat := func(c call) answer { return c.as.do("POST", c.path, bodies[c.operation]) }
	h.advance(authority.SecretLife - time.Minute)
	for _, c := range calls {
		if a := repeat(c).must(c.first.Status); !reflect.DeepEqual(a.JSON, c.first.JSON) {
			t.Errorf("%s: first\n%s\nthen\n%s", c.operation, c.first.Text, a.Text)
		}
	}
	h.advance(time.Minute)
	for swept := range 2 {
		for _, c := range calls {
			a := repeat(c)
			if c.object == "" {
				if a.must(c.first.Status); !reflect.DeepEqual(a.JSON, c.first.JSON) {
					t.Errorf("%s: first\n%s\nthen\n%s", c.operation, c.first.Text, a.Text)
				}
				continue
			}
			a.refused(409, latchkey.CodeIdempotentSecretExpired)
			if a.text("object") != c.object || a.at("secret") != nil || a.at("results") != nil {
				t.Errorf("%s, swept %d: %s", c.operation, swept, a.Text)
			}
		}
		if err := h.store.Sweep(t.Context(), store.Old{Sealed: h.now().Add(-authority.SecretLife), Calls: h.now().Add(-authority.RecordLife)}); err != nil {
			t.Fatal(err)
		}
	}
	h.advance(authority.RecordLife - authority.SecretLife)
	for _, c := range calls {
		switch c.operation {
		case "createKey":
			a := repeat(c).must(201)
			if a.text("key", "id") == c.object || a.text("secret") == c.first.text("secret") {
				t.Errorf("a day later: %s", a.Text)
			}
			if b := repeat(c).must(201); b.text("secret") != a.text("secret") {
				t.Errorf("the new call is not remembered: %s, then %s", a.Text, b.Text)
			}
		case "importKeys":
			repeat(c).breaks(409, latchkey.CodeConflict, "/items/0/digest", "taken")
		}
	}
}

// However many repetitions come at once, one key is made, with one secret.
func TestRepetitionsAtOnce(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	as := root.again(fresh())
	answers := make([]answer, 200)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = as.do("POST", "/v1/keys", object{"name": "Once"}) })
	}
	wg.Wait()
	ids, secrets := map[string]int{}, map[string]int{}
	for _, a := range answers {
		a.must(201)
		ids[a.text("key", "id")]++
		secrets[a.text("secret")]++
	}
	if len(ids) != 1 || len(secrets) != 1 {
		t.Fatalf("%d keys with %d secrets", len(ids), len(secrets))
	}
	if found := root.do("GET", "/v1/keys?search=Once", nil).must(200).at("data").([]any); len(found) != 1 {
		t.Fatalf("%d keys are listed", len(found))
	}
	for id := range ids {
		if events := root.do("GET", "/v1/events?object="+id, nil).must(200).at("data").([]any); len(events) != 1 {
			t.Fatalf("%d events", len(events))
		}
		rotated := map[string]int{}
		turn := root.again(fresh())
		for i := range answers {
			wg.Go(func() { answers[i] = turn.do("POST", "/v1/keys/"+id+"/rotate", nil) })
		}
		wg.Wait()
		for _, a := range answers {
			rotated[a.must(200).text("secret")]++
		}
		if events := root.do("GET", "/v1/events?type=key.rotated", nil).must(200).at("data").([]any); len(events) != 1 || len(rotated) != 1 {
			t.Fatalf("%d rotations with %d secrets", len(events), len(rotated))
		}
	}
}

func TestRefusalsAreNotRemembered(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	as := root.again(fresh())
	as.do("POST", "/v1/keys", object{"name": ""}).refused(422, latchkey.CodeInvalid)
	as.do("POST", "/v1/keys", object{"name": "a", "owner_id": "usr_0d5qh0w2e9x8v3k7m1ac"}).refused(422, latchkey.CodeInvalid)
	as.do("POST", "/v1/keys", `{"name":`).refused(400, latchkey.CodeMalformedBody)
	first := as.do("POST", "/v1/keys", object{"name": "a"}).must(201)

	id := first.text("key", "id")
	turn := root.again(fresh())
	running := root.do("POST", "/v1/keys/"+id+"/rotate", nil).must(200)
	turn.do("POST", "/v1/keys/"+id+"/rotate", object{"overlap": "1h"}).refused(409, latchkey.CodeRotationInProgress)
	root.do("POST", "/v1/keys/"+id+"/rotation/complete", nil).must(200)
	if a := turn.do("POST", "/v1/keys/"+id+"/rotate", object{"overlap": "0s"}).must(200); a.text("secret") == running.text("secret") {
		t.Error("the refused rotation was remembered")
	}
	project := root.again(fresh())
	root.do("POST", "/v1/projects", object{"name": "Taken"}).must(201)
	project.do("POST", "/v1/projects", object{"name": "Taken"}).refused(409, latchkey.CodeConflict, "/name")
	project.do("POST", "/v1/projects", object{"name": "Free"}).must(201)
}

// Whoever lost the right to make a thing is not told its secret again.
func TestRepetitionIsAuthorizedAnew(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	made := root.do("POST", "/v1/keys", object{"name": "Caller", "role": "admin"}).must(201)
	path := "/v1/keys/" + made.text("key", "id")
	as := h.as(made.text("secret")).again(fresh())
	call := func() answer { return as.do("POST", "/v1/keys", object{"name": "Repeated", "role": "manager"}) }
	first := call().must(201)
	rotation := h.as(made.text("secret")).again(fresh())
	rotate := func() answer {
		return rotation.do("POST", "/v1/keys/"+first.text("key", "id")+"/rotate", nil)
	}
	rotate().must(200)
	root.do("POST", "/v1/roles", object{"identifier": "weak", "name": "Weak", "permissions": []string{"api_key:create", "api_key:update"}}).must(201)
	root.do("PATCH", path, object{"role": "weak"}).must(200)
	call().refused(403, latchkey.CodeCeiling)
	rotate().refused(403, latchkey.CodeCeiling)
	root.do("PATCH", path, object{"role": "reader"}).must(200)
	call().refused(403, latchkey.CodeForbidden)
	rotate().refused(403, latchkey.CodeForbidden)
	root.do("PATCH", path, object{"role": "admin"}).must(200)
	if a := call().must(201); a.text("secret") != first.text("secret") {
		t.Error("the right came back, the answer did not")
	}
	root.do("POST", path+"/revoke", nil).must(200)
	call().refused(401, latchkey.CodeUnauthenticated)
}

// What was remembered under one version of the key ring is found under the next.
func TestRepetitionAcrossARingVersion(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	as := root.again(fresh())
	first := as.do("POST", "/v1/keys", object{"name": "Before"}).must(201)
	imports := root.again(fresh())
	imported := imports.do("POST", "/v1/keys/import", bodies["importKeys"]).must(201)
	for version := range 3 {
		h.activateNext()
		if a := as.do("POST", "/v1/keys", object{"name": "Before"}).must(201); !reflect.DeepEqual(a.JSON, first.JSON) {
			t.Fatalf("after %d activations\n%s\nnot\n%s", version+1, a.Text, first.Text)
		}
		if a := imports.do("POST", "/v1/keys/import", bodies["importKeys"]).must(201); !reflect.DeepEqual(a.JSON, imported.JSON) {
			t.Fatalf("after %d activations\n%s\nnot\n%s", version+1, a.Text, imported.Text)
		}
		as.do("POST", "/v1/keys", object{"name": "Other"}).refused(422, latchkey.CodeIdempotencyMismatch)
	}
}

// activateNext adds a version to the key ring and activates it.
func (h *house) activateNext() {
	h.Helper()
	version := h.versionPath(h.as(h.root).do("POST", "/v1/keyring/versions", nil).must(201).at("version"))
	h.as(h.root).do("POST", version+"/activate", nil).must(200)
}

// The database and the key ring together open no remembered secret: it takes
// the header, which is nowhere.
func TestRememberedSecretsNeedTheHeader(t *testing.T) {
	t.Parallel()
	h := open(t)
	root, header := h.as(h.root), "an Idempotency-Key "+fresh()
	first := root.again(header).do("POST", "/v1/keys", object{"name": "Remembered"}).must(201)
	h.activateNext()
	me := root.do("GET", "/v1/events?object="+first.text("key", "id"), nil).must(200).text("data", 0, "actor", "key_id")
	id, err := latchkey.ParseNative(latchkey.KindKey, me)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := h.ring.IdempotencyTag(1, []byte(header))
	if err != nil {
		t.Fatal(err)
	}
	name := store.RecordKey{Caller: id, Organization: h.operator.Operator, Route: "POST /v1/keys", Tag: tag}
	var record *store.Record
	_, err = h.store.Submit(t.Context(), store.Change{Reads: store.Reads{Records: []store.RecordKey{name}}, Apply: func(view *store.View) (store.Outcome, error) {
		record = view.Records[name]
		return store.Outcome{}, nil
	}})
	if err != nil || record == nil {
		t.Fatalf("the record is not there: %v", err)
	}
	sealed := record.Sealed[1:] // behind the ring's version
	if opened, err := h.ring.OpenUnder(1, []byte(header), record.Bound(), sealed); err != nil || !strings.Contains(opened.Expose(), first.text("secret")) {
		t.Fatalf("the header does not open it: %v", err)
	}
	for _, version := range h.ring.Versions() {
		for _, guess := range [][]byte{
			record.Tag[:], record.BodyHash[:], record.Bound(), record.Sealed, []byte(record.Route), record.Objects[0][:], make([]byte, 16), make([]byte, 32),
			[]byte(h.ring.Fingerprint()), []byte(version.Fingerprint), []byte(header[:len(header)-1]), []byte(strings.ToUpper(header)),
		} {
			if _, err := h.ring.OpenUnder(version.Number, guess, record.Bound(), sealed); err == nil {
				t.Errorf("version %d and %q open it", version.Number, guess)
			}
		}
		if version.Number != 1 {
			if _, err := h.ring.OpenUnder(version.Number, []byte(header), record.Bound(), sealed); err == nil {
				t.Errorf("version %d opens it", version.Number)
			}
		}
	}
	h.findsNowhere(header, first.text("secret"))
}

// findsNowhere looks for texts in the log and in every file of the data folder.
func (h *house) findsNowhere(texts ...string) {
	h.Helper()
	looked := 0
	err := filepath.WalkDir(h.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		looked += len(content)
		for _, text := range texts {
			if bytes.Contains(content, []byte(text)) {
				h.Errorf("it is in %s", path)
			}
		}
		return err
	})
	if err != nil || looked < 10_000 {
		h.Fatalf("%d bytes were looked at: %v", looked, err)
	}
	for _, text := range texts {
		if strings.Contains(h.log.String(), text) {
			h.Error("it is in the log")
		}
	}
}
