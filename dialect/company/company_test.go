package company_test

import (
	"net/http"
	"strings"
	"testing"

	"latchkey.dev/latchkey/dialect/dialecttest"
	"latchkey.dev/latchkey/latchkeytest"
)

type object = dialecttest.Object

// house is an authority, and a key of a user with the role owner.
type house struct {
	*dialecttest.House
}

func open(t testing.TB) house {
	t.Helper()
	return house{dialecttest.Open(t, latchkeytest.Options{})}
}

// as calls with a key in X-API-Key.
func (h house) as(key, method, path string, body any) dialecttest.Answer {
	h.Helper()
	q := dialecttest.Request{Method: method, Path: path, Header: []string{"X-API-Key: " + key}}
	if body != nil {
		q.Header = append(q.Header, "Content-Type: application/json")
		q.Body = dialecttest.JSON(h.TB, body)
	}
	a := h.Send(q)
	conforms(h.TB, a)
	return a
}

// root calls as the first user.
func (h house) root(method, path string, body any) dialecttest.Answer {
	h.Helper()
	return h.as(h.AdminKey, method, path, body)
}

// create makes a key of a user, and returns its id and value.
func (h house) create(user string) (id, key string) {
	h.Helper()
	a := h.root(http.MethodPost, "/keys", object{"userId": user}).Must(201)
	return a.String("id"), a.String("key")
}

func TestCreate(t *testing.T) {
	t.Parallel()
	h := open(t)
	user := h.User("Ada", "reader")
	a := h.root(http.MethodPost, "/keys", object{
		"userId": user, "whitelistedIPs": []string{"127.0.0.1", "10.10.3.4/16, ::1"}, "description": "of a later revision", "status": "inactive",
	}).Must(201)
	a.Is(user, "userId")
	a.Is([]any{"127.0.0.1", "10.10.3.4/16", "::1"}, "whitelistedIPs")
	a.Is("active", "status")
	a.Is(nil, "updatedAt")
	a.Is(nil, "deletedAt")
	if !strings.HasPrefix(a.String("id"), "key_") || !strings.HasPrefix(a.String("companyId"), "org_") {
		t.Errorf("not the native spellings: %s", a.Text)
	}
	if got := a.Header.Get("X-Latchkey-Effective"); got != "everywhere" {
		t.Errorf("effective %q", got)
	}
	native := h.Native(http.MethodGet, "/v1/keys/"+a.String("id"), nil)
	native.Is("API key of Ada", "name")
	native.Is("organization", "reach")
	native.Is(nil, "role")
	native.Is(user, "owner_id")
	if got := h.Verdict(a.String("key")); got != "ip_not_allowed" && got != "valid" {
		t.Errorf("the key verifies as %s", got)
	}
	for _, list := range []any{nil, []string{}} {
		h.root(http.MethodPost, "/keys", object{"userId": user, "whitelistedIPs": list}).Must(201)
	}
	h.root(http.MethodPost, "/keys", object{"userId": user, "whitelistedIPs": []string{}}).Must(201).Is([]any{}, "whitelistedIPs")
	h.root(http.MethodPost, "/keys", object{"userId": user, "whitelistedIPs": nil}).Must(201).Is(nil, "whitelistedIPs")
	h.root(http.MethodPost, "/keys", object{"userId": user}).Must(201).Is(nil, "whitelistedIPs")
	h.root(http.MethodPost, "/keys", object{"userId": user, "whitelistedIPs": "1.1.1.1,2.2.2.2,10.10.0.0/16"}).Must(201).
		Is([]any{"1.1.1.1", "2.2.2.2", "10.10.0.0/16"}, "whitelistedIPs")
}
