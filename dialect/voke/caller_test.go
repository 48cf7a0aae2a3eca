package voke_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Each operation needs its own right and no other; Voke's scopes give none.
func TestRights(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := h.admin()
	made := c.create(object{"scopes": []string{"plants:read", "plants:write", "config:write"}})
	operations := map[string]func(caller) answer{
		"api_key:read": func(c caller) answer { return c.do("GET", keysPath, nil) },
		"api_key:create": func(c caller) answer {
			return c.do("POST", keysPath, valid(object{"scopes": []string{"api_key:create"}}))
		},
		"api_key:delete": func(c caller) answer { return c.do("DELETE", keysPath+"/"+made.text("apiKey", "id"), nil) },
	}
	for scope := range operations {
		able := c.granted(scope)
		for right, operation := range operations {
			if got := operation(able); right == scope && got.Status/100 != 2 {
				t.Errorf("with %s alone: %d %s", scope, got.Status, got.Text)
			} else if right != scope {
				got.refused(http.StatusForbidden, "FORBIDDEN")
			}
		}
	}
	partner := h.as(made.text("key"))
	for right, operation := range operations {
		if right != "api_key:delete" { // it is revoked by now
			operation(h.as(c.create().text("key"))).refused(http.StatusForbidden, "FORBIDDEN")
		}
		operation(partner).refused(http.StatusUnauthorized, "UNAUTHORIZED")
	}
	asScope := h.as(c.create(object{"scopes": []string{"api_key:read"}}).text("key"))
	asScope.do("GET", keysPath, nil).must(http.StatusOK)
}

// Nobody gives a key more than they hold, but for what they may grant.
func TestCeiling(t *testing.T) {
	t.Parallel()
	h := open(t)
	maker := h.admin().granted("api_key:create", "plants:read", "grant:telemetry:*")
	maker.create(object{"scopes": []string{"plants:read", "telemetry:write"}})
	for _, scope := range []string{"plants:write", "api_key:delete", "*", "plants:*"} {
		got := maker.do("POST", keysPath, valid(object{"scopes": []string{"plants:read", scope}}))
		if details := got.refused(http.StatusForbidden, "FORBIDDEN"); len(details) == 0 {
			t.Errorf("%s: it does not say why: %s", scope, got.Text)
		}
	}
	h.admin().create(object{"scopes": []string{"api_key:delete"}})
}

// A credential comes as bearer, as X-API-Key, or as both if they are the same.
func TestCredentials(t *testing.T) {
	t.Parallel()
	h := open(t)
	nobody := caller{h, http.Header{}}
	key, other := h.AdminKey, h.admin().native(object{"role": "owner", "reach": "organization"}).text("secret")
	c := h.admin()
	for name, good := range map[string]caller{
		"bearer": c, "X-API-Key": nobody.with("X-API-Key", key), "both": c.with("X-API-Key", key), "other case": nobody.with("authorization", "bEARER "+key),
	} {
		if got := good.do("GET", keysPath, nil); got.Status != http.StatusOK {
			t.Errorf("%s: %d %s", name, got.Status, got.Text)
		}
	}
	unknown := strings.Replace(key, "_live_", "_live_0", 1)
	for name, bad := range map[string]caller{
		"none": nobody, "unknown": h.as("x"), "unknown X-API-Key": nobody.with("X-API-Key", unknown), "empty X-API-Key": nobody.with("X-API-Key", ""),
		"a bad one beside a good one": c.with("X-API-Key", "x"), "a bad bearer beside a good X-API-Key": h.as("x").with("X-API-Key", key),
		"two identities": c.with("X-API-Key", other), "the bearer twice": c.with("Authorization", "Bearer "+key), "X-API-Key twice": nobody.with("X-API-Key", key).with("X-API-Key", key),
		"Basic": nobody.with("Authorization", "Basic "+key), "no scheme": nobody.with("Authorization", key), "an empty bearer": nobody.with("Authorization", "Bearer "),
	} {
		got := bad.do("GET", keysPath, nil)
		got.refused(http.StatusUnauthorized, "UNAUTHORIZED")
		if got.text("message") != "Unauthorized" || got.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %s", name, got.Text)
		}
	}
}

// Too many failed credentials from one place are held off; a good one is not.
func TestThrottled(t *testing.T) {
	t.Parallel()
	h := open(t)
	throttled := func() answer {
		for range 100 {
			if got := h.as("x").do("GET", keysPath, nil); got.Status != http.StatusUnauthorized {
				return got
			}
		}
		t.Fatal("a hundred failures and nobody is held off")
		return answer{}
	}()
	throttled.refused(http.StatusTooManyRequests, "TOO_MANY_REQUESTS")
	if throttled.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.admin().do("GET", keysPath, nil).must(http.StatusOK)
}

