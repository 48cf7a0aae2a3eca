package rest_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/keyring"
)

// versionPath is where a version of the key ring is.
func (h *house) versionPath(number any) string { return fmt.Sprintf("/v1/keyring/versions/%v", number) }

// versions spells the key ring: state and number of secrets of each version.
func (h *house) versions() string {
	h.Helper()
	a := h.as(h.root).do("GET", "/v1/keyring", nil).must(200)
	var all []string
	for i := range a.at("versions").([]any) {
		if a.at("versions", i, "version") != float64(i+1) || len(a.text("versions", i, "fingerprint")) != 32 {
			h.Errorf("version %d: %s", i+1, a.Text)
		}
		all = append(all, fmt.Sprintf("%s %v", a.text("versions", i, "state"), a.at("versions", i, "secrets")))
	}
	return strings.Join(all, ", ")
}

// The whole life of a version: secrets move to the next as they are used, then
// it is retired.
func TestRingVersions(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	want := func(versions string) {
		h.Helper()
		if got := h.versions(); got != versions {
			h.Fatalf("the key ring is %s, want %s", got, versions)
		}
	}
	want("active 1") // the caller's own
	other := root.in(root.do("POST", "/v1/organizations", object{"name": "O"}).must(201).text("id"))
	theirs := madeElsewhere()
	k := root.newKey(object{})
	others := other.newKey(object{})
	root.imports(object{"name": "a", "digest": digestOf(theirs)}).must(201)
	idle, gone := root.newKey(object{}), root.newKey(object{})
	want("active 6")
	root.do("POST", gone.path+"/revoke", nil).must(200)
	want("active 5")

	added := root.do("POST", "/v1/keyring/versions", nil).must(201)
	added.holds(nil, object{"version": 2.0, "state": "pending", "secrets": 0.0})
	want("active 5, pending 0")
	also := root.newKey(object{})
	want("active 6, pending 0")
	root.do("POST", "/v1/keyring/versions/1/retire", nil).refused(409, latchkey.CodeConflict)
	root.do("POST", "/v1/keyring/versions/2/retire", object{"force": true}).refused(409, latchkey.CodeConflict)
	activated := root.do("POST", "/v1/keyring/versions/2/activate", nil).must(200)
	activated.holds(nil, object{"effective": "everywhere", "position": float64(h.head())})
	root.do("GET", "/v1/keyring", nil).must(200) // the caller's own moves when it is used
	h.flush()
	want("retiring 5, active 1")
	fresh := root.newKey(object{})
	want("retiring 5, active 2")
	root.do("POST", "/v1/keyring/versions/1/activate", nil).refused(409, latchkey.CodeConflict)
	root.do("POST", "/v1/keyring/versions/1/retire", nil).refused(409, latchkey.CodeConflict)
	root.do("POST", "/v1/keyring/versions/2/retire", object{"force": true}).refused(409, latchkey.CodeConflict)

	// What was made before is verified, and so moves. What fails to verify does not.
	head := h.head()
	root.verify(wrongSecret(k.secret), nil)
	h.flush()
	want("retiring 5, active 2")
	if got := root.verdicts(k.secret, theirs, fresh.secret) + " " + other.verdicts(others.secret); got != "valid valid valid valid" {
		t.Fatalf("verdicts %s", got)
	}
	h.flush()
	want("retiring 2, active 5")
	if h.head() != head {
		t.Errorf("moving digests made %d events", h.head()-head)
	}
	if got := root.verdicts(k.secret, theirs, fresh.secret) + " " + other.verdicts(others.secret); got != "valid valid valid valid" {
		t.Fatalf("moved, they are %s", got)
	}
	refused := root.do("POST", "/v1/keyring/versions/1/retire", object{"force": false})
	refused.refused(409, latchkey.CodeConflict)
	if !strings.Contains(refused.text("detail"), "2 secrets") {
		t.Errorf("it does not say how many: %s", refused.Text)
	}
	root.do("POST", idle.path+"/revoke", nil).must(200)
	want("retiring 1, active 5")
	root.do("POST", also.path+"/revoke", nil).must(200)
	want("retiring 0, active 5")
	root.do("POST", "/v1/keyring/versions/1/retire", nil).must(200)
	want("retired 0, active 5")
	root.do("POST", "/v1/keyring/versions/1/retire", nil).must(200) // again, to no effect
	root.do("POST", "/v1/keyring/versions/1/activate", nil).refused(409, latchkey.CodeConflict)
	if got := root.verdicts(k.secret, theirs, fresh.secret) + " " + other.verdicts(others.secret); got != "valid valid valid valid" {
		t.Fatalf("after the retirement: %s", got)
	}
	read, err := keyring.Open(filepath.Join(h.dir, "keyring.json"))
	if err != nil || read.Versions()[0].State != keyring.Retired || read.Active() != 2 {
		t.Fatalf("the file: %v %v", read, err)
	}
	for i, kind := range []string{"added", "activated", "retired"} {
		a := root.do("GET", "/v1/events?everywhere=true&type=keyring.version_"+kind, nil).must(200)
		rows := a.at("data").([]any)
		last := rows[len(rows)-1].(map[string]any)
		if last["organization_id"] != nil || fmt.Sprint(last["changes"]) != fmt.Sprintf("map[version:%d]", []int{2, 2, 1}[i]) {
			t.Errorf("%s: %v", kind, last)
		}
	}
}

