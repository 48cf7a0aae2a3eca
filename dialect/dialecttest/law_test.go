package dialecttest_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/dialect/dialecttest"
)

// A key made through any of the APIs is a key natively, and what it is granted
// and how it is restricted holds there.
func TestKeysOfEveryDialectVerify(t *testing.T) {
	t.Parallel()
	w := openWorld(t)
	const plant, otherPlant = "f47ac10b-58cc-4372-a567-0e02b2c3d479", "11111111-58cc-4372-a567-0e02b2c3d479"
	good := object{"ip": "192.0.2.7"}
	laws := map[string]struct {
		restrict object // members of a creation, besides
		good     object // a verification that passes, besides
		told     object // members of its verdict
		refused  map[string]object
	}{
		"voke": {
			restrict: object{"allowedIps": []string{"192.0.2.0/24"}, "allowedPlantIds": []string{strings.ToUpper(plant)}},
			good:     object{"scopes": []string{"plants:read"}, "resource": object{"type": "plant", "id": plant}},
			told:     object{"partner": "acme", "role": nil, "owner_id": nil},
			refused: map[string]object{
				"ip_not_allowed": {"ip": "198.51.100.1"}, "insufficient_scope": {"scopes": []string{"plants:write"}}, "resource_not_allowed": {"resource": object{"type": "plant", "id": otherPlant}},
			},
		},
		"vertesia": {
			good: object{"scopes": []string{"interaction:read", "api_key:create"}}, told: object{"role": "developer", "partner": nil, "owner_id": nil},
			refused: map[string]object{"insufficient_scope": {"scopes": []string{"account:billing"}}},
		},
		"company": {
			restrict: object{"whitelistedIPs": []string{"192.0.2.7"}},
			good:     object{"scopes": []string{"interaction:read"}}, told: object{"role": nil, "partner": nil, "owner_id": w.owner},
			refused: map[string]object{"ip_not_allowed": {"ip": "192.0.2.8"}, "insufficient_scope": {"scopes": []string{"account:billing"}}},
		},
		"cycle": {
			restrict: object{"ips": []string{"192.0.2.0/28"}},
			good:     object{"scopes": []string{"interaction:read"}}, told: object{"role": "developer", "partner": nil, "owner_id": nil},
			refused: map[string]object{"ip_not_allowed": {"ip": "192.0.2.16"}, "insufficient_scope": {"scopes": []string{"account:billing"}}},
		},
		"native": {good: object{"scopes": []string{}}},
	}
	for _, s := range speakers() {
		law, known := laws[s.name]
		if !known {
			t.Errorf("%s has no law", s.name)
		}
		value, spelled := w.make(s, law.restrict)
		verify := func(change object) (code string, verdict object) {
			ask := object{"key": value}
			for _, more := range []object{good, law.good, change} {
				maps.Copy(ask, more)
			}
			a := w.Native(http.MethodPost, "/v1/keys/verify", ask)
			return a.String("code"), a.At().(object)
		}
		code, verdict := verify(nil)
		if code != "valid" || verdict["key_id"] != nativeID(s.parse(t, spelled)) {
			t.Errorf("%s: a good verification: %v", s.name, verdict)
		}
		for member, want := range law.told {
			if verdict[member] != want {
				t.Errorf("%s: %s is %v, not %v", s.name, member, verdict[member], want)
			}
		}
		for want, change := range law.refused {
			if code, verdict := verify(change); code != want {
				t.Errorf("%s: not %s: %v", s.name, want, verdict)
			}
		}
	}
}

// A key that each API shows, once revoked through any of them, is refused by all
// of them and by verify from that answer on.
func TestRevokedInOneIsDeadInAll(t *testing.T) {
	t.Parallel()
	w := openWorld(t)
	for _, by := range speakers() {
		value, id := w.everyone()
		for _, s := range speakers() {
			w.ask(s, value, http.MethodGet, s.path, nil).Must(http.StatusOK)
			if !slices.Contains(s.ids(w.list(s)), s.spell(id)) {
				t.Errorf("%s does not show a key that has an owner, a role and a partner", s.name)
			}
		}
		w.revoke(by, by.spell(id))
		if got := w.Verdict(value); got != "revoked" {
			t.Errorf("revoked by %s it is %s", by.name, got)
		}
		for _, s := range speakers() {
			if a := w.ask(s, value, http.MethodGet, s.path, nil); a.Status != http.StatusUnauthorized && a.Status != http.StatusTooManyRequests {
				t.Errorf("revoked by %s it is good for %s: %d", by.name, s.name, a.Status)
			}
		}
		for _, name := range []string{"vertesia", "company", "cycle"} {
			s := speakers()[slices.IndexFunc(speakers(), func(s speaker) bool { return s.name == name })]
			if slices.Contains(s.ids(w.list(s)), s.spell(id)) {
				t.Errorf("revoked by %s it is still in the list of %s", by.name, name)
			}
		}
	}
}