// x-org-id may name the caller's organization and no other.
func TestOrganizationHeader(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := h.admin()
	theirs, other := h.tenant()
	for _, own := range []caller{c.with("x-org-id", h.org), c.with("X-Org-Id", strings.ToUpper(h.org)), c.with("x-org-id", h.org).with("x-org-id", h.org), other.with("x-org-id", theirs)} {
		own.do("GET", keysPath, nil).must(http.StatusOK)
	}
	for _, wrong := range []caller{
		c.with("x-org-id", theirs), other.with("x-org-id", h.org), c.with("x-org-id", noUUID), c.with("x-org-id", "x"), c.with("x-org-id", ""),
		c.with("x-org-id", "7bc05553-4b68-44e8-b7bc-37be63c6d9e9"), c.with("x-org-id", h.org).with("x-org-id", theirs),
	} {
		wrong.do("GET", keysPath, nil).refused(http.StatusForbidden, "ORG_MEMBERSHIP_REQUIRED")
		wrong.do("POST", keysPath, "{").refused(http.StatusForbidden, "ORG_MEMBERSHIP_REQUIRED")
		wrong.do("DELETE", keysPath+"/x", nil).refused(http.StatusForbidden, "ORG_MEMBERSHIP_REQUIRED")
	}
	everywhere := h.as(c.native(object{"scopes": []string{"api_key:verify"}, "reach": "all"}).text("secret"))
	everywhere.do("GET", keysPath, nil).refused(http.StatusForbidden, "ORG_CONTEXT_REQUIRED")
	everywhere.with("x-org-id", h.org).do("GET", keysPath, nil).refused(http.StatusForbidden, "FORBIDDEN")
	everywhere.with("x-org-id", theirs).do("GET", keysPath, nil).refused(http.StatusForbidden, "ORG_MEMBERSHIP_REQUIRED")
	h.as("x").with("x-org-id", theirs).do("GET", keysPath, nil).refused(http.StatusUnauthorized, "UNAUTHORIZED")
}

// The caller's own address list holds here too.
func TestCallersAddress(t *testing.T) {
	t.Parallel()
	h := open(t)
	for address, status := range map[string]int{"127.0.0.0/8": http.StatusOK, "192.0.2.1": http.StatusForbidden} {
		key := h.admin().native(object{"role": "owner", "reach": "organization", "restrictions": object{"addresses": []string{address}}}).text("secret")
		got := h.as(key).do("GET", keysPath, nil).must(status)
		if status == http.StatusForbidden {
			got.refused(status, "FORBIDDEN")
		}
	}
}

// The order is 401, 403 for organization and right, 400, 403 for the ceiling,
// 404: whoever has no right learns nothing of an input or an id.
func TestOrderOfRefusals(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := h.admin()
	none, maker, deleter := c.granted("x:y"), c.granted("api_key:create"), c.granted("api_key:delete")
	known := c.create().text("apiKey", "id")
	type ask struct {
		method, path string
		body         any
	}
	bad := []ask{
		{"GET", keysPath + "?page=0", nil}, {"POST", keysPath, "{"}, {"POST", keysPath, object{}}, {"POST", keysPath, valid(object{"scopes": []string{"*"}})},
		{"POST", keysPath, strings.Repeat(" ", 70<<10)}, {"DELETE", keysPath + "/x", nil}, {"DELETE", keysPath + "/" + noUUID, nil}, {"DELETE", keysPath + "/" + known, nil},
	}
	for _, q := range bad {
		h.as("").do(q.method, q.path, q.body).refused(http.StatusUnauthorized, "UNAUTHORIZED")
		got := none.do(q.method, q.path, q.body)
		got.refused(http.StatusForbidden, "FORBIDDEN")
		if q.method == "DELETE" && got.Text != none.do("DELETE", keysPath+"/"+known, nil).Text {
			t.Errorf("%s tells whoever has no right: %s", q.path, got.Text)
		}
	}
	maker.do("POST", keysPath, valid(object{"scopes": []string{"*"}, "name": ""})).refused(http.StatusBadRequest, "VALIDATION_ERROR")
	maker.do("POST", keysPath, valid(object{"scopes": []string{"*"}})).refused(http.StatusForbidden, "FORBIDDEN")
	deleter.do("DELETE", keysPath+"/x", nil).refused(http.StatusBadRequest, "INVALID_UUID")
	deleter.do("DELETE", keysPath+"/"+noUUID, nil).refused(http.StatusNotFound, "API_KEY_NOT_FOUND")
	deleter.do("DELETE", keysPath+"/"+known, nil).must(http.StatusOK) // less rights than the key has is enough to take it away
}

// Every answer forbids to be kept, and none invites another origin.
func TestHeaders(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := h.admin().with("Origin", "https://elsewhere.example")
	id := c.create().text("apiKey", "id")
	for _, got := range []answer{
		c.create(), c.do("GET", keysPath, nil), c.do("DELETE", keysPath+"/"+id, nil), c.do("DELETE", keysPath+"/x", nil), c.do("OPTIONS", keysPath, nil),
		c.without("Authorization").do("GET", keysPath, nil), c.do("GET", "/api/v1/partner/x", nil),
	} {
		if got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%d has the header %v", got.Status, got.Header)
		}
		for name := range got.Header {
			if strings.HasPrefix(name, "Access-Control-") || slices.Contains([]string{"Set-Cookie", "Location"}, name) {
				t.Errorf("%d has the header %s", got.Status, name)
			}
		}
	}
}
