package voke_test

import (
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
)

const plant = "F47AC10B-58CC-4372-A567-0E02B2C3D479"

// A creation answers with the key as it will be listed, and what is told once.
func TestCreate(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := h.admin()
	end := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	made := c.create(object{
		"scopes": []string{"z:z", "plants:read", "z:z", "amqp:read:*"}, "allowedIps": []string{"203.0.113.5", "10.20.30.7/24"}, "allowedPlantIds": []string{plant},
		"expiresAt": end.In(time.FixedZone("", 7200)).Format(time.RFC3339), "anything": object{"else": 1},
	})
	if got := made.Header.Get("X-Latchkey-Effective"); got != "everywhere" {
		t.Errorf("X-Latchkey-Effective is %q", got)
	}
	if len(made.Body) != 3 {
		t.Errorf("the answer has other members: %s", made.Text)
	}
	parsed, err := latchkey.ParseKeyString(made.text("key"))
	if err != nil || made.text("apiKey", "keyPrefix") != parsed.PublicPart() {
		t.Errorf("%v, keyPrefix %s", err, made.text("apiKey", "keyPrefix"))
	}
	if key, err := hex.DecodeString(made.text("signingKey")); err != nil || len(key) != 32 || strings.ToLower(made.text("signingKey")) != made.text("signingKey") {
		t.Error("signingKey is not 32 bytes in hexadecimal")
	}
	shown := made.at("apiKey").(object)
	id, ours, err := latchkey.ParseUUID(shown["id"].(string))
	if err != nil || !ours || shown["id"] != id.UUID() || shown["vhost"] != "partner-"+id.UUID() || shown["organizationId"] != h.org {
		t.Errorf("identified as %v", shown)
	}
	for member, want := range map[string]string{
		"name": "Forecasts", "partnerId": "acme", "scopes": "[z:z plants:read amqp:read:*]", "allowedIps": "[203.0.113.5/32 10.20.30.7/24]",
		"isActive": "true", "expiresAt": end.Format("2006-01-02T15:04:05.000Z"), "lastUsedAt": "<nil>",
	} {
		if got := fmt.Sprint(shown[member]); got != want {
			t.Errorf("%s is %s, not %s", member, got, want)
		}
	}
	if !isMoment(shown["createdAt"]) || shown["createdAt"] != shown["updatedAt"] {
		t.Errorf("made at %v, changed at %v", shown["createdAt"], shown["updatedAt"])
	}
	if len(shown) != 15 {
		t.Errorf("the key has other members: %v", shown)
	}
	listed := c.do("GET", keysPath, nil).must(http.StatusOK).at("data", 0)
	if fmt.Sprint(listed) != fmt.Sprint(shown) {
		t.Errorf("listed as %v, made as %v", listed, shown)
	}
}

// What is left out, null and empty mean what the document says.
func TestCreateDefaults(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := h.admin()
	for _, none := range []object{{}, {"allowedIps": []string{}}, {"allowedIps": jsonNull{}, "allowedPlantIds": jsonNull{}, "expiresAt": jsonNull{}}} {
		made := c.create(none)
		if made.at("apiKey", "expiresAt") != nil || fmt.Sprint(made.at("apiKey", "allowedIps")) != "[]" {
			t.Errorf("%v: %s", none, made.Text)
		}
		if v := h.verify(made.text("key"), object{"resource": object{"type": "plant", "id": plant}, "ip": "192.0.2.1"}); v.at("valid") != true {
			t.Errorf("%v: restricted: %s", none, v.Text)
		}
	}
	made := c.create(object{"allowedPlantIds": []string{}})
	if v := h.verify(made.text("key"), object{"resource": object{"type": "plant", "id": plant}}); v.at("code") != "resource_not_allowed" {
		t.Errorf("an empty list of plants: %s", v.Text)
	}
}

// jsonNull is sent as null.
type jsonNull struct{}