// A key made through any API and revoked natively, or through that API, is
// refused by all.
func TestMadeInOneRevokedInAnother(t *testing.T) {
	t.Parallel()
	w := openWorld(t)
	for _, maker := range speakers() {
		for _, by := range []speaker{maker, speakers()[0]} {
			value, spelled := w.make(maker, nil)
			if a := w.ask(maker, value, http.MethodGet, maker.path, nil); a.Status == http.StatusUnauthorized {
				t.Errorf("a key of %s is no credential: %s", maker.name, a.Text)
			}
			w.revoke(by, by.spell(maker.parse(t, spelled)))
			if got := w.Verdict(value); got != "revoked" {
				t.Errorf("made by %s, revoked by %s, it is %s", maker.name, by.name, got)
			}
			if a := w.ask(maker, value, http.MethodGet, maker.path, nil); a.Status != http.StatusUnauthorized {
				t.Errorf("made by %s, revoked by %s, it is answered with %d", maker.name, by.name, a.Status)
			}
		}
	}
}

// What a creation tells is told by no other answer of any API.
func TestSecretsAreToldOnce(t *testing.T) {
	t.Parallel()
	w := openWorld(t)
	for _, maker := range speakers() {
		value, spelled := w.make(maker, nil)
		id := maker.parse(t, spelled)
		var told []string
		for _, s := range speakers() {
			told = append(told, w.list(s).Text)
			if s.single {
				told = append(told, w.ask(s, w.AdminKey, http.MethodGet, s.path+"/"+s.spell(id), nil).Text)
			}
			told = append(told, w.ask(s, w.AdminKey, http.MethodDelete, s.path+"/"+value, nil).Text)
		}
		told = append(told, w.Native(http.MethodGet, "/v1/events?limit=100", nil).Text, w.Authority.Log())
		for i, text := range told {
			if strings.Contains(text, hidden(t, value)) {
				t.Errorf("a key of %s is told again, at place %d", maker.name, i)
			}
		}
		if !strings.Contains(strings.Join(told, ""), spelled) {
			t.Error("the key is nowhere at all")
		}
	}
}

// To each API a key of another organization, one of a sort that it does not show,
// and one that never was are the same.
func TestUnknownAndForeignAreOne(t *testing.T) {
	t.Parallel()
	w := openWorld(t)
	tenant := w.Native(http.MethodPost, "/v1/organizations", object{"name": "Tenant"}).String("id")
	native := speakers()[0]
	theirs := w.Send(requestIn(t, w, tenant, object{"name": "theirs", "role": "owner", "partner": "acme", "reach": "organization"})).Must(http.StatusCreated)
	foreign := native.parse(t, theirs.String("key", "id"))
	_, plain := w.Key(object{"name": "of no sort"})
	unknown, err := latchkey.ParseHex("65abcdef0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range speakers() {
		methods := []string{http.MethodDelete}
		if s.single {
			methods = append(methods, http.MethodGet)
		}
		ids := map[string]latchkey.ID{"another organization's": foreign}
		if s.kinds != "" {
			ids["of a sort that it does not show"] = native.parse(t, plain)
		}
		for _, method := range methods {
			answer := func(id latchkey.ID) string {
				a := w.ask(s, w.AdminKey, method, s.path+"/"+s.spell(id), nil)
				text := a.Text
				if request := a.Header.Get("X-Request-Id"); request != "" {
					text = strings.ReplaceAll(text, request, "…")
				}
				return fmt.Sprint(a.Status, strings.ReplaceAll(text, s.spell(id), "…"))
			}
			want := answer(unknown)
			if !strings.HasPrefix(want, "404") {
				t.Errorf("%s %s: an unknown key is %s", s.name, method, want)
			}
			for what, id := range ids {
				if got := answer(id); got != want {
					t.Errorf("%s %s: a key %s is %s, an unknown one %s", s.name, method, what, got, want)
				}
			}
		}
		if slices.Contains(s.ids(w.list(s)), s.spell(foreign)) {
			t.Errorf("%s lists another organization's key", s.name)
		}
	}
	w.ask(native, theirs.String("secret"), http.MethodGet, native.path, nil).Must(http.StatusOK) // it was not touched
}

// A token that stands for a key is as good as the key to each of the APIs, beside
// it as well, and dies with it.
func TestTokensAreCredentials(t *testing.T) {
	t.Parallel()
	w := openWorld(t)
	value, id := w.everyone()
	token := w.Send(dialecttest.Request{Method: http.MethodPost, Path: "/token/issue", Header: []string{"Authorization: Bearer " + value}}).Must(http.StatusOK).String("token")
	for _, s := range speakers() {
		w.ask(s, token, http.MethodGet, s.path, nil).Must(http.StatusOK)
	}
	voke := speakerOf("voke")
	w.Send(dialecttest.Request{Method: http.MethodGet, Path: voke.path, Header: []string{"Authorization: Bearer " + token, "X-API-Key: " + value}}).Must(http.StatusOK)
	w.revoke(voke, voke.spell(id))
	for _, s := range speakers() {
		if a := w.ask(s, token, http.MethodGet, s.path, nil); a.Status != http.StatusUnauthorized {
			t.Errorf("%s takes the token of a revoked key: %d", s.name, a.Status)
		}
	}
}

// requestIn is the creation of a key in another organization, by the operator.
func requestIn(t *testing.T, w *world, organization string, key object) dialecttest.Request {
	t.Helper()
	return dialecttest.Request{Method: http.MethodPost, Path: "/v1/keys", Body: dialecttest.JSON(t, key), Header: []string{
		"Authorization: Bearer " + w.AdminKey, "Latchkey-Organization: " + organization, "Content-Type: application/json",
	}}
}