func TestRingVersionsThatAreNotThere(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	for _, version := range []string{"0", "2", "-1", "x", "99999999999999999999", "1x"} {
		root.do("POST", h.versionPath(version)+"/activate", nil).refused(404, latchkey.CodeNotFound)
		root.do("POST", h.versionPath(version)+"/retire", nil).refused(404, latchkey.CodeNotFound)
	}
	if got := h.versions(); got != "active 1" {
		t.Errorf("the key ring is %s", got)
	}
}

// To retire by force kills what was not used since, and nothing else; what is
// dead is refused as such, and can be given a new secret.
func TestRetirementByForce(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	dead, alive := root.newKey(object{"role": "reader"}), root.newKey(object{})
	lost, kept := madeElsewhere(), madeElsewhere()
	root.imports(object{"name": "lost", "digest": digestOf(lost)}, object{"name": "kept", "digest": digestOf(kept)}).must(201)
	old := h.versionPath(1)
	h.activateNext()
	root.verdicts(alive.secret, kept)
	h.flush()
	root.do("POST", old+"/retire", nil).refused(409, latchkey.CodeConflict)
	root.do("POST", old+"/retire", object{"force": true}).must(200)
	if got := root.verdicts(dead.secret, alive.secret, lost, kept); got != "unknown valid malformed valid" {
		t.Errorf("verdicts %s", got)
	}
	h.as(dead.secret).do("GET", "/v1/keys", nil).refused(401, latchkey.CodeUnauthenticated)
	h.as("").do("POST", "/v1/keys/revoke-self", object{"key": dead.secret}).refused(401, latchkey.CodeUnauthenticated)
	explained := root.do("POST", "/v1/keys/explain", object{"key": dead.secret}).must(200)
	explained.holds([]any{"checks", 2}, object{"name": "digest", "outcome": "failed"})
	root.do("GET", dead.path, nil).must(200).holds(nil, object{"state": "live"})
	second := root.do("POST", dead.path+"/rotate", nil).must(200).text("secret")
	if got := root.verdicts(dead.secret, second); got != "unknown valid" {
		t.Errorf("rotated: %s", got)
	}
	// The foreign key that died can be imported again.
	root.imports(object{"name": "found", "digest": digestOf(lost)}).must(201)
	if got := root.verdicts(lost); got != "valid" {
		t.Errorf("imported again: %s", got)
	}
}

// Sealed values are opened under whichever version they were made, in every
// organization, after it was retired as well.
func TestSealedValuesSurvive(t *testing.T) {
	t.Parallel()
	h := open(t)
	root := h.as(h.root)
	type stored struct {
		as     caller
		path   string
		secret string
	}
	var all []stored
	for _, as := range []caller{root, root.in(root.do("POST", "/v1/organizations", object{"name": "O"}).must(201).text("id"))} {
		project := as.do("POST", "/v1/projects", object{"name": "P", "retrievable": true}).must(201).text("id")
		k := as.newKey(object{"project_id": project, "retrievable": true})
		all = append(all, stored{as, k.path, k.secret})
	}
	for version := 1; version <= 3; version++ {
		h.activateNext()
		for _, s := range all {
			if got := s.as.do("POST", s.path+"/reveal", object{"reason": "test"}).must(200).text("secret"); got != s.secret {
				t.Fatalf("after version %d another value was revealed", version)
			}
			if code := s.as.verify(s.secret, nil); code != "valid" {
				t.Fatalf("after version %d: %s", version, code)
			}
		}
		h.flush()
		root.do("POST", h.versionPath(version)+"/retire", nil).must(200)
	}
	if got := h.versions(); got != "retired 0, retired 0, retired 0, active 3" {
		t.Errorf("the key ring is %s", got)
	}
}