func (jsonNull) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// What the key is granted and how it is restricted holds natively.
func TestKeysVerify(t *testing.T) {
	t.Parallel()
	h := open(t)
	made := h.admin().create(object{"allowedIps": []string{"203.0.113.5"}, "allowedPlantIds": []string{plant}})
	good := object{"scopes": []string{"plants:read"}, "ip": "203.0.113.5", "resource": object{"type": "plant", "id": strings.ToLower(plant)}}
	v := h.verify(made.text("key"), good)
	if v.at("valid") != true || v.at("partner") != "acme" || fmt.Sprint(v.at("permissions")) != "[plants:read telemetry:read]" || v.at("environment") != "live" {
		t.Errorf("a good key: %s", v.Text)
	}
	if got := fmt.Sprint(v.at("resources")); got != fmt.Sprintf("map[plant:[%s]]", strings.ToLower(plant)) {
		t.Errorf("its plants are %s", got)
	}
	for code, change := range map[string]object{
		"insufficient_scope":   {"scopes": []string{"plants:write"}},
		"ip_not_allowed":       {"ip": "203.0.113.6"},
		"resource_not_allowed": {"resource": object{"type": "plant", "id": "11111111-58cc-4372-a567-0e02b2c3d479"}},
	} {
		ask := object{}
		for _, o := range []object{good, change} {
			maps.Copy(ask, o)
		}
		if v := h.verify(made.text("key"), ask); v.at("code") != code {
			t.Errorf("not %s: %s", code, v.Text)
		}
	}
	if v := h.verify(made.text("key"), object{"ip": "203.0.113.5"}); v.at("valid") != true {
		t.Errorf("a verification that names no plant: %s", v.Text)
	}
	h.admin().do("DELETE", keysPath+"/"+made.text("apiKey", "id"), nil).must(http.StatusOK)
	if v := h.verify(made.text("key"), good); v.at("code") != "revoked" {
		t.Errorf("a revoked key: %s", v.Text)
	}
}

// Every field at its bounds and beyond them, of another type, and missing.
func TestCreateBounds(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := h.admin()
	long := strings.Repeat("ü", 100)
	var many, tooMany []string
	for i := range 257 {
		many, tooMany = tooMany, append(tooMany, fmt.Sprint("s", i))
	}
	future := time.Now().Add(time.Hour).UTC()
	for field, values := range map[string]struct{ good, bad []any }{
		"name":      {[]any{"x", " ", long, "🔑", "a\u00ad"}, []any{"", long + "x", 1, true, object{}, []string{"x"}, jsonNull{}, "a\nb", "a\x00b"}},
		"partnerId": {[]any{"x", " ", long, "42", "acme/eu"}, []any{"", long + "x", 1.5, false, object{}, []string{}, jsonNull{}, "\t", "\x00"}},
		"scopes": {
			[]any{[]string{"x"}, []string{"vcp:write:device-command"}, []string{strings.Repeat("s", 128)}, []string{"!", "~"}, many, []string{"a:b", "a:b"}},
			[]any{[]string{}, []string{""}, []string{"a b"}, []string{"é"}, []string{strings.Repeat("s", 129)}, tooMany, "x", 1, object{"0": "x"}, []any{1}, []any{"x", nil}, []any{[]string{"x"}}, jsonNull{}},
		},
		"allowedIps": {
			[]any{[]string{"0.0.0.0/0"}, []string{"::/0"}, []string{"192.0.2.1", "2001:db8::/32"}, []string{"10.1.2.3/8"}, []string{"::ffff:192.0.2.1"}},
			[]any{[]string{"10.0.0.0/33"}, []string{"10.0.0"}, []string{""}, []string{"010.0.0.1"}, []string{"fe80::1%eth0"}, []string{"192.0.2.1:80"}, []string{" 192.0.2.1"}, []string{"x"}, "192.0.2.1", 1, object{}, []any{1}, []any{nil}},
		},
		"allowedPlantIds": {
			[]any{[]string{plant}, []string{noUUID}, []string{plant, strings.ToLower(plant)}},
			[]any{[]string{"x"}, []string{""}, []string{"{" + plant + "}"}, []string{strings.ReplaceAll(plant, "-", "")}, []string{plant + "0"}, plant, 1, object{}, []any{1}, []any{nil}, true},
		},
		"expiresAt": {
			[]any{future.Format(time.RFC3339), future.Format(time.RFC3339Nano), future.In(time.FixedZone("", -3600)).Format(time.RFC3339), "9999-12-31T23:59:59.999Z"},
			[]any{"2019-08-24T14:15:22Z", "", "tomorrow", "2030-01-01", "2030-01-01T00:00:00", "2030-02-30T00:00:00Z", "10000-01-01T00:00:00Z", 1893456000, true, object{}, []string{}},
		},
	} {
		for _, v := range values.good {
			if got := c.do("POST", keysPath, valid(object{field: v})); got.Status != http.StatusCreated {
				t.Errorf("%s %.60q: %d %s", field, v, got.Status, got.Text)
			}
		}
		for _, v := range values.bad {
			details := c.do("POST", keysPath, valid(object{field: v})).refused(http.StatusBadRequest, "VALIDATION_ERROR")
			if told, _ := details[field].([]any); len(details) != 1 || len(told) == 0 {
				t.Errorf("%s %.60q: details %v", field, v, details)
			}
		}
	}
	for _, field := range []string{"name", "partnerId", "scopes"} {
		details := c.do("POST", keysPath, valid(object{field: nil})).refused(http.StatusBadRequest, "VALIDATION_ERROR")
		if fmt.Sprint(details) != "map["+field+":[is required]]" {
			t.Errorf("without %s: details %v", field, details)
		}
	}
}

// Everything that is wrong is told at once, and none of it repeats a value.
func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	c := open(t).admin()
	got := c.do("POST", keysPath, object{
		"name": 12345, "scopes": []any{"bad scope", 67890, "ok:ok"}, "allowedIps": []string{"canary"}, "allowedPlantIds": []any{"canary", "canary"}, "expiresAt": "canary",
	})
	details := got.refused(http.StatusBadRequest, "VALIDATION_ERROR")
	if len(details) != 6 || len(details["allowedPlantIds"].([]any)) != 2 {
		t.Errorf("details %v", details)
	}
	for _, value := range []string{"canary", "12345", "67890", "bad scope"} {
		if strings.Contains(got.Text, value) {
			t.Errorf("a refusal repeats %q: %s", value, got.Text)
		}
	}
	got = c.do("POST", keysPath, valid(object{"allowedPlantIds": make([]int, 20_000), "scopes": make([]int, 10_000)}))
	if got.refused(http.StatusBadRequest, "VALIDATION_ERROR"); len(got.Text) > 4096 {
		t.Errorf("%d bytes of details", len(got.Text))
	}
	details = c.do("POST", keysPath, object{}).refused(http.StatusBadRequest, "VALIDATION_ERROR")
	if len(details) != 3 {
		t.Errorf("of an empty object: details %v", details)
	}
}

// What is told once is in no later answer, not in the log, and nowhere in the
// folder.
func TestSecretsAreToldOnce(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := h.admin()
	made := c.create(object{"name": "canary"})
	raw, err := hex.DecodeString(made.text("signingKey"))
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{made.text("key")[len(made.text("apiKey", "keyPrefix")):], made.text("signingKey"), string(raw)}
	id := made.text("apiKey", "id")
	native, _, _ := latchkey.ParseUUID(id)
	h.verify(made.text("key"), nil)
	told := []string{
		c.do("GET", keysPath, nil).must(http.StatusOK).Text,
		c.do("GET", "/v1/keys/"+native.Native(latchkey.KindKey), nil).must(http.StatusOK).Text,
		c.do("GET", "/v1/events?limit=100", nil).must(http.StatusOK).Text,
		c.do("DELETE", keysPath+"/"+id, nil).must(http.StatusOK).Text,
		c.do("DELETE", keysPath+"/"+made.text("key"), nil).must(http.StatusBadRequest).Text,
		c.do("GET", keysPath+"?page="+made.text("signingKey"), nil).must(http.StatusBadRequest).Text,
		h.Authority.Log(),
	}
	answers := len(told)
	err = filepath.WalkDir(h.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		told = append(told, string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(told) == answers || !strings.Contains(strings.Join(told, ""), "canary") {
		t.Fatal("not even what should be there was looked at")
	}
	for _, secret := range secrets {
		for i, text := range told {
			if strings.Contains(text, secret) {
				t.Errorf("a secret is told again, at place %d", i)
			}
		}
	}
}

// A native rotation gives the key another signing key, as it does another secret.
func TestSigningKeyRotates(t *testing.T) {
	t.Parallel()
	c := open(t).admin()
	made := c.create()
	id, _, _ := latchkey.ParseUUID(made.text("apiKey", "id"))
	rotated := c.do("POST", "/v1/keys/"+id.Native(latchkey.KindKey)+"/rotate", object{}).must(http.StatusOK)
	if next := rotated.text("signing_key"); !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(next) || next == made.text("signingKey") {
		t.Error("no other signing key of that form")
	}
	listed := c.do("GET", keysPath, nil).must(http.StatusOK)
	if len(listed.ids()) != 1 || listed.text("data", 0, "keyPrefix") == made.text("apiKey", "keyPrefix") {
		t.Errorf("after the rotation: %s", listed.Text)
	}
}
